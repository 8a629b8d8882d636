"""One rule for what is a camera, whichever file it comes from."""

import json
import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from calibration import CalibrationError, Camera, CameraGroup, read_cameras
from calibration.files.parameters import list_doubts
from calibration.synthetic import make_ring

RING = make_ring(3, seed=3)
POINTS = np.array([[10.0, 20, 5], [-40, 30, 60], [5, -60, 20]])
MATRIX = RING.cameras[0].matrix


def write_storage(path, **items) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in items.items():
        storage.write(key, np.ascontiguousarray(value) if np.ndim(value) else value)
    storage.release()


def write_folder(folder, make) -> None:
    folder.mkdir()
    for c in RING:
        write_storage(folder / f"{c.name}.yml", **make(c))


def write_toml(path, **changes) -> None:
    """Each camera with its usual keys; a change is a text, None drops the key."""
    lines = []
    for c in RING:
        usual = {
            "size": list(c.size),
            "matrix": c.matrix.tolist(),
            "distortions": c.distortion.tolist(),
            "rotation": c.rotation.tolist(),
            "translation": c.translation.tolist(),
        }
        usual |= {key: make(c) if make else None for key, make in changes.items()}
        lines += [f"[{c.name}]", *(f"{k} = {v}" for k, v in usual.items() if v is not None)]
    path.write_text("\n".join(lines), encoding="utf-8")


def assert_projects(path, atol=1e-6, **options) -> None:
    found = read_cameras(path, **options)
    assert found.names == RING.names
    np.testing.assert_allclose(found.project(POINTS), RING.project(POINTS), atol=atol)


# What is no camera


@pytest.mark.parametrize(
    ("matrix", "hint"),
    [
        (MATRIX.T, "transposed"),
        (2 * MATRIX, "divide it by 2"),
        (MATRIX / MATRIX[0, 0], "divide it by"),
        (MATRIX + np.eye(3, k=-1), "wanted .*fx, skew, cx"),
        (MATRIX - 2 * np.diag([0, MATRIX[1, 1], 0]), "focal lengths above 0"),
        (np.vstack([MATRIX[:2], [0, 0, -1]]), "divide it by -1"),
        (np.linalg.inv(MATRIX).T, "wanted"),
    ],
)
def test_a_matrix_of_no_lens_is_refused_by_the_camera(matrix, hint):
    with pytest.raises(CalibrationError, match=f"'left'.*{hint}"):
        Camera("left", (640, 480), matrix)


def test_a_skew_and_zeros_that_were_computed_are_no_fault():
    skewed = MATRIX + np.array([[0, 3.0, 0], [1e-13, 0, 0], [0, 1e-16, 0]])
    assert Camera("left", (640, 480), skewed).matrix[0, 1] == 3


def test_a_transposed_matrix_in_any_file_is_refused_with_the_camera(tmp_path):
    write_toml(tmp_path / "a.toml", matrix=lambda c: c.matrix.T.tolist())
    write_folder(tmp_path / "folder", lambda c: {"camera_matrix": c.matrix.T})
    params = {"K": MATRIX.copy(), "r": np.eye(3), "t": np.zeros((1, 3))}
    savemat(tmp_path / "hires_cam1.mat", params)
    for path in (tmp_path / "a.toml", tmp_path / "folder", tmp_path / "hires_cam1.mat"):
        with pytest.raises(CalibrationError, match="cam"):
            read_cameras(path)
    with pytest.raises(CalibrationError, match="transposed"):
        CameraGroup.load(tmp_path / "a.toml")


# JARVIS


def test_jarvis_multiplies_rows(tmp_path):
    write_folder(
        tmp_path / "rig",
        lambda c: {
            "image_width": c.size[0],
            "image_height": c.size[1],
            "intrinsicMatrix": c.matrix.T,
            "distortionCoefficients": c.distortion[None],
            "R": c.rotation_matrix.T,
            "T": c.translation[:, None],
        },
    )
    assert_projects(tmp_path / "rig")


def test_the_key_of_jarvis_with_a_usual_matrix_is_read_as_usual(tmp_path):
    write_folder(
        tmp_path / "rig",
        lambda c: {
            "intrinsicMatrix": c.matrix,
            "distortionCoefficients": c.distortion[None],
            "rc_ext": c.rotation_matrix,
            "tc_ext": c.translation[:, None],
        },
    )
    assert_projects(tmp_path / "rig", sizes=RING.cameras[0].size)


# Poses


@pytest.mark.parametrize("lost", [["R"], ["T"], ["R", "T"]])
def test_a_camera_that_lacks_its_pose_among_others_is_refused(tmp_path, lost):
    def make(c):
        items = {"camera_matrix": c.matrix, "R": c.rotation_matrix, "T": c.translation[:, None]}
        return {k: v for k, v in items.items() if c.name != "cam1" or k not in lost}

    write_folder(tmp_path / "rig", make)
    keys = {"R": "rotation", "T": "translation"}
    wanted = " and ".join(f"no {keys[k]}" for k in lost)
    with pytest.raises(CalibrationError, match=f"'cam1' has {wanted}, while others"):
        read_cameras(tmp_path / "rig", sizes=(640, 480))
    write_toml(
        tmp_path / "a.toml",
        **{keys[k]: lambda c, k=k: None if c.name == "cam1" else getattr(c, keys[k]).tolist()
           for k in lost},
    )  # fmt: skip
    with pytest.raises(CalibrationError, match=f"'cam1' has {wanted}, while others"):
        read_cameras(tmp_path / "a.toml")


def test_lenses_alone_stand_at_the_origin_with_a_warning_also_in_toml(tmp_path, caplog):
    write_toml(tmp_path / "a.toml", rotation=None, translation=None)
    with caplog.at_level(logging.WARNING):
        found = read_cameras(tmp_path / "a.toml")
    assert "no poses" in caplog.text and all((c.translation == 0).all() for c in found)


def test_easymocap_is_a_folder_as_well(tmp_path):
    k = {f"K_{c.name}": c.matrix for c in RING} | {f"dist_{c.name}": c.distortion for c in RING}
    poses = {f"R_{c.name}": c.rotation[:, None] for c in RING}
    poses |= {f"T_{c.name}": c.translation[:, None] for c in RING}
    write_storage(tmp_path / "intri.yml", **k)
    write_storage(tmp_path / "extri.yml", **poses)
    assert_projects(tmp_path, sizes=RING.cameras[0].size)


# TOML is as tolerant as the others


@pytest.mark.parametrize(
    "changes",
    [
        {"size": None},
        {"rotation": lambda c: c.rotation_matrix.round(6).tolist()},
        {"rotation": lambda c: c.rotation[:, None].tolist()},
        {"translation": lambda c: [c.translation.tolist()]},
        {"distortions": lambda c: [c.distortion.tolist() + [0.0] * 9]},
        {"matrix": lambda c: c.matrix.ravel().tolist()},
    ],
)
def test_toml_written_in_other_ways(tmp_path, changes):
    write_toml(tmp_path / "a.toml", **changes)
    with (tmp_path / "a.toml").open("a", encoding="utf-8") as file:
        file.write("\n[recording]\nfps = 30\n")
    assert_projects(tmp_path / "a.toml", sizes=RING.cameras[0].size, atol=0.01)
    assert read_cameras(tmp_path / "a.toml", sizes=(640, 480)).cameras[0].size == (640, 480)


def test_toml_takes_the_names_that_others_have(tmp_path):
    write_toml(
        tmp_path / "a.toml",
        matrix=None,
        distortions=None,
        camera_matrix=lambda c: c.matrix.tolist(),
        distortion_coefficients=lambda c: c.distortion.tolist(),
        fisheye=lambda c: '"false"',
        name=lambda c: f'" {c.name} "',
    )
    assert_projects(tmp_path / "a.toml")


def test_cameras_nested_by_others_have_no_unit_of_caliscope(tmp_path):
    write_toml(tmp_path / "a.toml")
    text = (tmp_path / "a.toml").read_text(encoding="utf-8").replace("[cam", "[cameras.cam")
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    assert_projects(tmp_path / "a.toml")
    assert read_cameras(tmp_path / "a.toml").unit == "unknown"


@pytest.mark.parametrize(
    "nest",
    [
        lambda each: {"cameras": list(each.values())},
        lambda each: {"calibration": each},
        lambda each: list(each.values()),
    ],
    ids=["list", "map", "bare list"],
)
def test_json_of_cameras_in_a_list_or_a_map(tmp_path, nest):
    each = {
        c.name: {
            "name": c.name,
            "K": c.matrix.tolist(),
            "distCoef": c.distortion.tolist(),
            "R": c.rotation_matrix.tolist(),
            "t": c.translation[:, None].tolist(),
            "resolution": list(c.size),
        }
        for c in RING
    }
    (tmp_path / "a.json").write_text(json.dumps(nest(each)), encoding="utf-8")
    assert_projects(tmp_path / "a.json")


def test_a_fisheye_with_the_distortion_of_a_pinhole_is_questioned(tmp_path, caplog):
    write_toml(tmp_path / "a.toml", fisheye=lambda c: "true")
    with caplog.at_level(logging.WARNING):
        read_cameras(tmp_path / "a.toml")
    assert "distortion has 4 numbers, but 5 are given" in caplog.text


def test_files_of_other_kinds_say_what_is_wanted(tmp_path):
    RING.save(tmp_path / "calibration.toml")
    with pytest.raises(CalibrationError, match=r"name the file itself: calibration\.toml"):
        read_cameras(tmp_path)
    (tmp_path / "chain.yaml").write_text("cam0:\n  T:\n  - [1.0\n", encoding="utf-8")
    with pytest.raises(
        CalibrationError, match=r"chain\.yaml is not a File.* \(line .*\): wanted maps"
    ):
        read_cameras(tmp_path / "chain.yaml")


def test_few_distortion_coefficients_are_the_first_ones(tmp_path):
    write_toml(tmp_path / "a.toml", distortions=lambda c: [0.1, 0.01])
    camera = read_cameras(tmp_path / "a.toml").cameras[0]
    np.testing.assert_array_equal(camera.distortion, [0.1, 0.01, 0, 0])
    write_toml(tmp_path / "a.toml", distortions=lambda c: [0.1] * 9)
    with pytest.raises(CalibrationError, match="distortion: wanted shape"):
        read_cameras(tmp_path / "a.toml")


# What hardly any camera is


@pytest.mark.parametrize(
    ("camera", "doubt"),
    [
        (Camera("a", (480, 1000), [[500, 0, 500], [0, 500, 240], [0, 0, 1]]), "outside"),
        (Camera("a", (640, 480), [[500, 0, 0], [0, 500, 0], [0, 0, 1]]), "middle there"),
        (Camera("a", (640, 480), [[1.2, 0, 0.5], [0, 1.2, 0.4], [0, 0, 1]]), "in pixels"),
        (replace(RING.cameras[0], rotation=np.array([90.0, 0, 0])), "degrees"),
        (replace(RING.cameras[0], size=(480, 640)), "middle of 640 x 480, not of its images"),
        (Camera("a", (640, 480), [[600, 0, 320], [0, 1200, 240], [0, 0, 1]]), "no squares"),
        (replace(RING.cameras[0], distortion=np.array([50.0, -3000, 0, 0, 0])), "folds the image"),
    ],
)
def test_numbers_of_hardly_any_camera_are_questioned(tmp_path, caplog, camera, doubt):
    (said,) = list_doubts(camera)
    assert doubt in said
    CameraGroup([camera]).save(tmp_path / "a.toml")
    with caplog.at_level(logging.WARNING):
        read_cameras(tmp_path / "a.toml")
    assert doubt in caplog.text and "camera a" in caplog.text.replace(RING.names[0], "a")


def test_usual_cameras_are_not_questioned(recordings):
    for path in (
        "rats_6cam_com/calibration.toml",
        "fly_3cam_points/calibration.toml",
        "people_4cam/calibration/Calib_scene.toml",
        "people_4cam/calibration/Calib.qca.txt",
        "mouse_6cam_points/label3d_dannce.mat",
    ):
        for camera in read_cameras(recordings / path):
            assert not list_doubts(camera), path
