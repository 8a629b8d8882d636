"""Results against the truth: errors, similarity, tracks, names; several tools side by side."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import ShapeError
from mapose.landmarks import drop_landmarks
from mapose.metrics import NameScores, OksMap, PoseError, TrackScores
from mapose.metrics.naming import NameMeter
from mapose.metrics.oks import OksMeter, average_confidence
from mapose.metrics.overlap import align_parts
from mapose.metrics.pose import ErrorMeter
from mapose.metrics.tracks import TrackMeter, check_tracks, find_similarity, find_usual_areas
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.results.windows import open_parts
from mapose.shelf import Shelf

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


def _tell_unshared(truth: Parts, found: Parts, file: str | os.PathLike[str]) -> None:
    """Say which keypoints do not count because one of two files lacks them."""
    true, own = (drop_landmarks(parts.head).skeleton.keypoints for parts in (truth, found))
    missing = [name for name in true if name not in own]
    further = [name for name in own if name not in true]
    if missing or further:
        parts = [("the truth", missing), (Path(file).name, further)]
        log.warning(
            "keypoints that only one has do not count: %s",
            "; ".join(f"{', '.join(names)} of {whose}" for whose, names in parts if names),
        )


def compare_poses(
    truth: Poses | Parts,
    found: Poses | Parts,
    *,
    leave_out: Iterable[int] = (),
    rate: float | None = None,
) -> Comparison:
    """Compare tracked poses with the truth on the frames that both have.

    Parameters
    ----------
    truth : Poses or Parts
        True poses, px; individuals are animals.
    found : Poses or Parts
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
    truth, found = (
        poses if isinstance(poses, Parts) else Parts(poses.take, poses.frames)
        for poses in (truth, found)
    )
    truth, found = align_parts(truth.map(drop_landmarks), found.map(drop_landmarks))
    drop = np.isin(truth.frames, list(leave_out))
    if drop.all():
        raise ShapeError(
            f"no frame to compare: all {len(drop)} common frames were trained on; "
            "count them too with --all-frames"
        )
    if drop.any():
        truth, found = (parts.take(np.flatnonzero(~drop)) for parts in (truth, found))
    return _measure(truth, found, left_out=int(drop.sum()), rate=rate or truth.rate or found.rate)


def _measure(truth: Parts, found: Parts, *, left_out: int, rate: float | None) -> Comparison:
    """Measure poses of the same frames and keypoints."""
    check_tracks(truth, found)
    frames, i, j = len(truth), len(truth.names), len(found.names)
    usual = find_usual_areas(lambda: (part.points for part in truth))
    # What has to wait until all is known lies in a file that has no name.
    with Shelf(Path(tempfile.gettempdir())) as shelf:
        errors = ErrorMeter(frames, i, truth.skeleton.keypoints, shelf=shelf)
        oks = OksMeter(frames, j, shelf=shelf)
        tracks = TrackMeter((frames, i, j), shelf=shelf)
        names = NameMeter(i, j)
        for own, other in zip(truth, found, strict=True):
            a, b = own.points, other.points
            errors.add(a, b, other.confidence)
            oks.add(a, b, average_confidence(other))
            similarity = find_similarity(a, b, usual=usual)
            tracks.add(similarity, a, b)
            names.add(similarity, other.identity)
        return Comparison(
            frames, left_out, errors.find(), oks.find(), tracks.find(rate=rate), names.find()
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
    results = {}
    with Result(truth) as exact, ExitStack() as stack:
        opened = [stack.enter_context(Result(file)) for file in files]
        known = [] if all_frames else [r.provenance.get("trained_frames", ()) for r in opened]
        trained = {frame + shift for frames in known for frame in frames}
        for file, result in zip(files, opened, strict=True):
            with _open_bare(exact) as right, _open_bare(result, shift) as found:
                _tell_unshared(right, found, file)
                try:
                    results[str(file)] = compare_poses(right, found, leave_out=trained, rate=rate)
                except ShapeError as error:
                    raise ShapeError(f"{file}: {error}") from None
    return SideBySide(results)


@contextmanager
def _open_bare(result: Result, shift: int = 0) -> Iterator[Parts]:
    """Open poses without their covariance, which is more than all the rest, of later frames."""
    with open_parts(result) as source:

        def read(rows: slice) -> Poses:
            poses = source.read_rows(rows)
            return replace(poses, covariance=None, frames=poses.frames + shift)

        yield Parts(read, source.frames + shift if shift else source.frames)
