"""How far predictions are from labels: on the labelled frame and as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mapose.errors import ShapeError
from mapose.plots.figures import FAINT, INK, dress_axes, make_plot

_TEST, _TRAIN = "#d6409f", "0.55"
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

    Every label is a dot; the thick bar holds the middle half, the notch is the median. What was
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
    truth, found = np.asarray(truth, np.float64), np.asarray(found, np.float64)
    if truth.ndim != 4 or truth.shape != found.shape:
        raise ShapeError(
            "errors: wanted truth and found of one shape (frames, individuals, keypoints, 2), "
            f"came {truth.shape} and {found.shape}"
        )
    if len(keypoints) != truth.shape[2]:
        raise ShapeError(f"keypoints: wanted {truth.shape[2]} names, came {len(keypoints)}")
    groups = {"": np.ones(len(truth), bool)}
    if test is not None:
        chosen = np.asarray(test, bool)
        if chosen.shape != (len(truth),):
            raise ShapeError(f"test: wanted shape ({len(truth)},), came {chosen.shape}")
        groups = {"train": ~chosen, "test": chosen}
    errors = np.linalg.norm(found - truth, axis=-1)
    labelled = np.isfinite(truth).all(-1)
    names = ["all", *keypoints]
    figure = make_plot(7.5, 1.1 + (0.34 if test is None else 0.5) * len(names))
    axes = figure.add_subplot()
    seen = errors[np.isfinite(errors)]
    low = 10 ** np.floor(np.log10(max(float(np.quantile(seen, 0.01)), 0.02))) if len(seen) else 0.1
    offset = np.linspace(-0.2, 0.2, len(groups)) if len(groups) > 1 else [0.0]
    for (group, rows), shift in zip(groups.items(), offset, strict=True):
        colour = _TRAIN if group == "train" else _TEST
        for y in range(len(names)):
            part = slice(None) if y == 0 else slice(y - 1, y)
            picked = labelled[rows][:, :, part]
            _plot_row(axes, errors[rows][:, :, part][picked], y + shift, (low, colour))
    axes.set_xscale("log")
    axes.set_xlim(left=0.9 * low)
    axes.axhline(0.5, color="0.85", linewidth=0.8)
    dress_axes(axes, title="Distance from the label", x=f"error ({unit})", grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if test is not None:
        for name, colour in (("train", _TRAIN), ("test", _TEST)):
            axes.plot([], [], color=colour, linewidth=5, label=name)
        axes.legend(
            frameon=False, fontsize=8, ncols=2, loc="lower right", bbox_to_anchor=(1, 1),
            labelcolor=INK, handlelength=1.2,
        )  # fmt: skip
    return figure


def _plot_row(
    axes: Axes, errors: npt.NDArray[np.float64], y: float, look: tuple[float, str]
) -> None:
    """Draw the errors of one keypoint: dots, bar, median, figures at the right."""
    low, colour = look
    seen = np.maximum(errors[np.isfinite(errors)], low)
    words = "no labels" if not errors.size else "none found"
    if seen.size:
        # Spread by the golden ratio: even, and the same each time.
        shown = seen[:: -(-len(seen) // _MOST_DOTS)]
        jitter = (np.arange(len(shown)) * 0.618 % 1 - 0.5) * 0.26
        axes.plot(shown, y + jitter, ".", color=colour, markersize=3, alpha=0.35, markeredgewidth=0)
        quarter, middle, three = np.quantile(seen, [0.25, 0.5, 0.75])
        axes.plot([quarter, three], [y, y], color=colour, linewidth=5, solid_capstyle="butt")
        axes.plot(middle, y, "|", color="white", markersize=5.5, markeredgewidth=1.6)
        words = f"median {middle:.1f}"
        lost = 1 - len(seen) / len(errors)
        if lost > 0:
            words += f", {100 * lost:.1f} % not found"
    axes.annotate(
        words, (1, y), xycoords=("axes fraction", "data"), xytext=(6, 0),
        textcoords="offset points", va="center", fontsize=7.5, color=FAINT,
    )  # fmt: skip
