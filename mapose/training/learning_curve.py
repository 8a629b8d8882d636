"""How the error falls with the number of labels: is it worth labelling more?"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapose.config import load_settings
from mapose.errors import SettingsError
from mapose.files import make_folder, write_atomically
from mapose.locks import lock_output
from mapose.plots import plot_snapshots, save_figure
from mapose.project.project import Project
from mapose.training.folds import check_one, show_part, train_one
from mapose.training.loop import Progress
from mapose.training.split import split_frames

_NAMES = ("learning-curve.csv", "learning-curve.json", "learning-curve.png")


@dataclass(frozen=True)
class LearningCurve:
    """Error on the same test frames of models that were trained on ever more labels.

    Parameters
    ----------
    rows : list of dict
        For each model its ``model``, ``labels`` that it was given, ``steps``, ``train``,
        ``validation`` and ``test`` mean error and the ``median`` on test frames, px, and OKS
        ``map`` there; None = not measured.
    """

    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {"models": self.rows}

    def __str__(self) -> str:
        keys = ("labels", "steps", "train", "test", "median", "map")
        lines = [f"{'labels':>7}{'steps':>8}{'train px':>10}{'test px':>10}{'median':>9}{'mAP':>8}"]
        for row in self.rows:
            texts = [_tell(row[key], 3 if key == "map" else 2) for key in keys]
            widths = zip(texts, (7, 8, 10, 10, 9, 8), strict=True)
            lines.append("".join(f"{text:>{width}}" for text, width in widths))
        return "\n".join(lines)


def _tell(value: Any, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def find_learning_curve(
    project: Project | str | os.PathLike[str],
    labels: Sequence[int],
    *,
    name: str = "curve",
    overrides: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    **options: Any,
) -> LearningCurve:
    """Train on ever more of the labels and test on the same frames.

    Each set holds the smaller ones. What is trained already is not trained again, and what was
    interrupted goes on.

    Parameters
    ----------
    project : Project or path
        With labels.
    labels : sequence of int
        Labelled frames to train with, those for validation among them.
    name : str
        Of the models: ``name-20`` and so on.
    overrides : iterable of str
        ``section.key=value`` each.
    on_progress : function of Progress, optional
        Called after every step of each training.
    **options
        Of `train`: preset, init, device.

    Returns
    -------
    LearningCurve

    Raises
    ------
    SettingsError
        If there are not so many labels, or a model of such a name is another one's.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    counts = sorted(set(labels))
    _check_counts(project, counts, list(overrides), options.get("preset"))
    rows = []
    for part, count in enumerate(counts):
        one = f"{name}-{count}"
        check_one(project, one, {"labels": count}, f"--learning-curve: not of {count} labels")
        own = [*overrides, f"train.labels={count}"]
        show = show_part(on_progress, part, len(counts))
        model = train_one(project, one, overrides=own, on_progress=show, **options)
        found = model.record.get("metrics", {})
        means = {key: found.get(key, {}).get("mean") for key in ("train", "validation", "test")}
        test = found.get("test", {})
        rows.append(
            {
                "model": one,
                "labels": count,
                "steps": model.record.get("steps"),
                **means,
                "median": test.get("median"),
                "map": test.get("map"),
            }
        )
    return LearningCurve(rows)


def _check_counts(
    project: Project, counts: Sequence[int], overrides: list[str], preset: Any
) -> None:
    """Refuse more labels than there are before anything is trained."""
    settings = load_settings(preset or "small", overrides)
    split = split_frames(project.load_labels(), settings.train)
    there = len(split.train) + len(split.validation)
    if not counts or counts[0] < 1 or counts[-1] > there:
        raise SettingsError(
            f"--learning-curve: wanted numbers of labels from 1 to {there} (without the "
            f"{len(split.test)} test frames), came {', '.join(map(str, counts)) or 'none'}"
        )


def write_learning_curve(found: LearningCurve, folder: Path) -> Path:
    """Write ``learning-curve.csv``, ``learning-curve.json`` and ``learning-curve.png``.

    Parameters
    ----------
    found : LearningCurve
        Result of `find_learning_curve`.
    folder : Path
        Made if it is not there.
    """
    table, plain, picture = (make_folder(folder) / name for name in _NAMES)
    with lock_output(table):
        with (
            write_atomically(table) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(found.rows[0]))
            writer.writeheader()
            writer.writerows(found.rows)
        with write_atomically(plain) as partial:
            partial.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
        save_figure(plot_snapshots(found.rows, x="labels"), picture)
    return folder
