"""LabelMe: a json per image, with points that have a label and a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mapose.errors import FormatError
from mapose.io.sheets import Sheet, lay_out
from mapose.io.sources import find_images
from mapose.labels import Labels
from mapose.reading import load_json

# Files of a folder that tell what kind it is: other json files may lie among them.
_LOOKED_AT = 5


def is_labelme(document: Any) -> bool:
    """Tell whether a json document is what LabelMe writes of one image."""
    return isinstance(document, dict) and {"shapes", "imagePath"} <= set(document)


def list_labelme_files(folder: Path) -> list[Path]:
    """List the json files of a folder; empty if none of the first few is LabelMe's."""
    found = sorted(file for file in folder.glob("*.json") if file.is_file())
    return found if any(map(_is_labelme_file, found[:_LOOKED_AT])) else []


def _is_labelme_file(file: Path) -> bool:
    try:
        return is_labelme(load_json(file))
    except FormatError:
        return False


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
    sheets, stems, left_out = [], [], []
    for file in files:
        try:
            document = load_json(file)
        except FormatError as error:
            if len(files) == 1:
                raise
            left_out.append(f"{file.name} is left out: {error}")
            continue
        if not is_labelme(document):
            left_out.append(f"{file.name} is not of LabelMe and is left out")
            continue
        size = document.get("imageWidth"), document.get("imageHeight")
        whole = all(isinstance(n, int) and n > 0 for n in size)
        sheet = Sheet(str(document["imagePath"]), size if whole else None)
        for shape in document["shapes"]:
            if shape.get("shape_type") != "point":
                continue
            try:
                x, y = map(float, shape["points"][0])
                label = str(shape["label"]).strip()
            except (LookupError, TypeError, ValueError):
                left_out.append(f"{file.name}: a point without a name or a place is left out")
                continue
            group = shape.get("group_id")
            left_out.append(sheet.put("" if group is None else str(group), label, (x, y)))
        sheets.append(sheet)
        stems.append(file.stem)
    if not sheets:
        raise FormatError(f"{path}: no json of LabelMe")
    images = find_images([sheet.name for sheet in sheets], folder)
    # Pictures that were renamed are called like the json that lies beside them.
    renamed = find_images(stems, folder)
    images = [image or other for image, other in zip(images, renamed, strict=True)]
    return lay_out(sheets, images, path, left_out=left_out)
