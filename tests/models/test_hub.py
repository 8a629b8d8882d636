"""Backbones of transformers, in the hub's own format, without any network."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mapose.errors import FormatError, MissingExtraError, SettingsError
from mapose.models import HubEncoder, Model, build_network, normalise, read_config
from mapose.skeleton import Skeleton

transformers = pytest.importorskip("transformers", reason="the extra hub is not installed")

SMALL: dict[str, dict] = {
    "resnet": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32], "embedding_size": 8},
    "convnextv2": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]},
    "mobilenet_v2": {"depth_multiplier": 0.35},
    "dinov2": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2},
}


def save_backbone(folder: Path, kind: str) -> Path:
    """Save a small backbone of random weights as the hub has it."""
    torch.manual_seed(1)
    config = transformers.AutoConfig.for_model(kind, **SMALL[kind])
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    colours = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(colours), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", SMALL)
def test_features_are_those_of_the_backbone(tmp_path: Path, kind: str) -> None:
    folder = save_backbone(tmp_path, kind)
    encoder = HubEncoder(read_config(str(folder))).eval()
    encoder.load_pretrained(str(folder))
    image = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found = encoder(normalise(image))
    assert [(f.shape[1], 64 // f.shape[2]) for f in found] == list(
        zip(encoder.widths, encoder.strides, strict=True)
    )
    if kind == "dinov2":  # whose patches are of 14 pixels
        return
    model = transformers.AutoModel.from_pretrained(folder).eval()
    seen = (image.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    with torch.inference_mode():
        wanted = model(seen, output_hidden_states=True).hidden_states
    torch.testing.assert_close(found[-1], wanted[-1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["resnet", "dinov2"])
def test_a_network_with_one_learns_and_is_opened_again_without_the_hub(
    tmp_path: Path, kind: str
) -> None:
    config = read_config(str(save_backbone(tmp_path / "hub", kind)))
    assert str(tmp_path) not in json.dumps(config) and "id2label" not in config
    architecture = {
        "channels": 1, "keypoints": 2, "edges": 0, "widths": [8] * 5,
        "depths": [], "encoder": config,
    }  # fmt: skip
    network = build_network(**architecture).train()
    assert not any(
        m.training for m in network.encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)
    )
    image = torch.randint(0, 256, (2, 64, 64, 1), dtype=torch.uint8)
    trained = [p for p in network.parameters() if p.requires_grad]
    maps = network(normalise(image))
    gradients = torch.autograd.grad(maps.scores.sum() + maps.offsets.sum(), trained)
    assert sum(float(g.abs().sum() > 0) for g in gradients) > 0.8 * len(gradients)
    model = Model(
        network.eval(), architecture, Skeleton(["a", "b"]), (), 1, 1, 1,
        np.full((2, 2), np.nan), np.ones(2),
    )  # fmt: skip
    model.save(tmp_path / "model")
    for path in (tmp_path / "hub").iterdir():
        path.unlink()
    opened = Model.load(tmp_path / "model")
    with torch.inference_mode():
        torch.testing.assert_close(
            opened.network.fused().predict(image).scores,
            network.predict(image).scores,
            atol=1e-4,
            rtol=1e-4,
        )


def test_weights_that_cannot_be_had_are_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SettingsError, match=r"'nobody/nothing' cannot be had .*pretrained=false"):
        read_config("nobody/nothing")
    folder = save_backbone(tmp_path, "resnet")
    encoder = HubEncoder(read_config(str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(SettingsError, match="cannot be had"):
        encoder.load_pretrained(str(folder))


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mapose\[hub\]'"):
        read_config("microsoft/resnet-50")


@pytest.mark.parametrize(
    ("key", "value"), [("embedding_size", 10**7), ("hidden_sizes", [4000] * 4), ("model_type", "x")]
)
def test_a_description_that_is_not_that_of_the_weights_is_refused(
    tmp_path: Path, key: str, value: object
) -> None:
    """Before it takes memory: 4,000 channels at each stride would be 2 GB."""
    config = read_config(str(save_backbone(tmp_path / "hub", "resnet")))
    architecture = {"channels": 1, "keypoints": 1, "edges": 0, "widths": [8] * 5, "depths": []}
    architecture["encoder"] = config
    model = Model(
        build_network(**architecture), architecture, Skeleton(["a"]), (), 1, 1, 1,
        np.full((1, 1), np.nan), np.ones(1),
    )  # fmt: skip
    model.save(tmp_path / "model")
    told = tmp_path / "model" / "model.yaml"
    raw = yaml.safe_load(told.read_text(encoding="utf-8"))
    raw["network"]["encoder"][key] = value
    told.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises((FormatError, SettingsError)):
        Model.load(tmp_path / "model")


def test_a_backbone_is_trained_unless_all_of_it_is_meant_to_stay(tmp_path: Path) -> None:
    encoder = HubEncoder(read_config(str(save_backbone(tmp_path, "resnet"))))
    trained = sum(p.requires_grad for p in encoder.parameters())
    encoder.freeze(2)  # as the preset has it
    assert trained == sum(p.requires_grad for p in encoder.parameters()) > 0
    encoder.freeze(len(encoder.strides))
    assert not any(p.requires_grad for p in encoder.parameters())
