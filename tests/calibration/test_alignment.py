import numpy as np
import pytest

from calibration import CalibrationError
from calibration.alignment import Similarity, align_to_board, align_to_points, find_similarity
from calibration.rotations import turn
from calibration.synthetic import make_ring


@pytest.fixture
def change(rng):
    return Similarity(turn(rng.normal(size=3)), rng.normal(size=3) * 100, 2.5)


def test_similarity_is_recovered(rng, change):
    source = rng.normal(size=(20, 3)) * 50
    target = change.move(source)
    source[3] = np.nan
    found = find_similarity(source, target)
    np.testing.assert_allclose(found.rotation, change.rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, change.translation, atol=1e-9)
    assert found.scale == pytest.approx(2.5)
    rigid = find_similarity(source, target / 2.5, scale=False)
    assert rigid.scale == 1.0
    np.testing.assert_allclose(rigid.move(source[0]), target[0] / 2.5, atol=1e-9)


def test_mirrored_points_are_not_mirrored_back(rng):
    source = rng.normal(size=(20, 3))
    found = find_similarity(source, source * [1, 1, -1])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 2)), r"\(N, 3\)"),
        (np.eye(3), np.eye(3)[:2], r"\(N, 3\)"),
        (np.eye(3)[:2], np.eye(3)[:2], "came 2 pairs"),
        (np.outer(np.arange(5), [1, 2, 3]), np.ones((5, 3)), "one line"),
    ],
)
def test_points_that_fix_nothing_are_refused(source, target, message):
    with pytest.raises(CalibrationError, match=message):
        find_similarity(source, target)


def test_moved_cameras_see_the_moved_world_alike(rng, change):
    ring = make_ring(4, seed=2, fisheye=[1])
    points = rng.uniform(-100, 100, (30, 3))
    moved = change.move_cameras(ring, "cm")
    np.testing.assert_allclose(moved.project(change.move(points)), ring.project(points), atol=1e-7)
    assert (moved.unit, moved.names) == ("cm", ring.names)
    assert change.move_cameras(ring).unit == "mm"


@pytest.mark.parametrize("flipped", [False, True])
def test_board_on_the_floor_becomes_the_floor(rng, flipped):
    """z is up whether the board's own z points up or down."""
    ring = make_ring(4)
    pose = np.array([np.pi * flipped, 0, 0, 30, -20, 0])
    # Anywhere in a turned world.
    change = Similarity(turn(rng.normal(size=3)), rng.normal(size=3) * 100)
    rotation = change.rotation @ turn(pose[:3])
    import cv2

    turned = np.append(cv2.Rodrigues(rotation)[0].ravel(), change.move(pose[3:]))
    aligned, back = align_to_board(change.move_cameras(ring), turned)
    assert all(c.centre[2] == pytest.approx(400) for c in aligned)
    np.testing.assert_allclose(back.move(change.move([30, -20, 0])), 0, atol=1e-9)
    np.testing.assert_allclose(back.move(change.move([31, -20, 0])), [1, 0, 0], atol=1e-9)
    with pytest.raises(CalibrationError, match="six finite"):
        align_to_board(ring, [0, 0, 0, np.nan, 0, 0])


def test_three_points_make_the_world(change):
    ring = make_ring(4)
    old = {name: change.move(p) for name, p in CORNERS.items()}
    aligned, back = align_to_points(change.move_cameras(ring), **old, length=40.0, unit="cm")
    np.testing.assert_allclose(back.move(old["origin"]), 0, atol=1e-9)
    np.testing.assert_allclose(back.move(old["x"]), [40, 0, 0], atol=1e-9)
    np.testing.assert_allclose(back.move(old["y"]), [8, 30, 0], atol=1e-9)
    assert back.scale == pytest.approx(0.1 / 2.5) and aligned.unit == "cm"
    np.testing.assert_allclose(aligned["cam0"].centre, [-10, -70, 30], atol=1e-9)
    unscaled = align_to_points(ring, **CORNERS)[1]
    assert unscaled.scale == 1.0


CORNERS = {"origin": (100.0, 200.0, 100.0), "x": (500.0, 200.0, 100.0), "y": (180.0, 500.0, 100.0)}


@pytest.mark.parametrize(
    ("points", "length", "message"),
    [
        ({"y": (900.0, 200.0, 100.0)}, None, "one line"),
        ({"x": (100.0, 200.0, 100.0)}, None, "one line"),
        ({"x": (np.nan, 0, 0)}, None, "x: wanted three"),
        ({"origin": (0, 0)}, None, "origin: wanted three"),
        ({}, 0.0, "above 0"),
    ],
)
def test_points_that_make_no_world_are_refused(points, length, message):
    with pytest.raises(CalibrationError, match=message):
        align_to_points(make_ring(2), **{**CORNERS, **points}, length=length)
