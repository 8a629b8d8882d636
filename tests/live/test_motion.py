import numpy as np
import pytest

from mapose.live.motion import Motion
from mapose.synthetic import make_scene


def follow(points, *, noise, seed=0):
    """Errors now of what was measured and of what is predicted, 0.1 s after the exposure."""
    rng = np.random.default_rng(seed)
    frames, individuals, keypoints, d = points.shape
    motion = Motion(individuals, keypoints, d)
    spread = np.broadcast_to(noise**2 * np.eye(d), (individuals, keypoints, d, d))
    measured, predicted, inside = [], [], []
    for f in range(0, frames - 3, 3):
        seen = points[f] + noise * rng.normal(size=points[f].shape)
        motion.update(f / 30, seen, spread, 150.0)
        where, covariance = motion.predict((f + 3) / 30)
        gap = where - points[f + 3]
        if f > 30:
            measured.append(np.linalg.norm(seen - points[f + 3], axis=-1))
            predicted.append(np.linalg.norm(gap, axis=-1))
            squared = np.einsum(
                "ikd,ikd->ik", gap, np.linalg.solve(covariance, gap[..., None])[..., 0]
            )
            inside.append(squared < 7.815)  # chi-square, 3 degrees of freedom, 95 %
    return np.median(measured), np.median(predicted), np.mean(inside)


def test_where_animals_are_now_is_known_better_than_where_they_were():
    points = make_scene(2, 900, seed=11, rate=30).truth_3d().points.astype(np.float64)
    measured, predicted, inside = follow(points, noise=2.5)
    assert predicted < 0.8 * measured
    assert inside > 0.9


def test_who_rests_is_not_led_on():
    points = np.broadcast_to(np.arange(36.0).reshape(1, 1, 12, 3), (600, 1, 12, 3))
    measured, predicted, _ = follow(points, noise=2.5)
    assert predicted < measured


def test_a_stray_is_not_followed_and_a_leap_is():
    motion, spread = Motion(1, 1, 2), np.eye(2)[None, None]
    for n in range(20):
        motion.update(n / 10, np.array([[[100.0, 50]]]), spread, 40)
    motion.update(2.0, np.array([[[300.0, 50]]]), spread, 40)
    assert motion.predict(2.0)[0][0, 0, 0] == pytest.approx(100, abs=2)
    motion.update(2.1, np.array([[[300.0, 50]]]), spread, 40)
    assert motion.predict(2.1)[0][0, 0, 0] == pytest.approx(300, abs=2)


def test_what_is_long_out_of_sight_is_forgotten():
    motion, spread = Motion(1, 2, 2), np.broadcast_to(np.eye(2), (1, 2, 2, 2))
    motion.update(0.0, np.array([[[1.0, 2], [3, 4]]]), spread, 40)
    motion.update(0.3, np.array([[[1.0, 2], [np.nan, 4]]]), spread, 40)
    assert np.isfinite(motion.predict(0.3)[0]).all()
    motion.update(0.6, np.array([[[1.0, 2], [np.nan, 4]]]), spread, 40)
    assert np.isfinite(motion.predict(0.6)[0]).all(-1).tolist() == [[True, False]]
