"""Views that a training is shown follow from the labels, unless the settings say otherwise."""

import numpy as np
import pytest

from mapose.config import list_presets, load_settings
from mapose.labels import Labels
from mapose.skeleton import Skeleton
from mapose.training.views import choose_turns, choose_views

BIRD = np.array([[[0, 0], [20, 0], [10, 12], [10, 5]]], np.float32)
#: Birds that come near and go far away.
FLOCK = np.concatenate([BIRD, 0.7 * BIRD, 5 * BIRD, 6 * BIRD])


def choose(settings, poses, largest, *, skeleton=None, points=None):
    """Choose views for poses, with labels that know no more than these, or more."""
    skeleton = skeleton or Skeleton(list("abcd"))
    points = (poses if points is None else points)[:, None]
    rows = np.arange(len(points))
    labels = Labels(points, skeleton, ("v",) * len(rows), rows, (None,) * len(rows), ("one",))
    return choose_views(settings, poses, largest, labels=labels)


def test_tiny_animals_are_shown_in_small_views_more_of_them_and_with_what_surrounds_them():
    settings, view, augmentation = choose(load_settings(), BIRD, 1920)
    assert (view, settings.train.batch, augmentation.background) == (96, 32, 0.33)
    settings, view, augmentation = choose(load_settings(), BIRD, 640)
    assert (view, settings.train.batch, augmentation.background) == (192, 4, 0.1)


@pytest.mark.parametrize("preset", list_presets())
def test_presets_show_more_views_of_tiny_animals(preset):
    tiny, usual = (choose(load_settings(preset), BIRD, size)[0].train for size in (1920, 640))
    assert (tiny.batch, usual.batch) == (32, 4)


@pytest.mark.parametrize(("processes", "batch"), [(3, 6), (4, 4), (8, 8)])
def test_processes_share_a_batch_evenly_if_it_was_not_set(processes, batch, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    assert choose(load_settings(), BIRD, 640)[0].train.batch == batch
    given = load_settings("small", ["train.batch=5"])
    assert choose(given, BIRD, 640)[0].train.batch == 5


def test_animals_of_all_sizes_are_shown_in_all_sizes():
    *_, augmentation = choose(load_settings(), FLOCK, 1920)
    assert len(augmentation.lengths) == len(FLOCK)
    assert not choose(load_settings(), FLOCK[:2], 1920)[2].lengths


def test_views_of_a_camera_that_looks_aslant_are_hardly_rotated(rng):
    turns = np.exp(1j * rng.uniform(-np.pi, np.pi, (40, 1))) * np.array([0, 10, 14 + 3j, 25])
    mice = np.stack([turns.real, turns.imag], -1)[:, None].astype(np.float32)
    mice[20:, ..., 1] *= 0.6
    videos = ["top"] * 20 + ["side"] * 20
    assert choose_turns(mice, videos).tolist() == [180] * 20 + [30] * 20


def _turn(shape, rng, count=40):
    """Poses that are turned every way, as seen from above."""
    turns = np.exp(1j * rng.uniform(-np.pi, np.pi, (count, 1))) * np.array(shape)
    turns = turns + rng.normal(0, 0.5, (2, *turns.shape)).T[..., 0].T
    return np.stack([turns.real, turns.imag], -1).astype(np.float32)


def test_views_are_not_mirrored_where_left_and_right_have_no_partners(rng, caplog):
    mice = _turn([0, 8 + 5j, 8 - 5j, -20], rng)
    names = ["snout", "ear_one", "ear_two", "tail"]
    unknown = Skeleton(names)
    *_, augmentation = choose(load_settings(), mice, 200, skeleton=unknown)
    assert augmentation.rotation == 180 and not augmentation.flip
    assert "ear_one" in caplog.text and "are left out; name the pairs" in caplog.text
    paired = Skeleton(names, mirror=[("ear_one", "ear_two")])
    caplog.clear()
    assert choose(load_settings(), mice, 200, skeleton=paired)[2].flip and not caplog.text
    wanted = load_settings("small", ["augment.flip=true"])
    assert choose(wanted, mice, 200, skeleton=unknown)[2].flip
    assert "teach the wrong side" in caplog.text


def test_views_keep_upright_what_stands_in_the_picture_always_the_same(rng):
    mice = _turn([0, 8, 14 + 1j, 20], rng)
    assert choose(load_settings(), mice, 200)[2].flip
    arena = Skeleton(list("abcdefgh"), landmarks=list("efgh"))
    corners = np.array([[[0, 0], [90, 0], [90, 70], [0, 70]]]) + rng.normal(0, 1, (40, 4, 2))
    marked = np.concatenate([mice, corners], 1).astype(np.float32)
    alone = np.where(np.isin(np.arange(8), range(4))[:, None], marked, np.nan)
    *_, augmentation = choose(load_settings(), alone, 200, skeleton=arena, points=marked)
    assert augmentation.rotation < 30 and not augmentation.flip


@pytest.mark.parametrize("given", ["train.batch=8", "train.batch=4"])
def test_what_is_set_stays(given):
    settings, view, augmentation = choose(
        load_settings("small", [given, "train.view=128", "augment.background=0.2"]),
        BIRD,
        1920,
    )
    assert settings.train.batch == int(given[-1])
    assert (view, augmentation.background) == (128, 0.2)
