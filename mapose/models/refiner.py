"""The second stage: a network that looks again at a crop around each animal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mapose.arrays import Floats
from mapose.models.network import PoseNetwork


@dataclass(frozen=True, eq=False, repr=False)
class Refiner:
    """A network that is shown a crop around an animal and the pose that was found there.

    Parameters
    ----------
    network : PoseNetwork
        On the CPU, in training form. Its input has, after the channels of the image, one for each
        keypoint (see `mapose.data.crops.draw_pose`); it has no affinity fields.
    architecture : dict
        Arguments of `build_network`.
    factor : float
        Image pixels per crop pixel.
    side : int
        Of a crop, crop pixels.
    variance : float64, (K,)
        Factor that turns the spread of a peak into a covariance.
    weighed : bool
        Whether keypoints that the first stage is less sure of are drawn weaker.
    threshold : float
        Score below which a keypoint is more likely wrong than right, and said to be absent.

    References
    ----------
    Zhou et al. 2023 (ICCV): pose estimators of single animals are told the pose that another one
    found (BUCTD).
    """

    network: PoseNetwork
    architecture: dict[str, Any]
    factor: float
    side: int
    variance: Floats
    weighed: bool = False
    threshold: float = 0.0

    @property
    def pitch(self) -> float:
        """Image pixels per map cell."""
        return float(self.factor * self.network.stride)
