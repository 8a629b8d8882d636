"""Scores and covariances of a trained network made true on frames that it was not trained on.

With few labels few frames are held out, with very few none. So the frames trained on stand in:
together they count like `_STAND_IN` held-out frames, their squared distances enlarged by
`_OPTIMISM`, for the network is nearer to the labels there. Both fade as held-out frames grow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapose.analysis.posing import assemble_poses
from mapose.arrays import Bools, Floats, Ints, Singles
from mapose.confidence import Confidence, find_odds
from mapose.labels import Labels
from mapose.metrics import match_individuals
from mapose.models import Model
from mapose.poses import Peaks, Poses

#: Held-out frames that the frames trained on are worth, all together.
_STAND_IN = 5.0
#: Squared distance on held-out frames over that on frames trained on: the geometric mean over
#: models of the open field (20 and 82 labels), the mirror mouse and the flies; 1.0 to 3.3.
_OPTIMISM = 1.4
#: What is expected before any frame was seen: slope and fall with their spread, offset of a
#: keypoint from that of all.
_SLOPE, _FALL, _OWN = (1.5, 0.75), (1.0, 0.5), 1.0
_SLOPES, _FALLS = (0.2, 6.0), np.linspace(0, 2.5, 26)
#: Squared Mahalanobis distances below which half and 95 % of 2D normal errors lie.
_HALF, _MOST = 1.386, 5.991
#: Cells of the map within which a keypoint is right: there it is the same peak.
CELLS = 2.0


@dataclass(frozen=True)
class _Answers:
    """Found keypoints, one row each.

    Parameters
    ----------
    odds : float64, (N,)
        Log odds of the score.
    keypoint : int64, (N,)
        Channel.
    right : bool, (N,)
        Whether it is there and within the tolerance.
    squared : float64, (N,)
        Squared Mahalanobis distance to the label; NaN without one.
    weight : float64, (N,)
        What it counts.
    """

    odds: Floats
    keypoint: Ints
    right: Bools
    squared: Floats
    weight: Floats


def calibrate_confidence(model: Model, peaks: Peaks, labels: Labels, *, known: Bools) -> Model:
    """Find what scores and covariances of a trained model are worth.

    Parameters
    ----------
    model : Model
        Its split says which frames were trained on, and which are for this.
    peaks : Peaks
        What it finds in all labelled frames, with its covariances.
    labels : Labels
        All labelled frames.
    known : bool, (F, K)
        Which keypoints were looked for.

    Returns
    -------
    Model
        With its confidence.
    """
    model = replace(model, confidence=None)
    parts = [model.split.get(name, []) for name in ("train", "validation")]
    trained, held = (np.flatnonzero(np.isin(labels.row_names, rows)) for rows in parts)
    confidence = calibrate(
        assemble_poses(peaks, model),
        labels.points,
        known=known,
        held=held,
        trained=trained,
        pitch=model.pitch,
    )
    return replace(model, confidence=confidence)


def scale_covariance(peaks: Peaks, variance: Floats) -> Peaks:
    """Multiply the covariances of peaks by the factor of their keypoint, (K,)."""
    scale = variance[peaks.keypoint, None, None].astype(np.float32)
    return replace(peaks, covariance=peaks.covariance * scale)


def calibrate(
    found: Poses,
    truth: Singles,
    *,
    known: Bools,
    held: Ints,
    trained: Ints,
    pitch: float,
) -> Confidence:
    """Find what scores and covariances are worth.

    Parameters
    ----------
    found : Poses
        As assembled, confidence = score, (F, J, K).
    truth : float32, (F, I, K, 2)
        Labels of the same frames, px; NaN = not marked.
    known : bool, (F, K)
        Which keypoints were looked for: not marked, these are absent, and what is found is wrong.
    held, trained : int64
        Frames that were not trained on and are for this, and frames that were trained on.
    pitch : float
        Pixels per cell of the network's maps; within two cells a keypoint is right.

    Returns
    -------
    Confidence

    References
    ----------
    Platt scaling (Platt 1999) with an offset per keypoint that leans on that of all; the 95 %
    quantile of squared Mahalanobis distances by quantile regression (Koenker & Bassett 1978).
    """
    tolerance = CELLS * pitch
    frame, answers = _collect(found, truth, known=known, tolerance=tolerance)
    stand_in = min(1.0, _STAND_IN / max(len(trained), 1))
    share = np.isin(frame, held) + stand_in * np.isin(frame, trained)
    squared = np.where(np.isin(frame, held), 1.0, _OPTIMISM) * answers.squared
    answers = _Answers(answers.odds, answers.keypoint, answers.right, squared, share)
    slope, offset = _fit_odds(answers, truth.shape[2])
    spread, fall = _fit_spread(answers)
    return Confidence(tolerance, slope, offset, spread, fall)


def _collect(
    found: Poses, truth: Singles, *, known: Bools, tolerance: float
) -> tuple[Ints, _Answers]:
    """List all found keypoints that labels say something about, and the frame of each."""
    points, score = found.points, found.confidence
    partner = match_individuals(truth, points)
    label = np.full(points.shape, np.nan)
    labelled = np.zeros(points.shape[:2], bool)
    frame, who = np.nonzero(partner >= 0)
    label[frame, partner[frame, who]] = truth[frame, who]
    labelled[frame, partner[frame, who]] = True
    gap = label - points
    distance = np.linalg.norm(gap, axis=-1)
    # What belongs to no labelled animal is wrong, if anything was labelled in the frame or nothing
    # is there; what nobody looked for says nothing.
    there = np.isfinite(points).all(-1)
    counts = there & (np.isfinite(distance) | known[:, None])
    covariance = found.covariance
    assert covariance is not None
    inverse = np.linalg.inv(covariance[counts] + 1e-6 * np.eye(2))
    squared = np.einsum("ni,nij,nj->n", gap[counts], inverse, gap[counts])
    rows, _, keypoint = np.nonzero(counts)
    right = distance[counts] <= tolerance
    return rows, _Answers(
        find_odds(score[counts]), keypoint, np.asarray(right), squared, np.ones(len(rows))
    )


def _fit_odds(answers: _Answers, keypoints: int) -> tuple[float, Floats]:
    """Fit log odds of being right: a slope, an offset for all, and each keypoint's own."""
    n = len(answers.odds)
    design = np.zeros((n, 2 + keypoints))
    design[:, 0], design[:, 1] = answers.odds, 1
    design[np.arange(n), 2 + answers.keypoint] = 1
    mean = np.array([_SLOPE[0], 1.0, *[0.0] * keypoints])
    precision = 1 / np.array([_SLOPE[1], 2.0, *[_OWN] * keypoints]) ** 2
    beta = mean.copy()
    for _ in range(50):  # Newton's method on a concave function
        p = 1 / (1 + np.exp(-design @ beta))
        slope = design.T @ (answers.weight * (answers.right - p)) - precision * (beta - mean)
        bend = (design * (answers.weight * p * (1 - p))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(bend, slope)
        beta = beta + step / max(1.0, float(np.abs(step).max()))
        beta[0] = np.clip(beta[0], *_SLOPES)
        if np.abs(step).max() < 1e-6:
            break
    return float(beta[0]), beta[1] + beta[2:]


def _fit_spread(answers: _Answers) -> tuple[float, float]:
    """Fit the factor that lets 95 % ellipses hold 95 %, and how it falls with the score."""
    there = np.isfinite(answers.squared) & (answers.weight > 0)
    weight, odds = answers.weight[there], answers.odds[there]
    ratio = np.log(answers.squared[there] + 1e-9) - np.log(_MOST)
    if weight.sum() < 1:
        return 0.0, 0.0
    best = (np.inf, 0.0, 0.0)
    for fall in _FALLS.tolist():
        shifted = ratio + fall * odds
        spread = _find_quantile(shifted, weight, 0.95)
        miss = shifted - spread
        loss = float((weight * np.where(miss > 0, 0.95 * miss, -0.05 * miss)).sum())
        loss += 0.5 * ((fall - _FALL[0]) / _FALL[1]) ** 2
        best = min(best, (loss, spread, fall))
    return best[1], best[2]


def _find_quantile(values: Floats, weight: Floats, level: float) -> float:
    """Find the quantile of weighted values, between neighbours in proportion."""
    order = np.argsort(values)
    ends = np.cumsum(weight[order])
    return float(np.interp(level * ends[-1], ends - 0.5 * weight[order], values[order]))


def calibrate_variance(peaks: Peaks, truth: Singles) -> Floats:
    """Find the factor per keypoint that makes covariances of peaks true.

    The squared Mahalanobis distance of a 2D normal error has the median 1.386; the factor makes
    it so on labelled frames that were not trained on. Keypoints with few labels lean on the
    factor of all.

    Parameters
    ----------
    peaks : Peaks
        Candidates, covariance not yet calibrated.
    truth : float32, (F, I, K, 2)
        Labels of the same frames, px; NaN = missing.

    Returns
    -------
    float64, (K,)
    """
    keypoints = truth.shape[2]
    ratios: list[Floats] = []
    for k in range(keypoints):
        rows = np.flatnonzero(peaks.keypoint == k)
        gap = truth[peaks.frame[rows], :, k] - peaks.xy[rows, None]
        distance = np.where(np.isfinite(gap).all(-1), (gap**2).sum(-1), np.inf)
        nearest = distance.argmin(1) if distance.shape[1] else np.zeros(len(rows), int)
        gap = gap[np.arange(len(rows)), nearest].astype(np.float64)
        spread = peaks.covariance[rows] + 1e-6 * np.eye(2)
        squared = np.einsum("ni,nij,nj->n", gap, np.linalg.inv(spread), gap)
        near = np.isfinite(squared) & (distance.min(1, initial=np.inf) < 30**2)
        ratios.append(squared[near] / _HALF)
    everything = np.concatenate(ratios)
    overall = float(np.median(everything)) if len(everything) else 1.0
    weight = np.array([len(r) for r in ratios])
    own = np.array([np.median(r) if len(r) else overall for r in ratios])
    return np.exp((weight * np.log(own + 1e-9) + 20 * np.log(overall + 1e-9)) / (weight + 20))
