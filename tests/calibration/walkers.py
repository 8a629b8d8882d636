"""Animals that walk before cameras, made up or filmed: ground for calibration without a board."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration import Camera, CameraGroup
from calibration.rotations import turn

SHAPE = np.array(
    [[40, 0, 12], [28, 9, 18], [28, -9, 18], [0, 0, 22], [-30, 0, 16], [-70, 0, 6], [0, 12, 2],
     [0, -12, 2]], float
)  # fmt: skip


def walk(rng, n_frames, *, n_animals=1, reach=150.0):
    """Bodies of 8 points that walk, turn and rear: float64 (F, I, 8, 3), mm."""
    time = np.linspace(0, n_frames / 30, n_frames)
    bodies = []
    for _ in range(n_animals):
        phase, pace = rng.uniform(0, 6.3, (2, 3, 3)), rng.uniform(0.3, 1.4, (3, 3))
        waves = np.sin(time[:, None, None] * pace + phase[0]).sum(1) / 1.7
        place = waves * [reach, reach, 25] + [0, 0, 30]
        heading = np.cumsum(rng.normal(0, 0.06, n_frames))
        pitch = 0.5 * np.sin(0.9 * time + phase[1, 0, 0])
        zero = np.zeros(n_frames)
        rotation = turn(np.stack([zero, zero, heading], 1)) @ turn(np.stack([zero, pitch, zero], 1))
        bodies.append(SHAPE @ np.swapaxes(rotation, 1, 2) + place[:, None])
    return np.stack(bodies, 1)


def watch(cameras, points, rng, *, noise=1.0, missing=0.15, false=0.05, bias=0.0):
    """What cameras see of points (..., K, 3): float64 (V, ..., K, 2)."""
    pixels = cameras.project(points)
    pixels += rng.normal(0, noise, pixels.shape)
    # Labels of one keypoint are off alike in all frames of a view.
    pixels += rng.normal(0, bias, (len(cameras), *[1] * (points.ndim - 2), points.shape[-2], 2))
    chance = rng.random(pixels.shape[:-1])
    pixels[chance < missing] = np.nan
    wrong = chance > 1 - false
    pixels[wrong] += rng.normal(0, 60, (wrong.sum(), 2))
    return pixels


def delay(pixels, offset):
    """Make a camera late: its frame f + offset shows what frame f did, (F, ...)."""
    late = np.full_like(pixels, np.nan)
    rows = np.arange(max(0, -offset), min(len(pixels), len(pixels) - offset))
    late[rows + offset] = pixels[rows]
    return late


def bump(cameras, name, *, turned=(0.0, 0.0, 0.0), moved=(0.0, 0.0, 0.0)):
    """Turn a camera by a vector in degrees and shift it in the world."""

    def push(camera):
        rotation = turn(np.radians(turned)) @ camera.rotation_matrix
        centre = camera.centre + moved
        return replace(camera, rotation=rotation, translation=-rotation @ centre)

    return CameraGroup([push(c) if c.name == name else c for c in cameras], cameras.unit)


def find_centre_errors(found, truth):
    """Distances of camera centres after a similarity, and mean distance from their middle."""
    from calibration.alignment import find_similarity

    a, b = (np.array([c.centre for c in group]) for group in (found, truth))
    errors = np.linalg.norm(find_similarity(a, b).move(a) - b, axis=1)
    return errors, np.linalg.norm(b - b.mean(0), axis=1).mean()


def read_people(folder: Path, clip="one_person", calibration="scene"):
    """Read the people of the recordings: cameras, keypoints, pixels by camera (F, I, K, 2)."""
    folder = folder / "people_4cam"
    cameras = CameraGroup.load(folder / f"calibration/Calib_{calibration}.toml", unit="m")
    with (folder / clip / "detections_2d.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = sorted({row["camera"] for row in rows})
    keypoints = list(dict.fromkeys(row["keypoint"] for row in rows))
    number = {k: i for i, k in enumerate(keypoints)}
    shape = [1 + max(int(row[key]) for row in rows) for key in ("frame", "detection")]
    pixels = {name: np.full((*shape, len(keypoints), 2), np.nan) for name in names}
    for row in rows:
        if float(row["score"]) >= 0.3:
            place = int(row["frame"]), int(row["detection"]), number[row["keypoint"]]
            pixels[row["camera"]][place] = float(row["x"]), float(row["y"])
    group = [
        Camera(n, c.size, c.matrix, c.distortion, c.rotation, c.translation)
        for n, c in zip(names, cameras, strict=True)
    ]
    return CameraGroup(group, "m"), keypoints, pixels


def read_person(folder: Path, clip="one_person", person="P1", calibration="scene"):
    """Read one person whom people told from the others: cameras, keypoints, (V, 50, K, 2)."""
    cameras, keypoints, pixels = read_people(folder, clip, calibration)
    chosen = np.full((len(cameras), 50, len(keypoints), 2), np.nan)
    path = folder / "people_4cam" / clip / "association_first50.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["person"] == person and row["detection"]:
                v, frame = cameras.names.index(row["camera"]), int(row["frame"])
                chosen[v, frame] = pixels[row["camera"]][frame, int(row["detection"])]
    return cameras, keypoints, chosen
