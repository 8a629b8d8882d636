"""Labels as a DeepLabCut project: a folder that DeepLabCut opens, labels further and trains on."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mapose.errors import FormatError, SettingsError
from mapose.files import make_folder, write_atomically, write_yaml
from mapose.io.cells import write_table
from mapose.io.deeplabcut_writing import part_owners, store_table
from mapose.io.images import read_image
from mapose.labels import Labels
from mapose.locks import is_locked, lock_output
from mapose.skeleton import LANDMARKS

log = logging.getLogger(__name__)


def write_deeplabcut_project(
    labels: Labels, folder: Path, *, task: str = "mapose", scorer: str = "mapose"
) -> Path:
    """Write labels with their images as a DeepLabCut project.

    Occluded keypoints keep their places, absent ones have none. Videos stay where they are, with
    a link in the project where their names differ. Without PyTables the labels are written as csv
    only, and DeepLabCut's ``convertcsv2h5`` makes the h5 of them.

    Parameters
    ----------
    labels : Labels
        Every frame needs an image file.
    folder : Path
        New or empty; DeepLabCut's own are called ``<task>-<scorer>-<date>``.
    task, scorer : str
        Its names of the experiment and of who labels.

    Returns
    -------
    Path
        The ``config.yaml``.

    Raises
    ------
    SettingsError
        If the folder holds something already, or a name cannot be that of a file.
    FormatError
        If a frame has no image.

    References
    ----------
    Project layout: https://deeplabcut.github.io/DeepLabCut/docs/standardDeepLabCut_UserGuide.html
    """
    is_locked(folder)  # what a killed program has left is removed
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"{folder} is there already: name a new or empty folder")
    check_word(task)
    check_word(scorer)
    # All is written beside, so that there is the whole project or none.
    partial = folder.with_name(f"{folder.name}.partial")
    with lock_output(folder):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            make_folder(partial)
            _write_project(labels, partial, folder.resolve(), (task, scorer))
            if folder.exists():
                folder.rmdir()
            partial.replace(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / "config.yaml"


def _write_project(labels: Labels, folder: Path, final: Path, names: tuple[str, str]) -> None:
    """Write a project into a folder that becomes the final one."""
    scorer = names[1]
    with_h5 = find_spec("tables") is not None
    if not with_h5:
        log.warning('no PyTables, so csv only: pip install "mapose[dlc]" and export again for h5')
    videos = list(dict.fromkeys(labels.videos))
    sets = {}
    for video in videos:
        rows = np.flatnonzero(np.array(labels.videos) == video)
        place = make_folder(folder / "labeled-data" / video)
        part = labels.take(rows)
        images = _copy_images(part, place)
        table = _make_table(part, images, scorer)
        csv = place / f"CollectedData_{scorer}.csv"
        write_table([table], csv, index=True)
        if with_h5:
            with write_atomically(csv.with_suffix(".h5"), error=FormatError) as partial:
                store_table([table], partial)
        high, wide = read_image(place / images[0]).shape[:2]
        file = (labels.sources or {}).get(video)
        name = _place_video(video, file, make_folder(folder / "videos"))
        sets[str(final / "videos" / name)] = {"crop": f"0, {wide}, 0, {high}"}
    write_yaml(_make_config(labels, final, names, sets), folder / "config.yaml")


def check_word(name: str) -> None:
    """Refuse what cannot be a part of the name of a DeepLabCut project.

    Raises
    ------
    SettingsError
        If it is anything but letters and digits.
    """
    if not name.isalnum():
        raise SettingsError(f"wanted a name of letters and digits for DeepLabCut, came {name!r}")


def _copy_images(labels: Labels, place: Path) -> list[str]:
    """Copy images under the names that DeepLabCut gives, and list these."""
    digits = max(4, len(str(int(labels.frames.max(initial=0)))))
    names = []
    for image, frame in zip(labels.images, labels.frames.tolist(), strict=True):
        if image is None:
            raise FormatError(f"cannot write labels of {place.name}: a frame has no image")
        name = f"img{frame:0{digits}d}{image.suffix}" if frame >= 0 else image.name
        names.append(image.name if name in names else name)
        shutil.copyfile(image, place / names[-1])
    return names


def _make_table(labels: Labels, images: list[str], scorer: str) -> pd.DataFrame:
    """Lay out marks as DeepLabCut does: a row per image, columns by animal, part and axis."""
    parts, axes = list(labels.skeleton.keypoints), ["x", "y"]
    if _is_multi(labels):
        columns = pd.MultiIndex.from_product(
            [[scorer], list(labels.individuals), parts, axes],
            names=["scorer", "individuals", "bodyparts", "coords"],
        )
    else:
        columns = pd.MultiIndex.from_product(
            [[scorer], parts, axes], names=["scorer", "bodyparts", "coords"]
        )
    rows = pd.MultiIndex.from_tuples(
        [("labeled-data", v, image) for v, image in zip(labels.videos, images, strict=True)]
    )
    values = labels.points.reshape(len(labels), -1).astype(np.float64)
    table = pd.DataFrame(values, index=rows, columns=columns).sort_index()
    return part_owners(table, labels.skeleton) if _is_multi(labels) else table


def _is_multi(labels: Labels) -> bool:
    return len(labels.individuals) > 1


def _place_video(name: str, file: Path | None, folder: Path) -> Path:
    """Give the path to a video, from ``videos/``, with the stem that its folder of labels has."""
    if file is None:  # its labels count all the same
        return Path(f"{name}.mp4")
    if file.stem == name:
        return file.resolve()
    place = folder / f"{name}{file.suffix}"
    with suppress(OSError):
        place.symlink_to(file.resolve())
    if not place.exists():
        shutil.copyfile(file, place)
    return Path(place.name)


def _make_config(
    labels: Labels, folder: Path, names: tuple[str, str], sets: dict[str, Any]
) -> dict[str, Any]:
    """Lay out what DeepLabCut asks of a config; what is not said here has its own defaults."""
    task, scorer = names
    parts, multi = list(labels.skeleton.keypoints), _is_multi(labels)
    marks = list(labels.skeleton.landmarks)
    animals = {
        "individuals": [name for name in labels.individuals if not marks or name != LANDMARKS],
        "uniquebodyparts": marks,
        "multianimalbodyparts": [part for part in parts if part not in marks],
        "bodyparts": "MULTI!",
    }
    return {
        "Task": task,
        "scorer": scorer,
        "date": f"{date.today():%b%d}",
        "multianimalproject": multi,
        "identity": bool(multi and labels.identified),
        "project_path": str(folder),
        "engine": "pytorch",
        "video_sets": sets,
        **(animals if multi else {"bodyparts": parts}),
        "start": 0,
        "stop": 1,
        "numframes2pick": 20,
        "skeleton": [list(edge) for edge in labels.skeleton.edges],
        "skeleton_color": "black",
        "pcutoff": 0.6,
        "dotsize": 12,
        "alphavalue": 0.7,
        "colormap": "rainbow",
        "TrainingFraction": [0.95],
        "iteration": 0,
        "default_net_type": "resnet_50",
        "default_augmenter": "default",
        "default_track_method": "ellipse" if multi else None,
        "snapshotindex": -1,
        "detector_snapshotindex": -1,
        "batch_size": 8,
        "detector_batch_size": 1,
        "cropping": False,
        "x1": 0,
        "x2": 640,
        "y1": 277,
        "y2": 624,
        "corner2move2": [50, 50],
        "move2corner": True,
        "SuperAnimalConversionTables": None,
    }
