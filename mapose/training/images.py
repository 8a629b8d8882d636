"""Labelled frames of a project, read from their files when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from mapose.arrays import Image
from mapose.data import hide_outside
from mapose.errors import FormatError
from mapose.io import read_image
from mapose.labels import Labels
from mapose.project.crops import Crop, load_crops
from mapose.project.project import Project
from mapose.reading import explain_damage


class LabelledImages(Sequence[Image]):
    """The images of labelled frames, each read whenever it is asked for; none is kept.

    What lies outside of the crop of a video is hidden.

    Parameters
    ----------
    project : Project
        Its crops say where to look.
    labels : Labels
        F labelled frames; those without an image file are left out.
    """

    def __init__(self, project: Project, labels: Labels) -> None:
        crops = load_crops(project)
        self.entries: list[tuple[Path, Crop | None]] = [
            (path, crops.get(video))
            for path, video in zip(labels.images, labels.videos, strict=True)
            if path is not None
        ]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, row: Any) -> Any:
        """Read the image of a row, uint8 (H, W, 3), or with a slice or array pick rows."""
        if isinstance(row, (slice, list, np.ndarray)):
            return self.take(np.arange(len(self))[row])
        path, crop = self.entries[row]
        return hide_outside(read_image(path), crop)

    def take(self, rows: Sequence[int] | np.ndarray) -> LabelledImages:
        """Pick rows without reading anything."""
        picked = object.__new__(LabelledImages)
        picked.entries = [self.entries[row] for row in rows]
        return picked

    def find_sizes(self) -> list[tuple[int, int]]:
        """Find width and height of each image, px, from the heads of the files.

        Raises
        ------
        FormatError
            If a file is missing or not an image.
        """
        return [_read_size(path) for path, _ in self.entries]


def _read_size(path: Path) -> tuple[int, int]:
    if not path.is_file():
        raise FormatError(f"{path}: wanted an image, found no file")
    try:
        with PIL.Image.open(path) as image:
            return image.size
    except Exception:  # Pillow raises whatever there is: what OpenCV alone can read, huge sizes
        with explain_damage(path):
            high, wide = read_image(path).shape[:2]
        return wide, high
