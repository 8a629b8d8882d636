"""Faults put into the result of two flies: how many of them are among the first frames ranked?

Run: python tests/benchmarks/benchmark_outliers.py [--seeds 100,120] [--first 90] [--labels 100]

20 swaps (from a frame on, the two have each other's names), 20 jumps (an animal is half to two body
lengths elsewhere, for one frame) and 20 moved limbs (a keypoint is half to one body length
elsewhere, for one frame) are put into flies_courtship, at random frames at least 15 apart. Counted
are the faults whose frame, or the next one, is among the first with the right kind of reason. What
else is ranked there are mostly errors of the network that made the result. Seeds 0 to 9 are for
development.
"""

import argparse
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from mapose.io import read_labels
from mapose.poses import Poses
from mapose.results.outliers import find_outliers
from mapose.results.result import read
from mapose.selection.criteria import find_body_length

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))
FILE = DATA / "flies_courtship" / "predictions.slp"
EACH, APART = 20, 15


def put_faults(poses: Poses, seed: int) -> tuple[Poses, dict[int, str]]:
    """Put faults into poses; also give the kind of reason that each frame should have."""
    rng = np.random.default_rng(seed)
    array, length = poses.array.copy(), find_body_length(poses)
    frames: list[int] = []
    for n in rng.permutation(np.arange(20, len(array) - 20)):
        if len(frames) < 3 * EACH and all(abs(n - m) >= APART for m in frames):
            frames.append(int(n))
    swaps, jumps, limbs = sorted(frames[:EACH]), frames[EACH : 2 * EACH], frames[2 * EACH :]

    def draw_shift(least: float, most: float) -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi)
        return rng.uniform(least, most) * length * np.array([np.cos(angle), np.sin(angle)])

    for n in jumps:
        array[n, rng.integers(2), :, :2] += draw_shift(0.5, 2)
    for n in limbs:
        i = rng.integers(2)
        array[n, i, rng.choice(np.flatnonzero(array[n, i, :, 2] > 0)), :2] += draw_shift(0.5, 1)
    for n in swaps:
        array[n:] = array[n:, ::-1]
    kinds = dict.fromkeys(swaps, "swap") | dict.fromkeys(jumps, "jump")
    return replace(poses, array=array), kinds | dict.fromkeys(limbs, "pose")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="100,120", help="first, and the one after the last")
    parser.add_argument("--first", type=int, default=90, help="frames ranked that count")
    parser.add_argument("--labels", type=int, default=100, help="to learn poses from; 0 = none")
    options = parser.parse_args()
    poses, labels = read(FILE), None
    if options.labels:
        every = read_labels(FILE)
        labels = every.take(np.linspace(0, len(every) - 1, options.labels).astype(int))
    totals = []
    for seed in range(*map(int, options.seeds.split(","))):
        faulty, wanted = put_faults(poses, seed)
        ranked = find_outliers(faulty, options.first, labels=labels)
        kinds = {n: o.kinds for o in ranked for n in (o.frame, o.frame - 1) if n in wanted}
        right = Counter(wanted[n] for n in kinds if wanted[n] in kinds[n])
        first = sum(kinds[n][0] == wanted[n] for n in kinds)
        totals.append(right.total())
        print(f"seed {seed}: {totals[-1]} of {len(wanted)}, {dict(right)}; {first} as first reason")
    print(f"mean {np.mean(totals):.1f}, least {min(totals)}")


if __name__ == "__main__":
    main()
