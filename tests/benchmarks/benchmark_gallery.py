"""Are animals named in one recording recognised in another one, and strangers not?

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_gallery.py [--seeds 3] [--first 100]

Drawn mice of distinct looks (`mapose.synthetic`): four are named in a recording of 80 seconds;
another day, under another light, on other bedding, they are there again with two strangers.
Tracklets are the stretches of 51 to 200 frames between contacts; each is named with all that
coexist with it ("together"), and on its own. With --flies, two flies of the real recording
``flies_courtship`` are named in one half and looked for in the other.
"""

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mapose.io import Video, read
from mapose.recognition.crops import find_scale, find_template
from mapose.recognition.gallery import UNKNOWN, find_middle
from mapose.recognition.learning import add_to_gallery, find_embeddings
from mapose.recognition.stretches import find_near
from mapose.synthetic import make_scene

KNOWN, STRANGERS = 4, 2
TRACKLET = (51, 200)


class Drawn:
    """Frames of a scene, drawn when asked for."""

    def __init__(self, scene):
        self.scene = scene

    def __getitem__(self, frame):
        return self.scene.draw(frame)


def roughen(poses, rng):
    """Make true poses as exact as a network's: 1.5 px of jitter, 8 % of keypoints missing."""
    array = poses.array.copy()
    array[..., :2] += rng.normal(0, 1.5, array[..., :2].shape)
    array[rng.random(array.shape[:3]) < 0.08] = np.nan
    return replace(poses, array=array)


def cut_tracklets(poses):
    """Split each animal's row at contacts and into at most 200 frames; whose each is."""
    points = poses.points.reshape(-1, *poses.points.shape[2:])
    template = find_template(points[:: max(1, len(points) // 4000)], poses.skeleton)
    near = find_near(poses.points, 0.5 * find_scale(points, template))
    rows, owners = [], []
    for i in range(near.shape[1]):
        ends = np.r_[-1, np.flatnonzero(near[:, i]), len(near)]
        for a, b in zip(ends[:-1] + 1, ends[1:], strict=True):
            for start in range(a, b, TRACKLET[1]):
                stop = min(start + TRACKLET[1], b)
                if stop - start >= TRACKLET[0]:
                    rows.append((start, stop))
                    owners.append(i)
    array = np.full((len(poses), len(rows), *poses.array.shape[2:]), np.nan, np.float32)
    for n, ((start, stop), i) in enumerate(zip(rows, owners, strict=True)):
        array[start:stop, n] = poses.array[start:stop, i]
    return replace(poses, array=array, individuals=[f"track{n}" for n in range(len(rows))]), owners


def show_distances(gallery, embeddings, truth):
    """Print how far tracklets lie from the animals of the gallery, in units of the limit."""
    means = np.array([find_middle(rows) for rows in gallery.pieces.values()])
    middles = [find_middle(e[np.isfinite(e).all(1)]) for e in embeddings.swapaxes(0, 1)]
    gaps = (1 - np.array(middles) @ means.T) / gallery.spread.limit
    nearest, strange = gaps.min(1), np.array(truth) == UNKNOWN
    for what, some in (("known", nearest[~strange]), ("strange", nearest[strange])):
        some = np.sort(some[np.isfinite(some)])
        if len(some):
            print(f"  {what}: {some[0]:.2f} to {some[-1]:.2f} limits, {np.round(some, 2).tolist()}")


def judge(gallery, source, poses, names):
    """Count right names and strangers left unnamed, together and alone; rows of (right, all)."""
    tracklets, owners = cut_tracklets(poses)
    embeddings = find_embeddings(source, tracklets, gallery.appearance)
    truth = [names.get(poses.names[i], UNKNOWN) for i in owners]
    measured = np.isfinite(embeddings).all(-1).any(0)
    present = tracklets.find_present()
    show_distances(gallery, embeddings, truth)
    counts, calibration = [], []
    for together in (True, False):
        if together:
            found, sure = gallery.name(embeddings, present=present)
        else:
            each = [gallery.name(embeddings[:, i : i + 1]) for i in range(len(truth))]
            found, sure = [e[0][0] for e in each], np.array([e[1][0] for e in each])
        pairs = [(t, f) for t, f, m in zip(truth, found, measured, strict=True) if m]
        for strange in (False, True):
            some = [(t, f) for t, f in pairs if (t == UNKNOWN) == strange]
            counts.append((sum(t == f for t, f in some), len(some)))
        right = np.array([t == f for t, f in zip(truth, found, strict=True)])
        calibration.append(np.stack([sure, right], -1)[measured])
    return counts, calibration, int((~measured).sum())


def run_mice(seed, frames):
    family = make_scene(KNOWN + STRANGERS, 1, seed=seed, appearance="distinct")
    first = family.film_again(frames, seed=10_000 + seed, individuals=KNOWN)
    second = family.film_again(frames, seed=20_000 + seed)
    names = {name: name for name in first.individuals}
    rng = np.random.default_rng(seed)
    poses = [roughen(first.truth(), rng), roughen(second.truth(), rng)]
    begin = time.process_time()
    gallery = add_to_gallery(None, Drawn(first), poses=poses[0], names=names, day="first")
    seconds = time.process_time() - begin
    return gallery, *judge(gallery, Drawn(second), poses[1], names), seconds


def run_flies():
    folder = Path(os.environ.get("MAPOSE_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder /= "flies_courtship"
    poses = read(folder / "predictions.slp")
    names = dict(zip(poses.names, ("male", "female"), strict=True))
    half = len(poses) // 2
    with Video(folder / "20190128_113421.120s.mp4") as video:
        begin = time.process_time()
        gallery = add_to_gallery(
            None, video, poses=poses.sel(frames=slice(0, half)), names=names, day="first half"
        )
        seconds = time.process_time() - begin
        rest = poses.sel(frames=slice(half, len(poses)))
        return gallery, *judge(gallery, video, rest, names), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=100)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--flies", action="store_true")
    options = parser.parse_args()
    columns = [
        "what",
        "named right",
        "alone",
        "unknown",
        "alone",
        "too few",
        "own",
        "other",
        "CPU s",
    ]
    table = Table(*columns, title="tracklets of 51 to 200 frames")
    total, spots = np.zeros((4, 2), int), []
    runs = [(f"mice {s}", lambda s=s: run_mice(s, options.frames))
            for s in range(options.first, options.first + options.seeds)]  # fmt: skip
    for what, work in [*runs, *([("flies", run_flies)] if options.flies else [])]:
        gallery, counts, calibration, blank, seconds = work()
        show = [f"{right}/{count}" for right, count in counts]
        spread = gallery.spread
        table.add_row(
            what, show[0], show[2], show[1], show[3], str(blank),
            f"{spread.inner:.3f}", f"{spread.outer:.3f}", f"{seconds:.0f}",
        )  # fmt: skip
        if what != "flies":
            total += counts
            spots.append(calibration[0])
        print(
            what,
            show,
            f"{seconds:.0f} s, {gallery.appearance.record}, limit {spread.limit:.3f}",
            flush=True,
        )
    if spots:
        show = [f"{100 * right / count:.1f} %" for right, count in total]
        table.add_row("mice, all", show[0], show[2], show[1], show[3], "", "", "", "")
    Console(width=110).print(table)
    if spots:
        sure, right = np.concatenate(spots).T
        for low, high in ((0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 1.01)):
            some = (sure >= low) & (sure < high)
            if some.any():
                print(f"probability {low:g} to {min(high, 1):g}: {some.sum()} tracklets, "
                      f"{100 * right[some].mean():.1f} % right")  # fmt: skip


if __name__ == "__main__":
    main()
