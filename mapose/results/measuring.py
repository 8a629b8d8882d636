"""Files of poses measured: tables, datasets and figures of how animals move."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapose import plots
from mapose.edits import find_edits_path
from mapose.errors import FormatError, ShapeError
from mapose.files import (
    check_output,
    check_replaceable,
    claim_output,
    cut_suffix,
    make_folder,
    name_work,
    write_atomically,
)
from mapose.io.movement import fill_netcdf
from mapose.kinematics import (
    MeasureOptions,
    Measuring,
    Summary,
    Zone,
    scale_poses,
)
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.results.windows import make_parts, open_parts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CSV: dict[str, Any] = {"index": False, "lineterminator": "\n", "float_format": "%.6g"}
#: How names of tables end: text, or netCDF as the movement package reads it.
TABLE_ENDINGS = (".csv", ".nc")


@dataclass(frozen=True)
class Scale:
    """In what to measure.

    Parameters
    ----------
    factor : float
        How many of the unit one of the file's is.
    unit : str
        Its name; by default that of the file.
    rate : float, optional
        Frames per second, if the file does not say.
    """

    factor: float = 1.0
    unit: str | None = None
    rate: float | None = None

    def apply(self, poses: Poses) -> Poses:
        """Give poses in this unit and rate."""
        if self.rate is not None:
            poses = replace(poses, rate=self.rate)
        return scale_poses(poses, self.factor, unit=self.unit) if self.unit else poses


def measure_file(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    options: MeasureOptions | None = None,
    scale: Scale | None = None,
    figures: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Summary:
    """Measure the poses of a file, as corrected, and write tables and figures.

    Parameters
    ----------
    file : path
        Tracked poses of any format that `mapose.read` knows.
    output : path, optional
        ``NAME.kinematics.csv`` beside the file by default, with one row per frame and animal; a
        name in ``.nc`` gives a dataset of the movement package. Bouts, if any were asked for, lie
        beside it in ``NAME.kinematics.bouts.csv``.
    options : MeasureOptions, optional
        What to measure, in the unit of `scale`, but zones in that of the file.
    scale : Scale, optional
        In what to measure.
    figures : path, optional
        Folder for figures: speeds, ways through zones, bouts.
    force : bool
        Replace files of somebody else, and tables that hold something else.

    Returns
    -------
    Summary
        Of long recordings little is in memory; for the values themselves, frame by frame, see
        `mapose.kinematics.measure_poses`.

    Raises
    ------
    FormatError
        If the file cannot be read.
    SettingsError
        If an option makes no sense, the rate is not known, or a file may not be replaced.
    ShapeError
        If the poses are not tracked, or there is no such keypoint.
    """
    scale, options = scale or Scale(), options or MeasureOptions()
    table = Path(output) if output else find_table(file)
    made = name_work("kinematics", [file])
    inputs: list[str | os.PathLike[str]] = [file, find_edits_path(file)]
    bouts = table.with_suffix(".bouts.csv")
    wanted = options.moving is not None or options.near is not None or bool(options.zones)
    text = table.suffix.lower() != ".nc"
    with ExitStack() as stack:
        # Tables of text cannot say whose they are: what they hold is compared before they are
        # replaced, so that a command that was killed between two files can be given again.
        claim = partial(claim_output, inputs=inputs, made=made)
        stack.enter_context(claim(table, suffixes=TABLE_ENDINGS, force=force or text))
        if wanted:
            stack.enter_context(claim(bouts, force=True))
        result = stack.enter_context(Result(file))
        parts = make_parts(stack.enter_context(open_parts(result))).map(scale.apply)
        if parts.individuals is None and len(parts.names) > 1:
            raise ShapeError(
                f"{Path(file).name} holds unordered slots, which change places from frame to "
                "frame: 'mapose track' it first"
            )
        options = replace(options, zones=[zone.scale(scale.factor) for zone in options.zones])
        measuring = Measuring(parts, options)
        written = {table: stack.enter_context(write_atomically(table, error=FormatError))}
        write = _write_text if text else partial(_write_dataset, count=len(parts), made=made)
        write(measuring, written[table])
        summary = measuring.sum_up()
        if wanted:
            written[bouts] = stack.enter_context(write_atomically(bouts, error=FormatError))
            summary.tabulate_bouts().to_csv(written[bouts], **_CSV)
        drawn = _list_figures(parts, measuring, summary, options.zones) if figures else {}
        places = {make_folder(figures) / f"{n}.png": d for n, d in drawn.items()} if figures else {}
        for place in places:
            check_output(place, inputs=inputs, made=made, force=force)
        for place, fresh in written.items():
            if not (place.is_file() and filecmp.cmp(place, fresh, shallow=False)):
                check_replaceable(place, made=made, force=force)
        for place, draw in places.items():
            plots.save_figure(draw(), place, made=made)
    return summary


def _write_text(measuring: Measuring, table: Path) -> None:
    """Measure all parts and write their rows."""
    with table.open("w", encoding="utf-8", newline="") as file:
        for number, found in enumerate(measuring):
            found.to_pandas().to_csv(file, header=number == 0, **_CSV)


def _write_dataset(measuring: Measuring, table: Path, *, count: int, made: str) -> None:
    """Measure all parts and write them as one dataset."""
    fill_netcdf((found.to_xarray() for found in measuring), table, count=count, made=made)


def find_table(file: str | os.PathLike[str]) -> Path:
    """Find where the table of a file lies: ``NAME.kinematics.csv`` beside it."""
    path = Path(file)
    return path.with_name(f"{cut_suffix(path.name)}.kinematics.csv")


def _list_figures(
    parts: Parts, measuring: Measuring, summary: Summary, zones: Sequence[Zone]
) -> dict[str, Callable[[], Figure]]:
    """List the figures by the names of their files."""
    drawn: dict[str, Callable[[], Figure]] = {
        "speeds": lambda: plots.plot_speeds(parts, measuring.iterate_speeds())
    }
    if zones and parts.dimensions == 2:
        drawn["zones"] = partial(plots.plot_zones, parts, zones)
    if summary.behaviours:
        drawn["bouts"] = partial(plots.plot_ethogram, parts, summary.behaviours)
    return drawn
