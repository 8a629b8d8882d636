"""Which views show the same point: hypotheses compared by their probability.

Each pixel is either an image of the point, with normal noise, or stray, and then anywhere in the
picture. A hypothesis says which pixels are images; its evidence is the probability of all pixels
under it, with the unknown point integrated out. The rival of all hypotheses is that at most one
pixel is an image: then there is no point to be found.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import chdtri, gammaln

from calibration.arrays import Bools, Floats
from calibration.camera import Camera
from calibration.triangulation.epipolar import find_all_distances
from calibration.triangulation.fitting import Fit, find_surprise, fit_points, invert_normal
from calibration.triangulation.sightlines import Sightlines, make_sightlines

#: Pairs of views from which hypotheses grow, per point.
_SEEDS = 4
# Pairs further apart than this, in standard deviations, are not of one point.
_APART = 5.0
# Points whose squared residuals sum up to what only this share of right ones reaches are searched.
_RARE = 1e-3
_LOG_2PI = float(np.log(2 * np.pi))
# Degrees of freedom of the distribution of points in the scene.
_TAIL = 4.0
_ROUNDS = 10
# How many points or pairs a guess weighs.
_TRUST = 10.0
# Share of wrong pairs if every tenth pixel is stray; limits of what is learned.
_USUAL_WRONG, _STRAYS = 0.19, (0.01, 0.5)
# Points from which the scene is learned at most.
_SAMPLE = 600
# Pairs of pixels anywhere that tell how often pairs agree by chance.
_RANDOM = 5000


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed before a point's pixels are compared.

    Parameters
    ----------
    noise : float
        Standard deviation of pixels, in units of the noise that sightlines were made with.
    stray : float
        Share of pixels that are not images of their point.
    log_area : float64, (V,)
        Logarithm of the area over which each camera's stray pixels spread, px^2.
    middle : float64, (3,)
        Where points are.
    spread : float64, (6,)
        Upper triangle of the inverse scale matrix of where points are.
    log_density : float
        Logarithm of the density of points in the middle.
    """

    noise: float
    stray: float
    log_area: Floats
    middle: Floats
    spread: Floats
    log_density: float

    def find_log_density(self, points: Floats) -> Floats:
        """Find the logarithms of how dense points (3, N) are: Student's t distribution."""
        x, y, z = points - self.middle[:, None]
        a, b, c, d, e, f = self.spread
        square = a * x * x + d * y * y + f * z * z + 2 * (b * x * y + c * x * z + e * y * z)
        return np.asarray(self.log_density - 0.5 * (_TAIL + 3) * np.log1p(square / _TAIL))


@dataclass(frozen=True, eq=False)
class Choice:
    """The most probable hypothesis of each of N points.

    Parameters
    ----------
    fit : Fit
        Of the points.
    used : bool, (V, N)
        Views that show the point.
    probability : float64, (N,)
        That these are the right views, all others and only these; 0 where there are not two.
    """

    fit: Fit
    used: Bools
    probability: Floats


def choose_views(lines: Sightlines, beliefs: Beliefs) -> Choice:
    """Find the most probable views of each point, and the point.

    Where all pixels fit one point, or there are no more than two, all is said. Other points
    are searched: pairs of views whose rays meet are triangulated, take in all views that fit,
    and the most probable of these hypotheses is chosen.

    Parameters
    ----------
    lines : Sightlines
        Of N points.
    beliefs : Beliefs
        About noise, stray pixels and where points are.

    Returns
    -------
    Choice
        Of N points.

    References
    ----------
    Torr and Zisserman 2000, "MLESAC" (Computer Vision and Image Understanding 78:138).
    """
    used = lines.seen.copy()
    fit = fit_points(lines, used.astype(float), steps=1)
    evidence = _find_evidence(lines, beliefs, fit, used)
    probability = _compare(evidence[None], _find_rival(lines, beliefs))[0]
    doubtful = np.flatnonzero((used.sum(0) > 2) & ~find_agreement(fit, used, beliefs.noise))
    if len(doubtful):
        found = _search(lines.take(doubtful), beliefs)
        used[:, doubtful] = found.used
        probability[doubtful] = found.probability
        for whole, part in zip(vars(fit).values(), vars(found.fit).values(), strict=True):
            whole[..., doubtful] = part
    return Choice(fit, used, probability)


def find_agreement(fit: Fit, used: Bools, noise: float) -> Bools:
    """Tell where pixels fit one point as all but one in a thousand right sets would, (N,)."""
    count = used.sum(0)
    limits = chdtri(np.maximum(2 * np.arange(len(used) + 1) - 3, 1), _RARE)
    squares = np.where(used, fit.squares, 0).sum(0)
    return np.asarray((count > 1) & (squares < limits[count] * noise**2))


def learn_beliefs(
    cameras: Collection[Camera], lines: Sightlines, *, noise: float, stray: float | None
) -> Beliefs:
    """Learn from a sample what to expect of pixels and points.

    Parameters
    ----------
    cameras : collection of Camera
        Of the sightlines.
    lines : Sightlines
        Of the sample.
    noise : float
        See `Beliefs`.
    stray : float, optional
        See `Beliefs`; by default learned from how many pairs of rays miss each other.

    Returns
    -------
    Beliefs
        For `choose_views`.
    """
    distances = find_all_distances(lines) / noise
    missed = distances > _APART
    if stray is None:
        pairs, wrong = np.isfinite(distances).sum(), missed.sum()
        share = (wrong + _USUAL_WRONG * _TRUST) / (pairs + _TRUST)
        stray = float(np.clip(1 - np.sqrt(1 - share), *_STRAYS))
    crowding = _measure_crowding(cameras, lines, distances[missed], noise=noise)
    area = np.array([camera.size[0] * camera.size[1] for camera in cameras], float)
    middle, inverse = _learn_scene(cameras, lines, noise)
    peak = gammaln((_TAIL + 3) / 2) - gammaln(_TAIL / 2) - 1.5 * np.log(_TAIL * np.pi)
    return Beliefs(
        noise=noise,
        stray=stray,
        log_area=np.log(area / crowding),
        middle=middle,
        spread=inverse[np.triu_indices(3)],
        log_density=float(peak + 0.5 * np.log(np.linalg.det(inverse))),
    )


def _measure_crowding(
    cameras: Collection[Camera], lines: Sightlines, missed: Floats, *, noise: float
) -> float:
    """Find how much more often than pixels anywhere in the pictures wrong pairs come near.

    Stray pixels are mostly somewhere on an animal: they agree with others by chance more often
    than their number and the size of the pictures let expect.
    """
    # Both counted over as wide a range, but for wrong pairs beyond what right ones reach.
    wide = 2 * _APART
    usual = np.exp(np.median(lines.log_noise[lines.seen]) / 2) if lines.seen.any() else 1.0
    chance = float((_find_random_distances(tuple(cameras)) < wide * noise * usual).mean())
    near = (missed < _APART + wide).sum()
    return float((near + _TRUST) / (missed.size * chance + _TRUST))


@lru_cache(maxsize=8)
def _find_random_distances(cameras: tuple[Camera, ...]) -> Floats:
    """Find how far pairs of pixels anywhere in the pictures miss each other, px; NaN = no ray."""
    size = np.array([camera.size for camera in cameras])[:, None]
    views = len(cameras)
    shape = views, max(2 * _RANDOM // (views * (views - 1)), 1), 2
    pixels = np.random.default_rng(0).random(shape) * size
    return find_all_distances(make_sightlines(cameras, pixels))


def _learn_scene(
    cameras: Collection[Camera], lines: Sightlines, noise: float
) -> tuple[Floats, Floats]:
    """Learn where points are: middle (3,) and inverse scale matrix (3, 3) of a t distribution.

    Points whose pixels all agree are taken for a sample of the scene; the heavy tails admit
    points far off. Without any, a scene as wide as the pictures is assumed; it weighs as much as
    `_TRUST` points. By the algorithm of Lange et al. 1989 (Journal of the American Statistical
    Association 84:881).
    """
    area = np.array([camera.size[0] * camera.size[1] for camera in cameras], float)
    focal = np.array([camera.focal for camera in cameras])
    reach = (np.sqrt(area) / focal)[:, None]
    lines = lines.take(np.arange(0, lines.seen.shape[1], lines.seen.shape[1] // _SAMPLE + 1))
    fit = fit_points(lines, lines.seen.astype(float), steps=2)
    agreeing = find_agreement(fit, lines.seen, noise)
    if agreeing.any():
        points = fit.points[:, agreeing]
        width = np.median((reach * fit.depth[:, agreeing])[lines.seen[:, agreeing]])
    else:
        points = np.zeros((3, 1))
        width = np.median(reach * np.abs(lines.shift))
    middle, scale = np.median(points, axis=1), np.eye(3) * max(float(width) / 4, 1e-9) ** 2
    guess = scale
    for _ in range(_ROUNDS):
        apart = points - middle[:, None]
        square = (apart * np.linalg.solve(scale, apart)).sum(0)
        weight = (_TAIL + 3) / (_TAIL + square)
        middle = (points * weight).sum(1) / weight.sum()
        scale = ((apart * weight) @ apart.T + _TRUST * guess) / (points.shape[1] + _TRUST)
    return middle, np.asarray(np.linalg.inv(scale), np.float64)


def _search(lines: Sightlines, beliefs: Beliefs) -> Choice:
    """Let hypotheses grow from pairs of views and pick the most probable one."""
    seeds = _find_seeds(lines, beliefs.noise)
    # Hypotheses of all points in one row; few points have as many as there may be.
    rank, point = np.nonzero(seeds.any(1))
    if not len(point):
        fit = fit_points(lines, lines.seen.astype(float), steps=0)
        return Choice(fit, lines.seen, np.zeros(lines.seen.shape[1]))
    each, used = lines.take(point), seeds[rank, :, point].T
    fit = fit_points(each, used.astype(float), steps=1)
    squares, spread = find_surprise(each, fit, noise=beliefs.noise)
    gain = _find_gain(each, beliefs)
    used |= each.seen & (gain - 0.5 * (squares + np.log(spread)) > 0)
    fit = fit_points(each, used.astype(float), steps=1)
    seeds[rank, :, point] = used.T
    evidence = np.full((len(seeds), seeds.shape[2]), -np.inf)
    evidence[rank, point] = _find_evidence(each, beliefs, fit, used)
    for i in range(1, len(seeds)):
        for j in range(i):
            evidence[i, (seeds[i] == seeds[j]).all(0)] = -np.inf
    probability = _compare(evidence, _find_rival(lines, beliefs))
    best = probability.argmax(0)
    row = np.zeros(evidence.shape, np.intp)
    row[rank, point] = np.arange(len(point))
    points = np.arange(len(best))
    picked = Fit(*(part[..., row[best, points]] for part in vars(fit).values()))
    return Choice(picked, seeds[best, :, points].T, probability[best, points])


def _find_seeds(lines: Sightlines, noise: float) -> Bools:
    """Find pairs of views whose rays meet, (S, V, N): those first that meet most others."""
    views, n = lines.seen.shape
    first, second = np.triu_indices(views, 1)
    distances = find_all_distances(lines)
    meet = distances < _APART * noise
    friends = np.stack([meet[(first == v) | (second == v)].sum(0) for v in range(views)])
    score = friends[first] + friends[second] - distances / (_APART * noise)
    score[~meet] = -np.inf
    best = np.argpartition(-score, min(_SEEDS, len(score)) - 1, axis=0)[:_SEEDS]
    seeds = np.zeros((len(best), views, n), bool)
    met = np.take_along_axis(meet, best, axis=0)[:, None]
    for ends in (first, second):
        np.put_along_axis(seeds, ends[best][:, None], met, axis=1)
    return seeds


def _find_gain(lines: Sightlines, beliefs: Beliefs) -> Floats:
    """Find how much likelier pixels are as images, without residual, than stray; log, (V, N)."""
    odds = np.log(1 / beliefs.stray - 1) + beliefs.log_area - _LOG_2PI - 2 * np.log(beliefs.noise)
    return np.asarray(odds[:, None] - lines.log_noise)


def _find_evidence(lines: Sightlines, beliefs: Beliefs, fit: Fit, used: Bools) -> Floats:
    """Find the log evidence (N,) of hypotheses (V, N) over all pixels being stray.

    The point is integrated out by Laplace's method.
    """
    gain = _find_gain(lines, beliefs) - 0.5 / beliefs.noise**2 * fit.squares
    # With the scene's own spread: what the views leave open is not more open than that.
    determinant = invert_normal(fit.normal / beliefs.noise**2 + beliefs.spread[:, None])[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        evidence = (
            np.where(used, gain, 0).sum(0)
            + 1.5 * _LOG_2PI
            - 0.5 * np.log(determinant)
            + beliefs.find_log_density(fit.points)
        )
    return np.where(np.isfinite(evidence) & (used.sum(0) > 1), evidence, -np.inf)


def _find_rival(lines: Sightlines, beliefs: Beliefs) -> Floats:
    """Find the log evidence of at most one pixel being an image, over none; (N,)."""
    return np.asarray(np.log1p(lines.seen.sum(0) * (1 / beliefs.stray - 1)))


def _compare(evidence: Floats, rival: Floats) -> Floats:
    """Turn the log evidence of hypotheses (S, N) and of their rival (N,) into probabilities."""
    top = np.maximum(evidence.max(0), rival)
    weights = np.exp(evidence - top)
    return np.asarray(weights / (weights.sum(0) + np.exp(rival - top)))
