from dataclasses import replace

import numpy as np
import pytest

from mapose.errors import ShapeError
from mapose.poses import Peaks, Poses, join_peaks
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["snout", "ear", "tail"], [("snout", "ear"), ("ear", "tail")])


@pytest.fixture
def poses(rng):
    array = rng.uniform(1, 100, (6, 2, 3, 3)).astype(np.float32)
    array[..., 2] = 0.9
    array[2, 1, 0] = [np.nan, 5, 0.7]
    array[3, 0, 2] = [np.inf, 5, 0.7]
    covariance = np.tile(np.eye(2, dtype=np.float32), (6, 2, 3, 1, 1))
    return Poses(
        array, SKELETON, ["a", "b"], rate=50, frames=[2, 3, 5, 7, 11, 13],
        identity=np.ones((6, 2)), covariance=covariance,
    )  # fmt: skip


def test_unusable_coordinates_are_missing_and_the_input_stays(poses, rng):
    assert np.isnan(poses.points[2, 1, 0]).all() and poses.confidence[2, 1, 0] == 0
    assert np.isnan(poses.points[3, 0, 2]).all() and poses.confidence[3, 0, 2] == 0
    given = np.full((1, 1, 3, 3), np.inf, np.float32)
    Poses(given, SKELETON)
    assert np.isinf(given).all()
    lost = Poses(np.full((1, 1, 3, 3), np.nan), SKELETON)
    assert (lost.confidence == 0).all()
    vague = Poses(np.dstack([np.ones((1, 3, 2)), np.full((1, 3, 1), np.nan)])[None], SKELETON)
    assert (vague.confidence == 0).all() and np.isfinite(vague.points).all()


def test_everything_is_picked_by_name_and_number(poses):
    part = poses.sel(individual="b", keypoint=["tail", "ear"], frames=slice(3, 12))
    assert part.frames.tolist() == [3, 5, 7, 11] and part.individuals == ("b",)
    np.testing.assert_array_equal(part.array[:, 0, 0], poses.array[1:5, 1, 2])
    assert part.skeleton.edges == (("ear", "tail"),)
    assert part.identity.shape == (4, 1) and part.covariance.shape == (4, 1, 2, 2, 2)
    np.testing.assert_array_equal(poses["a", "ear"], poses.array[:, 0, 1])
    assert poses["b"].names == ("b",)
    assert poses.sel(frames=np.array([5])).frames.tolist() == [5]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"individual": "c"}, "no individual 'c'"),
        ({"keypoint": "snuot"}, "did you mean 'snout'"),
        ({"frames": [4]}, r"frames \[4\]"),
    ],
)
def test_what_is_not_there_is_told(poses, what, message):
    with pytest.raises(ShapeError, match=message):
        poses.sel(**what)


def test_all_faults_come_at_once():
    with pytest.raises(ShapeError, match=r"2 names for 1.*frames must|2 names for 1.*ascend"):
        Poses(np.ones((2, 1, 3, 3)), SKELETON, ["a", "b"], frames=[1, 1])
    with pytest.raises(ShapeError, match=r"keypoints.*rate.*identity.*covariance"):
        Poses(np.ones((2, 1, 2, 3)), SKELETON, rate=-1, identity=np.ones(3), covariance=np.ones(3))
    with pytest.raises(ShapeError, match="frames, individuals, keypoints"):
        Poses(np.ones((2, 3, 3)), SKELETON)


def test_tables_have_the_levels_of_deeplabcut(poses):
    table = poses.to_pandas("me")
    assert table.columns.names == ["scorer", "individuals", "bodyparts", "coords"]
    assert table.loc[7, ("me", "b", "ear", "y")] == poses.array[3, 1, 1, 1]
    single = Poses(poses.array[:, :1], SKELETON).to_pandas()
    assert single.columns.names == ["scorer", "bodyparts", "coords"]


def test_datasets_are_those_of_movement(poses):
    data = poses.to_xarray()
    names = {"keypoints": "keypoint", "individuals": "individual"}  # before movement 0.17
    data = data.rename({old: new for old, new in names.items() if old in data.dims})
    assert data.position.dims == ("time", "space", "keypoint", "individual")
    at = data.position.sel(keypoint="tail", individual="a", space="y")
    np.testing.assert_array_equal(at, poses.points[:, 0, 2, 1])
    assert data.time.values.tolist() == [0.04, 0.06, 0.1, 0.14, 0.22, 0.26]
    assert data.attrs["time_unit"] == "seconds" and data.attrs["fps"] == 50


def make_peaks(frames: int, count: int, rng) -> Peaks:
    pairs = np.array([[0, 1]]) if count > 1 else np.empty((0, 2), np.int64)
    return Peaks(
        np.sort(rng.integers(0, frames, count)), rng.integers(0, 3, count),
        rng.uniform(0, 9, (count, 2)).astype(np.float32), np.ones(count, np.float32),
        np.ones((count, 2, 2), np.float32), pairs, np.zeros(len(pairs), np.int64),
        np.ones(len(pairs), np.float32), frames,
    )  # fmt: skip


def test_joined_peaks_count_on(rng):
    a, b = make_peaks(4, 5, rng), make_peaks(3, 2, rng)
    both = join_peaks([a, b])
    assert both.n_frames == 7 and len(both) == 7
    assert (both.frame[5:] == b.frame + 4).all() and both.pairs.tolist() == [[0, 1], [5, 6]]
    with pytest.raises(ShapeError):
        join_peaks([])


def test_peaks_that_do_not_fit_are_told(rng):
    good = make_peaks(4, 5, rng)
    with pytest.raises(ShapeError, match=r"xy.*ascend"):
        Peaks(
            good.frame[::-1] + np.arange(5)[::-1], good.keypoint, good.xy[:3], good.score,
            good.covariance, good.pairs, good.edge, good.affinity, 4,
        )  # fmt: skip


def test_poses_say_shortly_what_they_are():
    poses = Poses(
        np.ones((5, 2, 1, 3)), Skeleton(["snout"]), ["a", "<b>"], identity=np.full((5, 2), 0.9)
    )
    assert repr(poses) == f"<{poses}>" and len(repr(poses)) < 120
    assert "<td>&lt;b&gt;</td><td>5</td><td>90.0 %</td>" in poses._repr_html_()


def test_take_and_arrange_move_all_companions(rng):
    array = rng.random((4, 3, 2, 3)).astype(np.float32)
    poses = Poses(
        array,
        Skeleton(["a", "b"], [("a", "b")]),
        ["x", "y", "z"],
        identity=rng.random((4, 3)),
        covariance=rng.random((4, 3, 2, 2, 2)),
    )
    some = poses.take(np.array([0, 2]), individuals=np.array([2, 0]), keypoints=np.array([1]))
    pick = np.ix_([0, 2], [2, 0], [1])
    assert some.names == ("z", "x") and some.skeleton.edges == () and some.frames.tolist() == [0, 2]
    np.testing.assert_array_equal(some.array, poses.array[pick])
    np.testing.assert_array_equal(some.covariance, poses.covariance[pick])
    np.testing.assert_array_equal(some.identity, poses.identity[np.ix_([0, 2], [2, 0])])
    order = np.array([[1, -1], [0, 2], [2, 1], [-1, -1]])
    moved = poses.arrange(order, ["p", "q"])
    for f, rows in enumerate(order):
        for new, old in enumerate(rows):
            for name in ("array", "identity", "covariance"):
                there = getattr(moved, name)[f, new]
                if old >= 0:
                    np.testing.assert_array_equal(there, getattr(poses, name)[f, old])
                elif name != "array":
                    assert np.isnan(there).all()
    assert np.isnan(moved.points[3]).all() and (moved.confidence[3] == 0).all()


def test_replaced_poses_share_what_was_checked_and_check_what_is_new():
    poses = Poses(np.ones((5, 1, 1, 3)), Skeleton(["snout"]))
    assert replace(poses, rate=25).array is poses.array
    assert np.shares_memory(poses.take(slice(1, 3)).array, poses.array)
    broken = poses.array.copy()
    broken[2, 0, 0, 0] = np.nan
    assert replace(poses, array=broken).confidence[:, 0, 0].tolist() == [1, 1, 0, 1, 1]
    with pytest.raises(ShapeError, match="frames: wanted shape"):
        replace(poses, frames=np.arange(3))


def make_linked_peaks() -> Peaks:
    """Two peaks in each of three frames, linked by edges 0 and 2; edge 1 in the last frame."""
    return Peaks(
        frame=np.array([0, 0, 1, 1, 2, 2]),
        keypoint=np.array([0, 1, 0, 1, 0, 1]),
        xy=np.arange(12, dtype=np.float32).reshape(6, 2),
        score=np.ones(6, np.float32),
        covariance=np.ones((6, 2, 2), np.float32),
        pairs=np.array([[0, 1], [2, 3], [4, 5]]),
        edge=np.array([0, 2, 1]),
        affinity=np.array([0.1, 0.2, 0.3], np.float32),
        n_frames=3,
    )


def test_peaks_of_some_frames_keep_their_links():
    some = make_linked_peaks().take(np.array([0, 2]))
    assert (some.n_frames, some.frame.tolist()) == (2, [0, 0, 1, 1])
    assert some.xy[:, 0].tolist() == [0, 2, 8, 10]
    assert some.pairs.tolist() == [[0, 1], [2, 3]] and some.edge.tolist() == [0, 1]


def test_peaks_of_some_edges_number_them_anew():
    some = make_linked_peaks().take_edges([2, 0])
    assert len(some) == 6 and some.n_frames == 3
    assert some.pairs.tolist() == [[0, 1], [2, 3]] and some.edge.tolist() == [1, 0]
    assert some.affinity.tolist() == pytest.approx([0.1, 0.2])
    assert not len(make_linked_peaks().take_edges([]).edge)
