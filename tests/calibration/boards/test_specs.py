"""Boards as people write them, and the unit of their lengths."""

import logging

import pytest

from calibration import CalibrationError, Chessboard, read_board, write_board
from mapose.cameras.calibrating import calibrate_cameras

LONG = """[calibration]
board_type = "{kind}"
board_size = [9, 6]
board_square_side_length = {side}
board_marker_length = {marker}
board_marker_separation_length = 2
board_marker_bits = 4
board_marker_dict_number = 1000
"""
SHORT = "board_x = 8\nboard_y = 11\nsquare_length = 0.024\nmarker_length = 0.01875\n"
SHORT += "marker_bits = 4\ndict_size = 1000\n"
CALISCOPE = 'columns = 4\nrows = 5\nsquare_size_override_cm = 5.4\ndictionary = "DICT_4X4_50"\n'
CALISCOPE += "aruco_scale = 0.75\n"


def write(folder, text):
    path = folder / "board.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        SHORT,
        SHORT.replace("0.024", "24").replace("0.01875", "18.75"),
        LONG.format(kind="checkerboard", side=2.5, marker=2),
        LONG.format(kind="charuco", side=25, marker=18),
        LONG.format(kind="aruco", side=25, marker=18),
    ],
)
def test_files_of_anipose_say_no_unit_and_an_option_does(tmp_path, caplog, text):
    path = write(tmp_path, text)
    with caplog.at_level(logging.WARNING):
        board = read_board(path)
    assert board.unit == "unknown" and "unknown" not in str(board)
    assert "--unit" in caplog.text
    assert read_board(path, "m").unit == "m"
    with pytest.raises(CalibrationError, match="wanted mm, cm, m, in, came 'km'"):
        read_board(path, "km")
    with pytest.raises(CalibrationError, match="--unit"):
        write_board(board, tmp_path / "board.pdf")


def test_files_that_say_their_unit_keep_it(tmp_path):
    path = write(tmp_path, CALISCOPE)
    board = read_board(path)
    assert (board.square, board.unit) == (54, "mm")
    with pytest.raises(CalibrationError, match="it says mm, came the unit m"):
        read_board(path, "m")
    with pytest.raises(CalibrationError, match="it says cm"):
        read_board("chessboard:9x6:3cm", "mm")


@pytest.mark.parametrize(
    ("spec", "fitting"),
    [
        ("charuco:8x11:0.024mm:0.01875mm:4x4_1000", "is it in m?"),
        ("chessboard:9x6:30m", "is it in mm or cm?"),
        ("aruco:6x6:0.03mm:0.009mm:april_36h11", "is it in m?"),
    ],
)
def test_lengths_that_no_board_has_are_questioned(caplog, spec, fitting):
    with caplog.at_level(logging.WARNING):
        read_board(spec)
    assert fitting in caplog.text


def test_small_and_large_boards_are_not_questioned(caplog):
    with caplog.at_level(logging.WARNING):
        for spec in ("chessboard:9x6:0.5mm", "chessboard:4x7:60cm", "chessboard:9x6:1in"):
            read_board(spec)
    assert not caplog.text


def test_unknown_lengths_are_written_as_they_are(tmp_path):
    board = Chessboard(9, 6, 2.5, unit="unknown")
    assert str(board) == "chessboard:9x6:2.5"
    with pytest.raises(CalibrationError, match="no board file"):
        calibrate_cameras({"a": tmp_path}, "nothing.toml", output=tmp_path / "c.toml")
