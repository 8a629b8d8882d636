"""Several cameras of one world, and the file that keeps them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.camera import Camera, find_reprojection_errors
from calibration.errors import CalibrationError, suggest_name
from calibration.files.damage import explain_damage, parse_toml, read_text
from calibration.files.keys import name_fields, read_flag
from calibration.files.parameters import Parameters, make_cameras
from calibration.files.sizes import Sizes
from calibration.saving import write_whole
from calibration.triangulation.points import Triangulation, triangulate_points

UNKNOWN_UNIT = "unknown"
# A section with one of these keys is meant to be a camera.
_OF_CAMERAS = {"size", "matrix", "distortions", "rotation", "translation"}


@dataclass(frozen=True, eq=False, repr=False)
class CameraGroup:
    """Cameras in a fixed order, found by name.

    Parameters
    ----------
    cameras : sequence of Camera
        At least one, all named differently.
    unit : str
        Unit of the world, such as ``"mm"``; ``"unknown"`` if a file did not say.

    Raises
    ------
    CalibrationError
        If there is no camera or a name comes twice.
    """

    cameras: tuple[Camera, ...]
    unit: str = UNKNOWN_UNIT

    def __init__(self, cameras: Sequence[Camera], unit: str = UNKNOWN_UNIT) -> None:
        object.__setattr__(self, "cameras", tuple(cameras))
        object.__setattr__(self, "unit", unit)
        if not self.cameras:
            raise CalibrationError("a camera group needs at least one camera, came none")
        repeated = sorted({n for n in self.names if self.names.count(n) > 1})
        if repeated:
            raise CalibrationError(f"cameras need different names, repeated: {', '.join(repeated)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the V cameras, in order."""
        return tuple(camera.name for camera in self.cameras)

    def __str__(self) -> str:
        return f"CameraGroup: {', '.join(self.names)} (in {self.unit})"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[Camera]:
        return iter(self.cameras)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Camera:
        """Pick a camera by name.

        Raises
        ------
        CalibrationError
            If there is none of this name; the nearest one is suggested.
        """
        for camera in self.cameras:
            if camera.name == name:
                return camera
        hint = suggest_name(str(name), self.names)
        raise CalibrationError(f"no camera {name!r} in this group: {hint}")

    def project(self, points: npt.ArrayLike) -> Floats:
        """Find the pixels at which every camera sees world points.

        Parameters
        ----------
        points : float, (..., 3)
            World points in `unit`; NaN = missing.

        Returns
        -------
        float64, (V, ..., 2)
            Pixels of each camera; NaN where missing or behind the camera.
        """
        return np.stack([camera.project(points) for camera in self.cameras])

    def triangulate(
        self,
        pixels: npt.ArrayLike,
        confidence: npt.ArrayLike | None = None,
        *,
        covariance: npt.ArrayLike | None = None,
        sigma: float | None = None,
        robust: bool = True,
    ) -> Triangulation:
        """Find the world points that pixels of several cameras show.

        See `calibration.triangulation.points.triangulate_points`, which this calls.

        Parameters
        ----------
        pixels : float, (V, ..., 2)
            Pixels of each camera, in the order of the group; NaN = not seen.
        confidence : float, (V, ...), optional
            The variance of a pixel goes with 1 over its confidence; 0 = not seen.
        covariance : float, (V, ..., 2, 2), optional
            Of the pixels in px^2, instead of the confidence.
        sigma : float, optional
            Standard deviation of pixels in px; estimated by default.
        robust : bool
            Whether views that contradict the others are left out.

        Returns
        -------
        Triangulation
            With points in `unit`, covariance, error, views.
        """
        return triangulate_points(
            self, pixels, confidence=confidence, covariance=covariance, sigma=sigma, robust=robust
        )

    def reprojection_error(self, points: npt.ArrayLike, pixels: npt.ArrayLike) -> Floats:
        """Find how far world points are seen from given pixels.

        Parameters
        ----------
        points : float, (..., 3)
            World points in `unit`; NaN = missing.
        pixels : float, (V, ..., 2)
            Pixels of each camera; NaN = not seen.

        Returns
        -------
        float64, (V, ...)
            Distances in px; NaN where missing, not seen or behind the camera.

        Raises
        ------
        CalibrationError
            If there is not one array of pixels per camera, as many as points.
        """
        return find_reprojection_errors(self.cameras, points, pixels)

    def save(self, path: str | os.PathLike[str], *, note: str = "") -> None:
        """Write the group as TOML in the keys that Anipose made standard.

        Numbers are written so that `load` gives back exactly the same ones. The file is
        complete or not there.

        Parameters
        ----------
        path : path
            Replaced if it exists.
        note : str
            One line of comment at the top.

        Raises
        ------
        CalibrationError
            If the file cannot be written; what was there is unchanged.
        """
        head = f"# {note}\n" if note else ""
        write_whole(path, (head + self.to_toml()).encode())

    def to_toml(self) -> str:
        """Write the group as text, as `save` puts it into a file."""
        text = "\n".join(_write_camera(i, c) for i, c in enumerate(self.cameras))
        return text + f"\n[metadata]\nunit = {_quote(self.unit)}\n"

    @classmethod
    def load(cls, path: str | os.PathLike[str], unit: str | None = None) -> CameraGroup:
        """Read a TOML file in Anipose's keys.

        Parameters
        ----------
        path : path
            File of `save`, Anipose, Pose2Sim or caliscope.
        unit : str, optional
            Unit of the world. By default what the file says; few do, then ``"unknown"``.

        Returns
        -------
        CameraGroup
            In the order of the file; a section without ``name`` is called by its title.

        Raises
        ------
        CalibrationError
            If the file is missing, not TOML, lacks keys, or holds what is no camera.
        """
        if not Path(path).exists():
            raise CalibrationError(f"no calibration file at {path}")
        with explain_damage(path):
            text = read_text(Path(path))
        return cls.from_toml(text, unit, source=str(path))

    @classmethod
    def from_toml(
        cls, text: str, unit: str | None = None, *, source: str = "calibration"
    ) -> CameraGroup:
        """Read a group from text, as `load` does from a file.

        Parameters
        ----------
        text : str
            TOML in Anipose's keys.
        unit : str, optional
            Unit of the world. By default what the text says.
        source : str
            What messages call the text.

        Raises
        ------
        CalibrationError
            As `load`.
        """
        with explain_damage(source):
            return cls.from_tables(parse_toml(text, source), unit, source=source)

    @classmethod
    def from_tables(
        cls,
        tables: dict[str, Any],
        unit: str | None = None,
        *,
        sizes: Sizes | None = None,
        source: str = "calibration",
    ) -> CameraGroup:
        """Make a group of TOML that was read already; otherwise as `from_toml`.

        Sections that say nothing of a camera, such as ``[metadata]``, are passed over; `sizes`
        helps where a section does not say how large its images are.
        """
        metadata = tables.get("metadata", {})
        found = [
            _read_parameters(k, t, source)
            for k, t in tables.items()
            if isinstance(t, dict) and (_OF_CAMERAS & set(t) or "matrix" in name_fields(t))
        ]
        if not found:
            raise CalibrationError(f"{source} holds no camera: wanted sections such as [cam_0]")
        cameras = make_cameras(found, sizes or Sizes(), source)
        return cls(cameras, unit or str(metadata.get("unit", UNKNOWN_UNIT)))


def _read_parameters(section: str, table: dict[str, Any], path: object) -> Parameters:
    fields = name_fields(table)
    if "matrix" not in fields:
        missing = [key for key in ("matrix", "rotation", "translation") if key not in fields]
        raise CalibrationError(
            f"{path}, section [{section}]: wanted the keys size, matrix, rotation, translation; "
            f"missing: {', '.join(missing)}"
        )
    return Parameters(
        name=str(fields.get("name", section)).strip(),
        matrix=fields["matrix"],
        distortion=fields.get("distortion"),
        rotation=fields.get("rotation"),
        translation=fields.get("translation"),
        size=fields.get("size"),
        fisheye=read_flag(fields.get("fisheye", False)),
    )


def _write_camera(index: int, camera: Camera) -> str:
    lines = [
        f"[cam_{index}]",
        f"name = {_quote(camera.name)}",
        f"size = {list(camera.size)}",
        f"matrix = {camera.matrix.tolist()}",
        f"distortions = {camera.distortion.tolist()}",
        f"rotation = {camera.rotation.tolist()}",
        f"translation = {camera.translation.tolist()}",
    ]
    if camera.model == "fisheye":
        lines.append("fisheye = true")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """Make a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    )
