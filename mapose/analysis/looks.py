"""Several looks at an image, each at half the size of the one before, seen as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mapose.decode import find_repeats, find_same, pair_peaks, score_centres


class Look(NamedTuple):
    """What a network finds in a batch of images, as tensors on the device.

    Parameters
    ----------
    frame, keypoint : int64 (N,)
        Row in the batch and channel, ascending.
    xy : float (N, 2)
        Position, pixels of the original images.
    score : float (N,)
        0 to 1.
    covariance : float (N, 2, 2)
        Spread of the response, cells², not yet calibrated.
    pitch : float64 (N,)
        Pixels of the original images per cell.
    pairs, edge : int64 (M, 2), (M,)
        Rows of two peaks that an edge could join, and which edge.
    affinity : float (M,)
        Of each pair by the field between them, -1 to 1.
    animal : float (N, 3) or None
        Centre x, y and radius of the animal that each peak sees, pixels of the original images;
        None of networks that do not tell.
    marks : float (N, A) or None
        Log-probability that it is of each of A animals known by name.
    """

    frame: Tensor
    keypoint: Tensor
    xy: Tensor
    score: Tensor
    covariance: Tensor
    pitch: Tensor
    pairs: Tensor
    edge: Tensor
    affinity: Tensor
    animal: Tensor | None
    marks: Tensor | None


def join_looks(looks: Sequence[Look], edges: Tensor) -> Look:
    """Take what several looks at the same images find for one, each keypoint of an animal once.

    Animals that are several times as large as most are found where they are shown smaller. Peaks
    of different looks belong together if they see the centre of their animal in the same place;
    within one look the fields between them have a say as well. What two looks find counts for more
    than what one finds: a third of the score is that of the other look.

    Parameters
    ----------
    looks : sequence of Look
        All with `Look.animal`.
    edges : int64 (E, 2)
        Keypoints at the two ends of each edge.

    Returns
    -------
    Look
        Sorted by frame, then keypoint.

    Notes
    -----
    Birds of 12 to 155 px, 24 labelled ones that were not trained on, one network: 16 found with the
    full size alone and 20 false animals beside them (doubles and parts of large ones for the most
    part); 23 and 13 with half the size as well and each keypoint once. At the best threshold of
    these, recall 0.92 and precision 0.79; with the other look in the score 0.92 and 0.85. Another
    network, after fewer steps, with three looks: 0.83 and 0.59 without, 0.75 and 0.82 with it.
    """
    frame, keypoint, xy, score, covariance, pitch = (
        torch.cat(parts) for parts in zip(*(look[:6] for look in looks), strict=True)
    )
    animal = torch.cat([look.animal for look in looks if look.animal is not None])
    counts = [len(look.frame) for look in looks]
    first = np.cumsum([0, *counts])
    pairs = torch.cat([look.pairs + int(at) for look, at in zip(looks, first, strict=False)])
    edge = torch.cat([look.edge for look in looks])
    fields = torch.cat([look.affinity for look in looks])
    same = find_same(animal, frame, keypoint)
    if len(looks) > 1:
        which = torch.as_tensor(np.repeat(np.arange(len(looks)), counts), device=frame.device)
        every, its = pair_peaks(frame, keypoint, edges, int(frame.max()) + 1 if len(frame) else 0)
        across = which[every[:, 0]] != which[every[:, 1]]
        pairs, edge = torch.cat([pairs, every[across]]), torch.cat([edge, its[across]])
        one, other = same[which[same[:, 0]] != which[same[:, 1]]].T
        again = torch.zeros_like(score).scatter_reduce(0, one, score[other], "amax")
        score = (2 * score + again) / 3
    affinity = score_centres(animal, pairs)
    affinity[: len(fields)] = (affinity[: len(fields)] + fields) / 2
    kept = ~find_repeats(same, score)
    order = torch.nonzero(kept)[:, 0]
    for by in (keypoint, frame):
        order = order[by[order].argsort(stable=True)]
    row = torch.full_like(frame, -1)
    row[order] = torch.arange(len(order), device=frame.device)
    linked = kept[pairs].all(1)
    marks = [look.marks for look in looks if look.marks is not None]
    return Look(
        frame=frame[order],
        keypoint=keypoint[order],
        xy=xy[order],
        score=score[order],
        covariance=covariance[order],
        pitch=pitch[order],
        pairs=row[pairs[linked]],
        edge=edge[linked],
        affinity=affinity[linked],
        animal=animal[order],
        marks=torch.cat(marks)[order] if marks else None,
    )
