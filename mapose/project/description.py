"""What ``mapose.yaml`` holds: keypoints, animals and videos of a project, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mapose.config import parse_settings
from mapose.errors import SettingsError, ShapeError, suggest_name
from mapose.files import write_yaml
from mapose.reading import explain_damage, is_plain_name, load_yaml
from mapose.skeleton import Skeleton

FILE = "mapose.yaml"
#: Animals of a project at most; what a damaged file says more is not tried.
MOST_ANIMALS = 10_000


class Description(BaseModel):
    """The lines of ``mapose.yaml``."""

    model_config = ConfigDict(extra="forbid")

    keypoints: list[str]
    edges: list[list[str]] = []
    mirror: list[list[str]] = []
    landmarks: list[str] = Field([], description="keypoints that belong to no animal")
    individuals: int | list[str] = Field(1, description="how many, or their names")
    videos: dict[str, str] = Field({}, description="name: path from this folder")
    recordings: dict[str, str] = Field({}, description="name: fingerprint of the video")
    sessions: dict[str, dict[str, str]] = Field({}, description="name: camera: name of its video")

    @property
    def skeleton(self) -> Skeleton:
        """Keypoints, limbs, mirror pairs."""
        return Skeleton(self.keypoints, self.edges, self.mirror, landmarks=self.landmarks)


def load_description(folder: Path) -> Description:
    """Read the ``mapose.yaml`` of a project folder.

    Raises
    ------
    SettingsError
        If it is not a project, or the file is not usable.
    """
    file = folder / FILE
    if not file.is_file():
        raise SettingsError(f"{folder}: not a project (no {FILE}); make one with `mapose new`")
    with explain_damage(file, SettingsError):
        raw = load_yaml(file.read_text(encoding="utf-8-sig"), file, error=SettingsError)
    try:
        found = parse_settings(Description, raw)
        _ = found.skeleton
        _check_names(found.videos)
        check_individuals(found.individuals)
        check_sessions(found.sessions, found.videos)
    except (SettingsError, ShapeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    return found


def save_description(description: Description, folder: Path) -> None:
    """Write the ``mapose.yaml`` of a project folder, whole or not at all."""
    write_yaml(make_plain(description), folder / FILE)


def make_plain(description: Description) -> dict[str, Any]:
    """Make plain values of a description, without what is empty and seldom there."""
    plain = description.model_dump(mode="json")
    return {k: v for k, v in plain.items() if v or k not in ("recordings", "sessions", "landmarks")}


def check_individuals(individuals: int | Iterable[str]) -> None:
    """Refuse less than one animal, too many, and names that come twice.

    Raises
    ------
    SettingsError
        If they are not to be had.
    """
    names = [] if isinstance(individuals, int) else list(individuals)
    count = individuals if isinstance(individuals, int) else len(names)
    if not 1 <= count <= MOST_ANIMALS:
        raise SettingsError(f"individuals: wanted 1 to {MOST_ANIMALS} animals, came {count}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingsError(f"individuals: names must differ, repeated: {', '.join(twice)}")


def check_sessions(sessions: Mapping[str, Mapping[str, str]], videos: Iterable[str]) -> None:
    """Refuse sessions of videos that are not there, or that another session has.

    Raises
    ------
    SettingsError
        If one cannot be.
    """
    known = set(videos)
    owner: dict[str, str] = {}
    for name, cameras in sessions.items():
        if len(cameras) < 2:
            raise SettingsError(f"session {name}: wanted two cameras or more, came {len(cameras)}")
        for video in cameras.values():
            if video not in known:
                raise SettingsError(f"session {name}: no video {video!r}: "
                                    f"{suggest_name(video, known)}")  # fmt: skip
            if video in owner:
                raise SettingsError(
                    f"the video {video} would be in the sessions {owner[video]} and {name}: a "
                    "recording belongs to one"
                )
            owner[video] = name


def _check_names(videos: Iterable[str]) -> None:
    """Refuse names of videos that cannot be those of folders: labels lie in one per video."""
    odd = [name for name in videos if not is_plain_name(name)]
    if odd:
        raise SettingsError(f"a video cannot be called {odd[0]!r}: its name becomes a folder's")
