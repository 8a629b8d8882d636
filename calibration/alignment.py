"""Where the world begins, which way is up, and how long a unit is.

Every calibration leaves the world's frame open, and one without a board its scale too. Here both
are set: by the board, by three points that the user can name, or by points known elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from calibration.arrays import Floats
from calibration.boardposes import find_board_poses
from calibration.boards.board import Board
from calibration.camera import Camera
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.rotations import turn
from calibration.triangulation.points import triangulate_points

# Corners that fix where a board lies.
_CORNERS = 4
# Numbers of one calibration differ by less than this in two files, relative to their size.
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Similarity:
    """A change of world: X becomes scale * rotation @ X + translation.

    Parameters
    ----------
    rotation : float64, (3, 3)
        A pure rotation.
    translation : float64, (3,)
        In the unit of the new world.
    scale : float
        New units per old unit.

    Examples
    --------
    >>> import numpy as np
    >>> Similarity(np.eye(3), np.array([0, 0, 5.0]), 10.0).move([1.0, 2.0, 3.0])
    array([10., 20., 35.])
    """

    rotation: Floats
    translation: Floats
    scale: float = 1.0

    def move(self, points: npt.ArrayLike) -> Floats:
        """Turn points (..., 3) of the old world into points of the new one."""
        array = np.asarray(points, np.float64)
        return np.asarray(self.scale * array @ self.rotation.T + self.translation)

    def move_cameras(self, cameras: CameraGroup, unit: str | None = None) -> CameraGroup:
        """Place cameras in the new world; what they see of it does not change.

        Parameters
        ----------
        cameras : CameraGroup
            In the old world.
        unit : str, optional
            Of the new world, by default that of the old one.
        """
        moved = []
        for camera in cameras:
            rotation = camera.rotation_matrix @ self.rotation.T
            translation = self.scale * camera.translation - rotation @ self.translation
            moved.append(replace(camera, rotation=rotation, translation=translation))
        return CameraGroup(moved, unit or cameras.unit)


def find_similarity(
    source: npt.ArrayLike, target: npt.ArrayLike, *, scale: bool = True
) -> Similarity:
    """Find the similarity that brings points closest to where they are known to be.

    Parameters
    ----------
    source, target : float, (N, 3)
        The same points in the old and in the new world; pairs with NaN are left out.
    scale : bool
        Whether the unit may change; else only a rotation and a shift are found.

    Returns
    -------
    Similarity
        With the least sum of squared distances.

    Raises
    ------
    CalibrationError
        If shapes differ, or fewer than three points that are not on one line are left.

    References
    ----------
    Umeyama 1991 (IEEE TPAMI 13:376).
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] != 3:
        raise CalibrationError(f"wanted source and target (N, 3), came {a.shape} and {b.shape}")
    known = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    a, b = a[known], b[known]
    if len(a) < 3:
        raise CalibrationError(f"a similarity needs three points or more, came {len(a)} pairs")
    middle_a, middle_b = a.mean(0), b.mean(0)
    a, b = a - middle_a, b - middle_b
    for name, points in (("source", a), ("target", b)):
        spread = np.linalg.svd(points, compute_uv=False)
        if spread[1] <= 1e-9 * spread[0] or spread[0] == 0:
            raise CalibrationError(
                f"a similarity needs points that are not all on one line; those of {name} are"
            )
    u, sizes, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.linalg.det(u @ vt)])
    rotation = (u * signs) @ vt
    factor = float((sizes * signs).sum() / (a**2).sum()) if scale else 1.0
    return Similarity(rotation, middle_b - factor * rotation @ middle_a, factor)


def find_world_change(before: CameraGroup, after: CameraGroup) -> Similarity | None:
    """Find the change of world between two files of the same calibration.

    Parameters
    ----------
    before, after : CameraGroup
        Cameras that have names in common.

    Returns
    -------
    Similarity or None
        From the world of `before` to that of `after`; None if lenses differ, or the cameras do not
        stand alike to each other: then it is another calibration.

    Examples
    --------
    >>> from calibration import make_ring
    >>> moved, change = align_to_points(make_ring(3), origin=[1, 2, 3], x=[4, 2, 3], y=[1, 9, 4])
    >>> np.allclose(find_world_change(make_ring(3), moved).move([5, 6, 7]), change.move([5, 6, 7]))
    True
    >>> find_world_change(make_ring(3), make_ring(3, seed=1)) is None
    True
    """
    names = [name for name in before.names if name in after]
    pairs = [(before[name], after[name]) for name in names]
    if not pairs or not all(_have_one_lens(a, b) for a, b in pairs):
        return None
    old, new = (np.stack([pair[i].centre for pair in pairs]) for i in (0, 1))
    size = float(np.linalg.norm(old - old[0], axis=1).max())
    scale = float(np.linalg.norm(new - new[0], axis=1).max()) / size if size else 1.0
    rotation = pairs[0][1].rotation_matrix.T @ pairs[0][0].rotation_matrix
    change = Similarity(rotation, new[0] - scale * rotation @ old[0], scale)
    turned = [b.rotation_matrix @ rotation - a.rotation_matrix for a, b in pairs]
    apart = np.abs(change.move(old) - new).max()
    same = np.abs(turned).max() < _SAME and apart <= _SAME * scale * size
    return change if same else None


def _have_one_lens(a: Camera, b: Camera) -> bool:
    return (
        a.model == b.model
        and a.size == b.size
        and a.distortion.shape == b.distortion.shape
        and np.allclose(a.matrix, b.matrix, rtol=_SAME)
        and np.allclose(a.distortion, b.distortion, rtol=_SAME, atol=_SAME)
    )


def find_board_pose(
    cameras: CameraGroup, board: Board, pixels: Mapping[str, npt.ArrayLike]
) -> Floats:
    """Find where a board lies in the world, from what calibrated cameras see of it.

    Parameters
    ----------
    cameras : CameraGroup
        In a world of the board's unit.
    board : Chessboard, CharucoBoard or ArucoGrid
        With C corners.
    pixels : dict of str to float, (C, 2)
        By camera; NaN = not seen.

    Returns
    -------
    float64, (6,)
        Board to world: rotation vector in radians, translation. For `align_to_board`.

    Raises
    ------
    CalibrationError
        If fewer than four corners are seen by two cameras, or by one camera alone.

    Examples
    --------
    >>> from calibration import Chessboard, make_ring
    >>> ring, board = make_ring(3), Chessboard(4, 3, 10)
    >>> seen = dict(zip(ring.names, ring.project(board.points + [5, 0, 2]), strict=True))
    >>> find_board_pose(ring, board, seen).round(6) + 0
    array([0., 0., 0., 5., 0., 2.])
    """
    seen = {n: np.asarray(p, np.float64) for n, p in pixels.items() if np.isfinite(p).any()}
    best: Floats | None = None
    if len(seen) > 1:
        group = CameraGroup([cameras[name] for name in seen])
        points = triangulate_points(group, np.stack(list(seen.values()))).points
        if np.isfinite(points).all(-1).sum() >= _CORNERS:
            lies = find_similarity(board.points, points, scale=False)
            vector = cv2.Rodrigues(lies.rotation)[0].ravel()
            best = np.concatenate([vector, lies.translation])
    if best is None:
        best = _find_from_one(cameras, board, seen)
    return best


def _find_from_one(cameras: CameraGroup, board: Board, seen: Mapping[str, Floats]) -> Floats:
    """Find where a board lies by the camera that sees most of it."""
    counts = {name: int(np.isfinite(p).all(-1).sum()) for name, p in seen.items()}
    name = max(counts, key=lambda n: counts[n], default="")
    if not name or counts[name] < _CORNERS:
        raise CalibrationError(
            f"the board {board} is not seen well enough there: wanted {_CORNERS} corners or more, "
            f"came {', '.join(f'{n} {c}' for n, c in counts.items()) or 'none'}; take another frame"
        )
    camera = cameras[name]
    found = find_board_poses(camera, board.points, pixels=seen[name][None])
    rotation, translation = found.rotations[0, 0], found.translations[0, 0]
    back = camera.rotation_matrix.T
    vector = cv2.Rodrigues(back @ rotation)[0].ravel()
    return np.concatenate([vector, back @ (translation - camera.translation)])


def align_to_board(cameras: CameraGroup, pose: npt.ArrayLike) -> tuple[CameraGroup, Similarity]:
    """Make a board as it once lay the floor of the world.

    The origin is the board's first corner, x runs along its rows, and z points to the side of
    the board where the cameras are: up, where it lay on the floor.

    Parameters
    ----------
    cameras : CameraGroup
        In a world of the board's unit.
    pose : float, (6,)
        Board to world: rotation vector in radians, translation.

    Returns
    -------
    CameraGroup, Similarity
        The cameras in the new world; the change, for points of the old one.

    Raises
    ------
    CalibrationError
        If the pose is not six finite numbers.
    """
    numbers = np.asarray(pose, np.float64)
    if numbers.shape != (6,) or not np.isfinite(numbers).all():
        raise CalibrationError(f"pose: wanted six finite numbers, came {numbers.tolist()}")
    to_board = turn(numbers[:3]).T
    heights = [(to_board @ (camera.centre - numbers[3:]))[2] for camera in cameras]
    if np.median(heights) < 0:
        to_board = np.diag([1.0, -1.0, -1.0]) @ to_board
    change = Similarity(to_board, -to_board @ numbers[3:])
    return change.move_cameras(cameras), change


def align_to_points(
    cameras: CameraGroup,
    *,
    origin: npt.ArrayLike,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    length: float | None = None,
    unit: str | None = None,
) -> tuple[CameraGroup, Similarity]:
    """Set the world by three points: its origin, one on the x axis, one on the y side.

    Parameters
    ----------
    cameras : CameraGroup
        In the old world.
    origin, x, y : float, (3,)
        Points of the old world, such as three corners of the cage, triangulated. The new x axis
        runs from `origin` through `x`; `y` lies in the new x-y plane where y is positive, not
        necessarily on the axis; z is up if the three turn anticlockwise as seen from above.
    length : float, optional
        True distance from `origin` to `x` in the new unit; by default the scale stays.
    unit : str, optional
        Of the new world, by default that of the old one.

    Returns
    -------
    CameraGroup, Similarity
        The cameras in the new world; the change, for points of the old one.

    Raises
    ------
    CalibrationError
        If a point is not three finite numbers, the three are on one line, or the length is not
        above 0.
    """
    points = {"origin": origin, "x": x, "y": y}
    arrays = {name: np.asarray(point, np.float64) for name, point in points.items()}
    for name, array in arrays.items():
        if array.shape != (3,) or not np.isfinite(array).all():
            raise CalibrationError(f"{name}: wanted three finite numbers, came {array.tolist()}")
    if length is not None and not 0 < length < np.inf:
        raise CalibrationError(f"length: wanted a length above 0, came {length}")
    along, aside = arrays["x"] - arrays["origin"], arrays["y"] - arrays["origin"]
    up = np.cross(along, aside)
    distance = float(np.linalg.norm(along))
    if np.linalg.norm(up) <= 1e-9 * distance * np.linalg.norm(aside):
        raise CalibrationError("origin, x and y are on one line: wanted the corners of a triangle")
    axes = np.stack([along, np.cross(up, along), up])
    rotation = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    factor = 1.0 if length is None else length / distance
    change = Similarity(rotation, -factor * rotation @ arrays["origin"], factor)
    return change.move_cameras(cameras, unit), change
