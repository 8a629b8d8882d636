"""Grids of separate markers: every print and side, both ways of numbering, corners to a tenth."""

import cv2
import numpy as np
import pytest

from calibration.boards.markergrid import ArucoGrid, find_grid
from tests.calibration.board_views import photograph, place_camera

BOARD = ArucoGrid(4, 3, 30, 10, "4x4_50")


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("behind", [False, True])
def test_grid_is_found_in_any_print(inverted, behind):
    rng = np.random.default_rng(int(inverted) + 2 * int(behind))
    camera = place_camera(BOARD, rng, tilt=35, behind=behind)
    image, corners = photograph(BOARD, camera, rng, inverted=inverted)
    seen = BOARD.find(image)
    assert (seen.inverted, seen.mirrored) == (inverted, behind)
    error = np.linalg.norm(seen.pixels - corners, axis=1)
    found = np.isfinite(error)
    assert found.mean() >= 0.8 and np.median(error[found]) < 0.1 and error[found].max() < 0.5


def test_rows_numbered_from_below_and_strangers():
    """Kalibr numbers from the bottom row; a marker that is elsewhere is not the board's."""
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    image = np.full((460, 640), 255, np.uint8)
    for place in range(BOARD.n_markers):
        row, column = divmod(place, BOARD.columns)
        number = (BOARD.rows - 1 - row) * BOARD.columns + column
        marker = cv2.aruco.generateImageMarker(dictionary, number, 90)
        image[20 + 120 * row :, 20 + 120 * column :][:90, :90] = marker
    image[20 : 20 + 90, 520 : 520 + 90] = cv2.aruco.generateImageMarker(dictionary, 5, 90)
    pixels = find_grid(BOARD, image).pixels
    wanted = BOARD.points[:, :2] * 3 + 19.5
    own = np.arange(BOARD.n_corners) // 4 != 8 + 5 - 4  # number 5 was seen twice
    assert np.abs(pixels - wanted)[own].max() < 0.2
    assert np.isnan(find_grid(BOARD, np.full((90, 120), 128, np.uint8)).pixels).all()
