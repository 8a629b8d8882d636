"""Points that move smoothly: least squares over all frames at once, in linear time.

What is known of a point in a frame is a weight and a value; what is known of its motion is that
its velocity changes little from frame to frame. Together they are a banded system of equations,
which LAPACK solves without a loop over frames.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided
from scipy.linalg import cho_solve_banded, cholesky_banded

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

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


def smooth_chains(
    values: Floats, weights: Floats, *, precision: Floats, differences: Floats
) -> tuple[Floats, Floats]:
    """Smooth numbers over time, each column for itself.

    Parameters
    ----------
    values : float64, (F, N)
        What was measured; anything finite where the weight is 0.
    weights : float64, (F, N)
        One over the variance of each.
    precision : float64, (F - 2, N)
        One over the variance of the change of velocity; 0 = not linked.
    differences : float64, (F - 2, 3)
        As of `find_differences`.

    Returns
    -------
    smooth : float64, (F, N)
        The most likely course. 0 where nothing is known and nothing is linked.
    logdet : float64, (N,)
        Logarithm of the determinant of each system.
    """
    count, n = values.shape
    factor = factor_chains(weights, precision, differences)
    right = (weights * values).T.ravel()
    smooth = cho_solve_banded((factor, True), right, check_finite=False)
    logdet = 2 * np.log(factor[0].reshape(n, count)).sum(1)
    return np.asarray(smooth.reshape(n, count).T), np.asarray(logdet)


def factor_chains(weights: Floats, precision: Floats, differences: Floats) -> Floats:
    """Factor the systems of `smooth_chains`, one behind the other: lower band (3, N F)."""
    count, n = weights.shape
    band = np.zeros((3, n, count))
    band[0] = weights.T
    band[0][band[0] == 0] = _find_ridge(weights, precision)
    add_motion(band, precision, differences)
    return np.asarray(cholesky_banded(band.reshape(3, -1), lower=True, check_finite=False))


def add_motion(band: Floats, precision: Floats, differences: Floats) -> None:
    """Add what is known of the motion to the lower band (3, N, F) of N chains, in place."""
    count = band.shape[2]
    for i in range(3):
        for j in range(i + 1):
            both = precision * (differences[:, i] * differences[:, j])[:, None]
            band[i - j, :, j : j + count - 2] += both.T


def _find_ridge(weights: Floats, precision: Floats) -> float:
    """Find a weight that keeps unlinked unknowns determined and changes nothing else."""
    scale = max(float(weights.max(initial=0)), float(precision.max(initial=0)), 1e-300)
    return 1e-12 * scale


def find_variances(weights: Floats, *, precision: Floats, differences: Floats) -> Floats:
    """Find the variance (F, N) of what `smooth_chains` gives."""
    count, n = weights.shape
    factor = factor_chains(weights, precision, differences)
    return invert_band(factor.reshape(3, n, count), 1, part=1)[..., 0, 0, 0]


def invert_band(factor: Floats, size: int, *, part: int) -> Floats:
    """Find small blocks on the diagonal of the inverse of banded systems.

    Parameters
    ----------
    factor : float64, (2 b + 1, N, F b)
        Lower Cholesky factors of N systems of F blocks of b unknowns, each block linked with
        the next two, as `scipy.linalg.cholesky_banded` gives them.
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
    _, n, length = factor.shape
    count, pieces = length // size, size // part
    kept = np.empty((count, n, pieces, part, part))
    window = np.zeros((n, 2 * size, 2 * size))
    for stop in range(count, 0, -_BLOCKS):
        start = max(stop - _BLOCKS, 0)
        own, reach = _cut_blocks(factor[..., start * size : stop * size], size)
        inverse = np.linalg.inv(own)
        reach = reach @ inverse
        found = np.swapaxes(inverse, -1, -2) @ inverse
        for t in range(stop - start - 1, -1, -1):
            cross = window @ reach[t]
            again = np.swapaxes(reach[t], -1, -2) @ cross
            # Rounding that is not symmetric would grow from frame to frame.
            found[t] += (again + np.swapaxes(again, -1, -2)) / 2
            window[:, size:, size:] = window[:, :size, :size]
            window[:, size:, :size] = -cross[:, :size]
            window[:, :size, size:] = -np.swapaxes(cross[:, :size], -1, -2)
            window[:, :size, :size] = found[t]
        split = found.reshape(-1, n, pieces, part, pieces, part)
        kept[start:stop] = np.moveaxis(np.diagonal(split, axis1=2, axis2=4), -1, 2)
    return kept


def _cut_blocks(factor: Floats, size: int) -> tuple[Floats, Floats]:
    """Cut the block columns out of a lower band: those on the diagonal, and the two below."""
    rows, n, length = factor.shape
    padded = np.zeros((n, length, rows + 2 * size))
    padded[..., size : size + rows] = np.moveaxis(factor, 0, -1)
    # What is r rows and c columns into a block column lies r - c rows down the band: outside of
    # it, in the padding, are the zeros.
    aside, along, down = padded.strides
    blocks = as_strided(
        padded[..., size:],
        (length // size, n, 3 * size, size),
        (size * along, aside, down, along - down),
    )
    return blocks[:, :, :size].copy(), blocks[:, :, size:].copy()
