"""The demo makes what it promises, checks it, and says so where it does not hold."""

import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.demo import Promise, demo, find_promises
from mapose.demo.report import write_report
from mapose.errors import SettingsError
from mapose.io import Video, load
from mapose.metrics import reconstruction_error
from mapose.project.project import Project
from mapose.results.comparison import compare_poses
from mapose.synthetic import make_scene


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A demo of 30 frames a camera, 6 steps, and as many for looks as tell the three apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "FRAMES", 30)
        patch.setattr(demo, "LOOKS", 20)
        stages = []
        folder = tmp_path_factory.mktemp("short") / "demo"
        result = demo.run_demo(
            folder, seed=3, steps=6, on_progress=lambda stage, *_: stages.append(stage)
        )
    return folder, result, stages


def test_a_short_demo_makes_all_it_promises(short):
    folder, result, stages = short
    assert list(dict.fromkeys(stages)) == [
        *("drawing", "training", "analysing", "tracking", "learning looks", "looking"),
        *("in space", "rendering"),
    ]
    poses = load(folder / "results" / "session.mapose.h5")
    assert poses.array.shape == (30, 3, 12, 4) and poses.unit == "mm"
    # 81 labelled animals are enough to learn where keypoints lie, left as right.
    model = Project.load(folder).load_model()
    assert np.isfinite(model.anatomy.mean).all()
    assert (np.linalg.eigvalsh(model.anatomy.covariance) > 0).all()
    assert model.record["steps"] == 6
    with Video(result.video) as video:
        assert len(video) == 30
    assert all(p.stat().st_size > 5000 for p in result.plots) and len(result.plots) == 6
    trained = [n for n in model.split["train"] if n.startswith("top")]
    assert result.comparison.left_out == len(trained) > 0
    assert result.comparison.frames == 30 - len(trained)
    assert sum(map(len, model.split.values())) == 30
    assert "IDF1" in str(result) and f"open first      {result.report}" in str(result)
    with pytest.raises(SettingsError, match="exists already"):
        demo.run_demo(folder)


def test_the_page_shows_all(short):
    folder, result, _ = short
    page = result.report.read_text(encoding="utf-8")
    links = re.findall(r'src="([^"]+)"', page)
    assert len(links) == 1 + len(result.plots)
    assert all((result.report.parent / link).is_file() for link in links)
    for promise in result.promises:
        assert promise.what in page and promise.wanted in page
    broken = replace(result, promises=[Promise("IDF1", 0.5, least=0.97)])
    write_report(broken, folder / "results" / "broken.html")
    again = (folder / "results" / "broken.html").read_text(encoding="utf-8")
    assert "wrong: IDF1: 0.500, promised is at least 0.97" in again
    kept = replace(result, promises=[Promise("IDF1", 0.98, least=0.97)])
    write_report(kept, folder / "results" / "kept.html")
    good = (folder / "results" / "kept.html").read_text(encoding="utf-8")
    assert "All is as promised" in good and "wrong:" not in good


def test_the_demo_starts_from_a_model_that_knows_mice(short):
    """From nothing, 6 steps find no animal at all."""
    result = short[1]
    assert result.comparison.similarity.map > 0.8
    assert result.space.median < 5 and result.space.found > 0.9


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
    scene = make_scene(3, 100, seed=1)
    truth, space = scene.truth(occluded=False), scene.truth_3d()
    same = replace(truth, identity=np.ones(truth.array.shape[:2]))

    def list_faults(found, swaps=0, off=0.0):
        apart = replace(space, array=space.array + np.float32([off, 0, 0, 0]))
        figures = compare_poses(truth, found), reconstruction_error(space, apart), swaps
        return [p.what for p in find_promises(*figures) if not p.is_kept]

    assert list_faults(same) == []
    assert list_faults(same, swaps=1) == ["lasting swaps of names"]
    assert list_faults(same, off=4) == ["median error in space, mm"]
    array = truth.array.copy()
    array[60:] = array[60:, [1, 0, 2]]
    swapped = list_faults(replace(same, array=array))
    assert swapped == ["IDF1", "error of the stated probabilities of names"]
    nothing = list_faults(replace(same, array=np.full_like(array, np.nan)))
    assert len(nothing) == 3  # what is NaN is not kept


def test_the_command_fails_where_a_promise_is_broken(short, monkeypatch, tmp_path):
    given, made = {}, short[1]
    promise = Promise("IDF1", 0.5, least=0.97)

    def run(folder, *, seed, on_progress):
        given.update(folder=folder, seed=seed)
        return replace(made, promises=[promise])

    monkeypatch.setattr("mapose.demo.run_demo", run)
    broken = CliRunner().invoke(app, ["demo", str(tmp_path / "d"), "--seed", "7"])
    assert broken.exit_code == 1 and "wrong: IDF1: 0.500, promised is at least" in broken.output
    assert given == {"folder": tmp_path / "d", "seed": 7}
    kept = replace(promise, value=0.98)
    monkeypatch.setattr("mapose.demo.run_demo", lambda *_, **__: replace(made, promises=[kept]))
    done = CliRunner().invoke(app, ["demo", str(tmp_path / "d")])
    assert done.exit_code == 0 and "all is as promised" in done.output
