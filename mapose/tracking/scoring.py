"""How likely it is that a detection is a certain animal: log-likelihoods of motion and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.similarity import DEFAULT_SIGMA
from mapose.tracking.detections import find_centres

Floats = npt.NDArray[np.float64]

#: Degrees of freedom of Student's t: leaps and mixed-up limbs are rare, not impossible.
_FREEDOM = 3.0
#: Keypoints of one animal err together: all of them count for so many independent ones.
_INDEPENDENT = 3.0
#: Cost, in nats, of a detection that lacks every keypoint. On drawn mice in contact, 1, 3, 6 and
#: 12 left 65, 58, 51 and 50 lasting swaps.
_MISSING = 12.0
#: What a keypoint far from its place adds to the displacement of the body, against 1 for one that
#: is where it was expected.
_DOUBT = 0.02


@dataclass(frozen=True)
class Expected:
    """Where T tracks are expected, and how surely.

    Attributes
    ----------
    centres : float64, (T, d)
        Of the bodies.
    shape : float64, (T, K, d)
        Keypoints from there; NaN = unknown.
    variance : float64, (T,)
        Of a seen centre along one axis.
    spread : float64, (K,)
        Usual deviation of each keypoint within the body, from one frame to the next.
    unseen : int64, (T,)
        Frames since the track was seen; 1 = in the last one.
    scale : float
        Body size.
    """

    centres: Floats
    shape: Floats
    variance: Floats
    spread: Floats
    unseen: npt.NDArray[np.int64]
    scale: float


def score_pairs(expected: Expected, points: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Find how unlikely every detection is for every track.

    Parameters
    ----------
    expected : Expected
        Tracks.
    points : float64, (N, K, d)
        Detections; NaN = missing.
    weight : float64, (N, K)
        Trust in their keypoints; 0 = missing.

    Returns
    -------
    cost : float64, (T, N)
        Negative log-likelihood in nats, against a detection in place.
    gaps : float64, (T, N, d)
        Displacement of the body.
    """
    apart = points[None] - (expected.centres[:, None] + expected.shape)[:, None]
    squared = np.einsum("tnkd,tnkd->tnk", apart, apart)
    common = np.isfinite(squared)
    apart = np.where(common[..., None], apart, 0.0)
    # The displacement is a mean in which a limb that went to the neighbour hardly counts unless
    # all have moved as far.
    kernel = np.exp(squared * (-0.5 / (2 * DEFAULT_SIGMA * expected.scale) ** 2))
    trust = np.where(common, (np.where(common, kernel, 0.0) + _DOUBT) * weight, 0.0)
    gaps = np.einsum("tnk,tnkd->tnd", trust, apart)
    gaps /= np.maximum(trust.sum(-1), 1e-12)[..., None]
    unlike = ~common.any(-1)
    if unlike.any():  # no keypoint in common: compare the centres
        gaps[unlike] = (find_centres(points)[None] - expected.centres[:, None])[unlike]
    rest = apart - gaps[:, :, None]
    strayed = np.einsum("tnkd,tnkd->tnk", rest, rest)
    # What was not seen for long has moved on: its variance grows as in a random walk.
    since = np.minimum(expected.unseen, 30)[:, None, None]
    strayed /= expected.spread**2 * since
    exponent = (_FREEDOM + points.shape[-1]) / 2
    keypoints = points.shape[1]
    share = min(_INDEPENDENT / keypoints, 1.0)
    pose = np.where(common, np.log1p(strayed / _FREEDOM), 0.0).sum(-1) * (share * exponent)
    pose += _MISSING * (1 - common.sum(-1) / keypoints)
    variance = expected.variance[:, None]
    moved = np.einsum("tnd,tnd->tn", gaps, gaps) / variance
    motion = exponent * np.log1p(moved / _FREEDOM)
    motion += points.shape[-1] / 2 * np.log(variance / (0.1 * expected.scale) ** 2)
    return motion + pose, gaps
