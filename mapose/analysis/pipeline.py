"""Video in, identified tracks out: streaming, overlapped, and never from the beginning again.

While the network works on one batch, the next frames are decoded in a thread before it and the
last candidates are assembled in the thread after it. Every `CHUNK` frames become one small
complete file in a folder beside the result. A run that was killed takes up after the last of
these files; since batches never reach over a chunk's border and the tracker is fed the same
poses, the result is that of a run without interruption.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch

from mapose import __version__
from mapose.analysis.identity import collect_marks, name_rows
from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Crop, Predictor, read_batches
from mapose.analysis.topdown import find_poses
from mapose.arrays import Singles
from mapose.errors import FormatError, SettingsError, ShapeError, VideoError
from mapose.files import (
    RESULT,
    claim_output,
    make_folder,
    name_work,
    remove_debris,
    write_atomically,
)
from mapose.io import (
    PosesFile,
    PosesWriter,
    Video,
    load,
    load_peaks,
    prefetch,
    save,
)
from mapose.io.cutting import check_crop
from mapose.io.recordings import find_path, fingerprint, name_beside
from mapose.models import Identity, Model, TopDown, find_device, open_model
from mapose.poses import Peaks, Poses, join_peaks
from mapose.reading import explain_damage, load_json
from mapose.results.correcting import set_foreign_edits_aside
from mapose.tracking import ChunkTracker, Rows
from mapose.zoo import find_model

logger = logging.getLogger(__name__)

#: Frames per durable file: what a kill can cost at most, some seconds on a laptop.
CHUNK = 256
#: Images per network call; 4, 8 and 16 differed by less than the noise on two CPU cores.
BATCH = 8


@dataclass(frozen=True)
class AnalysisProgress:
    """Where an analysis stands.

    Parameters
    ----------
    done, total : int
        Frames.
    resumed : int
        Frames that an earlier run had done.
    """

    done: int
    total: int
    resumed: int


class AnalysisOptions(TypedDict, total=False):
    """Options of an analysis that have a default."""

    keep_peaks: bool
    device: str | None
    rate: float | None
    crop: Crop | None


def analyze(
    video: str | os.PathLike[str],
    model: Model | TopDown | str | os.PathLike[str],
    individuals: int | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[AnalysisProgress], None] = lambda _: None,
    **options: Unpack[AnalysisOptions],
) -> Poses:
    """Analyse a video: find, assemble and track its animals.

    Parameters
    ----------
    video : path
        Video file.
    model : Model, TopDown or path
        Model, model folder, or ``zoo:NAME``.
    individuals : int, optional
        Animals in view at most; the model's number by default.
    output : path, optional
        Result file; ``<video>.mapose.h5`` beside the video by default. If it holds the result
        of the same video, model and options already, that is given without new work.
    force : bool
        Replace a result, or an unfinished analysis, of another video, model or option.
    on_progress : function of AnalysisProgress, optional
        Called after every chunk.
    **options
        ``keep_peaks``, whether to keep the candidates in the file (default False); ``device``,
        where to compute, the fastest by default; ``rate``, frames per second, of recordings that
        do not say, such as stills and time-lapse; ``crop``, the part in which to look, left, top,
        width and height in px: positions stay those in the whole picture.

    Returns
    -------
    Poses
        One individual per animal, ``track0``, ``track1``, ...; px.

    Raises
    ------
    VideoError
        If the video cannot be opened or has no frame, or the disk is full; what is done stays
        and is taken up by the next call.
    FormatError
        If the model folder is not complete.
    SettingsError
        If there is a result of another video, model or option, or a file of somebody else's;
        nothing is done then.
    """
    return load(
        analyze_file(
            video,
            model,
            individuals=individuals,
            output=output,
            force=force,
            on_progress=on_progress,
            **options,
        )
    )


def analyze_file(
    video: str | os.PathLike[str],
    model: Model | TopDown | str | os.PathLike[str],
    *,
    individuals: int | None = None,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    on_progress: Callable[[AnalysisProgress], None] = lambda _: None,
    **options: Unpack[AnalysisOptions],
) -> Path:
    """Analyse a video as `analyze` does, and give the path of the result.

    Memory does not grow with the length of the video.
    """
    model = model if isinstance(model, Model | TopDown) else open_model(find_model(model))
    target = Path(output) if output else find_result(video)
    with Video(video, gray=model.channels == 1) as source, ExitStack() as stack:
        if not len(source):
            raise VideoError(f"{source.path.name} has no frame: record it again, or leave it out")
        find_device(options.get("device"))  # or say that it is not there, before anything is made
        job = _describe_job(source, model, individuals, **options)
        count, keep_peaks = job["individuals"], job["keep_peaks"]
        parts_folder = _find_parts(target)
        if _load_job(target) == job:
            on_progress(AnalysisProgress(len(source), len(source), len(source)))
            shutil.rmtree(parts_folder, ignore_errors=True)  # of a run killed when all was done
            remove_debris(target)
            return target
        made = _name_job(job, model, video)
        make_folder(target.parent)
        stack.enter_context(
            claim_output(target, inputs=[video], suffixes=[RESULT], made=made, force=force)
        )
        parts = _Parts(parts_folder, job, made=made, force=force)
        tracker = ChunkTracker(individuals=count)
        identity = model.identity if isinstance(model, Model) else None
        for poses, marks in parts.check(len(source), marked=identity is not None):
            tracker.add(poses, marks)
        resumed = min(parts.count * CHUNK, len(source))
        stack.enter_context(_tell_how_to_go_on(target))
        rate = job.get("rate", source.rate or None)
        tell = _make_tell(on_progress, len(source), resumed)
        tell(resumed)
        chunks, runner = _open_chunks(source, model, count, resumed, options, tell=tell)
        for poses, peaks in chunks:
            poses = replace(poses, rate=rate)
            marks = None
            if identity is not None and peaks is not None:
                marks = collect_marks(peaks, poses, len(identity.names))
            parts.add(poses, peaks if keep_peaks else None, marks)
            tracker.add(poses, marks)
            tell(int(poses.frames[-1]) + 1)
        provenance = {"made": made, "job": job}
        provenance |= _describe_source(source, model, job["video"], runner)
        provenance["path"] = find_path(video, target.parent).as_posix()
        rows = tracker.finish(min_rows=1)
        if identity is not None:
            rows = _name_rows(rows, parts, identity)
        _write_result(target, parts, rows, provenance)
        if not any((ids >= 0).any() for ids in rows.ids):
            count = len(source)
            logger.warning("%s: no animal was found in any of its %d frames", source.name, count)
        parts.remove()
    return target


def _make_tell(
    on_progress: Callable[[AnalysisProgress], None], total: int, resumed: int
) -> Callable[[int], None]:
    return lambda done: on_progress(AnalysisProgress(done, total, resumed))


@contextmanager
def _tell_how_to_go_on(target: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"what is done of {target.name} is kept, the same command goes on from there")
        raise


def find_result(
    video: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None
) -> Path:
    """Find where the result of a video lies: beside it, or in a folder for results."""
    place = name_beside(video, RESULT)
    return Path(folder) / place.name if folder else place


def count_kept(target: str | os.PathLike[str]) -> int:
    """Count the frames that an unfinished analysis has kept on the disk; rounded up to chunks."""
    return CHUNK * sum(1 for _ in _find_parts(Path(target)).glob(f"*{RESULT}"))


def _find_parts(target: Path) -> Path:
    return target.with_name(target.name + ".parts")


def _load_job(target: Path) -> Any:
    """Load what a result is the result of; None if there is none, or it is damaged."""
    if not target.is_file():
        return None
    try:
        with PosesFile(target) as file:
            for start in range(0, len(file), CHUNK):  # a disk may have lost what it took
                file.read_poses(slice(start, start + CHUNK))
            return file.read_provenance().get("job")
    except (FormatError, ShapeError, ValueError):
        return None


def _open_chunks(
    video: Video,
    model: Model | TopDown,
    count: int | None,
    start: int,
    options: AnalysisOptions,
    *,
    tell: Callable[[int], None],
) -> tuple[Iterator[tuple[Poses, Peaks | None]], str]:
    """Give the assembled poses of chunk after chunk, from frame ``start`` on, and what runs it.

    Within a chunk, which takes long on a slow computer, ``tell`` is told how far it is.
    """
    device, crop = options.get("device"), options.get("crop")
    if isinstance(model, TopDown):
        rest, ready = slice(start, len(video)), model.to(device)
        parts = find_poses(video, ready, rest, individuals=count, crop=crop, chunk=CHUNK)
        return ((poses, None) for poses in parts), f"torch {torch.__version__}"
    predictor = Predictor(model, individuals=count, device=device, crop=crop, frames=len(video))
    return _find_chunks(video, predictor, count, start, tell), predictor.runner


def _find_chunks(
    video: Video,
    predictor: Predictor,
    count: int | None,
    start: int,
    tell: Callable[[int], None],
) -> Iterator[tuple[Poses, Peaks]]:
    model = predictor.model
    batches = read_batches(video, predictor, slice(start, len(video)), BATCH)
    found = prefetch(predictor.find_batches(prefetch(batches, depth=4)), depth=4)
    waiting: list[Peaks] = []
    for peaks in found:
        waiting.append(peaks)
        size = sum(p.n_frames for p in waiting)
        if size == CHUNK or start + size == len(video):
            joined = join_peaks(waiting)
            poses = assemble_poses(joined, model, individuals=count)
            frames = np.arange(start, start + size)
            yield replace(poses, frames=frames), joined
            waiting, start = [], start + size
        else:
            tell(start + size)


class _Parts:
    """The chunks of an unfinished analysis, one complete file each.

    Parameters
    ----------
    folder : Path
        Where they lie.
    job : dict
        What they are chunks of.
    made : str
        The same in words.
    force : bool
        Whether chunks of another job are thrown away.

    Raises
    ------
    SettingsError
        If there are chunks of another job.
    """

    def __init__(self, folder: Path, job: dict[str, Any], *, made: str, force: bool) -> None:
        self.folder = folder
        description = folder / "job.json"
        there = _read_json(description)
        is_known = bool(there)
        other = there.pop("made", "another analysis")
        if there != json.loads(json.dumps(job)):
            # Where nothing says what they are chunks of, nobody can go on with them.
            if is_known and any(folder.glob(f"*{RESULT}")) and not force:
                raise SettingsError(
                    f"{folder} holds what is done of {other}; now wanted: {made}. Finish that "
                    "first, choose another folder with -o, or drop it with --force (force=True)"
                )
            if folder.exists():
                shutil.rmtree(folder)
            make_folder(folder)
            with write_atomically(description) as temporary:
                text = json.dumps({**job, "made": made}, sort_keys=True)
                temporary.write_text(text, encoding="utf-8")
        self.count = 0

    def _name(self, number: int) -> Path:
        return self.folder / f"{number:06d}{RESULT}"

    def _name_marks(self, number: int) -> Path:
        return self.folder / f"{number:06d}.marks.npy"

    def add(self, poses: Poses, peaks: Peaks | None, marks: Singles | None) -> None:
        """Make a chunk durable: written beside its name, flushed to the disk, renamed.

        Parameters
        ----------
        poses, peaks
            The chunk.
        marks : float32, (F, I, A), optional
            Whose each animal is, where animals are known by name.
        """
        if marks is not None:  # before the chunk, which counts only with them
            place = self._name_marks(self.count)
            with write_atomically(place) as temporary, temporary.open("wb") as file:
                np.save(file, marks, allow_pickle=False)
        save(poses, self._name(self.count), peaks=peaks)
        self.count += 1

    def check(self, frames: int, *, marked: bool) -> Iterator[tuple[Poses, Singles | None]]:
        """Read the chunks of an earlier run; from a damaged one on, all are thrown away.

        Parameters
        ----------
        frames : int
            Of the video.
        marked : bool
            Whether chunks say whose each animal is.
        """
        for path in [*self.folder.glob(f"*{RESULT}.*"), *self.folder.glob("*.npy.*")]:
            path.unlink()  # half a chunk, of a run that was killed while it wrote
        while self._name(self.count).is_file():
            path, start = self._name(self.count), self.count * CHUNK
            try:
                poses = load(path)
                load_peaks(path)
                marks = self.read_marks(self.count) if marked else None
            except (FormatError, ShapeError):
                break
            if poses.frames.tolist() != list(range(start, min(start + CHUNK, frames))):
                break
            if marks is not None and (marks.ndim, *marks.shape[:2]) != (3, *poses.array.shape[:2]):
                break
            self.count += 1
            yield poses, marks
        for path in sorted(self.folder.glob(f"*{RESULT}"))[self.count :]:
            logger.warning("%s is damaged, or follows a damaged one: it is made anew", path)
            path.unlink()

    def read_marks(self, number: int) -> Singles:
        """Read whose each animal of a chunk is."""
        path = self._name_marks(number)
        with explain_damage(path), path.open("rb") as file:
            found: Singles = np.load(file, allow_pickle=False)
        return found

    def read(self) -> Iterator[Poses]:
        """Read the poses of chunk after chunk."""
        for number in range(self.count):
            yield load(self._name(number))

    @property
    def first(self) -> Poses:
        """The first chunk."""
        return load(self._name(0))

    def read_peaks(self, number: int) -> Peaks | None:
        """Read the candidates of a chunk, where they were kept."""
        return load_peaks(self._name(number))

    def remove(self) -> None:
        """Delete all chunks."""
        shutil.rmtree(self.folder)


def _name_rows(rows: Rows, parts: _Parts, identity: Identity) -> Rows:
    """Give the rows the names of animals that the network knows."""
    numbers = range(parts.count)
    frames = (poses.frames for poses in parts.read())
    odds = (np.log(np.maximum(parts.read_marks(n), 1e-6)) for n in numbers)
    tracks = tuple(f"track{i}" for i in range(rows.count))
    labels, sure = name_rows(rows.sum_up(frames, odds), identity.names, tracks)
    return replace(rows, labels=labels, sure=sure)


def _write_result(target: Path, parts: _Parts, rows: Rows, provenance: dict[str, Any]) -> None:
    """Join the chunks into the result, every tracklet in the column of its individual."""
    with PosesWriter(
        target, parts.first.skeleton, rows.names, rate=parts.first.rate, provenance=provenance
    ) as writer:
        for number, named in enumerate(rows.arrange(parts.read())):
            writer.append(named, parts.read_peaks(number))
        writer.add_doubts(rows.doubts)
        set_foreign_edits_aside(target, provenance["job"]["video"])


def _read_json(path: Path) -> dict[str, Any]:
    """Read a description; an empty one where there is none or it is damaged."""
    try:
        found = load_json(path)
    except (OSError, FormatError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe_job(
    video: Video,
    model: Model | TopDown,
    individuals: int | None,
    *,
    keep_peaks: bool = False,
    device: str | None = None,  # decides nothing but the time
    rate: float | None = None,
    crop: Crop | None = None,
) -> dict[str, Any]:
    """Say what decides the result: an unfinished analysis goes on only if all of it is equal."""
    count = individuals or model.individuals
    if count is not None and count < 1:
        raise SettingsError(f"individuals: wanted at least one animal, came {count}")
    if keep_peaks and isinstance(model, TopDown):
        raise SettingsError("keep_peaks: a model in two steps finds animals, not candidates")
    return {
        "mapose": __version__,
        "video": fingerprint(video.path),
        "frames": len(video),
        "model": model.hash,
        "individuals": count,
        "keep_peaks": keep_peaks,
        **({} if rate is None else {"rate": rate}),
        **({} if crop is None else {"crop": check_crop(crop, video.size, video.path.name)}),
    }


def _name_job(job: dict[str, Any], model: Model | TopDown, video: str | os.PathLike[str]) -> str:
    """Say the same in words, for a person who wonders which of two results this is."""
    return name_work(
        "analyze",
        [video],
        fingerprint=job["video"][:8],
        model=f"{model.name} {job['model'][:8]}".strip(),
        individuals=job["individuals"],
        keep_peaks=job["keep_peaks"],
        rate=job.get("rate"),
        crop=job.get("crop"),
        version=job["mapose"],
    )


def _describe_source(
    video: Video, model: Model | TopDown, mark: str, runner: str
) -> dict[str, Any]:
    return {
        "runner": runner,
        "source": video.path.name,
        "size": list(video.size),
        "trained_frames": find_trained_frames(model, video.name, mark),
        "settings": model.record.get("settings", {}),
    }


def find_trained_frames(model: Model | TopDown, name: str, mark: str) -> list[int]:
    """List the frames of a recording that a model was trained on.

    Parameters
    ----------
    model : Model
        Knows the fingerprints of the recordings that were at hand when it was trained. Of those
        that were not, the name is all there is.
    name : str
        Of the recording.
    mark : str
        Its fingerprint.
    """
    known = model.record.get("recordings", {})
    own = {other for other, its in known.items() if its == mark}
    if name not in known:
        own.add(name)
    rows = [row.rpartition(":") for row in model.split.get("train", [])]
    return sorted(int(n) for video, _, n in rows if video in own and n.isdigit())
