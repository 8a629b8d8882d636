"""NWB: what pynwb and movement find in our files."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from calibration.synthetic import make_ring
from mapose.errors import MissingExtraError
from mapose.io import save, write
from mapose.poses import Poses
from mapose.results.correcting import export_result
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["nose", "ear/L"], [("nose", "ear/L")])


def make_poses(rng: np.random.Generator, names: list[str] | None, d: int, **more) -> Poses:
    array = rng.uniform(0.1, 0.9, (20, len(names or "a"), 2, d + 1)).astype(np.float32)
    array[3, 0, 1] = np.nan
    unit = "px" if d == 2 else "mm"
    identity = rng.random(array.shape[:2]) if names else None
    more = {"rate": 30, "unit": unit, "identity": identity, **more}
    return Poses(array, MOUSE, names, **more)


def test_several_animals_in_space_with_cameras(tmp_path: Path, rng: np.random.Generator) -> None:
    pynwb = pytest.importorskip("pynwb")
    poses = make_poses(rng, ["ann", "bob"], 3)
    filled = rng.random(poses.array.shape[:3]) < 0.3
    group = make_ring(3, seed=1, fisheye=(2,))
    save(poses, tmp_path / "s.mapose.h5", cameras=group.to_toml(), support={"filled": filled})
    export_result(tmp_path / "s.mapose.h5", tmp_path / "s.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "s.nwb"), "r") as reader:
        file = reader.read()
        behaviour = file.processing["behavior"]
        bob = behaviour["bob"]
        assert type(bob).__name__ == "MultiCameraPoseEstimation" and bob.source_software == "mapose"
        ear = bob.pose_estimation_series["ear_L"]
        np.testing.assert_array_equal(ear.data[:], poses.points[:, 1, 1])
        np.testing.assert_array_equal(ear.confidence[:], poses.confidence[:, 1, 1])
        assert ear.unit == "millimeters" and ear.rate == 30 and ear.starting_time == 0
        skeleton = behaviour["Skeletons"]["skeleton"]
        assert list(skeleton.nodes[:]) == list(MOUSE.keypoints)
        assert skeleton.edges[:].tolist() == [[0, 1]]
        np.testing.assert_array_equal(behaviour["bob_filled"].data[:], filled[:, 1])
        np.testing.assert_array_equal(behaviour["ann_identity"].data[:], poses.identity[:, 0])
        for camera in group:
            device = file.devices[camera.name]
            np.testing.assert_allclose(device.rotation_matrix[:], camera.rotation_matrix, atol=1e-6)
            np.testing.assert_allclose(device.distortion_coefficients[:], camera.distortion)
            assert camera.model in device.description
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.mapose.h5", "s.nwb"]


@pytest.mark.parametrize("d", [2, 3])
def test_movement_opens_it(
    tmp_path: Path, rng: np.random.Generator, movement: ModuleType, d: int
) -> None:
    poses = make_poses(rng, ["ann"], d).sel(frames=[0, 1, 2, 3, 7, 9])
    write(poses, tmp_path / "s.nwb")
    theirs = movement.io.load_poses.from_nwb_file(tmp_path / "s.nwb")
    _, _, what, who = theirs.position.dims
    assert list(theirs[who].values) == ["ann"] and theirs.fps == 30
    found = theirs.position.sel({what: ["nose", "ear_L"]}).values[..., 0].transpose(0, 2, 1)
    np.testing.assert_array_equal(found, poses.points[:, 0])


def test_no_rate_and_no_names(tmp_path: Path, rng: np.random.Generator) -> None:
    pynwb = pytest.importorskip("pynwb")
    poses = make_poses(rng, None, 2, rate=None).sel(frames=[4, 6])
    write(poses, tmp_path / "s.nwb")
    with pynwb.NWBHDF5IO(str(tmp_path / "s.nwb"), "r") as reader:
        file = reader.read()
        found = file.processing["behavior"]["PoseEstimation"]
        assert type(found).__name__ == "PoseEstimation" and file.subject is None
        assert found.pose_estimation_series["nose"].timestamps[:].tolist() == [4, 6]
        assert found.pose_estimation_series["nose"].unit == "pixels"


def test_missing_library_is_told(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mapose\[nwb\]"') as caught:
        write(make_poses(rng, None, 2), tmp_path / "s.nwb")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
