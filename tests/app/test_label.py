"""Labels changed through the server: acknowledged when they are on the disk, and never lost."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from mapose.io import Video
from mapose.project.project import Project


@pytest.fixture
def opened(workspace, mice):
    return workspace.open_project(mice.path)


def make_body(version, spot=("ann", "snout"), mark=(3, 4, "visible", "person"), **other):
    marks = [[*spot, None if mark is None else list(mark)]]
    return {"tab": "one", "version": version, "video": "film", "frame": 1, "marks": marks, **other}


def test_a_change_is_on_the_disk_when_it_is_acknowledged(client, opened):
    version = client.get(f"/api/p/{opened.name}/labels")[1]["version"]
    status, told = client.post(f"/api/p/{opened.name}/labels", make_body(version))
    assert (status, told["version"]) == (200, version + 1)
    assert "snout of ann" in told["last"]
    found = Project.load(opened.path).read_state().marks["film", "frame000001.png"]
    assert found == {("ann", "snout"): (3.0, 4.0, "visible", "person")}
    status, told = client.get(f"/api/p/{opened.name}/labels/film?frame=1")
    assert told["marks"] == [["ann", "snout", [3.0, 4.0, "visible", "person"]]]
    status, told = client.post(f"/api/p/{opened.name}/undo", {"tab": "one", "version": version + 1})
    assert status == 200 and told["touched"] == [["film", "frame000001.png"]]
    assert Project.load(opened.path).read_state().marks == {}


def test_a_frame_that_nobody_chose_is_taken_in(client, opened):
    version = opened.project.version
    body = make_body(version, frame=9)
    assert client.post(f"/api/p/{opened.name}/labels", body)[0] == 200
    frames = client.get(f"/api/p/{opened.name}/labels")[1]["frames"]
    assert [(f["frame"], f["marked"]) for f in frames] == [(1, 0), (2, 0), (9, 1)]
    assert client.ask("GET", f"/still/{opened.name}/film/frame000009.png")[0] == 200


def test_two_tabs_keep_both_changes_or_hear_of_the_conflict(client, opened):
    version = opened.project.version
    first = client.post(f"/api/p/{opened.name}/labels", make_body(version))
    other = client.post(f"/api/p/{opened.name}/labels", make_body(version, ("ann", "earL")))
    clash = client.post(
        f"/api/p/{opened.name}/labels", make_body(version, mark=(9, 9, "visible", ""))
    )
    assert (first[0], other[0], clash[0]) == (200, 200, 409)
    assert "snout of ann" in clash[1]["error"] and "3.0, 4.0" in clash[1]["error"]
    found = client.get(f"/api/p/{opened.name}/labels/film?frame=1")[1]["marks"]
    assert {mark[1]: mark[2][:2] for mark in found} == {"snout": [3, 4], "earL": [3, 4]}
    assert client.post(f"/api/p/{opened.name}/undo", {"tab": "one", "version": version})[0] == 409


def test_pages_hear_of_changes_of_others(client, opened):
    """Also of those that another program has made."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=10)
    cookie = {"Cookie": f"mapose-{client.port}={client.token}"}
    connection.request("GET", f"/events/{opened.name}", headers=cookie)
    stream = connection.getresponse()

    def hear():
        while not (line := stream.fp.readline()).startswith(b"data:"):
            assert line
        return json.loads(line[5:])

    assert hear() == {"kind": "hello", "version": opened.project.version}
    client.post(f"/api/p/{opened.name}/labels", make_body(opened.project.version))
    told = hear()
    assert (told["kind"], told["tab"], told["frames"]) == ("labels", "one", [1])
    Project.load(opened.path).set_points("film", 2, {"snout": (1, 1)}, individual="bob")
    opened.look()
    assert hear()["kind"] == "labels"
    connection.close()


def test_frames_are_those_of_the_decoder(client, opened, film):
    with Video(film) as video:
        for index in (0, 29, 7, 6, 5, 28, 12, 13):
            _, headers, data = client.ask("GET", f"/frame/{opened.name}/film/{index}?exact=1")
            shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(shown[..., ::-1], video[index])
            _, headers, data = client.ask("GET", f"/frame/{opened.name}/film/{index}?height=24")
            shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert shown.shape == (24, 32, 3) and "max-age" in headers["cache-control"]
            assert abs(shown.mean() - video[index].mean()) < 2


def test_while_dragging_only_the_newest_frame_is_decoded(opened):
    from mapose.app.frames import SupersededError

    reader, outcomes = opened.get_reader("film"), []
    reader.get(0)
    with reader._changed:  # the decoder waits until all have asked
        threads = []
        for index in range(1, 8):

            def ask(index=index):
                try:
                    outcomes.append((index, reader.get(index, 20, scrub="me")))
                except SupersededError:
                    outcomes.append((index, None))

            threads.append(threading.Thread(target=ask))
            threads[-1].start()
        time.sleep(0.1)
    for thread in threads:
        thread.join(10)
    assert len(outcomes) == 7 and sum(picture is not None for _, picture in outcomes) >= 1


def test_a_killed_server_has_kept_all_that_it_acknowledged(mice):
    """Killed in the middle of changes; afterwards undo reaches the first one."""
    pytest.importorskip("uvicorn")
    from tests.app.conftest import Client

    code = (
        "import sys; from mapose.app.serving import serve; "
        "serve(sys.argv[1], roots=[sys.argv[2]], on_start=lambda a: print(a, flush=True))"
    )
    words = [sys.executable, "-c", code, str(mice.path), str(mice.path.parent)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(mice.path.parent / "settings")}
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    address = server.stdout.readline().strip()
    port, token = int(address.split(":")[2].split("/")[0]), address.split("token=")[1].split("#")[0]
    client, opened = Client(port, token), address.split("/p/")[1]
    begun = version = client.get(f"/api/p/{opened}/labels")[1]["version"]
    killer = threading.Timer(0.4, lambda: server.send_signal(signal.SIGKILL))
    killer.start()
    kept = {}
    while True:
        spot = ("ann", ("snout", "earL", "earR")[version % 3])
        mark = [version % 60, version % 40, "visible", "person"]
        try:
            status, told = client.post(f"/api/p/{opened}/labels", make_body(version, spot, mark))
        except (OSError, http.client.HTTPException, ValueError):
            break
        assert status == 200
        kept[spot], version = mark, told["version"]
    server.communicate(timeout=10)
    project = Project.load(mice.path)
    assert version > begun and project.version in (version, version + 1)
    if project.version > version:  # the last one was on the disk, but not acknowledged any more
        project = project.undo()
    found = project.read_state().marks["film", "frame000001.png"]
    assert found == {spot: tuple(mark) for spot, mark in kept.items()}
    for _ in range(version - begun):
        project = project.undo()
    assert project.read_state().marks == {}


def test_a_video_named_like_a_path_is_found_by_name(client, opened):
    assert client.get(f"/api/p/{opened.name}/video/{quote('film')}")[1]["frames"] == 30
    assert client.ask("GET", f"/api/p/{opened.name}/video/{quote('../film')}")[0] in (400, 404)


def test_figures_are_listed_and_shown_and_nothing_else(client, workspace, opened):
    folder = opened.path / "models" / "small-1"
    (folder / "evaluation").mkdir(parents=True)
    (folder / "model.yaml").write_text("skeleton: {keypoints: [a]}\nindividuals: 1\n")
    (folder / "evaluation" / "errors.png").write_bytes(b"a picture")
    groups = client.get(f"/api/p/{opened.name}/figures")[1]["groups"]
    assert [(g["name"], [f["name"] for f in g["figures"]]) for g in groups] == [
        ("small-1", ["evaluation/errors"])
    ]
    status, headers, data = client.ask("GET", f"/figure/{groups[0]['figures'][0]['id']}")
    assert (status, headers["content-type"], data) == (200, "image/png", b"a picture")
    other = workspace.register(opened.path / "mapose.yaml")
    assert client.ask("GET", f"/figure/{other}")[0] == 404


def test_a_frame_that_was_evaluated_is_opened_where_it_is_labelled(client, opened):
    """The worst frames of an evaluation name the labelled frame that they show."""
    folder = opened.path / "models" / "small-1"
    (folder / "evaluation" / "frames").mkdir(parents=True)
    (folder / "model.yaml").write_text("skeleton: {keypoints: [a]}\nindividuals: 1\n")
    for name in ("test-001-film-frame000002", "test-002-film-frame000099"):
        (folder / "evaluation" / "frames" / f"{name}.png").write_bytes(b"a picture")
    groups = client.get(f"/api/p/{opened.name}/figures")[1]["groups"]
    frames = [figure["frame"] for figure in groups[0]["figures"]]
    assert frames == [["film", "frame000002.png"], None]


def test_tables_follow_in_a_pause_and_with_the_end_of_the_app(client, workspace, opened):
    """Of many changes one after the other the table is written once."""
    table = opened.path / "labels/film/labels.csv"
    version = opened.project.version
    before = table.read_text(encoding="utf-8")
    for x in (3, 4, 5):
        mark = (x, 4, "visible", "person")
        body = make_body(version, mark=mark)
        version = client.post(f"/api/p/{opened.name}/labels", body)[1]["version"]
    assert table.read_text(encoding="utf-8") == before
    workspace.close()
    assert "5.000,4.000" in table.read_text(encoding="utf-8")
