"""Marked animals: which ones a network learns to tell apart, and how far it can be believed."""

from __future__ import annotations

import logging

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.errors import SettingsError
from mapose.labels import Labels
from mapose.models import Identity
from mapose.poses import Peaks
from mapose.project.project import Project
from mapose.similarity import find_lengths

logger = logging.getLogger(__name__)

#: Standard deviations above chance from which a network can tell animals apart.
_ABOVE = 2.0
#: A peak is of the labelled keypoint that is no further than this share of an animal's length.
_NEAR = 0.25
#: What logits are multiplied by is sought among these.
_SCALES = np.geomspace(1 / 32, 4, 43)


def choose_names(project: Project, labels: Labels, wanted: bool | None) -> tuple[str, ...]:
    """Choose which animals are learned by name: those that the project names, if it does.

    Raises
    ------
    SettingsError
        If names are wanted and there are not two.
    """
    named = () if isinstance(project.individuals, int) else project.individuals
    names = tuple(name for name in named if name in labels.individuals)
    if wanted and len(names) < 2:
        raise SettingsError(
            "train.identity: wanted labels of two animals or more by name; name them in "
            "mapose.yaml (individuals: [anna, bea]), or leave it out"
        )
    return names if wanted is not False and len(names) > 1 else ()


def find_rows(labels: Labels, names: tuple[str, ...]) -> Ints:
    """Find where the animals of these names are among those of labels."""
    return np.array([labels.individuals.index(name) for name in names], np.int64)


def learn_identity(
    peaks: Peaks, labels: Labels, rows: Ints, *, names: tuple[str, ...]
) -> Identity | None:
    """Find how far a network can be believed that tells animals apart.

    Parameters
    ----------
    peaks : Peaks
        That it has found in the labelled frames, with marks.
    labels : Labels
        All labelled frames.
    rows : int64
        Frames that it was not trained on.
    names : tuple of str
        In the order of its maps.

    Returns
    -------
    Identity or None
        None if it does no better than chance.
    """
    marks, owner, looks = _match_owners(peaks, labels, rows, find_rows(labels, names))
    if not len(owner):
        return None
    losses = [-_find_likelihood(scale * marks, owner) for scale in _SCALES]
    scale = float(_SCALES[int(np.argmin(losses))])
    accuracy = float((marks.argmax(1) == owner).mean())
    chance = 1 / len(names)
    if accuracy - chance < _ABOVE * np.sqrt(chance * (1 - chance) / looks):
        logger.warning(
            "the animals %s look too much alike to be told apart: %.0f %% of their keypoints on "
            "frames not trained on are given to the right one; names do not count in tracking",
            ", ".join(names),
            100 * accuracy,
        )
        return None
    return Identity(names, scale, accuracy)


def _match_owners(
    peaks: Peaks, labels: Labels, rows: Ints, named: Ints
) -> tuple[Floats, Ints, int]:
    """Find peaks of labelled keypoints: marks (M, A), whose they are (M,), and how many animals."""
    part = peaks.take(rows)
    truth = labels.points[rows][:, named]
    near = _NEAR * float(np.nanmedian(find_lengths(labels.points.reshape(-1, *truth.shape[2:]))))
    gap = np.linalg.norm(truth[part.frame, :, part.keypoint] - part.xy[:, None], axis=-1)
    gap = np.nan_to_num(gap, nan=np.inf)
    owner = gap.argmin(1) if gap.size else np.empty(0, np.int64)
    found = gap.min(1, initial=np.inf) < near
    marks = np.empty((0, len(named))) if part.marks is None else part.marks[found]
    looks = len(set(zip(part.frame[found].tolist(), owner[found].tolist(), strict=True)))
    return marks.astype(np.float64), owner[found] if part.marks is not None else owner[:0], looks


def _find_likelihood(logits: Floats, owner: Ints) -> float:
    """Find the mean log-probability of the owners."""
    top = logits.max(1, keepdims=True)
    total = top[:, 0] + np.log(np.exp(logits - top).sum(1))
    return float((logits[np.arange(len(owner)), owner] - total).mean())
