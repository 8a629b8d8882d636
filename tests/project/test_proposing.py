"""A model proposes labels in chosen frames: they wait, and what a person has marked stays."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor
from mapose.cli import app
from mapose.errors import SettingsError, ShapeError
from mapose.io import VideoWriter
from mapose.io.images import read_image
from mapose.models.checkpoint import Identity
from mapose.poses import Peaks, Poses
from mapose.project import Project
from mapose.project.extracting import extract_frames
from mapose.project.proposals import load_proposals
from mapose.project.proposing import _name_animals, propose_frames
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained


@pytest.fixture
def project(tmp_path):
    """A project of one noisy video with three frames that wait, and a model."""
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "film.mp4", 25) as writer:
        for _ in range(12):
            writer.write(rng.integers(0, 255, (64, 64), np.uint8))
    skeleton = Skeleton(["a", "b"], [("a", "b")])
    project = Project.create(
        tmp_path / "mice", skeleton, individuals=["ann", "bob"], videos=[tmp_path / "film.mp4"]
    )
    extract_frames(project, 3, method="uniform")
    make_untrained(lively=True).save(project.path / "models" / "young")
    return Project.load(project.path)


def find_alone(project, image):
    """What the model finds in one picture."""
    model = project.load_model()
    peaks = Predictor(model, individuals=2).find_images([read_image(image)])
    return assemble_poses(peaks, model, individuals=2).points[0]


def test_what_the_model_finds_waits_and_is_no_label(project):
    found = propose_frames(project)
    assert found.model == "young" and len(found.frames) == 3 and found.found == 3
    waiting = load_proposals(project)
    assert waiting.labels.row_names == list(found.frames) and waiting.looked.all()
    assert set(waiting.reasons) == {"evenly over the video"} or all(waiting.reasons)
    there = np.isfinite(waiting.labels.points).all(-1)
    assert found.points == there.sum() > 0 and (waiting.origins[there] == "model").all()
    assert np.isfinite(waiting.confidence[there]).all()
    for row, image in enumerate(waiting.labels.images):
        np.testing.assert_allclose(
            waiting.labels.points[row], find_alone(project, image), atol=2e-3
        )
    assert project.read_state().marks == {}


def test_a_newer_model_replaces_the_older_one_but_not_a_person(project):
    propose_frames(project)
    before = load_proposals(project)
    path = project.path / "labels" / "film" / "proposals.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[0, ["x", "y", "visible", "origin"]] = ["5", "6", "1", "person"]
    table.to_csv(path, index=False)
    make_untrained(lively=True, variance=np.full(2, 2.0)).save(project.path / "models" / "zoomed")
    model = project.load_model("zoomed")
    replace(model, factor=2).save(project.path / "models" / "newest")
    found = propose_frames(project, model="newest")
    assert len(found.frames) == 2
    after = load_proposals(project)
    assert after.labels.row_names == before.labels.row_names
    np.testing.assert_allclose(after.labels.points[0, 0, 0], [5, 6])
    assert not np.array_equal(after.labels.points[1], before.labels.points[1], equal_nan=True)


def test_given_frames_join_those_that_wait_and_labelled_ones_keep_their_marks(project):
    waiting = load_proposals(project).labels
    first = waiting.row_names[0]
    number = int(waiting.frames[0])
    mark = (1.0, 2.0, "visible", "person")
    project = project.put_marks("film", number, {("ann", "a"): mark})
    new = next(n for n in range(12) if f"film:{n}" not in waiting.row_names)
    found = propose_frames(project, [first, f"film:{new}", first])
    assert set(found.frames) == {first, f"film:{new}"}
    assert (project.path / "labels" / "film" / f"frame{new:06d}.png").is_file()
    project = Project.load(project.path)
    assert project.read_state().marks["film", f"frame{number:06d}.png"] == {("ann", "a"): mark}
    names = load_proposals(project).labels.row_names
    assert f"film:{new}" in names and first not in names
    project.undo()  # the frame has no labels any more: what was proposed there is shown again
    again = load_proposals(Project.load(project.path))
    assert again.looked[again.labels.row_names.index(first)]


def test_frames_and_models_that_do_not_fit_are_told(project, tmp_path):
    with pytest.raises(SettingsError, match=r"no 'flim:3' here.*film"):
        propose_frames(project, ["flim:3"])
    with pytest.raises(SettingsError, match=r"wanted VIDEO:NUMBER, such as film:120"):
        propose_frames(project, ["film:first"])
    with pytest.raises(SettingsError, match="no model 'old' here"):
        propose_frames(project, model="old")
    other = Project.create(tmp_path / "rats", Skeleton(["a", "c"]))
    make_untrained().save(other.path / "models" / "m")
    with pytest.raises(ShapeError, match="choose another model"):
        propose_frames(other)


def test_marked_animals_get_their_names():
    """The network says that the first slot is bob, so that it comes second."""
    model = make_untrained(identity=Identity(("ann", "bob")))
    xy = np.array([[10, 10], [12, 10], [40, 40], [42, 40]], np.float32)
    sure = np.log(np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.7, 0.3]], np.float32))
    peaks = Peaks(
        frame=np.zeros(4, np.int64),
        keypoint=np.array([0, 1, 0, 1]),
        xy=xy,
        score=np.ones(4, np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (4, 1, 1)),
        pairs=np.zeros((0, 2), np.int64),
        edge=np.zeros(0, np.int64),
        affinity=np.zeros(0, np.float32),
        n_frames=1,
        marks=sure,
    )
    array = np.ones((1, 2, 2, 3), np.float32)
    array[0, :, :, :2] = xy.reshape(2, 2, 2)
    found = _name_animals(peaks, Poses(array, model.skeleton), model, ("ann", "bob"))
    assert found[0, 0, :2].tolist() == [40, 40] and found[1, 0, :2].tolist() == [10, 10]


def test_the_command_says_what_is_next(project):
    told = CliRunner().invoke(app, ["propose", str(project.path), "--json"])
    assert told.exit_code == 0 and json.loads(told.stdout)["model"] == "young"
    told = CliRunner().invoke(app, ["propose", str(project.path)])
    assert "of 3 frames" in told.stdout and "mapose refine" in told.stdout
