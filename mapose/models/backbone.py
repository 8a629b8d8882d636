"""Encoders: an image in, features at several strides out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def make_convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """Make a 3x3 convolution with batch norm and ReLU.

    Batch norm rather than group norm, because it folds into the convolution for inference.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity path (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = make_convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add what the two convolutions find to ``x``, float (B, C, H, W)."""
        return torch.relu(x + self.second(self.first(x)))


class Encoder(nn.Module):
    """Convolutional encoder trained from scratch.

    Parameters
    ----------
    inputs : int
        Image channels, 1 or 3.
    widths : sequence of int
        Channels at stride 2, 4, 8, ...
    depths : sequence of int
        Residual blocks at each of these strides.
    """

    def __init__(self, inputs: int, widths: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.strides = tuple(2 ** (i + 1) for i in range(len(widths)))
        before = (inputs, *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(make_convolution(i, o, stride=2), *[Residual(o) for _ in range(depth)])
            for i, o, depth in zip(before, widths, depths, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images, float (B, C, H, W), into features, finest first."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
