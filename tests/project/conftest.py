"""A small project with frames of one video to label."""

import numpy as np
import pytest

from mapose.io import VideoWriter
from mapose.project.project import Project
from mapose.skeleton import Skeleton


@pytest.fixture
def film(tmp_path):
    """A video of 30 frames, each of its own grey level."""
    path = tmp_path / "film.mp4"
    with VideoWriter(path, 25) as writer:
        for i in range(30):
            writer.write(np.full((48, 64), 8 * i, np.uint8))
    return path


@pytest.fixture
def mice(tmp_path, film) -> Project:
    """Two mice with three keypoints; frames 1, 2 and 3 are to be labelled."""
    skeleton = Skeleton(["snout", "earL", "earR"], [("snout", "earL")])
    project = Project.create(tmp_path / "mice", skeleton, individuals=["ann", "bob"], videos=[film])
    return project.add_frames("film", [1, 2, 3])
