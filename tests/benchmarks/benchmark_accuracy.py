"""How good models are, and at what price: a table of recordings and ways to train.

    python tests/benchmarks/benchmark_accuracy.py FOLDER [--recordings openfield_mouse,...]
        [--ways small,pretrained,...] [--seeds 1] [--effort 0.5] [--threads 2] [--markdown FILE]

Projects are imported into the folder from `../shared/data` (or MAPOSE_DATA), models trained there,
each in a process of its own so that its processor time can be told; figures lie in
``FOLDER/figures.json``. What is there is not made again: the script goes on where it was stopped.
``--effort`` trains that part of the steps, for comparisons; bars are measured with all of them.

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
from pathlib import Path
from typing import Any

import numpy as np

from mapose.analysis.prediction import Predictor
from mapose.io import read_image
from mapose.models import Model
from mapose.project.importing import import_project
from mapose.project.project import Project

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))
_REACHING = "reaching_mouse/labeled-data/reachingvideo1/CollectedData_Mackenzie.csv"
#: Recordings: where their labels lie, and how many are taken. Of those named -20 half is for
#: testing, 20 of the others for training.
RECORDINGS: dict[str, tuple[str, int | None]] = {
    "openfield_mouse": ("openfield_mouse/labeled-data/m4s1/CollectedData_Pranav.csv", None),
    "openfield_mouse-20": ("openfield_mouse/labeled-data/m4s1/CollectedData_Pranav.csv", None),
    "mirror_mouse": ("mirror_mouse/CollectedData.csv", None),
    "mirror_mouse-20": ("mirror_mouse/CollectedData.csv", None),
    "reaching_mouse": (
        "reaching_mouse/labeled-data/reachingvideo1/CollectedData_Mackenzie.csv",
        None,
    ),
    "fly_single": ("fly_single/annotation_set.h5", None),
    "fly_single-20": ("fly_single/annotation_set.h5", None),
    "flies_courtship-100": ("flies_courtship/predictions.slp", 110),
    "flies_courtship-200": ("flies_courtship/predictions.slp", 222),
    "birds_montblanc": ("birds_montblanc/labeled-data/montblanc/CollectedData_Daniel.csv", None),
}
#: Ways to train: what is added to ``mapose train``.
WAYS: dict[str, list[str]] = {
    "small": ["--preset", "small"],
    "pretrained": ["--preset", "pretrained"],
    "random weights": ["--preset", "pretrained", "--set", "network.pretrained=false"],
    "second stage": ["--preset", "crowded"],
    "from drawn mice": ["--init", "zoo:drawn-mice"],
    "resnet-50": ["--set", "network.encoder=hub:microsoft/resnet-50"],
}
FEW = ["--set", "train.labels=20", "--set", "train.test=0.5"]
FIGURES = ("mean", "median", "rmse", "within_5", "map", "said_absent", "shown")


def get_project(folder: Path, recording: str) -> Path:
    """Import a recording, once."""
    place = folder / recording
    if not (place / "mapose.yaml").is_file():
        source, count = RECORDINGS[recording]
        import_project(place, DATA / source, count=count)
    return place


def train(project: Path, way: str, seed: int, effort: float, threads: int) -> dict[str, Any]:
    """Train in a process; how long it took, and what the model says of itself."""
    name = f"{way.replace(' ', '-')}-{effort:g}-{seed}"
    spent = {}
    if not (project / "models" / name / "model.yaml").is_file():
        words = [sys.executable, "-m", "mapose.cli", "train", str(project), "--name", name]
        words += [*WAYS[way], "--set", f"train.seed={seed}", "--set", "train.mixed=false"]
        words += FEW if project.name.endswith("-20") else []
        if effort != 1:
            words += ["--set", f"train.effort={effort}"]
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(words, env=env, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            return {"fault": done.stderr.strip().splitlines()[-1]}
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        spent = {"minutes": (time.perf_counter() - start) / 60, "cpu": cpu / 60}
    model = Model.load(project / "models" / name)
    test = model.record["metrics"]["test"]
    found = {key: test.get(key) for key in FIGURES}
    labels = len(model.split["train"])
    pace = measure_pace(model, project)
    return {"labels": labels, "steps": model.record["steps"], **spent, **found, "pace": pace}


def measure_pace(model: Model, project: Path, count: int = 32) -> float:
    """Count the images that a model looks at in a second."""
    paths = [path for path in Project.load(project).load_labels().images if path is not None]
    images = [read_image(paths[i % len(paths)]) for i in range(count)]
    predictor = Predictor(model)
    predictor.find_images(images[:4])
    start = time.perf_counter()
    predictor.find_images(images)
    return count / (time.perf_counter() - start)


def show(rows: list[dict[str, Any]]) -> str:
    """Write the table as Markdown; several seeds as mean and spread."""
    heads = ["labels", "steps", "CPU min", "mean", "median", "RMSE", "within 5 px", "OKS mAP"]
    heads += ["absent said absent", "shown", "images/s"]
    keys = ["labels", "steps", "cpu", *FIGURES, "pace"]
    lines = [f"| recording | way | {' | '.join(heads)} |", "|" + " --- |" * (len(heads) + 2)]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["recording"], row["way"]), []).append(row)
    for (recording, way), group in groups.items():
        if "fault" in group[0]:
            lines.append(f"| {recording} | {way} | {group[0]['fault']} |")
            continue
        cells = [tell([row.get(key) for row in group], key) for key in keys]
        lines.append(f"| {recording} | {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def tell(values: list[float | None], key: str) -> str:
    """Write a figure of one or several seeds."""
    known = np.array([v for v in values if v is not None and np.isfinite(v)], np.float64)
    if not len(known):
        return "-"
    if key in ("labels", "steps"):
        return f"{known.mean():.0f}"
    digits = {"within_5": 3, "map": 3, "said_absent": 3, "shown": 3, "cpu": 1, "pace": 0}
    spread = f" ± {known.std(ddof=1):.2f}" if len(known) > 1 and key in FIGURES else ""
    return f"{known.mean():.{digits.get(key, 2)}f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--recordings", default=",".join(RECORDINGS))
    parser.add_argument("--ways", default="small,pretrained")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--effort", type=float, default=1.0, help="times the steps")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--markdown", type=Path, help="write the table there")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "figures.json"
    figures = json.loads(kept.read_text()) if kept.is_file() else {}
    rows = []
    for recording in options.recordings.split(","):
        project = get_project(options.folder, recording)
        for way in options.ways.split(","):
            for seed in range(options.seeds):
                key = f"{recording}/{way}/{options.effort:g}/{seed}"
                if key not in figures or "fault" in figures[key]:
                    found = train(project, way, seed, options.effort, options.threads)
                    figures[key] = {"recording": recording, "way": way, "seed": seed, **found}
                    kept.write_text(json.dumps(figures, indent=1))
                rows.append(figures[key])
                print(show(rows[-1:]).splitlines()[-1], flush=True)
    table = show(rows)
    print(f"\n{table}")
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
