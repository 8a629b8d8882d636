"""The demo makes what it promises, checks it, and says so where it does not hold."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose import demo
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import Video, load
from mapose.project.project import Project
from mapose.results.comparison import compare_poses
from mapose.synthetic import make_scene


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A demo of 80 frames, 10 steps, and as many for looks as tell the three apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FRAMES", 80)
        patch.setattr(demo, "LOOKS", 30)
        stages = []
        folder = tmp_path_factory.mktemp("short") / "demo"
        result = demo.run_demo(
            folder, seed=3, steps=10, on_progress=lambda stage, *_: stages.append(stage)
        )
    return folder, result, stages


def test_a_short_demo_makes_all_it_promises(short):
    folder, result, stages = short
    assert list(dict.fromkeys(stages)) == [
        *("drawing", "training", "analysing", "tracking", "learning looks", "looking", "rendering")
    ]
    poses = load(folder / "results" / "arena.mapose.h5")
    assert poses.array.shape[:2] == (80, 3)
    # 81 labelled animals are enough to learn where keypoints lie, left as right.
    model = Project.load(folder).load_model()
    assert np.isfinite(model.anatomy.mean).all()
    assert (np.linalg.eigvalsh(model.anatomy.covariance) > 0).all()
    assert model.record["steps"] == 10
    with Video(result.video) as video:
        assert len(video) == 80 and video.size == (480, 360)
    assert all(p.stat().st_size > 5000 for p in result.plots) and len(result.plots) == 5
    assert result.comparison.left_out == 27 and result.comparison.frames == 53
    assert "IDF1" in str(result) and f"open first      {result.video}" in str(result)
    with pytest.raises(SettingsError, match="exists already"):
        demo.run_demo(folder)


def test_the_demo_starts_from_a_model_that_knows_mice(short):
    """From nothing, 10 steps find no animal at all."""
    assert short[1].comparison.similarity.map > 0.8


def test_the_scene_is_the_one_that_hides_least(monkeypatch):
    monkeypatch.setattr(demo, "FRAMES", 150)
    chosen = demo._choose_scene(2)
    assert chosen.seed in range(10, 15)
    seen = {}
    for seed in range(10, 15):
        scene = make_scene(
            3, 150, seed=seed, appearance="distinct", arena=chosen.arena, cameras=chosen.cameras
        )
        seen[seed] = scene.visibility().mean()
    assert chosen.seed == max(seen, key=seen.get) and min(seen.values()) < max(seen.values())


def test_what_misses_its_promise_is_said():
    truth = make_scene(3, 100, seed=1).truth(occluded=False)
    same = replace(truth, identity=np.ones(truth.array.shape[:2]))
    good = compare_poses(truth, same)
    assert demo.find_faults(good, 0) == []
    (swaps,) = demo.find_faults(good, 1)
    assert "lasting swaps" in swaps and "1" in swaps
    array = truth.array.copy()
    array[60:] = array[60:, [1, 0, 2]]
    swapped = compare_poses(truth, replace(same, array=array))
    faults = " ".join(demo.find_faults(swapped, 1))
    assert "IDF1" in faults and "probabilities" in faults and "mAP" not in faults
    nothing = compare_poses(truth, replace(same, array=np.full_like(array, np.nan)))
    assert len(demo.find_faults(nothing, 0)) == 3


def test_the_command_fails_where_a_promise_is_broken(short, monkeypatch, tmp_path):
    given = {}

    def run(folder, *, seed, on_progress):
        given.update(folder=folder, seed=seed)
        return replace(short[1], faults=["IDF1 is 0.5, promised is at least 0.97"])

    monkeypatch.setattr(demo, "run_demo", run)
    broken = CliRunner().invoke(app, ["demo", str(tmp_path / "d"), "--seed", "7"])
    assert broken.exit_code == 1 and "wrong: IDF1 is 0.5" in broken.output
    assert given == {"folder": tmp_path / "d", "seed": 7}
    made = short[1]
    monkeypatch.setattr(demo, "run_demo", lambda *_, **__: replace(made, faults=[]))
    kept = CliRunner().invoke(app, ["demo", str(tmp_path / "d")])
    assert kept.exit_code == 0 and "all is as promised" in kept.output
