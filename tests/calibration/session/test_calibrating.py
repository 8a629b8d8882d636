import json
from dataclasses import replace

import numpy as np
import pytest

from calibration import CalibrationError
from calibration.alignment import find_similarity
from calibration.boardposes import place_board
from calibration.boards.charuco import CharucoBoard
from calibration.boards.chessboard import Chessboard
from calibration.boards.detection import BoardDetections
from calibration.rotations import turn
from calibration.session.calibrating import calibrate, calibrate_detections
from calibration.synthetic import film_board, make_ring

BOARD = Chessboard(8, 5, 30)
EVEN = Chessboard(8, 6, 25)


def make_detections(name, size, pixels, **changes):
    found = np.isfinite(pixels[..., 0]).any(1)
    given = {
        "camera": name,
        "size": size,
        "frames": np.flatnonzero(found),
        "pixels": pixels[found],
        "n_frames": len(pixels),
        "rate": 30.0,
        "mirrored": False,
    }
    return BoardDetections(**{**given, **changes})


def film(ring, board=BOARD, **options):
    """What `find_boards` would find, by camera; and the truth."""
    truth = film_board(ring, board.points, **options)
    cameras = zip(ring, truth.pixels, strict=True)
    return {c.name: make_detections(c.name, c.size, p) for c, p in cameras}, truth


def measure_centres(group, ring):
    found, true = (np.array([c.centre for c in g]) for g in (group, ring))
    return np.linalg.norm(find_similarity(found, true, scale=False).move(found) - true, axis=1)


@pytest.fixture(scope="module")
def mixed():
    """Three pinholes and a fisheye, 40 frames, 5 % false corners."""
    ring = make_ring(4, seed=1, fisheye=[2])
    found, truth = film(ring, n=40, seed=1)
    group, report = calibrate_detections(found, BOARD, fisheye=["cam2"])
    return ring, found, truth, group, report


def test_cameras_are_calibrated(mixed):
    ring, _, _, group, report = mixed
    assert group.names == ring.names and group.unit == "mm"
    assert [c.model for c in group] == [c.model for c in ring]
    assert measure_centres(group, ring).max() < 5
    for camera, true in zip(group, ring, strict=True):
        assert camera.matrix[0, 0] == pytest.approx(true.matrix[0, 0], rel=0.01)
    assert report.median < 0.45  # 0.3 px of noise in each coordinate: 0.35


def test_report_says_what_came_out(mixed):
    _, found, _, group, report = mixed
    for camera in report.cameras:
        seen = np.isfinite(found[camera.name].pixels[..., 0])
        assert (camera.views, camera.corners) == (seen.any(1).sum(), seen.sum())
        assert 0.02 < camera.false < 0.1 and 0.05 < camera.coverage < 1
        assert camera.median < camera.mean  # false corners are not left out
        assert camera.focal == pytest.approx(group[camera.name].matrix[0, 0], rel=0.02)
        assert 0 < camera.sd["fx"] < 0.02 * camera.focal
    assert all(agreeing > 0.8 * n for n, agreeing in report.shared.values())
    text = str(report)
    assert len(text.splitlines()[0]) < 110
    assert all(any(line.startswith(name) for line in text.splitlines()) for name in group.names)
    plain = report.to_dict()
    assert plain["cameras"][2]["model"].startswith("fisheye")
    assert plain["shared"][0] == {
        "cameras": ["cam0", "cam1"],
        "frames": report.shared["cam0", "cam1"][0],
        "agreeing": report.shared["cam0", "cam1"][1],
    }
    assert json.loads(json.dumps(plain)) == plain


def test_world_is_the_board_in_one_frame(mixed):
    ring, _, truth, group, _ = mixed
    assert all(camera.centre[2] > 0 for camera in group)
    change = find_similarity([c.centre for c in ring], [c.centre for c in group], scale=False)
    poses = truth.poses
    corners = change.move(place_board(turn(poses[:, :3]), poses[:, 3:], BOARD.points))
    flat = np.abs(corners[..., 2]).max(1)
    best = np.argmin(flat)
    assert flat[best] < 3 and np.linalg.norm(corners[best, 0]) < 5
    assert corners[best, 6, 0] == pytest.approx(180, abs=5)


def test_every_camera_order_is_kept_and_reference_unseen_pairs_link():
    ring = make_ring(5, seed=3)
    found, _ = film(ring, n=36, seed=3)
    # cam0 never sees the board together with cam2 and cam3.
    for other in ("cam2", "cam3"):
        keep = ~np.isin(found[other].frames, found["cam0"].frames[::2])
        found[other] = replace(
            found[other], frames=found[other].frames[keep], pixels=found[other].pixels[keep]
        )
    keep = np.isin(found["cam0"].frames, found["cam2"].frames) | np.isin(
        found["cam0"].frames, found["cam3"].frames
    )
    found["cam0"] = replace(
        found["cam0"], frames=found["cam0"].frames[~keep], pixels=found["cam0"].pixels[~keep]
    )
    backwards = dict(reversed(found.items()))
    group, report = calibrate_detections(backwards, BOARD)
    assert group.names == ("cam4", "cam3", "cam2", "cam1", "cam0")
    assert ("cam2", "cam0") not in report.shared
    order = [ring[name] for name in group.names]
    assert measure_centres(group, order).max() < 10


def test_boards_with_two_numberings():
    ring = make_ring(3, seed=4)
    found, _ = film(ring, EVEN, n=24, seed=4, false=0.0)
    rng = np.random.default_rng(4)
    for name, own in found.items():
        flipped = rng.random(len(own.frames)) < 0.5
        pixels = np.where(flipped[:, None, None], own.pixels[:, EVEN.symmetries[1]], own.pixels)
        found[name] = replace(own, pixels=pixels)
    group, report = calibrate_detections(found, EVEN)
    assert measure_centres(group, ring).max() < 5
    assert report.p95 < 1.0


def test_lens_may_have_its_own_recording():
    """Where the common recording shows the board far away only."""
    ring = make_ring(3, seed=5)
    found, _ = film(ring, n=24, seed=5)
    alone, _ = film(make_ring(3, seed=5), n=24, seed=6)
    few = found["cam1"]
    found["cam1"] = replace(few, frames=few.frames[:5], pixels=few.pixels[:5])
    group, report = calibrate_detections(found, BOARD, lens_detections={"cam1": alone["cam1"]})
    assert group["cam1"].matrix[0, 0] == pytest.approx(ring["cam1"].matrix[0, 0], rel=0.005)
    assert report.cameras[1].views == 5 + len(alone["cam1"].frames)
    _, poorer = calibrate_detections(found, BOARD)
    assert poorer.cameras[1].sd["fx"] > report.cameras[1].sd["fx"]


def test_stills_that_do_not_belong_together_give_lenses(rng):
    ring = make_ring(2, seed=6)
    found, _ = film(ring, n=20, seed=6)
    for name, own in found.items():
        order = rng.permutation(len(own.frames))
        found[name] = replace(own, pixels=own.pixels[order], rate=None)
    group, report = calibrate_detections(found, BOARD)
    assert all((camera.translation == 0).all() for camera in group)
    assert "do not belong together" in str(report) and report.shared == {}
    assert report.median < 0.45
    videos = {name: replace(own, rate=30.0) for name, own in found.items()}
    with pytest.raises(CalibrationError, match="cannot link"):
        calibrate_detections(videos, BOARD)


def test_one_camera_alone():
    ring = make_ring(2, seed=7)
    found, _ = film(ring, n=30, seed=7)
    group, report = calibrate_detections({"cam0": found["cam0"]}, BOARD)
    assert group["cam0"].matrix[0, 0] == pytest.approx(ring["cam0"].matrix[0, 0], rel=0.01)
    assert report.advice == ()


def test_report_says_what_to_film_again():
    """A board that always lay in the middle, in six frames."""
    ring = make_ring(2, seed=8)
    points = place_board(turn(np.array([np.pi, 0, 0])), np.array([-90.0, 60.0, 0]), BOARD.points)
    rng = np.random.default_rng(8)
    pixels = ring.project(points)[:, None] + rng.normal(0, 0.3, (2, 6, 40, 2))
    found = {c.name: make_detections(c.name, c.size, p) for c, p in zip(ring, pixels, strict=True)}
    group, report = calibrate_detections(found, BOARD)
    text = str(report)
    for words in ("only 6 views", "always held alike", "covered", "up to the rim"):
        assert words in text, words
    for camera, true in zip(group, ring, strict=True):  # and stays sane
        assert camera.matrix[0, 0] == pytest.approx(true.matrix[0, 0], rel=0.3)


def bend(found, name, **changes):
    return {**found, name: replace(found[name], **changes)}


def test_recordings_that_do_not_go_together(mixed):
    _, found, _, _, _ = mixed
    options = {"fisheye": ["cam2"]}
    with pytest.raises(CalibrationError, match=r"different frame rates \(.*cam1 25,.*frames/s"):
        calibrate_detections(bend(found, "cam1", rate=25.0), BOARD, **options)
    _, report = calibrate_detections(bend(found, "cam1", n_frames=52), BOARD, **options)
    assert "differ in length" in report.advice[0] and "cam1 52" in report.advice[0]
    with pytest.raises(CalibrationError, match=r"fisheye: there is no camera 'cma2'; did you mean"):
        calibrate_detections(found, BOARD, fisheye=["cma2"])
    with pytest.raises(CalibrationError, match="lens_videos: there is no camera 'top'"):
        calibrate({"cam0": "cam0.mp4"}, BOARD, lens_videos={"top": "top.mp4"})
    with pytest.raises(CalibrationError, match="no videos"):
        calibrate({}, BOARD)
    lens = replace(found["cam1"], size=(1280, 960))
    with pytest.raises(CalibrationError, match="1280 x 960 pixels, the common one 640 x 480"):
        calibrate_detections(found, BOARD, lens_detections={"cam1": lens}, **options)
    never = bend(found, "cam3", frames=np.empty(0, int), pixels=np.empty((0, 40, 2)))
    with pytest.raises(CalibrationError, match="found in no frame of cam3: check"):
        calibrate_detections(never, BOARD, **options)


def test_videos_out_of_step_are_noticed():
    """One video starts half a second late: no frames agree."""
    ring = make_ring(3, seed=9)
    found, _ = film(ring, n=40, seed=9)
    late = replace(found["cam2"], frames=found["cam2"].frames + 15)
    with pytest.raises(CalibrationError, match=r"cannot link cam2.*start together"):
        calibrate_detections({**found, "cam2": late}, BOARD)


def test_lenses_do_not_bend_to_cameras_that_contradict_each_other():
    """The board moved between exposures: each view as a whole is 3 px off, its corners are not."""
    ring = make_ring(3, seed=11)
    found, _ = film(ring, n=40, seed=11, false=0.0, noise=0.1)
    rng = np.random.default_rng(11)
    for name, own in found.items():
        shift = rng.normal(0, 3, (len(own.frames), 1, 2))
        found[name] = replace(own, pixels=own.pixels + shift)
    group, report = calibrate_detections(found, BOARD)
    assert any("contradict each other" in text for text in report.advice)
    for camera, true in zip(group, ring, strict=True):
        assert camera.matrix[0, 0] == pytest.approx(true.matrix[0, 0], rel=0.01)
        np.testing.assert_allclose(camera.matrix[:2, 2], true.matrix[:2, 2], atol=12)


@pytest.mark.parametrize(
    ("board", "words"),
    [
        (CharucoBoard(9, 6, 30, 22, "4x4_50"), "cam1 saw the board mirrored, unlike the others"),
        (BOARD, "does not show whether a video is mirrored: check that none is"),
    ],
)
def test_mirrored_video_is_noticed(board, words):
    ring = make_ring(3, seed=10)
    found, _ = film(ring, board, n=24, seed=10)
    own, seen = found["cam1"], isinstance(board, CharucoBoard)
    mirrored = replace(own, pixels=[639, 0] + own.pixels * [-1, 1], mirrored=seen)
    with pytest.raises(CalibrationError, match=rf"cannot link cam1.*{words}"):
        calibrate_detections({**found, "cam1": mirrored}, board)


def test_upside_down_video_does_no_harm():
    """The camera hangs upside down, that is all."""
    ring = make_ring(3, seed=10)
    found, _ = film(ring, n=24, seed=10)
    turned = replace(found["cam1"], pixels=[639, 479] - found["cam1"].pixels)
    group, report = calibrate_detections({**found, "cam1": turned}, BOARD)
    assert report.median < 0.45 and measure_centres(group, ring).max() < 5
