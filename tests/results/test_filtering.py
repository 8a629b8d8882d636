"""Filtered files are results of their own: what was done is said, what was filled in is marked."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.doubts import Doubt
from mapose.edits import Edit, save_edits
from mapose.errors import SettingsError, ShapeError
from mapose.io import load, load_doubts, load_provenance, load_support, save
from mapose.kinematics import filter_poses, find_filled
from mapose.poses import Poses
from mapose.results import Result, add_edit, filter_file
from mapose.results.rendering import read_view
from mapose.results.windows import Windows
from mapose.skeleton import Skeleton


@pytest.fixture
def file(tmp_path, rng):
    """Two animals that walk side by side; the first one's nose is hidden for three frames."""
    array = np.ones((80, 2, 2, 3), np.float32)
    array[..., 0] = 50 + 2 * np.arange(80)[:, None, None] + [0, 10]
    array[..., 1] = np.array([[100], [200]])
    array[..., :2] += rng.normal(0, 1, (80, 2, 2, 2))
    array[20:23, 0, 0] = np.nan
    poses = Poses(array, Skeleton(["nose", "tail"], [("nose", "tail")]), ["x", "y"], rate=25)
    given = {"source": "walk.mp4", "recording": "0123456789abcdef", "trained_frames": [3]}
    save(poses, tmp_path / "walk.mapose.h5", doubts=[Doubt(50, 60, ("x", "y"), 0.2)],
         provenance=given)  # fmt: skip
    return tmp_path / "walk.mapose.h5"


def test_a_filtered_file_says_what_was_done(file):
    place = filter_file(file, method="median", window=3, max_gap=5)
    assert place.name == "walk.filtered.mapose.h5"
    said = load_provenance(place)
    assert said["filter"] == {"method": "median", "window": 3, "max_gap": 5, "cutoff": 0.0}
    assert (said["source"], said["recording"]) == (file.name, "0123456789abcdef")
    assert said["trained_frames"] == [3] and said["filled"] == 3
    assert np.argwhere(load_support(place)["filled"]).tolist() == [[f, 0, 0] for f in (20, 21, 22)]
    assert [d.frame for d in load_doubts(place)] == [55]
    wanted = filter_poses(load(file), "median", window=3, max_gap=5)
    np.testing.assert_array_equal(load(place).array, wanted.array)
    assert read_view(place).confidence[20:23, 0, 0] == pytest.approx(0.4)  # drawn hollow
    assert Result(place).recording == "0123456789abcdef"


def test_corrected_poses_are_filtered(file):
    save_edits([Edit(0, ("x", "y"), "swap")], file.with_name("walk.edits.csv"))
    place = filter_file(file)
    assert load(place).points[:, 1].mean(axis=(0, 1))[1] == pytest.approx(100, abs=1)
    assert load(place).covariance.shape == (80, 2, 2, 2, 2)


def test_the_command_filters_many_files(file, tmp_path):
    other = tmp_path / "other.mapose.h5"
    save(load(file), other)
    done = CliRunner().invoke(app, ["filter", str(file), str(other), "--method", "savgol"])
    assert done.exit_code == 0, done.output
    assert len(list(tmp_path.glob("*.filtered.mapose.h5"))) == 2
    assert "filterpredictions" in CliRunner().invoke(app, ["filter", "--help"]).output
    fault = CliRunner().invoke(app, ["filter", str(file), str(other), "-o", "x.mapose.h5"])
    assert isinstance(fault.exception, SettingsError)
    fault = CliRunner().invoke(app, ["filter", str(file), "--method", "arima"])
    assert "no method 'arima'" in str(fault.exception)


def test_slots_are_refused(file):
    poses = load(file)
    save(Poses(poses.array, poses.skeleton, rate=25), file)
    with pytest.raises(ShapeError, match="mapose track"):
        filter_file(file)
    assert not file.with_name("walk.filtered.mapose.h5").exists()


@pytest.mark.parametrize("method", ["kalman", "median", "savgol"])
def test_a_long_result_is_filtered_in_parts_as_in_one(tmp_path, rng, monkeypatch, method):
    monkeypatch.setattr("mapose.smoothing._WINDOW", 300)
    monkeypatch.setattr("mapose.results.windows._SHORT", 100)
    steps = np.cumsum(rng.normal(0, 1, (1500, 2, 1, 2)), 0) + [[[100, 50]], [[900, 700]]]
    array = np.ones((1500, 2, 1, 3), np.float32)
    array[..., :2] = steps + rng.normal(0, 1, steps.shape)
    array[rng.random((1500, 2, 1)) < 0.05] = np.nan
    poses = Poses(array, Skeleton(["nose"]), ["x", "y"], rate=25)
    file = tmp_path / "walk.mapose.h5"
    save(poses, file, support={"filled": np.arange(1500)[:, None, None] == [[[7], [8]]]})
    save_edits([Edit(400, ("x", "y"), "swap")], tmp_path / "walk.edits.csv")
    add_edit(file, ["x"], kind="delete", frame=700, last=710)
    lengths = []
    read = Windows.read_rows
    monkeypatch.setattr(
        Windows, "read_rows", lambda self, rows: lengths.append(p := read(self, rows)) or p
    )
    place = filter_file(file, method=method)
    assert max(map(len, lengths)) <= 300 + 2 * 100
    monkeypatch.undo()
    monkeypatch.setattr("mapose.smoothing._WINDOW", 300)
    wanted = filter_poses(Result(file).poses, method)
    np.testing.assert_array_equal(load(place).array, wanted.array)
    filled = find_filled(wanted)
    assert load_provenance(place)["filled"] == filled.sum() > 50
    told = load_support(place)
    np.testing.assert_array_equal(told["filled"], filled | Result(file).support["filled"])
    np.testing.assert_array_equal(told["edited"], Result(file).support["edited"])
