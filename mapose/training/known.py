"""Which keypoints were looked for in which labelled frame."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Bools
from mapose.labels import ABSENT, Labels


def find_known(labels: Labels, missing: str) -> Bools:
    """Find which keypoints were looked for in which frame.

    Parameters
    ----------
    labels : Labels
        All labelled frames.
    missing : str
        What a keypoint that is not marked means: ``"absent"`` = it cannot be seen; where a
        whole video has no mark of a keypoint, it was not looked for. ``"unknown"`` = nobody
        looked, unless the labels say that it is absent.

    Returns
    -------
    bool, (F, K)
    """
    marked = np.asarray(np.isfinite(labels.points).all(-1))
    said = labels.find_states() == ABSENT
    if missing == "unknown":
        nothing = ~marked.any(axis=-1, keepdims=True)
        return np.asarray((marked | said | nothing).all(axis=1))
    known = np.ones((len(labels), labels.points.shape[2]), bool)
    videos = np.array(labels.videos)
    for video in set(labels.videos):
        rows = videos == video
        known[rows] = (marked | said)[rows].any((0, 1)) | ~marked[rows].any()
    return known
