"""The page of a scene in space: skeletons, cameras and the floor, in windows of frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from mapose.app.endpoints import Call, Endpoint
from mapose.app.proofread import pack
from mapose.app.responses import Binary
from mapose.arrays import Floats
from mapose.errors import SettingsError
from mapose.plots.colours import find_identity_colours
from mapose.plots.rigs import find_frustum
from mapose.results.result import Result
from mapose.results.windows import Windows

_MOST = 2048


def show_scene(call: Call) -> dict[str, Any]:
    """Say all that the page needs but the poses: the floor, the cameras, how to turn the world."""
    windows = call.result.windows
    if windows.file.read_sample(1).dimensions != 3:
        raise SettingsError(f"{windows.path.name} holds poses in a picture, not in space")
    turn, cameras, sample = _find_world(windows)
    points = sample @ turn.T
    low, high = _find_box(points)
    return {
        "names": list(windows.names),
        "keypoints": list(windows.file.skeleton.keypoints),
        "edges": [list(edge) for edge in windows.file.skeleton.edges],
        "colours": [f"#{bytes(c).hex()}" for c in find_identity_colours(len(windows.names))],
        "first": int(windows.frames[0]),
        "last": int(windows.frames[-1]),
        "rate": windows.file.rate,
        "unit": windows.file.unit,
        "box": [low.tolist(), high.tolist()],
        **_find_ground(points, low, high),
        "cameras": [
            {"name": camera.name, "corners": _turn(find_frustum(camera, _middle(sample)), turn)}
            for camera in cameras
        ],
    }


def read_space(call: Call) -> Binary:
    """Give points in space of a run of frames, upright, and how uncertain each is."""
    first = call.read_number("first", 0)
    count = call.read_number("count", 256, most=_MOST)
    windows = call.result.windows
    turn = _find_world(windows)[0]
    poses = windows.read(first, count)
    animals, keypoints = len(windows.names), len(poses.skeleton.keypoints)
    array = np.full((count, animals, keypoints, 3), np.nan, np.float32)
    spread = np.full((count, animals, keypoints), np.nan, np.float32)
    rows = poses.frames - first
    array[rows] = poses.points @ turn.T
    if poses.covariance is not None:
        with np.errstate(invalid="ignore"):
            spread[rows] = np.sqrt(np.trace(poses.covariance, axis1=-2, axis2=-1) / 3)
    header = {"first": first, "count": count, "animals": animals, "keypoints": keypoints}
    return pack(header, [array, spread])


def _find_world(windows: Windows) -> tuple[Floats, list[Any], Floats]:
    """Find how the world is to be turned so that up is up, its cameras, and some of the poses."""
    from mapose.plots.scene3d import find_turn

    cameras: list[Any] = list(Result(windows.path).cameras or ())
    sample = windows.file.read_sample(400).points.astype(np.float64)
    return find_turn(cameras, sample), cameras, sample


def _find_ground(points: Floats, low: Floats, high: Floats) -> dict[str, Any]:
    from mapose.plots.scene3d import find_floor, find_step

    return {
        "floor": find_floor(points, np.stack([low, high])),
        "step": find_step(float((high - low)[:2].max())),
    }


def _find_box(points: Floats) -> tuple[Floats, Floats]:
    flat = points.reshape(-1, 3)
    flat = flat[np.isfinite(flat).all(-1)]
    if not len(flat):
        return np.zeros(3), np.ones(3)
    low, high = np.percentile(flat, [0.5, 99.5], axis=0)
    return low, high


def _middle(points: Floats) -> Floats:
    low, high = _find_box(points)
    return (low + high) / 2


def _turn(points: Floats, turn: Floats) -> list[list[float]]:
    found: list[list[float]] = np.round(points @ turn.T, 4).tolist()
    return found


ENDPOINTS = [
    Endpoint("GET", "/api/scene/{place}", show_scene),
    Endpoint("GET", "/scene/{place}", read_space),
]
