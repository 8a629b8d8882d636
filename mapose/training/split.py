"""Which labelled frames are trained on, and which tell how good a model is."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Ints
from mapose.config import TrainSettings
from mapose.errors import FormatError, SettingsError
from mapose.labels import Labels


def split_frames(labels: Labels, settings: TrainSettings) -> tuple[Ints, Ints]:
    """Split labelled frames at random into train and test rows.

    Parameters
    ----------
    labels : Labels
        All labelled frames.
    settings : TrainSettings
        ``test``: share of test frames, 0 to 1; at least one frame is left to train on, and at
        least one to test with unless the share is 0. ``seed``: of the split. ``split``: frames, or
        whole videos, so that a model is tested on recordings that it has not seen. ``folds`` and
        ``fold``: into so many equal parts, of which this one is tested with.

    Returns
    -------
    train, test : int64
        Rows, ascending.

    Raises
    ------
    FormatError
        If there are fewer than two frames, or no keypoint is marked.
    SettingsError
        If there are fewer frames or videos than parts.
    """
    if len(labels) < 2 or not np.isfinite(labels.points).any():
        raise FormatError(
            f"{len(labels)} labelled frames with {int(np.isfinite(labels.points[..., 0]).sum())} "
            "keypoints: training needs at least two frames; label or import some"
        )
    group = np.arange(len(labels))
    if settings.split == "video":
        group = np.unique(labels.videos, return_inverse=True)[1]
    count = int(group.max()) + 1
    parts = settings.folds or 1
    if count < max(parts, 2):
        raise SettingsError(
            f"train.split={settings.split}: wanted at least {max(parts, 2)} {settings.split}s with "
            f"labels, there are {count}"
        )
    order = np.random.default_rng(settings.seed).permutation(count)
    if settings.folds is not None:
        chosen = order[settings.fold :: settings.folds]
    else:
        chosen = order[: min(max(round(settings.test * count), settings.test > 0), count - 1)]
    is_test = np.isin(group, chosen)
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
