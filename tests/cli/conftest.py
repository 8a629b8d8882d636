"""A small place in which commands are typed."""

import shutil

import numpy as np
import pytest

from mapose.doubts import Doubt
from mapose.io import VideoWriter, save, write
from mapose.poses import Poses
from mapose.project.importing import import_project
from mapose.skeleton import Skeleton
from mapose.synthetic import make_scene
from tests.untrained import make_untrained

SKELETON = Skeleton(["a", "b"], [("a", "b")])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two dots that walk, a model, a project and two views of a scene."""
    folder = tmp_path_factory.mktemp("made")
    array = np.ones((60, 2, 2, 3), np.float32)
    array[..., 0] = 20 + np.arange(60)[:, None, None] / 2 + [0, 5]
    array[..., 1] = np.array([[20], [40]]) + [0, 5]
    poses = Poses(array, SKELETON, ["x", "y"], rate=30)
    save(poses, folder / "walk.mapose.h5", doubts=[Doubt(25, 35, ("x", "y"), 0.27)])
    for name, frames in (("walk", 60), ("short", 8)):
        with VideoWriter(folder / f"{name}.mp4", 30) as writer:
            for level in range(frames):
                writer.write(np.full((64, 96), level, np.uint8))
    write(poses, folder / "walk.slp", video=folder / "walk.mp4")
    import_project(folder / "mice", folder / "walk.slp", count=4)
    (folder / "trip").mkdir()
    for place in ("model", "mice/models/old", "trip/model"):
        make_untrained(lively=True).save(folder / place)
    text = "model: model\nsteps: [analyze]\n"
    (folder / "trip/session.yaml").write_text(text, encoding="utf-8")
    shutil.copy(folder / "short.mp4", folder / "trip")
    scene = make_scene(1, 20, cameras=2)
    scene.cameras.save(folder / "rig.toml")
    for i, name in enumerate(scene.cameras.names):
        save(scene.truth(name), folder / f"v{i}.mapose.h5")
    return folder


@pytest.fixture
def place(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"
