"""Speeds, angles, zones and tables, against numpy, movement and known truth."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.kinematics import (
    MeasureOptions,
    Zone,
    find_accelerations,
    find_body_coordinates,
    find_bouts,
    find_distances_travelled,
    find_headings,
    find_joint_angles,
    find_limb_lengths,
    find_positions,
    find_proximity,
    find_speeds,
    find_velocities,
    find_visits,
    find_zone_use,
    list_joints,
    measure_poses,
    scale_poses,
)
from mapose.poses import Poses
from mapose.skeleton import Skeleton

LEG = Skeleton(["hip", "knee", "foot"], [("hip", "knee"), ("knee", "foot")])


@pytest.fixture
def poses(rng):
    """Two animals that wander."""
    points = rng.normal(0, 1, (80, 2, 3, 2)).cumsum(0) + rng.normal(0, 20, (3, 2))
    return Poses(np.concatenate([points, np.ones((80, 2, 3, 1))], -1), LEG, ["x", "y"], rate=20)


def go(path, rate=10.0):
    """One animal of one keypoint."""
    array = np.ones((len(path), 1, 1, 3))
    array[:, 0, 0, :2] = path
    return Poses(array, Skeleton(["nose"]), ["ann"], rate=rate)


def test_velocities_and_accelerations_are_those_of_movement(poses, movement):
    position = poses.to_xarray()["position"]

    def order(theirs):
        return theirs.transpose("time", *theirs.dims[:0:-1]).to_numpy()

    wanted = order(movement.kinematics.compute_velocity(position))
    ours = find_velocities(poses, of="keypoints", seconds=2 / 20)
    np.testing.assert_allclose(ours[1:-1], wanted[1:-1], rtol=1e-4, atol=1e-3)
    assert np.isnan(ours[[0, -1]]).all()
    wanted = order(movement.kinematics.compute_acceleration(position))
    ours = find_accelerations(poses, of="keypoints", seconds=4 / 20)
    np.testing.assert_allclose(ours[2:-2], wanted[2:-2], rtol=1e-3, atol=1e-2)
    speed = find_speeds(poses, of="knee", seconds=2 / 20)
    wanted = order(movement.kinematics.compute_speed(position))
    np.testing.assert_allclose(speed[1:-1], wanted[1:-1, :, 1], rtol=1e-4)


def test_ways_are_those_of_movement(poses, movement):
    array = poses.array.copy()
    array[10:15, 0, 1] = np.nan
    poses = replace(poses, array=array)
    theirs = movement.kinematics.compute_path_length(poses.to_xarray()["position"])
    ours = find_distances_travelled(poses, of="keypoints")[-1]
    np.testing.assert_allclose(ours, theirs.to_numpy().T, rtol=1e-5)


def test_headings_are_those_of_movement(poses, movement):
    from movement.utils.vector import compute_signed_angle_2d

    position = poses.to_xarray()["position"]
    keypoint = "keypoints" if "keypoints" in position.dims else "keypoint"
    way = position.sel({keypoint: "hip"}) - position.sel({keypoint: "foot"})
    theirs = -np.degrees(compute_signed_angle_2d(way, np.array([1, 0])))
    np.testing.assert_allclose(find_headings(poses, "hip", back="foot"), theirs, atol=1e-3)


def test_zones_are_those_of_movement(rng, movement):
    pytest.importorskip("shapely")
    from movement.roi import PolygonOfInterest

    corners = [[1, 1], [9, 2], [5, 5], [8, 9], [2, 8]]
    points = rng.uniform(0, 10, (500, 2))
    polygon = PolygonOfInterest(corners, name="odd")
    theirs = [bool(polygon.contains_point(point)) for point in points]
    assert np.array_equal(Zone("odd", corners).contains(points), theirs)
    assert 0.2 < np.mean(theirs) < 0.8


def test_joints_and_limbs():
    assert list_joints(LEG) == [("hip", "knee", "foot")]
    leg = Poses([[[[0, 0, 0, 1], [0, 3, 0, 1], [0, 3, 4, 1]]]], LEG, ["ann"], rate=10)
    assert find_joint_angles(leg).item() == pytest.approx(90)
    assert find_limb_lengths(leg)[0, 0].tolist() == [3, 4]
    straight = Poses([[[[0, 0, 1], [1, 0, 1], [5, 0, 1]]]], LEG)
    assert find_joint_angles(straight).item() == pytest.approx(180)
    folded = Poses([[[[2, 0, 1], [1, 0, 1], [5, 0, 1]]]], LEG)
    assert find_joint_angles(folded).item() == pytest.approx(0)
    same = Poses([[[[1, 0, 1], [1, 0, 1], [5, 0, 1]]]], LEG)
    assert np.isnan(find_joint_angles(same)).all()
    with pytest.raises(ShapeError, match="three keypoints"):
        find_joint_angles(leg, [("hip", "knee")])


def test_body_coordinates_do_not_know_where_the_animal_is(poses, rng):
    spread = np.tile(np.diag([4.0, 1.0]), (80, 2, 3, 1, 1))
    poses = replace(poses, covariance=spread)
    own = find_body_coordinates(poses, "hip", back="foot")
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    array = poses.array.copy()
    array[..., :2] = poses.points @ turn.T + [30, 50]
    turned = replace(poses, array=array, covariance=turn @ spread @ turn.T)
    again = find_body_coordinates(turned, "hip", back="foot")
    np.testing.assert_allclose(again.points, own.points, atol=1e-3)
    np.testing.assert_allclose(again.covariance, own.covariance, atol=1e-3)
    assert np.abs(own.points[:, :, 2]).max() < 1e-4  # the origin
    assert (own.points[:, :, 0, 0] > 0).all() and np.abs(own.points[:, :, 0, 1]).max() < 1e-3


def test_bouts_by_thresholds():
    poses = go(np.zeros((40, 2)))
    value = np.zeros((40, 1))
    value[5:15], value[9], value[20:22] = 3, 0, 3
    (bout,) = find_bouts(poses, value, at_least=2, min_duration=0.5, max_gap=0.1)
    assert (bout.first, bout.last, bout.individuals, bout.duration) == (5, 14, ("ann",), 1.0)
    assert bout.label == "ann"
    assert len(find_bouts(poses, value, at_least=2, min_duration=0.5, max_gap=0)) == 1
    assert len(find_bouts(poses, value, at_most=1, min_duration=0.1, max_gap=0)) == 4
    with pytest.raises(SettingsError, match="a limit"):
        find_bouts(poses, value)
    with pytest.raises(ShapeError, match="wanted values"):
        find_bouts(poses, value[:-1], at_least=1)


def test_zones_time_entries_latency():
    x = np.r_[np.zeros(10), np.full(10, 5.0), np.zeros(5), 5, np.zeros(4), np.full(10, 5.0)]
    x[15] = 4.0  # for a frame on the border's other side
    poses = go(np.stack([x, np.ones(40)], -1))
    zone = Zone("right", [[4.5, 0], [9, 0], [9, 9], [4.5, 9]])
    (use,) = find_zone_use(poses, [zone])
    assert use.seconds == pytest.approx(2.0) and use.share == pytest.approx(0.5)
    assert use.entries == 2  # a single frame is no visit, a single frame away is no leaving
    assert use.latency == pytest.approx(1.0) and use.distance == 0
    visits = find_visits(poses, [zone])["right"]
    assert [(v.first, v.last) for v in visits] == [(10, 19), (30, 39)]
    (never,) = find_zone_use(poses, [Zone("far", [[50, 50], [60, 50], [60, 60]])])
    assert np.isnan(never.latency) and never.to_dict()["latency"] is None
    with pytest.raises(SettingsError, match="different names"):
        find_zone_use(poses, [zone, zone])
    with pytest.raises(ShapeError, match="three or more corners"):
        Zone("line", [[0, 0], [1, 1]])


def test_pixels_become_millimetres(poses):
    poses = replace(poses, covariance=np.tile(np.eye(2), (80, 2, 3, 1, 1)))
    scaled = scale_poses(poses, 0.5)
    np.testing.assert_allclose(scaled.points, 0.5 * poses.points)
    assert scaled.unit == "mm" and scaled.covariance[0, 0, 0].tolist() == [[0.25, 0], [0, 0.25]]
    np.testing.assert_allclose(find_speeds(scaled), 0.5 * find_speeds(poses), rtol=1e-4)
    with pytest.raises(SettingsError, match="above 0"):
        scale_poses(poses, 0)


def test_all_measures_in_one_table(poses):
    zone = Zone("left", [[-99, -99], [0, -99], [0, 99], [-99, 99]])
    options = MeasureOptions(
        zones=[zone], moving=5.0, near=4.0, body=("hip", "foot"), centre=["hip", "knee"]
    )
    found = measure_poses(poses, options)
    table = found.to_pandas()
    assert len(table) == 160
    row = table[(table.frame == 30) & (table.individual == "y")].iloc[0]
    centre = find_positions(poses.sel(keypoint=["hip", "knee"]))[30, 1]
    assert (row.x, row.y) == pytest.approx(tuple(centre)) and row.time == 1.5
    assert row["angle hip-knee-foot"] == pytest.approx(find_joint_angles(poses)[30, 1, 0])
    assert row["length knee-foot"] == pytest.approx(find_limb_lengths(poses)[30, 1, 1])
    assert row["in left"] == (centre[0] < 0) and np.isnan(row["distance to y"])
    assert {"speed", "acceleration", "distance", "heading", "foot ahead"} <= set(table.columns)
    assert set(found.behaviours) == {"moving", "resting", "near", "in left"}
    near = find_proximity(poses, within=4, between="nearest")
    assert found.behaviours["near"] == near
    assert near != find_proximity(poses, within=4, between="centres")
    moving = sum(b.duration for b in found.behaviours["moving"])
    assert sum(row["moving seconds"] for row in found.summarise()) == pytest.approx(moving)
    bouts = found.list_bouts()
    assert len(bouts) == sum(map(len, found.behaviours.values()))
    assert bouts == sorted(bouts, key=lambda bout: (bout["first"], bout["behaviour"]))
    assert {type(bout["first"]) for bout in bouts} == {int}
    one = found.behaviours["near"][0]
    assert {
        "behaviour": "near", "individuals": "x - y", "first": one.first, "last": one.last,
        "start": one.first / 20, "duration": one.duration,
    } in bouts  # fmt: skip
    dataset = found.to_xarray()
    assert dataset["speed"].shape == (80, 2) and dataset["angle"].shape == (80, 2, 1)
    assert dataset["inside"].sel(zone="left").to_numpy()[30, 1] == row["in left"]
    assert "left" in str(found) and "mean px/s" in str(found)
    assert found.to_dict()["individuals"][0]["individual"] == "x"
    with pytest.raises(SettingsError, match="frame rate"):
        measure_poses(replace(poses, rate=None))
