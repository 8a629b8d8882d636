"""Whether choosing frames pays: errors after 20 labels and 40 more, by every way to choose them.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_selection.py [--sets mouse,flies]
[--seeds 0,1,2] [--steps N] [--methods first,random,uniform,...] [--cache FOLDER]

Of the open field, 20 of the 91 labelled frames are set aside by the seed; of the flies, the last
500, of which 100 are looked at. 20 of the others are labelled at first, and a network is trained on
them (`first`). Then 40 more are chosen among what is left: by chance (`random`), evenly
(`uniform`), by appearance (`kmeans`), unlike the first 20 (`different`), or by the reasons of
`mapose refine` in what that network finds: `confidence`, `pose`, `disagreement` with what it finds
in mirrored pictures, or all together (`refine`). Of jumps nothing can be told, as the frames do not
follow each other. On each choice of 60 a network is trained anew, all with the same number of
steps, on pictures a quarter as large, so that trainings can be long enough for labels to matter.
"error" is the mean distance in px from the labels set aside to the strongest candidates; one that
is missing counts as an animal's length.

Results, networks and what they found are kept in the cache; the script goes on where it was
stopped. 2000 steps take some 7 minutes of a processor. Means of three seeds, error and OKS mAP:

                     flies, 2000 steps    open field, 1000 steps
first                13.3 px, 0.669       4.0 px, 0.870
random               13.4, 0.674          4.8, 0.841
refine               12.9, 0.697          4.8, 0.850
uniform              13.5, 0.667          4.3, 0.852
kmeans               12.7, 0.682          4.4, 0.848
different            13.2, 0.663          4.0, 0.863

Of the flies `refine` is below `random`, and `kmeans` below `uniform`, with each of the seeds,
`different` with two of three. The open field has but 51 frames to choose 40 from: choices are much
alike, and seeds differ by 3 px.

Networks of 20 labels that went on with 60 for 200 steps at full size (see the history of this file)
had said nothing: there steps were short, not labels.
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mapose.analysis.mirroring import mirror_poses
from mapose.analysis.prediction import Predictor
from mapose.decode import assemble
from mapose.io import load, read_image, read_labels, save
from mapose.labels import Labels
from mapose.models import Model
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.results.outliers import find_outliers
from mapose.selection import order_clusters, order_different, shrink_picture, take_distinct
from mapose.training.evaluation import evaluate, find_candidate_errors
from mapose.training.training import train

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))
FIRST, MORE = 20, 40
SETTINGS = ("network.factor=4", "train.view=96", "train.mixed=false", "train.test=0")
# Frames of the flies that can be chosen are every fifth of the first 2500.
EVERY, POOL, HELD, SHOWN = 5, 2500, 20, 100
CRITERIA = ("confidence", "pose", "disagreement")
METHODS = ("first", "random", "uniform", "kmeans", "different", *CRITERIA, "refine")


class Set:
    """A recording with labels: frames to choose from, and frames set aside, by a seed."""

    def __init__(self, name: str, seed: int, steps: int, cache: Path) -> None:
        self.name, self.seed, self.steps = name, seed, steps
        self.folder = cache / f"{name}-{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        if name == "mouse":
            labels = read_labels(
                DATA / "openfield_mouse" / "labeled-data/m4s1/CollectedData_Pranav.csv"
            )
            order = rng.permutation(len(labels))
            held, pool = order[:HELD], np.sort(order[HELD:])
        else:
            labels = read_labels(DATA / "flies_courtship" / "predictions.slp")
            pool = np.arange(0, POOL, EVERY)
            held = np.linspace(POOL, len(labels) - 1, SHOWN).astype(np.int64)
        self.labels = self._write_images(
            labels, np.concatenate([pool, held]), cache / f"{name}-images"
        )
        self.pool, self.held = np.arange(len(pool)), np.arange(len(pool), len(self.labels))
        self.start = np.sort(rng.permutation(len(pool))[:FIRST])
        self.left = np.setdiff1d(self.pool, self.start)

    def _write_images(self, labels: Labels, rows: np.ndarray, place: Path) -> Labels:
        """Take the rows, in this order, with their images on disk; once for all seeds."""
        if not (place / "mapose.yaml").is_file() or not any(place.glob("labels/*/labels.csv")):
            project = Project.create(place, labels.skeleton, individuals=labels.points.shape[1])
            wanted = np.arange(len(labels)) if self.name == "mouse" else rows
            import_labels(project, labels.take(wanted))
        found = Project.load(place).load_labels()
        at = {int(n): row for row, n in enumerate(found.frames)}
        return found.take([at[int(n)] for n in labels.frames[rows]])


def train_on(data: Set, rows: np.ndarray, name: str) -> Model:
    """Train on some rows; a training that was stopped goes on."""
    place = data.folder / name
    if not (place / "mapose.yaml").is_file():
        animals = data.labels.points.shape[1]
        Project.create(place, data.labels.skeleton, individuals=animals)
    project = Project.load(place)
    if not any(place.glob("labels/*/labels.csv")):
        import_labels(project, data.labels.take(np.sort(rows)))
    if "net" in project.list_models():
        return project.load_model("net")
    settings = {"steps": data.steps, "batch": 8, "every": max(1, data.steps // 2)}
    settings["seed"] = data.seed
    begun = (place / "models" / "net" / "state.yaml").is_file()
    overrides = [*SETTINGS, *(f"train.{key}={value}" for key, value in settings.items())]
    return train(project, "net", overrides=[] if begun else overrides, resume=begun)


def train_first(data: Set) -> Model:
    """Train the first network of a set on the first labels, as a user without a model would."""
    return train_on(data, data.start, "first")


def find_poses(data: Set, model: Model, *, mirrored: bool = False) -> Poses:
    """Find the animals in all frames that can be chosen."""
    images = [read_image(data.labels.images[row]) for row in data.pool]
    width = images[0].shape[1]
    if mirrored:
        images = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    found = assemble(
        Predictor(model).find_images(images),
        model.body,
        individuals=model.individuals,
        reach=model.reach,
        anatomy=model.anatomy,
    )
    found = replace(found, skeleton=model.skeleton)
    if mirrored:
        found = mirror_poses(found, width)
    # The frames lie far apart: no step can be told from one to the next.
    return replace(found, frames=100 * np.arange(len(found)))


def keep_poses(data: Set, model: Model, name: str) -> Poses:
    path = data.folder / f"{name}.mapose.h5"
    if not path.is_file():
        save(find_poses(data, model, mirrored=name == "mirrored"), path)
    return load(path)


def choose(data: Set, method: str) -> np.ndarray:
    """Choose 40 rows of those that are left."""
    rng = np.random.default_rng([data.seed, 1])
    if method == "random":
        return rng.permutation(data.left)[:MORE]
    if method == "uniform":
        return data.left[np.floor((np.arange(MORE) + 0.5) * len(data.left) / MORE).astype(int)]
    pictures = [shrink_picture(read_image(data.labels.images[row])) for row in data.pool]
    if method in ("kmeans", "different"):
        own = [pictures[row] for row in data.left]
        known = [pictures[row] for row in data.start]
        order = (
            order_clusters(own, MORE, seed=data.seed)
            if method == "kmeans"
            else order_different(own, known, MORE)
        )
        return data.left[order[:MORE]]
    model = train_first(data)
    poses = keep_poses(data, model, "found")
    second = keep_poses(data, model, "mirrored") if method in ("disagreement", "refine") else None
    ranked = find_outliers(
        poses,
        labels=data.labels.take(data.start),
        against=second,
        kinds=[method] if method in CRITERIA else CRITERIA,
        least=0.0,
    )
    at = {int(n): row for row, n in enumerate(poses.frames)}
    order = [at[o.frame] for o in ranked if at[o.frame] in set(data.left.tolist())]
    known = [pictures[row] for row in data.start]
    chosen = list(take_distinct(order, pictures.__getitem__, count=MORE, known=known))
    rest = [row for row in rng.permutation(data.left) if row not in chosen]
    print(f"  {method}: {len(chosen)} of {MORE} chosen by it, the rest by chance", flush=True)
    return np.array(chosen + rest[: MORE - len(chosen)])


def measure(data: Set, method: str) -> dict[str, float]:
    """Train on a choice and measure it on what was set aside; once."""
    path = data.folder / f"{method}.json"
    if not path.is_file():
        if method == "first":
            model = train_first(data)
        else:
            model = train_on(data, np.concatenate([data.start, choose(data, method)]), method)
        held = data.labels.take(data.held)
        images = [read_image(image) for image in held.images]
        found = evaluate(model, held, images=images)
        error = find_candidate_errors(Predictor(model), images, held, np.arange(len(held)))
        path.write_text(json.dumps({"error": error, "map": found.test_map.map}), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", default="mouse,flies")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--cache", type=Path, default=Path("selection-cache"))
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    table = Table("set", "choice", *(f"seed {s}" for s in seeds), "error, px", "OKS mAP")
    for name in options.sets.split(","):
        for method in options.methods.split(","):
            scores = []
            for seed in seeds:
                data = Set(name, seed, options.steps, options.cache / f"{options.steps}-steps")
                scores.append(measure(data, method))
                print(f"{name}, {method}, seed {seed}: {scores[-1]}", flush=True)
            errors = [score["error"] for score in scores]
            mean = f"{np.mean(errors):.2f}"
            maps = f"{np.mean([score['map'] for score in scores]):.3f}"
            table.add_row(name, method, *(f"{error:.2f}" for error in errors), mean, maps)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
