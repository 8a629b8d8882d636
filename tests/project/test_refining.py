"""From a result back to labels: proposals wait, are corrected, and only then count."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import FormatError, SettingsError, ShapeError, VideoError
from mapose.labels import ORIGINS
from mapose.poses import Poses
from mapose.project import Project
from mapose.project.proposals import accept_proposals, load_proposals
from mapose.project.refining import refine_project
from mapose.results.result import save
from mapose.skeleton import Skeleton
from tests.project.test_extracting import film

SKELETON = Skeleton(["snout", "ear", "tail"])


def find_square(n: int) -> np.ndarray:
    """Give the corners of the filmed square, x y confidence."""
    x = 8 + 18 * (n // 30)
    return np.array([[x, 30, 0.9], [x + 14, 30, 0.9], [x, 50, 0.9]], np.float32)


@pytest.fixture
def place(tmp_path):
    """A project and a result of its video: the animal is elsewhere in three frames."""
    video = film(tmp_path / "a.mp4", 0)
    array = np.stack([find_square(n) for n in range(180)])[:, None]
    for n in (45, 105, 165):
        array[n, 0, :, :2] += [40, 20]
    array[75, 0, 1] = np.nan
    save(Poses(array, SKELETON, ["track0"], rate=25), tmp_path / "a.mapose.h5")
    return tmp_path, Project.create(tmp_path / "p", SKELETON, videos=[video])


def test_proposals_are_what_the_model_found_and_no_labels_yet(place):
    folder, project = place
    found = refine_project(project, [folder / "a.mapose.h5"], count=3, kinds=["jump"])
    assert {outlier.frame for _, outlier in found.outliers} == {45, 105, 165}
    assert found.added == 3 and "track0 jumps" in str(found)
    waiting = load_proposals(project)
    assert waiting.labels.frames.tolist() == [45, 105, 165]
    assert (waiting.origins == "model").all() and waiting.looked.all()
    np.testing.assert_allclose(waiting.labels.points[0, 0], find_square(45)[:, :2] + [40, 20])
    np.testing.assert_allclose(waiting.confidence, 0.9)
    assert "jumps" in waiting.reasons[0]
    with pytest.raises(FormatError, match="no labels"):
        project.load_labels()
    refine_project(project, [folder / "a.mapose.h5"], count=9, kinds=["jump"])
    frames = load_proposals(project).labels.frames.tolist()
    assert len(set(frames)) == len(frames) > 3 and set(frames) > {45, 105, 165}
    again = refine_project(project, [folder / "a.mapose.h5"], count=9, kinds=["jump"])
    assert again.added == 0 and "nothing" in str(again)


def test_corrected_proposals_become_labels(place):
    folder, project = place
    refine_project(project, [folder / "a.mapose.h5"], count=3, kinds=["jump"])
    path = project.path / "labels" / "a" / "proposals.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    wrong = (table.frame == "105") & (table.keypoint == "snout")
    table.loc[wrong, ["x", "y", "origin"]] = ["80", "30", "person"]
    table.to_csv(path, index=False)
    with pytest.raises(SettingsError, match="no frame 'a:106' waits"):
        accept_proposals(project, ["a:106"])
    taken = accept_proposals(project, ["a:105"])
    assert len(taken) == 1 and len(load_proposals(project)) == 2
    labels = project.load_labels()
    assert labels.row_names == ["a:105"]
    np.testing.assert_allclose(labels.points[0, 0, 0], [80, 30])
    assert [ORIGINS[code] for code in labels.origins[0, 0]] == ["person", "model", "model"]


def test_animals_take_the_names_of_the_project(place):
    folder, _ = place
    array = np.full((180, 3, 3, 3), np.nan, np.float32)
    array[:, 2] = np.stack([find_square(n) for n in range(180)])
    array[45, 2, :, :2] += [40, 20]
    save(Poses(array, SKELETON, ["x", "y", "z"], rate=25), folder / "a.mapose.h5")
    pair = Project.create(
        folder / "pair", SKELETON, individuals=["ann", "bob"], videos=[folder / "a.mp4"]
    )
    refine_project(pair, [folder / "a.mapose.h5"], count=1)
    waiting = load_proposals(pair)
    assert waiting.labels.individuals == ("ann", "bob")
    assert np.isfinite(waiting.labels.points[0, 0]).all()
    assert np.isnan(waiting.labels.points[0, 1]).all()


def test_the_video_of_another_tools_result_is_found_by_its_name(place):
    folder, project = place
    path = folder / "aDLC_resnet50_shuffle1.mapose.h5"
    (folder / "a.mapose.h5").rename(path)
    assert refine_project(project, [path], count=1).added == 1
    path.rename(folder / "b.mapose.h5")
    with pytest.raises(VideoError, match="call the result after its video"):
        refine_project(project, [folder / "b.mapose.h5"])


def test_other_keypoints_are_refused(place):
    folder, _ = place
    other = Project.create(folder / "o", Skeleton(["snuot", "ear"]), videos=[folder / "a.mp4"])
    with pytest.raises(ShapeError, match="did you mean 'snuot'"):
        refine_project(other, [folder / "a.mapose.h5"])


def run(*words) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_commands_refine_accept_and_drop(place):
    folder, project = place
    words = ("refine", project.path, folder / "a.mapose.h5", "--count", 2, "--reasons", "jump")
    found = json.loads(run(*words, "--json"))
    assert found["added"] == 2 and found["outliers"][0]["kinds"] == ["jump"]
    first = found["outliers"][0]
    run("refine", project.path, "--accept", f"a:{first['frame']}")
    assert project.load_labels().frames.tolist() == [first["frame"]]
    assert "1 frame dropped" in run("refine", project.path, "--drop", "all")
    with pytest.raises(SettingsError, match="wanted one of"):
        run("refine", project.path, "--accept", "all", "--drop", "all")


def test_a_video_that_the_project_lacks_is_added(place):
    folder, _ = place
    empty = Project.create(folder / "e", SKELETON)
    refine_project(empty, [folder / "a.mapose.h5"], count=1, kinds=["jump"])
    assert "a" in Project.load(empty.path).videos and len(load_proposals(empty)) == 1


def test_all_cameras_of_a_session_get_the_same_moments(place):
    folder, _ = place
    film(folder / "b.mp4", 1)
    array = np.stack([find_square(n) for n in range(180)])[:, None]
    save(Poses(array, SKELETON, ["track0"], rate=25), folder / "b.mapose.h5")
    both = Project.create(folder / "both", SKELETON, videos=[folder / "a.mp4", folder / "b.mp4"])
    views = {"top": folder / "a.mapose.h5", "side": folder / "b.mapose.h5"}
    found = refine_project(both, views, count=2, kinds=["jump"])
    assert found.added == 4 and "top: track0 jumps" in str(found)
    waiting = load_proposals(both).labels
    own = np.array(waiting.videos) == "a"
    frames = {"a": set(waiting.frames[own].tolist()), "b": set(waiting.frames[~own].tolist())}
    assert frames["a"] == frames["b"] and frames["a"] <= {45, 105, 165}


def test_proposals_follow_the_names_of_keypoints(place, caplog):
    folder, project = place
    refine_project(project, [folder / "a.mapose.h5"], count=3, kinds=["jump"])
    before = load_proposals(project).labels.points
    project = project.rename_keypoint("ear", "left ear")
    waiting = load_proposals(project)
    assert waiting.labels.skeleton.keypoints == ("snout", "left ear", "tail")
    np.testing.assert_array_equal(waiting.labels.points, before)
    without = load_proposals(project.remove_keypoint("tail"))
    np.testing.assert_array_equal(without.labels.points, before[:, :, :2])
    assert "no keypoint tail" in caplog.text
