"""Animals in 3D: where every keypoint is expected, and how well that is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Floats, Ints

#: Share of the speed that is left after a frame: real animals stop and turn.
DECAY = 0.8


class Bodies:
    """Kalman filters of T animals: the body moves as one, and every keypoint on it by itself.

    The body has a displacement and a velocity with one covariance per animal; each keypoint has
    a 3D covariance of its own about the body. A keypoint that was never seen is somewhere on
    the body.

    Parameters
    ----------
    keypoints : int
        K.
    pairs : int
        M, of left and right keypoints.

    Attributes
    ----------
    ids : int64, (T,)
        Numbers of the animals, never used twice.
    points : float64, (T, K, 3)
        Positions.
    covariance : float64, (T, K, 3, 3)
        Of each keypoint about the body.
    velocity : float64, (T, 3)
        Of the body, per frame.
    motion : float64, (T, 2, 2)
        Covariance of the body's position and velocity along one axis.
    unseen : int64, (T,)
        Frames since the animal was seen last.
    alone : int64, (T,)
        Frames since two cameras at once saw it: how far away it is has been a guess since then.
    thin : int64, (T,)
        Frames since three cameras at once saw it.
    hits : int64, (T,)
        Frames in which it was seen.
    outvoted : int64, (T, M)
        Frames since when most cameras see left and right the other way round.
    """

    _FIELDS = (
        "ids",
        "points",
        "covariance",
        "velocity",
        "motion",
        "unseen",
        "alone",
        "thin",
        "hits",
        "outvoted",
    )

    def __init__(self, keypoints: int, pairs: int = 0) -> None:
        self.ids: Ints = np.empty(0, np.int64)
        self.points: Floats = np.empty((0, keypoints, 3))
        self.covariance: Floats = np.empty((0, keypoints, 3, 3))
        self.velocity: Floats = np.empty((0, 3))
        self.motion: Floats = np.empty((0, 2, 2))
        self.unseen: Ints = np.empty(0, np.int64)
        self.alone: Ints = np.empty(0, np.int64)
        self.thin: Ints = np.empty(0, np.int64)
        self.hits: Ints = np.empty(0, np.int64)
        self.outvoted: Ints = np.empty((0, pairs), np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def start(self, ids: Ints, points: Floats, *, body: float, speed: float) -> None:
        """Start animals whose keypoints are all about one place.

        Parameters
        ----------
        ids : int64, (N,)
            Their numbers.
        points : float64, (N, K, 3)
            Positions; NaN = not known.
        body : float
            Half of a body's length.
        speed : float
            Standard deviation of the unknown velocity.
        """
        count = len(ids)
        places, covariance = self._fill(points, body)
        self._append(
            ids=ids,
            points=places,
            covariance=covariance,
            velocity=np.zeros((count, 3)),
            motion=np.broadcast_to(np.diag([(0.1 * body) ** 2, speed**2]), (count, 2, 2)),
            unseen=np.zeros(count, np.int64),
            alone=np.zeros(count, np.int64),
            thin=np.zeros(count, np.int64),
            hits=np.zeros(count, np.int64),
            outvoted=np.zeros((count, self.outvoted.shape[1]), np.int64),
        )

    def relocate(self, row: int, points: Floats, *, body: float) -> None:
        """Put an animal where two cameras saw it (K, 3), whatever was expected."""
        places, covariance = self._fill(points[None], body)
        self.points[row], self.covariance[row] = places[0], covariance[0]
        self.velocity[row] = 0
        self.unseen[row] = self.alone[row] = 0

    @staticmethod
    def _fill(points: Floats, body: float) -> tuple[Floats, Floats]:
        """Put keypoints that are not known in mid-body; gives positions and covariances."""
        known = np.asarray(np.isfinite(points).all(-1))
        centre = np.where(known[..., None], points, 0).sum(1) / known.sum(1)[:, None]
        covariance = np.where(known, (0.2 * body) ** 2, body**2)[..., None, None] * np.eye(3)
        return np.where(known[..., None], points, centre[:, None]), covariance

    def _append(self, **rows: npt.NDArray[np.generic]) -> None:
        for name, values in rows.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))

    def keep(self, rows: Bools) -> None:
        """Keep the animals that bool (T,) marks and forget the others."""
        for name in self._FIELDS:
            setattr(self, name, getattr(self, name)[rows])

    def predict(self, steps: int, *, surprise: float, bend: float, body: float) -> None:
        """Move all animals on.

        Parameters
        ----------
        steps : int
            Frames.
        surprise : float
            Standard deviation of the change of velocity in a frame.
        bend : float
            Standard deviation of a keypoint's own movement in a frame.
        body : float
            Half of a body's length: a keypoint is not less known than that.
        """
        move = np.array([[1.0, DECAY], [0.0, DECAY]])
        process = surprise**2 * np.array([[0.25, 0.5], [0.5, 1.0]])
        for _ in range(steps):
            self.velocity *= DECAY
            self.points += self.velocity[:, None]
            self.motion = move @ self.motion @ move.T + process
        self.unseen += steps
        self.alone += steps
        self.thin += steps
        spread = np.einsum("tkaa->tk", self.covariance) / 3
        grown = np.clip(body**2 - spread, 0, steps * bend**2)
        self.covariance += grown[..., None, None] * np.eye(3)

    def shift(self, rows: Bools, moved: Floats, noise: Floats) -> None:
        """Correct the bodies' places.

        Parameters
        ----------
        rows : bool, (T,)
            Which were seen.
        moved : float64, (N, 3)
            Displacement from where they were expected, the expectation taken into account.
        noise : float64, (N,)
            Variance of the displacement as seen, without the expectation.
        """
        first = self.motion[rows][:, :, 0]
        gain = first / (first[:, :1] + noise[:, None])
        self.points[rows] += moved[:, None]
        # `moved` is what is left of the seen displacement after the gain of the position.
        self.velocity[rows] += (gain[:, 1] / np.maximum(gain[:, 0], 1e-9))[:, None] * moved
        self.motion[rows] -= gain[:, :, None] * first[:, None, :]
        self.unseen[rows] = 0
        self.hits[rows] += 1
