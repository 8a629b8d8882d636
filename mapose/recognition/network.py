"""The appearance network: a crop of an animal in, a unit vector out that says who it looks like."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapose.arrays import Image
from mapose.models.backbone import Encoder

#: Side of the crops; the network halves it three times and then pools pairs.
CROP = 48
_PARTS = 3


class AppearanceNetwork(nn.Module):
    """Small convolutional network that turns aligned crops into unit vectors.

    Features are pooled over a grid of 3 x 3 parts instead of the whole crop: crops are aligned,
    so that a mark on the head and one on the rump fall into different parts.

    Parameters
    ----------
    channels : int
        Image channels, 1 or 3.
    dimensions : int
        Length of the vectors.
    widths, depths : sequence of int
        Channels and residual blocks at stride 2, 4 and 8.
    """

    def __init__(
        self,
        channels: int,
        dimensions: int = 32,
        *,
        widths: Sequence[int] = (16, 32, 64),
        depths: Sequence[int] = (0, 0, 1),
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, widths, depths)
        self.pool = nn.AvgPool2d(CROP // 2 ** len(widths) // _PARTS)
        self.project = nn.Linear(widths[-1] * _PARTS**2, dimensions)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images, float (B, C, 48, 48) from 0 to 1, into unit vectors, float (B, D)."""
        # Square roots spread dark coats, among which a bright scale would see no difference.
        features = self.encoder(4 * images.sqrt() - 2)[-1]
        return functional.normalize(self.project(self.pool(features).flatten(1)), dim=1)


def to_images(crops: Image, device: torch.device | None = None) -> Tensor:
    """Turn crops, uint8 (B, H, W, C), into images, float (B, C, H, W) from 0 to 1."""
    return torch.as_tensor(crops, device=device).permute(0, 3, 1, 2).float() / 255
