"""A server that listens, a small project in it, and somebody who asks."""

import http.client
import json
import socket
import threading
import time
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest

from mapose.doubts import Doubt
from mapose.io import VideoWriter
from mapose.poses import Poses
from mapose.project.project import Project
from mapose.results.result import save
from mapose.skeleton import Skeleton

TOKEN = "a-token-of-tests"


@dataclass
class Client:
    """Asks as the page does; whatever is given in words instead is sent."""

    port: int
    token: str = TOKEN

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        given = {"Host": f"127.0.0.1:{self.port}", "Cookie": f"mapose-{self.port}={self.token}"}
        if method == "POST":
            given |= {"Origin": self.origin, "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {k: v for k, v in given.items() if v is not None}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):  # also of a server that was killed meanwhile
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def get(self, path):
        status, _, body = self.ask("GET", path)
        return status, json.loads(body)

    def post(self, path, body):
        status, _, answer = self.ask("POST", path, body)
        return status, json.loads(answer)


@pytest.fixture
def film(tmp_path):
    """A video of 30 frames, each of its own grey level."""
    path = tmp_path / "film.mp4"
    with VideoWriter(path, 25) as writer:
        for i in range(30):
            writer.write(np.full((48, 64), 8 * i, np.uint8))
    return path


@pytest.fixture
def mice(tmp_path, film):
    """Two mice with three keypoints; frames 1 and 2 are to be labelled."""
    skeleton = Skeleton(["snout", "earL", "earR"], [("snout", "earL")])
    project = Project.create(tmp_path / "mice", skeleton, individuals=["ann", "bob"], videos=[film])
    return project.add_frames("film", [1, 2])


@pytest.fixture
def walk(mice):
    """Two animals that pass each other in frame 15, in the video of the project."""
    t = np.arange(30)
    array = np.ones((30, 2, 3, 3), np.float32)
    for who, sign in enumerate((1, -1)):
        array[:, who, :, 0] = (32 + sign * (t - 15))[:, None] + [0, 2, 4]
        array[:, who, :, 1] = 24 + 2 * sign
    identity = np.full((30, 2), 0.9, np.float32)
    skeleton = Skeleton(["snout", "earL", "earR"], [("snout", "earL")])
    poses = Poses(array, skeleton, ["ann", "bob"], 25, identity=identity)
    path = mice.path / "results" / "film.mapose.h5"
    save(poses, path, doubts=[Doubt(13, 17, ("ann", "bob"), 0.4)])
    return path


@pytest.fixture
def workspace(tmp_path):
    pytest.importorskip("starlette")
    from mapose.app.workspace import Workspace

    found = Workspace([tmp_path], recent=tmp_path / "settings" / "recent.json")
    yield found
    found.close()


@pytest.fixture
def client(workspace):
    """Somebody who has been let in, at a server of its own."""
    uvicorn = pytest.importorskip("uvicorn")
    from mapose.app.server import make_app

    opened = socket.socket()
    opened.bind(("127.0.0.1", 0))
    port = opened.getsockname()[1]
    app = make_app(workspace, token=TOKEN, hosts=[f"127.0.0.1:{port}", f"localhost:{port}"])
    config = uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([opened],), daemon=True)
    thread.start()
    stop = threading.Event()
    threading.Thread(target=workspace.watch, args=(stop, 0.2), daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    yield Client(port)
    stop.set()
    workspace.events.end()
    server.should_exit = True
    thread.join(10)
    opened.close()
