"""Names at once, without looking ahead: what live use needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Floats, Ints
from mapose.errors import SettingsError
from mapose.similarity import find_centres
from mapose.tracking.tracker import MAX_GAP, Tracker


class Seats:
    """Rows of individuals that tracklets take: nothing that was said is taken back.

    A new tracklet takes the row whose animal is out of sight and vanished nearest to it.

    Parameters
    ----------
    count : int
        Number of rows.

    Examples
    --------
    >>> seats, places = Seats(2), np.array([[0.0, 0], [90, 90]])
    >>> seats.place(np.array([4, 7]), np.array([4, 7]), places).tolist()
    [0, 1]
    >>> seats.place(np.array([9]), np.array([4, 9]), places[1:]).tolist()
    [1]
    """

    def __init__(self, count: int) -> None:
        self._holder = np.full(count, -1)  # tracklet in each row
        self._place: dict[int, Floats] = {}  # where each row was seen last

    def place(self, ids: Ints, alive: Ints, centres: AnyFloats) -> Ints:
        """Give tracklets their rows.

        Parameters
        ----------
        ids : int64, (N,)
            Tracklet of each detection; -1 = none.
        alive : int64, (T,)
            Tracklets that count as animals now.
        centres : float, (N, d)
            Where the detections are.

        Returns
        -------
        int64, (N,)
            -1 = none.
        """
        sure = np.isin(ids, alive)
        for slot in np.flatnonzero(sure & ~np.isin(ids, self._holder)):
            self._seat(int(ids[slot]), alive, centres[slot])
        rows = np.full(len(ids), -1)
        slots, seats = np.nonzero((ids[:, None] == self._holder) & sure[:, None])
        rows[slots] = seats
        for slot, row in zip(slots, seats, strict=True):
            self._place[int(row)] = centres[slot]
        return rows

    def _seat(self, who: int, alive: Ints, centre: AnyFloats) -> None:
        """Find a row for a new tracklet: of those whose animal is not followed any more."""
        free = np.flatnonzero(~np.isin(self._holder, alive))
        # A row that nobody has ever had is as near as can be.
        far = [np.linalg.norm(self._place.get(row, centre) - centre) for row in free.tolist()]
        if len(free):
            self._holder[free[int(np.argmin(far))]] = who


class OnlineTracker:
    """Give every detection the row of its individual as it comes.

    `Tracker` finds the tracklets, which take `Seats`.

    Parameters
    ----------
    individuals : int
        Number of animals, and of rows.
    max_gap : int
        As for `Tracker`.

    Raises
    ------
    SettingsError
        If a number is not usable.

    Examples
    --------
    >>> tracker = OnlineTracker(individuals=2)
    >>> two = np.array([[[10.0, 10], [20, 14]], [[90, 90], [95, 80]]])
    >>> for _ in range(3):
    ...     rows = tracker.update(two)
    >>> rows.tolist(), tracker.update(two[::-1]).tolist()
    ([0, 1], [1, 0])
    """

    def __init__(self, *, individuals: int, max_gap: int = MAX_GAP) -> None:
        if individuals is None or individuals < 1:
            raise SettingsError(
                f"online: wanted the number of individuals, 1 or more, came {individuals}"
            )
        self._tracker = Tracker(individuals=individuals, max_gap=max_gap)
        self._count, self._seats = individuals, Seats(individuals)

    def update(self, points: npt.ArrayLike, confidence: npt.ArrayLike | None = None) -> Ints:
        """Take in the next frame.

        Parameters
        ----------
        points : float, (I, K, d)
            Detections in any order; NaN = missing keypoint.
        confidence : float, (I, K), optional
            0 to 1.

        Returns
        -------
        int64, (I,)
            Row of each detection, -1 = none. An animal has a row from its third frame on.
        """
        points = np.asarray(points, np.float64)
        ids = self._tracker.update(points, confidence)
        if self._count == 1 and len(ids) == 1:  # nothing is to be decided
            return np.where(ids >= 0, 0, -1)
        return self._seats.place(ids, self._tracker.confirmed, find_centres(points))

    def update_many(self, points: npt.ArrayLike, confidence: npt.ArrayLike | None = None) -> Ints:
        """Take in the next run of frames (F, I, K, d); give rows (F, I)."""
        points = np.asarray(points, np.float64)
        weights = [None] * len(points) if confidence is None else np.asarray(confidence)
        found = [self.update(p, w) for p, w in zip(points, weights, strict=True)]
        return np.array(found, np.int64).reshape(points.shape[:2])
