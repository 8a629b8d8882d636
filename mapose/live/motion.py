"""Where keypoints are now: a Kalman filter for each, in the plane or in space."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Bools, Floats

#: First standard deviation of the velocity, in body lengths per second, and of the acceleration,
#: per second squared; that one is learned.
_SPEED, _ACCELERATION = 2.0, 10.0
#: Step of the acceleration per set, as a logarithm, and the share of surprises that may be larger
#: than the 90 % point of their distribution (chi-square with 2 and 3 degrees of freedom).
_STEP, _LARGE = 0.05, 0.1
_TAIL = {2: 4.605, 3: 6.251}
#: A measurement further away than so many standard deviations is taken for a stray, at most so
#: often in a row.
_STRAY, _STUBBORN = 5.0, 3
#: Seconds after which a keypoint that is not seen is forgotten.
_FORGET = 1.0


class Motion:
    """Constant-velocity filters of I x K keypoints in d dimensions.

    Parameters
    ----------
    individuals, keypoints : int
        I and K.
    dimensions : int
        2 or 3.

    References
    ----------
    Bar-Shalom, Li and Kirubarajan 2001, "Estimation with Applications to Tracking and
    Navigation", chapter 6 (white-noise acceleration); the noise is learned from how often
    innovations exceed their 90 % point.

    Examples
    --------
    >>> motion = Motion(1, 1, 2)
    >>> for n in range(50):
    ...     motion.update(n / 10, np.array([[[10.0 * n, 5]]]), 0.01 * np.eye(2)[None, None], 20)
    >>> where, _ = motion.predict(5.1)
    >>> where.round().tolist()
    [[[510.0, 5.0]]]
    """

    def __init__(self, individuals: int, keypoints: int, dimensions: int) -> None:
        shape = (individuals, keypoints)
        self.dimensions = dimensions
        self.points: Floats = np.full((*shape, dimensions), np.nan)
        self.velocity: Floats = np.zeros((*shape, dimensions))
        self._covariance: Floats = np.zeros((*shape, 2 * dimensions, 2 * dimensions))
        self._time = np.full(shape, -np.inf)  # of the last prediction of each
        self._seen = np.full(shape, -np.inf)
        self._strays = np.zeros(shape, np.int64)
        self._acceleration = _ACCELERATION
        self._size = 1.0

    def predict(self, time: float) -> tuple[Floats, Floats]:
        """Predict all keypoints to a moment; nothing is changed.

        Parameters
        ----------
        time : float
            Seconds.

        Returns
        -------
        points : float64, (I, K, d)
            NaN where nothing is known.
        covariance : float64, (I, K, d, d)
        """
        points, covariance = self._move(time)
        d = self.dimensions
        return points, covariance[..., :d, :d]

    def update(self, time: float, points: Floats, covariance: Floats, size: float) -> None:
        """Take in what was seen.

        Parameters
        ----------
        time : float
            Of the exposure, seconds; not before the last one.
        points : float64, (I, K, d)
            NaN = not seen.
        covariance : float64, (I, K, d, d)
            Of the points.
        size : float
            Usual length of a body, in the same unit: what speeds are measured by.
        """
        self._size = size if np.isfinite(size) and size > 0 else self._size
        d = self.dimensions
        moved, spread = self._move(time)
        seen = np.isfinite(points).all(-1) & np.isfinite(covariance).all((-1, -2))
        known = np.isfinite(moved).all(-1) & (time - self._seen < _FORGET)
        both = seen & known
        total = np.where(both[..., None, None], spread[..., :d, :d] + covariance, np.eye(d))
        gap = np.where(both[..., None], points - moved, 0.0)
        squared = np.einsum("ikd,ikd->ik", gap, np.linalg.solve(total, gap[..., None])[..., 0])
        stray = both & (squared > _STRAY**2) & (self._strays < _STUBBORN)
        self._strays = np.where(seen, np.where(stray, self._strays + 1, 0), self._strays)
        used = both & ~stray
        self._learn(squared[used])
        fresh = seen & (~known | (both & ~stray & (squared > _STRAY**2)))
        gain = spread[..., :d] @ np.linalg.inv(total)
        step = np.where(used[..., None], np.einsum("ikab,ikb->ika", gain, gap), 0.0)
        kept = np.where(used[..., None, None], spread - gain @ spread[..., :d, :], spread)
        self.points = moved + step[..., :d]
        self.velocity = self.velocity + step[..., d:]
        self._covariance = kept
        self._time[:] = time
        self._begin(fresh, points, covariance)
        self._seen = np.where(used | fresh, time, self._seen)
        gone = time - self._seen >= _FORGET
        self.points[gone] = np.nan
        self.velocity[gone] = 0

    def _begin(self, fresh: Bools, points: Floats, covariance: Floats) -> None:
        d = self.dimensions
        self.points[fresh] = points[fresh]
        self.velocity[fresh] = 0
        self._strays[fresh] = 0
        self._covariance[fresh] = 0
        self._covariance[fresh, :d, :d] = covariance[fresh]
        self._covariance[fresh, d:, d:] = (_SPEED * self._size) ** 2 * np.eye(d)

    def _move(self, time: float) -> tuple[Floats, Floats]:
        """Predict places and the covariance of place and velocity, (I, K, 2d, 2d)."""
        d, eye = self.dimensions, np.eye(self.dimensions)
        step = np.where(np.isfinite(self._time), np.clip(time - self._time, 0, _FORGET), 0.0)
        move = np.zeros((*step.shape, 2 * d, 2 * d))
        move[..., :d, :d] = move[..., d:, d:] = eye
        move[..., :d, d:] = step[..., None, None] * eye
        noise = np.zeros_like(move)
        power = (self._acceleration * self._size) ** 2
        for rows, columns, share in (
            (slice(0, d), slice(0, d), step**4 / 4),
            (slice(0, d), slice(d, None), step**3 / 2),
            (slice(d, None), slice(0, d), step**3 / 2),
            (slice(d, None), slice(d, None), step**2),
        ):
            noise[..., rows, columns] = power * share[..., None, None] * eye
        points = self.points + step[..., None] * self.velocity
        return points, move @ self._covariance @ move.swapaxes(-1, -2) + noise

    def _learn(self, squared: Floats) -> None:
        """Let the acceleration follow how surprising the innovations are."""
        if len(squared):
            above = float((squared > _TAIL[self.dimensions]).mean()) - _LARGE
            self._acceleration *= float(np.exp(_STEP * above))
            self._acceleration = min(max(self._acceleration, 0.1), 1e3)
