"""What happens over a whole recording, at every scale: least and most of each bin of frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Ints, Singles
from mapose.errors import MaposeError, SettingsError, suggest_name
from mapose.files import RESULT, make_folder, write_atomically
from mapose.poses import Poses
from mapose.reading import explain_damage
from mapose.results.windows import Windows
from mapose.similarity import find_centres

logger = logging.getLogger(__name__)

#: Mean confidence of an animal's keypoints; the probability of its name; how far its centre moved
#: since the frame before; how far the nearest other animal is. All NaN where it is absent.
STATISTICS = ("confidence", "identity", "speed", "distance")
#: Frames of the smallest bin, and how many bins make one of the next level.
_FINEST, _FACTOR = 4, 4
#: Bins of the coarsest level, at most.
_COARSEST = 512
_PART = 4096


@dataclass(frozen=True, eq=False)
class Timelines:
    """Least and most of each statistic, in bins of frames.

    Parameters
    ----------
    first : int
        Video frame at which the first bin begins.
    levels : list of float16, (S, I, B, 2)
        By statistic, as in `STATISTICS`, row as the tracker left it, and bin: least and most. NaN =
        the animal is absent throughout. Level l has bins of ``4 * 4**l`` frames.
    shares : list of float16, (I, B)
        In how many frames of each bin the animal is there, 0 to 1.
    """

    first: int
    levels: list[npt.NDArray[np.float16]]
    shares: list[npt.NDArray[np.float16]]

    def choose(self, first: int, count: int, bins: int) -> tuple[int, slice, int]:
        """Choose the level that shows some frames in at most so many bins.

        Returns
        -------
        level : int
        part : slice
            Its bins.
        size : int
            Frames of each.
        """
        wanted = max(1, count) / max(1, bins)
        sizes = [_FINEST * _FACTOR**level for level in range(len(self.levels))]
        level = next((n for n, size in enumerate(sizes) if size >= wanted), len(sizes) - 1)
        size, most = sizes[level], self.levels[level].shape[2]
        start = min(max(0, (first - self.first) // size), most)
        stop = min(max(start, -(-(first + count - self.first) // size)), most)
        return level, slice(start, stop), size


def load_timelines(
    windows: Windows, *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Timelines:
    """Give the timelines of a result; they are made once and kept beside it.

    The cache, ``cache/NAME.timelines.npz``, may be deleted at any time.

    Parameters
    ----------
    windows : Windows
        Rows are those of the tracker: `find_order` says where they belong.
    on_progress : function of (int, int)
        Called with rows done and rows in all.
    """
    file = find_cache(windows.path)
    mark = _mark(windows.path)
    found = _read(file, mark)
    if found is None:
        found = make_timelines(windows, on_progress=on_progress)
        _write(found, file, mark)
    return found


def find_cache(path: str | os.PathLike[str]) -> Path:
    """Find where the timelines of a result are kept."""
    path = Path(path)
    return path.parent / "cache" / f"{path.name.removesuffix(RESULT)}.timelines.npz"


def make_timelines(
    windows: Windows, *, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Timelines:
    """Make the timelines of a result, reading it once from end to end.

    Parameters
    ----------
    windows, on_progress
        As for `load_timelines`.
    """
    first = int(windows.frames[0]) if len(windows) else 0
    total = int(windows.frames[-1]) + 1 - first if len(windows) else 0
    count, bins = len(windows.file.names), -(-total // _FINEST)
    least = np.full((len(STATISTICS), count, bins), np.inf, np.float32)
    most = np.full_like(least, -np.inf)
    there = np.zeros((count, bins), np.int64)
    before: Poses | None = None
    for start in range(0, len(windows), _PART):
        poses = windows.file.read_poses(slice(start, min(start + _PART, len(windows))))
        values = find_statistics(poses, before)
        bin_ = (poses.frames - first) // _FINEST
        cuts = np.flatnonzero(np.diff(bin_, prepend=-1))
        held = bin_[cuts]
        least[:, :, held] = np.fmin(least[:, :, held], np.fmin.reduceat(values, cuts, axis=2))
        most[:, :, held] = np.fmax(most[:, :, held], np.fmax.reduceat(values, cuts, axis=2))
        there[:, held] += np.add.reduceat(np.isfinite(values[0]), cuts, axis=1)
        before = poses.take(slice(len(poses) - 1, len(poses)))
        on_progress(start + len(poses), len(windows))
    pairs = np.stack([least, most], -1)
    pairs[~np.isfinite(pairs)] = np.nan
    return _build(first, pairs, there / _FINEST)


def find_statistics(poses: Poses, before: Poses | None = None) -> Singles:
    """Find all statistics of a run of frames, float32 (S, I, F).

    Parameters
    ----------
    poses : Poses
    before : Poses, optional
        The frame before them, from which their first step goes.
    """
    confidence = np.where(np.isfinite(poses.points).all(-1), poses.confidence, np.nan)
    seen = np.isfinite(confidence).sum(-1)
    mean = np.where(seen > 0, np.nansum(confidence, -1) / np.maximum(seen, 1), np.nan)
    centres = find_centres(poses.points.astype(np.float64))
    sure = np.full(mean.shape, np.nan) if poses.identity is None else poses.identity
    past = np.full_like(centres[:1], np.nan)
    last = -1
    if before is not None and len(before):
        past, last = find_centres(before.points.astype(np.float64)), int(before.frames[-1])
    step = np.linalg.norm(np.diff(np.concatenate([past, centres]), axis=0), axis=-1)
    step[np.diff(poses.frames, prepend=last) != 1] = np.nan
    return np.stack([mean.T, sure.T, step.T, _find_nearest(centres).T]).astype(np.float32)


def _find_nearest(centres: AnyFloats) -> AnyFloats:
    """Find how far the nearest other animal is, (F, I); NaN where there is none."""
    count = centres.shape[1]
    nearest = np.full(centres.shape[:2], np.nan)
    for one in range(count):
        away = np.linalg.norm(centres - centres[:, one : one + 1], axis=-1)
        away[:, one] = np.nan
        nearest[:, one] = np.fmin.reduce(away, axis=1)
    return nearest


def _build(first: int, pairs: Singles, share: AnyFloats) -> Timelines:
    """Make each level of the one below it."""
    levels, shares = [pairs], [share]
    while levels[-1].shape[2] > _COARSEST:
        pairs, share = levels[-1], shares[-1]
        room = -pairs.shape[2] % _FACTOR
        wide = np.pad(pairs, ((0, 0), (0, 0), (0, room), (0, 0)), constant_values=np.nan)
        parts = wide.reshape(*wide.shape[:2], -1, _FACTOR, 2)
        least, most = np.fmin.reduce(parts[..., 0], 3), np.fmax.reduce(parts[..., 1], 3)
        levels.append(np.stack([least, most], -1))
        part = np.pad(share, ((0, 0), (0, room))).reshape(len(share), -1, _FACTOR)
        shares.append(part.mean(-1))
    top = float(np.finfo(np.float16).max)
    return Timelines(
        first,
        [np.clip(level, -top, top).astype(np.float16) for level in levels],
        [share.astype(np.float16) for share in shares],
    )


def find_statistic(name: str) -> int:
    """Find the place of a statistic.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    if name not in STATISTICS:
        raise SettingsError(f"no statistic {name[:40]!r}: {suggest_name(name, STATISTICS)}")
    return STATISTICS.index(name)


def _mark(path: Path) -> Ints:
    found = path.stat()
    return np.array([1, found.st_size, found.st_mtime_ns], np.int64)


def _read(file: Path, mark: Ints) -> Timelines | None:
    """Read the cache; None where there is none, or it is of another file."""
    if not file.is_file():
        return None
    try:
        with (
            explain_damage(file),
            file.open("rb") as opened,
            np.load(opened, allow_pickle=False) as held,
        ):
            if not np.array_equal(held["mark"], mark):
                return None
            count = int(held["count"])
            return Timelines(
                int(held["first"]),
                [held[f"level{n}"] for n in range(count)],
                [held[f"share{n}"] for n in range(count)],
            )
    except MaposeError:  # damaged: it is made anew
        return None


def _write(found: Timelines, file: Path, mark: Ints) -> None:
    """Keep the timelines; where nothing may be written they are made again next time."""
    parts: dict[str, Any] = {f"level{n}": level for n, level in enumerate(found.levels)}
    parts |= {f"share{n}": share for n, share in enumerate(found.shares)}
    try:
        make_folder(file.parent)
        with write_atomically(file) as temporary, temporary.open("wb") as opened:
            np.savez(
                opened,
                mark=mark,
                first=found.first,
                count=len(found.levels),
                **parts,
            )
    except MaposeError as fault:
        logger.info("%s: %s", file, fault)
