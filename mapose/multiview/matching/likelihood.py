"""How likely a detection is to be the image of a 3D animal: arrays over views, tracks, slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.multiview.matching.observations import Frame

#: Share of keypoints that are anywhere: on the neighbour, on the other side, nowhere.
STRAY = 0.05


@dataclass(frozen=True)
class Comparison:
    """Every track against every detection of one frame.

    Parameters
    ----------
    error : float64, (V, T, S, K, 2)
        Seen minus expected, along the axes of the line of sight, px; 0 where not seen.
    spread : float64, (V, T, S, K, 3)
        Its covariance in px²: xx, xy, yy.
    scale : float64, (V, T, S, K)
        Pixels per unit of the world at that distance.
    common : bool, (V, T, S, K)
        Where a keypoint was seen and the animal is in front of the camera.
    """

    error: Floats
    spread: Floats
    scale: Floats
    common: Bools


def compare_all(frame: Frame, points: Floats, covariance: Floats, noise: Floats) -> Comparison:
    """Compare tracks with detections.

    Parameters
    ----------
    frame : Frame
        Detections (V, S, K).
    points : float64, (T, K, 3)
        Where the keypoints are expected.
    covariance : float64, (T, K, 3, 3)
        How well that is known.
    noise : float64, (V,)
        Standard deviation of a seen keypoint, px.
    """
    v, s, k = frame.seen.shape
    t = len(points)
    # One matrix product per keypoint: all lines of sight times all animals.
    axes = np.ascontiguousarray(frame.axes.transpose(2, 0, 1, 3, 4)).reshape(k, v * s * 3, 3)
    local = (axes @ points.transpose(1, 2, 0)).reshape(k, v, s, 3, t)
    local = local.transpose(1, 4, 2, 0, 3) - frame.origin[:, None]
    depth = local[..., 2]
    common = frame.seen[:, None] & (depth > 0)
    scale = frame.focal[:, None, None, None] / np.where(common, depth, np.inf)
    error = -local[..., :2] * scale[..., None]
    across = axes.reshape(k, v * s, 3, 3)[:, :, :2].reshape(k, v * s * 2, 3)
    half = across @ covariance.transpose(1, 2, 0, 3).reshape(k, 3, t * 3)
    half = half.reshape(k, v, s, 2, t, 3)
    whole = across.reshape(k, v, s, 2, 1, 3)
    products = [
        np.einsum("kvstc,kvsuc->vtsk", half[:, :, :, i], whole[:, :, :, j])
        for i, j in ((0, 0), (0, 1), (1, 1))
    ]
    spread = np.stack(products, axis=-1) * (scale**2)[..., None]
    own = (frame.variance * (noise**2)[:, None, None])[:, None]
    spread[..., 0] += own
    spread[..., 2] += own
    return Comparison(error, spread, scale, common)


def find_gains(error: Floats, spread: Floats, common: Bools, area: Floats) -> tuple[Floats, Floats]:
    """Find how much likelier each keypoint is on the track than anywhere on a body nearby.

    Parameters
    ----------
    error : float64, (V, ..., K, 2)
        Seen minus expected, px.
    spread : float64, (V, ..., K, 3)
        Its covariance: xx, xy, yy.
    common : bool, (V, ..., K)
        What counts.
    area : float64, (V,)
        Area of a body, px²: where a stray keypoint may lie.

    Returns
    -------
    gains : float64, (V, ..., K)
        Logarithm of the ratio; at least ``log(STRAY)``, 0 where nothing was seen.
    trust : float64, (V, ..., K)
        Probability that the keypoint is not a stray one.
    """
    xx, xy, yy = spread[..., 0], spread[..., 1], spread[..., 2]
    x, y = error[..., 0], error[..., 1]
    size = np.where(common, xx * yy - xy * xy, 1.0)
    squared = (yy * x * x - 2 * xy * x * y + xx * y * y) / size
    shape = (-1,) + (1,) * (common.ndim - 1)
    ratio = (area.reshape(shape) / (2 * np.pi)) * np.exp(-0.5 * squared) / np.sqrt(size)
    good = (1 - STRAY) * ratio
    gains = np.where(common, np.log(good + STRAY), 0.0)
    trust = np.where(common, good / (good + STRAY), 0.0)
    return gains, trust


#: First guesses, in body lengths: error of a keypoint, surprise of a body's and of a keypoint's
#: movement in a frame, and the least that is believed of each.
_NOISE, _SURPRISE, _BEND = 0.03, 0.05, 0.03
_LEAST_NOISE, _LEAST_SURPRISE, _LEAST_BEND = 0.005, 0.01, 0.005
#: Step of the learned values per frame, as a logarithm.
_NOISE_STEP, _STEP = 0.03, 0.1
#: Share of surprises that may be larger than the 90 % point of their distribution. Movements have
#: heavy tails: fitting that point instead of the middle keeps an animal that starts to run.
_LARGE = 0.1
#: 90 % points of chi-square with 2 and 3 degrees of freedom, and the median of the length of an
#: error in 2D in standard deviations.
_TAIL_2D, _TAIL_3D, _MEDIAN = 4.605, 6.251, 1.177


def find_temper(keypoints: int) -> float:
    """Find how much the evidence of each keypoint counts: those of one body err together."""
    return 1 / (1 + keypoints / 12)


class Scales:
    """Numbers that turn errors into probabilities.

    Parameters
    ----------
    size : float64, (V,)
        Usual length of a detection in each view, px.
    keypoints : int
        K.

    Attributes
    ----------
    noise : float64, (V,)
        Standard deviation of a keypoint that was seen with confidence 1, px.
    length : float
        Of a body in space; 0 until the first one is located.
    surprise, bend : float
        Standard deviations of what a body's and a keypoint's movement in a frame has that was
        not expected, in body lengths.
    temper : float
        How much the evidence of each keypoint counts.
    """

    def __init__(self, size: Floats, keypoints: int) -> None:
        self.size = size
        self.noise = _NOISE * size
        self.length = 0.0
        self.surprise, self.bend = _SURPRISE, _BEND
        self.temper = find_temper(keypoints)

    @property
    def area(self) -> Floats:
        """Area of a body in each view, float64 (V,), px²."""
        return self.size**2

    def learn_noise(self, view: int, errors: Floats) -> None:
        """Take in lengths of errors (N,) of one view, px."""
        if len(errors):
            above = np.sign(errors / _MEDIAN - self.noise[view]).mean()
            least = _LEAST_NOISE * self.size[view]
            self.noise[view] = max(self.noise[view] * np.exp(_NOISE_STEP * above), least)

    def learn_surprise(self, squared: Floats) -> None:
        """Take in displacements of bodies (N,), squared, over what was expected of each."""
        if len(squared):
            above = (squared > _TAIL_3D).mean() - _LARGE
            self.surprise = max(self.surprise * np.exp(_STEP * above), _LEAST_SURPRISE)

    def learn_bend(self, squared: Floats) -> None:
        """Take in displacements of keypoints (N,), squared, over what was expected of each."""
        if len(squared):
            above = (squared > _TAIL_2D).mean() - _LARGE
            self.bend = max(self.bend * np.exp(_STEP * above), _LEAST_BEND)
