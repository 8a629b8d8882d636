"""Files of poses filtered: a result of its own that says what was done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from mapose.edits import find_edits_path
from mapose.files import RESULT, claim_output, cut_suffix, name_work
from mapose.io import save
from mapose.kinematics.filters import check_filter, filter_poses, find_filled
from mapose.results.correcting import carry_origin, find_rate, set_foreign_edits_aside
from mapose.results.result import Result


class FilterOptions(TypedDict, total=False):
    """Options of `mapose.filter_poses` that decide the result."""

    method: Any
    window: int
    order: int
    max_gap: int
    cutoff: float


_DEFAULTS: FilterOptions = {
    "method": "kalman", "window": 5, "order": 2, "max_gap": 10, "cutoff": 0.0
}  # fmt: skip


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
    chosen: FilterOptions = {**_DEFAULTS, **options}
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
    with claimed, Result(file) as result:
        poses = replace(result.poses, rate=result.rate or find_rate(result))
        filtered = filter_poses(poses, on_progress=on_progress, **chosen)
        filled = find_filled(filtered)
        provenance: dict[str, Any] = {"source": result.path.name, "made": made, "filter": used}
        provenance |= carry_origin(result, target)
        provenance["filled"] = int(filled.sum())
        support = dict(result.support)
        support["filled"] = filled | np.asarray(support.get("filled", False))
        set_foreign_edits_aside(target, provenance["recording"])
        save(
            filtered,
            target,
            provenance=provenance,
            cameras=result.calibration,
            support=support,
            doubts=result.find_doubts(),
        )
    return target


def find_filtered(file: str | os.PathLike[str]) -> Path:
    """Find where a file lies when it is filtered: ``NAME.filtered.mapose.h5`` beside it."""
    path = Path(file)
    return path.with_name(f"{cut_suffix(path.name)}.filtered{RESULT}")


def _list_used(options: FilterOptions) -> dict[str, Any]:
    """List the options that matter for the method."""
    unused = {"kalman": {"window", "order"}, "median": {"order"}}.get(options["method"], set())
    return {name: value for name, value in options.items() if name not in unused}
