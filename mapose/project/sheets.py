"""Sheets of labelled frames: all labels of a project at a glance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mapose import plots
from mapose.arrays import Image, Ints, Singles
from mapose.files import (
    check_output,
    make_folder,
    make_mark,
    name_file,
    name_work,
    write_atomically,
)
from mapose.io import read_image
from mapose.labels import Labels
from mapose.project.project import Project

#: Frames on a sheet: what one sees at a glance.
EACH = 20


def save_sheets(
    project: Project | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Path]:
    """Draw all labelled frames of a project on sheets, by video, each around its animals.

    Parameters
    ----------
    project : Project or path
        With labels.
    folder : path, optional
        ``sheets`` in the project by default.
    force : bool
        Replace files that are no sheets of this project.
    on_progress : function of (int, int), optional
        Called with frames done and frames in all.

    Yields
    ------
    Path
        Each sheet, a PNG, as it is written: ``VIDEO-1.png``, ``VIDEO-2.png``, ...

    Raises
    ------
    FormatError
        If there are no labels, or an image is damaged.
    SettingsError
        If a file may not be replaced; nothing is drawn then.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    labels = project.load_labels()
    target = make_folder(project.path / "sheets" if folder is None else folder)
    made = name_work("plot", [project.path])
    sheets = {target / name: rows for name, rows in _list_sheets(labels)}
    for place in sheets:
        check_output(place, made=made, force=force)
    done = 0
    for place, rows in sheets.items():
        _save_picture(plots.draw_sheet(_read_tiles(labels, rows), labels.skeleton), place, made)
        done += len(rows)
        on_progress(done, len(labels))
        yield place


def _list_sheets(labels: Labels) -> Iterator[tuple[str, Ints]]:
    """List the names of the sheets and the frames on each."""
    videos = np.array(labels.videos)
    for video in dict.fromkeys(labels.videos):
        rows = np.flatnonzero(videos == video)
        rows = rows[np.argsort(labels.frames[rows], kind="stable")]
        for number, start in enumerate(range(0, len(rows), EACH), 1):
            yield f"{name_file(video)}-{number}.png", rows[start : start + EACH]


def _read_tiles(labels: Labels, rows: Ints) -> Iterator[tuple[Image, Singles, str]]:
    for row in rows:
        image, frame = labels.images[row], int(labels.frames[row])
        if image is not None:
            text = image.stem if frame < 0 else f"{labels.videos[row]} {frame}"
            yield read_image(image), labels.points[row], text


def _save_picture(picture: Image, place: Path, made: str) -> None:
    import PIL.Image
    import PIL.PngImagePlugin

    note = PIL.PngImagePlugin.PngInfo()
    note.add_text("Comment", make_mark(made))
    with write_atomically(place) as temporary:
        PIL.Image.fromarray(picture).save(temporary, format="png", pnginfo=note)
