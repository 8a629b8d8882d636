"""What a network in training finds in a few labelled frames, as small pictures to watch it by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mapose.analysis.posing import assemble_poses
from mapose.analysis.prediction import Predictor
from mapose.arrays import Image, Ints
from mapose.files import make_folder
from mapose.io import write_image
from mapose.labels import Labels
from mapose.metrics import pick_matched
from mapose.plots import draw_evaluation

FOLDER = "progress"
#: Frames in a picture, its height in px, and pictures kept of a training, the newest.
_FRAMES, _HEIGHT, _MOST = 3, 240, 24


def save_examples(
    folder: Path, step: int, predictor: Predictor, images: Sequence[Image], labels: Labels,
    rows: Ints,
) -> None:  # fmt: skip
    """Draw labels and predictions of a few frames into ``progress/step-000500.png``.

    Parameters
    ----------
    folder : Path
        Of the model.
    step : int
        Of the training.
    predictor : Predictor
        The network as it is.
    images : sequence of uint8 (H, W, 3)
        Of all labelled frames.
    labels : Labels
        All labelled frames.
    rows : int64
        Frames to choose from; the first ones are taken, the same each time.
    """
    rows = rows[:_FRAMES]
    if not len(rows):
        return
    shown = [images[i] for i in rows]
    found = assemble_poses(predictor.find_images(shown), predictor.model)
    truth = labels.points[rows]
    points, confidence = pick_matched(truth, found.points, found.confidence)
    drawn = [
        draw_evaluation(image, truth[i], points[i], confidence[i], labels.skeleton, crop=True)
        for i, image in enumerate(shown)
    ]
    place = make_folder(folder / FOLDER)
    write_image(np.concatenate([_shrink(one) for one in drawn], 1), place / f"step-{step:06}.png")
    for old in sorted(place.glob("step-*.png"))[:-_MOST]:
        old.unlink(missing_ok=True)


def _shrink(image: Image) -> Image:
    width = max(1, round(image.shape[1] * _HEIGHT / image.shape[0]))
    small = cv2.resize(image, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)
