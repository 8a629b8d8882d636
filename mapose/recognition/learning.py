"""Who is who by looks: learn it from a recording, measure it in a video, name animals by it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from mapose.arrays import Bools, Floats, Image, Ints
from mapose.data import is_grey
from mapose.errors import ShapeError, suggest_name
from mapose.landmarks import hide_landmarks
from mapose.models import spare_cores
from mapose.poses import Poses
from mapose.recognition.appearance import (
    EVERY,
    NEAR,
    Appearance,
    Frames,
    OnProgress,
    Source,
    check_poses,
    cut_some,
    cut_video,
    find_embeddings,
    load_appearance,
    open_frames,
)
from mapose.recognition.contrast import Examples, train_appearance
from mapose.recognition.crops import BodyTemplate, draw_fur, find_scale, find_template, fit_bodies
from mapose.recognition.gallery import UNKNOWN, Gallery
from mapose.recognition.network import CROP, AppearanceNetwork
from mapose.recognition.stretches import choose_rows, find_groups, find_near, find_pieces
from mapose.tracking import join_rows

__all__ = [
    "Appearance",
    "add_to_gallery",
    "find_embeddings",
    "find_names",
    "learn_appearance",
    "load_appearance",
    "name_by_gallery",
]

logger = logging.getLogger(__name__)


#: From this probability on, a name is taken as certain while learning.
TRUST = 0.95
_FRAMES = 400
#: Steps of a training, 45 s on one core. 120 name drawn mice of distinct coats without fault; the
#: distance of strangers from them goes on growing.
STEPS = 600
#: Lights under which animals of a gallery are looked at, besides the one they were filmed in.
_LIGHTS = 5


def learn_appearance(
    video: Source,
    poses: Poses,
    *,
    names: Mapping[str, str] | None = None,
    steps: int | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Appearance:
    """Learn to tell the animals of a recording apart, without labels.

    Crops of one stretch between two contacts show the same animal; crops of animals that are there
    at the same time show different ones. Where poses carry `identity`, a row counts as one animal
    wherever its name is certain.

    Parameters
    ----------
    video : str, Path, Video, or anything that gives images by frame number
        The recording.
    poses : Poses
        2D, tracked: a row is one animal or one tracklet. Rows without names are slots, which
        hold another animal in each frame.
    names : dict of str to str, optional
        Name of a row to name of its animal: rows of the same name are the same animal
        throughout, rows of different names different animals.
    steps : int, optional
        Length of the training, 600 by default.
    seed : int
        Of all chance.
    on_progress : function of (int, int), optional
        Called with what is done and the total, frames read and steps trained.

    Returns
    -------
    Appearance

    Raises
    ------
    ShapeError
        If the poses are not 2D, names do not fit, or there are no two animals to tell apart.

    References
    ----------
    Fragments between crossings as training set: idtracker.ai (Romero-Ferrero et al. 2019).
    """
    check_poses(poses)
    poses = hide_landmarks(poses)
    _check_names(poses, names or {})
    lesson = _choose_lesson(poses, names, np.random.default_rng(seed))
    report = on_progress or (lambda done, total: None)
    steps = STEPS if steps is None else steps
    total = len(lesson.rows) + steps
    with open_frames(video) as source:
        channels = _find_channels(source, poses.frames[lesson.rows])
        network = _make_network(channels, seed)
        appearance = Appearance(network, lesson.template, poses.skeleton.keypoints, channels)
        cut = cut_video(
            source,
            poses,
            appearance,
            rows=lesson.rows,
            report=lambda done, _: report(done, total),
        )
    examples = _make_examples(lesson, *cut)
    with spare_cores():
        train_appearance(
            network,
            examples,
            steps=steps,
            seed=seed,
            report=lambda step: report(total - steps + step, total),
        )
    appearance.record.update(steps=steps, crops=len(examples.crops), seed=seed)
    return appearance


class _Lesson(NamedTuple):
    """Frames to learn looks from, and who is who in them."""

    template: BodyTemplate
    rows: Ints  # (N,)
    groups: Ints  # (N, I): same number = same animal, -1 = nobody alone
    different: Bools  # (G, G)


def _choose_lesson(
    poses: Poses, names: Mapping[str, str] | None, rng: np.random.Generator
) -> _Lesson:
    flat = poses.points.reshape(-1, *poses.points.shape[2:])
    some = flat[rng.permutation(len(flat))[:4000]]
    template = find_template(some, poses.skeleton)
    stretches = _find_alone(poses, template, find_scale(some, template))
    rows = choose_rows(stretches, _FRAMES, rng)
    animals = _find_animals(poses, names)
    return _Lesson(template, rows, *find_groups(stretches[rows], animals[rows], apart=bool(names)))


def _make_examples(lesson: _Lesson, crops: Image, frame: Ints, row: Ints) -> Examples:
    """Say of crops, cut from these rows of frames and poses, which are of the same animal."""
    group = lesson.groups[np.searchsorted(lesson.rows, frame), row]
    crops, group = crops[group >= 0], group[group >= 0]
    there = np.unique(group)
    if not lesson.different[np.ix_(there, there)].any():
        raise ShapeError(
            "appearance: wanted two animals that are there at the same time, each alone, came "
            f"none in {len(lesson.rows)} frames"
        )
    return Examples(crops, group, lesson.different, draw_fur(lesson.template, CROP))


def _check_names(poses: Poses, names: Mapping[str, str]) -> None:
    for row in names:
        if row not in poses.names:
            raise ShapeError(f"names: no individual {row!r}: {suggest_name(row, poses.names)}")


def _find_channels(source: Frames, frames: Ints) -> int:
    some = [source[int(n)] for n in frames[:: max(1, len(frames) // 3)][:3]]
    return 1 if is_grey(some) else 3


def _find_alone(poses: Poses, template: BodyTemplate, scale: float) -> Ints:
    """Find the stretches, int64 (F, I), in which animals are alone; -1 elsewhere."""
    found = np.asarray(np.isfinite(fit_bodies(poses.points, template)).all(-1))
    near = find_near(poses.points[:, :, template.firm], NEAR * scale)
    return find_pieces(found, near, **({} if poses.individuals else {"gap": -1}))


def _find_animals(poses: Poses, names: Mapping[str, str] | None) -> Ints:
    """Find which animal each row certainly is, int64 (F, I); -1 = that is not known."""
    if names:
        animals = list(dict.fromkeys(names.values()))
        owner = [animals.index(names[row]) if row in names else -1 for row in poses.names]
    else:
        owner = [-1 if poses.identity is None else i for i in range(len(poses.names))]
    return np.where(_find_certain(poses), owner, -1)


def _find_certain(poses: Poses) -> Bools:
    """Find where names are certain, bool (F, I); everywhere if nothing is said of it."""
    if poses.identity is None:
        return np.ones(poses.array.shape[:2], bool)
    return np.asarray(poses.identity >= TRUST)


def _make_network(channels: int, seed: int) -> AppearanceNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AppearanceNetwork(channels)


def add_to_gallery(
    gallery: Gallery | None,
    video: Source,
    *,
    poses: Poses,
    names: Mapping[str, str],
    day: str = "",
    steps: int | None = None,
    on_progress: OnProgress | None = None,
) -> Gallery:
    """Put animals of a recording into a gallery, or begin one with them.

    The first recording teaches the network what sets these animals apart, on three quarters of
    it; the gallery then holds how they look in the last quarter, which the network has never
    seen, and in that under other lights: how much looks vary on another day is measured, not
    guessed.

    Parameters
    ----------
    gallery : Gallery or None
        Existing one; None begins a new one.
    video : str, Path, Video, or anything that gives images by frame number
        The recording.
    poses : Poses
        2D, tracked.
    names : dict of str to str
        Row to animal; rows that are left out are ignored.
    day : str
        Where these pictures come from, for people.
    steps, on_progress
        As for `learn_appearance`.

    Returns
    -------
    Gallery
        A new one; the given one stays as it was.
    """
    _check_names(poses, names)
    if not names:
        raise ShapeError("gallery: no animal is named, wanted rows and names such as track0=Anna")
    shown = poses
    if gallery is None:
        # Every fourth of sixteen parts is held back.
        held = np.arange(len(poses)) * 16 // len(poses) % 4 == 3
        taught = poses.sel(frames=poses.frames[~held])
        appearance = learn_appearance(
            video,
            taught,
            names=names,
            steps=steps,
            on_progress=on_progress,
        )
        gallery, shown = Gallery(appearance), poses.sel(frames=poses.frames[held])
    network = gallery.appearance
    every = max(EVERY, len(shown) // _FRAMES)
    crops, frame, row = cut_some(video, shown, network, every=every, on_progress=on_progress)
    sure = _find_certain(shown)
    rng = np.random.default_rng(0)
    for light in (None, *[rng] * _LIGHTS):
        found = np.full((*sure.shape, network.dimensions), np.nan, np.float32)
        found[frame, row] = network.embed(crops, light=light)
        found[~sure] = np.nan
        for name, animal in names.items():
            gallery = gallery.add(animal, found[:, poses.names.index(name)], day=day)
    empty = [animal for animal in dict.fromkeys(names.values()) if not len(gallery.pieces[animal])]
    if empty:
        logger.warning(
            "gallery: %s never seen alone under a certain name; nothing is known of its looks",
            ", ".join(empty),
        )
    return gallery


def name_by_gallery(
    poses: Poses,
    video: Source,
    *,
    gallery: Gallery,
    every: int = EVERY,
    on_progress: OnProgress | None = None,
) -> Poses:
    """Name tracked animals by a gallery.

    Parameters
    ----------
    poses : Poses
        2D, tracked: rows are individuals or tracklets.
    video : str, Path, Video, or anything that gives images by frame number
        Of these poses.
    gallery : Gallery
        Whom to look for.
    every : int
        Look at every so many frames.
    on_progress : function of (int, int), optional
        Called with the frames read and their number.

    Returns
    -------
    Poses
        One row for each animal that was found, in the gallery's order: tracklets of one animal
        are joined. Then those that were not recognised, ``unknown-track3`` and so on. `identity`
        is the probability that the row is one animal times that of its name.

    Raises
    ------
    ShapeError
        If the poses are not 2D or have other keypoints than the gallery's.
    """
    labels, sure = find_names(poses, video, gallery=gallery, every=every, on_progress=on_progress)
    return join_rows(poses, labels, sure, order=gallery.names)


def find_names(
    poses: Poses,
    video: Source,
    *,
    gallery: Gallery,
    every: int = EVERY,
    on_progress: OnProgress | None = None,
) -> tuple[list[str], Floats]:
    """Find whom a gallery knows in the rows of tracked poses.

    Parameters
    ----------
    poses, video, gallery, every, on_progress
        As for `name_by_gallery`.

    Returns
    -------
    labels : list of str, (I,)
        Name for each row, ``unknown-track3`` for a stranger. Rows that are never there at the same
        time may have the same one.
    probabilities : float64, (I,)
        That this is right; NaN where it could not be measured.
    """
    embeddings = find_embeddings(
        video, poses, gallery.appearance, every=every, on_progress=on_progress
    )
    names, sure = gallery.name(embeddings, present=poses.find_present())
    rows = zip(names, poses.names, strict=True)
    return [f"{UNKNOWN}-{row}" if name == UNKNOWN else name for name, row in rows], sure
