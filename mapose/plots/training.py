"""The course of a training as a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from mapose.arrays import Floats
from mapose.errors import FormatError
from mapose.plots.figures import (
    FAINT,
    INK,
    dress_axes,
    find_bins,
    label_log_axis,
    make_plot,
    reduce_bins,
)
from mapose.reading import load_columns

Columns = dict[str, Floats]

_MOST_BINS = 600
# Of the width, that ticks have to be apart.
_APART = 0.06
_TOTAL = "#1890cc"
_TEST, _TRAIN = "#d6409f", "0.55"
#: Columns of errors, the one that is judged by last.
_ERRORS = {"train_error": "train", "test_error": "test", "validation_error": "validation"}
_PARTS = ("#f59a14", "#247800", "#9060fc", "#c08460")


def plot_training(log: str | Path | Mapping[str, npt.ArrayLike]) -> Figure:
    """Plot loss and error in pixels over the steps of a training.

    Works while the training runs: half a last line and empty cells are fine.

    Parameters
    ----------
    log : path of a csv file, or mapping of name to column
        ``step`` and ``loss``; if there, ``seconds`` (a second axis in minutes), parts of the
        loss (any name that ends in ``_loss``), ``rate`` (learning rate), ``train_error`` and
        ``validation_error`` (``test_error`` in older logs; px, empty or NaN except at validation
        steps).

    Returns
    -------
    matplotlib.figure.Figure
        Panels for the loss, the error and the learning rate, as far as there are columns.

    Raises
    ------
    FormatError
        If there is no such file or it has no columns step and loss.

    Examples
    --------
    >>> figure = plot_training({"step": [1, 2, 3], "loss": [1.0, 0.5, 0.4]})
    >>> len(figure.axes)
    1
    """
    columns = _read_log(log)
    missing = {"step", "loss"} - set(columns)
    if missing:
        raise FormatError(
            f"training log: wanted columns step and loss, came {', '.join(columns) or 'none'}"
        )
    order = np.argsort(columns["step"], kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    with_error = any(np.isfinite(columns.get(n, np.nan)).any() for n in _ERRORS)
    with_rate = "rate" in columns
    heights = [3.0] + [2.4] * with_error + [0.9] * with_rate
    figure = make_plot(7.5, 1.0 + 0.85 * sum(heights))
    panels = list(
        figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    )
    _plot_losses(panels[0], columns)
    if with_error:
        _plot_errors(panels[1], columns)
    if with_rate:
        panels[-1].plot(columns["step"], columns["rate"], color=FAINT, linewidth=1.4)
        dress_axes(panels[-1], y="learning rate", grid="y")
        panels[-1].set_ylim(bottom=0)
        panels[-1].ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
        panels[-1].yaxis.get_offset_text().set_fontsize(7)
    panels[-1].set_xlabel("step", fontsize=8.5, color=INK)
    panels[0].margins(x=0.01)
    _add_minutes(panels[0], columns)
    return figure


def _read_log(log: str | Path | Mapping[str, npt.ArrayLike]) -> Columns:
    if isinstance(log, Mapping):
        return {str(name): np.asarray(values, np.float64) for name, values in log.items()}
    path = Path(log)
    if not path.is_file():
        raise FormatError(f"training log: no file {path}; a training writes it into its model")
    columns = {name: np.array(values) for name, values in load_columns(path).items()}
    if "step" in columns:
        whole = np.isfinite(columns["step"])
        columns = {n: values[whole] for n, values in columns.items()}
    return columns


def _plot_losses(axes: Axes, columns: Columns) -> None:
    # A part that is 0 throughout, such as the affinity of a single animal, has no line.
    parts = [n for n in columns if n.endswith("_loss") and (columns[n] > 0).any()]
    colours = dict(zip(parts, (c for _ in range(9) for c in _PARTS), strict=False))
    for name in parts:
        steps, values = _thin(columns["step"], columns[name])
        axes.plot(
            steps, _smooth(values), color=colours[name], linewidth=1.1,
            label=name.removesuffix("_loss"),
        )  # fmt: skip
    steps, values = _thin(columns["step"], columns["loss"])
    axes.plot(steps, values, color=_TOTAL, linewidth=0.8, alpha=0.3)
    dot = "o" if len(steps) == 1 else ""
    axes.plot(steps, _smooth(values), dot + "-", color=_TOTAL, linewidth=2, label="loss")
    if (values[np.isfinite(values)] > 0).any():
        axes.set_yscale("log")
        label_log_axis(axes.yaxis)
    dress_axes(axes, title="Training", y="loss", grid="y")
    if parts:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right", ncols=2)


def _plot_errors(axes: Axes, columns: Columns) -> None:
    for name, label in _ERRORS.items():
        colour = _TRAIN if label == "train" else _TEST
        values = columns.get(name, np.full(len(columns["step"]), np.nan))
        there = np.isfinite(values)
        if there.any():
            axes.plot(
                columns["step"][there], values[there], "o-", color=colour, markersize=3.5,
                linewidth=1.5, label=label,
            )  # fmt: skip
    dress_axes(axes, y="mean error (px)", grid="y")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    test = columns.get("validation_error", columns.get("test_error", np.zeros(0)))
    if np.isfinite(test).any():
        best = int(np.nanargmin(test))
        step = columns["step"][best]
        axes.plot(step, test[best], "o", markersize=9, color=_TEST, fillstyle="none")
        words = f"best {test[best]:.2f} px at step {step:.0f}"
        axes.set_title(words, loc="right", fontsize=8.5, color=_TEST)
    shown = np.concatenate([columns.get(n, np.zeros(0)) for n in _ERRORS])
    shown = shown[np.isfinite(shown)]
    # The first validations may be hundreds of px off: they must not flatten the end.
    if shown.min() > 0 and shown.max() > 8 * shown.min():
        axes.set_yscale("log")
        label_log_axis(axes.yaxis)
    else:
        axes.set_ylim(0, max(1.12 * shown.max(), 1e-9))


def _add_minutes(axes: Axes, columns: Columns) -> None:
    """Put the time that went by above the first panel."""
    seconds, steps = columns.get("seconds"), columns["step"]
    if seconds is None or np.isfinite(seconds).sum() < 2:
        return
    there = np.isfinite(seconds)
    # Both must ascend for the axis to be read either way; a resumed run may repeat steps.
    clock = np.maximum.accumulate(seconds[there]) / 60 + 1e-9 * np.arange(there.sum())
    count = steps[there] + 1e-9 * np.arange(there.sum())

    def to_minutes(step: npt.ArrayLike) -> Floats:
        return np.asarray(np.interp(np.asarray(step), count, clock))

    def to_steps(minute: npt.ArrayLike) -> Floats:
        return np.asarray(np.interp(np.asarray(minute), clock, count))

    top = axes.secondary_xaxis("top", functions=(to_minutes, to_steps))
    top.set_ticks(_choose_minutes(clock, to_steps))
    top.xaxis.set_minor_locator(NullLocator())
    top.set_xlabel("minutes", fontsize=8.5, color=INK)
    top.tick_params(labelsize=8, colors=INK, color="0.6", length=3)
    top.spines["top"].set_color("0.6")


def _choose_minutes(clock: Floats, to_steps: Callable[[npt.ArrayLike], Floats]) -> list[float]:
    """Choose round minutes; where steps took long, some would stand on each other."""
    ticks = MaxNLocator(7).tick_values(float(clock[0]), float(clock[-1]))
    chosen: list[float] = []
    ends = to_steps(clock[[0, -1]])
    for tick in ticks[(ticks >= clock[0]) & (ticks <= clock[-1])].tolist():
        before = to_steps(chosen[-1]) if chosen else -np.inf
        if to_steps(tick) - before > _APART * (ends[1] - ends[0]):
            chosen.append(tick)
    return chosen


def _thin(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Average long columns within bins."""
    there = np.isfinite(values)
    steps, values = steps[there], values[there]
    if len(steps) <= _MOST_BINS:
        return steps, values
    bins, count = find_bins(np.arange(len(steps)), _MOST_BINS)
    sizes = np.bincount(bins, minlength=count)
    return tuple(reduce_bins(np.add, v, bins, count) / sizes for v in (steps, values))  # type: ignore[return-value]


def _smooth(values: Floats) -> Floats:
    """Average over a window of 3 % of the course, shorter at its ends."""
    half = len(values) // 66
    if half == 0:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def plot_snapshots(rows: Sequence[Mapping[str, float | None]], *, x: str = "step") -> Figure:
    """Plot the mean error on train, validation and test frames over steps or labels.

    Parameters
    ----------
    rows : sequence of mapping
        Each with ``x`` and the mean errors ``train``, ``validation`` and ``test`` in px as far as
        there are; None = not measured.
    x : str
        Name of what they are drawn over.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_snapshots([{"step": 10, "test": 9.0}, {"step": 20, "test": 4.0}])
    >>> len(figure.axes)
    1
    """
    figure = make_plot(6.0, 3.6)
    axes = figure.add_subplot()
    at = np.array([row[x] for row in rows], np.float64)
    for name, colour in (("train", _TRAIN), ("validation", _TOTAL), ("test", _TEST)):
        errors = np.array([row.get(name) for row in rows], np.float64)
        there = np.isfinite(errors)
        if there.any():
            axes.plot(at[there], errors[there], "o-", color=colour, markersize=4, label=name)
    dress_axes(axes, title=f"Error over {x}s", x=x, y="mean error (px)", grid="both")
    axes.set_ylim(bottom=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return figure
