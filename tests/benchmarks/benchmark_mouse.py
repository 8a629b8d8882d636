"""From board videos and proofread 2D of a real mouse to 3D, beside aniposelib's.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_mouse.py [--peer PYTHON]
         [--detections FOLDER] [--without-scores]

mouse_4cam is calibrated from its board videos (boards are kept in FOLDER, if given); both tools
get this calibration and the proofread points, with their scores or without. Nobody knows the true
3D, and each figure can be had cheaply by giving up another:

"all labels": distances in px to every point that was given, whether it was used or not. A method
that fits two views of four and ignores the others has a small median and a large mean.
"own views": median over points of the mean distance to the views that the method used, and the
share of points that it used.
"left out": each camera in turn is withheld, and what it shows is predicted from the others. This
is the only figure that rewards nothing but being right.
"bones": how much the lengths of the 14 edges vary, as a share of each. A rigid skeleton has 0 of
it, also where ears move and skin slides.

PYTHON is an interpreter that has aniposelib (it needs numba, which is why it lives apart).
"""

import argparse
import csv
import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

FOLDER = "mouse_4cam"
RANSAC = "triangulate_ransac"


def read_labels(folder, names, plan):
    """Read pixels (V, F, K, 2) and scores (V, F, K)."""
    with (folder / "labels_2d.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["visible"] == "1"]
    shape = len(names), 1 + max(int(r["frame"]) for r in rows), len(plan["keypoints"])
    pixels, scores = np.full((*shape, 2), np.nan), np.zeros(shape)
    for r in rows:
        place = names.index(r["camera"]), int(r["frame"]), plan["keypoints"].index(r["keypoint"])
        pixels[place], scores[place] = (float(r["x"]), float(r["y"])), float(r["score"])
    return pixels, scores


def calibrate_cameras(kept):
    """Calibrate from the board videos, with nothing set but the board."""
    from benchmark_calibration import find_detections

    from calibration.session.calibrating import calibrate_detections

    board, found = find_detections(FOLDER, kept)
    return calibrate_detections(found, board)[0]


def run_ours(cameras, pixels, scores, plan):
    """Points (F, K, 3) and errors over the own views (F, K) and share used, by name of a row."""
    from mapose.multiview import triangulate
    from mapose.poses import Poses
    from mapose.skeleton import Skeleton

    names = plan["keypoints"]
    skeleton = Skeleton(names, [(names[a], names[b]) for a, b in plan["edges"]])
    seen = np.isfinite(pixels[..., 0])
    arrays = np.concatenate([pixels, np.where(seen, scores, 0)[..., None]], -1)[:, :, None]
    views = {
        n: Poses(a, skeleton, ["mouse"], 30) for n, a in zip(cameras.names, arrays, strict=True)
    }
    rows = {}
    for name, smooth in (("each frame", False), ("smoothed", True), ("rigid", "rigid")):
        found = triangulate(views, cameras, smooth=smooth)
        share = found.n_views.sum() / seen.sum()
        rows[f"mapose {name}"] = found.poses.points[:, 0], found.error[:, 0], share
    return rows


def run_peer(python, cameras, pixels, scores, plan):
    """The same by aniposelib, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        cameras.save(Path(folder) / "calibration.toml")
        arrays = {"pixels": pixels, "edges": np.array(plan["edges"]), "names": cameras.names}
        np.savez(Path(folder) / "given.npz", scores=scores, **arrays)
        call = [python, "-W", "ignore", __file__, "--as-peer", folder]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        with np.load(Path(folder) / "found.npz") as found:
            points = {n: found[n] for n in found.files}
    picked = points.pop("picked")
    rows = {}
    for name, there in points.items():
        used = picked if name == RANSAC else np.isfinite(pixels[..., 0])
        away = np.linalg.norm(cameras.project(there) - pixels, axis=-1)
        error = np.where(used, away, 0).sum(0) / np.maximum(used.sum(0), 1)
        share = used.sum() / np.isfinite(pixels[..., 0]).sum()
        rows[f"aniposelib {name}"] = there, np.where(used.any(0), error, np.nan), share
    return rows


def be_peer(folder):
    """The other side of `run_peer`; imports nothing of ours."""
    from aniposelib.cameras import CameraGroup

    given = np.load(folder / "given.npz")
    pixels, scores, edges = given["pixels"], given["scores"], given["edges"].tolist()
    group = CameraGroup.load(str(folder / "calibration.toml"))
    by_name = {c.name: c for c in group.cameras}
    group = CameraGroup([by_name[n] for n in given["names"]])
    views, frames, keypoints, _ = pixels.shape
    flat = pixels.reshape(views, -1, 2)
    two = np.isfinite(flat[..., 0]).sum(0) >= 2  # its ransac stops at others with an error
    points, picked = np.full((len(two), 3), np.nan), np.zeros((views, len(two)), bool)
    found = group.triangulate_ransac(flat[:, two], progress=False)
    points[two], picked[:, two] = found[0], np.isfinite(found[2][..., 0])
    rows = {
        "triangulate": group.triangulate(flat.copy(), progress=False),
        RANSAC: points,
        "triangulate_optim": group.triangulate_optim(pixels.copy(), constraints=edges),
    }
    if not (scores == 1).all():
        rows["triangulate_optim, scores"] = group.triangulate_optim(
            pixels.copy(), constraints=edges, scores=scores
        )
    if two.all():
        rows["triangulate_optim, from ransac"] = group.triangulate_optim(
            pixels.copy(), constraints=edges, init_ransac=True
        )
    rows = {n: p.reshape(frames, keypoints, 3) for n, p in rows.items()}
    np.savez(folder / "found.npz", picked=picked.reshape(pixels.shape[:3]), **rows)


def run_all(python, cameras, pixels, scores, plan):
    case = cameras, pixels, scores, plan
    return run_ours(*case) | (run_peer(python, *case) if python else {})


def describe(points, own, *, cameras, pixels, left_out, edges):
    """Columns of the table."""
    away = np.linalg.norm(cameras.project(points) - pixels, axis=-1)
    lengths = np.linalg.norm(points[:, edges[:, 0]] - points[:, edges[:, 1]], axis=-1)
    middle = np.nanmedian(lengths, axis=0)
    varies = 100 * np.sqrt(np.nanmean((lengths - middle) ** 2, axis=0)) / middle
    error, share = own
    return [
        " / ".join(f"{f(away):.2f}" for f in (np.nanmedian, np.nanmean))
        + f" / {np.nanquantile(away, 0.95):.1f}",
        f"{np.nanmedian(error):.2f} ({100 * share:.0f} %)",
        f"{np.nanmedian(left_out):.2f} / {np.nanmean(left_out):.2f}",
        f"{np.median(varies):.2f} / {varies.mean():.2f} / {varies.max():.2f}",
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="interpreter of an environment with aniposelib")
    parser.add_argument("--detections", help="folder to keep detections in")
    parser.add_argument("--without-scores", action="store_true", help="all points count alike")
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        be_peer(options.as_peer)
        return
    from benchmark_calibration import DATA
    from rich.console import Console
    from rich.table import Table

    from calibration import CameraGroup

    logging.disable(logging.WARNING)
    plan = json.loads((DATA / FOLDER / "skeleton.json").read_text(encoding="utf-8"))
    cameras = calibrate_cameras(options.detections)
    pixels, scores = read_labels(DATA / FOLDER, list(cameras.names), plan)
    if options.without_scores:
        scores = np.where(scores > 0, 1.0, 0.0)
    scores[~np.isfinite(pixels[..., 0])] = 1.0  # of points that are not there
    whole = run_all(options.peer, cameras, pixels, scores, plan)
    left_out = {name: np.full(pixels.shape[:3], np.nan) for name in whole}
    for v, camera in enumerate(cameras):
        rest = np.arange(len(pixels)) != v
        others = CameraGroup([c for c in cameras if c is not camera], cameras.unit)
        for name, found in run_all(options.peer, others, pixels[rest], scores[rest], plan).items():
            left_out[name][v] = np.linalg.norm(camera.project(found[0]) - pixels[v], axis=-1)
    columns = ("all labels: median / mean / p95 px", "own views: median px (used)")
    columns += ("left out: median / mean px", "bones: median / mean / most %")
    title = f"{FOLDER}, {'without' if options.without_scores else 'with'} scores"
    table = Table("", *columns, title=title)
    for name, (points, *own) in whole.items():
        case = {"cameras": cameras, "pixels": pixels, "edges": np.array(plan["edges"])}
        table.add_row(name, *describe(points, own, left_out=left_out[name], **case))
    Console(width=140).print(table)


if __name__ == "__main__":
    sys.exit(main())
