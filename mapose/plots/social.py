"""Who, with whom, where and how surely: behaviour and identity as figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mapose.arrays import Floats
from mapose.bouts import Bout, Occupancy
from mapose.doubts import Doubt
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.plots.colours import find_identity_colours
from mapose.plots.figures import (
    FAINT,
    INK,
    BinReducer,
    dress_axes,
    find_bins,
    find_times,
    make_plot,
    to_rgb,
)
from mapose.poses import Poses

_MOST_BINS = 1_000
_BOTH = "0.45"
# Bouts of a line that are drawn one by one: each is at least a point wide, which makes more seem
# to last longer than they do.
_MOST_MARKS = 200
# How dark at least what happens in a bin is.
_FAINT = 0.2


def plot_identity(poses: Poses | Parts, *, moments: Iterable[Doubt] = ()) -> Figure:
    """Plot how likely each name is right over time, and where that was in doubt.

    Parameters
    ----------
    poses : Poses or Parts
        With `identity`. Of long recordings the lowest value within each of 1000 bins is shown.
    moments : iterable of Doubt, optional
        Doubtful moments, such as `mapose.find_swaps` lists: grey bars below, as high
        as the probability of a swap.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels.

    Raises
    ------
    ShapeError
        If the poses have no probabilities.
    """
    parts = Parts.of(poses)
    if parts.head.identity is None:
        raise ShapeError("identity: these poses have no probabilities: they come from tracking")
    times, label = find_times(poses)
    runs = (part.identity.astype(np.float64) for part in parts if part.identity is not None)
    scale = _find_scale(poses, times)
    if len(parts) <= 2 * _MOST_BINS:
        values = np.concatenate(list(runs))
    else:
        bins, count = find_bins(parts.frames, _MOST_BINS)
        least = BinReducer(np.fmin, bins, count)
        for run in runs:
            least.add(run)
        values = least.values
        times = np.linspace(times[0], times[-1], count)
    figure = make_plot(8, 3.0)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    colours = to_rgb(find_identity_colours(len(poses.names)))
    # Two that may have been swapped have the same probability: the first shows behind the other.
    widths = np.linspace(3.4, 1.2, len(colours))
    for name, line, colour, width in zip(poses.names, values.T, colours, widths, strict=True):
        upper.plot(times, line, color=colour, linewidth=width, label=name)
    # A doubt of one in a hundred shall show; where all is sure the line is at the top.
    upper.set_ylim(min(0.98, 1.15 * float(np.nanmin(values, initial=1.0)) - 0.15), 1.004)
    dress_axes(upper, title="Is the name right?", y="probability", grid="y")
    lower.set_ylim(0, 0.05)
    for moment in moments:
        lower.set_ylim(0, max(lower.get_ylim()[1], min(1.0, 1.2 * moment.probability)))
        lower.bar(
            moment.first * scale, moment.probability, align="edge", color=_BOTH,
            width=max((moment.last + 1 - moment.first) * scale, 0.002 * (times[-1] - times[0])),
        )  # fmt: skip
    if len(times):
        lower.set_xlim(times[0], max(times[-1], times[0] + scale))
    dress_axes(lower, x=label, y="swapped?", grid="y")
    _add_names(figure, upper)
    return figure


def plot_ethogram(poses: Poses | Parts, behaviours: Mapping[str, Sequence[Bout]]) -> Figure:
    """Plot who did what when, one line per behaviour and animal or pair.

    Parameters
    ----------
    poses : Poses or Parts
        For names, colours and time.
    behaviours : dict of str to sequence of Bout
        By name, in the order from top to bottom. What one does has its colour, also what it does
        to another; what both do is grey. The time it takes altogether stands at the right. Of more
        than 200 in a line the share of time in each of 1000 bins is shown, the more the darker.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per behaviour.

    Raises
    ------
    ShapeError
        If there is no behaviour, or a bout is of somebody else.
    """
    if not behaviours:
        raise ShapeError("ethogram: wanted at least one behaviour")
    times, label = find_times(poses)
    scale = _find_scale(poses, times)
    colours = dict(zip(poses.names, to_rgb(find_identity_colours(len(poses.names))), strict=True))
    blocks = {name: _share_out(bouts) for name, bouts in behaviours.items()}
    heights = [max(1, len(lines)) for lines in blocks.values()]
    figure = make_plot(8, 0.75 + 0.34 * len(blocks) + 0.24 * sum(heights))
    panels = figure.subplots(len(blocks), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, lines) in zip(panels, blocks.items(), strict=True):
        for y, ((who, directed), bouts) in enumerate(lines.items()):
            if not set(who) <= set(colours):
                raise ShapeError(f"ethogram: {name} is of {' and '.join(who)}, who are not here")
            colour = _BOTH if len(who) > 1 and not directed else colours[who[0]]
            spans = scale * np.array([(b.first, b.last + 1 - b.first) for b in bouts])
            style: dict[str, Any] = {"color": colour}
            if len(bouts) > _MOST_MARKS:
                spans, shares = _share_time(spans, scale * float(poses.frames[-1] + 1))
                # However little, it shows.
                shades = [to_rgba(colour, _FAINT + (1 - _FAINT) * x if x else 0) for x in shares]
                style = {"facecolors": shades, "linewidth": 0}
            axes.broken_barh(spans.reshape(-1, 2), (y - 0.36, 0.72), **style)
            amount = sum(b.last + 1 - b.first for b in bouts)
            total = f"{amount / poses.rate:.1f} s" if poses.rate else f"{amount} frames"
            axes.annotate(
                f"{len(bouts)} x, {total}", (1, y), xycoords=("axes fraction", "data"),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color=FAINT,
            )  # fmt: skip
        dress_axes(axes, title=name)
        marks = [(" → " if to else " – ").join(who) for who, to in lines] or ["never"]
        axes.set_yticks(range(len(marks)), marks)
        axes.set_ylim(len(marks) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    if len(times):
        panels[-1].set_xlim(times[0], times[-1] + scale)
    panels[-1].set_xlabel(label, fontsize=8.5, color=INK)
    return figure


def plot_occupancy(occupancy: Occupancy) -> Figure:
    """Plot how long each animal was where, as seen by the camera.

    Parameters
    ----------
    occupancy : Occupancy
        From `mapose.kinematics.find_occupancy`. The colours end at the 99th percentile of the
        visited cells, so that one sleeping place does not hide all the rest.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per animal, all with the same scale.
    """
    seconds = np.asarray(occupancy.seconds, np.float64)
    visited = seconds[seconds > 0]
    top = float(np.percentile(visited, 99)) if visited.size else 1.0
    x, y = occupancy.x, occupancy.y
    count = len(occupancy.individuals)
    columns = min(count, 4)
    rows = -(-count // columns)
    ratio = float((y[-1] - y[0]) / (x[-1] - x[0]))
    figure = make_plot(2.9 * columns + 0.9, 2.7 * ratio * rows + 0.8)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    colours = to_rgb(find_identity_colours(count))
    for i, axes in enumerate(panels.flat):
        if i >= count:
            axes.set_axis_off()
            continue
        picture = axes.pcolormesh(
            x, y, np.ma.masked_equal(seconds[i], 0), cmap="viridis", vmin=0, vmax=top,
            rasterized=True,
        )  # fmt: skip
        axes.set_aspect("equal")
        axes.set_facecolor("0.94")
        below, left = i // columns == rows - 1, i % columns == 0
        unit = occupancy.unit
        dress_axes(axes, x=f"x ({unit})" if below else "", y=f"y ({unit})" if left else "")
        who = occupancy.individuals[i]
        axes.set_title(who, loc="left", fontsize=9.5, color=colours[i], fontweight="bold")
    panels[0, 0].set_ylim(y[-1], y[0])
    bar = figure.colorbar(picture, ax=panels, pad=0.02, aspect=25, shrink=0.9, extend="max")
    bar.set_label("time (s)", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, length=0)
    bar.outline.set_visible(False)
    return figure


def _share_time(spans: Floats, end: float) -> tuple[Floats, Floats]:
    """Cut the time up to an end into bins: these (B, 2), from when and how long, and what is taken.

    Of many times (N, 2) that do not overlap, in order, the share (B,) that they have of each bin.
    """
    edges = np.linspace(0.0, end, _MOST_BINS + 1)
    knots = np.stack([spans[:, 0], spans.sum(1)], axis=1).ravel()
    taken = np.repeat(np.concatenate([[0.0], np.cumsum(spans[:, 1])]), 2)[1:-1]
    shares = np.diff(np.interp(edges, knots, taken)) / np.diff(edges)
    return np.stack([edges[:-1], np.diff(edges)], axis=1), np.clip(shares, 0, 1)


def _share_out(bouts: Sequence[Bout]) -> dict[tuple[tuple[str, ...], bool], list[Bout]]:
    """Give each animal or pair its line, in the order of names."""
    lines: dict[tuple[tuple[str, ...], bool], list[Bout]] = {}
    for bout in sorted(bouts, key=lambda b: (b.individuals, b.first)):
        lines.setdefault((bout.individuals, bout.directed), []).append(bout)
    return lines


def _find_scale(poses: Poses | Parts, times: Floats) -> float:
    """Find how long a frame is on the axis of `find_times`."""
    if len(poses) < 2:
        return 1.0 / (poses.rate or 1.0)
    return float((times[-1] - times[0]) / (poses.frames[-1] - poses.frames[0]))


def _add_names(figure: Figure, axes: Axes) -> None:
    legend = figure.legend(
        *axes.get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8,
        handlelength=1.2, labelcolor=INK,
    )  # fmt: skip
    for line in legend.get_lines():
        line.set_linewidth(2.5)
