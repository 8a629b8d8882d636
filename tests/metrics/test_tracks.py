import numpy as np
import pytest

from mapose.metrics import track_scores
from mapose.metrics.tracks import find_similarity
from mapose.poses import Poses
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
