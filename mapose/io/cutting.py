"""Videos made shorter, smaller or coarser; the recording itself is never written over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mapose.arrays import Image
from mapose.errors import SettingsError, VideoError
from mapose.files import claim_output, name_work
from mapose.io.recordings import name_beside
from mapose.io.video import Video, prefetch
from mapose.io.video_writer import UNKNOWN_RATE, VIDEO_ENDINGS, VideoWriter


@dataclass(frozen=True)
class Cut:
    """What is to be left of a video.

    Parameters
    ----------
    start, stop : int
        First frame, and the one after the last; to the end by default.
    every : int
        Only every so many frames; the rate falls as much.
    crop : (int, int, int, int), optional
        Left, top, width and height in px. A point at (x, y) comes to (x - left, y - top).
    scale : float
        By how much the picture is made smaller, after the crop. A point at x comes to
        scale (x + 0.5) - 0.5, as (0, 0) is the centre of the first pixel.

    Raises
    ------
    SettingsError
        If a number makes no sense; all faults at once.
    """

    start: int = 0
    stop: int | None = None
    every: int = 1
    crop: tuple[int, int, int, int] | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        faults = []
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            faults.append(f"wanted a stop after the start, came {self.start} to {self.stop}")
        if self.every < 1:
            faults.append(f"every: wanted 1 or more frames, came {self.every}")
        if self.crop is not None and (min(self.crop) < 0 or 0 in self.crop[2:]):
            faults.append(f"crop: wanted left, top, width, height in px, came {self.crop}")
        if not 0 < self.scale <= 1:
            faults.append(f"scale: wanted above 0 and up to 1, came {self.scale}")
        if faults:
            raise SettingsError("cutting a video: " + "; ".join(faults))

    def apply(self, image: Image) -> Image:
        """Crop and shrink one picture."""
        if self.crop is not None:
            left, top, width, height = self.crop
            image = image[top : top + height, left : left + width]
        if self.scale < 1:
            size = [max(1, round(n * self.scale)) for n in image.shape[1::-1]]
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return np.ascontiguousarray(image)


def cut_video(
    video: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    cut: Cut,
    quality: int = 85,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write a part of a video, cropped or made smaller, as another video.

    Parameters
    ----------
    video : path
        The recording, also a folder of stills, which becomes a video of 25 frames/s; a frame
        that cannot be decoded is replaced by the one before.
    output : path, optional
        ``NAME.cut.mp4`` beside it by default.
    cut : Cut
        What is to be left.
    quality : int
        0 (small) to 100 (near lossless).
    force : bool
        Replace a file that was not cut from the same video in the same way.
    on_progress : function of (int, int), optional
        Called with frames done and frames in all.

    Returns
    -------
    Path
        Of the video, which appears whole or not at all.

    Raises
    ------
    VideoError
        If the video cannot be read, or has no such frames.
    SettingsError
        If the output is the video itself, or may not be replaced, or the crop lies outside.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with VideoWriter(folder / "clip.mp4", 25) as writer:
    ...     for level in range(10):
    ...         writer.write(np.full((48, 64), 20 * level, np.uint8))
    >>> place = cut_video(folder / "clip.mp4", cut=Cut(start=2, stop=8, crop=(8, 0, 32, 48)))
    >>> place.name, len(Video(place)), Video(place).size
    ('clip.cut.mp4', 6, (32, 48))
    """
    target = Path(output) if output else find_cut(video)
    made = name_work(
        "video", [video], frames=f"{cut.start}-{cut.stop or ''}", every=cut.every,
        crop=cut.crop, scale=cut.scale, quality=quality,
    )  # fmt: skip
    claimed = claim_output(target, inputs=[video], suffixes=VIDEO_ENDINGS, made=made, force=force)
    with claimed, Video(video) as source:
        if cut.crop is not None:
            check_crop(cut.crop, source.size, source.path.name)
        stop = len(source) if cut.stop is None else min(cut.stop, len(source))
        total = len(range(cut.start, stop, cut.every))
        if not total:
            raise VideoError(f"{source.path.name} has {len(source)} frames, none from {cut.start}")
        rate = (source.rate or UNKNOWN_RATE) / cut.every
        with VideoWriter(target, rate, quality=quality, made=made) as writer:
            for done, image in enumerate(prefetch(_read_images(source, cut, stop)), 1):
                writer.write(image)
                on_progress(done, total)
    return target


def find_cut(video: str | os.PathLike[str]) -> Path:
    """Find where a part of a video lies: ``NAME.cut.mp4`` beside it."""
    return name_beside(video, ".cut.mp4")


def check_crop(crop: Sequence[int], size: tuple[int, int], name: str) -> list[int]:
    """Make sure that a part lies within pictures.

    Parameters
    ----------
    crop : (int, int, int, int)
        Left, top, width and height, px.
    size : (int, int)
        Width and height of the pictures, px.
    name : str
        What messages call the recording.

    Raises
    ------
    SettingsError
        If it does not.
    """
    left, top, wide, high = crop
    if min(left, top) < 0 or min(wide, high) < 1 or left + wide > size[0] or top + high > size[1]:
        raise SettingsError(
            f"crop: {left},{top},{wide},{high} reaches beyond the pictures of {name}, "
            f"{size[0]} x {size[1]} px; wanted left,top,width,height"
        )
    return list(crop)


def _read_images(source: Video, cut: Cut, stop: int) -> Iterator[Image]:
    """Give the pictures that are left; in place of one that is damaged, the one before."""
    last: Image | None = None
    for n, image in source.iterate(cut.start, stop):
        last = image if image is not None else last
        if (n - cut.start) % cut.every == 0:
            width, height = source.size
            blank = np.zeros((height, width, 3), np.uint8)
            yield cut.apply(blank if last is None else last)
