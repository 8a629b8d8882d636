"""Unordered poses in, one row per animal out."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Floats, Ints
from mapose.doubts import Doubt
from mapose.errors import ShapeError
from mapose.landmarks import hide_landmarks, join_landmarks, pick_landmarks
from mapose.poses import Poses
from mapose.skeleton import LANDMARKS
from mapose.tracking.naming import Naming, name_tracklets
from mapose.tracking.tracker import MAX_GAP, Tracker
from mapose.tracking.tracklets import TrackletSummaries


@dataclass(frozen=True, eq=False)
class Tracking:
    """Animals followed through time, and the moments in which that was doubtful.

    Attributes
    ----------
    poses : Poses
        With the probability `identity` that each name is right.
    doubts : tuple of Doubt
        In time; `mapose.find_swaps` ranks them.
    """

    poses: Poses
    doubts: tuple[Doubt, ...]


def track(
    poses: Poses,
    *,
    individuals: int | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    size: float | None = None,
    embeddings: npt.ArrayLike | None = None,
) -> Poses:
    """Track animals through time: unordered poses in, one row per animal out.

    A recording that is too long for the memory goes the same way in chunks, see `ChunkTracker`.

    Parameters
    ----------
    poses : Poses
        Detections in any order, in 2D or 3D; names they may have are not used.
    individuals : int, optional
        Number of animals. The result then has that many rows, and what fits none of them is
        left out. By default there are as many as are found.
    max_gap : int
        Frames out of sight after which an animal is found again by looking at the whole
        recording instead of frame by frame.
    min_frames : int
        Frames from about which something is an animal rather than a false alarm.
    size : float, optional
        Square root of the area of an animal's bounding box; learned by default.
    embeddings : float, (F, I, D), optional
        What each detection looks like, on a scale on which the same animal always looks about
        the same; NaN where that was not measured, as on all but some frames. Decides, where
        contacts leave it open, who came out of them.

    Returns
    -------
    Poses
        Individuals ``track0, track1, ...`` in the order in which they appear; NaN where one is
        out of sight. `Poses.identity` is the probability that a name is right: that the animal
        is the one that bears this name for most of the recording, every animal having one
        name, as `mapose.metrics.track_scores` gives them.

    Raises
    ------
    SettingsError
        If a number is not usable.
    ShapeError
        If the embeddings do not fit.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> array = np.ones((20, 2, 1, 3), np.float32)
    >>> array[:, 1, 0, :2] = 50, 80
    >>> array[::2] = array[::2, ::-1]
    >>> tracked = track(Poses(array, Skeleton(["body"])), individuals=2)
    >>> tracked["track1", "body"][:3, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    return track_with_doubts(
        poses,
        individuals=individuals,
        max_gap=max_gap,
        min_frames=min_frames,
        size=size,
        embeddings=embeddings,
    ).poses


def track_with_doubts(
    poses: Poses,
    *,
    individuals: int | None = None,
    max_gap: int = MAX_GAP,
    min_frames: int = 10,
    size: float | None = None,
    embeddings: npt.ArrayLike | None = None,
) -> Tracking:
    """Track animals as `track` does, and keep the doubtful moments too.

    Parameters
    ----------
    poses, individuals, max_gap, min_frames, size, embeddings
        As for `track`.

    Returns
    -------
    Tracking
        Poses and doubts.
    """
    tracker = ChunkTracker(individuals=individuals, max_gap=max_gap, size=size)
    tracker.add(poses, embeddings)
    rows = tracker.finish(min_frames=min_frames)
    (named,) = rows.arrange([poses])
    return Tracking(named, rows.doubts)


class PackedIds:
    """Tracklets of the detections of every chunk, compressed: from frame to frame few change.

    Examples
    --------
    >>> ids = PackedIds()
    >>> ids.append(np.zeros((4096, 4), np.int32))
    >>> [part.shape for part in ids]
    [(4096, 4)]
    """

    def __init__(self) -> None:
        self._parts: list[tuple[tuple[int, ...], bytes]] = []

    def append(self, ids: npt.NDArray[np.int32]) -> None:
        """Add those of the next chunk, (F, I)."""
        self._parts.append((ids.shape, zlib.compress(ids.tobytes(), 1)))

    def __iter__(self) -> Iterator[npt.NDArray[np.int32]]:
        for shape, packed in self._parts:
            yield np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)


class ChunkTracker:
    """Track a recording chunk by chunk: `add` each, `finish`, `Rows.arrange` each once more.

    In memory stay the tracklet of every detection, packed, and a summary of every tracklet. The
    result does not depend on where a recording is cut.

    Parameters
    ----------
    individuals, max_gap, size
        As for `track`.

    Raises
    ------
    SettingsError
        If a number is not usable.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> poses = Poses(np.ones((20, 1, 1, 3), np.float32), Skeleton(["body"]))
    >>> chunks = [poses.sel(frames=range(10)), poses.sel(frames=range(10, 20))]
    >>> tracker = ChunkTracker(individuals=1)
    >>> for chunk in chunks:
    ...     tracker.add(chunk)
    >>> rows = tracker.finish()
    >>> rows.names, [named.array.shape for named in rows.arrange(chunks)]
    (('track0',), [(10, 1, 1, 3), (10, 1, 1, 3)])
    """

    def __init__(
        self,
        *,
        individuals: int | None = None,
        max_gap: int = MAX_GAP,
        size: float | None = None,
    ) -> None:
        self._tracker = Tracker(individuals=individuals, max_gap=max_gap, size=size, cut=True)
        self._summaries = TrackletSummaries()
        self._ids = PackedIds()
        self._landmarks = False

    def add(self, poses: Poses, embeddings: npt.ArrayLike | None = None) -> None:
        """Take in the next chunk.

        Parameters
        ----------
        poses : Poses
            Detections in any order; their frames come after those of the last chunk.
        embeddings : float, (F, I, D), optional
            As for `track`.

        Raises
        ------
        ShapeError
            If the embeddings or frames do not fit.
        """
        poses = hide_landmarks(poses)
        self._landmarks = bool(poses.skeleton.landmarks)
        ids = self._tracker.update_many(poses.points, poses.confidence, frames=poses.frames)
        self._ids.append(ids.astype(np.int32))
        self._summarise(ids, poses, embeddings)

    def look_again(self, chunks: Iterable[Poses], embeddings: npt.ArrayLike) -> None:
        """Let looks say who is who; tracklets, which do not depend on them, stay as they are.

        Parameters
        ----------
        chunks : iterable of Poses
            The same as came before.
        embeddings : float, (F, I, D)
            As for `track`, of all chunks.
        """
        self._summaries, start, looks = TrackletSummaries(), 0, np.asarray(embeddings)
        for ids, poses in zip(self._ids, chunks, strict=True):
            self._summarise(ids, poses, looks[start : start + len(poses)])
            start += len(poses)

    def _summarise(
        self, ids: npt.NDArray[np.integer], poses: Poses, embeddings: npt.ArrayLike | None
    ) -> None:
        poses = hide_landmarks(poses)
        self._summaries.add(
            ids,
            poses.points,
            confidence=poses.confidence,
            frames=poses.frames,
            embeddings=embeddings,
        )

    def finish(self, *, min_frames: int = 10, min_rows: int = 0) -> Rows:
        """Find whose every tracklet is, and how sure that is.

        Parameters
        ----------
        min_frames : int
            As for `track`.
        min_rows : int
            Rows at least, where their number is not known: a file has one though nobody is seen.

        Returns
        -------
        Rows
            Of all chunks.
        """
        individuals = self._tracker.individuals
        naming = name_tracklets(
            self._summaries,
            self._tracker.encounters,
            individuals=individuals,
            min_frames=min_frames,
            leaps=self._tracker.leaps,
        )
        found = int(naming.mapping.max(initial=-1)) + 1
        count = individuals or max(min_rows, found)
        return Rows(naming, self._ids, count, self._landmarks)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of all detections of a recording that came in chunks.

    Attributes
    ----------
    naming : Naming
        Row of each tracklet, and how sure that is.
    ids : iterable of int32, (F, I) each
        Tracklets in every chunk.
    count : int
        Number of rows.
    landmarks : bool
        Whether one more row is that of landmarks, which nobody tracks.
    labels : tuple of str, (count,)
        Names of the rows, where animals are known by name; by default they are numbered.
    sure : tuple of float, (count,)
        Probability that each of these is right.
    """

    naming: Naming
    ids: Iterable[npt.NDArray[np.int32]]
    count: int
    landmarks: bool = False
    labels: tuple[str, ...] = ()
    sure: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """``track0``, ``track1`` and so on, last that of landmarks where there are some."""
        tracks = self.labels or tuple(f"track{i}" for i in range(self.count))
        return (*tracks, LANDMARKS) if self.landmarks else tracks

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Moments in which names were in doubt, in time."""
        return tuple(self.naming.list_doubts(self.names))

    def arrange(self, chunks: Iterable[Poses]) -> Iterator[Poses]:
        """Put the detections of the same chunks into their rows, one chunk after the other."""
        for ids, poses in zip(self.ids, chunks, strict=True):
            mended = self.naming.mend(ids, poses.frames)
            animals, marks = hide_landmarks(poses), pick_landmarks(poses)
            named = arrange(animals, mended, self.naming.mapping, self.names)
            yield join_landmarks(self._weigh(self.naming.add_identity(named)), marks)

    def _weigh(self, poses: Poses) -> Poses:
        """Multiply how sure rows are one animal by how sure their names are."""
        if not self.sure or poses.identity is None:
            return poses
        sure = np.ones(poses.identity.shape[1], np.float32)
        sure[: len(self.sure)] = self.sure
        return replace(poses, identity=poses.identity * sure)

    def sum_up(self, frames: Iterable[Ints], values: Iterable[AnyFloats]) -> Floats:
        """Sum what was measured on detections over the rows that they belong to.

        Parameters
        ----------
        frames : iterable of int64, (F,)
            Video frames of every chunk.
        values : iterable of float, (F, I, D)
            Of every chunk; NaN = not measured.

        Returns
        -------
        float64, (count, D)
        """
        total: Floats | None = None
        for ids, numbers, value in zip(self.ids, frames, values, strict=True):
            mended = self.naming.mend(ids, numbers)
            nobody = len(self.naming.mapping)
            known = np.where((mended < 0) | (mended > nobody), nobody, mended)
            row = np.append(self.naming.mapping, -1)[known]
            there = (row >= 0) & np.isfinite(value).all(-1)
            total = np.zeros((self.count, value.shape[2])) if total is None else total
            np.add.at(total, row[there], value[there])
        assert total is not None
        return total


def arrange(
    poses: Poses, ids: npt.NDArray[np.integer], mapping: Ints, individuals: Sequence[str]
) -> Poses:
    """Put every detection into the row of its individual.

    Parameters
    ----------
    poses : Poses
        A chunk of detections (F, I, K).
    ids : int, (F, I)
        Tracklet of each detection, from `Tracker.update_many`; -1 = none.
    mapping : int64, (T,)
        Individual of each tracklet, from `stitch`; -1 = nobody. Ids beyond its end are nobody.
    individuals : sequence of str, (N,)
        Names.

    Returns
    -------
    Poses
        (F, N, K), with the covariance; where two detections fall to one individual the
        more confident one is taken.

    Raises
    ------
    ShapeError
        If ``ids`` does not fit, or ``mapping`` has more individuals than there are names.
    """
    count = len(individuals)
    if ids.shape != poses.array.shape[:2]:
        raise ShapeError(f"arrange: wanted ids {poses.array.shape[:2]}, came {ids.shape}")
    if mapping.max(initial=-1) >= count:
        raise ShapeError(f"arrange: {mapping.max() + 1} individuals, but {count} names")
    # -1 and ids too high both point at the nobody that is put behind the end.
    nobody = len(mapping)
    owner = np.append(mapping, -1)[np.where((ids < 0) | (ids > nobody), nobody, ids)]
    frame, slot = np.nonzero(owner >= 0)
    # In order of confidence, so that the best of several is written last.
    order = np.argsort(poses.confidence[frame, slot].sum(-1), kind="stable")
    frame, slot = frame[order], slot[order]
    rows = np.full((len(poses), count), -1)
    rows[frame, owner[frame, slot]] = slot
    return replace(poses, identity=None).arrange(rows, individuals)


def join_rows(
    poses: Poses,
    labels: Sequence[str],
    sure: AnyFloats,
    *,
    order: Sequence[str] = (),
) -> Poses:
    """Join the rows of poses that have the same name.

    Parameters
    ----------
    poses : Poses
        Tracked.
    labels : sequence of str, (I,)
        Name for each row; rows of the same name are never there at the same time.
    sure : float64, (I,)
        Probability that it is right; NaN counts as 0.
    order : sequence of str
        Names that come first, if they occur.

    Returns
    -------
    Poses
        One row for each name, with `identity`.
    """
    names = [n for n in order if n in labels]
    names += [n for n in dict.fromkeys(labels) if n not in names]
    column = np.array([names.index(label) for label in labels], np.int64)
    present = poses.find_present()
    joined = arrange(poses, np.where(present, np.arange(len(labels)), -1), column, names)
    frame, row = np.nonzero(present)
    whole = np.ones(len(frame)) if poses.identity is None else poses.identity[frame, row]
    identity = np.full(joined.array.shape[:2], np.nan, np.float32)
    identity[frame, column[row]] = whole * np.nan_to_num(sure).astype(np.float32)[row]
    return replace(joined, identity=identity)
