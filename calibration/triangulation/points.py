"""Points of the world from pixels of several cameras."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from calibration.arrays import Bools, Floats
from calibration.camera import Camera, find_reprojection_errors
from calibration.errors import CalibrationError
from calibration.triangulation.consensus import Beliefs, choose_views, learn_beliefs
from calibration.triangulation.epipolar import estimate_noise, find_all_distances
from calibration.triangulation.fitting import PLACES, fit_points, invert_normal, refine_points
from calibration.triangulation.sightlines import Sightlines, make_sightlines

# Points worked on at once, and pixels if there are few cameras: enough to hide the overhead of
# numpy, few enough for the processor's cache.
_POINTS, _PIXELS = 2048, 16384
# Residuals beyond the three that fix each point, from which the noise is estimated to about 1 %.
_REDUNDANT = 12_000
#: A point is given if its views are right with at least this probability: where two choices of
#: views are alike, none is taken. With four cameras and 10 % of pixels astray, 0.01 % of points
#: are then grossly wrong and 0.4 % missing; at 0.5 it is 0.08 and 0.0 %, at 0.99 0.00 and 1.4 %.
SURE = 0.9
# Noise that is believed without data, over the diagonal of the picture.
_USUAL = 0.002


@dataclass(frozen=True, eq=False)
class Triangulation:
    """World points and how good they are; the axes ``...`` are those of the pixels.

    Parameters
    ----------
    points : float64, (..., 3)
        In the unit of the cameras; NaN where fewer than two views show the same point, or where
        it stays unclear which.
    covariance : float64, (..., 3, 3)
        Of the points, unit squared, from the noise of the pixels in the views used; NaN where
        the point is.
    error : float64, (...)
        Mean distance of the point's images from the pixels in the views used, px.
    views : bool, (V, ...)
        Views used: seen and not contradicting the others.
    probability : float64, (...)
        That the views used are the right ones, all others stray; also of points not given.
        1 for all given points if not robust.
    sigma : float
        Standard deviation of pixels of confidence 1, px, as given or estimated; if covariances
        were given, what they were multiplied with, rooted.

    Examples
    --------
    >>> from calibration.synthetic import make_ring
    >>> ring = make_ring(4)
    >>> found = ring.triangulate(ring.project([[0, 0, 0], [30, 40, 50]]), sigma=1)
    >>> found.points.round(6) + 0
    array([[ 0.,  0.,  0.],
           [30., 40., 50.]])
    >>> print(found)
    2 of 2 points found, 4.0 views each, median error 0.00 px, noise 1.00 px
    """

    points: Floats
    covariance: Floats
    error: Floats
    views: Bools
    probability: Floats
    sigma: float

    def __str__(self) -> str:
        found = np.isfinite(self.error)
        text = f"{found.sum()} of {found.size} points found"
        if found.any():
            each = self.views.sum() / found.sum()
            text += f", {each:.1f} views each, median error {np.median(self.error[found]):.2f} px"
        return f"{text}, noise {self.sigma:.2f} px"


@dataclass(frozen=True, eq=False)
class _Task:
    """Checked pixels, flat."""

    cameras: Collection[Camera]
    pixels: npt.NDArray[np.floating]
    weights: Floats | None
    covariance: Floats | None

    def cut(self, part: slice | npt.NDArray[np.intp]) -> Sightlines:
        """Make the sightlines of some points."""
        pixels = np.asarray(self.pixels[:, part], np.float64)
        return make_sightlines(
            self.cameras,
            np.where(np.isfinite(pixels), pixels, np.nan),
            weights=None if self.weights is None else self.weights[:, part],
            covariance=None if self.covariance is None else self.covariance[:, part],
        )


def triangulate_points(
    cameras: Collection[Camera],
    pixels: npt.ArrayLike,
    *,
    confidence: npt.ArrayLike | None = None,
    covariance: npt.ArrayLike | None = None,
    sigma: float | None = None,
    robust: bool = True,
    stray: float | None = None,
) -> Triangulation:
    """Find the world points that pixels of several cameras show.

    Each point is where the squared distances to its pixels, weighted by their noise, are
    smallest: the most probable point under normal noise. Robust triangulation first asks which
    views show the point at all. A pixel is an image of the point or stray, that is anywhere in
    the picture; the most probable choice of views is taken, and none where it is not clearly
    more probable than every other and than that there is no point. With two views, only the
    distance of their rays and the place where these meet can tell.

    Parameters
    ----------
    cameras : CameraGroup or other collection of Camera
        V of them, at least two.
    pixels : float, (V, ..., 2)
        Pixels of each camera, in their order; NaN = not seen.
    confidence : float, (V, ...), optional
        From 0 to 1: the variance of a pixel is sigma squared over its confidence; 0 or NaN = not
        seen. (Over 4 x 1250 keypoints of OpenPose, squared distances from where the other
        cameras expect them go with 1 / confidence within a quarter.)
    covariance : float, (V, ..., 2, 2), optional
        Of the pixels in px^2, instead of the confidence; NaN = not seen.
    sigma : float, optional
        Standard deviation of pixels in px. By default estimated from how far the rays of pairs
        of views miss each other, or 1, as a factor, if covariances are given.
    robust : bool
        Whether views that contradict the others are left out; else all are used.
    stray : float, optional
        Share of pixels that are not images of their point. By default estimated, at 1 to 50 %,
        from how many pairs of rays miss each other.

    Returns
    -------
    Triangulation
        Points with covariance, error, views used.

    Raises
    ------
    CalibrationError
        If shapes or numbers do not fit; all faults are listed at once.

    References
    ----------
    Hartley and Sturm 1997, "Triangulation" (Computer Vision and Image Understanding 68:146);
    Torr and Zisserman 2000, "MLESAC" (same journal 78:138).

    Examples
    --------
    >>> from calibration.synthetic import make_ring
    >>> ring = make_ring(4)
    >>> pixels = ring.project([[0, 0, 0], [30, 40, 50]])
    >>> pixels[0, 0] += 50  # astray
    >>> pixels[1:, 1] = np.nan  # seen by one camera only
    >>> found = triangulate_points(ring, pixels, sigma=1)
    >>> found.points.round(6) + 0
    array([[ 0.,  0.,  0.],
           [nan, nan, nan]])
    >>> found.views[:, 0]
    array([False,  True,  True,  True])
    """
    task, shape = _check(cameras, pixels, confidence, covariance)
    _check_numbers(sigma, stray)
    n = task.pixels.shape[1]
    chosen = Triangulator.pick_sample(n, len(cameras))
    sample = task.cut(chosen)
    if sigma is None:
        sigma = 1.0 if covariance is not None else _estimate_sigma(cameras, sample)
    beliefs = learn_beliefs(cameras, sample, noise=sigma, stray=stray) if robust else None
    # The sample of few points is all of them.
    return _find(
        task,
        shape,
        sigma=float(sigma),
        beliefs=beliefs,
        sample=sample if len(chosen) == n else None,
    )


@dataclass(frozen=True, eq=False)
class Triangulator:
    """Triangulates points of a long recording a part at a time, with what a sample has taught.

    Parameters
    ----------
    cameras : CameraGroup or other collection of Camera
        V of them.
    sigma : float
        As of `Triangulation`.
    beliefs : Beliefs
        About stray pixels and where points are.

    Examples
    --------
    >>> from calibration.synthetic import make_ring
    >>> ring = make_ring(4)
    >>> pixels = ring.project(np.random.default_rng(0).normal(0, 50, (9000, 3)))
    >>> known = Triangulator.learn(ring, pixels[:, Triangulator.pick_sample(9000, 4)])
    >>> parts = [known.find(pixels[:, :5000]).points, known.find(pixels[:, 5000:]).points]
    >>> np.array_equal(np.concatenate(parts), triangulate_points(ring, pixels).points)
    True
    """

    cameras: Collection[Camera]
    sigma: float
    beliefs: Beliefs

    @staticmethod
    def pick_sample(count: int, views: int) -> npt.NDArray[np.intp]:
        """Pick the points, spread evenly, from which `triangulate_points` learns.

        They are enough to estimate the noise and learn the scene.
        """
        enough = min(count, _REDUNDANT // (2 * views - 3))
        return np.unique(np.linspace(0, max(count - 1, 0), enough).round().astype(np.intp))

    @classmethod
    def learn(
        cls,
        cameras: Collection[Camera],
        pixels: npt.ArrayLike,
        *,
        confidence: npt.ArrayLike | None = None,
        covariance: npt.ArrayLike | None = None,
    ) -> Triangulator:
        """Learn from a sample, all of which is used; see `triangulate_points`."""
        task, _ = _check(cameras, pixels, confidence, covariance)
        sample = task.cut(slice(None))
        sigma = 1.0 if covariance is not None else _estimate_sigma(cameras, sample)
        return cls(cameras, sigma, learn_beliefs(cameras, sample, noise=sigma, stray=None))

    def find(
        self,
        pixels: npt.ArrayLike,
        *,
        confidence: npt.ArrayLike | None = None,
        covariance: npt.ArrayLike | None = None,
    ) -> Triangulation:
        """Triangulate points, of which the sample was a part or not; see `triangulate_points`."""
        task, shape = _check(self.cameras, pixels, confidence, covariance)
        return _find(task, shape, sigma=float(self.sigma), beliefs=self.beliefs)


def _find(
    task: _Task,
    shape: tuple[int, ...],
    *,
    sigma: float,
    beliefs: Beliefs | None,
    sample: Sightlines | None = None,
) -> Triangulation:
    """Triangulate some thousand points at a time; the sample, if given, is all of them."""
    views, n = len(task.cameras), task.pixels.shape[1]
    found = _allocate(views, shape, sigma)
    # The same arrays with one axis of points: what is written into these lies in those.
    flat = replace(
        found,
        points=found.points.reshape(n, 3),
        covariance=found.covariance.reshape(n, 3, 3),
        error=found.error.reshape(n),
        views=found.views.reshape(views, n),
        probability=found.probability.reshape(n),
    )
    step = max(_PIXELS // views, _POINTS)
    for start in range(0, n, step):
        part = slice(start, start + step)
        lines = sample if sample is not None and n <= step else task.cut(part)
        _fill(flat, task, part, lines, beliefs=beliefs)
    return found


def _allocate(views: int, shape: tuple[int, ...], sigma: float) -> Triangulation:
    return Triangulation(
        points=np.empty((*shape, 3)),
        covariance=np.empty((*shape, 3, 3)),
        error=np.empty(shape),
        views=np.empty((views, *shape), bool),
        probability=np.empty(shape),
        sigma=sigma,
    )


def _fill(
    found: Triangulation, task: _Task, part: slice, lines: Sightlines, *, beliefs: Beliefs | None
) -> None:
    """Triangulate some points and write them into the arrays of all."""
    if beliefs is None:
        used, probability = lines.seen, np.ones(lines.seen.shape[1])
        fit = fit_points(lines, used.astype(float), steps=3)
    else:
        choice = choose_views(lines, beliefs)
        fit, used, probability = choice.fit, choice.used, choice.probability
    given = (probability >= SURE) & (used.sum(0) > 1)
    fit = refine_points(lines, (used & given).astype(float), fit)
    inverse = invert_normal(fit.normal)[0] * found.sigma**2
    given &= np.isfinite(inverse).all(0)
    given &= np.isfinite(np.where(used, fit.squares, 0)).all(0)
    found.points[part] = np.where(given, fit.points, np.nan).T
    for entry, (i, j) in zip(np.where(given, inverse, np.nan), PLACES, strict=True):
        found.covariance[part, i, j] = found.covariance[part, j, i] = entry
    found.views[:, part] = used & given
    found.probability[part] = probability if beliefs else given
    found.error[part] = _find_error(task, part, found)


def _find_error(task: _Task, part: slice, found: Triangulation) -> Floats:
    """Find the mean reprojection error over the views used, px; NaN without a point."""
    errors = find_reprojection_errors(task.cameras, found.points[part], task.pixels[:, part])
    used = found.views[:, part]
    count = used.sum(0)
    return np.where(count > 0, np.where(used, errors, 0).sum(0) / np.maximum(count, 1), np.nan)


def _estimate_sigma(cameras: Collection[Camera], lines: Sightlines) -> float:
    diagonal = float(np.median([np.hypot(*camera.size) for camera in cameras]))
    return estimate_noise(find_all_distances(lines), guess=_USUAL * diagonal)


def _check_numbers(sigma: float | None, stray: float | None) -> None:
    fine = {
        "sigma": sigma is None or 0 < sigma < np.inf,
        "stray": stray is None or 0 < stray < 1,
    }
    if not all(fine.values()):
        wrong = " and ".join(name for name, good in fine.items() if not good)
        raise CalibrationError(
            f"triangulation: wanted sigma above 0 and stray between 0 and 1, came wrong {wrong}: "
            f"sigma {sigma}, stray {stray}"
        )


def _check(
    cameras: Collection[Camera],
    pixels: npt.ArrayLike,
    confidence: npt.ArrayLike | None,
    covariance: npt.ArrayLike | None,
) -> tuple[_Task, tuple[int, ...]]:
    """Check shapes and numbers, flatten; also gives the axes between the first and last."""
    seen = np.asarray(pixels)
    views, shape = len(cameras), seen.shape[1:-1]
    names = ", ".join(camera.name for camera in cameras)
    if seen.ndim < 2 or seen.shape[0] != views or seen.shape[-1] != 2:
        raise CalibrationError(
            f"pixels: wanted ({views}, ..., 2) for the cameras {names}, came {seen.shape}"
        )
    faults = [] if views > 1 else [f"cameras: wanted at least two, came only {names}"]
    if seen.dtype.kind not in "fiu":
        faults.append(f"pixels: wanted numbers, came {seen.dtype}")
    if confidence is not None and covariance is not None:
        faults.append("confidence and covariance: wanted one of them, came both")
    sure = None if confidence is None else np.asarray(confidence, np.float64)
    if sure is not None and sure.shape != (views, *shape):
        faults.append(f"confidence: wanted {(views, *shape)}, came {sure.shape}")
    elif sure is not None and ((sure < 0) | np.isinf(sure)).any():
        faults.append("confidence: wanted 0 or above, came negative or infinite numbers")
    spread = None if covariance is None else np.asarray(covariance, np.float64)
    if spread is not None and spread.shape != (views, *shape, 2, 2):
        faults.append(f"covariance: wanted {(views, *shape, 2, 2)}, came {spread.shape}")
    elif spread is not None and not _is_covariance(spread):
        faults.append("covariance: wanted symmetric matrices with positive eigenvalues (or NaN)")
    if faults:
        raise CalibrationError("triangulation: " + "; ".join(faults))
    n = int(np.prod(shape))
    task = _Task(
        cameras,
        seen.reshape(views, n, 2),
        None if sure is None else sure.reshape(views, n),
        None if spread is None else spread.reshape(views, n, 2, 2),
    )
    return task, shape


def _is_covariance(spread: Floats) -> bool:
    known = spread[np.isfinite(spread).all((-2, -1))]
    even = np.abs(known[:, 0, 1] - known[:, 1, 0]) <= 1e-6 * (known[:, 0, 0] + known[:, 1, 1])
    positive = known[:, 0, 0] * known[:, 1, 1] > known[:, 0, 1] * known[:, 1, 0]
    return bool((even & positive & (known[:, 0, 0] > 0)).all())
