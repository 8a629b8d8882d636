from dataclasses import replace

import numpy as np
import pytest

from mapose.data.augment import (
    Augmentation,
    draw_view,
    find_lengths_to_show,
    find_rotation,
    is_slanted,
)
from mapose.synthetic import make_cameras, make_scene

STILL = Augmentation(
    rotation=180, scale=1.3, contrast=0, brightness=0, noise=0, blur=0, dropout=0, background=0
)


def make_dots(points: np.ndarray) -> np.ndarray:
    """Draw a round bright blob of its own grey level at every keypoint."""
    y, x = np.mgrid[:200, :240]
    image = np.zeros((200, 240), np.float32)
    for i, (px, py) in enumerate(points):
        near = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 3.0**2))
        image += near * (100 + 60 * i)
    return image.astype(np.uint8)[..., None]


def test_keypoints_move_with_their_pixels(rng):
    points = np.array([[[100.3, 90.6], [130.2, 110.9]]], np.float32)
    image = make_dots(points[0])
    seen = 0
    for _ in range(40):
        view, moved, _ = draw_view(
            image, points, 192, augmentation=STILL, flip_order=np.array([0, 1]), rng=rng
        )
        for i in range(2):
            px, py = moved[0, i]
            if not (15 < px < 177 and 15 < py < 177):
                continue
            x0, y0 = int(px) - 9, int(py) - 9
            patch = view[y0 : y0 + 19, x0 : x0 + 19, 0].astype(float) ** 2
            y, x = np.mgrid[y0 : y0 + 19, x0 : x0 + 19]
            centroid = np.array([(patch * x).sum(), (patch * y).sum()]) / patch.sum()
            assert np.abs(centroid - moved[0, i]).max() < 0.35
            seen += 1
    assert seen > 40


def test_a_mirrored_view_swaps_left_and_right(rng):
    points = np.array([[[100.0, 90.0], [130.0, 90.0]]], np.float32)
    image = make_dots(points[0])
    flips = 0
    still = Augmentation(0, 1.0, 0, True, 0, 0, 0, 0, 0, 0)
    for _ in range(20):
        view, moved, _ = draw_view(
            image, points, 128, augmentation=still, flip_order=np.array([1, 0]), rng=rng
        )
        x, y = np.round(moved[0]).astype(int).T
        left, right = view[y, x, 0]
        mirrored = left > right  # the brighter blob was the right one
        flips += mirrored
        # Whatever happened, "left" stays to the left of "right" in this animal.
        assert moved[0, 0, 0] < moved[0, 1, 0]
    assert 4 <= flips <= 16


def test_what_leaves_the_view_is_missing(rng):
    points = np.array([[[10.0, 10.0], [230.0, 190.0]]], np.float32)
    image = make_dots(points[0])
    _, moved, _ = draw_view(image, points, 64, augmentation=STILL, flip_order=np.arange(2), rng=rng)
    inside = np.isfinite(moved).all(-1)
    assert not inside.all()
    assert ((moved[inside] > -0.5) & (moved[inside] < 63.5)).all()


def test_a_view_depends_on_the_seed_alone():
    points = np.full((1, 2, 2), 100, np.float32)
    image = make_dots(points[0])
    a, b, c = (
        draw_view(
            image,
            points,
            96,
            augmentation=Augmentation(),
            flip_order=np.arange(2),
            rng=np.random.default_rng(seed),
        )[0]
        for seed in (1, 1, 2)
    )
    assert (a == b).all()
    assert (a != c).any()


def test_rotation_follows_how_animals_are_turned(rng):
    shape = np.array([0, 10, 20, 10 + 5j])
    every = np.exp(1j * rng.uniform(-np.pi, np.pi, (60, 1))) * shape
    fixed = np.exp(1j * rng.normal(0, 0.05, (60, 1))) * shape
    assert find_rotation(np.stack([every.real, every.imag], -1)) == 180
    assert 15 <= find_rotation(np.stack([fixed.real, fixed.imag], -1)) < 30


@pytest.fixture(scope="module")
def mice():
    """Drawn mice, seen from above and by two cameras that look aslant."""
    return make_scene(3, 200, seed=300, cameras=make_cameras(3))


@pytest.mark.parametrize(("camera", "slanted"), [("top", False), ("cam1", True), ("cam2", True)])
def test_a_camera_that_looks_aslant_is_told_from_one_above(mice, camera, slanted):
    poses = mice.truth(camera, occluded=False).points[::10].reshape(-1, 12, 2)
    assert is_slanted(poses) == slanted
    turned = poses @ np.array([[0.6, -0.8], [0.8, 0.6]])  # a camera that hangs askew
    assert is_slanted(turned) == slanted
    assert not is_slanted(poses[:7])  # too few to tell


def test_missing_keypoints_tell_nothing_of_a_slant(mice, rng):
    poses = mice.truth("cam1", occluded=False).points[::5].reshape(-1, 12, 2).copy()
    poses[rng.random(poses.shape[:2]) < 0.3] = np.nan
    assert is_slanted(poses)
    assert not is_slanted(np.full_like(poses, np.nan)) and not is_slanted(poses[:, :1])


def test_animals_of_very_different_sizes_are_shown_in_all_of_them(rng):
    near = np.array([[20.0, 90.0], [180.0, 90.0]], np.float32)
    poses = np.stack([near, near / 2, near / 8, near / 10])
    lengths = find_lengths_to_show(poses)
    np.testing.assert_allclose(lengths, [160, 80, 20, 16])
    resized = replace(STILL, scale=1.0, lengths=lengths)
    image, order = np.zeros((200, 240, 1), np.uint8), np.array([0, 1])
    seen = []
    for _ in range(40):
        _, moved, _ = draw_view(
            image, near[None], 400, augmentation=resized, flip_order=order, rng=rng
        )
        seen.append(np.linalg.norm(moved[0, 1] - moved[0, 0]))
    shown = np.array(seen)[np.isfinite(seen)]
    assert all(np.abs(shown - length).min() < 1 for length in (160, 80, 20))
    assert np.abs(shown[:, None] - lengths).min(1).max() < 5  # an eighth is the least
    assert find_lengths_to_show(poses[:2]) == ()
