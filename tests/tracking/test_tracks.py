import numpy as np
import pytest

import mapose
from mapose.errors import ShapeError
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking import ChunkTracker, arrange, track, track_with_doubts


def make_poses(points, confidence=None, names=None, **more):
    if confidence is None:
        confidence = np.isfinite(points).all(-1)
    array = np.concatenate([points, confidence[..., None]], -1)
    skeleton = Skeleton([f"k{i}" for i in range(points.shape[2])])
    return Poses(array, skeleton, names, **more)


def score(truth, found):
    # Tests may look at both rooms; the rooms themselves may not.
    from mapose.metrics import track_scores

    names = [f"animal{i}" for i in range(truth.shape[1])]
    return track_scores(make_poses(truth, names=names), found)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_walking_animals_are_tracked(walks, n, known):
    w = walks(n, 400)
    tracked = track(make_poses(w.points, w.confidence), individuals=n if known else None)
    assert tracked.array.shape[1] == n
    result = score(w.truth, tracked)
    assert result.switches == 0
    assert result.idf1 > 0.98


def test_hidden_animals_are_found_again_among_false_alarms(walks):
    w = walks(3, 600, hidden=15, false=0.1)
    tracked = track(make_poses(w.points, w.confidence), individuals=3)
    result = score(w.truth, tracked)
    assert result.switches == 0
    assert result.idp > 0.99


@pytest.mark.parametrize("seed", [0, 1])
def test_courting_flies(recordings, seed):
    """Real poses with checked identities: slots shuffled, one detection in thirty lost."""
    rng = np.random.default_rng(seed)
    with np.load(recordings / "flies_courtship" / "labels.npz") as file:
        truth = file["points"]
    points = rng.permuted(np.tile(np.arange(2), (len(truth), 1)), axis=1)
    points = np.take_along_axis(truth, points[..., None, None], 1)
    points[rng.random(points.shape[:2]) < 0.03] = np.nan
    result = score(truth, track(make_poses(points), individuals=2))
    assert result.switches == 0
    assert result.idp == 1
    assert result.idf1 > 0.98


def test_rough_fly_tracks_become_two_animals(recordings):
    """Real output with 27 fragments of two flies and a few ghosts; their names are not used."""
    import pandas as pd

    table = pd.read_csv(recordings / "flies_pair_noisy" / "predictions.csv")
    names = table.keypoint.unique().tolist()
    row = table.groupby(["frame", "track", "instance_score"]).ngroup().to_numpy()
    slot = pd.Series(row).groupby(table.frame.to_numpy()).rank("dense").to_numpy().astype(int) - 1
    array = np.full((1100, 5, len(names), 3), np.nan)
    array[table.frame, slot, table.keypoint.map(names.index)] = table[["x", "y", "score"]]
    found = track(Poses(array, Skeleton(names)), individuals=2)
    there = np.isfinite(found.points).all(-1).sum(-1)
    assert (there >= 8).mean() > 0.97
    middle = np.nanmedian(found.points[(there >= 8).all(1)], axis=2)
    steps = np.linalg.norm(np.diff(middle, axis=0), axis=-1)
    assert np.percentile(steps, 99.5) < 25
    # By eye: the fly that begins on the right passes the other near frame 480 and ends left.
    begin, end = np.median(middle[:50, :, 0], 0), np.median(middle[-250:-100, :, 0], 0)
    assert abs(begin[0] - begin[1]) > 80 and abs(end[0] - end[1]) > 80
    assert (begin[0] > begin[1]) == (end[0] < end[1])


def test_chunks_give_the_same_as_the_whole(walks):
    w = walks(3, 200, hidden=12, false=0.1)
    poses = make_poses(w.points, w.confidence, rate=30.0)
    whole = track(poses, individuals=3)
    chunks = [poses.sel(frames=range(a, a + 50)) for a in range(0, 200, 50)]
    tracker = ChunkTracker(individuals=3)
    for chunk in chunks:
        tracker.add(chunk)
    rows = tracker.finish()
    parts = list(rows.arrange(chunks))
    np.testing.assert_array_equal(np.concatenate([p.array for p in parts]), whole.array)
    np.testing.assert_array_equal(np.concatenate([p.identity for p in parts]), whole.identity)
    assert rows.doubts == track_with_doubts(poses, individuals=3).doubts
    assert parts[1].frames[0] == 50 and parts[1].rate == 30
    assert whole.individuals == ("track0", "track1", "track2")


def test_companions_go_along(walks):
    w = walks(2, 30, missing=0, lost=0)
    label = np.arange(30 * 4).reshape(30, 4, 1, 1, 1) * np.ones((1, 1, 12, 2, 2))
    poses = make_poses(w.points, w.confidence, covariance=label)
    tracked = track(poses, individuals=2)
    for f, i in np.ndindex(30, 2):
        slot = int(tracked.covariance[f, i, 0, 0, 0]) - 4 * f
        np.testing.assert_array_equal(tracked.array[f, i], poses.array[f, slot])
    assert (tracked.identity > 0.99).all()


def test_known_number_gives_that_many_rows(walks):
    w = walks(1, 60)
    assert track(make_poses(w.points), individuals=3).array.shape[1] == 3
    empty = make_poses(np.full((20, 2, 3, 2), np.nan))
    assert track(empty, individuals=2).array.shape == (20, 2, 3, 3)
    assert track(empty).array.shape == (20, 0, 3, 3)
    tracker = ChunkTracker()
    tracker.add(empty)
    assert tracker.finish(min_rows=1).names == ("track0",)


def test_the_surer_of_two_wins():
    points = np.array([[[[0.0, 0]], [[9, 9]]]])
    poses = make_poses(points, np.array([[[0.4], [0.8]]]))
    arranged = arrange(poses, np.array([[0, 1]]), np.array([0, 0]), ["a"])
    assert arranged.points[0, 0, 0].tolist() == [9, 9]


def test_unknown_ids_are_nobody():
    poses = make_poses(np.zeros((1, 3, 1, 2)))
    arranged = arrange(poses, np.array([[-1, 7, 1]]), np.array([-1, 0]), ["a", "b"])
    assert np.isfinite(arranged.points[0, :, 0, 0]).tolist() == [True, False]


def test_bad_arrangements_are_refused():
    poses = make_poses(np.zeros((2, 1, 1, 2)))
    with pytest.raises(ShapeError, match="wanted ids"):
        arrange(poses, np.zeros((3, 1), int), np.array([0]), ["a"])
    with pytest.raises(ShapeError, match="2 individuals, but 1 names"):
        arrange(poses, np.zeros((2, 1), int), np.array([1]), ["a"])


def test_is_a_public_name():
    assert mapose.track is track
