"""Accuracy and speed of triangulation on a simulated animal, one core, beside aniposelib.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_triangulation.py [--peer PYTHON]

An animal moves in an arena 300 mm wide; pixels have noise of 1 px, a share is astray by 30 to 300
px, a share is missing. Errors are over points with at least two good views, as multiples of those
of the most probable point given the good views ("best"); gross is more than 10 mm off; false are
points that were given with fewer than two good views; within is the share of true points within
the stated 95 % region. Times are processor times.

PYTHON is the interpreter of an environment with aniposelib. Its slow functions get the first
frames only; they are called once before the clock starts, so that compilation does not count.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

FRAMES = 1000
PEER_FRAMES = {"triangulate": None, "triangulate_ransac": 100, "triangulate_optim": 100}
SIZE = (1280, 1024)


def make_case(views, *, seed, astray, missing):
    """Cameras, true points (F, K, 3), pixels (V, F, K, 2), which are good (V, F, K)."""
    from mapose.synthetic import Arena, make_cameras, make_scene

    arena = Arena(width=300, depth=300)
    cameras = make_cameras(views, size=SIZE, arena=arena)
    scene = make_scene(1, FRAMES, seed=seed, rate=30, arena=arena, cameras=cameras)
    points = scene.truth_3d().points[:, 0].astype(float)
    points = np.concatenate([points, points.mean(1, keepdims=True)], axis=1)
    rng = np.random.default_rng(seed)
    shape = (views, *points.shape[:2])
    pixels = cameras.project(points) + rng.normal(size=(*shape, 2))
    lost, off = rng.random(shape) < missing, rng.random(shape) < astray
    angle, length = rng.uniform(0, 2 * np.pi, shape), rng.uniform(30, 300, shape)
    shift = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * length[..., None]
    pixels[off] += shift[off]
    pixels[lost] = np.nan
    return cameras, points, pixels, ~(off | lost)


def measure(found, points, good, *, best):
    """Columns of the table for found points (N, 3)."""
    error = np.linalg.norm(found - points, axis=-1)
    enough, given = good.sum(0) > 1, np.isfinite(error)
    rated = error[enough & given]
    bar = np.linalg.norm(best - points, axis=-1)[enough]
    return [
        f"{rated.mean():.2f}",
        f"{np.median(rated) / np.median(bar):.3f}",
        f"{np.quantile(rated, 0.95) / np.quantile(bar, 0.95):.3f}",
        f"{100 * (rated > 10).mean():.2f}",
        f"{100 * (~given[enough]).mean():.2f}",
        f"{100 * given[~enough].mean():.1f}",
    ]


def find_within(found, points):
    """Share of true points within the 95 % region, %."""
    given = np.isfinite(found.error)
    apart = (found.points - points)[given]
    solved = np.linalg.solve(found.covariance[given], apart[..., None])[..., 0]
    return 100 * ((apart * solved).sum(-1) < 7.815).mean()  # chi squared, three degrees


def clock(function, repeats=5):
    """Shortest processor time of several runs, and what came out."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        times.append(time.process_time() - start)
    return min(times), result


def run_peer(python, cameras, pixels):
    """Let aniposelib triangulate in its own environment: name -> (frames, seconds, points)."""
    with tempfile.TemporaryDirectory() as folder:
        cameras.save(Path(folder) / "calibration.toml")
        np.save(Path(folder) / "pixels.npy", pixels)
        subprocess.run([python, __file__, "--as-peer", folder], check=True)
        with np.load(Path(folder) / "found.npz") as found:
            return {n: (f, found[f"{n}_seconds"], found[n]) for n, f in PEER_FRAMES.items()}


def be_peer(folder):
    from aniposelib.cameras import CameraGroup

    cameras = CameraGroup.load(str(folder / "calibration.toml"))
    pixels = np.load(folder / "pixels.npy")
    results = {}
    for name, frames in PEER_FRAMES.items():
        function = getattr(cameras, name)
        case = pixels[:, :frames]
        flat = case if name == "triangulate_optim" else case.reshape(len(case), -1, 2)
        seen = np.isfinite(case).all(-1).sum(0).ravel() > 1
        if name == "triangulate_ransac":  # it stops at points without two views
            flat = flat[:, seen]
        function(flat[:, :20].copy())
        start = time.process_time()
        found = function(flat.copy())
        results[f"{name}_seconds"] = time.process_time() - start
        found = found[0] if isinstance(found, tuple) else found
        found = np.asarray(found).reshape(-1, 3)
        results[name] = np.full((len(seen), 3), np.nan)
        results[name][seen if len(found) < len(seen) else slice(None)] = found
    np.savez(folder / "found.npz", **results)


def tabulate(views, options):
    from rich.table import Table

    from calibration.triangulation.points import triangulate_points

    names = "mean mm, median, p95, gross %, missing %, false %, within %, points/s".split(", ")
    title = f"{views} cameras, {options.astray:.0%} astray, {options.missing:.0%} missing"
    table = Table("method", *names, title=title)
    case = make_case(views, seed=0, astray=options.astray, missing=options.missing)
    cameras, points, pixels, good = case
    n = points.shape[1]
    points, good = points.reshape(-1, 3), good.reshape(views, -1)
    pixels_flat = pixels.reshape(views, -1, 2)
    clean = np.where(good[..., None], pixels_flat, np.nan)
    best = triangulate_points(cameras, clean, robust=False, sigma=1).points
    kinds = {"best": (clean, False), "robust": (pixels_flat, True), "plain": (pixels_flat, False)}
    for name, (seen, robust) in kinds.items():
        seconds, found = clock(lambda s=seen, r=robust: triangulate_points(cameras, s, robust=r))
        columns = measure(found.points, points, good, best=best)
        within = f"{find_within(found, points):.1f}"
        table.add_row(f"mapose {name}", *columns, within, f"{len(points) / seconds:,.0f}")
    peers = run_peer(options.peer, cameras, pixels) if options.peer else {}
    for name, (frames, seconds, found) in peers.items():
        part = slice(None if frames is None else frames * n)
        columns = measure(found, points[part], good[:, part], best=best[part])
        table.add_row(f"aniposelib {name}", *columns, "", f"{len(found) / seconds:,.0f}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python of an environment with aniposelib")
    parser.add_argument("--views", type=int, nargs="+", default=[4])
    parser.add_argument("--astray", type=float, default=0.1)
    parser.add_argument("--missing", type=float, default=0.2)
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        be_peer(options.as_peer)
        return
    from rich.console import Console

    for views in options.views:
        Console(width=130).print(tabulate(views, options))


if __name__ == "__main__":
    main()
