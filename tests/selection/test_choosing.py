"""Frames to label, chosen among small pictures."""

import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.selection import (
    check_method,
    order_clusters,
    order_different,
    shrink_picture,
    spread_evenly,
    spread_randomly,
    take_distinct,
)


@pytest.fixture
def scene(rng):
    """Small pictures: 60 of a resting animal, 20 of one elsewhere, 5 of a third place, noise."""
    places = [10] * 60 + [30] * 20 + [50] * 5
    pictures = []
    for x in places:
        picture = rng.normal(100, 1, (48, 64))
        picture[20:23, x : x + 6] = 10
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    return pictures, np.array(places)


def test_clusters_find_every_place_and_not_the_commonest_only(scene):
    pictures, places = scene
    order = order_clusters(pictures, 3, seed=1)
    assert set(places[order[:3]]) == {10, 30, 50}
    assert sorted(order) == list(range(85))
    np.testing.assert_array_equal(order, order_clusters(pictures, 3, seed=1))


def test_what_is_most_different_from_what_is_known_comes_first(scene):
    pictures, places = scene
    order = order_different(pictures, [pictures[0], pictures[60]], 2)
    assert places[order[0]] == 50
    assert places[order_different(pictures, [], 3)[0]] == 10  # it stands for most
    assert set(places[order_different(pictures, [], 3)[:3]]) == {10, 30, 50}


def test_near_duplicates_are_left_out_whatever_the_noise(scene):
    pictures, places = scene
    order = range(85)
    taken = list(take_distinct(order, pictures.__getitem__, count=20))
    assert sorted(places[taken]) == [10, 30, 50]
    known = [pictures[5]]
    assert 10 not in places[list(take_distinct(order, pictures.__getitem__, count=9, known=known))]
    assert list(take_distinct(order, lambda n: None, count=9)) == []


def test_even_and_random_orders_give_every_frame_once():
    assert list(spread_evenly(100, 5))[:5] == [10, 30, 50, 70, 90]
    assert sorted(spread_evenly(37, 5)) == list(range(37))
    assert sorted(spread_randomly(37, 0)) == list(range(37))
    assert list(spread_randomly(37, 0)) != list(spread_randomly(37, 1))


def test_small_pictures_keep_the_shape_of_the_frame():
    assert shrink_picture(np.zeros((1080, 1920, 3), np.uint8)).shape == (36, 64)
    assert shrink_picture(np.zeros((640, 480), np.uint8)).shape == (64, 48)


def test_a_misspelt_method_is_refused():
    with pytest.raises(SettingsError, match="did you mean 'kmeans'"):
        check_method("kmean")
