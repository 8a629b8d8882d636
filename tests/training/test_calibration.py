"""Scores become probabilities and covariances true, with many held-out frames and with none."""

import numpy as np
import pytest

from mapose.confidence import Confidence
from mapose.metrics import find_trust
from mapose.poses import Peaks, Poses
from mapose.skeleton import Skeleton
from mapose.training.calibration import calibrate, calibrate_variance

FLY = Skeleton(["head", "tail", "tongue"])


def make_answers(rng, frames: int = 1200, absent: float = 0.5):
    """Make poses of a network whose score tells how sure it is, and the labels.

    Covariances are nine times too small, and a tenth of the weak answers is wild. The tongue is
    absent in a share of the frames, and then found with a low score.
    """
    truth = rng.uniform(0, 300, (frames, 1, 3, 2)).astype(np.float32)
    score = rng.beta(8, 3, (frames, 1, 3))
    gone = rng.random(frames) < absent
    score[gone, 0, 2] = rng.beta(2, 6, gone.sum())
    deviation = 3 * (1.2 - score)
    points = truth + rng.normal(size=truth.shape) * deviation[..., None]
    wild = (rng.random(score.shape) < 0.1) & (score < 0.6)
    points[wild] += 60
    truth[gone, 0, 2] = np.nan
    array = np.concatenate([points, score[..., None]], -1).astype(np.float32)
    covariance = (deviation**2 / 9)[..., None, None] * np.eye(2)
    return Poses(array, FLY, covariance=covariance.astype(np.float32)), truth


def fit(found, truth, held, trained) -> Confidence:
    known = np.ones((len(truth), 3), bool)
    return calibrate(found, truth, known=known, held=held, trained=trained, pitch=4.0)


@pytest.mark.parametrize("held", [300, 20])
def test_ellipses_hold_and_probabilities_come_true(rng, held):
    found, truth = make_answers(rng)
    sure = fit(found, truth, np.arange(held), np.arange(held, held + 40))
    rows = np.arange(600, 1200)
    better = sure.apply(found).take(rows)
    trust = find_trust(
        truth[rows], better.points, better.confidence, better.covariance, tolerance=sure.tolerance
    )
    before = found.take(rows)
    raw = find_trust(truth[rows], before.points, before.confidence, before.covariance)
    assert raw.share < 0.6 and 0.92 < trust.share < 0.98
    assert trust.off < 0.05 and sure.tolerance == 8
    seen = np.isfinite(truth[rows, 0, 2, 0])
    shown = better.confidence[:, 0, 2] >= 0.6
    assert shown[seen].mean() > 0.85 and shown[~seen].mean() < 0.1
    assert shown[~seen].mean() < (before.confidence[:, 0, 2] >= 0.3)[~seen].mean()


def test_frames_trained_on_stand_in_where_none_are_held_out(rng):
    found, truth = make_answers(rng)
    sure = fit(found, truth, np.zeros(0, int), np.arange(40))
    better = sure.apply(found).take(np.arange(100, 1200))
    trust = find_trust(truth[100:], better.points, better.confidence, better.covariance)
    assert 0.9 < trust.share <= 1
    nothing = fit(found, np.full_like(truth, np.nan), np.zeros(0, int), np.zeros(0, int))
    assert nothing.fall == 0 and np.isfinite(nothing.offset).all()


def test_order_is_kept_and_what_was_not_found_stays_so(rng):
    found, truth = make_answers(rng, frames=50)
    found.array[3, 0, 1] = np.nan, np.nan, 0
    sure = fit(found, truth, np.arange(20), np.arange(20, 50))
    better = sure.apply(found)
    assert better.confidence[3, 0, 1] == 0 and np.isnan(better.points[3, 0, 1]).all()
    order = np.argsort(found.confidence[:, 0, 0])
    assert (np.diff(better.confidence[order, 0, 0]) >= 0).all()
    assert ((better.confidence > 0) == (found.confidence > 0)).all()


def test_calibrated_covariances_hold_the_truth(rng):
    """Errors three times larger than stated: after calibration 95 % regions hold 95 %."""
    n = 4000
    truth = np.zeros((n, 1, 1, 2), np.float32)
    stated = np.tile(np.diag([1.0, 4.0]).astype(np.float32), (n, 1, 1))
    xy = (3 * rng.normal(size=(n, 2)) * [1, 2]).astype(np.float32)
    none = np.empty(0, np.int64)
    peaks = Peaks(
        np.arange(n), np.zeros(n, np.int64), xy, np.ones(n, np.float32), stated,
        none.reshape(0, 2), none, np.empty(0, np.float32), n,
    )  # fmt: skip
    factor = calibrate_variance(peaks, truth)
    assert factor[0] == pytest.approx(9, rel=0.1)
    squared = np.einsum("ni,nij,nj->n", xy, np.linalg.inv(stated * factor[0]), xy)
    assert (squared < 5.991).mean() == pytest.approx(0.95, abs=0.015)
