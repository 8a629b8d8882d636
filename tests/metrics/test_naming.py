import json

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.metrics import find_lasting_swaps, name_scores, track_scores
from mapose.poses import Poses
from mapose.skeleton import Skeleton


def make_poses(place, names="ab", identity=None):
    """Animals of one keypoint at places (F, I) on a line; NaN = absent."""
    place = np.asarray(place, float)
    array = np.stack([place, np.zeros_like(place), np.ones_like(place)], -1)[:, :, None]
    return Poses(array, Skeleton(["k"]), list(names), identity=identity)


STEADY = np.tile([0.0, 100.0], (10, 1))


def test_everybody_under_the_own_name_whatever_it_is():
    scores = name_scores(make_poses(STEADY), make_poses(STEADY[:, ::-1], "xy"), reach=5)
    assert scores.named == 1
    assert scores.tenths == () and np.isnan(scores.calibration_error)


def test_swap_after_seven_frames_leaves_seven_right():
    found = STEADY.copy()
    found[7:] = found[7:, ::-1]
    scores = name_scores(make_poses(STEADY), make_poses(found), reach=5)
    assert scores.named == 0.7


def test_time_in_which_an_animal_is_not_found_does_not_count():
    found = STEADY.copy()
    found[8:] = found[8:, ::-1]
    found[:5, 0] = np.nan
    # The first: 3 right, 2 under the other name; the second: 8 right, 2 under the other.
    scores = name_scores(make_poses(STEADY), make_poses(found), reach=5)
    assert scores.named == pytest.approx(11 / 15)
    # Nor do false alarms: 15 of 20 are found, by 15 of 25 detections.
    false = np.column_stack([found, np.full(10, 500.0)])
    assert name_scores(make_poses(STEADY), make_poses(false, "abc"), reach=5) == scores


def test_calibration_by_hand():
    found = STEADY.copy()
    found[8:] = found[8:, ::-1]
    identity = np.full((10, 2), 0.95)
    identity[6:] = 0.55
    scores = name_scores(make_poses(STEADY), make_poses(found, identity=identity), reach=5)
    # 12 moments at 0.95, all right; 8 at 0.55, half of them right.
    sure, unsure = scores.tenths[9], scores.tenths[5]
    assert (sure.low, sure.count, sure.right) == (0.9, 12, 1)
    assert (unsure.low, unsure.count, unsure.right) == (0.5, 8, 0.5)
    assert sum(tenth.count for tenth in scores.tenths) == 20
    assert scores.calibration_error == pytest.approx((12 * 0.05 + 8 * 0.05) / 20, abs=1e-6)


def test_probabilities_of_0_and_1_have_a_tenth():
    identity = np.tile([0.0, 1.0], (10, 1))
    scores = name_scores(make_poses(STEADY), make_poses(STEADY, identity=identity), reach=5)
    assert (scores.tenths[0].count, scores.tenths[9].count) == (10, 10)
    assert scores.calibration_error == 0.5


def test_what_lies_on_nobody_is_not_judged():
    found = STEADY + [0, 50]
    scores = name_scores(
        make_poses(STEADY), make_poses(found, identity=np.full((10, 2), 0.9)), reach=5
    )
    assert sum(tenth.count for tenth in scores.tenths) == 10


def test_honest_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    stated = rng.uniform(0.5, 1, (20000, 1))
    wrong = rng.random((20000, 1)) > stated
    place = np.column_stack([np.where(wrong, np.nan, 0), np.where(wrong, 0, np.nan)])
    identity = np.where(np.isfinite(place), np.column_stack([stated, stated]), np.nan)
    scores = name_scores(make_poses(np.zeros((20000, 1)), "a"), make_poses(place), reach=5)
    assert scores.named == pytest.approx(0.75, abs=0.01)
    # The second row is never right, whatever it says: half of the judgements are of the first.
    judged = name_scores(
        make_poses(np.zeros((20000, 1)), "a"), make_poses(place, identity=identity), reach=5
    )
    right = np.mean(~wrong)
    assert sum(t.count * t.right for t in judged.tenths if t.count) == pytest.approx(20000 * right)


def test_named_is_recall_by_identity_where_all_is_found():
    rng = np.random.default_rng(3)
    found = np.tile([0.0, 100.0, 200.0], (200, 1))
    truth = found.copy()
    for f in rng.integers(0, 200, 4):
        found[f:] = found[f:, rng.permutation(3)]
    poses = make_poses(truth, "abc"), make_poses(found, "abc")
    assert name_scores(*poses, reach=5).named == track_scores(*poses, reach=5).idr


def test_nothing_found():
    scores = name_scores(make_poses(STEADY), make_poses(STEADY + 50), reach=5)
    assert np.isnan(scores.named)
    assert json.loads(json.dumps(scores.to_dict())) == {
        "named": None,
        "tenths": [],
        "calibration_error": None,
    }


def test_prints_a_line_per_tenth_in_use():
    identity = np.tile([0.85, 0.95], (10, 1))
    text = str(name_scores(make_poses(STEADY), make_poses(STEADY, identity=identity), reach=5))
    assert [line.split()[0] for line in text.splitlines()] == [
        "named", "calibrated", "stated", "0.8-0.9", "0.9-1.0"
    ]  # fmt: skip


def test_refuses_what_cannot_be_compared():
    slots = Poses(make_poses(STEADY).array, Skeleton(["k"]))
    with pytest.raises(ShapeError, match="found: wanted named individuals"):
        name_scores(make_poses(STEADY), slots, reach=5)
    with pytest.raises(ShapeError, match="give reach"):
        name_scores(make_poses(STEADY), make_poses(STEADY))
    with pytest.raises(SettingsError, match="threshold"):
        name_scores(make_poses(STEADY), make_poses(STEADY), reach=5, threshold=0)


def test_swaps_last_or_they_do_not_count():
    found = np.tile([0.0, 100.0], (60, 1))
    found[20:24] = found[20:24, ::-1]  # a doubt of a moment
    found[40:] = found[40:, ::-1]
    truth = np.tile([0.0, 100.0], (60, 1))
    swaps = find_lasting_swaps(make_poses(truth), make_poses(found, "xy"), reach=5)
    assert swaps == [(39, 40, ("x", "y"))]
    assert find_lasting_swaps(make_poses(truth), make_poses(truth, "xy"), reach=5) == []
    # An animal alone that goes over to another name.
    alone = np.where(np.arange(60)[:, None] < 30, [0.0, np.nan], [np.nan, 0.0])
    one = find_lasting_swaps(make_poses(truth), make_poses(alone, "xy"), reach=5, least=5)
    assert one == [(29, 30, ("x", "y"))]
