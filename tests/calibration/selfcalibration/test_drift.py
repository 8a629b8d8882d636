from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup
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
