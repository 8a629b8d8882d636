"""Exported networks say the same as ours, for any batch and size."""

import json
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mapose.errors import FormatError, SettingsError
from mapose.models import build_network
from mapose.models.export import ENDINGS, OnnxNetwork, export_model
from tests.untrained import make_two_stages, make_untrained


@pytest.mark.parametrize("to", ENDINGS)
@pytest.mark.parametrize("shape", [(1, 32, 48, 1), (3, 64, 32, 1)])
@pytest.mark.parametrize("some", [[], ["centres"], ["marks", "centres"]])
def test_maps_are_those_of_the_network(
    tmp_path: Path, to: str, shape: tuple[int, ...], some: list[str]
) -> None:
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    model = make_untrained(lively=True)
    if some:  # and finer maps
        architecture = {**model.architecture, "stride": 2}
        network = build_network(**architecture).eval()
        network.add_centres()
        network.add_marks(3 if "marks" in some else 0)
        model = replace(model, network=network, architecture=architecture)
    path = export_model(model, tmp_path / f"mice{ENDINGS[to]}", to=to)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    names = ["scores", "offsets", "fields", *some]
    with torch.inference_mode():
        wanted = model.network.predict(images)
    if to == "onnx":
        maps = OnnxNetwork(path).predict(images)
        found = [getattr(maps, name) for name in names]
        # What lays out the finer maps would copy all others.
        assert (b"DepthToSpace" in path.read_bytes()) == bool(some)
    else:
        said = {"mapose": ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch, for those after 3.14
            found = torch.jit.load(str(path), _extra_files=said)(images)
        assert json.loads(said["mapose"])["skeleton"]["keypoints"] == ["a", "b"]
    for a, b in zip(found, [getattr(wanted, name) for name in names], strict=True):
        assert a.shape == b.shape and len(a) == shape[0]
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_an_archive_is_not_named_by_the_process_that_wrote_it(tmp_path: Path) -> None:
    path = export_model(make_untrained(), tmp_path / "a.pt", to="torchscript")
    with zipfile.ZipFile(path) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"archive"}


def test_whoever_exports_a_model_that_looks_twice_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export_model(make_untrained(), tmp_path / "once.pt", to="torchscript")
    assert not caplog.text
    export_model(make_untrained(looks=2), tmp_path / "twice.pt", to="torchscript")
    assert "looks at each image 2 times" in caplog.text


def test_each_stage_is_exported_on_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_two_stages()
    second = model.refiner.network
    export_model(model, tmp_path / "first.pt", to="torchscript")
    assert "only the first stage is written" in caplog.text
    path = export_model(model, tmp_path / "second.pt", to="torchscript", stage="second")
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        scores, offsets, fields = torch.jit.load(str(path))(crops)
        torch.testing.assert_close(scores, second.predict(crops).scores, atol=1e-4, rtol=1e-3)
    assert offsets.shape == (3, 4, 32, 32) and fields.shape[1] == 0
    with pytest.raises(SettingsError, match="has no second stage"):
        export_model(make_untrained(), tmp_path / "none.pt", to="torchscript", stage="second")


@pytest.mark.parametrize("to", ENDINGS)
def test_an_export_may_be_done_again_but_replaces_nothing_else(tmp_path: Path, to: str) -> None:
    if to == "onnx":
        pytest.importorskip("onnx", reason="the extra onnx is not installed")
    path = tmp_path / f"mice{ENDINGS[to]}"
    export_model(make_untrained(), path, to=to)
    export_model(make_untrained(), path, to=to)
    path.write_bytes(b"of somebody else")
    with pytest.raises(SettingsError, match="nothing in it says that mapose made it"):
        export_model(make_untrained(), path, to=to)
    with pytest.raises(SettingsError, match="ends in"):
        export_model(make_untrained(), tmp_path / "mice.bin", to=to)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name]


def test_what_is_no_network_of_ours_is_told(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(FormatError, match=r"a\.onnx cannot be opened as ONNX"):
        OnnxNetwork(tmp_path / "a.onnx")
