"""Tracklets of animals that sit still, made to measure."""

import numpy as np

from mapose.tracking import TrackletSummaries


def make_summaries(spans, places, *, looks=None):
    """Make summaries of tracklets from (first, last) of each, places, and looks if there are any.

    They are numbered in the given order, which has to be that of their first frames.
    """
    frames = max(last for _, last in spans) + 1
    points = np.full((frames, len(spans), 3, 2), np.nan)
    ids = np.full((frames, len(spans)), -1)
    embeddings = None if looks is None else np.full((frames, len(spans), len(looks[0])), np.nan)
    rng = np.random.default_rng(0)
    body = np.array([[0.0, 0], [20, 0], [10, 10]])
    for i, ((first, last), place) in enumerate(zip(spans, places, strict=True)):
        rows = slice(first, last + 1)
        size = last + 1 - first
        points[rows, i] = body + place + rng.normal(0, 0.5, (size, 1, 2))
        ids[rows, i] = i
        if embeddings is not None:
            embeddings[rows, i] = looks[i] + rng.normal(0, 1, (size, len(looks[i])))
    summaries = TrackletSummaries()
    summaries.add(ids, points, embeddings=embeddings)
    return summaries


def make_tracklets(spans, places, *, looks=None):
    """Make tracklets, and corners of the arena, as `make_summaries` does."""
    summaries = make_summaries(spans, places, looks=looks)
    return summaries.to_arrays(), summaries.arena
