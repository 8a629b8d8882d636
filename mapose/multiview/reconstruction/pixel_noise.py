"""How exact the pixels of each keypoint are in each view, from how well the views agree."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from calibration import invert_normal
from mapose.arrays import Bools, Floats
from mapose.multiview.reconstruction.evidence import Evidence, Recording, find_persistence
from mapose.smoothing import find_median

# Places of the entries of symmetric matrices that are kept, and how often each occurs.
_PLACES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_TWICE = np.array([1.0, 2, 2, 1, 2, 1])
# Frames from which the noise is estimated, and points below which a keypoint goes with the rest.
_SAMPLE, _FEWEST = 1000, 30
# Rounds in which views are weighed by how well they agree; changes are below 1 % after ten.
_ROUNDS = 12
# How many independent frames the belief weighs that all views are equally exact.
_BELIEF = 4.0
# Residuals beyond this many standard deviations are not noise.
_WILD = 4.0


def estimate_sigma(recording: Recording, points: Floats, *, chosen: Bools) -> Floats:
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
    float64, (V, K)
        Standard deviation of the pixels, px; without unit if they came with covariances.

    References
    ----------
    Förstner 1979, "Ein Verfahren zur Schätzung von Varianz- und Kovarianzkomponenten"
    (Allgemeine Vermessungs-Nachrichten 86:446).
    """
    f, i, k, _ = points.shape
    rows = slice(None, None, max(f // _SAMPLE, 1))
    evidence = recording.gather(rows, np.ones((len(chosen), i * k)))
    there = points[rows].reshape(-1, i * k, 3)
    known = np.asarray(np.isfinite(there).all(-1))
    there = np.where(known[..., None], there, 1.0)
    used = chosen[:, rows].reshape(evidence.seen.shape) & known
    sigma = _compare_keypoints(evidence, there, used, k)
    alike = find_persistence(evidence.look(there)[0], used) if rows.step == 1 else np.zeros(i * k)
    frames = np.clip((1 - alike) / (1 + alike), 0.02, 1)
    return _compare_views(evidence, there, used & (used.sum(0) >= 3), sigma=sigma, frames=frames)


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
    normals = np.stack([(slopes[:, i] * slopes[:, j]).sum(0) for i, j in _PLACES])
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
