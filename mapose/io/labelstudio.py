"""Label Studio: its export as JSON, with keypoints in percent of the image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

from mapose.errors import FormatError
from mapose.io.sheets import Sheet, lay_out
from mapose.io.sources import find_images
from mapose.labels import Labels
from mapose.reading import load_json

# Uploaded files get eight digits of a hash before their name.
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")
_FOLDER = re.compile(r"^/data/upload/(\d+/)?")
_PICTURE = re.compile(r"\.(png|jpe?g|bmp|tiff?|webp)$", re.IGNORECASE)


def read_labelstudio_labels(path: Path) -> Labels:
    """Read keypoints of Label Studio.

    Parameters
    ----------
    path : Path
        Export as JSON. Images are looked for beside it and in ``images`` beside it, with and
        without what Label Studio puts before the names of uploaded files.

    Returns
    -------
    Labels
        Keypoints that lie within one region (``parentID``) are one animal, and so are those
        within none.

    Raises
    ------
    FormatError
        If it is no such export, or has no keypoints.
    """
    tasks = load_json(path)
    if not isinstance(tasks, list):
        raise FormatError(f"{path}: wanted a list of tasks, as Label Studio exports them as JSON")
    sheets, left_out = [], []
    for task in tasks:
        done = [a for a in task.get("annotations", []) if not a.get("was_cancelled")]
        sheet = Sheet(_find_name(task))
        if len(done) > 1:
            left_out.append(f"{sheet.name}: {len(done)} annotations; the last one is taken")
        for region in done[-1].get("result", []) if done else []:
            left_out.append(_put(sheet, region))
        sheets.append(sheet)
    names = [sheet.name for sheet in sheets]
    plain = [str(Path(name).with_name(_UPLOADED.sub("", Path(name).name))) for name in names]
    pairs = zip(*(find_images(n, path.parent) for n in (names, plain)), strict=True)
    for sheet, name in zip(sheets, plain, strict=True):
        sheet.name = name
    return lay_out(sheets, [a or b for a, b in pairs], path, left_out=left_out)


def _put(sheet: Sheet, region: dict[str, Any]) -> str:
    """Take in a keypoint; other regions only hold them together."""
    if region.get("type") != "keypointlabels":
        return ""
    try:
        wide, high = region["original_width"], region["original_height"]
        value = region["value"]
        place = value["x"] * wide / 100, value["y"] * high / 100
        label = str(value["keypointlabels"][0]).strip()
    except (LookupError, TypeError):
        return f"{sheet.name}: a point without a label or a place is left out"
    if region.get("image_rotation"):
        return (
            f"{sheet.name}: {label} is left out, as the picture was turned in Label Studio by "
            f"{region['image_rotation']} degrees"
        )
    sheet.size = wide, high
    return sheet.put(str(region.get("parentID", "")), label, place)


def _find_name(task: dict[str, Any]) -> str:
    """Find the path of a task's image: an upload, a local file by its query, an address."""
    for value in task.get("data", {}).values():
        if not isinstance(value, str):
            continue
        address = urlparse(value)
        local = parse_qs(address.query).get("d", [address.path])[0]
        if _PICTURE.search(local):
            return _FOLDER.sub("", unquote(local)).lstrip("/")
    return str(task.get("file_upload") or task.get("id", ""))
