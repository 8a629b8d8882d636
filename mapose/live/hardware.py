"""Cameras of flesh and wire: OpenCV's, GenICam's by harvesters, Basler's by pypylon."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from mapose.arrays import Image
from mapose.errors import MissingExtraError, VideoError
from mapose.live.sources import Frame

#: Seconds without a picture after which a camera counts as gone.
_SILENCE = 2.0


class OpenCVCamera:
    """A camera of the system (webcam, capture card) or an address, by OpenCV.

    It has no clock of its own: the time of a frame is when it arrived.

    Parameters
    ----------
    place : int or str
        Number or address.

    Raises
    ------
    VideoError
        If it cannot be opened; while iterating, if it gives no picture any more.
    """

    def __init__(self, place: int | str) -> None:
        import cv2

        self.place = place
        self.start: float | None = None
        self._closed = threading.Event()
        capture = self._open()
        self.rate = float(capture.get(cv2.CAP_PROP_FPS)) or 30.0
        capture.release()

    def _open(self) -> Any:
        import cv2

        logs = cv2.utils.logging
        level = logs.setLogLevel(logs.LOG_LEVEL_SILENT)  # it says a page where there is no camera
        try:
            capture = cv2.VideoCapture(self.place)
        finally:
            logs.setLogLevel(level)
        if not capture.isOpened():
            raise VideoError(
                f"camera {self.place}: cannot be opened; is it connected, free, and its number "
                "right?"
            )
        return capture

    def __iter__(self) -> Iterator[Frame]:
        """Open it, also again after a failure, and give frames as they come."""
        capture, number = self._open(), 0
        try:
            while not self._closed.is_set():
                there, image = capture.read()
                now = time.monotonic()
                if not there:
                    raise VideoError(f"camera {self.place}: gives no picture any more")
                yield Frame(_turn_colours(np.asarray(image, np.uint8)), now, number, now)
                number += 1
        finally:
            capture.release()  # here, as no other thread may while this one reads

    def close(self) -> None:
        """End it; whoever iterates lets it go."""
        self._closed.set()


class GenICamCamera:
    """A camera that speaks GenICam (GigE Vision, USB3 Vision), by harvesters.

    Its time stamps are the hardware's.

    Parameters
    ----------
    producer : str
        The maker's GenTL producer, a ``.cti`` file.
    serial : str, optional
        Serial number; the first camera that is found by default.

    Raises
    ------
    MissingExtraError
        If harvesters is not installed.
    VideoError
        If there is no such camera.
    """

    def __init__(self, producer: str, serial: str | None = None) -> None:
        core = _import("harvesters.core", "genicam")
        self.start: float | None = None
        self.rate = 30.0
        self._closed = threading.Event()
        self._harvester = core.Harvester()
        self._harvester.add_file(producer, check_existence=True, check_validity=True)
        self._harvester.update()
        try:
            wanted = {"serial_number": serial} if serial else 0
            self._acquirer: Any = self._harvester.create(wanted)
        except Exception as fault:
            self._harvester.reset()
            raise VideoError(
                f"genicam: no camera {serial or ''} is found through {producer}: is it connected, "
                f"and not used by another program? ({fault})"
            ) from fault
        nodes = self._acquirer.remote_device.node_map
        if hasattr(nodes, "AcquisitionFrameRate"):
            self.rate = float(nodes.AcquisitionFrameRate.value)

    def __iter__(self) -> Iterator[Frame]:
        """Start the acquisition and give its frames."""
        self._acquirer.start()
        number = 0
        try:
            while not self._closed.is_set():
                with self._acquirer.fetch(timeout=_SILENCE) as buffer:
                    now = time.monotonic()
                    part = buffer.payload.components[0]
                    image = part.data.reshape(part.height, part.width, -1)
                    stamp = buffer.timestamp_ns * 1e-9 if buffer.timestamp_ns else now
                    frame = Frame(_make_eight_bits(image), stamp, number, now)
                yield frame
                number += 1
        finally:
            self._acquirer.stop()
            if self._closed.is_set():
                self._acquirer.destroy()
                self._harvester.reset()

    def close(self) -> None:
        """End it; whoever iterates lets the camera go."""
        self._closed.set()


class BaslerCamera:
    """A camera of Basler, by pypylon; time stamps and frame numbers are the hardware's.

    Parameters
    ----------
    serial : str, optional
        Serial number; the first camera that is found by default.

    Raises
    ------
    MissingExtraError
        If pypylon is not installed.
    VideoError
        If there is no such camera.
    """

    def __init__(self, serial: str | None = None) -> None:
        self._pylon = pylon = _import("pypylon.pylon", "basler")
        self.start: float | None = None
        self._closed = threading.Event()
        factory = pylon.TlFactory.GetInstance()
        found = [d for d in factory.EnumerateDevices() if serial in (None, d.GetSerialNumber())]
        if not found:
            raise VideoError(
                f"basler: no camera {serial or ''} is found: is it connected and free?"
            )
        self._camera: Any = pylon.InstantCamera(factory.CreateDevice(found[0]))
        self._camera.Open()
        self.rate = float(self._camera.ResultingFrameRate.GetValue())

    def __iter__(self) -> Iterator[Frame]:
        """Start grabbing, the newest frame first, and give the frames."""
        self._camera.StartGrabbing(self._pylon.GrabStrategy_LatestImageOnly)
        try:
            while not self._closed.is_set() and self._camera.IsGrabbing():
                with self._camera.RetrieveResult(
                    int(1000 * _SILENCE), self._pylon.TimeoutHandling_ThrowException
                ) as found:
                    now = time.monotonic()
                    if not found.GrabSucceeded():
                        continue
                    image = _make_eight_bits(np.atleast_3d(found.Array))
                    frame = Frame(image, found.TimeStamp * 1e-9, int(found.ImageNumber), now)
                yield frame
        finally:
            self._camera.StopGrabbing()
            if self._closed.is_set():
                self._camera.Close()

    def close(self) -> None:
        """End it; whoever iterates lets the camera go."""
        self._closed.set()


def _import(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        raise MissingExtraError(
            f"{extra} cameras want {module.partition('.')[0]}: pip install 'mapose[{extra}]'"
        ) from fault


def _turn_colours(image: Image) -> Image:
    """Make RGB of OpenCV's BGR."""
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def _make_eight_bits(image: np.ndarray) -> Image:
    """Copy a buffer (H, W, C) that the camera takes back, as 8 bits, grey without a third axis."""
    if image.dtype != np.uint8:
        deepest = max(int(image.max(initial=1)).bit_length(), 8)
        image = image >> (deepest - 8)
    return np.array(image[..., 0] if image.shape[2] == 1 else image[..., :3], np.uint8)
