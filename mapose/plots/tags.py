"""Small text on images: name tags that keep off the animals, and notes in a corner."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from mapose.arrays import AnyFloats, Floats, Image, Singles

Colour = tuple[int, int, int]

_DARK: Colour = (24, 24, 27)
_LIGHT: Colour = (245, 245, 245)


def find_text_size(shape: tuple[int, ...]) -> int:
    """Choose a letter height, in px, that can be read on an image of this shape."""
    return int(np.clip(round(7 + 0.0095 * min(shape[:2])), 8, 40))


@lru_cache(maxsize=16)
def _load_font(size: int) -> PIL.ImageFont.FreeTypeFont | PIL.ImageFont.ImageFont:
    return PIL.ImageFont.load_default(size)


@lru_cache(maxsize=512)
def _make_letters(text: str, size: int) -> Singles:
    """Rasterise one line with padding around it: coverage, float32 (h, w)."""
    if size < 14:
        text = text.replace(" ", "  ")  # one blank of the font is lost among small letters
    font = _load_font(size)
    left, _, right, _ = font.getbbox(text)
    # Capitals set the height, whatever the letters: all plates are alike, and what hangs below
    # the line hangs into the lower padding.
    _, top, _, bottom = font.getbbox("X")
    pad_x, pad_y = max(2, round(0.4 * size)), max(2, round(0.32 * size))
    width, height = int(right - left) + 2 * pad_x, int(bottom - top) + 2 * pad_y
    page = PIL.Image.new("L", (width, height))
    PIL.ImageDraw.Draw(page).text((pad_x - left, pad_y - top), text, fill=255, font=font)
    coverage: Singles = np.array(page, np.float32) / np.float32(255)
    return coverage


@lru_cache(maxsize=512)
def _make_tag(text: str, size: int, fill: Colour, opacity: float) -> tuple[Image, Singles]:
    """Draw text on a rounded plate: colours uint8 (h, w, 3) and opacity float32 (h, w, 1)."""
    letters = _make_letters(text, size)
    plate = opacity * _round_plate(letters.shape[0], letters.shape[1], 0.28 * len(letters))
    light = np.dot(fill, (0.299, 0.587, 0.114)) < 125
    ink = np.array(_LIGHT if light else _DARK, np.float32)
    colours = np.asarray(fill, np.float32) * (1 - letters[..., None]) + ink * letters[..., None]
    alpha = np.maximum(plate, letters)[..., None]
    return colours.round().astype(np.uint8), alpha


def _round_plate(height: int, width: int, radius: float) -> Singles:
    """Coverage of a rounded rectangle, float32 (height, width)."""
    y = np.abs(np.arange(height) - (height - 1) / 2) - (height / 2 - radius)
    x = np.abs(np.arange(width) - (width - 1) / 2) - (width / 2 - radius)
    outside = np.hypot(x.clip(0)[None], y.clip(0)[:, None])
    return np.asarray((radius - outside + 0.5).clip(0, 1), np.float32)


def find_tag_shape(text: str, size: int) -> tuple[int, int]:
    """Tell the height and width, in px, that `draw_tag` takes."""
    height, width = _make_letters(text, size).shape
    return height, width


def draw_tag(
    image: Image,
    text: str,
    corner: tuple[float, float],
    *,
    size: int,
    fill: Colour = _DARK,
    opacity: float = 0.85,
) -> None:
    """Draw text on a rounded plate into an image, in place.

    Parameters
    ----------
    image : uint8, (H, W, 3)
        Changed in place. What falls outside is cut off.
    text : str
        One line.
    corner : (x, y)
        Top-left pixel of the plate.
    size : int
        Letter height, px.
    fill : (red, green, blue)
        Colour of the plate; the letters are dark on light plates and light on dark ones.
    opacity : float
        Of the plate, 0 to 1.
    """
    colours, alpha = _make_tag(text, size, fill, opacity)
    x, y = round(corner[0]), round(corner[1])
    height, width = colours.shape[:2]
    rows = slice(max(0, y), min(image.shape[0], y + height))
    columns = slice(max(0, x), min(image.shape[1], x + width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = (
        slice(rows.start - y, rows.stop - y),
        slice(columns.start - x, columns.stop - x),
    )
    under = image[rows, columns].astype(np.float32)
    image[rows, columns] = (under + (colours[part] - under) * alpha[part] + 0.5).astype(np.uint8)


class TagPlacer:
    """Finds places for name tags beside the animals, steady from frame to frame.

    Parameters
    ----------
    shape : (H, W, ...)
        Of the image.
    gap : float
        Distance between animal and tag, px.
    """

    def __init__(self, shape: tuple[int, ...], gap: float) -> None:
        self._size = np.array([shape[1], shape[0]], np.float64)
        self._gap = gap
        self._sides: dict[int, int] = {}

    def place(self, boxes: AnyFloats, shapes: list[tuple[int, int]]) -> Floats:
        """Find the top-left corner of each tag.

        Parameters
        ----------
        boxes : float, (I, 4)
            Left, top, right, bottom of each animal, px; NaN = absent.
        shapes : list of (height, width), (I,)
            Of the tags.

        Returns
        -------
        float64, (I, 2)
            x, y of the corner; NaN where the animal is absent.
        """
        corners = np.full((len(boxes), 2), np.nan)
        taken = boxes[np.isfinite(boxes).all(-1)].astype(np.float64)
        for i, (box, (height, width)) in enumerate(zip(boxes, shapes, strict=True)):
            if not np.isfinite(box).all():
                continue
            size = np.array([width, height], np.float64)
            spots = self._list_spots(box, size)
            cost = _sum_overlap(spots, size, taken) / size.prod()
            cost += (0, 0.02, 0.1, 0.1)  # above is where one looks for a name
            if i in self._sides:
                cost[self._sides[i]] -= 0.25  # stay, rather than flicker between two sides
            best = int(cost.argmin())
            self._sides[i] = best
            corners[i] = spots[best]
            taken = np.vstack([taken, [*spots[best], *(spots[best] + size)]])
        return corners

    def _list_spots(self, box: AnyFloats, size: Floats) -> Floats:
        """Corners above, below, right and left of the animal, inside the image; (4, 2)."""
        # Fur and wings reach beyond the keypoints.
        beyond = 0.1 * float(np.hypot(box[2] - box[0], box[3] - box[1]))
        left, top, right, bottom = box + beyond * np.array([-1, -1, 1, 1])
        middle = (np.array([left + right, top + bottom]) - size) / 2
        spots = np.array(
            [
                [middle[0], top - self._gap - size[1]],
                [middle[0], bottom + self._gap],
                [right + self._gap, middle[1]],
                [left - self._gap - size[0], middle[1]],
            ]
        )
        return np.asarray(np.clip(spots, 1, np.maximum(self._size - size - 1, 1)))


def _sum_overlap(spots: Floats, size: Floats, taken: Floats) -> Floats:
    """Area, px², that a tag at each spot would share with the taken boxes; (spots,)."""
    low = np.maximum(spots[:, None], taken[None, :, :2])
    high = np.minimum(spots[:, None] + size, taken[None, :, 2:])
    return np.asarray((high - low).clip(0).prod(-1).sum(-1))
