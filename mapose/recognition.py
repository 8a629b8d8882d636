"""Who is who by looks: learn it from a recording, measure it in a video, name animals by it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from mapose.appearance import (
    NEAR,
    Appearance,
    Frames,
    Image,
    OnProgress,
    Source,
    cut_video,
    load_appearance,
    open_frames,
)
from mapose.data import is_grey
from mapose.data.crops import BodyTemplate, draw_fur, find_scale, find_template, fit_bodies
from mapose.data.pieces import choose_rows, find_near, find_pieces, find_strangers
from mapose.errors import ShapeError, suggest_name
from mapose.gallery import UNKNOWN, Gallery
from mapose.models.appearance import CROP, AppearanceNetwork
from mapose.models.contrast import Examples, train_appearance
from mapose.poses import Poses

__all__ = [
    "Appearance",
    "add_to_gallery",
    "find_embeddings",
    "learn_appearance",
    "load_appearance",
    "name_by_gallery",
]

logger = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]

#: From this probability on, a name is taken as certain while learning.
TRUST = 0.95
_FRAMES = 400
#: Steps of a training, 45 s on one core. 120 name drawn mice of distinct coats without fault; the
#: distance of strangers from them goes on growing.
STEPS = 600
_EVERY = 5
#: A gallery is begun once and used for months: rather wait, in s, than cut its training short.
_PATIENCE = 400.0
#: Lights under which animals of a gallery are looked at, besides the one they were filmed in.
_LIGHTS = 5


def learn_appearance(
    video: Source,
    poses: Poses,
    *,
    names: Mapping[str, str] | None = None,
    steps: int | None = None,
    seconds: float = 90.0,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Appearance:
    """Learn to tell the animals of a recording apart, without labels.

    Crops of one piece between two contacts show the same animal; crops of animals that are there
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
    seconds : float
        Time that the training may take; it is brought to its end within it.
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
    _check_poses(poses)
    _check_names(poses, names or {})
    rng = np.random.default_rng(seed)
    flat = poses.points.reshape(-1, *poses.points.shape[2:])
    some = flat[rng.permutation(len(flat))[:4000]]
    template = find_template(some, poses.skeleton)
    scale = find_scale(some, template)
    pieces = _find_alone(poses, template, scale)
    rows = choose_rows(pieces, _FRAMES, rng)
    groups, different = _find_groups(poses, pieces, names, rows)
    report = on_progress or (lambda done, total: None)
    steps = STEPS if steps is None else steps
    total = len(rows) + steps
    with open_frames(video) as source:
        channels = _find_channels(source, poses.frames[rows])
        network = _make_network(channels, seed)
        appearance = Appearance(network, template, poses.skeleton.keypoints, channels)
        crops, frame, row = cut_video(
            source, poses, appearance, rows=rows, report=lambda done, _: report(done, total)
        )
    group = groups[np.searchsorted(rows, frame), row]
    crops, group = crops[group >= 0], group[group >= 0]
    examples = Examples(crops, group, different, draw_fur(template, CROP))
    there = np.unique(group)
    if not different[np.ix_(there, there)].any():
        raise ShapeError(
            "appearance: wanted two animals that are there at the same time, each alone, came "
            f"none in {len(poses)} frames"
        )
    done = train_appearance(
        network,
        examples,
        steps=steps,
        seconds=seconds,
        seed=seed,
        report=lambda step: report(total - steps + step, total),
    )
    appearance.record.update(steps=done, crops=len(crops), seed=seed)
    return appearance


def find_embeddings(
    video: Source,
    poses: Poses,
    appearance: Appearance,
    *,
    every: int = _EVERY,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float32]:
    """Measure what animals look like, for tracking and naming.

    Parameters
    ----------
    video, poses
        As for `learn_appearance`; the rows may be unordered slots.
    appearance : Appearance
        From this recording or another one of the same animals.
    every : int
        Measure every so many frames. Looks do not change from frame to frame: a fifth of the
        frames says as much as all.
    on_progress : function of (int, int), optional
        Called with the frames read and their number.

    Returns
    -------
    float32, (F, I, D)
        Unit vectors; NaN where not measured: other frames, animals that touch another one or
        lack keypoints.

    Raises
    ------
    ShapeError
        If the poses have other keypoints than the appearance.
    """
    crops, frame, row = _measure(video, poses, appearance, every=every, on_progress=on_progress)
    found = np.full((*poses.array.shape[:2], appearance.dimensions), np.nan, np.float32)
    found[frame, row] = appearance.embed(crops)
    return found


def _check_names(poses: Poses, names: Mapping[str, str]) -> None:
    for row in names:
        if row not in poses.names:
            raise ShapeError(f"names: no individual {row!r}: {suggest_name(row, poses.names)}")


def _check_poses(poses: Poses) -> None:
    if poses.dimensions != 2:
        raise ShapeError("appearance: wanted 2D poses of one video, came 3D poses")


def _find_channels(source: Frames, frames: Ints) -> int:
    some = [source[int(n)] for n in frames[:: max(1, len(frames) // 3)][:3]]
    return 1 if is_grey(some) else 3


def _find_alone(poses: Poses, template: BodyTemplate, scale: float) -> Ints:
    """Find the pieces, int64 (F, I), in which animals are alone; -1 elsewhere."""
    found = np.asarray(np.isfinite(fit_bodies(poses.points, template)).all(-1))
    near = find_near(poses.points[:, :, template.firm], NEAR * scale)
    return find_pieces(found, near, **({} if poses.individuals else {"gap": -1}))


def _find_groups(
    poses: Poses, pieces: Ints, names: Mapping[str, str] | None, rows: Ints
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Find who is the same animal in some rows, int64 (N, I), and who is not, bool (G, G).

    A group is a piece, or all pieces of an animal where its name is certain; -1 where nobody is
    alone.
    """
    groups, count = pieces[rows], int(pieces.max(initial=-1)) + 1
    sure = _find_certain(poses)[rows] & (groups >= 0)
    animals = list(dict.fromkeys((names or {}).values()))
    if names:
        for row, animal in names.items():
            i = poses.names.index(row)
            groups[sure[:, i], i] = count + animals.index(animal)
    elif poses.identity is not None:
        groups = np.where(sure, count + np.arange(groups.shape[1]), groups)
    numbers, flat = np.unique(np.append(groups.ravel(), -1), return_inverse=True)
    groups = np.asarray(flat[:-1].reshape(groups.shape) - 1, np.int64)
    different = find_strangers(groups)
    if animals:
        named = numbers[1:] >= count
        different |= named & named[:, None] & ~np.eye(len(named), dtype=bool)
    return groups, different


def _find_certain(poses: Poses) -> npt.NDArray[np.bool_]:
    """Find where names are certain, bool (F, I); everywhere if nothing is said of it."""
    if poses.identity is None:
        return np.ones(poses.array.shape[:2], bool)
    return np.asarray(poses.identity >= TRUST)


def _measure(
    video: Source,
    poses: Poses,
    appearance: Appearance,
    *,
    every: int,
    on_progress: OnProgress | None,
) -> tuple[Image, Ints, Ints]:
    """Cut the animals out of every so many frames, as `cut_video` gives them."""
    _check_poses(poses)
    appearance.check_skeleton(poses.skeleton)
    rows = np.arange(0, len(poses), every)
    report = on_progress or (lambda *_: None)
    with open_frames(video) as source:
        return cut_video(source, poses, appearance, rows=rows, report=report)


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
            seconds=_PATIENCE,
            on_progress=on_progress,
        )
        gallery, shown = Gallery(appearance), poses.sel(frames=poses.frames[held])
    network = gallery.appearance
    every = max(_EVERY, len(shown) // _FRAMES)
    crops, frame, row = _measure(video, shown, network, every=every, on_progress=on_progress)
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
    every: int = _EVERY,
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
    embeddings = find_embeddings(
        video, poses, gallery.appearance, every=every, on_progress=on_progress
    )
    present = np.asarray(np.isfinite(poses.points).all(-1).any(-1))
    names, sure = gallery.name(embeddings, present=present)
    whole = np.ones(present.shape, np.float32) if poses.identity is None else poses.identity
    identity = np.where(present, whole * np.nan_to_num(sure).astype(np.float32), np.nan)
    labels = [
        f"{UNKNOWN}-{row}" if name == UNKNOWN else name
        for name, row in zip(names, poses.names, strict=True)
    ]
    order = [n for n in gallery.names if n in labels]
    order += [n for n in labels if n not in order]
    shape = (len(poses), len(order))
    array = np.full((*shape, *poses.array.shape[2:]), np.nan, np.float32)
    sums = np.full(shape, np.nan, np.float32)
    covariance = None
    if poses.covariance is not None:
        covariance = np.full((*shape, *poses.covariance.shape[2:]), np.nan, np.float32)
    for i, label in enumerate(labels):
        frames, row = present[:, i], order.index(label)
        array[frames, row], sums[frames, row] = poses.array[frames, i], identity[frames, i]
        if covariance is not None and poses.covariance is not None:
            covariance[frames, row] = poses.covariance[frames, i]
    return replace(poses, array=array, individuals=order, identity=sums, covariance=covariance)
