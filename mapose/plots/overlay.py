"""Poses drawn on images and videos: limbs, keypoints, name tags, trails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mapose.arrays import AnyFloats, Bools, Image
from mapose.errors import ShapeError
from mapose.parts import PART, Parts
from mapose.plots.extents import find_boxes, find_radius, hide_doubtful, smooth_path
from mapose.plots.figures import take_parts
from mapose.plots.strokes import (
    Colours,
    Pen,
    copy_image,
    draw_animal,
    find_limb_colours,
    make_pen,
    paint_trails,
    take_points,
)
from mapose.plots.tags import TagPlacer, draw_tag, find_tag_shape, find_text_size
from mapose.poses import Poses
from mapose.similarity import find_centres
from mapose.skeleton import Skeleton

Frame = tuple[int, Image | None]

T = TypeVar("T")

_GREY = 88
CUTOFF = 0.1
# Frames before and after one over which the places of name tags are averaged.
_AROUND = 4


def draw_poses(
    image: npt.ArrayLike,
    points: npt.ArrayLike,
    confidence: npt.ArrayLike | None,
    skeleton: Skeleton,
    *,
    names: Sequence[str] | None = None,
    colours: Colours = "individual",
    cutoff: float = CUTOFF,
) -> Image:
    """Draw the poses of one frame on its image.

    Sizes follow the image and the distance between keypoints. Keypoints with a confidence below
    0.5 are hollow and their limbs faint.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 1) or (H, W, 3)
        Grey or RGB; not changed.
    points : float, (I, K, 2)
        Pixels; NaN = missing, not drawn.
    confidence : float, (I, K), optional
        0 to 1; None = all certain.
    skeleton : Skeleton
        Its edges are drawn as limbs.
    names : sequence of str, optional
        Name tags of the individuals, placed beside the animals.
    colours : "individual", "keypoint" or uint8 (I, 3)
        One colour per individual (equal index, equal colour), or one per keypoint with limbs in
        the colour of the individual, or own colours of the individuals (red, green, blue).
    cutoff : float
        Keypoints of lower confidence are not drawn.

    Returns
    -------
    uint8, (H, W, 3)
        A new RGB image.

    Raises
    ------
    ShapeError
        If the image is not uint8 or the shapes do not fit.
    SettingsError
        If ``colours`` is an unknown word.

    Examples
    --------
    >>> import numpy as np
    >>> grey = np.zeros((60, 80), np.uint8)
    >>> worm = Skeleton(["head", "tail"], [("head", "tail")])
    >>> draw_poses(grey, [[[20, 30], [60, 30]]], None, worm).shape
    (60, 80, 3)
    """
    canvas = copy_image(image)
    at, sure = _check_points(points, confidence, skeleton)
    if names is not None and len(names) != len(at):
        raise ShapeError(f"names: wanted {len(at)}, one per individual, came {len(names)}")
    radius = find_radius(at, canvas.shape)
    pen = make_pen(radius, len(at), skeleton, colours)
    at = hide_doubtful(at, sure, cutoff)
    for i in range(len(at)):
        draw_animal(canvas, at[i], sure[i], pen, i)
    if names is not None:
        placer = TagPlacer(canvas.shape, 1.5 * radius + 3)
        _draw_names(canvas, find_boxes(at), names, pen, placer)
    return canvas


def draw_trails(
    image: npt.ArrayLike,
    trails: npt.ArrayLike,
    *,
    colours: npt.ArrayLike | None = None,
    width: float | None = None,
) -> Image:
    """Draw where animals came from as lines that fade with age.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 1) or (H, W, 3)
        Grey or RGB; not changed. Draw trails first and poses on top of them.
    trails : float, (F, I, 2)
        Past positions, oldest first, pixels; NaN = a gap in the line.
    colours : uint8, (I, 3), optional
        Red, green, blue; by default the colours of the individuals.
    width : float, optional
        px; by default it follows the image.

    Returns
    -------
    uint8, (H, W, 3)
        A new RGB image.

    Raises
    ------
    ShapeError
        If the image is not uint8 or the trails have another shape.
    """
    canvas = copy_image(image)
    trails = np.asarray(trails, np.float64)
    if trails.ndim != 3 or trails.shape[-1] != 2:
        raise ShapeError(f"trails: wanted (frames, individuals, 2), came {trails.shape}")
    chosen = find_limb_colours("individual" if colours is None else colours, trails.shape[1])
    if width is None:
        width = 0.002 * float(np.hypot(*canvas.shape[:2]))
    paint_trails(canvas, trails, chosen, width)
    return canvas


def draw_video(
    frames: Iterable[Frame],
    poses: Poses | Parts,
    *,
    trail: int = 50,
    names: bool = True,
    colours: Colours = "individual",
    cutoff: float = CUTOFF,
    stamp: bool = False,
) -> Iterator[Image]:
    """Draw poses on the frames of a video, one at a time.

    Parameters
    ----------
    frames : iterable of (int, uint8 (H, W) or (H, W, 3) or None)
        Frame number and image. None stands for a frame that could not be read; it comes out
        grey, with a note. Frames without a row in ``poses`` come out without a pose.
    poses : Poses or Parts
        In image pixels. Rows are found by their frame number.
    trail : int
        Draw the path of the body centre over this many frames; 0 = none. Unordered slots
        (``individuals`` None) have neither trails nor names, unless there is one only.
    names : bool
        Draw name tags.
    colours, cutoff
        As in `draw_poses`.
    stamp : bool
        Write the frame number, and the time if the rate is known, into the lower left corner.

    Yields
    ------
    uint8, (H, W, 3)
        RGB, one for each frame that comes in, all of the size of the first readable one
        (640 x 480 if there is none).

    Raises
    ------
    ShapeError
        If the poses are not in 2D pixels or an image is not uint8.
    SettingsError
        If ``colours`` is an unknown word.
    """
    if poses.dimensions != 2:
        raise ShapeError("drawing on video: wanted poses in 2D, came 3D; project them first")
    parts, sample = Parts.of(poses), _take_sample(poses)
    individuals = len(parts.names)
    ordered = parts.individuals is not None
    painter = _Painter(
        parts,
        trail=trail if ordered or individuals == 1 else 0,
        names=names and ordered,
        cutoff=cutoff,
    )
    # A first pen here, so that a wrong argument is told on the call and not on the first frame.
    pen = make_pen(1.0, individuals, poses.skeleton, colours)

    def draw() -> Iterator[Image]:
        tools: tuple[Pen, TagPlacer] | None = None
        for index, image, readable in _fill_missing(frames):
            if tools is None:
                radius = find_radius(sample, image.shape)
                tools = replace(pen, radius=radius), TagPlacer(image.shape, 1.5 * radius + 3)
            if readable:
                painter.paint(image, index, *tools)
            if stamp:
                _draw_stamp(image, index, poses.rate)
            yield image

    return draw()


def _take_sample(poses: Poses | Parts) -> AnyFloats:
    """Take the points of some frames, (F', I, K, 2)."""
    rows = np.linspace(0, len(poses) - 1, min(len(poses), 200)).astype(int)
    if isinstance(poses, Poses):
        return poses.points[rows]
    return np.concatenate([part.points for part in poses.take(rows)])


def draw_rings(
    images: Iterable[Image], poses: Poses | Parts, *, marked: Bools | None = None, first: int = 0
) -> Iterator[Image]:
    """Draw rings around some points of a video, such as those that a person has moved.

    Parameters
    ----------
    images : iterable of uint8, (H, W, 3)
        RGB, one for each frame; they are drawn on.
    poses : Poses or Parts
        In image pixels. Rows are found by their frame number.
    marked : bool, (F, I, K), optional
        Which points; parts know by themselves which were ``edited``.
    first : int
        Frame number of the first image.

    Yields
    ------
    uint8, (H, W, 3)
    """
    import cv2

    parts = take_parts(poses, edited=marked)
    if "edited" not in parts.list_support():
        yield from images
        return
    sample, window = _take_sample(parts), _Window(parts.read_supported, len(parts))
    for index, image in enumerate(images, first):
        if (row := _find_row(parts, index)) is not None:
            (near, support), rows = window.look(row, row + 1)
            (points,), (edited,) = near.points[rows], np.asarray(support["edited"], bool)[rows]
            radius = round(2 * find_radius(sample, image.shape) + 2)
            ringed = points[edited & np.isfinite(points).all(-1)]
            for x, y in np.round(ringed).astype(int).tolist():
                cv2.circle(image, (x, y), radius, (0, 0, 0), 3, cv2.LINE_AA)
                cv2.circle(image, (x, y), radius, (255, 255, 255), 1, cv2.LINE_AA)
        yield image


def _find_row(parts: Parts, index: int) -> int | None:
    """Find the row of a video frame, if there is one."""
    row = int(np.searchsorted(parts.frames, index))
    return row if row < len(parts) and parts.frames[row] == index else None


class _Window(Generic[T]):
    """The rows around those that were looked at last; many that follow are read with them."""

    def __init__(self, read: Callable[[slice], T], total: int, *, before: int = 0) -> None:
        self._read, self._total, self._before = read, total, before
        self._rows = slice(0, 0)
        self._held: T | None = None

    def look(self, first: int, stop: int) -> tuple[T, slice]:
        """Give what is held and where in it some rows are."""
        stop, rows = min(stop, self._total), self._rows
        if self._held is None or first < rows.start or stop > rows.stop:
            rows = slice(max(0, first - self._before), min(stop + PART, self._total))
            self._rows, self._held = rows, self._read(rows)
        return self._held, slice(first - rows.start, stop - rows.start)


class _Painter:
    """Draws single rows of poses."""

    def __init__(self, parts: Parts, *, trail: int, names: bool, cutoff: float) -> None:
        self._parts, self._trail, self._names, self._cutoff = parts, trail, names, cutoff
        self._window = _Window(parts.read, len(parts), before=_AROUND)

    def paint(self, canvas: Image, index: int, pen: Pen, placer: TagPlacer) -> None:
        """Draw trails, animals and names of a video frame, in place."""
        if (row := _find_row(self._parts, index)) is None:
            return
        if self._trail > 0:
            first = int(np.searchsorted(self._parts.frames, index - self._trail))
            path = smooth_path(find_centres(self._take(first, row + 1)[0]))
            paint_trails(canvas, path, pen.limbs, 0.8 * pen.radius)
        (points,), (confidence,) = self._take(row, row + 1)
        for i in range(len(points)):
            draw_animal(canvas, points[i], confidence[i], pen, i)
        if self._names:
            # Averaged over neighbouring frames: a leg that twitches does not shake the tag.
            # The mean over boxes is that over any two corners, NaN left out.
            boxes = find_boxes(self._take(max(0, row - _AROUND), row + _AROUND + 1)[0])
            steady = find_centres(boxes.swapaxes(0, 1))
            steady[~np.isfinite(points).any((1, 2))] = np.nan
            _draw_names(canvas, steady, self._parts.names, pen, placer)

    def _take(self, first: int, stop: int) -> tuple[AnyFloats, AnyFloats]:
        """Take points and confidence of some rows."""
        near, rows = self._window.look(first, stop)
        points, confidence = near.points[rows], near.confidence[rows]
        return hide_doubtful(points, confidence, self._cutoff), confidence


def _draw_names(
    canvas: Image, boxes: AnyFloats, names: Sequence[str], pen: Pen, placer: TagPlacer
) -> None:
    size = find_text_size(canvas.shape)
    height, width = canvas.shape[:2]
    left, top, right, bottom = boxes.T
    away = (left > width) | (top > height) | (right < 0) | (bottom < 0)
    boxes = np.where(away.reshape(-1, 1), np.nan, boxes)
    corners = placer.place(boxes, [find_tag_shape(n, size) for n in names])
    for name, corner, colour in zip(names, corners, pen.limbs, strict=True):
        if np.isfinite(corner).all():
            red, green, blue = colour.tolist()
            draw_tag(canvas, name, (corner[0], corner[1]), size=size, fill=(red, green, blue))


def _draw_stamp(canvas: Image, index: int, rate: float | None) -> None:
    text = f"frame {index}"
    if rate:
        minutes, seconds = divmod(index / rate, 60)
        text += f"   {int(minutes)}:{seconds:05.2f}"
    size = find_text_size(canvas.shape)
    height, _ = find_tag_shape(text, size)
    draw_tag(canvas, text, (4, canvas.shape[0] - height - 4), size=size, opacity=0.55)


def _check_points(
    points: npt.ArrayLike, confidence: npt.ArrayLike | None, skeleton: Skeleton
) -> tuple[AnyFloats, AnyFloats]:
    at = take_points(points)
    if at.ndim != 3 or at.shape[1:] != (len(skeleton.keypoints), 2):
        raise ShapeError(
            f"points: wanted (individuals, {len(skeleton.keypoints)} keypoints, 2), came {at.shape}"
        )
    sure = np.ones(at.shape[:2]) if confidence is None else np.asarray(confidence, np.float64)
    if sure.shape != at.shape[:2]:
        raise ShapeError(f"confidence: wanted shape {at.shape[:2]}, came {sure.shape}")
    return at, sure


def _fill_missing(frames: Iterable[Frame]) -> Iterator[tuple[int, Image, bool]]:
    """Copy images as RGB and put a grey one, with a note, where there is none."""
    shape: tuple[int, ...] | None = None
    waiting: list[int] = []  # unreadable frames before the first image, whose size is not known
    for index, image in frames:
        if image is None and shape is None:
            waiting.append(index)
            continue
        canvas = None if image is None else copy_image(image)
        if canvas is not None and shape is None:
            shape = canvas.shape
            yield from ((i, _make_grey(i, shape), False) for i in waiting)
            waiting = []
        if canvas is None:
            yield index, _make_grey(index, shape), False
        else:
            yield index, canvas, True
    yield from ((i, _make_grey(i, shape), False) for i in waiting)


def _make_grey(index: int, shape: tuple[int, ...] | None) -> Image:
    height, width = (shape or (480, 640))[:2]
    canvas = np.full((height, width, 3), _GREY, np.uint8)
    text = f"frame {index} could not be read"
    size = find_text_size(canvas.shape)
    high, wide = find_tag_shape(text, size)
    draw_tag(canvas, text, ((width - wide) / 2, (height - high) / 2), size=size, opacity=0.35)
    return canvas
