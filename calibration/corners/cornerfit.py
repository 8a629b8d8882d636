"""Fitting a model of two blurred edges that cross to each corner, for its exact position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibration.arrays import Floats, Image, Singles
from calibration.corners.saddles import sample_image

# Samples along each of the four edges and across them, and the part of an edge they cover.
_ALONG, _ACROSS = 8, 7
_PART = (0.04, 0.4)
# Farthest samples from the edge in pixels: beyond, there is nothing to learn from a sharp image.
_NARROWEST, _WIDEST = 1.5, 5.0
# Blur carries what lies beyond the margin this far into it, in pixels. Corners of markers of 26 px
# are 0.04 px off with it; without, 0.12 px too far out.
_CLEAR = 2.0
# The first step takes every third sample; so many more at most take all. Largest steps, and those
# after which none follows as it would be a tenth of it (shift, two angles, two curvatures, log
# blur).
_THIN, _STEPS = 3, 4
_LARGEST = np.array([1.0, 1.0, 0.2, 0.2, np.inf, np.inf, 0.5])
_SETTLED = np.array([0.01, 0.01, np.inf, np.inf, np.inf, np.inf, 0.1])
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
    x, y = places + xy.T[..., None].astype(np.float32)
    inside = (x >= 0) & (x <= image.shape[1] - 1) & (y >= 0) & (y <= image.shape[0] - 1)
    levels = sample_image(image, np.stack([x, y], -1))
    # Taken once: to ask the system for memory takes longer than to fill it.
    memory = np.empty((len(xy), _LEVELS + 4, places.shape[-1]), np.float32)
    values = _start(levels[:, ::_THIN], arms, places[..., ::_THIN], memory)
    expected = values.copy()
    expected[:, _LEVELS:] = 0
    # Deviations count as for noise of 5 % of the contrast.
    contrast = np.maximum(np.ptp(values[:, _LEVELS:], axis=1), 3.0)
    weight = (20.0 / contrast) ** 2
    prior = np.diag([1e-9] * 4 + [_CURVATURE**-2] * 2 + [_SPREAD**-2] + [1e-9] * 4)
    prior = np.repeat(prior[None], len(xy), axis=0)
    if crossing:
        prior[:, _LEVELS:, _LEVELS:] += _ALIKE * weight[:, None, None] * _OPPOSITE
    squared = np.empty(len(xy))
    moving = np.arange(len(xy))
    for thin in [_THIN, *[1] * _STEPS]:
        clear = inside[moving, ::thin]
        model, slopes = _predict(values[moving], places[:, moving, ::thin], memory)
        residual = (levels[moving, ::thin] - model) * clear
        slopes *= clear[:, None]
        squared[moving] = (residual**2).mean(1)
        scale = thin * weight[moving, None]
        normal = (slopes @ np.swapaxes(slopes, 1, 2)) * scale[..., None]
        right = (slopes @ residual[..., None])[..., 0] * scale
        right -= (prior[moving] @ (values - expected)[moving, :, None])[..., 0]
        step = np.linalg.solve(normal + prior[moving], right[..., None])[..., 0]
        step[:, :_LEVELS] = np.clip(step[:, :_LEVELS], -_LARGEST, _LARGEST)
        values[moving] += step
        if thin == 1:
            moving = moving[(np.abs(step[:, :_LEVELS]) > _SETTLED).any(1)]
        if len(moving) == 0:
            break
    quality = 1 - squared / np.maximum(levels.var(1), 1e-6)
    quality[inside.mean(1) < _INSIDE] = 0
    return CornerFit(xy + values[:, :2], np.exp(values[:, 6]), quality)


def _place_samples(arms: Floats, margin: float) -> Singles:
    """Place samples along the arms and across them, float32 (2, N, 4 * along * across)."""
    u, v = np.moveaxis(arms, -1, 0).astype(np.float32)
    length = np.maximum(np.hypot(u, v), 1e-9)
    # How far away the next parallel edge is: the area of the square over this side.
    area = np.abs(u[:, :1] * v[:, 1:2] - v[:, :1] * u[:, 1:2])
    width = np.clip(margin * area / length - _CLEAR, _NARROWEST, _WIDEST) / length
    along = np.linspace(*_PART, _ALONG, dtype=np.float32)[:, None]
    aside = width[..., None, None] * np.linspace(-1, 1, _ACROSS, dtype=np.float32)
    u, v = u[..., None, None], v[..., None, None]
    return np.stack([u * along - v * aside, v * along + u * aside]).reshape(2, len(arms), -1)


def _start(levels: Singles, arms: Floats, places: Singles, memory: Singles) -> Floats:
    """Start values: shift, two angles, two curvatures, log blur, four grey levels."""
    rows, columns = arms[:, 0] - arms[:, 2], arms[:, 1] - arms[:, 3]
    values = np.zeros((len(arms), _LEVELS + 4))
    values[:, 2] = np.arctan2(rows[:, 1], rows[:, 0])
    values[:, 3] = np.arctan2(columns[:, 1], columns[:, 0])
    values[:, 6] = np.log(_BLUR)
    # Grey levels enter linearly: their slopes are the shares of the four areas.
    shares = _predict(values, places, memory)[1][:, _LEVELS:]
    normal = shares @ np.swapaxes(shares, 1, 2) + 1e-6 * np.eye(4)
    values[:, _LEVELS:] = np.linalg.solve(normal, shares @ levels[..., None])[..., 0]
    return values


def _predict(values: Floats, places: Singles, memory: Singles) -> tuple[Singles, Singles]:
    """Predict grey levels (N, S) at places (2, N, S), and their slopes by the values (N, 11, S).

    The slopes lie in `memory`.

    The share of the brighter side is Page's formula for
    the normal distribution, good to 0.00014 and 30 times as fast as the error function.

    References
    ----------
    Page 1977, "Approximations to the cumulative normal function and its inverse for use on a
    pocket calculator", Applied Statistics 26: 75-76.
    """
    slopes = memory[: len(values), :, : places.shape[-1]]
    now = values.astype(np.float32)[..., None]
    x, y = (places - np.moveaxis(now[:, :2], 1, 0))[:, :, None]
    cosine, sine = np.cos(now[:, 2:4]), np.sin(now[:, 2:4])
    # For both edges: along it and across.
    along, bend = slopes[:, 2:4], slopes[:, 4:6]
    along[:] = x * cosine + y * sine
    np.multiply(along, along / 2, out=bend)
    blur = np.exp(now[:, 6:7])
    z = (y * cosine - x * sine - now[:, 4:6] * bend) / blur
    # Share of the side towards which z grows, and its slope across the edge.
    square = z * z
    side = (1 + np.tanh(0.7988 * z * (1 + 0.04417 * square))) / 2
    gain = side * (1 - side) * (1 + 3 * 0.04417 * square) * (2 * 0.7988 / blur)
    a, b = side[:, 0], side[:, 1]
    shares = slopes[:, _LEVELS:]
    shares[:, 0] = a * b
    shares[:, 1], shares[:, 2] = a - shares[:, 0], b - shares[:, 0]
    shares[:, 3] = 1 - a - shares[:, 2]
    grey = now[:, _LEVELS:]
    # What is gained on one side of an edge depends on the other edge.
    twist = grey[:, 0] - grey[:, 1] - grey[:, 2] + grey[:, 3]
    gain[:, 0] *= grey[:, 1] - grey[:, 3] + b * twist
    gain[:, 1] *= grey[:, 2] - grey[:, 3] + a * twist
    slopes[:, 0], slopes[:, 1] = (gain * sine).sum(1), -(gain * cosine).sum(1)
    slopes[:, 2:6].reshape(len(now), 2, 2, -1)[:] *= -gain[:, None]
    slopes[:, 6] = -(gain * z).sum(1) * blur[:, 0]
    return (np.swapaxes(grey, 1, 2) @ shares)[:, 0], slopes
