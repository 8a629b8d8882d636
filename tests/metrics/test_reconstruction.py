"""Scores of reconstructions on numbers that can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mapose import Poses, Skeleton
from mapose.errors import SettingsError, ShapeError
from mapose.metrics import bone_variation, reconstruction_error

LIMB = Skeleton(["hip", "knee"], [("hip", "knee")])


def make_poses(points, names=None, **options):
    points = np.asarray(points, np.float64)
    array = np.concatenate([points, np.ones((*points.shape[:-1], 1))], -1)
    return Poses(array, LIMB, names, unit="mm", **options)


def test_distances_are_summed_up(rng):
    truth = 50 * rng.normal(size=(4, 1, 2, 3))
    off = np.zeros_like(truth)
    off[:, 0, 0, 0] = [3, 0, 0, 20]
    off[:, 0, 1, 1:] = [3, 4]
    off[3, 0, 1] = np.nan
    score = reconstruction_error(make_poses(truth), make_poses(truth + off))
    distances = [3, 0, 0, 20, 5, 5, 5]
    assert score.mean == pytest.approx(np.mean(distances), rel=1e-4)
    assert score.median == pytest.approx(5, rel=1e-4)
    assert score.rmse == pytest.approx(np.sqrt(np.mean(np.square(distances))), rel=1e-4)
    assert score.gross == pytest.approx(1 / 7) and score.limit == 10
    assert score.found == pytest.approx(7 / 8)
    assert score.median_each == pytest.approx([1.5, 5], rel=1e-4)
    assert np.isnan(score.coverage)
    assert "above 10 mm" in str(score) and "knee" in str(score)


def test_coverage_compares_errors_with_covariances(rng):
    truth = np.zeros((4000, 1, 2, 3))
    spread = np.diag([1.0, 4.0, 9.0]).astype(np.float32)
    found = rng.normal(size=truth.shape) * [1, 2, 3]
    stated = np.broadcast_to(spread, (4000, 1, 2, 3, 3))
    right = reconstruction_error(make_poses(truth), make_poses(found, covariance=stated))
    assert right.coverage == pytest.approx(0.95, abs=0.01)
    proud = reconstruction_error(make_poses(truth), make_poses(found, covariance=stated / 4))
    assert proud.coverage < 0.6


def test_individuals_go_by_name_then_by_place(rng):
    truth = rng.normal(size=(20, 2, 2, 3)) + np.array([0, 500])[:, None, None]
    swapped = make_poses(truth[:, ::-1], ["b", "a"])
    assert reconstruction_error(make_poses(truth, ["a", "b"]), swapped).mean < 1e-4
    other = replace(swapped, individuals=["x", "y"])
    assert reconstruction_error(make_poses(truth, ["a", "b"]), other).mean < 1e-4
    wrong = replace(swapped, individuals=["a", "b"])
    assert reconstruction_error(make_poses(truth, ["a", "b"]), wrong).mean > 500
    alone = make_poses(truth[:, 1:], ["z"])
    score = reconstruction_error(make_poses(truth, ["a", "b"]), alone)
    assert score.mean < 1e-4 and score.found == 0.5


def test_common_frames_and_keypoints_count(rng):
    truth = rng.normal(size=(6, 1, 2, 3))
    covariance = np.broadcast_to(np.eye(3), (6, 1, 2, 3, 3))
    found = make_poses(truth, covariance=covariance).sel(frames=[1, 4], keypoint=["knee"])
    score = reconstruction_error(make_poses(truth), found)
    assert score.found == 1 and score.mean < 1e-6 and score.coverage == 1
    assert score.keypoints == ("knee",)


def test_nothing_found_is_nan():
    truth = np.zeros((3, 1, 2, 3))
    score = reconstruction_error(make_poses(truth), make_poses(np.full_like(truth, np.nan)))
    assert np.isnan(score.mean) and np.isnan(score.p95) and score.found == 0


def test_bones_vary():
    points = np.zeros((4, 1, 2, 3))
    points[:, 0, 1, 2] = [10, 10, 10, 12]
    varied = bone_variation(make_poses(points))
    assert varied.bones == ("hip-knee",)
    assert varied.length.tolist() == [[10]] and varied.variation[0, 0] == pytest.approx(0.1)
    assert varied.median == pytest.approx(0.1)
    bare = bone_variation(Poses(np.ones((2, 1, 1, 4)), Skeleton(["a"]), unit="mm"))
    assert np.isnan(bare.median) and not bare.bones


def test_wrong_poses_are_refused():
    flat = Poses(np.ones((2, 1, 2, 3)), LIMB)
    deep = make_poses(np.ones((2, 1, 2, 3)))
    with pytest.raises(ShapeError, match="pose_error"):
        reconstruction_error(flat, flat)
    with pytest.raises(ShapeError, match="3D, came 2D"):
        bone_variation(flat)
    with pytest.raises(ShapeError, match="3D in mm and 3D in m"):
        reconstruction_error(deep, replace(deep, unit="m"))
    with pytest.raises(SettingsError, match="limit"):
        reconstruction_error(deep, deep, limit=0)
