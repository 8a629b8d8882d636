from dataclasses import replace

import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup
from calibration.alignment import find_similarity
from calibration.boardposes import find_board_poses, place_board
from calibration.boards.chessboard import Chessboard
from calibration.rotations import turn
from calibration.session.extrinsics import find_links, link_cameras
from calibration.synthetic import film_board, make_board, make_ring

BOARD = make_board()


def film(ring, n=25, seed=0, **options):
    return film_board(ring, BOARD, n=n, seed=seed, **options).pixels


def forget_places(ring):
    """Lenses 3 % off and no poses: what is known before linking."""
    lenses = []
    for camera in ring:
        matrix = camera.matrix * [[1.03], [1.03], [1.0]]
        matrix[:2, 2] = camera.matrix[:2, 2]
        lenses.append(replace(camera, matrix=matrix, rotation=np.zeros(3), translation=np.zeros(3)))
    return CameraGroup(lenses, ring.unit)


def measure_centres(group, ring):
    """Distances of camera centres, after the best rigid motion."""
    found, true = (np.array([c.centre for c in g]) for g in (group, ring))
    return np.linalg.norm(find_similarity(found, true, scale=False).move(found) - true, axis=1)


def hide(pixels, pairs):
    """Make pairs of cameras never see the board together: one of them misses the frame."""
    for n, (a, b) in enumerate(pairs):
        both = np.isfinite(pixels[[a, b], ..., 0]).any(2).all(0)
        frames = np.flatnonzero(both)
        pixels[a, frames[n % 2 :: 2]] = np.nan
        pixels[b, frames[1 - n % 2 :: 2]] = np.nan
    return pixels


def test_both_poses_of_a_far_board_are_found(rng):
    camera = make_ring(1, focal=6000).cameras[0]
    lens = replace(camera, rotation=np.zeros(3), translation=np.zeros(3))
    rotations = turn(rng.normal(0, 0.3, (30, 3)))
    translations = np.array([-90.0, -60.0, 12000.0]) + rng.normal(0, 30, (30, 3))
    pixels = lens.project(place_board(rotations, translations, BOARD))
    pixels += rng.normal(0, 0.3, pixels.shape)
    pixels[rng.random(pixels.shape[:2]) < 0.05] += 40
    poses = find_board_poses(camera, BOARD, pixels=pixels)
    assert poses.found.all() and (poses.errors[:, 0] <= poses.errors[:, 1]).all()
    off = np.linalg.norm(poses.rotations[..., 2] - rotations[:, None, :, 2], axis=-1)
    assert (off.min(1) < 0.15).mean() > 0.9  # one of both is right,
    assert 0.05 < (off[:, 0] > 0.15).mean() < 0.6  # not always the one that fits better


@pytest.mark.parametrize("fisheye", [False, True])
def test_board_poses_bear_false_corners(rng, fisheye):
    camera = make_ring(1, fisheye=[0] if fisheye else []).cameras[0]
    rotations = turn(rng.normal(0, 0.4, (40, 3)))
    translations = np.array([-90.0, -60.0, 400.0]) + rng.normal(0, 40, (40, 3))
    lens = replace(camera, rotation=np.zeros(3), translation=np.zeros(3))
    pixels = lens.project(place_board(rotations, translations, BOARD))
    false = rng.random(pixels.shape[:2]) < 0.1
    pixels[false] += rng.uniform(-60, 60, (false.sum(), 2))
    poses = find_board_poses(camera, BOARD, pixels=pixels)
    off = np.abs(poses.rotations[:, 0] - rotations).max((1, 2))
    assert (off < 1e-3).mean() > 0.9 and off.max() < 0.1
    assert np.median(np.abs(poses.translations[:, 0] - translations)) < 0.1


def test_views_that_show_too_little_have_no_pose():
    camera = make_ring(1).cameras[0]
    pixels = np.full((4, 35, 2), np.nan)
    whole = camera.project(BOARD)
    pixels[0, :5] = whole[:5]  # five corners
    pixels[1, :7] = whole[:7]  # one line
    pixels[2] = whole
    poses = find_board_poses(camera, BOARD, pixels=pixels)
    assert poses.found.tolist() == [False, False, True, False]
    assert np.isnan(poses.rotations[[0, 1, 3]]).all()
    with pytest.raises(CalibrationError, match="flat"):
        find_board_poses(camera, BOARD + np.arange(35)[:, None], pixels=pixels)
    with pytest.raises(CalibrationError, match=r"wanted \(frames, 35, 2\)"):
        find_board_poses(camera, BOARD, pixels=pixels[0])


def test_cameras_are_linked_through_others():
    """In a ring of six, opposite cameras never see the board together."""
    ring = make_ring(6, seed=1, fisheye=[2])
    pixels = hide(film(ring, n=60), [(0, 3), (1, 4), (2, 5), (0, 2), (0, 4)])
    linked = link_cameras(forget_places(ring), BOARD, pixels=pixels)
    assert linked.links.shared[0, 3] == 0 and len(linked.chain) == 5
    assert measure_centres(linked.cameras, ring).max() < 60  # of 500 mm; the lenses are 3 % off
    turned = turn(linked.poses[:, :3])
    there = linked.cameras.project(place_board(turned, linked.poses[:, 3:], BOARD))
    assert np.nanmedian(np.linalg.norm(there - pixels, axis=-1)) < 8


def test_wrong_pairs_are_outvoted(rng):
    """In 40 % of the frames one camera saw the board at another moment."""
    ring = make_ring(3, seed=2)
    pixels = film(ring, n=50)
    wrong = rng.permutation(50)[:20]
    pixels[1, wrong] = pixels[1, np.roll(wrong, 7)]
    linked = link_cameras(forget_places(ring), BOARD, pixels=pixels)
    assert measure_centres(linked.cameras, ring).max() < 40
    links = linked.links
    assert links.agreeing[0, 1] < 0.8 * links.shared[0, 1]
    assert links.agreeing[0, 2] > 0.9 * links.shared[0, 2]


def test_cameras_that_cannot_be_linked_are_named():
    ring = make_ring(4, seed=3)
    pixels = hide(film(ring), [(3, 0), (3, 1), (3, 2)])
    with pytest.raises(CalibrationError, match=r"cannot link cam3 with cam0, cam1, cam2: cam3: no"):
        link_cameras(forget_places(ring), BOARD, pixels=pixels)


def test_frames_that_are_never_the_same_moment_link_nothing(rng):
    ring = make_ring(2, seed=4)
    pixels = film(ring, n=40)
    pixels[1] = pixels[1, rng.permutation(40)]
    with pytest.raises(CalibrationError, match=r"frames shared with cam[01] agree"):
        link_cameras(forget_places(ring), BOARD, pixels=pixels)
    with pytest.raises(CalibrationError, match=r"pixels: wanted \(cameras"):
        link_cameras(ring, BOARD, pixels=pixels[:1])


def test_boards_that_look_alike_upside_down_are_renumbered(rng):
    """An 8 x 6 chessboard has two numberings; each camera picks one at random in each frame."""
    board = Chessboard(8, 6, 30)
    ring = make_ring(3, seed=5)
    true = film_board(ring, board.points, n=30, false=0.0, seed=5).pixels
    orders = board.symmetries
    assert len(orders) == 2
    flipped = rng.random(true.shape[:2]) < 0.5
    pixels = np.where(flipped[..., None, None], true[:, :, orders[1]], true)
    linked = link_cameras(forget_places(ring), board.points, pixels=pixels, symmetries=orders)
    assert measure_centres(linked.cameras, ring).max() < 40
    # What is left open is one choice per frame, the same for all cameras.
    seen = np.isfinite(true[..., 0]).sum(-1) >= 6
    for frame in np.flatnonzero(seen.all(0)):
        assert len(set((linked.numbering[:, frame] + flipped[:, frame]) % 2)) == 1
    views = [find_board_poses(c, board.points, pixels=p) for c, p in zip(ring, pixels, strict=True)]
    plain = find_links(ring, views, board=board.points)
    assert (plain.agreeing < linked.links.agreeing).any()


def test_cameras_far_away_are_linked(rng):
    """Near-affine cameras: each view's tilt is ambiguous, agreement over frames settles it."""
    ring = make_ring(3, radius=6000, height=4000, focal=6000, seed=6)
    centre = rng.normal(0, 60, (40, 3))
    rotations = turn(rng.normal(0, 0.5, (40, 3))) @ np.diag([1.0, -1.0, -1.0])
    points = place_board(rotations, centre - rotations @ BOARD.mean(0), BOARD)
    pixels = ring.project(points) + rng.normal(0, 0.5, (3, 40, 35, 2))
    linked = link_cameras(forget_places(ring), BOARD, pixels=pixels)
    for a, b in ((0, 1), (0, 2)):
        found, true = (
            g.cameras[a].rotation_matrix @ g.cameras[b].rotation_matrix.T
            for g in (linked.cameras, ring)
        )
        cosine = (np.trace(found.T @ true) - 1) / 2
        assert np.degrees(np.arccos(min(cosine, 1.0))) < 5
