"""Cameras of Kalibr: a chain, of which each stands relative to the one before."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.filestorage import load_document
from calibration.files.parameters import Parameters, make_cameras
from calibration.files.sizes import Sizes

# Its models of distortion, and whether they are those of a fisheye.
_DISTORTIONS = {"radtan": False, "plumb_bob": False, "none": False, "equidistant": True}
_POSE = "T_cn_cnm1"
#: What tells its files from other yaml.
KALIBR = re.compile(rf"^\s+({_POSE}|distortion_coeffs)\s*:", re.MULTILINE)


def read_kalibr(path: Path, sizes: Sizes) -> tuple[list[Camera], str]:
    """Read a ``camchain.yaml``, also with what Kalibr adds for an IMU.

    Parameters
    ----------
    path : Path
        The file; ``T_cn_cnm1`` brings points from the frame of the camera before into that of the
        camera. The first camera is the world.
    sizes : Sizes
        For cameras without a ``resolution``.

    Returns
    -------
    cameras : list of Camera
        In the order of the chain, by the names of the file: cam0, cam1, ...
    unit : str
        Metres.

    Raises
    ------
    CalibrationError
        If a camera of the chain has no pose, or a lens that is not known here.

    References
    ----------
    Furgale, Rehder, Siegwart 2013, "Unified temporal and spatial calibration for multi-sensor
    systems" (IROS): the tool. Its wiki, "Yaml formats": the file.
    """
    document = load_document(path)
    chain = {
        name: table
        for name, table in document.items()
        if isinstance(table, dict) and "intrinsics" in table
    }
    if not chain:
        raise CalibrationError(f"{path} holds no camera: wanted cam0 with its intrinsics")
    found: list[Parameters] = []
    pose = np.eye(4)
    for name in sorted(chain, key=_find_number):
        table = chain[name]
        if found and _POSE not in table:
            raise CalibrationError(
                f"{path}, camera {name}: missing {_POSE}, which says where it stands; Kalibr "
                "writes it where cameras overlap"
            )
        if _POSE in table:
            pose = _read_pose(table[_POSE], f"{path}, camera {name}") @ pose
        found.append(_read_camera(name, table, path, pose=pose))
    return make_cameras(found, sizes, path), "m"


def _find_number(name: str) -> tuple[int, str]:
    """Find the place in the chain: cam10 comes after cam9."""
    digits = re.search(r"\d+$", name)
    return (int(digits[0]) if digits else -1), name


def _read_pose(rows: Any, what: str) -> Floats:
    try:
        pose = np.asarray(rows, np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(0)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise CalibrationError(f"{what}: {_POSE}: wanted four rows of four numbers")
    return pose


def _read_camera(name: str, table: dict[str, Any], path: Path, *, pose: Floats) -> Parameters:
    lens, bent = (
        str(table.get(key, usual)).lower()
        for key, usual in (("camera_model", "pinhole"), ("distortion_model", "none"))
    )
    if lens != "pinhole" or bent not in _DISTORTIONS:
        raise CalibrationError(
            f"{path}, camera {name}: its lens is {lens}-{bent}; known here are pinhole with "
            f"{', '.join(_DISTORTIONS)}: calibrate it again as pinhole-radtan, wide ones as "
            "pinhole-equi"
        )
    numbers = np.ravel(table["intrinsics"])
    if numbers.size != 4 or numbers.dtype.kind not in "if":
        raise CalibrationError(
            f"{path}, camera {name}: intrinsics: wanted fu, fv, pu, pv, came {table['intrinsics']}"
        )
    matrix = np.array([[numbers[0], 0, numbers[2]], [0, numbers[1], numbers[3]], [0, 0, 1]])
    return Parameters(
        name,
        matrix,
        table.get("distortion_coeffs", ()) if bent != "none" else (),
        pose[:3, :3],
        pose[:3, 3],
        table.get("resolution"),
        fisheye=_DISTORTIONS[bent],
    )
