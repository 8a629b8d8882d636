"""How far predictions are from labels: on the labelled frame and as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mapose.arrays import Bools, Floats, Image
from mapose.errors import ShapeError
from mapose.grid import to_cells
from mapose.plots.extents import find_radius
from mapose.plots.figures import FAINT, INK, dress_axes, label_log_axis, make_plot
from mapose.plots.strokes import (
    copy_image,
    draw_crosses,
    draw_keypoints,
    draw_links,
    make_pen,
    take_points,
)
from mapose.plots.tags import draw_tag, find_tag_shape, find_text_size
from mapose.skeleton import Skeleton

_COLOURS = {"": "#d6409f", "train": "0.55", "validation": "#1890cc", "test": "#d6409f"}
_MOST_DOTS = 1_500


def plot_errors(
    truth: npt.ArrayLike,
    found: npt.ArrayLike,
    *,
    keypoints: Sequence[str],
    test: npt.ArrayLike | None = None,
    unit: str = "px",
) -> Figure:
    """Plot the distance between labels and predictions for each keypoint.

    Every label is a dot; the thick bar holds the middle half, the tick is the median. What was
    labelled but not found is counted at the right, for it has no distance.

    Parameters
    ----------
    truth, found : float, (F, I, K, d)
        Labels, and predictions matched to them; NaN = missing.
    keypoints : sequence of str, (K,)
        Names.
    test : bool, (F,), optional
        Frames that were not trained on; drawn apart from the others.
    unit : str
        Of the coordinates.

    Returns
    -------
    matplotlib.figure.Figure
        One row for all keypoints together, then one for each; logarithmic.

    Raises
    ------
    ShapeError
        If shapes or names do not fit.

    Examples
    --------
    >>> truth = np.zeros((5, 1, 2, 2))
    >>> figure = plot_errors(truth, truth + 2, keypoints=["snout", "tail"])
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['all', 'snout', 'tail']
    """
    truth, found = take_points(truth), take_points(found)
    if truth.ndim != 4 or truth.shape != found.shape:
        raise ShapeError(
            "errors: wanted truth and found of one shape (frames, individuals, keypoints, 2), "
            f"came {truth.shape} and {found.shape}"
        )
    if len(keypoints) != truth.shape[2]:
        raise ShapeError(f"keypoints: wanted {truth.shape[2]} names, came {len(keypoints)}")
    groups = _split_frames(len(truth), test)
    errors = np.linalg.norm(found - truth, axis=-1)
    labelled = np.asarray(np.isfinite(truth).all(-1))
    names = ["all", *keypoints]
    figure = make_plot(7.5, 1.1 + (0.34 if test is None else 0.5) * len(names))
    axes = figure.add_subplot()
    seen = errors[np.isfinite(errors)]
    low = max(float(np.quantile(seen, 0.01)), 0.02) if len(seen) else 0.1
    offset = np.linspace(-0.2, 0.2, len(groups)) if len(groups) > 1 else [0.0]
    for (group, rows), shift in zip(groups.items(), offset, strict=True):
        for y in range(len(names)):
            part = slice(None) if y == 0 else slice(y - 1, y)
            picked = labelled[rows][:, :, part]
            values = errors[rows][:, :, part][picked]
            _plot_row(axes, values, y + shift, (low, _COLOURS[group]))
    _dress_errors(axes, names, left=0.9 * low, unit=unit)
    if test is not None:
        _add_groups(axes, groups)
    return figure


def plot_scores(
    curves: Mapping[str, Mapping[float, float]],
    cutoffs: npt.ArrayLike,
    *,
    shown: npt.ArrayLike,
    hidden: npt.ArrayLike,
    cutoff: float,
) -> Figure:
    """Plot which part of the labels is found within how many px, and what a p-cutoff shows.

    Parameters
    ----------
    curves : mapping of str to mapping of float to float
        For each part of the labels (train, validation, test), share of the labelled keypoints
        found within so many px.
    cutoffs : float, (N,)
        Confidences.
    shown, hidden : float, (N,)
        Share of the visible keypoints that are shown at each of them, and of the absent ones
        that are not; NaN = no such keypoints.
    cutoff : float
        The one that was chosen, marked.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_scores({"test": {1: 0.4, 2: 0.9}}, [0, 1], shown=[1, 0], hidden=[0, 1],
    ...                      cutoff=0.6)
    >>> len(figure.axes)
    2
    """
    figure = make_plot(8.5, 3.4)
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        colour = _COLOURS.get(name, INK)
        left.plot(list(curve), list(curve.values()), color=colour, linewidth=1.8, label=name)
    dress_axes(left, title="Correct keypoints (PCK)", x="within (px)", y="share", grid="both")
    values = np.asarray(cutoffs, np.float64)
    for share, colour, name in (
        (shown, _COLOURS["test"], "visible, shown"),
        (hidden, _COLOURS["validation"], "absent, not shown"),
    ):
        if np.isfinite(np.asarray(share, np.float64)).any():
            right.plot(values, np.asarray(share), color=colour, linewidth=1.8, label=name)
    right.axvline(cutoff, color=FAINT, linewidth=1, linestyle=":")
    dress_axes(right, title="What a p-cutoff shows", x="p-cutoff", y="share", grid="both")
    for axes in (left, right):
        axes.set_ylim(0, 1.02)
        axes.set_xlim(left=0)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower center")
    return figure


def _split_frames(count: int, test: npt.ArrayLike | None) -> dict[str, Bools]:
    """Split frames into those trained on and the others; all are one group if that is unknown."""
    if test is None:
        return {"": np.ones(count, bool)}
    chosen = np.asarray(test, bool)
    if chosen.shape != (count,):
        raise ShapeError(f"test: wanted shape ({count},), came {chosen.shape}")
    return {"train": ~chosen, "test": chosen}


def _dress_errors(axes: Axes, names: Sequence[str], *, left: float, unit: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(left=left)
    label_log_axis(axes.xaxis)
    axes.axhline(0.5, color="0.85", linewidth=0.8)
    dress_axes(axes, title="Distance from the label", x=f"error ({unit})", grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _add_groups(axes: Axes, groups: Iterable[str]) -> None:
    """Say above the plot which colour is which group."""
    for group in groups:
        axes.plot([], [], color=_COLOURS[group], linewidth=5, label=group)
    axes.legend(
        frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1),
        labelcolor=INK, handlelength=1.2,
    )  # fmt: skip


def draw_evaluation(
    image: npt.ArrayLike,
    truth: npt.ArrayLike,
    found: npt.ArrayLike,
    confidence: npt.ArrayLike | None,
    skeleton: Skeleton,
    *,
    crop: bool = False,
) -> Image:
    """Draw labels (circles) and predictions (crosses) of one frame on its image.

    Each keypoint has its colour; a thin line joins a label with its prediction. Predictions with
    a confidence below 0.5 are small. The mean distance stands in the lower left corner.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 1) or (H, W, 3)
        Grey or RGB; not changed.
    truth, found : float, (I, K, 2)
        Labels, and predictions matched to them, pixels; NaN = missing.
    confidence : float, (I, K), optional
        Of the predictions, 0 to 1; None = all certain.
    skeleton : Skeleton
        Names of the K keypoints.
    crop : bool
        Cut out the part around the animals and enlarge it, at most eightfold and to at most
        800 px: differences of a few px are hard to see on the whole frame.

    Returns
    -------
    uint8, (H, W, 3)
        A new RGB image; of another size with ``crop``.

    Raises
    ------
    ShapeError
        If the image is not uint8 or the shapes do not fit.
    """
    canvas = copy_image(image)
    labels, predictions = take_points(truth), take_points(found)
    wanted = (len(labels), len(skeleton.keypoints), 2)
    sure = np.ones(wanted[:2]) if confidence is None else np.asarray(confidence, np.float64)
    if not labels.shape == predictions.shape == (*sure.shape, 2) == wanted:
        raise ShapeError(
            f"evaluation: wanted truth and found (individuals, {wanted[1]} keypoints, 2) and "
            f"confidence alike, came {labels.shape}, {predictions.shape} and {sure.shape}"
        )
    errors = np.linalg.norm(labels - predictions, axis=-1)
    errors = errors[np.isfinite(errors)]
    if crop:
        canvas, labels, predictions = _enlarge(canvas, labels, predictions)
    radius = find_radius(labels, canvas.shape)
    pen = make_pen(radius, len(labels), skeleton, "keypoint")
    for i in range(len(labels)):
        draw_links(canvas, labels[i], predictions[i], pen, i)
        draw_keypoints(canvas, labels[i], np.zeros(len(labels[i])), pen, i)  # hollow
        draw_crosses(canvas, predictions[i], sure[i], pen, i)
    text = f"mean error {errors.mean():.1f} px" if len(errors) else "nothing to compare"
    text += "; circle = label, cross = prediction"
    size = find_text_size(canvas.shape)
    height, _ = find_tag_shape(text, size)
    draw_tag(canvas, text, (4, canvas.shape[0] - height - 4), size=size, opacity=0.55)
    return canvas


def _enlarge(canvas: Image, labels: Floats, predictions: Floats) -> tuple[Image, Floats, Floats]:
    """Cut out what holds all points, with a margin, and enlarge it and them."""
    seen = np.concatenate([labels, predictions]).reshape(-1, 2)
    seen = seen[np.isfinite(seen).all(-1)]
    if not len(seen):
        return canvas, labels, predictions
    size = np.array(canvas.shape[1::-1])
    margin = 0.15 * np.ptp(seen, axis=0).max() + 10
    low = np.clip(np.floor(seen.min(0) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(seen.max(0) + margin) + 1, low + 1, size).astype(int)
    scale = float(np.clip(800 / (high - low).max(), 1, 8))
    part = canvas[low[1] : high[1], low[0] : high[0]]
    large = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    pitch = 1 / scale
    labels, predictions = to_cells(labels - low, pitch), to_cells(predictions - low, pitch)
    return np.asarray(large, np.uint8), labels, predictions


def _plot_row(axes: Axes, errors: Floats, y: float, look: tuple[float, str]) -> None:
    """Draw the errors of one keypoint: dots, bar, median, figures at the right."""
    low, colour = look
    seen = np.maximum(errors[np.isfinite(errors)], low)
    words = "no labels" if not errors.size else "none found"
    if seen.size:
        # Spread by the golden ratio: even, and the same each time.
        shown = seen[:: -(-len(seen) // _MOST_DOTS)]
        jitter = (np.arange(len(shown)) * 0.618 % 1 - 0.5) * 0.26
        axes.plot(shown, y + jitter, ".", color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
        quarter, middle, three = np.quantile(seen, [0.25, 0.5, 0.75])
        axes.plot(
            [quarter, three], [y, y], color=colour, linewidth=4, alpha=0.8, solid_capstyle="butt"
        )
        axes.plot(middle, y, "|", color=INK, markersize=9, markeredgewidth=1.6)
        words = f"median {middle:.1f}"
        lost = 1 - len(seen) / len(errors)
        if lost > 0:
            words += f", {100 * lost:.1f} % not found"
    axes.annotate(
        words, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=7.5, color=FAINT,
    )  # fmt: skip


def plot_comparison(
    names: Sequence[str], intervals: Sequence[Sequence[float | None]], *, unit: str = "px"
) -> Figure:
    """Plot the mean error of models side by side, each with its interval.

    Parameters
    ----------
    names : sequence of str
        Of the models.
    intervals : sequence of (value, low, high)
        Mean error and the ends of its interval; None = not measured.
    unit : str
        Of the errors.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each model, the first at the top.

    Examples
    --------
    >>> figure = plot_comparison(["small-1", "small-2"], [(2.0, 1.5, 2.5), (3.0, 2.2, 4.1)])
    >>> len(figure.axes)
    1
    """
    figure = make_plot(6.5, 1.0 + 0.34 * len(names))
    axes = figure.add_subplot()
    for y, row in enumerate(intervals):
        value, low, high = (np.nan if v is None else v for v in row)
        axes.plot([low, high], [y, y], color=_COLOURS["test"], linewidth=2, alpha=0.6)
        axes.plot(value, y, "o", color=_COLOURS["test"], markersize=5)
    dress_axes(axes, title="Error on test frames", x=f"mean error ({unit})", grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(left=0)
    return figure
