"""Results in windows through the server, and names corrected: on the disk, undoable, told."""

import json
import struct

import numpy as np
import pytest

from mapose.edits import find_edits_path
from mapose.results.correcting import add_edit
from mapose.results.result import load


def unpack(data):
    length = struct.unpack("<I", data[:4])[0]
    return json.loads(data[4 : 4 + length]), np.frombuffer(data[4 + length :], "<f4")


@pytest.fixture
def place(workspace, walk):
    return workspace.open_result(walk).name


def read(client, place, first, count):
    status, _, data = client.ask("GET", f"/poses/{place}?first={first}&count={count}")
    assert status == 200
    header, values = unpack(data)
    size = count * header["animals"] * header["keypoints"] * 3
    shape = (count, header["animals"], header["keypoints"], 3)
    return values[:size].reshape(shape), values[size:].reshape(count, -1)


def test_a_result_is_shown_with_its_doubts_and_the_projects_video(client, place):
    told = client.get(f"/api/r/{place}")[1]
    assert told["names"] == ["ann", "bob"] and (told["first"], told["last"]) == (0, 29)
    assert told["video"] == {"fault": "", "size": [64, 48]}
    assert [(d["frame"], d["probability"]) for d in told["doubts"]] == [(15, 0.4)]
    assert client.ask("GET", f"/result-frame/{place}/3?height=20")[0] == 200
    assert client.ask("GET", f"/result-frame/{place}/30")[0] == 400


def test_windows_of_poses_are_those_of_the_file(client, place, walk):
    points, sure = read(client, place, 20, 16)
    whole = load(walk)
    np.testing.assert_array_equal(points[:10], whole.array[20:])
    np.testing.assert_array_equal(sure[:10], whole.identity[20:])
    assert np.isnan(points[10:]).all() and np.isnan(sure[10:]).all()
    assert client.ask("GET", f"/poses/{place}?first=0&count=5000")[0] == 400


def test_a_swap_is_kept_shown_and_taken_back(client, place, walk):
    version = client.get(f"/api/r/{place}")[1]["version"]
    body = {"tab": "t", "version": version, "kind": "swap", "individuals": ["ann", "bob"]}
    status, told = client.post(f"/api/r/{place}/edit", {**body, "frame": 15})
    assert status == 200 and told["doubts"] == [] and len(told["edits"]) == 1
    assert find_edits_path(walk).is_file()
    np.testing.assert_array_equal(read(client, place, 0, 30)[0], load(walk).array)
    assert load(walk).array[20, 0, 0, 0] == load(walk, raw=True).array[20, 1, 0, 0]
    status, told = client.post(f"/api/r/{place}/edit", {**body, "frame": 20})
    assert status == 409 and "changed elsewhere" in told["error"]
    version = client.get(f"/api/r/{place}")[1]["version"]
    status, told = client.post(f"/api/r/{place}/undo", {"tab": "t", "version": version})
    assert status == 200 and told["edits"] == [] and len(told["doubts"]) == 1
    np.testing.assert_array_equal(read(client, place, 0, 30)[0], load(walk, raw=True).array)


def test_points_and_tracks_are_edited_and_taken_back(client, place, walk):
    def edit(kind, *names, **what):
        version = client.get(f"/api/r/{place}")[1]["version"]
        body = {"tab": "t", "version": version, "kind": kind, "individuals": names, **what}
        return client.post(f"/api/r/{place}/edit", body)

    assert edit("move", "ann", frame=3, keypoint="snout", place=[5.5, 6])[0] == 200
    assert edit("delete", "bob", frame=8, last=15)[0] == 200
    status, told = edit("split", "ann", "carl", frame=20)
    assert status == 200 and told["names"] == ["ann", "bob", "carl"] and len(told["colours"]) == 3
    points, _ = read(client, place, 0, 30)
    np.testing.assert_array_equal(points, load(walk).array)
    assert points[3, 0, 0, :2].tolist() == [5.5, 6] and np.isnan(points[8:16, 1, :, 0]).all()
    _, _, data = client.ask("GET", f"/poses/{place}?first=0&count=30")
    assert unpack(data)[0]["edited"] == [[3, 0, 0]]
    assert edit("join", "ann", "carl")[1]["names"] == ["ann", "bob"]
    for _ in range(200):
        _, _, data = client.ask("GET", f"/timeline/{place}?first=0&count=30&bins=100")
        header, values = unpack(data)
        if header["ready"]:
            break
    shares = values.reshape(2, header["bins"], 7)[..., 0]
    assert shares[1, 2:4].tolist() == [0, 0] and shares[0, 6] == 1
    for wrong in ({"place": [1]}, {"place": [1, 2], "keypoint": "nose"}, {"keypoint": "snout"}):
        assert edit("move", "ann", frame=3, **wrong)[0] == 400
    for _ in range(4):
        version = client.get(f"/api/r/{place}")[1]["version"]
        assert client.post(f"/api/r/{place}/undo", {"tab": "t", "version": version})[0] == 200
    np.testing.assert_array_equal(read(client, place, 0, 30)[0], load(walk, raw=True).array)


def test_what_another_program_corrects_is_seen(client, place, walk):
    assert client.get(f"/api/r/{place}")[1]["edits"] == []
    add_edit(walk, ("ann", "anna"), kind="name")
    told = client.get(f"/api/r/{place}")[1]
    assert told["names"] == ["anna", "bob"] and told["edits"][0]["kind"] == "name"


def test_timelines_come_when_they_are_made(client, place):
    for _ in range(200):
        _, _, data = client.ask("GET", f"/timeline/{place}?first=0&count=30&bins=100")
        header, values = unpack(data)
        if header["ready"]:
            break
    values = values.reshape(2, header["bins"], 7)
    assert (header["bins"], header["size"]) == (8, 4)
    assert values[0, :7, 0].tolist() == [1] * 7  # always there
    assert values[:, :7, 2].tolist() == [[1] * 7] * 2  # most confidence
    np.testing.assert_allclose(values[0, 1:7, 6], 1, rtol=1e-3)  # a pixel per frame


def test_no_other_files_are_opened(client, workspace, mice, walk):
    other = workspace.register(mice.path / "mapose.yaml")
    assert client.get(f"/api/r/{other}")[0] == 400
    assert client.get("/api/r/nothing")[0] == 404
    place = workspace.open_result(walk).name
    for body in ({}, {"kind": "erase"}, {"individuals": ["ann"]}, {"frame": -1}, {"frame": 99}):
        edit = {"tab": "t", "version": "", "kind": "swap", "individuals": ["ann", "bob"]}
        status, _ = client.post(f"/api/r/{place}/edit", {**edit, **body} if body else {})
        assert status in (400, 422)
    assert not find_edits_path(walk).exists()
