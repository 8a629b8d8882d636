"""Speed and identities of tracking on simulated animals, one core.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_tracking.py [--frames N] [--scenes]

Walks: animals that walk, stop, turn and cross, 10 % of keypoints missing; then hidden for 15
frames four times each among false alarms. Scenes (slower): mice that live together, seen as a
network sees them (`mapose.synthetic.degrade`). Times are processor times; "online" is the tracker
alone, "all" with the joining of tracklets.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tracking"))
from walking import make_walks

from mapose.metrics import track_scores
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking import Tracker, track

ANIMALS = (2, 5, 10)
WALKS = {
    "walks": {},
    "walks, hiding": {"hidden": 15, "false": 0.05},
}


def make_poses(points, confidence, named=False):
    names = [f"animal{i}" for i in range(points.shape[1])] if named else None
    skeleton = Skeleton([f"keypoint{k}" for k in range(points.shape[2])])
    return Poses(np.concatenate([points, confidence[..., None]], -1), skeleton, names)


def draw_walks(animals, frames, options):
    walks = make_walks(animals, frames, seed=animals, **options)
    sure = np.ones(walks.truth.shape[:3])
    truth = make_poses(walks.truth, sure, named=True)
    return truth, make_poses(walks.points, walks.confidence)


def draw_scene(animals, frames):
    from mapose.synthetic import degrade, make_scene

    truth = make_scene(animals, frames, seed=animals).truth()
    return truth, degrade(truth, np.random.default_rng(animals))


def measure(name, truth, found, known):
    """One row of the table."""
    animals = len(truth.names)
    start = time.process_time()
    Tracker(individuals=animals).update_many(found.points, found.confidence)
    online = time.process_time() - start
    start = time.process_time()
    tracked = track(found, individuals=animals if known else None)
    whole = time.process_time() - start
    scores = track_scores(truth, tracked)
    return [
        name,
        str(animals),
        "known" if known else "unknown",
        f"{len(truth) / online:.0f}",
        f"{len(truth) / whole:.0f}",
        f"{scores.idf1:.4f}",
        f"{scores.idp:.4f}",
        f"{scores.hota:.3f}",
        str(scores.switches),
        str(tracked.array.shape[1]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--scenes", action="store_true")
    options = parser.parse_args()
    names = ["what", "animals", "number", "online", "all", "IDF1", "IDP", "HOTA", "switches"]
    table = Table(*names, "rows", title=f"frames/s and identities, {options.frames} frames")
    Tracker().update_many(np.zeros((2, 1, 2, 2)))  # the import of filterpy is not counted
    for name, settings in WALKS.items():
        for animals in ANIMALS:
            case = draw_walks(animals, options.frames, settings)
            for known in (True, False):
                table.add_row(*measure(name, *case, known))
    for animals in ANIMALS if options.scenes else ():
        case = draw_scene(animals, options.frames)
        for known in (True, False):
            table.add_row(*measure("scene", *case, known))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
