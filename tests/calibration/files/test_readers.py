"""Cameras in other tools' files: the real ones, and ones written by OpenCV and HDF5."""

import logging

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from calibration import CalibrationError, Camera, CameraGroup
from calibration.files.readers import read_cameras
from calibration.synthetic import make_ring

FIELDS = ("matrix", "distortion", "rotation", "translation")


def assert_same(ours: Camera, theirs: Camera, atol: float = 1e-9) -> None:
    assert ours.name == theirs.name and ours.size == theirs.size and ours.model == theirs.model
    for field in FIELDS:
        a, b = np.array(getattr(ours, field)), np.array(getattr(theirs, field))
        b = np.pad(b, (0, max(0, len(a) - len(b)))) if b.ndim == 1 else b
        np.testing.assert_allclose(a, b[: len(a)], atol=atol, err_msg=f"{ours.name} {field}")


# Real files


def test_qualisys_and_what_pose2sim_made_of_it_agree(recordings):
    folder = recordings / "people_4cam" / "calibration"
    theirs, ours = (read_cameras(folder / f) for f in ("Calib_qualisys.toml", "Calib.qca.txt"))
    assert (theirs.unit, ours.unit) == ("m", "mm")
    assert theirs.names == ours.names == ("cam_01", "cam_02", "cam_03", "cam_04")
    for name in theirs.names:
        a, b = ours[name], theirs[name]
        assert a.size == b.size
        np.testing.assert_allclose(a.matrix, b.matrix, atol=1e-9)
        np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-9)
        np.testing.assert_allclose(a.translation, 1000 * b.translation, atol=1e-6)
        # Pose2Sim divides the distortion by 64.
        np.testing.assert_allclose(a.distortion[:4], 64 * b.distortion, atol=1e-12)


def test_distortion_of_qualisys_is_that_of_the_lenses(recordings):
    """The same cameras calibrated from clicked points: radial terms near those of QTM."""
    folder = recordings / "people_4cam" / "calibration"
    ours = read_cameras(folder / "Calib.qca.txt")
    scene = read_cameras(folder / "Calib_scene.toml")
    assert scene.unit == "m"
    # At 0.35 from the axis, about the corner of these images.
    bend = [np.array([c.distortion[:2] @ [0.35**2, 0.35**4] for c in g]) for g in (ours, scene)]
    assert np.abs(bend[0] - bend[1]).max() < 0.003
    assert np.abs(bend[0] / 64 - bend[1]).max() > 0.003


@pytest.mark.parametrize(
    "file", ["mouse_6cam_points/label3d_dannce.mat", "rats_6cam_com/test_social_com_dannce.mat"]
)
def test_dannce_projects_its_labels_onto_its_labels(recordings, file):
    path = recordings / file
    group = read_cameras(path, sizes=(1920, 1200))
    assert group.names == tuple(f"Camera{i}" for i in range(1, 7)) and group.unit == "unknown"
    assert all(c.size == (1920, 1200) for c in group)
    for camera, labels in zip(group, loadmat(path)["labelData"].ravel(), strict=True):
        world = labels["data_3d"][0, 0]
        pixels = labels["data_2d"][0, 0].reshape(len(world), -1, 2) - 1
        found = camera.project(world.reshape(len(world), -1, 3))
        assert np.isfinite(found).any()
        there = np.isfinite(found) & np.isfinite(pixels)
        np.testing.assert_allclose(found[there], pixels[there], atol=1e-6)


def test_dannce_keeps_the_skew(recordings):
    group = read_cameras(
        recordings / "mouse_6cam_points" / "label3d_dannce.mat", sizes=(1152, 1024)
    )
    assert all(abs(c.matrix[0, 1]) > 0.1 and c.matrix[1, 0] == 0 for c in group)


def test_dannce_and_anipose_of_one_rig_agree(recordings):
    folder = recordings / "rats_6cam_com"
    ours = read_cameras(folder / "test_social_com_dannce.mat", sizes=(1920, 1200))
    theirs = read_cameras(folder / "calibration.toml")
    assert ours.names == theirs.names
    for name in ours.names:
        assert_same(ours[name], theirs[name])


def test_anipose(recordings):
    group = read_cameras(recordings / "fly_3cam_points" / "calibration.toml")
    assert group.names == ("Cam-A", "Cam-B", "Cam-C") and group["Cam-C"].matrix[0, 0] > 1e5


# Names


def test_names_count_and_not_the_place_in_the_file(tmp_path):
    cameras = list(make_ring(12, seed=1))
    text = CameraGroup(cameras, "mm").to_toml().split("\n\n")
    # Anipose sorts sections as text: cam_10 and cam_11 come before cam_2.
    order = sorted(range(12), key=str)
    path = tmp_path / "calibration.toml"
    path.write_text("\n\n".join([text[i] for i in order] + text[12:]), encoding="utf-8")
    group = read_cameras(path)
    assert group.names[2] == "cam10" and group.unit == "mm"
    for camera in cameras:
        assert_same(group[camera.name], camera)


# caliscope


CALISCOPE = """
[cameras.{n}]
cam_id = {n}
rotation_count = 0
error = 0.5
ignore = {ignore}
size = [1280, 720]
matrix = [[900.0, 0.0, 618.0], [0.0, 907.0, 394.0], [0.0, 0.0, 1.0]]
distortions = [-0.33, 0.05, -0.004, 0.004, 0.07]
"""
POSE = "translation = [0.1, -0.2, 0.7]\nrotation = {rotation}\n"


def test_caliscope(tmp_path, caplog):
    turn = cv2.Rodrigues(np.array([0.3, -0.2, 1.0]))[0]
    text = CALISCOPE.format(n=10, ignore="false") + POSE.format(rotation=turn.tolist())
    text += CALISCOPE.format(n=2, ignore="false") + POSE.format(rotation=[0.3, -0.2, 1.0])
    text += CALISCOPE.format(n=3, ignore="true") + POSE.format(rotation=[0, 0, 0])
    text += CALISCOPE.format(n=4, ignore="false")
    path = tmp_path / "camera_array.toml"
    path.write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        group = read_cameras(path)
    assert group.names == ("cam_10", "cam_2") and group.unit == "m"
    assert "no pose: cam_4" in caplog.text
    np.testing.assert_allclose(group["cam_10"].rotation, group["cam_2"].rotation, atol=1e-12)
    np.testing.assert_allclose(group["cam_2"].translation, [0.1, -0.2, 0.7])


def test_caliscopes_older_config(tmp_path):
    text = CALISCOPE.format(n=0, ignore="false").replace("[cameras.0]", "[cam_0]")
    text = text.replace("cam_id", "port") + POSE.format(rotation=[0.0, 0.1, 0.0])
    path = tmp_path / "config.toml"
    path.write_text("fps = 6\n" + text + "\n[charuco]\ncolumns = 4\n", encoding="utf-8")
    assert read_cameras(path).names == ("cam_0",)
    path.write_text(CALISCOPE.format(n=0, ignore="false"), encoding="utf-8")
    with pytest.raises(CalibrationError, match="no camera with a pose"):
        read_cameras(path)


# Qualisys


QCA = """<?xml version='1.0'?><calibration><cameras>
<camera active="1" serial="17" viewrotation="0" video_resolution="{resolution}">
<fov_video left="{left}" top="{top}" right="1919" bottom="1079"/>
<transform x="100" y="200" z="300" r11="1" r12="0" r13="0" r21="0" r22="1" r23="0" r31="0"
 r32="0" r33="1"/>
<intrinsic focalLengthU="64000" focalLengthV="64640" centerPointU="61440" centerPointV="34560"
 skew="0" radialDistortion1="0.1" radialDistortion2="0.2" radialDistortion3="0.3"
 tangentalDistortion1="0.01" tangentalDistortion2="0.02"/>
</camera>
<camera active="0" serial="18"/>
</cameras></calibration>"""


def test_qualisys_crops_and_smaller_video(tmp_path):
    path = tmp_path / "a.qca.txt"
    path.write_text(QCA.format(resolution="1080p", left=0, top=0), encoding="utf-8")
    whole = read_cameras(path)["17"]
    assert whole.size == (1920, 1080) and whole.matrix[0, 0] == 1000 and whole.matrix[1, 1] == 1010
    np.testing.assert_allclose(whole.matrix[:2, 2], [960, 540])
    np.testing.assert_allclose(whole.distortion, [0.1, 0.2, 0.01, 0.02, 0.3])
    np.testing.assert_allclose(whole.centre, [100, 200, 300])
    world = np.array([[120.0, 190, 100], [60, 230, 0]])  # it looks down, along -z
    path.write_text(QCA.format(resolution="N/A", left=100, top=40), encoding="utf-8")
    np.testing.assert_allclose(
        read_cameras(path)["17"].project(world), whole.project(world) - [100, 40]
    )
    path.write_text(QCA.format(resolution="540p", left=0, top=0), encoding="utf-8")
    half = read_cameras(path)["17"]
    assert half.size == (960, 540)
    np.testing.assert_allclose(half.project(world) + 0.5, (whole.project(world) + 0.5) / 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<transform", "<other", "no calibrated camera"),
        ('r33="1"', 'r33="-1"', "mirrors"),
        ('focalLengthU="64000"', "", "focalLengthU"),
        ("<fov_video", "<fov", "camera 17: missing fov_video"),
        ("</cameras>", "", "not a calibration of Qualisys"),
    ],
)
def test_damaged_qualisys(tmp_path, old, new, message):
    path = tmp_path / "a.qca.txt"
    path.write_text(QCA.format(resolution="", left=0, top=0).replace(old, new), encoding="utf-8")
    with pytest.raises(CalibrationError, match=message):
        read_cameras(path)


# MATLAB


def make_params(camera: Camera) -> dict:
    matrix = camera.matrix.copy()
    matrix[:2, 2] += 1
    k = np.pad(camera.distortion, (0, 5 - len(camera.distortion)))
    return {
        "K": matrix.T,
        "RDistort": k[[0, 1, 4]][None],
        "TDistort": k[[2, 3]][None],
        "r": camera.rotation_matrix.T,
        "t": camera.translation[None],
    }


def write_hdf5(path, params: list[dict], names: list[str]) -> None:
    """As MATLAB's version 7.3: cells are references, arrays transposed, text is numbers."""

    def put(group, name, values):
        data = group.create_dataset(name, data=np.asarray(values, np.float64).T)
        data.attrs["MATLAB_class"] = np.bytes_("double")
        return data

    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        cells = {"params": [], "camnames": []}
        for i, fields in enumerate(params):
            group = refs.create_group(f"p{i}")
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for name, values in fields.items():
                put(group, name, values)
            cells["params"].append(group.ref)
            text = put(refs, f"n{i}", [[ord(c) for c in names[i]]])
            text.attrs["MATLAB_class"] = np.bytes_("char")
            cells["camnames"].append(text.ref)
        for name, found in cells.items():
            data = np.array([found], dtype=h5py.ref_dtype)
            file.create_dataset(name, data=data).attrs["MATLAB_class"] = np.bytes_("cell")
    # The first 512 bytes of such a file say what it is.
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


@pytest.mark.parametrize("version", ["5", "5 array", "7.3", "folder"])
def test_dannce_of_every_age(tmp_path, version):
    group = make_ring(3, seed=2)
    params = [make_params(c) for c in group]
    path = tmp_path / "a_dannce.mat"
    if version == "7.3":
        write_hdf5(path, params, list(group.names))
    elif version == "folder":
        for camera, fields in zip(group, params, strict=True):
            savemat(tmp_path / f"{camera.name}.mat", fields)
        path = tmp_path
    else:
        cells = np.empty((3, 1), object)
        cells[:, 0] = params
        names = np.array(group.names, object)[None]
        rows = {k: [p[k] for p in params] for k in params[0]}
        array = np.zeros((1, 3), [(k, object) for k in rows])
        for k, values in rows.items():
            for i, value in enumerate(values):
                array[k][0, i] = value
        savemat(path, {"params": array if "array" in version else cells, "camnames": names})
    found = read_cameras(path, sizes={c.name: c.size for c in group})
    assert found.names == group.names
    for camera in group:
        assert_same(found[camera.name], camera)


def test_unknown_size_is_said_and_changes_nothing(tmp_path, caplog):
    group = make_ring(2, seed=2)
    for camera in group:
        savemat(tmp_path / f"{camera.name}.mat", make_params(camera))
    with caplog.at_level(logging.WARNING):
        found = read_cameras(tmp_path)
    assert "does not say how large" in caplog.text and "cam1 640 x 480" in caplog.text
    world = np.array([[10.0, 20, 30]])
    np.testing.assert_allclose(found.project(world), group.project(world), atol=1e-9)


def test_damaged_matlab(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(b"nothing of the sort" * 20)
    with pytest.raises(CalibrationError, match="not a MATLAB file"):
        read_cameras(path)
    savemat(path, {"labels": np.zeros(3)})
    with pytest.raises(CalibrationError, match="no calibration of DANNCE"):
        read_cameras(path)
    cells = np.empty((1, 1), object)
    cells[0, 0] = {"K": np.eye(3)}
    savemat(path, {"params": cells, "camnames": np.array(["a", "b"], object)})
    with pytest.raises(CalibrationError, match="2 names for 1 cameras"):
        read_cameras(path)
    savemat(path, {"params": cells})
    with pytest.raises(CalibrationError, match="Camera1: missing r, t"):
        read_cameras(path)


# OpenCV


def write_storage(path, items) -> None:
    """Let OpenCV write a file; maps are dicts, sequences of texts lists."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    put_all(storage, items)
    storage.release()


def put_all(storage, items) -> None:
    for key, value in items.items():
        if isinstance(value, dict):
            storage.startWriteStruct(key, cv2.FILE_NODE_MAP)
            put_all(storage, value)
            storage.endWriteStruct()
        elif isinstance(value, list):
            storage.startWriteStruct(key, cv2.FILE_NODE_SEQ)
            for item in value:
                storage.write("", item)
            storage.endWriteStruct()
        else:
            storage.write(key, value)


def list_whole(camera: Camera) -> dict:
    return {
        "image_width": camera.size[0],
        "image_height": camera.size[1],
        "camera_matrix": camera.matrix,
        "distortion_coefficients": camera.distortion[None],
        "rvec": camera.rotation[:, None],
        "tvec": camera.translation[:, None],
        "fisheye_model": int(camera.model == "fisheye"),
    }


@pytest.mark.parametrize("suffix", ["yml", "yaml", "xml", "json"])
def test_opencv_cameras_as_maps(tmp_path, suffix):
    group = make_ring(11, seed=3, fisheye=(1,))
    path = tmp_path / f"rig.{suffix}"
    write_storage(path, {c.name: list_whole(c) for c in group})
    found = read_cameras(path)
    for camera in group:
        assert_same(found[camera.name], camera)
    assert found["cam1"].model == "fisheye"


def test_opencv_folder_with_one_camera_a_file(tmp_path):
    group = make_ring(11, seed=3)
    for camera in group:
        write_storage(tmp_path / f"{camera.name}.yml", list_whole(camera))
    found = read_cameras(tmp_path, unit="mm")
    assert found.names == group.names and found.unit == "mm"  # cam2 before cam10
    assert_same(found["cam10"], group["cam10"])


def test_opencv_lens_alone(tmp_path, caplog):
    camera = make_ring(1, seed=3).cameras[0]
    items = {k: v for k, v in list_whole(camera).items() if "vec" not in k}
    items |= {"extrinsic_parameters": np.ones((7, 6)), "calibration_time": "today"}
    write_storage(tmp_path / "left.yml", items)
    found = read_cameras(tmp_path / "left.yml")["left"]
    np.testing.assert_allclose(found.matrix, camera.matrix)
    assert (found.translation == 0).all()
    write_storage(tmp_path / "right.yml", items)
    with caplog.at_level(logging.WARNING):
        read_cameras(tmp_path)
    assert "all cameras are put at the origin" in caplog.text


@pytest.mark.parametrize("split", [True, False])
def test_opencv_stereo_sample(tmp_path, split):
    left, right = make_ring(2, seed=3)
    turn = right.rotation_matrix @ left.rotation_matrix.T
    move = right.translation - turn @ left.translation
    lenses = {"M1": left.matrix, "D1": left.distortion, "M2": right.matrix, "D2": right.distortion}
    pose = {"R": turn, "T": move[:, None], "R1": np.eye(3), "R2": 2 * np.eye(3)}
    pose |= {"P1": np.ones((3, 4)), "P2": np.ones((3, 4)), "Q": np.eye(4)}
    if split:
        write_storage(tmp_path / "intrinsics.yml", lenses)
        write_storage(tmp_path / "extrinsics.yml", pose)
    else:
        write_storage(tmp_path / "intrinsics.yml", lenses | pose)
    found = read_cameras(tmp_path / "intrinsics.yml", sizes=(640, 480))
    assert found.names == ("1", "2")
    points = np.array([[5.0, 3, 400]])
    world = (points - left.translation) @ left.rotation_matrix
    np.testing.assert_allclose(found["1"].project(points), left.project(world), atol=1e-8)
    np.testing.assert_allclose(found["2"].project(points), right.project(world), atol=1e-8)


def test_easymocap(tmp_path):
    group = make_ring(3, seed=3)
    lenses, poses = {"names": list(group.names)}, {"names": list(group.names)}
    for c in group:
        lenses |= {f"K_{c.name}": c.matrix, f"dist_{c.name}": c.distortion[None]}
        poses |= {f"R_{c.name}": c.rotation[:, None], f"Rot_{c.name}": c.rotation_matrix}
        poses |= {f"T_{c.name}": c.translation[:, None]}
    write_storage(tmp_path / "intri.yml", lenses)
    write_storage(tmp_path / "extri.yml", poses)
    for file in ("intri.yml", "extri.yml"):
        found = read_cameras(tmp_path / file, sizes=(640, 480))
        for camera in group:
            assert_same(found[camera.name], camera)


def test_labels_after_long_names(tmp_path):
    camera = make_ring(1, seed=3).cameras[0]
    items = {"cameraMatrix_left": camera.matrix, "dist_coeffs_left": camera.distortion}
    items |= {"camera_matrix_right": camera.matrix, "distCoeffs_right": camera.distortion}
    write_storage(tmp_path / "a.yml", items | {"image_width": 640, "image_height": 480})
    found = read_cameras(tmp_path / "a.yml")
    assert sorted(found.names) == ["left", "right"]
    for camera_of_file in found:
        np.testing.assert_allclose(camera_of_file.distortion, camera.distortion)
        assert camera_of_file.size == (640, 480)


def test_ros(tmp_path):
    path = tmp_path / "cam.yaml"
    path.write_text(
        "image_width: 640\nimage_height: 480\ncamera_name: narrow\ncamera_matrix:\n  rows: 3\n"
        "  cols: 3\n  data: [430, 0, 306, 0, 431, 227, 0, 0, 1]\ndistortion_model: plumb_bob\n"
        "distortion_coefficients:\n  rows: 1\n  cols: 5\n  data: [-0.3, 0.1, 0.001, 0, 0]\n",
        encoding="utf-8",
    )
    camera = read_cameras(path)["narrow"]
    assert camera.size == (640, 480) and camera.matrix[1, 1] == 431 and camera.distortion[0] == -0.3
    path.write_text(
        path.read_text(encoding="utf-8")
        .replace("plumb_bob", "equidistant")
        .replace("cols: 5", "cols: 4").replace(", 0, 0]", ", 0]"),
        encoding="utf-8",
    )  # fmt: skip
    assert read_cameras(path)["narrow"].model == "fisheye"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello: [1, 2", "not a FileStorage file"),
        ("", "empty"),
        ("a: 1\n", "holds no camera"),
        ("camera_matrix: [1, 2, 3]\n", "matrix: wanted shape"),
    ],
)
def test_damaged_opencv(tmp_path, text, message):
    path = tmp_path / "a.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationError, match=message):
        read_cameras(path, sizes=(640, 480))


# The door


def test_what_cannot_be_read_is_told(tmp_path):
    (tmp_path / "calib.toml").write_text("", encoding="utf-8")
    with pytest.raises(CalibrationError, match=r"no calibration file .*there are calib\.toml"):
        read_cameras(tmp_path / "calibration.toml")
    with pytest.raises(CalibrationError, match="holds no camera"):
        read_cameras(tmp_path / "calib.toml")
    with pytest.raises(CalibrationError, match="no format 'anypose'"):
        read_cameras(tmp_path / "calib.toml", "anypose")
    (tmp_path / "notes.txt").write_text("cameras", encoding="utf-8")
    with pytest.raises(CalibrationError, match="not a calibration that is known"):
        read_cameras(tmp_path / "notes.txt")
    (tmp_path / "bad.toml").write_text("[cam", encoding="utf-8")
    with pytest.raises(CalibrationError, match="not a TOML file"):
        read_cameras(tmp_path / "bad.toml")
