"""Names on what young networks find: how often they are right, and what was said of them.

Run: OMP_NUM_THREADS=2 python tests/benchmarks/benchmark_young_names.py [--seeds N,...]
[--animals N] [--cache FOLDER] [--sleap-nn PYTHON]

A network is trained from nothing on 150 frames of a drawn scene, as `mapose demo` did it first,
and its average is kept after 300, 600, 1,200 and 2,400 steps of one schedule. What each of the four
finds in all 600 frames is kept in the cache (a training takes some ten minutes on two cores), so
that tracking can be measured again in seconds. Seeds 11 to 14 are for development; from 101 on they
are held out: nothing is tuned on them. Scores are those of `mapose demo`, on frames that were not
trained on: "error" is the expected calibration error, pooled over all frames, "sure" the share of
names stated above 0.99 and how many of these are right. Below the recordings they are shown by the
quality of what was found, a third each by OKS mAP. With --sleap-nn (python of an environment with
sleap-nn 0.3.5) its trackers get the same detections, and link their tracklets to as many as there
are animals.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmark_ladder import ask_peer
from ladder import Rung
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from mapose.analysis.prediction import Predictor, predict
from mapose.decode import assemble, propose_edges, select_edges
from mapose.io import VideoWriter, load, load_provenance, prefetch, read_image, save
from mapose.labels import Labels
from mapose.metrics import oks_map, track_scores
from mapose.metrics.tracks import find_similarity
from mapose.models import build_network, load_tensors
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.synthetic import make_cameras, make_scene
from mapose.tracking import track_with_doubts
from mapose.training.training import train

STEPS = (300, 600, 1200, 2400)
FRAMES, LABELLED = 600, 150
HELD_OUT = (101, 102, 103, 104, 105, 106)
PEERS = ("bytetrack", "bytetrack-oks", "ocsort", "ocsort-oks")
HEADS = ("scene", "steps", "OKS mAP", "IDF1", "switches", "stated", "right", "error", "sure")


def name_cache(cache: Path, seed: int, animals: int, steps: int | str) -> Path:
    return cache / f"{animals}-{seed}" / f"{steps}.mapose.h5"


def find_detections(seed: int, animals: int, cache: Path) -> None:
    """Train once, and keep what the snapshots find in the scene that they were trained on."""
    if name_cache(cache, seed, animals, STEPS[-1]).is_file():
        return
    scene = make_scene(
        animals,
        FRAMES,
        seed=seed,
        rate=25,
        appearance="similar",
        cameras=make_cameras(1, size=(480, 360)),
    )
    with tempfile.TemporaryDirectory() as folder:
        project = Project.create(Path(folder) / "project", scene.skeleton, individuals=animals)
        video = Path(folder) / "arena.mp4"
        with VideoWriter(video, scene.rate) as writer:
            for image in prefetch(scene.draw_frames()):
                writer.write(image)
        truth = scene.truth(occluded=False)
        import_labels(project, make_labels(truth, video), count=LABELLED)
        kept = {}

        def keep(progress):
            if progress.step in STEPS and progress.step not in kept:
                (file,) = project.path.glob(f"models/*/step-{progress.step}.safetensors")
                kept[progress.step] = {
                    name.removeprefix("average."): value.clone()
                    for name, value in load_tensors(file).items()
                    if name.startswith("average.")
                }
                print(f"seed {seed}: {progress}", flush=True)

        settings = {"steps": STEPS[-1], "batch": 8, "minutes": 1000}
        settings |= {"every": STEPS[0], "patience": 1000}
        overrides = [f"train.{key}={value}" for key, value in settings.items()]
        model = train(
            Project.load(project.path), preset="small", overrides=overrides, on_progress=keep
        )
        labels = Project.load(project.path).load_labels()
        for steps, state in kept.items():
            snapshot = make_snapshot(model, labels, state)
            found = find_poses(video, snapshot, animals)
            target = name_cache(cache, seed, animals, steps)
            target.parent.mkdir(parents=True, exist_ok=True)
            trained = [int(name.partition(":")[2]) for name in model.split["train"]]
            save(replace(found, rate=scene.rate), target, provenance={"trained_frames": trained})
        save(truth, name_cache(cache, seed, animals, "truth"))


def make_labels(truth, video: Path) -> Labels:
    return Labels(
        truth.points,
        truth.skeleton,
        videos=(video.stem,) * len(truth),
        frames=np.arange(len(truth)),
        images=(None,) * len(truth),
        individuals=truth.names,
        identified=True,
        sources={video.stem: video},
    )


def make_snapshot(model, labels, state):
    """Make a model of the weights of a step, with links chosen for it."""
    trained = np.flatnonzero(np.isin(labels.row_names, model.split["train"]))
    names = labels.skeleton.keypoints
    given = [(int(a), int(b)) for a, b in labels.skeleton.edge_index]
    pairs = propose_edges(labels.points[trained], given) if model.links else ()
    links = tuple((names[a], names[b]) for a, b in pairs)
    architecture = {**model.architecture, "edges": len(links)}
    network = build_network(**architecture)
    network.load_state_dict(state)
    model = replace(model, network=network, architecture=architecture, links=links)
    peaks = Predictor(model).find_images(read_image(labels.images[i]) for i in trained)
    return model.with_links(
        [int(e) for e in select_edges(peaks, labels.points[trained], model.body)]
    )


def find_poses(video: Path, model, animals: int):
    """Find and assemble the animals of all frames, as `mapose analyze` does."""
    found = assemble(
        predict(video, model),
        model.body,
        individuals=animals,
        reach=model.reach,
        anatomy=model.anatomy,
    )
    return replace(found, skeleton=model.skeleton)


def score_names(truth, found) -> np.ndarray:
    """List what was stated of every name and whether it is right, (N, 2)."""
    near = find_similarity(truth.points, found.points) >= 0.5
    own = np.zeros(near.shape[1:], bool)
    own[linear_sum_assignment(near.sum(0), maximize=True)] = True
    judged = near.any(1) & np.isfinite(found.identity)
    return np.stack([found.identity[judged], (near & own).any(1)[judged]], axis=-1)


def measure(seed: int, animals: int, steps: int, options) -> dict:
    kept = name_cache(options.cache, seed, animals, steps)
    found, truth = load(kept), load(name_cache(options.cache, seed, animals, "truth"))
    keep = np.setdiff1d(np.arange(len(truth)), load_provenance(kept)["trained_frames"])
    result = track_with_doubts(found, individuals=animals).poses.sel(frames=keep)
    counted = truth.sel(frames=keep)
    scores = track_scores(counted, result)
    record = {
        "map": oks_map(counted, result).map,
        "idf1": scores.idf1,
        "switches": scores.switches,
        "names": score_names(counted, result),
    }
    if options.sleap_nn:
        nobody = np.full(found.array.shape[:2], -1)
        rung = Rung("young", truth, found, None, animals, nobody, reach=None)
        for method in PEERS:
            script, python = "track_with_sleap_nn.py", options.sleap_nn
            answer = ask_peer(rung, script, python, method=method, cache=options.cache)
            record[method] = track_scores(counted, answer.poses.sel(frames=keep)).idf1
    return record


def summarize(records: list[dict]) -> list[str]:
    names = np.concatenate([r["names"] for r in records])
    tenth = np.clip((names[:, 0] * 10).astype(int), 0, 9)
    off = np.bincount(tenth, weights=names[:, 0] - names[:, 1], minlength=10)
    sure = names[:, 0] > 0.99
    right = f"{names[sure, 1].mean():.3f}" if sure.any() else "-"
    return [
        f"{np.mean([r['map'] for r in records]):.3f}",
        f"{np.mean([r['idf1'] for r in records]):.4f}",
        str(sum(r["switches"] for r in records)),
        f"{names[:, 0].mean():.3f}",
        f"{names[:, 1].mean():.3f}",
        f"{np.abs(off).sum() / len(names):.3f}",
        f"{right} of {sure.mean():.3f}",
        *(f"{np.mean([r[name] for r in records]):.4f}" for name in PEERS if name in records[0]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", help="comma between; those held out by default")
    parser.add_argument("--animals", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path("young-cache"), help="detections")
    parser.add_argument("--sleap-nn", help="python of an environment with sleap-nn 0.3.5")
    parser.add_argument("--train", action="store_true", help="only fill the cache")
    options = parser.parse_args()
    seeds = [int(s) for s in options.seeds.split(",")] if options.seeds else HELD_OUT
    for seed in seeds:
        find_detections(seed, options.animals, options.cache)
    if options.train:
        return
    table = Table(*HEADS, *(PEERS if options.sleap_nn else ()))
    records = {
        (seed, steps): measure(seed, options.animals, steps, options)
        for seed in seeds
        for steps in STEPS
    }
    for (seed, steps), record in records.items():
        table.add_row(str(seed), str(steps), *summarize([record]), end_section=steps == STEPS[-1])
    for steps in STEPS:
        rows = [records[seed, steps] for seed in seeds]
        table.add_row("all", str(steps), *summarize(rows), end_section=steps == STEPS[-1])
    ranked = sorted(records.values(), key=lambda record: record["map"])
    for third, rows in enumerate(np.array_split(np.array(ranked, object), 3)):
        table.add_row(("worst", "middle", "best")[third], "all", *summarize(list(rows)))
    table.add_row("all", "all", *summarize(ranked))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
