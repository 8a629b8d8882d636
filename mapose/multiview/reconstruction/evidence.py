"""What each camera says about points over time, and which of it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration import CameraGroup, make_sightlines
from mapose.arrays import Bools, Floats, Ints

#: A view belongs to a point if it is within this many standard deviations of where the others and
#: the neighbouring frames expect it. With one stray pixel in ten somewhere in a picture of 640 x
#: 480, a pixel 5 standard deviations off is as likely to be stray as not.
LIMIT = 5.0
# Frames by which errors are compared with later ones.
_LAGS = np.array([1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610])
# A view that the frame by itself did not choose is taken in only where the track says where to
# look: within this many standard deviations of a pixel.
_SURE = 3.0


@dataclass(frozen=True, eq=False)
class Recording:
    """What several cameras saw of T points in F frames.

    Parameters
    ----------
    cameras : calibration.CameraGroup
        V of them.
    frames : int64, (F,)
        Frame numbers, ascending.
    pixels : float64, (V, F, T, 2)
        NaN = not seen.
    confidence : float64, (V, F, T), optional
        One over the variance of the pixels, relative to each other.
    covariance : float64, (V, F, T, 2, 2), optional
        Of the pixels, px²; then the confidence does not count.
    """

    cameras: CameraGroup
    frames: Ints
    pixels: Floats
    confidence: Floats | None = None
    covariance: Floats | None = None

    def gather(self, part: slice, sigma: Floats) -> Evidence:
        """Turn the pixels of some frames into equations.

        Parameters
        ----------
        part : slice
            Rows of frames.
        sigma : float64, (V, T)
            By which the standard deviations of each point in each view are multiplied.
        """
        pixels = self.pixels[:, part]
        v, f, t, _ = pixels.shape
        weights, covariance = None, None
        if self.covariance is not None:
            covariance = self.covariance[:, part].reshape(v, f * t, 2, 2)
        elif self.confidence is not None:
            weights = self.confidence[:, part].reshape(v, f * t)
        lines = make_sightlines(
            self.cameras, pixels.reshape(v, f * t, 2), weights=weights, covariance=covariance
        )
        each = (f, t) if lines.shift.shape[-1] == f * t else (1, 1)
        return Evidence(
            rows=lines.rows.reshape(2, 3, v, f, t),
            offsets=lines.offsets.reshape(2, v, f, t),
            forward=lines.forward.reshape(3, v, *each),
            shift=lines.shift.reshape(v, *each),
            seen=lines.seen.reshape(v, f, t),
            sigma=sigma,
        )


@dataclass(frozen=True, eq=False)
class Evidence:
    """Pixels of T points in F frames and V views as equations; made by `Recording.gather`.

    Parameters
    ----------
    rows : float64, (2, 3, V, F, T)
    offsets : float64, (2, V, F, T)
    forward : float64, (3, V, F, T) or (3, V, 1, 1)
    shift : float64, (V, F, T) or (V, 1, 1)
    seen : bool, (V, F, T)
        As of `calibration.triangulation.sightlines.Sightlines`.
    sigma : float64, (V, T)
        By which the standard deviations of each point in each view are multiplied.
    """

    rows: Floats
    offsets: Floats
    forward: Floats
    shift: Floats
    seen: Bools
    sigma: Floats

    def look(self, points: Floats) -> tuple[Floats, Floats]:
        """Find residuals (2, V, F, T) of points (F, T, 3), and their slopes (2, 3, V, F, T).

        Both are in standard deviations of the pixels; slopes are 0 where nothing is seen.
        """
        x, y, z = np.moveaxis(points, -1, 0)
        forward = self.forward
        depth = forward[0] * x + forward[1] * y + forward[2] * z + self.shift
        # What lies behind a pinhole is not what it sees: as far off as can be.
        depth = np.maximum(depth, 1e-9)
        inverse = 1 / (depth * self.sigma[:, None])
        residual = self.offsets + self.rows[:, 0] * x + self.rows[:, 1] * y + self.rows[:, 2] * z
        residual *= inverse
        slopes = self.rows * inverse
        slopes -= (residual / depth)[:, None] * forward
        slopes *= self.seen
        return residual, slopes


def add_evidence(
    residual: Floats, slopes: Floats, *, points: Floats, used: Bools
) -> tuple[Floats, Floats]:
    """Add up what the used views say: information (F, T, 3, 3) and its pull (F, T, 3).

    The points that fit best solve ``information @ points = pull``.
    """
    weighted = slopes * used
    information = np.empty((*points.shape, 3))
    for i in range(3):
        for j in range(i + 1):
            both = np.einsum("avft,avft->ft", weighted[:, i], slopes[:, j])
            information[..., i, j] = information[..., j, i] = both
    pull = np.einsum("ftij,ftj->fti", information, points)
    pull -= np.einsum("aivft,avft->fti", weighted, residual)
    return information, pull


def find_persistence(residual: Floats, used: Bools) -> Floats:
    """Find how alike what views disagree by is from one frame to the next, (T,), about 0 to 1."""
    own = residual * used
    both = used[:, :-1] & used[:, 1:]
    product = np.einsum("avft,avft,vft->t", own[:, :, :-1], own[:, :, 1:], both)
    square = np.einsum("avft,avft,vft->t", own[:, :, :-1], own[:, :, :-1], both)
    return np.asarray(np.clip(product / np.maximum(square, 1e-300), 0, 1))


def count_looks(residual: Floats, used: Bools) -> Floats:
    """Find for how many independent ones each frame counts in the estimate of a variance, (T,).

    What views disagree by may last: for a moment, or all the time where a camera sees another
    side of a limb. A thousand frames of the same error say no more than one.

    Parameters
    ----------
    residual : float64, (2, V, F, T)
        In any unit.
    used : bool, (V, F, T)
        Which of them count.

    Returns
    -------
    float64, (T,)
        1 where errors of frames have nothing to do with each other, 1 / F where they are the same.

    References
    ----------
    Bartlett 1946, "On the theoretical specification and sampling properties of autocorrelated
    time-series" (Supplement to the Journal of the Royal Statistical Society 8:27).
    """
    count = used.shape[1]
    own = residual * used
    square = np.einsum("avft,avft->t", own, own) / np.maximum(used.sum((0, 1)), 1)
    total, last = np.zeros(used.shape[2]), 0
    before = np.zeros(used.shape[2])
    for lag in _LAGS[max(count - 1, 1) > _LAGS]:
        both = used[:, :-lag] & used[:, lag:]
        product = np.einsum("avft,avft,vft->t", own[:, :, :-lag], own[:, :, lag:], both)
        pairs = np.maximum(both.sum((0, 1)), 1)
        alike = np.clip(product / pairs / np.maximum(square, 1e-300), 0, 1)
        # What is no more than chance makes of white noise is none.
        alike = np.where(alike < 2 / np.sqrt(2 * pairs), 0, alike) ** 2
        total += alike if lag == 1 else (lag - last) * (before + alike) / 2
        before, last = alike, int(lag)
    total += (count - 1 - last) * before / 2
    return np.asarray(np.maximum(1 / (1 + 2 * total), 1 / max(count, 1)))


def decide_views(
    residual: Floats, slopes: Floats, *, variances: Floats, chosen: Bools, agreed: Bools
) -> Bools:
    """Decide which views (V, F, T) show the point that a track expects.

    Parameters
    ----------
    residual, slopes : float64
        As of `Evidence.look` at the track.
    variances : float64, (F, T, 3)
        Of the track along each axis, without what this frame itself says.
    chosen : bool, (V, F, T)
        What each frame chose by itself.
    agreed : bool, (F, T)
        Where that choice is beyond doubt and stays: three views that meet in one point do not do
        so by chance, however unexpected the point. This keeps fast movements.
    """
    seen = (slopes != 0).any((0, 1))
    spread = np.moveaxis(variances, -1, 0)[:, None]
    xx = (slopes[0] ** 2 * spread).sum(0) + 1
    yy = (slopes[1] ** 2 * spread).sum(0) + 1
    xy = (slopes[0] * slopes[1] * spread).sum(0)
    u, w = residual
    determinant = xx * yy - xy * xy
    near = u * u * yy - 2 * u * w * xy + w * w * xx < LIMIT**2 * determinant
    sure = determinant < _SURE**4
    return np.where(agreed, chosen, seen & near & (chosen | sure))
