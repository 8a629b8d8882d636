"""How likely it is that a detection is a certain animal: log-likelihoods of motion and pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.similarity import DEFAULT_SIGMA, find_centres

#: Degrees of freedom of Student's t: leaps and mixed-up limbs are rare, not impossible.
_FREEDOM = 3.0
#: Keypoints of one animal err together: all of them count for so many independent ones.
_INDEPENDENT = 3.0
#: Cost, in nats, of lacking all the keypoints that are usually found: half an animal is often a
#: piece of two. On 70 drawn scenes of mice in contact 12, 24, 30 and 40 left 315, 215, 192 and 174
#: rows taken over for good.
_MISSING = 40.0
#: What a keypoint far from its place adds to the displacement of the body, against 1 for one that
#: is where it was expected.
_DOUBT = 0.02
#: A keypoint that moved on the body by more than so many body sizes may be the neighbour's: the
#: shape that is carried along follows it by this share only.
_STRAY, _BELIEF = 0.15, 0.3
#: Cost in nats from which a detection is nobody's, and that of one within reach at most.
_LIMIT, FARTHEST = 40.0, 39.8
#: The same for an animal that is out of sight already: it is likely to stay there. On 16 drawn
#: scenes 40, 25, 20 and 15 nats left 54, 25, 33 and 33 lasting swaps.
_LIMIT_HIDDEN = 25.0
#: Detections more than so many times less sure than usual must lie nearer in proportion: what is
#: left over of animals that cover each other makes ghosts. IDF1 of two rough drawn scenes rose
#: from 0.675 to 0.762, the others stayed as they were.
_FAITH = 2.0
#: A match that costs more nats and is less sure, as a multiple of what is usual, is what is left
#: over of other animals: halves and mirror images that a young network makes in contacts.
_STRANGE, _WEAK = 15.0, 0.8
#: How far from where it is expected an animal is looked for, in body sizes: in the next frame
#: (flies have been seen to leap 1.1 sizes), and once it was out of sight: `stitch` joins what is
#: left apart, but cannot undo a track caught by a false alarm. On walking animals, hidden 8 to 40
#: frames among false alarms, 1.5 to 4 sizes left 25 switches, 1 size 6, 0.75 sizes 2, 0.5 sizes 4.
_REACH, _REACH_HIDDEN = 1.5, 0.75
#: Nats by which a lost animal's claim may be worse than the owner's.
_CLAIM = 3.0


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
    usual : float
        How many keypoints of an animal are usually found.
    """

    centres: Floats
    shape: Floats
    variance: Floats
    spread: Floats
    unseen: Ints
    scale: float
    usual: float


def find_shares(shape: Floats, points: Floats) -> Floats:
    """Find the share of the keypoints of each track (T, K, d) that each detection (N, K, d) has."""
    known = np.isfinite(shape[..., 0])
    common = (known[:, None] & np.isfinite(points[..., 0])).sum(-1)
    return np.asarray(common / np.maximum(known.sum(-1), 1)[:, None])


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
    pose += _MISSING * np.maximum(1 - common.sum(-1) / expected.usual, 0.0)
    variance = expected.variance[:, None]
    moved = np.einsum("tnd,tnd->tn", gaps, gaps) / variance
    motion = exponent * np.log1p(moved / _FREEDOM)
    motion += points.shape[-1] / 2 * np.log(variance / (0.1 * expected.scale) ** 2)
    return motion + pose, gaps


def find_reach(variances: Floats, unseen: Ints, scale: float) -> Floats:
    """Find how far from its prediction each track is looked for, (T,).

    Parameters
    ----------
    variances : float64, (T,)
        Of the predicted centres along one axis.
    unseen : int64, (T,)
        Frames since each track was seen.
    scale : float
        Body size.
    """
    leap = np.maximum(_REACH * scale, 4 * np.sqrt(variances))
    return np.where(unseen > 1, _REACH_HIDDEN * scale, leap)


def find_limits(unseen: Ints, trust: Floats) -> Floats:
    """Find the cost (T, N), in nats, from which a detection is not taken for an animal.

    Parameters
    ----------
    unseen : int64, (T,)
        Frames since each track was seen.
    trust : float64, (N,)
        How sure each detection is, as a multiple of what is usual.
    """
    limit = np.where(unseen > 1, _LIMIT_HIDDEN, _LIMIT)
    return np.asarray(limit[:, None] * np.minimum(_FAITH * trust, 1.0))


def find_leftovers(cost: Floats, trust: Floats) -> Bools:
    """Mark matches (M,) that hardly are the animal, given their cost in nats and their trust."""
    return (cost > _STRANGE) & (trust < _WEAK)


def find_contested(cost: Floats, matches: tuple[Ints, Ints], free: Bools) -> Bools:
    """Mark matches (M,) to which an animal that has just got nothing has as good a claim.

    The detection may be either animal, or both in one: it does not teach the track anything.

    Parameters
    ----------
    cost : float64, (T, N)
        Of every detection for every track, in nats.
    matches : (int64, int64), (M,) each
        Rows and columns of ``cost``.
    free : bool, (T,)
        Animals that may claim.
    """
    rows, columns = matches
    claims = cost[free][:, columns]
    return np.asarray((claims < cost[rows, columns] + _CLAIM).any(0))


def follow_shapes(former: Floats, shape: Floats, scale: float) -> tuple[Floats, Floats]:
    """Let shapes (N, K, d) follow what was seen; find how far each keypoint strayed (N, K)."""
    strayed = np.sqrt(np.square(shape - former).sum(-1))
    far = (strayed > _STRAY * scale)[..., None]
    shape = np.where(far, former + _BELIEF * (shape - former), shape)
    return np.where(np.isfinite(shape), shape, former), strayed
