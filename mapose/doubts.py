"""Moments in which names may have gone astray, and how likely it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mapose.errors import ShapeError


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
