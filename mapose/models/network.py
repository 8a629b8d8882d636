"""The pose network: encoder, decoder, and a head for each kind of map."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mapose.models.backbone import Encoder, make_convolution


@dataclass(frozen=True)
class Maps:
    """What the network says of a batch of images.

    Parameters
    ----------
    scores : float (B, K, H, W)
        Scoremaps; logits while training, 0 to 1 after `PoseNetwork.predict`.
    offsets : float (B, 2K, H, W)
        For channel 2k and 2k+1, from the cell's centre to the keypoint in x and y, in cells.
    fields : float (B, 2E, H, W)
        For channel 2e and 2e+1, the direction of edge e in x and y where its limb lies.
    """

    scores: Tensor
    offsets: Tensor
    fields: Tensor


class PoseNetwork(nn.Module):
    """U-Net with heads for scoremaps, sub-cell offsets and part-affinity fields.

    Parameters
    ----------
    encoder : Encoder
        Gives features at ascending strides, with ``widths`` and ``strides``.
    keypoints, edges : int
        Numbers of maps to predict.
    stride : int
        Input pixels per map cell; one of the encoder's strides.

    References
    ----------
    Ronneberger et al. 2015 (U-Net), Cao et al. 2017 (part-affinity fields), Insafutdinov et al.
    2016 (offsets beside scoremaps); skip connections are added, as in Lin et al. 2017 (FPN).
    """

    def __init__(self, encoder: Encoder, *, keypoints: int, edges: int, stride: int = 4) -> None:
        super().__init__()
        self.encoder = encoder
        self.keypoints, self.edges, self.stride = keypoints, edges, stride
        self.multiple = encoder.strides[-1]
        level = encoder.strides.index(stride)
        steps = list(reversed(range(level, len(encoder.widths) - 1)))
        widths = encoder.widths
        self.narrow = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in steps)
        self.merge = nn.ModuleList(make_convolution(widths[i], widths[i]) for i in steps)
        width = max(64, widths[level])
        self.neck = make_convolution(widths[level], width)
        self.heads = nn.Conv2d(width, 3 * keypoints + 2 * edges, 1)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.heads.weight, std=0.01)
        # Peaks are rare: start from a probability of 0.01, or the first steps learn only that.
        cast(Tensor, self.heads.bias).data[: self.keypoints] = -4.6

    def forward(self, images: Tensor) -> Maps:
        """Predict maps.

        Parameters
        ----------
        images : float (B, C, H, W)
            About 0 mean, unit spread; H and W multiples of `multiple`.
        """
        features = self.encoder(images)
        x = features.pop()
        for narrow, merge in zip(self.narrow, self.merge, strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = merge(x + features.pop())
        maps = self.heads(self.neck(x))
        k = self.keypoints
        scores, offsets, fields = maps.split([k, 2 * k, 2 * self.edges], dim=1)
        return Maps(scores, offsets, fields)

    def predict(self, images: Tensor) -> Maps:
        """Predict maps of uint8 images, with scores from 0 to 1.

        Parameters
        ----------
        images : uint8 (B, H, W, C)
            H and W multiples of `multiple`.
        """
        maps = self(normalise(images))
        return Maps(maps.scores.float().sigmoid(), maps.offsets.float(), maps.fields.float())

    def fused(self) -> PoseNetwork:
        """Make a copy for inference, with batch norms folded into convolutions."""
        network = copy.deepcopy(self).eval()
        _fuse(network)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def normalise(images: Tensor) -> Tensor:
    """Turn uint8 (B, H, W, C) images into float (B, C, H, W) in channels-last memory.

    Grey level 128 becomes 0 and 64 levels 1, whatever the image: a fixed scale keeps the result
    of a frame independent of the batch and of its crop.
    """
    return images.permute(0, 3, 1, 2).float().sub_(128).div_(64)


def build_network(
    channels: int,
    keypoints: int,
    edges: int,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    stride: int = 4,
) -> PoseNetwork:
    """Build a pose network from plain numbers.

    Parameters
    ----------
    channels : int
        Image channels, 1 or 3.
    keypoints, edges : int
        Numbers of scoremaps and affinity fields.
    widths, depths : sequence of int
        Channels and residual blocks of the encoder at stride 2, 4, 8, ...
    stride : int
        Input pixels per map cell.
    """
    return PoseNetwork(
        Encoder(channels, widths, depths), keypoints=keypoints, edges=edges, stride=stride
    )


def _fuse(module: nn.Module) -> None:
    for child in module.children():
        _fuse(child)
    if isinstance(module, nn.Sequential):
        for i in range(len(module) - 1):
            first, second = module[i], module[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[i] = fuse_conv_bn_eval(first, second)
                module[i + 1] = nn.Identity()
