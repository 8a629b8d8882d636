"""Files of poses measured: tables, datasets and figures of how animals move."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mapose import plots
from mapose.edits import find_edits_path
from mapose.errors import FormatError, ShapeError
from mapose.files import (
    check_output,
    claim_output,
    cut_suffix,
    make_folder,
    name_work,
    write_atomically,
)
from mapose.io.movement import write_dataset
from mapose.kinematics import Kinematics, MeasureOptions, measure_poses, scale_poses
from mapose.poses import Poses
from mapose.results.result import Result

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

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
) -> Kinematics:
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
    Kinematics

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
        with Result(file) as result:
            poses = scale.apply(result.poses)
        if poses.individuals is None and poses.array.shape[1] > 1:
            raise ShapeError(
                f"{Path(file).name} holds unordered slots, which change places from frame to "
                "frame: 'mapose track' it first"
            )
        zones = [zone.scale(scale.factor) for zone in options.zones]
        found = measure_poses(poses, replace(options, zones=zones))
        drawn = _list_figures(found, replace(options, zones=zones)) if figures else {}
        places = {make_folder(figures) / f"{n}.png": d for n, d in drawn.items()} if figures else {}
        for place in places:
            check_output(place, inputs=inputs, made=made, force=force)
        tables = {table: found.to_pandas()} if text else {}
        if wanted:
            tables[bouts] = _list_bouts(found)
        written = {place: _format_table(rows) for place, rows in tables.items()}
        for place, content in written.items():
            _check_same(place, content, inputs=inputs, made=made, force=force)
        if not text:
            write_dataset(found.to_xarray(), table, made=made)
        for place, content in written.items():
            with write_atomically(place, error=FormatError) as temporary:
                temporary.write_bytes(content)
        for place, draw in places.items():
            plots.save_figure(draw(), place, made=made)
    return found


def find_table(file: str | os.PathLike[str]) -> Path:
    """Find where the table of a file lies: ``NAME.kinematics.csv`` beside it."""
    path = Path(file)
    return path.with_name(f"{cut_suffix(path.name)}.kinematics.csv")


def _list_bouts(found: Kinematics) -> pd.DataFrame:
    import pandas as pd

    columns = ["behaviour", "individuals", "first", "last", "start", "duration"]
    return pd.DataFrame(found.list_bouts(), columns=columns)


def _format_table(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode()


def _check_same(
    place: Path, content: bytes, *, inputs: list[str | os.PathLike[str]], made: str, force: bool
) -> None:
    """Make sure that a table which is there holds what is about to be written."""
    if not place.is_file() or place.read_bytes() != content:
        check_output(place, inputs=inputs, made=made, force=force)


def _list_figures(found: Kinematics, options: MeasureOptions) -> dict[str, Callable[[], Figure]]:
    """List the figures by the names of their files."""
    drawn: dict[str, Callable[[], Figure]] = {
        "speeds": partial(plots.plot_speeds, found.poses, found.speed)
    }
    if options.zones and found.poses.dimensions == 2:
        drawn["zones"] = partial(plots.plot_zones, found.poses, options.zones)
    if found.behaviours:
        drawn["bouts"] = partial(plots.plot_ethogram, found.poses, found.behaviours)
    return drawn
