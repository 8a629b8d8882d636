"""Poses in NWB files, in the types of ndx-pose, whichever tool wrote them; pynwb is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.arrays import Ints, Singles
from mapose.errors import FormatError
from mapose.io.conventions import settle_points
from mapose.io.hdf5 import get_dataset, open_hdf5
from mapose.io.instances import check_room, unname_slots
from mapose.io.nwb import MODULE, OURS, TITLE, UNITS, make_plain
from mapose.poses import Poses
from mapose.skeleton import Skeleton

# So far, in frames, may a time be from a whole one.
_NEAR = 0.1
_KINDS = ("PoseEstimation", "MultiCameraPoseEstimation")


def read_nwb_poses(path: Path) -> Poses:
    """Read the poses of one video from an NWB file.

    Parameters
    ----------
    path : Path
        With `PoseEstimation` or `MultiCameraPoseEstimation`, one per individual, in the processing
        module ``behavior`` or else in the first one that has some.

    Returns
    -------
    Poses
        Of files of ours with the names, frame numbers and probabilities that were written. Of
        others individuals are called as their estimations, and frames are counted from the first,
        by their times where these leave frames out.

    Raises
    ------
    FormatError
        If the file holds no poses.
    """
    with open_hdf5(path) as file:
        ours = json.loads(file.attrs[OURS]) if OURS in file.attrs else {}
        processing = file.get("processing", {})
        if not isinstance(ours, dict) or isinstance(processing, h5py.Dataset):
            raise FormatError(f"{path}: damaged, or of another kind than it seems")
        modules = sorted(processing, key=lambda name: name != MODULE)
        found = next((m for n in modules if (m := _list_estimations(processing[n]))), None)
        if not found:
            raise FormatError(f"{path}: holds no PoseEstimation in any processing module")
        whose = ours.get("individuals")
        if not whose or not isinstance(whose, dict):
            whose = {n: n.removeprefix("track=") for n in found}
        found = {title: found[title] for title in whose}
        first = next(iter(found.values()))
        skeleton, series = _read_skeleton(first)
        frames, rate = _read_frames(first[series[0]], ours)
        one = get_dataset(first[series[0]], "data")
        shape = (len(frames), len(found), len(series), one.shape[1] + 1)
        check_room(shape, one.size * len(series) * len(found), what=path)
        array = np.full(shape, np.nan, np.float32)
        for i, estimation in enumerate(found.values()):
            array[:, i] = _read_points(estimation, series, len(frames), path)
        unit = str(one.attrs.get("unit", "unknown"))
        known = {long: short for short, long in UNITS.items()}
        identity = [first.parent.get(f"{title}_identity") for title in found]
        sure = None if None in identity else np.stack([group["data"][()] for group in identity], 1)
    return Poses(
        settle_points(array, path),
        skeleton,
        None if list(whose.values()) == [TITLE] else unname_slots(list(whose.values())),
        rate=rate,
        unit=known.get(unit, unit),
        frames=frames,
        identity=sure,
    )


def _list_estimations(module: h5py.Group) -> dict[str, h5py.Group]:
    groups = module.items() if isinstance(module, h5py.Group) else ()
    return {n: g for n, g in groups if _read_kind(g) in _KINDS}


def _read_kind(group: Any) -> str:
    return _as_text(group.attrs.get("neurodata_type", "")) if isinstance(group, h5py.Group) else ""


def _read_skeleton(estimation: h5py.Group) -> tuple[Skeleton, list[str]]:
    """Read keypoints and edges, and the names of the series of the keypoints."""
    series = [n for n, g in estimation.items() if _read_kind(g) == "PoseEstimationSeries"]
    if not series:
        raise FormatError(f"{estimation.name} has no series of points")
    group = estimation.get("skeleton")
    nodes = [] if group is None else [_as_text(n) for n in get_dataset(group, "nodes")[()]]
    plain = make_plain(nodes)
    if sorted(plain) != sorted(series) or "edges" not in group:
        return Skeleton(series), series
    pairs = np.asarray(group["edges"][()], np.int64).reshape(-1, 2).tolist()
    inside = [(a, b) for a, b in pairs if a != b and max(a, b) < len(nodes)]
    edges = {frozenset(pair): (nodes[pair[0]], nodes[pair[1]]) for pair in inside}
    return Skeleton(nodes, edges.values()), plain


def _read_frames(series: h5py.Group, ours: dict[str, Any]) -> tuple[Ints, float | None]:
    """Find frame numbers and the rate, from what we say or from the times."""
    count = len(get_dataset(series, "data"))
    if "timestamps" in series:
        times = np.asarray(get_dataset(series, "timestamps")[()], np.float64)
        rate = 1 / np.median(np.diff(times)) if len(times) > 1 else 1.0
    else:
        start = get_dataset(series, "starting_time")
        rate = float(start.attrs["rate"])
        times = float(start[()]) + np.arange(count) / rate
    if "rate" in ours:
        return np.rint(times * (ours["rate"] or 1)).astype(np.int64), ours["rate"]
    # Times that are whole frames apart, where some are missing, tell which they are.
    steps = np.diff(times) * rate
    if len(steps) and (np.abs(steps - np.rint(steps)) < _NEAR).all() and steps.min() > 1 - _NEAR:
        return np.concatenate([[0], np.cumsum(np.rint(steps))]).astype(np.int64), float(rate)
    return np.arange(count), float(rate)


def _read_points(estimation: h5py.Group, series: list[str], count: int, path: Path) -> Singles:
    """Read points and confidences, (F, K, d + 1)."""
    parts = []
    for name in series:
        if name not in estimation or len(get_dataset(estimation[name], "data")) != count:
            raise FormatError(f"{path}: individuals differ in their keypoints or frames")
        points = np.asarray(get_dataset(estimation[name], "data")[()], np.float32)
        score = np.ones(count, np.float32)
        if "confidence" in estimation[name]:
            score = np.asarray(get_dataset(estimation[name], "confidence")[()], np.float32)
        parts.append(np.concatenate([points, score[:, None]], 1))
    return np.stack(parts, 1)


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
