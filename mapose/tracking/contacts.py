"""Moments in which names may have gone astray, and how likely it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from mapose.errors import ShapeError


@dataclass(frozen=True)
class Contact:
    """A time in which animals could be taken for each other.

    They touched, crossed, were found as one, or were out of sight together. Contacts of three
    are kept as contacts of pairs.

    Parameters
    ----------
    first, last : int
        First and last frame in question.
    individuals : tuple of str
        Names of the animals involved.
    odds : tuple of float
        Log-likelihoods of the possible assignments, in the order of
        ``itertools.permutations(individuals)``; the first is that everybody stayed what they
        are called, for two animals the second is that they changed places.

    Raises
    ------
    ShapeError
        If there are not as many odds as assignments, or the frames do not ascend.

    Examples
    --------
    >>> contact = Contact(100, 112, ("a", "b"), (0.0, -3.0))
    >>> round(contact.probability, 3)
    0.047
    """

    first: int
    last: int
    individuals: tuple[str, ...]
    odds: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "individuals", tuple(self.individuals))
        object.__setattr__(self, "odds", tuple(float(value) for value in self.odds))
        count = len(list(permutations(self.individuals)))
        if len(self.individuals) < 2 or len(self.odds) != count or self.first > self.last:
            raise ShapeError(
                f"contact: wanted two animals or more, {count} odds and frames that ascend, came "
                f"{self.individuals}, {len(self.odds)} odds, frames {self.first} to {self.last}"
            )

    @property
    def probability(self) -> float:
        """Probability that somebody came out of it under another's name."""
        chances = np.exp(np.array(self.odds) - max(self.odds))
        return float(1 - chances[0] / chances.sum())


@dataclass(frozen=True)
class Swap:
    """A moment at which two animals may have been swapped.

    Attributes
    ----------
    frame : int
        From about this frame on, their names should be exchanged if it is so.
    first, last : int
        Frames between which it would have happened.
    individuals : (str, str)
        Names.
    probability : float
        That it is so.
    """

    frame: int
    first: int
    last: int
    individuals: tuple[str, str]
    probability: float


def find_swaps(
    contacts: Sequence[Contact | Mapping[str, Any]], *, min_probability: float = 0.0
) -> list[Swap]:
    """Rank the moments at which animals may have been swapped, most doubtful first.

    Parameters
    ----------
    contacts : sequence of Contact or dict
        From `track_with_contacts`, or of a result file (`mapose.io.load_contacts`).
    min_probability : float
        Leave out what is less likely.

    Returns
    -------
    list of Swap
        For a contact of more than two, one for each pair that may have changed places.

    Examples
    --------
    >>> rows = [Contact(5, 9, ("a", "b"), (0.0, -4.0)), Contact(30, 30, ("b", "c"), (0.0, -1.0))]
    >>> [(swap.frame, swap.individuals) for swap in find_swaps(rows)]
    [(30, ('b', 'c')), (7, ('a', 'b'))]
    """
    swaps = []
    for given in contacts:
        contact = given if isinstance(given, Contact) else Contact(**given)
        names = contact.individuals
        chances = np.exp(np.array(contact.odds) - max(contact.odds))
        chances /= chances.sum()
        likely: dict[tuple[str, str], float] = {}
        for order, chance in zip(permutations(names), chances.tolist(), strict=True):
            for a, b in {
                tuple(sorted((x, y))) for x, y in zip(names, order, strict=True) if x != y
            }:
                likely[a, b] = likely.get((a, b), 0.0) + chance
        middle = (contact.first + contact.last) // 2
        for pair, chance in likely.items():
            if chance >= min_probability:
                swaps.append(Swap(middle, contact.first, contact.last, pair, chance))
    return sorted(swaps, key=lambda swap: (-swap.probability, swap.frame, swap.individuals))
