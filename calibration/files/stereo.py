"""Pairs of cameras of MATLAB: its stereoParameters as a structure, and Bouguet's toolbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.matlab import load_matlab
from calibration.files.parameters import Parameters, is_for_rows, make_cameras
from calibration.files.sizes import Sizes
from calibration.group import UNKNOWN_UNIT

_PARTS = ("CameraParameters1", "CameraParameters2", "RotationOfCamera2", "TranslationOfCamera2")
# What people call the structure.
_WHOLE = ("stereoParams", "stereoParameters", "stereoParamsStruct", "paramStruct", "s")
_SIDES = ("left", "right")
_BOUGUET = tuple(f"{what}_{side}" for what in ("fc", "cc", "kc", "alpha_c") for side in _SIDES)
_EXPORT = "s = toStruct(stereoParams); save('stereo.mat', '-struct', 's')"


def is_stereo(path: Path) -> bool:
    """Tell whether a ``.mat`` holds a pair of cameras."""
    data = load_matlab(path, ("fc_left", _PARTS[0], *_WHOLE))
    return any(name not in _WHOLE or _is_pair(value) for name, value in data.items())


def _is_pair(value: Any) -> bool:
    return isinstance(value, dict) and _PARTS[0] in value


def read_stereo(path: Path, sizes: Sizes) -> tuple[list[Camera], str]:
    """Read a pair of cameras; the first is the world.

    Parameters
    ----------
    path : Path
        ``Calib_Results_stereo.mat`` of the Camera Calibration Toolbox, whose pixels count from
        zero and whose matrices multiply columns; or MATLAB's stereoParameters as a structure
        (``toStruct``), whose pixels count from one, whose rotation multiplies rows, and whose
        lens matrix does so up to 2022a (IntrinsicMatrix) and not since (K).
    sizes : Sizes
        For files that do not say.

    Returns
    -------
    cameras : list of Camera
        Called left and right, or camera1 and camera2; zero-based pixels.
    unit : str
        What the file says, else ``"unknown"``.

    Raises
    ------
    CalibrationError
        If a part is missing.

    References
    ----------
    MathWorks, "stereoParameters" and "stereoParametersToOpenCV". Bouguet, "Camera Calibration
    Toolbox for Matlab", description of the calibration parameters.
    """
    data = load_matlab(path, (*_BOUGUET, "om", "T", "nx", "ny", *_PARTS, *_WHOLE))
    if "fc_left" in data:
        return make_cameras(_read_bouguet(data, path), sizes, path), UNKNOWN_UNIT
    whole = next((value for value in data.values() if _is_pair(value)), data)
    _check(whole, _PARTS, f"{path}: export it by {_EXPORT}")
    rotation = np.transpose(whole["RotationOfCamera2"])
    poses = ((np.zeros(3), np.zeros(3)), (rotation, whole["TranslationOfCamera2"]))
    found = [
        _read_parameters(f"camera{n + 1}", whole[_PARTS[n]], path, pose=poses[n]) for n in (0, 1)
    ]
    unit = whole[_PARTS[0]].get("WorldUnits", "")
    return make_cameras(found, sizes, path), unit if isinstance(unit, str) and unit else "unknown"


def _check(fields: Any, wanted: tuple[str, ...], what: str) -> None:
    missing = [name for name in wanted if not isinstance(fields, dict) or name not in fields]
    if missing:
        raise CalibrationError(f"{what}: missing {', '.join(missing)}")


def _read_bouguet(data: dict[str, Any], path: Path) -> list[Parameters]:
    _check(data, ("fc_left", "fc_right", "cc_left", "cc_right", "om", "T"), str(path))
    size = [float(np.ravel(data[side])[0]) for side in ("nx", "ny") if side in data]
    found = []
    for side in _SIDES:
        focal, centre = np.ravel(data[f"fc_{side}"]), np.ravel(data[f"cc_{side}"])
        skew = float(np.ravel(data.get(f"alpha_c_{side}", 0.0))[0])
        matrix = [[focal[0], skew * focal[0], centre[0]], [0, focal[1], centre[1]], [0, 0, 1]]
        first = side == "left"
        found.append(
            Parameters(
                side,
                matrix,
                data.get(f"kc_{side}"),
                np.zeros(3) if first else data["om"],
                np.zeros(3) if first else data["T"],
                size if len(size) == 2 else None,
            )
        )
    return found


def _read_parameters(name: str, fields: Any, path: Path, *, pose: tuple[Any, Any]) -> Parameters:
    what = f"{path}, {name}"
    _check(fields, ("RadialDistortion",), what)
    key = next((k for k in ("K", "IntrinsicMatrix") if k in fields), None)
    if key is None:
        raise CalibrationError(f"{what}: missing K or IntrinsicMatrix")
    matrix = np.array(fields[key], np.float64)
    matrix = matrix.T if is_for_rows(matrix) else matrix
    matrix[:2, 2] -= 1  # from pixels that are counted from one
    radial, tangential = (
        np.ravel(fields.get(f"{kind}Distortion", ())).astype(np.float64)
        for kind in ("Radial", "Tangential")
    )
    radial = np.pad(radial, (0, max(0, 3 - radial.size)))
    tangential = np.pad(tangential, (0, max(0, 2 - tangential.size)))
    size = np.ravel(fields.get("ImageSize", ()))  # rows, columns
    return Parameters(
        name,
        matrix,
        np.concatenate([radial[:2], tangential, radial[2:]]),
        pose[0],
        pose[1],
        size[::-1] if size.size == 2 else None,
    )
