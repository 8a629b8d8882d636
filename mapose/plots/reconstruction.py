"""A reconstruction over time: where, how surely, what was filled in, and bone lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mapose.arrays import Bools, Floats
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
    take_parts,
    to_rgb,
)
from mapose.poses import Poses

_MOST_BINS = 1000
_MOST_BONES = 30
# Frames in which bones are measured.
_MEASURED = 20_000
# Half-width of the region that holds 95 % of a normal distribution.
_SIGMAS = 1.96


def plot_reconstruction(
    poses: Poses | Parts,
    *,
    keypoint: str | None = None,
    error: npt.ArrayLike | None = None,
    n_views: npt.ArrayLike | None = None,
    filled: npt.ArrayLike | None = None,
) -> Figure:
    """Plot how one keypoint moves through space, and how constant the bones are.

    Parameters
    ----------
    poses : Poses or Parts
        3D. Its covariance, if there, becomes a band that should hold the truth in 95 % of the
        frames. Long recordings are drawn as the range within each of 1000 bins.
    keypoint : str, optional
        By default the one with most limbs.
    error : float, (F, I, K), optional
        Reprojection error, px; NaN = none. Gets a panel.
    n_views : int, (F, I, K), optional
        Cameras used. Gets a panel.
    filled : bool, (F, I, K), optional
        Points that were filled in, not measured: their line is thin and the time tinted. Parts
        know by themselves what their points rest on.

    Returns
    -------
    matplotlib.figure.Figure
        One panel each for x, y, z, then error and number of cameras; at the right the lengths of
        the bones of each individual, of long recordings in some 20 000 frames: middle half and
        middle 90 %, around their own median.

    Raises
    ------
    ShapeError
        If the poses are 2D, an array does not fit, or there is no such keypoint.
    """
    if poses.dimensions != 3:
        raise ShapeError("reconstruction: wanted poses in 3D, came 2D; use plot_positions")
    parts = take_parts(poses, error=error, n_views=n_views, filled=filled)
    chosen = _choose_keypoint(parts) if keypoint is None else parts.skeleton.index(keypoint)
    extra = [name for name in ("error", "n_views") if name in parts.list_support()]
    track, bones = _Track(parts, chosen, extra), _Bones(parts)
    for part, support in parts.iterate_supported():
        track.add(part, support)
        bones.add(part)
    track.finish()
    rows, edges = 3 + len(extra), len(parts.skeleton.edges) > 0
    heights = [1.0] * 3 + [0.6] * len(extra)
    width = 11.0 if edges else 8.0
    figure = make_plot(width, 0.7 + 1.55 * sum(heights))
    grid = figure.add_gridspec(rows, 2 if edges else 1, height_ratios=heights,
                               width_ratios=[2.1, 1] if edges else [1])  # fmt: skip
    panels = [figure.add_subplot(grid[0, 0])]
    panels += [figure.add_subplot(grid[r, 0], sharex=panels[0]) for r in range(1, rows)]
    for c in range(3):
        track.draw(panels[c], c)
    for axes, name in zip(panels[3:], extra, strict=True):
        track.draw_extra(axes, name)
    _dress(panels, parts, chosen, bool(track.filled.any()))
    if edges:
        bones.draw(figure.add_subplot(grid[:, 1]))
    return figure


def _choose_keypoint(parts: Parts) -> int:
    """Choose the keypoint at which most limbs meet; of equals the one most often found."""
    limbs = np.bincount(parts.skeleton.edge_index.ravel(), minlength=len(parts.skeleton.keypoints))
    most = np.flatnonzero(limbs == limbs.max())
    if len(most) == 1:
        return int(most[0])
    found = sum((poses.confidence[:, :, most] > 0).sum((0, 1)) for poses in parts)
    return int(most[np.argmax(found)])


class _Track:
    """One keypoint of all individuals, thinned to what a page can show."""

    def __init__(self, parts: Parts, keypoint: int, extra: Sequence[str]) -> None:
        self._keypoint = keypoint
        self.times, self.label = find_times(parts)
        # A frame without a row is a gap; a line must not bridge it.
        self._gaps = np.flatnonzero(np.diff(parts.frames) > 1) + 1
        self._binned = len(parts) > 2 * _MOST_BINS
        bins, count = find_bins(parts.frames, _MOST_BINS)
        if not self._binned:
            bins, count = np.arange(len(parts)), len(parts)
        ends = {"low": np.fmin, "high": np.fmax, "filled": np.fmax}
        ends |= {name: np.fmax if name == "error" else np.fmin for name in extra}
        self._values = {name: BinReducer(ufunc, bins, count) for name, ufunc in ends.items()}
        self._span = count
        self.names = parts.names
        self.colours = to_rgb(find_identity_colours(len(parts.names)))

    def add(self, poses: Poses, support: Mapping[str, Any]) -> None:
        """Add the frames that follow."""
        points = poses.points[:, :, self._keypoint].astype(np.float64)
        reach = np.zeros_like(points)
        if poses.covariance is not None:
            variance = np.diagonal(poses.covariance[:, :, self._keypoint], axis1=-2, axis2=-1)
            reach = _SIGMAS * np.sqrt(np.maximum(np.nan_to_num(variance), 0))
        rows = {"low": points - reach, "high": points + reach, "filled": np.zeros(points.shape[:2])}
        for name in set(self._values) & set(support):
            rows[name] = np.asarray(support[name], np.float64)[:, :, self._keypoint]
        for name, values in self._values.items():
            values.add(rows[name])

    def finish(self) -> None:
        """Make of all that was added what is drawn."""
        values = {name: reducer.values for name, reducer in self._values.items()}
        values["middle"] = (values["low"] + values["high"]) / 2
        if self._binned:
            self.times = np.linspace(self.times[0], self.times[-1], self._span)
        else:
            gaps, times = self._gaps, self.times
            values = {name: np.insert(rows, gaps, np.nan, axis=0) for name, rows in values.items()}
            self.times = np.insert(times, gaps, (times[gaps - 1] + times[gaps]) / 2)
        self.filled: Bools = np.nan_to_num(values.pop("filled")) > 0
        self._drawn = values

    def draw(self, axes: Axes, coordinate: int) -> None:
        """Draw one coordinate with its band."""
        for i, colour in enumerate(self.colours):
            low, middle, high = (
                self._drawn[name][:, i, coordinate] for name in ("low", "middle", "high")
            )
            axes.fill_between(
                self.times, low, high,
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

    def draw_extra(self, axes: Axes, name: str) -> None:
        """Draw the reprojection error or the number of cameras."""
        values = self._drawn[name]
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


def _find_alone(values: Floats) -> Bools:
    """Tell which values have no neighbour to draw a line to."""
    there = np.isfinite(values)
    padded = np.pad(there, 1)
    return np.asarray(there & ~padded[:-2] & ~padded[2:])


def _dress(panels: Sequence[Axes], poses: Parts, keypoint: int, filled: bool) -> None:
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
    notes = ["band: 95 %"] if poses.head.covariance is not None else []
    notes += ["grey, thin line: filled in"] if filled else []
    panels[0].set_title("; ".join(notes), loc="right", fontsize=8, color=FAINT)
    if len(poses.names) > 1:
        legend = panels[0].legend(
            loc="lower left", bbox_to_anchor=(0, 1.12), ncols=min(8, len(poses.names)),
            frameon=False, fontsize=8, handlelength=1.2, borderaxespad=0, labelcolor=INK,
        )  # fmt: skip
        for line in legend.get_lines():
            line.set_linewidth(2.5)


class _Bones:
    """Lengths of the bones; of long recordings those of some frames."""

    def __init__(self, parts: Parts) -> None:
        self._skeleton, self._unit = parts.skeleton, parts.unit
        self._step, self._row = 1 + len(parts) // _MEASURED, 0
        self._lengths: list[Floats] = []

    def add(self, poses: Poses) -> None:
        """Add the frames that follow."""
        points = poses.points[-self._row % self._step :: self._step]
        ends = points[:, :, self._skeleton.edge_index].astype(np.float64)
        self._lengths.append(np.linalg.norm(ends[..., 0, :] - ends[..., 1, :], axis=-1))
        self._row += len(poses)

    def draw(self, axes: Axes) -> None:
        """Draw the spread of each bone's length, one row per bone, one line per individual."""
        lengths = np.concatenate(self._lengths)  # (F', I, E)
        lengths[lengths == 0] = np.nan
        colours = to_rgb(find_identity_colours(lengths.shape[1]))
        known = np.flatnonzero(np.isfinite(lengths).any((0, 1)))[:_MOST_BONES]
        labels, limit = [], 0.1
        for e, edge in enumerate(known):
            a, b = self._skeleton.edges[edge]
            labels.append(f"{a} – {b}  {np.nanmedian(lengths[..., edge]):.3g} {self._unit}")
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
