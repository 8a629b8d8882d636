import csv
from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup
from calibration.files.readers import read_cameras
from calibration.selfcalibration.drift import find_drift
from calibration.synthetic import make_ring
from tests.calibration.walkers import bump, read_person, walk, watch


@pytest.mark.parametrize("n", [2, 3, 5])
def test_cameras_that_stayed_are_not_blamed(n):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        ring = make_ring(n, seed=seed)
        seen = watch(ring, walk(rng, 100), rng, noise=1.5, bias=1.0)
        drift = find_drift(ring, seen)
        assert drift.fits, str(drift)
        assert drift.verdict.startswith("The calibration fits")
        assert all(d.since == -1 for d in drift.drifts)


@pytest.mark.parametrize("n", [3, 5])
def test_the_camera_that_moved_is_found(n):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        ring = make_ring(n, seed=seed)
        there = bump(ring, "cam1", turned=(0.6, 0.6, 0.0), moved=(2.0, 0.0, 1.0))
        points = walk(rng, 100)
        steps = []
        drift = find_drift(
            ring,
            watch(there, points, rng, noise=1.5, bias=0.5),
            on_progress=lambda *step, steps=steps: steps.append(step),
        )
        assert drift.moved == ("cam1",), str(drift)
        assert steps == [(k + 1, n * (1 + k // n)) for k in range(len(steps))]
        assert steps[-1][0] == steps[-1][1]
        truth = there["cam1"].project(points) - ring["cam1"].project(points)
        size = np.sqrt((truth**2).sum(-1).mean())
        assert drift["cam1"].shift == pytest.approx(size, rel=0.15)
        left = drift.cameras["cam1"].project(points) - there["cam1"].project(points)
        assert np.sqrt((left**2).sum(-1).mean()) < 0.2 * size
        assert "cam1 by" in drift.verdict


def test_two_cameras_tell_only_that_one_moved(rng):
    ring = make_ring(2)
    there = bump(ring, "cam1", turned=(1.0, 0.0, 0.0))
    drift = find_drift(ring, watch(there, walk(rng, 100), rng))
    assert not drift.fits
    assert "or the other one" in drift.verdict


def test_two_of_five_cameras_moved(rng):
    ring = make_ring(5)
    there = bump(bump(ring, "cam0", turned=(1, 0, 0.5)), "cam3", turned=(-0.5, 1, 0))
    drift = find_drift(ring, watch(there, walk(rng, 150), rng))
    assert drift.moved == ("cam0", "cam3"), str(drift)


@pytest.mark.parametrize("onset", [60, 270])
def test_the_moment_of_a_bump_is_found(rng, onset):
    ring = make_ring(4)
    points = walk(rng, 300)
    seen = watch(ring, points, rng, bias=0.5)
    there = bump(ring, "cam2", turned=(1.0, -0.5, 0.0))
    seen[:, onset:] = watch(there, points[onset:], rng)
    drift = find_drift(ring, seen)
    assert drift.moved == ("cam2",), str(drift)
    assert drift["cam2"].since == onset
    part = drift["cam2"].over_time
    assert part[: onset // 30].max() < 0.4 * part[onset // 30 :].min()


def test_too_few_points_are_refused():
    with pytest.raises(CalibrationError, match="only 0 points"):
        find_drift(make_ring(3), np.full((3, 10, 4, 2), np.nan))
    with pytest.raises(CalibrationError, match=r"wanted \(3 cameras"):
        find_drift(make_ring(3), np.zeros((2, 10, 4, 2)))


def test_a_blind_camera_is_named(rng):
    ring = make_ring(4)
    seen = watch(ring, walk(rng, 60), rng)
    seen[1] = np.nan
    drift = find_drift(ring, seen)
    assert drift.fits
    assert "Nothing can be said of cam1" in drift.verdict


def test_of_two_calibrations_of_a_lab_one_fits(recordings):
    cameras, _, seen = read_person(recordings, calibration="scene")
    assert find_drift(cameras, seen).fits
    cameras, _, seen = read_person(recordings, calibration="qualisys")
    drift = find_drift(cameras, seen)
    assert drift.moved == ("cam03",), str(drift)


def test_a_recording_that_does_not_tell_says_so_with_what_it_would_have_seen():
    rng = np.random.default_rng(5)
    cameras = make_ring(4, seed=2)
    # An animal that rests: its labels err by 8 px, in the same way in all frames.
    points = rng.normal(0, 15, (1, 12, 3)).repeat(60, 0)
    seen = (
        cameras.project(points) + rng.normal(0, 8, (4, 1, 12, 2)) + rng.normal(0, 1, (4, 60, 12, 2))
    )
    drift = find_drift(cameras, seen)
    assert not drift.moved and drift.untold == cameras.names
    least = min(d.visible for d in drift.drifts)
    assert least > 6.5 and drift.verdict.startswith("Cannot tell whether cam0, cam1, cam2, cam3")
    assert all(f"{d.name} {d.visible:.1f} px" in drift.verdict for d in drift.drifts)
    assert "   ?" in str(drift) and "The calibration fits" not in str(drift)


def test_the_smallest_movement_that_is_seen_is_one_that_is_seen(rng):
    cameras = make_ring(4, seed=2)
    points = rng.normal(0, 60, (80, 6, 3))
    seen = cameras.project(points) + rng.normal(0, 1.5, (4, 80, 6, 2))
    drift = find_drift(cameras, seen)
    assert drift.fits and all(d.told for d in drift.drifts)
    visible = drift["cam1"].visible
    camera = cameras["cam1"]
    angle = 2 * visible / camera.focal
    turned = cv2.Rodrigues(np.array([0, angle, 0.0]))[0]
    moved = replace(
        camera,
        rotation=turned @ camera.rotation_matrix,
        translation=turned @ camera.translation,
    )
    old = CameraGroup([moved if c.name == "cam1" else c for c in cameras], cameras.unit)
    assert find_drift(old, seen).moved == ("cam1",)


def test_each_camera_is_judged_by_what_the_others_predict(rng):
    cameras = make_ring(4, seed=2)
    points = rng.normal(0, 60, (80, 6, 3))
    seen = cameras.project(points) + rng.normal(0, 1, (4, 80, 6, 2))
    good = find_drift(cameras, seen)
    assert all(1 < d.left_out < 4 for d in good.drifts) and "left out px" in str(good)
    seen[2] += [25, 0]
    spoilt = find_drift(cameras, seen)
    assert spoilt["cam2"].left_out > 20 and spoilt.moved == ("cam2",)
    assert np.isnan(find_drift(CameraGroup(list(cameras)[:2]), seen[:2])["cam0"].left_out)


def test_pixels_whose_distortion_was_taken_out_are_no_movement(rng):
    ring = make_ring(4, seed=2)
    bent = CameraGroup([replace(c, distortion=[-0.8, 0.1, 0, 0, 0]) for c in ring], "mm")
    seen = watch(ring, walk(rng, 100) + [60, 0, 0], rng, noise=0.1, false=0, bias=0.05)
    drift = find_drift(bent, seen)
    assert drift.fits and "distortion was taken out" in drift.verdict, str(drift)
    assert not any(camera.distortion.any() for camera in drift.repaired)
    # Lenses as they are get no such sentence, whether a camera moved or not.
    seen = watch(bent, walk(rng, 100) + [60, 0, 0], rng, noise=0.1, false=0, bias=0.05)
    for cameras in (bent, bump(bent, "cam1", turned=(0.5, 0, 0))):
        assert "distortion" not in find_drift(cameras, seen).verdict


def test_a_person_drawn_without_distortion_moves_no_camera(recordings):
    """The second person of two_people was projected without the lenses' distortion."""
    people = [read_person(recordings, "two_people", person) for person in ("P1", "P2")]
    cameras = people[0][0]
    for pixels in (people[0][2], np.stack([seen for _, _, seen in people], 2)):
        drift = find_drift(cameras, pixels)
        assert drift.fits and "distortion was taken out" in drift.verdict, str(drift)
    assert "distortion" not in find_drift(cameras, people[1][2]).verdict


def test_errors_that_last_for_a_while_are_no_movement():
    """A network errs alike in neighbouring frames: most in the last tenth of the recording."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        ring = make_ring(3, seed=seed)
        seen = watch(ring, walk(rng, 500), rng, bias=0.5)
        size = np.r_[np.full(9, 3.0), 6.0]
        angle = rng.uniform(0, 6.3, 10)
        errors = (size * [np.cos(angle), np.sin(angle)]).T.repeat(50, 0)
        seen[2] += errors[:, None, None]
        assert find_drift(ring, seen).fits, str(find_drift(ring, seen))


@pytest.mark.parametrize("network", [0, 1, 2])
def test_networks_that_err_alike_for_a_while_move_no_camera(recordings, network):
    folder = recordings / "fly_3cam_points"
    pixels = []
    for camera in "ABC":
        path = folder / f"05272019_fly4_0_R1C24_Cam-{camera}_rot-ccw-0.06_sec.rng={network}.csv"
        with path.open(encoding="utf-8", newline="") as file:
            rows = np.array(list(csv.reader(file))[3:], float)
        pixels.append(rows[:, 1:].reshape(len(rows), -1, 3)[..., :2])
    drift = find_drift(read_cameras(folder / "calibration.toml"), np.stack(pixels))
    assert drift.fits, str(drift)
