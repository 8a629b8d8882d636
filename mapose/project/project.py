"""A project: the folder that a lab works in, which can be moved, zipped and shared."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mapose.errors import FormatError, SettingsError, ShapeError, suggest_name
from mapose.files import RESULT, check_output, make_folder, remove_debris, write_atomically
from mapose.io import Video
from mapose.io.labels import check_exist
from mapose.io.recordings import find_path, fingerprint, name_beside
from mapose.labels import UNMARKED, Labels
from mapose.locks import lock_output
from mapose.project.description import (
    FILE,
    Description,
    check_individuals,
    check_sessions,
    load_description,
    save_description,
)
from mapose.project.history import JOURNAL, History
from mapose.project.labelling import Labelling
from mapose.reading import explain_damage
from mapose.skeleton import Skeleton, find_mirror

if TYPE_CHECKING:
    from mapose.models import Model, TopDown

_FOLDERS = ("videos", "labels", "models", "results")


@dataclass(frozen=True)
class Project(Labelling):
    """A project folder.

    Projects do not change: whatever changes one gives it as it is now. What is done to labels is
    described at `mapose.project.labelling.Labelling`.

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
    recordings : dict of str to str
        Fingerprints of the videos by name, by which they are found again.
    sessions : dict of str to dict
        Recordings of several synchronized cameras: the name of each camera's video, by camera.
    """

    path: Path
    skeleton: Skeleton
    individuals: int | tuple[str, ...]
    videos: Mapping[str, Path]
    recordings: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    sessions: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    _past: History = field(init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"<Project {self.path}: {len(self.skeleton.keypoints)} keypoints, {self.count} "
            f"animals, {len(self.videos)} videos>"
        )

    def __post_init__(self) -> None:
        object.__setattr__(self, "_past", History(self.path))

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
            Keypoints, limbs, mirror pairs; of keypoints without a pair it is guessed from names.
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
        paired = {name for pair in skeleton.mirror for name in pair}
        pairs = find_mirror([name for name in skeleton.keypoints if name not in paired])
        skeleton = replace(skeleton, mirror=(*skeleton.mirror, *pairs))
        count = individuals if isinstance(individuals, int) else tuple(individuals)
        if not count or (isinstance(count, int) and count < 1):
            raise SettingsError(f"individuals: wanted at least one animal, came {individuals!r}")
        if set(skeleton.landmarks) == set(skeleton.keypoints):
            raise SettingsError("landmarks: at least one keypoint has to belong to an animal")
        check_individuals(count)
        project = cls(path, skeleton, count, {}).with_videos(videos)
        make_folder(path)
        with lock_output(path / FILE, wait=True):
            check_free(path)
            for folder in _FOLDERS:
                make_folder(path / folder)
            project.save()
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
        past = History(path)
        load_description(path)
        past.look()  # what was interrupted is put in order before it is read
        found = load_description(path)
        count = found.individuals
        individuals = count if isinstance(count, int) else tuple(count)
        videos = {name: Path(p) for name, p in found.videos.items()}
        project = cls(path, found.skeleton, individuals, videos, found.recordings, found.sessions)
        object.__setattr__(project, "_past", past)
        return project

    @property
    def count(self) -> int:
        """How many animals there are at most."""
        return self.individuals if isinstance(self.individuals, int) else len(self.individuals)

    def save(self) -> None:
        """Write ``mapose.yaml``; whoever calls this holds the lock of the project."""
        count = self.individuals
        plain = {
            **self.skeleton.to_dict(),
            "individuals": count if isinstance(count, int) else list(count),
            "videos": {name: p.as_posix() for name, p in self.videos.items()},
            "recordings": dict(self.recordings),
            "sessions": {name: dict(cameras) for name, cameras in self.sessions.items()},
        }
        save_description(Description.model_validate(plain), self.path)

    def add_videos(
        self,
        videos: Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]],
        *,
        copy: bool = False,
    ) -> Project:
        """Take videos into the project; they stay where they are.

        Parameters
        ----------
        videos : iterable of path, or dict of str to path
            Video files, by name where that is not the stem of the file.
        copy : bool
            Copy the files into ``videos/`` of the project instead.

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
        videos = [videos] if isinstance(videos, str | os.PathLike) else videos
        with lock_output(self.path / FILE, wait=True):
            # Another program may have added some since this one read the project.
            project = Project.load(self.path)
            new = project.with_videos(videos)
            if copy:
                given = videos if isinstance(videos, Mapping) else {Path(v).stem: v for v in videos}
                copied = {n: self._copy_video(n, Path(v)) for n, v in given.items()}
                new = project.with_videos(copied)
            new.save()
        return new

    def add_session(
        self, name: str, cameras: Mapping[str, str | os.PathLike[str]], *, copy: bool = False
    ) -> Project:
        """Say that the videos of several synchronized cameras are one recording.

        Parameters
        ----------
        name : str
            Of the session; one of this name is replaced.
        cameras : dict of str to path
            The video of each camera: a file, or the name of a video that is here already. Files
            are taken in under ``NAME-CAMERA`` where their own name is taken.
        copy : bool
            Copy files into the project.

        Returns
        -------
        Project
            With the session.

        Raises
        ------
        SettingsError
            If there is one camera only, or a video belongs to another session.
        """
        with lock_output(self.path / FILE, wait=True):
            project = Project.load(self.path)
            chosen: dict[str, str] = {}
            new: dict[str, str | os.PathLike[str]] = {}
            for camera, video in cameras.items():
                own = str(video) if str(video) in project.videos else project.find_own(video)
                own = own or next((n for n, v in new.items() if Path(v) == Path(video)), None)
                if own is None:
                    own = Path(video).stem
                    own = own if own not in {*project.videos, *new} else f"{name}-{camera}"
                    new[own] = video
                chosen[camera] = own
            sessions = {**project.sessions, name: chosen}
            check_sessions(sessions, {*project.videos, *new})  # before any video is taken in
            project = replace(project.add_videos(new, copy=copy), sessions=sessions)
            project.save()
        return project

    def _copy_video(self, name: str, video: Path) -> Path:
        place = self.path / "videos" / f"{name}{video.suffix}"
        if not (place.exists() and fingerprint(place) == fingerprint(video)):
            check_output(place, inputs=[video])
            with write_atomically(place) as temporary:
                shutil.copyfile(video, temporary)
        return place

    def with_videos(
        self, videos: Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]
    ) -> Project:
        """Give the project as it would be with more videos; nothing is written.

        Raises
        ------
        VideoError, SettingsError
            As for `add_videos`.
        """
        known, recordings = dict(self.videos), dict(self.recordings)
        if isinstance(videos, str | os.PathLike):
            videos = [videos]  # one alone
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
            recordings[name] = fingerprint(video)
        return replace(self, videos=known, recordings=recordings)

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
                f"video {name!r} is no longer at {file}: put it there, or find it again with "
                f"`mapose relink {self.path} FOLDER`"
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

    def load_labels(self, *, unmarked: bool = False) -> Labels:
        """Read all labels.

        Parameters
        ----------
        unmarked : bool
            Give frames, too, that nobody has labelled yet: none of their keypoints is marked,
            nor said to be absent, as all are where there is no animal.

        Raises
        ------
        FormatError
            If there are none, or they do not fit their images or the skeleton.
        """
        folder = self.path / "labels"
        state = self._past.read()
        if not state.frames:
            raise FormatError(
                f"no labels in {folder}: label some frames, or import labels with `mapose import`"
            )
        with explain_damage(folder / JOURNAL):
            labels = state.to_labels(folder)
        if not unmarked:
            rows = np.flatnonzero((labels.find_states() != UNMARKED).any((1, 2)))
            if not len(rows):
                raise FormatError(
                    f"no labels in {folder}: {len(labels)} frames are to be labelled, none is yet"
                )
            labels = labels.take(rows)
        check_exist([p for p in labels.images if p is not None], folder)
        return labels

    def defer_tables(self) -> None:
        """Let ``labels.csv`` follow when `write_tables` is called: see `History.defer_tables`."""
        self._past.defer_tables()

    def write_tables(self) -> None:
        """Write the tables of labels that were deferred."""
        self._past.write_tables()

    def list_models(self) -> list[str]:
        """List the names of the trained models, oldest first."""
        found = [p.parent for p in (self.path / "models").glob("*/model.yaml")]
        return [p.name for p in sorted(found, key=lambda p: (p / "model.yaml").stat().st_mtime)]

    def find_model(self, name: str | None = None) -> Path:
        """Find the folder of a trained model, by default the newest.

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
        return self.path / "models" / (name or names[-1])

    def load_model(self, name: str | None = None) -> Model:
        """Open a trained model as `find_model` finds it."""
        from mapose.models import Model  # with torch, which takes two seconds to load

        return Model.load(self.find_model(name))

    def check_model(self, model: Model | TopDown) -> None:
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


def find_enclosing(path: Path) -> Path | None:
    """Find the project that a folder lies in, if it lies in one."""
    return next((p for p in path.resolve().parents if (p / FILE).is_file()), None)


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
