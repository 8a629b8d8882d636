"""Score poses: how far off the keypoints are, and how many are found at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.assignment import assign
from mapose.errors import SettingsError, ShapeError
from mapose.metrics.overlap import align_poses, cut_blocks, find_marked
from mapose.poses import Poses
from mapose.similarity import find_distances


@dataclass(frozen=True, eq=False)
class PoseError:
    """Distances between labelled and found keypoints, in the unit of the poses (px).

    Attributes
    ----------
    mean, median, rmse : float
        Over all keypoints that are labelled and found; NaN if there are none. ``rmse`` is the true
        root mean square; what DeepLabCut prints as RMSE is ``mean``.
    mean_sure, median_sure, rmse_sure : float
        The same over keypoints with a confidence of at least ``cutoff``.
    cutoff : float
        Confidence from which a keypoint is sure.
    labelled, found, sure : int
        Number of labelled keypoints, of those that the matched animal has, and has for sure.
    pck : dict of float to float
        Share of the labelled keypoints that are found within so many px (percentage of correct
        keypoints); what is not found is wrong.
    reach : float
        Distance up to which a keypoint counts as found in ``found_within``.
    found_within : float
        Share of the labelled keypoints that are found within ``reach``.
    keypoints : tuple of str
        Names.
    mean_each, median_each, found_each : float64, (K,)
        Mean and median distance of each keypoint, and its share found within ``reach``.
    """

    mean: float
    median: float
    rmse: float
    mean_sure: float
    median_sure: float
    rmse_sure: float
    cutoff: float
    labelled: int
    found: int
    sure: int
    pck: dict[float, float]
    reach: float
    found_within: float
    keypoints: tuple[str, ...]
    mean_each: Floats
    median_each: Floats
    found_each: Floats

    def to_dict(self) -> dict[str, Any]:
        """Make a plain dictionary, ready for JSON; NaN becomes None."""
        names = ["mean", "median", "rmse", "mean_sure", "median_sure", "rmse_sure", "cutoff"]
        names += ["labelled", "found", "sure", "reach", "found_within"]
        plain: dict[str, Any] = {name: _to_plain(getattr(self, name)) for name in names}
        plain["pck"] = {f"{t:g}": _to_plain(v) for t, v in self.pck.items()}
        plain["keypoints"] = {
            name: {"mean": _to_plain(a), "median": _to_plain(b), "found_within": _to_plain(c)}
            for name, a, b, c in zip(
                self.keypoints, self.mean_each, self.median_each, self.found_each, strict=True
            )
        }
        return plain

    def __str__(self) -> str:
        width = max(16, *(len(name) for name in self.keypoints))
        sure = f"confidence >= {self.cutoff:g}"
        lines = [f"{'error in px':{width}}{'mean':>8}{'median':>8}{'RMSE':>8}{'n':>8}"]
        for name, values, n in (
            ("all found", (self.mean, self.median, self.rmse), self.found),
            (sure, (self.mean_sure, self.median_sure, self.rmse_sure), self.sure),
        ):
            lines.append(f"{name:{width}}" + "".join(f"{v:8.2f}" for v in values) + f"{n:8d}")
        shares = [*((f"within {t:g} px", v) for t, v in self.pck.items())]
        shares.append((f"within {self.reach:g} px", self.found_within))
        lines.append(f"of {self.labelled} labelled keypoints:")
        lines += [f"{name:{width}}{100 * v:7.1f}%" for name, v in dict(shares).items()]
        lines.append(f"{'keypoint':{width}}{'mean':>8}{'median':>8}{'found':>8}")
        for name, a, b, c in zip(
            self.keypoints, self.mean_each, self.median_each, self.found_each, strict=True
        ):
            lines.append(f"{name:{width}}{a:8.2f}{b:8.2f}{100 * c:7.1f}%")
        return "\n".join(lines)


def pose_error(
    truth: Poses | AnyFloats,
    found: Poses | AnyFloats,
    *,
    confidence: AnyFloats | None = None,
    cutoff: float = 0.6,
    thresholds: Sequence[float] = (5, 10),
    reach: float = 30,
    keypoints: Sequence[str] | None = None,
) -> PoseError:
    """Measure how far found keypoints are from the labelled ones.

    In each frame, found animals are matched with labelled ones by their keypoints' distances,
    whatever their names; so this says nothing about identity (`track_scores` does).

    Parameters
    ----------
    truth : Poses or float, (F, I, K, 2)
        Labelled keypoints; NaN = not labelled.
    found : Poses or float, (F, J, K, 2)
        Found keypoints; NaN = missing. Two Poses are compared on the frames and keypoints that
        both have; arrays must fit row by row.
    confidence : float, (F, J, K), optional
        Of the found keypoints; by default that of Poses, and 1 for arrays.
    cutoff : float
        Confidence from which a keypoint is sure: DeepLabCut's p-cutoff and its default.
    thresholds : sequence of float
        Distances for the percentage of correct keypoints, px.
    reach : float
        Distance in px up to which a keypoint counts as found; also what a missing keypoint costs
        when animals are matched, so that a fragment that is near does not beat a whole animal.
    keypoints : sequence of str, optional
        Names for the table; by default those of Poses.

    Returns
    -------
    PoseError

    Raises
    ------
    ShapeError
        If shapes do not fit, or two Poses have no frame or keypoint in common.
    SettingsError
        If a distance is not above 0.

    Examples
    --------
    >>> labelled = np.array([[[[10.0, 10], [20, 10]]]])
    >>> error = pose_error(labelled, labelled + [3, 4], thresholds=[4, 6])
    >>> error.mean, error.rmse, error.pck
    (5.0, 5.0, {4: 0.0, 6: 1.0})
    """
    if not reach > 0 or any(not t > 0 for t in thresholds):
        raise SettingsError(f"wanted distances above 0 px, came {[*thresholds, reach]}")
    if isinstance(truth, Poses) and isinstance(found, Poses):
        truth, found = align_poses(truth, found)
    if isinstance(truth, Poses):
        keypoints = truth.skeleton.keypoints if keypoints is None else keypoints
        truth = truth.points
    if isinstance(found, Poses):
        confidence = found.confidence if confidence is None else confidence
        found = found.points
    truth, found = np.asarray(truth), np.asarray(found)
    confidence = np.ones(found.shape[:-1]) if confidence is None else np.asarray(confidence)
    names = _check(truth, found, confidence, keypoints)
    distance, surety = _measure(truth, found, confidence, reach)
    return _summarise(distance, surety, find_marked(truth), cutoff, thresholds, reach, names)


def match_individuals(truth: AnyFloats, found: AnyFloats, *, reach: float = 30) -> Ints:
    """Match labelled with found animals in each frame, as `pose_error` does.

    Parameters
    ----------
    truth : float, (F, I, K, d)
        Labelled keypoints; NaN = not labelled.
    found : float, (F, J, K, d)
        Found keypoints; NaN = missing.
    reach : float
        As in `pose_error`.

    Returns
    -------
    int64, (F, I)
        Found animal that belongs to each labelled one; -1 = none.
    """
    partner = np.full(truth.shape[:2], -1)
    i, k, d = truth.shape[1:]
    for rows in cut_blocks(len(truth), i * found.shape[1] * k * d):
        gaps = find_distances(truth[rows], found[rows])
        partner[rows] = _match(gaps, find_marked(truth[rows]), reach)
    return partner


def pick_matched(
    truth: AnyFloats, found: AnyFloats, confidence: AnyFloats, *, reach: float = 30
) -> tuple[Floats, Floats]:
    """Put found animals into the places of the labelled ones that they are matched with.

    Parameters
    ----------
    truth : float, (F, I, K, d)
        Labelled keypoints; NaN = not labelled.
    found : float, (F, J, K, d)
        Found keypoints; NaN = missing.
    confidence : float, (F, J, K)
        Of the found keypoints.
    reach : float
        As in `pose_error`.

    Returns
    -------
    points : float64, (F, I, K, d)
        NaN where a labelled animal has no partner.
    confidence : float64, (F, I, K)
        0 there.
    """
    partner = match_individuals(truth, found, reach=reach)
    frame, who = np.nonzero(partner >= 0)
    other = partner[frame, who]
    points, surety = np.full(truth.shape, np.nan), np.zeros(truth.shape[:3])
    points[frame, who], surety[frame, who] = found[frame, other], confidence[frame, other]
    return points, surety


def _check(
    truth: AnyFloats, found: AnyFloats, confidence: AnyFloats, keypoints: Sequence[str] | None
) -> tuple[str, ...]:
    fits = truth.ndim == found.ndim == 4 and truth.shape[0] == found.shape[0]
    if not fits or truth.shape[2:] != found.shape[2:] or confidence.shape != found.shape[:3]:
        raise ShapeError(
            "pose_error: wanted truth (F, I, K, 2), found (F, J, K, 2), confidence (F, J, K); "
            f"came {truth.shape}, {found.shape}, {confidence.shape}"
        )
    names = tuple(keypoints or (f"keypoint{k}" for k in range(truth.shape[2])))
    if len(names) != truth.shape[2]:
        raise ShapeError(f"pose_error: {len(names)} names for {truth.shape[2]} keypoints")
    return names


def _measure(
    truth: AnyFloats, found: AnyFloats, confidence: AnyFloats, reach: float
) -> tuple[Floats, Floats]:
    """Find distance and confidence (F, I, K) of the keypoints of the matched animals."""
    distance, surety = np.empty(truth.shape[:3]), np.empty(truth.shape[:3])
    for rows in cut_blocks(len(truth), max(truth[:1].size, found[:1].size)):
        own = truth[rows]
        points, surety[rows] = pick_matched(own, found[rows], confidence[rows], reach=reach)
        gaps = own.astype(np.float64) - points
        distance[rows] = np.sqrt(np.einsum("fnkd,fnkd->fnk", gaps, gaps))
    return distance, surety


def _match(gaps: Floats, labelled: Bools, reach: float) -> Ints:
    """Match labelled (F, I, K) with found animals frame by frame, (F, I); -1 = none."""
    if not gaps.size:
        return np.full(gaps.shape[:2], -1)
    common = np.isfinite(gaps)
    # Beyond the reach a keypoint costs little more than a missing one, so that a single wild
    # keypoint does not lose its animal; the rest of the slope decides between far-off animals.
    each = np.where(common, np.minimum(gaps, reach) + 0.01 * np.nan_to_num(gaps), 1.02 * reach)
    cost = np.where(labelled[:, :, None], each, 0).sum(-1)
    cost[~common.any(-1)] = np.inf
    possible = np.isfinite(cost)
    # One candidate each, and none wanted twice: no need to choose.
    simple = (possible.sum(2) <= 1).all(1) & (possible.sum(1) <= 1).all(1)
    match = np.where(possible.any(2) & simple[:, None], possible.argmax(2), -1)
    for f in np.flatnonzero(~simple):
        who, partner = assign(cost[f])
        match[f, who] = partner
    return match


def _summarise(
    distance: Floats,
    surety: Floats,
    labelled: Bools,
    cutoff: float,
    thresholds: Sequence[float],
    reach: float,
    names: tuple[str, ...],
) -> PoseError:
    there = np.isfinite(distance)
    total = int(labelled.sum())
    columns = [distance[..., k][there[..., k]] for k in range(len(names))]
    sure = distance[there & (surety >= cutoff)]
    errors = distance[there]
    per_keypoint = labelled.sum((0, 1))
    within = (distance <= reach).sum((0, 1))
    mean, median, rmse = _average(errors)
    mean_sure, median_sure, rmse_sure = _average(sure)
    return PoseError(
        mean=mean,
        median=median,
        rmse=rmse,
        mean_sure=mean_sure,
        median_sure=median_sure,
        rmse_sure=rmse_sure,
        cutoff=cutoff,
        labelled=total,
        found=len(errors),
        sure=len(sure),
        pck={t: float((errors <= t).sum() / total) if total else np.nan for t in thresholds},
        reach=reach,
        found_within=float(within.sum() / total) if total else np.nan,
        keypoints=names,
        mean_each=np.array([_average(c)[0] for c in columns]),
        median_each=np.array([_average(c)[1] for c in columns]),
        found_each=np.where(per_keypoint > 0, within / np.maximum(per_keypoint, 1), np.nan),
    )


def _average(errors: Floats) -> tuple[float, float, float]:
    """Find mean, median and root mean square; NaN of nothing."""
    if not len(errors):
        return np.nan, np.nan, np.nan
    return float(errors.mean()), float(np.median(errors)), float(np.sqrt((errors**2).mean()))


def _to_plain(value: float) -> float | int | None:
    return None if value != value else int(value) if isinstance(value, int) else float(value)
