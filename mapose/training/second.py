"""Training of the second stage, on the labels that the first was trained on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapose.analysis.prediction import THRESHOLD, Predictor
from mapose.analysis.refinement import PoseRefiner
from mapose.arrays import Bools, Floats, Image, Ints, Singles
from mapose.config import Settings
from mapose.data import Augmentation, CropShape, find_crop_size, make_crop_set
from mapose.decode import assemble
from mapose.files import make_folder
from mapose.labels import Labels
from mapose.landmarks import blank_landmarks
from mapose.metrics import match_individuals, oks_map
from mapose.models import Model, PoseNetwork, Refiner, build_network
from mapose.poses import Peaks, Poses, join_peaks
from mapose.similarity import find_lengths
from mapose.training.evaluation import find_candidate_errors
from mapose.training.loop import Progress, Trainer
from mapose.training.runs import SECOND, STATE
from mapose.training.schedule import choose_steps
from mapose.training.split import Split

logger = logging.getLogger(__name__)

#: Steps, relative to those of a network that learns as much.
_SHARE = 0.5
#: Part of a run with two stages that the first takes, for what progress says.
_FIRST = 0.5
#: Frames that a validation looks at, of each kind.
_VALIDATED = 20
#: A keypoint is off its place if it is further away, relative to the animal's length.
_OFF = 0.2
#: Fewer keypoints of a kind than these say nothing of a threshold; the highest that is believed.
_FEW, _HIGHEST = 20, 0.5

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Lesson:
    """What a second stage is trained on.

    Parameters
    ----------
    settings : Settings
        Of the run.
    labels : Labels
        All labelled frames.
    images : sequence of uint8 (H, W) or (H, W, 3)
        Theirs.
    known : bool, (F, K)
        Which keypoints were looked for.
    split : Split
        Which of them are trained on, and which decide whether it is any good.
    augmentation : Augmentation
        Limits of random views.
    turns : float64, (N,), or None
        How far views of each image trained on are rotated at most, degrees, as of the first stage.
    device : torch.device
        Where to compute.
    """

    settings: Settings
    labels: Labels
    images: Sequence[Image]
    known: Bools
    split: Split
    augmentation: Augmentation
    turns: Floats | None
    device: torch.device


def share_progress(on_progress: OnProgress, settings: Settings) -> tuple[OnProgress, OnProgress]:
    """Make of one function that is told the progress of a run one for each stage."""
    if settings.refine.when == "never":
        return on_progress, on_progress

    def show_first(progress: Progress) -> None:
        on_progress(replace(progress, share=_FIRST * progress.share))

    def show_second(progress: Progress) -> None:
        share = _FIRST + (1 - _FIRST) * progress.share
        on_progress(replace(progress, share=share, stage="second stage: "))

    return show_first, show_second


def add_refiner(
    model: Model, first: Peaks, lesson: Lesson, *, folder: Path, on_progress: OnProgress
) -> tuple[Model, Peaks]:
    """Train a second stage; what was begun in the folder goes on.

    Parameters
    ----------
    model : Model
        First stage, with its links and variance.
    first : Peaks
        What it found in all images of the lesson, covariance as the variance makes it.
    lesson : Lesson
        What to train on.
    folder : Path
        Of the run; the second stage has a folder in it while it is trained.
    on_progress : function of Progress
        Called after every step.

    Returns
    -------
    model : Model
        With its second stage, or as it came where that is no better on validation frames.
    peaks : Peaks
        What the model found in all images, covariance to be calibrated where there is a second
        stage.
    """
    network, shape, architecture = _build(model, lesson)
    trainer = _make_trainer(model, first, lesson, network=network, shape=shape, folder=folder)
    variance = np.ones(network.keypoints)
    blank = Refiner(network, architecture, shape.factor, shape.side, variance, weighed=True)

    def find(refiner: Refiner, rows: Ints) -> Peaks:
        second = PoseRefiner(
            replace(model, refiner=refiner),
            individuals=model.individuals,
            device=lesson.device,
            threshold=THRESHOLD,
        )
        parts = [second.refine([lesson.images[i]], first.take(np.array([i]))) for i in rows]
        return join_peaks(parts)

    def validate(network: PoseNetwork) -> tuple[float, float]:
        looks = (lesson.split.train[:_VALIDATED], lesson.split.validation[:_VALIDATED])
        trained = replace(blank, network=network)
        train, held = (
            find_candidate_errors(_Found(find(trained, rows)), lesson.images, lesson.labels, rows)
            if len(rows)
            else float("nan")
            for rows in looks
        )
        return train, held

    if (trainer.folder / STATE).exists():
        trainer.load()
    else:
        trainer.save()
    network = trainer.run(validate, on_progress)
    refiner = replace(blank, network=network)
    held = lesson.split.validation
    if len(held):
        refiner = replace(refiner, threshold=_learn_threshold(model, find(refiner, held), lesson))
    refined = find(refiner, np.arange(len(lesson.images)))
    log = trainer.folder / "training.csv"
    if log.is_file():
        log.replace(folder / "training-second.csv")
    whole = replace(model, refiner=replace(refiner, network=network.cpu()))
    if lesson.settings.refine.when == "better" and not _is_better(model, first, refined, lesson):
        return model, first
    return whole, refined


class _Found(Predictor):
    """Candidates that were found before, in the place of a predictor."""

    def __init__(self, peaks: Peaks) -> None:
        self.peaks = peaks

    def find_images(self, images: object) -> Peaks:
        """Give them, whatever is looked at."""
        return self.peaks


def _build(model: Model, lesson: Lesson) -> tuple[PoseNetwork, CropShape, dict[str, Any]]:
    """Build the network with the weights of the seed, and say what it is shown."""
    refine = lesson.settings.refine
    points = blank_landmarks(lesson.labels.points, model.skeleton)
    poses = points[lesson.split.train].reshape(-1, *points.shape[2:])
    factor, side = find_crop_size(poses, factor=refine.factor, side=refine.side)
    shape = CropShape(side, factor, model.channels)
    keypoints = len(model.skeleton.keypoints)
    architecture: dict[str, Any] = {
        "channels": model.channels + keypoints,
        "keypoints": keypoints,
        "edges": 0,
        "widths": list(refine.widths),
        "depths": list(refine.depths),
        "stride": refine.stride,
    }
    torch.manual_seed(lesson.settings.train.seed + 1)
    return build_network(**architecture).to(lesson.device), shape, architecture


def _make_trainer(
    model: Model,
    first: Peaks,
    lesson: Lesson,
    *,
    network: PoseNetwork,
    shape: CropShape,
    folder: Path,
) -> Trainer:
    labels, rows, refine = lesson.labels, lesson.split.train, lesson.settings.refine
    points = blank_landmarks(labels.points[rows], model.skeleton)
    own = _find_own(model, first.take(rows), points)
    crops = make_crop_set(
        (lesson.images[i] for i in rows),
        points,
        lesson.known[rows],
        found=own[..., :2],
        score=np.nan_to_num(own[..., 2]),
        flip_order=labels.skeleton.flip_order,
        shape=shape,
    )
    if lesson.turns is not None:
        there = np.isfinite(points).all(-1).any(-1)
        crops = replace(crops, turns=np.repeat(lesson.turns, there.sum(1)))
    steps = refine.steps or choose_steps(
        len(crops.patches),
        channels=3 * network.keypoints,
        view=shape.side,
        batch=refine.batch,
        stride=network.stride,
    )
    chosen = {
        "steps": steps
        if refine.steps
        else max(20, round(_SHARE * lesson.settings.train.effort * steps)),
        "batch": refine.batch,
        "rate": refine.rate,
    }
    return Trainer(
        network,
        crops,
        folder=make_folder(folder / SECOND),
        edges=np.empty((0, 2), np.int64),
        settings=lesson.settings.train.model_copy(update=chosen),
        augmentation=lesson.augmentation,
        view=shape.side,
    )


def _assemble(model: Model, peaks: Peaks) -> Poses:
    return assemble(
        peaks,
        model.body,
        individuals=model.individuals,
        reach=model.reach,
        anatomy=model.anatomy,
    )


def _find_own(model: Model, peaks: Peaks, points: Singles) -> Singles:
    """Find of each labelled animal, (F, I, K, 2), what was found of it, (F, I, K, 3)."""
    found = _assemble(model, peaks)
    length = float(np.nanmedian(find_lengths(points)))
    partner = match_individuals(points, found.points, reach=length)
    own = found.array[np.arange(len(points))[:, None], partner]
    own[partner < 0] = np.nan
    return own


def _learn_threshold(model: Model, refined: Peaks, lesson: Lesson) -> float:
    """Learn from validation frames below which score a keypoint is more likely wrong than right.

    Wrong is one that lies off its place, or, where the animal's own is hidden, on another's.
    """
    from sklearn.linear_model import LogisticRegression

    rows = lesson.split.validation
    points = blank_landmarks(lesson.labels.points[rows], model.skeleton)
    own = _find_own(model, refined, points)
    reach = _OFF * find_lengths(points)[:, :, None]
    others = np.linalg.norm(own[:, :, None, :, :2] - points[:, None], axis=-1)  # (F, I, I, K)
    near = others <= reach[..., None]
    mine = np.diagonal(near, axis1=1, axis2=2).transpose(0, 2, 1)
    judged = np.isfinite(own[..., 0]) & (np.isfinite(points[..., 0]) | near.any(2))
    score, right = own[judged][:, 2:], mine[judged]
    if min(right.sum(), (~right).sum()) < _FEW:
        return THRESHOLD
    fit = LogisticRegression(C=100).fit(score, right)
    slope, offset = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:  # scores that do not tell right from wrong
        return THRESHOLD
    return float(np.clip(-offset / slope, THRESHOLD, _HIGHEST))


def _is_better(model: Model, first: Peaks, refined: Peaks, lesson: Lesson) -> bool:
    """Tell whether poses of validation frames are better with the second stage, and say if not."""
    rows = lesson.split.validation
    if not len(rows):
        return True
    marks = []
    for peaks in (first.take(rows), refined.take(rows)):
        poses = _assemble(model, peaks)
        score = oks_map(lesson.labels.points[rows], poses.points, scores=poses.confidence.mean(-1))
        error = find_candidate_errors(_Found(peaks), lesson.images, lesson.labels, rows)
        marks.append((round(score.map, 2), -error))
    before, after = marks
    if after < before:
        logger.warning(
            "the second stage is left out: OKS mAP %.2f and error %.2f px on validation frames, "
            "%.2f and %.2f px without it; --set refine.when=always keeps it",
            *(after[0], -after[1], before[0], -before[1]),
        )
    return after >= before
