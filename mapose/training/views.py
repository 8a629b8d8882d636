"""What views of labelled images a training is shown, where the settings do not say."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from mapose.anatomy import find_sided
from mapose.arrays import Floats, Singles
from mapose.config import Settings
from mapose.data import (
    Augmentation,
    are_tiny,
    find_lengths_to_show,
    find_rotation,
    find_view_size,
    is_slanted,
)
from mapose.grid import round_up
from mapose.labels import Labels
from mapose.skeleton import Skeleton
from mapose.training.team import count_processes

logger = logging.getLogger(__name__)

#: Share of views at a random place, and where animals are tiny in their images: there, views at
#: animals show too little of what is no animal.
_LITTLE, _MUCH = 0.1, 0.33
#: How far views of a camera that looks aslant are rotated, degrees to either side. Three drawn mice
#: seen by two such cameras, 24 labels, one seed: 1.9 and 2.2 px median instead of 2.6 and 3.0, from
#: above 1.8 instead of 1.6; in space 2.4 mm instead of 3.3.
_SLANTED = 30.0


def choose_views(
    settings: Settings, poses: Singles, largest: int, *, labels: Labels
) -> tuple[Settings, int, Augmentation]:
    """Choose views by the labels: how large, how many in a step, and how they are changed.

    Parameters
    ----------
    settings : Settings
        What they say is done.
    poses : float32, (N, K, 2)
        Labelled poses at the network's scale, pixels; NaN = missing.
    largest : int
        Longer side of the largest image, pixels at the network's scale.
    labels : Labels
        With the landmarks, and with the names of left and right.

    Returns
    -------
    settings : Settings
        With a larger ``train.batch`` where animals are tiny, and one that all processes share
        evenly, if it was not set.
    view : int
        Side of the views, pixels.
    augmentation : Augmentation
        Turned and resized as far as the labelled poses differ.
    """
    augment, train = settings.augment, settings.train
    view = train.view or find_view_size(poses, largest)
    tiny, rotation = are_tiny(poses, largest), find_rotation(poses)
    landmarks = np.concatenate(labels.points)[:, labels.skeleton.landmark_index]
    if (np.isfinite(landmarks).all(-1).sum(-1) >= 2).any():
        # Which corner of an arena is which is told by where it stands in the picture.
        rotation = min(rotation, find_rotation(landmarks))
    usual = _MUCH if tiny else _LITTLE
    flip = rotation > 90 if augment.flip is None else augment.flip
    augmentation = Augmentation(
        rotation=rotation if augment.rotation is None else augment.rotation,
        flip=flip and _can_flip(poses, labels.skeleton, wanted=bool(augment.flip)),
        background=usual if augment.background is None else augment.background,
        lengths=find_lengths_to_show(poses),
        **augment.model_dump(exclude={"rotation", "flip", "background"}),
    )
    if "batch" not in train.model_fields_set:
        batch = choose_batch(view, batch=train.batch) if tiny else train.batch
        # Each of several processes takes an equal part.
        train = train.model_copy(update={"batch": round_up(batch, count_processes())})
    return settings.model_copy(update={"train": train}), view, augmentation


def _can_flip(poses: Singles, skeleton: Skeleton, *, wanted: bool) -> bool:
    """Tell whether mirrored views show what could be there; those that are wanted are made."""
    sided = [skeleton.keypoints[k] for k in np.flatnonzero(find_sided(poses, skeleton.flip_order))]
    if sided:
        logger.warning(
            "%s: on one side of the body, without a partner on the other, so that mirrored views "
            "%s; name the pairs: mapose skeleton DIR --mirror LEFT-RIGHT",
            ", ".join(sided),
            "teach the wrong side" if wanted else "are left out",
        )
    return wanted or not sided


def choose_turns(points: Singles, videos: Sequence[str]) -> Floats:
    """Choose how far views of each image may be rotated: less where a camera looks aslant.

    Parameters
    ----------
    points : float32, (F, I, K, 2)
        Labelled keypoints, of landmarks NaN.
    videos : sequence of str
        Of which video each image is: a camera does not move in it.

    Returns
    -------
    float64, (F,)
        Degrees to either side at most.
    """
    turns, each = np.full(len(points), 180.0), np.array(videos)
    for video in dict.fromkeys(videos):
        rows = each == video
        if is_slanted(points[rows].reshape(-1, *points.shape[2:])):
            turns[rows] = _SLANTED
    return turns


def choose_batch(view: int, *, batch: int) -> int:
    """Choose how many views a step is made on where animals are tiny: most views show none.

    Parameters
    ----------
    view : int
        Side of the views, pixels at the network's scale.
    batch : int
        Views of 192 pixels or more.

    Returns
    -------
    int
        Where they are smaller, twice as many pixels.

    Examples
    --------
    >>> choose_batch(96, batch=4), choose_batch(320, batch=4)
    (32, 4)
    """
    return batch if view >= 192 else 2 * round(batch * (192 / view) ** 2)
