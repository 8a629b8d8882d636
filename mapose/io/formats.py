"""One door for all formats: what a file is, is found by looking into it."""

from __future__ import annotations

import importlib
import logging
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Image
from mapose.errors import FormatError, suggest_name
from mapose.files import RESULT, is_result
from mapose.io.conventions import are_shares, find_padding, settle_landmarks
from mapose.io.losses import find_losses
from mapose.labels import Labels, drop_twins, join_double_frames
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.reading import explain_damage, load_json

log = logging.getLogger(__name__)

# Function of mapose.io for each format, loaded on first use: each needs its own libraries.
_POSES: dict[str, str] = {
    "mapose": "store.load",
    "dlc": "deeplabcut.read_deeplabcut_poses",
    "slp": "sleap.read_slp_poses",
    "sleap-h5": "sleap_analysis.read_analysis_poses",
    "sleap-3d": "sleap_analysis.read_points3d",
    "movement": "movement.read_movement",
    "openpose": "openpose.read_openpose_poses",
    "anipose": "anipose.read_anipose_poses",
    "trc": "trc.read_trc_poses",
    "nwb": "nwb_reading.read_nwb_poses",
    "csv": "table.read_table_poses",
}
_LABELS: dict[str, str] = {
    "dlc": "deeplabcut.read_deeplabcut_labels",
    "slp": "sleap.read_slp_labels",
    "sleap-h5": "sleap_analysis.read_analysis_labels",
    "deepposekit": "deepposekit.read_deepposekit_labels",
    "coco": "coco.read_coco_labels",
    "cvat": "cvat.read_cvat_labels",
    "labelme": "labelme.read_labelme_labels",
    "labelstudio": "labelstudio.read_labelstudio_labels",
    "ultralytics": "ultralytics.read_yolo_labels",
    "csv": "table.read_table_labels",
}
_SUPPORT: dict[str, str] = {
    "mapose": "store.load_support",
    "anipose": "anipose.read_anipose_support",
}
_NAMED_VIDEOS: dict[str, str] = {
    "slp": "sleap.find_slp_video",
    "sleap-h5": "sleap_analysis.find_analysis_video",
}
_WRITERS: dict[str, str] = {
    "dlc-h5": "deeplabcut_writing.write_deeplabcut_h5",
    "dlc-csv": "deeplabcut_writing.write_deeplabcut_csv",
    "csv": "table.write_csv",
    "movement": "movement.write_movement",
    "slp": "sleap.write_slp",
    "trc": "trc.write_trc",
    "nwb": "nwb.write_nwb",
    "coco": "coco.write_coco",
    "mapose": "store.save",
}
#: How names of files end, by format.
ENDINGS = {
    "dlc-h5": ".h5",
    "dlc-csv": ".csv",
    "csv": ".csv",
    "movement": ".nc",
    "slp": ".slp",
    "trc": ".trc",
    "nwb": ".nwb",
    "coco": ".json",
    "mapose": RESULT,
}
# What a writer takes besides the poses.
_EXTRAS = {
    "dlc-h5": ("made",),
    "slp": ("video", "support", "made"),
    "coco": ("video", "support", "made"),
    "csv": ("support",),
    "movement": ("support", "made"),
    "nwb": ("support", "cameras", "video", "made"),
    "mapose": ("support", "cameras", "provenance"),
}
_BY_SUFFIX = {RESULT: "mapose", **{ENDINGS[f]: f for f in ("slp", "movement", "csv", "trc", "nwb")}}
# The names under which poses are exported are understood for reading as well.
_ALIASES = {"dlc-h5": "dlc", "dlc-csv": "dlc"}


def read(path: str | Path, format: str | None = None) -> Poses:
    """Read the poses of one video, whichever tool wrote them.

    Parameters
    ----------
    path : str or Path
        Our own ``.mapose.h5``; DeepLabCut csv or h5; SLEAP ``.slp`` or ``analysis.h5``, and
        ``points3d.h5`` of sleap-anipose; movement netCDF; a folder of OpenPose json, one per
        frame; Anipose's 3D csv; ``.trc``; NWB with
        ndx-pose; a table with frame numbers.
    format : str, optional
        ``mapose``, ``dlc``, ``slp``, ``sleap-h5``, ``movement``, ``openpose``, ``anipose``,
        ``trc``, ``nwb`` or ``csv``; by default found by looking into the file.

    Returns
    -------
    Poses

    Raises
    ------
    FormatError
        If the file is missing, unknown or damaged.
    """
    from mapose.io.openpose import is_openpose_folder

    path = check_there(path)
    with explain_damage(path):
        if path.is_dir() and not is_openpose_folder(path):
            raise FormatError(f"{path} is a folder: name the file with the poses of one video")
        chosen = format or detect_format(path)
        poses: Poses = _pick(_ALIASES.get(chosen, chosen), _POSES, path)(path)
        if chosen == "mapose":
            return poses
        if len(poses) and poses.frames[0] < 0:
            raise FormatError(f"{path}: wanted frame numbers from 0, came {poses.frames[0]}")
        if poses.dimensions == 2 and poses.unit == "px" and are_shares(poses.points):
            log.warning("%s: %s", path.name, _SHARES)
        seen = np.asarray(np.isfinite(poses.points).all(-1), bool)
        skeleton, individuals = settle_landmarks(seen, poses.skeleton, poses.individuals)
        return replace(poses, skeleton=skeleton, individuals=individuals)


def read_support(path: str | Path, format: str | None = None) -> dict[str, Any]:
    """Read what the 3D keypoints of a file rest on, where it says so.

    Parameters
    ----------
    path : str or Path
        What `read` was given.
    format : str, optional
        As for `read`.

    Returns
    -------
    dict of str to array, (F, I, K)
        ``error`` in px, ``n_views`` and ``filled``, as `load_support` gives them, as far as they
        are there.
    """
    path = check_there(path)
    with explain_damage(path):
        chosen = format or detect_format(path)
        return dict(_pick(chosen, _SUPPORT, path)(path)) if chosen in _SUPPORT else {}


def find_named_video(path: Path, format: str) -> Path | None:
    """Find the recording that a file of poses names; None if it names none, or it is not there."""
    if format not in _NAMED_VIDEOS:
        return None
    with explain_damage(path):
        found: Path | None = _pick(format, _NAMED_VIDEOS, path)(path)
    return found


_SHARES = (
    "all places lie between 0 and 1, so they are no pixels but shares of the picture; multiply x "
    "by its width and y by its height"
)
#: Formats in which a frame without any mark says that there is no animal.
_TELL_EMPTY = ("slp",)


def read_labels(
    path: str | Path, *, format: str | None = None, keep_empty: bool | None = None
) -> Labels:
    """Read labelled frames that another tool made.

    Parameters
    ----------
    path : str or Path
        A DeepLabCut project, labeled-data folder or CollectedData file; SLEAP ``.slp``,
        ``.pkg.slp`` or ``analysis.h5``; DeepPoseKit h5; COCO keypoints json, or a folder with its
        parts ``train``, ``valid`` and ``test``; CVAT's xml; json of Label Studio; a folder of
        LabelMe or of YOLO pose; a csv, or a folder with one csv per image.
    format : str, optional
        ``dlc``, ``slp``, ``sleap-h5``, ``deepposekit``, ``coco``, ``cvat``, ``labelme``,
        ``labelstudio``, ``ultralytics`` or ``csv``; by default found by looking into the file.
        Also ``leap``, ``alphatracker``, ``jabs`` and ``nwb``, as far as sleap-io reads them.
    keep_empty : bool, optional
        Keep frames without any mark, as frames in which there is no animal. By default only
        those of SLEAP, where a person marks them so: most tools list frames that nobody has
        labelled yet among the others.

    Returns
    -------
    Labels
        Images that do not exist are None; a video that was found is in `sources`. Frames that
        are listed twice are one, and what cannot be used is told in `left_out`.

    Raises
    ------
    FormatError
        If the labels are missing, unknown or damaged, or no frame has a mark.
    """
    from mapose.io.sleap import THROUGH_SLEAP, read_slp_labels

    path = check_there(path)
    with explain_damage(path):
        chosen = format or detect_format(path)
        if chosen in THROUGH_SLEAP:
            labels = read_slp_labels(path, format=chosen)
        else:
            labels = _pick(_ALIASES.get(chosen, chosen), _LABELS, path)(path)
        labels = _settle_labels(join_double_frames(labels), path)
    marked = np.isfinite(labels.points).any((1, 2, 3))
    if not marked.any():
        raise FormatError(f"{path}: none of its {len(labels)} frames has a marked keypoint")
    if not marked.all() and not (chosen in _TELL_EMPTY if keep_empty is None else keep_empty):
        sentence = (
            f"{(~marked).sum()} frames without any mark are left out (--keep-empty takes them as "
            "frames without an animal)"
        )
        told = (*labels.left_out, sentence) if keep_empty is None else labels.left_out
        labels = replace(labels.take(np.flatnonzero(marked)), left_out=told)
    for sentence in labels.left_out:
        log.warning("%s: %s", path.name, sentence)
    return labels


def _settle_labels(labels: Labels, path: Path) -> Labels:
    """Bring labels of another tool to our conventions: what is no point, what is no animal's."""
    seen = np.asarray(np.isfinite(labels.points).all(-1), bool)
    skeleton, individuals = settle_landmarks(seen, labels.skeleton, labels.individuals)
    labels = replace(labels, skeleton=skeleton, individuals=tuple(individuals or ()))
    zeros = (labels.points == 0).all(-1)
    zeros[..., skeleton.landmark_index] = False  # the corner of the picture may be one
    padded = find_padding(labels.points) & ~zeros
    for place, gone in (("-1, -1", padded), ("0, 0", zeros)):
        if gone.any():
            sentence = f"{gone.sum()} points at {place} stand for none and are left out"
            points = np.where(gone[..., None], np.nan, labels.points)
            labels = replace(labels, points=points, left_out=(*labels.left_out, sentence))
    if are_shares(labels.points):
        raise FormatError(f"{path}: {_SHARES}")
    return drop_twins(labels)


def read_embedded_images(path: str | Path, labels: Labels) -> Iterator[tuple[int, Image]]:
    """Hand out the images that lie inside a label file.

    Parameters
    ----------
    path : str or Path
        What `read_labels` was given.
    labels : Labels
        What it returned, or some of its frames.

    Yields
    ------
    row : int
        Row of `labels`; rows whose image is not in the file do not come.
    image : uint8, (H, W) or (H, W, RGB)
    """
    path = check_there(path)
    if path.is_dir():
        return
    with explain_damage(path):
        chosen = detect_format(path)
    if chosen == "slp":
        from mapose.io.sleap import read_slp_images

        images = read_slp_images(path, labels)
    elif chosen == "deepposekit":
        from mapose.io.deepposekit import read_deepposekit_images

        images = read_deepposekit_images(path, labels)
    else:
        return
    while True:
        with explain_damage(path):  # not while the image is handed out: faults there are others'
            found = next(images, None)
        if found is None:
            return
        yield found


def write(
    poses: Poses | Parts,
    path: str | Path,
    format: str | None = None,
    *,
    video: str | Path | None = None,
    support: Mapping[str, Any] | None = None,
    cameras: str | None = None,
    made: str = "",
) -> None:
    """Write poses for another tool.

    Parameters
    ----------
    poses : Poses or Parts
        Of parts, few are in memory at a time.
    path : str or Path
        Replaced when all is written.
    format : str, optional
        ``dlc-h5``, ``dlc-csv``, ``slp``, ``coco``, ``movement``, ``csv``, ``trc``, ``nwb`` or
        ``mapose``; by default by the suffix (``.slp``, ``.nc``, ``.csv``, ``.trc``, ``.nwb``,
        ``.mapose.h5``). A csv of 3D poses has the columns of Anipose. What of the poses it has no
        place for is told in a warning.
    video : str or Path, optional
        The video that the poses belong to, for formats that name it (``slp``, ``coco``).
    support : dict of str to array, (F, I, K), optional
        What 3D keypoints rest on, as `read_support` gives it, for formats that hold it (``csv``,
        ``movement``, ``nwb``, ``mapose``), and which were ``edited`` (those, ``slp``, ``coco``).
    cameras : str, optional
        Calibration as TOML text, for formats that hold it (``nwb``, ``mapose``).
    made : str
        What makes it, of `mapose.files.name_work`, for formats that hold it (all but csv, trc).

    Raises
    ------
    FormatError
        If the format is unknown or cannot hold these poses.
    MissingExtraError
        If a library is missing.
    """
    path = Path(path)
    if format is None:
        format = next((f for end, f in _BY_SUFFIX.items() if path.name.lower().endswith(end)), None)
    if format is None:
        raise FormatError(
            f"{path.name}: the suffix does not tell the format; wanted format= one of "
            + ", ".join(_WRITERS)
        )
    writer = _pick(format, _WRITERS, path)
    if not path.name.lower().endswith(ENDINGS[format]) or is_result(path) != (format == "mapose"):
        raise FormatError(
            f"cannot write {path.name} as {format}: wanted a name that ends in {ENDINGS[format]}"
        )
    parts = Parts.of(poses, support=support)
    extras: dict[str, Any] = {"video": video, "support": None, "cameras": cameras, "made": made}
    extras["provenance"] = {"made": made} if made else None
    writer(parts, path, **{name: extras[name] for name in _EXTRAS.get(format, ())})
    lost = find_losses(parts, format, cameras=cameras)
    if lost:
        log.warning("%s: %s has no place for %s", path.name, format, ", ".join(lost.values()))


def detect_format(path: Path) -> str:
    """Find out by content what wrote a file or folder.

    Returns
    -------
    str
        A name that `read` or `read_labels` takes.

    Raises
    ------
    FormatError
        If nothing fits.
    """
    import h5py

    from mapose.io.cvat import is_cvat
    from mapose.io.ultralytics import find_yolo_file

    if path.is_dir():
        return _detect_folder(path)
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        from mapose.io.anipose import is_anipose_csv
        from mapose.io.deeplabcut import is_deeplabcut_csv

        if is_deeplabcut_csv(path):
            return "dlc"
        return "anipose" if is_anipose_csv(path) else "csv"
    if path.suffix.lower() == ".trc":
        return "trc"
    if path.suffix.lower() in (".yaml", ".yml"):
        return "ultralytics" if find_yolo_file(path) else "dlc"
    if path.suffix.lower() == ".json":
        return _detect_json(path)
    if path.suffix.lower() == ".xml" and is_cvat(path):
        return "cvat"
    if path.suffix.lower() == ".mat":
        return "leap"
    if h5py.is_hdf5(path):
        return _detect_hdf5(path)
    if path.suffix.lower() in (".pickle", ".pkl"):
        raise FormatError(
            f"{path}: pickles are never opened, as they can run anything. DeepLabCut's tracks are "
            "in the .h5 or .csv beside it (_el, _sk, _bx); of detections (_full, _assemblies) "
            "make them there, or analyze the video with mapose"
        )
    with path.open("rb") as file:
        if file.read(3) == b"CDF":  # netCDF 3
            return "movement"
    if zipfile.is_zipfile(path):
        raise FormatError(f"{path} is a zip: unpack it, and name the folder or the file in it")
    raise FormatError(f"{path}: not a file of poses or labels that mapose knows")


def _detect_folder(path: Path) -> str:
    from mapose.io.coco import list_coco_files
    from mapose.io.deeplabcut import is_deeplabcut_folder
    from mapose.io.labelme import list_labelme_files
    from mapose.io.openpose import is_openpose_folder
    from mapose.io.ultralytics import find_yolo_file

    if is_deeplabcut_folder(path):
        return "dlc"
    if is_openpose_folder(path):
        return "openpose"
    if list_coco_files(path):
        return "coco"
    if advice := _advise_on_project(path):
        raise FormatError(f"{path}: {advice}")
    if find_yolo_file(path):
        return "ultralytics"
    if list_labelme_files(path):
        return "labelme"
    if next(path.rglob("*.csv"), None):
        return "csv"
    inside = sorted(
        f
        for f in path.iterdir()
        if f.suffix.lower() in (".slp", ".json", ".h5", ".xml") and f.is_file()
    )
    hint = f"; name the file, such as {inside[0].name}" if inside else ""
    raise FormatError(f"{path}: no DeepLabCut project and no csv in this folder{hint}")


def _advise_on_project(path: Path) -> str:
    """Say what to take of other tools' projects that hold no labels; empty for anything else."""
    config = path / "config.yaml"
    if config.is_file() and "config_file_" in config.read_text(encoding="utf-8", errors="replace"):
        return (
            "a 3D project of DeepLabCut holds no labels: import the 2D projects that its "
            "config.yaml names. Its cameras are pickles, which are never opened: calibrate again "
            "from its calibration_images; 3D results (_DLC_3D.h5, .csv) are read by name"
        )
    guesses = next((f for f in path.rglob("machinelabels*") if f.suffix in (".csv", ".h5")), None)
    if guesses is not None:
        return (
            "DeepLabCut's predictions that wait to be refined (machinelabels), and no labels of "
            f"a person (CollectedData); name a file, such as {guesses.name}, to take them anyway"
        )
    if (path / "config.toml").is_file() and next(path.glob("**/pose-2d*"), None):
        return (
            "a project of Anipose holds no labels: name the 2D poses of each camera, mapose "
            "triangulate A=SESSION/pose-2d/X-camA.h5 B=... --calibration "
            "SESSION/calibration/calibration.toml"
        )
    return ""


def _detect_json(path: Path) -> str:
    from mapose.io.coco import is_coco
    from mapose.io.labelme import is_labelme

    document = load_json(path)
    if is_coco(document):
        return "coco"
    if is_labelme(document):
        return "labelme"
    if isinstance(document, dict) and isinstance(document.get("people"), list):
        return "openpose"
    if isinstance(document, list) and document and isinstance(document[0], dict):
        if "annotations" in document[0] and "filename" in document[0]:
            return "alphatracker"
        if "data" in document[0]:
            return "labelstudio"
    raise FormatError(f"{path}: neither COCO nor another json of keypoints that mapose knows")


def _detect_hdf5(path: Path) -> str:
    from mapose.io.hdf5 import open_hdf5
    from mapose.io.pytables import is_pytables
    from mapose.io.sleap_analysis import is_points3d

    with open_hdf5(path) as file:
        keys = set(file)
        if is_pytables(file):
            return "dlc"
        if keys == {"tracks"} and is_points3d(file):
            return "sleap-3d"
        ours = "format" in file.attrs
    if {"frames", "instances", "metadata"} <= keys:
        return "slp"
    if {"tracks", "node_names"} <= keys:
        return "sleap-h5"
    if {"processing", "identifier"} <= keys:
        return "nwb"
    if {"annotations", "images"} <= keys:
        return "deepposekit"
    if not ours and "position" not in keys:
        listed = ", ".join(sorted(keys)[:5]) or "nothing"
        raise FormatError(f"{path}: an HDF5 file without poses or labels; it holds {listed}")
    return "mapose" if ours else "movement"


def check_there(path: str | Path) -> Path:
    """Give a path that is there.

    Raises
    ------
    FormatError
        If it is not; the message names what lies beside it.
    """
    path = Path(path)
    if not path.exists():
        if not path.parent.is_dir():
            raise FormatError(f"there is no {path}, nor is there its folder")
        beside = sorted(p.name for p in path.parent.iterdir())
        raise FormatError(f"there is no {path}: {suggest_name(path.name, beside)}")
    return path


def _pick(format: str, known: dict[str, str], path: Path) -> Any:
    """Load the function for a format."""
    if format not in known:
        raise FormatError(
            f"{path.name}: format {format!r} cannot be used here; {suggest_name(format, known)}"
        )
    module, name = known[format].split(".")
    return getattr(importlib.import_module(f"mapose.io.{module}"), name)
