"""A doubtful moment as a strip of pictures: who went in as whom, and who came out."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from matplotlib.figure import Figure

from mapose.arrays import AnyFloats, Image
from mapose.doubts import Doubt
from mapose.errors import ShapeError
from mapose.plots.colours import find_identity_colours
from mapose.plots.extents import find_boxes, smooth_path
from mapose.plots.figures import FAINT, INK, make_plot, to_rgb
from mapose.plots.overlay import draw_poses, draw_trails
from mapose.plots.strokes import copy_image
from mapose.poses import Poses
from mapose.similarity import find_centres

# Drawn so large, limbs and letters look as they do on video.
_PANEL = 420
_BLANK = 60
_BYSTANDER = (150, 150, 150)


def plot_swap(
    poses: Poses,
    moment: Doubt,
    *,
    images: Mapping[int, Image | None],
    trail: float = 0.6,
) -> Figure:
    """Plot a moment in which two animals may have been swapped, frame beside frame.

    All panels show the same part of the image. The two have the colours that they have
    everywhere else, others are grey; lines show where each came from.

    Parameters
    ----------
    poses : Poses
        In the pixels of the images.
    moment : Doubt
        Its individuals are names of the poses.
    images : dict of int to uint8 (H, W) or (H, W, 3), or None
        By video frame, in the order of time: some before, during and after the moment. None =
        no image; the poses are then drawn on plain grey.
    trail : float
        Seconds (frames / 25 if the rate is not known) over which to show where they came from.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per frame.

    Raises
    ------
    ShapeError
        If the poses are 3D or lack a frame or name, or there is no image to show.
    """
    if poses.dimensions != 2:
        raise ShapeError("a doubtful moment: wanted poses in 2D, came 3D; take those of a camera")
    if not images:
        raise ShapeError("a doubtful moment: wanted at least one frame to show")
    who = poses.sel(individual=list(moment.individuals))
    rows = [int(np.searchsorted(poses.frames, f)) for f in sorted(images)]
    window = _find_window(who.sel(frames=sorted(images)).points, list(images.values()))
    figure = make_plot(2.3 * len(images), 2.3 * window[3] / window[2] + 0.75)
    panels = figure.subplots(1, len(images), squeeze=False)[0]
    length = max(1, round(trail * (poses.rate or 25.0)))
    for axes, frame, row in zip(panels, sorted(images), rows, strict=True):
        axes.imshow(_draw_panel(poses, moment, row, images[frame], window, length))
        axes.set_axis_off()
        when = "before" if frame < moment.first else "after" if frame > moment.last else "during"
        time = (
            ""
            if not poses.rate
            else f"   {frame // poses.rate // 60:.0f}:" + (f"{frame / poses.rate % 60:05.2f}")
        )
        axes.set_title(when, loc="left", fontsize=9, color=INK, fontweight="bold")
        axes.set_title(f"frame {frame}{time}", loc="right", fontsize=7.5, color=FAINT)
    _add_heading(figure, poses, moment)
    return figure


def _add_heading(figure: Figure, poses: Poses, moment: Doubt) -> None:
    colours = to_rgb(find_identity_colours(len(poses.names)))
    marks = [
        figure.axes[0].plot([], [], color=colours[poses.names.index(name)], linewidth=4)[0]
        for name in moment.individuals
    ]
    figure.legend(
        marks, moment.individuals, loc="outside upper left", ncols=2, frameon=False, fontsize=8.5,
        labelcolor=INK, handlelength=1.2,
    )  # fmt: skip
    text = f"probability of a swap: {moment.probability:.3f}"
    figure.legend([], [], loc="outside upper right", title=text, title_fontsize=8.5, frameon=False)


def _find_window(
    points: AnyFloats, images: list[Image | None]
) -> tuple[float, float, float, float]:
    """Choose the part of the image to show: left, top, width, height, px."""
    seen = points[np.isfinite(points).all(-1)]
    shape = next((i.shape for i in images if i is not None), None)
    if not len(seen):
        return (0.0, 0.0, shape[1], shape[0]) if shape else (0.0, 0.0, 100.0, 100.0)
    low, high = seen.min(0).astype(np.float64), seen.max(0).astype(np.float64)
    boxes = find_boxes(points)
    body = float(
        np.nanmedian(np.hypot(boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]))
    )
    size = high - low + max(0.35 * body, 8.0)
    # No narrower than 3 : 4 either way, so that strips look alike.
    size = np.maximum(size, 0.75 * size.max())
    corner = (low + high - size) / 2
    if shape:
        edge = np.array(shape[1::-1], np.float64)
        size = np.minimum(size, edge)
        corner = np.clip(corner, 0, edge - size)
    return float(corner[0]), float(corner[1]), float(size[0]), float(size[1])


def _draw_panel(
    poses: Poses,
    moment: Doubt,
    row: int,
    image: Image | None,
    window: tuple[float, float, float, float],
    trail: int,
) -> Image:
    left, top, width, height = (round(x) for x in window)
    scale = _PANEL / max(width, height)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    if image is None:
        canvas = np.full((size[1], size[0], 3), _BLANK, np.uint8)
    else:
        part = copy_image(image)[top : top + height, left : left + width]
        canvas = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    # The centre of a pixel is half a pixel from its edge, at any size.
    points = (poses.points[max(0, row - trail) : row + 1] - [left, top] + 0.5) * scale - 0.5
    colours = find_identity_colours(len(poses.names))
    pair = [poses.names.index(name) for name in moment.individuals]
    colours[[i for i in range(len(colours)) if i not in pair]] = _BYSTANDER
    paths = smooth_path(find_centres(points[:, pair]))
    canvas = draw_trails(canvas, paths, colours=colours[pair], width=3.0)
    return draw_poses(canvas, points[-1], poses.confidence[row], poses.skeleton, colours=colours)
