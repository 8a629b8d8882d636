"""Labelled frames: what a person marked, or another tool's answer taken as truth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mapose.arrays import Ints, Singles
from mapose.errors import ShapeError
from mapose.skeleton import Skeleton


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
        Name (stem) of the video that each frame comes from.
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
        put(self, "individuals", tuple(str(i) for i in self.individuals))
        put(self, "sources", dict(self.sources or {}))
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

    @property
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
