"""Reading video frame by frame: each frame under its own number, whatever the file is like."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from mapose.arrays import Image
from mapose.errors import VideoError
from mapose.io.container import (
    FrameIndex,
    check_disk,
    index_frames,
    is_hidden,
    open_container,
    pick_stream,
)
from mapose.io.damage import hides_damage, shows_other
from mapose.io.images import find_depth, reduce_depth
from mapose.io.stills import Stills, is_stills
from mapose.io.video_writer import VideoWriter

__all__ = ["Video", "VideoWriter", "prefetch"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Video:
    """Read a video, by iteration or by frame number.

    A frame keeps its number whatever happens to its neighbours: where one cannot be decoded,
    None stands in its place and `gaps` remembers it. A frame with a fault that the decoder could
    patch is given as patched.

    Parameters
    ----------
    path : str or Path
        A file in any container and codec that FFmpeg reads; a folder of stills, in the order of
        the numbers in their names; or a TIFF stack. Pictures have no rate.
    gray : bool
        Give images (H, W) of luminance, which is two to three times as fast, instead of
        (H, W, RGB).

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Its name without suffix.

    Raises
    ------
    VideoError
        If the file is missing, not a video, cut off before its index, or without a frame that
        can be decoded.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "clip.mp4"
    >>> with VideoWriter(path, 25) as writer:
    ...     for level in range(10):
    ...         writer.write(np.full((48, 64), 20 * level, np.uint8))
    >>> with Video(path, gray=True) as video:
    ...     len(video), video.size, video[3].shape
    (10, (64, 48), (48, 64))
    """

    def __init__(self, path: str | os.PathLike[str], *, gray: bool = False) -> None:
        self.path = Path(path)
        self.name = self.path.name if self.path.is_dir() else self.path.stem
        self.gray = gray
        self._gaps: set[int] = set()
        self._entries: dict[int, bool] = {}
        self._cursor: tuple[int, Generator[tuple[int, Image | None]]] | None = None
        # Open files between two reads, by whether they are decoded strictly: opening an hour's file
        # takes 10 ms, as much as decoding 30 frames.
        self._kept: dict[bool, Any] = {}
        self._keeping, self._sound = False, True
        self._stills = Stills(self.path) if is_stills(self.path) else None
        if self._stills is not None:
            self._size = self._stills.size
            return
        with open_container(self.path) as container:
            stream = pick_stream(container, self.path)
            frames = _decode_some(container, stream)
            first = next(frames, None)
            if first is None:
                raise VideoError(
                    f"{self.path} holds no frame that can be decoded: it is empty, or damaged "
                    "from beginning to end; record or copy it again"
                )
            self._turns = int(round(first.rotation / 90) % 4)
            self._depth = _find_depth(first, frames)
            size = (int(stream.width), int(stream.height))
            self._size = size[::-1] if self._turns % 2 else size
            self._tick = float(stream.time_base)
            self._stated = float(stream.average_rate or stream.guessed_rate or 0)

    @cached_property
    def _index(self) -> FrameIndex:
        with open_container(self.path) as container:
            return index_frames(container, pick_stream(container, self.path))

    @cached_property
    def rate(self) -> float:
        """Frames per second; 0 where nothing tells.

        Where the file states but the tick of its clock (recordings of browsers: 1 kHz), these are
        frames by time.
        """
        if self._stills is not None:
            return 0.0
        if 0 < self._stated * self._tick < 0.99 or len(self._index.times) < 2:
            return self._stated
        first, last = self._index.times[[0, -1]]
        found = (len(self._index.times) - 1) / (float(last - first) * self._tick)
        return self._stated if abs(found - self._stated) < 0.01 * found else found

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the images, pixels; of the first, should it change on the way."""
        return self._size

    @property
    def n_frames(self) -> int:
        """Frames that iteration gives, gaps included: counted, not taken from the header."""
        return self._stills.count if self._stills else int(self._index.count)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Frames that turned out undecodable so far, ascending."""
        return tuple(sorted(self._gaps))

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[Image | None]:
        """Give the images in order; None where one cannot be decoded."""
        for _, image in self.iterate():
            yield image

    def iterate(
        self, start: int = 0, stop: int | None = None
    ) -> Generator[tuple[int, Image | None]]:
        """Decode a run of frames.

        Each call reads the file on its own, so several may run side by side in threads.

        Parameters
        ----------
        start, stop : int
            First frame, and the one after the last; to the end by default.

        Yields
        ------
        index : int
            Frame number; each number of the run comes once, in order.
        image : uint8, (H, W, 3) RGB or (H, W), or None
            None where the frame cannot be decoded.

        Raises
        ------
        VideoError
            If `start` is not between 0 and the number of frames.
        """
        yield from self._run(start, stop)

    def _run(
        self, start: int, stop: int | None = None, *, jump: bool = False
    ) -> Generator[tuple[int, Image | None]]:
        """Decode a run of frames, as `iterate`; with a jump the first comes sooner."""
        if not 0 <= start <= len(self):
            raise VideoError(f"{self.path.name}: no frame {start}, it has 0 to {len(self) - 1}")
        stop = len(self) if stop is None else min(stop, len(self))
        if self._stills is not None:
            for number, still in self._stills.iterate(start, stop, self.gray):
                if still is None:
                    self._mark_gap(number)
                yield number, still
            return
        convert, at = _Converter(self.gray, self._turns, self._depth), start
        # What comes before its turn, as it does after damage. Images, not frames: a frame that is
        # held has the decoder take other memory, and what was in there shows where it is damaged.
        held: dict[int, Image] = {}
        key = self._find_entry(start)
        jump &= key > 0 and start < len(self._index.times)
        decoded = self._jump(key, start) if jump else self._decode_from(key)
        with closing(decoded) as frames:
            while at < stop:
                n, frame = next(frames, (None, None))
                ended = n is None
                if n is not None and n >= at:
                    held[n] = convert(frame)
                while at < stop and (at in held or ended or len(held) >= _LATE):
                    if at not in held:
                        self._mark_gap(at)
                    yield at, held.pop(at, None)
                    at += 1

    def glimpse(self, least: int, most: int) -> Generator[tuple[int, Image]]:
        """Decode frames here and there over the whole video, far quicker than all of them.

        Parameters
        ----------
        least : int
            Frames that are enough: only keyframes are decoded where there are so many, without a
            long stretch between them.
        most : int
            Frames to give at most; where keyframes are too few, so many are given.

        Yields
        ------
        index : int
            Frame number, ascending.
        image : uint8, (H, W, 3) RGB or (H, W)
            What cannot be decoded does not come.
        """
        convert, stretch = _Converter(self.gray, self._turns, self._depth), -1
        keys, every = self._index.keys, max(1, -(-len(self) // max(most, 1)))
        longest = np.diff(np.r_[0, keys, len(self)]).max()
        enough = len(keys) >= least and longest <= 4 * len(self) / least
        # Of frames without times, none can be left out: they are told by counting.
        skip = ("NONKEY" if enough else "NONREF") if self._index.timed else "DEFAULT"
        with closing(self._decode_from(0, skip=skip)) as frames:
            for n, frame in frames:
                if n // every > stretch:
                    stretch = n // every
                    yield n, convert(frame)

    def read(self, index: int) -> Image:
        """Decode one frame; reading on from the last one is as fast as iterating.

        Parameters
        ----------
        index : int
            Frame number; negative ones count from the end.

        Returns
        -------
        uint8, (H, W, 3) RGB or (H, W)

        Raises
        ------
        VideoError
            If there is no such frame or it cannot be decoded.
        """
        wanted = index + len(self) if index < 0 else index
        if not 0 <= wanted < len(self):
            raise VideoError(f"{self.path.name}: no frame {index}, it has 0 to {len(self) - 1}")
        self._keeping = True
        if self._cursor is None or not self._lies_ahead(wanted, self._cursor[0]):
            self._leave()
            self._cursor = (wanted, self._run(wanted, jump=True))
        frames, self._cursor = self._cursor[1], None  # an interrupted run is not taken up again
        image = next(image for n, image in frames if n == wanted)
        self._cursor = (wanted + 1, frames)
        if image is None:
            raise VideoError(f"{self.path.name}: frame {wanted} is damaged and cannot be decoded")
        return image

    __getitem__ = read

    def _lies_ahead(self, wanted: int, cursor: int) -> bool:
        """Tell whether reading on is the shortest way to a frame."""
        if self._stills is not None:
            return cursor == wanted
        return cursor == wanted or (cursor < wanted and self._find_entry(wanted) <= cursor)

    def close(self) -> None:
        """Let go of the file; the next read opens it again."""
        self._keeping = False
        self._leave()
        for container in self._kept.values():
            container.close()
        self._kept = {}

    def _leave(self) -> None:
        """End the run of frames that reading was in."""
        if self._cursor is not None:
            self._cursor[1].close()
            self._cursor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self._size
        return f"Video({self.path.name!r}, {width}x{height}, {self.rate:g} frames/s)"

    def _mark_gap(self, n: int) -> None:
        if not self._gaps:
            logger.warning(
                "%s: frame %d cannot be decoded; it is left out, the rest is read",
                self.path.name,
                n,
            )
        self._gaps.add(n)

    def _find_entry(self, start: int) -> int:
        """Find the last keyframe up to a frame from which decoding gives what it gives in order.

        What a decoder makes of damage hangs on what it decoded before. A keyframe that is damaged
        itself is no entry, then, nor is one of a stream that refreshes the image bit by bit.
        Decoding from a sound keyframe before it goes through the damage as decoding in order does.
        """
        if self._index.timed:
            for back in range(_TRIES):
                key = self._index.find_key(start, back=back)
                if key and key not in self._entries:
                    self._entries[key] = self._is_entry(key)
                if key and self._entries[key]:
                    return key
        return 0

    def _is_entry(self, key: int) -> bool:
        """Decode a keyframe strictly and tell whether it is whole and needs no other."""
        with ExitStack() as stack:
            packets, stream = self._find_packets(stack, key, strict=True)
            own = None
            try:
                for packet in packets:
                    if packet.pts == self._index.times[key]:
                        own = packet
                    if packet.is_corrupt or hides_damage(stream, packet):
                        return False
                    for frame in packet.decode():
                        n = self._index.find_frame(frame.pts)
                        if n >= key:
                            whole = n == key and frame.pict_type in _INTRA and not frame.is_corrupt
                            return bool(own) and whole and not shows_other(stream, own, frame)
            except av.FFmpegError as fault:
                check_disk(str(self.path), fault)
                self._sound = False
                return False
        return False

    def _decode_from(self, key: int, *, skip: str = "DEFAULT") -> Generator[tuple[int, Any]]:
        """Decode from a keyframe to the end of the file: frame numbers and frames.

        ``skip`` is what FFmpeg calls the frames that the decoder leaves out.
        """
        index = self._index
        with ExitStack() as stack:
            packets, stream = self._find_packets(stack, key)
            stream.codec_context.skip_frame = skip
            ordinal, n = 0, -1
            for packet in packets:
                if not index.timed and packet.size and not is_hidden(packet, stream):
                    packet.opaque, ordinal = ordinal, ordinal + 1
                for frame in _decode_packet(packet):
                    n = index.find_frame(frame.pts) if index.timed else _count_on(n, frame)
                    yield n, frame

    def _jump(self, key: int, wanted: int) -> Generator[tuple[int, Any]]:
        """Decode from a keyframe to a frame by as few others as will do, and all after it.

        Strictly: what was left out could have been needed only where there is damage, and there
        decoding begins anew, in order.
        """
        with ExitStack() as stack:
            packets, stream = self._find_packets(stack, key, strict=True)
            few = stream.codec.canonical_name in _SKIPPABLE
            try:
                for packet in packets:
                    early = packet.pts is not None and packet.pts < self._index.times[wanted]
                    stream.codec_context.skip_frame = "NONREF" if few and early else "DEFAULT"
                    frames = packet.decode()
                    if packet.is_corrupt or any(frame.is_corrupt for frame in frames):
                        break
                    yield from ((self._index.find_frame(frame.pts), frame) for frame in frames)
                else:
                    return
            except av.FFmpegError as fault:
                check_disk(str(self.path), fault)
        self._sound = False
        yield from self._decode_from(key)

    def _find_packets(
        self, stack: ExitStack, key: int, *, strict: bool = False
    ) -> tuple[Iterable[Any], Any]:
        """Open the file so that its packets begin at a keyframe, or at the start if need be.

        Strict decoding fails at the first fault. It takes one thread, as threads hide faults.
        """
        kept = self._kept.pop(strict, None) if key else None
        container = kept or open_container(self.path)
        stack.callback(self._put_back, container, strict)
        stream = pick_stream(container, self.path)
        if kept is None:
            _prepare_decoder(stream.codec_context, strict)
        if key == 0:
            return container.demux(stream), stream
        try:
            if kept is None:
                # x264 names its version in the first packet only, and the decoder works around the
                # faults of old versions by it (4:4:4 before build 151): let it see that packet.
                _decode_packet(next(container.demux(stream)))
            container.seek(int(self._index.times[key]), stream=stream)
            packets = container.demux(stream)
            first = next((p for p in packets if p.is_keyframe and p.size), None)
        except av.FFmpegError as fault:
            check_disk(str(self.path), fault)
            first = None
        if first is not None and 0 <= self._index.find_frame(first.pts) <= key:
            return chain([first], packets), stream
        return self._find_packets(stack, 0, strict=strict)

    def _put_back(self, container: Any, strict: bool) -> None:
        """Keep an open file for the next read; of a damaged one the decoder begins anew."""
        if self._keeping and self._sound and strict not in self._kept:
            self._kept[strict] = container
        else:
            container.close()


#: Frames after which one that has not come in its turn, after damage, is no longer waited for.
_LATE = 8
# Frames that tell how many bits are in use.
_LOOKED_AT = 10
#: Keyframes to look at for an entry before decoding begins at the start of the file.
_TRIES = 4
#: What the decoder makes of damage differs between one thread and several, and from run to run
#: with a thread per frame, but not between two threads and sixteen that share a frame.
_THREADS = 4
#: Codecs whose damaged pictures differ from run to run where threads share a frame.
_RACING = ("mpeg1video", "mpeg2video", "hevc")
#: Codecs in which a frame that no other is decoded from can be left out without any trace.
_SKIPPABLE = ("h264", "hevc")
_INTRA = (PictureType.NONE, PictureType.I, PictureType.SI)


class _Converter:
    """Make arrays from decoded frames; keeps the conversion tables from frame to frame."""

    def __init__(self, gray: bool, turns: int, depth: int) -> None:
        self.format = "gray" if gray else "rgb24"
        if depth > 8:
            self.format = "gray16le" if gray else "rgb48le"
        self.turns = turns
        self.depth = depth
        self.reformatter = VideoReformatter()  # reuse makes gray twice as fast

    def __call__(self, frame: Any) -> Image:
        same: Any = self.reformatter.reformat(frame, format=self.format, threads=1)
        pixels = same.to_ndarray()
        image: Image = reduce_depth(pixels, self.depth) if self.depth > 8 else pixels
        return np.ascontiguousarray(np.rot90(image, self.turns)) if self.turns else image


def _prepare_decoder(context: Any, strict: bool) -> None:
    """Set how a stream is decoded, before its first packet."""
    alone = strict or context.codec.canonical_name in _RACING
    context.thread_type = "NONE" if alone else "SLICE"
    context.thread_count = 1 if alone else _THREADS
    context.copy_opaque = True
    if strict:
        context.options |= {"err_detect": "explode+crccheck+bitstream+buffer"}


def _decode_some(container: av.container.InputContainer, stream: Any) -> Iterator[Any]:
    """Decode frames from the start: the first tells the rotation, as of phones, of all."""
    with suppress(av.FFmpegError):  # cut off
        for packet in container.demux(stream):
            yield from _decode_packet(packet)


def _find_depth(first: Any, others: Iterator[Any]) -> int:
    """Find how many of 16 bits are in use, by several frames; 8 where FFmpeg knows the depth."""
    if first.format.components[0].bits < 16:
        return 8
    some = itertools.islice(others, _LOOKED_AT)
    deep = (frame.reformat(format="rgb48le").to_ndarray() for frame in (first, *some))
    return max(map(find_depth, deep))


def _count_on(last: int, frame: Any) -> int:
    """Give a frame without a time its number: the next, or its keyframe's place if later."""
    behind = frame.opaque if frame.key_frame and frame.opaque is not None else 0
    return max(last + 1, behind)


def _decode_packet(packet: Any) -> list[Any]:
    """Decode one packet; nothing comes of a damaged one."""
    try:
        return list(packet.decode())
    except av.FFmpegError as fault:
        logger.debug("packet at %s: %s", packet.pts, fault)
        return []


#: Bytes that `prefetch` holds at most, beside what is worked on: 10 seconds of VGA.
HELD = 2**27


def prefetch(iterable: Iterable[T], *, depth: int = 8) -> Generator[T]:
    """Run an iterable in a thread, ahead of whoever uses its items.

    Parameters
    ----------
    iterable : iterable
        What to run; a generator is closed in its thread when nobody wants more.
    depth : int
        Items to hold at most. 8 frames hide the jitter of decoding and cost little memory; of
        huge ones fewer are held, so that together they stay below `HELD` bytes, if two do.

    Yields
    ------
    object
        The items in order; what the iterable raises is raised here.

    Examples
    --------
    >>> list(prefetch(range(5), depth=2))
    [0, 1, 2, 3, 4]
    """
    items: queue.Queue[tuple[str, Any]] = queue.Queue()
    stopped, taken = threading.Event(), threading.Event()

    def put(kind: str, item: Any) -> None:
        room = max(1, min(depth, HELD // max(1, _count_bytes(item))))
        while items.qsize() >= room and not stopped.is_set():
            taken.clear()
            if items.qsize() >= room and not stopped.is_set():
                taken.wait()
        items.put((kind, item))

    def work() -> None:
        iterator = iter(iterable)
        try:
            for item in iterator:
                put("item", item)
                if stopped.is_set():
                    break
            put("end", None)
        except BaseException as fault:
            put("fault", fault)
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = items.get()
            taken.set()
            if kind == "end":
                return
            if kind == "fault":
                raise item
            yield item
    finally:
        stopped.set()
        taken.set()  # wakes a thread that waits for room
        thread.join()


def _count_bytes(item: Any) -> int:
    """Count the bytes of an image, or of a list of images."""
    if isinstance(item, list | tuple):
        return sum(map(_count_bytes, item))
    return int(item.nbytes) if isinstance(item, np.ndarray) else 0
