"""Results against the truth: errors, similarity, tracks, names; several tools side by side."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import ShapeError
from mapose.landmarks import drop_landmarks
from mapose.metrics import (
    NameScores,
    OksMap,
    PoseError,
    TrackScores,
    align_poses,
    name_scores,
    oks_map,
    pose_error,
    track_scores,
)
from mapose.parts import Parts
from mapose.poses import Poses, join_poses
from mapose.results.result import Result
from mapose.results.windows import open_parts

log = logging.getLogger(__name__)


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
    names : NameScores
        Time under the own name, calibration of the probabilities.
    """

    frames: int
    left_out: int
    error: PoseError
    similarity: OksMap
    tracks: TrackScores
    names: NameScores

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for JSON."""
        return {
            "frames": self.frames,
            "left_out": self.left_out,
            **self.error.to_dict(),
            **self.similarity.to_dict(),
            **self.tracks.to_dict(),
            **self.names.to_dict(),
        }

    def __str__(self) -> str:
        note = f" ({self.left_out} that were trained on are left out)" if self.left_out else ""
        head = f"{self.frames} frames compared{note}"
        if self.similarity.ap50 == 0:
            head += (
                "\nno animal lies where the truth has one: a video that was cut counts from 0, "
                "mapose metrics --shift FRAME says at which frame it begins"
            )
        parts = (head, self.error, self.similarity, f"{self.tracks}\n{self.names}")
        return "\n\n".join(str(part) for part in parts)


@dataclass(frozen=True)
class SideBySide:
    """Several results against the same truth, as `compare_many` finds them.

    Parameters
    ----------
    results : dict of str to Comparison
        By file.
    """

    results: dict[str, Comparison]

    def to_dict(self) -> dict[str, Any]:
        """Make plain numbers, ready for JSON, by file."""
        return {name: result.to_dict() for name, result in self.results.items()}

    def __str__(self) -> str:
        width = max(len(name) for name in self.results)
        heads = ["IDF1", "MOTA", "HOTA", "switches", "per hour", "named", "calib.", "px", "frames"]
        lines = [" " * width + "".join(f"{head:>10}" for head in heads)]
        for name, result in self.results.items():
            tracks, names = result.tracks, result.names
            numbers = [
                *(f"{value:.4f}" for value in (tracks.idf1, tracks.mota, tracks.hota)),
                str(tracks.switches),
                _show(tracks.switches_per_hour, 1),
                f"{names.named:.4f}",
                _show(names.calibration_error, 3),
                f"{result.error.mean:.2f}",
                str(result.frames),
            ]
            lines.append(f"{name:{width}}" + "".join(f"{number:>10}" for number in numbers))
        lines += [
            "per hour: switches per hour of an animal in view",
            "named: of the time an animal is found, the share under its own name",
            "calib.: mean error of the stated probability; px: mean distance of keypoints",
        ]
        for name, result in self.results.items():
            if result.names.tenths:
                lines += ["", name, str(result.names)]
        return "\n".join(lines)


def _show(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def _tell_unshared(truth: Poses, found: Poses, file: str) -> None:
    """Say which keypoints do not count because one of two files lacks them."""
    true, own = (drop_landmarks(poses).skeleton.keypoints for poses in (truth, found))
    missing = [name for name in true if name not in own]
    further = [name for name in own if name not in true]
    if missing or further:
        parts = [("the truth", missing), (Path(file).name, further)]
        log.warning(
            "keypoints that only one has do not count: %s",
            "; ".join(f"{', '.join(names)} of {whose}" for whose, names in parts if names),
        )


def compare_poses(
    truth: Poses,
    found: Poses,
    *,
    leave_out: Iterable[int] = (),
    rate: float | None = None,
) -> Comparison:
    """Compare tracked poses with the truth on the frames that both have.

    Parameters
    ----------
    truth : Poses
        True poses, px; individuals are animals.
    found : Poses
        The result, px; its names need not be those of the truth.
    leave_out : iterable of int
        Video frames that do not count, such as those that were trained on.
    rate : float, optional
        Frames per second, for switches per hour; by default that of the truth or the result.

    Raises
    ------
    ShapeError
        If no frame is left, or keypoints differ.
    """
    truth, found = align_poses(drop_landmarks(truth), drop_landmarks(found))
    drop = np.isin(truth.frames, list(leave_out))
    if drop.all():
        raise ShapeError(
            f"no frame to compare: all {len(drop)} common frames were trained on; "
            "count them too with --all-frames"
        )
    if drop.any():
        truth, found = truth.take(np.flatnonzero(~drop)), found.take(np.flatnonzero(~drop))
    truth = replace(truth, rate=rate or truth.rate or found.rate)
    return Comparison(
        len(truth),
        int(drop.sum()),
        pose_error(truth, found),
        oks_map(truth, found),
        track_scores(truth, found),
        name_scores(truth, found),
    )


def compare_files(
    truth: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    all_frames: bool = False,
    rate: float | None = None,
    shift: int = 0,
) -> Comparison:
    """Compare two files; frames that our own result's model was trained on do not count.

    Parameters
    ----------
    truth, file : path
        Any poses that mapose reads.
    all_frames : bool
        Count frames that were trained on as well.
    rate : float, optional
        As in `compare_poses`.
    shift : int
        Frame of the truth that is frame 0 of the file: where a recording was cut.
    """
    found = compare_many(truth, [file], all_frames=all_frames, rate=rate, shift=shift)
    return found.results[str(file)]


def compare_many(
    truth: str | os.PathLike[str],
    files: Sequence[str | os.PathLike[str]],
    *,
    all_frames: bool = False,
    rate: float | None = None,
    shift: int = 0,
) -> SideBySide:
    """Compare several files with the same truth, each on the frames that it has of it.

    Frames that the model of one of our own results was trained on count for none of them.

    Parameters
    ----------
    truth, files, all_frames, rate, shift
        As in `compare_files`.

    Raises
    ------
    ShapeError
        If one of them cannot be compared; the message begins with its name.
    """
    with Result(truth) as result:
        exact = _read_bare(result)
    trained: set[int] = set()
    poses = {}
    for file in files:
        with Result(file) as result:
            own = _read_bare(result)
            poses[str(file)] = replace(own, frames=own.frames + shift)
            known = () if all_frames else result.provenance.get("trained_frames", ())
            trained.update(frame + shift for frame in known)
    results = {}
    for file, found in poses.items():
        _tell_unshared(exact, found, file)
        try:
            results[file] = compare_poses(exact, found, leave_out=trained, rate=rate)
        except ShapeError as error:
            raise ShapeError(f"{file}: {error}") from None
    return SideBySide(results)


def _read_bare(result: Result) -> Poses:
    """Read all poses without their covariance, which is more than all the rest."""
    with open_parts(result) as source:
        parts = Parts(source.read_rows, source.frames)
        return join_poses([replace(part, covariance=None) for part in parts])
