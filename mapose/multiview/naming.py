"""What individuals are called, and in which row they stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Ints = npt.NDArray[np.int64]


def choose_names(
    rows: Sequence[Sequence[str] | None], owners: Ints, individuals: int | Sequence[str] | None
) -> tuple[list[str], Ints]:
    """Choose the names of individuals, and the order in which they stand.

    Parameters
    ----------
    rows : sequence of V sequences of str or None
        Names that the slots of each view had; None for slots without names.
    owners : int64, (F, V, S)
        Individual of each detection; -1 = nobody.
    individuals : int or sequence of str, optional
        Number or names of the individuals, by default as many as there are.

    Returns
    -------
    names : list of str
        Given ones; else those of the views, if all have the same ones and as many as there are
        individuals; else ``track0, track1, ...`` by first appearance.
    place : int64, (N,)
        Number of each individual's name: of the one its detections bore most often.

    Examples
    --------
    >>> owners = np.array([[[0, 1], [1, 0]]])
    >>> choose_names([["a", "b"], ["b", "a"]], owners, None)
    (['a', 'b'], array([0, 1]))
    """
    found = int(owners.max(initial=-1)) + 1
    named = [set(names) for names in rows if names is not None]
    if individuals is not None and not isinstance(individuals, int):
        names = [str(name) for name in individuals]
    else:
        count = found if individuals is None else individuals
        first = next((list(names) for names in rows if names is not None), [])
        if len(first) != count or any(names != named[0] for names in named):
            return [f"track{i}" for i in range(count)], _rank_by_appearance(owners, found)
        names = first
    votes = np.zeros((found, len(names)), np.int64)
    for v, mine in enumerate(rows):
        for slot, name in enumerate(mine or ()):
            if name in names:
                who = owners[:, v, slot]
                votes[:, names.index(name)] += np.bincount(who[who >= 0], minlength=found)
    # Who bore no name stands in order of appearance: a trace that decides nothing else.
    order = np.abs(_rank_by_appearance(owners, found)[:, None] - np.arange(len(names)))
    place = np.empty(found, np.int64)
    who, number = linear_sum_assignment(votes - order / (1 + order.sum()), maximize=True)
    place[who] = number
    return names, place


def _rank_by_appearance(owners: Ints, found: int) -> Ints:
    first = np.full(found, len(owners))
    frame, view, slot = np.nonzero(owners >= 0)
    np.minimum.at(first, owners[frame, view, slot], frame)
    rank = np.empty(found, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(found)
    return rank
