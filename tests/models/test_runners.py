"""What runs a network is chosen by what there is, and has to say the same as torch."""

import numpy as np
import pytest
import torch

import mapose
from mapose.analysis import prediction
from mapose.io import VideoWriter, load_provenance
from mapose.live.watching import make_watcher
from mapose.models import PoseNetwork, open_runner, runners, shards
from mapose.models.export import OnnxNetwork
from tests.untrained import make_two_stages, make_untrained

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forget():
    runners._open_model.cache_clear()
    yield
    runners._open_model.cache_clear()


def test_many_images_on_a_processor_are_worth_onnxruntime():
    pytest.importorskip("onnxruntime", reason="needs: pip install onnx onnxruntime")
    model = make_untrained(lively=True)
    runner, name = open_runner(model, CPU, frames=runners.WORTH)
    assert isinstance(runner, OnnxNetwork) and name.startswith("onnxruntime ")
    assert open_runner(model, CPU, frames=runners.WORTH)[0] is runner
    images = torch.randint(0, 256, (3, 64, 96, 1), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = model.network.fused().predict(images), runner.predict(images)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
    np.testing.assert_allclose(ours.fields, theirs.fields, atol=1e-4)
    few, name = open_runner(model, CPU, frames=runners.WORTH - 1)
    assert not isinstance(few, OnnxNetwork) and name == f"torch {torch.__version__}, cpu"


def test_each_stage_and_each_number_of_threads_has_its_own(monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs: pip install onnx onnxruntime")
    monkeypatch.setattr(runners, "count_cores", lambda: 6)
    model = make_two_stages()
    second = model.refiner.network
    shared, _ = open_runner(model, CPU, frames=runners.WORTH)
    alone, _ = open_runner(model, CPU, frames=runners.WORTH, at_once=True)
    threads = [r.session.get_session_options().intra_op_num_threads for r in (shared, alone)]
    assert threads == [3, 6]
    runner, name = open_runner(model, CPU, frames=runners.WORTH, stage="second")
    assert isinstance(runner, OnnxNetwork) and name.startswith("onnxruntime ")
    crops = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        scores = second.fused().predict(crops).scores
    np.testing.assert_allclose(scores, runner.predict(crops).scores, atol=1e-4)


def test_torch_stays_where_the_other_is_not_there_or_not_exact(monkeypatch):
    model = make_untrained(lively=True)
    monkeypatch.setattr(runners, "find_spec", lambda name: None)
    assert open_runner(model, CPU, frames=10**6)[1].startswith("torch")
    monkeypatch.undo()
    pytest.importorskip("onnxruntime", reason="needs: pip install onnx onnxruntime")
    monkeypatch.setattr(runners, "_EXACT", -1.0)
    assert open_runner(model, CPU, frames=10**6)[1].startswith("torch")


def test_an_analysis_says_what_ran_it_and_finds_the_same(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs: pip install onnx onnxruntime")
    model = make_untrained(lively=True)
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for _ in range(12):
            writer.write(rng.integers(0, 255, (64, 64)).astype(np.uint8))
    found = {}
    for name, worth in (("torch", 13), ("onnxruntime", 12)):
        monkeypatch.setattr(runners, "WORTH", worth)
        place = tmp_path / f"{name}.mapose.h5"
        found[name] = mapose.analyze(tmp_path / "v.mp4", model, output=place).array
        assert load_provenance(place)["runner"].startswith(name)
    np.testing.assert_allclose(found["torch"], found["onnxruntime"], atol=0.01)
    assert np.isfinite(found["torch"]).any()


def test_what_is_live_has_each_image_on_all_cores(monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs: pip install onnx onnxruntime")
    monkeypatch.setattr(runners, "count_cores", lambda: 6)
    predictor = make_watcher(make_untrained(), {"top": 30.0}).predictor
    assert predictor.runner.startswith("onnxruntime ")
    assert predictor.network.session.get_session_options().intra_op_num_threads == 6


def test_what_follows_the_network_of_a_live_image_waits_for_no_thread(monkeypatch):
    monkeypatch.setattr(runners, "find_spec", lambda name: None)  # torch, whose threads it counts
    monkeypatch.setattr(shards, "count_cores", lambda: 3)
    model = make_untrained(lively=True)
    predictor = make_watcher(model, {"top": 30.0}).predictor
    assert predictor.runner.startswith("torch ")
    threads = []
    for where, name in ((PoseNetwork, "forward"), (prediction, "find_peaks")):
        monkeypatch.setattr(where, name, _note_threads(getattr(where, name), threads))
    before = torch.get_num_threads()
    peaks = predictor.find_at_once([np.full((64, 64, 1), 99, np.uint8)])
    assert len(peaks) and threads == [3, 1] and torch.get_num_threads() == before


def _note_threads(function, threads):
    def noting(*args, **options):
        threads.append(torch.get_num_threads())
        return function(*args, **options)

    return noting
