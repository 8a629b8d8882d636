"""Cameras that stood in several places in one recording."""

import numpy as np
import pytest

from calibration import (
    CalibrationError,
    CameraGroup,
    add_station,
    find_drift,
    join_calibrations,
    list_stations,
    split_station,
)
from calibration.alignment import Similarity
from calibration.rotations import turn
from calibration.synthetic import make_ring
from tests.calibration.walkers import bump, walk, watch


def test_stations_are_ordered_by_frame_and_survive_the_file(tmp_path):
    ring = make_ring(3)
    later = bump(ring, "cam1", turned=(1, 0, 0))["cam1"]
    group = add_station(add_station(ring, later, 900), ring["cam1"], 200)
    group.save(tmp_path / "c.toml")
    group = CameraGroup.load(tmp_path / "c.toml")
    spans = [(since, end, camera.name) for since, end, camera in list_stations(group, "cam1")]
    assert spans == [(0, 200, "cam1"), (200, 900, "cam1@200"), (900, np.inf, "cam1@900")]
    assert split_station("cam1@900", group) == ("cam1", 900)
    np.testing.assert_array_equal(group["cam1@900"].rotation, later.rotation)
    assert add_station(ring, later, 0).names == ring.names
    # A camera may be called so without being a station.
    odd = CameraGroup([ring["cam0"], ring["cam1"].__class__("rig@2", (9, 9), np.eye(3))])
    assert split_station("rig@2", odd) == ("rig@2", 0)
    with pytest.raises(CalibrationError, match="0 or more"):
        add_station(ring, later, -1)


@pytest.mark.parametrize("onset", [75, 203])
def test_the_moment_and_the_place_of_a_bump_are_found(rng, onset):
    ring = make_ring(4)
    points = walk(rng, 300)
    there = bump(ring, "cam2", turned=(1.0, -0.5, 0.0), moved=(4.0, 0.0, 0.0))
    seen = watch(ring, points, rng, bias=0.5)
    seen[:, onset:] = watch(there, points[onset:], rng, bias=0.5)
    drift = find_drift(ring, seen, frames=np.arange(300) + 1000)
    assert drift.moved == ("cam2",), str(drift)
    assert abs(drift["cam2"].since - 1000 - onset) <= 3
    assert f"from frame {drift['cam2'].since} on" in drift.verdict
    title = f"cam2@{drift['cam2'].since}"
    assert drift.repaired.names == (*ring.names, title)
    after = points[onset:]
    old, new = (
        np.sqrt(((c.project(after) - there["cam2"].project(after)) ** 2).sum(-1).mean())
        for c in (ring["cam2"], drift.repaired[title])
    )
    assert old > 10 and new < 1.0  # px


def test_a_movement_too_small_to_be_seen_is_put_right_where_it_is_known(rng):
    ring = make_ring(4)
    points = walk(rng, 200)
    there = bump(ring, "cam2", turned=(0.05, 0.0, 0.0))
    seen = watch(ring, points, rng, bias=0.0)
    seen[:, 120:] = watch(there, points[120:], rng, bias=0.0)
    assert find_drift(ring, seen).fits
    drift = find_drift(ring, seen, known={"cam2": 120})
    assert drift.repaired.names[-1] == "cam2@120"
    after = points[120:]
    old, new = (
        np.sqrt(((c.project(after) - there["cam2"].project(after)) ** 2).sum(-1).mean())
        for c in (ring["cam2"], drift.repaired["cam2@120"])
    )
    assert new < 0.5 * old
    with pytest.raises(CalibrationError, match="from frame 199 on"):
        find_drift(ring, seen, known={"cam2": 199})


def test_calibrations_before_and_after_are_joined_whatever_their_worlds():
    ring = make_ring(4)
    there = bump(ring, "cam1", turned=(2.0, 0, 0), moved=(10, 0, 0))
    change = Similarity(turn(np.array([0.3, 1.0, -0.4])), np.array([100.0, -40, 7]))
    joined, shifts = join_calibrations(ring, change.move_cameras(there), 500)
    assert joined.names == (*ring.names, "cam1@500")
    np.testing.assert_allclose(joined["cam1@500"].centre, there["cam1"].centre, atol=1e-6)
    assert shifts["cam1"] > 10 and max(shifts[n] for n in ("cam0", "cam2", "cam3")) < 1e-3
    with pytest.raises(CalibrationError, match="no camera has moved"):
        join_calibrations(ring, change.move_cameras(ring), 500)
    with pytest.raises(CalibrationError, match="fewer than two"):
        join_calibrations(ring, make_ring(4, seed=9, radius=900), 500)
    with pytest.raises(CalibrationError, match="one is in mm, the other in m"):
        join_calibrations(ring, CameraGroup(list(there), "m"), 500)
