"""What files call the parameters of a camera, by one list for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the same thing is called, without case and underscores. Longer names come first: they
# are looked for at the start of a key such as K_01 or camera_matrix_left.
_NAMES = {
    "matrix": ["cameramatrix", "intrinsicmatrix", "intrinsics", "intrinsic", "matrix", "mtx", "k"],
    "distortion": [
        "distortioncoefficients", "distortioncoeffs", "distortions", "distortion", "distcoeffs",
        "distcoeff", "distcoefs", "distcoef", "dist", "d",
    ],
    "rotation": ["rotationmatrix", "rotationvector", "rotation", "rcext", "rvec", "rot", "r"],
    "translation": ["translationvector", "translation", "tcext", "tvec", "t"],
    "size": ["imagesize", "resolution", "size"],
    "width": ["imagewidth", "width"],
    "height": ["imageheight", "height"],
    "name": ["cameraname", "name"],
    "fisheye": ["fisheyemodel", "fisheye"],
    "model": ["distortionmodel", "cameramodel"],
}  # fmt: skip
#: By such a name: the field of `calibration.files.parameters.Parameters`.
FIELDS = {synonym: field for field, names in _NAMES.items() for synonym in names}
_NO = ("", "0", "false", "no", "off", "none")


def name_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a file says of a camera the names of `FIELDS`; of two keys the first counts.

    Parameters
    ----------
    table : mapping of str to Any
        By the file's own keys.

    Examples
    --------
    >>> name_fields({"Camera_Matrix": 1, "distCoef": 2, "comment": 3})
    {'matrix': 1, 'distortion': 2}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        field = FIELDS.get(key.replace("_", "").replace(" ", "").lower())
        if field and field not in found:
            found[field] = value
    return found


def read_flag(value: Any) -> bool:
    """Read yes or no, also as text: ``"false"`` is no."""
    return value.strip().lower() not in _NO if isinstance(value, str) else bool(value)
