"""Chosen frames with what a model finds in them, so that labelling is correcting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.arrays import Image, Singles
from mapose.errors import SettingsError, suggest_name
from mapose.files import check_writable
from mapose.io.images import read_image
from mapose.io.labels import name_image
from mapose.io.proposals import Proposals
from mapose.labels import Labels
from mapose.poses import Peaks, Poses
from mapose.project.crops import Crop, load_crops
from mapose.project.extracting import write_frames
from mapose.project.project import FILE, Project
from mapose.project.proposals import load_proposals, replace_proposals
from mapose.skeleton import LANDMARKS

if TYPE_CHECKING:
    from mapose.models import Model

#: Video, image and frame number; -1 = not known.
_Frame = tuple[str, str, int]


@dataclass(frozen=True)
class Proposed:
    """What a model was asked to propose; prints itself in a line.

    Parameters
    ----------
    model : str
        Its name.
    frames : tuple of str
        Those looked at, such as ``monday:120``.
    found : int
        Those in which it has found somebody.
    points : int
        Keypoints that are proposed.
    """

    model: str
    frames: tuple[str, ...]
    found: int
    points: int

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers and words, ready for JSON."""
        return {
            "model": self.model,
            "frames": list(self.frames),
            "found": self.found,
            "points": self.points,
        }

    def __str__(self) -> str:
        if not self.frames:
            return "no frame waits in which nobody has marked anything: choose frames first"
        return (
            f"{self.model} has found {self.points} keypoints in {self.found} of "
            f"{len(self.frames)} frames"
        )


def propose_frames(
    project: Project,
    frames: Sequence[str] | None = None,
    *,
    model: str | None = None,
    device: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Proposed:
    """Propose what a model finds in frames that are to be labelled.

    A young model that was trained on a few frames makes the rest a matter of correcting. What it
    proposes waits in ``labels/VIDEO/proposals.csv``, in place of what an older model has proposed
    there; it is no label before a person accepts it, in the app or with `accept_proposals`.

    Parameters
    ----------
    project : Project
        With a model.
    frames : sequence of str, optional
        Such as ``monday:120``, of the project's videos; others than those that wait are put among
        them, and of labelled ones what is still missing is proposed. By default all that wait in
        which no person has marked anything.
    model : str, optional
        Name of one of the project's models; the newest by default.
    device : str, optional
        Where to compute.
    on_progress : function of (int, int)
        Called with frames done and frames in all.

    Returns
    -------
    Proposed

    Raises
    ------
    SettingsError
        If there is no model, or no such frame.
    ShapeError
        If the model is for other keypoints.
    VideoError
        If a frame that is not in the project yet cannot be read.
    """
    check_writable(project.path / FILE)
    loaded = project.load_model(model)
    project.check_model(loaded)
    chosen = _list_untouched(project) if frames is None else _find_frames(project, frames)
    names = tuple(project.read_state().list_individuals())
    shape = (len(chosen), len(names), len(project.skeleton.keypoints))
    array = np.full((*shape, 3), np.nan, np.float32)
    for done, (row, found) in enumerate(_find_poses(project, loaded, chosen, names, device), 1):
        array[row] = found
        on_progress(done, len(chosen))
    called = model or project.list_models()[-1]
    proposals = _make_proposals(project, chosen, names, array)
    if chosen:
        replace_proposals(project, proposals, model=called)
    there = proposals.origins != ""
    return Proposed(
        called,
        tuple(proposals.labels.row_names),
        int(there.any((1, 2)).sum()),
        int(there.sum()),
    )


def _list_untouched(project: Project) -> list[_Frame]:
    """List the frames that wait and in which no person has said anything."""
    waiting = load_proposals(project)
    by_person = (waiting.origins == "person").any((1, 2))
    by_model = (waiting.origins == "model").any((1, 2))
    rows = np.flatnonzero(~by_person & (by_model | ~waiting.looked))
    labels = waiting.labels
    return [
        (labels.videos[r], image.name, int(labels.frames[r]))
        for r in rows
        if (image := labels.images[r]) is not None
    ]


def _find_frames(project: Project, wanted: Iterable[str]) -> list[_Frame]:
    """Find frames by name; the images of those that are new here are written."""
    state, waiting = project.read_state(), load_proposals(project).labels
    known: dict[str, _Frame] = {}
    frames = [(video, image, number) for (video, image), number in state.frames.items()]
    frames += [
        (video, image.name if image else "", int(number))
        for video, image, number in zip(waiting.videos, waiting.images, waiting.frames, strict=True)
    ]
    for video, image, number in frames:
        known[f"{video}:{image}"] = (video, image, number)
        if number >= 0:
            known[f"{video}:{number}"] = (video, image, number)
    found: list[_Frame] = []
    new: dict[str, list[int]] = {}
    for name in dict.fromkeys(wanted):
        video, _, text = name.rpartition(":")
        if name in known:
            found.append(known[name])
        elif text.isascii() and text.isdigit() and video in project.videos:
            new.setdefault(video, []).append(int(text))
        elif {video, name} & {*project.videos}:
            video = video if video in project.videos else name
            raise SettingsError(f"frames: wanted VIDEO:NUMBER, such as {video}:120, came {name!r}")
        else:
            near = suggest_name(video or name, project.videos)
            raise SettingsError(f"frames: no {name!r} here: of the videos, {near}")
    for video, numbers in new.items():
        write_frames(project, video, project.find_video(video), numbers)
        found += [(video, name_image(number), number) for number in numbers]
    return list(dict.fromkeys(found))


def _find_poses(
    project: Project,
    model: Model,
    chosen: Sequence[_Frame],
    names: tuple[str, ...],
    device: str | None,
) -> Iterator[tuple[int, Singles]]:
    """Give for each frame its row and who is where, (I, K, xyc); videos of one crop together."""
    from mapose.analysis.posing import assemble_poses
    from mapose.analysis.prediction import Predictor  # with torch, which takes two seconds to load

    crops = load_crops(project)
    groups: dict[Crop | None, list[int]] = {}
    for row, (video, _, _) in enumerate(chosen):
        groups.setdefault(crops.get(video), []).append(row)
    for crop, rows in groups.items():
        predictor = Predictor(model, individuals=project.count, device=device, crop=crop)
        for row in rows:
            peaks = predictor.find_images(_open_image(project, chosen[row]))
            poses = assemble_poses(peaks, model, individuals=project.count)
            yield row, _name_animals(peaks, poses, model, names)


def _open_image(project: Project, frame: _Frame) -> list[Image]:
    return [read_image(project.path / "labels" / frame[0] / frame[1])]


def _name_animals(peaks: Peaks, poses: Poses, model: Model, names: tuple[str, ...]) -> Singles:
    """Give the animals of a frame the names of the project, (I, K, xyc).

    Where a network tells marked animals apart it says who is who, else they come one by one.
    """
    from mapose.analysis.identity import collect_marks

    array = np.full((len(names), *poses.array.shape[2:]), np.nan, np.float32)
    animals = [i for i, name in enumerate(names) if name != LANDMARKS]
    slots = [i for i, name in enumerate(poses.names) if name != LANDMARKS]
    slots = [i for i in slots if np.isfinite(poses.points[0, i]).any()][: len(animals)]
    own = model.identity.names if model.identity is not None else ()
    marked = [names.index(name) for name in own if name in names]
    if len(marked) == len(own) >= len(slots) > 0:
        sure = np.nan_to_num(collect_marks(peaks, poses, len(own))[0, slots])
        for slot, who in zip(*linear_sum_assignment(sure, maximize=True), strict=True):
            array[marked[who]] = poses.array[0, slots[slot]]
    else:
        array[animals[: len(slots)]] = poses.array[0, slots]
    if LANDMARKS in names and LANDMARKS in poses.names:
        array[names.index(LANDMARKS)] = poses.array[0, poses.names.index(LANDMARKS)]
    return array


def _make_proposals(
    project: Project,
    chosen: Sequence[_Frame],
    names: tuple[str, ...],
    array: Singles,
) -> Proposals:
    folder: Path = project.path / "labels"
    found = np.asarray(np.isfinite(array[..., :2]).all(-1))
    confidence = np.where(found, array[..., 2], np.nan).astype(np.float32)
    labels = Labels(
        array[..., :2].copy(),
        project.skeleton,
        tuple(video for video, _, _ in chosen),
        np.array([number for _, _, number in chosen], np.int64),
        tuple(folder / video / image for video, image, _ in chosen),
        names,
        len(names) == 1,
    )
    origins = np.where(found, "model", "")
    reasons = ("chosen by hand",) * len(chosen)
    return Proposals(labels, np.asarray(found.any((1, 2))), origins, confidence, reasons)
