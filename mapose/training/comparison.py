"""Models side by side on the same frames, with what chance alone may do."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.errors import SettingsError
from mapose.files import check_writable, make_folder, write_atomically
from mapose.labels import Labels
from mapose.locks import lock_output
from mapose.metrics import oks_map, pick_matched
from mapose.plots import plot_comparison, save_figure
from mapose.project.project import Project
from mapose.training.evaluation import Evaluation, evaluate
from mapose.training.images import LabelledImages
from mapose.training.reports import write_evaluation
from mapose.training.scores import CUTOFF, score_frames

logger = logging.getLogger(__name__)

#: Samples of the frames, and of those for the mAP, which takes longer.
_SAMPLES, _FEW = 1000, 200
#: Ends of the intervals.
_ENDS = (0.025, 0.975)
#: Figures of a model that have an interval.
_INTERVALS = ("mean", "median", "map", "behind")

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class ModelComparison:
    """Models side by side.

    Parameters
    ----------
    frames : int
        Frames that all were tested on; 0 if there are none, and each was tested on its own.
    rows : list of dict
        For each model its ``model``, ``frames``, ``labels`` trained on; ``mean``, ``median`` and
        ``map`` as value, lower and upper end of the interval that holds 95 % of 1000 (200 for
        the mAP) samples of the frames; ``rmse``, ``mean_sure``, ``within_5``, ``confused``,
        ``shown``, ``said_absent``; and ``behind``, how far its mean lies behind that of the best,
        over the same samples for both (None on different frames). Errors in px.
    """

    frames: int
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        return {"frames": self.frames, "models": self.rows}

    def __str__(self) -> str:
        where = f"on the same {self.frames} frames" if self.frames else "each on its own frames"
        head = (
            f"{'model':<18}{'labels':>7}{'frames':>7}{'mean px':>23}{'median px':>23}{'RMSE':>7}"
            f"{'< 5 px':>8}{'mAP':>24}{'L/R':>7}{'shown':>7}{'absent':>8}{'behind the best':>20}"
        )
        lines = [f"tested {where}; 95 % of samples of the frames lie in brackets", head]
        for row in self.rows:
            lines.append(
                f"{row['model']:<18}{row['labels']:>7}{row['frames']:>7}"
                f"{_show(row['mean'], 2):>23}{_show(row['median'], 2):>23}"
                f"{_tell(row['rmse'], 2):>7}"
                f"{_percent(row['within_5']):>8}{_show(row['map'], 3):>24}"
                f"{_percent(row['confused']):>7}{_percent(row['shown']):>7}"
                f"{_percent(row['said_absent']):>8}{_show(row['behind'], 2):>20}"
            )
        return "\n".join(lines)


def evaluate_models(
    project: Project,
    names: Sequence[str],
    *,
    cutoff: float = CUTOFF,
    device: str | None = None,
    draw: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Evaluation]:
    """Evaluate models of a project on its labels, one after the other.

    Parameters
    ----------
    project : Project
        With labels.
    names : sequence of str
        Of its models.
    cutoff : float
        Confidence from which a keypoint is shown.
    device : str, optional
        Where to compute.
    draw : int, optional
        Write tables, figures and so many frames into ``models/<name>/evaluation``; None writes
        nothing.
    on_progress : function of int, int
        Called with how many models are done, of how many.

    Returns
    -------
    dict of str to Evaluation
        By name.

    Raises
    ------
    FormatError
        If a model or image cannot be read.
    """
    labels = project.load_labels()
    images = LabelledImages(project, labels)
    found = {}
    for done, name in enumerate(names):
        on_progress(done, len(names))
        model = project.load_model(name)
        place = project.path / "models" / name / "evaluation"
        with ExitStack() as stack:
            if draw is not None:
                stack.enter_context(lock_output(place))
                check_writable(place)  # of the same disk, before any work
            found[name] = evaluate(model, labels, images=images, cutoff=cutoff, device=device)
            if draw is not None:
                write_evaluation(found[name], labels, place, most=draw)
    on_progress(len(names), len(names))
    return found


def compare_models(
    project: Project | str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    cutoff: float = CUTOFF,
    device: str | None = None,
) -> ModelComparison:
    """Compare models of a project on labelled frames that none of them was trained on.

    Parameters
    ----------
    project : Project or path
        With labels and models.
    names : sequence of str, optional
        Of models; all by default.
    cutoff, device
        As for `evaluate_models`.

    Returns
    -------
    ModelComparison

    Raises
    ------
    SettingsError
        If there is no model, or one has no test frames.
    """
    project = project if isinstance(project, Project) else Project.load(project)
    found = evaluate_models(project, names or project.list_models(), cutoff=cutoff, device=device)
    return compare_evaluations(found, project.load_labels())


def compare_evaluations(found: Mapping[str, Evaluation], labels: Labels) -> ModelComparison:
    """Put evaluations side by side, on the frames that no model was trained on or chosen by.

    Parameters
    ----------
    found : mapping of str to Evaluation
        By name of the model, of the same labels.
    labels : Labels
        Labelled frames.

    Returns
    -------
    ModelComparison

    Raises
    ------
    SettingsError
        If there is no model, or one has no test frames.

    References
    ----------
    Percentile bootstrap over frames (Efron & Tibshirani 1993), for keypoints of one frame are off
    together; differences of models over the same samples.
    """
    if not found:
        raise SettingsError("wanted models to compare, there are none: mapose train DIR")
    common = np.flatnonzero(np.all([one.test_frames for one in found.values()], axis=0))
    if not len(common):
        logger.warning("no frame is a test frame of all models: each is tested on its own")
    rows, means = [], {}
    for name, one in found.items():
        mine = common if len(common) else np.flatnonzero(one.test_frames)
        if not len(mine):
            raise SettingsError(f"{name}: has no test frames; label more, or train with train.test")
        row, means[name] = _measure(one, labels, mine)
        count = int((one.part_of == "train").sum())
        rows.append({"model": name, "labels": count, "frames": len(mine), **row, "behind": None})
    if len(common):
        best = min(rows, key=lambda row: np.nan_to_num(row["mean"][0], nan=np.inf))
        for row in rows:
            gap = means[row["model"]] - means[best["model"]]
            row["behind"] = _to_interval(row["mean"][0] - best["mean"][0], gap)
    for row in rows:
        for key in _INTERVALS:
            row[key] = row[key] and [None if v != v else round(v, 4) for v in row[key]]
    return ModelComparison(len(common), rows)


def _measure(found: Evaluation, labels: Labels, rows: Ints) -> tuple[dict[str, Any], Floats]:
    """Find the figures of a model on some frames, and the means of its samples."""
    truth, poses = labels.points[rows], found.found.sel(frames=rows)
    scores = score_frames(labels.take(rows), poses, known=found.known[rows], cutoff=found.cutoff)
    points, _ = pick_matched(truth, poses.points, poses.confidence)
    distance = np.linalg.norm(points - truth, axis=-1).reshape(len(rows), -1)
    rng = np.random.default_rng(0)  # the same samples for all models
    samples = rng.integers(len(rows), size=(_SAMPLES, len(rows)))
    means, medians = (np.array([f(distance[s]) for s in samples]) for f in (_mean, _median))
    sure = poses.confidence.mean(-1)
    maps = [oks_map(truth[s], poses.points[s], scores=sure[s]).map for s in samples[:_FEW]]
    error = scores.error
    plain = scores.to_dict()
    return {
        "mean": _to_interval(error.mean, means),
        "median": _to_interval(error.median, medians),
        "rmse": plain["rmse"],
        "mean_sure": plain["mean_sure"],
        "within_5": plain["pck_curve"]["5"],
        "map": _to_interval(scores.score.map, np.array(maps)),
        "confused": plain["sides"]["confused"],
        "shown": plain["presence"]["shown"],
        "said_absent": plain["presence"]["said_absent"],
    }, means


def _mean(distance: Floats) -> float:
    there = distance[np.isfinite(distance)]
    return float(there.mean()) if len(there) else np.nan


def _median(distance: Floats) -> float:
    there = distance[np.isfinite(distance)]
    return float(np.median(there)) if len(there) else np.nan


def _to_interval(value: float, samples: Floats) -> Interval:
    there = samples[np.isfinite(samples)]
    low, high = np.quantile(there, _ENDS) if len(there) else (np.nan, np.nan)
    return (float(value), float(low), float(high))


def write_comparison(found: ModelComparison, folder: Path) -> Path:
    """Write ``models.csv``, ``models.json`` and ``models.png``.

    Parameters
    ----------
    found : ModelComparison
        Result of `compare_evaluations`.
    folder : Path
        Made if it is not there.
    """
    make_folder(folder)
    with lock_output(folder / "models.json"):
        _write_tables(found, folder)
    return folder


def _write_tables(found: ModelComparison, folder: Path) -> None:
    with write_atomically(folder / "models.json") as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
    flat = [_flatten(row) for row in found.rows]
    with (
        write_atomically(folder / "models.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
    names = [row["model"] for row in found.rows]
    save_figure(plot_comparison(names, [row["mean"] for row in found.rows]), folder / "models.png")


def _flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give each end of an interval a column of its own."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if key in _INTERVALS:
            for end, number in zip(("", "_low", "_high"), value or (None,) * 3, strict=True):
                flat[key + end] = number
        else:
            flat[key] = value
    return flat


def _show(interval: list[float | None] | None, digits: int) -> str:
    if interval is None or interval[0] is None:
        return "-"
    value, low, high = (_tell(v, digits) for v in interval)
    return f"{value} [{low}, {high}]"


def _tell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"
