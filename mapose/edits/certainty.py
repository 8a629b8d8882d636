"""How sure names are once a person has said who is who."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mapose.arrays import Ints, Singles
from mapose.doubts import Doubt
from mapose.edits.settlement import Held, Settlement

Placed = Sequence[tuple[Doubt, int, int]]


def rate_names(frames: Ints, own: Singles, doubts: Placed, settled: Settlement) -> Singles:
    """Say how likely each name is right: 1 at every edit, less with each doubt away from it.

    Where an edit has not moved a row, the tracker's own probability stands if it is higher.

    Parameters
    ----------
    frames : int64, (F,)
        Video frames.
    own : float32, (F, I)
        The tracker's probabilities, in the order of the edits; NaN = absent.
    doubts : sequence of (Doubt, int, int)
        Moments that no edit has settled, and the rows they are about.
    settled : Settlement
        What the edits came to.

    Returns
    -------
    float32, (F, I)
        NaN where `own` is.
    """
    rows = settled.order.shape[1]
    still = settled.order == np.arange(rows)
    rated = np.where(still | ~np.isin(np.arange(rows), _list_rows(settled.held)), own, 0.0)
    for row in _list_rows(settled.held):
        mine = [doubt for doubt, a, b in doubts if row in (a, b)]
        for edit, pair in settled.held:
            if row not in pair:
                continue
            begin, end = edit.span[0], edit.frame
            later = [d for d in mine if d.first > end]
            knots, values = _fade(end, [(d.first, d.last, d.probability) for d in later], rows)
            after = frames >= end
            rated[after, row] = np.fmax(rated[after, row], np.interp(frames, knots, values)[after])
            # Backwards in time the same, with frames counted the other way.
            earlier = [(-d.last, -d.first, d.probability) for d in mine if d.last < begin]
            knots, values = _fade(-begin, earlier, rows)
            before = frames <= begin
            faded = np.interp(-frames, knots, values)[before]
            rated[before, row] = np.fmax(rated[before, row], faded)
    rated[~np.isfinite(own)] = np.nan
    return rated.astype(np.float32)


def _list_rows(held: Held) -> list[int]:
    return sorted({row for _, pair in held for row in pair})


def _fade(
    start: int, doubts: Iterable[tuple[int, int, float]], count: int
) -> tuple[list[int], list[float]]:
    """Find the corners of a probability that is 1 at first and changes in doubtful moments."""
    knots, values = [start], [1.0]
    for first, last, chance in sorted(doubts):
        right = values[-1]
        # Who is wrong may be put right by chance: surely by a swap of two, less with more.
        right = right * (1 - chance) + (1 - right) * chance / max(1, count - 1)
        knots += [max(first, knots[-1]), max(last, knots[-1])]
        values += [values[-1], right]
    return knots, values
