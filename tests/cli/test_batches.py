"""Many files in one command, and where their results go."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import VideoWriter, load, save
from mapose.poses import Poses
from mapose.project.project import Project
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained

BODY = Skeleton(["a", "b"], [("a", "b")])


@pytest.fixture
def project(tmp_path):
    """A project with an untrained model and a video of its own, and two other videos."""
    for number, name in enumerate(("raw/own", "cam1/0001", "cam2/0001")):
        place = tmp_path / f"{name}.mp4"
        place.parent.mkdir(exist_ok=True)
        with VideoWriter(place, 25) as writer:
            for _ in range(10 + number):
                writer.write(np.full((64, 64), 20 * number, np.uint8))
    made = Project.create(
        tmp_path / "project", BODY, individuals=2, videos=[tmp_path / "raw" / "own.mp4"]
    )
    make_untrained(split={"train": [], "test": []}).save(made.path / "models" / "small-1")
    return made


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def test_results_of_the_projects_own_videos_lie_in_it(project, tmp_path):
    other = tmp_path / "cam1" / "0001.mp4"
    assert run("analyze", project.path).exit_code == 0
    assert run("analyze", project.path, tmp_path / "raw" / "own.mp4", other).exit_code == 0
    assert len(load(project.path / "results" / "own.mapose.h5")) == 10
    assert len(load(other.with_name("0001.mapose.h5"))) == 11
    assert sorted(p.name for p in (tmp_path / "raw").iterdir()) == ["own.mp4"]


def test_one_bad_video_does_not_end_the_batch(project, tmp_path):
    good, other = tmp_path / "cam1" / "0001.mp4", tmp_path / "cam2" / "0001.mp4"
    cut, missing = tmp_path / "cut.mp4", tmp_path / "missing.mp4"
    cut.write_bytes(good.read_bytes()[:600])
    done = run("analyze", project.path, cut, good, missing, other)
    assert done.exit_code == 1
    assert len(load(good.with_name("0001.mapose.h5"))) == 11
    assert len(load(other.with_name("0001.mapose.h5"))) == 12
    said = done.stderr
    assert said.index("missing.mp4") < said.index("cut.mp4")  # paths are looked at first
    assert "2 of 4 failed" in said
    assert not list(tmp_path.glob("*.parts"))


def test_recordings_of_one_name_are_not_mixed_up(project, tmp_path):
    out = tmp_path / "out"
    both = [tmp_path / name / "0001.mp4" for name in ("cam1", "cam2")]
    refused = run("analyze", project.path, *both, "-o", out)
    assert isinstance(refused.exception, SettingsError) and "cam1" in str(refused.exception)
    assert not list(out.iterdir())
    assert run("analyze", project.path, both[0], "-o", out).exit_code == 0
    later = run("analyze", project.path, both[1], "-o", out)
    assert isinstance(later.exception, SettingsError) and "cam2/0001.mp4" in str(later.exception)
    assert len(load(out / "0001.mapose.h5")) == 11
    shutil.copy(both[0], tmp_path / "cam1" / "0001.mkv")  # the same pictures, named otherwise
    assert run("analyze", project.path, tmp_path / "cam1" / "0001.mkv", "-o", out).exit_code == 0


def test_tracking_goes_on_after_a_bad_file(tmp_path):
    save(Poses(np.ones((5, 1, 2, 3)), BODY), tmp_path / "good.mapose.h5")
    (tmp_path / "bad.mapose.h5").write_bytes(b"no hdf5")
    done = run("track", tmp_path / "bad.mapose.h5", tmp_path / "good.mapose.h5")
    assert done.exit_code == 1 and "bad.mapose.h5" in done.stderr
    assert len(load(tmp_path / "good.tracked.mapose.h5")) == 5


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        (["export", "{result}", "--to", "slp", "-o", "{folder}/x.csv"], ".slp"),
        (["export", "{result}", "--to", "csv", "-o", "{folder}/x.mapose.h5"], ".csv"),
        (["track", "{result}", "-o", "{folder}/x.h5"], ".mapose.h5"),
        (["render", "{folder}/v.mp4", "{result}", "-o", "{folder}/x.mapose.h5"], ".mp4"),
    ],
)
def test_a_name_that_does_not_fit_what_is_written_is_refused(tmp_path, words, ending):
    save(Poses(np.ones((5, 1, 2, 3)), BODY), tmp_path / "r.mapose.h5")
    before = sorted(tmp_path.iterdir())
    filled = [w.format(result=tmp_path / "r.mapose.h5", folder=tmp_path) for w in words]
    done = run(*filled)
    assert isinstance(done.exception, SettingsError)
    assert f"ends in {ending}" in str(done.exception)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_stands_for_what_is_in_it(project, tmp_path):
    array = np.ones((12, 1, 2, 3), np.float32) * 20
    for name in ("cam1/0001", "cam2/0001"):
        save(Poses(array, BODY, ["x"], rate=25), tmp_path / f"{name}.mapose.h5",
             provenance={"source": "0001.mp4"})  # fmt: skip
    for words, made in {
        ("export", "--to", "csv"): "0001.csv",
        ("plot",): "0001-plots/positions.png",
        ("kinematics",): "0001.kinematics.csv",
        ("render",): "0001.labelled.mp4",
    }.items():
        assert run(words[0], tmp_path / "cam1", *words[1:]).exit_code == 0
        assert (tmp_path / "cam1" / made).is_file()
        done = run(words[0], tmp_path, "--recursive", "--filter", "0001*", "--force", *words[1:])
        assert done.exit_code == 0, done.output
        assert (tmp_path / "cam2" / made).is_file()
        fault = run(words[0], tmp_path, *words[1:]).exception
        assert isinstance(fault, SettingsError) and "--recursive" in str(fault)
    # The videos that render has drawn are no recordings.
    done = run("analyze", project.path, tmp_path / "cam1", "-o", tmp_path / "found")
    assert done.exit_code == 0, done.output
    assert [p.name for p in (tmp_path / "found").glob("*.h5")] == ["0001.mapose.h5"]
    done = run("analyze", project.path, tmp_path, "--recursive", "--filter", "own*")
    assert done.exit_code == 0 and (project.path / "results" / "own.mapose.h5").is_file()


def test_a_project_stands_for_its_results(project, tmp_path):
    array = np.ones((12, 1, 2, 3), np.float32) * 20
    save(Poses(array, BODY, ["x"], rate=25), project.path / "results" / "own.mapose.h5")
    for _ in range(2):  # what is filtered already is not filtered again
        done = run("filter", project.path, "--force")
        assert done.exit_code == 0, done.output
    files = sorted(p.name for p in (project.path / "results").glob("*.h5"))
    assert files == ["own.filtered.mapose.h5", "own.mapose.h5"]
    done = run("kinematics", project.path, "--filter", "*.filtered*")
    assert done.exit_code == 0 and "own.filtered.kinematics.csv" in done.output


def test_render_says_what_it_wants(tmp_path):
    save(Poses(np.ones((3, 1, 2, 3)), BODY, ["x"]), tmp_path / "a.mapose.h5")
    fault = run("render", tmp_path / "a.mapose.h5").exception
    assert "mapose render VIDEO" in str(fault)
    fault = run("render", tmp_path / "v.mp4", tmp_path / "a.mapose.h5", tmp_path / "b.mapose.h5")
    assert "wanted VIDEO FILE" in str(fault.exception)
