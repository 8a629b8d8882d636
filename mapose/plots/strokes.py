"""Limbs, dots and trails: the strokes that drawings of poses are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Bools, Floats, Image, Ints
from mapose.errors import SettingsError, ShapeError, suggest_name
from mapose.plots.colours import find_identity_colours, find_keypoint_colours
from mapose.skeleton import Skeleton

Colours = str | npt.ArrayLike

_SHIFT = 4  # cv2 takes coordinates in sixteenths of a pixel
_DARK = (16, 16, 18)
# Below it a keypoint is drawn hollow. Half is where scores of right and wrong peaks meet; the
# cutoff, which hides, is lower so that one sees what was doubtful.
_DOUBTFUL = 0.5
_SHADE = 0.4


@dataclass(frozen=True)
class Pen:
    """Sizes and colours of one drawing, equal in all frames of a video."""

    radius: float
    limbs: Image  # (I, 3)
    dots: Image  # (I, K, 3)
    edges: Ints  # (E, 2)

    @property
    def width(self) -> int:
        """Width of a limb, px."""
        return max(1, round(0.55 * self.radius))

    @property
    def casing(self) -> float:
        """Width of the dark rim that lifts the drawing off a bright background, px."""
        return max(0.6, 0.3 * self.radius)


def make_pen(radius: float, individuals: int, skeleton: Skeleton, colours: Colours) -> Pen:
    """Choose what a drawing looks like.

    Raises
    ------
    SettingsError
        If ``colours`` is an unknown word.
    ShapeError
        If ``colours`` is an array of another shape than (individuals, 3).
    """
    keypoints = len(skeleton.keypoints)
    own = isinstance(colours, str) and colours == "keypoint"
    limbs = find_limb_colours("individual" if own else colours, individuals)
    if own:
        dots = np.repeat(find_keypoint_colours(keypoints)[None], individuals, 0)
    else:
        # A little white keeps the joints apart from limbs of the same colour.
        pale = (0.6 * limbs + 0.4 * 255).astype(np.uint8)
        dots = np.repeat((pale if len(skeleton.edges) else limbs)[:, None], keypoints, 1)
    return Pen(radius, limbs, dots, skeleton.edge_index)


def find_limb_colours(colours: Colours, individuals: int) -> Image:
    """Turn the word or array that a caller gave into one colour per individual, uint8 (I, 3)."""
    if isinstance(colours, str):
        if colours != "individual":
            hint = suggest_name(colours, ["individual", "keypoint"])
            raise SettingsError(f"no colouring {colours!r}: {hint}")
        return find_identity_colours(individuals)
    table = np.asarray(colours)
    if table.shape != (individuals, 3):
        raise ShapeError(f"colours: wanted shape ({individuals}, 3), came {table.shape}")
    return table.astype(np.uint8)


def copy_image(image: npt.ArrayLike) -> Image:
    """Make an RGB copy of a grey or RGB image.

    Raises
    ------
    ShapeError
        If it is not uint8 (H, W), (H, W, 1) or (H, W, 3).
    """
    given = np.asarray(image)
    if given.ndim == 3 and given.shape[-1] == 1:
        given = given[..., 0]
    if given.dtype != np.uint8 or not (given.ndim == 2 or given.shape[2:] == (3,)):
        raise ShapeError(
            "image: wanted uint8 of shape (H, W), (H, W, 1) or (H, W, 3), "
            f"came {given.dtype} of shape {given.shape}"
        )
    if given.ndim == 2:
        return cv2.cvtColor(np.ascontiguousarray(given), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]
    return np.array(given, order="C")


def take_points(points: npt.ArrayLike) -> Floats:
    """Copy coordinates; a point with an infinite one becomes NaN, as all that is missing."""
    given = np.asarray(points, np.float64)
    return np.where(np.isfinite(given).all(-1, keepdims=True), given, np.nan)


def _find_near(points: AnyFloats, shape: tuple[int, ...]) -> Bools:
    """Tell which points are there and not absurdly far from the image, which cv2 cannot draw."""
    size = np.array(shape[1::-1])
    return np.asarray((np.abs(points - size / 2) < 2 * size).all(-1))


def _cut(canvas: Image, points: AnyFloats, margin: float) -> tuple[Image, AnyFloats]:
    """Take the part of the image that holds the points: the view and its origin (x, y)."""
    edge = np.array(canvas.shape[1::-1])
    low = np.clip(np.floor(points.min(0) - margin), 0, edge).astype(int)
    high = np.clip(np.ceil(points.max(0) + margin) + 1, low, edge).astype(int)
    return canvas[low[1] : high[1], low[0] : high[0]], low


def draw_animal(
    canvas: Image, points: AnyFloats, confidence: AnyFloats, pen: Pen, individual: int
) -> None:
    """Draw limbs and dots of one individual, in place."""
    seen = _find_near(points, canvas.shape)
    if not seen.any():
        return
    view, origin = _cut(canvas, points[seen], 2 * pen.radius + 3)
    if not view.size:
        return
    at = points - origin
    spots = _to_fixed(at)
    sure = confidence >= _DOUBTFUL
    limbs = [(a, b, sure[a] and sure[b]) for a, b in pen.edges if seen[a] and seen[b]]
    colour = pen.limbs[individual].tolist()

    rim = view.copy()
    for a, b, certain in limbs:
        if certain:
            _line(rim, spots[a], spots[b], _DARK, pen.width + 2 * round(pen.casing))
    cv2.addWeighted(rim, _SHADE, view, 1 - _SHADE, 0, dst=view)
    if any(not certain for *_, certain in limbs):
        faint = view.copy()
        for a, b, certain in limbs:
            if not certain:
                _line(faint, spots[a], spots[b], colour, max(1, pen.width - 1))
        cv2.addWeighted(faint, 0.65, view, 0.35, 0, dst=view)
    for a, b, certain in limbs:
        if certain:
            _line(view, spots[a], spots[b], colour, pen.width)

    draw_keypoints(view, at, confidence, pen, individual)


def draw_keypoints(
    image: Image, points: AnyFloats, confidence: AnyFloats, pen: Pen, individual: int
) -> None:
    """Draw the dots of one individual, in place; hollow where doubtful."""
    seen = _find_near(points, image.shape)
    sure, dots = confidence >= _DOUBTFUL, pen.dots[individual]
    hollow, full = seen & ~sure, seen & sure
    rims = np.full((int(full.sum()), 3), _DARK)
    _dots(image, points[full], rims, pen.radius + pen.casing, opacity=_SHADE)
    _dots(image, points[full], dots[full], pen.radius)
    width = max(1.0, 0.35 * pen.radius)
    _dots(image, points[hollow], dots[hollow], pen.radius, ring=width)


def draw_crosses(
    image: Image, points: AnyFloats, confidence: AnyFloats, pen: Pen, individual: int
) -> None:
    """Draw a cross with a dark rim at each keypoint, in place; a small one where doubtful."""
    reach = np.where(confidence >= _DOUBTFUL, 2.4 * pen.radius + 1, 0.9 * pen.radius + 1)
    arms = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    width = max(1, round(0.3 * pen.radius))
    near = np.flatnonzero(_find_near(points, image.shape))
    ends = {k: _to_fixed(points[k] + reach[k] * arms) for k in near}
    rim = image.copy()
    for left, right, top, bottom in ends.values():
        _line(rim, left, right, _DARK, width + 2)
        _line(rim, top, bottom, _DARK, width + 2)
    cv2.addWeighted(rim, _SHADE, image, 1 - _SHADE, 0, dst=image)
    for k, (left, right, top, bottom) in ends.items():
        colour = pen.dots[individual, k].tolist()
        _line(image, left, right, colour, width)
        _line(image, top, bottom, colour, width)


def draw_links(image: Image, a: AnyFloats, b: AnyFloats, pen: Pen, individual: int) -> None:
    """Draw thin lines from keypoints (K, 2) to keypoints (K, 2), in place."""
    near = _find_near(a, image.shape) & _find_near(b, image.shape)
    starts, ends = _to_fixed(a), _to_fixed(b)
    for k in np.flatnonzero(near):
        colour = pen.dots[individual, k].tolist()
        _line(image, starts[k], ends[k], colour, max(1, round(0.3 * pen.radius)))


def _dots(
    image: Image,
    at: AnyFloats,
    colours: npt.NDArray[np.integer],
    radius: float,
    *,
    ring: float | None = None,
    opacity: float = 1.0,
) -> None:
    """Draw discs, or rings of a width, in place; smoother at small radii than cv2.circle."""
    reach = int(np.ceil(radius + 0.5))
    span = np.arange(-reach, reach + 1)
    x, y = (at[:, None, axis].round().astype(int) + span for axis in (0, 1))
    away = np.hypot((x - at[:, :1])[:, None, :], (y - at[:, 1:])[:, :, None])
    cover = (radius + 0.5 - away).clip(0, 1)
    if ring is not None:
        cover = np.minimum(cover, (away - radius + ring + 0.5).clip(0, 1))
    inside = (y[:, :, None] >= 0) & (y[:, :, None] < image.shape[0]) & (cover > 0)
    inside &= (x[:, None, :] >= 0) & (x[:, None, :] < image.shape[1])
    which, row, column = np.nonzero(inside)
    share = cover[inside]
    # Where dots overlap, the one that covers more of the pixel wins: it is written last.
    order = np.argsort(share, kind="stable")
    which, share = which[order], share[order, None] * opacity
    rows, columns = y[which, row[order]], x[which, column[order]]
    under = image[rows, columns].astype(np.float32)
    image[rows, columns] = (under + (colours[which] - under) * share + 0.5).astype(np.uint8)


def _to_fixed(at: AnyFloats) -> list[tuple[int, int]]:
    """Turn pixels into the whole sixteenths that cv2 takes; NaN becomes 0."""
    fixed = np.nan_to_num(at * 2**_SHIFT).round().astype(int)
    return [(x, y) for x, y in fixed.tolist()]


def _line(
    image: Image, a: tuple[int, int], b: tuple[int, int], colour: Sequence[int], width: int
) -> None:
    cv2.line(image, a, b, colour, width, cv2.LINE_AA, _SHIFT)


def paint_trails(canvas: Image, trails: AnyFloats, colours: Image, width: float) -> None:
    """Draw fading lines, in place; `trails` (F, I, 2) oldest first."""
    steps = len(trails) - 1
    if steps < 1:
        return
    opacity = np.linspace(0.08, 0.9, steps)
    inside = _find_near(trails, canvas.shape)
    for i in range(trails.shape[1]):
        drawn = inside[1:, i] & inside[:-1, i]
        if not drawn.any():
            continue
        view, origin = _cut(canvas, trails[inside[:, i], i], width + 2)
        if not view.size:
            continue
        path = _to_fixed(trails[:, i] - origin)
        mask = np.zeros(view.shape[:2], np.uint8)
        for t in np.flatnonzero(drawn):
            thick = max(1, round(width * (0.4 + 0.6 * (t + 1) / steps)))
            _line(mask, path[t], path[t + 1], [int(255 * opacity[t])], thick)
        rows, columns = np.nonzero(mask)
        share = mask[rows, columns, None].astype(np.float32) / 255
        under = view[rows, columns].astype(np.float32)
        view[rows, columns] = (under + (colours[i] - under) * share + 0.5).astype(np.uint8)
