"""Poses of a video by a model in two steps, a detector and a network for what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mapose.analysis.prediction import Crop
from mapose.arrays import Image, Singles
from mapose.io import Video, prefetch
from mapose.models import TopDown
from mapose.poses import Poses

#: Images shown to the detector at once.
_BATCH = 4


def find_poses(
    video: Video,
    model: TopDown,
    frames: slice,
    *,
    individuals: int | None = None,
    crop: Crop | None = None,
    chunk: int = 256,
) -> Iterator[Poses]:
    """Find the animals of a video.

    Parameters
    ----------
    video : Video
        In colour.
    model : TopDown
        Already where it is to compute.
    frames : slice
        Video frames, ``start:stop``.
    individuals : int, optional
        Animals at most.
    crop : Crop, optional
        Part of the images in which to look; positions stay those in the whole image.
    chunk : int
        Frames of one part of the result.

    Yields
    ------
    Poses
        Of every ``chunk`` frames, slots without order; with covariance, px². Frames that could
        not be read have nobody.
    """
    waiting: list[tuple[Singles, Singles]] = []
    start = frames.start
    nothing = (
        np.empty((0, len(model.skeleton.keypoints), 3), np.float32),
        np.empty((0, len(model.skeleton.keypoints), 2, 2), np.float32),
    )
    for batch in prefetch(_read_batches(video, frames, crop, chunk), depth=2):
        there = [image for image in batch if image is not None]
        found = iter(model.find(there, individuals=individuals) if there else [])
        waiting += [nothing if image is None else next(found) for image in batch]
        if len(waiting) == chunk or start + len(waiting) == frames.stop:
            yield _join(waiting, model, start, crop)
            start, waiting = start + len(waiting), []


def _read_batches(
    video: Video, frames: slice, crop: Crop | None, chunk: int
) -> Iterator[list[Image | None]]:
    """Read frames in batches of one size that never reach over the border of a chunk."""
    waiting: list[Image | None] = []
    shape: tuple[int, ...] = ()
    for n, image in video.iterate(frames.start, frames.stop):
        if image is not None and image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
        if image is not None and crop is not None:
            left, top, width, height = crop
            image = image[top : top + height, left : left + width]
        other = image is not None and shape and image.shape != shape
        if waiting and ((n - frames.start) % chunk % _BATCH == 0 or other):
            yield waiting
            waiting = []
        waiting.append(image)
        shape = shape if image is None else image.shape
    if waiting:
        yield waiting


def _join(
    parts: list[tuple[Singles, Singles]], model: TopDown, start: int, crop: Crop | None
) -> Poses:
    """Join the animals of frames in a row, each in the slots of its frame."""
    slots = max(1, *(len(found) for found, _ in parts))
    k = len(model.skeleton.keypoints)
    array = np.full((len(parts), slots, k, 3), np.nan, np.float32)
    covariance = np.full((len(parts), slots, k, 2, 2), np.nan, np.float32)
    for row, (found, spread) in enumerate(parts):
        array[row, : len(found)] = found
        covariance[row, : len(found)] = spread
    if crop is not None:
        array[..., :2] += np.array(crop[:2], np.float32)
    missing = ~np.isfinite(array).all(-1) | (array[..., 2] <= 0)
    array[missing], covariance[missing] = (np.nan, np.nan, 0), np.nan
    frames = np.arange(start, start + len(parts))
    return replace(Poses(array, model.skeleton, covariance=covariance), frames=frames)
