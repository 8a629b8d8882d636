"""Frame i of a video, as the decoder that trains and analyses gives it, encoded for the page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from mapose.app.responses import Binary
from mapose.arrays import Image
from mapose.errors import MaposeError, VideoError
from mapose.io import Video
from mapose.io.recordings import fingerprint

#: Bytes of encoded pictures that are kept for all videos together.
_KEPT = 96 << 20
#: Frames that are decoded ahead while nobody asks for another one, and kept when going back.
_AHEAD, _BACK = 24, 16
#: Seconds after which a video that nobody looks at is closed.
_IDLE = 30.0
_QUALITY = 95
#: A picture of a list is looked at in passing.
_SMALL, _SMALL_QUALITY = 200, 80
#: Seconds that a page waits for a frame.
_PATIENCE = 30.0


class SupersededError(MaposeError):
    """Another frame was asked for before this one was decoded."""


class FrameCache:
    """Encoded pictures by name, as many as fit; the one that was not looked at longest goes."""

    def __init__(self, most: int = _KEPT) -> None:
        self._most, self._bytes = most, 0
        self._kept: OrderedDict[str, Binary] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> Binary | None:
        """Find a picture."""
        with self._lock:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
            return found

    def put(self, name: str, picture: Binary) -> None:
        """Keep a picture."""
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = picture
            self._bytes += len(picture.data)
            while self._bytes > self._most and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone.data)


@dataclass
class _FrameRequest:
    """A frame that a page waits for."""

    index: int
    height: int
    scrub: str
    exact: bool
    answer: Future[Binary] = field(default_factory=Future)


class FrameReader:
    """One video: a thread decodes what is asked for, the newest request first.

    Parameters
    ----------
    path : Path
        The video.
    cache : FrameCache
        Where encoded frames are kept.
    """

    def __init__(self, path: Path, cache: FrameCache) -> None:
        self.path, self.cache = path, cache
        self.mark = fingerprint(path)
        self._video = Video(path)
        self.size = self._video.size
        self._requests: list[_FrameRequest] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._last, self._height, self._step, self._ahead = -1, 0, 1, 0

    @cached_property
    def count(self) -> int:
        """Frames of the video: they are counted, which takes a second for an hour."""
        with self._changed:
            return len(self._video)

    @cached_property
    def rate(self) -> float:
        """Frames per second; 0 where nothing tells."""
        with self._changed:
            return self._video.rate

    def name_frame(self, index: int, height: int, *, exact: bool = False) -> str:
        """Name a frame as it is encoded: its ETag."""
        return f"{self.mark[:16]}-{index}-{'exact' if exact else self._bound(height)}"

    def get(self, index: int, height: int = 0, *, scrub: str = "", exact: bool = False) -> Binary:
        """Give a frame.

        Parameters
        ----------
        index : int
            Frame number.
        height : int
            At most so high, px; 0 = as it is.
        scrub : str
            Whoever drags through the video: of requests with one name only the newest is decoded.
        exact : bool
            Without loss, as PNG.

        Raises
        ------
        VideoError
            If there is no such frame or it is damaged.
        SupersededError
            If another one was asked for meanwhile.
        """
        if not 0 <= index < self.count:
            raise VideoError(f"{self.path.name}: no frame {index}, it has 0 to {self.count - 1}")
        found = self.cache.get(self.name_frame(index, height, exact=exact))
        if found is not None:
            self._note(index, height)
            return found
        request = _FrameRequest(index, height, scrub, exact)
        with self._changed:
            for other in [w for w in self._requests if scrub and w.scrub == scrub]:
                self._requests.remove(other)
                other.answer.set_exception(SupersededError("another frame was asked for"))
            self._requests.append(request)
            self._wake()
        try:
            return request.answer.result(timeout=_PATIENCE)
        except TimeoutError:
            raise VideoError(f"{self.path.name}: frame {index} takes too long") from None

    def close(self) -> None:
        """Let go of the file."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _note(self, index: int, height: int) -> None:
        """Remember which way the page goes, so that what comes next is decoded ahead."""
        with self._changed:
            if index != self._last:
                self._step = 1 if index > self._last else -1
            self._last, self._height, self._ahead = index, height, _AHEAD
            self._wake()

    def _wake(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        with self._video as video:
            while True:
                with self._changed:
                    while not (self._requests or self._ahead or self._closed):
                        if not self._changed.wait(_IDLE):
                            break
                    if self._closed or not (self._requests or self._ahead):
                        self._end()
                        return
                    request = self._requests.pop() if self._requests else None
                if request is not None:
                    self._grant(video, request)
                elif not self._read_ahead(video):
                    self._ahead = 0

    def _end(self) -> None:
        self._thread = None
        for request in self._requests:
            request.answer.set_exception(SupersededError("the video was closed"))
        self._requests.clear()

    def _grant(self, video: Video, request: _FrameRequest) -> None:
        back = 0 < self._last - request.index <= _BACK and not request.exact
        self._note(request.index, request.height)
        try:
            if back:
                self._read_back(video, request)
            else:
                image = video.read(request.index)
                picture = self._encode(image, request.index, request.height, exact=request.exact)
                request.answer.set_result(picture)
        except Exception as fault:  # whoever waits is told, and the thread goes on
            if not request.answer.done():
                request.answer.set_exception(fault)

    def _read_back(self, video: Video, request: _FrameRequest) -> None:
        """Decode a frame with those before it: going back, they are asked for next."""
        first, images = max(0, request.index - _BACK), []
        for number, image in video.iterate(first, request.index + 1):
            images.append((number, image))
        if images[-1][1] is None:
            raise VideoError(f"{self.path.name}: frame {request.index} is damaged")
        request.answer.set_result(self._encode(images[-1][1], request.index, request.height))
        for number, image in reversed(images[:-1]):
            if image is not None:
                self._encode(image, number, request.height)

    def _read_ahead(self, video: Video) -> bool:
        """Decode the next frame that is not there yet, in the direction of the page."""
        if self._step < 0:
            return False
        last = self._last
        for index in range(last + 1, min(last + 1 + _AHEAD, self.count)):
            if self.cache.get(self.name_frame(index, self._height)) is None:
                try:
                    self._encode(video.read(index), index, self._height)
                except VideoError:
                    return False
                return True
        return False

    def _bound(self, height: int) -> int:
        """Choose the height of a picture: never more than there is."""
        return self.size[1] if height <= 0 else min(height, self.size[1])

    def _encode(self, image: Image, index: int, height: int, *, exact: bool = False) -> Binary:
        name = self.name_frame(index, height, exact=exact)
        picture = encode_picture(image, 0 if exact else self._bound(height), name, exact=exact)
        self.cache.put(name, picture)
        return picture


def encode_picture(image: Image, height: int, name: str, *, exact: bool = False) -> Binary:
    """Encode an image for the page.

    Parameters
    ----------
    image : uint8, (H, W, 3) RGB or (H, W)
    height : int
        At most so high, px; 0 = as it is.
    name : str
        Its ETag.
    exact : bool
        As PNG, without loss.
    """
    if 0 < height < len(image):
        width = max(1, round(image.shape[1] * height / len(image)))
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = np.asarray(small, np.uint8)
    shown = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if exact:
        return Binary(cv2.imencode(".png", shown)[1].tobytes(), "image/png", name)
    quality = _SMALL_QUALITY if 0 < height <= _SMALL else _QUALITY
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if quality == _QUALITY:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return Binary(cv2.imencode(".jpg", shown, options)[1].tobytes(), "image/jpeg", name)
