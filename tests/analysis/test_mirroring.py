"""Mirrored pictures: what a model finds there is brought back to where it is."""

import cv2
import numpy as np

from mapose.analysis.mirroring import find_mirrored, mirror_poses
from mapose.analysis.prediction import predict
from mapose.decode import assemble
from mapose.io import VideoWriter
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained


def test_mirroring_twice_changes_nothing(rng):
    ears = Skeleton(["snout", "earL", "earR"], mirror=[("earL", "earR")])
    array = rng.uniform(0, 90, (4, 2, 3, 3))
    poses = Poses(array, ears, frames=[3, 5, 9, 11])
    once = mirror_poses(poses, 96)
    np.testing.assert_allclose(once.points[..., 1, 0], 95 - poses.points[..., 2, 0], rtol=1e-6)
    np.testing.assert_allclose(mirror_poses(once, 96).array, poses.array, atol=1e-4)
    assert once.frames.tolist() == [3, 5, 9, 11]


def test_in_a_symmetric_picture_the_same_is_found_on_the_other_side(tmp_path, rng):
    """A mirror image that is the picture itself: what is found there is what the model found."""
    model = make_untrained(individuals=1, lively=True)
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, quality=100) as writer:
        for _ in range(30):
            half = cv2.resize(rng.integers(0, 255, (6, 5), np.uint8), (48, 64))
            writer.write(np.concatenate([half, half[:, ::-1]], axis=1))
    found = find_mirrored(path, model, count=7)
    assert found.frames.tolist() == np.linspace(0, 29, 7).astype(int).tolist()
    plain = assemble(predict(path, model), model.body, individuals=1).take(found.frames)
    off = np.linalg.norm(found.points - mirror_poses(plain, 96).points, axis=-1)
    assert (off < 1).mean() > 0.7
    assert (np.linalg.norm(found.points - plain.points, axis=-1) > 5).mean() > 0.7
