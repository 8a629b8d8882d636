"""How good a model is on labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mapose.analysis.prediction import Predictor
from mapose.arrays import AnyFloats, Bools, Image, Ints
from mapose.assignment import assign
from mapose.decode import assemble
from mapose.files import make_folder, write_atomically
from mapose.io import read_image, write_image
from mapose.labels import Labels
from mapose.metrics import OksMap, PoseError, match_individuals, oks_map, pose_error
from mapose.models import Model
from mapose.plots import draw_evaluation, plot_errors, save_figure
from mapose.poses import Peaks, Poses
from mapose.similarity import find_distances, find_lengths

#: The p-cutoff that DeepLabCut users report with.
CUTOFF = 0.6


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on the frames it was trained on and on others.

    Parameters
    ----------
    train, test : PoseError or None
        Distances to the labels, px; None without such frames.
    train_map, test_map : OksMap or None
        OKS mAP.
    found : Poses
        The predictions, one row per labelled frame.
    test_frames : bool, (F,)
        Which of them were not trained on.
    """

    train: PoseError | None
    test: PoseError | None
    train_map: OksMap | None
    test_map: OksMap | None
    found: Poses
    test_frames: Bools

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for YAML or JSON."""
        parts: dict[str, Any] = {}
        for name in ("train", "test"):
            error, score = getattr(self, name), getattr(self, f"{name}_map")
            if error is not None:
                parts[name] = {**error.to_dict(), **score.to_dict()}
        return parts

    def __str__(self) -> str:
        lines = []
        for name in ("train", "test"):
            error, score = getattr(self, name), getattr(self, f"{name}_map")
            if error is not None:
                lines += [f"-- {name} frames --", str(error), str(score)]
        return "\n".join(lines)


def evaluate(
    model: Model,
    labels: Labels,
    *,
    images: Sequence[Image] | None = None,
    device: str | None = None,
    cutoff: float = CUTOFF,
) -> Evaluation:
    """Compare a model's predictions with labels.

    Parameters
    ----------
    model : Model
        Its split says which of the labelled frames it was trained on; all others are test
        frames.
    labels : Labels
        Labelled frames with image files.
    images : sequence of uint8 (H, W, 3), optional
        The images, if they are at hand already.
    device : str, optional
        Where to compute.
    cutoff : float
        Confidence below which a keypoint does not count in the figures with p-cutoff.

    Returns
    -------
    Evaluation

    Raises
    ------
    ShapeError
        If the model is for other keypoints.
    """
    shown = images if images is not None else [read_image(p) for p in labels.images if p]
    peaks = Predictor(model, device=device).find_images(shown)
    return evaluate_peaks(model, labels, peaks, cutoff=cutoff)


def evaluate_peaks(
    model: Model, labels: Labels, peaks: Peaks, *, cutoff: float = CUTOFF
) -> Evaluation:
    """Compare with labels what a model has found in their images.

    Parameters
    ----------
    model, labels, cutoff
        As for `evaluate`.
    peaks : Peaks
        Of the model, one frame for each of the labels.

    Returns
    -------
    Evaluation
    """
    found = assemble(
        peaks,
        model.body,
        individuals=model.individuals,
        reach=model.reach,
        anatomy=model.anatomy,
    )
    trained = np.isin(labels.row_names, model.split.get("train", []))
    parts: dict[str, Any] = {}
    for name, rows in (("train", trained), ("test", ~trained)):
        parts[name] = parts[f"{name}_map"] = None
        if rows.any():
            truth, answer = labels.points[rows], found.sel(frames=np.flatnonzero(rows))
            parts[name] = pose_error(
                truth,
                answer.points,
                confidence=answer.confidence,
                cutoff=cutoff,
                keypoints=labels.skeleton.keypoints,
            )
            parts[f"{name}_map"] = oks_map(truth, answer.points, scores=answer.confidence.mean(-1))
    return Evaluation(**parts, found=found, test_frames=~trained)


def find_candidate_errors(
    predictor: Predictor,
    images: Sequence[Image],
    labels: Labels,
    rows: Ints,
) -> float:
    """Find the mean distance from labelled keypoints to the strongest candidates.

    As many candidates count as there are labels of the keypoint in the frame: with all of them, a
    half-trained network that finds a leg on both sides would seem better than one that decides.
    Does not depend on the assembly.

    Parameters
    ----------
    predictor : Predictor
        The network.
    images : sequence of uint8 (H, W, 3)
        Of all labelled frames.
    labels : Labels
        All labelled frames.
    rows : int64
        Frames to look at.

    Returns
    -------
    float
        Image pixels; one that has no candidate, or only one further away, counts as the size of
        a typical animal. NaN without rows.
    """
    if not len(rows):
        return float("nan")
    peaks = predictor.find_images(images[i] for i in rows)
    truth = labels.points[rows]
    missed = float(np.nanmedian(find_lengths(labels.points)))
    misses = []
    for f in range(len(rows)):
        for k in range(truth.shape[2]):
            wanted = truth[f, :, k]
            wanted = wanted[np.isfinite(wanted).all(-1)]
            mine = np.flatnonzero((peaks.frame == f) & (peaks.keypoint == k))
            there = peaks.xy[mine[np.argsort(-peaks.score[mine], kind="stable")[: len(wanted)]]]
            distance = find_distances(wanted[:, None], there[:, None])[..., 0]
            i, j = assign(distance)
            misses += np.minimum(distance[i, j], missed).tolist()
            misses += [missed] * (len(wanted) - len(i))
    return float(np.mean(misses))


def write_evaluation(found: Evaluation, labels: Labels, folder: Path, *, most: int = 20) -> Path:
    """Write an evaluation: a table of all distances, figures, and labelled frames.

    Parameters
    ----------
    found : Evaluation
        Result of `evaluate`.
    labels : Labels
        The same labels.
    folder : Path
        Receives ``errors.csv``, ``errors.png`` and ``frames/``; made if it is not there.
    most : int
        Frames drawn, spread evenly.

    Returns
    -------
    Path
        The folder.
    """
    make_folder(folder / "frames")
    partner = match_individuals(labels.points, found.found.points)
    row = np.arange(len(labels))[:, None]
    points = np.where(partner[..., None, None] < 0, np.nan, found.found.points[row, partner])
    confidence = np.where(partner[..., None] < 0, 0, found.found.confidence[row, partner])
    table = _make_table(labels, points, confidence, found.test_frames)
    with write_atomically(folder / "errors.csv") as partial:
        table.to_csv(partial, index=False)
    names = labels.skeleton.keypoints
    figure = plot_errors(labels.points, points, keypoints=names, test=found.test_frames)
    save_figure(figure, folder / "errors.png")
    for i in np.unique(np.linspace(0, len(labels) - 1, most).astype(int)):
        image = labels.images[i]
        if image is None:
            continue
        drawn = draw_evaluation(
            read_image(image),
            labels.points[i],
            points[i],
            confidence[i],
            labels.skeleton,
            crop=True,  # a few pixels are not to be seen on the whole frame
        )
        kind = "test" if found.test_frames[i] else "train"
        write_image(drawn, folder / "frames" / f"{kind}-{labels.videos[i]}-{image.stem}.png")
    return folder


def _make_table(
    labels: Labels,
    points: AnyFloats,
    confidence: AnyFloats,
    test: Bools,
) -> pd.DataFrame:
    """Lay out one row per labelled keypoint with its distance, px."""
    frame, who, what = np.nonzero(np.isfinite(labels.points).all(-1))
    gap = points[frame, who, what] - labels.points[frame, who, what]
    return pd.DataFrame(
        {
            "frame": np.array(labels.row_names)[frame],
            "test": test[frame],
            "individual": np.array(labels.individuals)[who],
            "keypoint": np.array(labels.skeleton.keypoints)[what],
            "error_px": np.linalg.norm(gap, axis=-1).round(3),
            "confidence": confidence[frame, who, what].round(4),
        }
    )
