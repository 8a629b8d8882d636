"""Crops are parts of the prepared image, and simulated poses are wrong as first stages are."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.data import (
    Augmentation,
    CropShape,
    draw_pose,
    find_crop_size,
    find_middle,
    make_crop_set,
    prepare_image,
)
from mapose.data.crops import PoseErrors, Sureness, simulate_pose

STILL = Augmentation(0, 1.0, 0, False, 0, 0, 0, 0, 0, 0)
BODY = np.array([[0, 0], [10, 0], [20, 2], [30, 0]], np.float32)


@pytest.mark.parametrize("factor", [0.5, 1, 3])
@pytest.mark.parametrize("middle", [(60.3, 41.8), (3.0, 90.0)])
def test_a_crop_is_a_part_of_the_prepared_image(factor, middle, rng):
    image = rng.integers(0, 256, (96, 120), np.uint8)
    shape = CropShape(side=16, factor=factor, channels=1)
    crop, corner = shape.cut(image, middle)
    whole = prepare_image(image, factor=factor, channels=1)
    assert crop.shape == (16, 16, 1)
    x, y = corner.astype(int)
    inner = 1 if factor < 1 else 0  # enlarged borders are drawn without what lies beyond
    rows = np.arange(max(y, 0) + inner, min(y + 16, whole.shape[0]) - inner)
    columns = np.arange(max(x, 0) + inner, min(x + 16, whole.shape[1]) - inner)
    assert len(rows) > 4 and len(columns) > 4
    assert (crop[np.ix_(rows - y, columns - x)] == whole[np.ix_(rows, columns)]).all()
    # The middle is in the middle, and positions there and back are the same.
    place = shape.to_crop(np.array(middle), corner)
    assert np.abs(place - 7.5).max() <= 1.01
    assert shape.to_image(place, corner) == pytest.approx(middle, abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_many_crops_of_one_image_are_those_cut_one_by_one(channels, rng):
    image = rng.integers(0, 256, (96, 120, 3), np.uint8)
    shape = CropShape(side=16, factor=3, channels=channels)
    middles = rng.uniform(0, 96, (8, 2))
    crops, corners = shape.cut_all(image, middles)
    for crop, corner, middle in zip(crops, corners, middles, strict=True):
        alone, where = shape.cut(image, middle)
        assert (corner == where).all() and np.abs(crop.astype(int) - alone).max() <= 1


def test_what_lies_outside_the_image_is_grey(rng):
    image = rng.integers(0, 100, (50, 40, 3), np.uint8)
    crop, _ = CropShape(side=32, factor=1, channels=3).cut(image, (0, 0))
    assert (crop[:16] == 128).all() and (crop[:, :16] == 128).all()
    assert (crop[16:, 16:] == image[:16, :16]).all()
    far, _ = CropShape(side=32, factor=1, channels=3).cut(image, (500, 500))
    assert (far == 128).all()


def test_a_told_pose_is_drawn_where_it_is():
    drawn = draw_pose(np.array([[10.4, 20.0], [np.nan, np.nan], [31.4, 0.0], [40, 2]]), 32)
    assert drawn.shape == (32, 32, 4) and drawn.dtype == np.uint8
    assert np.unravel_index(drawn[..., 0].argmax(), (32, 32)) == (20, 10)
    assert np.unravel_index(drawn[..., 2].argmax(), (32, 32)) == (0, 31)
    assert (drawn[..., 1] == 128).all() and (drawn[..., 3] == 128).all()
    assert drawn[..., 0].max() == 255 and drawn[20, 10 + 3, 0] == 128 + int(127 * np.exp(-0.5))


def test_what_is_less_sure_is_drawn_weaker():
    points = np.array([[10, 20], [31, 0], [16, 16]])
    drawn = draw_pose(points, 32, score=np.array([1.0, 0.5, 0.25]))
    whole = draw_pose(points, 32)
    assert (drawn[..., 0] == whole[..., 0]).all()
    assert drawn.max((0, 1)).tolist() == [255, 128 + 63, 128 + 31]


def test_scores_of_simulated_poses_are_those_of_right_and_of_wrong_keypoints(rng):
    truth = np.tile(BODY, (60, 1, 1)).astype(np.float32)
    found = truth.copy()
    found[:30, 0] += 20  # the first keypoint is wrong half of the time, the third always
    found[:, 2] += 20
    found[:, 3] = np.nan
    score = np.full((60, 4), 0.9, np.float32)
    score[:30, 0], score[:, 2] = 0.2, 0.4
    sure = Sureness.learn(found, score, truth)
    np.testing.assert_allclose(sure.draw(truth[0], truth[0], rng)[[0, 1]], 0.9)
    np.testing.assert_allclose(sure.draw(found[0], truth[0], rng)[[0, 1, 2]], [0.2, 0.9, 0.4])
    # What was never wrong is as sure as others that were, what is nowhere is wrong.
    assert 0.2 <= sure.draw(truth[0] + 20, truth[0], rng)[1] <= 0.4
    assert sure.draw(truth[0], np.full_like(truth[0], np.nan), rng)[0] == np.float32(0.2)
    nothing = Sureness.learn(np.full_like(truth, np.nan), score, truth)
    right, wrong = (
        np.mean([nothing.draw(truth[0] + by, truth[0], rng) for _ in range(50)]) for by in (0, 20)
    )
    assert right > 0.6 > 0.4 > wrong


def test_a_crop_holds_a_long_animal():
    for long in (12, 24, 60, 150, 600):
        factor, side = find_crop_size(BODY[None] * long / 30)
        assert 1.2 * long <= max(side * factor, 80 * factor) and side * factor <= 3 * max(long, 22)
    assert find_crop_size(BODY[None] * 5, factor=1)[1] == 224


def test_the_middle_is_that_of_the_box():
    pose = np.array([[[0, 0], [10, 4], [np.nan, np.nan]], [[np.nan, np.nan]] * 3])
    assert find_middle(pose)[0].tolist() == [5, 2] and np.isnan(find_middle(pose)[1]).all()


def test_simulated_limbs_are_taken_from_the_neighbour_only(rng):
    poses = np.stack([BODY, BODY + [5, 8], BODY + [300, 0]]).astype(np.float32)
    none = dict.fromkeys(PoseErrors.__dataclass_fields__, 0.0)
    flip = np.arange(4)
    same = simulate_pose(poses, 0, flip_order=flip, rng=rng, errors=PoseErrors(**none))
    assert (same == BODY).all()
    taken = np.zeros(4)
    for _ in range(300):
        told = simulate_pose(
            poses, 0, flip_order=flip, rng=rng, errors=PoseErrors(**none | {"merged": 1.0})
        )
        other = (told == poses[1]).all(-1)
        assert (other | (told == poses[0]).all(-1)).all() and 0 < other.sum() <= 2
        taken += other
    assert (taken > 20).all()  # of either end
    alone = simulate_pose(
        poses, 2, flip_order=flip, rng=rng, errors=PoseErrors(**none | {"merged": 1.0})
    )
    assert (alone == poses[2]).all()


def test_simulated_poses_are_as_wrong_as_said(rng):
    poses = BODY[None]
    told = np.stack(
        [simulate_pose(poses, 0, flip_order=np.array([0, 2, 1, 3]), rng=rng) for _ in range(400)]
    )
    there = np.isfinite(told).all(-1)
    assert there.any(-1).all() and 0.7 < there.mean() < 0.95
    gap = np.linalg.norm(told - BODY, axis=-1)[there]
    assert np.median(gap) < 0.06 * 30 and (gap > 6).mean() < 0.2


def test_batches_are_a_function_of_the_step_and_hold_image_and_pose(rng):
    images = [rng.integers(0, 256, (120, 160, 3), np.uint8) for _ in range(3)]
    points = np.stack([np.stack([BODY + [60, 40], BODY + [65, 52]]) for _ in range(3)])
    points[0, 1] = np.nan
    data = make_crop_set(
        images, points.astype(np.float32), np.ones((3, 4), bool), found=points.astype(np.float32),
        score=np.ones((3, 2, 4), np.float32), flip_order=np.arange(4), shape=CropShape(64, 1, 3),
    )  # fmt: skip
    assert len(data.patches) == 5
    how = {"batch": 5, "size": 64, "augmentation": STILL, "seed": 3}
    views, truth, known = data.draw_batch(0, **how)
    assert views.shape == (5, 64, 64, 7) and truth.shape == (5, 1, 4, 2) and known.all()
    for a, b in zip((views, truth), data.draw_batch(0, **how)[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert not (data.draw_batch(1, **how)[0] == views).all()
    # The animal that is meant is in the middle, and the picture is the one around it.
    there = np.isfinite(truth).all((1, 2, 3))
    assert there.sum() >= 3
    assert np.abs(np.nanmean(truth[there], axis=(1, 2)) - 31.5).max() < 0.3 * 64


def test_scores_go_with_their_keypoints_into_a_mirror(rng):
    points = BODY[None, None].astype(np.float32) + [80, 60]
    flip = np.array([0, 2, 1, 3])
    data = make_crop_set(
        [np.zeros((120, 160), np.uint8)], points, np.ones((1, 4), bool), found=points,
        score=np.array([[[1, 0.75, 0.25, 1]]], np.float32), flip_order=flip,
        shape=CropShape(64, 1, 1),
    )  # fmt: skip
    found_only = replace(data, errors=replace(data.errors, nobody=0.0))
    mirror = replace(STILL, flip=True)
    seen = set()
    for step in range(40):
        views, _, _ = found_only.draw_batch(step, batch=1, size=64, augmentation=mirror, seed=1)
        strength = (views[0, ..., 1:].max((0, 1)) - 128.0) / 127
        if np.allclose(strength[[0, 3]], 1, atol=0.01):
            seen.add(tuple(np.round(strength[[1, 2]], 1)))
    assert {(0.7, 0.2), (0.2, 0.7)} <= seen
