"""Accuracy and speed of 3D reconstruction on simulated mice, beside aniposelib's.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_reconstruction.py [--frames N]
     [--seeds 0 1 2] [--rates 15 30 100] [--cameras 4] [--peer PYTHON]

Mice move as they like; each camera sees them with 1 px of noise, one pixel in ten 30 to 300 px
off, one in five missing. Ratios are to the maximum-likelihood points of the true views, over
points with at least two of these. PYTHON is an interpreter that has aniposelib (it needs numba,
which is why it lives apart); its three functions see the same pixels, constraints are the edges
of the skeleton. Times are processor times.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from calibration.triangulation.points import triangulate_points
from mapose.metrics.reconstruction import REGION_95
from mapose.multiview import triangulate
from mapose.poses import Poses
from mapose.synthetic import make_scene

PEER = """
import sys, time, numpy as np
from aniposelib.cameras import CameraGroup
data = np.load(sys.argv[1])
pixels, edges = data["pixels"], data["edges"].tolist()
group = CameraGroup.load(sys.argv[2])
views, frames, keypoints, _ = pixels.shape
flat, found = pixels.reshape(views, -1, 2), {}
group.triangulate(flat[:, :60].copy(), progress=False)
# Its ransac stops with an error at a point that no camera sees.
two = np.isfinite(flat[..., 0]).sum(0) >= 2
def run_ransac():
    points = np.full((flat.shape[1], 3), np.nan)
    points[two] = group.triangulate_ransac(flat[:, two], progress=False)[0]
    return points
group.triangulate_optim(pixels[:, :20].copy(), constraints=edges)
for name, work in {
    "triangulate": lambda: group.triangulate(flat.copy(), progress=False),
    "triangulate_ransac": run_ransac,
    "triangulate_optim": lambda: group.triangulate_optim(pixels.copy(), constraints=edges),
}.items():
    start = time.process_time()
    points = work().reshape(frames, keypoints, 3)
    found[name], found[name + "_s"] = points, time.process_time() - start
np.savez(sys.argv[3], **found)
"""


def draw(seed, frames, rate, cameras):
    """A scene, what is seen of it (V, F, K, 2), and which pixels are true."""
    scene = make_scene(1, frames, seed=seed, rate=rate, cameras=cameras)
    truth = scene.truth_3d().points[:, 0].astype(np.float64)
    rng = np.random.default_rng([seed, 99])
    pixels = scene.cameras.project(truth)
    shape = pixels.shape[:-1]
    angle, reach = rng.uniform(0, 2 * np.pi, shape), rng.uniform(30, 300, shape)
    wild, gone = rng.random(shape) < 0.1, rng.random(shape) < 0.2
    pixels += rng.normal(size=pixels.shape)
    pixels += (wild * reach)[..., None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    pixels[gone] = np.nan
    return scene, truth, pixels, ~wild & ~gone


def find_best(scene, pixels, true):
    """The points that fit the true pixels best, (F, K, 3)."""
    right = np.where(true[..., None], pixels, np.nan).reshape(len(pixels), -1, 2)
    found = triangulate_points(scene.cameras, right, robust=False)
    return found.points.reshape(*pixels.shape[1:3], 3)


def make_views(scene, pixels):
    sure = np.ones((*pixels.shape[1:3], 1))
    return {
        name: Poses(
            np.concatenate([p, sure], -1)[:, None], scene.skeleton, scene.individuals, scene.rate
        )
        for name, p in zip(scene.cameras.names, pixels, strict=True)
    }


def describe(name, points, seconds, *, truth, best, true, covariance=None):
    """One row of the table."""
    error = np.linalg.norm(points - truth, axis=-1)
    least = np.linalg.norm(best - truth, axis=-1)
    known = true.sum(0) >= 2
    both = known & np.isfinite(error)
    coverage = "-"
    if covariance is not None:
        gap = (points - truth)[both]
        squares = np.einsum(
            "ni,ni->n", gap, np.linalg.solve(covariance[both], gap[..., None])[..., 0]
        )
        coverage = f"{100 * (squares < REGION_95).mean():.1f}"
    return [
        name,
        f"{np.median(error[both]) / np.median(least[both]):.3f}",
        f"{error[both].mean() / least[both].mean():.3f}",
        f"{100 * (error[both] > 10).mean():.3f}",
        f"{error[both].max():.1f}",
        f"{100 * np.isfinite(error[known]).mean():.2f}",
        f"{100 * np.isfinite(error[~known]).mean():.1f}",
        coverage,
        f"{error.size / seconds:,.0f}",
    ]


def run_ours(scene, pixels):
    views = make_views(scene, pixels)
    for name, smooth in (("each frame", False), ("smoothed", True)):
        start = time.process_time()
        found = triangulate(views, scene.cameras, smooth=smooth)
        seconds = time.process_time() - start
        poses = found.poses
        yield name, poses.points[:, 0], poses.covariance[:, 0].astype(np.float64), seconds


def run_peer(python, scene, pixels):
    with tempfile.TemporaryDirectory() as folder:
        given, cameras, taken = (Path(folder) / n for n in ("in.npz", "c.toml", "out.npz"))
        np.savez(given, pixels=pixels, edges=scene.skeleton.edge_index)
        scene.cameras.save(cameras)
        call = [python, "-W", "ignore", "-c", PEER, given, cameras, taken]
        done = subprocess.run(call, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"the peer failed: {done.stderr[-800:]}")
        with np.load(taken) as found:
            for name in ("triangulate", "triangulate_ransac", "triangulate_optim"):
                yield "aniposelib " + name, found[name], None, float(found[name + "_s"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="+", default=[30])
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--peer", metavar="PYTHON")
    options = parser.parse_args()
    list(run_ours(*draw(9, 60, 30, 3)[:3:2]))  # imports are not counted
    columns = ["", "median", "mean", ">10 mm %", "max mm", "given %", "<2 views %", "95 % region"]
    for rate in options.rates:
        for seed in options.seeds:
            title = f"{options.cameras} cameras, {rate:g} frames/s, seed {seed}"
            table = Table(*columns, "points/s", title=title)
            scene, truth, pixels, true = draw(seed, options.frames, rate, options.cameras)
            case = {"truth": truth, "best": find_best(scene, pixels, true), "true": true}
            for name, points, covariance, seconds in run_ours(scene, pixels):
                table.add_row(*describe(name, points, seconds, covariance=covariance, **case))
            for name, points, _, seconds in (
                run_peer(options.peer, scene, pixels) if options.peer else ()
            ):
                table.add_row(*describe(name, points, seconds, **case))
            Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
