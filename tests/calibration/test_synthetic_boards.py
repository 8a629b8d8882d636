import numpy as np
import pytest

from calibration.rotations import turn
from calibration.synthetic import film_board, make_board, make_ring


@pytest.fixture(scope="module")
def ring():
    return make_ring(4, fisheye=[1], seed=2)


@pytest.fixture(scope="module")
def film(ring):
    return film_board(ring, n=120, seed=2)


def place(film):
    return film.board @ turn(film.poses[:, :3]).swapaxes(1, 2) + film.poses[:, None, 3:]


def test_board_lies_flat_row_by_row():
    board = make_board(3, 2, square=10.0)
    assert board.shape == (6, 3)
    assert board[1].tolist() == [10, 0, 0] and board[3].tolist() == [0, 10, 0]


def test_pixels_are_the_projected_corners_with_noise(ring, film):
    error = film.pixels - ring.project(place(film))
    good = np.isfinite(film.pixels[..., 0]) & ~film.false
    assert abs(error[good].std() - 0.3) < 0.01
    assert abs(error[good].mean()) < 0.01
    lengths = np.linalg.norm(error[film.false], axis=-1)
    assert lengths.min() > 1.5 and lengths.max() < 102 and np.median(lengths) > 30


def test_share_of_false_corners(film):
    seen = np.isfinite(film.pixels[..., 0])
    assert 0.04 < film.false.sum() / seen.sum() < 0.06
    assert not film.false[~seen].any()


def test_without_noise_the_truth_is_exact(ring):
    film = film_board(ring, n=20, noise=0.0, false=0.0, partial=0.0, seed=3)
    seen = np.isfinite(film.pixels[..., 0])
    assert seen.any() and not film.false.any()
    np.testing.assert_allclose(film.pixels[seen], ring.project(place(film))[seen], atol=1e-9)


def test_each_camera_sees_the_front_inside_its_image(ring, film):
    points, seen = place(film), np.isfinite(film.pixels[..., 0])
    front = -turn(film.poses[:, :3])[:, :, 2]
    for v, camera in enumerate(ring):
        towards = camera.centre - points
        assert ((towards * front[:, None]).sum(-1)[seen[v]] > 0).all()
        inside = camera.project(points)[seen[v]]
        assert (inside > 0).all() and (inside < np.array(camera.size) - 1).all()
        # From the front, x to y runs clockwise in the image, as it does on the board.
        whole = seen[v].all(1)
        x, y = (camera.project(points)[whole][:, i] for i in (6, 28))
        corner = camera.project(points)[whole][:, 0]
        across, down = (x - corner).T, (y - corner).T
        assert whole.sum() > 10 and (across[0] * down[1] - across[1] * down[0] > 0).all()


def test_some_views_are_partial_some_frames_unseen_by_one(film):
    count = np.isfinite(film.pixels[..., 0]).sum(2)
    assert (count == 35).any() and ((count > 0) & (count < 35)).any()
    assert (count > 0).any(1).all() and ((count > 0).sum(0) >= 2).mean() > 0.8


def test_moves_smoothly_and_widely(film):
    middle, rotations = place(film).mean(1), turn(film.poses[:, :3])
    assert np.linalg.norm(np.diff(middle, axis=0), axis=1).max() < 80
    turned = np.einsum("fii->f", rotations[1:] @ rotations[:-1].swapaxes(1, 2))
    assert np.degrees(np.arccos((np.median(turned) - 1) / 2)) < 45
    assert (np.ptp(middle, axis=0) > 60).all()


def test_same_seed_same_film(ring, film):
    again = film_board(ring, n=120, seed=2)
    np.testing.assert_array_equal(again.pixels, film.pixels)
    assert not np.array_equal(film_board(ring, n=120, seed=3).poses, film.poses)
