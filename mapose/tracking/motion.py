"""Where animals will be next: one Kalman filter per track, all of them moved at once."""

from __future__ import annotations

import numpy as np

from mapose.arrays import AnyFloats, Bools, Floats, Ints

#: Share of the speed that is left after a frame. Real animals stop and turn: on two courting
#: flies the next centre is missed by 2.63 px on average with 0.8, by 2.76 px with 1 (a constant
#: speed) and by 3.09 px with 0.5; and a hidden animal stays near where it vanished.
DECAY = 0.8


class KalmanBank:
    """Kalman filters of many body centres, with nearly constant velocity.

    The axes share their noise and are independent, so that a track needs one covariance of
    (position, velocity), whatever the number of dimensions.

    Parameters
    ----------
    dimensions : int
        2 for pixels, 3 for world coordinates.

    Attributes
    ----------
    state : float64, (T, 2, d)
        Position and velocity (per frame) of each track.
    covariance : float64, (T, 2, 2)
        Of position and velocity along one axis.

    References
    ----------
    Bar-Shalom, Li, Kirubarajan 2001, Estimation with Applications to Tracking and Navigation,
    ch. 6: discrete white-noise acceleration; matrices from `filterpy.common`.
    """

    def __init__(self, dimensions: int = 2) -> None:
        # Imported here: filterpy loads all of itself with scipy.stats, most of a second.
        from filterpy.common import Q_discrete_white_noise, kinematic_state_transition

        self._transition: Floats = kinematic_state_transition(1, 1.0) * [1.0, DECAY]
        self._process: Floats = Q_discrete_white_noise(2, dt=1.0, var=1.0)
        self.state: Floats = np.empty((0, 2, dimensions))
        self.covariance: Floats = np.empty((0, 2, 2))

    def __len__(self) -> int:
        return len(self.state)

    @property
    def centres(self) -> Floats:
        """Positions, float64 (T, d)."""
        return self.state[:, 0]

    @property
    def variances(self) -> Floats:
        """Variance of each position along one axis, float64 (T,)."""
        return self.covariance[:, 0, 0]

    def start(self, centres: AnyFloats, noise: float, speed: float) -> None:
        """Start a filter at rest for each of the (N, d) centres.

        Parameters
        ----------
        noise, speed : float
            Standard deviations of the position and of the unknown velocity.
        """
        state = np.zeros((len(centres), 2, centres.shape[1]))
        state[:, 0] = centres
        covariance = np.broadcast_to(np.diag([noise**2, speed**2]), (len(centres), 2, 2))
        self.state = np.concatenate([self.state, state])
        self.covariance = np.concatenate([self.covariance, covariance])

    def keep(self, rows: Bools) -> None:
        """Keep the filters that bool (T,) marks and forget the others."""
        self.state = self.state[rows]
        self.covariance = self.covariance[rows]

    def predict(self, acceleration: float) -> None:
        """Move all filters on by one frame.

        Parameters
        ----------
        acceleration : float
            Standard deviation of the change of velocity in a frame.
        """
        move = self._transition
        self.state = move @ self.state
        self.covariance = move @ self.covariance @ move.T + self._process * acceleration**2

    def update(self, rows: Ints, gaps: Floats, noise: float) -> None:
        """Correct some filters by what was seen.

        Parameters
        ----------
        rows : int64, (N,)
            Filters that were seen.
        gaps : float64, (N, d)
            Seen minus predicted centre.
        noise : float
            Standard deviation of a seen centre.
        """
        covariance = self.covariance[rows]
        first = covariance[:, :, 0]
        gain = first / (first[:, :1] + noise**2)
        self.state[rows] += gain[:, :, None] * gaps[:, None, :]
        self.covariance[rows] = covariance - gain[:, :, None] * first[:, None, :]


class RunningMedian:
    """Median of a stream of positive numbers, in the memory of one.

    The estimate steps up or down by a factor that shrinks from 2 to 1.01, towards the side on
    which more of the new numbers lie. It depends on the order of frames, not on how they are cut
    into chunks.

    Parameters
    ----------
    value : float, optional
        First guess; by default the median of the first numbers.
    """

    def __init__(self, value: float | None = None) -> None:
        self.value = value
        self._seen = 0

    def add(self, numbers: Floats) -> None:
        """Take in the numbers (N,) of one frame; NaN and nothing are passed over."""
        numbers = numbers[numbers > 0]
        if not numbers.size:
            return
        if self.value is None:
            self.value = float(np.median(numbers))
        self._seen += 1
        above = int((numbers > self.value).sum()) - int((numbers < self.value).sum())
        step = max(np.log(2) / self._seen, 0.01)
        self.value *= float(np.exp(step * above / numbers.size))


class RunningSpread:
    """Spread of each keypoint within the body, learned as `RunningMedian` learns."""

    def __init__(self) -> None:
        self._value: Floats | None = None  # (K,)
        self._seen = 0

    def find(self, keypoints: int, size: float) -> Floats:
        """Find the standard deviations along one axis (K,); a tenth of the size to begin with."""
        value = self._value if self._value is not None else np.full(keypoints, 0.1 * size)
        return np.maximum(value, 0.02 * size)

    def add(self, deviations: Floats, size: float) -> None:
        """Take in the deviations (N, K) of one frame; NaN is passed over."""
        if not len(deviations):
            return
        if self._value is None:
            self._value = np.full(deviations.shape[1], 0.1 * size)
        self._seen += 1
        median = 1.18 * self._value  # of the distance, where each of two axes has this spread
        above = (deviations > median).sum(0) - (deviations < median).sum(0)
        there = np.isfinite(deviations).sum(0)
        step = max(np.log(2) / self._seen, 0.01)
        self._value = self._value * np.exp(step * above / np.maximum(there, 1))
