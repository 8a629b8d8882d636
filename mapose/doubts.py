"""Moments in which names may have gone astray, and how likely it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.bouts import BoutGatherer
from mapose.errors import ShapeError
from mapose.medians import MedianFinder
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.similarity import find_lengths

#: No name is more certain than this: doubts below one in a thousand are not kept, so that what is
#: left may be as large.
MOST_SURE = 0.999
# Animals touch where keypoints of theirs are nearer than this share of a body's length; touches
# that are fewer frames apart are one.
_NEAR, _APART = 0.05, 5
# Numbers in the largest array of distances that is made at once.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class Doubt:
    """A time in which two animals could be taken for each other.

    They touched, crossed, were found as one, or were out of sight together.

    Parameters
    ----------
    first, last : int
        First and last video frame in question.
    individuals : (str, str)
        Names of the two.
    probability : float
        That they came out of it under each other's names, 0 to 1.

    Raises
    ------
    ShapeError
        If there are not two names, the frames do not ascend, or the probability is none.

    Examples
    --------
    >>> Doubt(100, 112, ("a", "b"), 0.05).frame
    106
    """

    first: int
    last: int
    individuals: tuple[str, str]
    probability: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "individuals", tuple(self.individuals))
        fine = self.first <= self.last and 0 <= self.probability <= 1
        if len(set(self.individuals)) != 2 or not fine:
            raise ShapeError(
                "doubt: wanted two different animals, frames that ascend and a probability, came "
                f"{self.individuals}, frames {self.first} to {self.last}, {self.probability}"
            )

    @property
    def frame(self) -> int:
        """From about this frame on, the names are to be exchanged if it is so."""
        return (self.first + self.last) // 2

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers and names, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Doubt:
        """Take what `to_dict` made; older files hold log-likelihoods instead."""
        names = tuple(raw["individuals"])
        if "odds" in raw:  # that both stayed themselves, and that they changed places
            stayed, changed = raw["odds"]
            return cls(raw["first"], raw["last"], names, float(1 / (1 + np.exp(stayed - changed))))
        return cls(raw["first"], raw["last"], names, float(raw["probability"]))


def find_swaps(doubts: Iterable[Doubt], *, min_probability: float = 0.0) -> list[Doubt]:
    """Rank the moments at which animals may have been swapped, most doubtful first.

    Parameters
    ----------
    doubts : iterable of Doubt
        From `mapose.tracking.track_with_doubts`, or of a result file.
    min_probability : float
        Leave out what is less likely.

    Examples
    --------
    >>> doubts = [Doubt(5, 9, ("a", "b"), 0.02), Doubt(30, 30, ("b", "c"), 0.3)]
    >>> [(doubt.frame, doubt.individuals) for doubt in find_swaps(doubts)]
    [(30, ('b', 'c')), (7, ('a', 'b'))]
    """
    likely = [doubt for doubt in doubts if doubt.probability >= min_probability]
    return sorted(likely, key=lambda doubt: (-doubt.probability, doubt.frame, doubt.individuals))


def find_touches(
    poses: Poses | Parts, *, within: float | None = None
) -> list[tuple[int, int, str, str]]:
    """Find when keypoints of two animals lie on each other: meetings, whether in doubt or not.

    Parameters
    ----------
    poses : Poses or Parts
        Named or not.
    within : float, optional
        How near, in the unit of the poses; by default 5 % of the median length of a body.

    Returns
    -------
    list of (int, int, str, str)
        First and last video frame, and the two, by time. Interruptions of up to 5 frames do not
        count.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> pair = np.array([[[[0.0, 0, 1], [9, 0, 1]], [[9, 1, 1], [20, 0, 1]]]])
    >>> find_touches(Poses(pair, Skeleton(["nose", "tail"]), ["ann", "bob"]), within=2)
    [(0, 0, 'ann', 'bob')]
    """
    parts = Parts.of(poses)
    near = _NEAR * _find_usual_length(parts) if within is None else within
    pairs = list(combinations(range(len(parts.names)), 2))
    whom = [(parts.names[a], parts.names[b]) for a, b in pairs]
    gatherer = BoutGatherer(whom, 1.0, times=(0, _APART - 1))
    for part in parts if pairs else ():
        points = part.points.astype(np.float64)
        touching = [_find_near(points[:, a], points[:, b], near) for a, b in pairs]
        gatherer.add(part.frames, np.stack(touching, -1))
    bouts = gatherer.list_bouts()
    return sorted((b.first, b.last, b.individuals[0], b.individuals[1]) for b in bouts)


def _find_usual_length(parts: Parts) -> float:
    """Find the median length of a body; 0 if there is none."""
    finder = MedianFinder()
    for take in (finder.count, finder.sift):
        for part in parts:
            lengths = find_lengths(part.points.astype(np.float64))
            take(lengths[lengths > 0])
    return finder.find() if finder.total else 0.0


def _find_near(one: Floats, other: Floats, within: float) -> Bools:
    """Tell in which frames any two points (F, K, d) of two animals are near."""
    near = np.zeros(len(one), bool)
    with np.errstate(invalid="ignore"):
        low = np.maximum(_reduce(one, np.fmin), _reduce(other, np.fmin))
        high = np.minimum(_reduce(one, np.fmax), _reduce(other, np.fmax))
        rows = np.flatnonzero((low - high <= within).all(-1))
        step = max(_BLOCK // max(one.shape[1] ** 2, 1), 1)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            gap = np.linalg.norm(one[part, :, None] - other[part, None], axis=-1)
            near[part] = (gap <= within).any((1, 2))
    return near


def _reduce(points: Floats, by: np.ufunc) -> Floats:
    return np.asarray(by.reduce(points, axis=1))
