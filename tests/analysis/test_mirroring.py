"""Mirrored pictures: what a model finds there is brought back to where it is."""

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


def test_a_symmetric_picture_is_found_mirrored(tmp_path, rng):
    """Of pictures that are their own mirror image, a model finds the same places, mirrored."""
    model = make_untrained(lively=True)
    half = rng.integers(0, 255, (30, 64, 48), np.uint8)
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25, quality=100) as writer:
        for image in half:
            writer.write(np.concatenate([image, image[:, ::-1]], axis=1))
    found = find_mirrored(path, model, count=7)
    plain = assemble(predict(path, model), model.body, individuals=model.individuals)
    assert found.frames.tolist() == np.linspace(0, 29, 7).astype(int).tolist()
    there = plain.take(found.frames)
    wanted = mirror_poses(there, 96).points
    seen = np.isfinite(wanted).all(-1) & np.isfinite(found.points).all(-1)
    assert seen.mean() > 0.3
    off = np.linalg.norm(found.points - wanted, axis=-1)[seen]
    assert np.median(off) < 1 < np.median(np.abs(found.points - there.points)[seen, 0])
