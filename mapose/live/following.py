"""Who is where, from the poses of one moment: in the picture of one camera, or in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration import CameraGroup, triangulate_points
from mapose.arrays import Floats, Ints, Singles
from mapose.multiview.matching.following import MAX_GAP, Follower
from mapose.multiview.matching.observations import measure_observations
from mapose.poses import Poses
from mapose.similarity import find_lengths
from mapose.skeleton import Skeleton
from mapose.tracking import OnlineTracker, Seats

#: Noise of a keypoint whose covariance is not known, in body lengths.
_NOISE = 0.03
#: Share of keypoints that are not where they belong, for the choice between views.
_STRAY = 0.05
#: Sets over which the usual size of a detection is learned.
_LEARNED = 100
#: Length of an animal before one was seen, as a share of the picture's diagonal.
_PICTURE = 0.1
#: Sets in which an animal must be seen before it takes a row: a false alarm is not so twice, in two
#: views, at one place.
_SEATED = 2
#: No match is certain.
_MOST = 0.9999


@dataclass(frozen=True, eq=False)
class Found:
    """Animals of one moment, axes as in `Answer`."""

    points: Floats
    covariance: Floats
    confidence: Floats
    certainty: Floats
    views: dict[str, Singles]
    size: float


class FlatFollower:
    """Follow the animals of one camera in its picture.

    Parameters
    ----------
    camera : str
        Its name.
    individuals : int
        I.
    """

    unit, dimensions = "px", 2

    def __init__(self, camera: str, individuals: int) -> None:
        self._camera = camera
        self._count = individuals
        self._tracker = OnlineTracker(individuals=individuals)
        self._size = _Size(1)

    def update(self, number: int, views: Mapping[str, Poses]) -> Found:
        """Take in the poses of the next moment.

        Parameters
        ----------
        number : int
            Of the set.
        views : mapping of str to Poses
            One frame, slots without order.
        """
        poses = views[self._camera]
        array = poses.array[0]
        size = self._size.learn(0, array)
        rows = self._tracker.update(array[..., :2], array[..., 2])
        ordered = _order(array, rows, self._count)
        spread = _order(_find_spread(poses, size), rows, self._count)
        points = ordered[..., :2].astype(np.float64)
        confidence = np.nan_to_num(ordered[..., 2]).astype(np.float64)
        nobody = np.full(self._count, np.nan)
        return Found(points, spread, confidence, nobody, {self._camera: ordered}, size)


class SpaceFollower:
    """Follow the animals of several calibrated cameras in space.

    Detections are matched with animals as `match_views` does, without looking ahead; each
    keypoint is where its lines of sight meet.

    Parameters
    ----------
    cameras : CameraGroup
        V of them.
    skeleton : Skeleton
        Of the model.
    individuals : int
        I.
    rate : float
        Sets per second, at most.
    """

    dimensions = 3

    def __init__(
        self, cameras: CameraGroup, skeleton: Skeleton, individuals: int, rate: float
    ) -> None:
        self.unit = cameras.unit
        self.cameras, self._count = cameras, individuals
        self._keypoints = len(skeleton.keypoints)
        self._size = _Size(len(cameras), [_PICTURE * np.hypot(*c.size) for c in cameras])
        self._follower = Follower(
            self._keypoints,
            self._size.values,
            tracklets2d=0,
            max_gap=max(MAX_GAP, round(rate)),
            pairs=skeleton.mirror_index,
        )
        self._seats = Seats(individuals)
        self._pace = _Pace()

    def update(self, number: int, views: Mapping[str, Poses]) -> Found:
        """Take in the poses of the next moment; views may be missing.

        Parameters
        ----------
        number : int
            Of the set, ascending.
        views : mapping of str to Poses
            By camera; one frame each, slots without order.
        """
        slots = max(self._count, *(p.array.shape[1] for p in views.values()))
        stacked = np.full((1, len(self.cameras), slots, self._keypoints, 3), np.nan, np.float32)
        stacked[..., 2] = 0
        spread = np.full((*stacked.shape[1:4], 2, 2), np.nan)
        for v, name in enumerate(self.cameras.names):
            if name in views:
                array = views[name].array[0]
                stacked[0, v, : len(array)] = array
                size = self._size.learn(v, array)
                spread[v, : len(array)] = _find_spread(views[name], size)
        observations = measure_observations(stacked, list(self.cameras))
        none = np.full(stacked.shape[:3], -1)
        run = self._follower.follow(observations, none, frames=np.array([self._pace.count(number)]))
        (tracks,), (certainty,) = run.tracks[:], run.certainty[:]
        rows = self._seat(tracks, run.track[:], run.centres[:])
        return self._locate(stacked[0], spread, rows, certainty)

    def _seat(self, tracks: Ints, alive: Ints, centres: Floats) -> Ints:
        """Find the row of each detection, (V, S)."""
        followed = self._follower.list_followed(_SEATED)
        rows = self._seats.place(alive, followed, centres)
        seat = dict(zip(alive.tolist(), rows.tolist(), strict=True))
        return np.array([[seat.get(int(t), -1) for t in view] for view in tracks], np.int64)

    def _locate(self, stacked: Singles, spread: Floats, rows: Ints, certainty: Singles) -> Found:
        views = len(self.cameras)
        placed = [_order(stacked[v], rows[v], self._count) for v in range(views)]
        noise = np.stack([_order(spread[v], rows[v], self._count) for v in range(views)])
        pixels = np.stack(placed).astype(np.float64)
        found = triangulate_points(
            self.cameras, pixels[..., :2], covariance=noise, sigma=1.0, stray=_STRAY
        )
        seen = np.isfinite(found.points).all(-1)
        used = np.where(found.views, np.nan_to_num(pixels[..., 2]), 0.0)
        confidence = used.sum(0) / np.maximum(found.views.sum(0), 1)
        sure = np.stack(
            [_order(certainty[v][:, None], rows[v], self._count)[:, 0] for v in range(views)]
        )
        there = np.isfinite(sure)
        best = np.where(there, sure, 0).max(0)
        size = _find_size(found.points)
        return Found(
            points=found.points,
            covariance=found.covariance,
            confidence=np.where(seen, confidence, 0.0),
            certainty=np.where(there.any(0), np.minimum(best, _MOST), np.nan),
            views=dict(zip(self.cameras.names, placed, strict=True)),
            size=size,
        )


class _Pace:
    """Counts sets by how often they usually come.

    Where every fourth frame can be answered, an animal that is not seen in one set is not lost
    for four frames: what it may do between two sets is learned.
    """

    def __init__(self) -> None:
        self._count, self._last, self._usual = 0, -1, 1.0

    def count(self, number: int) -> int:
        """Count the set of this number, ascending."""
        if self._last >= 0:
            gap = max(number - self._last, 1)
            self._count += max(1, round(gap / self._usual))
            self._usual += 0.1 * (min(gap, 4 * self._usual) - self._usual)
        self._last = number
        return self._count


class _Size:
    """Usual length of a detection in each view, px, learned from the first ones."""

    def __init__(self, views: int, guess: list[float] | None = None) -> None:
        self.values: Floats = np.array(guess if guess else [np.nan] * views, np.float64)
        self._seen: list[list[float]] = [[] for _ in range(views)]

    def learn(self, view: int, array: Singles) -> float:
        """Take in the detections of one view; give the length."""
        seen = self._seen[view]
        if len(seen) < _LEARNED:
            lengths = find_lengths(array[..., :2])
            seen += lengths[lengths > 0].tolist()
            if seen:
                self.values[view] = float(np.median(seen))
        return float(self.values[view])


def _find_size(points: Floats) -> float:
    """Find the usual extent of the animals (I, K, 3) in space; NaN of none."""
    spans = [
        float(np.linalg.norm(np.nanmax(animal, 0) - np.nanmin(animal, 0)))
        for animal in points
        if np.isfinite(animal).all(-1).sum() >= 2
    ]
    return float(np.median(spans)) if spans else float("nan")


def _find_spread(poses: Poses, size: float) -> Floats:
    """Find the covariance of one frame's keypoints, float64 (S, K, 2, 2), px²."""
    if poses.covariance is not None:
        return poses.covariance[0].astype(np.float64)
    variance = (_NOISE * (size if np.isfinite(size) else 1.0)) ** 2
    trust = np.clip(poses.confidence[0].astype(np.float64), 0.1, 1)
    spread = (variance / trust)[..., None, None] * np.eye(2)
    return np.where((poses.confidence[0] > 0)[..., None, None], spread, np.nan)


def _order(values: Floats | Singles, rows: Ints, count: int) -> np.ndarray:
    """Put detections (S, ...) into the rows of individuals, (I, ...); NaN where nobody is."""
    ordered = np.full((count, *values.shape[1:]), np.nan, values.dtype)
    ordered[rows[rows >= 0]] = values[rows >= 0]
    return ordered
