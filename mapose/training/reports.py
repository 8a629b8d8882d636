"""An evaluation as tables, figures and pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mapose.arrays import Floats, Ints
from mapose.files import make_folder, write_atomically
from mapose.io import read_image, write_image
from mapose.labels import Labels
from mapose.metrics import pick_matched
from mapose.metrics.mistakes import find_rates
from mapose.plots import draw_evaluation, plot_errors, plot_scores, save_figure
from mapose.similarity import find_lengths
from mapose.training.evaluation import PARTS, Evaluation

#: Frames drawn by default: the worst of them.
MOST = 200
_OURS = re.compile(rf"({'|'.join(PARTS)})-.*\.png")
#: Confidences at which the shares of shown and of absent keypoints are drawn.
_CUTOFFS = np.linspace(0, 1, 101)


def write_evaluation(found: Evaluation, labels: Labels, folder: Path, *, most: int = MOST) -> Path:
    """Write an evaluation: tables, figures, and the test frames, the worst first.

    Parameters
    ----------
    found : Evaluation
        Result of `evaluate`.
    labels : Labels
        The same labels.
    folder : Path
        Receives ``evaluation.json`` (all figures), ``errors.csv`` (a row per labelled keypoint),
        ``frames.csv`` (a row per frame, the worst first), ``errors.png``, ``scores.png`` and
        ``frames/``; made if it is not there.
    most : int
        Frames drawn at most: the worst ones that were not trained on, or of all if all were.

    Returns
    -------
    Path
        The folder.
    """
    make_folder(folder / "frames")
    points, confidence = pick_matched(labels.points, found.found.points, found.found.confidence)
    distance = np.linalg.norm(points - labels.points, axis=-1)
    ranking = _rank_frames(labels, distance, found)
    with write_atomically(folder / "evaluation.json") as partial:
        partial.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
    for name, table in (
        ("errors", _make_table(labels, distance, confidence, found)),
        ("frames", ranking.drop(columns="row")),
    ):
        with write_atomically(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
    names = labels.skeleton.keypoints
    figure = plot_errors(labels.points, points, keypoints=names, test=found.part_of != "train")
    save_figure(figure, folder / "errors.png")
    save_figure(_plot_scores(found, labels, confidence), folder / "scores.png")
    _draw_frames(found, labels, folder / "frames", (points, confidence), ranking[:most])
    return folder


def _make_table(
    labels: Labels, distance: Floats, confidence: Floats, found: Evaluation
) -> pd.DataFrame:
    """Lay out one row per labelled keypoint with its distance, px."""
    frame, who, what = np.nonzero(np.isfinite(labels.points).all(-1))
    return pd.DataFrame(
        {
            "frame": np.array(labels.row_names)[frame],
            "part": found.part_of[frame],
            "test": found.test_frames[frame],
            "individual": np.array(labels.individuals)[who],
            "keypoint": np.array(labels.skeleton.keypoints)[what],
            "error_px": distance[frame, who, what].round(3),
            "confidence": confidence[frame, who, what].round(4),
        }
    )


def _rank_frames(labels: Labels, distance: Floats, found: Evaluation) -> pd.DataFrame:
    """Lay out one row per frame that was not trained on, the worst first.

    What was missed, or is further away than an animal is long, counts as that length.
    """
    rows = np.flatnonzero(found.part_of != "train")
    rows = rows if len(rows) else np.arange(len(labels))
    marked = np.isfinite(labels.points[rows]).all(-1)
    length = float(np.nanmedian(find_lengths(labels.points)))
    gap = distance[rows]
    counted = np.where(marked, np.minimum(np.where(np.isfinite(gap), gap, length), length), 0)
    badness = counted.sum((1, 2)) / np.maximum(marked.sum((1, 2)), 1)
    missed = (marked & ~np.isfinite(gap)).sum((1, 2))
    there = np.isfinite(gap).sum((1, 2))
    mean = np.where(there, np.nansum(gap, axis=(1, 2)) / np.maximum(there, 1), np.nan)
    order: Ints = np.lexsort((rows, -badness))
    return pd.DataFrame(
        {
            "row": rows[order],
            "frame": np.array(labels.row_names)[rows[order]],
            "part": found.part_of[rows[order]],
            "mean_error_px": mean[order].round(3),
            "missed": missed[order],
            "labelled": marked.sum((1, 2))[order],
        }
    )


def _plot_scores(found: Evaluation, labels: Labels, confidence: Floats) -> Figure:
    curves = {name: part.pck for name, part in found.parts.items()}
    held = found.part_of != "train"
    rows = held if held.any() else ~held
    shown, hidden = find_rates(
        labels.points[rows], confidence[rows], known=found.known[rows], cutoffs=_CUTOFFS
    )
    return plot_scores(curves, _CUTOFFS, shown=shown, hidden=hidden, cutoff=found.cutoff)


def _draw_frames(
    found: Evaluation,
    labels: Labels,
    folder: Path,
    answer: tuple[Floats, Floats],
    ranking: pd.DataFrame,
) -> None:
    """Draw frames in order of their rank; those of an earlier evaluation go."""
    for old in folder.glob("*.png"):
        if _OURS.fullmatch(old.name):
            old.unlink()
    points, confidence = answer
    for rank, i in enumerate(ranking["row"].tolist(), 1):
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
        name = f"{found.part_of[i]}-{rank:03d}-{labels.videos[i]}-{image.stem}.png"
        write_image(drawn, folder / name)
