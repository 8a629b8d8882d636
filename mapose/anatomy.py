"""Where the keypoints of an animal lie on its body, learned from labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Bools, Complexes, Floats, Ints
from mapose.errors import ShapeError

#: Poses that a keypoint must be labelled in to be learned.
FEWEST = 10
#: Least standard deviation of a keypoint, body sizes. Animals of a new video are not quite those
#: that were labelled. With 0.03, 0.1 and 0.2 drawn mice have 86.4, 88.4 and 87.4 % of their
#: keypoints right; flies differ by less than 0.1 %.
NARROWEST = 0.1
#: Squared Mahalanobis distance up to which a label counts fully; of good ones 0.0004 % are further.
_FARTHEST = 25.0
_ROUNDS = 20
#: Distance, body sizes, from which a mirror image that leaves a keypoint elsewhere is another
#: body's. Of animals whose pairs are known 0.44 at most (the tail of mice that bend it, 20 labels);
#: of ears, legs and wings without their partners 0.4 to 3, one of each skeleton beyond 0.8.
_ASIDE = 0.5
#: How keypoints move together: learned from so many poses at most, in so many rounds; labels count
#: as if in so many poses more each keypoint had moved alone.
_MOST, _LEARNING, _ALONE = 300, 10, 2.0
#: No place is known better, body sizes. With 0.03, 0.05, 0.07 and 0.1, learned on other frames, of
#: 1,081 keypoints of a mouse and its mirror image 32 are wrong (if each moves alone 59), of 2,400
#: of a fly 85, 86, 85 and 87 (93), of 5,089 of two flies 543, 544, 548 and 552 (549).
_LOOSE = 0.05
#: Degrees of freedom of the distribution of a keypoint about its place: wide tails, so that one
#: wrong keypoint neither turns the body nor is impossible. 2 to 8 differ by less than 0.2 %.
FREEDOM = 4.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Where the keypoints lie on the body of an animal.

    In the frame of the body: origin amid the keypoints, their root mean square distance from it
    is 1. Turn, position and size in the image do not count.

    Parameters
    ----------
    mean : float64, (K, 2)
        Mean place of each keypoint, body sizes; NaN = not known.
    covariance : float64, (K, 2, 2)
        Spread of each keypoint about the place that the others give it, body sizes squared.
    joint : float64, (2 K, 2 K), optional
        Covariance of all keypoints about their mean places, body sizes squared, in the order
        x0, y0, x1, ...: legs that step in turn, a paw and its image in a mirror. By default, as in
        older models, each moves alone.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """

    mean: Floats
    covariance: Floats
    joint: Floats | None = None

    def __post_init__(self) -> None:
        k = len(self.mean)
        if self.mean.shape != (k, 2) or self.covariance.shape != (k, 2, 2):
            raise ShapeError(
                "anatomy: wanted a mean (K, 2) and a covariance (K, 2, 2), came "
                f"{self.mean.shape} and {self.covariance.shape}"
            )
        if self.joint is not None and self.joint.shape != (2 * k, 2 * k):
            raise ShapeError(
                f"anatomy: wanted a joint covariance {(2 * k, 2 * k)}, came {self.joint.shape}"
            )


def learn_anatomy(points: AnyFloats, *, flip_order: Ints | None = None) -> Anatomy | None:
    """Learn where the keypoints of an animal lie from labelled poses.

    Parameters
    ----------
    points : float, (N, K, 2)
        Poses, image pixels; NaN or infinite = missing.
    flip_order : int64, (K,), optional
        Channel that each keypoint takes in a mirrored image. If given, left and right are learned
        from both sides: every pose counts once more as its mirror image.

    Returns
    -------
    Anatomy or None
        None if fewer than three keypoints are each labelled in at least `FEWEST` poses with three
        keypoints or more, or if they always lie in one place.

    References
    ----------
    Generalised Procrustes analysis (Gower 1975) with missing points; the spread is that about the
    place given by a fit to the other keypoints, less the uncertainty of that fit. The joint
    covariance is that of a point distribution model (Cootes et al. 1995), learned by expectation
    and maximisation where keypoints are missing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> poses = np.array([[0.0, 0], [4, 0], [1, 3]]) + rng.normal(0, 0.1, (20, 3, 2))
    >>> anatomy = learn_anatomy(100 * poses + 7)
    >>> np.linalg.norm(np.diff(anatomy.mean, axis=0), axis=1).round(1)
    array([1.8, 1.9])
    """
    z = to_complex(points)
    if flip_order is not None:
        z = np.concatenate([z, -z.conj()[:, flip_order]])
    there = np.isfinite(z)
    known = there[there.sum(1) >= 3].sum(0) >= FEWEST
    there &= known
    there &= there.sum(1, keepdims=True) >= 3
    if known.sum() < 3 or not there.any():
        return None
    z = np.where(there, z, 0)
    fullest = there.sum(1).argmax()
    seen = there[fullest]
    mean = _standardise(np.where(seen, z[fullest], z[fullest, seen].mean()), known)
    spread = np.tile(np.eye(2), (len(known), 1, 1))
    for _ in range(_ROUNDS):
        weight = there * 2 / np.trace(spread, axis1=1, axis2=2)
        turn, shift, doubt = fit_shape(z, weight, mean, others=False)
        laid = np.where(np.isfinite(doubt), (z - shift) / turn, mean)
        total = (there * laid).sum(0) / np.maximum(there.sum(0), 1)
        mean = _standardise(np.where(known, total, 0), known)
        if not np.isfinite(mean).all():
            return None
        spread = _find_spread(z, there, spread, mean)
    joint = _learn_joint(z, there, mean, spread)
    places = to_real(mean)
    places[~known] = spread[~known] = np.nan
    return Anatomy(places, spread, joint)


def _learn_joint(z: Complexes, there: Bools, mean: Complexes, spread: Floats) -> Floats:
    """Learn the covariance of all keypoints (2 K, 2 K) about their mean places."""
    few = np.unique(np.linspace(0, len(z) - 1, _MOST).astype(np.int64))
    z, there = z[few], there[few]
    weight = there * 2 / np.trace(spread, axis1=1, axis2=2)
    turn, shift, doubt = fit_shape(z, weight, mean, others=False)
    gap = np.where(there & np.isfinite(doubt), (z - shift) / turn - mean, np.nan)
    gap = gap[np.isfinite(gap).any(1)]
    return _find_covariance(to_real(gap).reshape(len(gap), -1))


def _find_covariance(values: Floats) -> Floats:
    """Find the covariance of columns (N, C) about 0, some missing (NaN), never quite sure."""
    there = np.isfinite(values)
    own = np.where(there, values, 0)
    variance = (own**2).sum(0) / np.maximum(there.sum(0), 1)
    variance = np.where(there.any(0), variance, 1) + _LOOSE**2
    far = 4 * np.sqrt(variance)
    own = np.clip(own, -far, far)  # a wrong label does not count without limit
    covariance = np.diag(variance)
    patterns, which = np.unique(there, axis=0, return_inverse=True)
    alone = _ALONE / (_ALONE + len(values))
    for _ in range(_LEARNING):
        total = np.zeros_like(covariance)
        for number, seen in enumerate(patterns):
            rows, lost = own[which.ravel() == number], ~seen
            if lost.any():
                slope = np.linalg.solve(
                    covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, lost)]
                )
                rows[:, lost] = rows[:, seen] @ slope
                rest = covariance[np.ix_(lost, lost)] - covariance[np.ix_(lost, seen)] @ slope
                total[np.ix_(lost, lost)] += len(rows) * rest
            total += rows.T @ rows
        covariance = total / max(len(values), 1)
        covariance = (1 - alone) * covariance + alone * np.diag(np.diag(covariance))
        covariance += _LOOSE**2 * np.eye(len(covariance))
    return covariance


def find_sided(points: AnyFloats, flip_order: Ints) -> Bools:
    """Find keypoints that lie to one side of the body and have no partner on the other.

    Parameters
    ----------
    points : float, (N, K, 2)
        Poses, image pixels; NaN or infinite = missing.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.

    Returns
    -------
    bool, (K,)
        True where a mirrored animal would have the keypoint somewhere else: further off than half
        the body's size, and than chance moves a mean. Nothing is said with too few poses.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fly = np.array([[0.0, 4], [-3, 0], [3, 0], [0, -4]]) + rng.normal(0, 0.1, (20, 4, 2))
    >>> [bool(find_sided(fly, np.array(order)).any()) for order in ([0, 2, 1, 3], [0, 1, 2, 3])]
    [False, True]
    """
    anatomy = learn_anatomy(points)
    alone = flip_order == np.arange(len(flip_order))
    if anatomy is None:
        return np.zeros(len(alone), bool)
    mean = to_complex(anatomy.mean)
    known = np.isfinite(mean)
    spread = np.where(known[:, None, None], anatomy.covariance, np.eye(2))
    mean = np.where(known, mean, 0)
    mirrored, both = -mean.conj()[flip_order], known & known[flip_order]
    turn, shift, doubt = lay_bodies(mirrored, both.astype(float), mean, spread=spread)
    off = np.abs((mirrored - shift) / turn - mean)
    count = np.maximum(np.isfinite(to_complex(points)).sum(0), 1)
    chance = np.sqrt(np.trace(spread, axis1=1, axis2=2) / count)
    return np.asarray(alone & both & np.isfinite(doubt) & (off > np.maximum(_ASIDE, 3 * chance)))


def _find_spread(z: Complexes, there: Bools, spread: Floats, mean: Complexes) -> Floats:
    """Find the covariance of each keypoint (K, 2, 2) about where the others put it."""
    weight = there * 2 / np.trace(spread, axis1=1, axis2=2)
    turn, shift, doubt = fit_shape(z, weight, mean)
    good = there & np.isfinite(doubt)
    gap = np.where(good, (z - shift) / turn - mean, 0)
    doubt = np.where(good, doubt, 0)
    # A wrong label does not count without limit.
    pull = good * np.minimum(1, _FARTHEST / np.maximum(find_mahalanobis(gap, spread, doubt), 1))
    parts = np.stack([gap.real, gap.imag], -1)
    total = np.einsum("nk,nki,nkj->kij", pull, parts, parts)
    # The uncertainty of the fit is not the keypoint's.
    total -= (pull * doubt).sum(0)[:, None, None] * np.eye(2)
    spread = total / np.maximum(good.sum(0), 1)[:, None, None]
    values, vectors = np.linalg.eigh(spread)
    values = np.maximum(values, NARROWEST**2)
    return np.asarray(np.einsum("kij,kj,klj->kil", vectors, values, vectors))


def fit_shape(
    z: Complexes, weight: Floats, mean: Complexes, *, others: bool = True
) -> tuple[Complexes, Complexes, Floats]:
    """Fit a shape to poses by weighted least squares: ``z = turn * mean + shift``.

    Parameters
    ----------
    z : complex128, (..., K)
        Poses, x the real and y the imaginary part, image pixels; finite everywhere.
    weight : float64, (..., K)
        Inverse variance of each keypoint about its place, per body size squared; 0 = missing.
    mean : complex128, (K,)
        The shape, body sizes.
    others : bool
        For each keypoint the fit to all others, which does not know where it was found; or one
        fit to all.

    Returns
    -------
    turn, shift : complex128, (..., K)
        How the body lies; the size of the turn is in pixels per body size.
    doubt : float64, (..., K)
        Variance that the fit brings to the place of the keypoint, body sizes squared; infinite
        where fewer than two keypoints, or such in one place, were left to fit to.
    """
    whole = np.maximum(weight.sum(-1, keepdims=True), 1e-12)
    centre = (weight * z).sum(-1, keepdims=True) / whole
    z = np.where(weight > 0, z - centre, 0)

    def add(each: npt.NDArray) -> npt.NDArray:
        total = each.sum(-1, keepdims=True)
        return total - each if others else np.broadcast_to(total, each.shape)

    w = add(weight)
    there = w > 1e-9
    w = np.where(there, w, 1)
    z_mean, m_mean = add(weight * z) / w, add(weight * mean) / w
    square = add(weight * np.abs(mean) ** 2) / w - np.abs(m_mean) ** 2
    there &= square > 1e-6
    square = np.where(there, square, 1)
    turn = (add(weight * z * mean.conj()) / w - z_mean * m_mean.conj()) / square
    # A body without size can be turned anyhow.
    there &= np.abs(turn) > 1e-6
    doubt = (1 + np.abs(mean - m_mean) ** 2 / square) / w
    shift = z_mean - turn * m_mean + centre
    return np.where(there, turn, 1), shift, np.where(there, doubt, np.inf)


def lay_bodies(
    z: Complexes, score: Floats, mean: Complexes, *, spread: Floats
) -> tuple[Complexes, Complexes, Floats]:
    """Find how a body lies around each keypoint, whatever that keypoint says.

    Parameters
    ----------
    z : complex128, (..., K)
        Poses, see `fit_shape`.
    score : float64, (..., K)
        How much each keypoint counts; 0 = missing.
    mean : complex128, (K,)
        The shape, body sizes.
    spread : float64, (K, 2, 2)
        See `Anatomy`.

    Returns
    -------
    turn, shift, doubt
        As of `fit_shape`.

    References
    ----------
    A fit that is robust by Student's density with `FREEDOM` degrees (iteratively reweighted).
    """
    base = score * 2 / np.trace(spread, axis1=1, axis2=2)
    weight = base
    for _ in range(4):
        turn, shift, doubt = fit_shape(z, weight, mean)
        sure = np.isfinite(doubt)
        gap = np.where(sure, (z - shift) / turn - mean, 0)
        far = find_mahalanobis(gap, spread, np.where(sure, doubt, 0))
        weight = base * (FREEDOM + 2) / (FREEDOM + far)
    return fit_shape(z, weight, mean)


def find_mahalanobis(gap: Complexes, spread: Floats, doubt: Floats) -> Floats:
    """Find squared Mahalanobis distances of keypoints from their places.

    Parameters
    ----------
    gap : complex128, (...)
        From the place to the keypoint, body sizes.
    spread : float64, (..., 2, 2)
        Covariance of the keypoint, see `Anatomy`.
    doubt : float64, (...)
        Variance of the place, see `fit_shape`.

    Returns
    -------
    float64, (...)
    """
    xx, yy, xy = spread[..., 0, 0] + doubt, spread[..., 1, 1] + doubt, spread[..., 0, 1]
    x, y = gap.real, gap.imag
    return np.asarray((yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy))


def _standardise(mean: Complexes, known: Bools) -> Complexes:
    """Move a pose to the origin and to unit size; NaN if it has none."""
    mean = np.where(known, mean - mean[known].mean(), 0)
    size = np.sqrt((np.abs(mean[known]) ** 2).mean())
    return np.asarray(mean / size if size > 0 else mean * np.nan)


def to_complex(points: AnyFloats) -> Complexes:
    """Write points (..., 2) as complex numbers, NaN where x or y is not finite."""
    points = np.asarray(points, np.float64)
    points = np.where(np.isfinite(points).all(-1, keepdims=True), points, np.nan)
    return np.asarray(points[..., 0] + 1j * points[..., 1])


def to_real(z: Complexes) -> Floats:
    """Write complex numbers as points (..., 2)."""
    return np.stack([z.real, z.imag], -1)
