"""Snapshots of a training: averaged weights of some of its steps, which can be evaluated later.

A snapshot is a file ``snapshots/step-N.safetensors`` beside the model: all its network's weights,
before links were chosen. The model's description makes a whole model of it.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mapose.analysis.prediction import Predictor
from mapose.errors import SettingsError
from mapose.files import make_folder, write_atomically
from mapose.labels import Labels
from mapose.models import Model, load_tensors, restore_network, save_tensors
from mapose.plots import plot_snapshots, save_figure
from mapose.project.project import Project
from mapose.reading import explain_damage, load_columns
from mapose.training.calibration import (
    calibrate_confidence,
    calibrate_variance,
    scale_covariance,
)
from mapose.training.evaluation import PARTS, Evaluation, evaluate_peaks
from mapose.training.images import LabelledImages
from mapose.training.known import find_known
from mapose.training.scores import CUTOFF

FOLDER = "snapshots"
_NAME = re.compile(r"step-(\d+)\.safetensors")
#: Name under which the record of a model keeps the links that its snapshots have.
LINKS = "snapshot_links"


def list_snapshots(folder: Path) -> list[int]:
    """List the steps of the snapshots in the folder of a model, ascending."""
    names = (_NAME.fullmatch(path.name) for path in (folder / FOLDER).glob("step-*.safetensors"))
    return sorted(int(name[1]) for name in names if name)


def save_snapshot(folder: Path, step: int, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of a step beside a model."""
    make_folder(folder / FOLDER)
    save_tensors(weights, name_snapshot(folder, step))


def name_snapshot(folder: Path, step: int) -> Path:
    """Name the file of a snapshot."""
    return folder / FOLDER / f"step-{step}.safetensors"


def keep_snapshots(folder: Path, steps: Iterable[int]) -> None:
    """Remove all snapshots but those of the steps."""
    kept = set(steps)
    for step in list_snapshots(folder):
        if step not in kept:
            name_snapshot(folder, step).unlink(missing_ok=True)


def choose_snapshots(folder: Path, which: str) -> list[int]:
    """Find the snapshots of a model that are meant.

    Parameters
    ----------
    folder : Path
        Of the model.
    which : str
        ``"all"``, ``"best"`` (lowest validation error), ``"last"``, or a step.

    Raises
    ------
    SettingsError
        If there is no such snapshot; it says which there are.
    """
    steps = list_snapshots(folder)
    there = ", ".join(map(str, steps)) or "none; train with --set train.snapshots=12 to keep some"
    errors = read_errors(folder)
    known = [step for step in steps if np.isfinite(errors.get(step, np.nan))]
    chosen = {
        "all": steps,
        "last": steps[-1:],
        "best": sorted(known, key=lambda step: errors[step])[:1],
    }.get(which, [step for step in steps if str(step) == which])
    if not chosen:
        raise SettingsError(
            f"--snapshots: wanted all, best, last or a step, came {which!r}; {folder.name} has "
            f"{there}"
        )
    return chosen


def read_errors(folder: Path) -> dict[int, float]:
    """Read the validation errors of a training, px by step."""
    path = folder / "training.csv"
    if not path.is_file():
        return {}
    columns = load_columns(path)
    pairs = zip(columns.get("step", []), columns.get("validation_error", []), strict=False)
    return {int(step): error for step, error in pairs if math.isfinite(step) and error == error}


def load_snapshot(folder: str | os.PathLike[str], step: int) -> Model:
    """Load a snapshot as a whole model; it is not calibrated.

    Parameters
    ----------
    folder : path
        Of the model.
    step : int
        One of `list_snapshots`.

    Raises
    ------
    SettingsError
        If there is no such snapshot, or the training has not ended.
    FormatError
        If files are damaged.
    """
    folder = Path(folder)
    (step,) = choose_snapshots(folder, str(step))
    if not (folder / "model.yaml").is_file():
        raise SettingsError(
            f"{folder}: its training has not ended: --resume it, then its snapshots can be opened"
        )
    model, place = Model.load(folder), name_snapshot(folder, step)
    with explain_damage(place):
        links = tuple((a, b) for a, b in model.record.get(LINKS, model.links))
        architecture = {**model.architecture, "edges": len(links)}
        network = restore_network(architecture, load_tensors(place))
    whole = replace(
        model,
        network=network.eval(),
        architecture=architecture,
        links=links,
        variance=np.ones_like(model.variance),
        confidence=None,
        refiner=None,
        name=f"{model.name}@{step}",
    )
    kept = [links.index(link) for link in model.links]
    return whole if len(kept) == len(links) else whole.with_links(kept)


@dataclass(frozen=True)
class SnapshotScores:
    """Snapshots of a model side by side.

    Parameters
    ----------
    model : str
        Name of the model.
    best : int or None
        Step with the lowest validation error.
    rows : list of dict
        For each snapshot its ``step``, ``validation_error`` of the training, and ``mean``, px, and
        ``map`` on ``train``, ``validation`` and ``test`` frames; None = not measured.
    """

    model: str
    best: int | None
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {"model": self.model, "best": self.best, "snapshots": self.rows}

    def __str__(self) -> str:
        lines = [f"{'step':>8}{'train px':>10}{'validation':>12}{'test px':>10}{'test mAP':>10}"]
        for row in self.rows:
            texts = [
                "-" if row[key] is None else f"{row[key]:.{digits}f}"
                for key, digits in (("train", 2), ("validation", 2), ("test", 2), ("map", 3))
            ]
            mark = "  best on validation frames" if row["step"] == self.best else ""
            widths = zip(texts, (10, 12, 10, 10), strict=True)
            lines.append(f"{row['step']:>8}" + "".join(f"{t:>{w}}" for t, w in widths) + mark)
        return "\n".join(lines)


def evaluate_snapshots(
    project: Project | str | os.PathLike[str],
    name: str | None = None,
    *,
    which: str = "all",
    cutoff: float = CUTOFF,
    device: str | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SnapshotScores:
    """Evaluate snapshots of a model, each calibrated as the model was.

    Parameters
    ----------
    project : Project or path
        With labels and the model.
    name : str, optional
        Of the model; the newest by default.
    which : str
        ``"all"``, ``"best"``, ``"last"``, or a step.
    cutoff, device
        As for `evaluate`.
    on_progress : function of int, int
        Called with snapshots done and in all.

    Returns
    -------
    SnapshotScores

    Raises
    ------
    SettingsError
        If there is no such snapshot.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    name = project.load_model(name).name
    folder = project.path / "models" / name
    labels, errors = project.load_labels(), read_errors(folder)
    images = LabelledImages(project, labels)
    rows = []
    chosen = choose_snapshots(folder, which)
    for done, step in enumerate(chosen):
        on_progress(done, len(chosen))
        found = _evaluate(load_snapshot(folder, step), labels, images, cutoff, device)
        means: dict[str, Any] = dict.fromkeys(PARTS)
        plain = found.to_dict()
        means |= {part: plain[part]["mean"] for part in plain}
        score = plain["test"]["map"] if "test" in plain else None
        rows.append({"step": step, "validation_error": errors.get(step), **means, "map": score})
    on_progress(len(chosen), len(chosen))
    known = [step for step in list_snapshots(folder) if step in errors]
    best = min(known, key=lambda step: errors[step]) if known else None
    return SnapshotScores(name, best, rows)


def _evaluate(
    model: Model, labels: Labels, images: LabelledImages, cutoff: float, device: str | None
) -> Evaluation:
    peaks = Predictor(model, device=device).find_images(images)
    held = model.split.get("validation") or model.split.get("train", [])
    rows = np.flatnonzero(np.isin(labels.row_names, held))
    variance = calibrate_variance(peaks.take(rows), labels.points[rows])
    peaks = scale_covariance(peaks, variance)
    model = replace(model, variance=variance)
    settings = model.record.get("settings", {}).get("train", {})
    known = find_known(labels, settings.get("missing", "absent"))
    model = calibrate_confidence(model, peaks, labels, known=known)
    return evaluate_peaks(model, labels, peaks, cutoff=cutoff)


def write_snapshots(found: SnapshotScores, folder: Path) -> Path:
    """Write ``snapshots.csv``, ``snapshots.json`` and ``snapshots.png``.

    Parameters
    ----------
    found : SnapshotScores
        Result of `evaluate_snapshots`.
    folder : Path
        Made if it is not there.
    """
    make_folder(folder)
    with write_atomically(folder / "snapshots.json") as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
    with (
        write_atomically(folder / "snapshots.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(found.rows[0]))
        writer.writeheader()
        writer.writerows(found.rows)
    save_figure(plot_snapshots(found.rows), folder / "snapshots.png")
    return folder
