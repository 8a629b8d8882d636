import numpy as np
import pytest

from mapose.data import (
    Augmentation,
    TrainingSet,
    find_scale,
    find_view_size,
    is_grey,
    make_training_set,
    pad_images,
    prepare_image,
)
from mapose.grid import to_pixels


def test_a_prepared_pixel_is_the_mean_of_its_square(rng):
    image = rng.integers(0, 256, (6, 9, 3), np.uint8)
    small = prepare_image(image, factor=3, channels=3)
    assert small.shape == (2, 3, 3)
    mean = image.reshape(2, 3, 3, 3, 3).mean((1, 3))
    assert np.abs(small - mean).max() <= 0.51


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (9, 9)])
def test_sizes_that_do_not_divide_keep_their_pixel_grid(size, rng):
    image = rng.integers(0, 256, size, np.uint8)
    small = prepare_image(image, factor=4, channels=1)
    assert small.shape == (-(-size[0] // 4), -(-size[1] // 4), 1)
    assert abs(int(small[0, 0, 0]) - image[:4, :4].mean()) <= 0.51


def test_padding_is_the_grey_that_the_network_sees_as_nothing(rng):
    image = rng.integers(0, 256, (30, 50, 1), np.uint8)
    batch = pad_images([image, image], 32)
    assert batch.shape == (2, 32, 64, 1)
    assert (batch[:, :30, :50] == image).all()
    assert (batch[:, 30:] == 128).all() and (batch[:, :, 50:] == 128).all()


@pytest.mark.parametrize("factor", [0.5, 0.25])
def test_an_enlarged_image_keeps_its_pixel_grid(factor):
    x, y = np.meshgrid(np.arange(12), np.arange(9))
    ramp = (20 * x + 2 * y).astype(np.uint8)
    large = prepare_image(ramp, factor=factor, channels=1)[..., 0]
    assert large.shape == (9 / factor, 12 / factor)
    where = to_pixels(np.arange(12 / factor), factor)  # of prepared pixels in the image
    inside = (where >= 0) & (where <= 8)
    wanted = 20 * where[inside][None, :] + 2 * where[inside][:, None]
    assert np.abs(large[: len(inside)][np.ix_(inside[: len(large)], inside)] - wanted).max() < 0.51


def test_the_scale_follows_the_animals():
    small = np.array([[[0, 0], [20, 0], [20, 5], [10, 3]]], np.float32)
    assert find_scale(small * 1.5, (1920, 1080)) == (1, 4)
    assert find_scale(small * 6, (640, 480)) == (2, 2)  # a cell is 4 px wide
    assert find_scale(small * 40, (4096, 3000)) == (8, 2)
    assert find_scale(np.full((3, 4, 2), np.nan, np.float32), (640, 480)) == (1, 4)


def test_tiny_animals_are_enlarged_or_get_finer_maps_where_that_costs_too_much():
    small = np.array([[[0, 0], [20, 0], [20, 5], [10, 3]]], np.float32)
    assert find_scale(small, (640, 480)) == (0.5, 4)
    assert find_scale(small / 2, (320, 240)) == (0.25, 4)
    assert find_scale(small / 2, (640, 480)) == (0.5, 2)
    assert find_scale(small, (1920, 1080)) == (1, 2)
    assert find_scale(small, (1920, 1080), stride=4) == (1, 4)


def test_animals_that_fill_a_small_image_get_a_smaller_image_and_maps_as_fine():
    large = np.array([[[0, 0], [350, 0], [350, 200], [100, 30]]], np.float32)
    assert find_scale(large, (406, 396)) == (2, 2)
    assert find_scale(large, (406, 396), stride=4) == (1, 4)


def test_the_view_holds_an_animal():
    animal = np.array([[[0, 0], [100, 0]]], np.float32)
    assert find_view_size(animal, 1000) == 224
    assert find_view_size(animal * 10, 1000) == 384
    assert find_view_size(animal, 150) == 192


def test_grey_is_told_from_colour(rng):
    grey = np.repeat(rng.integers(0, 256, (40, 40, 1), np.uint8), 3, axis=2)
    assert is_grey([grey, grey[..., 0]])
    assert not is_grey([grey, rng.integers(0, 256, (40, 40, 3), np.uint8)])


def test_every_image_comes_once_per_epoch_and_batches_are_a_function_of_the_step():
    images = [np.full((64, 64), 20 * i, np.uint8) for i in range(6)]
    points = np.full((6, 1, 2, 2), 30, np.float32)
    data = make_training_set(
        images, points, np.ones((6, 2), bool), flip_order=np.arange(2), factor=1, channels=1
    )
    still = Augmentation(0, 1.0, 0, False, 0, 0, 0, 0, 0, 0)
    how = {"batch": 3, "size": 64, "augmentation": still, "seed": 7}
    levels = [int(np.median(view)) for step in (0, 1) for view in data.draw_batch(step, **how)[0]]
    assert sorted(levels) == [0, 20, 40, 60, 80, 100]
    again = data.draw_batch(1, **how)
    for a, b in zip(again, data.draw_batch(1, **how), strict=True):
        assert (a == b).all()
    assert not (data.draw_batch(1, **{**how, "seed": 8})[0] == again[0]).all()


def test_views_of_an_image_are_rotated_no_further_than_it_may_be():
    image = np.full((64, 64, 1), 100, np.uint8)
    points = np.array([[[[22, 32], [42, 32]]]] * 2, np.float32)
    known, flip = np.ones((2, 2), bool), np.arange(2)
    data = TrainingSet([image, image], points, known, flip, turns=np.array([5.0, 180.0]))
    limits = Augmentation(rotation=90, translation=0.0, flip=False, background=0.0)
    found = [
        data.draw_batch(step, batch=2, size=96, augmentation=limits, seed=0)[1][:, 0]
        for step in range(40)
    ]
    order = [[data._find_image(2 * s + n, 0) for n in range(2)] for s in range(40)]
    along = np.diff(np.concatenate(found), axis=1)[:, 0]
    angle = np.abs(np.rad2deg(np.arctan2(along[:, 1], along[:, 0])))
    first = np.ravel(order) == 0
    assert angle[first].max() < 5.1 and 60 < angle[~first].max() < 90.1
