"""What a project, a model, a result, a file of labels or a video holds, in a few lines."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.files import RESULT, cut_suffix
from mapose.io import Video, read_labels
from mapose.io.formats import check_there
from mapose.io.sources import VIDEO_SUFFIXES
from mapose.io.stills import is_recording
from mapose.labels import ORIGINS, STATES, Labels
from mapose.project.description import FILE
from mapose.project.project import Project
from mapose.project.proposals import load_proposals
from mapose.reading import explain_damage, load_yaml
from mapose.results.result import Result
from mapose.results.windows import make_parts, open_parts

_LAST, _MODEL = 1, "model.yaml"
#: Steps in which confidences are counted for their median.
_SCORES = 1000


@dataclass
class Overview:
    """What something is, and what it holds.

    Parameters
    ----------
    path : Path
    kind : str
        ``project``, ``model``, ``poses (FORMAT)``, ``labels`` or ``video``.
    facts : dict
        Plain values by name.
    """

    path: Path
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        width = max((len(name) for name in self.facts), default=0)
        lines = [f"{self.path}: {self.kind}"]
        for name, value in self.facts.items():
            told = value if isinstance(value, list) else [_tell(value)]
            for number, line in enumerate(map(_tell, told or ["none"])):
                lines.append(f"  {(name if number == 0 else ''):<{width}}  {line}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {"path": str(self.path), "kind": self.kind, **self.facts}


def describe(path: str | os.PathLike[str]) -> Overview:
    """Say what a project or model folder, a result, a file of labels or a video holds.

    Parameters
    ----------
    path : path
        A project, a model, a video, or whatever `mapose.read` or `mapose.io.read_labels` reads.

    Raises
    ------
    FormatError
        If there is nothing.
    SettingsError
        If it is nothing that mapose knows.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> folder = getfixture("tmp_path") / "mice"
    >>> _ = Project.create(folder, Skeleton(["snout", "tail"]), individuals=2)
    >>> describe(folder).facts["keypoints"]
    'snout, tail'
    """
    path = check_there(Path(path))
    if (path / FILE).is_file():
        return _describe_project(Project.load(path))
    if (path / _MODEL).is_file():
        return _describe_model_folder(path)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _describe_video(path)
    try:
        with Result(path) as result:
            return _describe_result(result)
    except FormatError as fault:
        try:
            return Overview(path, "labels", _describe_labels(read_labels(path)))
        except MaposeError:
            if is_recording(path):  # pictures, of which none is labelled
                return _describe_video(path)
            if _is_packed_project(path):
                raise SettingsError(
                    f"{path} is a packed project: unpack it, then mapose info its folder"
                ) from fault
            raise SettingsError(
                f"{path} is no project, no video, and no file of poses or labels that can be "
                f"read: {fault}"
            ) from fault


def _is_packed_project(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as packed:
        return any(Path(name).name == FILE for name in packed.namelist())


def _describe_project(project: Project) -> Overview:
    individuals = project.individuals
    count = individuals if isinstance(individuals, int) else ", ".join(individuals)
    state = project.read_state()
    frames = Counter(video for video, _ in state.frames)
    waiting = Counter(load_proposals(project).labels.videos)
    videos = []
    for name in dict.fromkeys((*project.videos, *state.list_videos(), *waiting)):
        place = project.videos.get(name)
        where = "no video file" if place is None else str(place)
        if place is not None and not (project.path / place).is_file():
            where += f" is gone: mapose relink {project.path} FOLDER"
        wait = f"{waiting[name]} waiting, " if waiting[name] else ""
        videos.append(f"{name}: {frames[name]} labelled frames, {wait}{where}")
    labels = state.to_labels(project.path / "labels") if state.frames and state.columns else None
    last = project.history(_LAST)
    return Overview(
        project.path,
        "project",
        {
            "keypoints": ", ".join(project.skeleton.keypoints),
            "edges": ", ".join(f"{a}-{b}" for a, b in project.skeleton.edges) or "none",
            "animals": count,
            "videos": videos,
            **({"sessions": _list_sessions(project)} if project.sessions else {}),
            **({} if labels is None else _count_marks(labels)),
            "models": [_describe_model(project.path / "models" / n) for n in project.list_models()],
            "results": [
                cut_suffix(file.name)
                for file in sorted((project.path / "results").glob(f"*{RESULT}"))
            ],
            "last change": str(last[-1]) if last else "none yet",
        },
    )


def _list_sessions(project: Project) -> list[str]:
    return [
        f"{name}: {', '.join(f'{camera} = {video}' for camera, video in cameras.items())}"
        for name, cameras in project.sessions.items()
    ]


def _read_model(folder: Path) -> dict[str, Any]:
    file = folder / _MODEL
    with explain_damage(file):
        found = load_yaml(file.read_text(encoding="utf-8"), file)
        if not isinstance(found, dict) or not isinstance(found.get("record", {}), dict):
            raise FormatError(f"{file}: wanted the description of a model")
    return found


def find_model_error(folder: Path) -> float | None:
    """Find a model's mean error on test frames, px, as of its training; None = not known."""
    try:
        return float(_read_model(folder)["record"]["metrics"]["test"]["mean"])
    except (MaposeError, LookupError, TypeError, ValueError):
        return None


def _describe_model(folder: Path) -> str:
    error = find_model_error(folder)
    if error is None:
        return f"{folder.name}: not tested on frames that it has not seen"
    return f"{folder.name}: mean error {error:.2f} px on test frames"


def _describe_model_folder(folder: Path) -> Overview:
    found = _read_model(folder)
    with explain_damage(folder / _MODEL):
        record = found.get("record") or {}
        split = found.get("split") or {}
        counts = [len(split.get(part, [])) for part in ("train", "test")]
        facts = {
            "keypoints": ", ".join(found["skeleton"]["keypoints"]),
            "animals": found["individuals"],
            "steps": record.get("steps"),
            "frames": f"{counts[0]} to train, {counts[1]} to test",
            "figures": _describe_model(folder).partition(": ")[2],
            "made by": f"mapose {record.get('mapose', 'not known')}",
        }
    return Overview(folder, "model", facts)


def _describe_video(path: Path) -> Overview:
    with Video(path) as video:
        facts = {
            "frames": len(video),
            "size": f"{video.size[0]} x {video.size[1]}",
            "rate": round(video.rate, 3) or None,
        }
        facts["seconds"] = round(len(video) / video.rate, 3) if video.rate else None
    return Overview(path, "video", facts)


def _describe_result(result: Result) -> Overview:
    made = result.provenance.get("made")
    with open_parts(result) as source:
        poses, ends, corrections = source.read_rows(slice(0, 1)), list[int](), len(source.edits)
        scores, total = np.zeros(_SCORES + 1, np.int64), 0
        for part in make_parts(source):
            seen = part.confidence[np.isfinite(part.points).all(-1)]
            scores += np.bincount(
                (_SCORES * np.clip(np.nan_to_num(seen), 0, 1)).round().astype(int),
                minlength=len(scores),
            )
            total += part.confidence.size
            ends += part.frames[[0, -1]].tolist() if len(part) else []
    seen_at_all = scores.sum()
    median = np.searchsorted(np.cumsum(scores), (seen_at_all + 1) // 2) / _SCORES
    facts: dict[str, Any] = {
        "frames": f"{len(result)}, {ends[0]} to {ends[-1]}" if ends else 0,
        "animals": ", ".join(poses.names),
        "keypoints": ", ".join(poses.skeleton.keypoints),
        "rate": None if result.rate is None else round(result.rate, 3),
        "unit": f"{poses.unit}, {poses.dimensions}D",
        "seen": f"{seen_at_all / max(total, 1):.1%} of all keypoints, median "
        f"confidence {median if seen_at_all else float('nan'):.2f}",
        "corrections": corrections,
    }
    if made:
        facts["made by"] = str(made)
    return Overview(result.path, f"poses ({result.format})", facts)


def _describe_labels(labels: Labels) -> dict[str, Any]:
    return {
        "keypoints": ", ".join(labels.skeleton.keypoints),
        "edges": ", ".join(f"{a}-{b}" for a, b in labels.skeleton.edges) or "none",
        "animals": ", ".join(labels.individuals) if labels.identified else len(labels.individuals),
        "videos": [f"{v}: {n} labelled frames" for v, n in Counter(labels.videos).items()],
        **_count_marks(labels),
    }


def _count_marks(labels: Labels) -> dict[str, Any]:
    """Count marks by state and by origin."""
    states = np.bincount(labels.find_states().ravel(), minlength=len(STATES))
    origins = np.bincount(labels.find_origins()[labels.find_states() > 0], minlength=len(ORIGINS))
    named = [f"{n} {name or 'not known'}" for n, name in zip(origins, ORIGINS, strict=True) if n]
    return {
        "marks": ", ".join(f"{n} {name}" for n, name in zip(states, STATES, strict=True) if n),
        "origins": ", ".join(named) or "none",
    }


def _tell(value: Any) -> str:
    return "not known" if value is None else str(value)
