"""The commands as a user types them; the long ones run in `test_demo` and the notebook."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import mapose
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import load, save
from mapose.poses import Poses
from mapose.project.project import Project
from mapose.skeleton import Skeleton


def list_commands():
    """List the words of every command there is, those in groups too."""

    def walk(command, words):
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(words)
        for name in inner or ():
            yield from walk(inner[name], [*words, name])

    return sorted(walk(get_command(app), []))


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def file(tmp_path):
    """Two animals that walk side by side for 60 frames."""
    t = np.arange(60, dtype=np.float32)
    array = np.ones((60, 2, 3, 3), np.float32)
    array[..., 0] = 20 + t[:, None, None] + [0, 10, 20]
    array[..., 1] = np.array([[30], [80]]) + [0, 5, 0]
    poses = Poses(array, Skeleton(["a", "b", "c"], [("a", "b")]), ["x", "y"], rate=30)
    save(poses, tmp_path / "walk.mapose.h5")
    return tmp_path / "walk.mapose.h5"


@pytest.mark.parametrize("command", list_commands())
def test_every_help_shows_an_example(command):
    assert f"Example: mapose {command}" in " ".join(run(*command.split(), "--help").split())


def test_new_makes_a_project(tmp_path):
    run("new", tmp_path / "mice", "--keypoints", "snout,earL,earR", "--edges", "snout-earL",
        "--individuals", "2")  # fmt: skip
    project = Project.load(tmp_path / "mice")
    assert project.skeleton == Skeleton(
        ["snout", "earL", "earR"], [("snout", "earL")], [("earL", "earR")]
    )
    assert project.count == 2


def test_metrics_of_a_file_with_itself_are_perfect(file):
    found = json.loads(run("metrics", file, file, "--json"))
    assert found["mean"] == 0 and found["idf1"] == 1 and found["switches"] == 0
    assert found["map"] == pytest.approx(1)
    assert "IDF1" in run("metrics", file, file)


def test_track_names_unordered_poses(file, tmp_path):
    poses = load(file)
    array = poses.array.copy()
    array[::2] = array[::2, ::-1]
    save(Poses(array, poses.skeleton, rate=30), tmp_path / "mixed.mapose.h5")
    run("track", tmp_path / "mixed.mapose.h5", "--individuals", "2")
    tracked = load(tmp_path / "mixed.tracked.mapose.h5")
    assert tracked.individuals == ("track0", "track1")
    assert (np.ptp(tracked.points[:, :, 0, 1], axis=0) == 0).all()


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("dlc-h5", "walk.h5"),
        ("dlc-csv", "walk.dlc.csv"),
        ("csv", "walk.csv"),
        ("movement", "walk.nc"),
    ],
)
def test_exports_read_back(file, tmp_path, format, name):
    from mapose.io import read

    run("export", file, "--to", format)
    again = read(tmp_path / name)
    np.testing.assert_allclose(again.array, load(file).array, atol=1e-3)
    assert again.names == ("x", "y")


def test_export_to_coco_lies_beside_the_file(file, tmp_path):
    run("export", file, "--to", "coco")
    document = json.loads((tmp_path / "walk.json").read_text(encoding="utf-8"))
    assert len(document["images"]) == 60 and len(document["annotations"]) == 120
    assert document["images"][7]["file_name"].startswith("walk/")


def test_several_files_tracked_into_one_are_refused(file, tmp_path):
    words = ["track", str(file), str(file), "-o", str(tmp_path / "one.mapose.h5")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, SettingsError)
    assert not (tmp_path / "one.mapose.h5").exists()


def test_version():
    assert run("--version").strip() == f"mapose {mapose.__version__}"


def test_plots_of_tracked_poses_do_not_replace_the_others(file, tmp_path):
    run("track", file)
    run("plot", tmp_path / "walk.tracked.mapose.h5")
    assert (tmp_path / "walk.tracked-plots" / "trajectories.png").exists()


def test_plot_writes_figures(file, tmp_path):
    run("plot", file, "-o", tmp_path / "plots")
    names = {p.name for p in (tmp_path / "plots").glob("*.png")}
    assert names == {"trajectories.png", "positions.png", "confidence.png", "histograms.png"}


def test_doctor_names_versions_and_device():
    found = json.loads(run("doctor", "--quick", "--json"))
    assert found["speed"] is None
    assert found["libraries"]["torch"] and found["device"] and found["faults"] == []


def test_a_deliberate_error_is_one_line(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "mapose.cli", "evaluate", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]  # on a slow machine the first says that it starts
    assert last.startswith("mapose: ") and "mapose new" in last
    assert "Traceback" not in result.stderr
