"""What files of cameras leave open: image sizes, rounded rotations, one file per camera."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.errors import CalibrationError


@dataclass(frozen=True)
class Sizes:
    """Image sizes that the caller knows.

    Parameters
    ----------
    given : (int, int) or dict of str to (int, int), optional
        Width and height in pixels, of all cameras or by name.
    guessed : list of str
        Filled by `find`: what was taken where nothing was known.
    """

    given: Mapping[str, tuple[int, int]] | tuple[int, int] | None = None
    guessed: list[str] = field(default_factory=list)

    def find(self, name: str, matrix: npt.ArrayLike) -> tuple[int, int]:
        """Find the size of a camera's images, if need be from its principal point.

        Parameters
        ----------
        name : str
            Of the camera.
        matrix : float, (3, 3)
            Its focal lengths and principal point in zero-based pixels.

        Returns
        -------
        (int, int)
            Width and height in pixels.
        """
        if isinstance(self.given, Mapping):
            if name in self.given:
                width, height = self.given[name]
                return int(width), int(height)
        elif self.given is not None:
            width, height = self.given
            return int(width), int(height)
        middle = np.asarray(matrix, np.float64)[:2, 2]
        width, height = (max(1, round(2 * float(c) + 1)) for c in middle)
        self.guessed.append(f"{name} {width} x {height}")
        return width, height


def round_rotation(matrix: npt.ArrayLike, what: str) -> Floats:
    """Find the rotation nearest to one that was written with few digits.

    Parameters
    ----------
    matrix : float, (3, 3)
        Nearly a rotation.
    what : str
        Named in the message.

    Returns
    -------
    float64, (3, 3)
        In the sense of least squares.

    Raises
    ------
    CalibrationError
        If the matrix is off by more than 1 % or mirrors.

    References
    ----------
    Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem"
    (Psychometrika 31:1).
    """
    given = np.asarray(matrix, np.float64)
    if given.shape != (3, 3) or not np.isfinite(given).all():
        raise CalibrationError(f"{what}: wanted a rotation matrix (3, 3), came {given.tolist()}")
    left, _, right = np.linalg.svd(given)
    nearest = np.asarray(left @ right, np.float64)
    if np.linalg.det(nearest) < 0 or np.abs(nearest - given).max() > 0.01:
        raise CalibrationError(f"{what}: {given.tolist()} mirrors or stretches, it is no rotation")
    return nearest


def list_parameter_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder with these endings, cam2 before cam10."""
    found = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.is_file()]
    return sorted(found, key=_split_numbers)


def _split_numbers(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]
