"""Kill the app at random moments of labelling and proofreading: nothing acknowledged may be lost.

``python tests/benchmarks/kill_app.py --times 50``: each time a server is started on the same
project, changes labels and corrects names as fast as it can, and is killed after 0 to 1 second.
After each all acknowledged changes have to be there; in the end undo has to reach the first one.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mapose.edits import find_edits_path, load_edits
from mapose.io import VideoWriter
from mapose.poses import Poses
from mapose.project.project import Project
from mapose.results.result import save
from mapose.skeleton import Skeleton
from tests.app.conftest import Client

CODE = (
    "import sys; from mapose.app.serving import serve; "
    "serve(sys.argv[1], roots=[sys.argv[2]], on_start=lambda a: print(a, flush=True))"
)
KEYPOINTS = ("snout", "earL", "earR")
EDITS: tuple[dict[str, Any], ...] = (
    {"kind": "swap", "individuals": ["ann", "bob"]},
    {"kind": "move", "individuals": ["ann"], "keypoint": "snout", "place": [7, 9]},
    {"kind": "delete", "individuals": ["bob"], "keypoint": "earL"},
)


def make_project(folder: Path) -> Project:
    with VideoWriter(folder / "film.mp4", 25) as writer:
        for i in range(30):
            writer.write(np.full((48, 64), 8 * i, np.uint8))
    project = Project.create(
        folder / "mice", Skeleton(KEYPOINTS), individuals=["ann", "bob"],
        videos=[folder / "film.mp4"],
    )  # fmt: skip
    t = np.arange(30)
    array = np.ones((30, 2, 3, 3), np.float32)
    for who, sign in enumerate((1, -1)):
        array[:, who, :, 0] = (32 + sign * (t - 15))[:, None] + [0, 2, 4]
        array[:, who, :, 1] = 24 + 2 * sign
    poses = Poses(array, project.skeleton, ["ann", "bob"], 25)
    save(poses, project.path / "results" / "film.mapose.h5")
    return project.add_frames("film", [1])


class Truth:
    """What was acknowledged: marks, and how many corrections."""

    def __init__(self, project: Project) -> None:
        self.marks: dict = {}
        self.edits = 0
        self.pending: tuple = ()
        self.version = project.version


def work(client: Client, opened: str, truth: Truth, rng: random.Random) -> None:
    """Change labels and names until the server is gone."""
    status, overview = client.get(f"/api/p/{opened}")
    place = overview["results"][0]["place"]
    while True:
        if rng.random() < 0.7:
            spot = rng.choice(("ann", "bob")), rng.choice(KEYPOINTS)
            mark = [rng.randrange(64), rng.randrange(48), "visible", "person"]
            truth.pending = ("mark", spot, mark)
            body = {"tab": "t", "version": truth.version, "video": "film", "frame": 1}
            status, told = client.post(
                f"/api/p/{opened}/labels", {**body, "marks": [[*spot, mark]]}
            )
            assert status == 200, told
            truth.marks[spot], truth.version = tuple(mark), told["version"]
        else:
            version = client.get(f"/api/r/{place}")[1]["version"]
            undo = truth.edits and rng.random() < 0.3
            truth.pending = ("undo",) if undo else ("edit",)
            body = {"tab": "t", "version": version}
            if undo:
                status, told = client.post(f"/api/r/{place}/undo", body)
            else:
                body |= {"frame": rng.randrange(3, 27), **rng.choice(EDITS)}
                status, told = client.post(f"/api/r/{place}/edit", body)
            assert status == 200, told
            truth.edits += -1 if undo else 1
        truth.pending = ()


def check(project: Project, truth: Truth) -> None:
    """Hold the disk against what was acknowledged; what was on its way may be there, too."""
    project = Project.load(project.path)
    found = project.read_state().marks.get(("film", "frame000001.png"), {})
    if truth.pending[:1] == ("mark",):
        _, spot, mark = truth.pending
        if found.get(spot) == tuple(mark):
            truth.marks[spot] = tuple(mark)
    assert found == truth.marks, (found, truth.marks)
    truth.version = project.version
    edits = len(load_edits(find_edits_path(project.path / "results" / "film.mapose.h5")))
    way = {"edit": 1, "undo": -1}.get(truth.pending[0], 0) if truth.pending else 0
    assert edits in (truth.edits, truth.edits + way), (edits, truth.edits, truth.pending)
    truth.edits, truth.pending = edits, ()
    debris = list(project.path.rglob("*.tmp*"))
    for line in (project.path / "labels" / "journal.jsonl").read_bytes().splitlines():
        json.loads(line) if line.endswith(b"}") else None
    assert len(debris) < 3, debris


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder)
        begun, truth = project.version, Truth(project)
        environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "settings")}
        for number in range(given.times):
            server = subprocess.Popen(
                [sys.executable, "-c", CODE, str(project.path), str(folder)],
                stdout=subprocess.PIPE, text=True, env=environment,
            )  # fmt: skip
            address = server.stdout.readline().strip()
            port, rest = address.split(":")[2].split("/", 1)
            client = Client(int(port), rest.split("token=")[1].split("#")[0])
            client.get("/api/home")
            threading.Timer(
                0.2 + rng.random(), lambda s=server: s.send_signal(signal.SIGKILL)
            ).start()
            # Until the server is gone.
            with suppress(OSError, http.client.HTTPException, ValueError):
                work(client, address.split("/p/")[1], truth, rng)
            server.communicate(timeout=20)
            check(project, truth)
            print(f"{number + 1}: {truth.version} changes, {truth.edits} corrections", flush=True)
        project = Project.load(project.path)
        for _ in range(project.version - begun):
            project = project.undo()
        assert project.read_state().marks == {}
    print(f"{given.times} kills: nothing that was acknowledged is lost, undo reaches the first")


if __name__ == "__main__":
    main()
