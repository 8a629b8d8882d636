"""Poses of several cameras brought into one order: cameras, frames, individuals, keypoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from calibration import CameraGroup, find_different_rates
from mapose.arrays import Floats, Ints, Singles
from mapose.errors import ShapeError, suggest_name
from mapose.poses import Poses
from mapose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Stack:
    """What V cameras saw, in one array.

    Parameters
    ----------
    cameras : calibration.CameraGroup
        Those with a view, in the order of the views.
    skeleton, individuals, rate, frames
        As of `Poses`.
    pixels : float64, (V, F, I, K, 2)
        NaN = not seen.
    confidence : float64, (V, F, I, K)
        0 = not seen.
    covariance : float64, (V, F, I, K, 2, 2), optional
        Of the pixels, px², if all views have it.
    identity : float32, (F, I), optional
        Probability that the name is right, the mean over the views that see the individual.
    """

    cameras: CameraGroup
    skeleton: Skeleton
    individuals: tuple[str, ...] | None
    rate: float | None
    frames: Ints
    pixels: Floats
    confidence: Floats
    covariance: Floats | None
    identity: Singles | None


def select_common_frames(views: Mapping[str, Poses]) -> dict[str, Poses]:
    """Cut views to the frames that all of them have.

    Parameters
    ----------
    views : mapping of str to Poses
        By camera.

    Returns
    -------
    dict of str to Poses

    Raises
    ------
    ShapeError
        If they have no frame in common.

    Examples
    --------
    >>> snout = Skeleton(["snout"])
    >>> views = {"a": Poses(np.ones((5, 1, 1, 3)), snout), "b": Poses(np.ones((4, 1, 1, 3)), snout)}
    >>> [len(poses) for poses in select_common_frames(views).values()]
    [4, 4]
    """
    common: Ints | None = None
    for poses in views.values():
        common = poses.frames if common is None else np.intersect1d(common, poses.frames)
    if common is None or not len(common):
        raise ShapeError(f"no frame in common: {_describe_frames(views)}")
    return {name: poses.sel(frames=common) for name, poses in views.items()}


def check_views(views: Mapping[str, Poses], cameras: CameraGroup) -> None:
    """Raise an error that lists all reasons why views do not fit each other or the cameras.

    Raises
    ------
    ShapeError
        If there are fewer than two views, a view has no camera or is not 2D in pixels, or
        frames, rates or keypoints differ.
    """
    faults = []
    if len(views) < 2:
        faults.append(f"wanted at least two views, came {len(views)}")
    faults += find_unknown_cameras(views, cameras)
    for name, poses in views.items():
        if (poses.dimensions, poses.unit) != (2, "px"):
            faults.append(
                f"{name}: wanted 2D poses in px, came {poses.dimensions}D in {poses.unit}"
            )
    faults += _compare_views(views)
    if faults:
        raise ShapeError("views: " + "; ".join(faults))


def find_unknown_cameras(names: Iterable[str], cameras: CameraGroup) -> list[str]:
    """List, as faults for a message, the views that have no camera of their name.

    Examples
    --------
    >>> from calibration import make_ring
    >>> find_unknown_cameras(["cam0", "came1", "side", "back"], make_ring(2))
    ["no camera 'came1' in the calibration: did you mean 'cam1'?",
     "no camera 'side', 'back' in the calibration: known: cam0, cam1"]
    """
    said: dict[str, list[str]] = {}
    for name in names:
        if name not in cameras.names:
            said.setdefault(suggest_name(name, cameras.names), []).append(repr(name))
    return [f"no camera {', '.join(own)} in the calibration: {hint}" for hint, own in said.items()]


def _compare_views(views: Mapping[str, Poses]) -> list[str]:
    faults = []
    each = list(views.values())
    if any(not np.array_equal(p.frames, each[0].frames) for p in each[1:]):
        faults.append(
            f"the views have different frames: {_describe_frames(views)}; if they begin at the "
            "same moment, cut them with select_common_frames(views), otherwise synchronize them"
        )
    if listed := find_different_rates({name: p.rate for name, p in views.items()}):
        faults.append(f"the views have different frame rates: {listed}")
    for name, poses in views.items():
        odd = set(poses.skeleton.keypoints) ^ set(each[0].skeleton.keypoints)
        if odd:
            faults.append(
                f"{name}: keypoints differ from the first view's by {', '.join(sorted(odd))}"
            )
    return faults


def _describe_frames(views: Mapping[str, Poses]) -> str:
    return ", ".join(
        f"{name} {len(p)} ({p.frames[0]}-{p.frames[-1]})" if len(p) else f"{name} none"
        for name, p in views.items()
    )


def stack_views(views: Mapping[str, Poses], cameras: CameraGroup) -> Stack:
    """Bring checked views into one array, individuals and keypoints by name.

    Raises
    ------
    ShapeError
        If a view has several individuals without names.
    """
    first = next(iter(views.values()))
    names = find_individuals(views)
    skeleton, n = first.skeleton, 1 if names is None else len(names)
    shape = (len(views), len(first), n, len(skeleton.keypoints))
    pixels, confidence = np.full((*shape, 2), np.nan), np.zeros(shape)
    whole = all(poses.covariance is not None for poses in views.values())
    covariance = np.full((*shape, 2, 2), np.nan) if whole else None
    identity = np.full(shape[:3], np.nan, np.float32)
    for v, poses in enumerate(views.values()):
        what = [poses.skeleton.index(k) for k in skeleton.keypoints]
        single = names is None or (n == 1 and poses.array.shape[1] == 1)
        who = [0] if single else [names.index(i) for i in poses.names]  # type: ignore[union-attr]
        pixels[v][:, who] = poses.points[:, :, what]
        confidence[v][:, who] = poses.confidence[:, :, what]
        if covariance is not None:
            covariance[v][:, who] = poses.covariance[:, :, what]  # type: ignore[index]
        if poses.identity is not None:
            seen = poses.find_present()
            identity[v][:, who] = np.where(seen, poses.identity, np.nan)
    pixels[~(confidence > 0)] = np.nan
    return Stack(
        cameras=CameraGroup([cameras[name] for name in views], cameras.unit),
        skeleton=skeleton,
        individuals=names,
        rate=next((p.rate for p in views.values() if p.rate is not None), None),
        frames=first.frames,
        pixels=pixels,
        confidence=confidence,
        covariance=covariance,
        identity=_average_identity(identity),
    )


def find_individuals(views: Mapping[str, Poses]) -> tuple[str, ...] | None:
    """List the individuals of all views; None for a single one without a name.

    Raises
    ------
    ShapeError
        If a view has several individuals without names.
    """
    counts = {name: poses.array.shape[1] for name, poses in views.items()}
    slots = [n for n, p in views.items() if p.individuals is None and counts[n] > 1]
    if slots:
        raise ShapeError(
            f"views: {', '.join(slots)}: several individuals without names; let them be matched, "
            "or track and name them first"
        )
    named = [poses.names for poses in views.values() if poses.individuals is not None]
    if max(counts.values()) == 1:
        # One animal in every view is the same animal, whatever the views call it.
        return tuple(named[0]) if named else None
    return tuple(dict.fromkeys(name for names in named for name in names))


def _average_identity(identity: Singles) -> Singles | None:
    there = np.isfinite(identity)
    if not there.any():
        return None
    count = there.sum(0)
    mean = np.where(there, identity, 0).sum(0) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan).astype(np.float32)
