"""Chains of Kalibr, and pairs of MATLAB: files made by hand, as their documentation says."""

import numpy as np
import pytest
from scipy.io import savemat

from calibration import CalibrationError, Camera
from calibration.files.readers import read_cameras
from calibration.synthetic import make_ring
from tests.calibration.files.test_readers import assert_same


def write_chain(path, cameras, *, inline=False):
    """As Kalibr's camchain.yaml: lists begin in the column of their key."""
    lines, before = [], np.eye(4)
    for n, camera in enumerate(cameras):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera.rotation_matrix, camera.translation / 1000  # metres
        lines.append(f"cam{n}:")
        if n:
            step = pose @ np.linalg.inv(before)
            lines.append("  T_cn_cnm1:")
            lines += [f"  - {row}" for row in step.tolist()]
        before = pose
        numbers = camera.matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        model = "equidistant" if camera.model == "fisheye" else "radtan"
        bent = np.pad(camera.distortion, (0, 4))[:4].tolist()
        lines += [
            f"  cam_overlaps: [{n + 1}]",
            "  camera_model: pinhole",
            f"  distortion_coeffs: [{bent[0]}, {bent[1]},",
            f"    {bent[2]}, {bent[3]}]",
            f"  distortion_model: {model}",
            f"  intrinsics: {numbers}",
            f"  resolution: {list(camera.size)}",
            f"  rostopic: /cam{n}/image_raw",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_chain_of_kalibr_is_a_group_in_metres(tmp_path):
    ring = list(make_ring(12, seed=3))
    k = np.array([-0.02, 0.01, 0.001, -0.002])
    ring[0] = Camera("a", (800, 600), ring[0].matrix, k)
    ring[2] = Camera(
        "b", (800, 600), ring[2].matrix, k, ring[2].rotation, ring[2].translation, "fisheye"
    )
    write_chain(tmp_path / "camchain.yaml", ring)
    group = read_cameras(tmp_path / "camchain.yaml")
    assert group.unit == "m" and group.names == tuple(f"cam{n}" for n in range(12))
    assert group["cam2"].model == "fisheye" and group["cam0"].model == "pinhole"
    points = np.random.default_rng(0).normal(0, 40, (20, 3))
    first = ring[0].to_camera(points) / 1000  # the first camera is the world
    for found, camera in zip(group, ring, strict=True):
        np.testing.assert_allclose(found.project(first), camera.project(points), atol=1e-6)
        assert found.size == camera.size


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pinhole", "omni", "its lens is omni-radtan"),
        ("radtan", "fov", "its lens is pinhole-fov"),
        ("T_cn_cnm1", "T_cam_imu", "cam1: missing T_cn_cnm1"),
        ("  intrinsics: [", "  intrinsics: [1, ", "wanted fu, fv, pu, pv"),
        ("  - [", "  - [1, ", "wanted four rows of four numbers"),
    ],
)
def test_chains_that_cannot_be_say_what_is_missing(tmp_path, old, new, message):
    path = tmp_path / "camchain.yaml"
    write_chain(path, make_ring(2))
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(CalibrationError, match=message):
        read_cameras(path)


def make_pair():
    """Two cameras of which the first is the world."""
    a, b = make_ring(2, seed=5)
    turn = b.rotation_matrix @ a.rotation_matrix.T
    shift = b.translation - turn @ a.translation
    k = np.array([-0.1, 0.02, 0.001, -0.002, 0.003])
    left = Camera("left", (800, 600), a.matrix, k)
    return left, Camera("right", (800, 600), b.matrix, k[::-1] / 5, turn, shift)


def test_a_pair_of_bouguets_toolbox(tmp_path):
    pair = make_pair()
    data = {"om": pair[1].rotation[:, None], "T": pair[1].translation[:, None], "nx": 800.0}
    data |= {"ny": 600.0, "R": pair[1].rotation_matrix}
    for camera in pair:
        data[f"fc_{camera.name}"] = camera.matrix[[0, 1], [0, 1], None]
        data[f"cc_{camera.name}"] = camera.matrix[:2, 2:]
        data[f"alpha_c_{camera.name}"] = 0.0
        data[f"kc_{camera.name}"] = camera.distortion[:, None]
    savemat(tmp_path / "Calib_Results_stereo.mat", data)
    group = read_cameras(tmp_path / "Calib_Results_stereo.mat")
    assert group.unit == "unknown"
    for found, wanted in zip(group, pair, strict=True):
        assert_same(found, wanted)
    del data["om"]
    savemat(tmp_path / "broken.mat", data)
    with pytest.raises(CalibrationError, match="missing om"):
        read_cameras(tmp_path / "broken.mat")


@pytest.mark.parametrize("key", ["IntrinsicMatrix", "K"])
@pytest.mark.parametrize("whole", [True, False])
def test_stereo_parameters_as_a_structure(tmp_path, key, whole):
    """Up to 2022a lens matrices multiply rows; rotations of camera 2 always do."""
    pair, lenses = make_pair(), []
    for camera in pair:
        matrix = camera.matrix.copy()
        matrix[:2, 2] += 1
        k = camera.distortion
        fields = {"RadialDistortion": k[[0, 1, 4]][None], "TangentialDistortion": k[[2, 3]][None]}
        fields |= {key: matrix if key == "K" else matrix.T, "ImageSize": [[600.0, 800.0]]}
        lenses.append({**fields, "WorldUnits": "mm"})
    data = {"CameraParameters1": lenses[0], "CameraParameters2": lenses[1]}
    data |= {"RotationOfCamera2": pair[1].rotation_matrix.T}
    data |= {"TranslationOfCamera2": pair[1].translation[None]}
    savemat(tmp_path / "stereo.mat", {"stereoParams": data} if whole else data)
    group = read_cameras(tmp_path / "stereo.mat")
    assert group.unit == "mm" and group.names == ("camera1", "camera2")
    points = np.random.default_rng(0).normal(0, 40, (20, 3)) + [0, 0, 400]
    for found, wanted in zip(group, pair, strict=True):
        np.testing.assert_allclose(found.project(points), wanted.project(points), atol=1e-6)
        assert found.size == (800, 600)
    del data["RotationOfCamera2"]
    savemat(tmp_path / "stereo.mat", data)
    with pytest.raises(CalibrationError, match=r"toStruct.*missing RotationOfCamera2"):
        read_cameras(tmp_path / "stereo.mat")
