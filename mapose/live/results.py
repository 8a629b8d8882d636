"""Answers kept in our own file: in short parts, so that a crash costs seconds."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import FormatError
from mapose.files import RESULT, claim_output, make_folder
from mapose.io import PosesWriter, load, load_provenance, save
from mapose.live.answers import Answer
from mapose.live.gathering import FrameSet
from mapose.locks import is_locked
from mapose.poses import Poses

log = logging.getLogger(__name__)

#: Seconds of answers in a part, and answers that wait for a part that cannot be written.
_PART, _MOST = 5.0, 100_000


class ResultOutput:
    """Keep all answers, as measured at their exposure.

    Parts of some seconds lie in a folder beside; they are joined when the run ends, or, after a
    crash, by `join_parts`.

    Parameters
    ----------
    path : path
        ``NAME.mapose.h5``.
    rate : float
        Sets per second: frame n is n / rate seconds after the first one.
    provenance : dict, optional
        Where the answers come from.
    cameras : str
        The calibration as TOML text, to be kept with it.
    repeatable : bool
        The run can be had again, as a rehearsal can: parts that the same one has left when it was
        cut off are replaced.

    Raises
    ------
    FormatError
        If there are parts of another run that did not end.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rate: float,
        provenance: Mapping[str, Any] | None = None,
        cameras: str = "",
        repeatable: bool = False,
    ) -> None:
        self.path = Path(path)
        self.folder = find_parts(self.path)
        self._rate, self._cameras = rate, cameras
        self._provenance = dict(provenance or {})
        left = _list_parts(self.folder)
        if left and not (repeatable and self._has_made(left[0])):
            raise FormatError(
                f"{self.folder} holds parts of a run that did not end: join them with "
                f"mapose live --join {self.path}, or remove the folder"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        make_folder(self.folder)
        self._answers: list[Answer] = []
        self._parts = 0
        self._first: int | None = None

    def _has_made(self, part: Path) -> bool:
        made = self._provenance.get("made")
        try:
            return made is not None and load_provenance(part).get("made") == made
        except FormatError:  # damaged: whose it was is not known
            return False

    def send(self, answer: Answer) -> None:
        """Keep it; every few seconds a part is written."""
        if len(self._answers) < _MOST:
            seen = answer.frames  # its pictures are let go: seconds of them are a gigabyte
            bare = FrameSet({}, seen.exposed, seen.number)
            self._answers.append(replace(answer, frames=bare, views={}))
        if len(self._answers) >= _PART * self._rate:
            self._write()

    def _write(self) -> None:
        """Write a part; what could not be written waits for the next one."""
        poses = self._make_poses()
        part = self.folder / f"{self._parts:06d}{RESULT}"
        save(poses, part, provenance={**self._provenance, "cameras": self._cameras})
        self._parts += 1
        self._answers = []

    def _make_poses(self) -> Poses:
        answers = self._answers
        first = answers[0]
        if self._first is None:
            self._first = first.frames.number
        array = np.concatenate(
            [
                np.stack([a.points for a in answers]),
                np.stack([a.confidence for a in answers])[..., None],
            ],
            axis=-1,
        )
        return Poses(
            array,
            first.skeleton,
            first.individuals,
            rate=self._rate,
            unit=first.unit,
            frames=np.array([a.frames.number - self._first for a in answers]),
            identity=np.stack([a.certainty for a in answers]),
            covariance=np.stack([a.covariance for a in answers]),
        )

    def close(self) -> None:
        """Write what is left and join the parts."""
        if self._answers:
            self._write()
        if self._parts:
            _join(self.path, self.folder)
        else:
            shutil.rmtree(self.folder)


def find_parts(path: str | os.PathLike[str]) -> Path:
    """Name the folder in which the parts of a result lie while it is made."""
    path = Path(path)
    return path.with_name(f"{path.name.removesuffix(RESULT)}.parts")


def join_parts(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Join the parts of a live run that ended in whatever way.

    Parameters
    ----------
    path : path
        The result, ``NAME.mapose.h5``, beside whose parts it is made; these are removed then.
    force : bool
        Replace a file of that name.

    Returns
    -------
    Path
        The result.

    Raises
    ------
    FormatError
        If there are no parts.
    SettingsError
        If there is a file of that name, or another program works on it.
    """
    path = Path(path)
    if remove_joined(path):
        return path
    with claim_output(path, suffixes=(RESULT,), force=force):
        return _join(path, find_parts(path))


def remove_joined(path: str | os.PathLike[str]) -> bool:
    """Remove parts that are in the result already: of a run that was killed when all was done."""
    path = Path(path)
    folder = find_parts(path)
    if not folder.is_dir() or not path.is_file() or is_locked(path):
        return False
    if any(part.stat().st_mtime > path.stat().st_mtime for part in _list_parts(folder)):
        return False
    shutil.rmtree(folder)
    return True


def _list_parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{RESULT}"))


def _is_sound(part: Path) -> bool:
    """Tell whether a part can be read; of one that a disk has lost some of, seconds are missing."""
    try:
        load(part)
        load_provenance(part)
    except FormatError as fault:
        log.warning("a part is left out, and stays in its folder: %s", fault)
        return False
    return True


def _join(path: Path, folder: Path) -> Path:
    parts = [part for part in _list_parts(folder) if _is_sound(part)]
    if not parts:
        raise FormatError(f"{folder}: wanted parts of a live run of {path.name}, found none")
    first, provenance = load(parts[0]), load_provenance(parts[0])
    cameras = provenance.pop("cameras", "")
    with PosesWriter(
        path,
        first.skeleton,
        first.individuals,
        rate=first.rate,
        unit=first.unit,
        provenance=provenance,
    ) as writer:
        for part in parts:
            writer.append(load(part))
        if cameras:
            writer.add_cameras(cameras)
    if parts == _list_parts(folder):
        shutil.rmtree(folder)
    return path
