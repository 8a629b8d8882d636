"""Every command opens each of its inputs once, and reads the arrays in it once."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import mapose.io
from mapose.cli import app
from mapose.doubts import Doubt
from mapose.io import VideoWriter
from mapose.results.correcting import add_edit
from mapose.synthetic import Flaws, degrade, make_scene
from mapose.tracking import track
from tests.recognition.test_learning import film

CAMERAS = ("top", "side")
_watched: list[Counter[str]] = []


def _hear(event: str, arguments: tuple) -> None:
    if event != "open" or not _watched or not isinstance(arguments[0], str):
        return
    if arguments[1] is None or not set("wax+") & set(arguments[1]):
        _watched[-1][arguments[0]] += 1


sys.addaudithook(_hear)  # it cannot be taken away again: it hears only while something is watched


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corrected result with its video; 2D poses of two cameras, and a session in 3D."""
    folder = tmp_path_factory.mktemp("once")
    images, poses = film(["Anna", "Bea"], 150, seed=0)
    with VideoWriter(folder / "monday.mp4", 25) as writer:
        for image in images:
            writer.write(image)
    sure = np.full((150, 2), 0.9, np.float32)
    result = folder / "monday.mapose.h5"
    doubts = [Doubt(60, 70, ("track0", "track1"), 0.2), Doubt(100, 110, ("track0", "track1"), 0.1)]
    mapose.io.save(
        replace(poses, identity=sure), result, provenance={"source": "monday.mp4"}, doubts=doubts
    )
    add_edit(result, ["track0", "track1"], frame=65, kind="keep")
    mapose.io.save(poses, folder / "truth.mapose.h5")
    scene = make_scene(2, 40, seed=3, cameras=3)
    scene.cameras.save(folder / "calibration.toml")
    rng = np.random.default_rng(0)
    for name in scene.cameras.names:
        found = degrade(scene.truth(name), rng, flaws=Flaws(jitter=1.0, merged=0.0))
        mapose.io.save(track(found, individuals=2), folder / f"{name}.mapose.h5")
    views = [f"{name}={folder / name}.mapose.h5" for name in scene.cameras.names]
    run("triangulate", *views, "--calibration", folder / "calibration.toml", "-o",
        folder / "session.mapose.h5")  # fmt: skip
    return folder, views


def run(*words):
    done = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.fixture
def watch(monkeypatch):
    """Count, while a call runs, how often files are opened and how much of each array is read."""

    def count(call):
        opened, arrays = Counter(), Counter()
        real_open, real_read = h5py.File.__init__, h5py.Dataset.__getitem__

        def open_file(self, name, mode="r", *args, **more):
            if mode == "r":
                opened[str(name)] += 1
            real_open(self, name, mode, *args, **more)

        def read_part(self, args, *more, **options):
            values = real_read(self, args, *more, **options)
            if self.size and self.name in ("/poses/array", "/poses/identity", "/support/error"):
                arrays[self.file.filename, self.name] += np.size(values) / self.size
            return values

        with monkeypatch.context() as patch:
            patch.setattr(h5py.File, "__init__", open_file)
            patch.setattr(h5py.Dataset, "__getitem__", read_part)
            _watched.append(opened)
            try:
                call()
            finally:
                _watched.pop()
        return opened, arrays

    return count


def test_the_watch_sees_what_is_read_twice(place, watch):
    path = str(place[0] / "monday.mapose.h5")

    def twice():
        mapose.load(path)
        mapose.load(path)

    opened, arrays = watch(twice)
    assert opened[path] == 2 and opened[path.replace(".mapose.h5", ".edits.csv")] == 2
    assert arrays[path, "/poses/array"] == 2


COMMANDS = {
    "swap": "swap {monday} --frame 105 track0 track1",
    "swaps": "swaps {monday} --pictures {out}/pictures",
    "plot": "plot {monday} -o {out}/plots",
    "plot in 3D": "plot {session} -o {out}/plots",
    "render": "render {folder}/monday.mp4 {monday} -o {out}/monday.labelled.mp4",
    "render in 3D": "render {folder}/monday.mp4 {session} --camera top -o {out}/top.mp4 --stop 5",
    "render views": "render top={folder}/monday.mp4 {session} -o {out}/all.mp4 --stop 5",
    "info": "info {monday}",
    "filter": "filter {monday} -o {out}/monday.filtered.mapose.h5",
    "filter in 3D": "filter {session} --method median -o {out}/session.filtered.mapose.h5",
    "export": "export {monday} --to slp -o {out}/monday.slp",
    "export in 3D": "export {session} --to nwb -o {out}/session.nwb",
    "metrics": "metrics {folder}/truth.mapose.h5 {monday}",
    "track": "track {monday} -o {out}/again.mapose.h5 --appearance --animals 2",
    "triangulate": "triangulate {views} --calibration {toml} -o {out}/s.mapose.h5",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_input_is_opened_once_and_its_arrays_read_once(
    place, watch, tmp_path, monkeypatch, command
):
    folder, views = place
    monkeypatch.setattr("mapose.recognition.learning.STEPS", 10)
    words = COMMANDS[command].format(
        monday=folder / "monday.mapose.h5",
        session=folder / "session.mapose.h5",
        folder=folder,
        toml=folder / "calibration.toml",
        views=" ".join(views),
        out=tmp_path,
    )
    inputs = {str(Path(w.split("=")[-1])) for w in words.split()[1:]}
    edits = {w.replace(".mapose.h5", ".edits.csv") for w in inputs}
    opened, arrays = watch(lambda: run(*words.split()))
    read = {p: n for p, n in opened.items() if p in inputs | edits and not p.endswith(".mp4")}
    assert read and set(read.values()) == {1}, opened
    assert arrays and all(share <= 1 for share in arrays.values()), arrays
