"""Recordings of a camera, whatever their files are called."""

import cv2
import numpy as np
import pytest

from calibration.boards.recordings import open_recording


@pytest.mark.parametrize("name", ["10:30.avi", "http:a.avi", "-y.avi"])
def test_names_that_look_like_something_else(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("a.avi", cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for level in range(5):
        writer.write(np.full((48, 64, 3), 40 * level, np.uint8))
    writer.release()
    (tmp_path / "a.avi").rename(tmp_path / name)
    assert len(list(open_recording("top", name).read_frames())) == 5
