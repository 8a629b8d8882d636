"""A project: the folder that a lab works in, which can be moved, zipped and shared."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mapose.config import parse_settings
from mapose.errors import SettingsError, ShapeError, suggest_name
from mapose.files import RESULT, make_folder, remove_debris
from mapose.io import Video, load_labels
from mapose.io.recordings import find_path, fingerprint, name_beside
from mapose.labels import Labels
from mapose.locks import lock_output
from mapose.models import Model, write_yaml
from mapose.reading import explain_damage, is_plain_name, load_yaml
from mapose.skeleton import Skeleton, find_mirror

logger = logging.getLogger(__name__)

FILE = "mapose.yaml"
_FOLDERS = ("videos", "labels", "models", "results")
#: Animals of a project at most; what a damaged file says more is not tried.
MOST_ANIMALS = 10_000


class _Description(BaseModel):
    """What ``mapose.yaml`` holds."""

    model_config = ConfigDict(extra="forbid")

    keypoints: list[str]
    edges: list[list[str]] = []
    mirror: list[list[str]] = []
    individuals: int | list[str] = Field(1, description="how many, or their names")
    videos: dict[str, str] = Field({}, description="name: path from this folder")


@dataclass(frozen=True)
class Project:
    """A project folder.

    Parameters
    ----------
    path : Path
        The folder.
    skeleton : Skeleton
        Keypoints, limbs, mirror pairs.
    individuals : tuple of str or int
        Names of the animals, or how many there are at most.
    videos : dict of str to Path
        Video files by name, each as a path from the project's folder.
    """

    path: Path
    skeleton: Skeleton
    individuals: int | tuple[str, ...]
    videos: Mapping[str, Path]

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        skeleton: Skeleton,
        *,
        individuals: int | Sequence[str] = 1,
        videos: Iterable[str | os.PathLike[str]] = (),
    ) -> Project:
        """Make a new project folder.

        Parameters
        ----------
        path : path
            A folder that does not exist yet or is empty.
        skeleton : Skeleton
            Keypoints, limbs, mirror pairs; mirror pairs are guessed from names if none.
        individuals : int or sequence of str
            How many animals there are at most, or their names.
        videos : iterable of path
            Video files; they stay where they are.

        Raises
        ------
        SettingsError
            If the folder holds something already.
        VideoError
            If a video cannot be opened.
        """
        path = Path(path)
        check_free(path)
        if not skeleton.mirror:
            pairs = find_mirror(skeleton.keypoints)
            skeleton = Skeleton(skeleton.keypoints, skeleton.edges, pairs)
        count = individuals if isinstance(individuals, int) else tuple(individuals)
        if not count or (isinstance(count, int) and count < 1):
            raise SettingsError(f"individuals: wanted at least one animal, came {individuals!r}")
        project = cls(path, skeleton, count, {}).with_videos(videos)
        make_folder(path)
        with lock_output(path / FILE, wait=True):
            check_free(path)
            for folder in _FOLDERS:
                make_folder(path / folder)
            project._save()
        return project

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Project:
        """Open a project folder.

        Raises
        ------
        SettingsError
            If it is not a project, or its ``mapose.yaml`` is not usable.
        """
        path = Path(path)
        file = path / FILE
        if not file.is_file():
            raise SettingsError(f"{path}: not a project (no {FILE}); make one with `mapose new`")
        with explain_damage(file, SettingsError):
            raw = load_yaml(file.read_text(encoding="utf-8-sig"), file, error=SettingsError)
        try:
            found = parse_settings(_Description, raw)
            skeleton = Skeleton(found.keypoints, found.edges, found.mirror)
            _check_names(found.videos)
            _check_individuals(found.individuals)
        except (SettingsError, ShapeError) as error:
            raise SettingsError(f"{file}: {error}") from None
        individuals = found.individuals
        if not isinstance(individuals, int):
            individuals = tuple(individuals)
        videos = {name: Path(p) for name, p in found.videos.items()}
        return cls(path, skeleton, individuals, videos)

    @property
    def count(self) -> int:
        """How many animals there are at most."""
        return self.individuals if isinstance(self.individuals, int) else len(self.individuals)

    def _save(self) -> None:
        count = self.individuals
        description = {
            **self.skeleton.to_dict(),
            "individuals": count if isinstance(count, int) else list(count),
            "videos": {name: p.as_posix() for name, p in self.videos.items()},
        }
        write_yaml(description, self.path / FILE)

    def add_videos(
        self, videos: Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]
    ) -> Project:
        """Take videos into the project; they stay where they are.

        Parameters
        ----------
        videos : iterable of path, or dict of str to path
            Video files, by name where that is not the stem of the file.

        Returns
        -------
        Project
            With the videos.

        Raises
        ------
        VideoError
            If one cannot be opened.
        SettingsError
            If two videos have the same name.
        """
        with lock_output(self.path / FILE, wait=True):
            # Another program may have added some since this one read the project.
            project = Project.load(self.path).with_videos(videos)
            project._save()
        return project

    def with_videos(
        self, videos: Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]
    ) -> Project:
        """Give the project as it would be with more videos; nothing is written.

        Raises
        ------
        VideoError, SettingsError
            As for `add_videos`.
        """
        known = dict(self.videos)
        given = videos.items() if isinstance(videos, Mapping) else ((None, v) for v in videos)
        for chosen, video in given:
            with Video(video) as opened:
                name = chosen or opened.name
            place = find_path(video, self.path)
            if known.get(name, place) != place:
                raise SettingsError(
                    f"two videos are called {name!r}: {known[name]}, which is in {self.path} "
                    f"already, and {place}; rename one of them"
                )
            known[name] = place
        return replace(self, videos=known)

    def find_video(self, name: str) -> Path:
        """Find the file of a video by name.

        Raises
        ------
        SettingsError
            If there is none of this name, or its file has moved.
        """
        if name not in self.videos:
            raise SettingsError(f"no video {name!r} here: {suggest_name(name, self.videos)}")
        file = self.path / self.videos[name]
        if not file.exists():
            raise SettingsError(
                f"video {name!r} is no longer at {file}: put it there, or correct its path in "
                f"{self.path / FILE}"
            )
        return file

    def find_own(self, video: str | os.PathLike[str]) -> str | None:
        """Find the name of a video file here; None if it is not one of the project's."""
        place = Path(video).resolve()
        names = (n for n, own in self.videos.items() if (self.path / own).resolve() == place)
        return next(names, None)

    def find_result(self, video: str | os.PathLike[str]) -> Path:
        """Find where the result of a video file lies.

        Those of the project's own videos lie in its ``results/``, so that folders of raw data
        stay as they are; those of others beside them.
        """
        name = self.find_own(video)
        if name is None:
            return name_beside(video, RESULT)
        return self.path / "results" / f"{name}{RESULT}"

    def find_fingerprints(self, names: Iterable[str]) -> dict[str, str]:
        """Find the fingerprints of those videos that are at hand."""
        files = {n: self.path / self.videos[n] for n in dict.fromkeys(names) if n in self.videos}
        return {name: fingerprint(file) for name, file in files.items() if file.exists()}

    def load_labels(self) -> Labels:
        """Read all labels.

        Raises
        ------
        FormatError
            If there are none, or they do not fit their images or the skeleton.
        """
        return load_labels(self.path / "labels", self.skeleton)

    def list_models(self) -> list[str]:
        """List the names of the trained models, oldest first."""
        found = [p.parent for p in (self.path / "models").glob("*/model.yaml")]
        return [p.name for p in sorted(found, key=lambda p: (p / "model.yaml").stat().st_mtime)]

    def load_model(self, name: str | None = None) -> Model:
        """Open a trained model, by default the newest.

        Raises
        ------
        SettingsError
            If there is none, or none of this name.
        """
        names = self.list_models()
        if not names:
            raise SettingsError(f"{self.path}: no model yet; train one with `mapose train`")
        if name is not None and name not in names:
            raise SettingsError(f"no model {name!r} here: {suggest_name(name, names)}")
        return Model.load(self.path / "models" / (name or names[-1]))

    def check_model(self, model: Model) -> None:
        """Make sure that a model is for this project's keypoints.

        Raises
        ------
        ShapeError
            If it is for others.
        """
        mine, its = self.skeleton.keypoints, model.skeleton.keypoints
        if mine != its:
            raise ShapeError(
                f"the model is for the keypoints {', '.join(its)}; the project {self.path} has "
                f"{', '.join(mine)}: choose another model, or train one"
            )


def check_free(path: Path) -> None:
    """Make sure that a folder can become a project: it holds at most what a killed try has left.

    Raises
    ------
    SettingsError
        If it holds anything else, or is a file.
    """
    remove_debris(path / FILE)
    own = re.compile(rf"{re.escape(FILE)}(\..*\.tmp|\.lock)")
    there = list(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    for item in there:
        empty = item.name in _FOLDERS and item.is_dir() and not any(item.iterdir())
        if not empty and not own.fullmatch(item.name):
            raise SettingsError(f"{path} exists already: name a new or empty folder")


def _check_individuals(individuals: int | list[str]) -> None:
    count = individuals if isinstance(individuals, int) else len(individuals)
    if not 1 <= count <= MOST_ANIMALS:
        raise SettingsError(f"individuals: wanted 1 to {MOST_ANIMALS} animals, came {count}")


def _check_names(videos: Iterable[str]) -> None:
    """Refuse names of videos that cannot be those of folders: labels lie in one per video."""
    odd = [name for name in videos if not is_plain_name(name)]
    if odd:
        raise SettingsError(f"a video cannot be called {odd[0]!r}: its name becomes a folder's")
