"""Boards in whole recordings: videos, folders and lists of images, good and bad ones."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CharucoBoard, Chessboard, calibrate, find_boards
from calibration.boards.detection import BoardDetections
from calibration.boards.recordings import open_recording
from tests.calibration.board_views import photograph, place_camera

BOARD = Chessboard(5, 4, 30)
CHARUCO = CharucoBoard(4, 5, 30, 22, "4x4_50")
SIZE = (320, 240)


def take_photographs(board, n=6, **options):
    rng = np.random.default_rng(0)
    cameras = [place_camera(board, rng, size=SIZE, fill=0.9, tilt=30) for _ in range(n)]
    return [photograph(board, camera, rng, **options)[0] for camera in cameras]


@pytest.fixture(scope="module")
def images():
    """Six photographs of a chessboard."""
    return take_photographs(BOARD)


@pytest.fixture(scope="module")
def charuco_images():
    return take_photographs(CHARUCO)


def write_video(path, images, rate=20.0):
    code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, rate, images[0].shape[::-1], isColor=True)
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def write_images(folder, images, numbers=None):
    folder.mkdir()
    for number, image in zip(numbers or range(len(images)), images, strict=True):
        cv2.imwrite(str(folder / f"frame_{number}.png"), image)
    return folder


def test_board_is_found_in_videos(images, tmp_path):
    blank = np.full_like(images[0], 90)
    sources = {
        "top": write_video(tmp_path / "top.avi", [blank, *images]),
        "side": write_video(tmp_path / "side.mp4", [*images[:3], blank]),
    }
    seen = []
    found = find_boards(sources, BOARD, on_progress=lambda *step: seen.append(step))
    assert list(found) == ["top", "side"]
    top, side = found.values()
    assert top.frames.tolist() == [1, 2, 3, 4, 5, 6] and side.frames.tolist() == [0, 1, 2]
    assert (top.size, top.rate, top.n_frames, side.n_frames) == (SIZE, 20.0, 7, 4)
    for own, image in zip(top.pixels, images, strict=True):  # but for compression
        assert np.nanmax(np.abs(own - BOARD.detect(image))) < 0.3
    assert top.blur.shape == (6,) and (top.blur > 0).all()
    assert seen[-1] == (11, 11) and [done for done, _ in seen[:11]] == list(range(1, 12))
    thinned = find_boards(sources, BOARD, step=3)
    assert thinned["top"].frames.tolist() == [3, 6] and thinned["top"].n_frames == 7
    with pytest.raises(CalibrationError, match="step: wanted a whole number"):
        find_boards(sources, BOARD, step=0)


def test_processes_change_nothing(images, tmp_path):
    sources = {"top": write_images(tmp_path / "top", images)}
    alone, shared = (find_boards(sources, BOARD, workers=n)["top"] for n in (1, 2))
    assert np.array_equal(alone.frames, shared.frames)
    np.testing.assert_allclose(alone.pixels, shared.pixels, atol=1e-6)


def test_images_are_numbered_by_their_names(images, tmp_path):
    folder = write_images(tmp_path / "cam 2", images[:4], numbers=[7, 9, 10, 30])
    for source in (folder, folder / "frame_*.png", str(folder)):
        found = find_boards({"cam": source}, BOARD)["cam"]
        assert found.frames.tolist() == [7, 9, 10, 30] and found.rate is None
    paths = sorted(folder.iterdir())
    assert find_boards({"cam": paths}, BOARD)["cam"].frames.tolist() == [0, 1, 2, 3]
    assert find_boards({"cam": paths[0]}, BOARD)["cam"].frames.tolist() == [0]


def test_a_folder_may_hold_one_video(images, tmp_path):
    folder = tmp_path / "top"
    folder.mkdir()
    write_video(folder / "monday.avi", images[:2])
    (folder / "notes.txt").touch()
    for source in (folder, folder / "mon*"):
        assert find_boards({"top": source}, BOARD)["top"].frames.tolist() == [0, 1]
    write_video(folder / "tuesday.avi", images[:2])
    with pytest.raises(CalibrationError, match=r"several recordings.*monday.avi.*name the file"):
        find_boards({"top": folder}, BOARD)
    assert open_recording("top", folder / "mon*").n_frames == 2


def test_recordings_that_are_none(images, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video", encoding="utf-8")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    folder = write_images(tmp_path / "sizes", [images[0], images[0][:100]])
    for source, message in (
        (
            tmp_path / "empty",
            r"top: there is no video and no image in .*empty; known endings: .*\.avi",
        ),
        (tmp_path / "*.jpg", r"no video and no image in .*\*.jpg"),
        (tmp_path / "none.mp4", "there is no file .*none.mp4"),
        (tmp_path / "text.mp4", "cannot be opened as a video.*copy it again"),
        (tmp_path / "text.png", "text.png is not an image"),
        ([tmp_path / "none.png"], "there is no image"),
        ([], "in the list"),
        (folder, "frame_1.png has 320 x 100 pixels, images before it 320 x 240"),
    ):
        with pytest.raises(CalibrationError, match=message):
            find_boards({"top": source}, BOARD)
    with pytest.raises(CalibrationError, match="no recordings: wanted at least one"):
        find_boards({}, BOARD)


def test_truncated_videos(images, tmp_path, caplog):
    """One without its index cannot be opened; of one that breaks off the beginning is used."""
    for name in ("whole.mp4", "whole.avi"):
        write_video(tmp_path / name, 4 * images)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(CalibrationError, match=r"cut.mp4 cannot be opened.*cut off before its ind"):
        find_boards({"top": tmp_path / "cut.mp4"}, BOARD)
    data = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING):
        found = find_boards({"top": tmp_path / "cut.avi"}, BOARD)["top"]
    assert 3 < len(found.frames) < 20 and found.n_frames == found.frames[-1] + 1
    assert len(caplog.records) == 1 and "ends after" in caplog.text and "is used" in caplog.text


def test_videos_of_different_length_or_rate(images, tmp_path):
    paths = {
        "a": write_video(tmp_path / "a.avi", images),
        "b": write_video(tmp_path / "b.avi", images[:5], rate=30.0),
        "c": write_video(tmp_path / "c.avi", images[:5]),
    }
    with pytest.raises(CalibrationError, match=r"different frame rates \(a 20, b 30 frames/s\)"):
        calibrate({name: paths[name] for name in "ab"}, BOARD)
    _, report = calibrate({name: paths[name] for name in "ac"}, BOARD)
    assert any("differ in length (a 6, c 5 frames)" in text for text in report.advice)


def test_board_that_one_camera_never_saw(images, tmp_path):
    sources = {
        "top": write_images(tmp_path / "top", images),
        "side": write_images(tmp_path / "side", [np.full_like(images[0], 90)] * 6),
    }
    assert len(find_boards(sources, BOARD)["side"].frames) == 0
    with pytest.raises(CalibrationError, match=r"found in no frame of side: check.*leave the cam"):
        calibrate(sources, BOARD)


def test_boards_of_another_size(images, charuco_images, tmp_path):
    plain = {"top": write_images(tmp_path / "plain", images)}
    marked = {"top": write_images(tmp_path / "marked", charuco_images)}
    for sources, asked, message in (
        (plain, Chessboard(9, 6, 30), r"9x6:30mm was found in no frame.*looks like chessboard:5x4"),
        (plain, CHARUCO, "no frame of any camera: check kind, columns, rows and dictionary"),
        (marked, CharucoBoard(5, 4, 30, 22, "5x5_50"), r"looks like charuco:4x5:30mm:.*:4x4"),
        (marked, CharucoBoard(5, 4, 30, 22, "4x4_50"), "looks like charuco:4x5:30mm:22mm:4x4"),
    ):
        with pytest.raises(CalibrationError, match=message):
            find_boards(sources, asked)
    # One camera may have seen another board than the others.
    other = write_images(tmp_path / "side", take_photographs(Chessboard(7, 5, 30)))
    both = {"side": other, **plain}
    with pytest.raises(CalibrationError, match=r"no frame of side: .*looks like chessboard:7x5:30"):
        calibrate(both, BOARD)


def test_mirrored_and_upside_down_videos(charuco_images, tmp_path):
    """Corners keep their true numbers; a mirrored video is told, a turned one does no harm."""
    sources = {
        "as it is": write_images(tmp_path / "0", charuco_images),
        "mirrored": write_images(tmp_path / "1", [image[:, ::-1] for image in charuco_images]),
        "turned": write_images(tmp_path / "2", [image[::-1, ::-1] for image in charuco_images]),
    }
    found = find_boards(sources, CHARUCO)
    assert [own.mirrored for own in found.values()] == [False, True, False]
    plain, mirrored, turned = (own.pixels for own in found.values())
    np.testing.assert_allclose(mirrored * [-1, 1] + [319, 0], plain, atol=0.05)
    np.testing.assert_allclose([319, 239] - turned, plain, atol=0.05)


def test_detections_are_checked_and_cut():
    pixels = np.zeros((3, 20, 2))
    with pytest.raises(CalibrationError, match=r"detections of top: wanted frames \(F,\)"):
        BoardDetections("top", SIZE, [0, 1], pixels, 9)
    whole = BoardDetections("top", SIZE, [4, 5, 8], pixels, 9)
    assert np.isnan(whole.blur).all()
    part = replace(whole, blur=[1.0, 2.0, 3.0]).take([0, 2])
    assert part.frames.tolist() == [4, 8] and part.blur.tolist() == [1, 3]
    assert part.pixels.shape == (2, 20, 2)


def test_a_script_without_a_guard_runs_once(tmp_path, images):
    """The example of the README as a script: processes that search do not run it again."""
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    script = """
import calibration
print("STARTED")
board = calibration.Chessboard(5, 4, 30)
found = calibration.find_boards({"a": "*.png"}, board, workers=2)
print(len(found["a"].frames))
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["STARTED", "6"] and done.stderr == ""
