"""Speed and share right of assembly, and of assembly with tracking, in simulated crowds.

Run: python tests/benchmarks/benchmark_assembly.py [--frames N] [--chunk N] [--room R]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "decode"))
from crowds import (
    KEYPOINTS,
    TREE,
    assemble_greedily,
    draw_crowd,
    draw_labels,
    find_crowd,
    find_reach,
    find_shares,
    find_slots,
    move_animals,
)

from mapose.anatomy import learn_anatomy
from mapose.decode.assembly import assemble
from mapose.decode.edges import propose_edges
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.tracking import track


def find_times(work, *, repeats=3):
    """Best processor time of a few runs in seconds, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def measure(animals, edges, options):
    """One row of the table."""
    rng = np.random.default_rng(animals)
    crowd = draw_crowd(rng, options.chunk, animals, edges=edges, room=options.room)
    reach = find_reach(crowd.points)
    anatomy = learn_anatomy(draw_labels(np.random.default_rng(77)))
    given = {"individuals": animals, "reach": reach}
    bare, poses = find_times(lambda: assemble(crowd.peaks, crowd.skeleton, **given))
    plain, _ = find_shares(crowd, find_slots(crowd, poses))
    given["anatomy"] = anatomy
    seconds, poses = find_times(lambda: assemble(crowd.peaks, crowd.skeleton, **given))
    right, pure = find_shares(crowd, find_slots(crowd, poses))
    unknown = assemble(crowd.peaks, crowd.skeleton, reach=reach, anatomy=anatomy)
    free, _ = find_shares(crowd, find_slots(crowd, unknown))
    slow, slots = find_times(lambda: assemble_greedily(crowd, individuals=animals), repeats=1)
    greedy, _ = find_shares(crowd, slots)
    return [
        f"{animals}",
        f"{len(edges)}",
        f"{options.chunk / seconds:.0f}",
        f"{100 * right:.1f}",
        f"{100 * pure:.1f}",
        f"{100 * free:.1f}",
        f"{options.chunk / bare:.0f}",
        f"{100 * plain:.1f}",
        f"{100 * greedy:.1f}",
        f"{options.chunk / slow:.0f}",
    ]


def measure_tracking(animals, edges, options):
    """Frames/s of assembly in chunks and of tracking the whole run."""
    rng = np.random.default_rng(animals)
    points = move_animals(rng, options.frames, animals, room=options.room)
    skeleton, reach = Skeleton(KEYPOINTS, edges), find_reach(points)
    chunks = [
        find_crowd(rng, points[first : first + options.chunk], skeleton).peaks
        for first in range(0, options.frames, options.chunk)
    ]
    given = {"individuals": animals, "reach": reach}
    given["anatomy"] = learn_anatomy(draw_labels(np.random.default_rng(77)))
    assembly, parts = find_times(lambda: [assemble(p, skeleton, **given) for p in chunks])
    poses = Poses(np.concatenate([p.array for p in parts]), skeleton, rate=25)
    tracking, _ = find_times(lambda: track(poses, individuals=animals))
    seconds = (assembly, tracking, assembly + tracking)
    return [f"{animals}", *(f"{options.frames / s:.0f}" for s in seconds)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1024, help="frames that are tracked")
    parser.add_argument("--chunk", type=int, default=128, help="frames assembled at once")
    parser.add_argument("--room", type=float, default=1.5, help="1 = a heap, 2 = loose")
    options = parser.parse_args()
    walk = move_animals(np.random.default_rng(5), 300, 3)
    redundant = [(KEYPOINTS[a], KEYPOINTS[b]) for a, b in propose_edges(walk)]
    table = Table(title=f"Assembly, 12 keypoints, chunks of {options.chunk} frames, one core")
    for name in (
        "animals",
        "edges",
        "frames/s",
        "right %",
        "of those used %",
        "number unknown %",
        "without anatomy frames/s",
        "right %",
        "greedy %",
        "greedy frames/s",
    ):
        table.add_column(name, justify="right")
    for animals in (2, 5, 10):
        for edges in (TREE, redundant):
            table.add_row(*measure(animals, edges, options))
    console = Console()
    console.print(table)
    table = Table(title=f"Assembly and tracking, {options.frames} frames")
    for name in ("animals", "assembly frames/s", "tracking frames/s", "together frames/s"):
        table.add_column(name, justify="right")
    for animals in (2, 5, 10):
        table.add_row(*measure_tracking(animals, redundant, options))
    console.print(table)


if __name__ == "__main__":
    main()
