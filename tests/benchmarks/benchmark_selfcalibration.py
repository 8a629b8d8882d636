"""Calibration without a board, drift and synchronization, on scenes and on recordings.

Run: python tests/benchmarks/benchmark_selfcalibration.py [--data FOLDER] [--seeds N]

Times are processor seconds. Centres: distance of camera centres from the truth or from the given
calibration after a similarity, mean over cameras, in percent of their mean distance from their
middle; scale: error of the scale that one bone told, percent.
"""

import argparse
import csv
import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "calibration"))
from walkers import (
    bump,
    delay,
    find_centre_errors,
    read_people,
    read_person,
    watch,
)

from calibration import Camera, CameraGroup
from calibration.selfcalibration.calibrating import KnownLength, calibrate_from_points, guess_lens
from calibration.selfcalibration.drift import find_drift
from calibration.synchronization.frame_offsets import find_frame_offsets
from calibration.triangulation.points import triangulate_points
from mapose.multiview.synchronization import find_offsets
from mapose.synthetic import degrade, make_scene

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"


def read_mouse(folder):
    """Cameras and points (F, K, 3), placed by hand, of the mouse before six cameras."""
    folder = folder / "mouse_6cam_points"
    with np.load(folder / "calibration.npz") as file:
        numbers = {key: file[key] for key in file.files}
    names = [str(n) for n in numbers["camera_names"]]
    cameras = [
        Camera(n, (1152, 1024), *(numbers[key][i] for key in ("K", "dist", "R", "t")))
        for i, n in enumerate(names)
    ]
    with (folder / "labels_3d.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    frames = {f: i for i, f in enumerate(sorted({int(r["frame"]) for r in rows}))}
    keypoints = list(dict.fromkeys(r["keypoint"] for r in rows))
    points = np.full((len(frames), len(keypoints), 3), np.nan)
    for r in rows:
        if r["x"]:
            place = frames[int(r["frame"])], keypoints.index(r["keypoint"])
            points[place] = [float(r[axis]) for axis in "xyz"]
    group = CameraGroup(cameras, "mm")
    return group, points


def make_bone(points, a, b):
    """A bone of points (F, K, 3) from keypoint a to b, of its median length."""
    rows = np.arange(len(points)) * points.shape[1]
    length = np.nanmedian(np.linalg.norm(points[:, a] - points[:, b], axis=-1))
    return KnownLength(float(length), np.stack([rows + a, rows + b], 1))


def measure_calibration(lenses, truth, pixels, points, *, bone=(3, 4), **options):
    """One row: median error, centres, scale, seconds."""
    start = time.process_time()
    found, report = calibrate_from_points(
        lenses,
        pixels.reshape(len(truth), -1, 2),
        known=make_bone(points, *bone),
        unit=truth.unit,
        **options,
    )
    seconds = time.process_time() - start
    errors, size = find_centre_errors(found, truth)
    spans = [np.linalg.norm(g.cameras[0].centre - g.cameras[-1].centre) for g in (found, truth)]
    return [
        f"{np.median(report.median):.2f}",
        f"{errors.mean():.3g} {truth.unit}",
        f"{100 * errors.mean() / size:.2f}",
        f"{100 * report.centre_deviation[1:].mean():.2f}",
        f"{100 * (spans[0] / spans[1] - 1):+.2f}",
        f"{seconds:.1f}",
    ]


def calibrate_scenes(table, options):
    for n in (3, 4, 8):
        for noise in (0.5, 1.5):
            for seed in range(min(options.seeds, 3)):
                rng = np.random.default_rng(seed)
                scene = make_scene(2, 200, seed=seed, cameras=n)
                points = scene.truth_3d().points.astype(np.float64)
                pixels = watch(scene.cameras, points, rng, noise=noise)
                title = f"scene {seed}, {n} cameras, {noise} px, 5 % false, 15 % missing"
                first = points.reshape(len(points), -1, 3)
                row = measure_calibration(scene.cameras, scene.cameras, pixels, first, bone=(6, 9))
                table.add_row(title, "known", *row)


def calibrate_recordings(table, folder):
    cameras, points = read_mouse(folder)
    guesses = CameraGroup([guess_lens(c.name, c.size) for c in cameras])
    for noise in (0.0, 1.0, 2.0):
        flaws = dict.fromkeys(("missing", "false"), 0.1 if noise else 0.0)
        rng = np.random.default_rng(0)
        seen = watch(cameras, points, rng, noise=noise, **flaws)
        title = f"mouse_6cam_points, {noise:g} px" + " 10 % false" * bool(noise)
        table.add_row(title, "known", *measure_calibration(cameras, cameras, seen, points))
    row = measure_calibration(guesses, cameras, seen, points, intrinsics="focal")
    table.add_row(title, "guessed, focal free", *row)
    for clip, person in (("one_person", "P1"), ("two_people", "P1")):
        cameras, keypoints, seen = read_person(folder, clip, person)
        flat = seen.reshape(4, -1, 2)
        points = triangulate_points(cameras, flat).points.reshape(*seen.shape[1:3], 3)
        row = measure_calibration(
            cameras,
            cameras,
            seen,
            points,
            bone=[keypoints.index(k) for k in ("RKnee", "RAnkle")],
            groups=np.tile(np.arange(len(keypoints)), len(points)),
        )
        table.add_row(f"people_4cam {clip} {person}, 50 frames", "known", *row)
    other = read_people(folder, calibration="qualisys")[0]
    errors, size = find_centre_errors(other, cameras)
    table.add_row(
        "people_4cam: Calib_qualisys against Calib_scene", "", "",
        f"{errors.mean():.3g} m", f"{100 * errors.mean() / size:.2f}",
    )  # fmt: skip


def measure_drift(table, options):
    for n in (2, 3, 4, 6):
        alarms = found = wrong = unsure = 0
        seconds = []
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            scene = make_scene(1 + seed % 3, 150, seed=seed, cameras=n)
            points = scene.truth_3d().points.astype(np.float64)
            flaws = {"noise": 1.0 + seed % 3, "bias": 1.0}
            start = time.process_time()
            alarms += not find_drift(scene.cameras, watch(scene.cameras, points, rng, **flaws)).fits
            seconds.append(time.process_time() - start)
            name = scene.cameras.names[seed % n]
            turned = rng.normal(size=3)
            turned[2] *= 0.3
            there = bump(scene.cameras, name, turned=1.5 * turned / np.linalg.norm(turned))
            drift = find_drift(scene.cameras, watch(there, points, rng, **flaws))
            found += name in drift.moved or (n == 2 and not drift.fits)
            others = [d for d in drift.drifts if d.moved and d.name != name]
            wrong += n > 2 and any(name not in d.rivals for d in others)
            unsure += n > 2 and any(name in d.rivals for d in others)
        table.add_row(
            f"{n} cameras, {options.seeds} scenes",
            *map(str, (alarms, found, unsure, wrong)),
            f"{np.median(seconds):.2f}",
        )


def measure_offsets(table, options):
    for animals, n, frames in ((1, 2, 200), (2, 4, 300), (4, 4, 300), (8, 3, 300)):
        exact = sure = total = 0
        fractions, seconds = [], []
        offsets = np.random.default_rng(animals).permutation(np.arange(-25, 26))
        for seed in range(max(1, min(options.seeds, 51) // 4)):
            scene = make_scene(animals, frames, seed=seed, cameras=n)
            rng = np.random.default_rng(seed)
            mine = [0, *offsets[seed * (n - 1) % 45 :][: n - 1].tolist()]
            truth = dict(zip(scene.cameras.names, mine, strict=True))
            views = {}
            for name, offset in truth.items():
                poses = degrade(scene.truth(name), rng)
                views[name] = replace(poses, frames=poses.frames + 25 + offset)
            start = time.process_time()
            found = find_offsets(views, scene.cameras)
            seconds.append(time.process_time() - start)
            exact += sum(found.offsets[name] == o for name, o in truth.items()) - 1
            total += n - 1
            sure += len(truth) - 1 - len(found.doubtful)
            fractions += [abs(found.shifts[name] - o) for name, o in truth.items()]
        table.add_row(
            f"{animals} animals, {n} cameras, {frames} frames, unordered",
            f"{exact} of {total}", f"{sure}", f"{max(fractions):.2f}", f"{np.median(seconds):.1f}",
        )  # fmt: skip


def measure_offsets_of_people(table, folder):
    """Every offset from -25 to 25 in each camera of a shifted copy."""
    room = ((25, 25), (0, 0), (0, 0), (0, 0))
    for clip in ("one_person", "two_people"):
        cameras, _, pixels = read_people(folder, clip)
        padded = {n: np.pad(p, room, constant_values=np.nan) for n, p in pixels.items()}
        exact = sure = 0
        seconds = []
        rng = np.random.default_rng(0)
        columns = np.stack([rng.permutation(np.arange(-25, 26)) for _ in range(3)], 1)
        for mine in columns.tolist():
            truth = dict(zip(cameras.names, (0, *mine), strict=True))
            late = {name: delay(seen, truth[name]) for name, seen in padded.items()}
            start = time.process_time()
            found = find_frame_offsets(late, cameras, max_offset=50)
            seconds.append(time.process_time() - start)
            exact += sum(found.offsets[name] == o for name, o in truth.items()) - 1
            sure += 3 - len(found.doubtful)
        table.add_row(
            f"people_4cam {clip}, 100 frames", f"{exact} of {columns.size}", f"{sure}", "",
            f"{np.median(seconds):.1f}",
        )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("MAPOSE_DATA", BESIDE))
    parser.add_argument("--seeds", type=int, default=20, help="scenes of each kind")
    parser.add_argument("--only", choices=("calibration", "drift", "offsets"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    recorded, console = Path(options.data).is_dir(), Console(width=150)
    if options.only in (None, "calibration"):
        table = Table(
            "what", "lenses", "median px", "centres", "%", "told %", "scale %", "CPU s"
        )  # fmt: skip
        calibrate_scenes(table, options)
        if recorded:
            calibrate_recordings(table, Path(options.data))
        console.print(table)
    if options.only in (None, "drift"):
        table = Table(
            "bump of 1.5 degrees",
            "false alarms",
            "found",
            "named as rival",
            "wrong camera",
            "CPU s",
        )
        measure_drift(table, options)
        console.print(table)
        if recorded:
            for calibration in ("scene", "qualisys"):
                cameras, _, seen = read_person(Path(options.data), calibration=calibration)
                console.print(calibration, str(find_drift(cameras, seen)), sep="\n")
    if options.only in (None, "offsets"):
        table = Table("offsets -25 to 25", "exact", "sure", "fraction off", "CPU s")
        measure_offsets(table, options)
        if recorded:
            measure_offsets_of_people(table, Path(options.data))
        console.print(table)


if __name__ == "__main__":
    main()
