"""Several processes train the model that one would have trained."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import mapose
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import VideoWriter
from mapose.labels import Labels
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.synthetic import make_cameras, make_scene
from mapose.training.team import Team, is_assistant, was_restarted

QUICK = ["network.widths=[8,8,8]", "network.depths=[0,0,0]", "train.steps=4", "train.batch=4",
         "train.view=64", "train.mixed=false", "train.identity=false"]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("team")
    scene = make_scene(1, 8, seed=2, cameras=make_cameras(1, size=(96, 64)))
    name = scene.cameras.names[0]
    with VideoWriter(folder / "v.mp4", scene.rate) as writer:
        for image in scene.draw_frames(name):
            writer.write(image)
    labels = Labels(
        scene.truth(name, occluded=False).points,
        scene.skeleton,
        videos=("v",) * 8,
        frames=np.arange(8),
        images=(None,) * 8,
        individuals=scene.individuals,
        sources={"v": folder / "v.mp4"},
    )
    made = Project.create(folder / "p", scene.skeleton, individuals=1)
    import_labels(made, labels)
    return made.path


def name_team(monkeypatch, rank):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    names = {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    names["MASTER_PORT"] = str(port)
    for key, value in names.items():
        monkeypatch.setenv(key, value)
    return {**os.environ, "RANK": "1"}


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_two_processes_end_with_the_weights_of_one(project, monkeypatch):
    alone = mapose.train(project, "one", preset="small", overrides=QUICK)
    environment = name_team(monkeypatch, 0)
    settings = [word for text in QUICK for word in ("--set", text)]
    words = ["train", str(project), "--name", "two", "--preset", "small", *settings]
    with subprocess.Popen(
        [sys.executable, "-m", "mapose", *words], env=environment, stdout=subprocess.PIPE
    ) as other:
        both = mapose.train(project, "two", preset="small", overrides=QUICK)
        assert other.wait(60) == 0 and other.stdout.read() == b""
    first, second = alone.network.state_dict(), both.network.state_dict()
    for name, value in first.items():
        np.testing.assert_allclose(value, second[name], atol=1e-5, err_msg=name)
    assert sorted(p.name for p in (project / "models" / "two").iterdir()) == sorted(
        p.name for p in (project / "models" / "one").iterdir()
    )


def test_what_a_team_cannot_do_is_told(project, monkeypatch):
    with pytest.raises(SettingsError, match="multiple of the 3 processes"):
        Team(size=3).split(8)
    assert not is_assistant() and not was_restarted()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("RANK", "1")
    assert was_restarted() and not is_assistant()
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert is_assistant()
    folds = CliRunner().invoke(app, ["train", str(project), "--folds", "2"])
    assert "train one model" in str(folds.exception)
