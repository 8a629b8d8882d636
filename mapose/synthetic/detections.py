"""Detections as a network makes them, from true poses: the ground for tracking and assembly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.errors import SettingsError
from mapose.poses import Peaks, Poses
from mapose.similarity import find_centres, find_distances


@dataclass(frozen=True)
class Flaws:
    """How often and how badly a network errs.

    Parameters
    ----------
    jitter : float
        Standard deviation of positions in px; one keypoint in twenty is three times as far off.
    missing : float
        Share of keypoints that are not found.
    lost : float
        Share of frames in which a whole animal is not found, in gaps of a few frames.
    spurious : float
        False animals per frame in `degrade`; false peaks per keypoint and frame in `make_peaks`.
    swapped : float
        Share of keypoints that go to the wrong animal where two are closer than their length.
    mirrored : float
        Share of left/right pairs that are exchanged.
    merged : float
        Share of frames in which two animals closer than a sixth of their length become one.

    Raises
    ------
    SettingsError
        If a number is negative, or a share above 1.
    """

    jitter: float = 1.5
    missing: float = 0.05
    lost: float = 0.01
    spurious: float = 0.03
    swapped: float = 0.02
    mirrored: float = 0.01
    merged: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0 or (name not in ("jitter", "spurious") and value > 1):
                raise SettingsError(
                    f"flaws: {name}: wanted 0 to 1 (or above for a width or count), came {value}"
                )


def degrade(poses: Poses, rng: np.random.Generator, *, flaws: Flaws | None = None) -> Poses:
    """Turn true poses into what a network would have found, in slots without order.

    Parameters
    ----------
    poses : Poses
        The truth, 2D.
    rng : numpy.random.Generator
        Source of all errors.
    flaws : Flaws, optional
        How bad it is.

    Returns
    -------
    Poses
        Same frames, one slot more than individuals (for a false animal), slots shuffled in
        every frame, no names; confidences are lower where errors are larger.
    """
    flaws = Flaws() if flaws is None else flaws
    points = poses.points.astype(np.float64)
    length = _find_length(points)
    points = _exchange(points, flaws, length, rng)
    points = _mirror(points, poses, flaws, rng)
    error = _draw_errors(points.shape, flaws, rng)
    points += error
    points[rng.random(points.shape[:3]) < flaws.missing] = np.nan
    points[_draw_gaps(points.shape[:2], flaws.lost, rng)] = np.nan
    _merge(points, flaws, length, rng)
    confidence = _rate_confidence(error, flaws, rng)
    points, confidence = _add_false_animals(points, confidence, flaws, rng)
    order = rng.random(points.shape[:2]).argsort(1)[:, :, None]
    points = np.take_along_axis(points, order[..., None], axis=1)
    confidence = np.take_along_axis(confidence, order, axis=1)
    array = np.concatenate([points, confidence[..., None]], axis=-1)
    return Poses(array, poses.skeleton, rate=poses.rate, unit=poses.unit, frames=poses.frames)


def make_peaks(poses: Poses, rng: np.random.Generator, *, flaws: Flaws | None = None) -> Peaks:
    """Turn true poses into peaks and candidate links, as maps and fields would give them.

    Every peak of an edge's one end is paired with every peak of its other end in the frame. True
    pairs have affinities about 0.85. A wrong pair's is the higher the nearer its ends lie to
    those of a true limb and the better the direction agrees: crossing animals are confused,
    distant ones are not.

    Parameters
    ----------
    poses : Poses
        The truth, 2D.
    rng : numpy.random.Generator
        Source of all errors.
    flaws : Flaws, optional
        How bad it is; swapped, mirrored and merged do not apply.

    Returns
    -------
    Peaks
        Sorted by frame and keypoint; pairs sorted by frame and edge.
    """
    flaws = Flaws() if flaws is None else flaws
    truth = poses.points.astype(np.float64)
    frames, _, kinds = truth.shape[:3]
    error = _draw_errors(truth.shape, flaws, rng)
    points = truth + error
    points[rng.random(points.shape[:3]) < flaws.missing] = np.nan
    points[_draw_gaps(points.shape[:2], flaws.lost, rng)] = np.nan
    confidence = _rate_confidence(error, flaws, rng)
    spare = rng.poisson(flaws.spurious, (frames, kinds))
    false = _place_at_random(truth, int(spare.max(initial=0)), rng)
    false[np.arange(false.shape[1])[:, None] >= spare[:, None, :]] = np.nan
    points = np.concatenate([points, false], axis=1)
    weak = rng.beta(3, 7, false.shape[:3])
    confidence = np.concatenate([confidence, weak], axis=1)
    there = np.isfinite(points.swapaxes(1, 2)).all(-1)
    frame, keypoint, slot = np.nonzero(there)
    rows = np.full(there.shape, -1)
    rows[there] = np.arange(len(frame))
    pairs, edge, affinity = _link(points, truth, rows, poses.skeleton.edge_index, rng)
    spread = max(flaws.jitter, 0.1) ** 2
    return Peaks(
        frame=frame.astype(np.int64),
        keypoint=keypoint.astype(np.int64),
        xy=points[frame, slot, keypoint].astype(np.float32),
        score=confidence[frame, slot, keypoint].astype(np.float32),
        covariance=np.tile(np.float32(spread) * np.eye(2, dtype=np.float32), (len(frame), 1, 1)),
        pairs=pairs,
        edge=edge,
        affinity=affinity.astype(np.float32),
        n_frames=frames,
    )


def _find_length(points: Floats) -> float:
    """Find the usual length of an animal in px."""
    there = np.isfinite(points).all(-1, keepdims=True)
    low = np.where(there, points, np.inf).min(2)
    high = np.where(there, points, -np.inf).max(2)
    seen = (high > low).all(-1)
    return float(np.median(np.hypot(*(high - low)[seen].T))) if seen.any() else 1.0


def _find_neighbours(points: Floats) -> tuple[Ints, Floats]:
    """Find everyone's nearest other, int64 (F, I), and how far it is; infinite for nobody."""
    centres = find_centres(points)
    gap = find_distances(centres[:, :, None], centres[:, :, None])[..., 0]
    gap = np.where(np.isfinite(gap), gap, np.inf)
    n = gap.shape[1]
    gap[:, np.arange(n), np.arange(n)] = np.inf
    return gap.argmin(-1), gap.min(-1)


def _draw_errors(shape: tuple[int, ...], flaws: Flaws, rng: np.random.Generator) -> Floats:
    far = np.where(rng.random((*shape[:-1], 1)) < 0.05, 3.0, 1.0)
    return flaws.jitter * far * rng.normal(size=shape)


def _rate_confidence(error: Floats, flaws: Flaws, rng: np.random.Generator) -> Floats:
    size = np.linalg.norm(error, axis=-1) / max(flaws.jitter, 1e-9)
    return np.asarray(np.clip(0.97 - 0.09 * size - rng.gamma(1.5, 0.02, size.shape), 0.05, 1))


def _draw_gaps(shape: tuple[int, int], share: float, rng: np.random.Generator) -> Bools:
    """Draw frames in which animals are lost, in runs of about five, bool (F, I)."""
    longest = 5
    starts = rng.random(shape) < 1 - (1 - share) ** (1 / longest)
    gaps: Bools = starts.copy()
    for later in range(1, min(longest, shape[0])):
        gaps[later:] |= starts[:-later]
    return gaps


def _exchange(points: Floats, flaws: Flaws, length: float, rng: np.random.Generator) -> Floats:
    """Give some keypoints of animals that are close to the other one."""
    if points.shape[1] < 2 or flaws.swapped == 0:
        return points.copy()
    other, gap = _find_neighbours(points)
    frame, who = np.nonzero(gap < length)
    first = who < other[frame, who]
    frame, who = frame[first], who[first]
    pick, keypoint = np.nonzero(rng.random((len(frame), points.shape[2])) < flaws.swapped)
    a = (frame[pick], who[pick], keypoint)
    b = (frame[pick], other[frame[pick], who[pick]], keypoint)
    mixed = points.copy()
    mixed[a], mixed[b] = points[b], points[a]
    return mixed


def _mirror(points: Floats, poses: Poses, flaws: Flaws, rng: np.random.Generator) -> Floats:
    mixed = points.copy()
    for left, right in poses.skeleton.mirror:
        a, b = poses.skeleton.index(left), poses.skeleton.index(right)
        wrong = rng.random(points.shape[:2]) < flaws.mirrored
        mixed[wrong, a], mixed[wrong, b] = points[wrong, b], points[wrong, a]
    return mixed


def _merge(points: Floats, flaws: Flaws, length: float, rng: np.random.Generator) -> None:
    """Make one animal, with keypoints of both, of two that nearly coincide, in place."""
    if points.shape[1] < 2:
        return
    other, gap = _find_neighbours(points)
    frame, who = np.nonzero(gap < length / 6)
    first = (who < other[frame, who]) & (rng.random(len(who)) < flaws.merged)
    frame, who = frame[first], who[first]
    partner = other[frame, who]
    take = rng.random((len(frame), points.shape[2], 1)) < 0.5
    points[frame, who] = np.where(take, points[frame, partner], points[frame, who])
    points[frame, partner] = np.nan


def _add_false_animals(
    points: Floats, confidence: Floats, flaws: Flaws, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Add a slot that sometimes holds a few keypoints where nobody is."""
    frames, _, kinds, _ = points.shape
    false = points[:, :1] + rng.normal(0, 60, (frames, 1, 1, 2))
    false = false + rng.normal(0, 8, (frames, 1, kinds, 2))
    absent = (rng.random((frames, 1, kinds)) < 0.5) | (rng.random((frames, 1, 1)) >= flaws.spurious)
    false[absent] = np.nan
    weak = rng.beta(3, 6, (frames, 1, kinds))
    return np.concatenate([points, false], axis=1), np.concatenate([confidence, weak], axis=1)


def _place_at_random(truth: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Draw points over the area in which the animals are, float64 (F, n, K, 2)."""
    there = truth[np.isfinite(truth).all(-1)]
    low, high = (there.min(0), there.max(0)) if len(there) else (np.zeros(2), np.ones(2))
    return rng.uniform(low, high, (truth.shape[0], n, truth.shape[2], 2))


def _link(
    points: Floats, truth: Floats, rows: Ints, edges: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Floats]:
    """Pair all peaks of an edge's ends; gives pairs (M, 2), edge (M,) and affinity (M,)."""
    starts, ends = rows[:, edges[:, 0]], rows[:, edges[:, 1]]
    frame, edge, a, b = np.nonzero((starts[..., None] >= 0) & (ends[..., None, :] >= 0))
    tail, head = points[frame, a, edges[edge, 0]], points[frame, b, edges[edge, 1]]
    # How well each pair lies on the nearest true limb of the frame: (M, I).
    limb_tail, limb_head = truth[frame, :, edges[edge, 0]], truth[frame, :, edges[edge, 1]]
    limb, line = limb_head - limb_tail, head - tail
    length = np.maximum(np.linalg.norm(limb, axis=-1), 1.0)
    off = np.linalg.norm(limb_tail - tail[:, None], axis=-1)
    off += np.linalg.norm(limb_head - head[:, None], axis=-1)
    span = np.maximum(np.linalg.norm(line, axis=-1), 1e-6)
    cosine = np.einsum("mid,md->mi", limb, line) / (length * span[:, None])
    likeness = np.exp(-0.5 * (off / (0.6 * length + 4.0)) ** 2) * np.clip(cosine, 0, 1)
    likeness = np.where(np.isfinite(likeness), likeness, 0).max(1, initial=0)
    true = (a == b) & (a < truth.shape[1])
    mean = np.where(true, 0.85, 0.85 * likeness)
    affinity = np.clip(mean + np.where(true, 0.09, 0.07) * rng.normal(size=len(a)), -1, 1)
    pairs = np.stack([starts[frame, edge, a], ends[frame, edge, b]], axis=-1)
    return pairs.astype(np.int64), edge.astype(np.int64), affinity
