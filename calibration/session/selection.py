"""Choosing views of a board that tell most of a lens: sharp ones, all over the image, all ways."""

from __future__ import annotations

import numpy as np

from calibration.arrays import Floats, Ints
from calibration.boardposes import MIN_CORNERS, fit_homographies

# Views with a smaller part of the most corners seen in any are only taken if there are no others.
_PART = 0.5


def select_views(pixels: Floats, board: Floats, *, most: int, blur: Floats | None = None) -> Ints:
    """Select views of a board that differ most from each other, sharp and whole ones first.

    A view is described by where the board's four outermost corners lie in the image, seen or
    not: that holds its place, its distance, its turn and its tilt at once, and all in pixels. One
    after the other that view is taken which lies farthest from those taken already, distances of
    blurred and partial views counting less.

    Parameters
    ----------
    pixels : float64, (F, C, 2)
        Corners that one camera saw; NaN = not seen.
    board : float64, (C, 3)
        Corners of the board, z = 0.
    most : int
        So many views at most.
    blur : float64, (F,), optional
        Standard deviation of the blur of edges in pixels; NaN = unknown, taken for usual.

    Returns
    -------
    int64, (n,)
        Places of the views among the F, ascending. Views of fewer than six corners, or of less
        than half as many as the fullest one has, are never among them.

    References
    ----------
    Gonzalez 1985 (Theoretical Computer Science 38:293) for taking the farthest one.

    Examples
    --------
    Ten views in one place and one in another; both places are taken.

    >>> board = np.array([[x, y, 0.0] for y in range(3) for x in range(3)])
    >>> pixels = np.repeat(50 * board[None, :, :2], 11, axis=0)
    >>> pixels[7] += 200
    >>> select_views(pixels, board, most=2).tolist()
    [0, 7]
    """
    count = np.isfinite(pixels[..., 0]).sum(1)
    usable = np.flatnonzero(count >= max(MIN_CORNERS, _PART * np.max(count, initial=0)))
    if len(usable) <= most:
        return usable
    worth = count[usable] / count.max()
    if blur is not None and np.isfinite(blur[usable]).any():
        usual = float(np.nanmedian(blur[usable]))
        worth = worth * np.minimum(1, usual / np.nan_to_num(blur[usable], nan=usual))
    places = _find_outlines(pixels[usable], board)
    chosen = [int(np.argmax(worth))]
    distance = np.full(len(usable), np.inf)
    while len(chosen) < most:
        away = np.linalg.norm(places - places[chosen[-1]], axis=1)
        distance = np.minimum(distance, away)
        chosen.append(int(np.argmax(distance * worth)))
    return np.asarray(usable[np.unique(chosen)])


def _find_outlines(pixels: Floats, board: Floats) -> Floats:
    """Find where the corners of the rectangle around a board lie in the image, (F, 8)."""
    low, high = board[:, :2].min(0), board[:, :2].max(0)
    rim = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    homographies = fit_homographies(board[:, :2], pixels)
    there = np.column_stack([rim, np.ones(4)]) @ np.swapaxes(homographies, 1, 2)
    # What a partial view puts behind the camera or far away is only known to be far.
    reach = np.nanmax(np.abs(pixels))
    with np.errstate(divide="ignore", invalid="ignore"):
        outline = there[..., :2] / there[..., 2:]
    outline = np.where(np.isfinite(outline), np.clip(outline, -reach, 2 * reach), 0)
    return np.asarray(outline.reshape(len(pixels), 8))
