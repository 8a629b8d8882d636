"""Labelled frames side by side, to check them at a glance."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Floats, Image
from mapose.errors import ShapeError
from mapose.plots.colours import find_keypoint_colours
from mapose.plots.strokes import copy_image, draw_animal, make_pen, take_points
from mapose.plots.tags import draw_tag, find_tag_shape
from mapose.skeleton import Skeleton

# Side of a tile, height of its letters and radius of its dots, px; what is left around animals, as
# a share of them.
_TILE, _LETTERS, _DOT, _MARGIN = 320, 11, 3.5, 0.25
# Smallest part of a picture that is enlarged to a tile, px.
_SMALLEST = 48


def draw_sheet(
    tiles: Iterable[tuple[npt.ArrayLike, npt.ArrayLike, str]],
    skeleton: Skeleton,
    *,
    columns: int = 5,
) -> Image:
    """Draw labelled frames side by side, each cut out around its animals and enlarged.

    Parameters
    ----------
    tiles : iterable of (image, points, str)
        uint8 (H, W) or (H, W, 3); float (I, K, 2) in its pixels, NaN = not marked; and a caption.
        Taken one at a time.
    skeleton : Skeleton
        Names of the K keypoints, each of which has its colour; the key stands below. So a left
        ear that is a right one shows.
    columns : int
        Tiles in a row.

    Returns
    -------
    uint8, (H, W, 3)

    Raises
    ------
    ShapeError
        If there is no tile, or a shape does not fit.

    Examples
    --------
    >>> worm = Skeleton(["head", "tail"], [("head", "tail")])
    >>> tile = np.zeros((60, 80), np.uint8), [[[20, 30], [60, 30]]], "frame 3"
    >>> draw_sheet([tile, tile], worm, columns=2).shape[1]
    640
    """
    drawn = [
        _draw_tile(image, take_points(points), text, skeleton) for image, points, text in tiles
    ]
    if not drawn:
        raise ShapeError("sheet: wanted at least one frame")
    width = min(columns, len(drawn))
    blank = np.full((_TILE, _TILE, 3), 255, np.uint8)
    drawn += [blank] * (-len(drawn) % width)
    rows = [np.hstack(drawn[n : n + width]) for n in range(0, len(drawn), width)]
    return np.vstack([*rows, _draw_key(skeleton, width * _TILE)])


def _draw_tile(image: npt.ArrayLike, points: AnyFloats, text: str, skeleton: Skeleton) -> Image:
    canvas = copy_image(image)
    corner, scale = _find_part(points, canvas.shape)
    if scale < 0.75:  # no pixel is left out
        canvas = cv2.blur(canvas, (round(1 / scale), round(1 / scale)))  # type: ignore[assignment]
    # (0, 0) is the centre of the first pixel; what lies outside of the picture is grey.
    shift = 0.5 * (scale - 1) - scale * corner
    cut = cv2.warpAffine(
        canvas, np.c_[scale * np.eye(2), shift], (_TILE, _TILE), borderValue=(128, 128, 128)
    )
    moved = points * scale + shift
    tile = np.asarray(cut, np.uint8)
    pen = make_pen(_DOT, len(moved), skeleton, "keypoint")
    for i, animal in enumerate(moved):
        draw_animal(tile, animal, np.ones(len(animal)), pen, i)
    draw_tag(tile, text, (3, 3), size=_LETTERS, opacity=0.6)
    if not np.isfinite(points).any():
        draw_tag(tile, "nothing marked", (3, 24), size=_LETTERS, opacity=0.6)
    tile[-1], tile[:, -1] = 255, 255
    return tile


def _find_part(points: AnyFloats, shape: tuple[int, ...]) -> tuple[Floats, float]:
    """Find the square around all points, or the whole picture: its corner, and its scale."""
    seen = points.reshape(-1, 2)
    seen = seen[np.isfinite(seen).all(-1)]
    if len(seen):
        low, high = seen.min(0), seen.max(0)
        side = max((1 + 2 * _MARGIN) * float((high - low).max()), _SMALLEST)
        middle = (low + high) / 2
    else:
        side, middle = float(max(shape[:2])), (np.array(shape[1::-1]) - 1) / 2
    return np.asarray(middle - side / 2, np.float64), _TILE / side


def _draw_key(skeleton: Skeleton, width: int) -> Image:
    """Draw the colours and names of the keypoints, in as many lines as they take."""
    colours = find_keypoint_colours(len(skeleton.keypoints))
    height, _ = find_tag_shape("X", _LETTERS)
    places, x, y = [], 4, 4
    for name in skeleton.keypoints:
        wide = find_tag_shape(name, _LETTERS)[1] + 4
        if x + wide > width and x > 4:
            x, y = 4, y + height + 4
        places.append((x, y))
        x += wide
    key = np.full((y + height + 4, width, 3), 255, np.uint8)
    for name, place, colour in zip(skeleton.keypoints, places, colours.tolist(), strict=True):
        draw_tag(key, name, place, size=_LETTERS, fill=tuple(colour), opacity=1.0)
    return key
