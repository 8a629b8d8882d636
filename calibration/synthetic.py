"""Cameras with exactly known parameters, for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.arrays import Bools, Floats
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.rotations import turn, unturn

#: A mild barrel, as of the lenses that come with machine-vision cameras.
MILD_DISTORTION = (-0.08, 0.02, 0.0004, -0.0003, 0.0)
#: Nearly equidistant, as of common 180-degree lenses.
FISHEYE_DISTORTION = (0.02, -0.008, 0.003, -0.0007)


def find_orientation(position: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """Find the rotation of an upright camera that looks at a point.

    Parameters
    ----------
    position, target : float, (3,)
        World points; z is up.

    Returns
    -------
    float64, (3, 3)
        World to camera. A camera that looks straight down has world x to its right.

    Raises
    ------
    CalibrationError
        If both points are the same.

    Examples
    --------
    >>> find_orientation([0, 0, 10], [0, 0, 0])
    array([[ 1.,  0.,  0.],
           [ 0., -1.,  0.],
           [ 0.,  0., -1.]])
    """
    forward = np.asarray(target, np.float64) - np.asarray(position, np.float64)
    length = np.linalg.norm(forward)
    if length == 0:
        raise CalibrationError("a camera cannot look at the point where it stands")
    forward = forward / length
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right = right if np.linalg.norm(right) > 1e-9 else np.array([1.0, 0.0, 0.0])
    right = right / np.linalg.norm(right)
    # Adding 0 turns -0 into 0.
    return np.stack([right, np.cross(forward, right), forward]) + 0.0


def aim_camera(
    name: str,
    position: npt.ArrayLike,
    *,
    target: npt.ArrayLike = (0.0, 0.0, 0.0),
    size: tuple[int, int] = (640, 480),
    focal: float | None = None,
    distortion: npt.ArrayLike = MILD_DISTORTION,
    fisheye: bool = False,
) -> Camera:
    """Make a camera that looks at a point, with the principal point in mid-image.

    Parameters
    ----------
    name : str
        Of the camera.
    position, target : float, (3,)
        Where it stands and the world point in mid-image.
    size : (int, int)
        Width and height in pixels.
    focal : float, optional
        Focal length in pixels, by default the width.
    distortion : float
        Coefficients of the lens.
    fisheye : bool
        Whether the lens is a fisheye.
    """
    focal = float(size[0]) if focal is None else float(focal)
    x, y = (size[0] - 1) / 2, (size[1] - 1) / 2
    rotation = find_orientation(position, target)
    return Camera(
        name=name,
        size=size,
        matrix=np.array([[focal, 0.0, x], [0.0, focal, y], [0.0, 0.0, 1.0]]),
        distortion=np.asarray(distortion, np.float64),
        rotation=rotation,
        translation=-rotation @ np.asarray(position, np.float64),
        model="fisheye" if fisheye else "pinhole",
    )


def make_ring(
    n: int = 4,
    *,
    radius: float = 500.0,
    height: float = 400.0,
    size: tuple[int, int] = (640, 480),
    focal: float | None = None,
    fisheye: Collection[int] = (),
    seed: int | None = None,
) -> CameraGroup:
    """Make cameras on a circle that look at its middle on the floor.

    Parameters
    ----------
    n : int
        Number of cameras, named ``cam0``, ``cam1``, ... anticlockwise as seen from above.
    radius, height : float
        Of the circle, in mm.
    size : (int, int)
        Width and height in pixels.
    focal : float, optional
        Focal length in pixels, by default the width.
    fisheye : collection of int
        Numbers of the cameras with a fisheye lens; their focal length is half of the others'.
    seed : int, optional
        If given, cameras stand, look and magnify a little differently, as after mounting by
        hand.

    Returns
    -------
    CameraGroup
        Unit mm, origin in the middle of the floor, z up.

    Raises
    ------
    CalibrationError
        If fewer than one camera is asked for.
    """
    if n < 1:
        raise CalibrationError(f"a ring needs at least one camera, came {n}")
    wobble = np.zeros((n, 7)) if seed is None else np.random.default_rng(seed).normal(size=(n, 7))
    focal = float(size[0]) if focal is None else focal
    cameras = []
    for i in range(n):
        angle = 2 * np.pi * (i + 0.08 * wobble[i, 0]) / n - np.pi / 2
        position = np.array([radius * np.cos(angle), radius * np.sin(angle), height])
        lens = FISHEYE_DISTORTION if i in fisheye else MILD_DISTORTION
        cameras.append(
            aim_camera(
                f"cam{i}",
                position * (1 + 0.03 * wobble[i, 1:4]),
                target=0.02 * radius * np.append(wobble[i, 4:6], 0.0),
                size=size,
                focal=focal * (1 + 0.02 * wobble[i, 6]) * (0.5 if i in fisheye else 1.0),
                distortion=lens,
                fisheye=i in fisheye,
            )
        )
    return CameraGroup(cameras, "mm")


@dataclass(frozen=True, eq=False)
class FilmedBoard:
    """A board that was moved before cameras, and everything that is true about it.

    Parameters
    ----------
    board : float64, (C, 3)
        Corners in the board's frame; seen from its front x is right, y down and z away.
    poses : float64, (F, 6)
        Rotation vectors and translations, board to world.
    pixels : float64, (V, F, C, 2)
        Corners as detected, with noise and false ones; NaN = not seen.
    false : bool, (V, F, C)
        Which of them are false.
    """

    board: Floats
    poses: Floats
    pixels: Floats
    false: Bools


def make_board(columns: int = 7, rows: int = 5, *, square: float = 30.0) -> Floats:
    """Make the inner corners of a chessboard, row by row, float64 (columns * rows, 3).

    Examples
    --------
    >>> make_board(2, 2, square=10.0)[:, :2].tolist()
    [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
    """
    y, x = np.mgrid[:rows, :columns] * float(square)
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)


def film_board(
    group: CameraGroup,
    board: npt.ArrayLike | None = None,
    *,
    n: int = 200,
    noise: float = 0.3,
    false: float = 0.05,
    partial: float = 0.2,
    seed: int = 0,
) -> FilmedBoard:
    """Move a board smoothly through the middle of a group and see it with all cameras.

    The board is waved about the point at which the cameras look, turns its front to all sides and
    up, and is not seen from behind, at less than 15 degrees, or outside of an image.

    Parameters
    ----------
    group : CameraGroup
        Two cameras or more that look at about the same point; z is up.
    board : float, (C, 3), optional
        Corners, by default 7 x 5 of 30 mm.
    n : int
        Frames.
    noise : float
        Standard deviation of each coordinate in pixels. Default 0.3: a corner found to a fraction
        of a pixel in a sharp image.
    false : float
        Share of corners that are 3 to 100 px away from where they should be.
    partial : float
        Share of views in which a hand hides a part of the board.
    seed : int
        Of all that is random.

    Returns
    -------
    FilmedBoard
        Detections and truth.
    """
    rng = np.random.default_rng(seed)
    corners = make_board() if board is None else np.asarray(board, np.float64)
    middle, distance = _find_middle(group)
    waves = _make_waves(n, 6, rng)
    place = middle + distance * waves[:, :3] * [0.25, 0.25, 0.12]
    around, tilt, spin = np.cumsum(rng.normal(0.1, 0.3, n)), waves[:, 3], np.pi * waves[:, 4]
    # The front's direction: from straight up to 70 degrees off, to all sides.
    off = np.deg2rad(70) * np.abs(tilt)
    front = np.stack([np.sin(off) * np.cos(around), np.sin(off) * np.sin(around), np.cos(off)], 1)
    right = np.cross(front, [[0.0, 1.0, 0.0]])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    axes = np.stack([right, np.cross(-front, right), -front], axis=-1)
    rotations = axes @ turn(spin[:, None] * [0.0, 0.0, 1.0])
    translations = place - rotations @ corners.mean(0)
    points = corners @ rotations.swapaxes(1, 2) + translations[:, None]
    exact = group.project(points)
    pixels = exact + rng.normal(0, noise, exact.shape)
    wrong = rng.random(exact.shape[:-1]) < false
    angle, length = rng.uniform(0, 2 * np.pi, wrong.sum()), rng.uniform(3, 100, wrong.sum())
    pixels[wrong] += length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    for v, camera in enumerate(group):
        towards = camera.centre - points
        slant = (towards * front[:, None]).sum(-1) / np.linalg.norm(towards, axis=-1)
        size = np.array(camera.size)
        inside = ((exact[v] > 0) & (exact[v] < size - 1)).all(-1)
        hidden = _hide_parts(corners, n, partial, rng)
        pixels[v][(slant < np.sin(np.deg2rad(15))) | ~inside | hidden] = np.nan
    poses = np.concatenate([unturn(rotations), translations], axis=1)
    return FilmedBoard(corners, poses, pixels, wrong & np.isfinite(pixels[..., 0]))


def _find_middle(group: CameraGroup) -> tuple[Floats, float]:
    """Find the point nearest to all optical axes, and its mean distance from the cameras."""
    axes = np.stack([camera.rotation_matrix[2] for camera in group])
    centres = np.stack([camera.centre for camera in group])
    across = np.eye(3) - axes[:, :, None] * axes[:, None]
    middle = np.linalg.lstsq(across.sum(0), np.einsum("vij,vj->i", across, centres), rcond=None)[0]
    return middle, float(np.linalg.norm(centres - middle, axis=1).mean())


def _make_waves(n: int, count: int, rng: np.random.Generator) -> Floats:
    """Make smooth random motions (n, count) within -1 to 1, no period shorter than 12 frames."""
    time = np.arange(n)[:, None, None]
    periods, phases = rng.uniform(12, 60, (1, count, 4)), rng.uniform(0, 2 * np.pi, (1, count, 4))
    return np.asarray(np.sin(2 * np.pi * time / periods + phases).mean(-1) * 1.5).clip(-1, 1)


def _hide_parts(board: Floats, n: int, share: float, rng: np.random.Generator) -> Bools:
    """Hide in some of n views all corners on one side of a line across the board."""
    angle = rng.uniform(0, 2 * np.pi, n)
    offset = (board[:, :2] - board[:, :2].mean(0)) @ np.stack([np.cos(angle), np.sin(angle)])
    edge = rng.uniform(-0.5, 0.8, n) * np.abs(offset).max(0)
    return np.asarray(((offset > edge) & (rng.random(n) < share)).T)
