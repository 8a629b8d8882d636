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


def find_differences(frames: Ints) -> Floats:
    """Find the weights of three following frames in the change of velocity.

    Parameters
    ----------
    frames : int64, (F,)
        Frame numbers, ascending.

    Returns
    -------
    float64, (F - 2, 3)
        1, -2, 1 where frames follow each other. Over longer steps, what a random acceleration
        changes grows with the time it acts: the weights are such that its variance is the same.
    """
    step = np.diff(frames).astype(np.float64)
    first, second = step[:-1], step[1:]
    weights = np.stack([1 / first, -1 / first - 1 / second, 1 / second], -1)
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
    shape = (-1,) + (1,) * (points.ndim - 1)
    first, middle, last = (differences[:, i].reshape(shape) for i in range(3))
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
    differences : float64, (F - 2, 3)
        As of `find_differences`.
    """

    precision: Floats
    keep: Floats
    differences: Floats

    @property
    def reach(self) -> int:
        """How many frames apart two frames may be that depend on each other directly."""
        return 3 if self.keep.any() else 2

    def list_couplings(self) -> Iterator[tuple[int, int, Floats]]:
        """List what motion adds to a system: (reach, first frame, values of frames from there).

        A value couples a frame with the one that is so many frames later; a reach of 0 is the
        diagonal.
        """
        axes = (1,) * self.keep.ndim
        plain = [self.differences[:, i].reshape(-1, *axes) for i in range(3)]
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


def _multiply_rows(rows: list[Floats], precision: Floats) -> Iterator[tuple[int, int, Floats]]:
    for i in range(len(rows)):
        for j in range(i + 1):
            yield i - j, j, precision * (rows[i] * rows[j])


def smooth_chains(values: Floats, weights: Floats, motion: Motion) -> tuple[Floats, Floats]:
    """Smooth numbers over time, each column for itself.

    Parameters
    ----------
    values : float64, (F, N)
        What was measured; anything finite where the weight is 0.
    weights : float64, (F, N)
        One over the variance of each.
    motion : Motion
        Of the N columns.

    Returns
    -------
    smooth : float64, (F, N)
        The most likely course. 0 where nothing is known and nothing is linked.
    logdet : float64, (N,)
        Logarithm of the determinant of each system.
    """
    count, n = values.shape
    factor = _factor_chains(weights, motion)
    right = (weights * values).T.ravel()
    smooth = cho_solve_banded((factor, True), right, check_finite=False)
    logdet = 2 * np.log(factor[0].reshape(n, count)).sum(1)
    return np.asarray(smooth.reshape(n, count).T), np.asarray(logdet)


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
    return np.asarray(cholesky_banded(band.reshape(len(band), -1), lower=True, check_finite=False))


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
