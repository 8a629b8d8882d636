"""What a second stage gives in a crowd: eight drawn mice at 1280 x 1024, one network and two.

    python tests/benchmarks/benchmark_second_stage.py FOLDER [--preset crowded] [--set key=value]

Draws labelled frames of crowded rooms into FOLDER (those that are there stay), trains both stages
on them, and compares the first alone (the network of the default preset) with both on rooms that
neither has seen: OKS mAP, limbs given to the wrong animal, frames/s of network and assembly with
the time to bring images to scale. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from mapose.analysis.prediction import Predictor
from mapose.arrays import Image
from mapose.decode import assemble
from mapose.io import read_image, write_image
from mapose.labels import Labels
from mapose.metrics import match_individuals, oks_map, pose_error
from mapose.models import Model
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.similarity import find_distances, find_lengths
from mapose.synthetic import Arena, make_cameras, make_scene
from mapose.synthetic.bodies import SKELETON
from mapose.training.training import train

MICE, SIZE, ARENA = 8, (1280, 1024), Arena(width=350, depth=280)
#: Rooms to train on and to test in, frames of each and between two of them.
TRAINED, TESTED, FRAMES, STEP = range(10), range(50, 55), 10, 40


def draw_rooms(folder: Path, rooms: range) -> tuple[Labels, np.ndarray]:
    """Draw labelled frames of rooms, those that are not there yet.

    Returns
    -------
    labels : Labels
        What is seen.
    points : float32, (F, I, K, 2)
        Where all keypoints are, px, those that another animal hides too.
    """
    points, whole, frames, images, videos = [], [], [], [], []
    for room in rooms:
        cameras = make_cameras(1, size=SIZE, arena=ARENA)
        scene = make_scene(MICE, FRAMES * STEP, seed=7000 + room, arena=ARENA, cameras=cameras)
        chosen = np.arange(0, FRAMES * STEP, STEP)
        points.append(scene.truth(occluded=False).points[chosen])
        whole.append(scene.truth().points[chosen])
        for frame in chosen.tolist():
            path = folder / f"room{room:02d}" / f"frame{frame:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                write_image(scene.draw(frame), path)
            images.append(path)
            videos.append(path.parent.name)
            frames.append(frame)
    names = tuple(f"mouse{i + 1}" for i in range(MICE))
    seen = np.concatenate(points)
    labels = Labels(seen, SKELETON, tuple(videos), np.array(frames), tuple(images), names)
    return labels, np.concatenate(whole)


def train_one(folder: Path, labels: Labels, name: str, **options) -> Model:
    """Train a model of a project on the labels, if it is not there."""
    path = folder / "project"
    if not (path / "mapose.yaml").exists():
        import_labels(Project.create(path, SKELETON, individuals=MICE), labels)
    project = Project.load(path)
    if name in project.list_models():
        return project.load_model(name)
    begun = (path / "models" / name / "state.yaml").exists()
    spent = time.process_time()
    model = train(project, name, resume=begun, **({} if begun else options))
    print(f"{name}: trained in {(time.process_time() - spent) / 60:.1f} minutes of a core")
    return model


def find_poses(model: Model, images: list[Image]) -> tuple[Poses, float]:
    """Find the animals in images, and how many frames a second were done."""
    predictor = Predictor(model)
    rounds = []
    for _ in range(2):  # the first one warms up
        began = time.perf_counter()
        parts = [images[i : i + 8] for i in range(0, len(images), 8)]
        batches = ([predictor.prepare(image) for image in part] for part in parts)
        peaks = [
            assemble(found, model.body, individuals=MICE, reach=model.reach, anatomy=model.anatomy)
            for found in predictor.find_batches(batches)
        ]
        rounds.append(len(images) / (time.perf_counter() - began))
    array = np.concatenate([poses.array for poses in peaks])
    return Poses(array, model.skeleton), max(rounds)


def count_strangers(seen: np.ndarray, whole: np.ndarray, found: np.ndarray) -> tuple[int, int]:
    """Count limbs that were given to the wrong animal, and all that were found.

    A limb is that of its kind which is nearest, hidden or not, at most a fifth of an animal off;
    it is wrong if that is not of the animal that the pose belongs to. (If hidden ones did not
    count, one that is found where it is would be that of whoever has his there and is seen.)
    """
    length = float(np.nanmedian(find_lengths(seen)))
    partner = match_individuals(seen, found, reach=length)
    wrong = total = 0
    for f in range(len(seen)):
        gaps = find_distances(whole[f], found[f])  # (I, J, K)
        for animal, pose in enumerate(partner[f]):
            if pose < 0:
                continue
            near = np.nan_to_num(gaps[:, pose], nan=np.inf)
            there = near.min(0) < 0.2 * length
            total += int(there.sum())
            wrong += int((near.argmin(0) != animal)[there].sum())
    return wrong, total


def report(
    name: str, model: Model, labels: Labels, whole: np.ndarray, *, images: list[Image]
) -> None:
    """Measure a model on labelled frames and say how good it is."""
    poses, speed = find_poses(model, images)
    score = oks_map(labels.points, poses.points, scores=poses.confidence.mean(-1))
    error = pose_error(labels.points, poses.points, confidence=poses.confidence)
    wrong, total = count_strangers(labels.points, whole, poses.points)
    print(
        f"{name:<28} OKS mAP {score.map:.3f}  mAR {score.mar:.3f}  mean {error.mean:.2f} px  "
        f"limbs of others {wrong} of {total}  {speed:.2f} frames/s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="crowded", help="with a second stage")
    parser.add_argument("--name", help="of the model; by default the preset's")
    parser.add_argument("--set", action="append", default=[], help="settings, section.key=value")
    given = parser.parse_args()
    labels, _ = draw_rooms(given.folder / "frames", TRAINED)
    tested, whole = draw_rooms(given.folder / "frames", TESTED)
    images = [read_image(path) for path in tested.images if path is not None]
    settings = [*given.set, "refine.when=always"]
    name = given.name or given.preset
    both = train_one(given.folder, labels, name, preset=given.preset, overrides=settings)
    report("first stage alone", replace(both, refiner=None), tested, whole, images=images)
    report("both stages", both, tested, whole, images=images)


if __name__ == "__main__":
    main()
