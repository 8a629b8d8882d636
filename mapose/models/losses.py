"""Losses of the three heads, masked where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mapose.models.network import Maps


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, each a scalar tensor."""

    scoremap: Tensor
    offset: Tensor
    affinity: Tensor

    @property
    def total(self) -> Tensor:
        """Sum of the parts."""
        return self.scoremap + self.offset + self.affinity


def find_mark_loss(marks: Tensor, owner: Tensor, weight: Tensor) -> Tensor:
    """Compare what a network says of whose a keypoint is with whose it is.

    Parameters
    ----------
    marks : float (B, N, H, W)
        Logits.
    owner : int64 (B, H, W)
        Channel of the animal.
    weight : float (B, H, W)
        How much a cell counts: 0 where there is no keypoint, or one of nobody in particular.
    """
    entropy = functional.cross_entropy(marks, owner, reduction="none")
    return (entropy * weight).sum() / weight.sum().clamp(min=1.0)


def find_centre_loss(found: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Compare where a network sees the centres of animals with where they are.

    Parameters
    ----------
    found, wanted : float (B, 3, H, W)
        See `Maps.centres`.
    weight : float (B, H, W)
        How much a cell counts: 0 where there is no keypoint.

    Returns
    -------
    Tensor
        Scalar, smooth L1 of all three; of the centre relative to the animal's radius, so that
        large animals count no more than small ones.
    """
    gap = found - wanted
    miss = torch.cat([gap[:, :2] / wanted[:, 2:].exp(), gap[:, 2:]], dim=1)
    smooth = functional.smooth_l1_loss(miss, torch.zeros_like(miss), reduction="none", beta=0.25)
    return (smooth * weight[:, None]).sum() / weight.sum().clamp(min=1.0)


def find_losses(maps: Maps, targets: Maps, known: Tensor, *, on_limb: Tensor) -> Losses:
    """Compare predicted maps with their targets.

    Parameters
    ----------
    maps : Maps
        Prediction, scores as logits.
    targets : Maps
        Scores from 0 to 1; offsets where the score is above 0.
    known : bool (B, K)
        Whether a keypoint was looked for in this image; where not, its maps do not count.
    on_limb : float (B, E, H, W)
        1 on limbs, 0 elsewhere.

    Returns
    -------
    Losses
        Scoremap: cross-entropy weighted by the squared distance between prediction and target
        (quality focal loss, Li et al. 2020), per keypoint. Offset: smooth L1 in cells, weighted
        by the score. Affinity: squared error, per cell of limb.
    """
    counted = known[:, :, None, None].float()
    wanted = targets.scores
    keypoints = (wanted * counted).sum().clamp(min=1.0)
    gap = (maps.scores.sigmoid() - wanted).square()
    entropy = functional.binary_cross_entropy_with_logits(maps.scores, wanted, reduction="none")
    scoremap = (gap.detach() * entropy * counted).sum() / keypoints

    weight = (wanted * counted).repeat_interleave(2, dim=1)
    miss = functional.smooth_l1_loss(maps.offsets, targets.offsets, reduction="none", beta=0.25)
    offset = (miss * weight).sum() / keypoints

    if not maps.fields.shape[1]:
        return Losses(scoremap, offset, torch.zeros((), device=wanted.device))
    miss = (maps.fields - targets.fields).square()
    affinity = miss.sum() / (2 * on_limb.sum()).clamp(min=1.0)
    return Losses(scoremap, offset, affinity)
