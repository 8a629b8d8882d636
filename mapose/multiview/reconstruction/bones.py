"""Distances between neighbouring keypoints that hardly change: learned, then held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mapose.arrays import Bools, Floats, Ints
from mapose.smoothing import Motion, invert_band, solve_band

# Fewest frames from which the length of a bone is learned.
_FEWEST = 20
# No bone is believed to vary by less than this share of its length: skin slides over joints. By
# less than the second one does none that is said to be rigid.
_FLOOR, _RIGID = 0.003, 0.001
# What bones vary by where the data cannot tell, as a share of their length. On simulated animals
# 1 % costs 4 % in accuracy where skin slides, 3 % gains nothing; real recordings do not tell.
_USUAL = 0.02
# How many independent deviations that belief weighs, and the belief that a bone deviates in each
# frame as it usually does. With 4, bones that really stretch by 15 % come out 2 % worse.
_BELIEF = 2.0
_ROUNDS = 20
# Bones that vary by more than this share of their length are not held at all.
_LOOSE = 0.25
# Deviations beyond this many times the usual one are errors of the points, not of the bone.
_WILD = 6.0


@dataclass(frozen=True, eq=False)
class Bones:
    """Lengths of the E edges of each individual.

    Parameters
    ----------
    ends : int64, (E, 2)
        Keypoints that each edge joins.
    length : float64, (I, E)
        In the unit of the world; NaN = not known.
    spread : float64, (I, E)
        Standard deviation, with the noise of the points taken out; NaN = not known.
    """

    ends: Ints
    length: Floats
    spread: Floats

    def harden(self) -> Bones:
        """Take all lengths that are known for fixed."""
        return Bones(self.ends, self.length, _RIGID * self.length)

    @property
    def firm(self) -> Ints:
        """Numbers of the edges that are worth holding, of any individual."""
        with np.errstate(invalid="ignore"):
            return np.flatnonzero((self.spread < _LOOSE * self.length).any(0))


def learn_bones(points: Floats, variances: Floats, ends: Ints) -> Bones:
    """Learn bone lengths from smoothed points.

    Parameters
    ----------
    points : float64, (F, I, K, 3)
        Smoothed points; NaN = not to be learned from.
    variances : float64, (F, I, K, 3)
        Of each along each axis.
    ends : int64, (E, 2)
        Keypoints that each edge joins.

    Notes
    -----
    In a short recording, or one of an animal that rests, a length is seen in few states only,
    and errors that last pretend that it varies. The spread is therefore the most likely one of
    few independent deviations, with errors taken out and what is usual believed beforehand.
    """
    length, noise = measure_bones(points, variances, ends)
    count = np.isfinite(length).sum(0)
    enough = count >= _FEWEST
    length[:, ~enough], noise[:, ~enough] = 0, 0
    middle = np.nanmedian(length, axis=0)
    off = length - middle
    wild = _WILD * 1.4826 * np.nanmedian(np.abs(off), axis=0)
    off = np.clip(off, -wild, wild)
    square, blur = np.nanmean(off**2, axis=0), np.nanmedian(noise, axis=0)
    looks = _count_looks(off)
    # What hides in the noise, after so many looks, is no more than the error of its estimate.
    most = np.maximum(square - blur, 0) + blur * np.sqrt(2 / looks)
    usual = np.minimum((_USUAL * middle) ** 2, most)
    # An animal that rests shows less than usual of both: what its bones vary by, and what its
    # points err by.
    usual = usual * np.minimum(square / np.maximum(usual + blur, 1e-300), 1)
    least = (_FLOOR * middle) ** 2
    usual = np.maximum(usual, least)
    spread = _estimate_variance(square, blur, looks=looks, usual=usual)
    spread = np.sqrt(np.maximum(spread, least))
    return Bones(ends, np.where(enough, middle, np.nan), np.where(enough, spread, np.nan))


def _count_looks(off: Floats) -> Floats:
    """Find how many independent ones there are among deviations (F, I, E): (I, E), 1 or more."""
    here, before = np.nan_to_num(off[1:]), np.nan_to_num(off[:-1])
    both = np.isfinite(off[1:]) & np.isfinite(off[:-1])
    alike = (here * before).sum(0) / np.maximum((both * here**2).sum(0), 1e-300)
    alike = np.clip(alike, 0, 1)
    return np.maximum(np.isfinite(off).sum(0) * (1 - alike) / (1 + alike), 1.0)


def _estimate_variance(
    square: Floats, noise: Floats, *, looks: Floats | float, usual: Floats
) -> Floats:
    """Find the most likely variance of deviations of which a part is noise.

    Parameters
    ----------
    square : float64, (...)
        Mean of the squared deviations.
    noise : float64, (...)
        Variance that noise has in them.
    looks : float64, (...)
        How many independent deviations there are.
    usual : float64, (...)
        Variance that is believed beforehand.

    References
    ----------
    Dempster, Laird, Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm"
    (JRSS B 39:1), with a conjugate prior. For one deviation it is a step of regression with
    Student's t: what is far off is let go of, if it is further off than noise explains.
    """
    variance = usual
    for _ in range(_ROUNDS):
        part = variance / np.maximum(variance + noise, 1e-300)
        own = part * noise + part**2 * square
        variance = (_BELIEF * usual + looks * own) / (_BELIEF + looks)
    return variance


def measure_bones(points: Floats, variances: Floats, ends: Ints) -> tuple[Floats, Floats]:
    """Measure lengths (F, I, E), without what noise adds to them, and their variances."""
    first, second = ends[:, 0], ends[:, 1]
    gap = points[:, :, first] - points[:, :, second]
    length = np.linalg.norm(gap, axis=-1)
    length[~(length > 0)] = np.nan
    noise = variances[:, :, first] + variances[:, :, second]
    along = (noise * (gap / length[..., None]) ** 2).sum(-1)
    # Noise across a bone makes it look longer.
    return length - (noise.sum(-1) - along) / (2 * length), along


def hold_bones(points: Floats, variances: Floats, *, bones: Bones, memory: Floats) -> Floats:
    """Find how firmly each bone is held in each frame: one over the variance, (F, I, E).

    What a length deviates by lasts: on simulated mice it is the same from one frame to the next
    to 0.89 to 0.997. A frame therefore counts only for its share of the frames over which its
    points are averaged anyway. A bone that is seen to be bent, by more than the points err, is
    let go of.

    Parameters
    ----------
    points, variances
        As for `learn_bones`.
    bones : Bones
        0 where the length is not known or varies too much.
    memory : float64, (I, K)
        Number of frames over which a point is averaged.
    """
    measured, noise = measure_bones(points, variances, bones.ends)
    square = np.nan_to_num((measured - bones.length) ** 2)
    frames = _find_frames(memory, bones.ends)
    for who, edge in np.ndindex(frames.shape):
        width = max(frames[who, edge] / 2, 1.0)
        square[:, who, edge] = gaussian_filter1d(square[:, who, edge], width)
    with np.errstate(invalid="ignore"):
        firm = bones.spread < _LOOSE * bones.length
    usual = np.where(firm, bones.spread**2, 1)
    variance = _estimate_variance(square, np.nan_to_num(noise), looks=1, usual=usual)
    return np.asarray(firm / (variance * frames))


def _find_frames(memory: Floats, ends: Ints) -> Floats:
    """Find over how many frames both ends of a bone are averaged, (I, E)."""
    return np.maximum(memory[:, ends[:, 0]], memory[:, ends[:, 1]])


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
    return solve_band(band, information, pull=pull, motion=motion)


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
