"""Score detections as COCO does: average precision and recall over keypoint similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats
from mapose.errors import ShapeError
from mapose.metrics.overlap import align_poses, cut_blocks, find_marked
from mapose.poses import Poses
from mapose.similarity import DEFAULT_SIGMA, find_oks

#: Similarities from which a detection counts, and recalls at which precision is read.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class OksMap:
    """Average precision and recall; 0 to 1, NaN where nothing is labelled.

    Attributes
    ----------
    map, mar : float
        Mean over the similarity thresholds 0.5, 0.55 ... 0.95.
    precision, recall : float64, (10,)
        At each of these thresholds.
    labelled, found : int
        Number of labelled and of found animals.
    """

    map: float
    mar: float
    precision: Floats
    recall: Floats
    labelled: int
    found: int

    @property
    def ap50(self) -> float:
        """Average precision at a similarity of 0.5."""
        return float(self.precision[0])

    @property
    def ap75(self) -> float:
        """Average precision at a similarity of 0.75."""
        return float(self.precision[5])

    def to_dict(self) -> dict[str, Any]:
        """Make a plain dictionary, ready for JSON; NaN becomes None."""
        values = {"map": self.map, "mar": self.mar, "ap50": self.ap50, "ap75": self.ap75}
        plain: dict[str, Any] = {k: None if v != v else float(v) for k, v in values.items()}
        return {**plain, "animals_labelled": self.labelled, "animals_found": self.found}

    def __str__(self) -> str:
        return (
            f"OKS mAP {self.map:.3f} (AP50 {self.ap50:.3f}, AP75 {self.ap75:.3f}), "
            f"mAR {self.mar:.3f}; {self.labelled} labelled and {self.found} found animals"
        )


def oks_map(
    truth: Poses | AnyFloats,
    found: Poses | AnyFloats,
    *,
    scores: AnyFloats | None = None,
    areas: AnyFloats | None = None,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
) -> OksMap:
    """Find mean average precision and recall over object keypoint similarity.

    Parameters
    ----------
    truth : Poses or float, (F, I, K, 2)
        Labelled animals, px; NaN = not labelled.
    found : Poses or float, (F, J, K, 2)
        Found animals, px. Two Poses are compared on the frames and keypoints that both have.
    scores : float, (F, J), optional
        Confidence of each found animal; by default the mean over the keypoints it has, and 1 for
        arrays.
    areas : float, (F, I), optional
        Area of each labelled animal, px²; by default that of its bounding box. An animal with a
        single labelled keypoint has no box and is left out.
    sigma : float or (K,)
        Spread per keypoint.

    Returns
    -------
    OksMap

    Raises
    ------
    ShapeError
        If shapes do not fit, or two Poses have no frame or keypoint in common.

    References
    ----------
    Lin et al. 2014, Microsoft COCO; the same numbers as ``pycocotools`` with all areas and up
    to 20 detections in a frame.

    Examples
    --------
    >>> animals = np.random.default_rng(0).uniform(0, 100, (5, 2, 4, 2))
    >>> oks_map(animals, animals[:, ::-1]).map
    1.0
    """
    if isinstance(truth, Poses) and isinstance(found, Poses):
        truth, found = align_poses(truth, found)
    if isinstance(found, Poses):
        scores = _average_confidence(found) if scores is None else scores
        found = found.points
    truth = np.asarray(truth.points if isinstance(truth, Poses) else truth)
    found = np.asarray(found)
    scores = np.ones(found.shape[:2]) if scores is None else np.asarray(scores)
    fits = truth.ndim == found.ndim == 4 and truth.shape[0] == found.shape[0]
    if not fits or truth.shape[2:] != found.shape[2:] or scores.shape != found.shape[:2]:
        raise ShapeError(
            "oks_map: wanted truth (F, I, K, 2), found (F, J, K, 2), scores (F, J); "
            f"came {truth.shape}, {found.shape}, {scores.shape}"
        )
    matched, labelled = [(np.zeros((0, len(THRESHOLDS)), bool), np.zeros(0))], 0
    for rows in cut_blocks(len(truth), found.shape[1] * truth[0].size if len(truth) else 1):
        own, other = truth[rows], found[rows]
        oks = find_oks(own, other, sigma=sigma, areas=None if areas is None else areas[rows])
        whole = np.isfinite(oks).all(-1) if found.shape[1] else find_marked(own).any(-1)
        labelled += int(whole.sum())
        there = np.asarray(find_marked(other).any(-1))
        matched.append(_match(np.nan_to_num(oks, nan=-1.0), there, scores[rows]))
    hit, ranked = (np.concatenate(parts) for parts in zip(*matched, strict=True))
    return _average(hit, ranked, labelled)


def _average_confidence(poses: Poses) -> Floats:
    there = find_marked(poses.points)
    total = np.where(there, poses.confidence, 0).sum(-1)
    return np.asarray(total / np.maximum(there.sum(-1), 1), np.float64)


def _match(oks: Floats, there: Bools, scores: AnyFloats) -> tuple[Bools, Floats]:
    """Let the detections choose their animals, the surest first, in all frames at once.

    Returns
    -------
    hit : bool, (N, 10)
        Whether each detection got an animal at each threshold.
    ranked : float64, (N,)
        Scores of the detections.
    """
    frames, count = there.shape
    order = np.argsort(np.where(there, -scores, np.inf), axis=1, kind="stable")
    free = np.ones((frames, len(THRESHOLDS), oks.shape[1]), bool)
    hits = np.zeros((frames, count, len(THRESHOLDS)), bool)
    every = np.arange(frames)
    for rank in range(count if oks.shape[1] else 0):
        chosen = order[:, rank]
        score = np.where(free, oks[every, :, chosen][:, None], -1.0)
        # Of equals the last one is taken, as COCO does.
        best = score.shape[2] - 1 - score[:, :, ::-1].argmax(2)
        value = np.take_along_axis(score, best[..., None], 2)[..., 0]
        hit = (value >= THRESHOLDS) & there[every, chosen][:, None]
        hits[:, rank] = hit
        frame, level = np.nonzero(hit)
        free[frame, level, best[frame, level]] = False
    real = np.take_along_axis(there, order, 1)
    return hits[real], np.take_along_axis(np.asarray(scores, np.float64), order, 1)[real]


def _average(hit: Bools, ranked: Floats, labelled: int) -> OksMap:
    """Turn hits in order of score into precision at 101 recalls, and average it."""
    order = np.argsort(-ranked, kind="stable")
    precision, recall = np.full(len(THRESHOLDS), np.nan), np.full(len(THRESHOLDS), np.nan)
    for t in range(len(THRESHOLDS) if labelled else 0):
        right = hit[order, t].cumsum()
        reached = right / labelled
        exact = right / np.arange(1, len(right) + 1)
        # The best precision at this recall or any higher one.
        best = np.append(np.maximum.accumulate(exact[::-1])[::-1], 0.0)
        precision[t] = best[np.searchsorted(reached, _RECALLS, side="left")].mean()
        recall[t] = reached[-1] if len(reached) else 0.0
    return OksMap(
        map=float(precision.mean()),
        mar=float(recall.mean()),
        precision=precision,
        recall=recall,
        labelled=labelled,
        found=len(hit),
    )
