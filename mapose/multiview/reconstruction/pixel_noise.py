"""How exact the pixels of each keypoint are in each view, from how well the views agree."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri, fdtri

from calibration import (
    CameraGroup,
    estimate_noise,
    find_all_distances,
    invert_normal,
    make_sightlines,
)
from mapose.arrays import Bools, Floats
from mapose.multiview.reconstruction.evidence import (
    Evidence,
    Recording,
    count_looks,
    find_persistence,
)
from mapose.multiview.reconstruction.lone_views import PLACES, find_lone_views
from mapose.smoothing import find_median

# How often each of the entries of symmetric matrices that are kept occurs.
_TWICE = np.array([1.0, 2, 2, 1, 2, 1])
#: Frames from which the noise is estimated: every so many that there are 1,000 to 2,000.
SAMPLE = 1000
# Points below which a keypoint goes with the rest.
_FEWEST = 30
# Rounds in which views are weighed by how well they agree; changes are below 1 % after ten.
_ROUNDS = 12
# How many independent frames the belief weighs that all views are equally exact.
_BELIEF = 8.0
# Share of the freedom that is left after the noise was shared among views, and the least there is.
_LEFT, _LOOKS = 0.5, 4.0
# Frames that each frame counts for at least where one view alone disagrees with the others.
_LONE = 0.05
# Residuals beyond this many standard deviations are not noise.
_WILD = 4.0


def compare_keypoints(
    cameras: CameraGroup, pixels: Floats, *, weights: Floats | None, spread: Floats | None
) -> Floats:
    """Find how exact each keypoint is compared with the others, before anything is triangulated.

    Parameters
    ----------
    cameras : calibration.CameraGroup
        V of them.
    pixels : float64, (V, F, K, 2)
        Of one individual; NaN = not seen.
    weights : float64, (V, F, K), optional
        One over the variance of the pixels, relative to each other.
    spread : float64, (V, F, K, 2, 2), optional
        Covariance of the pixels, px^2, instead.

    Returns
    -------
    float64, (K,)
        Standard deviation of the pixels over that of all keypoints together, 1 or more: to believe
        a keypoint more than the others costs views that are right. 1 where too few pairs of views
        say anything.

    Notes
    -----
    From how far the rays of pairs of views miss each other, of which some are wrong: the noise
    of the others is found as `calibration.estimate_noise` does.
    """
    v, f, k, _ = pixels.shape
    if not np.isfinite(pixels).any():
        return np.ones(k)
    rows = slice(None, None, max(f // SAMPLE, 1))
    some = pixels[:, rows]
    lines = make_sightlines(
        cameras,
        some.reshape(v, -1, 2),
        weights=None if weights is None else weights[:, rows].reshape(v, -1),
        covariance=None if spread is None else spread[:, rows].reshape(v, -1, 2, 2),
    )
    distances = find_all_distances(lines).reshape(-1, some.shape[1], k)
    if np.isfinite(distances).sum() < _FEWEST:
        return np.ones(k)
    usual = estimate_noise(distances, guess=float(np.nanmedian(np.abs(distances))))
    found = np.array([estimate_noise(distances[..., i], guess=usual) for i in range(k)])
    return np.maximum(found / usual, 1.0)


def estimate_sigma(recording: Recording, points: Floats, *, chosen: Bools) -> tuple[Floats, Floats]:
    """Estimate the noise of each keypoint in each view.

    A view more adds two numbers and no unknown: what n views disagree by has 2 n - 3 degrees of
    freedom, shared among them by how far each is checked by the others. Where a network or a
    person means another spot on one view than on the others, that view comes out inexact.

    Parameters
    ----------
    recording : Recording
        With I K points.
    points : float64, (F, I, K, 3)
        Triangulated frame by frame; NaN = missing.
    chosen : bool, (V, F, I, K)
        Views from which they were triangulated.

    Returns
    -------
    sigma : float64, (V, K)
        Standard deviation of the pixels, px; without unit if they came with covariances.
    caution : float64, (K,)
        By how much to raise the covariance of points because sigma is an estimate: 1 where many
        independent frames tell it, up to 2.5 where errors last.

    References
    ----------
    Förstner 1979, "Ein Verfahren zur Schätzung von Varianz- und Kovarianzkomponenten"
    (Allgemeine Vermessungs-Nachrichten 86:446).
    """
    f, i, k, _ = points.shape
    rows = slice(None, None, max(f // SAMPLE, 1))
    evidence = recording.gather(rows, np.ones((len(chosen), i * k)))
    there = points[rows].reshape(-1, i * k, 3)
    known = np.asarray(np.isfinite(there).all(-1))
    there = np.where(known[..., None], there, 1.0)
    used = chosen[:, rows].reshape(evidence.seen.shape) & known
    sigma = _compare_keypoints(evidence, there, used, k)
    residual = evidence.look(there)[0]
    frames = count_looks(residual, used)
    shared = used & (used.sum(0) >= 3)
    # Where one view alone disagrees, the others show how exact they are; else nothing tells.
    alone = find_lone_views(evidence, there, shared)
    alike = find_persistence(residual, used)
    told = np.where(alone, np.clip((1 - alike) / (1 + alike), _LONE, 1), frames)
    spread = _compare_views(evidence, there, shared, sigma=sigma, frames=told)
    free = (np.maximum(2 * used.sum(0) - 3, 0) * frames).sum(0).reshape(i, k).sum(0)
    return spread, _find_caution(free)


def _find_caution(free: Floats) -> Floats:
    """Find by how much to raise variances that were estimated with few degrees of freedom.

    So that the 95 % region of a point in space holds it in 95 of 100 cases although its size is
    an estimate: the quantile of Hotelling's T squared over that of chi squared. A part of the
    freedom is spent on how exact each view is.
    """
    few = np.maximum(_LEFT * free, _LOOKS)
    return np.asarray(3 * fdtri(3, few, 0.95) / chdtri(3, 0.05))


def _compare_keypoints(evidence: Evidence, points: Floats, used: Bools, k: int) -> Floats:
    """Estimate one sigma (K,) for all views, by medians: a few wrong views do not move them."""
    residual, _ = evidence.look(points)
    squares = np.where(used, (residual**2).sum(0), 0).sum(0).reshape(len(points), -1, k)
    views = used.sum(0).reshape(squares.shape)
    together = _find_sigma(squares, views, 1.0)
    return np.array([_find_sigma(squares[..., n], views[..., n], together) for n in range(k)])


def _find_sigma(squares: Floats, views: Floats, fallback: float) -> float:
    """Compare sums of squares with their median for a sigma of 1."""
    # Two views chosen because they agree say less about the noise than three.
    good = views >= (3 if (views >= 3).sum() >= _FEWEST else 2)
    if good.sum() < _FEWEST:
        return fallback
    ratio = squares[good] / chdtri(2 * views[good] - 3, 0.5)
    return float(np.sqrt(max(find_median(ratio), 1e-12)))


def _compare_views(
    evidence: Evidence, points: Floats, used: Bools, *, sigma: Floats, frames: Floats
) -> Floats:
    """Share the noise of each keypoint among the views, (V, K).

    frames, (T,), says how many independent ones each frame counts for.
    """
    v, _, t = used.shape
    k = len(sigma)
    residual, slopes = evidence.look(points)
    # What each view says by itself, with a sigma of 1; of symmetric matrices the upper triangle.
    squares = (residual**2).sum(0)
    pulls = (slopes * residual[:, None]).sum(0)
    normals = np.stack([(slopes[:, i] * slopes[:, j]).sum(0) for i, j in PLACES])
    spread = np.repeat(sigma[None], v, axis=0)
    for _ in range(_ROUNDS):
        weights = used / np.tile(spread, t // k)[:, None] ** 2
        covariance = invert_normal((normals * weights).sum(1))[0]
        step = -_multiply(covariance, (pulls * weights).sum(1))[:, None]
        carried = _multiply(normals, step)
        square = weights * (squares + (step * (2 * pulls + carried)).sum(0))
        free = 2 * used - weights * np.einsum("svft,sft,s->vft", normals, covariance, _TWICE)
        counted = used & np.isfinite(square) & (square < _WILD**2 * np.maximum(free, 0.5))
        excess = (np.where(counted, square, 0) * frames).sum(1).reshape(v, -1, k).sum(1)
        freedom = (np.where(counted, free, 0) * frames).sum(1).reshape(v, -1, k).sum(1)
        usual = np.median(spread, axis=0)
        spread = np.sqrt((excess * spread**2 + 2 * _BELIEF * usual**2) / (freedom + 2 * _BELIEF))
    return spread


def _multiply(matrices: Floats, vectors: Floats) -> Floats:
    """Multiply symmetric matrices, upper triangles (6, ...), with vectors (3, ...)."""
    a, b, c, d, e, f = matrices
    x, y, z = vectors
    return np.stack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])
