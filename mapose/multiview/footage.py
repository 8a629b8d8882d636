"""What several cameras saw, stacked some frames at a time: however long, little is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from calibration import CameraGroup
from mapose.arrays import Singles
from mapose.multiview.views import Stack, stack_views
from mapose.parts import Parts
from mapose.poses import Poses

# Frames that are gone through at a time.
_PART = 2000
# Bytes of views that are read but once, as a whole: they are gone through three times and more.
_SHORT = 1 << 24


class Footage:
    """Views of some cameras, of which some frames are in memory at a time.

    Parameters
    ----------
    views : mapping of str to Parts
        By camera, checked and aligned; see `mapose.multiview.views.align_parts`.
    cameras : calibration.CameraGroup
        With a camera of each name.

    Attributes
    ----------
    views : mapping of str to Parts
        As given.
    head : Stack
        Of the first frame; of an empty recording of none.
    frames : int64, (F,)
        As of `Poses`.

    Raises
    ------
    ShapeError
        If a view has several individuals without names.
    """

    def __init__(self, views: Mapping[str, Parts], cameras: CameraGroup) -> None:
        heads = {name: parts.head for name, parts in views.items()}
        self.head, self._cameras = stack_views(heads, cameras), cameras
        self.frames = next(iter(views.values())).frames
        if len(self) * sum(map(_count_bytes, heads.values())) <= _SHORT:
            whole = slice(0, len(self))
            views = {name: Parts.of(parts.read(whole)) for name, parts in views.items()}
        self.views = views
        self._held: tuple[slice, dict[str, Poses], Stack] | None = None
        self._sure: bool | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of views, of individuals and of keypoints."""
        v, _, i, k = self.head.confidence.shape
        return v, i, k

    def cut(self) -> Iterator[slice]:
        """List the rows of one part after the other; an empty recording is one empty part."""
        for start in range(0, max(1, len(self)), _PART):
            yield slice(start, min(start + _PART, len(self)))

    def read(self, rows: slice) -> Stack:
        """Stack some rows. Those within the ones that were asked for before are read no more."""
        part = self._hold(rows)
        assert self._held is not None
        stack = self._held[2].take(part)
        return replace(stack, identity=self._level_identity(stack.identity, len(stack.frames)))

    def read_views(self, rows: slice) -> dict[str, Poses]:
        """Read some rows of each view, as `read` does."""
        part = self._hold(rows)
        assert self._held is not None
        return {name: poses.take(part) for name, poses in self._held[1].items()}

    def _hold(self, rows: slice) -> slice:
        """Have some rows in memory; says where they are among those that are."""
        held = self._held and self._held[0]
        if held is None or rows.start < held.start or rows.stop > held.stop:
            held, self._held = rows, None
            views = {name: parts.read(rows) for name, parts in self.views.items()}
            self._held = rows, views, stack_views(views, self._cameras)
        return slice(rows.start - held.start, rows.stop - held.start)

    def look_for_identity(self) -> None:
        """Find out whether any name has a probability: then all rows have some, or else none."""
        self._sure = any(self.read(rows).identity is not None for rows in self.cut())

    def _level_identity(self, identity: Singles | None, count: int) -> Singles | None:
        if self._sure is None or (identity is not None) == self._sure:
            return identity
        return np.full((count, self.shape[1]), np.nan, np.float32) if self._sure else None


def _count_bytes(poses: Poses) -> int:
    return poses.array.nbytes + (0 if poses.covariance is None else poses.covariance.nbytes)
