"""Where animals are in an image: centres, boxes, and the size of their drawing."""

from __future__ import annotations

import numpy as np

from mapose.arrays import AnyFloats
from mapose.similarity import find_centres


def hide_doubtful(points: AnyFloats, confidence: AnyFloats, cutoff: float) -> AnyFloats:
    """Make keypoints below the cutoff NaN in a copy; points (..., 2 or 3), confidence (...)."""
    return np.where((confidence >= cutoff)[..., None], points, np.nan)


def smooth_path(path: AnyFloats) -> AnyFloats:
    """Average each position with two before and two after; (F, I, 2), gaps stay NaN."""
    padded = np.pad(path, ((2, 2), (0, 0), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0)
    return np.where(np.isfinite(path), find_centres(windows.swapaxes(-1, -2)), np.nan)


def find_boxes(points: AnyFloats) -> AnyFloats:
    """Find left, top, right, bottom of each individual; (..., K, 2) to (..., 4), NaN = absent."""
    return np.concatenate([np.fmin.reduce(points, -2), np.fmax.reduce(points, -2)], -1)


def find_radius(points: AnyFloats, shape: tuple[int, ...]) -> float:
    """Choose the radius of keypoint dots from the image and the distance between keypoints.

    Parameters
    ----------
    points : float, (..., K, 2)
        Pixels of one frame, or of a sample of frames.
    shape : (H, W, ...)
        Of the image.

    Returns
    -------
    float
        px. A fifth of the typical distance from a keypoint to its nearest neighbour, so that
        dots stay apart, but never so small that they vanish on this image or so large that they
        cover it.
    """
    diagonal = float(np.hypot(shape[0], shape[1]))
    least, most = max(1.3, 0.0012 * diagonal), max(1.5, 0.0045 * diagonal)
    flat = points.reshape(-1, *points.shape[-2:])
    away = np.linalg.norm(flat[:, :, None] - flat[:, None], axis=-1)
    away[:, np.arange(flat.shape[1]), np.arange(flat.shape[1])] = np.nan
    nearest = np.fmin.reduce(away, -1)
    nearest = nearest[np.isfinite(nearest)]
    wish = 0.2 * float(np.median(nearest)) if nearest.size else 0.003 * diagonal
    return float(np.clip(wish, least, most))
