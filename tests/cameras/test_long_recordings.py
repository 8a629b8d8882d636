"""Triangulated a part at a time is triangulated as a whole, dataset for dataset."""

import errno
import io
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import CameraGroup
from mapose import shelf
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.cli import app
from mapose.errors import MaposeError
from mapose.io import load, load_support, save
from mapose.multiview import triangulate
from mapose.results.correcting import add_edit
from mapose.synthetic import make_scene
from tests.results.test_parts import list_hdf5

COUNT = 260


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three views of two mice: noise, gaps, strays, frames left out, one cut short, edits."""
    folder = tmp_path_factory.mktemp("long")
    scene = make_scene(2, COUNT, seed=3, cameras=3)
    scene.cameras.save(folder / "cameras.toml")
    side = scene.cameras["cam2"]
    moved = replace(side, translation=side.translation + [5, 0, 0])
    each = [moved if camera is side else camera for camera in scene.cameras]
    CameraGroup(each, "mm").save(folder / "later.toml")
    rng = np.random.default_rng(0)
    for name in scene.cameras.names:
        truth = scene.truth(name)
        array = truth.array.copy()
        array[..., :2] += rng.normal(0, 1.5, array[..., :2].shape)
        stray = rng.random(array.shape[:3]) < 0.03
        array[stray, :2] += rng.normal(0, 60, (stray.sum(), 2))
        array[..., 2] = rng.uniform(0.3, 1, array.shape[:3])
        array[rng.random(array.shape[:3]) < 0.08] = array[40:60, 0] = array[90:98, 1, 2] = np.nan
        kept = np.flatnonzero(rng.random(COUNT) > (0.05 if name == "cam1" else 0))
        kept = kept[:200] if name == "cam1" else kept
        covariance = np.eye(2) * rng.uniform(0.5, 3, (*array.shape[:3], 1, 1))
        identity = rng.uniform(0.7, 1, array.shape[:2])
        poses = replace(
            truth, array=array[kept], frames=kept, identity=identity[kept], individuals=["a", "b"]
        )
        save(poses, folder / f"{name}.mapose.h5", provenance={"source": f"{name}.mp4"})
        poses = replace(poses, covariance=covariance[kept], identity=None)
        save(poses, folder / f"{name}.exact.mapose.h5")
    add_edit(folder / "top.mapose.h5", ("a", "b"), frame=100)
    add_edit(folder / "top.mapose.h5", ("a",), frame=50, kind="move", keypoint="nose", place=(3, 4))
    return folder


def cut_short(monkeypatch, part):
    """Go through recordings so many frames at a time, with what waits in files."""
    monkeypatch.setattr("mapose.multiview.footage._PART", part)
    monkeypatch.setattr("mapose.multiview.footage._SHORT", 0)
    monkeypatch.setattr("mapose.shelf._MOST", 0)
    monkeypatch.setattr("mapose.results.windows._SHORT", part)


VIEWS = "top={0}/top.mapose.h5 cam1={0}/cam1.mapose.h5 cam2={0}/cam2.mapose.h5"
EXACT = VIEWS.replace(".mapose", ".exact.mapose")
COMMANDS = {
    "smooth": f"{VIEWS} --trust-names",
    "plain": f"{VIEWS} --trust-names --no-smooth",
    "with covariances": f"{EXACT} --trust-names --max-gap 30 --rate 25",
    "rigid, common frames": f"{EXACT} --trust-names --rigid --cut",
    "a camera moved": f"{EXACT} --trust-names --then 130={{0}}/later.toml",
    "matched": VIEWS,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_parts_give_what_the_whole_gives(folder, tmp_path, monkeypatch, command):
    monkeypatch.setattr("mapose.smoothing._WINDOW", 50)  # several windows in either case
    # In either case learned, and told, from every so many frames, counted on from part to part.
    monkeypatch.setattr("mapose.multiview.reconstruction.drafting.SAMPLE", 50)
    monkeypatch.setattr("mapose.multiview.reconstruction.account._TOLD", 60)
    made = []
    for name, part in (("whole", 10_000), ("parts", 33)):
        if name == "parts":
            cut_short(monkeypatch, part)
        place = tmp_path / name
        place.mkdir()
        words = f"triangulate {COMMANDS[command]} --calibration {{0}}/cameras.toml -o {{1}}/a"
        words = f"{words}.mapose.h5".format(folder, place).split()
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        files = sorted(path for path in place.rglob("*") if path.is_file())
        assert len(files) == 4
        said = done.stdout.replace(str(place), "")
        made.append((said, [path.name for path in files], [list_hdf5(path) for path in files]))
    assert made[0] == made[1]


def test_what_was_written_is_what_comes_of_the_poses(folder, tmp_path, monkeypatch):
    cut_short(monkeypatch, 33)
    names = ("top", "cam1", "cam2")
    files = {name: folder / f"{name}.exact.mapose.h5" for name in names}
    output = tmp_path / "a.mapose.h5"
    options = ViewOptions(match=False)
    found = triangulate_files(files, folder / "cameras.toml", output=output, views=options)
    assert not [p for p in tmp_path.iterdir() if p.name not in ("a.mapose.h5", "a.views")]
    whole = triangulate(
        {name: load(file) for name, file in files.items()},
        CameraGroup.load(folder / "cameras.toml"),
        match=False,
    )
    for name in ("array", "covariance", "frames"):
        np.testing.assert_array_equal(getattr(found.poses, name), getattr(whole.poses, name))
    for name in ("error", "n_views", "filled"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
        np.testing.assert_array_equal(getattr(found, name), load_support(output)[name])
    for name, view in whole.views.items():
        np.testing.assert_array_equal(found.views[name].array, view.array)
    assert str(found) == str(whole)


def test_a_disk_that_fills_up_while_points_wait_is_told_of(folder, tmp_path, monkeypatch):
    cut_short(monkeypatch, 33)

    class Full(io.BytesIO):
        def write(self, values):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelf.tempfile, "TemporaryFile", lambda dir: Full())
    files = {name: folder / f"{name}.mapose.h5" for name in ("top", "cam1")}
    output = tmp_path / "a.mapose.h5"
    with pytest.raises(MaposeError, match="full"):
        triangulate_files(
            files, folder / "cameras.toml", output=output, views=ViewOptions(match=False)
        )
    assert not list(tmp_path.iterdir())
