"""What `mapose doctor` measures."""

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose.analysis import speed as module
from mapose.analysis.speed import Speed, measure_speed
from mapose.cli import app
from mapose.errors import VideoError
from mapose.io import VideoWriter
from tests.untrained import make_untrained


@pytest.fixture
def folder(tmp_path):
    make_untrained(lively=True).save(tmp_path / "model")
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "walk.mp4", 25) as writer:
        for _ in range(20):
            writer.write(rng.integers(0, 255, (64, 96)).astype(np.uint8))
    return tmp_path


def test_all_stages_of_a_short_video_are_measured(folder):
    told = []
    found = mapose.measure_speed(
        folder / "model", folder / "walk.mp4", seconds=1.0, on_progress=told.append
    )
    assert (found.video, found.model, found.size) == ("walk.mp4", "model", (96, 64))
    assert min(found.decode, found.network, found.tracking, found.analyze) > 0
    assert found.analyze < 1.5 * min(found.decode, found.network, found.tracking)
    assert told == ["decoding", "network", "tracking frames", "analysing"]
    (folder / "none.mp4").touch()
    with pytest.raises(VideoError):
        measure_speed(folder / "model", folder / "none.mp4")


def test_the_table_says_what_holds_back():
    found = Speed("v.mp4", "small", "cpu (2 cores)", (640, 480), 2, 300.0, 30.0, 900.0, 27.0)
    assert found.hold == "network" and found.to_dict()["hold"] == "network"
    assert "held back by network" in str(found) and "01:06:40" in str(found)


def test_doctor_measures_unless_it_is_to_be_quick(folder, monkeypatch):
    monkeypatch.setattr(module, "_DRAWN", 2)
    monkeypatch.setattr(module, "_WIDTH", 64)
    monkeypatch.setattr(module, "_HEIGHT", 48)
    monkeypatch.setattr(
        "mapose.analysis.speed.measure_speed", lambda *a, **k: measure_speed(*a, **k, seconds=0.2)
    )
    done = CliRunner().invoke(app, ["doctor", str(folder / "model")])
    assert "three drawn mice.mp4, 64x48, with model" in done.stdout
    assert "held back by" in done.stdout
