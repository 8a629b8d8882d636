"""How good a model is on labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor
from mapose.arrays import Bools, Image, Ints
from mapose.assignment import assign
from mapose.io import read_image
from mapose.labels import Labels
from mapose.metrics import OksMap, PoseError
from mapose.models import Model
from mapose.poses import Peaks, Poses
from mapose.similarity import find_distances, find_lengths
from mapose.training.known import find_known
from mapose.training.scores import CUTOFF, FrameScores, score_frames

#: Parts of the labels: trained on, chosen by (early stop, confidence), and neither.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Evaluation:
    """Errors of a model on the frames it was trained on, chosen by, and on others.

    Parameters
    ----------
    parts : dict of str to FrameScores
        ``train``, ``validation`` and ``test``, as far as there are such frames.
    found : Poses
        The predictions, one row per labelled frame.
    part_of : str, (F,)
        Which part each frame belongs to.
    known : bool, (F, K)
        Which keypoints were looked for in each frame.
    cutoff : float
        Confidence from which a keypoint is shown.
    """

    parts: dict[str, FrameScores]
    found: Poses
    part_of: npt.NDArray[np.str_]
    known: Bools
    cutoff: float = CUTOFF

    @property
    def train(self) -> PoseError | None:
        """Distances on the frames trained on, px; None without such frames."""
        return self.parts["train"].error if "train" in self.parts else None

    @property
    def test(self) -> PoseError | None:
        """Distances on the test frames, px; None without such frames."""
        return self.parts["test"].error if "test" in self.parts else None

    @property
    def test_map(self) -> OksMap | None:
        """OKS mAP on the test frames."""
        return self.parts["test"].score if "test" in self.parts else None

    @property
    def test_frames(self) -> Bools:
        """Which frames were neither trained on nor chosen by, bool (F,)."""
        return np.asarray(self.part_of == "test")

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for YAML or JSON."""
        return {name: part.to_dict() for name, part in self.parts.items()}

    def __str__(self) -> str:
        return "\n".join(f"-- {name} frames --\n{part}" for name, part in self.parts.items())


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
        Its split says which of the labelled frames it was trained on, and which the training
        was judged by; all others are test frames.
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
    found = assemble_poses(peaks, model)
    settings = model.record.get("settings", {}).get("train", {})
    known = find_known(labels, settings.get("missing", "absent"))
    part_of = find_parts(model, labels)
    parts = {}
    for name in PARTS:
        rows = np.flatnonzero(part_of == name)
        if len(rows):
            parts[name] = score_frames(
                labels.take(rows),
                found.sel(frames=rows),
                known=known[rows],
                cutoff=cutoff,
                tolerance=model.confidence.tolerance if model.confidence else float("nan"),
            )
    return Evaluation(parts, found, part_of, known, cutoff)


def find_parts(model: Model, labels: Labels) -> npt.NDArray[np.str_]:
    """Tell of each labelled frame what it was to a model: train, validation or test; str (F,)."""
    part_of = np.full(len(labels), "test", dtype="<U10")
    for name in PARTS[:2]:
        part_of[np.isin(labels.row_names, model.split.get(name, []))] = name
    return part_of


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
