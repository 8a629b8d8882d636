import json

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.metrics import pose_error
from mapose.poses import Poses
from mapose.skeleton import Skeleton


def make_truth(rng, frames=20, n=2, k=4):
    return rng.uniform(0, 400, (frames, n, 1, 2)) + rng.uniform(-30, 30, (frames, n, k, 2))


def make_poses(points, keypoints="abcd", frames=None, confidence=1.0):
    there = np.where(np.isfinite(points).all(-1), confidence, 0)
    array = np.concatenate([points, there[..., None]], -1)
    return Poses(array, Skeleton(list(keypoints)), frames=frames)


def test_errors_of_a_hand_made_case():
    truth = np.zeros((1, 1, 4, 2))
    found = np.array([[[[0.0, 0], [3, 4], [0, 12], [np.nan, np.nan]]]])
    confidence = np.array([[[0.9, 0.9, 0.3, 0.0]]])
    error = pose_error(truth, found, confidence=confidence)
    assert (error.labelled, error.found, error.sure) == (4, 3, 2)
    assert error.mean == pytest.approx(17 / 3)
    assert error.median == 5
    assert error.rmse == pytest.approx(np.sqrt((25 + 144) / 3))
    assert (error.mean_sure, error.median_sure) == (2.5, 2.5)
    assert error.rmse_sure == pytest.approx(np.sqrt(25 / 2))
    assert error.pck == {5: 0.5, 10: 0.5}
    assert error.found_within == 0.75
    np.testing.assert_allclose(error.mean_each, [0, 5, 12, np.nan])
    np.testing.assert_allclose(error.found_each, [1, 1, 1, 0])


def test_order_of_individuals_does_not_matter(rng):
    truth = make_truth(rng, n=4)
    found = truth + rng.normal(0, 2, truth.shape)
    shuffled = np.stack([frame[rng.permutation(4)] for frame in found])
    a, b = pose_error(truth, found), pose_error(truth, shuffled)
    assert a.mean == pytest.approx(np.linalg.norm(found - truth, axis=-1).mean())
    assert (a.mean, a.rmse, a.pck) == (b.mean, b.rmse, b.pck)


def test_a_near_fragment_does_not_beat_a_whole_animal():
    body = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    fragment = np.full((4, 2), np.nan)
    fragment[0] = 0.5, 0
    error = pose_error(body[None, None], np.stack([fragment, body + 4])[None])
    assert error.found == 4
    assert error.mean == pytest.approx(np.sqrt(32))


def test_one_wild_keypoint_does_not_lose_its_animal():
    body = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    wild = body.copy()
    wild[3] += 2000
    error = pose_error(body[None, None], np.stack([body + 60, wild])[None])
    assert error.median == 0
    assert error.found_within == 0.75


def test_far_animals_still_count_in_the_mean(rng):
    truth = make_truth(rng, n=1)
    error = pose_error(truth, truth + [300.0, 400])
    assert error.mean == pytest.approx(500)
    assert error.found_within == 0


def test_more_and_fewer_animals_than_labelled(rng):
    truth = make_truth(rng, n=2)
    ghosts = rng.uniform(800, 900, (20, 3, 4, 2))
    assert pose_error(truth, np.concatenate([ghosts, truth], 1)).mean == 0
    half = pose_error(truth, truth[:, :1])
    assert half.found_within == 0.5 and half.mean == 0
    nobody = pose_error(truth, np.full((20, 0, 4, 2), np.nan))
    assert np.isnan(nobody.mean) and nobody.pck[5] == 0
    unlabelled = pose_error(np.full((3, 1, 4, 2), np.nan), truth[:3])
    assert unlabelled.labelled == 0 and np.isnan(unlabelled.found_within)


def test_poses_are_compared_where_both_are(rng):
    points = make_truth(rng)
    truth = make_poses(points, frames=np.arange(0, 40, 2))
    found = make_poses(points[:10, :, ::-1] + 1, "dcba", frames=np.arange(0, 20, 2), confidence=0.5)
    error = pose_error(truth, found)
    assert error.labelled == 10 * 2 * 4
    assert error.mean == pytest.approx(np.sqrt(2), rel=1e-5)
    assert error.sure == 0
    assert error.keypoints == ("a", "b", "c", "d")


def test_what_does_not_fit_is_refused(rng):
    points = make_truth(rng)
    with pytest.raises(ShapeError, match="no frame in common"):
        pose_error(make_poses(points), make_poses(points, frames=np.arange(100, 120)))
    with pytest.raises(ShapeError, match="no keypoint in common"):
        pose_error(make_poses(points), make_poses(points, "wxyz"))
    with pytest.raises(ShapeError, match="same space"):
        metric = Poses(np.ones((1, 1, 1, 3)), Skeleton(["a"]), unit="mm")
        pose_error(make_poses(points), metric)
    with pytest.raises(ShapeError, match="wanted truth"):
        pose_error(points, points[:, :, :2])
    with pytest.raises(ShapeError, match="3 names for 4"):
        pose_error(points, points, keypoints=["a", "b", "c"])
    with pytest.raises(SettingsError, match="above 0"):
        pose_error(points, points, thresholds=[0])


def test_table_and_dictionary(rng):
    truth = make_truth(rng)
    truth[:, :, 3] = np.nan
    error = pose_error(truth, truth + 1, keypoints=["snout", "earL", "earR", "tail"])
    text = str(error)
    assert "snout" in text and "RMSE" in text and "within 5 px" in text
    plain = json.loads(json.dumps(error.to_dict(), allow_nan=False))
    assert plain["pck"] == {"5": 1.0, "10": 1.0}
    assert plain["keypoints"]["tail"]["mean"] is None


def test_a_long_recording_is_quick(rng):
    """One animal: 30,000 frames without a loop over them."""
    truth = rng.uniform(0, 100, (30_000, 1, 4, 2))
    assert pose_error(truth, truth + 1).labelled == 120_000
