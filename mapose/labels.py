"""Labelled frames: what a person marked, or another tool's answer taken as truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Ints, Singles
from mapose.errors import ShapeError
from mapose.skeleton import LANDMARKS, Skeleton

#: What is known of a keypoint, by the numbers in `Labels.states`.
STATES = ("unmarked", "visible", "occluded", "absent")
UNMARKED, VISIBLE, OCCLUDED, ABSENT = range(4)
#: Where a point came from, by the numbers in `Labels.origins`; the first is not known.
ORIGINS = ("", "person", "model", "copy", "triangulation")

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False, repr=False)
class Labels:
    """Keypoints marked in single frames.

    Parameters
    ----------
    points : float32, (F, I, K, 2)
        Image pixels; NaN = not marked. Non-finite values are made NaN.
    skeleton : Skeleton
        Names of the K keypoints.
    videos : sequence of str, (F,)
        Name of the video that each frame comes from: its stem, with folders before it where two
        recordings would have the same.
    frames : int64, (F,)
        Frame number in that video; -1 = unknown (a photo, a lost video).
    images : sequence of Path or None, (F,)
        Image file of each frame; None where it still has to be taken from the video.
    individuals : sequence of str, (I,)
        Names of the individuals, or of slots where `identified` is False.
    identified : bool
        Whether an individual is the same animal in all frames of a video.
    sources : dict of str to Path
        Video file of each video name, where known.
    left_out : sequence of str
        What a reader could not use of the file they come from, a sentence each.
    states : uint8, (F, I, K), optional
        Index into `STATES`: a keypoint is unmarked, visible, occluded (hidden, but its place is
        known) or absent from the picture. Points decide: what has a place is visible or occluded,
        what has none unmarked or absent.
    origins : uint8, (F, I, K), optional
        Index into `ORIGINS`; not known by default.

    Raises
    ------
    ShapeError
        If lengths do not fit; all faults at once.
    """

    points: Singles
    skeleton: Skeleton
    videos: tuple[str, ...]
    frames: Ints
    images: tuple[Path | None, ...]
    individuals: tuple[str, ...]
    identified: bool = False
    sources: dict[str, Path] | None = None
    left_out: tuple[str, ...] = ()
    states: Codes | None = None
    origins: Codes | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        points = np.array(self.points, np.float32)
        if points.ndim != 4 or points.shape[-1] != 2:
            raise ShapeError(
                f"labels: wanted points (frames, individuals, keypoints, 2), came {points.shape}"
            )
        points[~np.isfinite(points).all(-1)] = np.nan
        put(self, "points", points)
        put(self, "frames", np.asarray(self.frames, np.int64))
        put(self, "videos", tuple(str(v) for v in self.videos))
        put(self, "images", tuple(None if p is None else Path(p) for p in self.images))
        put(self, "individuals", tuple(str(i).strip() for i in self.individuals))
        put(self, "sources", dict(self.sources or {}))
        for name, known in (("states", STATES), ("origins", ORIGINS)):
            given = getattr(self, name)
            codes = np.zeros(points.shape[:3], np.uint8) if given is None else np.array(given)
            if codes.shape != points.shape[:3] or (codes.size and codes.max() >= len(known)):
                raise ShapeError(
                    f"labels: wanted {name} {points.shape[:3]} below {len(known)}, came "
                    f"{codes.shape}"
                )
            put(self, name, codes.astype(np.uint8))
        put(self, "states", _agree(self.find_states(), np.isfinite(points[..., 0])))
        faults = list(self._find_faults())
        if faults:
            raise ShapeError("labels: " + "; ".join(faults))

    def _find_faults(self) -> Iterable[str]:
        f, i, k, _ = self.points.shape
        for name in ("videos", "frames", "images"):
            if len(getattr(self, name)) != f:
                yield f"{name}: wanted {f} entries, came {len(getattr(self, name))}"
        if len(self.individuals) != i:
            yield f"{len(self.individuals)} names for {i} individuals"
        if len(self.skeleton.keypoints) != k:
            yield f"the skeleton has {len(self.skeleton.keypoints)} keypoints, the points {k}"

    def __str__(self) -> str:
        marked = int(np.isfinite(self.points).all(-1).sum())
        return (
            f"Labels: {len(self)} frames of {len(set(self.videos))} videos, {marked} keypoints, "
            f"up to {self.points.shape[1]} individuals"
        )

    def __repr__(self) -> str:
        return f"<{self}>"

    def __len__(self) -> int:
        return len(self.points)

    def find_states(self) -> Codes:
        """Give the states, (F, I, K); they are always known."""
        assert self.states is not None
        return self.states

    def find_origins(self) -> Codes:
        """Give the origins, (F, I, K); they are always there, if only as not known."""
        assert self.origins is not None
        return self.origins

    @cached_property
    def row_names(self) -> list[str]:
        """``video:frame`` of each row, or ``video:image`` where the number is not known."""
        names = []
        for video, frame, image in zip(self.videos, self.frames, self.images, strict=True):
            names.append(
                f"{video}:{frame}" if frame >= 0 or image is None else f"{video}:{image.name}"
            )
        return names

    def take(self, rows: npt.ArrayLike) -> Labels:
        """Pick frames by row.

        Parameters
        ----------
        rows : int or bool array, (N,) or (F,)
            Rows to keep, in this order.
        """
        index = np.asarray(rows)
        picked = np.arange(len(self))[index if index.size else index.astype(np.int64)]
        return Labels(
            self.points[picked],
            self.skeleton,
            tuple(self.videos[i] for i in picked),
            self.frames[picked],
            tuple(self.images[i] for i in picked),
            self.individuals,
            self.identified,
            self.sources,
            self.left_out,
            self.find_states()[picked],
            self.find_origins()[picked],
        )

    def arrange(self, skeleton: Skeleton) -> Labels:
        """Bring the keypoints into another order; those that are not here become unmarked.

        Raises
        ------
        ShapeError
            If one of the keypoints here is unknown there; the nearest one is suggested.
        """
        places = [skeleton.index(name) for name in self.skeleton.keypoints]
        shape = (*self.points.shape[:2], len(skeleton.keypoints))
        points = np.full((*shape, 2), np.nan, np.float32)
        states, origins = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        points[:, :, places] = self.points
        states[:, :, places] = self.find_states()
        origins[:, :, places] = self.find_origins()
        return replace(self, points=points, skeleton=skeleton, states=states, origins=origins)

    def take_animals(self) -> Labels:
        """Give the labels of animals alone, without landmarks and the individual that has them."""
        skeleton = self.skeleton
        if not skeleton.landmarks:
            return self
        kept = np.delete(np.arange(len(skeleton.keypoints)), skeleton.landmark_index)
        rows = [i for i, name in enumerate(self.individuals) if name != LANDMARKS]
        return replace(
            self,
            points=self.points[:, rows][:, :, kept],
            skeleton=skeleton.take(kept),
            individuals=tuple(self.individuals[i] for i in rows),
            states=self.find_states()[:, rows][:, :, kept],
            origins=self.find_origins()[:, rows][:, :, kept],
        )

    def renamed(self, names: dict[str, str]) -> Labels:
        """Make the same labels with some keypoints called otherwise.

        Parameters
        ----------
        names : dict of str to str
            Old name to new name.

        Raises
        ------
        ShapeError
            If an old name is unknown or two keypoints would share a name.
        """
        return replace(self, skeleton=self.skeleton.renamed(names))


def join_double_frames(labels: Labels) -> Labels:
    """Make one row of rows that are about the same frame of a video, or the same image.

    Label files that were merged list frames twice. An animal that is the same in both counts
    once; else all are kept, where need be in further columns, which then are slots. Then what is
    not in the points, states and origins, is as not known.
    """
    rows: dict[tuple[object, ...], list[int]] = {}
    for row, (video, frame, image) in enumerate(
        zip(labels.videos, labels.frames.tolist(), labels.images, strict=True)
    ):
        known = image or (frame if frame >= 0 else ("row", row))
        rows.setdefault((video, known), []).append(row)
    if len(rows) == len(labels):
        return labels
    joined = [_join_animals(labels.points[group]) for group in rows.values()]
    count = max(len(points) for points, _ in joined)
    array = np.full((len(joined), count, *labels.points.shape[2:]), np.nan, np.float32)
    for row, (points, _) in enumerate(joined):
        array[row, : len(points)] = points
    names = list(labels.individuals)
    free = (f"animal{i}" for i in range(count + len(names)))
    names += [name for name in free if name not in names][: count - len(names)]
    kept = labels.take([group[0] for group in rows.values()])
    images = [
        next((labels.images[r] for r in group if labels.images[r]), None) for group in rows.values()
    ]
    return replace(
        kept,
        points=array,
        individuals=tuple(names),
        images=tuple(images),
        identified=labels.identified and all(same for _, same in joined),
        states=None,
        origins=None,
    )


def _join_animals(rows: Singles) -> tuple[Singles, bool]:
    """Put the animals of rows (N, I, K, 2) into one (J, K, 2); tell if all kept their column."""
    joined, same = list(rows[0]), True
    for row in rows[1:]:
        for column, points in enumerate(row):
            if np.isnan(points).all() or any(
                np.array_equal(points, p, equal_nan=True) for p in joined
            ):
                continue
            places = [column, *range(len(joined))]
            free = next((i for i in places if np.isnan(joined[i]).all()), len(joined))
            joined[free : free + 1] = [points]
            same &= free == column
    return np.stack(joined), same


def list_distinct(points: AnyFloats, rows: Ints) -> list[int]:
    """List the animals that do not repeat all places of one before in their frame.

    Parameters
    ----------
    points : float, (N, K, 2)
        NaN = not marked. Animals with one point only are never twins: they may share it.
    rows : int, (N,)
        Frame of each.

    Examples
    --------
    >>> points = np.array([[[1, 2], [3, 4.0]], [[1, 2], [3, 4]], [[1, 2], [3, 4]]])
    >>> list_distinct(points, np.array([0, 0, 1]))
    [0, 2]
    """
    several = np.isfinite(points).all(-1).sum(-1) > 1
    seen: set[tuple[int, bytes]] = set()
    kept = []
    for n, row in enumerate(rows.tolist()):
        key = (row, points[n].tobytes())
        if key not in seen or not several[n]:
            kept.append(n)
        seen.add(key)
    return kept


def drop_twins(labels: Labels) -> Labels:
    """Keep one of several animals of a frame that have all their points at the same places.

    Copying and merging labels leaves such twins. Animals may share one point, not two or more.
    Of animals that are known the first keeps its points. Columns that nobody is left in at the end
    are taken away where they are slots.
    """
    points = labels.points.copy()
    rows, columns = np.nonzero(np.isfinite(points).all(-1).any(-1))
    twins = np.delete(np.arange(len(rows)), list_distinct(points[rows, columns], rows))
    if not len(twins):
        return labels
    points[rows[twins], columns[twins]] = np.nan
    first = labels.row_names[rows[twins[0]]]
    told = f"{len(twins)} animals lie exactly upon another one and are left out, first in {first}"
    labels = replace(labels, points=points, left_out=(*labels.left_out, told))
    there = np.isfinite(points).reshape(len(points), points.shape[1], -1).any(-1).any(0)
    used = int(np.flatnonzero(there).max(initial=0)) + 1
    if labels.identified or used == len(labels.individuals):
        return labels
    return replace(
        labels,
        points=points[:, :used],
        individuals=labels.individuals[:used],
        identified=used == 1,
        states=labels.find_states()[:, :used],
        origins=labels.find_origins()[:, :used],
    )


def _agree(states: Codes, placed: npt.NDArray[np.bool_]) -> Codes:
    """Make states agree with the points: what has a place is visible or occluded."""
    states = states.copy()
    states[placed & (states != OCCLUDED)] = VISIBLE
    states[~placed & (states != ABSENT)] = UNMARKED
    return states
