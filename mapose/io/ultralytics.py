"""YOLO pose, as Ultralytics trains on it: data.yaml, and a text file per image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import FormatError
from mapose.io.picture_sizes import measure_picture
from mapose.io.sheets import Animal, Sheet, lay_out
from mapose.io.sources import IMAGE_SUFFIXES
from mapose.labels import Labels
from mapose.reading import load_yaml
from mapose.skeleton import Skeleton


def find_yolo_file(path: Path) -> Path | None:
    """Find the yaml that describes a data set of poses, in a folder or the file itself."""
    if not path.is_dir():
        return path if _describes_poses(_load(path)) else None
    for file in sorted(path.glob("*.y*ml")):
        try:
            if _describes_poses(_load(file)):
                return file
        except FormatError:  # one that has nothing to do with it, perhaps
            continue
    return None


def _load(file: Path) -> Any:
    return load_yaml(file.read_text(encoding="utf-8", errors="replace"), file, strict=False)


def _describes_poses(document: Any) -> bool:
    return isinstance(document, dict) and "kpt_shape" in document


def read_yolo_labels(path: Path) -> Labels:
    """Read a data set of YOLO pose.

    Parameters
    ----------
    path : Path
        The yaml with ``kpt_shape``, or its folder. Text files are looked for in folders called
        ``labels`` below it, images in ``images`` beside these.

    Returns
    -------
    Labels
        Keypoints are called as ``kpt_names`` says, else ``point1, point2, ...``; left and right are
        told by ``flip_idx``. A keypoint with visibility 0, or at (0, 0), is not marked, one with
        1 occluded.

    Raises
    ------
    FormatError
        If there are no labels or images, or lines do not fit ``kpt_shape``.
    """
    file = find_yolo_file(path)
    if file is None:
        raise FormatError(f"{path}: wanted a yaml with kpt_shape, as Ultralytics trains poses on")
    document = _load(file)
    count, numbers = (int(n) for n in document["kpt_shape"])
    names = _name_keypoints(document, count)
    sheets, images = [], []
    texts = sorted(text for text in file.parent.rglob("*.txt") if "labels" in text.parts)
    for text in texts:
        image = _find_image(text)
        if image is None:
            raise FormatError(f"{text}: there is no image of it; wanted it in the folder images")
        measured = measure_picture(image)
        if measured is None:
            raise FormatError(f"{image} cannot be read: copy it again, or leave it out")
        sheet = Sheet(image.relative_to(file.parent).as_posix())
        for line in text.read_text(encoding="utf-8").splitlines():
            if line.strip():
                values = _read_line(line, count, numbers, text)
                sheet.animals.append(_place(values, names, measured[0]))
        sheets.append(sheet)
        images.append(image)
    return lay_out(sheets, images, file, skeleton=_make_skeleton(document, names))


def _name_keypoints(document: dict[str, Any], count: int) -> list[str]:
    named = document.get("kpt_names")
    if isinstance(named, dict):
        named = next(iter(named.values()), None)
    if isinstance(named, list) and len(named) == count:
        return [str(name) for name in named]
    return [f"point{n}" for n in range(1, count + 1)]


def _make_skeleton(document: dict[str, Any], names: list[str]) -> Skeleton:
    flipped = document.get("flip_idx") or []
    pairs = [(names[a], names[b]) for a, b in enumerate(flipped) if a < b < len(names)]
    return Skeleton(names, mirror=pairs)


def _find_image(text: Path) -> Path | None:
    """Find the image of a text file: the same path in ``images`` instead of ``labels``."""
    parts = list(text.parts)
    parts[len(parts) - 1 - parts[::-1].index("labels")] = "images"
    beside = Path(*parts)
    found = [beside.with_suffix(s) for s in (*IMAGE_SUFFIXES, *map(str.upper, IMAGE_SUFFIXES))]
    return next((image for image in found if image.is_file()), None)


def _read_line(line: str, count: int, numbers: int, text: Path) -> np.ndarray:
    """Read the keypoints of a line, float64 (K, 3): x, y as shares of the image, visibility."""
    try:
        values = np.array(line.split(), np.float64)
        points = values[5:].reshape(count, numbers)
    except ValueError:
        raise FormatError(
            f"{text}: wanted a class, a box and {count} x {numbers} numbers in each line, came "
            f"{len(re.split(r'[ ]+', line.strip()))}"
        ) from None
    seen = points[:, 2] if numbers > 2 else np.where((points != 0).any(1), 2, 0)
    return np.c_[points[:, :2], seen]


def _place(values: np.ndarray, names: list[str], size: tuple[int, int]) -> Animal:
    animal = Animal()
    for name, (x, y, seen) in zip(names, values, strict=True):
        if seen > 0 and (x, y) != (0, 0):
            animal.points[name] = x * size[0], y * size[1]
            if seen == 1:
                animal.hidden.add(name)
    return animal
