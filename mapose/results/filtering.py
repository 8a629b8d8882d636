"""Files of poses filtered: a result of its own that says what was done."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from mapose.edits import find_edits_path
from mapose.files import RESULT, claim_output, cut_suffix, name_work
from mapose.io import PosesWriter
from mapose.kinematics.filters import (
    DEFAULTS,
    FilterOptions,
    check_filter,
    filter_parts,
    find_filled,
)
from mapose.results.correcting import carry_origin, find_rate, set_foreign_edits_aside
from mapose.results.result import Result
from mapose.results.windows import open_parts


def filter_file(
    file: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Unpack[FilterOptions],
) -> Path:
    """Filter the poses of a file, as corrected, into a result of its own.

    Parameters
    ----------
    file : path
        Tracked poses of any format that `mapose.read` knows.
    output : path, optional
        ``NAME.filtered.mapose.h5`` beside the file by default.
    force : bool
        Replace what another file or other options made, or somebody else.
    on_progress : function of (int, int), optional
        Told what is done and the total.
    **options
        Method, window, order, max_gap and cutoff of `mapose.filter_poses`.

    Returns
    -------
    Path
        Of the result. It says in its provenance what was done, marks what was filled in, and
        holds the doubts, cameras and recording of the file.

    Raises
    ------
    FormatError
        If the file cannot be read.
    SettingsError
        If an option makes no sense, or the output is one of the files that are read, or may not
        be replaced.
    ShapeError
        If the poses are not tracked.
    """
    chosen: FilterOptions = {**DEFAULTS, **options}
    check_filter(
        chosen["method"],
        window=chosen["window"],
        order=chosen["order"],
        max_gap=chosen["max_gap"],
    )
    used = _list_used(chosen)
    target = Path(output) if output else find_filtered(file)
    made = name_work("filter", [file], **used)
    inputs = [file, find_edits_path(file)]
    claimed = claim_output(target, inputs=inputs, suffixes=[RESULT], made=made, force=force)
    with claimed, Result(file) as result, open_parts(result) as source:
        rate = result.rate or find_rate(result)
        provenance: dict[str, Any] = {"source": result.path.name, "made": made, "filter": used}
        provenance |= carry_origin(result, target)
        set_foreign_edits_aside(target, provenance["recording"])
        first = source.read_rows(slice(0, 1))
        filled, rows = 0, slice(0, 0)
        with PosesWriter(
            target,
            first.skeleton,
            first.individuals,
            rate=rate,
            unit=first.unit,
            provenance=provenance,
        ) as writer:
            parts = filter_parts(source.read_rows, len(source), on_progress=on_progress, **chosen)
            for part in parts:
                writer.append(part)
                rows = slice(rows.stop, rows.stop + len(part))
                support, found = dict(source.read_support(rows)), find_filled(part)
                filled += int(found.sum())
                support["filled"] = found | np.asarray(support.get("filled", False))
                writer.add_support(support)
            writer.add_provenance({"filled": filled})
            if result.calibration is not None:
                writer.add_cameras(result.calibration)
            writer.add_doubts(source.find_doubts())
    return target


def find_filtered(file: str | os.PathLike[str]) -> Path:
    """Find where a file lies when it is filtered: ``NAME.filtered.mapose.h5`` beside it."""
    path = Path(file)
    return path.with_name(f"{cut_suffix(path.name)}.filtered{RESULT}")


def _list_used(options: FilterOptions) -> dict[str, Any]:
    """List the options that matter for the method."""
    unused = {"kalman": {"window", "order"}, "median": {"order"}}.get(options["method"], set())
    return {name: value for name, value in options.items() if name not in unused}
