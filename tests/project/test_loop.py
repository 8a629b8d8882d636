"""Where a project stands, and the next thing to do."""

import dataclasses
import shutil

import numpy as np

from calibration import make_ring
from mapose.poses import Poses
from mapose.project.extracting import extract_frames
from mapose.project.loop import describe_loop
from mapose.project.project import Project
from mapose.project.proposals import load_proposals, replace_proposals
from mapose.results.result import save
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained


def test_the_loop_goes_on_from_step_to_step(tmp_path, film):
    project = Project.create(tmp_path / "mice", Skeleton(["snout", "tail"]))
    assert describe_loop(project).action == "videos"
    project = project.add_videos([film])
    assert describe_loop(project).action == "frames"
    extract_frames(project, 2, method="uniform")
    found = describe_loop(project)
    assert (found.action, found.reason) == ("labels", "2 chosen frames have no labels yet")
    for frame in (7, 22):
        project = project.put_marks(
            "film", frame, {("animal0", k): (5, 6, "visible", "person") for k in ("snout", "tail")}
        )
    found = describe_loop(project)
    steps = {step.name: step for step in found.steps}
    assert found.action == "model" and (steps["labels"].done, steps["labels"].total) == (2, 2)
    assert "next: Train a model" in str(found) and found.to_dict()["action"] == "model"
    model = project.path / "models" / "small-1"
    model.mkdir()
    (model / "model.yaml").write_text("record: {metrics: {test: {mean: 2.34}}}", encoding="utf-8")
    found = describe_loop(project)
    assert found.action == "results" and found.advice == "Analyse the videos"
    assert {step.name: step.text for step in found.steps}["model"] == "2.3 px"
    poses = Poses(np.ones((30, 1, 2, 3)), project.skeleton, ["animal0"], rate=25)
    save(poses, project.path / "results" / "film.mapose.h5")
    assert describe_loop(project).advice == "Look for the worst frames"
    again = project.put_marks("film", 9, {("animal0", "snout"): (5, 6, "visible", "person")})
    assert describe_loop(dataclasses.replace(again)).advice == "Train again"


def test_a_model_proposes_once_before_frames_are_labelled_by_hand(mice):
    make_untrained(skeleton=mice.skeleton).save(mice.path / "models" / "young")
    extract_frames(mice, 3, method="uniform")
    found = describe_loop(mice)
    assert found.action == "propose" and found.reason.startswith("3 chosen frames have no labels")
    asked = load_proposals(mice)
    replace_proposals(mice, asked, model="young")  # it has found nothing
    assert load_proposals(mice).reasons[0].endswith("; young found nothing")
    assert describe_loop(mice).advice == "Label the chosen frames"
    replace_proposals(mice, dataclasses.replace(asked, looked=~asked.looked), model="older")
    assert load_proposals(mice).reasons == asked.reasons


def test_sessions_of_several_cameras_lead_into_space(mice, film):
    shutil.copy(film, film.with_name("side.mp4"))
    project = mice.add_session("may", {"top": film, "side": film.with_name("side.mp4")})
    for frame in (1, 2, 3):
        spots = [(i, k) for i in ("ann", "bob") for k in mice.skeleton.keypoints]
        marks = dict.fromkeys(spots, (5, 6, "visible", ""))
        project = project.put_marks("film", frame, marks)
    make_untrained(skeleton=mice.skeleton).save(mice.path / "models" / "young")
    poses = Poses(np.ones((30, 2, 3, 3)), mice.skeleton, ["ann", "bob"], rate=25)
    for name in ("film", "side"):
        save(poses, mice.path / "results" / f"{name}.mapose.h5")
    found = describe_loop(project)
    assert (found.action, found.advice) == ("space", "Calibrate the cameras")
    (mice.path / "calibration").mkdir(exist_ok=True)
    make_ring(2).save(mice.path / "calibration" / "may.toml")
    found = describe_loop(project)
    assert found.advice == "Reconstruct in 3D" and "all cameras of may" in found.reason
    assert {step.name: step.text for step in found.steps}["space"] == "0 of 1"
    save(poses, mice.path / "results" / "may.mapose.h5")
    assert {s.name: s.text for s in describe_loop(project).steps}["space"] == "1 of 1"
