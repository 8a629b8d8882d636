"""The world by option: the same as Python's, from a board, keypoints or points."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import (
    CameraGroup,
    Chessboard,
    add_station,
    align_to_board,
    align_to_points,
    find_board_pose,
    make_ring,
)
from calibration.alignment import Similarity
from mapose import Poses, Skeleton, check_calibration, place_world
from mapose.cameras.world import WorldBoard, WorldPoints
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import save
from tests.calibration.board_views import photograph

BOARD = Chessboard(6, 5, 12)
CORNERS = {"origin": [5.0, 2, 1], "x": [45.0, 5, 3], "y": [4.0, 40, -2]}


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """Cameras in a world of their own, and a board that lies somewhere in it, filmed."""
    folder = tmp_path_factory.mktemp("rig")
    ring, rng = make_ring(3, seed=1), np.random.default_rng(0)
    lies = Similarity(cv2.Rodrigues(np.array([0.2, -0.1, 0.4]))[0], np.array([8.0, -5, 3]))
    board = replace(BOARD)
    # The world of the photographs is the board's; the calibration's is another one.
    cameras = lies.move_cameras(CameraGroup(list(ring), "mm"), "mm")
    cameras.save(folder / "rig.toml")
    for camera in ring:
        (folder / camera.name).mkdir()
        for number in (3, 7):
            image = photograph(board, camera, rng)[0]
            cv2.imwrite(str(folder / camera.name / f"img{number}.png"), image)
    return folder, CameraGroup.load(folder / "rig.toml"), lies


def run(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, (result.output, result.exception)


def assert_same(ours, theirs, atol=1e-9):
    assert ours.names == theirs.names
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.rotation_matrix, b.rotation_matrix, atol=atol)
        np.testing.assert_allclose(a.translation, b.translation, atol=atol)


def test_points_by_option_give_pythons_world(rig, tmp_path):
    folder, cameras, _ = rig
    words = [f"--{name}={','.join(map(str, place))}" for name, place in CORNERS.items()]
    run("world", folder / "rig.toml", *words, "--length", "20cm", "-o", tmp_path / "cage.toml")
    wanted = align_to_points(cameras, **CORNERS, length=20, unit="cm")[0]
    found = CameraGroup.load(tmp_path / "cage.toml")
    assert_same(found, wanted)
    assert found.unit == "cm"


def test_keypoints_by_option_give_pythons_world(rig, tmp_path):
    folder, cameras, _ = rig
    skeleton = Skeleton(["corner1", "corner2", "corner3", "nose"])
    array = np.full((5, 2, 4, 4), np.nan)
    array[..., 3] = 0
    array[:, 0, :3] = [[*place, 1] for place in CORNERS.values()]
    array[2, 0, :3, :3] += 30  # somebody kicked the cage in one frame
    array[:, 1, 3] = 1
    save(Poses(array, skeleton, ["cage", "mouse"], unit="mm"), tmp_path / "s.mapose.h5")
    keypoints = ["--origin", "corner1", "--x", "corner2", "--y", "corner3"]
    words = ["world", folder / "rig.toml", *keypoints, "--points", tmp_path / "s.mapose.h5"]
    run(*words, "-o", tmp_path / "cage.toml")
    found = CameraGroup.load(tmp_path / "cage.toml")
    assert_same(found, align_to_points(cameras, **CORNERS)[0], atol=1e-5)  # float32 in the file
    run(*words, "--frame", 2, "-o", tmp_path / "kicked.toml")
    kicked = {name: np.add(place, 30) for name, place in CORNERS.items()}
    moved = CameraGroup.load(tmp_path / "kicked.toml")
    assert_same(moved, align_to_points(cameras, **kicked)[0], atol=1e-5)


def test_clicked_pixels_by_option_give_pythons_world(rig, tmp_path, caplog):
    folder, cameras, _ = rig
    seen = {
        name: {c.name: c.project(np.array([place], np.float64))[0] for c in list(cameras)[:views]}
        for (name, place), views in zip(CORNERS.items(), (3, 2, 3), strict=True)
    }
    words = [
        f"--{name}=" + ",".join(f"{cam}={x:.9f}:{y:.9f}" for cam, (x, y) in pixels.items())
        for name, pixels in seen.items()
    ]
    run("world", folder / "rig.toml", *words, "-o", tmp_path / "cage.toml")
    assert_same(
        CameraGroup.load(tmp_path / "cage.toml"), align_to_points(cameras, **CORNERS)[0], atol=1e-6
    )
    assert not caplog.records
    # Another thing was clicked in one camera.
    origin = {name: tuple(pixel) for name, pixel in seen["origin"].items()}
    origin["cam0"] = (origin["cam0"][0] + 40, origin["cam0"][1])
    by = WorldPoints(origin, CORNERS["x"], CORNERS["y"])
    place_world(folder / "rig.toml", tmp_path / "wrong.toml", by=by)
    assert "origin: in cam0 its pixel lies" in caplog.text


def test_the_board_in_a_frame_by_option_gives_pythons_world(rig, tmp_path):
    folder, cameras, _ = rig
    films = [f"{name}={folder / name}" for name in cameras.names]
    words = ["world", folder / "rig.toml", *films, "--board", "chessboard:6x5:12mm"]
    run(*words, "--frame", 7, "-o", tmp_path / "floor.toml")
    found = CameraGroup.load(tmp_path / "floor.toml")
    seen = {}
    for name in cameras.names:
        image = cv2.imread(str(folder / name / "img7.png"))
        seen[name] = BOARD.detect(image)
    wanted = align_to_board(cameras, find_board_pose(cameras, BOARD, seen))[0]
    assert_same(found, wanted)
    # The board is the floor: its first corner at the origin, its rows along x, cameras above.
    corners = found.triangulate(np.stack(list(seen.values()))).points
    assert np.abs(corners[:, 2]).max() < 0.5 and np.linalg.norm(corners[0]) < 0.5
    np.testing.assert_allclose(corners[5], [60, 0, 0], atol=0.5)
    assert np.median([camera.centre[2] for camera in found]) > 100


def test_a_board_that_one_camera_sees_is_placed_by_it(rig):
    _, cameras, lies = rig
    camera = cameras.names[0]
    seen = {camera: cameras[camera].project(lies.move(BOARD.points))}
    pose = find_board_pose(cameras, BOARD, seen)
    there = BOARD.points @ cv2.Rodrigues(pose[:3])[0].T + pose[3:]
    np.testing.assert_allclose(there, lies.move(BOARD.points), atol=1e-3)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (WorldPoints("nose", (1, 0, 0), (0, 1, 0)), "3D result to look it up"),
        (WorldPoints("nosee", "a", "b", poses="s.mapose.h5"), "did you mean 'nose'"),
        (WorldPoints("nose", "ear", "tail", poses="s.mapose.h5"), "several animals"),
        (
            WorldPoints("nose", "ear", "tail", poses="s.mapose.h5", frame=9, individual="a"),
            "nowhere in frame 9",
        ),
        (WorldBoard("chessboard:6x5:12mm", {"cm0": "x"}), "no camera 'cm0'"),
        (WorldPoints({"cm0": (1, 2)}, (1, 0, 0), (0, 1, 0)), "no camera 'cm0'"),
        (WorldPoints((0, 0, 0), {"cam0": (1, 2)}, (0, 1, 0)), "x: .* in two cameras"),
        (
            WorldPoints((0, 0, 0), (1, 0, 0), {"cam0": (1, 2), "cam1": (9999, 2)}),
            "y: 9999:2 is outside of the .* image of cam1",
        ),
        (WorldBoard("chessboard:6x5:12cm", {"cam0": "x"}), "in mm, the board in cm"),
    ],
)
def test_what_sets_no_world_is_refused(rig, tmp_path, monkeypatch, by, message):
    monkeypatch.chdir(tmp_path)
    skeleton = Skeleton(["nose", "ear", "tail"])
    save(Poses(np.ones((3, 2, 3, 4)), skeleton, ["a", "b"], unit="mm"), "s.mapose.h5")
    with pytest.raises(SettingsError, match=message):
        place_world(rig[0] / "rig.toml", "w.toml", by=by)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--origin", "cam0=3.0.0:4,cam1=4:4"], "wanted the pixel in each camera"),
        (["--origin", "cam0=nan:4,cam1=4:4"], "wanted the pixel in each camera"),
        (["--origin", "cam0=-30:4,cam1=4:4"], "origin: -30:4 is outside of the"),
        (["--origin", "0,0,0", "--length", "3.0.0mm"], "a length with its unit"),
        (["--origin", "0,0,0", "--length", "300xyz"], "mm, cm, m, in"),
    ],
)
def test_numbers_that_are_none_are_refused(rig, tmp_path, words, message):
    words = ["world", rig[0] / "rig.toml", "--x", "1,0,0", "--y", "0,1,0", *words]
    place = str(tmp_path / "w.toml")
    result = CliRunner().invoke(app, [*map(str, words), "-o", place])
    assert result.exit_code == 1 and isinstance(result.exception, SettingsError)
    assert message in str(result.exception)


def test_a_board_of_another_size_is_told(rig, caplog):
    folder, cameras, _ = rig
    films = {name: folder / name for name in cameras.names}
    check_calibration(films, folder / "rig.toml", board="chessboard:6x5:1.2cm")
    assert not caplog.records
    check_calibration(films, folder / "rig.toml", board="chessboard:6x5:13mm")
    assert "measures 12" in caplog.text and "is said to measure 13 mm" in caplog.text


def test_a_calibration_is_checked_by_a_board(rig):
    folder, cameras, _ = rig
    drift = check_calibration(
        {name: folder / name for name in cameras.names},
        folder / "rig.toml",
        board="chessboard:6x5:12mm",
    )
    assert {d.name for d in drift.drifts} == set(cameras.names)
    assert not drift.moved and max(d.shift for d in drift.drifts) < 1


def test_keypoints_of_a_result_in_another_world_are_brought_into_this_one(rig, tmp_path):
    """A result that was made after the world was set: its keypoints are those of that world."""
    folder, cameras, _ = rig
    placed, change = align_to_points(cameras, **CORNERS, length=20, unit="cm")
    array = np.ones((5, 1, 3, 4), np.float32)
    array[..., :3] = change.move(list(CORNERS.values()))
    poses = Poses(array, Skeleton(["corner1", "corner2", "corner3"]), unit="cm")
    file = tmp_path / "s.mapose.h5"
    by = WorldPoints("corner1", "corner2", "corner3", poses=file)
    save(poses, file, cameras=placed.to_toml())
    found = place_world(folder / "rig.toml", tmp_path / "cage.toml", by=by)
    assert_same(found, align_to_points(cameras, **CORNERS)[0], atol=1e-4)
    save(poses, file, cameras=make_ring(3, seed=9).to_toml())
    with pytest.raises(SettingsError, match="reconstructed with other cameras"):
        place_world(folder / "rig.toml", tmp_path / "other.toml", by=by)


def test_pixels_are_those_of_cameras_as_they_stood_in_the_frame(rig, tmp_path):
    cameras = rig[1]
    last = cameras["cam2"]
    pushed = replace(last, translation=last.translation + [4, -3, 2])
    add_station(cameras, pushed, 50).save(tmp_path / "moved.toml")
    standing = CameraGroup([*list(cameras)[:2], pushed], cameras.unit)
    corners = {
        name: {c.name: tuple(c.project([place])[0]) for c in standing}
        for name, place in CORNERS.items()
    }
    by = WorldPoints(**corners, frame=60)
    found = place_world(tmp_path / "moved.toml", tmp_path / "cage.toml", by=by)
    assert_same(
        CameraGroup(list(found)[:3], "mm"), align_to_points(cameras, **CORNERS)[0], atol=1e-6
    )
