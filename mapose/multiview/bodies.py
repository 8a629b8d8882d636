"""All keypoints of a body over all frames, solved together: motion, evidence and bones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mapose.multiview.smoothing import Bools, Floats, Ints, Motion, invert_band


@dataclass(frozen=True, eq=False)
class Bars:
    """Bones to hold: ends (E, 2), lengths (I, E), one over their variances (F, I, E)."""

    ends: Ints
    length: Floats
    precision: Floats

    def pick(self, group: Ints, keypoints: int) -> Bars:
        """Keep the bones within a group of keypoints, which are then counted from 0."""
        place = np.full(keypoints, -1)
        place[group] = np.arange(len(group))
        ends = place[self.ends]
        rows = np.flatnonzero((ends >= 0).all(1))
        return Bars(ends[rows], self.length[:, rows], self.precision[:, :, rows])


def split_bodies(count: int, ends: Ints) -> Iterator[Ints]:
    """List the groups of the K keypoints that bones hold together."""
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    number = connected_components(links, directed=False)[1]
    for group in range(number.max(initial=-1) + 1):
        yield np.flatnonzero(number == group)


def solve_bodies(
    information: Floats,
    pull: Floats,
    *,
    points: Floats,
    inside: Bools,
    motion: Motion,
    bars: Bars,
) -> tuple[Floats, Floats]:
    """Find the most likely course of all keypoints of each individual.

    Parameters
    ----------
    information : float64, (F, I, K, 3, 3)
        Inverse covariance of each point by what is seen in its frame.
    pull : float64, (F, I, K, 3)
        Information times the point that fits best.
    points : float64, (F, I, K, 3)
        Good guesses: a bone is held along its direction there.
    inside : bool, (F, I, K)
        Which points are asked for.
    motion : Motion
        Of the I K points.
    bars : Bars
        Among the K keypoints.

    Returns
    -------
    points : float64, (F, I, K, 3)
    factor : float64, (6 K + 1 or 9 K + 1, I, 3 K F)
        For `invert_band`, in blocks of 3 K.
    """
    count, n, k, _ = points.shape
    information, pull = information.copy(), pull.copy()
    information[~inside], pull[~inside] = np.eye(3), 0
    rows = 3 * k * motion.reach + 1
    band = np.zeros((rows, n, count, k, 3))
    _hold_bones(band, information, pull, points=points, inside=inside, bars=bars)
    for i in range(3):
        for j in range(i + 1):
            band[i - j, ..., j] += np.moveaxis(information[..., i, j], 1, 0)
    for reach, first, values in motion.list_couplings():
        part = slice(first, first + len(values))
        band[3 * k * reach, :, part] += np.moveaxis(values, 1, 0)[..., None]
    factor = cholesky_banded(band.reshape(rows, -1), lower=True, check_finite=False)
    right = np.moveaxis(pull, 1, 0).ravel()
    solved = cho_solve_banded((factor, True), right, check_finite=False)
    solved = np.moveaxis(solved.reshape(n, count, k, 3), 0, 1)
    return solved, factor.reshape(rows, n, -1)


def find_covariance(factor: Floats, keypoints: int) -> Floats:
    """Find the covariance of each point, (F, I, K, 3, 3), from the factor."""
    return invert_band(factor, 3 * keypoints, part=3)


def _hold_bones(
    band: Floats, information: Floats, pull: Floats, *, points: Floats, inside: Bools, bars: Bars
) -> None:
    """Add the lengths of the bones, each along its present direction, in place."""
    for e, (one, other) in enumerate(bars.ends):
        a, b = min(one, other), max(one, other)
        along = points[:, :, a] - points[:, :, b]
        size = np.linalg.norm(along, axis=-1, keepdims=True)
        along = along / np.maximum(size, 1e-12)
        held = (inside[:, :, a] & inside[:, :, b]) * bars.precision[:, :, e]
        outer = held[..., None, None] * along[..., :, None] * along[..., None, :]
        length = (held * np.nan_to_num(bars.length[:, e]))[..., None] * along
        information[:, :, a] += outer
        information[:, :, b] += outer
        pull[:, :, a] += length
        pull[:, :, b] -= length
        for i in range(3):
            for j in range(3):
                band[3 * (b - a) + i - j, :, :, a, j] -= np.moveaxis(outer[..., i, j], 1, 0)
