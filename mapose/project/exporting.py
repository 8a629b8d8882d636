"""Labels of a project written for another tool, so that its own readers open them."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from pathlib import Path

from mapose.errors import SettingsError, suggest_name
from mapose.files import claim_output, name_work
from mapose.io.coco import write_coco_labels
from mapose.io.deeplabcut_project import check_word, write_deeplabcut_project
from mapose.io.sleap import write_slp_labels
from mapose.labels import Labels
from mapose.project.description import FILE
from mapose.project.project import Project

#: Formats of labels, and how names of their files end; DeepLabCut's is a folder.
ENDINGS = {"dlc": "", "slp": ".slp", "coco": ".json"}
_WRITERS = {"slp": write_slp_labels, "coco": write_coco_labels}


def export_labels(
    project: Project | str | os.PathLike[str],
    format: str,
    *,
    path: str | os.PathLike[str] | None = None,
    scorer: str = "mapose",
    force: bool = False,
) -> Path:
    """Write the labels of a project for another tool.

    Parameters
    ----------
    project : Project or path
    format : {"dlc", "slp", "coco"}
        A DeepLabCut project with images, a SLEAP file, or COCO keypoints.
    path : path, optional
        Where to; by default beside the project. A folder for ``dlc``, new or empty.
    scorer : str
        Who labelled, for DeepLabCut.
    force : bool
        Replace a file that something else has made.

    Returns
    -------
    Path
        The file; for DeepLabCut the project's ``config.yaml``.

    Raises
    ------
    FormatError
        If there are no labels.
    SettingsError
        If the format is not known or the place is taken.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    if format not in ENDINGS:
        raise SettingsError(f"labels as {format!r}: {suggest_name(format, ENDINGS)}")
    check_word(scorer)
    labels = _find_sources(project, project.load_labels())
    place = find_export_path(project, format, scorer=scorer) if path is None else Path(path)
    if format == "dlc":
        task = "".join(sign for sign in project.path.resolve().name if sign.isalnum())
        return write_deeplabcut_project(labels, place, task=task or "mapose", scorer=scorer)
    made = name_work("export", [project.path / FILE], format=format)
    inputs = [project.path / FILE, *(labels.sources or {}).values()]
    inputs += [image for image in labels.images if image is not None]
    with claim_output(place, inputs=inputs, suffixes=[ENDINGS[format]], made=made, force=force):
        _WRITERS[format](labels, place, made=made)
    return place


def find_export_path(project: Project, format: str, *, scorer: str = "mapose") -> Path:
    """Find where labels go by default: beside the project, DeepLabCut's by its own rule."""
    folder = project.path.resolve()
    if format == "dlc":
        return folder.with_name(f"{folder.name}-{scorer}-{date.today():%Y-%m-%d}")
    return folder.with_name(f"{folder.name}.labels{ENDINGS[format]}")


def _find_sources(project: Project, labels: Labels) -> Labels:
    """Name the videos that are at hand, and whether animals are the same in all frames."""
    files = {name: project.path / place for name, place in project.videos.items()}
    here = {n: f.resolve() for n, f in files.items() if n in labels.videos and f.is_file()}
    named = not isinstance(project.individuals, int)
    return replace(labels, sources=here, identified=labels.identified or named)
