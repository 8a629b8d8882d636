"""Opening a video and finding its frames: counted, not taken from what its header claims."""

from __future__ import annotations

import errno
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from mapose.arrays import Bools, Ints
from mapose.errors import DiskError, VideoError, suggest_name
from mapose.reading import explain_damage, explain_gone

#: Largest picture that is read: 0.4 GB as RGB.
PIXELS = 2**27


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video in the order in which they are shown.

    Parameters
    ----------
    count : int
        Frames that the video holds or, where it was cut off, should hold.
    times : int64, (N,)
        Presentation times of the frames that are in the file, ascending, in ticks of the stream;
        empty where the container stores no usable times.
    keys : int64, (M,)
        Frames from which decoding can start, ascending.
    """

    count: int
    times: Ints
    keys: Ints

    @property
    def timed(self) -> bool:
        """Whether frames can be told by their times."""
        return len(self.times) > 0

    def find_frame(self, time: int | None) -> int:
        """Find the frame of a presentation time; -1 if there is none."""
        if time is None or not self.timed:
            return -1
        at = int(np.searchsorted(self.times, time))
        return at if at < len(self.times) and self.times[at] == time else -1

    def find_key(self, frame: int, *, back: int = 0) -> int:
        """Find the last keyframe up to a frame, or the one `back` keyframes earlier."""
        at = int(np.searchsorted(self.keys, frame, side="right")) - 1 - back
        return int(self.keys[at]) if at >= 0 else 0


def index_frames(container: av.container.InputContainer, stream: Any) -> FrameIndex:
    """Count the frames of a freshly opened video stream, without decoding.

    Parameters
    ----------
    container : av.container.InputContainer
        At its start; it is read to the end.
    stream : av.VideoStream
        The stream to index.

    Notes
    -----
    All packets are read, except where each frame is a keyframe (MJPEG, raw) and the container's
    own list is complete: such files run to hundreds of gigabytes. A list at the front of a file
    that was cut off (MP4) still says how many frames were recorded.
    """
    listed = [e.timestamp for e in stream.index_entries if e.size > 0 and not e.is_discard]
    promised, cut_at = 0, None
    if stream.codec.intra_only and listed and len(listed) == stream.frames:
        times, keys = np.array(listed, np.int64), np.ones(len(listed), bool)
    else:
        times, keys, delay, last = _read_times(container, stream)
        # Only MP4 and its kin list all frames beforehand; others grow the list as they are read.
        if stream.frames and "mp4" in container.format.name:
            promised = len(listed)
        if last is not None and last.dts is not None and (last.is_corrupt or promised > len(times)):
            cut_at = last.dts + delay
    if not _can_trust(times, container, stream):
        count = max(len(times), promised)
        return FrameIndex(count, np.empty(0, np.int64), np.flatnonzero(keys))
    if cut_at is not None:  # among frames shown after the last packet's own time, some are lost
        times, keys = times[times <= cut_at], keys[times <= cut_at]
    order = np.argsort(times, kind="stable")
    return FrameIndex(max(len(times), promised), times[order], np.flatnonzero(keys[order]))


_NO_TIME, _NEVER = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def _read_times(
    container: av.container.InputContainer, stream: Any
) -> tuple[Ints, Bools, int, Any]:
    """Read time and keyframe flag of each packet with a visible frame.

    Also give the shortest time from decoding to showing a frame, and the last packet.
    """
    times, keys, delay, last = array("q"), array("b"), _NEVER, None
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard and not is_hidden(packet, stream):
                times.append(_NO_TIME if packet.pts is None else packet.pts)
                keys.append(packet.is_keyframe)
                if packet.pts is not None and packet.dts is not None:
                    delay = min(delay, packet.pts - packet.dts)
                last = packet
    except av.FFmpegError as fault:
        check_disk(container.name, fault)
        # Cut off: what came until here is what there is.
    return np.array(times, np.int64), np.array(keys, bool), delay, last


def check_disk(name: str, fault: av.FFmpegError) -> None:
    """Make sure that a video ended early because it is damaged, not because its disk is gone.

    Parameters
    ----------
    name : str
        The video, as FFmpeg calls it.
    fault : av.FFmpegError
        What it ended with.

    Raises
    ------
    DiskError
        If the disk or network share does not answer.
    """
    path = name.removeprefix("file:")
    if fault.errno == errno.EIO:  # FFmpeg says that of damage as well
        with explain_damage(path), Path(path).open("rb") as file:
            while file.read(1 << 24):
                pass
    elif gone := explain_gone(fault):
        raise DiskError(f"{path} cannot be read: {gone}") from fault


def is_hidden(packet: Any, stream: Any) -> bool:
    """Tell whether a packet holds a VP8 reference picture that is never shown."""
    # RFC 6386, section 9.1: bit 4 of a frame is show_frame. Other codecs pack such pictures
    # together with a visible one.
    return bool(stream.codec.canonical_name == "vp8" and not bytes(packet)[0] & 0x10)


def _can_trust(times: Ints, container: av.container.InputContainer, stream: Any) -> bool:
    """Tell whether the times are there, differ, and give the order of display."""
    if not len(times) or (times == _NO_TIME).any() or len(np.unique(times)) < len(times):
        return False
    # AVI stores the order of decoding only: with B-frames its times are guesses of the reader.
    return not (container.format.name == "avi" and stream.codec_context.has_b_frames)


def open_container(path: Path) -> av.container.InputContainer:
    """Open a video file for reading.

    Raises
    ------
    VideoError
        If there is none, or it is not one that can be read.
    """
    if not path.exists():
        raise VideoError(_explain_missing(path))
    if path.is_dir():
        raise VideoError(f"wanted a video, {path} is a folder: name a file in it")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes): record or copy it again")
    try:
        return av.open(f"file:{path}", metadata_errors="ignore")
    except (av.FFmpegError, OSError) as fault:
        with explain_damage(path), path.open("rb") as file:
            start = file.read(12)
        if start[4:8] == b"ftyp":
            raise VideoError(
                f"{path} was cut off before its index was written (no 'moov' at its end), so no "
                "frame can be found: copy it again from the camera, or mend it with a tool such "
                "as untrunc and a whole recording of the same camera"
            ) from fault
        raise VideoError(
            f"{path} is not a video that FFmpeg can read, or a damaged one "
            f"({fault.strerror or fault}): name a video, or copy it again"
        ) from fault


def _explain_missing(path: Path) -> str:
    folder = path.parent.resolve()
    if not folder.is_dir():
        return f"no video {path.name}: there is no folder {folder}"
    beside = [p.name for p in folder.iterdir() if p.suffix.lower() == path.suffix.lower()]
    return f"no video {path.name} in {folder}; {suggest_name(path.name, beside[:20])}"


def pick_stream(container: av.container.InputContainer, path: Path) -> Any:
    """Find the video stream of a file.

    Raises
    ------
    VideoError
        If the file holds no moving picture, or one that it cannot hold.
    """
    stream: Any = container.streams.best("video")
    # FFmpeg takes plain text for the picture of a terminal, and opens single pictures as well.
    form = container.format.name
    if form == "tty" or form == "image2" or form.endswith("_pipe"):
        raise VideoError(f"{path} is not a video but a single picture or a text")
    if stream is not None and stream.codec_context is None:
        raise VideoError(f"{path} is coded in a way that FFmpeg here does not know, or is damaged")
    if stream is None or not stream.width or not stream.height:
        raise VideoError(f"{path} holds no video stream, or none with a picture in it")
    if stream.width * stream.height > PIXELS:
        raise VideoError(
            f"{path} states pictures of {stream.width} x {stream.height}; up to {PIXELS} pixels "
            "are read: it is damaged, or has to be scaled down"
        )
    if stream.frames > path.stat().st_size:
        raise VideoError(
            f"{path} states {stream.frames} frames and has {path.stat().st_size} bytes: it is "
            "damaged; copy it again"
        )
    stream.codec_context.options = {"max_pixels": str(PIXELS)}  # should they grow on the way
    return stream
