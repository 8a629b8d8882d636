"""Views chosen for what they tell, not every n-th."""

import numpy as np
import pytest

from calibration import Chessboard, select_views
from calibration.boards.detection import BoardDetections
from calibration.session.intrinsics import calibrate_camera
from calibration.synthetic import film_board, make_ring

BOARD = Chessboard(8, 5, 30)


@pytest.fixture(scope="module")
def views():
    """What a camera saw of a board that was waved, and rested for two thirds of the time."""
    ring = make_ring(2, seed=2)
    pixels = film_board(ring, BOARD.points, n=120, seed=2).pixels[0]
    pixels = pixels[np.isfinite(pixels[..., 0]).sum(1) >= 20]
    rng = np.random.default_rng(2)
    resting = pixels[10] + rng.normal(0, 0.3, (200, *pixels[10].shape))
    return ring["cam0"], np.concatenate([pixels[:10], resting, pixels[10:]])


def test_a_resting_board_is_not_taken_again_and_again(views):
    _, pixels = views
    chosen = select_views(pixels, BOARD.points, most=20)
    assert len(chosen) == 20 and (np.diff(chosen) > 0).all()
    assert ((chosen >= 10) & (chosen < 210)).sum() <= 2
    assert np.isin(select_views(pixels, BOARD.points, most=8), chosen).all()


def test_lenses_are_better_than_from_every_nth_view(views):
    """Errors over the whole image: of five other seeds 1.1 px, from every n-th view 5 px."""
    camera, pixels = views
    corners = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), -1)
    rays = camera.rays(corners.reshape(-1, 2))

    def measure(rows):
        found = BoardDetections("cam0", camera.size, np.arange(len(rows)), pixels[rows], 400, 30.0)
        fitted = calibrate_camera(found, BOARD.points).camera.rays(corners.reshape(-1, 2))
        local = rays @ camera.rotation_matrix.T
        # A turn of the whole camera is no error of the lens.
        u, _, vt = np.linalg.svd(fitted.T @ local)
        turned = fitted @ (u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt)
        return camera.matrix[0, 0] * np.linalg.norm(turned - local, axis=1).mean()

    selected = measure(select_views(pixels, BOARD.points, most=20))
    even = measure(np.linspace(0, len(pixels) - 1, 20).astype(int))
    assert selected < 0.5 * even and selected < 2.5


def test_sharp_and_whole_views_come_first(views):
    _, pixels = views
    pixels = pixels[:10].copy()
    twice = np.concatenate([pixels, pixels])
    blur = np.repeat([2.0, 0.7], 10)
    assert (select_views(twice, BOARD.points, most=6, blur=blur) >= 10).all()
    blur[10:] = np.nan  # unknown counts as usual
    assert len(select_views(twice, BOARD.points, most=6, blur=blur)) == 6
    twice[:10, ::3] = np.nan
    assert (select_views(twice, BOARD.points, most=6) >= 10).all()


def test_views_that_show_too_little_are_never_taken(views):
    _, pixels = views
    few = pixels[:6].copy()
    few[0, 5:] = np.nan  # five corners
    few[1, 15:] = np.nan  # less than half of the others
    few[2] = np.nan
    assert select_views(few, BOARD.points, most=9).tolist() == [3, 4, 5]
    assert len(select_views(few[:0], BOARD.points, most=9)) == 0
    assert len(select_views(few[2:3], BOARD.points, most=9)) == 0


def test_order_does_not_matter(views, rng):
    _, pixels = views
    pixels = pixels[[*range(10), *range(210, 250)]].copy()
    fullest = np.isfinite(pixels[..., 0]).sum(1).argmax()
    pixels[np.arange(len(pixels)) != fullest, 7] = np.nan  # one is the first by right
    order = rng.permutation(len(pixels))
    chosen = select_views(pixels, BOARD.points, most=12)
    assert set(chosen) == set(order[select_views(pixels[order], BOARD.points, most=12)])
