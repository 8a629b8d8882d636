"""Many videos, or a training, handed to a cluster's queue; what is missing is handed in again.

``jobs/NAME/`` holds ``manifest.json`` (what is wanted), the lists of videos, the scripts and their
logs. What has become of each video is told by the files that are there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapose.cluster.analyses import AnalysisTask, find_hash, list_unfinished
from mapose.cluster.slurm import find_states, make_array, make_single, submit_script
from mapose.errors import FormatError, MaposeError, SettingsError
from mapose.files import make_folder, write_atomically
from mapose.io import load_provenance
from mapose.locks import is_locked, lock_output
from mapose.reading import load_json

#: Folder of a project (or any other) in which submissions lie, and what says what is wanted.
FOLDER, MANIFEST = "jobs", "manifest.json"
#: Tasks of an array at most: what SLURM takes unless it is told otherwise.
ARRAY = 1000


@dataclass(frozen=True)
class Item:
    """One thing that is wanted, as it stands.

    Parameters
    ----------
    name : str
        The video, or the model.
    output : str
        The file that is made.
    state : {"done", "running", "waiting", "missing"}
        Waiting is what the queue still has.
    frames : int
        That are kept of what is not done.
    why : str
        The last words of a task that left it missing.
    """

    name: str
    output: str
    state: str
    frames: int = 0
    why: str = ""


@dataclass(frozen=True)
class Submission:
    """What was handed in, as it stands.

    Parameters
    ----------
    folder : Path
        In which it lies.
    items : tuple of Item
        What is wanted.
    """

    folder: Path
    items: tuple[Item, ...]

    @property
    def missing(self) -> list[Item]:
        """What is neither done nor on its way."""
        return [item for item in self.items if item.state == "missing"]

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {"folder": str(self.folder), "items": [asdict(item) for item in self.items]}

    def __str__(self) -> str:
        counts = {s: sum(i.state == s for i in self.items) for s in _STATES}
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        lines = [f"{self.folder}: {told}"]
        for item in self.items:
            if item.state != "done" and (item.frames or item.why):
                kept = f"{item.frames} frames kept; " if item.frames else ""
                lines.append(f"  {item.name}  {item.state}  {kept}{item.why}".rstrip("; "))
        return "\n".join(lines)


_STATES = ("done", "running", "waiting", "missing")


@dataclass(frozen=True)
class QueueOptions:
    """How tasks are handed in.

    Parameters
    ----------
    slurm : bool
        Hand them to SLURM; otherwise only the files are written.
    tasks : int
        Tasks of an array at most; where there are more videos, each task takes several.
    sbatch : dict of str to str
        Options of sbatch.
    setup : str
        Lines of shell that come first in each task.
    """

    slurm: bool = False
    tasks: int = ARRAY
    sbatch: Mapping[str, str] | None = None
    setup: str = ""


def submit_analyses(
    tasks: Sequence[AnalysisTask],
    words: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    queue: QueueOptions | None = None,
) -> Path:
    """Hand in the analysis of videos.

    Parameters
    ----------
    tasks : sequence of AnalysisTask
        Of `mapose.plan_analyses`.
    words : sequence of str
        The command of each task, to which its videos are added: ``analyze``, the target, options.
    folder : path
        A project, or another one: the submission lies in its ``jobs``.
    queue : QueueOptions, optional
        How they are handed in.

    Returns
    -------
    Path
        The folder of the submission.

    Raises
    ------
    SettingsError
        If a video is not there, or the queue does not take them.
    """
    if missing := [task.video for task in tasks if not Path(task.video).exists()]:
        more = f", nor are {len(missing) - 1} more" if len(missing) > 1 else ""
        raise SettingsError(f"the video {missing[0]} is not there{more}; nothing was handed in")
    if strange := [task.video for task in tasks if "\n" in task.video]:
        raise SettingsError(f"{strange[0]!r}: a list of videos cannot hold a name of two lines")
    items = [[task.absolute().video, task.absolute().output] for task in tasks]
    manifest: dict[str, Any] = {"kind": "analyze", "words": list(words), "items": items}
    manifest["model"] = find_hash(tasks[0].model)
    return _begin(Path(folder), "analyze", manifest, queue or QueueOptions())


def submit_training(
    project: str | os.PathLike[str],
    name: str,
    *,
    options: Sequence[str] = (),
    queue: QueueOptions | None = None,
) -> Path:
    """Hand in a training; it goes on by itself where it was stopped.

    Parameters
    ----------
    project : path
        The project, which gets the model.
    name : str
        Of the model.
    options : sequence of str
        More of the command: ``--preset``, ``--set``.
    queue : QueueOptions, optional
        How it is handed in.

    Returns
    -------
    Path
        The folder of the submission.

    Raises
    ------
    SettingsError
        If there is no such project, the model cannot be called so or is there already, or the
        queue does not take it.
    """
    from mapose.project.project import Project
    from mapose.training.runs import check_name

    folder = Project.load(project).path.absolute()
    check_name(name)
    model = folder / "models" / name / "model.yaml"
    if model.exists():
        raise SettingsError(f"{folder}: there is a model {name!r} already; choose another --name")
    words = ["train", str(folder), "--name", name, *options]
    manifest = {"kind": "train", "words": words, "items": [[name, str(model)]]}
    return _begin(folder, f"train-{name}", manifest, queue or QueueOptions())


def _begin(place: Path, kind: str, manifest: dict[str, Any], queue: QueueOptions) -> Path:
    """Make the folder of a submission and hand it in for the first time."""
    parent = make_folder(place / FOLDER).absolute()
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{kind}"
    manifest |= {"sbatch": dict(queue.sbatch or {}), "setup": queue.setup, "attempts": []}
    manifest |= {"array": queue.tasks}
    with lock_output(parent / "names", wait=True):
        _remove_begun(parent)
        names = (stem, *(f"{stem}-{n}" for n in range(2, 1000)))
        folder = parent / next(name for name in names if not (parent / name).exists())
        (folder / "logs").mkdir(parents=True)
        attempt = _write_script(folder, manifest, [item[0] for item in manifest["items"]])
        known = [] if queue.slurm else [attempt]
        _write(folder, manifest | {"attempts": known})  # last: now it is a submission
    if queue.slurm:
        _hand_in(folder, manifest, attempt)
    return folder


def _remove_begun(parent: Path) -> None:
    """Remove folders of submissions that were cut off before all was written."""
    ours = re.compile(r"logs|(job-1\.sh|videos-1\.txt|manifest\.json\.)(.*)")
    for folder in parent.glob("????????-??????-*/"):
        if all(ours.fullmatch(path.name) for path in folder.iterdir()):
            shutil.rmtree(folder)


def _write_script(folder: Path, manifest: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Write the next script, for some of the items; what is to be noted of it."""
    script = _name_script(folder, manifest)
    size = -(-len(names) // manifest["array"])
    rest = {"sbatch": manifest["sbatch"], "setup": manifest["setup"]}
    if manifest["kind"] == "train":
        words = manifest["words"]
        state = Path(words[1], "models", words[3], "state.yaml")
        text = make_single(script, words, again=[*words[:4], "--resume"], state=state, **rest)
    else:
        listed = folder / f"videos-{len(manifest['attempts']) + 1}.txt"
        _write_text(listed, "".join(f"{name}\n" for name in names))
        tasks = -(-len(names) // size)
        text = make_array(script, listed, manifest["words"], tasks=tasks, size=size, **rest)
    _write_text(script, text)
    return {"job": "", "names": names, "size": size}


def _name_script(folder: Path, manifest: Mapping[str, Any]) -> Path:
    return folder / f"job-{len(manifest['attempts']) + 1}.sh"


def _hand_in(folder: Path, manifest: dict[str, Any], attempt: dict[str, Any]) -> None:
    """Hand a script in, and note the number of the job."""
    attempt["job"] = submit_script(_name_script(folder, manifest))
    manifest["attempts"].append(attempt)
    _write(folder, manifest)


def resubmit(folder: str | os.PathLike[str]) -> list[str]:
    """Hand in again what is missing of a submission.

    Returns
    -------
    list of str
        What was handed in.

    Raises
    ------
    SettingsError
        If the queue does not take it.
    """
    folder = Path(folder)
    with lock_output(folder / MANIFEST):
        names = [item.name for item in open_submission(folder).missing]
        if names:
            manifest = _read(folder)
            _hand_in(folder, manifest, _write_script(folder, manifest, names))
    return names


def list_submissions(place: str | os.PathLike[str]) -> list[Submission]:
    """List what was handed in of a project or another folder, the oldest first."""
    found = sorted((Path(place) / FOLDER).glob(f"*/{MANIFEST}"))
    return [open_submission(path.parent) for path in found]


def open_submission(folder: Path) -> Submission:
    """Look how a submission stands, by the files that are there and what the queue says."""
    manifest = _read(folder)
    queued = _find_queued(manifest)
    tasks = [AnalysisTask(name, output, "") for name, output in manifest["items"]]
    kept = list_unfinished(tasks) if manifest["kind"] == "analyze" else {}
    items = []
    for name, output in manifest["items"]:
        state = queued.get(name, "missing")
        if _is_made(Path(output), manifest):
            state = "done"
        elif is_locked(output):
            state = "running"
        why = _find_last_words(folder, manifest, name) if state == "missing" else ""
        items.append(Item(name, output, state, kept.get(name, 0), why))
    return Submission(folder, tuple(items))


def _is_made(output: Path, manifest: Mapping[str, Any]) -> bool:
    """Tell whether a file is there, and is not what an earlier model has made."""
    if not output.is_file():
        return False
    if manifest["kind"] == "train":
        return True
    try:
        job = load_provenance(output).get("job", {})
    except (MaposeError, OSError, ValueError):
        return False
    return bool(job.get("model") == manifest["model"])


def _find_queued(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Find which items the queue still has."""
    attempts = [a for a in manifest["attempts"] if a["job"]]
    states = find_states([attempt["job"] for attempt in attempts])
    found = {}
    for attempt in attempts:
        for place, name in enumerate(attempt["names"]):
            if state := states.get((attempt["job"], place // attempt["size"])):
                found[name] = state
    return found


def _find_last_words(folder: Path, manifest: Mapping[str, Any], name: str) -> str:
    """Find what the last task that worked on an item has said last."""
    for attempt in reversed(manifest["attempts"]):
        if name in attempt["names"] and attempt["job"]:
            task = attempt["names"].index(name) // attempt["size"]
            tail = f"_{task}" if manifest["kind"] == "analyze" else ""
            log = folder / "logs" / f"{attempt['job']}{tail}.txt"
            if log.is_file():
                lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
                return next((line.strip() for line in reversed(lines) if line.strip()), "")[:300]
    return ""


def _read(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    found = load_json(path)
    if not isinstance(found, dict) or not _is_manifest(found):
        raise FormatError(f"{path}: it does not say what was handed in")
    return found


_KINDS = {
    "words": list,
    "items": list,
    "attempts": list,
    "array": int,
    "sbatch": dict,
    "setup": str,
}


def _is_manifest(found: dict[str, Any]) -> bool:
    if found.get("kind") not in ("analyze", "train"):
        return False
    if not all(isinstance(found.get(key), kind) for key, kind in _KINDS.items()):
        return False
    pairs = all(isinstance(item, list) and len(item) == 2 for item in found["items"])
    texts = [*found["words"], *(text for item in found["items"] for text in item)] if pairs else []
    wanted = 4 if found["kind"] == "train" else 1
    known = found["kind"] == "train" or isinstance(found.get("model"), str)
    return (
        pairs
        and all(isinstance(text, str) and "\0" not in text for text in texts)
        and len(found["words"]) >= wanted
        and found["array"] > 0
        and known
        and all(map(_is_attempt, found["attempts"]))
    )


def _is_attempt(one: object) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("job"), str)
        and isinstance(one.get("size"), int)
        and one["size"] > 0
        and isinstance(one.get("names"), list)
    )


def _write(folder: Path, manifest: Mapping[str, Any]) -> None:
    _write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _write_text(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def list_words(target: str, options: Mapping[str, object]) -> list[str]:
    """Write the command of an analysis, without its videos, for another machine.

    Parameters
    ----------
    target : str
        Project, model folder or ``zoo:NAME``.
    options : dict
        Of the command by name; those that are None, False or empty are left out.

    Examples
    --------
    >>> list_words("zoo:drawn-mice", {"individuals": 2, "keep-peaks": True, "crop": ""})
    ['analyze', 'zoo:drawn-mice', '--individuals=2', '--keep-peaks']
    """
    place = target if target.startswith("zoo:") else str(Path(target).absolute())
    given = [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if value is not None and value is not False and value != ""
    ]
    return ["analyze", place, *given]
