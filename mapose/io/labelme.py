"""LabelMe: a json per image, with points that have a label and a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mapose.errors import FormatError
from mapose.io.sheets import Sheet, lay_out
from mapose.io.sources import find_images
from mapose.labels import Labels
from mapose.reading import load_json


def is_labelme(document: Any) -> bool:
    """Tell whether a json document is what LabelMe writes of one image."""
    return isinstance(document, dict) and {"shapes", "imagePath"} <= set(document)


def list_labelme_files(folder: Path) -> list[Path]:
    """List the files of LabelMe in a folder; empty if the first json is none of it."""
    found = sorted(file for file in folder.glob("*.json") if file.is_file())
    return found if found and is_labelme(load_json(found[0])) else []


def read_labelme_labels(path: Path) -> Labels:
    """Read points of LabelMe.

    Parameters
    ----------
    path : Path
        A folder with a json per image, or one of them. Images are looked for beside them.

    Returns
    -------
    Labels
        The label of a point is its keypoint; points of one ``group_id`` are one animal, and so
        are those without.

    Raises
    ------
    FormatError
        If no image has points.
    """
    files = list_labelme_files(path) if path.is_dir() else [path]
    folder = path if path.is_dir() else path.parent
    sheets, left_out = [], []
    for file in files:
        document = load_json(file)
        if not is_labelme(document):
            left_out.append(f"{file.name} is not of LabelMe and is left out")
            continue
        size = document.get("imageWidth"), document.get("imageHeight")
        whole = all(isinstance(n, int) and n > 0 for n in size)
        sheet = Sheet(str(document["imagePath"]), size if whole else None)
        for shape in document["shapes"]:
            if shape.get("shape_type") != "point":
                continue
            group = shape.get("group_id")
            x, y = shape["points"][0]
            left_out.append(
                sheet.put("" if group is None else str(group), str(shape["label"]), (x, y))
            )
        sheets.append(sheet)
    if not sheets:
        raise FormatError(f"{path}: no json of LabelMe")
    images = find_images([sheet.name for sheet in sheets], folder)
    return lay_out(sheets, images, path, left_out=left_out)
