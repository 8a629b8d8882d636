"""What a network says of a frame before anything is made of it: maps and candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from mapose.arrays import AnyFloats, Image, Singles
from mapose.plots.colours import find_keypoint_colours
from mapose.plots.figures import INK, make_plot, to_rgb
from mapose.poses import Peaks
from mapose.skeleton import Skeleton

_COLUMNS, _WIDE = 4, 3.2


def plot_scoremaps(
    image: Image, maps: Singles, names: Sequence[str], *, pitch: float, title: str = "Scoremaps"
) -> Figure:
    """Plot maps of numbers from 0 to 1 over an image, one panel each.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        The frame.
    maps : float32, (N, h, w)
        0 to 1.
    names : sequence of str, (N,)
        Titles of the panels, which say the highest value as well.
    pitch : float
        Image pixels per cell of the maps.
    title : str
        Above all.
    """
    figure, axes = _lay_out(image, len(maps), title)
    for panel, values, name in zip(axes, maps, names, strict=True):
        _show_image(panel, image)
        high = values.clip(0, 1)
        panel.imshow(
            high, cmap="inferno", vmin=0, vmax=1, alpha=_fade(high), extent=_span(high, pitch)
        )
        panel.set_title(f"{name}  {values.max(initial=0):.2f}", loc="left", fontsize=7, color=INK)
        _frame(panel, image)
    return figure


def plot_fields(
    image: Image, fields: Singles, links: Sequence[tuple[str, str]], *, pitch: float
) -> Figure:
    """Plot part-affinity fields over an image: colour is direction, its strength the length.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        The frame.
    fields : float32, (E, 2, h, w)
        Direction in x and y.
    links : sequence of pairs of str, (E,)
        From which keypoint to which.
    pitch : float
        Image pixels per cell.
    """
    figure, axes = _lay_out(image, len(fields), "Part-affinity fields (colour: direction)")
    for panel, (x, y), (first, second) in zip(axes, fields, links, strict=True):
        _show_image(panel, image)
        turn = np.arctan2(y, x) / (2 * np.pi) % 1
        length = np.hypot(x, y).clip(0, 1)
        colours = hsv_to_rgb(np.stack([turn, np.ones_like(turn), np.ones_like(turn)], -1))
        panel.imshow(np.dstack([colours, _fade(length)]), extent=_span(length, pitch))
        panel.set_title(f"{first} - {second}  {length.max(initial=0):.2f}", loc="left", fontsize=7)
        _frame(panel, image)
    return figure


def plot_candidates(image: Image, peaks: Peaks, skeleton: Skeleton) -> Figure:
    """Plot all candidates of a frame, and the links that they might have.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        The frame.
    peaks : Peaks
        Of one frame. Their size is the score, that of links their affinity.
    skeleton : Skeleton
        Whose keypoints they are.
    """
    high, wide = image.shape[:2]
    figure = make_plot(7.5, 7.5 * high / wide + 0.4)
    panel = figure.add_subplot()
    _show_image(panel, image)
    colours = to_rgb(find_keypoint_colours(len(skeleton.keypoints)))
    strong = peaks.affinity > 0
    lines = peaks.xy[peaks.pairs[strong]]
    shades = [(1.0, 1.0, 1.0, float(a)) for a in peaks.affinity[strong].clip(0, 1)]
    panel.add_collection(LineCollection(list(lines), colors=shades, linewidths=1.2))
    for k, name in enumerate(skeleton.keypoints):
        mine = peaks.keypoint == k
        x, y = peaks.xy[mine].T
        label = f"{name} ({int(mine.sum())})"
        size = 8 + 40 * peaks.score[mine]
        panel.scatter(x, y, s=size, color=colours[k], edgecolors="black", lw=0.4, label=label)
    panel.legend(
        fontsize=6, ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.01), frameon=False
    )
    panel.set_title(f"{len(peaks)} candidates, {int(strong.sum())} links", loc="left", fontsize=9)
    _frame(panel, image)
    return figure


def _lay_out(image: Image, count: int, title: str) -> tuple[Figure, list[Axes]]:
    columns = min(_COLUMNS, max(count, 1))
    rows = -(-max(count, 1) // columns)
    high, wide = image.shape[:2]
    figure = make_plot(_WIDE * columns, rows * (_WIDE * high / wide + 0.2) + 0.3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(count)]
    return figure, axes


def _show_image(panel: Axes, image: Image) -> None:
    grey = image if image.ndim == 2 else image.mean(-1)
    panel.imshow(0.75 * grey, cmap="gray", vmin=0, vmax=255)


def _fade(strength: AnyFloats) -> AnyFloats:
    """Let the image be seen where there is nothing."""
    faded: AnyFloats = (2.5 * strength).clip(0, 0.85)
    return faded


def _span(values: AnyFloats, pitch: float) -> tuple[float, float, float, float]:
    high, wide = values.shape
    return (-0.5, wide * pitch - 0.5, high * pitch - 0.5, -0.5)


def _frame(panel: Axes, image: Image) -> None:
    panel.set_xlim(-0.5, image.shape[1] - 0.5)
    panel.set_ylim(image.shape[0] - 0.5, -0.5)
    panel.set_axis_off()
