"""Act when two animals are nearer than a distance: when they are, and only then."""

import numpy as np
import pytest

from mapose.live import Answer, Frame, find_near
from mapose.live.following import FlatFollower
from mapose.live.gathering import FrameSet
from mapose.live.motion import Motion
from mapose.synthetic import degrade, make_cameras, make_scene

#: Frames per second, frames from one answer to the next, and until an answer is there.
RATE, STEP, LATENCY = 30.0, 3, 2
DISTANCE, MARGIN = 60.0, 6.0  # px; within the margin it may be either


@pytest.fixture(scope="module")
def meetings():
    """Distances of two animals that meet often (F,), and the answers to what a model would see."""
    scene = make_scene(2, 10_800, seed=8, rate=RATE, cameras=make_cameras(1, size=(640, 480)))
    truth = scene.truth(occluded=False)
    seen = degrade(scene.truth(), np.random.default_rng(1))
    follower = FlatFollower("top", 2)
    motion = Motion(2, len(truth.skeleton.keypoints), 2)
    picture = np.zeros((2, 2), np.uint8)
    answers = []
    for f in range(0, len(truth), STEP):
        time = f / RATE
        found = follower.update(f, {"top": seen.take(slice(f, f + 1))})
        motion.update(time, found.points, found.covariance, found.size)
        moment = time + LATENCY / RATE
        predicted, spread = motion.predict(moment)
        frames = FrameSet({"top": Frame(picture, time, f, time)}, time, f)
        names = ("track0", "track1")
        measured = (found.points, found.covariance, found.confidence)
        answers.append(
            Answer(
                frames, truth.skeleton, names, "px", *measured, moment, predicted, spread,
                found.certainty, found.views,
            )
        )  # fmt: skip
    centres = np.nanmean(truth.points, 2)
    return np.linalg.norm(centres[:, 0] - centres[:, 1], axis=-1), answers


def find_meetings(apart):
    """First and last frames: from clearly near to clearly apart."""
    found, first = [], None
    for f, distance in enumerate(apart):
        if first is None and distance < DISTANCE - MARGIN:
            first = f
        elif first is not None and distance > 1.2 * DISTANCE + MARGIN:
            found.append((first, f))
            first = None
    return found


def test_of_40_meetings_39_trigger_and_nothing_else_does(meetings):
    apart, answers = meetings
    near = find_near(DISTANCE)
    told = np.zeros(len(apart) + STEP, bool)
    for answer in answers:
        now = answer.frames.number + LATENCY
        told[now : now + STEP] = near(answer)
    truth = find_meetings(apart)
    delays = [np.flatnonzero(told[first : last + 8])[:1] for first, last in truth]
    missed = sum(not len(delay) for delay in delays)
    assert len(truth) >= 40 and missed <= len(truth) / 40
    delays = np.concatenate(delays)
    assert np.median(delays) <= 2 and np.percentile(delays, 90) <= 6  # frames of 33 ms
    switched = np.flatnonzero(np.diff(told.astype(int), prepend=0) == 1)
    around = [apart[max(0, at - 4) : at + 5].min() for at in switched]
    assert max(around) < DISTANCE + MARGIN
