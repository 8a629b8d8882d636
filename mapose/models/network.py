"""The pose network: encoder, decoder, and a head for each kind of map."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mapose.models.backbone import Encoder, ScaledConvolution, make_convolution
from mapose.models.efficientnet import EfficientNetLite0
from mapose.models.hub import HubEncoder

#: Centres lie so many times further away than keypoints do from their cell.
_SCALE = 4.0


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
    marks : float (B, N, H, W), optional
        Of networks that know animals by name: logits of whose keypoint it is.
    centres : float (B, 3, H, W), optional
        Of networks for tiny animals: from the cell to the centre of the animal there in x and y,
        in cells, and the logarithm of the animal's radius in cells.
    """

    scores: Tensor
    offsets: Tensor
    fields: Tensor
    marks: Tensor | None = None
    centres: Tensor | None = None


class PoseNetwork(nn.Module):
    """U-Net with heads for scoremaps, sub-cell offsets and part-affinity fields.

    Parameters
    ----------
    encoder : nn.Module
        Gives features at ascending strides, with ``widths`` and ``strides``.
    keypoints, edges : int
        Numbers of maps to predict.
    stride : int
        Input pixels per map cell: one of the encoder's strides, 4 or more, or 2. Maps at stride 2
        are those of four times as many channels at stride 4, side by side: as deep features stand
        behind each of their cells, where so many channels at stride 2 would cost four times as
        much and few of them learn more slowly (two flies with 13 keypoints: 51 px off after 340
        steps instead of 45).
    widths : sequence of int, optional
        Channels of the decoder at the encoder's strides (or at more: the last ones count), where
        they are to be others than the encoder's. Then the features of the stride before the maps'
        are looked at as well.

    References
    ----------
    Ronneberger et al. 2015 (U-Net), Cao et al. 2017 (part-affinity fields), Insafutdinov et al.
    2016 (offsets beside scoremaps); skip connections are added, as in Lin et al. 2017 (FPN). Shi et
    al. 2016 (sub-pixel convolution).
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        keypoints: int,
        edges: int,
        stride: int = 4,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.keypoints, self.edges, self.stride = keypoints, edges, stride
        strides = cast(Sequence[int], encoder.strides)
        given = cast(Sequence[int], encoder.widths)
        # Of those for strides 2, 4, ... the last ones; an encoder may begin at stride 4.
        widths = widths and widths[len(widths) - len(given) :]
        self.multiple = strides[-1]
        #: Cells of the maps beside each other in one of the features'.
        self.split = 2 if stride == 2 else 1
        self.level = level = strides.index(self.split * stride)
        steps = list(reversed(range(level, len(given) - 1)))
        pairs = list(zip(given, widths or given, strict=True))[level:][::-1]
        self.laterals = nn.ModuleList(
            make_convolution(i, o, size=1) if widths else nn.Identity() for i, o in pairs
        )
        self.finer = (
            make_convolution(given[level - 1], widths[level], stride=2)
            if widths and level
            else None
        )
        widths = widths or given
        self.narrow = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in steps)
        self.merge = nn.ModuleList(make_convolution(widths[i], widths[i]) for i in steps)
        width = max(64, widths[level])
        self.neck = make_convolution(widths[level], width)
        self.heads = self._make_head(width, 3 * keypoints + 2 * edges)
        self.marks: nn.Conv2d | None = None
        self.centres: nn.Conv2d | None = None
        self._initialise()

    def _make_head(self, width: int, maps: int) -> nn.Conv2d:
        return nn.Conv2d(width, self.split**2 * maps, 1)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.heads.weight, std=0.01)
        # Peaks are rare: start from a probability of 0.01, or the first steps learn only that.
        cast(Tensor, self.heads.bias).data[: self.split**2 * self.keypoints] = -4.6

    def add_marks(self, names: int) -> None:
        """Give the network maps of whose a keypoint is, for so many marked animals."""
        if not names:
            return
        self.marks = self._add_head(names)

    def add_centres(self) -> None:
        """Give the network maps of where animals are, whichever keypoint of theirs it sees."""
        self.centres = self._add_head(3)

    def _add_head(self, maps: int) -> nn.Conv2d:
        head = self._make_head(self.heads.in_channels, maps)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(cast(Tensor, head.bias))
        return head.to(self.heads.weight.device)

    def part_by_map(self, weights: Tensor) -> Tensor:
        """Part the rows of a head by the maps they are of: (maps, rows of each, ...), a view."""
        return weights.unflatten(0, (-1, self.split**2))

    def forward(self, images: Tensor) -> Maps:
        """Predict maps.

        Parameters
        ----------
        images : float (B, C, H, W)
            About 0 mean, unit spread; H and W multiples of `multiple`.
        """
        features = self.encoder(images)
        x = self.laterals[0](features.pop())
        for narrow, merge, lateral in zip(self.narrow, self.merge, self.laterals[1:], strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest")
            x = x + lateral(features.pop())
            if self.finer is not None and len(features) == self.level:
                x = x + self.finer(features.pop())
            x = merge(x)
        x = self.neck(x)
        maps, marks, centres = (
            None if head is None else self._lay_out(head(x))
            for head in (self.heads, self.marks, self.centres)
        )
        k = self.keypoints
        scores, offsets, fields = cast(Tensor, maps).split([k, 2 * k, 2 * self.edges], dim=1)
        return Maps(scores, offsets, fields, marks, None if centres is None else _SCALE * centres)

    def _lay_out(self, maps: Tensor) -> Tensor:
        """Lay out as cells what lies beside each other in channels.

        Where nothing does, that would still copy all maps: 2 of 34 ms of onnxruntime at 320x240.
        """
        return functional.pixel_shuffle(maps, self.split) if self.split > 1 else maps

    def predict(self, images: Tensor) -> Maps:
        """Predict maps of uint8 images, with scores from 0 to 1.

        Parameters
        ----------
        images : uint8 (B, H, W, C)
            H and W multiples of `multiple`.
        """
        maps = self(normalise(images))
        marks = None if maps.marks is None else maps.marks.float()
        centres = None if maps.centres is None else maps.centres.float()
        scores = maps.scores.float().sigmoid()
        return Maps(scores, maps.offsets.float(), maps.fields.float(), marks, centres)

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
    encoder: str | dict[str, Any] = "residual",
) -> PoseNetwork:
    """Build a pose network from plain values.

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
    encoder : str or dict
        ``"residual"``, ``"efficientnet-lite0"``, or what describes one of the hub, see
        `mapose.models.hub.HubEncoder`. But for the first, ``widths`` are those of the decoder, and
        ``depths`` do not matter.
    """
    built: nn.Module
    if encoder == "residual":
        built = Encoder(channels, widths, depths)
    elif isinstance(encoder, str):
        built = EfficientNetLite0(channels)
    else:
        built = HubEncoder(encoder)
    return PoseNetwork(
        built,
        keypoints=keypoints,
        edges=edges,
        stride=stride,
        widths=None if encoder == "residual" else widths,
    )


def _fuse(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ScaledConvolution):
            setattr(module, name, child.folded())
        else:
            _fuse(child)
    if isinstance(module, nn.Sequential):
        for i in range(len(module) - 1):
            first, second = module[i], module[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[i] = fuse_conv_bn_eval(first, second)
                module[i + 1] = nn.Identity()
