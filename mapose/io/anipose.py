"""Anipose's table of 3D points: one row per frame, six columns per body part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mapose.arrays import Singles
from mapose.errors import FormatError
from mapose.io.cells import TextTable, find_blank, read_first_rows, read_numbers, write_table
from mapose.io.conventions import settle_points
from mapose.io.instances import unname_slots
from mapose.io.marker_names import find_marker_names, split_marker_names
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.skeleton import Skeleton

_COLUMNS = ("x", "y", "z", "error", "ncams", "score")


def write_anipose(
    poses: Poses | Parts, path: Path, *, support: Mapping[str, Any] | None = None
) -> None:
    """Write 3D poses as the csv of Anipose's triangulation.

    Columns are ``<part>_x _y _z _error _ncams _score`` for each body part, then ``M_00`` to
    ``M_22`` and ``center_0`` to ``center_2``, here identity and zero, and ``fnum``. Where there
    are several individuals, parts are called ``<individual>:<part>``. There are no other columns:
    movement refuses files that have some.

    Parameters
    ----------
    poses : Poses or Parts
        3D.
    path : Path
        Replaced when all is written.
    support : dict of str to array, (F, I, K), optional
        ``error`` in px and ``n_views``, which become ``error`` and ``ncams``; those of points that
        were filled in are 0 or 1. Empty without it.

    Raises
    ------
    FormatError
        If the poses are 2D.
    """
    parts = Parts.of(poses, support=support)
    if parts.dimensions != 3:
        raise FormatError("Anipose's table holds points in space: wanted 3D poses, came 2D")
    columns = [f"{part}_{column}" for part in find_marker_names(parts) for column in _COLUMNS]
    write_table((_make_table(*part, columns) for part in parts.iterate_supported()), path)


def _make_table(poses: Poses, support: Mapping[str, Any], columns: Sequence[str]) -> pd.DataFrame:
    found = np.asarray(np.isfinite(poses.points).all(-1))
    unknown = np.full(found.shape, np.nan)
    views = np.asarray(support.get("n_views", unknown), np.float64)
    values = [*np.moveaxis(poses.points, -1, 0), support.get("error", unknown), views]
    values.append(poses.confidence)
    table = np.where(found[..., None], np.stack(values, axis=-1), np.nan)
    data = pd.DataFrame(table.reshape(len(poses), len(columns)), columns=columns)
    extra: dict[str, Any] = {f"M_{i}{j}": float(i == j) for i in range(3) for j in range(3)}
    extra |= {f"center_{i}": 0.0 for i in range(3)}
    extra["fnum"] = poses.frames
    return pd.concat([data, pd.DataFrame(extra, index=data.index)], axis=1)


def is_anipose_csv(path: Path) -> bool:
    """Tell by its header whether a csv is a table of 3D points of Anipose."""
    header = next(iter(read_first_rows(path, 1)), [])
    return bool(_find_parts(header)) and {"fnum", "M_00"} & set(header) != set()


def read_anipose_poses(path: Path) -> Poses:
    """Read the 3D points of an Anipose csv, of a session or of `write_anipose`.

    Parameters
    ----------
    path : Path
        Csv from a folder ``pose-3d`` or ``pose-3d-filtered``.

    Returns
    -------
    Poses
        3D, in the frame of reference that the file is in: if Anipose was told axes, these.
        The score is the confidence; it is 1 where there is a point without one. The unit is
        ``"unknown"``, as the file does not say it, and there is no rate.

    Raises
    ------
    FormatError
        If columns are missing or do not hold numbers.
    """
    data, parts = _load_table(path)
    points = _take(data, parts, _COLUMNS[:3])
    score = _take(data, parts, ["score"])
    score[np.isnan(score)] = 1
    individuals, keypoints = split_marker_names(parts)
    count = len(individuals or [""])
    array = settle_points(np.concatenate([points, score], -1), path)
    array = array.reshape(len(data), count, len(keypoints), 4)
    named = unname_slots(individuals) if individuals else None
    frames = data["fnum"].to_numpy(np.int64) if "fnum" in data else np.arange(len(data))
    columns = [f"{name}:identity" for name in individuals or []] or ["identity"]
    known = [c for c in columns if c in data]
    identity = data[columns].to_numpy(np.float32) if known == columns else None
    return Poses(
        array, Skeleton(keypoints), named, unit="unknown", frames=frames, identity=identity
    )


def read_anipose_support(path: Path) -> dict[str, Any]:
    """Read what the points of an Anipose csv rest on: ``error`` in px, ``n_views``, ``filled``.

    Returns
    -------
    dict of str to array, (F, I, K)
        ``error`` float32, NaN = none; ``n_views`` int16, 0 = none or not known; ``filled`` bool,
        points that were seen by fewer than two cameras.

    Raises
    ------
    FormatError
        As for `read_anipose_poses`.
    """
    data, parts = _load_table(path)
    individuals, keypoints = split_marker_names(parts)
    shape = (len(data), len(individuals or [""]), len(keypoints))
    views = _take(data, parts, ["ncams"]).reshape(shape)
    found = np.isfinite(_take(data, parts, _COLUMNS[:3])).all(-1).reshape(shape)
    return {
        "error": _take(data, parts, ["error"]).reshape(shape),
        "n_views": np.nan_to_num(views).astype(np.int16),
        "filled": found & (views < 2),
    }


def _find_parts(header: Sequence[str]) -> list[str]:
    there = set(header)
    parts = [c.removesuffix("_error") for c in header if c.endswith("_error")]
    return [p for p in parts if all(f"{p}_{axis}" in there for axis in "xyz")]


def _load_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    table = TextTable(path)
    header = table.read_row()
    parts = _find_parts(header)
    if not parts:
        raise FormatError(f"{path}: wanted columns snout_x, snout_y, snout_z, snout_error, ...")
    rows = table.read_rest(0)
    if len(rows.columns) > len(header) and rows.iloc[:, len(header) :].notna().any(axis=None):
        raise FormatError(f"{path}: its rows have more cells than its header ({len(header)})")
    names = [name for name, blank in zip(header, find_blank(header), strict=True) if not blank]
    if len(set(names)) < len(names):
        raise FormatError(f"{path}: several columns have one name; name body parts differently")
    rows = rows[[c for c, name in enumerate(header) if name in names]]
    rows.columns = names
    return pd.DataFrame(read_numbers(rows, table), columns=names), parts


def _take(data: pd.DataFrame, parts: Sequence[str], columns: Sequence[str]) -> Singles:
    """Take some columns of all parts, (F, parts, columns); NaN where there is none."""
    names = [f"{part}_{column}" for part in parts for column in columns]
    values = data.reindex(columns=names).to_numpy(np.float32)
    return values.reshape(len(data), len(parts), len(columns)).copy()
