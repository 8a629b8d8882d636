"""Is this the recording that the poses were found in? What a result says, held against a video."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from mapose.errors import VideoError
from mapose.files import cut_suffix
from mapose.io import Video
from mapose.io.recordings import fingerprint
from mapose.io.sources import list_videos
from mapose.multiview.timing import is_same_rate
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.result import Result

logger = logging.getLogger(__name__)

# Share of points outside of the picture from which on it is said.
_MANY = 0.2


def check_recording(result: Result, video: Video, *, poses: Poses | Parts | None = None) -> None:
    """Hold what a result says of its recording against a video that is given for it.

    Parameters
    ----------
    result : Result
        Of any tool; only ours say which recording it was, and its size.
    video : Video
        Open.
    poses : Poses or Parts, optional
        Those of the result, where it is not to be read into memory as a whole.

    Raises
    ------
    VideoError
        If its pictures have another size: the poses do not fit them.

    Notes
    -----
    A warning says if it is another recording, or encoded anew; if it has fewer frames than the
    poses; if another video beside it is called like the file of poses; and if many points lie
    outside of the picture.
    """
    name, file, said = result.path.name, video.path, result.provenance
    poses = result.poses if poses is None else poses
    size = said.get("size")
    if size and tuple(size) != tuple(video.size) and poses.dimensions == 2:
        raise VideoError(
            f"{file.name} is {video.size[0]} x {video.size[1]}, but the poses of {name} were found "
            f"in a video of {size[0]} x {size[1]}: name that one, or one of its size"
        )
    own = Path(str(said.get("path") or said.get("source") or "another video")).name
    if result.recording and result.recording != fingerprint(file):
        logger.warning(
            "%s was found in another recording (%s) than %s, or this is encoded anew: look "
            "whether they fit",
            name, own, file.name,
        )  # fmt: skip
    elif not result.recording and (other := _find_better(result.path, file)):
        logger.warning(
            "%s is called like %s, not like %s: look whether they fit", name, other.name, file.name
        )
    last = int(poses.frames[-1]) if len(poses) else -1
    if last >= len(video):
        logger.warning(
            "%s has %d frames, but %s goes to frame %d: another video, or cut off?",
            file.name, len(video), name, last,
        )  # fmt: skip
    if poses.dimensions == 2:
        tell_outside(poses, video.size, f"{name} on {file.name}")


def find_bearer(file: str, camera: str, cameras: Collection[str]) -> str:
    """Find the other camera whose name a file bears instead of its own; "" if it bears none.

    Examples
    --------
    >>> find_bearer("monday_side.mp4", "top", ["top", "side"])
    'side'
    >>> find_bearer("top_of_side.mp4", "top", ["top", "side"])
    ''
    """
    words = set(re.split(r"[^A-Za-z0-9]+", file))
    return "" if camera in words else next((c for c in cameras if c in words), "")


def check_view(
    poses: Poses | Parts,
    size: tuple[int, int],
    video: Video,
    *,
    camera: str,
    cameras: Collection[str],
) -> None:
    """Warn if a video is not of its camera: by name, size, rate, or where points lie."""
    if other := find_bearer(video.path.name, camera, cameras):
        logger.warning(
            "%s bears the name of camera %s, but is given for %s: files exchanged?",
            video.path.name, other, camera,
        )  # fmt: skip
    if poses.rate and video.rate and not is_same_rate(video.rate, poses.rate):
        logger.warning(
            "%s has %.4g frames/s, the poses have %.4g: frames are drawn one by one; is it the "
            "recording that they were found in?",
            video.path.name, video.rate, poses.rate,
        )  # fmt: skip
    if tuple(size) != tuple(video.size):
        logger.warning(
            "%s is %d x %d, but camera %s was calibrated with %d x %d: is it the video of another "
            "camera?",
            video.path.name, *video.size, camera, *size,
        )  # fmt: skip
    tell_outside(poses, size, f"camera {camera}")


def tell_outside(poses: Poses | Parts, size: tuple[int, int], what: str) -> None:
    """Warn where many points lie outside of pictures of this width and height."""
    outside = total = 0
    for part in Parts.of(poses):
        there = np.isfinite(part.points).all(-1)
        inside = ((part.points >= -0.5) & (part.points <= np.array(size) - 0.5)).all(-1)
        outside += int((there & ~inside).sum())
        total += int(there.sum())
    if outside > _MANY * max(1, total):
        logger.warning(
            "%s: %d of %d points lie outside of its %d x %d pixels",
            what, outside, total, *size,
        )  # fmt: skip


def _find_better(path: Path, file: Path) -> Path | None:
    """Find a video that is called like the file of poses, where the given one is not."""
    stem = cut_suffix(path.name)
    if stem.startswith(file.stem):
        return None
    beside = [*list_videos(path.parent), *list_videos(file.parent)]
    fitting = [video for video in beside if stem.startswith(video.stem)]
    return max(fitting, key=lambda video: len(video.stem), default=None)
