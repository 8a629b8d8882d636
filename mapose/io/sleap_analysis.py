"""SLEAP analysis.h5: tracks as plain arrays."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mapose.arrays import Singles
from mapose.errors import FormatError
from mapose.io.conventions import distinguish_names, settle_points
from mapose.io.hdf5 import get_dataset, open_hdf5
from mapose.io.instances import assign_columns, fill_array
from mapose.io.sources import find_video, list_videos, split_path
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)


def read_analysis_poses(path: Path) -> Poses:
    """Read a SLEAP ``analysis.h5``, in either order of its axes.

    Parameters
    ----------
    path : Path
        With the datasets tracks, node_names and, where known, point_scores, edge_names.

    Returns
    -------
    Poses
        Confidence 1 where there are no scores.

    Raises
    ------
    FormatError
        If a dataset is missing or the shapes do not fit.
    """
    with open_hdf5(path) as file:
        missing = [n for n in ("tracks", "node_names", "track_names") if n not in file]
        if missing:
            raise FormatError(f"{path}: wanted a SLEAP analysis file; missing {missing}")
        nodes = _read_texts(get_dataset(file, "node_names"))
        names = _read_texts(get_dataset(file, "track_names"))
        xy = _order_axes(get_dataset(file, "tracks"), len(nodes), len(names), path)
        score = np.ones(xy.shape[:-1], np.float32)
        if "point_scores" in file:
            stored = get_dataset(file, "point_scores")
            order = _read_dims(stored) or ("track", "node", "frame")
            if "dims" not in stored.attrs and stored.shape == score.shape != score.T.shape:
                order = ("frame", "track", "node")
            score = stored[()].transpose([order.index(d) for d in ("frame", "track", "node")])
        edges = file["edge_names"][()] if "edge_names" in file else []
        pairs = [tuple(_read_texts(e)) for e in edges]
    unique = {frozenset(p): p for p in pairs if len(p) == 2}
    # A score that is not known is stored as NaN or 0; the point is there all the same.
    score = np.where(np.isfinite(score) & (score != 0), score, 1)
    array = settle_points(np.concatenate([xy, score[..., None]], -1), path)
    if len(set(names)) < len(names):
        log.warning("%s: several tracks have one name; they are numbered", path.name)
    return Poses(array, Skeleton(nodes, unique.values()), distinguish_names(names) or None)


def read_analysis_labels(path: Path) -> Labels:
    """Read a SLEAP ``analysis.h5`` as labels: a frame for each that holds a point."""
    poses = read_analysis_poses(path)
    kept = np.flatnonzero((poses.confidence > 0).any((1, 2)))
    stored = _read_video_name(path)
    source = find_analysis_video(path)
    if source is None and len(list_videos(path.parent)) == 1:
        source = list_videos(path.parent)[0]
        log.warning("%s: taking the only video beside it, %s", path.name, source.name)
    video = source.stem if source else Path(split_path(stored)[-1]).stem
    present = (poses.confidence[kept] > 0).any(2)
    row, column = np.nonzero(present)
    tracks: list[str | None] = [poses.names[c] if poses.individuals else None for c in column]
    columns, individuals, identified = assign_columns(row, tracks, [video] * len(kept))
    return Labels(
        fill_array(poses.points[kept][row, column], row, columns, (len(kept), len(individuals))),
        poses.skeleton,
        (video,) * len(kept),
        poses.frames[kept],
        (None,) * len(kept),
        tuple(individuals),
        identified,
        {video: source} if source else {},
    )


def find_analysis_video(path: Path) -> Path | None:
    """Find the video that an analysis file names, by its name; None if it is not there."""
    return find_video(split_path(_read_video_name(path))[-1], [path.parent, path.parent.parent])


def _read_video_name(path: Path) -> str:
    with open_hdf5(path) as file:
        value = file["video_path"][()] if "video_path" in file else path.name
    name = value.decode() if isinstance(value, bytes) else str(value)
    return name if split_path(name) else path.name


def _read_dims(dataset: h5py.Dataset) -> tuple[str, ...] | None:
    return tuple(json.loads(dataset.attrs["dims"])) if "dims" in dataset.attrs else None


def _read_texts(values: Any) -> list[str]:
    cells: Sequence[Any] = values[()] if isinstance(values, h5py.Dataset) else values
    return [c.decode("utf-8") if isinstance(c, bytes) else str(c) for c in cells]


def _order_axes(dataset: h5py.Dataset, n_nodes: int, n_tracks: int, path: Path) -> Singles:
    """Bring tracks to (F, I, K, 2) by the names of their axes or, failing these, by shape."""
    dims = _read_dims(dataset)
    n = max(n_tracks, 1)
    if dims is None and dataset.ndim == 4:
        shape = dataset.shape
        if shape[1:3] == (2, n_nodes) and shape[0] == n:
            dims = ("track", "xy", "node", "frame")
        elif shape[1:] == (n, n_nodes, 2):
            dims = ("frame", "track", "node", "xy")
    if dims is None or set(dims) != {"frame", "track", "node", "xy"}:
        raise FormatError(
            f"{path}: tracks of shape {dataset.shape} fit neither (tracks, 2, {n_nodes}, frames) "
            f"nor (frames, tracks, {n_nodes}, 2)"
        )
    order = [dims.index(d) for d in ("frame", "track", "node", "xy")]
    return np.asarray(dataset[()], np.float32).transpose(order)


def is_points3d(file: h5py.File) -> bool:
    """Tell whether an HDF5 file holds what sleap-anipose triangulated: (F, I, K, 3), no names."""
    shape: tuple[int, ...] = getattr(file["tracks"], "shape", ())
    return len(shape) == 4 and shape[-1] == 3


def read_points3d(path: Path) -> Poses:
    """Read ``points3d.h5`` of sleap-anipose.

    It names neither keypoints nor unit: keypoints are ``node0, node1, ...`` in the order of the
    skeleton, individuals slots where there are several.
    """
    with open_hdf5(path) as file:
        points = np.asarray(get_dataset(file, "tracks")[()], np.float32)
    if points.ndim != 4 or points.shape[-1] != 3:
        raise FormatError(f"{path}: wanted tracks (frames, tracks, nodes, 3), came {points.shape}")
    there = np.isfinite(points).all(-1, keepdims=True)
    skeleton = Skeleton([f"node{n}" for n in range(points.shape[2])])
    return Poses(np.concatenate([points, there], -1), skeleton, unit="unknown")
