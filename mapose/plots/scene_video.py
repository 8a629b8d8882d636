"""Poses in space as frames of a video: the scene seen from the side and above, quick to draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mapose.arrays import Floats, Image
from mapose.errors import ShapeError
from mapose.plots.rigs import CameraView
from mapose.plots.scene3d import SAMPLE, find_eye, find_floor, find_step, find_turn
from mapose.plots.tags import draw_tag, find_tag_shape, find_text_size
from mapose.poses import Poses

_GROUND, _FIELD, _LINE, _BAR = (30, 32, 36), (40, 43, 48), (66, 70, 78), (200, 203, 208)
# Share of the picture that is left free on all sides, and of the points that may lie outside.
_MARGIN, _FAR = 0.06, 0.002


@dataclass(frozen=True)
class Stage:
    """A scene as a camera far away would see it.

    Parameters
    ----------
    background : uint8, (H, W, 3)
        The floor with its fields and their size.
    poses : Poses
        2D, px of that picture.
    """

    background: Image
    poses: Poses


def make_stage(poses: Poses, size: tuple[int, int], *, cameras: Iterable[CameraView] = ()) -> Stage:
    """Show poses in space on a picture, all frames at the same scale.

    `mapose.plots.draw_video` draws the poses of the result on its background. The scene stands
    and is seen as in `mapose.plots.plot_scene_3d`.

    Parameters
    ----------
    poses : Poses
        3D.
    size : (int, int)
        Width and height of the picture, px.
    cameras : iterable of Camera
        Tell which way is up where the world's z is not.

    Returns
    -------
    Stage

    Raises
    ------
    ShapeError
        If the poses are 2D, or no point is there.
    """
    if poses.dimensions != 3:
        raise ShapeError("scene: wanted poses in 3D, came 2D")
    sample = poses.points[:: 1 + len(poses) // SAMPLE].astype(np.float64)
    if not np.isfinite(sample).any():
        raise ShapeError("scene: wanted poses with points, came none")
    turn = find_turn(list(cameras), sample)
    upright = (sample @ turn.T).reshape(-1, 3)
    upright = upright[np.isfinite(upright).all(-1)]
    box = np.quantile(upright, [_FAR, 1 - _FAR], axis=0)
    floor = find_floor(upright, box)
    eye = find_eye()
    step = find_step(float((box[1, :2] - box[0, :2]).max()))
    corners = np.stack([np.floor(box[0, :2] / step), np.ceil(box[1, :2] / step)]) * step
    page = _Page.fit(_list_corners(corners, floor, box[1, 2]) @ eye[:2].T, size)
    background = _draw_ground(page, corners, floor, eye, step, poses.unit)
    flat = page.place(poses.points.astype(np.float64) @ turn.T @ eye[:2].T)
    array = np.concatenate([flat, poses.confidence[..., None]], axis=-1).astype(np.float32)
    return Stage(background, replace(poses, array=array, unit="px", covariance=None))


@dataclass(frozen=True)
class _Page:
    """Where what the eye sees lies on a picture: x to the right, y down."""

    size: tuple[int, int]
    middle: Floats
    scale: float

    @classmethod
    def fit(cls, seen: Floats, size: tuple[int, int]) -> _Page:
        low, high = seen.min(0), seen.max(0)
        room = (1 - 2 * _MARGIN) * np.array(size)
        return cls(size, (low + high) / 2, float((room / np.maximum(high - low, 1e-9)).min()))

    def place(self, seen: Floats) -> Floats:
        """Place points (..., 2) on the picture."""
        centre = (np.array(self.size) - 1) / 2
        return np.asarray(centre + (seen - self.middle) * self.scale * [1, -1])


def _list_corners(corners: Floats, floor: float, top: float) -> Floats:
    return np.array([[x, y, z] for x in corners[:, 0] for y in corners[:, 1] for z in (floor, top)])


def _draw_ground(
    page: _Page, corners: Floats, floor: float, eye: Floats, step: float, unit: str
) -> Image:
    width, height = page.size
    picture = np.full((height, width, 3), _GROUND, np.uint8)
    (left, near), (right, far) = corners

    def see(*points: tuple[float, float]) -> Floats:
        return page.place(np.array([(*point, floor) for point in points]) @ eye[:2].T)

    outline = see((left, near), (right, near), (right, far), (left, far))
    cv2.fillPoly(picture, [np.round(outline).astype(np.int32)], _FIELD, cv2.LINE_AA)
    lines = [see((x, near), (x, far)) for x in np.arange(left, right + step / 2, step)]
    lines += [see((left, y), (right, y)) for y in np.arange(near, far + step / 2, step)]
    for line in lines:
        _draw_line(picture, line, _LINE, 1)
    bar = see((left, near), (left + step, near))
    _draw_line(picture, bar, _BAR, 2)
    text, letters = f"{step:g} {unit}", find_text_size(picture.shape)
    high, wide = find_tag_shape(text, letters)
    x, y = bar.mean(0)
    x, y = np.clip([x - wide / 2, y + 0.5 * high], 2, [width - wide - 2, height - high - 2])
    draw_tag(picture, text, (x, y), size=letters, opacity=0.0)
    return picture


def _draw_line(picture: Image, line: Floats, colour: tuple[int, int, int], width: int) -> None:
    sixteenths = np.round(16 * line).astype(np.int32)  # places between pixels, by 4 bits
    cv2.polylines(picture, [sixteenths], False, colour, width, cv2.LINE_AA, 4)
