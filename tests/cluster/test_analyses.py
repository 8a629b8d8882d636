"""Many videos side by side, with the results of one after the other."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from mapose.cli import app
from mapose.cluster.analyses import list_unfinished
from mapose.errors import SettingsError
from mapose.io import VideoWriter
from mapose.project.project import Project
from tests.untrained import make_untrained


@pytest.fixture
def folder(tmp_path):
    """A model, three good videos and a broken one."""
    make_untrained(lively=True).save(tmp_path / "model")
    (tmp_path / "videos").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        with VideoWriter(tmp_path / "videos" / f"{name}.mp4", 25) as writer:
            for _ in range(20):
                writer.write(rng.integers(0, 255, (64, 64)).astype(np.uint8))
    good = (tmp_path / "videos" / "a.mp4").read_bytes()
    (tmp_path / "videos" / "broken.mp4").write_bytes(good[:600])
    return tmp_path


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_side_by_side_equals_one_after_the_other(folder):
    model, videos = folder / "model", folder / "videos"
    assert run("analyze", model, videos, "-o", folder / "one").exit_code == 1  # broken.mp4
    words = [model, videos, folder / "gone.mp4", "-o", folder / "two"]
    done = run("analyze", *words, "--jobs", 2, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["done"], told["failed"]) == (3, 2)
    assert [t["frames"] for t in told["tasks"]] == [20, 20, 0, 20, 0]
    assert "gone.mp4" in told["tasks"][-1]["why"]
    assert sorted(p.name for p in (folder / "two").iterdir()) == [
        f"{name}.mapose.h5" for name in "abc"
    ]
    for name in "abc":
        one, two = (mapose.load(folder / n / f"{name}.mapose.h5") for n in ("one", "two"))
        assert np.isfinite(one.array).any()
        np.testing.assert_array_equal(one.array, two.array)
        np.testing.assert_array_equal(one.identity, two.identity)
        assert one.individuals == two.individuals


def test_what_is_done_is_not_done_again_and_python_can_do_the_same(folder):
    tasks = mapose.plan_analyses(folder / "model", sorted((folder / "videos").glob("?.mp4")))
    with ThreadPoolExecutor(1) as executor:
        first = mapose.analyze_videos(tasks, executor=executor)
        again = mapose.analyze_videos(tasks, executor=executor)
    assert [(o.state, o.frames) for o in first.outcomes] == [("done", 20)] * 3
    assert [(o.state, o.frames) for o in again.outcomes] == [("unchanged", 0)] * 3
    assert first.outcomes[0].output == str(folder / "videos" / "a.mapose.h5")


def test_plans_know_a_projects_own_videos_and_refuse_at_the_door(folder):
    model = make_untrained(split={"train": [], "test": []})
    video = folder / "videos" / "a.mp4"
    project = Project.create(folder / "p", model.skeleton, individuals=2, videos=[video])
    with pytest.raises(SettingsError, match="no model yet"):
        mapose.plan_analyses(project.path)
    model.save(project.path / "models" / "small-1")
    mapose.set_crop(project, "a", crop=(0, 0, 32, 32))
    (task,) = mapose.plan_analyses(project.path, rate=5)
    assert task.output == str(project.path / "results" / "a.mapose.h5")
    assert task.options == {"rate": 5, "crop": (0, 0, 32, 32)}
    with pytest.raises(SettingsError, match="no model 'other'"):
        mapose.plan_analyses(project.path, model="other")
    with pytest.raises(SettingsError, match="no video"):
        mapose.plan_analyses(folder / "model")
    assert "wanted a number" in str(run("analyze", project.path, "--jobs", 0).exception)


def test_what_is_kept_of_unfinished_ones_is_counted(folder):
    tasks = mapose.plan_analyses(folder / "model", [folder / "videos" / "b.mp4"])
    assert list_unfinished(tasks) == {}
    parts = folder / "videos" / "b.mapose.h5.parts"
    parts.mkdir()
    (parts / "000000.mapose.h5").touch()
    assert list_unfinished(tasks) == {tasks[0].name: 256}
