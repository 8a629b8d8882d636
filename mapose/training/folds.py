"""Several trainings in one: a model for each part of the labels, or for each of several seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mapose.arrays import Singles
from mapose.errors import SettingsError
from mapose.metrics import PoseError
from mapose.models import Model
from mapose.poses import Poses, join_poses
from mapose.project.project import Project
from mapose.training.evaluation import evaluate
from mapose.training.loop import Progress
from mapose.training.runs import STATE
from mapose.training.scores import FrameScores, score_frames
from mapose.training.training import train


@dataclass(frozen=True)
class CrossValidation:
    """Errors on all labelled frames, each found by a model that was not trained on it.

    Parameters
    ----------
    scores : FrameScores
        All that is measured on all frames together.
    models : list of str
        Names of the models, in the order of the parts.
    parts : list of float
        Mean error of each model on its part, px; NaN where nothing was found.
    """

    scores: FrameScores
    models: list[str]
    parts: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for YAML or JSON."""
        parts = dict(zip(self.models, self.parts, strict=True))
        return {**self.scores.to_dict(), "parts": parts}

    def __str__(self) -> str:
        parts = ", ".join(f"{part:.2f}" for part in self.parts)
        return f"{self.scores}\nmean error of the parts: {parts} px"


def cross_validate(
    project: Project | str | os.PathLike[str],
    folds: int,
    *,
    name: str = "fold",
    overrides: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    **options: Any,
) -> CrossValidation:
    """Train a model for each of so many equal parts of the labels, on all the others.

    Says how good models of this project are where there are too few labels to keep some for
    testing. What is trained already is not trained again, and what was interrupted goes on.

    Parameters
    ----------
    project : Project or path
        With labels.
    folds : int
        How many parts.
    name : str
        Of the models: ``name-1`` to ``name-FOLDS``.
    overrides : iterable of str
        ``section.key=value`` each.
    on_progress : function of Progress, optional
        Called after every step of each training.
    **options
        Of `train`: preset, init, device.

    Returns
    -------
    CrossValidation

    Raises
    ------
    SettingsError
        If there are fewer labelled frames than parts, or a model of such a name is another one's.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    labels = project.load_labels()
    names = [f"{name}-{part + 1}" for part in range(folds)]
    models = []
    for part, one in enumerate(names):
        own = [*overrides, f"train.folds={folds}", f"train.fold={part}"]

        wanted = {"folds": folds, "fold": part}
        check_one(project, one, wanted, f"--folds: not of part {part + 1} of {folds}")
        show = show_part(on_progress, part, folds)
        models.append(train_one(project, one, overrides=own, on_progress=show, **options))
    found = [evaluate(model, labels, device=options.get("device")) for model in models]
    rows = [np.flatnonzero(np.isin(labels.row_names, model.split["test"])) for model in models]
    order = np.concatenate(rows)
    tolerances = [model.confidence.tolerance for model in models if model.confidence]
    scores = score_frames(
        labels.take(order),
        _join([one.found.sel(frames=part) for one, part in zip(found, rows, strict=True)]),
        known=np.concatenate([one.known[part] for one, part in zip(found, rows, strict=True)]),
        tolerance=float(np.median(tolerances)) if tolerances else float("nan"),
    )
    parts = [_find_mean(one.test) for one in found]
    return CrossValidation(scores, names, parts)


@dataclass(frozen=True)
class SeedSpread:
    """Models that differ in nothing but their seed, on the same test frames.

    Parameters
    ----------
    models : list of str
        Their names.
    figures : dict of str to list of float
        ``mean``, ``median``, ``rmse`` (px) and ``map`` of each; NaN where nothing was found.
    """

    models: list[str]
    figures: dict[str, list[float]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for JSON: for each figure its mean, spread and values."""
        plain: dict[str, Any] = {"models": self.models}
        for name, values in self.figures.items():
            mean, spread = _find_spread(values)
            plain[name] = {"mean": mean, "spread": spread, "each": values}
        return plain

    def __str__(self) -> str:
        lines = [f"{len(self.models)} models, mean +- standard deviation on the same test frames"]
        for name, values in self.figures.items():
            mean, spread = _find_spread(values)
            each = ", ".join(f"{value:.3f}" for value in values)
            lines.append(f"{name:<8}{mean:8.3f} +- {spread:.3f}   ({each})")
        return "\n".join(lines)


def train_seeds(
    project: Project | str | os.PathLike[str],
    seeds: int,
    *,
    name: str = "seed",
    overrides: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    **options: Any,
) -> SeedSpread:
    """Train the same model with several seeds, to know how much of an error is chance.

    All are trained and tested on the same frames. What is trained already is not trained again,
    and what was interrupted goes on.

    Parameters
    ----------
    project : Project or path
        With labels.
    seeds : int
        How many: 0, 1, 2, ...
    name : str
        Of the models: ``name-0`` and so on.
    overrides : iterable of str
        ``section.key=value`` each.
    on_progress : function of Progress, optional
        Called after every step of each training.
    **options
        Of `train`: preset, init, device.

    Returns
    -------
    SeedSpread

    Raises
    ------
    SettingsError
        If a model of such a name is another one's.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    names = [f"{name}-{seed}" for seed in range(seeds)]
    given = list(overrides)
    alike = [] if any(text.startswith("train.split_seed=") for text in given) else ["0"]
    tests = []
    for seed, one in enumerate(names):
        own = [*given, f"train.seed={seed}", *(f"train.split_seed={text}" for text in alike)]
        check_one(project, one, {"seed": seed}, f"--seeds: not of seed {seed}")
        show = show_part(on_progress, seed, seeds)
        model = train_one(project, one, overrides=own, on_progress=show, **options)
        tests.append(model.record.get("metrics", {}).get("test", {}))
    nothing = float("nan")
    figures = {
        key: [nothing if one.get(key) is None else float(one[key]) for one in tests]
        for key in ("mean", "median", "rmse", "map")
    }
    return SeedSpread(names, figures)


def _find_spread(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=min(1, len(values) - 1)))


def show_part(
    on_progress: Callable[[Progress], None], part: int, parts: int
) -> Callable[[Progress], None]:
    """Make progress of one of several trainings that of all."""

    def show(progress: Progress) -> None:
        on_progress(replace(progress, share=(part + progress.share) / parts))

    return show


def check_one(project: Project, name: str, wanted: dict[str, Any], what: str) -> None:
    """Refuse to take a model for one that it is not."""
    if name not in project.list_models():
        return
    was = project.load_model(name).record.get("settings", {}).get("train", {})
    if any(was.get(key) != value for key, value in wanted.items()):
        option, _, why = what.partition(": ")
        raise SettingsError(
            f"{option}: the model {name} is there already, and {why}: choose another --name"
        )


def train_one(project: Project, name: str, *, overrides: list[str], **options: Any) -> Model:
    """Train a model, take up its training, or open it if it is there."""
    if name in project.list_models():
        return project.load_model(name)
    if (project.path / "models" / name / STATE).is_file():
        kept = {key: options[key] for key in ("device", "on_progress") if key in options}
        return train(project, name, resume=True, **kept)
    return train(project, name, overrides=overrides, **options)


def _join(parts: list[Poses]) -> Poses:
    """Put what was found in different frames together, with as many animals in each."""
    most = max(part.array.shape[1] for part in parts)

    def widen(values: Singles) -> Singles:
        missing = [(0, 0), (0, most - values.shape[1]), *[(0, 0)] * (values.ndim - 2)]
        return np.pad(values, missing, constant_values=np.nan)

    starts = np.cumsum([0] + [len(part) for part in parts])
    wide = []
    for start, part in zip(starts, parts, strict=False):
        array = widen(part.array)
        array[..., 2] = np.nan_to_num(array[..., 2])
        spread = None if part.covariance is None else widen(part.covariance)
        frames = start + np.arange(len(part))
        wide.append(Poses(array, part.skeleton, frames=frames, covariance=spread))
    return join_poses(wide)


def _find_mean(error: PoseError | None) -> float:
    return float("nan") if error is None else error.mean
