import json

import numpy as np
import pytest

from mapose.errors import SettingsError, ShapeError
from mapose.metrics import track_scores
from mapose.metrics.tracks import TrackMeter, find_similarity
from mapose.poses import Poses
from mapose.shelf import Shelf
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["a", "b", "c", "d"])


def make_poses(points, rate=None):
    array = np.concatenate([points, np.ones((*points.shape[:3], 1))], -1)
    skeleton = Skeleton(SKELETON.keypoints[: points.shape[2]])
    return Poses(array, skeleton, [f"n{i}" for i in range(points.shape[1])], rate=rate)


def make_case(rng, frames=60, n=3, extra=1, noise=2.5, crowd=90):
    """Random walks close together; tracks that miss, jitter, swap, and some that are false."""
    body = rng.uniform(-30, 30, (n, 4, 2))
    centre = rng.uniform(0, crowd, (n, 2)) + rng.normal(0, 3, (frames, n, 2)).cumsum(0)
    truth = centre[:, :, None] + body
    false = rng.uniform(0, crowd, (frames, extra, 1, 2)) + rng.uniform(
        -30, 30, (frames, extra, 4, 2)
    )
    found = np.concatenate([truth + rng.normal(0, noise, truth.shape), false], 1)
    for f in rng.integers(0, frames, 4):
        found[f:] = found[f:, rng.permutation(n + extra)]
    truth[rng.random(truth.shape[:2]) < 0.1] = np.nan
    found[rng.random(found.shape[:2]) < 0.1] = np.nan
    found[rng.random(found.shape[:3]) < 0.1] = np.nan
    return truth, found


def score_with_motmetrics(similarity, there, seen, threshold):
    motmetrics = pytest.importorskip("motmetrics")
    book = motmetrics.MOTAccumulator(auto_id=True)
    for s, t, f in zip(similarity, there, seen, strict=True):
        distance = 1 - s[t][:, f].astype(float)
        book.update(
            np.flatnonzero(t),
            np.flatnonzero(f),
            np.where(s[t][:, f] >= threshold, distance, np.nan),
        )
    names = ["mota", "idf1", "idp", "idr", "num_switches", "num_fragmentations", "num_misses"]
    names += ["num_false_positives", "motp"]
    return motmetrics.metrics.create().compute(book, metrics=names).iloc[0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("reach", [None, 12.0])
def test_agrees_with_motmetrics(seed, reach):
    truth, found = make_case(np.random.default_rng(seed), n=2 + seed % 3, extra=seed % 2)
    ours = track_scores(make_poses(truth), make_poses(found), reach=reach)
    there, seen = (np.isfinite(x).all(-1).any(-1) for x in (truth, found))
    similarity = find_similarity(*(make_poses(x).points for x in (truth, found)), reach=reach)
    theirs = score_with_motmetrics(similarity, there, seen, 0.5)
    for name in ("mota", "idf1", "idp", "idr"):
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=1e-9), name
    assert ours.motp == pytest.approx(1 - theirs["motp"], abs=1e-6)
    assert ours.switches == theirs["num_switches"]
    assert ours.fragmentations == theirs["num_fragmentations"]
    assert ours.misses == theirs["num_misses"]
    assert ours.false_positives == theirs["num_false_positives"]


@pytest.mark.parametrize(
    ("seed", "hota", "deta", "assa"),
    [
        (0, 0.5576581096604136, 0.5747971473635473, 0.5423553196157058),
        (1, 0.27235737383584874, 0.4443261234227591, 0.16723293821424443),
        (2, 0.3166156820123125, 0.62305712627831, 0.16179730518873398),
        (3, 0.3359911608603577, 0.3854384285455792, 0.29310654830913063),
    ],
)
def test_agrees_with_trackeval(seed, hota, deta, assa):
    """Figures by TrackEval 1.3.0 (it needs another OpenCV, so that it is not run here)."""
    truth, found = make_case(np.random.default_rng(seed), n=2 + seed % 3, extra=seed % 2)
    ours = track_scores(make_poses(truth), make_poses(found))
    assert (ours.hota, ours.deta, ours.assa) == pytest.approx((hota, deta, assa), abs=1e-6)


def make_steady(frames=100, n=2):
    body = np.array([[0.0, 0], [30, 0], [30, 20], [0, 20]])
    place = 100.0 * np.arange(n)[:, None] + np.arange(frames)[:, None, None]
    return place[:, :, None, :] * np.ones(2) + body


def test_perfect_tracks():
    truth = make_steady()
    scores = track_scores(make_poses(truth, rate=10), make_poses(truth[:, ::-1]))
    assert scores.idf1 == scores.mota == scores.hota == scores.motp == 1
    assert scores.switches == scores.misses == scores.fragmentations == 0
    assert scores.switches_per_hour == 0
    assert (scores.detections, scores.frames) == (200, 100)


def test_one_swap_in_the_middle():
    truth = make_steady()
    found = truth.copy()
    found[50:] = found[50:, ::-1]
    scores = track_scores(make_poses(truth, rate=10), make_poses(found))
    assert scores.switches == 2
    assert scores.switches_per_hour == pytest.approx(2 / (200 / 10 / 3600))
    assert scores.idf1 == 0.5
    assert scores.deta == 1 and scores.assa == pytest.approx(1 / 3)


def test_gap_is_a_fragmentation_not_a_switch():
    truth = make_steady(n=1)
    found = truth.copy()
    found[40:60] = np.nan
    scores = track_scores(make_poses(truth), make_poses(found))
    assert (scores.switches, scores.fragmentations, scores.misses) == (0, 1, 20)
    assert np.isnan(scores.switches_per_hour)


def test_absent_animals_are_not_missed():
    truth = make_steady(n=1)
    truth[40:60] = np.nan
    scores = track_scores(make_poses(truth), make_poses(truth))
    assert scores.fragmentations == scores.misses == 0
    assert scores.idf1 == 1


def test_reach_measures_in_pixels():
    truth = make_steady()
    near = track_scores(make_poses(truth), make_poses(truth + [3.0, 4]), reach=5.01)
    far = track_scores(make_poses(truth), make_poses(truth + [3.0, 4]), reach=4.99)
    assert (near.idf1, far.idf1) == (1, 0)
    point = track_scores(make_poses(truth[:, :, :1]), make_poses(truth[:, :, :1]), reach=5)
    assert point.idf1 == 1


def test_nothing_found_and_nothing_there():
    truth = make_steady()
    nothing = np.full_like(truth, np.nan)
    none = track_scores(make_poses(truth), make_poses(nothing))
    assert (none.idf1, none.hota, none.misses, none.mota) == (0, 0, 200, 0)
    nobody = track_scores(make_poses(truth), make_poses(truth[:, :0]))
    assert (nobody.idf1, nobody.misses) == (0, 200)
    ghosts = track_scores(make_poses(nothing), make_poses(truth))
    assert ghosts.false_positives == 200 and np.isnan(ghosts.mota)
    assert np.isnan(track_scores(make_poses(nothing), make_poses(nothing)).idf1)


def test_what_cannot_be_scored_is_refused():
    truth = make_poses(make_steady())
    slots = Poses(truth.array, truth.skeleton)
    with pytest.raises(ShapeError, match="unordered slots"):
        track_scores(truth, slots)
    with pytest.raises(ShapeError, match="give reach"):
        track_scores(truth.sel(keypoint="a"), truth)
    with pytest.raises(SettingsError, match="threshold"):
        track_scores(truth, truth, threshold=0)
    with pytest.raises(SettingsError, match="reach"):
        track_scores(truth, truth, reach=-1)


def test_text_and_dictionary():
    scores = track_scores(make_poses(make_steady(), rate=10), make_poses(make_steady()))
    assert "IDF1" in str(scores) and "per animal-hour" in str(scores)
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain["idf1"] == 1 and plain["frames"] == 100


def test_a_long_recording_is_quick(rng):
    truth = np.tile(make_steady(100, 4), (200, 1, 1, 1))
    assert track_scores(make_poses(truth), make_poses(truth)).detections == 80_000


def test_partners_are_held_from_part_to_part():
    # In the second frame each true animal is like both found ones, more like the other's.
    similarity = np.array([[[0.9, 0], [0, 0.9]], [[0.6, 0.8], [0.8, 0.6]]], np.float32)
    points = np.ones((2, 2, 2, 2))
    for parts in ([slice(0, 2)], [slice(0, 1), slice(1, 2)]):
        with Shelf() as shelf:
            meter = TrackMeter(similarity.shape, shelf=shelf)
            for rows in parts:
                meter.add(similarity[rows], points[rows], points[rows])
            assert meter.find(rate=None).switches == 0
