"""Identities across cameras on simulated mice, and speed, on one core.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_identities.py [--frames N] [--seeds N]

Scenes are seen as networks see them (`mapose.synthetic.degrade`, 20 % of keypoints missing). In
"named" ones every view has 2D tracks of its own order, and those of the last camera swap every 100
frames; in "tracked" ones the 2D tracks are those of `mapose.tracking`, swapped likewise; in
"slots" there are none. IDF1 is that of the names in 3D: body centres from the true cameras, at
most 50 mm from the true ones; "best" is the same with the true names. "named right" is the
share of 2D detections with the right name, worst camera, "repaired" that of the swapped
camera within 5 frames of each swap. Times are processor times, without reading.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "multiview"))
from known_names import find_right, name_rows

from mapose import Poses, Skeleton
from mapose.metrics import track_scores
from mapose.multiview import match_views
from mapose.synthetic import Flaws, degrade, make_scene
from mapose.tracking import track

EVERY = 100


def watch(animals, cameras, frames, *, seed, kind):
    """Make views of a scene, and the exact ones: {camera: Poses} twice."""
    scene = make_scene(animals, frames, seed=seed, cameras=cameras)
    rng = np.random.default_rng(seed)
    truth = {name: scene.truth(name, occluded=False) for name in scene.cameras.names}
    views = {}
    for name, exact in truth.items():
        found = degrade(exact, rng, flaws=Flaws(missing=0.2))
        if kind == "named":
            found = name_rows(exact, found, rng.permutation(animals))
        elif kind == "tracked":
            found = track(found, individuals=animals)
        views[name] = found
    if kind != "slots":
        last = scene.cameras.names[-1]
        array = views[last].array.copy()
        for frame in range(EVERY, frames, EVERY):
            pair = rng.choice(animals, 2, replace=False)
            array[frame:, pair] = array[frame:, pair[::-1]]
        views[last] = replace(views[last], array=array)
    return scene, truth, views


def find_centres(scene, views):
    """Triangulate names with the true cameras: 3D poses of one keypoint, the median."""
    pixels = np.stack([views[name].points.astype(np.float64) for name in scene.cameras.names])
    v, f, i, k, _ = pixels.shape
    points = scene.cameras.triangulate(pixels.reshape(v, -1, 2)).points.reshape(f, i, k, 3)
    return take_centres(points, next(iter(views.values())).names)


def take_centres(points, names):
    known = np.isfinite(points).all(-1)
    centre = np.full((*points.shape[:2], 1, 4), np.nan, np.float32)
    for f, i in zip(*np.nonzero(known.any(-1)), strict=True):
        centre[f, i, 0, :3] = np.median(points[f, i, known[f, i]], axis=0)
    centre[..., 3] = np.isfinite(centre[..., 0])
    return Poses(centre, Skeleton(["centre"]), names, unit="mm")


def measure(animals, cameras, frames, *, seed, kind):
    scene, truth, views = watch(animals, cameras, frames, seed=seed, kind=kind)
    start = time.process_time()
    matched = match_views(views, scene.cameras, individuals=animals)
    spent = time.process_time() - start
    exact = take_centres(scene.truth_3d().points, scene.individuals)
    scores = track_scores(exact, find_centres(scene, matched), reach=50)
    best = {n: name_rows(truth[n], p, np.arange(animals)) for n, p in views.items()}
    ceiling = track_scores(exact, find_centres(scene, best), reach=50)
    right = find_right(matched, truth)
    shares = [good[counted].mean() for good, counted in right.values()]
    good, counted = right[scene.cameras.names[-1]]
    after = (np.arange(frames) % EVERY < 5) & (np.arange(frames) >= EVERY)
    repaired = good[after][counted[after]].mean()
    sure = np.concatenate([matched[n].identity[c] for n, (_, c) in right.items()])
    true = np.concatenate([g[c] for g, c in right.values()])
    return [
        scores.idf1,
        ceiling.idf1,
        scores.switches,
        min(shares),
        repaired,
        frames / spent,
        sure.mean() - true.mean(),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names = ["animals", "cameras", "2D", "IDF1 (worst)", "best", "switches", "named right"]
    table = Table(*names, "repaired", "frames/s", "identity - share right")
    for animals, cameras in ((2, 3), (2, 6), (4, 3), (4, 4), (4, 6), (8, 3), (8, 6), (4, 2)):
        for kind in ("named", "tracked", "slots"):
            rows = [
                measure(animals, cameras, options.frames, seed=100 + seed, kind=kind)
                for seed in range(options.seeds)
            ]
            idf1, best, switches, right, repaired, speed, bias = np.array(rows).T
            table.add_row(
                str(animals),
                str(cameras),
                kind,
                f"{idf1.mean():.4f} ({idf1.min():.4f})",
                f"{best.mean():.4f}",
                f"{switches.sum():.0f}",
                f"{right.min():.4f}",
                "" if kind == "slots" else f"{repaired.min():.4f}",
                f"{np.median(speed):.0f}",
                f"{bias.mean():+.4f}",
            )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
