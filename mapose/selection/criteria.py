"""What tells that a pose is probably wrong: one function for each sort of evidence.

Each takes poses (F, I, K) and gives video frames with their reasons; `rank_outliers` makes one list
of all of them. `apart` and `least` are those of `find_peaks_in_time`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np

from mapose.anatomy import Anatomy, find_mahalanobis, learn_anatomy, to_complex
from mapose.arrays import AnyFloats, Floats, Ints, Singles
from mapose.assignment import assign
from mapose.doubts import Doubt
from mapose.expectation import FOUND, place_keypoints
from mapose.poses import Poses
from mapose.selection.outliers import Reason, compare_with_usual, find_peaks_in_time
from mapose.similarity import find_distances, find_lengths

Found = list[tuple[int, Reason]]
# What is never out of the ordinary. Confidence: lower than usual by so much on average.
_LACK = 0.15
# Body lengths: steps of an animal, of two that change places, of a keypoint on the body; distance
# between what two models find.
_STEP, _EXCHANGE, _TWITCH, _APART = 0.2, 0.4, 0.4, 0.15
# Standard deviations that a keypoint is out of place; pixels from where other cameras put it;
# probability of a swap.
_PLACE, _PIXELS, _SWAP = 3.5, 4.0, 0.1
# Frames whose bodies are laid at once, so that memory stays small.
_ROWS = 20_000
# Least size of an animal, of the median.
_SMALLEST = 0.5
# Poses that are enough to learn what an animal looks like.
_POSES = 3000


def find_low_confidence(poses: Poses, *, apart: int = 8, least: float = 1.0) -> Found:
    """Find where a network is less sure than it usually is of the same keypoints.

    Keypoints that are missing while others of the animal are there count as confidence 0; what is
    seldom seen at all does not count.
    """
    sure = np.where(poses.find_present()[..., None], poses.confidence, np.nan)
    usual = _find_median(np.moveaxis(sure, -1, 0).reshape(sure.shape[-1], -1))
    lack = np.maximum(np.nan_to_num(usual) - sure, 0)
    score = compare_with_usual(lack.mean(-1), _LACK)
    found = []
    for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
        name = poses.names[i]
        worst = [k for k in np.argsort(-lack[f, i], kind="stable")[:3] if lack[f, i, k] > _LACK]
        said = ", ".join(f"{poses.skeleton.keypoints[k]} {sure[f, i, k]:.2f}" for k in worst)
        text = f"low confidence in {name}" + (f" ({said})" if said else "")
        found.append(_report(poses, f, Reason("confidence", score[f, i], text, (name,))))
    return found


def find_exchanges(poses: Poses, *, apart: int = 8, least: float = 1.0) -> Found:
    """Find where two animals each go on where the other one was: their names were swapped."""
    found = []
    score, pairs = _score_exchanges(poses)
    for f, p in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
        names = tuple(poses.names[i] for i in pairs[p])
        text = f"{names[0]} and {names[1]} seem to be swapped: each goes on where the other was"
        found.append(_report(poses, f, Reason("swap", score[f, p], text, names)))
    return found


def _score_exchanges(poses: Poses) -> tuple[AnyFloats, list[tuple[int, int]]]:
    """Score the exchange of each pair of animals in each frame, (F, P)."""
    length, count = find_body_length(poses), poses.array.shape[1]
    steps = [_find_step(poses.points, i, i) for i in range(count)]
    pairs = list(combinations(range(count), 2))
    gain = np.zeros((len(poses), len(pairs)))
    for p, (a, b) in enumerate(pairs):
        crossed = _find_step(poses.points, a, b) + _find_step(poses.points, b, a)
        gain[:, p] = np.maximum(np.nan_to_num(steps[a] + steps[b] - crossed), 0) / length
    gain[_find_breaks(poses)] = 0
    return compare_with_usual(gain, _EXCHANGE), pairs


def find_jumps(poses: Poses, *, apart: int = 8, least: float = 1.0) -> Found:
    """Find where an animal, or a keypoint on its body, jumps as animals do not.

    It jumps there and back, or makes one long step between short ones; an animal that runs makes
    several. Steps of animals that seem to be swapped are no jumps: see `find_exchanges`.
    """
    length, points = find_body_length(poses), poses.points.astype(np.float64)
    each = _find_leaps(points)  # (F, I, K)
    steps = np.stack([_find_step(points, i, i) for i in range(points.shape[1])], 1)
    over = _find_median(_measure(points[2:] - points[:-2]))
    whole = _judge_leaps(steps, over)
    whole[_find_breaks(poses)] = each[_find_breaks(poses)] = 0
    swapped, pairs = _score_exchanges(poses)
    for f, p in np.argwhere(swapped >= 1):
        whole[f - 1 : f + 2, pairs[p]] = 0
    found = []
    score = compare_with_usual(whole / length, _STEP)
    for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
        far, name = steps[f, i], poses.names[i]
        text = f"{name} jumps by {far:.0f} {poses.unit} ({far / length:.1f} body lengths)"
        found.append(_report(poses, f, Reason("jump", score[f, i], text, (name,))))
    twitch = np.maximum(each - np.nan_to_num(whole)[..., None], 0) / length
    for k, keypoint in enumerate(poses.skeleton.keypoints):
        score = compare_with_usual(twitch[..., k], _TWITCH)
        for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
            name = poses.names[i]
            text = f"{keypoint} of {name} jumps {twitch[f, i, k]:.1f} body lengths and back"
            found.append(_report(poses, f, Reason("jump", score[f, i], text, (name,), keypoint)))
    return found


def find_odd_poses(
    poses: Poses, labelled: Singles | None = None, *, apart: int = 8, least: float = 1.0
) -> Found:
    """Find poses that an animal does not take: a keypoint far from where the others put it.

    Parameters
    ----------
    poses : Poses
        In 2D.
    labelled : float32, (N, K, 2), optional
        Labelled poses to learn the anatomy from; where they are too few, the result's own serve.
    apart, least
        As for `find_peaks_in_time`.
    """
    own = poses.points.reshape(-1, *poses.points.shape[2:])
    anatomy = None if labelled is None else learn_anatomy(labelled)
    by = "the labels"
    if anatomy is None:
        anatomy, by = learn_anatomy(own[:: max(1, len(own) // _POSES)]), "the recording"
    if anatomy is None:
        return []
    starts = range(0, len(poses), _ROWS)
    parts = [find_places(poses.take(slice(n, n + _ROWS)), anatomy) for n in starts]
    deviation, gap = (np.concatenate(part) for part in zip(*parts, strict=True))
    found = []
    for k, keypoint in enumerate(poses.skeleton.keypoints):
        score = compare_with_usual(deviation[..., k], _PLACE)
        for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
            name = poses.names[i]
            text = (
                f"improbable pose: {keypoint} of {name} is {gap[f, i, k]:.1f} sizes from where "
                f"the others put it, {deviation[f, i, k]:.1f} standard deviations of {by}"
            )
            found.append(_report(poses, f, Reason("pose", score[f, i], text, (name,), keypoint)))
    return found


def find_places(poses: Poses, anatomy: Anatomy) -> tuple[Floats, Floats]:
    """Find how far keypoints are from where the others of their animal put them.

    Returns
    -------
    deviation : float64, (F, I, K)
        Standard deviations; NaN where that cannot be told.
    gap : float64, (F, I, K)
        Body sizes, see `Anatomy`.
    """
    known = np.isfinite(anatomy.mean).all(-1)
    z = to_complex(poses.points)
    there = np.isfinite(z) & known
    score = np.where(there, np.clip(poses.confidence, 0.05, 1), 0).astype(np.float64)
    z = np.where(there, z, 0)
    place, turn, spread = place_keypoints(z, score, anatomy)
    sure = there & np.isfinite(place)
    gap = np.where(sure, (z - place) / turn, 0)
    # A body that is laid very small, as around two keypoints that fell together, is no measure.
    size = np.abs(turn)
    usual = float(np.median(size[sure])) if sure.any() else 1.0
    shrunk = size / np.maximum(size, _SMALLEST * usual)
    gap = gap * shrunk
    far = find_mahalanobis(gap, spread, np.full(gap.shape, FOUND**2))
    return np.where(sure, np.sqrt(far), np.nan), np.where(sure, np.abs(gap), np.nan)


def find_unsure_names(poses: Poses, doubts: Iterable[Doubt], *, least: float = 1.0) -> Found:
    """Find the moments in which the tracker doubts who is who."""
    found = []
    for doubt in doubts:
        if (
            doubt.probability >= least * _SWAP
            and poses.frames[0] <= doubt.frame <= poses.frames[-1]
        ):
            names = doubt.individuals
            text = (
                f"{names[0]} and {names[1]} were swapped with probability {doubt.probability:.2f}"
            )
            score = doubt.probability / _SWAP
            found.append((doubt.frame, Reason("identity", score, text, names)))
    return found


def find_view_errors(
    poses: Poses, errors: AnyFloats, *, camera: str, apart: int = 8, least: float = 1.0
) -> Found:
    """Find where a camera sees keypoints elsewhere than the other cameras do.

    Parameters
    ----------
    poses : Poses
        What the camera sees.
    errors : float, (F, I, K)
        Pixels from the robust 3D point of all cameras to what this one sees; NaN = none.
    camera : str
        Its name.
    apart, least
        As for `find_peaks_in_time`.
    """
    found = []
    for k, keypoint in enumerate(poses.skeleton.keypoints):
        score = compare_with_usual(errors[..., k], _PIXELS)
        for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
            name = poses.names[i]
            text = (
                f"{camera} sees {keypoint} of {name} {errors[f, i, k]:.0f} px from where the other "
                "cameras put it"
            )
            reason = Reason("reprojection", score[f, i], text, (name,), keypoint)
            found.append(_report(poses, f, reason))
    return found


def find_disagreements(
    poses: Poses, other: Poses, *, what: str, apart: int = 8, least: float = 1.0
) -> Found:
    """Find where two models, or one model on a changed picture, find different things.

    Parameters
    ----------
    poses : Poses
    other : Poses
        Of the same keypoints; on frames that it does not have, nothing is said. Its individuals
        need not be called the same.
    what : str
        What found them, such as ``"model large-1"``.
    apart, least
        As for `find_peaks_in_time`.
    """
    length = find_body_length(poses)
    _, rows, others = np.intersect1d(poses.frames, other.frames, return_indices=True)
    gap = np.full(poses.array.shape[:3], np.nan)
    alone = np.zeros((len(poses), 1))
    for f, g in zip(rows, others, strict=True):
        each = find_distances(poses.points[f], other.points[g])
        a, b = assign(_find_mean(each))
        gap[f, a] = each[a, b]
    counts = [p.find_present().sum(1) for p in (poses, other)]
    alone[rows, 0] = np.abs(counts[0][rows] - counts[1][others])
    found = []
    score = compare_with_usual(_find_mean(gap) / length, _APART)
    for f, i in find_peaks_in_time(score, poses.frames, apart=apart, least=least):
        k, name = int(np.nanargmax(gap[f, i])), poses.names[i]
        keypoint = poses.skeleton.keypoints[k]
        text = f"{what} puts {keypoint} of {name} {gap[f, i, k]:.0f} {poses.unit} elsewhere"
        found.append(
            _report(poses, f, Reason("disagreement", score[f, i], text, (name,), keypoint))
        )
    for f, _ in find_peaks_in_time(2 * alone, poses.frames, apart=apart, least=least):
        text = f"{what} finds {int(alone[f, 0])} animals more or fewer"
        found.append(_report(poses, f, Reason("disagreement", 2 * alone[f, 0], text)))
    return found


def find_body_length(poses: Poses) -> float:
    """Find the median length of the animals, in the unit of the poses; 1 if there is none."""
    if poses.dimensions == 2 and len(poses.skeleton.keypoints) > 1:
        lengths = find_lengths(poses.points)
        if np.isfinite(lengths).any():
            return max(float(np.nanmedian(lengths)), 1e-6)
    return 1.0


def _find_leaps(points: Floats) -> Floats:
    """Find how far each keypoint jumps out of its way and back, (F, I, K)."""
    steps = np.full(points.shape[:-1], np.nan)
    steps[1:] = _measure(points[1:] - points[:-1])
    leaps = np.zeros(points.shape[:-1])
    back = _measure(points[2:] - points[:-2])
    leaps[1:-1] = np.nan_to_num(np.minimum(steps[1:-1], steps[2:]) - back)
    return np.maximum(leaps, 0)


def _judge_leaps(steps: Floats, over: Floats) -> Floats:
    """Find how far animals jump there and back, or in one step between short ones, (F, I)."""
    before = np.vstack([np.zeros_like(steps[:1]), steps[:-1]])
    after = np.vstack([steps[1:], np.zeros_like(steps[:1])])
    lone = steps - np.fmax(np.fmax(before, after), 0)
    spike = np.zeros_like(steps)
    spike[1:-1] = np.minimum(steps[1:-1], steps[2:]) - over
    return np.maximum(np.nan_to_num(np.fmax(lone, spike)), 0)


def _find_step(points: AnyFloats, a: int, b: int) -> Floats:
    """Find the median step of keypoints from where b was to where a is now, (F,); first NaN."""
    steps = np.full(len(points), np.nan)
    steps[1:] = _find_median(_measure(points[1:, a] - points[:-1, b]))
    return steps


def _find_breaks(poses: Poses) -> Ints:
    """Find the rows before or after which frames are missing: no steps can be told there."""
    gaps = np.flatnonzero(np.diff(poses.frames) > 1)
    return np.unique(np.concatenate([gaps, gaps + 1]))


def _measure(gaps: AnyFloats) -> Floats:
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", gaps, gaps)), np.float64)


def _find_median(values: AnyFloats) -> Floats:
    """Find the lower median of what is finite in the last axis; NaN where nothing is."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), -1)
    count = np.isfinite(ordered).sum(-1)
    middle = np.maximum(count - 1, 0) // 2
    picked = np.take_along_axis(ordered, middle[..., None], -1)[..., 0] if ordered.size else count
    return np.where(count > 0, picked, np.nan)


def _find_mean(values: AnyFloats) -> Floats:
    """Average what is finite in the last axis; NaN where nothing is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(-1)
    return np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)


def _report(poses: Poses, row: int, reason: Reason) -> tuple[int, Reason]:
    """Give the video frame of a row, and a plain number for the score."""
    return int(poses.frames[row]), Reason(
        reason.kind, float(reason.score), reason.text, reason.individuals, reason.keypoint
    )
