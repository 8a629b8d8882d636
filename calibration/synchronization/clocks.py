"""From curves of agreement between pairs of clocks to one offset and one rate per clock.

A clock is a camera that counts its frames. How well two cameras agree when one is shifted
against the other is given as sums over blocks of time, so that the blocks can be drawn anew to
see how sure the answer is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats, Ints

# Shifts at which too little is compared are not looked at: a few moments agree by chance.
_OVERLAP = 0.2
# A drift must improve this share of redrawn recordings.
_SIGNIFICANT = 0.995
_DRAWS = 200
# Far below any score, yet finite: sums of it can still be compared.
_FORBIDDEN = -1e12


@dataclass(frozen=True, eq=False)
class Agreement:
    """How well pairs of cameras agree at every shift, by blocks of time.

    Parameters
    ----------
    pairs : int64, (P, 2)
        Numbers of the cameras a < b.
    gain : float64, (P, B, L)
        Sum of agreement over the comparisons of a block; larger is better. Entry l stands for
        the shift l - (L - 1) / 2: frame f of a with frame f + shift of b.
    weight : float64, (P, B, L)
        Number of comparisons behind it.
    n_cameras : int
        How many clocks there are.
    """

    pairs: Ints
    gain: Floats
    weight: Floats
    n_cameras: int

    @property
    def reach(self) -> int:
        """Largest shift of the curves."""
        return int(self.gain.shape[-1] - 1) // 2


@dataclass(frozen=True, eq=False)
class Clocks:
    """One offset and one rate per camera, against the first.

    Parameters
    ----------
    offset : int64, (V,)
        Frame f of the first camera shows the same moment as frame f + offset.
    shift : float64, (V,)
        The same with fractions of a frame.
    drift : float64, (V,)
        Frames by which the shift grows from the first to the last frame.
    confidence : float64, (V,)
        Share of redrawn recordings that give the same offset.
    deviation : float64, (V,)
        Standard deviation of `shift` over redrawn recordings, frames.
    """

    offset: Ints
    shift: Floats
    drift: Floats
    confidence: Floats
    deviation: Floats


def solve_offsets(
    agreement: Agreement, *, max_drift: float = 0.0, rng: np.random.Generator
) -> Clocks:
    """Find the offsets and drifts at which all pairs of cameras agree best.

    Parameters
    ----------
    agreement : Agreement
        Of the pairs; every camera must be linked to the first one by some pairs.
    max_drift : float
        Largest drift to look for, frames from the first to the last frame; 0 = none.
    rng : numpy.random.Generator
        Draws the blocks anew.

    Returns
    -------
    Clocks
        A drift is given only where it fits clearly better than none, otherwise it is 0.

    References
    ----------
    The joint choice goes camera by camera from several starts (iterated conditional modes,
    Besag 1986, J. R. Statist. Soc. B 48:259). Confidence by the block bootstrap of Künsch 1989
    (Ann. Statist. 17:1217).
    """
    n_blocks = agreement.gain.shape[1]
    once = np.ones((1, n_blocks))
    still = np.zeros(agreement.n_cameras)
    drift = still
    if max_drift > 0 and n_blocks > 3:
        found = _find_drifts(agreement, max_drift)
        if _is_better(agreement, found, still, rng):
            drift = found
    sheared = _shear(agreement, drift)
    offset = _choose(_score(sheared, once), sheared)[0]
    draws = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), _DRAWS).astype(np.float64)
    scores = _score(sheared, draws)
    redrawn = _choose(scores, sheared)
    shifts = redrawn + _find_fractions(scores, sheared, redrawn)
    fraction = _find_fractions(_score(sheared, once), sheared, offset[None])[0]
    confidence = (redrawn == offset).mean(0)
    # What was never compared comes out alike in every draw.
    compared = np.zeros(agreement.n_cameras)
    np.add.at(compared, agreement.pairs, agreement.weight.sum((1, 2))[:, None])
    confidence[compared == 0] = 0
    return Clocks(
        offset=offset,
        shift=offset + fraction,
        drift=drift,
        confidence=confidence,
        deviation=shifts.std(0),
    )


def _score(agreement: Agreement, draws: Floats) -> Floats:
    """Find the pairs' scores (P, R, L) when block b counts ``draws[r, b]`` times."""
    gain, weight = draws @ agreement.gain, draws @ agreement.weight
    full = weight.max(-1, keepdims=True)
    enough = weight > _OVERLAP * full
    mean = np.divide(gain, weight, out=np.zeros_like(gain), where=enough)
    # A pair counts by how much it can compare; the mean takes out how much that is per shift.
    return np.asarray(mean * full)


def _choose(scores: Floats, agreement: Agreement) -> Ints:
    """Choose the offsets (R, V) that make the sum of the pairs' scores (P, R, L) largest."""
    n, reach = agreement.n_cameras, agreement.reach
    best = np.zeros((scores.shape[1], n), np.int64)
    highest = np.full(len(best), -np.inf)
    tables = _mirror(scores, agreement)
    for start in range(n):
        offsets = _grow(tables, start, reach)
        for _ in range(2 * n):
            before = offsets.copy()
            for v in range(n):
                offsets[:, v] = _move_one(tables, offsets, v, reach)
            if (offsets == before).all():
                break
        offsets -= offsets[:, :1]
        total = _sum_pairs(scores, agreement, offsets)
        better = total > highest
        best[better], highest[better] = offsets[better], total[better]
    return best


def _mirror(scores: Floats, agreement: Agreement) -> dict[tuple[int, int], Floats]:
    """Table of scores (R, L) from either camera of a pair to the other."""
    tables = {}
    for (a, b), score in zip(agreement.pairs.tolist(), scores, strict=True):
        tables[a, b], tables[b, a] = score, score[:, ::-1]
    return tables


def _grow(tables: dict[tuple[int, int], Floats], start: int, reach: int) -> Ints:
    """Give each camera the offset that suits the first camera it is linked to (R, V)."""
    n = max(a for a, _ in tables) + 1
    draws = len(next(iter(tables.values())))
    offsets = np.zeros((draws, n), np.int64)
    known = [start]
    while len(known) < n:
        links = [(a, v) for a in known for v in range(n) if v not in known and (a, v) in tables]
        # The clearest link first: its best shift stands out most from the others.
        a, v = max(links, key=lambda pair: _find_contrast(tables[pair]))
        offsets[:, v] = offsets[:, a] + tables[a, v].argmax(-1) - reach
        known.append(v)
    return offsets


def _find_contrast(score: Floats) -> float:
    mean = score.mean(0)
    return float((mean.max() - np.median(mean)) / (np.ptp(mean) + 1e-12))


def _move_one(tables: dict[tuple[int, int], Floats], offsets: Ints, v: int, reach: int) -> Ints:
    """Find the best offset (R,) of camera v while the others stay."""
    partners = [a for a, b in tables if b == v]
    low = offsets[:, partners].min() - reach
    high = offsets[:, partners].max() + reach
    candidates = np.arange(low, high + 1)
    total = np.zeros((len(offsets), len(candidates)))
    for a in partners:
        total += _look_up(tables[a, v], candidates - offsets[:, a, None], reach)
    return np.asarray(candidates[total.argmax(-1)], np.int64)


def _look_up(table: Floats, shifts: Ints, reach: int) -> Floats:
    """Read scores (R, ...) of a table (R, L) at shifts; beyond its reach nothing is allowed."""
    inside = np.abs(shifts) <= reach
    column = np.clip(shifts + reach, 0, 2 * reach)
    return np.where(inside, np.take_along_axis(table, column, -1), _FORBIDDEN)


def _sum_pairs(scores: Floats, agreement: Agreement, offsets: Ints) -> Floats:
    """Add up the pairs' scores (R,) at offsets (R, V)."""
    total = np.zeros(len(offsets))
    for (a, b), score in zip(agreement.pairs.tolist(), scores, strict=True):
        shift = (offsets[:, b] - offsets[:, a])[:, None]
        total += _look_up(score, shift, agreement.reach)[:, 0]
    return total


def _find_fractions(scores: Floats, agreement: Agreement, offsets: Ints) -> Floats:
    """Find how far (R, V) the true optimum lies beside whole offsets, by Newton's step.

    The sum of pairs is a paraboloid near its top; each pair gives slope and bend in its shift.
    """
    draws, n = offsets.shape
    slope = np.zeros((draws, n))
    bend = np.zeros((draws, n, n))
    for (a, b), score in zip(agreement.pairs.tolist(), scores, strict=True):
        shift = (offsets[:, b] - offsets[:, a])[:, None] + np.array([-1, 0, 1])
        below, at, above = _look_up(score, shift, agreement.reach).T
        first, second = (above - below) / 2, np.maximum(2 * at - below - above, 0)
        slope[:, b] += first
        slope[:, a] -= first
        for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            bend[:, i, j] += sign * second
    fractions = np.zeros((draws, n))
    # The first camera is the reference. A flat top leaves a fraction at 0.
    damping = 1e-6 * np.maximum(bend.max((1, 2)), 1e-12)[:, None, None] * np.eye(n - 1)
    step = np.linalg.solve(bend[:, 1:, 1:] + damping, slope[:, 1:, None])[..., 0]
    fractions[:, 1:] = np.clip(step, -0.5, 0.5)
    return fractions


def _shear(agreement: Agreement, drift: Floats) -> Agreement:
    """Shift the curves of every block by how far the clocks have drifted there."""
    if not drift.any():
        return agreement
    between = drift[agreement.pairs[:, 1]] - drift[agreement.pairs[:, 0]]
    gain, weight = agreement.gain.copy(), agreement.weight.copy()
    for p in np.flatnonzero(between):
        gain[p] = _shear_curves(agreement.gain[p], between[p])
        weight[p] = _shear_curves(agreement.weight[p], between[p])
    return Agreement(agreement.pairs, gain, weight, agreement.n_cameras)


def _shear_curves(curves: Floats, drift: float) -> Floats:
    """Read curves (B, L) of blocks at shifts that grow by a drift, linearly between shifts."""
    n_blocks, n_shifts = curves.shape
    ahead = drift * ((np.arange(n_blocks) + 0.5) / n_blocks - 0.5)
    where = np.arange(n_shifts) + ahead[:, None]
    inside = (where >= 0) & (where <= n_shifts - 1)
    low = np.clip(np.floor(where).astype(np.int64), 0, n_shifts - 2)
    part = where - low
    left = np.take_along_axis(curves, low, 1)
    right = np.take_along_axis(curves, low + 1, 1)
    return np.where(inside, (1 - part) * left + part * right, 0.0)


def _find_drifts(agreement: Agreement, max_drift: float) -> Floats:
    """Find the drifts (V,) at which the best offsets agree best."""
    steps = np.arange(-int(2 * max_drift), int(2 * max_drift) + 1)
    once = np.ones((1, agreement.gain.shape[1]))
    # tables[p, s]: score of every shift when the pair drifts by steps[s] / 2 frames.
    tables = np.stack(
        [
            _score(_shear(agreement, np.full(agreement.n_cameras, 0.0)), once)[:, 0]
            if s == 0
            else _score(_shear_all(agreement, s / 2), once)[:, 0]
            for s in steps
        ],
        axis=1,
    )
    drift = np.zeros(agreement.n_cameras, np.int64)
    for _ in range(4):
        before = drift.copy()
        for v in range(1, agreement.n_cameras):
            totals = []
            for step in steps:
                trial = drift.copy()
                trial[v] = step
                totals.append(_score_drifts(tables, agreement, trial))
            drift[v] = steps[int(np.argmax(totals))]
        if (drift == before).all():
            break
    return drift / 2


def _shear_all(agreement: Agreement, drift: float) -> Agreement:
    """Shear all pairs by the same drift."""
    gain = np.stack([_shear_curves(c, drift) for c in agreement.gain])
    weight = np.stack([_shear_curves(c, drift) for c in agreement.weight])
    return Agreement(agreement.pairs, gain, weight, agreement.n_cameras)


def _score_drifts(tables: Floats, agreement: Agreement, drift: Ints) -> float:
    """Find the best sum of the pairs' scores at given drifts, in half frames."""
    half = (tables.shape[1] - 1) // 2
    between = drift[agreement.pairs[:, 1]] - drift[agreement.pairs[:, 0]]
    if (np.abs(between) > half).any():
        return -np.inf
    scores = tables[np.arange(len(tables)), between + half][:, None]
    return float(_sum_pairs(scores, agreement, _choose(scores, agreement))[0])


def _is_better(
    agreement: Agreement, drift: Floats, still: Floats, rng: np.random.Generator
) -> bool:
    """Tell whether blocks agree clearly better with a drift than without."""
    if not drift.any():
        return False
    gain = _score_blocks(agreement, drift) - _score_blocks(agreement, still)
    draws = rng.integers(len(gain), size=(10 * _DRAWS, len(gain)))
    return bool((gain[draws].mean(1) > 0).mean() >= _SIGNIFICANT)


def _score_blocks(agreement: Agreement, drift: Floats) -> Floats:
    """Find the mean agreement of each block (B,) at the best offsets for a drift."""
    sheared = _shear(agreement, drift)
    once = np.ones((1, sheared.gain.shape[1]))
    offset = _choose(_score(sheared, once), sheared)[0]
    gain, weight = np.zeros((2, sheared.gain.shape[1]))
    for p, (a, b) in enumerate(sheared.pairs.tolist()):
        column = offset[b] - offset[a] + sheared.reach
        if 0 <= column <= 2 * sheared.reach:
            gain = gain + sheared.gain[p, :, column]
            weight = weight + sheared.weight[p, :, column]
    return np.asarray(gain / np.maximum(weight, 1e-12))
