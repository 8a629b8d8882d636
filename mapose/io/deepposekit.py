"""DeepPoseKit: one HDF5 file with images and annotations inside."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mapose.arrays import Image
from mapose.errors import FormatError
from mapose.io.hdf5 import get_dataset, open_hdf5
from mapose.labels import Labels
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)


def read_deepposekit_labels(path: Path) -> Labels:
    """Read a DeepPoseKit annotation set.

    Parameters
    ----------
    path : Path
        HDF5 with the datasets images, annotations, annotated and skeleton (parent and left/right
        partner of each keypoint). Names come from a csv beside it that has as many rows and a
        column ``name``; without one, keypoints are called ``keypoint0, ...``.

    Returns
    -------
    Labels
        `frames` are the rows of the file, by which `read_deepposekit_images` hands out their
        images. Frames that are not marked as annotated are left out, if any is.

    Raises
    ------
    FormatError
        If the shapes do not fit.
    """
    with open_hdf5(path) as file:
        points = file["annotations"][()]
        done = file["annotated"][()] if "annotated" in file else np.zeros(0, bool)
        tree = file["skeleton"][()] if "skeleton" in file else np.full((points.shape[1], 2), -1)
    if points.ndim != 3 or points.shape[2] != 2 or len(tree) != points.shape[1]:
        raise FormatError(
            f"{path}: wanted annotations (images, keypoints, 2) and a skeleton row for each "
            f"keypoint; came {points.shape} and {len(tree)} rows"
        )
    rows = np.arange(len(points))
    if done.any():
        rows = np.flatnonzero(done.reshape(len(done), -1).any(1))
    else:
        log.warning("%s: no image is marked as annotated; all are taken", path.name)
    return Labels(
        points[rows, None],
        _make_skeleton(_read_names(path, len(tree)), tree),
        (path.stem,) * len(rows),
        rows,
        (None,) * len(rows),
        ("animal0",),
        True,
    )


def read_deepposekit_images(path: Path, labels: Labels) -> Iterator[tuple[int, Image]]:
    """Hand out the images of labels that `read_deepposekit_labels` read.

    Yields
    ------
    row : int
        Row of the labels.
    image : uint8, (H, W) or (H, W, RGB)
    """
    with open_hdf5(path) as file:
        for row, number in enumerate(labels.frames):
            image = np.asarray(get_dataset(file, "images")[int(number)], np.uint8)
            if image.ndim not in (2, 3) or not image.size:
                raise FormatError(f"{path}: wanted images (H, W, channels), came {image.shape}")
            yield row, image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image


def _read_names(path: Path, n: int) -> list[str]:
    for table in sorted(path.parent.glob("*.csv")):
        try:
            rows = pd.read_csv(table, dtype=str)
        except ValueError:
            continue
        if "name" in rows and len(rows) == n and rows.name.notna().all():
            return list(rows.name)
    log.warning("%s: no csv with the names of its %d keypoints beside it", path.name, n)
    return [f"keypoint{k}" for k in range(n)]


def _make_skeleton(names: list[str], tree: npt.NDArray[np.integer]) -> Skeleton:
    n = len(names)
    edges = [(names[p], names[k]) for k, p in enumerate(tree[:, 0]) if 0 <= p < n and p != k]
    # A pair counts only if both name each other; of the others it is guessed from names.
    partners = list(enumerate(tree[:, 1]))
    mirror = [(names[k], names[m]) for k, m in partners if k < m < n and tree[m, 1] == k]
    return Skeleton(names, edges, mirror)
