"""A calibration made visible: errors of each camera, what it has seen, and where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.path import Path

from mapose.arrays import Floats
from mapose.errors import ShapeError
from mapose.plots.figures import FAINT, INK, dress_axes, make_plot
from mapose.plots.rigs import CameraView, find_frustum, find_upright

# More corners than this are not told apart in a panel of four centimetres.
_MOST_POINTS = 5000
_COLUMNS = 4
# Points of type across the view from above, and places in the box around a name.
_POINTS = 230
_BOX = np.stack(np.meshgrid([-1, -0.5, 0, 0.5, 1], [-1, 0, 1]), -1).reshape(-1, 2)
_BAR = "#4fb3f0"
_DARK = "#1d5f8f"
# Without its pale end, which is lost on white.
_ERROR = ListedColormap(colormaps["plasma"](np.linspace(0, 0.86, 256)))


def plot_calibration(
    cameras: Iterable[CameraView],
    pixels: npt.ArrayLike,
    errors: npt.ArrayLike,
    *,
    boards: npt.ArrayLike | None = None,
    unit: str = "",
) -> Figure:
    """Plot how well cameras were calibrated, and from what.

    Parameters
    ----------
    cameras : CameraGroup or iterable of V Camera
        The result.
    pixels : float, (V, F, C, 2)
        Where each camera saw the corners of the board, or any points; NaN = not seen.
    errors : float, (V, F, C)
        Distance to where the calibration puts them, px; NaN = not seen.
    boards : float, (F, 3), optional
        Where the board was, in the world; dots in the view from above. NaN = not known.
    unit : str
        Of the world.

    Returns
    -------
    matplotlib.figure.Figure
        Errors per camera (median, quartiles, 5th to 95th percentile), the rig from above, and
        for each camera the places in its image where it saw the board, coloured by error: what
        stays white was not calibrated.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    cameras = list(cameras)
    seen, errors = np.asarray(pixels, np.float64), np.asarray(errors, np.float64)
    wanted = (len(cameras), *errors.shape[1:], 2)
    if errors.ndim != 3 or seen.shape != wanted:
        raise ShapeError(
            f"calibration: wanted pixels ({len(cameras)}, F, C, 2) and errors ({len(cameras)}, F, "
            f"C), came {seen.shape} and {errors.shape}"
        )
    columns = min(_COLUMNS, max(2, len(cameras)))
    rows = -(-len(cameras) // columns)
    top = max(2.6, 0.6 + 0.3 * len(cameras))
    figure = make_plot(9.6, top + 2.1 * rows * 4 / columns + 0.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=[top, 2.1 * rows * 4 / columns])
    above, below = parts
    left, right = above.subplots(1, 2, width_ratios=[1.15, 1])
    _plot_errors(left, cameras, errors, np.isfinite(seen[..., 0]).any(-1).sum(-1))
    _plot_rig(right, cameras, None if boards is None else np.asarray(boards, np.float64), unit)
    panels = below.subplots(rows, columns, squeeze=False).ravel()
    finite = errors[np.isfinite(errors)]
    limit = float(np.percentile(finite, 95)) if finite.size else 1.0
    picture = None
    for axes, camera, at, off in zip(panels, cameras, seen, errors, strict=False):
        picture = _plot_coverage(axes, camera, at, off, limit)
    for axes in panels[len(cameras) :]:
        axes.set_axis_off()
    if picture is not None:
        bar = below.colorbar(
            picture,
            ax=list(panels),
            pad=0.01,
            aspect=26,
            extend="max",
            shrink=max(0.4, 0.95 / rows),
        )
        bar.set_label("error (px)", fontsize=8.5, color=INK)
        bar.ax.tick_params(labelsize=8, length=0)
        bar.outline.set_visible(False)
    return figure


def _plot_errors(
    axes: Axes, cameras: Sequence[CameraView], errors: Floats, views: npt.NDArray[np.integer]
) -> None:
    """Draw one row per camera: a line for the middle 90 %, a bar for the middle half, a median."""
    reach = 0.0
    labels = []
    for row, (camera, values) in enumerate(zip(cameras, errors, strict=True)):
        found = values[np.isfinite(values)]
        labels.append(f"{camera.name}  ({views[row]} views)")  # as many as the report says
        if not found.size:
            axes.text(0, row, " never saw the board", fontsize=8, color="#c0392b", va="center")
            continue
        p5, p25, p50, p75, p95 = np.percentile(found, [5, 25, 50, 75, 95])
        reach = max(reach, float(p95))
        axes.plot([p5, p95], [row, row], color=_DARK, linewidth=1.0, solid_capstyle="butt")
        axes.barh(row, p75 - p25, left=p25, height=0.46, color=_BAR)
        axes.plot([p50, p50], [row - 0.27, row + 0.27], color=_DARK, linewidth=2.2)
        axes.annotate(
            f"{p50:.2f}", (p95, row), xytext=(5, 0), textcoords="offset points",
            fontsize=8, color=INK, va="center",
        )  # fmt: skip
    axes.set_yticks(range(len(cameras)), labels)
    axes.set_ylim(len(cameras) - 0.4, -0.6)
    axes.set_xlim(0, 1.18 * reach or 1)
    dress_axes(axes, title="Reprojection error (median)", x="px", grid="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _plot_rig(axes: Axes, cameras: Sequence[CameraView], boards: Floats | None, unit: str) -> None:
    """Draw the cameras seen from above, as wedges that open towards what they see."""
    tips = np.array([c.centre for c in cameras])
    if len(tips) > 1 and not np.ptp(tips, axis=0).any():
        axes.text(0.5, 0.5, "lenses only", ha="center", fontsize=8.5, color=FAINT)
        axes.set_axis_off()
        return
    turn, middle = find_upright(cameras), tips.mean(0)
    boards = np.empty((0, 3)) if boards is None else boards[np.isfinite(boards).all(-1)]
    if len(boards):
        middle = np.median(boards, axis=0)
        axes.plot(*(boards @ turn.T)[:, :2].T, ".", color="0.72", markersize=3, zorder=1)
    # A lone camera above the middle still gets a wedge of some size.
    apart = float(np.linalg.norm(tips - middle, axis=-1).max()) or 1.0
    targets = [c.centre + apart * np.asarray(c.rotation_matrix)[2] for c in cameras]
    frusta = [
        (find_frustum(camera, target, share=0.25) @ turn.T)[:, :2]
        for camera, target in zip(cameras, targets, strict=True)
    ]
    for frustum in frusta:
        tip, corners = frustum[0], frustum[1:]
        for j in range(4):
            side = np.stack([tip, corners[j], corners[(j + 1) % 4]])
            axes.add_patch(
                Polygon(side, facecolor=(0.19, 0.40, 0.62, 0.10), edgecolor=(0.19, 0.40, 0.62, 0.6))
            )
        axes.plot(*tip, "o", color="#2f6296", markersize=4)
    around = np.concatenate([tips, boards]) @ turn.T
    low, high = around[:, :2].min(0), around[:, :2].max(0)
    margin = 0.16 * float((high - low).max()) or 0.5 * apart
    names = [camera.name for camera in cameras]
    point = (float((high - low).max()) + 2 * margin) / _POINTS
    for name, at, place in zip(names, frusta, _place_names(names, frusta, point), strict=True):
        axes.annotate(
            name, tuple(at[0]), xytext=place, textcoords="offset points",
            fontsize=8, color="#2f6296", va="center", ha="center",
        )  # fmt: skip
    # Unseen corners, for limits that may grow in one direction to keep the scale.
    axes.plot(*np.stack([low - margin, high + margin]).T, linestyle="")
    axes.margins(0)
    axes.set_aspect("equal", adjustable="datalim")
    suffix = f" ({unit})" if unit else ""
    words = f"from above{suffix}" + ("; dots: board" if len(boards) else "")
    dress_axes(axes, title="Cameras", x=words, grid="both")


def _place_names(
    names: Sequence[str], frusta: Sequence[Floats], point: float
) -> list[tuple[float, float]]:
    """Choose where names stand, in points from the tips: not on other cameras, or on each other.

    Parameters
    ----------
    names : sequence of str, (V,)
    frusta : sequence of float, (5, 2)
        Pyramids from above, the tip first.
    point : float
        Size of a point of type in their unit.
    """
    places: list[tuple[float, float]] = []
    boxes: list[Floats] = []
    for number, (name, frustum) in enumerate(zip(names, frusta, strict=True)):
        half = np.array([2.6 * len(name) + 2, 5.0])
        tries: list[tuple[float, int, Floats, Floats]] = []
        for reach in (4.0, 14.0, 26.0):
            for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False):
                offset = np.array([np.cos(angle), np.sin(angle)]) * (half + reach)
                box = frustum[0] + (offset + _BOX * half) * point
                others = [f for n, f in enumerate(frusta) if n != number]
                covered = sum(_count_inside(box, other) for other in others)
                near = sum(np.abs(box[None] - b[:, None]).max(-1).min() < 4 * point for b in boxes)
                cost = 4 * covered + 20 * near + _count_inside(box, frustum) + reach / 10
                tries.append((float(cost), len(tries), offset, box))
        _, _, offset, box = min(tries, key=lambda found: found[:2])
        places.append((float(offset[0]), float(offset[1])))
        boxes.append(box)
    return places


def _count_inside(points: Floats, frustum: Floats) -> int:
    """Count points (N, 2) on a pyramid (5, 2) as seen from above."""
    tip, corners = frustum[0], frustum[1:]
    sides = [np.stack([tip, corners[j], corners[(j + 1) % 4]]) for j in range(4)]
    inside = [Path(side).contains_points(points) for side in (*sides, corners)]
    return int(np.any(inside, axis=0).sum())


def _plot_coverage(
    axes: Axes, camera: CameraView, pixels: Floats, errors: Floats, limit: float
) -> Any:
    """Draw the image as a frame and what was seen in it as dots."""
    width, height = camera.size
    there = np.isfinite(pixels).all(-1) & np.isfinite(errors)
    at, off = pixels[there], errors[there]
    step = 1 + len(at) // _MOST_POINTS
    order = np.argsort(off[::step])  # the worst on top
    axes.add_patch(
        Rectangle((-0.5, -0.5), width, height, facecolor="0.985", edgecolor="0.6", linewidth=0.8)
    )
    x, y = at[::step][order].T
    picture = axes.scatter(
        x, y, c=off[::step][order], s=3, cmap=_ERROR, vmin=0, vmax=limit,
        linewidths=0, rasterized=True,
    )  # fmt: skip
    axes.set_xlim(-0.02 * width, 1.02 * width)
    axes.set_ylim(1.02 * height, -0.02 * height)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(camera.name, loc="left", fontsize=8.5, color=INK)
    count = int(np.isfinite(pixels).all(-1).sum())
    axes.set_xlabel(f"{count} corners", fontsize=8, color=FAINT)
    return picture
