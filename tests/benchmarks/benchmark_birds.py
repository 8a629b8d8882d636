"""Are tiny animals found? Birds of 12 to 155 px in pictures of 1920x1080, 16 labelled frames.

    OMP_NUM_THREADS=2 python tests/benchmarks/benchmark_birds.py FOLDER [--folds 5] [--parts 1,2]
        [--set section.key=value]

Trains a model for each fold (or for some of them, --parts) on the frames of the others, and goes on
where it was stopped; FOLDER keeps the project. A bird counts as found if the middle of an animal
lies within half the bird's length of its own, one to one. "at best" is the threshold on an
animal's mean confidence with the best harmonic mean of recall and precision, over all folds
together; "right bird" the share of the keypoints of birds found that lie nearer to their own bird
(distance from its nearest keypoint) than to any other.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.arrays import Floats, Singles
from mapose.io import read_image, read_labels
from mapose.models import Model
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.training.evaluation import evaluate
from mapose.training.folds import train_one

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))
LABELS = DATA / "birds_montblanc/labeled-data/montblanc/CollectedData_Daniel.csv"


def open_project(folder: Path) -> Project:
    """Import the birds, with the frame that has none; once."""
    if not (folder / "mapose.yaml").is_file():
        labels = read_labels(LABELS, keep_empty=True)
        import_labels(Project.create(folder, labels.skeleton, individuals=6), labels)
    return Project.load(folder)


def judge(birds: Singles, animals: Singles) -> tuple[np.ndarray, int, int]:
    """Judge a frame: which animals are birds, and their keypoints at the right bird, of how many.

    ``birds`` (N, K, 2) are labels, ``animals`` (M, K, 2) what was found; NaN = missing.
    """
    hit = np.zeros(len(animals), bool)
    if not len(birds) or not len(animals):
        return hit, 0, 0
    length = np.nanmax(np.nanmax(birds, 1) - np.nanmin(birds, 1), axis=1)
    middles = np.nanmean(birds, 1)[:, None] - np.nanmean(animals, 1)
    gap = np.linalg.norm(middles, axis=-1) / length[:, None]
    rows, columns = linear_sum_assignment(gap)
    near = gap[rows, columns] < 0.5
    right = total = 0
    for bird, animal in zip(rows[near], columns[near], strict=True):
        hit[animal] = True
        points = animals[animal][np.isfinite(animals[animal]).all(-1)]
        away: Floats = np.linalg.norm(points[:, None, None] - birds, axis=-1)
        right += int((np.nanmin(away, axis=2).argmin(axis=1) == bird).sum())
        total += len(points)
    return hit, right, total


def measure(project: Project, models: list[Model]) -> None:
    """Print what the models find in the frames that each was not trained on, all together."""
    labels = project.load_labels()
    score, hits, birds, right, total = [], [], 0, 0, 0
    for model in models:
        rows = np.flatnonzero(np.isin(labels.row_names, model.split["test"]))
        held = labels.take(rows)
        found = evaluate(model, held, images=[read_image(image) for image in held.images]).found
        for row in range(len(held)):
            truth = held.points[row][np.isfinite(held.points[row]).any((1, 2))]
            there = np.isfinite(found.points[row]).any((1, 2))
            hit, own, counted = judge(truth, found.points[row][there])
            sure = found.confidence[row][there]
            score += (sure.sum(1) / np.maximum((sure > 0).sum(1), 1)).tolist()
            hits += hit.tolist()
            birds, right, total = birds + len(truth), right + own, total + counted
    order = np.argsort(score)[::-1]
    true = np.cumsum(np.array(hits)[order])
    recall, precision = true / birds, true / np.arange(1, len(true) + 1)
    best = int((2 * recall * precision / np.maximum(recall + precision, 1e-9)).argmax())
    enough = recall[precision >= 0.85]
    print(
        f"{len(models)} folds, {birds} birds: {true[-1]} found among {len(true)} animals; at best "
        f"recall {recall[best]:.2f}, precision {precision[best]:.2f} (from "
        f"{score[order[best]]:.2f}); recall {enough.max(initial=0):.2f} at precision 0.85; "
        f"right bird {right / max(total, 1):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--parts", help="folds to train and measure, from 1; all by default")
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    options = parser.parse_args()
    project = open_project(options.folder)
    parts = [int(part) for part in (options.parts or "").split(",") if part]
    models = []
    for part in parts or range(1, options.folds + 1):
        own = [*options.set, f"train.folds={options.folds}", f"train.fold={part - 1}"]
        models.append(train_one(project, f"fold-{part}", overrides=own))
        measure(project, models[-1:])
    measure(project, models)


if __name__ == "__main__":
    main()
