"""Sessions of several cameras, and what is done with them and with results, through the app."""

import json
import time

import numpy as np
import pytest

from calibration import make_ring
from mapose.app.jobs import Jobs
from mapose.io import VideoWriter
from mapose.poses import Poses
from mapose.project.project import Project
from mapose.results.result import save
from mapose.skeleton import Skeleton


@pytest.fixture
def opened(workspace, tmp_path):
    """A project of two videos with results."""
    skeleton = Skeleton(["snout", "tail"])
    for name in ("top", "side"):
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for _ in range(3):
                writer.write(np.full((48, 64), 100, np.uint8))
    videos = [tmp_path / "top.mp4", tmp_path / "side.mp4"]
    project = Project.create(tmp_path / "mice", skeleton, videos=videos)
    for name in ("top", "side"):
        poses = Poses(np.ones((3, 1, 2, 3), np.float32), skeleton, ["ann"], rate=25)
        file = project.path / "results" / f"{name}.mapose.h5"
        save(poses, file, provenance={"path": f"../../{name}.mp4"})
    return workspace.open_project(project.path)


@pytest.fixture
def words(monkeypatch):
    """The words of the last job, which does not run."""
    found = []
    start = Jobs.start

    def note(self, kind, words, **options):
        found[:] = words
        return start(self, kind, ["--help"], **options)

    monkeypatch.setattr(Jobs, "start", note)
    return found


def make_session(client, opened, name="may", **cameras):
    body = {"name": name, "cameras": cameras or {"up": "top", "beside": "side"}}
    return client.post(f"/api/p/{opened.name}/sessions", body)


def start(client, opened, **request):
    return client.post(f"/api/p/{opened.name}/jobs", {"request": request})


def test_videos_become_a_session_of_the_project(client, opened):
    status, told = make_session(client, opened)
    assert status == 200 and [s["name"] for s in told["sessions"]] == ["may"]
    (session,) = told["sessions"]
    assert [c["analysed"] for c in session["cameras"]] == [True, True]
    assert "not calibrated" in session["fault"] and session["report"] is None
    assert Project.load(opened.path).sessions == {"may": {"up": "top", "beside": "side"}}
    assert "belongs to one" in make_session(client, opened, "june")[1]["error"]
    for name, cameras in (
        ("../out", {}),
        ("-o", {}),
        ("june", {"a=b": "top", "b": "side"}),
        ("june", {"a": "/etc/passwd", "b": "side"}),
    ):
        assert make_session(client, opened, name, **cameras)[0] == 400
    assert list(Project.load(opened.path).sessions) == ["may"]


def test_cameras_are_calibrated_from_videos_that_were_chosen(client, opened, workspace, words):
    make_session(client, opened)
    videos = {"up": workspace.register(opened.path.parent / "top.mp4")}
    videos["beside"] = workspace.register(opened.path.parent / "side.mp4")
    request = {"kind": "calibrate", "session": "may", "board": "chessboard:9x6:30mm"}
    status, job = start(client, opened, **request, videos=videos, fisheye=["beside"])
    assert status == 200 and job["title"] == "Calibrate may"
    place = opened.path / "calibration" / "may.toml"
    options = ["--board", "chessboard:9x6:30mm", "--fisheye", "beside", "-o", str(place)]
    sources = [f"{c}={opened.path.parent / v}.mp4" for c, v in (("up", "top"), ("beside", "side"))]
    assert words == ["calibrate", *options, "--", *sources]
    for wrong in (
        {"videos": {"up": videos["up"], "other": videos["beside"]}},
        {"board": "board.toml"},
        {"board": "cheesboard:9x6:30mm"},
        {"session": "june"},
        {"videos": {**videos, "up": "0123"}},
        {"fisheye": ["--print=/tmp/x"]},
    ):
        body = {**request, "videos": videos, **wrong}
        assert start(client, opened, **body)[0] in (400, 404)


def test_the_report_of_a_calibration_is_shown(client, opened):
    make_session(client, opened)
    folder = opened.path / "calibration"
    folder.mkdir(exist_ok=True)
    make_ring(2).save(folder / "may.toml")
    report = {"mean": 0.4, "cameras": [{"name": "up", "mean": 0.4}], "advice": ["film the rim"]}
    (folder / "may.report.json").write_text(json.dumps(report), encoding="utf-8")
    (folder / "may.report.png").write_bytes(b"a picture")
    (session,) = client.get(f"/api/p/{opened.name}/sessions")[1]["sessions"]
    assert session["report"]["mean"] == 0.4 and "has no camera up" in session["fault"]
    assert client.ask("GET", f"/figure/{session['report']['figure']}")[2] == b"a picture"


def test_views_are_brought_into_space_when_all_are_there(client, opened, words):
    make_session(client, opened)
    request = {"kind": "triangulate", "session": "may"}
    assert "is not calibrated" in start(client, opened, **request)[1]["error"]
    (opened.path / "calibration").mkdir(exist_ok=True)
    make_ring(2).save(opened.path / "calibration" / "may.toml")
    assert start(client, opened, **request, animals=2, rigid=True)[0] == 200
    results = opened.path / "results"
    calibration = str(opened.path / "calibration" / "may.toml")
    output = str(results / "may.mapose.h5")
    options = ["--calibration", calibration, "-o", output, "--animals", "2", "--rigid"]
    views = [f"up={results / 'top.mapose.h5'}", f"beside={results / 'side.mapose.h5'}"]
    assert words == ["triangulate", *options, "--", *views]
    (results / "side.mapose.h5").unlink()
    assert "analyse side first" in start(client, opened, **request)[1]["error"]


def test_the_world_is_set_by_three_points(client, opened, words):
    make_session(client, opened)
    pixels = {"up": [3, 4.5], "beside": [5, 6]}
    request = {"kind": "world", "session": "may", "origin": pixels, "x": pixels, "y": pixels}
    assert "is not calibrated" in start(client, opened, **request)[1]["error"]
    place = opened.path / "calibration" / "may.toml"
    place.parent.mkdir(exist_ok=True)
    make_ring(2).save(place)
    status, job = start(client, opened, **request, frame=2, length="300mm")
    assert status == 200 and job["title"] == "Place the world of may"
    output = str(opened.path / "calibration" / "worlds" / "may.toml")
    corner = "up=3.0:4.5,beside=5.0:6.0"
    corners = [f"--origin={corner}", f"--x={corner}", f"--y={corner}"]
    options = ["--frame", "2", "--length=300mm", "--", str(place)]
    assert words == ["world", "-o", output, "--force", *corners, *options]
    names = {"origin": "--force", "x": "tail", "y": "snout"}
    assert start(client, opened, kind="world", session="may", **names)[0] == 404  # no 3D result
    file = opened.path / "results" / "may.mapose.h5"
    file.write_bytes((opened.path / "results" / "top.mapose.h5").read_bytes())
    assert start(client, opened, kind="world", session="may", **names, animal="ann")[0] == 200
    corners = ["--origin=--force", "--x=tail", "--y=snout", "--animal=ann", "--", str(place)]
    assert words == ["world", "-o", output, "--force", "--points", str(file), *corners]
    for wrong in ({"origin": {"up": [1, 2]}}, {"x": {"up": [1], "beside": [2]}}, {"frame": -1}):
        assert start(client, opened, **{**request, **wrong})[0] == 422


def test_a_hostile_name_of_a_camera_is_no_option(client, opened, words):
    """A project from somebody else calls its cameras what it likes."""
    file = opened.path / "mapose.yaml"
    lines = "sessions:\n  may: {--print: top, beside: side}\n  ../out: {a: top, b: side}\n"
    text = file.read_text(encoding="utf-8")
    file.write_text(text + lines.replace("  ../out: {a: top, b: side}\n", ""), encoding="utf-8")
    (opened.path / "calibration").mkdir(exist_ok=True)
    make_ring(2).save(opened.path / "calibration" / "may.toml")
    opened.reload()
    assert start(client, opened, kind="triangulate", session="may")[0] == 200
    assert words.index("--") < next(n for n, word in enumerate(words) if "--print" in word)
    file.write_text(text + "sessions:\n  ../out: {a: top, b: side}\n", encoding="utf-8")
    make_ring(2).save(opened.path / "calibration" / "calibration.toml")
    opened.reload()
    assert start(client, opened, kind="triangulate", session="../out")[0] == 400
    assert not (opened.path / "out.mapose.h5").exists()


def test_results_are_smoothed_drawn_and_exported(client, opened, words):
    file = str(opened.path / "results" / "top.mapose.h5")
    assert start(client, opened, kind="filter", result="top", method="median")[0] == 200
    assert words == ["filter", file, "--method", "median"]
    assert start(client, opened, kind="export", result="top", to="slp", replace=True)[0] == 200
    assert words == ["export", file, "--to", "slp", "--force"]
    assert start(client, opened, kind="render", result="top", first=1, stop=2)[0] == 200
    output = str(opened.path / "results" / "top.labelled.mp4")
    video = str(opened.path.parent / "top.mp4")
    assert words == ["render", "-o", output, "--start", "1", "--stop", "2", "--", video, file]
    assert start(client, opened, kind="plot", result="top")[0] == 200
    assert words == ["plot", file]
    assert start(client, opened, kind="export", result="none", to="slp")[0] == 404
    assert start(client, opened, kind="export", result="top", to="exe")[0] == 422


def test_what_a_job_made_is_told(client, opened):
    status, job = start(client, opened, kind="export", result="top", to="csv")
    assert status == 200
    deadline = time.monotonic() + 60
    while job["state"] in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(0.1)
        job = client.get(f"/api/p/{opened.name}/jobs/{job['name']}")[1]
    assert (job["state"], job["fault"]) == ("done", "")
    assert job["said"] == str(opened.path / "results" / "top.csv")
    assert (opened.path / "results" / "top.csv").is_file()
