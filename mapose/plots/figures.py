"""Ground of all figures: a figure without pyplot, plain axes, time axes, thinning."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mapose.arrays import Floats, Image, Ints
from mapose.errors import ShapeError
from mapose.files import make_mark, write_atomically
from mapose.parts import Parts
from mapose.poses import Poses

INK = "0.2"
FAINT = "0.55"


class Plot(Figure):
    """A matplotlib figure that notebooks show although pyplot knows nothing of it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def make_plot(width: float, height: float) -> Plot:
    """Make an empty figure, size in inches, whose parts keep clear of each other."""
    return Plot(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")


def save_figure(figure: Figure, path: str | Path, *, made: str = "") -> None:
    """Save a figure as PNG, whole or not at all.

    Parameters
    ----------
    figure : Figure
        Of any function that plots.
    path : str or Path
        Replaced if it exists.
    made : str
        What made it, of `mapose.files.name_work`; kept in the file as a comment.

    Raises
    ------
    MaposeError
        If the file cannot be written.
    """
    comment = {"Comment": make_mark(made)} if made else {}
    # A line of 20,000 points that cross each other takes 180 to 500 MB in one piece.
    pieces = rc_context({"agg.path.chunksize": 4000})
    with write_atomically(path) as temporary, pieces:
        figure.savefig(temporary, format="png", dpi=150, metadata=comment)


def dress_axes(
    axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: str | None = None
) -> None:
    """Give axes the common look: few lines, small type, a title at the left.

    Parameters
    ----------
    axes : Axes
        Changed in place.
    title, x, y : str
        Words above, below and beside.
    grid : "x", "y" or "both", optional
        Faint lines to read values by.
    """
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("0.6")
    axes.tick_params(labelsize=8, colors=INK, color="0.6", length=3)
    if title:
        axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold")
    axes.set_xlabel(x, fontsize=8.5, color=INK)
    axes.set_ylabel(y, fontsize=8.5, color=INK)
    if grid:
        axes.grid(axis=grid, color="0.92", linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def label_log_axis(axis: Axis) -> None:
    """Put plain numbers on a logarithmic axis whose limits are set: at 1, 2, 5 if there is room."""
    low, high = sorted(axis.get_view_interval())
    marks = (1, 2, 5) if high < 2000 * low else (1,)
    axis.set_major_locator(LogLocator(subs=marks, numticks=20))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def to_rgb(colours: Image) -> list[tuple[float, float, float]]:
    """Turn uint8 (N, 3) into the numbers that matplotlib takes."""
    return [(r / 255, g / 255, b / 255) for r, g, b in colours.tolist()]


def take_parts(poses: Poses | Parts, **support: npt.ArrayLike | None) -> Parts:
    """Take poses as parts that know what their keypoints rest on, (F, I, K) each.

    What comes in parts knows it by itself.

    Raises
    ------
    ShapeError
        If an array does not fit.
    """
    if isinstance(poses, Parts):
        return poses
    known = {name: np.asarray(values) for name, values in support.items() if values is not None}
    for name, values in known.items():
        if values.shape != poses.array.shape[:3]:
            raise ShapeError(f"{name}: wanted shape {poses.array.shape[:3]}, came {values.shape}")
    return Parts.of(poses, support=known)


def find_times(poses: Poses | Parts) -> tuple[Floats, str]:
    """Tell when each row was: seconds, minutes or hours if the rate is known, else frames.

    Returns
    -------
    times : float64, (F,)
    label : str
        For the axis.
    """
    times = poses.frames.astype(np.float64)
    if not poses.rate:
        return times, "frame"
    times /= poses.rate
    last = float(times[-1]) if len(times) else 0.0
    for unit, name, longest in ((1, "s", 180), (60, "min", 180 * 60)):
        if last <= longest:
            times /= unit
            return times, f"time ({name})"
    times /= 3600
    return times, "time (h)"


def find_bins(frames: Ints, most: int) -> tuple[Ints, int]:
    """Share rows out to bins of equal length in video frames.

    Parameters
    ----------
    frames : int64, (F,)
        Frame number of each row, ascending.
    most : int
        Bins wanted at most.

    Returns
    -------
    bins : int64, (F,)
        Bin of each row, ascending; bins without a row are possible.
    count : int
        Number of bins.
    """
    if not len(frames):
        return np.zeros(0, np.int64), 0
    span = int(frames[-1] - frames[0]) + 1
    length = -(-span // most)
    return (frames - frames[0]) // length, -(-span // length)


def reduce_bins(ufunc: np.ufunc, values: npt.NDArray[Any], bins: Ints, count: int) -> Floats:
    """Reduce the rows of each bin, (F, ...) to (count, ...); NaN where a bin has no row."""
    out = np.full((count, *values.shape[1:]), np.nan)
    if len(bins):
        starts = np.flatnonzero(np.diff(bins, prepend=-1))
        out[bins[starts]] = ufunc.reduceat(values, starts, axis=0)
    return out


class BinReducer:
    """Reduces rows to bins as `reduce_bins` does, from one run of rows after the other.

    Parameters
    ----------
    ufunc : numpy.ufunc
        Such as `numpy.fmin`.
    bins, count
        Of all rows, as `find_bins` gives them.
    """

    def __init__(self, ufunc: np.ufunc, bins: Ints, count: int) -> None:
        self._ufunc, self._bins, self._count, self._row = ufunc, bins, count, 0
        self.values: Floats = np.zeros(0)

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add the rows that follow, (N, ...); `values` are then those of all so far."""
        bins = self._bins[self._row : self._row + len(values)]
        own = reduce_bins(self._ufunc, values, bins, self._count)
        if self._row:
            both = self._ufunc(self.values, own)
            own = np.where(np.isnan(own), self.values, np.where(np.isnan(self.values), own, both))
        self.values = own
        self._row += len(values)
