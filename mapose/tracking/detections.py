"""Measure detections before they are tracked: all frames of a run at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Floats, Ints
from mapose.errors import ShapeError
from mapose.similarity import find_areas, find_oks

#: Two detections more alike than this are the same animal seen twice: at a spread of a tenth of
#: the body they are 5 % of it apart.
_SAME = 0.97


@dataclass(frozen=True)
class Detections:
    """Poses of a run of frames, made ready at once."""

    points: Floats  # (F, I, K, d), missing = NaN
    weight: Floats  # (F, I, K), 0 = missing
    count: Floats  # (F, I) of the keypoints that are there
    trust: Floats  # (F, I), their mean weight
    size: Floats  # (F, I), NaN where not measurable
    there: Bools  # (F, I), False for empty slots and for duplicates


def check_points(points: Floats, confidence: npt.ArrayLike | None) -> None:
    """Refuse points that are not (F, I, K, 2 or 3), and confidences that do not fit them."""
    if points.ndim != 4 or points.shape[2] < 1 or points.shape[3] not in (2, 3):
        raise ShapeError(
            f"tracker: wanted points (frames, individuals, keypoints, 2 or 3), came {points.shape}"
        )
    if confidence is not None and np.shape(confidence) != points.shape[:3]:
        raise ShapeError(
            f"tracker: wanted confidence {points.shape[:3]} to fit the points, "
            f"came {np.shape(confidence)}"
        )


def number_frames(frames: npt.ArrayLike | None, last: int, count: int) -> Ints:
    """Find the numbers of so many frames after the last one, or check those that are given."""
    if frames is None:
        return last + 1 + np.arange(count)
    numbers = np.asarray(frames, np.int64)
    if numbers.shape != (count,) or (np.diff(numbers, prepend=last) <= 0).any():
        raise ShapeError(f"tracker: wanted {count} ascending frame numbers above {last}")
    return numbers


def measure_detections(points: Floats, confidence: npt.ArrayLike | None) -> Detections:
    """Measure a run of frames (F, I, K, d) once and for all."""
    seen = np.asarray(np.isfinite(points).all(-1))
    points = np.where(seen[..., None], points, np.nan)
    weight = seen.astype(np.float64)
    if confidence is not None:
        # A keypoint that is there never counts for nothing.
        weight *= np.clip(np.nan_to_num(np.asarray(confidence, np.float64)), 0.01, 1)
    areas = find_areas(points)
    there = np.asarray(seen.any(-1))
    there &= ~_find_duplicates(points, areas, weight.sum(-1))
    alone = points.shape[2] == 1
    size = np.asarray(_find_spacing(points[:, :, 0]) / 4 if alone else np.sqrt(areas))
    count = seen.sum(-1).astype(np.float64)
    trust = weight.sum(-1) / np.maximum(count, 1)
    return Detections(points, weight, count, trust, size, there)


def _find_duplicates(points: Floats, areas: Floats, score: Floats) -> Bools:
    """Mark detections (F, I) whose every keypoint lies on a better-scored detection's."""
    oks = find_oks(points, points, areas=areas)
    slot = np.arange(points.shape[1])
    worse = score[:, :, None] < score[:, None, :]
    tied = (score[:, :, None] == score[:, None, :]) & (slot[:, None] > slot)
    return np.asarray(((oks > _SAME) & (worse | tied)).any(-1))


def _find_spacing(centres: Floats) -> Floats:
    """Find the distance of each point (F, I, d) to its nearest neighbour in the frame."""
    gaps = centres[:, :, None] - centres[:, None]
    squared = np.einsum("fijd,fijd->fij", gaps, gaps)
    squared[:, np.arange(centres.shape[1]), np.arange(centres.shape[1])] = np.nan
    nearest = np.where(np.isfinite(squared), squared, np.inf).min(-1, initial=np.inf)
    return np.where(np.isfinite(nearest), np.sqrt(nearest), np.nan)
