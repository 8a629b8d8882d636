"""How large and how lively the animals are, and how well they are seen: learned on the way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

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
