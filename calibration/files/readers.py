"""Cameras from the files of other tools; what a file is, is found by looking into it."""

from __future__ import annotations

import logging
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.damage import explain_damage, parse_toml, read_text
from calibration.files.filestorage import read_opencv
from calibration.files.kalibr import KALIBR, read_kalibr
from calibration.files.keys import name_fields, read_flag
from calibration.files.matlab import read_dannce
from calibration.files.parameters import Parameters, make_cameras
from calibration.files.sizes import Sizes, list_parameter_files, round_rotation
from calibration.files.stereo import is_stereo, read_stereo
from calibration.group import UNKNOWN_UNIT, CameraGroup

Tables = dict[str, Any]
Found = tuple[list[Camera], str]

log = logging.getLogger(__name__)

_QUALISYS_PARTS = ("fov_video", "transform", "intrinsic")
# A pixel of Qualisys has 64 parts; focal lengths and positions on the sensor are counted in them.
_SUBPIXELS = 64
# Numbers of lines after which video of Qualisys cameras is named, such as 1080p.
_LINES = (480, 540, 720, 1080, 1440, 2160)
_MATLAB, _STORAGE = (".mat",), (".yml", ".yaml", ".xml", ".json")


def read_cameras(
    path: str | os.PathLike[str],
    format: str | None = None,
    *,
    sizes: Mapping[str, tuple[int, int]] | tuple[int, int] | None = None,
    unit: str | None = None,
) -> CameraGroup:
    """Read cameras that another tool, or this one, calibrated.

    Cameras carry the names that the file gives them; their place in the file says nothing.

    Parameters
    ----------
    path : path
        TOML of this package, Anipose, Pose2Sim or caliscope; ``.qca.txt`` of Qualisys; ``.mat``
        of DANNCE or Label3D (``*_dannce.mat``), of Bouguet's toolbox or MATLAB's stereoParameters
        as a structure; ``camchain.yaml`` of Kalibr; yaml, xml or json of OpenCV's FileStorage,
        as also written by ROS and EasyMocap. A folder with one ``.mat`` or FileStorage file per
        camera is a group as well: cameras are then called by their files.
    format : str, optional
        ``anipose``, ``caliscope``, ``pose2sim``, ``qualisys``, ``dannce``, ``matlab``,
        ``kalibr`` or ``opencv``; by default found by looking into the file.
    sizes : (int, int) or dict of str to (int, int), optional
        Width and height of the images, of all cameras or by name, for files that do not say.
        Without it the principal point is taken for the middle of the image, with a warning;
        projection does not depend on the size.
    unit : str, optional
        Unit of the world. By default metres for Pose2Sim, caliscope and Kalibr, mm for Qualisys,
        for others what the file says, or ``"unknown"``.

    Returns
    -------
    CameraGroup
        In zero-based pixels, the centre of the top-left one at (0, 0).

    Raises
    ------
    CalibrationError
        If the file is missing, unknown, damaged or incomplete.

    Notes
    -----
    MATLAB counts pixels from one and multiplies row vectors from the left: principal points of
    DANNCE are moved by one pixel, matrices transposed, and the skew kept.

    Pose2Sim divides the distortion coefficients of Qualisys by 64, as if they were lengths on the
    sensor; they have no unit. Here they are taken as they are, so that a ``.qca.txt`` and the
    TOML that Pose2Sim made of it agree in everything else, but not in the distortion.

    Examples
    --------
    >>> from calibration.synthetic import make_ring
    >>> path = getfixture("tmp_path") / "calibration.toml"
    >>> make_ring(3).save(path)
    >>> read_cameras(path).names
    ('cam0', 'cam1', 'cam2')
    """
    path = Path(path)
    if not path.exists():
        raise CalibrationError(_explain_missing(path))
    with explain_damage(path):
        return _read(path, format, Sizes(sizes), unit)


def _read(path: Path, format: str | None, known: Sizes, unit: str | None) -> CameraGroup:
    tables = _load_toml(path) if path.suffix.lower() == ".toml" and path.is_file() else {}
    found = format or _detect_format(path, tables)
    if found not in (known_formats := sorted({*_READERS, *_TOML_READERS})):
        raise CalibrationError(
            f"no format {found!r} of camera files; known: {', '.join(known_formats)}"
        )
    if found in _TOML_READERS:
        cameras, of_file = _TOML_READERS[found](path, known, tables or _load_toml(path))
    else:
        cameras, of_file = _READERS[found](path, known)
    if known.guessed:
        log.warning(
            "%s does not say how large the images are; taken with the principal point in the "
            "middle (sizes= sets them): %s",
            path.name, ", ".join(known.guessed),
        )  # fmt: skip
    return CameraGroup(cameras, unit or of_file)


def _explain_missing(path: Path) -> str:
    beside = sorted(p.name for p in path.parent.glob(f"*{path.suffix}"))[:10]
    there = f"; there are {', '.join(beside)}" if beside else ""
    return f"no calibration file {path.name} in {path.parent.resolve()}{there}"


def _detect_format(path: Path, tables: Tables) -> str:
    if path.is_dir():
        return "dannce" if list_parameter_files(path, _MATLAB) else "opencv"
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _detect_toml(tables)
    if suffix == ".mat":
        return "matlab" if is_stereo(path) else "dannce"
    if suffix in (".pickle", ".pkl"):
        raise CalibrationError(
            f"{path.name}: pickles are never opened, as they can run anything; calibrate again "
            "from the images or videos of the board, such as DeepLabCut's calibration_images"
        )
    with path.open("rb") as file:
        start = file.read(2000).decode("utf-8", errors="replace")
    if re.search(r"<calibration\b|<QTM_Parameters", start):
        return "qualisys"
    if suffix in (".yml", ".yaml") and KALIBR.search(start):
        return "kalibr"
    if suffix in _STORAGE:
        return "opencv"
    raise CalibrationError(
        f"{path.name} is not a calibration that is known here: wanted .toml (Anipose, Pose2Sim, "
        "caliscope), .qca.txt (Qualisys), .mat (DANNCE) or .yml, .xml (OpenCV)"
    )


def _load_toml(path: Path) -> Tables:
    return parse_toml(read_text(path), path)


def _detect_toml(tables: Tables) -> str:
    cameras = [t for t in tables.values() if isinstance(t, dict) and "matrix" in t]
    if isinstance(tables.get("cameras"), dict) or any("port" in t for t in cameras):
        return "caliscope"
    # Pose2Sim names the lens in every section, and writes sizes as 1088.0.
    if cameras and all(t.get("fisheye") is False and _has_float_size(t) for t in cameras):
        return "pose2sim"
    return "anipose"


def _has_float_size(table: dict[str, Any]) -> bool:
    size = table.get("size")
    return isinstance(size, list) and any(isinstance(n, float) for n in size)


def _read_anipose(path: Path, sizes: Sizes, tables: Tables) -> Found:
    group = CameraGroup.from_tables(tables, sizes=sizes, source=str(path))
    return list(group), group.unit


def _read_pose2sim(path: Path, sizes: Sizes, tables: Tables) -> Found:
    group = CameraGroup.from_tables(tables, sizes=sizes, source=str(path))
    return list(group), "m" if group.unit == UNKNOWN_UNIT else group.unit


def _read_caliscope(path: Path, sizes: Sizes, tables: Tables) -> Found:
    """Read camera_array.toml or, of older versions, config.toml."""
    listed = tables.get("cameras", tables)
    found, unposed, numbered = [], [], False
    for section, table in listed.items():
        if not isinstance(table, dict) or "matrix" not in table or table.get("ignore", False):
            continue
        number = table.get("cam_id", table.get("port"))
        numbered |= number is not None
        each = Parameters(
            name=str(table.get("name", section if number is None else f"cam_{number}")).strip(),
            matrix=table["matrix"],
            distortion=name_fields(table).get("distortion"),
            rotation=table.get("rotation"),
            translation=table.get("translation"),
            size=table.get("size") or None,
            fisheye=read_flag(table.get("fisheye", False)),
        )
        if each.missing:
            unposed.append(each.name)
        else:
            found.append(each)
    if unposed:
        log.warning("%s: left out, as they have no pose: %s", path.name, ", ".join(unposed))
    if not found:
        raise CalibrationError(f"{path} holds no camera with a pose; finish it in caliscope")
    # Others nest their cameras as well, but it is caliscope that numbers them, in metres.
    return make_cameras(found, sizes, path), "m" if numbered else UNKNOWN_UNIT


def _read_qualisys(path: Path, sizes: Sizes) -> Found:
    """Read the XML of Qualisys Track Manager; cameras are called by their serial numbers."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise CalibrationError(f"{path} is not a calibration of Qualisys: {error}") from error
    cameras: list[Camera] = []
    for node in root.iter("camera"):
        parts = {child.tag: dict(child.attrib) for child in node}
        if node.get("active", "1") != "1" or "transform" not in parts:
            continue  # connected but not calibrated
        name = node.get("serial", f"camera {len(cameras) + 1}")
        absent = [part for part in _QUALISYS_PARTS if part not in parts]
        if absent:
            raise CalibrationError(f"{path}, camera {name}: missing {', '.join(absent)}")
        if node.get("viewrotation", "0") != "0":
            log.warning("%s: QTM shows camera %s rotated; its pixels are not", path.name, name)
        try:
            cameras.append(_make_qualisys(name, parts, node.get("video_resolution", "")))
        except (KeyError, ValueError) as error:
            raise CalibrationError(f"{path}, camera {name}: {error}") from error
    if not cameras:
        raise CalibrationError(f"{path} holds no calibrated camera")
    return cameras, "mm"


def _make_qualisys(name: str, parts: dict[str, dict[str, str]], resolution: str) -> Camera:
    view, pose, lens = (
        {k: float(v) for k, v in parts[part].items() if _is_number(v)} for part in _QUALISYS_PARTS
    )
    width, height = view["right"] - view["left"] + 1, view["bottom"] - view["top"] + 1
    scale = _find_video_scale(resolution, min(width, height))
    focal = np.array([lens["focalLengthU"], lens["focalLengthV"]]) / _SUBPIXELS
    middle = np.array([lens["centerPointU"], lens["centerPointV"]]) / _SUBPIXELS
    middle = middle - [view["left"], view["top"]]
    matrix = np.eye(3)
    matrix[[0, 1], [0, 1]] = scale * focal
    # The centre of the first pixel is 0, so that its upper left corner stays where it is.
    matrix[:2, 2] = scale * (middle + 0.5) - 0.5
    matrix[0, 1] = scale * lens.get("skew", 0.0) / _SUBPIXELS
    names = ["radialDistortion1", "radialDistortion2"]
    names += ["tangentalDistortion1", "tangentalDistortion2", "radialDistortion3"]
    # There the axes of a camera are x right, y up, z backwards.
    turn = np.array([[pose[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
    rotation = round_rotation(np.diag([1.0, -1.0, -1.0]) @ turn, f"camera {name}")
    return Camera(
        name,
        (round(scale * width), round(scale * height)),
        matrix,
        np.array([lens.get(n, 0.0) for n in names]),
        rotation,
        -rotation @ np.array([pose[axis] for axis in "xyz"]),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _find_video_scale(resolution: str, lines: float) -> float:
    """Find how much smaller the video is than the part of the sensor that it shows."""
    found = re.fullmatch(r"(\d+)p", resolution)
    whole = [n for n in _LINES if n <= lines]
    return int(found[1]) / whole[-1] if found and whole else 1.0


_TOML_READERS: dict[str, Callable[[Path, Sizes, Tables], Found]] = {
    "anipose": _read_anipose,
    "caliscope": _read_caliscope,
    "pose2sim": _read_pose2sim,
}
_READERS: dict[str, Callable[[Path, Sizes], Found]] = {
    "qualisys": _read_qualisys,
    "dannce": read_dannce,
    "opencv": read_opencv,
    "kalibr": read_kalibr,
    "matlab": read_stereo,
}
