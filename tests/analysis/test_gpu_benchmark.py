"""The benchmark for a GPU runs from end to end; here in a tiny form."""

from tests.benchmarks import benchmark_gpu


def test_it_measures_all_and_compares_with_the_processor(capsys):
    assert benchmark_gpu.main(["--tiny", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    for line in ("decode", "network", "analyze", "latency", "training", "correctness", "published"):
        assert f"\n{line}" in said
    assert "at most 0.0000 px" in said


def test_a_keypoint_elsewhere_is_seen(monkeypatch, tmp_path):
    from mapose.models import Model
    from mapose.zoo import find_model
    from tests.benchmarks.benchmark_gpu import compare_devices, draw_video, make_scene

    scene = make_scene(2, 2, seed=1, cameras=benchmark_gpu.make_cameras(1, size=(96, 64)))
    video = draw_video(scene, tmp_path / "v.mp4")
    real = benchmark_gpu.predict

    def move(*args, device, **options):
        peaks = real(*args, device="cpu", **options)
        peaks.xy[:] += 0.5 * (device == "cuda")
        return peaks

    monkeypatch.setattr(benchmark_gpu, "predict", move)
    furthest, count = compare_devices(Model.load(find_model("zoo:drawn-mice")), video, "cuda")
    assert 0.5 < furthest < 1 and count > 0
