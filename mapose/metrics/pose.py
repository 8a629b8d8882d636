"""Score poses: how far off the keypoints are, and how many are found at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.assignment import assign
from mapose.errors import SettingsError, ShapeError
from mapose.medians import MedianFinder
from mapose.metrics.overlap import align_poses, find_marked
from mapose.poses import Poses
from mapose.shelf import Shelf, cut_blocks
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
    with Shelf() as shelf:
        meter = ErrorMeter(
            len(truth), truth.shape[1], names,
            shelf=shelf, cutoff=cutoff, thresholds=thresholds, reach=reach,
        )  # fmt: skip
        meter.add(truth, found, confidence)
        return meter.find()


class ErrorMeter:
    """Measures as `pose_error` does, a part at a time.

    Parameters
    ----------
    frames, individuals : int
        Of the truth.
    keypoints : sequence of str
        Names.
    shelf : Shelf
        Where distances wait until all are known.
    cutoff, thresholds, reach
        As in `pose_error`.
    """

    def __init__(
        self,
        frames: int,
        individuals: int,
        keypoints: Sequence[str],
        *,
        shelf: Shelf,
        cutoff: float = 0.6,
        thresholds: Sequence[float] = (5, 10),
        reach: float = 30,
    ) -> None:
        self._names, self._cutoff, self._reach = tuple(keypoints), cutoff, reach
        self._thresholds = thresholds
        self._labelled = np.zeros(len(keypoints), np.int64)
        shape = (individuals, len(keypoints))
        # Distances; NaN where a keypoint is not labelled or not found.
        self._distance = shelf.make(frames, shape, np.float64)
        self._sure = shelf.make(frames, shape, np.bool_)
        self._count = 0  # frames that came

    def add(self, truth: AnyFloats, found: AnyFloats, confidence: AnyFloats) -> None:
        """Take in the next frames: poses (F, I, K, d) and (F, J, K, d), confidence (F, J, K)."""
        for rows in cut_blocks(len(truth), max(truth[:1].size, found[:1].size)):
            own = truth[rows]
            points, surety = pick_matched(own, found[rows], confidence[rows], reach=self._reach)
            gaps = own.astype(np.float64) - points
            here = slice(self._count, self._count + len(own))
            self._distance[here] = np.sqrt(np.einsum("fnkd,fnkd->fnk", gaps, gaps))
            self._sure[here] = surety >= self._cutoff
            self._labelled += find_marked(own).sum((0, 1))
            self._count = here.stop

    def find(self) -> PoseError:
        """Sum up what came."""
        count = len(self._names)
        everything, sure = _Average(), _Average()
        each = [_Average() for _ in self._names]
        within = np.zeros(count, np.int64)
        below = dict.fromkeys(self._thresholds, 0)
        for again in (False, True):
            for rows in cut_blocks(self._count, 8 * self._distance[:1].size):
                distance = self._distance[rows]
                there = np.isfinite(distance)
                everything.add(distance[there], again=again)
                sure.add(distance[there & self._sure[rows]], again=again)
                for k, average in enumerate(each):
                    average.add(distance[..., k][there[..., k]], again=again)
                if not again:
                    within += (distance <= self._reach).sum((0, 1))
                    for t in below:
                        below[t] += int((distance <= t).sum())
        total = int(self._labelled.sum())
        mean, median, rmse = everything.find()
        mean_sure, median_sure, rmse_sure = sure.find()
        return PoseError(
            mean=mean,
            median=median,
            rmse=rmse,
            mean_sure=mean_sure,
            median_sure=median_sure,
            rmse_sure=rmse_sure,
            cutoff=self._cutoff,
            labelled=total,
            found=everything.count,
            sure=sure.count,
            pck={t: n / total if total else np.nan for t, n in below.items()},
            reach=self._reach,
            found_within=float(within.sum() / total) if total else np.nan,
            keypoints=self._names,
            mean_each=np.array([average.find()[0] for average in each]),
            median_each=np.array([average.find()[1] for average in each]),
            found_each=np.where(self._labelled > 0, within / np.maximum(self._labelled, 1), np.nan),
        )


class _Average:
    """Mean, median and root mean square of distances that come twice, in parts."""

    def __init__(self) -> None:
        self._sum = self._squares = 0.0
        self._middle = MedianFinder()
        self.count = 0

    def add(self, errors: Floats, *, again: bool) -> None:
        """Take in some, float64 (N,); ``again`` once all have come."""
        if again:
            self._middle.sift(errors)
            return
        self._middle.count(errors)
        self.count += len(errors)
        self._sum += float(errors.sum())
        self._squares += float((errors**2).sum())

    def find(self) -> tuple[float, float, float]:
        """Find the three; NaN of nothing."""
        if not self.count:
            return np.nan, np.nan, np.nan
        mean, square = self._sum / self.count, self._squares / self.count
        return mean, self._middle.find(), float(np.sqrt(square))


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
    # One nearest each, and none wanted twice: no need to choose.
    some, least = possible.any(2), cost.min(2)
    best = np.where(some, cost.argmin(2), -1 - np.arange(cost.shape[1]))
    ordered = np.sort(best, axis=1)
    single = ((cost == least[..., None]).sum(2) == 1) | ~some
    simple = single.all(1) & (ordered[:, 1:] != ordered[:, :-1]).all(1)
    match = np.where(some & simple[:, None], best, -1)
    for f in np.flatnonzero(~simple):
        who, partner = assign(cost[f])
        match[f, who] = partner
    return match


def _to_plain(value: float) -> float | int | None:
    return None if value != value else int(value) if isinstance(value, int) else float(value)
