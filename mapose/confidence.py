"""What a network's score and covariance are worth: a probability, and an ellipse that holds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapose.arrays import AnyFloats, Floats
from mapose.poses import Poses

#: Scores nearer to 0 or 1 than this are taken for this: beyond it nothing is known of them.
_EDGE = 0.02


@dataclass(frozen=True, eq=False)
class Confidence:
    """How scores become probabilities and raw covariances true ones, found on held-out labels.

    Parameters
    ----------
    tolerance : float
        Distance in px within which a keypoint is right: the confidence is the probability that
        it is there and no further away.
    slope : float
        Of the log odds over those of the score; above 0, so that order is kept.
    offset : float64, (K,)
        Log odds of each keypoint at a score of one half.
    spread, fall : float
        Covariances are multiplied by ``exp(spread - fall * log odds of the score)``.
    """

    tolerance: float
    slope: float
    offset: Floats
    spread: float
    fall: float

    def find_probabilities(self, scores: AnyFloats) -> Floats:
        """Turn scores (..., K), 0 to 1, into probabilities.

        Examples
        --------
        >>> half = Confidence(12.0, 2.0, np.array([0.0, 3.0]), 0.0, 0.0)
        >>> half.find_probabilities(np.array([[0.5, 0.5], [0.8, 0.2]])).round(2).tolist()
        [[0.5, 0.95], [0.94, 0.56]]
        """
        return 1 / (1 + np.exp(-(self.offset + self.slope * find_odds(scores))))

    def find_factors(self, scores: AnyFloats) -> Floats:
        """Find what covariances of keypoints of these scores are multiplied by."""
        return np.exp(self.spread - self.fall * find_odds(scores))

    def apply(self, poses: Poses) -> Poses:
        """Make poses whose confidence and covariance can be relied on.

        Parameters
        ----------
        poses : Poses
            As assembled, confidence = score; what was not found stays so.
        """
        array = poses.array.copy()
        score = poses.confidence
        there = np.isfinite(array[..., :2]).all(-1)
        sure = self.find_probabilities(np.nan_to_num(score))
        array[..., 2] = np.where(there, sure, score)
        covariance = poses.covariance
        if covariance is not None:
            factor = self.find_factors(np.nan_to_num(score))
            covariance = (covariance * factor[..., None, None]).astype(np.float32)
        return replace(poses, array=array, covariance=covariance)


def find_odds(scores: AnyFloats) -> Floats:
    """Find the log odds of scores from 0 to 1."""
    inside = np.clip(np.asarray(scores, np.float64), _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))
