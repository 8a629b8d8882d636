"""Where in the pictures of a recording the animals are: a crop per video, shared by all work.

``crops.csv`` in the project's folder holds the columns video, left, top, width and height, in
pixels of the whole picture. Coordinates are never those in a crop.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from mapose.arrays import Image
from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.io import Video
from mapose.io.cutting import check_crop
from mapose.locks import lock_output
from mapose.project.project import Project
from mapose.reading import explain_damage

FILE = "crops.csv"
_COLUMNS = ["video", "left", "top", "width", "height"]

#: Left, top, width and height, px.
Crop = tuple[int, int, int, int]


def load_crops(project: Project) -> dict[str, Crop]:
    """Load the crops of a project's videos, by name; those without one are looked at as a whole.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    path = project.path / FILE
    if not path.is_file():
        return {}
    with explain_damage(path):
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
        if not set(_COLUMNS) <= set(rows.fieldnames or ()):
            raise FormatError(f"{path}: wanted the columns {', '.join(_COLUMNS)}")
        crops = {}
        for row in rows:
            left, top, width, height = (int(row[name]) for name in _COLUMNS[1:])
            if min(left, top) < 0 or min(width, height) < 1:
                raise FormatError(f"{path}: the crop of {row['video']} is none")
            crops[row["video"]] = (left, top, width, height)
    return crops


def cut_out(image: Image, crop: Crop | None) -> Image:
    """Cut a part out of an image, uint8 (H, W) or (H, W, 3); None is the whole."""
    if crop is None:
        return image
    left, top, width, height = crop
    return image[top : top + height, left : left + width]


def set_crop(project: Project, video: str, *, crop: Crop | None) -> None:
    """Say where in the pictures of a video the animals are, or with None that they may be all over.

    Training sees nothing else of its labelled frames, and analysis looks nowhere else. Labels and
    results stay in the whole picture.

    Parameters
    ----------
    project : Project
        Its file ``crops.csv`` is written.
    video : str
        Name of one of its videos.
    crop : (int, int, int, int), optional
        Left, top, width and height, px.

    Raises
    ------
    SettingsError
        If there is no such video, or the crop does not lie within its pictures.
    """
    file = project.find_video(video)
    if crop is not None:
        check_crop(crop, Video(file).size, video)
    path = project.path / FILE
    with lock_output(path, wait=True):
        crops = load_crops(project)
        crops.pop(video, None)
        if crop is not None:
            crops[video] = crop
        save_crops(project, crops)


def save_crops(project: Project, crops: Mapping[str, Crop]) -> None:
    """Write all crops of a project; whoever calls this holds its lock or that of the file."""
    with (
        write_atomically(project.path / FILE) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as out,
    ):
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows([name, *crops[name]] for name in sorted(crops))


def find_crop(project: Project, video: Path) -> Crop | None:
    """Find the crop of a video file, if it is one of the project's and has one."""
    name = project.find_own(video)
    return load_crops(project).get(name) if name else None
