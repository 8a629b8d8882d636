import subprocess
import sys

import numpy as np
import pytest

from calibration import CalibrationError, Camera, CameraGroup
from calibration.synthetic import aim_camera, find_orientation, make_ring


def test_ring_sees_the_middle():
    ring = make_ring(5, size=(640, 480), fisheye=[2])
    pixels = ring.project([[0, 0, 0], [0, 0, 50], [np.nan] * 3])
    assert pixels.shape == (5, 3, 2)
    np.testing.assert_allclose(pixels[:, 0], [[319.5, 239.5]] * 5, atol=1e-9)
    assert (pixels[:, 1, 1] < pixels[:, 0, 1]).all()  # up in the world is up in the image
    assert np.isnan(pixels[:, 2]).all()
    assert [c.model for c in ring].count("fisheye") == 1
    assert ring.names == ("cam0", "cam1", "cam2", "cam3", "cam4") and len(ring) == 5
    np.testing.assert_allclose(ring["cam0"].centre, [0, -500, 400], atol=1e-9)


def test_seed_moves_the_ring_reproducibly():
    a, b, c = make_ring(3, seed=1), make_ring(3, seed=1), make_ring(3, seed=2)
    point = [10.0, 20.0, 30.0]
    assert np.array_equal(a.project(point), b.project(point))
    assert not np.allclose(a.project(point), c.project(point))


def test_camera_looks_down_with_x_to_the_right():
    top = aim_camera("top", [0, 0, 100], size=(201, 101), focal=100, distortion=())
    assert top.project([[10, 0, 0], [0, 10, 0]]).tolist() == [[110, 50], [100, 40]]
    with pytest.raises(CalibrationError, match="stands"):
        find_orientation([1, 2, 3], [1, 2, 3])


def test_cameras_are_found_by_name():
    ring = make_ring(3)
    with pytest.raises(CalibrationError, match="did you mean 'cam1'"):
        ring["cma1"]
    with pytest.raises(CalibrationError, match="known: cam0, cam1, cam2"):
        ring["left"]
    with pytest.raises(CalibrationError, match="repeated: cam0"):
        CameraGroup([ring["cam0"], ring["cam0"]])
    with pytest.raises(CalibrationError, match="none"):
        CameraGroup([])
    with pytest.raises(CalibrationError, match="at least one"):
        make_ring(0)


def test_file_gives_back_the_same_numbers(tmp_path):
    ring = make_ring(12, seed=3, fisheye=[1, 10])
    odd = Camera('a "b"\\ é', (4, 3), np.eye(3))
    group = CameraGroup([*ring, odd], "mm")
    path = tmp_path / "calibration.toml"
    group.save(path)
    again = CameraGroup.load(path)
    assert again.names == group.names and again.unit == "mm"
    for a, b in zip(group, again, strict=True):
        assert (a.size, a.model) == (b.size, b.model)
        for field in ("matrix", "distortion", "rotation", "translation"):
            assert np.array_equal(getattr(a, field), getattr(b, field))
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.toml"]


def test_files_of_others_are_read(tmp_path):
    path = tmp_path / "calib.toml"
    path.write_text(
        """
[left]
size = [ 640.0, 480.0,]
matrix = [ [ 500.0, 0.0, 320.0,], [ 0.0, 500.0, 240.0,], [ 0.0, 0.0, 1.0,],]
distortions = [ 0.1, 0.0, 0.0, 0.0,]
rotation = [ 0.0, 0.0, 0.0,]
translation = [ 0.0, 0.0, 1.0,]
fisheye = false

[metadata]
adjusted = false
error = 0.0
""",
        encoding="utf-8",
    )
    group = CameraGroup.load(path)
    assert group.names == ("left",) and group.unit == "unknown"
    assert group["left"].size == (640, 480) and group["left"].distortion.shape == (4,)
    assert CameraGroup.load(path, unit="m").unit == "m"


def test_real_calibration_is_read(recordings):
    group = CameraGroup.load(recordings / "rats_6cam_com" / "calibration.toml", unit="mm")
    assert group.names == tuple(f"Camera{i}" for i in range(1, 7))
    assert group["Camera1"].size == (1920, 1200)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cam_0]\nname = 'a'\nsize = [1, 2]", "missing: matrix, rotation, translation"),
        ("[metadata]\nerror = 0.0", "holds no camera"),
        ("{not toml", "not a TOML file"),
        (
            "[a]\nsize=[1,2]\nmatrix=[1.0]\nrotation=[0,0,0]\ntranslation=[0,0,0]",
            r"camera 'a'.*matrix: wanted shape",
        ),
        ("[a]\nsize=3\nmatrix=[]\nrotation=[]\ntranslation=[]", "lists of numbers"),
    ],
)
def test_unusable_files_say_why(tmp_path, text, message):
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=message):
        CameraGroup.load(path)
    with pytest.raises(CalibrationError, match="no calibration file"):
        CameraGroup.load(tmp_path / "absent.toml")


def test_calibration_needs_no_mapose():
    code = (
        "import sys; sys.modules['mapose'] = None; import calibration, calibration.synthetic; "
        "print(len(calibration.synthetic.make_ring(3)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"
