"""How good models are, and at what price: tables and a learning curve for README and the docs.

    python tests/benchmarks/benchmark_accuracy.py FOLDER [--recordings openfield_mouse,...]
        [--ways small,pretrained,...] [--seeds 0,1,2] [--effort 0.5] [--threads 2]
    python tests/benchmarks/benchmark_accuracy.py FOLDER --learning-curve 10,20,40,80
        [--recordings openfield_mouse] [--ways small,pretrained] [--effort 0.25]
    python tests/benchmarks/benchmark_accuracy.py FOLDER --write

Projects are imported into the folder from `../shared/data` (or MAPOSE_DATA), models trained there,
each in a process of its own so that its processor time can be told; figures lie in
``FOLDER/figures.json``. What is there is not made again: the script goes on where it was stopped.
``--effort`` trains that part of the steps, for comparisons; bars are measured with all of them.
Recordings with fewer than 60 labels are cross-validated, and cost as many trainings as folds.
``--write`` puts all that the folder knows into ``docs/accuracy.md``, ``docs/learning-curve.png``
and between the two marks in README.

For a processor without AVX-512: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2; bfloat16 is
never used here, so that figures of different machines can be compared.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mapose.analysis.prediction import Predictor
from mapose.io import read_image
from mapose.models import Model
from mapose.plots import save_figure
from mapose.project.importing import import_project
from mapose.project.project import Project
from mapose.training.evaluation import evaluate
from mapose.training.folds import cross_validate
from mapose.training.scores import FrameScores

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))


@dataclass(frozen=True)
class Recording:
    """Where labels lie, how many are taken, and how they are split."""

    source: str
    count: int | None = None
    folds: int | None = None
    few: bool = False


_OPEN_FIELD = "openfield_mouse/labeled-data/m4s1/CollectedData_Pranav.csv"
_REACHING = "reaching_mouse/labeled-data/reachingvideo1/CollectedData_Mackenzie.csv"
_BIRDS = "birds_montblanc/labeled-data/montblanc/CollectedData_Daniel.csv"
#: Of those named -20 half is for testing, 20 of the others for training.
RECORDINGS = {
    "openfield_mouse": Recording(_OPEN_FIELD),
    "openfield_mouse-20": Recording(_OPEN_FIELD, few=True),
    "mirror_mouse": Recording("mirror_mouse/CollectedData.csv"),
    "mirror_mouse-20": Recording("mirror_mouse/CollectedData.csv", few=True),
    "reaching_mouse": Recording(_REACHING, folds=5),
    "fly_single": Recording("fly_single/annotation_set.h5"),
    "fly_single-20": Recording("fly_single/annotation_set.h5", few=True),
    "flies_courtship-100": Recording("flies_courtship/predictions.slp", count=100),
    "flies_courtship-200": Recording("flies_courtship/predictions.slp", count=200),
    "birds_montblanc": Recording(_BIRDS, folds=5),
}
#: Ways to train: what is added to ``mapose train``.
WAYS: dict[str, list[str]] = {
    "small": ["--preset", "small"],
    "pretrained": ["--preset", "pretrained"],
    "random weights": ["--preset", "pretrained", "--set", "network.pretrained=false"],
    "second stage": ["--preset", "crowded", "--set", "refine.when=always"],
    "from drawn mice": ["--init", "zoo:drawn-mice"],
    "resnet-50": ["--set", "network.encoder=hub:microsoft/resnet-50"],
}
FEW = ["--set", "train.labels=20", "--set", "train.test=0.5"]
#: Columns: key, heading, digits after the point.
COLUMNS = (
    ("labels", "labels", 0),
    ("steps", "steps", 0),
    ("batch", "views a step", 0),
    ("cpu", "CPU min", 0),
    ("mean", "mean px", 2),
    ("median", "median px", 2),
    ("rmse", "RMSE px", 2),
    ("within_5", "within 5 px", 3),
    ("map", "OKS mAP", 3),
    ("said_absent", "absent said absent", 3),
    ("shown", "visible shown", 3),
    ("ellipses", "in 95 % ellipses", 3),
    ("pace", "images/s of a core", 0),
)
_BRIEF = ("labels", "steps", "batch", "mean", "median", "map", "shown")
MARKS = ("<!-- accuracy -->", "<!-- /accuracy -->")


def get_project(folder: Path, name: str) -> Path:
    """Import a recording, once."""
    place, recording = folder / name, RECORDINGS[name]
    if not (place / "mapose.yaml").is_file():
        options = {"individuals": 6, "keep_empty": True} if name.startswith("birds") else {}
        import_project(place, DATA / recording.source, count=recording.count, **options)
    return place


def call(words: list[str], threads: int) -> tuple[dict[str, float], str | None]:
    """Run mapose in a process; the minutes it took, and what went wrong."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "mapose.cli", *words]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    spent = {"minutes": (time.perf_counter() - start) / 60, "cpu": cpu / 60}
    return spent, done.stderr.strip().splitlines()[-1] if done.returncode else None


def train(project: Path, way: str, seed: int, effort: float, threads: int) -> dict[str, Any]:
    """Train a way: how long it took, and what its models find where they were not trained."""
    recording = RECORDINGS[project.name]
    name = f"{way.replace(' ', '-')}-{effort:g}-{seed}"
    names = [f"{name}-{part + 1}" for part in range(recording.folds)] if recording.folds else [name]
    spent: dict[str, float] = {}
    if not all((project / "models" / one / "model.yaml").is_file() for one in names):
        words = ["train", str(project), "--name", name, *WAYS[way]]
        words += ["--set", f"train.seed={seed}", "--set", "train.mixed=false"]
        words += FEW if recording.few else []
        words += ["--folds", str(recording.folds)] if recording.folds else []
        words += ["--set", f"train.effort={effort}"] if effort != 1 else []
        spent, fault = call(words, threads)
        if fault:
            return {"fault": fault}
    models = [Model.load(project / "models" / one) for one in names]
    if recording.folds:
        scores = cross_validate(project, recording.folds, name=name).scores
    else:
        scores = evaluate(models[0], Project.load(project).load_labels()).parts["test"]
    return {
        "labels": float(np.mean([len(model.split["train"]) for model in models])),
        "steps": models[0].record["steps"],
        "batch": models[0].record["settings"]["train"]["batch"],
        **{key: value / len(models) for key, value in spent.items()},
        **list_figures(scores),
        "pace": measure_pace(models[0], project),
    }


def list_figures(scores: FrameScores) -> dict[str, float | None]:
    found = {
        "mean": scores.error.mean,
        "median": scores.error.median,
        "rmse": scores.error.rmse,
        "within_5": scores.pck[5],
        "map": scores.score.map,
        "said_absent": scores.presence.hidden_share,
        "shown": scores.presence.shown_share,
        "ellipses": scores.trust.share,
    }
    return {key: float(value) if np.isfinite(value) else None for key, value in found.items()}


def measure_pace(model: Model, project: Path, count: int = 32) -> float:
    """Count the images that a model looks at in a second of a core, whoever works beside it."""
    paths = [path for path in Project.load(project).load_labels().images if path is not None]
    images = [read_image(paths[i % len(paths)]) for i in range(count)]
    predictor = Predictor(model)
    predictor.find_images(images[:4])
    start = time.process_time()
    predictor.find_images(images)
    return count / (time.process_time() - start)


def draw_curve(project: Path, way: str, counts: str, effort: float, threads: int) -> dict[str, Any]:
    """Train on ever more labels; half of all is for testing."""
    name = f"curve-{way.replace(' ', '-')}-{effort:g}"
    words = ["train", str(project), "--name", name, *WAYS[way], "--learning-curve", counts]
    words += ["--set", "train.test=0.5", "--set", "train.mixed=false"]
    words += ["--set", f"train.effort={effort}"] if effort != 1 else []
    spent, fault = call(words, threads)
    if fault:
        return {"fault": fault}
    found = json.loads((project / "evaluation" / "learning-curve.json").read_text())
    return {"curve": found["models"], **spent}


def show(rows: list[dict[str, Any]], keys: tuple[str, ...] | None = None) -> str:
    """Write the table as Markdown; several seeds as mean and spread."""
    columns = [column for column in COLUMNS if keys is None or column[0] in keys]
    heads = " | ".join(head for _, head, _ in columns)
    lines = [f"| recording | way | {heads} |", "|" + " --- |" * (len(columns) + 2)]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["recording"], row["way"]), []).append(row)
    for (recording, way), group in groups.items():
        cells = [tell([row.get(key) for row in group], digits) for key, _, digits in columns]
        if "fault" in group[0]:
            cells = [group[0]["fault"], *[""] * (len(columns) - 1)]
        lines.append(f"| {recording} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tell(values: list[float | None], digits: int) -> str:
    """Write a figure of one or several seeds."""
    known = np.array([v for v in values if v is not None and np.isfinite(v)], np.float64)
    if not len(known):
        return "-"
    spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 and digits else ""
    return f"{known.mean():.{digits}f}{spread}"


def write(figures: dict[str, dict[str, Any]]) -> None:
    """Write the page, its figure and README's table from all that was measured."""
    rows = sorted(
        (row for row in figures.values() if "recording" in row and "fault" not in row),
        key=lambda row: (list(RECORDINGS).index(row["recording"]), list(WAYS).index(row["way"])),
    )
    whole = [row for row in rows if row["effort"] == 1]
    curves = {key: row["curve"] for key, row in figures.items() if "curve" in row}
    page = ["# How good models are", *_TEXT]
    page += ["## Trained to the end", show(whole)] if whole else []
    for effort in sorted({row["effort"] for row in rows} - {1}, reverse=True):
        part = [row for row in rows if row["effort"] == effort]
        page += [f"## Ways to train, with {effort:g} of the steps", show(part)]
    if curves:
        save_figure(plot_curves(curves), ROOT / "docs" / "learning-curve.png")
        page += ["## Is it worth labelling more?", "![](learning-curve.png)"]
    (ROOT / "docs" / "accuracy.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    table = f"{MARKS[0]}\n{show(whole, _BRIEF)}\n{MARKS[1]}"
    readme.write_text(before + table + after, encoding="utf-8")


_TEXT = (
    "This page is made by `tests/benchmarks/benchmark_accuracy.py`, on a processor without "
    "AVX-512 and without bfloat16. Errors are distances to labels of frames that a model was "
    "neither trained nor chosen on, in image pixels. Recordings with fewer than 60 labels are "
    "cross-validated: labels, steps and minutes are those of one of five trainings. Those named "
    "-20 are trained on 20 labels (two of them for validation) and tested on half of the "
    "recording. Where several seeds were trained, each on a split of its own, it is mean ± "
    "standard deviation. Minutes are those of a processor core; - = not measured. Rows with 8 "
    "views a step were trained before 4 became the default; tiny animals get more of them.",
    "*pretrained* is the default: an encoder that has seen ImageNet. *random weights* is the same "
    "network without having seen it, *small* the preset that is trained from nothing, *from drawn "
    "mice* starts at the model that comes with mapose, *second stage* looks at every animal again "
    "(preset `crowded`).",
)


def plot_curves(curves: dict[str, list[dict[str, Any]]]) -> Figure:
    """Draw error against labels, a line for each way."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for key, rows in curves.items():
        _, recording, way, _ = key.split("/")
        known = [row for row in rows if row["median"] is not None]
        style = {"marker": "o", "label": f"{recording}, {way}"}
        axes.plot([row["labels"] for row in known], [row["median"] for row in known], **style)
    axes.set(xlabel="labelled frames", ylabel="median error on other frames (px)", ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recordings", default=",".join(RECORDINGS))
    parser.add_argument("--ways", default="small,pretrained")
    parser.add_argument("--seeds", default="0", help="comma between; each has a split of its own")
    parser.add_argument("--effort", type=float, default=1.0, help="times the steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--learning-curve", help="numbers of labels, comma between")
    parser.add_argument("--write", action="store_true", help="README and docs from what is there")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "figures.json"
    figures = json.loads(kept.read_text()) if kept.is_file() else {}
    if options.write:
        write(figures)
        return
    rows = []
    for recording in options.recordings.split(","):
        project = get_project(options.folder, recording)
        for way in options.ways.split(","):
            given = (options.effort, options.threads)
            if counts := options.learning_curve:
                key = f"curve/{recording}/{way}/{options.effort:g}"
                figures[key] = draw_curve(project, way, counts, *given)
                kept.write_text(json.dumps(figures, indent=1))
                print(key, json.dumps(figures[key]), flush=True)
                continue
            for seed in map(int, options.seeds.split(",")):
                key = f"{recording}/{way}/{options.effort:g}/{seed}"
                if key not in figures or "fault" in figures[key]:
                    about = {"recording": recording, "way": way, "effort": options.effort}
                    found = train(project, way, seed, *given)
                    figures[key] = {**about, "seed": seed, **found}
                    kept.write_text(json.dumps(figures, indent=1))
                rows.append(figures[key])
                print(show(rows[-1:]).splitlines()[-1], flush=True)
    print(f"\n{show(rows)}" if rows else "")


if __name__ == "__main__":
    main()
