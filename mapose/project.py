"""A project: the folder that a lab works in, which can be moved, zipped and shared."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field

from mapose.config import parse_settings
from mapose.errors import FormatError, SettingsError, ShapeError, suggest_name
from mapose.io import Video, load_labels, read_images, read_labels, save_labels
from mapose.labels import Labels
from mapose.models import Model, write_yaml
from mapose.skeleton import Skeleton, find_mirror

logger = logging.getLogger(__name__)

FILE = "mapose.yaml"


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
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise SettingsError(f"{path} exists already: name a new or empty folder")
        if not skeleton.mirror:
            pairs = find_mirror(skeleton.keypoints)
            skeleton = Skeleton(skeleton.keypoints, skeleton.edges, pairs)
        count = individuals if isinstance(individuals, int) else tuple(individuals)
        if not count or (isinstance(count, int) and count < 1):
            raise SettingsError(f"individuals: wanted at least one animal, came {individuals!r}")
        for folder in ("videos", "labels", "models", "results"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        project = cls(path, skeleton, count, {})
        project._save()
        return project.add_videos(videos)

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
        try:
            raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise SettingsError(f"{file}: not readable as YAML: {error}") from None
        try:
            found = parse_settings(_Description, raw)
            skeleton = Skeleton(found.keypoints, found.edges, found.mirror)
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

    def add_videos(self, videos: Iterable[str | os.PathLike[str]]) -> Project:
        """Take videos into the project; they stay where they are.

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
        known = dict(self.videos)
        for video in videos:
            with Video(video) as opened:
                name = opened.name
            place = _find_relative(Path(video), self.path)
            if known.get(name, place) != place:
                raise SettingsError(f"two videos are called {name!r}: {known[name]} and {place}")
            known[name] = place
        project = replace(self, videos=known)
        project._save()
        return project

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
        if not file.is_file():
            raise SettingsError(
                f"video {name!r} is no longer at {file}: put it there, or correct its path in "
                f"{self.path / FILE}"
            )
        return file

    def load_labels(self) -> Labels:
        """Read all labels.

        Raises
        ------
        FormatError
            If there are none, or they do not fit their images or the skeleton.
        """
        return load_labels(self.path / "labels", self.skeleton)

    def import_labels(
        self, labels: Labels, *, count: int | None = None, seed: int = 0
    ) -> ImportReport:
        """Take over labels made elsewhere, with their images.

        Parameters
        ----------
        labels : Labels
            As `mapose.io.read_labels` gives them.
        count : int, optional
            Take this many frames, spread evenly over the recording; all by default.
        seed : int
            Seed of the choice.

        Returns
        -------
        ImportReport
            What was taken and what was not, and why. Frames that are labelled here already
            stay as they are.

        Raises
        ------
        FormatError
            If no frame can be taken.
        ShapeError
            If the labels have keypoints that the project has not.
        """
        labels = _reorder(labels, self.skeleton)
        old = self._try_labels()
        rows, without = _choose_rows(labels, count, seed)
        taken = {} if old is None else {(v, p.name) for v, p in zip(old.videos, old.images) if p}
        kept, images, twice = [], [], 0
        for row, image in read_images(labels, rows):
            name = _name_image(labels, row)
            if (labels.videos[row], name) in taken:
                twice += 1
                continue
            file = self.path / "labels" / labels.videos[row] / name
            _write_image(image, file)
            kept.append(row)
            images.append(file)
        if not kept and not twice:
            raise FormatError(
                f"none of the {len(labels)} labelled frames has an image: neither image files "
                "nor a video were found beside the labels"
            )
        if kept:
            new = replace(labels.take(kept), images=tuple(images), sources={})
            save_labels(new if old is None else join_labels(old, new), self.path / "labels")
        self.add_videos((labels.sources or {}).values())
        return ImportReport(len(kept), len(labels), twice, without)

    def _try_labels(self) -> Labels | None:
        has = any((self.path / "labels").glob("*/labels.csv"))
        return self.load_labels() if has else None

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


@dataclass(frozen=True)
class ImportReport:
    """What an import took.

    Parameters
    ----------
    taken, offered : int
        Frames taken, and frames with labels in the source.
    twice : int
        Frames that were labelled here already and stayed as they were.
    without : int
        Frames whose image was not found.
    """

    taken: int
    offered: int
    twice: int
    without: int

    def __str__(self) -> str:
        text = f"{self.taken} of {self.offered} labelled frames taken"
        if self.twice:
            text += f"; {self.twice} were here already and stayed as they were"
        if self.without:
            text += f"; {self.without} have neither an image nor a video"
        return text


def import_project(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    count: int | None = None,
    rename: Mapping[str, str] | None = None,
    individuals: int | None = None,
) -> tuple[Project, ImportReport]:
    """Bring labels of another tool into a project, which is made if it is not there.

    Parameters
    ----------
    path : path
        Project folder, old or new.
    source : path
        A DeepLabCut project or csv, a SLEAP file, a COCO json, or a table of another tool.
    count : int, optional
        Frames to take, spread evenly; all by default.
    rename : dict of str to str, optional
        Old keypoint name to new name.
    individuals : int, optional
        Animals at most; by default as many as the fullest labelled frame has.

    Raises
    ------
    FormatError, ShapeError, SettingsError
        If the source cannot be read, or does not fit the project.
    """
    labels = read_labels(Path(source))
    if rename:
        labels = labels.renamed(dict(rename))
    if (Path(path) / FILE).is_file():
        project = Project.load(path)
    else:
        present = np.isfinite(labels.points).all(-1).any(-1)
        most = int(present.sum(1).max(initial=1))
        names = labels.individuals if labels.identified else max(most, 1)
        project = Project.create(path, labels.skeleton, individuals=individuals or names)
    return project, project.import_labels(labels, count=count)


def join_labels(old: Labels, new: Labels) -> Labels:
    """Put two label sets of one skeleton together; individuals are matched by name."""
    names = tuple(dict.fromkeys((*old.individuals, *new.individuals)))
    shape = (len(old) + len(new), len(names), *old.points.shape[2:])
    points = np.full(shape, np.nan, np.float32)
    for part, start in ((old, 0), (new, len(old))):
        columns = [names.index(i) for i in part.individuals]
        points[start : start + len(part), columns] = part.points
    return replace(
        old,
        points=points,
        videos=old.videos + new.videos,
        frames=np.concatenate([old.frames, new.frames]),
        images=old.images + new.images,
        individuals=names,
        identified=old.identified and new.identified,
    )


def _reorder(labels: Labels, skeleton: Skeleton) -> Labels:
    """Bring the keypoints of labels into the project's order; absent ones become NaN."""
    shape = (*labels.points.shape[:2], len(skeleton.keypoints), 2)
    points = np.full(shape, np.nan, np.float32)
    for k, name in enumerate(labels.skeleton.keypoints):
        if name not in skeleton.keypoints:
            hint = suggest_name(name, skeleton.keypoints)
            raise ShapeError(f"the project has no keypoint {name!r}: {hint}; use --rename old=new")
        points[:, :, skeleton.index(name)] = labels.points[:, :, k]
    return replace(labels, points=points, skeleton=skeleton)


def _choose_rows(labels: Labels, count: int | None, seed: int) -> tuple[npt.NDArray, int]:
    """Choose rows that have an image; one at random from each of ``count`` equal stretches."""
    sources = labels.sources or {}
    has_image = np.array(
        [
            i is not None or v in sources or labels.embedded is not None
            for i, v in zip(labels.images, labels.videos, strict=True)
        ],
        bool,
    )
    rows = np.flatnonzero(has_image)
    if count is not None and count < len(rows):
        edges = np.linspace(0, len(rows), count + 1)
        share = np.random.default_rng(seed).uniform(size=count)
        rows = rows[np.floor(edges[:-1] + share * np.diff(edges)).astype(int)]
    return rows, int((~has_image).sum())


def _name_image(labels: Labels, row: int) -> str:
    image, frame = labels.images[row], int(labels.frames[row])
    if image is not None:
        return image.with_suffix(".png").name
    return f"frame{frame if frame >= 0 else row:06d}.png"


def _write_image(image: Path | npt.NDArray[np.uint8], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".part")
    if isinstance(image, Path) and image.suffix.lower() == ".png":
        shutil.copyfile(image, temporary)
    else:
        pixels = read_image(image) if isinstance(image, Path) else image
        order = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        temporary.write_bytes(cv2.imencode(".png", order)[1].tobytes())
    os.replace(temporary, file)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file as RGB, uint8 (H, W, 3).

    Raises
    ------
    FormatError
        If it is missing or not an image.
    """
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise FormatError(f"{path}: wanted an image, found {'no file' if not len(data) else 'none'}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _find_relative(path: Path, folder: Path) -> Path:
    """Find the path from a folder to a file, absolute only where there is no relative one."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve()))
    except ValueError:  # another drive on Windows
        return path.resolve()
