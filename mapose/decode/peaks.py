"""Keypoint candidates from scoremaps, on the device, for a whole batch at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

#: Neighbours of a peak in x and y that vote on its position, in cells.
_AROUND = torch.tensor([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)])


class Candidates(NamedTuple):
    """Peaks of a batch as tensors on the device, sorted by frame, then keypoint.

    Parameters
    ----------
    frame, keypoint : int64 (N,)
        Row in the batch and channel.
    cells : float (N, 2)
        Position x, y in map cells.
    score : float (N,)
        Height of the scoremap, 0 to 1.
    covariance : float (N, 2, 2)
        Spread of the response around the peak over its score, in cells², not yet calibrated.
    """

    frame: Tensor
    keypoint: Tensor
    cells: Tensor
    score: Tensor
    covariance: Tensor


def find_peaks(
    scores: Tensor,
    offsets: Tensor,
    *,
    threshold: float,
    most: int = 40,
    best: bool = False,
    radius: int = 1,
) -> Candidates:
    """Find local maxima of scoremaps with sub-cell positions.

    Parameters
    ----------
    scores : float (B, K, H, W)
        Scoremaps, 0 to 1.
    offsets : float (B, 2K, H, W)
        Vector from each cell to its keypoint, in cells.
    threshold : float
        Lowest score of a peak.
    most : int
        Peaks kept per frame and keypoint, the highest ones.
    best : bool
        Take the highest cell of every map whatever its score, which is what one animal needs.
    radius : int
        Cells around a peak, in x and in y, in which none is higher.

    Returns
    -------
    Candidates
        A position is the mean of what the 3x3 cells around the peak say, weighted by score.
    """
    w = scores.shape[3]
    lowest = torch.full(scores.shape[:2], threshold, device=scores.device, dtype=scores.dtype)
    if best:
        lowest = torch.minimum(lowest, scores.amax(dim=(2, 3)))
    frame, keypoint, place, score = _find_maxima(scores, lowest, most, radius)
    x, y = place % w, torch.div(place, w, rounding_mode="floor")
    return _refine(scores, offsets, frame, keypoint, x, y, score)


def _find_maxima(scores: Tensor, lowest: Tensor, most: int, radius: int) -> tuple[Tensor, ...]:
    highest = scores
    for _ in range(radius):
        padded = functional.pad(highest, (1, 1, 1, 1), value=-torch.inf)
        # On a CPU shifted maps make finding peaks a third quicker than max_pool2d does.
        row = torch.maximum(torch.maximum(padded[..., :-2], padded[..., 2:]), padded[..., 1:-1])
        highest = torch.maximum(torch.maximum(row[..., :-2, :], row[..., 2:, :]), row[..., 1:-1, :])
    is_peak = (scores == highest) & (scores >= lowest[..., None, None])
    frame, keypoint, y, x = is_peak.nonzero(as_tuple=True)
    score = scores[frame, keypoint, y, x]
    place = y * scores.shape[3] + x
    # Rank peaks within their map by score, to keep the `most` highest of each.
    group = frame * scores.shape[1] + keypoint
    order = score.argsort(descending=True, stable=True)
    order = order[group[order].argsort(stable=True)]
    group = group[order]
    first = torch.searchsorted(group, group)
    rank = torch.arange(len(group), device=group.device) - first
    order = order[rank < most]
    return frame[order], keypoint[order], place[order], score[order]


def _refine(
    scores: Tensor,
    offsets: Tensor,
    frame: Tensor,
    keypoint: Tensor,
    x: Tensor,
    y: Tensor,
    score: Tensor,
) -> Candidates:
    """Let the cells around each peak vote on where it is."""
    h, w = scores.shape[2:]
    around = _AROUND.to(scores.device)
    column, row = x[:, None] + around[:, 0], y[:, None] + around[:, 1]
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    column, row = column.clamp(0, w - 1), row.clamp(0, h - 1)
    weight = scores[frame[:, None], keypoint[:, None], row, column] * inside
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-12)
    pick = (frame[:, None], 2 * keypoint[:, None], row, column)
    vote_x = column + offsets[pick]
    vote_y = row + offsets[pick[0], pick[1] + 1, row, column]
    cells = torch.stack([(weight * vote_x).sum(1), (weight * vote_y).sum(1)], dim=1)
    gap = torch.stack([column, row], dim=2) - cells[:, None]
    spread = torch.einsum("nm,nmi,nmj->nij", weight, gap, gap)
    covariance = spread / score.clamp(min=1e-3)[:, None, None]
    return Candidates(frame, keypoint, cells, score, covariance)
