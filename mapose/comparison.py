"""A result against the truth: errors, similarity, tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import ShapeError
from mapose.io import load_provenance, read
from mapose.metrics import (
    OksMap,
    PoseError,
    TrackScores,
    align_poses,
    oks_map,
    pose_error,
    track_scores,
)
from mapose.pipeline import SUFFIX
from mapose.poses import Poses


@dataclass(frozen=True)
class Comparison:
    """How near a result comes to the truth.

    Parameters
    ----------
    frames : int
        Frames compared.
    left_out : int
        Frames that were not, because the model was trained on them.
    error : PoseError
        Distances, px.
    similarity : OksMap
        OKS mAP.
    tracks : TrackScores
        MOTA, IDF1, HOTA, switches.
    """

    frames: int
    left_out: int
    error: PoseError
    similarity: OksMap
    tracks: TrackScores

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for JSON."""
        return {
            "frames": self.frames,
            "left_out": self.left_out,
            **self.error.to_dict(),
            **self.similarity.to_dict(),
            **self.tracks.to_dict(),
        }

    def __str__(self) -> str:
        note = f" ({self.left_out} that were trained on are left out)" if self.left_out else ""
        head = f"{self.frames} frames compared{note}"
        return "\n\n".join([head, str(self.error), str(self.similarity), str(self.tracks)])


def compare_poses(truth: Poses, found: Poses, *, leave_out: Iterable[int] = ()) -> Comparison:
    """Compare tracked poses with the truth on the frames that both have.

    Parameters
    ----------
    truth : Poses
        True poses, px; individuals are animals.
    found : Poses
        The result, px; its names need not be those of the truth.
    leave_out : iterable of int
        Video frames that do not count, such as those that were trained on.

    Raises
    ------
    ShapeError
        If no frame is left, or keypoints differ.
    """
    truth, found = align_poses(truth, found)
    drop = np.isin(truth.frames, list(leave_out))
    if drop.all():
        raise ShapeError(
            f"no frame to compare: all {len(drop)} common frames were trained on; "
            "count them too with --all-frames"
        )
    keep = truth.frames[~drop]
    truth, found = truth.sel(frames=keep), found.sel(frames=keep)
    return Comparison(
        len(keep),
        int(drop.sum()),
        pose_error(truth, found),
        oks_map(truth, found),
        track_scores(truth, found),
    )


def compare_files(
    truth: str | os.PathLike[str], file: str | os.PathLike[str], *, all_frames: bool = False
) -> Comparison:
    """Compare two files; frames that our own result's model was trained on do not count.

    Parameters
    ----------
    truth, file : path
        Any poses that mapose reads.
    all_frames : bool
        Count frames that were trained on as well.
    """
    trained: list[int] = []
    if not all_frames and Path(file).name.endswith(SUFFIX):
        trained = load_provenance(file).get("trained_frames", [])
    return compare_poses(read(Path(truth)), read(Path(file)), leave_out=trained)
