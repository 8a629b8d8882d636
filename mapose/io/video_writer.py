"""Writing video that plays everywhere."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mapose.arrays import Image
from mapose.errors import VideoError
from mapose.files import explain_write_fault, make_mark, write_atomically

_CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
#: Frames per second of a video that is made of pictures, if nobody says: as films have it.
UNKNOWN_RATE = 25.0
#: How names of videos that can be written end.
VIDEO_ENDINGS = tuple(_CONTAINERS)


class VideoWriter:
    """Write images to a video that browsers and slides can play (H.264, 4:2:0).

    The file takes its name when the ``with`` block ends well; before, and if it raises, nothing
    of that name appears or changes.

    Parameters
    ----------
    path : str or Path
        ``.mp4``, ``.mov``, ``.mkv`` or ``.avi``.
    rate : float
        Frames per second.
    quality : int
        0 (small) to 100 (near lossless). 75 shows no blocks on lab video.
    made : str
        What makes it, of `mapose.files.name_work`; kept in the file as a comment.

    Raises
    ------
    VideoError
        If the suffix, rate or an image is unusable, or the disk is full.
    """

    def __init__(
        self, path: str | os.PathLike[str], rate: float, *, quality: int = 75, made: str = ""
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in _CONTAINERS:
            raise VideoError(
                f"cannot write {self.path.name}: wanted one of {', '.join(_CONTAINERS)}"
            )
        if not (np.isfinite(rate) and rate > 0):
            raise VideoError(f"{self.path.name}: wanted frames per second above 0, came {rate}")
        if not 0 <= quality <= 100:
            raise VideoError(f"{self.path.name}: wanted a quality of 0 to 100, came {quality}")
        self.rate = Fraction(rate).limit_denominator(60000)
        self.quality = quality
        self._mark = make_mark(made)
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()
        self._reformatter = VideoReformatter()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(write_atomically(self.path, error=VideoError))
            self._file = stack.enter_context(temporary.open("wb+"))
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def write(self, image: Image) -> None:
        """Append one image.

        Parameters
        ----------
        image : uint8, (H, W, 3) RGB or (H, W)
            All of one size; a last odd row or column is doubled, as the format wants even sizes.

        Raises
        ------
        VideoError
            If the image is of another type or size, or the disk is full.
        """
        image = np.asarray(image)
        fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
        if image.dtype != np.uint8 or not fits or 0 in image.shape:
            raise VideoError(
                f"{self.path.name}: wanted a uint8 image (H, W, 3) or (H, W), came "
                f"{image.dtype} {image.shape}"
            )
        if self._stream is None:
            self._start(image.shape[:2])
        if image.shape[:2] != self._shape:
            raise VideoError(
                f"{self.path.name}: wanted images of {self._shape}, came one of {image.shape[:2]}"
            )
        pad = [(0, n % 2) for n in self._shape] + [(0, 0)] * (image.ndim - 2)
        image = np.ascontiguousarray(np.pad(image, pad, mode="edge"))
        frame = av.VideoFrame.from_ndarray(image, format="gray" if image.ndim == 2 else "rgb24")
        self._encode(self._reformatter.reformat(frame, format="yuv420p", threads=1))

    def _start(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        form = _CONTAINERS[self.path.suffix.lower()]
        # Of mkv, a file that is cut off can be read up to its last cluster: one a second.
        options = {"cluster_time_limit": "1000", "flush_packets": "1"} if form == "matroska" else {}
        self._container = av.open(self._file, "w", format=form, options=options)
        if self._mark:
            self._container.metadata["comment"] = self._mark
        height, width = (n + n % 2 for n in shape)
        if "libx264" in av.codecs_available:
            crf = str(round(50 - 0.4 * self.quality))
            options = {"crf": crf, "preset": "veryfast"}
            stream = self._container.add_stream("libx264", rate=self.rate, options=options)
        else:
            stream = self._container.add_stream("mpeg4", rate=self.rate)
            stream.bit_rate = int(width * height * float(self.rate) * self.quality / 400)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        self._stream = stream

    def _encode(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as fault:
            raise VideoError(explain_write_fault(self.path, fault)) from fault

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, fault, trace)

    def _finish(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what the encoder still holds; after an error, only let go of the file."""
        if fault is not None:
            with suppress(av.FFmpegError, OSError):
                if self._container is not None:
                    self._container.close()
            return
        if self._stream is None:
            raise VideoError(f"{self.path.name}: no image was written, so there is no video")
        self._encode(None)
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as full:
            raise VideoError(explain_write_fault(self.path, full)) from full
