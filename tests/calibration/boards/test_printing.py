import re
import zlib

import cv2
import numpy as np
import pytest

from calibration import CalibrationError
from calibration.boards.charuco import CharucoBoard
from calibration.boards.chessboard import Chessboard
from calibration.boards.markergrid import ArucoGrid
from calibration.boards.printing import find_dark_areas, write_board

BOARDS = [
    Chessboard(9, 6, 15),
    Chessboard(8, 6, 1.5, unit="cm"),
    CharucoBoard(5, 4, 20, 15, "4x4_50"),
    CharucoBoard(4, 6, 20, 14, "5x5_100", legacy=True),
    ArucoGrid(3, 2, 25, 6, "april_36h11"),
]


@pytest.mark.parametrize("board", BOARDS, ids=str)
def test_printed_board_is_found_in_true_size(board, tmp_path):
    """What is printed is what `detect` looks for, every corner at its place to a tenth of a mm."""
    path = tmp_path / "board.png"
    write_board(board, path, dpi=200)
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    pixels = board.detect(image)
    assert np.isfinite(pixels).all()
    scale = 200 / 25.4 * {"mm": 1, "cm": 10}[board.unit]
    offset = pixels - board.points[:, :2] * scale
    assert np.abs(offset - np.median(offset, axis=0)).max() < 0.1 * 200 / 25.4
    data = path.read_bytes()
    at = data.index(b"pHYs")
    assert int.from_bytes(data[at + 4 : at + 8], "big") == round(200 / 0.0254)
    assert [p.name for p in tmp_path.iterdir()] == ["board.png"]


def test_pdf_has_the_true_size(tmp_path):
    board = CharucoBoard(8, 11, 24, 18.75, "4x4_1000")
    path = tmp_path / "board.pdf"
    write_board(board, path)
    content = path.read_bytes()
    box = re.search(rb"MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    width, height = (float(v) / 72 * 25.4 for v in box.groups())
    assert width == pytest.approx(9 * 24, abs=0.01) and height == pytest.approx(
        12 * 24 + 8, abs=0.01
    )
    stream = content[content.index(b"stream\n") + 7 : content.index(b"\nendstream")]
    drawn = zlib.decompress(stream).decode()
    areas = np.array(re.findall(r"([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) re", drawn), float)
    assert len(areas) == len(find_dark_areas(board))
    assert areas[:, 2].max() / 72 * 25.4 == pytest.approx(24, abs=0.001)
    assert "charuco:8x11:24mm:18.75mm:4x4_1000" in drawn
    # The table at the end leads to every object.
    table = content[content.rindex(b"xref\n0") :].split(b"\n")[3:8]
    for number, line in enumerate(table, 1):
        assert content[int(line[:10]) :].startswith(b"%d 0 obj" % number)


def test_boards_that_cannot_be_printed(tmp_path):
    with pytest.raises(CalibrationError, match=r"ends in \.pdf or \.png"):
        write_board(BOARDS[0], tmp_path / "board.svg")
    with pytest.raises(CalibrationError, match="'squares' has no size"):
        write_board(Chessboard(5, 4, 1, unit="squares"), tmp_path / "board.pdf")
    assert list(tmp_path.iterdir()) == []
