"""Social measures on animals that do a known thing at a known time."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.kinematics import (
    Bout,
    find_approaches,
    find_distances,
    find_following,
    find_occupancy,
    find_proximity,
    find_velocities,
)
from mapose.poses import Poses
from mapose.skeleton import Skeleton

RATE = 20.0


def make_poses(*paths, rate=RATE, names=None, frames=None) -> Poses:
    """Animals of a nose at x, y and a tail 10 behind, both with the same y."""
    array = np.ones((len(paths[0]), len(paths), 2, 3), np.float32)
    for i, path in enumerate(paths):
        array[:, i, :, :2] = np.asarray(path)[:, None] + [[0, 0], [-10, 0]]
    names = names or ["ann", "bob", "eve"][: len(paths)]
    return Poses(array, Skeleton(["nose", "tail"]), names, rate, frames=frames)


def walk(x, y=0.0):
    return np.stack(np.broadcast_arrays(np.asarray(x, float), y), -1)


STILL = walk(np.full(100, 100.0))


def test_distances_between_centres_nearest_and_keypoints():
    poses = make_poses(walk([0.0, 0.0]), walk([30.0, np.nan], 40.0))
    assert find_distances(poses)[0].tolist() == [[0, 50], [50, 0]]
    assert find_distances(poses, between="nearest")[0, 0, 1] == pytest.approx(np.hypot(20, 40))
    nose_tail = find_distances(poses, between=("nose", "tail"))[0]
    assert nose_tail[0, 1] == pytest.approx(np.hypot(20, 40))
    assert nose_tail[1, 0] == pytest.approx(np.hypot(40, 40)) and nose_tail[0, 0] == 10
    for between in ("centres", "nearest", ("nose", "nose")):
        away = find_distances(poses, between=between)
        assert away.shape == (2, 2, 2) and away.dtype == np.float64
        assert np.isnan(away[1, 0, 1]) and np.isnan(away[1, 1, 1]) and away[1, 0, 0] == 0


def test_distances_agree_with_movement(movement):
    rng = np.random.default_rng(0)
    poses = Poses(rng.random((20, 2, 3, 3)), Skeleton(["a", "b", "c"]), ["x", "y"], rate=10)
    positions = poses.to_xarray()["position"]
    names = {n: n for n in ("keypoints", "individuals")} if "keypoints" in positions.dims else {}
    theirs = movement.kinematics.compute_pairwise_distances(
        positions, dim=names.get("individuals", "individual"), pairs={"x": "y"}
    )
    ours = find_distances(poses, between=("a", "c"))[:, 0, 1]
    assert {"x", "y"} <= set(theirs.dims)
    np.testing.assert_allclose(theirs.sel(x="a", y="c").values, ours, rtol=1e-5)


def test_three_dimensions_count():
    array = np.ones((1, 2, 1, 4), np.float32)
    array[0, :, 0, :3] = [[0, 0, 0], [2, 3, 6]]
    assert find_distances(Poses(array, Skeleton(["nose"])))[0, 0, 1] == 7


def test_wrong_words_are_told():
    poses = make_poses(STILL, STILL)
    with pytest.raises(SettingsError, match="did you mean 'nearest'"):
        find_distances(poses, between="neerest")
    with pytest.raises(SettingsError, match="two keypoints"):
        find_distances(poses, between=["nose"])
    with pytest.raises(ShapeError, match="did you mean 'nose'"):
        find_distances(poses, between=("nosse", "tail"))
    with pytest.raises(SettingsError, match="frame rate"):
        find_proximity(replace(poses, rate=None), within=5)
    with pytest.raises(SettingsError, match="cell"):
        find_occupancy(poses, cell=0)


def test_velocities_are_per_second_and_nan_at_the_ends_and_gaps():
    x = 3.0 * np.arange(30)
    x[20] = np.nan
    speed = find_velocities(make_poses(walk(x)), seconds=0.2)[:, 0, 0]
    known = np.isfinite(speed)
    assert (speed[known] == 60).all()
    assert np.flatnonzero(~known).tolist() == [0, 1, 18, 22, 28, 29]
    gap = np.r_[0:10, 50:60]
    jump = find_velocities(make_poses(walk(3.0 * gap), frames=gap))[:, 0, 0]
    assert (jump[np.isfinite(jump)] == 60).all() and np.isnan(jump[[8, 9, 10, 11]]).all()


def test_proximity_is_found_with_its_frames_and_seconds():
    x = np.full(100, 100.0)
    x[10:40] = 5
    x[60:64] = 5  # too short
    poses = make_poses(walk(x), walk(np.zeros(100)), walk(np.full(100, 500.0)))
    assert find_proximity(poses, within=20) == [Bout(10, 39, ("ann", "bob"), 1.5)]
    assert find_proximity(poses, within=20, min_duration=0)[1].first == 60
    assert find_proximity(poses, within=2, between="centres") == []


def test_short_interruptions_and_missing_frames_are_bridged_long_ones_not():
    x = np.full(100, 5.0)
    x[30:33] = np.nan
    x[60:70] = np.nan
    poses = make_poses(walk(x), walk(np.zeros(100)))
    spans = [(b.first, b.last) for b in find_proximity(poses, within=20)]
    assert spans == [(0, 59), (70, 99)]
    frames = np.r_[0:50, 200:250]
    apart = replace(make_poses(walk(np.full(100, 5.0)), walk(np.zeros(100))), frames=frames)
    assert [(b.first, b.last) for b in find_proximity(apart, within=20)] == [(0, 49), (200, 249)]


def test_nose_to_tail_has_a_direction():
    poses = make_poses(walk(np.full(40, 0.0)), walk(np.full(40, 12.0)))
    found = find_proximity(poses, within=5, between=("nose", "tail"))
    assert [b.label for b in found] == ["ann > bob"] and found[0].directed
    assert find_proximity(poses, within=50)[0].label == "ann - bob"


@pytest.mark.parametrize("turned", [False, True])
def test_who_walks_up_to_whom(turned):
    x = np.interp(np.arange(100), [20, 60], [0, 90])  # 45 px/s towards 100, from frame 20 to 60
    pair = [walk(x), STILL]
    found = find_approaches(make_poses(*(pair[::-1] if turned else pair)), within=25, min_speed=20)
    assert len(found) == 1
    assert found[0].individuals == (("bob", "ann") if turned else ("ann", "bob"))
    assert abs(found[0].first - 20) <= 2 and abs(found[0].last - 53) <= 2 and found[0].directed


def test_what_is_no_approach():
    t = np.arange(100)
    away = walk(np.interp(t, [20, 60], [90, 0]))
    past = walk(np.interp(t, [20, 60], [0, 300]), 60.0)
    short = walk(np.interp(t, [20, 60], [0, 50]))  # stops half-way
    slow = walk(np.interp(t, [0, 99], [60, 95]))
    for path in (away, past, short, slow):
        assert find_approaches(make_poses(path, STILL), within=25, min_speed=20) == []
    both = make_poses(
        walk(np.interp(t, [20, 60], [0, 45])), walk(np.interp(t, [20, 60], [100, 55]))
    )
    found = find_approaches(both, within=25, min_speed=10)
    assert sorted(b.individuals for b in found) == [("ann", "bob"), ("bob", "ann")]


def test_who_runs_after_whom():
    x = 4.0 * np.arange(100)
    poses = make_poses(walk(x), walk(x + 40, 5.0))
    found = find_following(poses, within=60, min_speed=30)
    assert [b.individuals for b in found] == [("ann", "bob")]
    assert found[0].first <= 2 and found[0].last >= 97 and found[0].duration > 4.7
    assert find_following(poses, within=30, min_speed=30) == []
    assert find_following(poses, within=60, min_speed=100) == []
    beside = make_poses(walk(x), walk(x, 40.0))
    apart = make_poses(walk(x), walk(440 - x))
    assert find_following(beside, within=60, min_speed=30) == []
    assert find_following(apart, within=600, min_speed=30) == []


def test_occupancy_adds_up_to_the_time_seen():
    x = np.r_[np.full(40, 5.0), np.full(50, 25.0), np.full(10, np.nan)]
    poses = make_poses(walk(x, 15.0), walk(np.full(100, 35.0), 5.0)).sel(keypoint="nose")
    found = find_occupancy(poses, cell=10, region=(0, 0, 40, 20))
    assert found.seconds.shape == (2, 2, 4) and found.x.tolist() == [0, 10, 20, 30, 40]
    assert found.seconds[0, 1].tolist() == [2, 0, 2.5, 0] and found.seconds[1, 0, 3] == 5
    assert found.seconds.sum(axis=(1, 2)).tolist() == [4.5, 5]
    whole = find_occupancy(poses, cell=7)
    assert whole.seconds.sum() == pytest.approx(9.5) and whole.unit == "px"


def test_nobody_and_nothing():
    none = make_poses(STILL, STILL).sel(frames=[])
    assert find_distances(none).shape == (0, 2, 2) and find_velocities(none).shape == (0, 2, 2)
    for find in (find_approaches, find_following):
        assert find(none, within=5, min_speed=1) == []
    assert find_proximity(none, within=5) == []
    assert find_occupancy(none, cell=0.5).seconds.sum() == 0
    gone = make_poses(walk(np.full(50, np.nan)), walk(np.zeros(50)))
    assert find_proximity(gone, within=5) == []
    assert find_approaches(gone, within=5, min_speed=1) == []
    assert find_following(gone, within=5, min_speed=1) == []
