"""Commands about a project and its past, as a user types them."""

import json
import shutil

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mapose.cli import app
from mapose.cli.application import SECTIONS
from mapose.errors import FormatError, SettingsError, VideoError
from mapose.io import VideoWriter
from mapose.project.project import Project
from mapose.project.proposals import load_proposals


def run(*words: object, status: int = 0) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def mice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, sign in (("film", 1), ("more", -1)):
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for i in range(30):
                writer.write(np.full((48, 64), 100 + 3 * sign * i, np.uint8))
    run("new", "mice", "--keypoints", "snout,tail", "--edges", "snout-tail", "--videos", "film.mp4")
    project = Project.load("mice").add_frames("film", [1, 2])
    return project.set_points("film", 1, {"snout": (1, 2), "tail": (3, 4)})


def test_the_past_is_listed_taken_back_and_restored(mice):
    text = run("history", "mice")
    assert "set snout, tail of animal0 in film:1" in text
    changes = json.loads(run("history", "mice", "--json"))["changes"]
    assert [c["number"] for c in changes] == [1, 2, 3]
    assert changes[2].keys() == {"number", "when", "who", "what"}
    assert "undo: set snout" in run("history", "mice", "--undo")
    assert np.isnan(Project.load("mice").load_labels(unmarked=True).points).all()
    assert "redo: set snout" in run("history", "mice", "--redo")
    run("skeleton", "mice", "--remove", "tail")
    assert "restored to 3" in run("restore", "mice", 3)
    assert Project.load("mice").load_labels().points[0, 0].tolist() == [[1, 2], [3, 4]]
    assert len(json.loads(run("history", "mice", "--last", 2, "--json"))["changes"]) == 2
    with pytest.raises(SettingsError, match="one of --undo"):
        run("history", "mice", "--undo", "--redo")


def test_the_skeleton_is_changed_and_labels_stay(mice):
    text = run("skeleton", "mice", "--rename", "snout=nose", "--add", "earL,earR",
               "--join", "nose-earL", "--mirror", "earL-earR", "--part", "nose-tail",
               "--add-animal", 1)  # fmt: skip
    assert "keypoints: nose, tail, earL, earR" in text and "edges: nose-earL" in text
    plan = json.loads(run("skeleton", "mice", "--json"))
    assert plan["mirror"] == [["earL", "earR"]] and plan["individuals"] == 2
    assert Project.load("mice").load_labels().points[0, 0, 0].tolist() == [1, 2]


def test_videos_are_added_and_found_again(mice, tmp_path):
    words = ("add", "mice", "top=film.mp4", "side=more.mp4", "--session", "monday")
    assert "1 new video, 2 in all; 1 was here already" in run(*words)
    assert "monday: top = film, side = more" in run("info", "mice")
    (tmp_path / "away").mkdir()
    shutil.move("more.mp4", "away/renamed.mp4")
    assert "is gone" in run("info", "mice")
    found = json.loads(run("relink", "mice", "away", "--json"))
    assert found["found"]["more"].endswith("renamed.mp4")
    assert json.loads(run("info", "mice", "--json"))["videos"][1].endswith("../away/renamed.mp4")
    (tmp_path / "away" / "renamed.mp4").unlink()
    assert "not found" in run("relink", "mice", "away", status=1)


def test_conflicts_of_a_merge_are_listed_and_end_with_status_one(mice, tmp_path):
    shutil.copytree("mice", "theirs")
    Project.load("theirs").set_points("film", 1, {"snout": (9, 9)})
    text = run("merge", "mice", "theirs", status=1)
    assert "snout of animal0: mine 1.0, 2.0 (visible), theirs 9.0, 9.0" in text
    assert "nothing was changed" in text
    assert len(json.loads(run("merge", "mice", "theirs", "--json", status=1))["conflicts"]) == 1
    assert "came in" in run("merge", "mice", "theirs", "--prefer", "theirs")
    assert Project.load("mice").load_labels().points[0, 0, 0].tolist() == [9, 9]


def test_labels_are_exported_and_results_deleted(mice, tmp_path):
    assert run("export", "mice", "--to", "slp").strip().endswith("mice.labels.slp")
    assert run("export", "mice", "--to", "dlc", "--scorer", "Zoe").strip().endswith("config.yaml")
    run("export", "mice", "--to", "coco", "-o", "labels.json")
    assert "2 keypoints" in run("import", "back", "--from", "labels.json")
    (tmp_path / "mice/models/old").mkdir()
    assert "nothing was deleted" in run("delete", "mice", "old")
    assert (tmp_path / "mice/models/old").is_dir()
    run("delete", "mice", "old", "--yes")
    assert not (tmp_path / "mice/models/old").exists()


def test_a_mistyped_video_leaves_the_project_as_it_was(mice):
    with pytest.raises(VideoError, match=r"did you mean 'more.mp4'"):
        run("add", "mice", "more.mp4", "mroe.mp4")
    assert list(Project.load("mice").videos) == ["film"]
    with pytest.raises(SettingsError, match=r"--session NAME top=more.mp4"):
        run("add", "mice", "top=more.mp4", "side=film.mp4")
    assert repr(Project.load("mice")) == "<Project mice: 2 keypoints, 1 animals, 1 videos>"
    assert list(Project.load("mice").add_videos("more.mp4").videos) == ["film", "more"]


def test_a_session_that_cannot_be_leaves_the_project_as_it_was(mice, tmp_path):
    """Its videos are taken in all at once, after all is found to be right."""
    before = (tmp_path / "mice/mapose.yaml").read_bytes()
    with pytest.raises(SettingsError, match=r"wanted one file of top, came 'top=more\.mp4' too"):
        run("add", "mice", "top=film.mp4", "top=more.mp4", "--session", "may")
    with pytest.raises(SettingsError, match="wanted two cameras or more, came 1"):
        run("add", "mice", "top=more.mp4", "--session", "may")
    with pytest.raises(SettingsError, match="a recording belongs to one"):
        run("add", "mice", "top=more.mp4", "side=more.mp4", "--session", "may")
    assert (tmp_path / "mice/mapose.yaml").read_bytes() == before
    (tmp_path / "b").mkdir()
    shutil.copy("more.mp4", "b/more.mp4")
    with VideoWriter("b/film.mp4", 25) as writer:
        writer.write(np.zeros((48, 64), np.uint8))
    run("add", "mice", "top=film.mp4", "side=b/film.mp4", "--session", "may")
    assert Project.load("mice").sessions == {"may": {"top": "film", "side": "may-side"}}


@pytest.mark.parametrize("animals", ["-2", "0", "2.5", "nan", "-inf"])
def test_a_number_of_animals_is_no_name(tmp_path, animals):
    with pytest.raises(SettingsError, match="--individuals: wanted how many"):
        run("new", tmp_path / "rats", "--keypoints", "a", "--individuals", animals)
    assert not (tmp_path / "rats").exists()


def test_what_waits_follows_a_name_that_is_taken_back(mice):
    run("extract", "mice", "--count", 3, "--method", "uniform")
    count = len(load_proposals(Project.load("mice")))
    assert count and f"{count} waiting" in run("info", "mice")
    run("skeleton", "mice", "--rename", "snout=nose")
    for way, name in (("--undo", "snout"), ("--redo", "nose")):
        run("history", "mice", way)
        project = Project.load("mice")
        assert project.skeleton.keypoints == (name, "tail")
        assert len(load_proposals(project)) == count
    assert "no frame is labels now" in run("refine", "mice", "--accept", "all")


def test_a_project_within_another_is_told_and_a_packed_one_known(mice, monkeypatch):
    assert "inside the project" in run("new", "mice/inner", "--keypoints", "a,b")
    assert "inside" not in run("new", "beside", "--keypoints", "a")
    monkeypatch.chdir("mice")
    assert "keypoints    snout, tail" in run("info")
    monkeypatch.chdir("..")
    run("zip", "mice")
    with pytest.raises(SettingsError, match="packed project: unpack it"):
        run("info", "mice.zip")
    with pytest.raises(FormatError, match="did you mean 'mice'"):
        run("info", "mcie")
    with pytest.raises(SettingsError, match=r"more has no frames to label .*add_frames"):
        Project.load("mice").add_videos("more.mp4").set_points("more", 3, {"tail": (1, 2)})


def test_the_help_lists_every_command_once_under_what_it_is_for():
    text = run("--help")
    known = set(get_command(app).commands)
    told = [name for names in SECTIONS.values() for name in names]
    assert len(told) == len(set(told)) and set(told) <= known
    places = [text.index(f"\n  {name} ") for name in told]
    assert places == sorted(places)
    assert all(f"\n  {name} " in text for name in known)
