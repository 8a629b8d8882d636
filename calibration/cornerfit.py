"""Fitting a model of two blurred edges that cross to each corner, for its exact position."""

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
# Blur carries what lies beyond the margin this far into it, in pixels. Corners of markers of 26 px
# are 0.04 px off with it; without, 0.12 px too far out.
_CLEAR = 2.0
# Steps at most, and steps (shift, two angles, two curvatures, log blur) after which none follows.
_STEPS = 5
_SETTLED = np.array([0.003, 0.003, 0.003, 0.003, 0.001, 0.001, 0.03])
# Where grey levels begin among the values that are fitted.
_LEVELS = 7
# Expectations that hold what blur and noise leave open: standard deviations of the curvature of
# edges (1 / px, in squares of 40 px a strong fisheye bends by 0.002), and of the logarithm of
# the blur about its start.
_CURVATURE, _SPREAD = 0.002, 0.7
_BLUR = 1.0
# Levels of areas that face each other are held together as by so many samples.
_ALIKE = 300.0
_OPPOSITE = np.array([[1, 0, 0, -1], [0, 1, -1, 0], [0, -1, 1, 0], [-1, 0, 0, 1]])
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


def fit_corners(
    image: Image, xy: Floats, arms: Floats, margin: float, *, crossing: bool = True
) -> CornerFit:
    """Fit blurred edges to what surrounds corners.

    Two curved edges cross in a corner and part four areas, each of one grey level; both are
    blurred alike. That holds where four squares of a chessboard meet and for the corner of a
    marker as well. All samples lie near the edges, where squares show no marker and markers no
    bits, and reach far along them, which tells more of the corner than a small window does.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    xy : float64, (N, 2)
        Corners to about a pixel.
    arms : float64, (N, 4, 2)
        From each corner along the edges: right, below, left and above on the board, in pixels;
        to the next corner, or as far as areas keep their level.
    margin : float
        Part of a square beside its edges that shows nothing else.
    crossing : bool
        Areas that face each other have about the same level, as four squares have.

    Returns
    -------
    CornerFit
        By Gauss-Newton steps, all corners at once.
    """
    if len(xy) == 0:
        return CornerFit(xy, np.empty(0), np.empty(0))
    places = _place_samples(arms, margin)
    spots = xy[:, None] + places
    inside = np.asarray(
        ((spots >= 0) & (spots <= np.array([image.shape[1], image.shape[0]]) - 1)).all(-1)
    )
    levels = sample_image(image, spots)
    values = _start(levels, arms, places)
    expected = values.copy()
    expected[:, _LEVELS:] = 0
    # Deviations count as for noise of 5 % of the contrast.
    contrast = np.maximum(np.ptp(values[:, _LEVELS:], axis=1), 3.0)
    weight = (20.0 / contrast) ** 2
    prior = np.diag([1e-9] * 4 + [_CURVATURE**-2] * 2 + [_SPREAD**-2] + [1e-9] * 4)
    prior = np.repeat(prior[None], len(xy), axis=0)
    if crossing:
        prior[:, _LEVELS:, _LEVELS:] += _ALIKE * weight[:, None, None] * _OPPOSITE
    for _ in range(_STEPS):
        model, slopes = _predict(values, places)
        residual = (levels - model) * inside
        slopes *= inside[..., None]
        normal = np.swapaxes(slopes, 1, 2) @ slopes * weight[:, None, None]
        normal += prior
        right = (residual[:, None] @ slopes)[:, 0] * weight[:, None]
        right -= (prior @ (values - expected)[..., None])[..., 0]
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        step[:, :2] = np.clip(step[:, :2], -1, 1)
        step[:, 2:4] = np.clip(step[:, 2:4], -0.2, 0.2)
        step[:, 6] = np.clip(step[:, 6], -0.5, 0.5)
        values = values + step
        if (np.abs(step[:, :_LEVELS]).max(0) < _SETTLED).all():
            break
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
    width = np.clip(margin * depth - _CLEAR, _NARROWEST, _WIDEST)
    along = np.linspace(*_PART, _ALONG)[:, None, None]
    aside = np.linspace(-1, 1, _ACROSS)[:, None]
    places = arms[:, :, None, None] * along + (width * across)[:, :, None, None] * aside
    return np.asarray(places.reshape(len(arms), -1, 2))


def _start(levels: Floats, arms: Floats, places: Floats) -> Floats:
    """Start values: shift, two angles, two curvatures, log blur, four grey levels."""
    rows, columns = arms[:, 0] - arms[:, 2], arms[:, 1] - arms[:, 3]
    values = np.zeros((len(arms), _LEVELS + 4))
    values[:, 2] = np.arctan2(rows[:, 1], rows[:, 0])
    values[:, 3] = np.arctan2(columns[:, 1], columns[:, 0])
    values[:, 6] = np.log(_BLUR)
    # Grey levels enter linearly: their slopes are the shares of the four areas.
    shares = _predict(values, places)[1][..., _LEVELS:]
    normal = np.swapaxes(shares, 1, 2) @ shares + 1e-6 * np.eye(4)
    right = np.swapaxes(shares, 1, 2) @ levels[..., None]
    values[:, _LEVELS:] = np.linalg.solve(normal, right)[..., 0]
    return values


def _predict(values: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Predict grey levels (N, S) and their derivatives by the values (N, S, 11)."""
    away = places - values[:, None, :2]
    blur = np.exp(values[:, 6])[:, None]
    sides, steep = [], []
    slopes = np.empty((*places.shape[:2], _LEVELS + 4))
    for edge in (0, 1):
        way_x, way_y = np.cos(values[:, 2 + edge])[:, None], np.sin(values[:, 2 + edge])[:, None]
        along = away[..., 0] * way_x + away[..., 1] * way_y
        beside = away[..., 1] * way_x - away[..., 0] * way_y
        z = (beside - values[:, 4 + edge, None] / 2 * along * along) / blur
        # Share of the side towards which `beside` grows, and its slope by `beside`.
        sides.append((1 + erf(z / np.sqrt(2))) / 2)
        steep.append((np.exp(-z * z / 2) / (np.sqrt(2 * np.pi) * blur), z, along, way_x, way_y))
    a, b = sides
    shares = np.stack([a * b, a * (1 - b), (1 - a) * b, (1 - a) * (1 - b)], -1)
    grey = values[:, None, _LEVELS:]
    model = (shares * grey).sum(-1)
    by_a = b * (grey[..., 0] - grey[..., 2]) + (1 - b) * (grey[..., 1] - grey[..., 3])
    by_b = a * (grey[..., 0] - grey[..., 1]) + (1 - a) * (grey[..., 2] - grey[..., 3])
    slopes[..., 0] = slopes[..., 1] = slopes[..., 6] = 0
    for edge, by_side in enumerate((by_a, by_b)):
        slope, z, along, way_x, way_y = steep[edge]
        gain = by_side * slope
        slopes[..., 0] += gain * way_y
        slopes[..., 1] -= gain * way_x
        slopes[..., 2 + edge] = -gain * along
        slopes[..., 4 + edge] = -gain * along * along / 2
        slopes[..., 6] -= gain * z * blur
    slopes[..., _LEVELS:] = shares
    return model, slopes
