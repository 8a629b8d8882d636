"""How likely every name is right: draw the histories that the doubtful moments allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Histories drawn: a probability is known to a standard error of 0.02 at most.
_DRAWS = 512


@dataclass(frozen=True)
class Event:
    """A moment at which two rows of the result may have changed places.

    Attributes
    ----------
    first, last : int
        Frames in question.
    begin : int
        First frame of the tracklets that come out of it.
    rows : (int, int)
        Rows of the result.
    probability : float
        That they did.
    """

    first: int
    last: int
    begin: int
    rows: tuple[int, int]
    probability: float


def score_names(first: Ints, n: Ints, row: Ints, events: Sequence[Event]) -> Floats:
    """Find how likely each tracklet lies in the row of the animal that it belongs to.

    A row's animal is the one that it shows most of the time, everybody getting one row: that is
    how `mapose.metrics.track_scores` gives names. Histories are drawn in which each event takes
    place with its probability, independently; what is counted is how often the animal of a
    tracklet is that of its row.

    Parameters
    ----------
    first, n : int64, (T,)
        First frame of each tracklet, and its number of frames.
    row : int64, (T,)
        Row of each tracklet; -1 = none.
    events : sequence of Event
        In any order.

    Returns
    -------
    float64, (T,)
        Probability; NaN where ``row`` is -1.
    """
    rows = int(row.max(initial=-1)) + 1
    result = np.full(len(row), np.nan)
    if not rows:
        return result
    rng = np.random.default_rng(0)  # the same recording, the same figures
    animal = np.tile(np.arange(rows, dtype=np.int16), (_DRAWS, 1))
    shown = np.zeros((_DRAWS, rows, rows))
    draw = np.arange(_DRAWS)
    kept = np.flatnonzero(row >= 0)
    kept = kept[np.argsort(first[kept], kind="stable")]
    under = np.empty((len(kept), _DRAWS), np.int16)
    queue = sorted(events, key=lambda e: (e.begin, e.rows))
    done = 0
    for place, j in enumerate(kept.tolist()):
        while done < len(queue) and queue[done].begin <= first[j]:
            _draw_swaps(animal, queue[done], rng)
            done += 1
        under[place] = animal[:, row[j]]
        shown[draw, row[j], under[place]] += n[j]
    owner = np.array([linear_sum_assignment(-table)[1] for table in shown], np.int16)
    # Half a miss is granted: no finite number of draws makes a name certain.
    hits = (under == owner[:, row[kept]].T).sum(1)
    result[kept] = (hits + 0.5) / (_DRAWS + 1) if len(events) else 1.0
    return result


def _draw_swaps(animal: npt.NDArray[np.int16], event: Event, rng: np.random.Generator) -> None:
    """Exchange two rows in as many histories as it is likely, in place."""
    a, b = event.rows
    hit = rng.random(len(animal)) < event.probability
    animal[hit, a], animal[hit, b] = animal[hit, b], animal[hit, a]
