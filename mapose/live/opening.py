"""From a name on the command line to a camera."""

from __future__ import annotations

from pathlib import Path

from mapose.errors import SettingsError
from mapose.live.hardware import BaslerCamera, GenICamCamera, OpenCVCamera
from mapose.live.sources import Replay, Source


def open_source(name: str) -> Source:
    """Open what a name stands for.

    Parameters
    ----------
    name : str
        A number, a camera of the system by OpenCV; an address (``rtsp://...``); a video file,
        played at its rate; ``genicam:FILE.cti`` or ``genicam:FILE.cti:SERIAL``; ``basler:`` or
        ``basler:SERIAL``.

    Returns
    -------
    Source

    Raises
    ------
    SettingsError
        If there is no such file.
    MissingExtraError
        If the library of this kind of camera is not installed.
    VideoError
        If the camera or the video cannot be opened.
    """
    kind, colon, rest = name.partition(":")
    if kind == "genicam" and colon:
        cti, _, serial = rest.partition(".cti:")
        return GenICamCamera(f"{cti}.cti" if serial else rest, serial or None)
    if kind == "basler" and colon:
        return BaslerCamera(rest or None)
    if name.isdigit() or "://" in name:
        return OpenCVCamera(int(name) if name.isdigit() else name)
    if not Path(name).is_file():
        raise SettingsError(
            f"--source: wanted a camera's number, an address, genicam:FILE.cti, basler:SERIAL or a "
            f"video file, came {name!r}, and there is no such file"
        )
    return Replay(name)
