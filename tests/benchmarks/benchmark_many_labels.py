"""Train on many labelled frames of 1920x1080: peak memory, and steps a second against few of them.

Draws some distinct pictures of two animals and writes them again and again as labelled frames of
a project, so that files are really read; trains a network of the default preset on 100 and on all
of them, each in a process of its own; prints steps a second and the peak of resident memory.

    python tests/benchmarks/benchmark_many_labels.py /tmp/many    # 10,000: 27 GB of PNG
    python tests/benchmarks/benchmark_many_labels.py /tmp/many --labels 1500 --kept 60

Processor time a step tells on a busy machine what steps a second would be on a quiet one.
The first steps, where threads start and caches are empty, do not count in the steps a second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from mapose.data import dataset
from mapose.labels import Labels
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton

#: Distinct pictures, how many labels are few, and steps that do not count: few are then kept.
DISTINCT, FEW, WARM = 40, 100, 14
MOUSE = Skeleton(["snout", "left", "right", "tail"], [("snout", "tail")], [("left", "right")])
SIZE = (1920, 1080)


def draw_frame(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two animals of about 200 px on a coarse, noisy ground; image and points (2, 4, 2)."""
    ground = rng.integers(90, 160, (27, 48, 3)).astype(np.uint8)
    image = cv2.resize(ground, SIZE, interpolation=cv2.INTER_CUBIC)
    image = cv2.add(image, rng.integers(0, 6, image.shape).astype(np.uint8))
    points = []
    for _ in range(2):
        centre = rng.uniform([250, 250], [1670, 830])
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        body = np.array([[100, 0], [60, 40], [60, -40], [-100, 0]]) @ turn.T + centre
        axes = ((centre[0], centre[1]), (200, 90), float(np.degrees(angle)))
        cv2.ellipse(image, axes, (40, 40, 45), -1, cv2.LINE_AA)
        for (x, y), level in zip(body, (230, 20, 190, 120), strict=True):
            cv2.circle(image, (round(x), round(y)), 9, (level, level, 200), -1, cv2.LINE_AA)
        points.append(body)
    return image, np.array(points, np.float32)


def make_project(folder: Path, count: int) -> Path:
    """Make a project of so many labelled frames; what is there stays."""
    place = folder / f"project-{count}"
    if (place / "done").exists():
        return place
    rng = np.random.default_rng(0)
    drawn = [draw_frame(rng) for _ in range(DISTINCT)]
    files = [cv2.imencode(".png", image)[1].tobytes() for image, _ in drawn]
    source = folder / f"images-{count}"
    source.mkdir(parents=True, exist_ok=True)
    paths = [source / f"img{n:05}.png" for n in range(count)]
    for n, path in enumerate(paths):
        path.unlink(missing_ok=True)
        if n < DISTINCT:
            path.write_bytes(files[n])
        else:  # import copies them, so that the project's are files of their own
            path.hardlink_to(paths[n % DISTINCT])
    points = np.stack([drawn[n % DISTINCT][1] for n in range(count)])
    labels = Labels(points, MOUSE, ("clip",) * count, np.arange(count), tuple(paths), ("a", "b"))
    project = Project.create(place, MOUSE, individuals=2)
    import_labels(project, labels)
    (place / "done").touch()
    return place


def train_one(place: Path, chosen: argparse.Namespace) -> None:
    """Train in this process and print steps a second and the peak of memory as JSON."""
    from mapose.training.training import train

    if chosen.kept:
        dataset.KEPT = chosen.kept * 2**20
    steps, preset = chosen.steps, chosen.preset
    marks: list[float] = []
    spent: list[float] = []
    begun = time.monotonic()
    overrides = [f"train.steps={steps}", "train.batch=8", f"train.every={steps + 1}"]
    overrides += ["train.test=0.01"]
    overrides += ["train.validation=0.005", "network.channels=3"]

    class EnoughError(Exception):
        """Raised after the last step: what comes then is no training."""

    def show(progress) -> None:
        marks.append(time.monotonic())
        spent.append(time.process_time())
        if progress.step == steps - 1:
            raise EnoughError

    with suppress(EnoughError):
        train(place, f"m{int(time.time())}", preset=preset, overrides=overrides, on_progress=show)
    speed = (len(marks) - 1 - WARM) / (marks[-1] - marks[WARM])
    work = (spent[-1] - spent[WARM]) / (len(marks) - 1 - WARM)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = marks[0] - begun
    found = {"steps/s": speed, "CPU s/step": work, "peak GB": peak, "s to first step": start}
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


def main() -> None:
    """Make projects, train on each, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--preset", default="pretrained")
    parser.add_argument("--kept", type=int, help="MB kept; few with fewer labels than 10,000")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        train_one(chosen.one, chosen)
        return
    found = {}
    for count in (FEW, chosen.labels):
        place = make_project(chosen.folder, count)
        command = [sys.executable, __file__, str(chosen.folder), "--one", str(place)]
        command += ["--steps", str(chosen.steps), "--preset", chosen.preset]
        command += ["--kept", str(chosen.kept)] if chosen.kept else []
        result = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
        found[count] = json.loads(result.stdout.splitlines()[-1])
        print(f"{count:>6} labels: {found[count]}", flush=True)
    ratio = found[chosen.labels]["steps/s"] / found[FEW]["steps/s"]
    peak = found[chosen.labels]["peak GB"]
    work = found[FEW]["CPU s/step"] / found[chosen.labels]["CPU s/step"]
    print(f"by processor time: {work:.2f}")
    print(f"steps/s with {chosen.labels} labels: {ratio:.2f} of those with {FEW}; {peak:.2f} GB")
    print("holds" if ratio >= 0.8 and peak < 4 else "DOES NOT HOLD")


if __name__ == "__main__":
    main()
