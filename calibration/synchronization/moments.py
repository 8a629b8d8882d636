"""Common moments of cameras that take their frames at times of their own, or drop some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.arrays import Bools, Floats, Ints
from calibration.errors import CalibrationError

# Frames further apart than this many periods have a drop between them.
_GAP = 1.5
# A frame stands for a moment this many periods off where there is none on the other side; nearer
# than the second, it is the moment itself.
_NEAR, _SAME = 0.25, 0.02


@dataclass(frozen=True, eq=False)
class Placement:
    """Which two frames of a camera a moment lies between.

    Parameters
    ----------
    first, second : int64, (M,)
        Rows of the frames; the same one where a frame is the moment itself.
    share : float64, (M,)
        0 to 1: how far on the way from the first to the second.
    kept : bool, (M,)
        Whether the camera saw the moment: False where a frame was dropped.
    """

    first: Ints
    second: Ints
    share: Floats
    kept: Bools


def find_moments(times: Sequence[Floats]) -> tuple[Floats, float]:
    """Find moments at an even pace that are common to cameras, and the time between two.

    Parameters
    ----------
    times : sequence of float64, (F,)
        Of the frames of each camera, s, ascending.

    Returns
    -------
    float64, (M,)
        Those of the camera with most frames, its drops filled in, from the first to the last
        frame of any camera.
    float
        From one to the next, s.

    Raises
    ------
    CalibrationError
        If no camera has two frames.

    Examples
    --------
    >>> find_moments([np.array([0.0, 1, 3, 4]), np.array([2.0, 3, 4, 5])])
    (array([0., 1., 2., 3., 4., 5.]), 1.0)
    """
    longest = max(times, key=len)
    if len(longest) < 2:
        raise CalibrationError("times: wanted two frames or more of a camera")
    period = float(np.median(np.diff(longest)))
    steps = np.maximum(np.rint(np.diff(longest) / period), 1).astype(int)
    number = np.concatenate([[0], np.cumsum(steps)])
    before = max(int(np.floor((longest[0] - min(t[0] for t in times)) / period + 0.5)), 0)
    after = max(int(np.floor((max(t[-1] for t in times) - longest[-1]) / period + 0.5)), 0)
    whole = np.arange(-before, number[-1] + after + 1)
    inside = np.interp(whole, number, longest)
    early, late = np.minimum(whole, 0), np.maximum(whole - number[-1], 0)
    return inside + (early + late) * period, period


def place_moments(when: Floats, moments: Floats, period: float) -> Placement:
    """Find between which frames of one camera the common moments lie.

    Parameters
    ----------
    when : float64, (F,)
        Times of the frames that are known, s, ascending; at least one.
    moments : float64, (M,)
        As of `find_moments`.
    period : float
        Time from one moment to the next, s.

    Returns
    -------
    Placement

    Examples
    --------
    >>> placed = place_moments(np.array([0.5, 1.5, 3.5]), np.arange(5.0), 1.0)
    >>> placed.kept, placed.share[1]
    (array([False,  True, False, False, False]), np.float64(0.5))
    """
    after = np.clip(np.searchsorted(when, moments), 1, max(len(when) - 1, 1))
    after = np.minimum(after, len(when) - 1)
    before = np.maximum(after - 1, 0)
    span = np.maximum(when[after] - when[before], 1e-12)
    share = np.clip((moments - when[before]) / span, 0, 1)
    nearest = np.where(share < 0.5, before, after)
    off = np.abs(when[nearest] - moments) / period
    between = (span < _GAP * period) & (moments >= when[0]) & (moments <= when[-1])
    between &= off > _SAME
    kept = between | (off <= _NEAR)
    return Placement(
        first=np.where(between, before, nearest),
        second=np.where(between, after, nearest),
        share=np.where(between, share, 0.0),
        kept=np.asarray(kept, bool),
    )
