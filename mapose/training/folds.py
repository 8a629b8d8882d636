"""Cross-validation: as many models as parts of the labels, each tested on its own part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mapose.errors import SettingsError
from mapose.metrics import OksMap, PoseError, oks_map, pose_error
from mapose.models import Model
from mapose.project.project import Project
from mapose.training.evaluation import CUTOFF, evaluate
from mapose.training.loop import Progress
from mapose.training.runs import STATE
from mapose.training.training import train


@dataclass(frozen=True)
class CrossValidation:
    """Errors on all labelled frames, each found by a model that was not trained on it.

    Parameters
    ----------
    error : PoseError
        Distances to the labels of all frames, px.
    score : OksMap
        OKS mAP of all frames.
    models : list of str
        Names of the models, in the order of the parts.
    parts : list of float
        Mean error of each model on its part, px; NaN where nothing was found.
    """

    error: PoseError
    score: OksMap
    models: list[str]
    parts: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for YAML or JSON."""
        parts = dict(zip(self.models, self.parts, strict=True))
        return {**self.error.to_dict(), **self.score.to_dict(), "parts": parts}

    def __str__(self) -> str:
        parts = ", ".join(f"{part:.2f}" for part in self.parts)
        return f"{self.error}\n{self.score}\nmean error of the parts: {parts} px"


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

        def show(progress: Progress, part: int = part) -> None:
            on_progress(replace(progress, share=(part + progress.share) / folds))

        _check_part(project, one, folds, part)
        models.append(_train_part(project, one, overrides=own, on_progress=show, **options))
    found = [evaluate(model, labels, device=options.get("device")) for model in models]
    rows = [np.flatnonzero(np.isin(labels.row_names, model.split["test"])) for model in models]
    order = np.concatenate(rows)
    most = max(one.found.array.shape[1] for one in found)
    answers = [_widen(one.found.array[part], most) for one, part in zip(found, rows, strict=True)]
    array = np.concatenate(answers)
    truth = labels.points[order]
    confidence = array[..., 2]
    error = pose_error(
        truth,
        array[..., :2],
        confidence=confidence,
        cutoff=CUTOFF,
        keypoints=labels.skeleton.keypoints,
    )
    score = oks_map(truth, array[..., :2], scores=confidence.mean(-1))
    parts = [_find_mean(one.test) for one in found]
    return CrossValidation(error, score, names, parts)


def _check_part(project: Project, name: str, folds: int, part: int) -> None:
    """Refuse to take a model for a part that is none."""
    if name not in project.list_models():
        return
    was = project.load_model(name).record.get("settings", {}).get("train", {})
    if (was.get("folds"), was.get("fold")) != (folds, part):
        raise SettingsError(
            f"--folds: the model {name} is there already, and not of part {part + 1} of {folds}: "
            "choose another --name"
        )


def _train_part(project: Project, name: str, *, overrides: list[str], **options: Any) -> Model:
    """Train a model, take up its training, or open it if it is there."""
    if name in project.list_models():
        return project.load_model(name)
    if (project.path / "models" / name / STATE).is_file():
        kept = {key: options[key] for key in ("device", "on_progress") if key in options}
        return train(project, name, resume=True, **kept)
    return train(project, name, overrides=overrides, **options)


def _widen(array: Any, most: int) -> Any:
    """Add animals that were not found, so that all parts have as many."""
    missing = ((0, 0), (0, most - array.shape[1]), (0, 0), (0, 0))
    wide = np.pad(array, missing, constant_values=np.nan)
    wide[:, array.shape[1] :, :, 2] = 0
    return wide


def _find_mean(error: PoseError | None) -> float:
    return float("nan") if error is None else error.mean
