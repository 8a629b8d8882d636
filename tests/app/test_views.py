"""Several cameras: what a point in some views says of the others, through the server."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import CameraGroup, add_station, align_to_points, make_ring
from mapose.io import VideoWriter
from mapose.poses import Poses
from mapose.project.calibrations import find_calibration, find_measured, place_world_of
from mapose.project.project import Project
from mapose.results.result import save
from mapose.skeleton import Skeleton


@pytest.fixture
def ring():
    return make_ring(3)


@pytest.fixture
def opened(workspace, tmp_path, ring):
    """Three cameras of one moment, calibrated."""
    for name in ring.names:
        with VideoWriter(tmp_path / f"{name}.mp4", 25) as writer:
            for _ in range(3):
                writer.write(np.full((48, 64), 100, np.uint8))
    project = Project.create(tmp_path / "mice", Skeleton(["snout", "tail"]))
    project.add_session("may", {name: tmp_path / f"{name}.mp4" for name in ring.names})
    (project.path / "calibration").mkdir()
    ring.save(project.path / "calibration" / "may.toml")
    return workspace.open_project(project.path)


def test_one_view_draws_lines_and_two_find_the_point(client, opened, ring):
    sessions = client.get(f"/api/p/{opened.name}/sessions")[1]["sessions"]
    assert [(s["name"], s["fault"], len(s["cameras"])) for s in sessions] == [("may", "", 3)]
    seen = ring.project([30.0, 40, 50])
    body = {"session": "may", "line": ["animal0", "snout"]}
    one = [["animal0", "snout", {"cam0": seen[0].tolist()}]]
    told = client.post(f"/api/p/{opened.name}/point", {**body, "points": one})[1]
    assert set(told["lines"]) == {"cam1", "cam2"} and told["points"] == []
    line = np.array(told["lines"]["cam1"])
    assert np.linalg.norm(line[:, :2] - seen[1], axis=1).min() < 20 and (line[:, 2] > 0).all()
    one[0][2]["cam1"] = seen[1].tolist()
    told = client.post(f"/api/p/{opened.name}/point", {**body, "points": one})[1]
    ((_, _, found),) = told["points"]
    np.testing.assert_allclose(found["views"]["cam2"][:2], seen[2], atol=0.01)
    assert max(found["errors"].values()) < 0.01 and told["lines"] == {}


def test_a_camera_that_was_moved_points_from_where_it_stands(client, opened, ring):
    pushed = replace(ring["cam2"], translation=ring["cam2"].translation + [4, -3, 2])
    add_station(ring, pushed, 2).save(opened.path / "calibration" / "may.toml")
    for frame, cameras in ((1, ring), (2, CameraGroup([*list(ring)[:2], pushed], ring.unit))):
        seen = cameras.project([30.0, 40, 50])
        pixels = {name: seen[row].tolist() for row, name in enumerate(("cam0", "cam1"))}
        body = {"session": "may", "frame": frame, "points": [["animal0", "snout", pixels]]}
        told = client.post(f"/api/p/{opened.name}/point", body)[1]
        ((_, _, found),) = told["points"]
        assert set(found["views"]) == {"cam0", "cam1", "cam2"}
        np.testing.assert_allclose(found["views"]["cam2"][:2], seen[2], atol=0.01)


def test_a_moment_has_the_marks_of_all_views(client, opened):
    body = {"tab": "t", "version": opened.project.version, "video": "cam1", "frame": 2}
    mark = [["animal0", "snout", [3, 4, "visible", "triangulation"]]]
    assert client.post(f"/api/p/{opened.name}/labels", {**body, "marks": mark})[0] == 200
    views = client.get(f"/api/p/{opened.name}/moment/may/2")[1]["views"]
    assert views["cam1"]["marks"] == [["animal0", "snout", [3, 4, "visible", "triangulation"]]]
    assert views["cam0"]["marks"] == []


def test_without_a_calibration_it_says_what_is_missing(client, opened):
    (opened.path / "calibration" / "may.toml").unlink()
    found = client.get(f"/api/p/{opened.name}/sessions")[1]["sessions"][0]
    assert "is not calibrated" in found["fault"] and "mapose calibrate" in found["fault"]
    body = {"session": "may", "points": [["animal0", "snout", {"cam0": [1, 1], "cam1": [1, 1]}]]}
    assert client.post(f"/api/p/{opened.name}/point", body)[0] == 400
    assert client.post(f"/api/p/{opened.name}/point", {**body, "session": "june"})[0] == 400
    body["points"][0][2]["cam0"] = ["1", None]
    assert client.post(f"/api/p/{opened.name}/point", body)[0] == 422


def test_animals_are_proposed_by_the_names_that_they_have_in_all_views(client, opened):
    """The result of a view names in order; once all views are matched, these names count."""
    skeleton = Skeleton(["snout", "tail"])
    for place, x in (("cam1", 5), ("may.views/cam1", 9)):
        poses = Poses(np.full((3, 1, 2, 3), x, np.float32), skeleton, ["track0"], rate=25)
        file = opened.path / "results" / f"{place}.mapose.h5"
        file.parent.mkdir(exist_ok=True)
        save(poses, file)
        views = client.get(f"/api/p/{opened.name}/moment/may/2")[1]["views"]
        assert [point[2] for point in views["cam1"]["proposal"]] == [x, x]


def test_the_world_that_was_chosen_counts_until_cameras_are_calibrated_again(opened, ring):
    project = opened.project
    measured = find_calibration(project, "may")
    chosen = place_world_of(project, "may")
    chosen.parent.mkdir()
    moved = align_to_points(ring, origin=[1, 2, 3], x=[90, 2, 3], y=[1, 80, 9], length=1, unit="m")
    moved[0].save(chosen)
    assert find_calibration(project, "may") == chosen
    assert find_measured(project, "may") == measured
    make_ring(3, seed=4).save(measured)
    assert find_calibration(project, "may") == measured
    chosen.write_text("nonsense", encoding="utf-8")
    assert find_calibration(project, "may") == measured
