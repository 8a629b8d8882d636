"""Cameras of DANNCE and Label3D: MATLAB files with transposed matrices and pixels from one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.files.damage import explain_damage
from calibration.files.mat5 import read_mat5
from calibration.files.parameters import Parameters, is_for_rows, make_cameras
from calibration.files.sizes import Sizes, list_parameter_files

_FIELDS = ("K", "RDistort", "TDistort", "r", "t")


def read_dannce(path: Path, sizes: Sizes) -> tuple[list[Camera], str]:
    """Read the cameras of a ``*_dannce.mat``, or of a folder with one ``.mat`` per camera.

    Parameters
    ----------
    path : Path
        File with ``params`` and ``camnames``, or folder of files with ``K RDistort TDistort r t``.
    sizes : Sizes
        Sizes of the images, which these files do not hold.

    Returns
    -------
    cameras : list of Camera
        In zero-based pixels.
    unit : str
        ``"unknown"``: mostly millimetres, but no file says so.

    Raises
    ------
    CalibrationError
        If the file cannot be read or lacks a parameter.

    References
    ----------
    Dunn et al. 2021, "Geometric deep learning enables 3D kinematic profiling across species and
    environments" (Nature Methods 18:564).
    """
    if path.is_dir():
        found = {p.stem: load_matlab(p, _FIELDS) for p in list_parameter_files(path, (".mat",))}
        cameras = [_read_parameters(n, fields, path) for n, fields in found.items()]
    else:
        cameras = _read_file(path)
    if not cameras:
        raise CalibrationError(f"{path} holds no camera: wanted .mat files with K, r and t")
    return make_cameras(cameras, sizes, path), "unknown"


def _read_file(path: Path) -> list[Parameters]:
    data = load_matlab(path, ("params", "camnames", "camNames", *_FIELDS))
    if "params" not in data:
        if "K" not in data:
            raise CalibrationError(
                f"{path} has no calibration of DANNCE: wanted the variable params, or K, r and t; "
                "of MATLAB's stereoParameters its structure: "
                "s = toStruct(stereoParams); save('stereo.mat', '-struct', 's')"
            )
        return [_read_parameters(path.stem, data, path)]
    params = _as_list(data["params"])
    names = _as_list(data.get("camnames", data.get("camNames", [])))
    names = [str(n) for n in names] or [f"Camera{i + 1}" for i in range(len(params))]
    if len(names) != len(params):
        raise CalibrationError(f"{path}: {len(names)} names for {len(params)} cameras")
    return [_read_parameters(n, p, path) for n, p in zip(names, params, strict=True)]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _read_parameters(name: str, fields: Any, path: Path) -> Parameters:
    absent = [f for f in ("K", "r", "t") if not isinstance(fields, dict) or f not in fields]
    if absent:
        raise CalibrationError(f"{path}, camera {name}: missing {', '.join(absent)}")
    matrix = np.array(fields["K"], np.float64).T
    if is_for_rows(matrix):
        raise CalibrationError(
            f"{path}, camera {name}: K is that of MATLAB's Intrinsics.K; wanted its transpose, as "
            "of IntrinsicMatrix, and r and t as for row vectors: write K' and look whether r is "
            "to be transposed as well"
        )
    matrix[:2, 2] -= 1  # from pixels that are counted from one
    radial = np.ravel(fields.get("RDistort", ())).astype(np.float64)
    radial = np.pad(radial, (0, max(0, 3 - radial.size)))
    tangential = np.ravel(fields.get("TDistort", ())).astype(np.float64)
    tangential = np.pad(tangential, (0, max(0, 2 - tangential.size)))
    distortion = np.concatenate([radial[:2], tangential, radial[2:]])
    return Parameters(name, matrix, distortion, np.transpose(fields["r"]), fields["t"])


def load_matlab(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Load some variables of a MATLAB file as plain Python; nothing is unpickled.

    Parameters
    ----------
    path : Path
        Of version 5 or later; 7.3 is HDF5 and needs h5py.
    names : tuple of str
        Variables to load; those that are not there are left out.

    Returns
    -------
    dict of str to Any
        Structures are dicts, cells and arrays of structures lists, texts str, numbers arrays
        shaped as MATLAB shows them.

    Raises
    ------
    CalibrationError
        If the file is no MATLAB file, or h5py is missing.
    """
    if _is_hdf5(path):
        return _load_hdf5(path, names)
    with explain_damage(path):
        return read_mat5(path.read_bytes(), names)


def _is_hdf5(path: Path) -> bool:
    """Tell whether a file is HDF5, at its start or, as MATLAB's are, after 512 bytes."""
    with path.open("rb") as file:
        start = file.read(520)
    return b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:])


def _load_hdf5(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    try:
        import h5py
    except ImportError as error:
        raise CalibrationError(
            f"{path.name} is a MATLAB file of version 7.3, which needs h5py: pip install h5py"
        ) from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            return {name: _simplify_hdf5(file[name], file) for name in names if name in file}
    except (OSError, KeyError, RuntimeError) as error:
        raise CalibrationError(f"{path} is not a MATLAB file, or damaged: {error}") from error


def _simplify_hdf5(node: Any, file: Any) -> Any:
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if hasattr(node, "keys"):  # a structure, or an array of structures as references per field
        fields = {name: _simplify_hdf5(child, file) for name, child in node.items()}
        if not any("MATLAB_class" in child.attrs for child in node.values()):
            rows = zip(*fields.values(), strict=True)
            return [dict(zip(fields, row, strict=True)) for row in rows]
        return fields
    values = node[()]
    if np.asarray(values).dtype == object:
        return [_simplify_hdf5(file[item], file) for item in np.ravel(values)]
    if kind == "char":
        return "".join(chr(int(c)) for c in np.ravel(values))
    return np.asarray(values).T
