"""Board videos that lack frames calibrate as well as whole ones, once their times are known."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import (
    CalibrationError,
    CameraGroup,
    Chessboard,
    calibrate,
    find_boards,
    find_moments,
)
from calibration.rotations import turn
from calibration.synthetic import aim_camera
from mapose.cli import app
from mapose.io import VideoWriter
from tests.calibration.board_views import draw_texture

BOARD, RATE, N = Chessboard(6, 5, 12), 10.0, 40
SPEC = "chessboard:6x5:12mm"
LOST = np.array([6, 7, 15, 22, 29, 34])


def make_rig():
    places = {"a": (-90.0, 20.0, -190.0), "b": (60.0, -40.0, -200.0), "c": (0.0, 80.0, -210.0)}
    return CameraGroup(
        [aim_camera(n, p, target=(0, 0, 0), size=(320, 240), focal=380) for n, p in places.items()],
        "mm",
    )


def place_corners(time):
    """The board's plane in the world at a moment: rotation (3, 3), translation (3,)."""
    swing = np.array(
        [0.45 * np.sin(1.7 * time), 0.5 * np.cos(1.3 * time), 0.4 * np.sin(0.6 * time)]
    )
    way = np.array([14 * np.sin(1.1 * time), 10 * np.cos(1.9 * time), 25 * np.sin(0.8 * time)])
    rotation = turn(swing)
    return rotation, way - rotation @ BOARD.points.mean(0)


def draw(camera, time):
    """What a camera sees of the board, grey levels (H, W)."""
    scale, fine = 6.0, 4
    texture, low = draw_texture(BOARD, margin=8.0, per_unit=scale)
    rotation, shift = place_corners(time)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * texture.shape[::-1]
    plane = np.c_[(corners - 0.5) / scale + low, np.zeros(4)]
    seen = camera.project(plane @ rotation.T + shift)
    matrix = cv2.getPerspectiveTransform(
        (corners - 0.5).astype(np.float32), (fine * (seen + 0.5) - 0.5).astype(np.float32)
    )
    size = (fine * camera.size[0], fine * camera.size[1])
    image = cv2.warpPerspective(40 + 160 * texture, matrix, size, borderValue=90)
    return cv2.resize(image, camera.size, interpolation=cv2.INTER_AREA).round().astype(np.uint8)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The rig, videos of which one lacks frames and one is half a frame late, and their times."""
    folder, rig = tmp_path_factory.mktemp("films"), make_rig()
    when = {n: np.arange(N) / RATE for n in rig.names}
    when["b"] = np.delete(when["b"], LOST)
    when["c"] = when["c"] + 0.5 / RATE
    for name, times in when.items():
        with VideoWriter(folder / f"{name}.mp4", RATE) as writer:
            for time in times:
                writer.write(np.repeat(draw(rig[name], time)[..., None], 3, -1))
    rows = [f"{name},{7 + time:.5f}" for name, times in when.items() for time in times]
    (folder / "times.csv").write_text("camera,time\n" + "\n".join(rows), encoding="utf-8")
    return folder


def measure(path):
    """Find how far distances between cameras are off, in mm, at most."""
    found, truth = CameraGroup.load(path), make_rig()
    return max(
        abs(np.linalg.norm(found[a].centre - found[b].centre) - np.linalg.norm(
            truth[a].centre - truth[b].centre))
        for a, b in ("ab", "bc", "ac")
    )  # fmt: skip


def test_dropped_and_late_frames_calibrate_as_well_as_whole_videos(films, tmp_path):
    videos = {name: films / f"{name}.mp4" for name in "abc"}
    output = tmp_path / "c.toml"
    sources = [f"{name}={path}" for name, path in videos.items()]
    run = ["calibrate", "--board", SPEC, *sources, "-o", str(output)]
    done = CliRunner().invoke(app, [*run, "--times", str(films / "times.csv")])
    assert done.exit_code == 0, done.output
    assert "contradict" not in done.output and "differ in length" not in done.output
    assert measure(output) < 4  # mm, of cameras 200 mm away; the board missed the rim of the images
    by_time = json.loads(output.with_suffix(".report.json").read_text(encoding="utf-8"))["median"]
    group, report = calibrate(videos, BOARD, workers=1)
    group.save(output)
    assert by_time < 0.1 and report.median > 20 * by_time  # px
    assert measure(output) > 4


def test_corners_lie_at_the_common_moments(films):
    when = {n: np.arange(N) / RATE for n in "abc"}
    when["b"], when["c"] = np.delete(when["b"], LOST), when["c"] + 0.5 / RATE
    found = find_boards({n: films / f"{n}.mp4" for n in "abc"}, BOARD, workers=1, times=when)
    moments, period = find_moments(list(when.values()))
    assert period == pytest.approx(1 / RATE) and not np.isin(LOST, found["b"].frames).any()
    rig = make_rig()
    for name, own in found.items():
        assert own.rate == pytest.approx(RATE) and own.n_frames == len(moments) == N
        assert len(own.frames) > 24
        for number, pixels in zip(own.frames, own.pixels, strict=True):
            rotation, shift = place_corners(moments[number])
            truth = rig[name].project(BOARD.points @ rotation.T + shift)
            off = min(np.abs(pixels - t).mean() for t in (truth, truth[::-1]))
            assert off < 0.6, (name, number, off)
    with pytest.raises(CalibrationError, match="b: its recording has 34 frames, but 9 times"):
        find_boards({"a": films / "a.mp4", "b": films / "b.mp4"}, BOARD, workers=1,
                    times={**when, "b": when["b"][:9]})  # fmt: skip
    with pytest.raises(CalibrationError, match="no times of a are given, only of b"):
        find_boards({"a": films / "a.mp4"}, BOARD, workers=1, times={"b": when["b"]})
