"""Points that move smoothly: least squares over all frames at once, in linear time.

What is known of a point in a frame is a weight and a value; what is known of its motion is that
its velocity changes little from frame to frame. Together they are a banded system of equations,
which LAPACK solves without a loop over frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.linalg import cho_solve_banded, cholesky_banded

from mapose.arrays import Bools, Floats, Ints

# Blocks of a factor that are cut out at once: what belongs to them stays in the cache.
_BLOCKS = 64
# Shares by which the diagonal of equations is raised until they can be solved.
_RIDGES = (0.0, 1e-9, 1e-6, 1e-3)
# Frames solved at once: keeps memory flat.
_WINDOW = 2000


def find_differences(frames: Ints, impetus: Floats | float = 1.0) -> Floats:
    """Find the weights of three following frames in the change of velocity.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers, ascending.
    impetus : float64, (...)
        Part of its velocity that a point keeps in the next frame if nothing happens: 1 goes on
        for ever, 0 is a random walk.

    Returns
    -------
    float64, (F - 2, 3, ...)
        1, -2, 1 where frames follow each other. Over longer steps, what a random acceleration
        changes grows with the time it acts: the weights are such that its variance is the same.
    """
    impetus = np.asarray(impetus, np.float64)
    step = np.diff(frames).reshape(-1, *(1,) * impetus.ndim).astype(np.float64)
    first, second = step[:-1], step[1:]
    before, after = impetus / first, 1 / second + 0 * impetus
    weights = np.stack([before, -before - after, after], 1)
    return np.asarray(weights / np.sqrt((first + second) / 2)[:, None])


def find_segments(frames: Ints, known: Bools, max_gap: int) -> Bools:
    """Mark the frames from the first to the last known one, without the long gaps.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers, ascending.
    known : bool, (F, T)
        Where each of the T points is known.
    max_gap : int
        Longest run of frames without it that is bridged.

    Returns
    -------
    bool, (F, T)
        True where the point is known or lies in a gap that is bridged.
    """
    number = frames[:, None].astype(np.float64)
    before = np.maximum.accumulate(np.where(known, number, -np.inf))
    after = np.minimum.accumulate(np.where(known, number, np.inf)[::-1])[::-1]
    return np.asarray(known | (after - before - 1 <= max_gap))


def find_changes(points: Floats, differences: Floats) -> Floats:
    """Find the changes of velocity (F - 2, ...) of points (F, ...)."""
    first, middle, last = _split_weights(differences, points.ndim)
    return np.asarray(first * points[:-2] + middle * points[1:-1] + last * points[2:])


def find_median(values: Floats) -> float:
    """Find the median of what is not NaN; 1 of nothing."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else 1.0


def find_links(inside: Bools) -> Bools:
    """Mark the runs of three frames (F - 2, T) that lie in one segment as a whole."""
    return np.asarray(inside[:-2] & inside[1:-1] & inside[2:])


@dataclass(frozen=True, eq=False)
class Motion:
    """How points are expected to move: accelerations are random, and may last.

    Parameters
    ----------
    precision : float64, (F - 2, ...)
        One over the variance of what is new in the change of velocity over three following
        frames; 0 = not linked.
    keep : float64, (...)
        Part of a change of velocity that comes again in the next frame, 0 to below 1.
    differences : float64, (F - 2, 3) or (F - 2, 3, ...)
        As of `find_differences`; one for all, or one for each.
    """

    precision: Floats
    keep: Floats
    differences: Floats

    @property
    def reach(self) -> int:
        """How many frames apart two frames may be that depend on each other directly."""
        return 3 if self.keep.any() else 2

    def repeat(self, axes: int) -> Motion:
        """Make the motion of points (...) that of their coordinates, (..., axes)."""

        def widen(values: Floats) -> Floats:
            return np.repeat(values[..., None], axes, -1)

        differences = self.differences
        each = differences if differences.ndim == 2 else widen(differences)
        return Motion(widen(self.precision), widen(self.keep), each)

    def list_couplings(self) -> Iterator[tuple[int, int, Floats]]:
        """List what motion adds to a system: (reach, first frame, values of frames from there).

        A value couples a frame with the one that is so many frames later; a reach of 0 is the
        diagonal.
        """
        plain = _split_weights(self.differences, self.keep.ndim + 1)
        follows = self._find_following()
        begins = self.precision.copy()
        begins[1:][follows] = 0
        yield from _multiply_rows(plain, begins * (1 - self.keep**2))
        if self.reach == 3:
            before, after = [row[:-1] for row in plain], [row[1:] for row in plain]
            lasting = [
                -self.keep * before[0],
                after[0] - self.keep * before[1],
                after[1] - self.keep * before[2],
                after[2],
            ]
            yield from _multiply_rows(lasting, self.precision[1:] * follows)

    def sum_logs(self) -> Floats:
        """Add up the logarithms of all precisions, (...)."""
        linked = self.precision > 0
        begins = linked.sum(0) - self._find_following().sum(0)
        logs = np.log(np.where(linked, self.precision, 1)).sum(0)
        return np.asarray(logs + begins * np.log1p(-(self.keep**2)))

    def _find_following(self) -> Bools:
        """Mark links (F - 3, ...) that go on from the one before; without memory none does."""
        linked = self.precision > 0
        return np.asarray(linked[1:] & linked[:-1] & (self.keep > 0))


def _split_weights(differences: Floats, axes: int) -> list[Floats]:
    """Give the three weights of `find_differences`, each with as many axes as what it weighs."""
    more = (1,) * (axes - differences.ndim + 1)
    return [differences[:, i].reshape(*differences[:, i].shape, *more) for i in range(3)]


def _multiply_rows(rows: list[Floats], precision: Floats) -> Iterator[tuple[int, int, Floats]]:
    for i in range(len(rows)):
        for j in range(i + 1):
            yield i - j, j, precision * (rows[i] * rows[j])


def smooth_chains(values: Floats, weights: Floats, motion: Motion) -> tuple[Floats, Floats]:
    """Smooth numbers over time, each column for itself.

    Parameters
    ----------
    values : float64, (F, N) or (F, N, d)
        What was measured; anything finite where the weight is 0. Numbers along the last axis of
        three have one weight and one motion, as the coordinates of a point have.
    weights : float64, (F, N)
        One over the variance of each.
    motion : Motion
        Of the N columns.

    Returns
    -------
    smooth : float64, as the values
        The most likely course. 0 where nothing is known and nothing is linked.
    logdet : float64, (N,)
        Logarithm of the determinant of each system.
    """
    count, n = weights.shape
    factor = _factor_chains(weights, motion)
    right = (weights.reshape(count, n, -1) * values.reshape(count, n, -1)).swapaxes(0, 1)
    smooth = cho_solve_banded((factor, True), right.reshape(n * count, -1), check_finite=False)
    logdet = 2 * np.log(factor[0].reshape(n, count)).sum(1)
    smooth = smooth.reshape(n, count, -1).swapaxes(0, 1).reshape(values.shape)
    return np.asarray(smooth), np.asarray(logdet)


def find_variances(weights: Floats, motion: Motion) -> Floats:
    """Find the variance (F, N) of what `smooth_chains` gives."""
    count, n = weights.shape
    factor = _factor_chains(weights, motion)
    return invert_band(factor.reshape(-1, n, count), 1, part=1)[..., 0, 0, 0]


def _factor_chains(weights: Floats, motion: Motion) -> Floats:
    """Factor the systems of `smooth_chains`, one behind the other: lower band (3 or 4, N F)."""
    count, n = weights.shape
    band = np.zeros((motion.reach + 1, n, count))
    scale = max(weights.max(initial=0), motion.precision.max(initial=0), 1e-300)
    # Unknowns of which nothing is known stay determined; nothing else changes.
    band[0] = np.where(weights > 0, weights, 1e-12 * scale).T
    for reach, first, values in motion.list_couplings():
        band[reach, :, first : first + len(values)] += values.T
    return factor_band(band.reshape(len(band), -1))


def smooth_points(
    information: Floats, pull: Floats, *, inside: Bools, motion: Motion
) -> tuple[Floats, Floats]:
    """Smooth points over time, each for itself: what a Kalman smoother gives.

    Parameters
    ----------
    information : float64, (F, T, d, d)
        Inverse covariance of each point by what was measured in its frame; 0 = nothing was.
    pull : float64, (F, T, d)
        Information times the measured point.
    inside : bool, (F, T)
        Which points are asked for, as of `find_segments`.
    motion : Motion
        Of the T points; links none that is not inside.

    Returns
    -------
    points : float64, (F, T, d)
        The most likely course; NaN outside.
    covariance : float64, (F, T, d, d)
        Of the points, with that of neighbouring frames taken in; NaN outside.

    References
    ----------
    Rauch, Tung, Striebel 1965, "Maximum likelihood estimates of linear dynamic systems" (AIAA
    Journal 3:1445): what is solved here in one piece.
    """
    count, n, d = pull.shape
    information, pull = information.copy(), pull.copy()
    information[~inside], pull[~inside] = np.eye(d), 0
    band = np.zeros((d * motion.reach + 1, n, count, 1, d))
    solved, factor = solve_band(
        band, information[:, :, None], pull=pull[:, :, None], motion=motion.repeat(1)
    )
    covariance = invert_band(factor, d, part=d)[:, :, 0]
    points = solved[:, :, 0]
    points[~inside], covariance[~inside] = np.nan, np.nan
    return points, covariance


def solve_band(
    band: Floats, information: Floats, *, pull: Floats, motion: Motion
) -> tuple[Floats, Floats]:
    """Find the most likely course of bodies of K points, from all that is known of them.

    Parameters
    ----------
    band : float64, (d K m + 1, I, F, K, d)
        Lower band of I systems with what ties points to each other; filled up in place. m is the
        reach of the motion.
    information : float64, (F, I, K, d, d)
        Inverse covariance of each point by what is seen in its frame.
    pull : float64, (F, I, K, d)
        Information times the point that fits best.
    motion : Motion
        Of the I K points.

    Returns
    -------
    points : float64, (F, I, K, d)
    factor : float64, (d K m + 1, I, d K F)
        For `invert_band`, in blocks of d K.
    """
    rows, n, count, k, d = band.shape
    for i in range(d):
        for j in range(i + 1):
            band[i - j, ..., j] += np.moveaxis(information[..., i, j], 1, 0)
    for reach, first, values in motion.list_couplings():
        part = slice(first, first + len(values))
        band[d * k * reach, :, part] += np.moveaxis(values, 1, 0)[..., None]
    factor = factor_band(band.reshape(rows, -1))
    right = np.moveaxis(pull, 1, 0).ravel()
    solved = cho_solve_banded((factor, True), right, check_finite=False)
    solved = np.moveaxis(solved.reshape(n, count, k, d), 0, 1)
    return solved, factor.reshape(rows, n, -1)


def factor_band(band: Floats) -> Floats:
    """Factor a symmetric matrix of equations, by Cholesky.

    Where views contradict each other, points are all but unknown along some direction, and
    rounding may leave nothing positive there: then all is believed a little more, as far as needed.

    Parameters
    ----------
    band : float64, (B, N)
        Lower band of a matrix that is positive definite but for rounding.

    Raises
    ------
    numpy.linalg.LinAlgError
        If it is not.

    Examples
    --------
    >>> factor_band(np.array([[4.0, 0.0]])).round(3)
    array([[2., 0.]])
    """
    least = np.finfo(float).tiny ** 0.5
    for ridge in _RIDGES[:-1]:
        try:
            return _add_ridge(band, ridge, least)
        except np.linalg.LinAlgError:
            continue
    return _add_ridge(band, _RIDGES[-1], least)


def _add_ridge(band: Floats, ridge: float, least: float) -> Floats:
    if ridge:
        band = band.copy()
        band[0] += ridge * np.maximum(band[0], least)
    return np.asarray(cholesky_banded(band, lower=True, check_finite=False))


def cut_windows(count: int, max_gap: int) -> list[tuple[slice, slice]]:
    """Cut frames into windows: with their margins, and without.

    What happens 100 frames away, or beyond two gaps that are bridged, no longer matters to any
    point: margins are solved with a window and forgotten.
    """
    margin = max(100, 2 * max_gap)
    starts = range(0, max(count - margin, 1), _WINDOW)
    ends = [*starts[1:], count]
    return [
        (slice(max(a - margin, 0), min(b + margin, count)), slice(a, b))
        for a, b in zip(starts, ends, strict=True)
    ]


def invert_band(factor: Floats, size: int, *, part: int) -> Floats:
    """Find small blocks on the diagonal of the inverse of banded systems.

    Parameters
    ----------
    factor : float64, (m b + 1, N, F b)
        Lower Cholesky factors of N systems of F blocks of b unknowns, each block linked with
        the next m, as `scipy.linalg.cholesky_banded` gives them.
    size : int
        b.
    part : int
        p, a divisor of b.

    Returns
    -------
    float64, (F, N, b / p, p, p)
        Covariances of each p unknowns that follow each other. Exact; only blocks next to the
        diagonal of the inverse are ever made, so that time and memory grow linearly with F.

    References
    ----------
    Takahashi, Fagan, Chin 1973, "Formation of a sparse bus impedance matrix and its application
    to short circuit study" (8th PICA conference): the recursion, here on blocks.
    """
    rows, n, length = factor.shape
    count, pieces, reach = length // size, size // part, (rows - 1) // size
    kept = np.empty((count, n, pieces, part, part))
    window = np.zeros((n, reach * size, reach * size))
    for stop in range(count, 0, -_BLOCKS):
        start = max(stop - _BLOCKS, 0)
        own, below = _cut_blocks(factor[..., start * size : stop * size], size)
        inverse = np.linalg.inv(own)
        below = below @ inverse
        found = np.swapaxes(inverse, -1, -2) @ inverse
        for t in range(stop - start - 1, -1, -1):
            cross = window @ below[t]
            again = np.swapaxes(below[t], -1, -2) @ cross
            # Rounding that is not symmetric would grow from frame to frame.
            found[t] += (again + np.swapaxes(again, -1, -2)) / 2
            window[:, size:, size:] = window[:, :-size, :-size].copy()
            window[:, size:, :size] = -cross[:, :-size]
            window[:, :size, size:] = -np.swapaxes(cross[:, :-size], -1, -2)
            window[:, :size, :size] = found[t]
        split = found.reshape(-1, n, pieces, part, pieces, part)
        kept[start:stop] = np.moveaxis(np.diagonal(split, axis1=2, axis2=4), -1, 2)
    return kept


def _cut_blocks(factor: Floats, size: int) -> tuple[Floats, Floats]:
    """Cut the block columns out of a lower band: those on the diagonal, and those below."""
    rows, n, length = factor.shape
    padded = np.zeros((n, length, rows + 2 * size))
    padded[..., size : size + rows] = np.moveaxis(factor, 0, -1)
    # What is r rows and c columns into a block column lies r - c rows down the band: outside of
    # it, in the padding, are the zeros.
    aside, along, down = padded.strides
    blocks = as_strided(
        padded[..., size:],
        (length // size, n, rows - 1 + size, size),
        (size * along, aside, down, along - down),
    )
    return blocks[:, :, :size].copy(), blocks[:, :, size:].copy()
