"""Poses of several cameras brought into one order: cameras, frames, individuals, keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibration import Camera, CameraGroup, find_different_rates
from mapose.arrays import Floats, Ints, Singles
from mapose.errors import ShapeError, suggest_name
from mapose.parts import Parts
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

    def copy(self) -> Stack:
        """Copy the arrays: of frames that were taken out of many, these alone are then kept."""
        return replace(
            self,
            pixels=self.pixels.copy(),
            confidence=self.confidence.copy(),
            covariance=None if self.covariance is None else self.covariance.copy(),
        )

    def take(self, rows: slice) -> Stack:
        """Pick frames by where they stand; the memory is shared."""
        return replace(
            self,
            frames=self.frames[rows],
            pixels=self.pixels[:, rows],
            confidence=self.confidence[:, rows],
            covariance=None if self.covariance is None else self.covariance[:, rows],
            identity=None if self.identity is None else self.identity[rows],
        )


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
    common = _find_common_frames(views)
    return {name: poses.sel(frames=common) for name, poses in views.items()}


def _find_common_frames(views: Mapping[str, Poses | Parts]) -> Ints:
    common: Ints | None = None
    for poses in views.values():
        common = poses.frames if common is None else np.intersect1d(common, poses.frames)
    if common is None or not len(common):
        raise ShapeError(f"no frame in common: {_describe_frames(views)}")
    return common


def align_views(views: Mapping[str, Poses]) -> dict[str, Poses]:
    """Bring views to the same frames and keypoints; what one does not list was not seen there.

    Many files hold nothing after the last frame in which something was found, and one camera may
    not be able to see a tail.

    Parameters
    ----------
    views : mapping of str to Poses
        By camera; the same frame number is the same moment.

    Returns
    -------
    dict of str to Poses
        Frames are those that any view lists; keypoints those that any view has, first those of
        the view with most. NaN and confidence 0 where a view had none.

    Examples
    --------
    >>> a, b = Skeleton(["snout", "tail"]), Skeleton(["snout"])
    >>> views = {"a": Poses(np.ones((5, 1, 2, 3)), a), "b": Poses(np.ones((4, 1, 1, 3)), b)}
    >>> [poses.confidence.sum(0).tolist() for poses in align_views(views).values()]
    [[[5.0, 5.0]], [[4.0, 0.0]]]
    """
    if not views:
        return {}
    frames, skeleton = _find_order(views)
    return {name: _widen(poses, frames, skeleton) for name, poses in views.items()}


def align_parts(views: Mapping[str, Parts]) -> dict[str, Parts]:
    """Bring views that are read a part at a time to the same frames and keypoints.

    Parameters
    ----------
    views : mapping of str to Parts
        By camera; as for `align_views`, and so is what comes out.
    """
    frames, skeleton = _find_order(views)
    return {name: _widen_parts(parts, frames, skeleton) for name, parts in views.items()}


def pick_common_frames(views: Mapping[str, Parts]) -> dict[str, Parts]:
    """Cut views that are read a part at a time, as `select_common_frames` does."""
    common = _find_common_frames(views)
    return {
        name: _spread(parts, common, lambda poses, own: poses.sel(frames=own))
        for name, parts in views.items()
    }


def _find_order(views: Mapping[str, Poses | Parts]) -> tuple[Ints, Skeleton]:
    """Find the frames and the keypoints that any view has."""
    each = list(views.values())
    frames = each[0].frames
    if any(not np.array_equal(p.frames, frames) for p in each[1:]):
        frames = np.unique(np.concatenate([p.frames for p in each]))
    return frames, join_skeletons([p.skeleton for p in each])


def _widen_parts(parts: Parts, frames: Ints, skeleton: Skeleton) -> Parts:
    if np.array_equal(parts.frames, frames) and parts.skeleton == skeleton:
        return parts
    return _spread(parts, frames, lambda poses, own: _widen(poses, own, skeleton))


def _spread(parts: Parts, frames: Ints, change: Callable[[Poses, Ints], Poses]) -> Parts:
    """Give other frames: those that a part of these spans are read, and changed to be these."""

    def read(rows: slice) -> Poses:
        own = frames[rows]
        ends = [own[0], own[-1] + 1] if len(own) else [0, 0]
        first, last = np.searchsorted(parts.frames, ends)
        return change(parts.read(slice(int(first), int(last))), own)

    return Parts(read, frames)


def join_skeletons(skeletons: Sequence[Skeleton]) -> Skeleton:
    """Join skeletons: keypoints by name, first those of the one with most, with all edges.

    Examples
    --------
    >>> join_skeletons([Skeleton(["a"]), Skeleton(["b", "a"], [("a", "b")])]).keypoints
    ('b', 'a')
    """
    main = max(skeletons, key=lambda s: len(s.keypoints))
    if all(s == main for s in skeletons):
        return main
    order = [main, *skeletons]

    def join(field: str) -> list[Any]:
        return list(dict.fromkeys(item for s in order for item in getattr(s, field)))

    taken: set[frozenset[str]] = set()
    edges = []
    for edge in join("edges"):
        if frozenset(edge) not in taken:
            taken.add(frozenset(edge))
            edges.append(edge)
    mirror, paired = [], set[str]()
    for pair in join("mirror"):
        if not paired & set(pair):
            paired |= set(pair)
            mirror.append(pair)
    landmarks = join("landmarks")
    edges = [edge for edge in edges if not set(edge) & set(landmarks)]
    return Skeleton(join("keypoints"), edges, mirror, landmarks=landmarks)


def _widen(poses: Poses, frames: Ints, skeleton: Skeleton) -> Poses:
    """Give poses more frames and keypoints, or another order of keypoints."""
    if np.array_equal(poses.frames, frames) and poses.skeleton.keypoints == skeleton.keypoints:
        return poses if poses.skeleton == skeleton else replace(poses, skeleton=skeleton)
    rows = np.searchsorted(frames, poses.frames)
    columns = np.array([skeleton.index(k) for k in poses.skeleton.keypoints])
    shape = (len(frames), poses.array.shape[1], len(skeleton.keypoints))

    def spread(values: Any, fill: float) -> Any:
        if values is None:
            return None
        wide = np.full((*shape[: 2 if values.ndim == 2 else 3], *values.shape[3:]), fill)
        wide = wide.astype(values.dtype)
        where = np.ix_(rows, np.arange(shape[1]), columns) if values.ndim > 2 else rows
        wide[where] = values
        return wide

    array = spread(poses.array, np.nan)
    array[..., -1] = np.nan_to_num(array[..., -1])
    return replace(
        poses,
        array=array,
        skeleton=skeleton,
        frames=frames,
        identity=spread(poses.identity, np.nan),
        covariance=spread(poses.covariance, np.nan),
    )


def list_differences(views: Mapping[str, Poses | Parts]) -> list[str]:
    """Say in sentences which frames and keypoints some views do not list, though others do.

    Parameters
    ----------
    views : mapping of str to Poses or Parts
        By camera, as they were given.
    """
    notes = []
    first, last = (
        {name: int(p.frames[at]) for name, p in views.items() if len(p)} for at in (0, -1)
    )
    for what, ends, far in (("begin", first, min), ("end", last, max)):
        if len(set(ends.values())) > 1:
            outer = far(ends.values())
            odd = ", ".join(f"{name} at {at}" for name, at in ends.items() if at != outer)
            notes.append(
                f"the views {what} at different frames: {odd}, the others at {outer}; what a view "
                "does not list counts as not seen. If it was trimmed, its frames are other moments"
            )
    known = join_skeletons([p.skeleton for p in views.values()]).keypoints
    for name, poses in views.items():
        if absent := [k for k in known if k not in poses.skeleton.keypoints]:
            notes.append(f"{name} has no {', '.join(absent)}: taken as not seen there")
    return notes


def check_views(views: Mapping[str, Poses | Parts], cameras: CameraGroup) -> None:
    """Raise an error that lists all reasons why views do not fit each other or the cameras.

    Raises
    ------
    ShapeError
        If there are fewer than two views, a view has no camera or is not 2D in pixels, rates
        differ, no frame or keypoint is common, or all cameras stand in one point.
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
    known = [cameras[name] for name in views if name in cameras.names]
    if len(known) > 1 and _stand_together(known):
        faults.append(
            f"the cameras {', '.join(c.name for c in known)} all stand in one point: the "
            "calibration has no poses of its cameras, or not those; calibrate them together"
        )
    if faults:
        raise ShapeError("views: " + "; ".join(faults))


def _stand_together(cameras: Sequence[Camera]) -> bool:
    """Tell whether all cameras have the same centre."""
    centres = np.stack([camera.centre for camera in cameras])
    return bool(np.ptp(centres, axis=0).max() <= 1e-9 * max(np.abs(centres).max(), 1.0))


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


def _compare_views(views: Mapping[str, Poses | Parts]) -> list[str]:
    faults = []
    each = list(views.values())
    alone = [
        name
        for i, (name, poses) in enumerate(views.items())
        if len(poses)
        and not any(np.isin(poses.frames, p.frames).any() for p in each[:i] + each[i + 1 :])
    ]
    if len(each) > 1 and alone:
        faults.append(
            f"no frame of {', '.join(alone)} is one of another view: {_describe_frames(views)}"
        )
    if listed := find_different_rates({name: p.rate for name, p in views.items()}):
        faults.append(
            f"the views have different frame rates: {listed}; if what a file says is wrong, say "
            "the right one (rate=, --rate)"
        )
    for name, poses in views.items():
        own = set(poses.skeleton.keypoints)
        others = {k for n, p in views.items() if n != name for k in p.skeleton.keypoints}
        if others and not own & others:
            faults.append(
                f"{name}: none of its keypoints ({', '.join(sorted(own))}) is one of the other "
                f"views' ({', '.join(sorted(others))}); rename them to match"
            )
    return faults


def _describe_frames(views: Mapping[str, Poses | Parts]) -> str:
    return ", ".join(
        f"{name} {len(p)} ({p.frames[0]}-{p.frames[-1]})" if len(p) else f"{name} none"
        for name, p in views.items()
    )


def stack_views(views: Mapping[str, Poses], cameras: CameraGroup) -> Stack:
    """Bring checked and aligned views into one array, individuals and keypoints by name.

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
    several = max(counts.values()) > 1
    slots = [n for n, p in views.items() if p.individuals is None and several]
    if slots:
        what = "several individuals" if max(counts[n] for n in slots) > 1 else "one of several"
        raise ShapeError(
            f"views: {', '.join(slots)}: {what} without names; let them be matched, or track and "
            "name them first"
        )
    named = [poses.names for poses in views.values() if poses.individuals is not None]
    if not several:
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
