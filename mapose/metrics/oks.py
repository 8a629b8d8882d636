"""Score detections as COCO does: average precision and recall over keypoint similarity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints
from mapose.errors import ShapeError
from mapose.metrics.overlap import align_poses, find_marked
from mapose.poses import Poses
from mapose.shelf import Shelf, cut_blocks
from mapose.similarity import DEFAULT_SIGMA, find_oks

#: Similarities from which a detection counts, and recalls at which precision is read.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
#: Detections that are put in order at a time.
_MOST = 250_000


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
        scores = average_confidence(found) if scores is None else scores
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
    with Shelf() as shelf:
        meter = OksMeter(*found.shape[:2], shelf=shelf, sigma=sigma)
        meter.add(truth, found, scores, areas=areas)
        return meter.find()


class OksMeter:
    """Measures as `oks_map` does, a part at a time.

    Parameters
    ----------
    frames, individuals : int
        Of the result.
    shelf : Shelf
        Where detections wait until all are known.
    sigma
        As in `oks_map`.
    """

    def __init__(
        self,
        frames: int,
        individuals: int,
        *,
        shelf: Shelf,
        sigma: float | AnyFloats = DEFAULT_SIGMA,
    ) -> None:
        self._sigma, self._labelled = sigma, 0
        # Of each frame the detections in order of their score: NaN = none; one bit for each
        # threshold at which it got an animal.
        self._scores = shelf.make(frames, (individuals,), np.float64)
        self._hits = shelf.make(frames, (individuals,), np.uint16)
        self._blocks = list(cut_blocks(frames, 16 * individuals))
        self._found = self._count = 0  # detections and frames that came

    def add(
        self,
        truth: AnyFloats,
        found: AnyFloats,
        scores: AnyFloats,
        *,
        areas: AnyFloats | None = None,
    ) -> None:
        """Take in the next frames; all as in `oks_map`."""
        for rows in cut_blocks(len(truth), found.shape[1] * truth[:1].size):
            own, other = truth[rows], found[rows]
            oks = find_oks(
                own, other, sigma=self._sigma, areas=None if areas is None else areas[rows]
            )
            whole = np.isfinite(oks).all(-1) if found.shape[1] else find_marked(own).any(-1)
            self._labelled += int(whole.sum())
            there = np.asarray(find_marked(other).any(-1))
            self._found += int(there.sum())
            hits, ranked = _match(np.nan_to_num(oks, nan=-1.0), there, scores[rows])
            here = slice(self._count, self._count + len(own))
            self._scores[here] = ranked
            self._hits[here] = (hits << np.arange(len(THRESHOLDS))).sum(-1)
            self._count = here.stop

    def find(self) -> OksMap:
        """Turn hits in order of score into precision at 101 recalls, and average it."""
        count = len(THRESHOLDS)
        best, right, rank = np.zeros((count, len(_RECALLS))), np.zeros(count, np.int64), 0
        for packed in self._rank() if self._labelled else ():
            if not len(packed):
                continue
            ranks = rank + np.arange(1, len(packed) + 1)
            for t in range(count):
                hits = right[t] + (packed >> t & 1).cumsum()
                # What is reached counts for this recall and, as it may be the best, any lower one.
                level = np.searchsorted(_RECALLS, hits / self._labelled, side="right") - 1
                np.maximum.at(best[t], level, hits / ranks)
                right[t] = hits[-1]
            rank += len(packed)
        best = np.ascontiguousarray(np.maximum.accumulate(best[:, ::-1], 1)[:, ::-1])
        nothing = np.nan if not self._labelled else 0.0
        precision = best.mean(1) + nothing
        recall = right / max(self._labelled, 1) + nothing
        return OksMap(
            map=float(precision.mean()),
            mar=float(recall.mean()),
            precision=precision,
            recall=recall,
            labelled=self._labelled,
            found=self._found,
        )

    def _rank(self) -> Iterator[Ints]:
        """Give the hits of all detections in order of score, some at a time."""
        # Scores at which they are cut, so that few lie between two; those at a cut come in time.
        step = 1 + self._found // _MOST
        sample = [self._scores[rows][::step].ravel() for rows in self._blocks if step > 1]
        known = np.sort(np.concatenate([np.empty(0), *sample]))
        known = known[np.isfinite(known)]
        high = np.inf
        for low in (*np.unique(known[:: len(known) // step + 1])[::-1], -np.inf):
            scores, hits = zip(*self._sift(low, high), strict=True)
            yield np.concatenate(hits)[np.argsort(-np.concatenate(scores), kind="stable")]
            for _, equal in self._sift(low, low):
                yield equal
            high = low

    def _sift(self, low: float, high: float) -> Iterator[tuple[Floats, Ints]]:
        """Give scores and hits of those between two scores, or that have just this one."""
        for rows in self._blocks:
            scores = self._scores[rows]
            kept = scores == low if low == high else (scores > low) & (scores < high)
            yield scores[kept], self._hits[rows][kept]


def average_confidence(poses: Poses) -> Floats:
    """Average the confidence of the keypoints that each animal has, float64 (F, I)."""
    there = find_marked(poses.points)
    total = np.where(there, poses.confidence, 0).sum(-1)
    return np.asarray(total / np.maximum(there.sum(-1), 1), np.float64)


def _match(oks: Floats, there: Bools, scores: AnyFloats) -> tuple[Bools, Floats]:
    """Let the detections choose their animals, the surest first, in all frames at once.

    Returns
    -------
    hits : bool, (F, J, 10)
        Whether each detection got an animal at each threshold, in order of the scores.
    ranked : float64, (F, J)
        Scores in this order; NaN = no detection.
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
    # Between them lie all others: without a number they come last, as `np.argsort` has it.
    known = np.minimum(np.asarray(scores, np.float64), np.finfo(np.float64).max)
    known = np.where(np.isnan(known), -np.inf, known)
    return hits, np.take_along_axis(np.where(there, known, np.nan), order, 1)
