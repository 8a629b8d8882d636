"""Animals that meet again and again, and trackings of them that go wrong in known places."""

from collections.abc import Sequence

import numpy as np

from mapose.poses import Poses
from mapose.skeleton import Skeleton

LENGTH = 30.0
SKELETON = Skeleton(["nose", "back", "tail"], [("nose", "back"), ("back", "tail")])
#: Frames at which the two of `make_walk` meet; they are clearly apart half-way between.
MEETINGS = (50, 150, 250, 350)


def make_walk(frames: int = 400, dimensions: int = 2) -> Poses:
    """Two animals that pass each other every 100 frames: the truth."""
    t = np.arange(frames)
    array = np.ones((frames, 2, 3, dimensions + 1), np.float32)
    for who, sign in enumerate((1, -1)):
        x = 200 + sign * 80 * np.cos(np.pi * t / 100)
        array[:, who, :, 0] = x[:, None] + [0, LENGTH / 2, LENGTH]
        array[:, who, :, 1] = 100 + 3 * sign
        array[:, who, :, 2:dimensions] = 20
    identity = np.full((frames, 2), 0.9, np.float32)
    return Poses(array, SKELETON, ["ann", "bob"], 25.0, identity=identity)


def track_badly(
    truth: Poses, swaps: Sequence[int] = (), names: Sequence[str] | None = None
) -> Poses:
    """A tracking that exchanges both rows at some frames, under names of its own."""
    order = np.tile([0, 1], (len(truth), 1))
    for frame in swaps:
        order[frame:] = order[frame:, ::-1]
    array = np.take_along_axis(truth.array, order[:, :, None, None], axis=1)
    names = truth.names if names is None else names
    return Poses(array, truth.skeleton, names, truth.rate, identity=truth.identity)
