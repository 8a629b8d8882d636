"""Poses over time as figures: paths, positions, confidences, histograms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from mapose.arrays import AnyFloats, Bools, Floats, Image, Ints
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
    label_log_axis,
    make_plot,
    take_parts,
    to_rgb,
)
from mapose.poses import Poses
from mapose.similarity import find_centres

# More points than this in one path are not told apart on a page but cost time and file size.
_MOST_POINTS = 20_000
_MOST_BINS = 1_000
# More rows than this are not read one by one: keypoints and individuals are averaged.
_MOST_ROWS = 60
_EDITED = "; rings: moved by a person"
_RING: dict[str, Any] = {
    "linestyle": "", "marker": "o", "markersize": 6, "markerfacecolor": "none",
    "markeredgecolor": INK, "markeredgewidth": 1.0, "zorder": 5,
}  # fmt: skip
# Without its pale end, which is lost on white.
_TIME = ListedColormap(colormaps["plasma"](np.linspace(0, 0.88, 256)))


def plot_trajectories(
    poses: Poses | Parts,
    *,
    image: Image | None = None,
    keypoint: str | None = None,
    edited: npt.ArrayLike | None = None,
) -> Figure:
    """Plot the paths of the animals, seen as the camera sees them.

    One animal is coloured by time, several by individual; unordered slots (``individuals`` None)
    are points without lines, as their order may change from frame to frame.

    Parameters
    ----------
    poses : Poses or Parts
        In 2D. Paths longer than 20 000 frames are thinned out evenly.
    image : uint8, (H, W) or (H, W, 3), optional
        Background, in the frame of reference of the poses.
    keypoint : str, optional
        By default the body centre: the mean of the keypoints that are there.
    edited : bool, (F, I, K), optional
        Points that a person has moved: rings mark their places, of the body centre those in whose
        frame any keypoint was. Parts know it by themselves.

    Returns
    -------
    matplotlib.figure.Figure
        With ``savefig``; pyplot is neither needed nor touched.

    Raises
    ------
    ShapeError
        If the poses are 3D, there is no such keypoint, or what was edited does not fit.

    Examples
    --------
    >>> from mapose import Skeleton
    >>> walk = Poses(np.random.rand(100, 2, 1, 3), Skeleton(["snout"]), ["ann", "bob"])
    >>> [line.get_label() for line in plot_trajectories(walk).axes[0].lines[:2]]
    ['ann', 'bob']
    """
    if poses.dimensions != 2:
        raise ShapeError("trajectories: wanted poses in 2D, came 3D; use plot_positions")
    parts = take_parts(poses, edited=edited)
    step = -(-len(parts) // _MOST_POINTS) or 1
    runs, rings = [], _Rings(parts, keypoint)
    for rows, (part, support) in zip(parts.cut(), parts.iterate_supported(), strict=True):
        path = _pick_paths(part.points, part, keypoint)
        runs.append(path[-rows.start % step :: step].copy())  # a view would hold all
        rings.add(part, support, path)
    paths = np.concatenate(runs)
    times, label = find_times(parts)
    box = _find_view(paths, image)
    wide, high = box[1] - box[0], box[2] - box[3]
    size = 5.6 / max(wide, high)
    # Axes of a fixed shape do not shrink to leave room for title, labels and what is beside them.
    figure = make_plot(max(3.2, size * wide) + 1.6, max(1.2, size * high) + 1.0)
    axes = figure.add_subplot()
    if image is not None:
        axes.imshow(image, extent=box, cmap="gray", vmin=0, vmax=255, alpha=0.85)
    if paths.shape[1] == 1:
        _plot_by_time(axes, paths[:, 0], times[::step], label)
    else:
        _plot_by_individual(axes, paths, poses)
    if rings:
        axes.plot(*rings.places.T, **_RING)
    axes.set_aspect("equal", anchor="W")
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    what = keypoint or "body centre"
    title = f"Path of the {what}{_EDITED if rings else ''}"
    dress_axes(axes, title=title, x=f"x ({poses.unit})", y=f"y ({poses.unit})")
    return figure


def plot_positions(
    poses: Poses | Parts, *, keypoint: str | None = None, edited: npt.ArrayLike | None = None
) -> Figure:
    """Plot x, y (and z) of the animals over time.

    Parameters
    ----------
    poses : Poses or Parts
        In 2D or 3D. Long recordings are drawn as the range within each of 1000 bins, so that
        no excursion is lost.
    keypoint : str, optional
        By default the body centre: the mean of the keypoints that are there.
    edited : bool, (F, I, K), optional
        As for `plot_trajectories`.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per coordinate.

    Raises
    ------
    ShapeError
        If there is no such keypoint, or what was edited does not fit.
    """
    parts = take_parts(poses, edited=edited)
    times, label = find_times(parts)
    rings, runs = _Rings(parts, keypoint), []
    bins, count = find_bins(parts.frames, _MOST_BINS)
    ends = [BinReducer(ufunc, bins, count) for ufunc in (np.fmin, np.fmax)]
    for part, support in parts.iterate_supported():
        path = _pick_paths(part.points, part, keypoint)
        rings.add(part, support, path)
        if len(parts) <= 2 * _MOST_BINS:
            runs.append(path)
            continue
        for end in ends:
            end.add(path)
    ringed = times[np.searchsorted(parts.frames, rings.frames)]
    if runs:
        paths: AnyFloats = np.concatenate(runs)
    else:
        paths = np.stack([end.values for end in ends], 1)
        paths = paths.reshape(-1, *paths.shape[2:])
        times = np.repeat(np.linspace(times[0], times[-1], count), 2)
    figure = make_plot(8, 0.7 + 1.7 * poses.dimensions)
    panels = figure.subplots(poses.dimensions, sharex=True, squeeze=False)[:, 0]
    style = {"linewidth": 1.0} if poses.individuals or paths.shape[1] == 1 else {"linestyle": ""}
    what = keypoint or "body centre"
    for c, axes in enumerate(panels):
        for i, colour in enumerate(to_rgb(find_identity_colours(paths.shape[1]))):
            marker = "." if "linestyle" in style else None
            axes.plot(
                times, paths[:, i, c], color=colour, marker=marker, markersize=2,
                label=poses.names[i], **style,
            )  # fmt: skip
        if rings:
            axes.plot(ringed, rings.places[:, c], **_RING)
        last = c == poses.dimensions - 1
        dress_axes(axes, x=label if last else "", y=f"{'xyz'[c]} ({poses.unit})", grid="y")
        axes.margins(x=0)
    title = f"Position of the {what}{_EDITED if rings else ''}"
    dress_axes(panels[0], title=title, y=f"x ({poses.unit})")
    if poses.individuals is not None:
        _add_legend(panels[0], len(poses.names))
    return figure


class _Rings:
    """Where and in which frames a person has touched a path, gathered part after part."""

    def __init__(self, parts: Parts, keypoint: str | None) -> None:
        self._chosen = None if keypoint is None else parts.skeleton.index(keypoint)
        self._frames: list[Ints] = []
        self._places: list[AnyFloats] = []

    def add(self, poses: Poses, support: Mapping[str, Any], path: AnyFloats) -> None:
        """Add a part with its path (F, I, d)."""
        if "edited" in support:
            edited: Bools = np.asarray(support["edited"], bool)
            touched = edited.any(2) if self._chosen is None else edited[:, :, self._chosen]
            rings = touched & np.isfinite(path).all(-1)
            self._frames.append(np.broadcast_to(poses.frames[:, None], rings.shape)[rings])
            self._places.append(path[rings])

    def __bool__(self) -> bool:
        return any(len(frames) for frames in self._frames)

    @property
    def frames(self) -> Ints:
        """Video frames, (N,)."""
        return np.concatenate(self._frames or [np.zeros(0, np.int64)])

    @property
    def places(self) -> AnyFloats:
        """Places, (N, d)."""
        return np.concatenate(self._places)


def plot_confidence(poses: Poses | Parts) -> Figure:
    """Plot how certain the keypoints are over time, as a heat map.

    One panel per individual with one row per keypoint; where that would be more than 60 rows,
    one panel of individuals (mean over keypoints) and one of keypoints (mean over individuals).
    The share of frames in which each row was found stands at its right end.

    Parameters
    ----------
    poses : Poses or Parts
        Long recordings are averaged within 1000 bins. Missing counts as 0; frames without a row
        are grey.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per individual, or two, and a colour bar.
    """
    parts, keypoints = Parts.of(poses), list(poses.skeleton.keypoints)
    each = len(parts.names) * len(keypoints) <= _MOST_ROWS
    blocks = [("individuals", list(parts.names)), ("keypoints", keypoints)]
    if each:
        blocks = [(name, keypoints) for name in parts.names]
    bins, count = find_bins(parts.frames, _MOST_BINS)
    rows = np.bincount(bins, minlength=count)[:, None]
    sums = [BinReducer(np.add, bins, count) for _ in blocks]
    found = [np.zeros(len(names), np.int64) for _, names in blocks]
    for part in parts:
        both = (part.confidence.mean(2), part.confidence.mean(1))
        for b, values in enumerate(part.confidence.swapaxes(0, 1) if each else both):
            sums[b].add(values.astype(np.float64))
            found[b] += (values > 0).sum(0)
    times, label = find_times(poses)
    span = (times[0], times[-1]) if len(times) > 1 else (0.0, 1.0)
    heights = [len(names) for _, names in blocks]
    figure = make_plot(8.5, 0.9 + 0.45 * len(blocks) + 0.17 * sum(heights))
    panels = figure.subplots(len(blocks), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    single = len(blocks) == 1 and poses.individuals is None
    for b, (axes, (title, names)) in enumerate(zip(panels, blocks, strict=True)):
        picture = axes.imshow(
            (sums[b].values / np.maximum(rows, 1)).T,
            aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest",
            extent=(*span, len(names) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_facecolor("0.85")
        dress_axes(axes, title="Confidence" if single else title)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for y, share in enumerate(found[b] / len(parts) if len(parts) else []):
            axes.annotate(
                f"{100 * share:.0f} %", (1, y), xycoords=("axes fraction", "data"),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=7, color=FAINT,
            )  # fmt: skip
    panels[0].set_title("found", loc="right", x=1.05, fontsize=7, color=FAINT, ha="right")
    panels[-1].set_xlabel(label, fontsize=8.5, color=INK)
    bar = figure.colorbar(picture, ax=list(panels), pad=0.01, aspect=30, shrink=0.9)
    bar.set_label("mean confidence", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8, length=0)
    bar.outline.set_visible(False)
    return figure


def plot_histograms(poses: Poses | Parts) -> Figure:
    """Plot how confidences and step lengths of each keypoint are distributed.

    Heights of the step lengths are logarithmic: the one jump among thousands of steps is what
    one looks for. Those of the confidences are square roots of counts.

    Parameters
    ----------
    poses : Poses or Parts
        In 2D or 3D. Individuals are pooled; steps are taken between neighbouring frames.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, one row per keypoint in each.
    """
    names, parts = poses.skeleton.keypoints, Parts.of(poses)
    counts, reach = np.zeros((2, len(names)), np.int64), 0.0
    for found, steps in _list_samples(parts):
        counts += [[len(sample) for sample in samples] for samples in (found, steps)]
        reach = max(reach, *(float(sample.max(initial=0)) for sample in steps))
    reach = 1.05 * max(reach if counts[1].any() else 1.0, 1e-3)
    low = 1e-4 * reach
    left_edges, right_edges = np.linspace(0, 1, 51), np.geomspace(low, reach, 61)
    confidences = [_Ridge(left_edges, count) for count in counts[0]]
    moved = [_Ridge(right_edges, count) for count in counts[1]]
    for found, steps in _list_samples(parts):
        for k in range(len(names)):
            confidences[k].add(found[k])
            moved[k].add(steps[k].clip(low))
    figure = make_plot(8.5, 1.1 + 0.3 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    _plot_ridges(left, confidences, np.sqrt)
    _plot_ridges(right, moved, np.log1p)
    right.set_xscale("log")
    right.set_xlim(low, reach)
    label_log_axis(right.xaxis)
    unit = f"{poses.unit} per frame"
    dress_axes(left, title="Confidence of what was found", x="confidence", grid="x")
    dress_axes(right, title="Step length", x=f"step ({unit}); bar: median", grid="x")
    left.set_xlim(0, 1)
    left.set_yticks(np.arange(len(names)) - 0.25, names)
    left.set_ylim(len(names) - 0.45, -1.05)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure


def _list_samples(parts: Parts) -> Iterator[tuple[list[AnyFloats], list[AnyFloats]]]:
    """List, part after part, each keypoint's confidences where it was found, and its steps."""
    for wide, inner in parts.iterate_wide(1):
        # The first step of a part comes from the last row of the one before.
        own = wide.take(slice(0, inner.stop))
        confidence = np.moveaxis(own.confidence[inner.start :], 2, 0)
        steps = [_find_steps(own, k) for k in range(len(confidence))]
        yield [c[c > 0] for c in confidence], steps


def _find_steps(poses: Poses, keypoint: int) -> AnyFloats:
    """Measure how far a keypoint goes from one frame to the next; (N,) all individuals."""
    points = poses.points[:, :, keypoint]
    moved = (points[1:] - points[:-1])[np.diff(poses.frames) == 1]
    steps = np.sqrt(np.square(moved).sum(-1)).ravel()
    return np.asarray(steps[np.isfinite(steps)])


class _Ridge:
    """A histogram, gathered part after part, with a thinned sample for the median."""

    def __init__(self, edges: Floats, count: int) -> None:
        self.edges, self.counts = edges, np.zeros(len(edges) - 1, np.int64)
        self._step, self._seen = 1 + count // 100_000, 0
        self._sample: list[AnyFloats] = []

    def add(self, values: AnyFloats) -> None:
        """Add numbers, (N,)."""
        self.counts += np.histogram(values, self.edges)[0]
        # A copy, as a view would hold all of them.
        self._sample.append(values[-self._seen % self._step :: self._step].copy())
        self._seen += len(values)

    def find_median(self) -> float:
        """Find the median of the sample; NaN of nothing."""
        return float(np.median(np.concatenate(self._sample))) if self._seen else float("nan")


def _plot_ridges(axes: Axes, ridges: Sequence[_Ridge], scale: np.ufunc) -> None:
    """Draw one histogram per row, filled, with scaled heights and a bar at the median."""
    heights = scale(np.array([ridge.counts for ridge in ridges], np.float64))
    heights *= 0.88 / max(float(heights.max(initial=0)), 1e-9)
    for k, ridge in enumerate(ridges):
        axes.stairs(
            k - heights[k], ridge.edges, baseline=k, fill=True, color="#4fb3f0", alpha=0.75,
            linewidth=0,
        )  # fmt: skip
        axes.axhline(k, color="0.8", linewidth=0.6)
        if np.isfinite(middle := ridge.find_median()):
            axes.plot([middle, middle], [k, k - 0.8], color=INK, linewidth=1.2)


def _pick_paths(points: AnyFloats, poses: Poses, keypoint: str | None) -> AnyFloats:
    """Take one keypoint of some rows, or the mean of all; (F, I, d)."""
    if keypoint is None:
        return find_centres(points)
    return points[:, :, poses.skeleton.index(keypoint)]


def _find_view(paths: AnyFloats, image: Image | None) -> tuple[float, float, float, float]:
    """Choose left, right, bottom, top of the axes; y grows downwards."""
    if image is not None:
        return (-0.5, image.shape[1] - 0.5, image.shape[0] - 0.5, -0.5)
    seen = paths[np.isfinite(paths).all(-1)]
    if not len(seen):
        return (0.0, 1.0, 1.0, 0.0)
    low, high = seen.min(0), seen.max(0)
    margin = 0.04 * max(float((high - low).max()), 1.0)
    return (
        float(low[0]) - margin,
        float(high[0]) + margin,
        float(high[1]) + margin,
        float(low[1]) - margin,
    )


def _plot_by_time(
    axes: Axes,
    path: AnyFloats,
    times: Floats,
    label: str,
) -> None:
    pairs = np.stack([path[:-1], path[1:]], 1)
    whole = np.isfinite(pairs).all((1, 2))
    lines = LineCollection(
        list(pairs[whole]), array=times[:-1][whole], cmap=_TIME, linewidths=1.1, rasterized=True
    )
    axes.add_collection(lines)
    _mark_ends(axes, path, ("0.25", "0.25"))
    if whole.any():
        bar = axes.figure.colorbar(lines, ax=axes, pad=0.02, aspect=30, shrink=0.8)
        bar.set_label(label, fontsize=8.5, color=INK)
        bar.ax.tick_params(labelsize=8, length=0)
        bar.outline.set_visible(False)


def _plot_by_individual(axes: Axes, paths: AnyFloats, poses: Poses | Parts) -> None:
    colours = to_rgb(find_identity_colours(paths.shape[1]))
    ordered = poses.individuals is not None
    # The more lines lie over each other, the thinner each: where animals stay still shows.
    opacity = float(np.clip(40 / np.sqrt(len(paths) + 1), 0.35, 0.95))
    for i, colour in enumerate(colours):
        axes.plot(
            *paths[:, i].T,
            linestyle="-" if ordered else "",
            marker="" if ordered else ".",
            markersize=2, linewidth=1.1, alpha=opacity, color=colour,
            label=poses.names[i], rasterized=len(paths) > 2000,
        )  # fmt: skip
    if ordered:
        for i, colour in enumerate(colours):
            _mark_ends(axes, paths[:, i], (colour, colour))
        _add_legend(axes, len(colours))


def _mark_ends(axes: Axes, path: AnyFloats, colours: tuple[Any, Any]) -> None:
    """Mark where a path starts (hollow) and ends (full)."""
    seen = path[np.isfinite(path).all(-1)]
    if len(seen):
        axes.plot(*seen[0], "o", markersize=5, markerfacecolor="white", markeredgecolor=colours[0])
        axes.plot(*seen[-1], "o", markersize=5.5, color=colours[1], markeredgecolor="white")


def _add_legend(axes: Axes, count: int) -> None:
    """Name the individuals beside the axes."""
    legend = axes.figure.legend(
        *(part[:count] for part in axes.get_legend_handles_labels()),
        loc="outside right upper", frameon=False, fontsize=8, handlelength=1.2,
        labelcolor=INK, ncols=1 + (count - 1) // 20,
    )  # fmt: skip
    for line in legend.get_lines():
        line.set_linewidth(2.5)
        line.set_alpha(1)
