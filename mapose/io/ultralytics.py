"""YOLO pose, as Ultralytics trains on it: data.yaml, and a text file per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Floats
from mapose.errors import FormatError
from mapose.io.conventions import settle_visibility
from mapose.io.instances import name_by_kind
from mapose.io.picture_sizes import measure_picture
from mapose.io.sheets import Animal, Sheet, lay_out
from mapose.io.sources import IMAGE_SUFFIXES
from mapose.labels import Labels
from mapose.reading import load_yaml
from mapose.skeleton import Skeleton


@dataclass(frozen=True)
class _Line:
    """An animal: its class, and float64 (K, 3): x, y as shares of the image, visibility."""

    kind: int
    points: Floats


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
        1 occluded; where there are no visibilities, one below 0 is not marked either. Classes of
        which no picture has two are the names of animals. Damaged pictures and lines are told.

    Raises
    ------
    FormatError
        If there are no labels or images, or no line fits ``kpt_shape``.
    """
    file = find_yolo_file(path)
    if file is None:
        raise FormatError(f"{path}: wanted a yaml with kpt_shape, as Ultralytics trains poses on")
    document = _load(file)
    count, numbers = (int(n) for n in document["kpt_shape"])
    names = _name_keypoints(document, count)
    sheets, images = [], []
    lost: list[str] = []
    wrong: list[str] = []
    lines: list[tuple[Sheet, _Line, tuple[int, int]]] = []
    for text in sorted(file.parent.rglob("*.txt")):
        if "labels" not in text.relative_to(file.parent).parts[:-1] or text.name == "classes.txt":
            continue
        image = _find_image(text)
        measured = None if image is None else measure_picture(image)
        if image is None or measured is None:
            why = f"{text}: there is no image of it in the folder images"
            lost.append(why if image is None else f"{image} cannot be read: copy it again")
            continue
        sheet = Sheet(image.relative_to(file.parent).as_posix())
        for line in text.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                try:
                    found = _read_line(line, count, numbers, text)
                except FormatError as error:
                    wrong.append(str(error))
                else:
                    lines.append((sheet, found, measured[0]))
        sheets.append(sheet)
        images.append(image)
    left_out = [f"{len(lost)} pictures are left out, first: {lost[0]}"] if lost else []
    left_out += [f"{len(wrong)} lines are left out, first: {wrong[0]}"] if wrong else []
    if not lines:
        told = "; ".join(left_out) or "wanted text files in folders called labels"
        raise FormatError(f"{file}: no line of labels can be read: {told}")
    left_out += _put_animals(lines, names, document)
    return lay_out(
        sheets, images, file, skeleton=_make_skeleton(document, names), left_out=left_out
    )


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


def _read_line(line: str, count: int, numbers: int, text: Path) -> _Line:
    """Read the class and the keypoints of a line."""
    wanted = 5 + count * numbers
    try:
        values = np.array(line.split(), np.float64)
        # Predictions have their confidence at the end, and the number of a track behind it.
        if not wanted <= len(values) <= wanted + 2:
            raise ValueError
        kind = int(values[0])
    except (ValueError, OverflowError):
        raise FormatError(
            f"{text}: wanted a class, a box and {count} x {numbers} numbers in each line, came "
            f"{len(line.split())}"
        ) from None
    points = values[5:wanted].reshape(count, numbers)
    seen = points[:, 2] if numbers > 2 else np.where((points < 0).any(1), 0, 2)
    seen = np.where((points[:, :2] == 0).all(1), 0, seen)
    return _Line(kind, np.c_[points[:, :2], seen])


def _put_animals(
    lines: Sequence[tuple[Sheet, _Line, tuple[int, int]]],
    names: list[str],
    document: dict[str, Any],
) -> list[str]:
    """Put the animal of each line into its sheet, whose picture has this width and height."""
    flags, said = settle_visibility(np.stack([line.points[:, 2] for _, line, _ in lines]))
    places = {id(sheet): row for row, sheet in enumerate({id(s): s for s, _, _ in lines}.values())}
    kinds = name_by_kind(
        np.array([places[id(sheet)] for sheet, _, _ in lines]),
        [_name_class(document, line.kind) for _, line, _ in lines],
    )
    for (sheet, line, size), seen, kind in zip(lines, flags, kinds, strict=True):
        animal = Animal(track=kind)
        for name, (x, y), flag in zip(names, line.points[:, :2], seen, strict=True):
            if flag > 0:
                animal.points[name] = x * size[0], y * size[1]
                if flag == 1:
                    animal.hidden.add(name)
        sheet.animals.append(animal)
    return [said] if said else []


def _name_class(document: dict[str, Any], kind: int) -> str:
    named = document.get("names")
    listed = dict(enumerate(named)) if isinstance(named, list) else named
    return str(listed.get(kind, kind)) if isinstance(listed, dict) else str(kind)
