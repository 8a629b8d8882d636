"""What is answered to a set of frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import Floats, Singles
from mapose.live.gathering import FrameSet
from mapose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Answer:
    """Animals at the moment of an exposure, and where they are now.

    Parameters
    ----------
    frames : FrameSet
        What it was found in.
    skeleton : Skeleton
        Names of the K keypoints.
    individuals : tuple of str
        Names of the I animals: rows, which an animal keeps.
    unit : str
        Of the points: ``"px"`` of the only camera, or the calibration's.
    points : float64, (I, K, d)
        As measured at the exposure; NaN = not seen.
    covariance : float64, (I, K, d, d)
        Of `points`.
    confidence : float64, (I, K)
        0 = not seen.
    moment : float
        To which `predicted` is predicted, seconds of `time.monotonic`.
    predicted : float64, (I, K, d)
        Where the keypoints are at `moment`; NaN = not known.
    predicted_covariance : float64, (I, K, d, d)
        Of `predicted`.
    certainty : float64, (I,)
        Probability that a row's animal is this one rather than another one of the set; NaN
        where nobody is, or of a single camera.
    views : dict of str to float32 (I, K, 3)
        x, y, confidence by camera, px.
    """

    frames: FrameSet
    skeleton: Skeleton
    individuals: tuple[str, ...]
    unit: str
    points: Floats
    covariance: Floats
    confidence: Floats
    moment: float
    predicted: Floats
    predicted_covariance: Floats
    certainty: Floats
    views: dict[str, Singles]

    @property
    def age(self) -> float:
        """Seconds from the exposure to the moment of the prediction."""
        return self.moment - self.frames.exposed

    def to_dict(self) -> dict[str, Any]:
        """Give what a listener needs as plain values; null = not known.

        Returns
        -------
        dict
            ``number`` of the set, ``exposed`` and ``moment`` in seconds, ``unit``,
            ``keypoints`` and ``individuals``: by name ``points``, ``predicted``, ``spread``
            (standard deviation of what is predicted, along an axis), ``confidence``,
            ``certainty``.
        """
        spread = np.sqrt(np.einsum("ikaa->ik", self.predicted_covariance) / self.points.shape[-1])
        animals = {
            name: {
                "points": _list_values(self.points[i]),
                "predicted": _list_values(self.predicted[i]),
                "spread": _list_values(spread[i]),
                "confidence": _list_values(self.confidence[i]),
                "certainty": _list_values(self.certainty[i]),
            }
            for i, name in enumerate(self.individuals)
        }
        return {
            "number": self.frames.number,
            "exposed": self.frames.exposed,
            "moment": self.moment,
            "unit": self.unit,
            "keypoints": list(self.skeleton.keypoints),
            "individuals": animals,
        }


def _list_values(values: Any) -> Any:
    """Make lists of an array, with None for NaN, as JSON has none."""
    rounded = np.round(np.asarray(values, np.float64), 4).astype(object)
    return np.where(np.isfinite(values), rounded, np.array(None)).tolist()
