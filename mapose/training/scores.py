"""All that is measured on one set of labelled frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import Bools, Floats
from mapose.labels import Labels
from mapose.landmarks import drop_landmarks, pick_landmarks
from mapose.metrics import (
    OksMap,
    PoseError,
    Presence,
    SideErrors,
    Trust,
    find_presence,
    find_side_errors,
    find_trust,
    oks_map,
    pick_matched,
    pose_error,
)
from mapose.poses import Poses
from mapose.skeleton import LANDMARKS

#: The p-cutoff that DeepLabCut users report with.
CUTOFF = 0.6
#: Distances of a PCK curve, px.
DISTANCES = tuple(range(1, 31))


@dataclass(frozen=True)
class FrameScores:
    """What is measured on a set of labelled frames.

    Parameters
    ----------
    frames : int
        How many.
    error : PoseError
        Distances to the labels, px.
    score : OksMap
        OKS mAP.
    sides : SideErrors
        Left taken for right.
    presence : Presence
        Visible keypoints shown, absent ones said to be absent.
    trust : Trust
        95 % ellipses that hold their label, confidence held against what came true.
    pck : dict of float to float
        Share of the labelled keypoints within so many px, a curve.
    landmarks : PoseError, optional
        Distances of the keypoints that belong to no animal, which count in nothing else, px.
    """

    frames: int
    error: PoseError
    score: OksMap
    sides: SideErrors
    presence: Presence
    trust: Trust
    pck: dict[float, float]
    landmarks: PoseError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for YAML or JSON."""
        return {
            "frames": self.frames,
            **self.error.to_dict(),
            **self.score.to_dict(),
            "sides": self.sides.to_dict(),
            "presence": self.presence.to_dict(),
            "trust": self.trust.to_dict(),
            "pck_curve": {
                f"{distance:g}": None if share != share else round(share, 4)
                for distance, share in self.pck.items()
            },
            **({"landmarks": self.landmarks.to_dict()} if self.landmarks else {}),
        }

    def __str__(self) -> str:
        lines = [str(self.error), str(self.score)]
        lines += [str(self.sides)] if self.sides.pairs else []
        lines += [str(self.presence), str(self.trust)]
        if self.landmarks:
            lines.append(f"landmarks, which belong to no animal:\n{self.landmarks}")
        return "\n".join(lines)


def score_frames(
    labels: Labels,
    found: Poses,
    *,
    known: Bools,
    cutoff: float = CUTOFF,
    tolerance: float = float("nan"),
) -> FrameScores:
    """Compare found poses with labels.

    Parameters
    ----------
    labels : Labels
        F labelled frames.
    found : Poses
        Of the same frames, row by row.
    known : bool, (F, K)
        Which keypoints were looked for, see `mapose.training.known.find_known`.
    cutoff : float
        Confidence from which a keypoint is shown.
    tolerance : float
        Distance in px that the confidence is about, `Confidence.tolerance`; NaN = unknown.

    Returns
    -------
    FrameScores
    """
    landmarks = _score_landmarks(labels, found, cutoff)
    known = np.delete(known, labels.skeleton.landmark_index, axis=1)
    labels, found = labels.take_animals(), drop_landmarks(found)
    truth, names = labels.points, labels.skeleton.keypoints
    points, confidence = pick_matched(truth, found.points, found.confidence)
    error = pose_error(
        truth, found.points, confidence=found.confidence, cutoff=cutoff, keypoints=names
    )
    return FrameScores(
        frames=len(labels),
        error=error,
        score=oks_map(truth, found.points, scores=found.confidence.mean(-1)),
        sides=find_side_errors(truth, points, labels.skeleton),
        presence=find_presence(
            truth,
            confidence,
            known=known,
            found=found.confidence,
            keypoints=names,
            cutoff=cutoff,
        ),
        trust=find_trust(
            truth, found.points, found.confidence, found.covariance, tolerance=tolerance
        ),
        pck=find_pck(np.linalg.norm(points - truth, axis=-1), error.labelled),
        landmarks=landmarks,
    )


def _score_landmarks(labels: Labels, found: Poses, cutoff: float) -> PoseError | None:
    """Measure the keypoints that belong to no animal, if there are any."""
    marks = pick_landmarks(found)
    mine = [i for i, name in enumerate(labels.individuals) if name == LANDMARKS]
    if marks is None or not mine:
        return None
    channels = labels.skeleton.landmark_index
    return pose_error(
        labels.points[:, mine][:, :, channels],
        marks.points[:, :, channels],
        confidence=marks.confidence[:, :, channels],
        cutoff=cutoff,
        keypoints=labels.skeleton.landmarks,
    )


def find_pck(distances: Floats, labelled: int) -> dict[float, float]:
    """Find the share of labelled keypoints within each of `DISTANCES`, NaN = not found."""
    found = np.sort(distances[np.isfinite(distances)])
    counts = np.searchsorted(found, DISTANCES, side="right")
    return {
        float(distance): count / labelled if labelled else float("nan")
        for distance, count in zip(DISTANCES, counts.tolist(), strict=True)
    }
