"""Views that a training is shown follow from the labels, unless the settings say otherwise."""

import numpy as np
import pytest

from mapose.config import load_settings
from mapose.training.views import choose_turns, choose_views

BIRD = np.array([[[0, 0], [20, 0], [10, 12], [10, 5]]], np.float32)
#: Birds that come near and go far away.
FLOCK = np.concatenate([BIRD, 0.7 * BIRD, 5 * BIRD, 6 * BIRD])


def test_tiny_animals_are_shown_in_small_views_more_of_them_and_with_what_surrounds_them():
    settings, view, augmentation = choose_views(load_settings(), BIRD, 1920)
    assert (view, settings.train.batch, augmentation.background) == (96, 32, 0.33)
    settings, view, augmentation = choose_views(load_settings(), BIRD, 640)
    assert (view, settings.train.batch, augmentation.background) == (192, 8, 0.1)


def test_animals_of_all_sizes_are_shown_in_all_sizes():
    *_, augmentation = choose_views(load_settings(), FLOCK, 1920)
    assert len(augmentation.lengths) == len(FLOCK)
    assert not choose_views(load_settings(), FLOCK[:2], 1920)[2].lengths


def test_views_of_a_camera_that_looks_aslant_are_hardly_rotated(rng):
    turns = np.exp(1j * rng.uniform(-np.pi, np.pi, (40, 1))) * np.array([0, 10, 14 + 3j, 25])
    mice = np.stack([turns.real, turns.imag], -1)[:, None].astype(np.float32)
    mice[20:, ..., 1] *= 0.6
    videos = ["top"] * 20 + ["side"] * 20
    assert choose_turns(mice, videos).tolist() == [180] * 20 + [30] * 20


@pytest.mark.parametrize("given", ["train.batch=8", "train.batch=4"])
def test_what_is_set_stays(given):
    settings, view, augmentation = choose_views(
        load_settings("small", [given, "train.view=128", "augment.background=0.2"]), BIRD, 1920
    )
    assert settings.train.batch == int(given[-1])
    assert (view, augmentation.background) == (128, 0.2)
