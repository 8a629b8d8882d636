"""How good a reconstruction is, taken down piece by piece; what is worth a look."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration import CameraGroup
from mapose.arrays import AnyFloats, Bools, Floats, Image, Ints, Singles
from mapose.errors import SettingsError, suggest_name
from mapose.multiview.contradictions import Rim, compare_views, list_undistorted, pick_frames
from mapose.multiview.footage import Footage
from mapose.multiview.mismatches import PIECE, Repeats, compare_frames
from mapose.multiview.views import Stack
from mapose.poses import FILLED, Poses
from mapose.similarity import find_edge_lengths
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)

# A known length that comes out this many times longer or shorter is in another unit.
_OTHER_UNIT = 3.0
# Points whose reprojection is computed at once.
_CHUNK = 200_000
# Frames from which medians are told: all of a recording of less than twice as many (22 minutes at
# 30 frames/s), every so many of a longer one. Every fifth of 100,000 told medians that differ by
# 0.2 % at most from those of all, and deviations of bones by 0.4 %.
_TOLD = 20_000


@dataclass(frozen=True, eq=False)
class Piece:
    """Some frames of a reconstruction.

    Parameters
    ----------
    rows : slice
        Which these are.
    poses, error, n_views, filled
        As of `Reconstruction`.
    points : float64, (F, I, K, 3)
        Of the poses.
    used : bool, (V, F, I, K)
        Views that count.
    distance : float64, (V, F, I, K)
        Between points and what each camera saw, px; NaN where one of them is missing.
    stack : Stack
        What the cameras saw.
    """

    rows: slice
    poses: Poses
    error: Singles
    n_views: Image
    filled: Bools
    points: Floats
    used: Bools
    distance: Floats
    stack: Stack

    @property
    def support(self) -> dict[str, Singles | Image | Bools]:
        """What the keypoints rest on, as our own files have it."""
        return {"error": self.error, "n_views": self.n_views, "filled": self.filled}


def make_piece(
    stack: Stack, rows: slice, *, points: Floats, covariance: Floats, used: Bools, unit: str
) -> Piece:
    """Make poses of points, and find how well they fit what was seen."""
    there = np.asarray(np.isfinite(points).all(-1))
    used = used & there
    count = used.sum(0)
    distance = _reproject(stack, points)
    confidence = np.where(used, stack.confidence, 0).sum(0) / np.maximum(count, 2)
    confidence = np.where(there, np.clip(confidence, FILLED, 1), 0)
    with np.errstate(invalid="ignore"):
        error = np.where(count > 0, np.where(used, distance, 0).sum(0) / count, np.nan)
    poses = Poses(
        np.concatenate([points, confidence[..., None]], -1),
        stack.skeleton,
        stack.individuals,
        stack.rate,
        unit,
        frames=stack.frames,
        identity=stack.identity,
        covariance=covariance.astype(np.float32),
    )
    return Piece(
        rows=rows,
        poses=poses,
        error=error.astype(np.float32),
        n_views=count.astype(np.uint8),
        filled=there & (count < 2),
        points=points,
        used=used,
        distance=distance,
        stack=stack,
    )


def _reproject(stack: Stack, points: Floats) -> Floats:
    """Find the distances (V, F, I, K) in px between points and what each camera saw."""
    distance = np.full(stack.confidence.shape, np.nan)
    step = max(_CHUNK // max(points[0].size, 1), 1) if len(points) else 1
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        gap = stack.cameras.project(points[part]) - stack.pixels[:, part]
        distance[:, part] = np.sqrt(np.einsum("...d,...d->...", gap, gap))
    return distance


@dataclass(frozen=True, eq=False)
class Summary:
    """How good a reconstruction is, in numbers; prints itself as a short table.

    Parameters
    ----------
    poses : str
        In a few words.
    skeleton, unit
        As of the poses.
    found, filled : int
        Points that there are, and those of them that are filled in.
    views : float
        Mean number of views that count.
    error : (float, float)
        Median and 95th percentile of the points' errors, px.
    camera_errors : dict of str to float
        Median distance in px between the points and what each camera saw of them.
    camera_shares : dict of str to float
        Part of what each camera saw that counts.
    bones : float64, (E, 2)
        Median length of each edge and its standard deviation from each individual's own median, in
        the unit; filled points do not count. NaN if the bone was never seen.
    warnings : tuple of str
        What is worth a look.

    Notes
    -----
    Medians and the percentile of 40,000 frames and more are those of every so many frames.
    """

    poses: str
    skeleton: Skeleton
    unit: str
    found: int
    filled: int
    views: float
    error: tuple[float, float]
    camera_errors: dict[str, float]
    camera_shares: dict[str, float]
    bones: Floats
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.poses]
        if self.found:
            median, high = self.error
            lines.append(
                f"{self.found} points, {100 * self.filled / self.found:.1f} % of them filled in; "
                f"error {median:.2f} px median, {high:.2f} px p95; {self.views:.1f} views"
            )
        width = max([8, *(len(name) for name in self.camera_errors)])
        lines.append(f"{'camera':{width}}{'error px':>10}{'used':>8}")
        for name, error in self.camera_errors.items():
            lines.append(f"{name:{width}}{error:10.2f}{100 * self.camera_shares[name]:7.1f}%")
        lines += self._list_bones()
        lines += [f"note: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def _list_bones(self) -> list[str]:
        names = [f"{a}-{b}" for a, b in self.skeleton.edges]
        if not names or not len(self.bones):
            return []
        width = max(16, *(len(name) for name in names))
        lines = [f"{'bone':{width}}{'length ' + self.unit:>12}{'varies':>9}"]
        for name, (length, spread) in zip(names, self.bones, strict=True):
            lines.append(f"{name:{width}}{length:12.3g}{100 * spread / length:8.1f}%")
        return lines


class Account:
    """Takes pieces of a reconstruction down, in order, and sums them up in the end.

    Parameters
    ----------
    footage : Footage
        What is reconstructed.
    cameras : calibration.CameraGroup
        All that are calibrated.
    lengths : mapping of (str, str) to float, optional
        Known distances between keypoints in the unit of the calibration.

    Attributes
    ----------
    footage, cameras
        As given.

    Raises
    ------
    SettingsError
        If a length is none, or of a keypoint that there is not.
    """

    def __init__(
        self,
        footage: Footage,
        cameras: CameraGroup,
        *,
        lengths: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        self.footage, self.cameras = footage, cameras
        self._lengths, skeleton = dict(lengths or {}), footage.head.skeleton
        self._pairs = _find_pairs(self._lengths, skeleton)
        self._step = max(len(footage) // _TOLD, 1)
        self._told: list[_Told] = []
        v, _, k = footage.shape
        self._counts = np.zeros(3, np.int64)  # points, those filled in, and views that count
        self._seen, self._used, self._looks = np.zeros((3, v), np.int64)
        self._ever = np.zeros(k, bool)
        group = footage.head.cameras
        self._rim, self._repeats = Rim(group), Repeats(group)
        self._chosen = pick_frames(len(footage))
        self._some: list[tuple[Floats, Floats, Bools]] = []
        self._piece: list[Floats] = []
        self._pixels: list[Singles] = []
        self._bent = any(c.distortion.any() or c.model == "fisheye" for c in group)

    def add(self, piece: Piece) -> None:
        """Take a piece down."""
        stack, used, rows = piece.stack, piece.used, piece.rows
        there = piece.poses.confidence > 0
        self._counts += [there.sum(), piece.filled.sum(), piece.n_views[there].sum(dtype=np.int64)]
        self._seen += np.isfinite(piece.distance).sum((1, 2, 3))
        self._used += used.sum((1, 2, 3))
        self._looks += (stack.confidence > 0).sum((1, 2, 3))
        self._ever |= np.isfinite(piece.points).all(-1).any(0).any(0)
        every = slice(-rows.start % self._step, None, self._step)
        self._told.append(_tell(piece, every, self._pairs))
        self._rim.add(stack.pixels)
        self._repeats.add(stack.pixels)
        own = self._chosen[(self._chosen >= rows.start) & (self._chosen < rows.stop)] - rows.start
        self._some.append((stack.pixels[:, own], piece.points[own], used[:, own]))
        self._piece.append(stack.pixels[:, : max(PIECE - rows.start, 0)].copy())
        if self._bent:
            self._pixels.append(stack.pixels[:, every].astype(np.float32))

    def close(self, notes: Sequence[str] = ()) -> Summary:
        """Sum up; notes come after what else is worth a look.

        Raises
        ------
        SettingsError
            If a known length shows that the calibration is in another unit.
        """
        footage, head = self.footage, self.footage.head
        found, filled, views = (int(n) for n in self._counts)
        told = _Told.join(self._told)
        size = len(footage) * int(np.prod(footage.shape[1:]))
        unit = self.cameras.unit
        empty = np.zeros((0, *footage.shape[1:], 4), np.float32)
        poses = Poses(empty, head.skeleton, head.individuals, head.rate, unit)
        summary = Summary(
            poses=poses.describe(len(footage), found / size if size else 0.0),
            skeleton=head.skeleton,
            unit=unit,
            found=found,
            filled=filled,
            views=views / max(found, 1),
            error=told.find_errors(),
            camera_errors={
                n: _find_median(d) for n, d in zip(footage.views, told.distances, strict=True)
            },
            camera_shares={
                n: float(u / max(s, 1))
                for n, u, s in zip(footage.views, self._used, self._seen, strict=True)
            },
            bones=_measure_bones(told.bones) if len(footage) else np.zeros((0, 2)),
            warnings=(*self._find_warnings(), *notes),
        )
        self._check_lengths(told.lengths)
        return summary

    def _find_warnings(self) -> list[str]:
        footage, head = self.footage, self.footage.head
        warnings = [
            f"{name} sees nothing in any frame"
            for name, looks in zip(footage.views, self._looks, strict=True)
            if not looks
        ]
        unused = [name for name in self.cameras.names if name not in footage.views]
        if unused:
            warnings.append(f"no view of the calibrated cameras {', '.join(unused)}")
        keypoints, some = head.skeleton.keypoints, len(footage) and footage.shape[1]
        never = [k for k, ever in zip(keypoints, self._ever, strict=True) if some and not ever]
        if never:
            warnings.append(f"never seen by two cameras that agree: {', '.join(never)}")
        pixels, points, used = zip(*self._some, strict=True)
        few, group = np.concatenate(pixels, axis=1), head.cameras
        warnings += self._rim.list_outside()
        if self._bent:
            warnings += list_undistorted(group, np.concatenate(self._pixels, axis=1))
        warnings += compare_views(group, few, np.concatenate(points), np.concatenate(used, axis=1))
        warnings += self._repeats.list_repeats()
        piece = np.concatenate(self._piece, axis=1)
        warnings += compare_frames(group, few, piece, keypoints=keypoints)
        for warning in warnings:
            log.warning(warning)
        return warnings

    def _check_lengths(self, lengths: Floats) -> None:
        """Compare known lengths with what came out."""
        unit = self.cameras.unit
        for e, ((a, b), wanted) in enumerate(self._lengths.items()):
            measured = _find_median(lengths[:, :, e])
            if not 1 / _OTHER_UNIT < measured / wanted < _OTHER_UNIT and np.isfinite(measured):
                raise SettingsError(
                    f"lengths: {a}-{b} is {wanted:g} by what was given and {measured:g} {unit} by "
                    f"the calibration: they are not in the same unit; give the length in {unit}, "
                    "or calibrate with the true size of the board"
                )


@dataclass(frozen=True, eq=False)
class _Told:
    """What medians are found of: some frames.

    Parameters
    ----------
    errors : float32, (N,)
        Of the points that have one, px.
    distances : list of float64, (N,)
        Of what counts in each view, px.
    bones : float64, (F, I, E)
        Lengths of the edges, between points that are not filled in.
    lengths : float64, (F, I, P)
        Those that are known beforehand, also between points that are.
    """

    errors: Singles
    distances: list[Floats]
    bones: Floats
    lengths: Floats

    @classmethod
    def join(cls, told: Sequence[_Told]) -> _Told:
        return cls(
            np.concatenate([t.errors for t in told]),
            [np.concatenate(each) for each in zip(*(t.distances for t in told), strict=True)],
            np.concatenate([t.bones for t in told]),
            np.concatenate([t.lengths for t in told]),
        )

    def find_errors(self) -> tuple[float, float]:
        if not len(self.errors):
            return float("nan"), float("nan")
        median, high = np.quantile(self.errors, [0.5, 0.95])
        return float(median), float(high)


def _tell(piece: Piece, rows: slice, pairs: Ints) -> _Told:
    points, error = piece.poses.points[rows], piece.error[rows]
    measured = np.where(piece.filled[rows][..., None], np.nan, points)
    return _Told(
        error[np.isfinite(error)],
        [d[rows][u[rows]] for d, u in zip(piece.distance, piece.used, strict=True)],
        find_edge_lengths(measured, piece.poses.skeleton.edge_index),
        find_edge_lengths(points, pairs),
    )


def _find_pairs(lengths: Mapping[tuple[str, str], float], skeleton: Skeleton) -> Ints:
    """Find the channels of known lengths, (P, 2)."""
    for (a, b), wanted in lengths.items():
        for name in (a, b):
            if name not in skeleton.keypoints:
                hint = suggest_name(name, skeleton.keypoints)
                raise SettingsError(f"lengths: no keypoint {name!r}: {hint}")
        if not wanted > 0:
            raise SettingsError(f"lengths: {a}-{b}: wanted a length above 0, came {wanted}")
    pairs = [[skeleton.index(a), skeleton.index(b)] for a, b in lengths]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _measure_bones(lengths: Floats) -> Floats:
    """Find the median of each edge (F, I, E) and its deviation from each individual's own."""
    found = np.full((lengths.shape[2], 2), np.nan)
    for e in range(lengths.shape[2]):
        each = [column[np.isfinite(column)] for column in lengths[:, :, e].T]
        each = [column for column in each if len(column)]
        if each:
            off = np.concatenate([column - np.median(column) for column in each])
            found[e] = np.median(np.concatenate(each)), np.sqrt((off**2).mean())
    return found


def _find_median(values: AnyFloats) -> float:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")
