"""The rungs that trackers are judged on must be what they say."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.metrics import track_scores
from tests.benchmarks.ladder import (
    APPEARANCE,
    DEVELOPMENT,
    EVERY,
    HELD_OUT,
    REACH,
    RECIPES,
    make_rung,
    stream_rung,
)
from tests.benchmarks.plain_tracker import track_plainly


def name_truly(rung):
    """Every detection under the name of the animal it was made from."""
    array = np.full_like(rung.truth.array, np.nan)
    frame, slot = np.nonzero(rung.owners >= 0)
    order = np.argsort(rung.detections.confidence[frame, slot].sum(-1), kind="stable")
    frame, slot = frame[order], slot[order]
    array[frame, rung.owners[frame, slot]] = rung.detections.array[frame, slot]
    return replace(rung.truth, array=array)


def test_same_seed_same_rung():
    a, b, c = (make_rung("2 shelter distinct", seed=seed, frames=300) for seed in (3, 3, 4))
    np.testing.assert_array_equal(a.detections.array, b.detections.array)
    np.testing.assert_array_equal(a.embeddings, b.embeddings)
    assert not np.array_equal(a.truth.array, c.truth.array, equal_nan=True)


def test_held_out_seeds_are_others():
    assert not set(DEVELOPMENT) & set(HELD_OUT)


@pytest.mark.parametrize("name", RECIPES)
def test_rung_can_be_climbed(name):
    """With the true names the scores are high: what is lost is the tracker's fault."""
    rung = make_rung(name, frames=400)
    assert (rung.embeddings is None) == (RECIPES[name].appearance is None)
    least = 0.9 if name == "4 rough" else 0.975
    assert track_scores(rung.truth, name_truly(rung), reach=REACH).idf1 > least
    # The order of the slots tells nothing.
    slot = np.argmax(rung.owners == 0, axis=1)[(rung.owners == 0).any(1)]
    assert np.bincount(slot, minlength=rung.owners.shape[1]).max() < 0.8 * len(slot)


def test_chunks_go_on_where_the_last_one_ended():
    chunks = list(stream_rung("2", seed=1, frames=5000, turn=3000))
    frames = np.concatenate([chunk.detections.frames for chunk in chunks])
    np.testing.assert_array_equal(frames, np.arange(5000))
    truth = np.concatenate([chunk.truth.points for chunk in chunks])
    # Played to and fro: no leap at the turn, and the errors are new.
    np.testing.assert_array_equal(truth[2999:3100], truth[3000:2899:-1])
    found = np.concatenate([np.sort(c.detections.points[:, :, 0, 0], axis=1) for c in chunks])
    assert not np.array_equal(found[2999], found[3000], equal_nan=True)


@pytest.mark.parametrize("name", ["4 shelter", "4 shelter slight", "4 shelter distinct"])
def test_looks_are_as_far_apart_as_stated(name):
    rung = make_rung(name, frames=4000)
    measured = np.isfinite(rung.embeddings).all(-1)
    assert not measured[np.arange(4000) % EVERY != 0].any()
    alone = [rung.embeddings[(rung.owners == i) & measured] for i in range(2)]
    apart = np.linalg.norm(alone[0].mean(0) - alone[1].mean(0))
    # Contacts mix the looks, and slow noise does not average out quickly.
    assert abs(apart - APPEARANCE[RECIPES[name].appearance]) < 0.8
    assert np.mean([looks.std(0).mean() for looks in alone]) == pytest.approx(1, abs=0.1)


def test_hidden_animals_are_gone_and_come_back():
    rung = make_rung("4 shelter", frames=3000)
    there = np.isfinite(rung.truth.points).all(-1).any(-1)
    edges = np.diff(np.pad(~there, ((1, 1), (0, 0))).astype(int), axis=0)
    spans = [np.flatnonzero(edge < 0) - np.flatnonzero(edge > 0) for edge in edges.T]
    spans = np.concatenate(spans)
    assert ((spans >= 10) & (spans <= 300)).sum() > 10
    assert not np.isin(rung.owners[~there.any(1)], range(4)).any()


def test_plain_tracker_follows_who_never_meets():
    t = np.arange(60.0)
    body = np.array([[0, 0], [30, 0], [30, 10]])
    place = np.stack([np.stack([t, 0 * t], -1), np.stack([90 - t, 0 * t + 200], -1)], 1)
    points = place[:, :, None] + body
    points[::2] = points[::2, ::-1]
    points[10:14] = np.nan
    ids = track_plainly(points)
    seen = np.sort(ids[(ids >= 0).any(1)], axis=1)
    assert (seen == [0, 1]).all()
    assert (ids[0] == ids[1][::-1]).all()
