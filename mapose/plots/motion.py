"""How fast animals move, and their ways through zones, as figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.figure import Figure

from mapose.arrays import Floats, Image
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.plots.colours import find_identity_colours
from mapose.plots.figures import (
    INK,
    BinReducer,
    dress_axes,
    find_bins,
    find_times,
    make_plot,
    to_rgb,
)
from mapose.plots.trajectories import plot_trajectories
from mapose.poses import Poses
from mapose.zones import Zone

_MOST_BINS = 1_000
# Share of the picture that is left around paths and zones.
_MARGIN = 0.03


def plot_speeds(poses: Poses | Parts, speeds: Floats | Iterable[Floats]) -> Figure:
    """Plot how fast the animals are over time.

    Parameters
    ----------
    poses : Poses or Parts
        For names, time and unit.
    speeds : float, (F, I), or several such one after the other
        As `mapose.kinematics.find_speeds` gives them. Of long recordings the highest value within
        each of 1000 bins is shown.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per animal, all with the same scale.

    Raises
    ------
    ShapeError
        If the speeds are not one for each frame and individual.
    """
    names = poses.names
    times, label = find_times(poses)
    shape = (len(poses), len(names))
    if len(poses) > 2 * _MOST_BINS:
        bins, count = find_bins(poses.frames, _MOST_BINS)
        times = np.linspace(times[0], times[-1], count)
    else:
        bins, count = np.arange(len(poses)), len(poses)
    highest, rows = BinReducer(np.fmax, bins, count), 0
    for run in [speeds] if isinstance(speeds, np.ndarray) else speeds:
        if np.shape(run)[1:] != shape[1:] or rows + len(run) > len(poses):
            raise ShapeError(f"speeds: wanted {shape}, came {np.shape(run)} after {rows} frames")
        highest.add(run)
        rows += len(run)
    if rows != len(poses):
        raise ShapeError(f"speeds: wanted {shape}, came {rows} frames")
    figure = make_plot(8, 0.6 + 1.3 * len(names))
    panels = figure.subplots(len(names), sharex=True, sharey=True, squeeze=False)[:, 0]
    colours = to_rgb(find_identity_colours(len(names)))
    for i, axes in enumerate(panels):
        axes.plot(times, highest.values[:, i], color=colours[i], linewidth=0.9)
        last = i == len(names) - 1
        dress_axes(axes, title=names[i], x=label if last else "", y=f"{poses.unit}/s", grid="y")
        axes.margins(x=0)
    panels[0].set_ylim(bottom=0)
    return figure


def plot_zones(
    poses: Poses | Parts, zones: Sequence[Zone], *, image: Image | None = None
) -> Figure:
    """Plot the paths of the animals and the zones.

    Parameters
    ----------
    poses : Poses or Parts
        In 2D.
    zones : sequence of Zone
        In the unit of the poses.
    image : uint8, (H, W) or (H, W, 3), optional
        Background, of poses in pixels.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ShapeError
        If the poses are 3D.
    """
    figure = plot_trajectories(poses, image=image)
    axes = figure.axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for zone in zones:
        x, y = np.vstack([zone.corners, zone.corners[:1]]).T
        axes.plot(x, y, color=INK, linewidth=1.2, linestyle="--")
        axes.annotate(zone.name, zone.corners.mean(0), ha="center", fontsize=8, color=INK)
        left, right = min(left, x.min()), max(right, x.max())
        low, high = max(low, y.max()), min(high, y.min())  # y points down
    # A little more on each side: the side of a zone would hide behind the axis.
    wide, tall = _MARGIN * (right - left), _MARGIN * (high - low)
    axes.set_xlim(left - wide, right + wide)
    axes.set_ylim(low - tall, high + tall)
    return figure
