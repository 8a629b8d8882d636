"""A reconstruction over time: where, how surely, what was filled in, and bone lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mapose.arrays import Bools, Floats, Ints
from mapose.errors import ShapeError
from mapose.plots.colours import find_identity_colours
from mapose.plots.figures import (
    FAINT,
    INK,
    dress_axes,
    find_bins,
    find_times,
    make_plot,
    reduce_bins,
    to_rgb,
)
from mapose.poses import Poses

_MOST_BINS = 1000
_MOST_BONES = 30
# Half-width of the region that holds 95 % of a normal distribution.
_SIGMAS = 1.96


def plot_reconstruction(
    poses: Poses,
    *,
    keypoint: str | None = None,
    error: npt.ArrayLike | None = None,
    n_views: npt.ArrayLike | None = None,
    filled: npt.ArrayLike | None = None,
) -> Figure:
    """Plot how one keypoint moves through space, and how constant the bones are.

    Parameters
    ----------
    poses : Poses
        3D. Its covariance, if there, becomes a band that should hold the truth in 95 % of the
        frames. Long recordings are drawn as the range within each of 1000 bins.
    keypoint : str, optional
        By default the one with most limbs.
    error : float, (F, I, K), optional
        Reprojection error, px; NaN = none. Gets a panel.
    n_views : int, (F, I, K), optional
        Cameras used. Gets a panel.
    filled : bool, (F, I, K), optional
        Points that were filled in, not measured: their line is thin and the time tinted.

    Returns
    -------
    matplotlib.figure.Figure
        One panel each for x, y, z, then error and number of cameras; at the right the lengths of
        the bones of each individual: middle half and middle 90 %, around their own median.

    Raises
    ------
    ShapeError
        If the poses are 2D, an array does not fit, or there is no such keypoint.
    """
    if poses.dimensions != 3:
        raise ShapeError("reconstruction: wanted poses in 3D, came 2D; use plot_positions")
    given = {"error": error, "n_views": n_views, "filled": filled}
    for name, values in given.items():
        if values is not None and np.shape(values) != poses.array.shape[:3]:
            raise ShapeError(
                f"{name}: wanted shape {poses.array.shape[:3]}, came {np.shape(values)}"
            )
    chosen = _choose_keypoint(poses) if keypoint is None else poses.skeleton.index(keypoint)
    marked = np.zeros(poses.array.shape[:2], bool)
    if filled is not None:
        marked = np.asarray(filled, bool)[:, :, chosen]
    extra = [name for name in ("error", "n_views") if given[name] is not None]
    bones = len(poses.skeleton.edges) > 0
    rows = 3 + len(extra)
    heights = [1.0] * 3 + [0.6] * len(extra)
    width = 11.0 if bones else 8.0
    figure = make_plot(width, 0.7 + 1.55 * sum(heights))
    grid = figure.add_gridspec(rows, 2 if bones else 1, height_ratios=heights,
                               width_ratios=[2.1, 1] if bones else [1])  # fmt: skip
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[r, 0], sharex=panels[0]) for r in range(1, rows)]
    track = _Track(poses, chosen, marked)
    for c in range(3):
        track.draw(panels[c], c)
    for axes, name in zip(panels[3:], extra, strict=True):
        values = np.asarray(given[name], np.float64)[:, :, chosen]
        track.draw_extra(axes, name, values)
    _dress(panels, poses, chosen, bool(marked.any()))
    if bones:
        _plot_bones(figure.add_subplot(grid[:, 1]), poses)
    return figure


def _choose_keypoint(poses: Poses) -> int:
    """Choose the keypoint at which most limbs meet; of equals the one most often found."""
    limbs = np.bincount(poses.skeleton.edge_index.ravel(), minlength=poses.array.shape[2])
    found = (poses.confidence > 0).mean((0, 1)) if len(poses) else np.zeros(len(limbs))
    return int(np.argmax(limbs + np.nan_to_num(found)))


class _Track:
    """One keypoint of all individuals, thinned to what a page can show."""

    def __init__(self, poses: Poses, keypoint: int, filled: Bools) -> None:
        points = poses.points[:, :, keypoint].astype(np.float64)
        reach = np.zeros_like(points)
        if poses.covariance is not None:
            variance = np.diagonal(poses.covariance[:, :, keypoint], axis1=-2, axis2=-1)
            reach = _SIGMAS * np.sqrt(np.maximum(np.nan_to_num(variance), 0))
        times, self.label = find_times(poses)
        low, middle, high = points - reach, points, points + reach
        self._bins: tuple[Ints, int] | None = None
        if len(poses) > 2 * _MOST_BINS:
            bins, count = find_bins(poses.frames, _MOST_BINS)
            low = reduce_bins(np.fmin, low, bins, count)
            high = reduce_bins(np.fmax, high, bins, count)
            middle = (low + high) / 2
            filled = reduce_bins(np.fmax, filled.astype(float), bins, count) > 0
            self._bins = (bins, count)
            times = np.linspace(times[0], times[-1], count)
        else:
            # A frame without a row is a gap; a line must not bridge it.
            gaps = np.flatnonzero(np.diff(poses.frames) > 1) + 1
            low, middle, high = (_insert_gaps(a, gaps) for a in (low, middle, high))
            filled = np.insert(filled, gaps, False, axis=0)
            times = np.insert(times, gaps, (times[gaps - 1] + times[gaps]) / 2)
            self._gaps = gaps
        self.times, self.filled = times, filled
        self.low, self.middle, self.high = low, middle, high
        self.names = poses.names
        self.colours = to_rgb(find_identity_colours(len(poses.names)))

    def draw(self, axes: Axes, coordinate: int) -> None:
        """Draw one coordinate with its band."""
        for i, colour in enumerate(self.colours):
            middle = self.middle[:, i, coordinate]
            axes.fill_between(
                self.times, self.low[:, i, coordinate], self.high[:, i, coordinate],
                color=colour, alpha=0.25, linewidth=0, zorder=2,
            )  # fmt: skip
            measured = np.where(self.filled[:, i], np.nan, middle)
            alone = _find_alone(measured)
            axes.plot(self.times, middle, color=colour, linewidth=0.7, alpha=0.8, zorder=3)
            axes.plot(
                self.times, measured, color=colour, linewidth=1.7, zorder=4, label=self.names[i]
            )
            if alone.any():
                axes.plot(
                    self.times[alone], measured[alone], ".", color=colour, markersize=3, zorder=4
                )
        self._tint(axes)

    def draw_extra(self, axes: Axes, name: str, values: Floats) -> None:
        """Draw the reprojection error or the number of cameras."""
        if self._bins is not None:
            values = reduce_bins(np.fmax if name == "error" else np.fmin, values, *self._bins)
        else:
            values = _insert_gaps(values, self._gaps)
        for i, colour in enumerate(self.colours):
            if name == "error":
                axes.plot(self.times, values[:, i], color=colour, linewidth=0.8, alpha=0.9)
            else:
                # Lines of several animals would lie upon each other: a little apart they show.
                shift = 0.06 * (i - (len(self.colours) - 1) / 2)
                axes.step(
                    self.times, values[:, i] + shift, where="mid", color=colour, linewidth=1.1
                )
        axes.set_ylim(bottom=0)
        axes.set_ylabel("error (px)" if name == "error" else "cameras")
        self._tint(axes)

    def _tint(self, axes: Axes) -> None:
        """Tint the times at which something was filled in."""
        anywhere = self.filled.any(1)
        if anywhere.any():
            axes.fill_between(
                self.times, 0, 1, where=anywhere, transform=axes.get_xaxis_transform(),
                color="0.93", linewidth=0, zorder=0, step="mid",
            )  # fmt: skip


def _insert_gaps(values: Floats, gaps: Ints) -> Floats:
    return np.asarray(np.insert(values, gaps, np.nan, axis=0))


def _find_alone(values: Floats) -> Bools:
    """Tell which values have no neighbour to draw a line to."""
    there = np.isfinite(values)
    padded = np.pad(there, 1)
    return np.asarray(there & ~padded[:-2] & ~padded[2:])


def _dress(panels: Sequence[Axes], poses: Poses, keypoint: int, filled: bool) -> None:
    words = [f"{axis} ({poses.unit})" for axis in "xyz"]
    words += [axes.get_ylabel() for axes in panels[3:]]
    label = find_times(poses)[1]
    for r, axes in enumerate(panels):
        last = axes is panels[-1]
        dress_axes(axes, x=label if last else "", y=words[r], grid="y")
        axes.margins(x=0)
        if not last:
            axes.tick_params(labelbottom=False)
    name = poses.skeleton.keypoints[keypoint]
    panels[0].set_title(name, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    notes = ["band: 95 %"] if poses.covariance is not None else []
    notes += ["grey, thin line: filled in"] if filled else []
    panels[0].set_title("; ".join(notes), loc="right", fontsize=8, color=FAINT)
    if len(poses.names) > 1:
        legend = panels[0].legend(
            loc="lower left", bbox_to_anchor=(0, 1.12), ncols=min(8, len(poses.names)),
            frameon=False, fontsize=8, handlelength=1.2, borderaxespad=0, labelcolor=INK,
        )  # fmt: skip
        for line in legend.get_lines():
            line.set_linewidth(2.5)


def _plot_bones(axes: Axes, poses: Poses) -> None:
    """Draw the spread of each bone's length, one row per bone, one line per individual."""
    ends = poses.points[:, :, poses.skeleton.edge_index].astype(np.float64)
    lengths = np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1)  # (F, I, E)
    lengths[lengths == 0] = np.nan
    colours = to_rgb(find_identity_colours(lengths.shape[1]))
    known = np.flatnonzero(np.isfinite(lengths).any((0, 1)))[:_MOST_BONES]
    labels, limit = [], 0.1
    for e, edge in enumerate(known):
        a, b = poses.skeleton.edges[edge]
        labels.append(f"{a} – {b}  {np.nanmedian(lengths[..., edge]):.3g} {poses.unit}")
        for i, colour in enumerate(colours):
            found = lengths[:, i, edge]
            found = found[np.isfinite(found)]
            if not found.size:
                continue
            found = found / np.median(found)
            p5, p25, p50, p75, p95 = np.percentile(found, [5, 25, 50, 75, 95])
            row = e + 0.7 * ((i + 0.5) / len(colours) - 0.5)
            high = 0.6 / len(colours)
            axes.plot([p5, p95], [row, row], color=colour, linewidth=0.9)
            axes.barh(row, p75 - p25, left=p25, height=high, color=colour, alpha=0.55)
            axes.plot([p50, p50], [row - high / 2, row + high / 2], color=INK, linewidth=1.3)
            limit = max(limit, 1 - p5, p95 - 1)
    limit = min(limit, 1.0)
    axes.axvline(1, color="0.8", linewidth=0.8, zorder=0)
    axes.set_xlim(1 - 1.06 * limit, 1 + 1.06 * limit)
    axes.xaxis.set_major_formatter(_format_change)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_yticks(range(len(known)), labels)
    axes.set_ylim(max(len(known), 1) - 0.4, -0.6)
    dress_axes(axes, title="Bone lengths", x="deviation from the median", grid="x")
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.spines["left"].set_visible(False)


def _format_change(value: float, _: Any) -> str:
    return f"{100 * (value - 1):+.0f} %" if abs(value - 1) > 1e-9 else "0"
