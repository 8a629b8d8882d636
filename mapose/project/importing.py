"""Labels made elsewhere, brought into a project with their images."""

from __future__ import annotations

import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mapose.arrays import Image, Ints
from mapose.errors import FormatError, SettingsError, ShapeError, VideoError, suggest_name
from mapose.files import check_writable, make_folder, remove_debris
from mapose.io import Video, read_embedded_images, read_image, read_labels, write_image
from mapose.io.labels import check_video_names, name_image
from mapose.io.sources import tell_apart
from mapose.labels import ABSENT, UNMARKED, Labels
from mapose.locks import lock_output
from mapose.project.description import FILE
from mapose.project.project import Project
from mapose.skeleton import Skeleton

# Labels beyond a video's end are left out if they are this few of all, or this near to the end;
# else it is another video.
_FEW, _NEAR = 0.1, 0.01
# Sentences of what was left out that are told.
_TOLD = 5


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
        Frames without a picture: no image and no video were found, the image or that place of the
        video is damaged, or the frame lies beyond the video's end.
    left_out : tuple of str
        What else of the source was left out, and why pictures are missing, a sentence each.
    """

    taken: int
    offered: int
    twice: int
    without: int
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.taken} of {self.offered} labelled frames taken"
        if self.twice:
            text += f"; {self.twice} were here already and stayed as they were"
        if self.without:
            text += f"; {self.without} have no picture"
        more = len(self.left_out) - _TOLD
        told = [*self.left_out[:_TOLD], *([f"and {more} more"] if more > 0 else [])]
        return "; ".join([text, *told])


def import_project(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    count: int | None = None,
    rename: Mapping[str, str] | None = None,
    individuals: int | None = None,
    keep_empty: bool | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
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
    keep_empty : bool, optional
        Take frames without any mark as frames without an animal, see `mapose.io.read_labels`.
    on_progress : function of (int, int), optional
        Called with images taken and images in all.

    Raises
    ------
    FormatError, ShapeError, SettingsError
        If the source cannot be read, or does not fit the project.
    """
    path = Path(path)
    labels = read_labels(Path(source), keep_empty=keep_empty)
    if rename:
        labels = labels.renamed(dict(rename))
    there = Path(path).exists()
    path = make_folder(path)
    with lock_output(path / FILE, wait=True):
        is_new = not (path / FILE).is_file()
        if is_new:
            animals = labels.take_animals()
            present = np.isfinite(animals.points).all(-1).any(-1)
            most = int(present.sum(1).max(initial=1))
            names = animals.individuals if labels.identified else max(most, 1)
            project = Project.create(path, labels.skeleton, individuals=individuals or names)
        else:
            project = Project.load(path)
        try:
            report = import_labels(
                project, labels, count=count, source=Path(source), on_progress=on_progress
            )
        except BaseException:
            if is_new:  # it would be in the way of the next try, with another skeleton say
                _remove_project(path, whole=not there)
            raise
        return Project.load(path), report


def _remove_project(path: Path, *, whole: bool) -> None:
    """Remove a new project whose first labels did not come in; its folder, if that is new too."""
    for inner in path.iterdir():
        if inner.is_dir():
            shutil.rmtree(inner)
        elif inner.name == FILE:
            inner.unlink()
    if whole:
        shutil.rmtree(path, ignore_errors=True)


def import_labels(
    project: Project,
    labels: Labels,
    *,
    count: int | None = None,
    source: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ImportReport:
    """Take over labels made elsewhere, with their images.

    Parameters
    ----------
    project : Project
        Who takes them.
    labels : Labels
        As `mapose.io.read_labels` gives them.
    count : int, optional
        Take this many frames, spread evenly over the recording; all by default.
    source : Path, optional
        The file they were read from, which may hold images itself.
    on_progress : function of (int, int), optional
        Called with images taken and images in all.

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
    SettingsError
        If one of their videos has the name of another video of the project, or an image would
        replace another picture.
    """
    make_folder(project.path / "labels")
    check_writable(project.path / "labels" / "labels.csv")
    with lock_output(project.path / FILE, wait=True):
        for file in (project.path / "labels").glob("*/labels.csv"):
            remove_debris(file)
        return _import_labels(
            Project.load(project.path), labels, count=count, source=source, on_progress=on_progress
        )


def _import_labels(
    project: Project,
    labels: Labels,
    *,
    count: int | None,
    source: Path | None,
    on_progress: Callable[[int, int], None],
) -> ImportReport:
    labels = _fit_names(_reorder(labels, project.skeleton), project)
    check_video_names(labels.videos)
    left_out = list(labels.left_out)
    labels = _drop_bad_videos(labels, left_out)
    # Another recording of the same name would mix its labels with those that are here.
    project.with_videos(labels.sources or {})
    names = _name_images(labels)
    old = try_labels(project)
    rows = _choose_rows(labels, count)
    offered, labels, names = len(labels), labels.take(rows), [names[r] for r in rows]
    here = set() if old is None else _name_frames(old)
    twice = sum((labels.videos[r], names[r]) in here for r in range(len(labels)))
    places = {
        row: project.path / "labels" / labels.videos[row] / name
        for row, name in enumerate(names)
        if (labels.videos[row], name) not in here
    }
    with take_back_images() as made:
        kept: list[int] = []
        images = _read_images(labels.take(list(places)), source, left_out)
        offering, outside = list(places), _Outside()
        for done, (place, image, size) in enumerate(images, 1):
            row = offering[place]
            outside.look(labels, row, size)
            if add_image(image, places[row]):
                made.append(places[row])
            kept.append(row)
            on_progress(done, len(places))
        left_out += outside.tell()
        if not kept and not twice:
            told = f" ({'; '.join(left_out[:_TOLD])})" if left_out else ""
            raise FormatError(
                f"none of the {len(labels)} labelled frames has an image: no image files, no "
                f"images in the label file and no video were found{told}; put the video beside "
                "the labels"
            )
        if kept:
            new = replace(labels.take(kept), images=tuple(places[row] for row in kept))
            new = _mark_empty(new)
            told = "labels" if source is None else source.name
            project.put_labels(new, f"import {len(kept)} frames of {told}")
        project.add_videos(labels.sources or {})
    without = len(labels) - len(kept) - twice
    return ImportReport(len(kept), offered, twice, without, tuple(left_out))


class _Outside:
    """Labelled points that lie outside of their pictures: is it the picture that was labelled?"""

    def __init__(self) -> None:
        self.count, self.first = 0, ""

    def look(self, labels: Labels, row: int, size: tuple[int, int]) -> None:
        """Count those of a row whose picture has this width and height."""
        points = labels.points[row]
        inside = ((points >= -0.5) & (points <= np.array(size) - 0.5)).all(-1)
        places = np.argwhere(np.isfinite(points).all(-1) & ~inside)
        if len(places) and not self.first:
            i, k = places[0]
            x, y = points[i, k]
            self.first = (
                f"{labels.skeleton.keypoints[k]} of {labels.row_names[row]} at ({x:.0f}, {y:.0f}) "
                f"of {size[0]} x {size[1]}"
            )
        self.count += len(places)

    def tell(self) -> list[str]:
        """Give a sentence if there are some."""
        if not self.count:
            return []
        many = "points lie" if self.count > 1 else "point lies"
        return [f"{self.count} labelled {many} outside of the picture, first {self.first}"]


@contextmanager
def take_back_images() -> Iterator[list[Path]]:
    """Remove the images listed in a block if it fails, those that no labels name by then."""
    made: list[Path] = []
    try:
        yield made
    except BaseException:
        for image in made:
            table = image.with_name("labels.csv")
            if not table.is_file() or image.name not in table.read_text(encoding="utf-8"):
                image.unlink(missing_ok=True)
            with suppress(OSError):  # it holds others
                image.parent.rmdir()
        raise


def _fit_names(labels: Labels, project: Project) -> Labels:
    """Call recordings as the project does, and new ones otherwise than those it has."""
    names = {name: name for name in labels.videos}
    for name, file in (labels.sources or {}).items():
        known = project.find_own(file)
        if known is not None:
            names[name] = known
        elif name in project.videos:
            others = {*project.videos, *names.values()}
            tail = f"{file.resolve().parent.name}-{name}"
            tries = (tail if n == 1 else f"{tail}-{n}" for n in itertools.count(1))
            names[name] = next(n for n in tries if n not in others)
    sources = {names.get(name, name): file for name, file in (labels.sources or {}).items()}
    return replace(labels, videos=tuple(names[v] for v in labels.videos), sources=sources)


def _drop_bad_videos(labels: Labels, left_out: list[str]) -> Labels:
    """Leave aside video files that cannot be opened; their frames may have images all the same."""
    sources = {}
    for name, file in (labels.sources or {}).items():
        try:
            with Video(file):
                sources[name] = file
        except VideoError as error:
            left_out.append(f"the video of {name} is left out: {error}")
    return replace(labels, sources=sources)


def _name_images(labels: Labels) -> list[str]:
    """Name the image of each row in its recording's folder; no two images have the same name."""
    plain = []
    for row, image in enumerate(labels.images):
        frame = int(labels.frames[row])
        number = name_image(frame if frame >= 0 else row)
        plain.append(number if image is None else image.with_suffix(".png").name)
    keys = [(v, n.casefold()) for v, n in zip(labels.videos, plain, strict=True)]
    often = Counter(keys)
    double = [r for r, key in enumerate(keys) if often[key] > 1 and labels.images[r] is not None]
    longer = tell_apart([image.parts for r in double if (image := labels.images[r])])
    for row, name in zip(double, longer, strict=True):
        plain[row] = f"{name}.png"
    return plain


def _reorder(labels: Labels, skeleton: Skeleton) -> Labels:
    """Bring the keypoints of labels into the project's order; absent ones become NaN."""
    for name in labels.skeleton.keypoints:
        if name not in skeleton.keypoints:
            hint = suggest_name(name, skeleton.keypoints)
            raise ShapeError(f"the project has no keypoint {name!r}: {hint}; use --rename old=new")
        if (name in labels.skeleton.landmarks) != (name in skeleton.landmarks):
            raise ShapeError(
                f"{name!r} belongs to no animal on one side only: landmarks in {FILE}, or body "
                "parts of DeepLabCut's individual 'single'"
            )
    return labels.arrange(skeleton)


def _mark_empty(labels: Labels) -> Labels:
    """Say of frames without any mark that all is absent there: no animal, not: not labelled yet."""
    states = labels.find_states().copy()
    states[(states == UNMARKED).all((1, 2))] = ABSENT
    return replace(labels, states=states)


def _choose_rows(labels: Labels, count: int | None) -> Ints:
    """Choose one row at random from each of ``count`` equal stretches, always the same ones."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    if count < 1:
        raise SettingsError(f"count: wanted at least one frame, came {count}")
    # Whole frames, or the last of one stretch could be the first of the next.
    edges = np.floor(np.linspace(0, len(labels), count + 1))
    share = np.random.default_rng(0).uniform(size=count)
    return np.floor(edges[:-1] + share * np.diff(edges)).astype(np.int64)


def _read_images(
    labels: Labels, source: Path | None, left_out: list[str]
) -> Iterator[tuple[int, Path | Image, tuple[int, int]]]:
    """Give row, image, and width and height of every labelled frame whose image is there whole."""
    videos, sources = np.array(labels.videos), labels.sources or {}
    missing = []
    sizes: dict[str, set[tuple[int, int]]] = {}
    for row, image in enumerate(labels.images):
        if image is not None:
            try:
                pixels = read_image(image)
            except FormatError as error:
                left_out.append(str(error))
            else:
                sizes.setdefault(labels.videos[row], set()).add(_find_size(pixels))
                yield row, image, _find_size(pixels)
        elif labels.videos[row] not in sources:
            missing.append(row)
    for name, path in sources.items():
        wanted = [int(r) for r in np.flatnonzero(videos == name) if labels.images[r] is None]
        if wanted:
            for row, frame in _read_frames(path, labels.frames, wanted, left_out):
                size = _find_size(frame)
                if size in sizes.get(name, {size}):
                    yield row, frame, size
                    continue
                other = min(sizes[name])
                left_out.append(
                    f"{path.name} is {size[0]} x {size[1]}, but the pictures labelled of it are "
                    f"{other[0]} x {other[1]}: {len(wanted)} frames without a picture are not taken"
                )
                break
    if missing and source is not None:
        for row, embedded in read_embedded_images(source, labels.take(missing)):
            yield missing[row], embedded, _find_size(embedded)


def _find_size(image: Image) -> tuple[int, int]:
    return int(image.shape[1]), int(image.shape[0])


def _read_frames(
    path: Path, frames: Ints, rows: Sequence[int], left_out: list[str]
) -> Iterator[tuple[int, Image]]:
    with Video(path) as video:
        numbers = frames[list(rows)]
        beyond = numbers[(numbers < 0) | (numbers >= len(video))]
        if len(beyond):
            what = (
                f"the labels name frame {beyond.max()} of {path.name}, which has {len(video)} "
                f"frames ({len(beyond)} such labels)"
            )
            near = beyond.min() >= 0 and beyond.max() <= len(video) * (1 + _NEAR)
            if len(beyond) == len(rows) or (len(beyond) > _FEW * len(rows) and not near):
                raise FormatError(f"{what}: is this the video that was labelled?")
            left_out.append(what)
        for row in sorted(rows, key=lambda r: int(frames[r])):
            if 0 <= frames[row] < len(video):
                try:
                    image = video.read(int(frames[row]))
                except VideoError as error:
                    left_out.append(str(error))
                else:
                    yield row, image


def add_image(image: Path | Image, place: Path) -> bool:
    """Put an image into the project; one that is there already stays, and must be the same."""
    if not place.exists():
        write_image(image, place)
        return True
    pixels = read_image(image) if isinstance(image, Path) else image
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if not np.array_equal(read_image(place), pixels):
        raise SettingsError(
            f"{place} is there already and shows something else than the frame to import: move it "
            "elsewhere, or rename the video"
        )
    return False


def _name_frames(labels: Labels) -> set[tuple[str, str]]:
    return {(v, p.name) for v, p in zip(labels.videos, labels.images, strict=True) if p}


def try_labels(project: Project) -> Labels | None:
    """Read the labels of a project; None if it has none yet."""
    has = any((project.path / "labels").glob("*/labels.csv"))
    return project.load_labels(unmarked=True) if has else None
