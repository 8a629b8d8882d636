"""Encoders: an image in, features at several strides out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def make_convolution(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Make a convolution, 3x3 by default, with batch norm and ReLU.

    Batch norm rather than group norm, because it folds into the convolution for inference.
    """
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
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


class ScaledConvolution(nn.Module):
    """A convolution with a factor and a shift per channel, and no bend or ReLU6 after it.

    It stands for a convolution with a batch norm that keeps the statistics it was pretrained
    with: a few labelled frames are too few for new ones, and so the norm becomes a part of the
    kernel and costs nothing per pixel. Factor and kernel are trained apart, as in the norm.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    size, stride : int
        Side of the kernel, and its steps.
    depthwise : bool
        Each channel by itself.
    bend : bool
        Whether ReLU6 follows.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        depthwise: bool = False,
        bend: bool = True,
    ) -> None:
        super().__init__()
        self.groups = inputs if depthwise else 1
        self.stride, self.padding, self.bend = stride, size // 2, bend
        self.weight = nn.Parameter(torch.empty(outputs, inputs // self.groups, size, size))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        if depthwise:  # a fan of one channel, not of all
            self.weight.data *= outputs**0.5
        self.scale = nn.Parameter(torch.ones(outputs))
        self.shift = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Turn float (B, inputs, H, W) into (B, outputs, H / stride, W / stride)."""
        kernel = self.weight * self.scale[:, None, None, None]
        x = functional.conv2d(x, kernel, self.shift, self.stride, self.padding, 1, self.groups)
        return functional.relu6(x, inplace=True) if self.bend else x

    def folded(self) -> nn.Module:
        """Make an ordinary convolution of it, for inference."""
        outputs, inputs, size, _ = self.weight.shape
        convolution = nn.Conv2d(
            inputs * self.groups, outputs, size, self.stride, self.padding, groups=self.groups
        )
        convolution.weight.data = self.weight.data * self.scale.data[:, None, None, None]
        convolution.bias = nn.Parameter(self.shift.data.clone())
        return nn.Sequential(convolution, nn.ReLU6(inplace=True)) if self.bend else convolution
