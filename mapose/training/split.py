"""Which labelled frames are trained on, which a training is judged by, and which tell its error."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mapose.arrays import Bools, Ints
from mapose.config import TrainSettings
from mapose.errors import FormatError, SettingsError
from mapose.labels import Labels

#: Frames to train on from which some of them are kept for validation, how many at least, and from
#: how many on the training may stop by them: the error of a few frames is mostly chance.
_LEAST, _FEW, STOPPING = 10, 2, 10


class Split(NamedTuple):
    """Rows of labelled frames, ascending, int64; no row is in two of them."""

    train: Ints
    validation: Ints
    test: Ints


def split_frames(labels: Labels, settings: TrainSettings) -> Split:
    """Split labelled frames at random into rows to train on, to choose by and to test with.

    Test frames are drawn first, so that they do not depend on how many are kept for validation.

    Parameters
    ----------
    labels : Labels
        All labelled frames.
    settings : TrainSettings
        ``test``: share of test frames, 0 to 1; at least one frame is left to train on, and at
        least one to test with unless the share is 0. ``validation``: share of the others that
        is not trained on either, see `count_validation`. ``seed`` (or ``split_seed``): of the
        split. ``split``: frames, whole videos, or animals, so that a model is tested on recordings
        or animals that it has not seen. ``folds`` and ``fold``: into so many equal parts, of which
        this one is tested with. ``labels``: frames that are not for testing, at most.

    Returns
    -------
    Split

    Raises
    ------
    FormatError
        If there are fewer than two frames, or no keypoint is marked.
    SettingsError
        If there are fewer frames, videos or animals than parts.
    """
    if len(labels) < 2 or not np.isfinite(labels.points).any():
        raise FormatError(
            f"{len(labels)} labelled frames with {int(np.isfinite(labels.points[..., 0]).sum())} "
            "keypoints: training needs at least two frames; label or import some"
        )
    group = _group_frames(labels, settings.split)
    count = int(group.max()) + 1
    parts = settings.folds or 1
    if count < max(parts, 2):
        raise SettingsError(
            f"train.split={settings.split}: wanted at least {max(parts, 2)} {settings.split}s with "
            f"labels, there are {count}{_explain(settings.split)}"
        )
    seed = settings.seed if settings.split_seed is None else settings.split_seed
    order = np.random.default_rng(seed).permutation(count)
    if settings.folds is not None:
        chosen = order[settings.fold :: settings.folds]
    else:
        chosen = order[: min(max(round(settings.test * count), settings.test > 0), count - 1)]
    is_test = np.isin(group, chosen)
    others = _take_some(np.flatnonzero(~is_test), settings.labels, seed=seed)
    kept = count_validation(len(others), settings.validation)
    picked = _pick_validation(others, group, kept, seed=seed)
    return Split(np.setdiff1d(others, picked), np.sort(picked), np.flatnonzero(is_test))


def count_validation(frames: int, share: float | None) -> int:
    """Choose how many of the frames to train on are kept to judge the training by.

    Parameters
    ----------
    frames : int
        Frames that are not for testing.
    share : float, optional
        Wanted share. None chooses a tenth, at least 2 and at most the square root of the
        frames: the more there are, the smaller the part that is enough. With fewer than 10
        frames none is kept, for each is needed to learn from.

    Examples
    --------
    >>> [count_validation(n, None) for n in (8, 16, 32, 80, 200, 10_000)]
    [0, 2, 3, 8, 14, 100]
    >>> count_validation(80, 0.25)
    20
    """
    if share is not None:
        return min(round(share * frames), frames - 1)
    if frames < _LEAST:
        return 0
    return max(_FEW, round(min(frames / 10, math.sqrt(frames))))


def _take_some(rows: Ints, most: int | None, *, seed: int) -> Ints:
    """Take so many rows at most; more of them hold those that fewer are."""
    if most is None or most >= len(rows):
        return rows
    return np.sort(np.random.default_rng([seed, 2]).permutation(rows)[:most])


def _pick_validation(rows: Ints, group: Ints, count: int, *, seed: int) -> Ints:
    """Pick about so many rows; whole groups, as test frames are, where they are small enough."""
    rng = np.random.default_rng([seed, 1])
    picked = np.zeros(0, np.int64)
    for one in rng.permutation(np.unique(group[rows])):
        members = rows[group[rows] == one]
        if len(picked) + len(members) <= 1.5 * count and len(picked) < count:
            picked = np.concatenate([picked, members])
    return picked if len(picked) else rng.permutation(rows)[:count]


def _group_frames(labels: Labels, split: str) -> Ints:
    """Give each frame the number of the group that it is not parted from, from 0."""
    if split == "video":
        return np.unique(labels.videos, return_inverse=True)[1]
    if split == "animal":
        return _group_animals(labels)
    return np.arange(len(labels))


def _group_animals(labels: Labels) -> Ints:
    """Group frames by the animals in them; animals that share a frame stay together.

    Frames without any animal belong to none; the first group has them.
    """
    there: Bools = np.asarray(np.isfinite(labels.points).any((-1, -2)))
    leader = np.arange(there.shape[1])
    for frame in there:
        together = np.isin(leader, leader[frame])
        leader[together] = leader[together].min(initial=len(leader))
    mine = np.where(there.any(1), leader[there.argmax(1)], -1)
    names = np.unique(mine[mine >= 0])
    return np.maximum(np.searchsorted(names, mine), 0)


def _explain(split: str) -> str:
    if split != "animal":
        return ""
    return " (animals seen together count as one): train.split=video parts recordings instead"
