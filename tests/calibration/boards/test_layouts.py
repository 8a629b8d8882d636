"""A ChArUco board that is not the one asked for is recognised and named."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CharucoBoard, find_boards
from tests.calibration.board_views import photograph, place_camera

SHOWN = CharucoBoard(7, 5, 30, 22.5, "4x4_1000")


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(3)
    return photograph(SHOWN, place_camera(SHOWN, rng, fill=0.8, tilt=20), rng)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"columns": 5, "rows": 7},
        {"columns": 8},
        {"columns": 6},
        {"dictionary": "5x5_250"},
        {"dictionary": "april_36h11"},
        {"marker": 15.0},
        {"columns": 4, "marker": 17.0, "dictionary": "6x6_50"},
    ],
)
def test_the_board_that_is_seen_is_named(image, change):
    said = replace(SHOWN, **change).suggest(image)
    kind, size, square, marker, dictionary = said.split(":")
    assert (kind, size, square, dictionary) == ("charuco", "7x5", "30mm", "4x4_1000")
    assert float(marker.removesuffix("mm")) == pytest.approx(22.5, abs=2)


def test_nothing_is_named_where_no_board_is(rng):
    noise = rng.integers(0, 255, (480, 640), np.uint8)
    assert SHOWN.suggest(noise) == ""
    assert SHOWN.suggest(np.full((480, 640), 90, np.uint8)) == ""


def test_a_recording_of_another_board_is_refused_with_its_name(image, tmp_path):
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
    asked = replace(SHOWN, columns=5, rows=7)
    with pytest.raises(CalibrationError, match=r"looks like charuco:7x5:30mm:22\.5mm:4x4_1000"):
        find_boards({"a": tmp_path}, asked, workers=1)
    found = find_boards({"a": tmp_path}, SHOWN, workers=1)["a"]
    assert len(found.frames) == 3 and not found.hint
