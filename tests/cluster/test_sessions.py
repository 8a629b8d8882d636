"""What is a session, what is to be done with it, and what is done of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mapose
from calibration import CalibrationError, CameraGroup
from mapose.cli import app
from mapose.cluster.experiments import list_steps
from mapose.cluster.sessions import read_settings
from mapose.errors import SettingsError
from mapose.io import VideoWriter, save
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.synthetic import make_cameras, make_scene
from tests.untrained import make_untrained

FRAMES = 12


def draw(place, frames=FRAMES):
    place.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(place, 25) as writer:
        for level in range(frames):
            writer.write(np.full((64, 64), 10 * level, np.uint8))


@pytest.fixture
def tree(tmp_path):
    """Two sessions of two cameras, with 2D poses, under one calibration."""
    tree = tmp_path / "tree"
    scene = make_scene(2, FRAMES, seed=3, cameras=make_cameras(3, size=(160, 120)))
    for session in ("monday", "tuesday"):
        for camera in scene.cameras.names:
            draw(tree / session / f"m1-{camera}.mp4")
            poses = scene.truth(camera, occluded=False)
            save(poses, tree / session / f"m1-{camera}.mapose.h5")
    (tree / "calibration").mkdir()
    scene.cameras.save(tree / "calibration" / "calibration.toml")
    make_untrained().save(tmp_path / "model")
    write_settings(tree, "cameras: [top, cam1, cam2]", "steps: [triangulate, kinematics, export]")
    return tree


def write_settings(folder, *lines):
    text = "\n".join([*(() if "cameras" not in lines[0] else ("model: ../model",)), *lines])
    (folder / "session.yaml").write_text(text + "\n", encoding="utf-8")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_of_each_session_what_is_missing_is_done(tree):
    plan = run("run", tree, "--dry-run", "--json")
    steps = json.loads(plan.stdout)["steps"]
    assert [s["step"] for s in steps[:3]] == ["triangulate", "kinematics", "export csv"]
    assert all("is not there" in s["reason"] for s in steps) and len(steps) == 6
    assert not (tree / "monday" / "session.mapose.h5").exists()
    done = run("run", tree)
    assert done.exit_code == 0, done.output
    assert "2 done in" in done.stdout and "triangulate, kinematics, export csv" in done.stdout
    poses = mapose.load(tree / "monday" / "session.mapose.h5")
    assert poses.array.shape[-1] == 4 and np.isfinite(poses.array).mean() > 0.8
    assert (tree / "tuesday" / "session.csv").is_file()
    assert "2 unchanged" in run("run", tree).stdout
    assert "0 of 6 steps to do" in run("run", tree, "--dry-run").stdout


def test_a_correction_and_a_setting_make_anew_what_depends_on_them(tree):
    sessions = mapose.find_sessions(tree)
    mapose.run_sessions(sessions)
    place = tree / "tuesday" / "session.mapose.h5"
    names = mapose.load(place).names
    mapose.add_edit(place, names, frame=5)
    report = mapose.run_sessions(sessions)
    assert [o.state for o in report.outcomes] == ["unchanged", "done"]
    assert report.outcomes[1].output == "kinematics, export csv"
    write_settings(tree / "monday", "export: [csv, trc]")  # beside what the file above says
    report = mapose.run_sessions(mapose.find_sessions(tree))
    assert [o.output for o in report.outcomes] == ["export trc", ""]


def test_a_session_that_fails_does_not_stop_the_others(tree):
    (tree / "monday" / "m1-top.mapose.h5").unlink()
    done = run("run", tree)
    assert done.exit_code == 1 and "1 done, 1 failed" in done.stdout
    assert "triangulate: " in done.stdout and "m1-top.mapose.h5" in done.stdout


def test_a_board_is_searched_once_for_all_its_sessions(tree, monkeypatch):
    called = []

    def calibrate(videos, board, *, output, options, force, on_progress):
        called.append((sorted(videos), board, options.fisheye, force))
        if board == "bad":
            raise CalibrationError("the board was not seen")
        output.write_text(text + "# anew", encoding="utf-8")

    monkeypatch.setattr("mapose.cluster.experiments.calibrate_cameras", calibrate)
    text = (tree / "calibration" / "calibration.toml").read_text(encoding="utf-8")
    (tree / "calibration" / "calibration.toml").unlink()
    for camera in ("top", "cam1", "cam2"):
        draw(tree / "calibration" / f"board-{camera}.mp4")
    words = ("cameras: [top, cam1, cam2]", "steps: [triangulate]", "fisheye: [top]")
    write_settings(tree, *words, "board: good")
    report = mapose.run_sessions(mapose.find_sessions(tree))
    assert called == [(["cam1", "cam2", "top"], "good", ("top",), True)]
    assert [o.output for o in report.outcomes] == ["calibrate", "triangulate", "triangulate"]
    draw(tree / "calibration" / "board-top.mp4", frames=5)
    plan = mapose.plan_sessions(mapose.find_sessions(tree))
    assert [i.reason for i in plan.intentions] == [
        "board-top.mp4 has changed", *["calibration.toml is made anew"] * 2
    ]  # fmt: skip
    write_settings(tree, *words, "board: bad")
    report = mapose.run_sessions(mapose.find_sessions(tree))
    assert [o.state for o in report.outcomes] == ["failed"] * 3
    assert "was not calibrated" in report.outcomes[1].why


def test_times_and_a_second_calibration_lie_in_each_session(tree):
    scene = make_scene(2, FRAMES, seed=3, cameras=make_cameras(3, size=(160, 120)))
    for session in ("monday", "tuesday"):
        view = tree / session / "m1-top.mapose.h5"
        truth = scene.truth("top", occluded=False)
        save(Poses(np.delete(truth.array, 4, 0), truth.skeleton, truth.individuals), view)
        (tree / session / "drops.csv").write_text("camera,dropped\ntop,4\n", encoding="utf-8")
        top, *others = scene.cameras
        pushed = replace(top, translation=top.translation + 5)
        CameraGroup([pushed, *others], "mm").save(tree / session / "after.toml")
    space = "triangulate: {times: drops.csv, then: 8=after.toml, rate: 25}"
    write_settings(tree, "cameras: [top, cam1, cam2]", "steps: [triangulate]", space)
    done = run("run", tree)
    assert done.exit_code == 0, done.output
    found = mapose.load(tree / "monday" / "session.mapose.h5")
    assert len(found) == FRAMES
    made = Result(tree / "monday" / "session.mapose.h5").provenance["made"]
    assert "drops.csv" in str(made) and "8=" in str(made)
    assert "0 of 2 steps to do" in run("run", tree, "--dry-run").stdout
    (tree / "tuesday" / "drops.csv").write_text("camera,dropped\ntop,5\n", encoding="utf-8")
    plan = run("run", tree, "--dry-run").stdout
    assert "1 of 2 steps to do" in plan and "drops.csv has changed" in plan
    write_settings(tree, "cameras: [top, cam1, cam2]", "triangulate: {then: after.toml}")
    with pytest.raises(SettingsError, match=r"triangulate\.then: .*wanted FRAME=FILE"):
        read_settings(tree / "monday")


def test_what_a_session_is(tree):
    (tree / "labelled").mkdir()
    (tree / "notes.txt").touch()
    draw(tree / "project" / "videos" / "x.mp4")
    (tree / "project" / "mapose.yaml").touch()
    found = mapose.find_sessions(tree)
    assert [s.folder.name for s in found] == ["monday", "tuesday"]
    assert {c: v.name for c, v in found[0].videos.items()} == {
        "top": "m1-top.mp4", "cam1": "m1-cam1.mp4", "cam2": "m1-cam2.mp4"
    }  # fmt: skip
    assert found[0].calibration == tree.resolve() / "calibration" / "calibration.toml"
    assert mapose.find_sessions(tree / "monday")[0] == found[0]


def test_steps_follow_from_what_there_is(tree):
    write_settings(tree, "cameras: [top, cam1, cam2]")
    names = [s.name for s in list_steps(mapose.find_sessions(tree)[0])]
    assert names == [
        "analyze top",
        "analyze cam1",
        "analyze cam2",
        "triangulate",
        "kinematics",
        "export csv",
    ]
    write_settings(
        tree, "cameras: [top]", "track: {online: true}", "individuals: 2", "filter: {window: 3}"
    )
    (step, tracking, *rest) = list_steps(mapose.find_sessions(tree)[0])
    assert (step.name, tracking.name) == ("analyze top", "track top")
    assert [s.outputs[0].name for s in rest] == [
        "m1-top.tracked.filtered.mapose.h5",
        "m1-top.tracked.filtered.kinematics.csv",
        "m1-top.tracked.filtered.csv",
    ]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["cameras: [top, side]"], "one video of camera 'side'.*came none"),
        (["cameras: [m1]"], "came m1-cam1.mp4, m1-cam2.mp4, m1-top.mp4"),
        (["cameras: [top]", "exprot: [csv]"], "export"),
        (["cameras: [top]", "export: [csv, excel]"], "no format 'excel'; known: dlc-h5, dlc-csv"),
        (["individuals: 2"], "model"),
        (["cameras: [top]", "steps: [triangulate]"], "wants two cameras"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is(tree, lines, complaint):
    write_settings(tree, *lines)
    with pytest.raises(SettingsError, match=complaint):
        mapose.run_sessions(mapose.find_sessions(tree))


def test_where_there_is_nothing_to_do_it_is_told(tmp_path):
    with pytest.raises(SettingsError, match="no session"):
        mapose.find_sessions(tmp_path)
    draw(tmp_path / "a" / "top.mp4")
    with pytest.raises(SettingsError, match="write one that says at least"):
        mapose.find_sessions(tmp_path)


def test_the_example_of_the_docs_is_one(tree):
    docs = Path(__file__).parents[2] / "docs" / "many-videos.md"
    text = docs.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    (tree / "session.yaml").write_text(text.replace("side, back", "cam1, cam2"), encoding="utf-8")
    settings, place = read_settings(tree / "monday")
    assert settings.triangulate.smooth == "rigid" and settings.track.appearance
    assert settings.model == str(tree.parent / "mice") and place == tree
