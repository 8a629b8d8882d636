"""Sessions of several cameras: folders with a video of each, and what ``session.yaml`` says.

The file may lie in the folder or in any above; what a nearer one says counts. Paths in it are
relative to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapose.config import SessionSettings, parse_settings
from mapose.errors import SettingsError, suggest_name
from mapose.files import is_drawn
from mapose.io.formats import ENDINGS
from mapose.io.sources import VIDEO_SUFFIXES, find_files
from mapose.reading import explain_damage, load_yaml

FILE = "session.yaml"
CALIBRATION = "calibration.toml"
_PROJECT = "mapose.yaml"
_EXPORTS = [format for format in ENDINGS if format != "mapose"]


@dataclass(frozen=True)
class Rig:
    """Cameras that are calibrated once for all sessions that they recorded.

    Parameters
    ----------
    folder : Path
        Of the videos of the board; gets ``calibration.toml``.
    videos : dict of str to Path
        By camera.
    board : str
        As for `mapose.calibrate_cameras`.
    fisheye : tuple of str
        Cameras with such a lens.
    times : Path, optional
        When the frames were taken, or which were dropped.
    """

    folder: Path
    videos: Mapping[str, Path]
    board: str
    fisheye: tuple[str, ...] = ()
    times: Path | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.folder)

    @property
    def calibration(self) -> Path:
        """Where its calibration lies."""
        return self.folder / CALIBRATION


@dataclass(frozen=True)
class Session:
    """One recording of one or several cameras.

    Parameters
    ----------
    folder : Path
        In which all lies.
    videos : dict of str to Path
        By camera.
    settings : SessionSettings
        Of ``session.yaml``.
    calibration : Path, optional
        Of its cameras; made by the rig, if there is one.
    rig : Rig, optional
        What is calibrated first.
    """

    folder: Path
    videos: Mapping[str, Path]
    settings: SessionSettings
    calibration: Path | None = None
    rig: Rig | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.folder)


def find_sessions(tree: str | os.PathLike[str]) -> list[Session]:
    """Find the sessions in a folder and below: every folder with videos.

    Left out are folders of board videos, projects, and what mapose has drawn.

    Parameters
    ----------
    tree : path
        Folder.

    Returns
    -------
    list of Session
        By folder.

    Raises
    ------
    SettingsError
        If there is none, no ``session.yaml`` says what to do, or one cannot be used; all faults
        at once.
    """
    tree = Path(tree)
    if not tree.is_dir():
        raise SettingsError(f"{tree}: wanted a folder of sessions")
    found, faults = [], []
    for folder in _walk(tree.resolve()):
        try:
            if session := open_session(folder):
                found.append(session)
        except SettingsError as fault:
            faults.append(str(fault))
    if faults:
        raise SettingsError("; ".join(dict.fromkeys(faults)))
    if not found:
        raise SettingsError(
            f"{tree}: no session, a folder with one video per camera and a {FILE} in it or above"
        )
    return found


def open_session(folder: Path) -> Session | None:
    """Open the session of a folder; None if it holds no recording.

    Raises
    ------
    SettingsError
        If no ``session.yaml`` says what to do, or what it says cannot be done.
    """
    files = _list_recordings(folder)
    if not files:
        return None
    settings, limit = read_settings(folder)
    if any((above / settings.boards) == folder for above in folder.parents):
        return None
    videos = match_cameras(files, settings.cameras, folder)
    if settings.calibration is not None or len(videos) == 1:
        return Session(folder, videos, settings, settings.calibration)
    above = [folder, *(p for p in folder.parents if p == limit or limit in p.parents)]
    places = [place for p in above if (place := p / settings.boards).is_dir()]
    if places and settings.board is not None and (shown := _list_recordings(places[0])):
        cameras = match_cameras(shown, settings.cameras, places[0])
        times = None if settings.board_times is None else places[0] / settings.board_times
        rig = Rig(places[0], cameras, settings.board, settings.fisheye, times)
        return Session(folder, videos, settings, rig.calibration, rig)
    known = [place / CALIBRATION for place in (*places, *above)]
    return Session(folder, videos, settings, next((k for k in known if k.is_file()), None))


def read_settings(folder: Path) -> tuple[SessionSettings, Path]:
    """Read what all ``session.yaml`` say of a folder, and find the outermost one's folder.

    Raises
    ------
    SettingsError
        If there is none, or one cannot be used.
    """
    raw: dict[str, Any] = {}
    places = [p for p in (*reversed(folder.parents), folder) if (p / FILE).is_file()]
    for place in places:
        path = place / FILE
        with explain_damage(path, SettingsError):
            said = load_yaml(path.read_text(encoding="utf-8-sig"), path)
        if not isinstance(said, dict):
            raise SettingsError(f"{path}: wanted lines such as 'model: ../mice'")
        raw |= _resolve(said, place)
    if not places:
        raise SettingsError(
            f"{folder}: no {FILE} in it or above; write one that says at least 'model: ../mice'"
        )
    try:
        settings = parse_settings(SessionSettings, raw)
        for format in settings.export:  # or it would be told after hours, by the last step
            if format not in _EXPORTS:
                raise SettingsError(
                    f"export: no format {format!r}; {suggest_name(format, _EXPORTS)}"
                )
    except SettingsError as fault:
        raise SettingsError(f"{places[-1] / FILE}: {fault}") from fault
    return settings, places[0]


def _resolve(said: dict[str, Any], place: Path) -> dict[str, Any]:
    """Make paths, which are relative to the file that says them, absolute."""

    def find(value: Any) -> Any:
        return str((place / value).resolve()) if isinstance(value, str) else value

    said = dict(said)
    if not str(said.get("model", "zoo:")).startswith("zoo:"):
        said["model"] = find(said["model"])
    if str(said.get("board", "")).endswith(".toml"):
        said["board"] = find(said["board"])
    if "calibration" in said:
        said["calibration"] = find(said["calibration"])
    if isinstance(said.get("track"), dict) and "gallery" in said["track"]:
        said["track"] = {**said["track"], "gallery": find(said["track"]["gallery"])}
    return said


def match_cameras(
    files: Sequence[Path], cameras: Sequence[str] | None, folder: Path
) -> dict[str, Path]:
    """Find the one video of each camera.

    Parameters
    ----------
    files : sequence of Path
        Videos of a folder.
    cameras : sequence of str, optional
        Words, each in the name of one video. By default each video is a camera of its name.
    folder : Path
        For messages.

    Raises
    ------
    SettingsError
        If a camera has none or several.

    Examples
    --------
    >>> found = match_cameras([Path("m1-top.mp4"), Path("m1-side.mp4")], ["top", "side"], Path())
    >>> {camera: path.name for camera, path in found.items()}
    {'top': 'm1-top.mp4', 'side': 'm1-side.mp4'}
    """
    if cameras is None:
        return {file.stem: file for file in files}
    found = {}
    for camera in cameras:
        word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(camera)}(?![A-Za-z0-9])")
        own = [file for file in files if word.search(file.stem)]
        if len(own) != 1:
            named = ", ".join(file.name for file in own) or "none"
            raise SettingsError(
                f"{folder}: wanted one video of camera {camera!r}, with this word in its name, "
                f"came {named}"
            )
        found[camera] = own[0]
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Give a folder and those below; not into projects, hidden ones and what mapose makes."""
    if (folder / _PROJECT).is_file() or folder.suffix in (".views", ".parts"):
        return
    yield folder
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        yield from _walk(inner)


def _list_recordings(folder: Path) -> list[Path]:
    return [file for file in find_files(folder, VIDEO_SUFFIXES) if not is_drawn(file)]
