"""How alike two sets of poses are: object keypoint similarity and distances."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Bools, Floats

#: Spread of human labels relative to the animal's size, the value DeepLabCut and others use for
#: animals; COCO's own values for people run from 0.025 (eyes) to 0.107 (hips).
DEFAULT_SIGMA = 0.1


def find_areas(points: AnyFloats) -> Floats:
    """Find the area of each pose's bounding box.

    Parameters
    ----------
    points : float, (..., K, 2)
        Keypoints in pixels; NaN = missing.

    Returns
    -------
    float64, (...)
        Area in px², at least 1; NaN where fewer than two keypoints are there.
    """
    sides, enough = _find_sides(points)
    sides = np.where(enough[..., None], sides, np.nan)
    # A box of a straight animal along an axis has no area; a tenth of its length is its width.
    longest = sides.max(-1, keepdims=True)
    return np.asarray(np.maximum(np.maximum(sides, 0.1 * longest).prod(-1), 1.0))


def find_centres(points: AnyFloats) -> AnyFloats:
    """Average the keypoints that are there.

    Parameters
    ----------
    points : float, (..., K, d)
        NaN = missing.

    Returns
    -------
    float, (..., d)
        NaN where an individual has no keypoint.
    """
    seen = np.isfinite(points).all(-1, keepdims=True)
    total = np.where(seen, points, 0).sum(-2)
    count = seen.sum(-2)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def find_lengths(points: AnyFloats) -> Floats:
    """Find the length of each pose: the diagonal of its bounding box.

    Parameters
    ----------
    points : float, (..., K, 2)
        Keypoints in pixels; NaN = missing.

    Returns
    -------
    float64, (...)
        Pixels; NaN where fewer than two keypoints are there.
    """
    sides, enough = _find_sides(points)
    return np.asarray(np.where(enough, np.hypot(sides[..., 0], sides[..., 1]), np.nan))


def find_edge_lengths(points: AnyFloats, edges: npt.NDArray[np.integer]) -> Floats:
    """Find the distances between neighbouring keypoints.

    Parameters
    ----------
    points : float, (..., K, d)
        Keypoints; NaN = missing.
    edges : int, (E, 2)
        Pairs of channels, as of `Skeleton.edge_index`.

    Returns
    -------
    float64, (..., E)
        In the unit of the points; NaN where an end is missing.

    Examples
    --------
    >>> find_edge_lengths(np.array([[0.0, 0, 0], [2, 3, 6]]), np.array([[0, 1]]))
    array([7.])
    """
    gaps = np.asarray(points, np.float64)[..., edges[:, 0], :] - points[..., edges[:, 1], :]
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", gaps, gaps)))


def _find_sides(points: AnyFloats) -> tuple[Floats, Bools]:
    """Find the sides of bounding boxes (..., 2), and where two keypoints are there (...)."""
    points = np.asarray(points, np.float64)
    there = np.asarray(np.isfinite(points).all(-1))
    low = np.where(there[..., None], points, np.inf).min(-2, initial=np.inf)
    high = np.where(there[..., None], points, -np.inf).max(-2, initial=-np.inf)
    enough = there.sum(-1) >= 2
    return np.where(enough[..., None], high, 0) - np.where(enough[..., None], low, 0), enough


def find_distances(a: AnyFloats, b: AnyFloats) -> Floats:
    """Find keypoint distances between every pose of ``a`` and every pose of ``b``.

    Parameters
    ----------
    a : float, (..., I, K, d)
        Poses; NaN = missing.
    b : float, (..., J, K, d)
        Poses in the same frame of reference and unit.

    Returns
    -------
    float64, (..., I, J, K)
        Distances; NaN where either is missing.
    """
    gap = np.asarray(a, np.float64)[..., :, None, :, :] - np.asarray(b)[..., None, :, :, :]
    return np.asarray(np.sqrt(np.einsum("...d,...d->...", gap, gap)))


def find_oks(
    truth: AnyFloats,
    other: AnyFloats,
    *,
    sigma: float | AnyFloats = DEFAULT_SIGMA,
    areas: AnyFloats | None = None,
) -> Floats:
    """Find the object keypoint similarity of every true pose with every other pose.

    Keypoints missing in ``truth`` do not count; keypoints missing only in ``other`` count as 0.

    Parameters
    ----------
    truth : float, (..., I, K, 2)
        Poses in pixels; NaN = missing.
    other : float, (..., J, K, 2)
        Poses in pixels; NaN = missing.
    sigma : float or (K,)
        Spread per keypoint, relative to the square root of the animal's area.
    areas : float, (..., I), optional
        Area of each true animal in px²; by default that of its bounding box. Where it is NaN
        the similarity is NaN.

    Returns
    -------
    float64, (..., I, J)
        0 to 1; NaN where the true pose has no keypoint or no area.

    References
    ----------
    COCO keypoint evaluation: mean over keypoints of exp(-d² / (2 A (2 sigma)²)).
    """
    areas = find_areas(truth) if areas is None else np.asarray(areas, np.float64)
    variance = (2 * np.asarray(sigma, np.float64)) ** 2
    distance = find_distances(truth, other)
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.exp(-(distance**2) / (2 * areas[..., :, None, None] * variance))
        counted = np.asarray(np.isfinite(truth).all(-1))[..., :, None, :]
        total = np.where(counted, np.nan_to_num(alike), 0.0).sum(-1)
        result = total / counted.sum(-1)
    return np.where(np.isfinite(areas)[..., :, None], result, np.nan)
