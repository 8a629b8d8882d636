"""Who is not let in, and what is not shown: refused, told, and nothing changed."""

import json
import logging
import socket

import pytest

from mapose.app.guard import LARGEST


def digest(folder):
    """All files of a folder with what is in them."""
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def opened(workspace, mice):
    return workspace.open_project(mice.path)


def make_body(opened, **other):
    mark = [["ann", "snout", [3, 4, "visible", "person"]]]
    body = {
        "tab": "t",
        "version": opened.project.version,
        "video": "film",
        "frame": 1,
        "marks": mark,
    }
    return {**body, **other}


def test_the_link_lets_in_once_and_leaves_no_token_in_the_address(client):
    status, headers, _ = client.ask("GET", f"/?token={client.token}", Cookie=None)
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    status, headers, _ = client.ask("GET", "/")
    assert status == 200 and "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"Cookie": None}),
        (403, {"Cookie": "mapose-PORT=wrong"}),
        (403, {"Cookie": "mapose-PORT="}),
        (421, {"Host": "evil.example"}),
        (421, {"Host": "127.0.0.1"}),
        (421, {"Host": "127.0.0.1:1"}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": None}),
        (403, {"Origin": "null"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
        (415, {"Content-Type": "text/plain"}),
        (415, {"Content-Type": None}),
        (413, {"Content-Length": str(LARGEST + 1)}),
    ],
)
def test_strangers_change_nothing(client, opened, caplog, status, headers):
    headers = {
        name.replace("-", "_"): value and value.replace("PORT", str(client.port))
        for name, value in headers.items()
    }
    body, before = make_body(opened), digest(opened.path)
    with caplog.at_level(logging.WARNING):
        found, _, told = client.ask("POST", f"/api/p/{opened.name}/labels", body, **headers)
    assert found == status and json.loads(told)["error"]
    assert digest(opened.path) == before
    assert "refused: POST" in caplog.text
    assert client.token not in caplog.text


def test_a_wrong_token_opens_nothing(client, caplog):
    assert client.ask("GET", "/?token=wrong", Cookie=None)[0] == 403
    assert client.ask("GET", "/api/home", Cookie=None)[0] == 403
    assert client.ask("GET", "/page/main.js", Cookie=None)[0] == 403
    assert caplog.text.count("refused") == 3


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page//etc/passwd",
        "/still/PROJECT/film/..%2f..%2f..%2fmapose.yaml",
        "/still/PROJECT/..%2f..%2f/secret.png",
        "/still/PROJECT/../secret.png",
        "/frame/PROJECT/..%2fsecret/0",
        "/frame/PROJECT/film/-1",
        "/frame/PROJECT/film/99999999999999999999",
        "/frame/PROJECT/film/1?height=1e9",
        "/api/folder/..%2f..%2fetc",
        "/api/folder/%2fetc",
        "/api/video/%2fetc%2fpasswd",
        "/api/p/PROJECT/jobs/..%2f..",
        "/api/p/PROJECT/curve/..%2f..",
        "/api/p/nobody",
        "/events/nobody",
        "/%00",
    ],
)
def test_paths_lead_nowhere(client, opened, tmp_path, path):
    (tmp_path / "secret.png").write_bytes(b"a secret")
    before = digest(tmp_path)
    status, _, body = client.ask("GET", path.replace("PROJECT", opened.name))
    assert status in (400, 403, 404, 422) and b"secret" not in body.replace(b"secret.png", b"")
    assert digest(tmp_path) == before


def test_links_that_lead_outside_are_refused(workspace, client, mice, tmp_path_factory, caplog):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "private.png").write_bytes((mice.path / "labels/film/frame000001.png").read_bytes())
    (outside / "film.mp4").write_bytes((mice.path.parent / "film.mp4").read_bytes())
    opened = workspace.open_project(mice.path)
    (mice.path / "labels/film/out.png").symlink_to(outside / "private.png")
    (mice.path.parent / "elsewhere").symlink_to(outside)
    (mice.path.parent / "film.mp4").unlink()
    (mice.path.parent / "film.mp4").symlink_to(outside / "film.mp4")
    assert client.ask("GET", f"/still/{opened.name}/film/out.png")[0] == 403
    assert client.ask("GET", f"/frame/{opened.name}/film/1")[0] == 403
    place = workspace.register(mice.path.parent)
    names = [e["name"] for e in client.get(f"/api/folder/{place}")[1]["entries"]]
    assert "elsewhere" not in names and "film.mp4" not in names and "mice" in names
    assert client.post(f"/api/p/{opened.name}/jobs", {"request": {"kind": "extract"}})[0] == 403
    assert "outside the folders" in caplog.text and not (mice.path / "jobs").exists()


def test_a_folder_that_becomes_a_link_is_not_followed(
    workspace, client, tmp_path, tmp_path_factory
):
    (tmp_path / "inner").mkdir()
    place = workspace.register(tmp_path / "inner")
    (tmp_path / "inner").rmdir()
    (tmp_path / "inner").symlink_to(tmp_path_factory.mktemp("other"))
    assert client.get(f"/api/folder/{place}")[0] == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"' + b"x" * 1000,
        b"[" * 100_000,
        {"tab": "t"},
        {"marks": []},
        {"marks": [["ann", "snout", [1, 2, "visible"]]]},
        {"marks": [["ann", "snout", ["1", 2, "visible", "person"]]]},
        {"marks": [["ann", "snout", [1, 2, "hidden", "person"]]]},
        {"marks": [["ann", "tail", [1, 2, "visible", "person"]]]},
        {"marks": [["eve", "snout", [1, 2, "visible", "person"]]]},
        {"video": "../film"},
        {"video": "nothing"},
        {"frame": 30},
        {"frame": -1},
        {"frame": 1.5},
        {"version": -1},
        {"version": "1"},
        {"extra": 1},
    ],
)
def test_malformed_requests_change_nothing(client, opened, body):
    before = digest(opened.path)
    given = make_body(opened, **body) if isinstance(body, dict) and body != {"tab": "t"} else body
    status, told = client.post(f"/api/p/{opened.name}/labels", given)
    assert status in (400, 422) and told["error"] and "Traceback" not in told["error"]
    assert digest(opened.path) == before


def test_numbers_that_are_none_are_refused(client, opened):
    text = json.dumps(make_body(opened)).replace("[3, 4,", "[NaN, Infinity,").encode()
    assert client.post(f"/api/p/{opened.name}/labels", text)[0] in (400, 422)
    assert opened.project.read_state().marks == {}


def test_more_than_was_announced_is_cut_off(client, opened):
    """A body in chunks says nothing of its length."""
    with socket.create_connection(("127.0.0.1", client.port), 20) as line:
        head = (
            f"POST /api/p/{opened.name}/labels HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n"
            f"Cookie: mapose-{client.port}={client.token}\r\nOrigin: {client.origin}\r\n"
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        line.sendall(head.encode())
        part = b"10000\r\n" + b" " * 65536 + b"\r\n"
        for _ in range(LARGEST // 65536 + 1):
            line.sendall(part)
        assert line.recv(100).startswith(b"HTTP/1.1 413")


def test_requests_for_jobs_run_nothing_else(client, opened):
    before = digest(opened.path)
    for request in (
        {"kind": "shell", "words": ["rm"]},
        {"kind": "train", "name": "../../x"},
        {"kind": "train", "name": "--set"},
        {"kind": "train", "init": "../other"},
        {"kind": "train", "preset": "/etc/passwd"},
        {"kind": "analyze", "model": "nothing"},
        {"kind": "analyze", "videos": ["/etc/passwd"]},
        {"kind": "refine", "results": ["../x"]},
        {"kind": "extract", "count": 0},
        {"kind": "extract", "words": ["--help"]},
    ):
        status, told = client.post(f"/api/p/{opened.name}/jobs", {"request": request})
        assert status in (400, 403, 404, 422), (request, told)
    assert digest(opened.path) == before


def test_answers_are_sent_at_once():
    """Asyncio turns Nagle's algorithm off for sockets of this protocol only (40 ms a request)."""
    from mapose.app.serving import _listen

    with _listen(0) as opened:
        assert opened.proto == socket.IPPROTO_TCP
