"""Fitting a model of four blurred squares around each corner, for its exact position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from calibration.lens import Floats
from calibration.saddles import Image, sample_image

# Samples along each of the four edges and across them, and the part of an edge they cover.
_ALONG, _ACROSS = 8, 7
_PART = (0.04, 0.4)
# Farthest samples from the edge in pixels: beyond, there is nothing to learn from a sharp image.
_NARROWEST, _WIDEST = 1.5, 5.0
_STEPS = 5
# Expectations that hold what blur and noise leave open: standard deviations of the curvature of
# edges (1 / px, in squares of 40 px a strong fisheye bends by 0.002), and of the logarithm of
# the blur about its start.
_CURVATURE, _SPREAD = 0.002, 0.7
_BLUR = 1.0
# Corners of which less lies in the image are not known well.
_INSIDE = 0.7


@dataclass(frozen=True, eq=False)
class CornerFit:
    """Corners as fitted.

    Attributes
    ----------
    xy : float64, (N, 2)
        Pixels.
    blur : float64, (N,)
        Standard deviation of the blur in pixels.
    quality : float64, (N,)
        Part of the variance that the model explains.
    """

    xy: Floats
    blur: Floats
    quality: Floats


def fit_corners(image: Image, xy: Floats, arms: Floats, margin: float) -> CornerFit:
    """Fit blurred edges to what surrounds corners.

    Two curved edges cross in a corner and part bright from dark; both are blurred alike. All
    samples lie near the edges, where squares of ChArUco boards show no marker, and reach far
    along them, which tells more of the corner than a small window does.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    xy : float64, (N, 2)
        Corners to about a pixel.
    arms : float64, (N, 4, 2)
        From each corner to its neighbours right, below, left and above on the board, in pixels.
    margin : float
        Part of a square beside its edges that shows nothing else.

    Returns
    -------
    CornerFit
        By Gauss-Newton steps, all corners at once.
    """
    if len(xy) == 0:
        return CornerFit(xy, np.empty(0), np.empty(0))
    places = _place_samples(arms, margin)
    spots = xy[:, None] + places
    inside = ((spots >= 0) & (spots <= np.array([image.shape[1], image.shape[0]]) - 1)).all(-1)
    levels = sample_image(image, spots)
    values = _start(levels, arms, places)
    expected = values.copy()
    precision = np.zeros(9)
    precision[4:6], precision[6] = _CURVATURE**-2, _SPREAD**-2
    contrast = np.maximum(np.abs(values[:, 8]), 3.0)
    # Deviations count as for noise of 5 % of the contrast.
    weight = (20.0 / contrast) ** 2
    for _ in range(_STEPS):
        model, slopes = _predict(values, places)
        residual = (levels - model) * inside
        slopes *= inside[..., None]
        normal = np.swapaxes(slopes, 1, 2) @ slopes * weight[:, None, None]
        normal += np.eye(9) * (precision + 1e-9)
        right = (residual[:, None] @ slopes)[:, 0] * weight[:, None]
        right -= precision * (values - expected)
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        step[:, :2] = np.clip(step[:, :2], -1, 1)
        step[:, 2:4] = np.clip(step[:, 2:4], -0.2, 0.2)
        step[:, 6] = np.clip(step[:, 6], -0.5, 0.5)
        values = values + step
    model, _ = _predict(values, places)
    variance = np.maximum(levels.var(1), 1e-6)
    quality = 1 - ((levels - model) ** 2 * inside).mean(1) / variance
    quality[inside.mean(1) < _INSIDE] = 0
    return CornerFit(xy + values[:, :2], np.exp(values[:, 6]), quality)


def _place_samples(arms: Floats, margin: float) -> Floats:
    """Place samples along the arms and across them, (N, 4 * along * across, 2)."""
    length = np.linalg.norm(arms, axis=-1, keepdims=True)
    across = np.stack([-arms[..., 1], arms[..., 0]], -1) / np.maximum(length, 1e-9)
    # How far away the next parallel edge is: the area of the square over this side.
    u, v = arms[:, 0], arms[:, 1]
    area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    depth = area[:, None, None] / np.maximum(length, 1e-9)
    width = np.clip(0.9 * margin * depth, _NARROWEST, _WIDEST)
    along = np.linspace(*_PART, _ALONG)[:, None, None]
    aside = np.linspace(-1, 1, _ACROSS)[:, None]
    places = arms[:, :, None, None] * along + (width * across)[:, :, None, None] * aside
    return places.reshape(len(arms), -1, 2)


def _start(levels: Floats, arms: Floats, places: Floats) -> Floats:
    """Start values: shift, two angles, two curvatures, log blur, mean level, contrast."""
    rows, columns = arms[:, 0] - arms[:, 2], arms[:, 1] - arms[:, 3]
    angles = np.arctan2(
        np.stack([rows[:, 1], columns[:, 1]], -1), np.stack([rows[:, 0], columns[:, 0]], -1)
    )
    zero = np.zeros(len(arms))
    values = np.stack(
        [zero, zero, angles[:, 0], angles[:, 1], zero, zero, zero + np.log(_BLUR), zero, zero + 1],
        axis=-1,
    )
    shape, _ = _predict(values, places)
    centred = shape - shape.mean(1, keepdims=True)
    values[:, 8] = (centred * levels).sum(1) / np.maximum((centred**2).sum(1), 1e-9)
    values[:, 7] = levels.mean(1) - values[:, 8] * shape.mean(1)
    return values


def _predict(values: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Predict grey levels (N, S) and their derivatives by the nine values (N, S, 9)."""
    shift, angle, bend = values[:, None, :2], values[:, 2:4], values[:, 4:6]
    blur = np.exp(values[:, 6])[:, None]
    contrast = values[:, 8][:, None]
    away = places - shift
    profiles, slopes_at, along = [], [], []
    for edge in (0, 1):
        way = np.stack([np.cos(angle[:, edge]), np.sin(angle[:, edge])], -1)
        t = (away * way[:, None]).sum(-1)
        n = away[..., 1] * way[:, None, 0] - away[..., 0] * way[:, None, 1]
        z = (n - bend[:, edge, None] / 2 * t * t) / blur
        profiles.append(erf(z / np.sqrt(2)))
        slopes_at.append((z, np.sqrt(2 / np.pi) * np.exp(-z * z / 2) / blur))
        along.append((t, way))
    model = values[:, 7][:, None] + contrast * profiles[0] * profiles[1]
    slopes = np.empty((*model.shape, 9))
    slopes[..., :2] = 0
    slopes[..., 6] = 0
    for edge in (0, 1):
        z, slope = slopes_at[edge]
        t, way = along[edge]
        gain = contrast * profiles[1 - edge] * slope
        slopes[..., 0] += gain * way[:, None, 1]
        slopes[..., 1] -= gain * way[:, None, 0]
        slopes[..., 2 + edge] = -gain * t
        slopes[..., 4 + edge] = -gain * t * t / 2
        slopes[..., 6] -= gain * z * blur
    slopes[..., 7] = 1
    slopes[..., 8] = profiles[0] * profiles[1]
    return model, slopes

