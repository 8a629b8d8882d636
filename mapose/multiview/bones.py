"""Distances between neighbouring keypoints that hardly change: learned, then held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from mapose.multiview.smoothing import Floats, Ints

# Fewest frames from which the length of a bone is learned.
_FEWEST = 20
# No bone is held more exactly than this share of its length: skin slides over joints.
_FLOOR = 0.003
# What bones vary by where the data cannot tell.
_USUAL = 0.02
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

    @property
    def firm(self) -> Ints:
        """Numbers of the edges that are worth holding, of any individual."""
        with np.errstate(invalid="ignore"):
            return np.flatnonzero((self.spread < _LOOSE * self.length).any(0))


def learn_bones(points: Floats, variances: Floats, *, ends: Ints, memory: Floats) -> Bones:
    """Learn bone lengths from smoothed points.

    Parameters
    ----------
    points : float64, (F, I, K, 3)
        Smoothed points; NaN = not to be learned from.
    variances : float64, (F, I, K, 3)
        Of each along each axis.
    ends : int64, (E, 2)
        Keypoints that each edge joins.
    memory : float64, (I, K)
        Number of frames over which a point is averaged.
    """
    length, noise = measure_bones(points, variances, ends)
    count = np.isfinite(length).sum(0)
    enough = count >= _FEWEST
    length[:, ~enough], noise[:, ~enough] = 0, 0
    middle = np.nanmedian(length, axis=0)
    off = np.abs(length - middle)
    usual = 1.4826 * np.nanmedian(off, axis=0)
    square = np.nanmean(np.minimum(off, _WILD * usual) ** 2, axis=0)
    blur = np.nanmedian(noise, axis=0)
    # A spread below the noise cannot be told from none: no less than the error of its estimate,
    # or what is usual.
    frames = _find_frames(memory, ends)
    least = blur * np.sqrt(2 * frames / np.maximum(count, 1))
    least = np.minimum(least, (_USUAL * middle) ** 2)
    spread = np.sqrt(np.maximum(square - blur, least))
    return Bones(ends, np.where(enough, middle, np.nan), np.where(enough, spread, np.nan))


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


def hold_bones(
    points: Floats, variances: Floats, *, bones: Bones, memory: Floats, share: Floats
) -> Floats:
    """Find how firmly each bone is held in each frame: one over the variance, (F, I, E).

    What a length deviates by lasts: on simulated mice it is the same from one frame to the next
    to 0.89 to 0.997. A frame therefore counts only for its share of the frames over which its
    points are averaged anyway. Errors of the points that last weigh a bone in the same way, from
    the other side: it counts more against points that are less exact than their steadiness
    pretends. A bone that is seen to be bent, by more than the points err, is let go of.

    Parameters
    ----------
    points, variances, memory
        As for `learn_bones`.
    bones : Bones
        0 where the length is not known or varies too much.
    share : float64, (I, K)
        Part of the variance of the points that is new in each frame.
    """
    measured, noise = measure_bones(points, variances, bones.ends)
    excess = np.nan_to_num((measured - bones.length) ** 2 - noise)
    frames = _find_frames(memory, bones.ends)
    new = np.minimum(share[:, bones.ends[:, 0]], share[:, bones.ends[:, 1]])
    for who, edge in np.ndindex(frames.shape):
        width = max(frames[who, edge] / 2, 1.0)
        excess[:, who, edge] = gaussian_filter1d(excess[:, who, edge], width)
    square = np.maximum(np.maximum(excess, bones.spread**2), (_FLOOR * bones.length) ** 2)
    square /= 1 / frames + (1 - new) / new
    with np.errstate(invalid="ignore"):
        firm = bones.spread < _LOOSE * bones.length
    return np.where(firm, 1 / np.where(firm, square, 1), 0)


def _find_frames(memory: Floats, ends: Ints) -> Floats:
    """Find over how many frames both ends of a bone are averaged, (I, E)."""
    return np.maximum(memory[:, ends[:, 0]], memory[:, ends[:, 1]])
