"""What waits to be labelled in a project: put there, taken over into the labels, or dropped.

A proposal is never trained on. It becomes a label only by `accept_proposals`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mapose.arrays import Ints
from mapose.errors import SettingsError, suggest_name
from mapose.io.proposals import (
    FILE,
    Proposals,
    join_proposals,
    name_images,
    save_proposals,
)
from mapose.io.proposals import load_proposals as read_proposals
from mapose.labels import ORIGINS, Labels
from mapose.locks import lock_output
from mapose.project.importing import try_labels
from mapose.project.project import FILE as PROJECT
from mapose.project.project import Project

#: How the reason of a frame ends in which a model was asked and had nothing to propose.
NOTHING = " found nothing"


def load_proposals(project: Project) -> Proposals:
    """Read the frames of a project that wait to be labelled.

    Returns
    -------
    Proposals
        Without frames that have labels by now, such as imported ones.

    Raises
    ------
    FormatError
        If a file cannot be read.
    """
    found = _read_all(project)
    labels = try_labels(project)
    here = set() if labels is None else set(name_images(labels))
    return found.take([r for r, name in enumerate(name_images(found.labels)) if name not in here])


def _read_all(project: Project) -> Proposals:
    """Read what was proposed, of frames with labels, too: whoever undoes these needs it again."""
    folder, names = project.path / "labels", list_names(project)
    return read_proposals(folder, project.skeleton, individuals=names)


def list_names(project: Project) -> tuple[str, ...]:
    """List the individuals that labels of a project have: its own names, else those in use."""
    if not isinstance(project.individuals, int):
        return project.individuals
    labels = try_labels(project)
    used = () if labels is None else labels.individuals
    free = (f"animal{i}" for i in range(2 * project.count))
    new = [name for name in free if name not in used]
    return (*used, *new[: max(0, project.count - len(used))])


def add_proposals(project: Project, proposals: Proposals) -> int:
    """Put frames among those that wait; those that wait or have labels already stay as they are.

    Returns
    -------
    int
        How many were added.
    """
    with lock_output(project.path / PROJECT, wait=True):
        before = _read_all(project)
        labels = try_labels(project)
        here = set() if labels is None else set(name_images(labels))
        new = [r for r, name in enumerate(name_images(proposals.labels)) if name not in here]
        after = join_proposals(before, proposals.take(new))
        save_proposals(after, project.path / "labels")
    return len(after) - len(before)


def replace_proposals(project: Project, proposals: Proposals, *, model: str) -> None:
    """Put what a model proposes among the frames that wait, in place of older proposals.

    What a person has written into the file meanwhile stays, and so does why a frame was chosen; a
    frame in which the model found nothing says so.
    """
    names = name_images(proposals.labels)
    with lock_output(project.path / PROJECT, wait=True):
        before = _read_all(project)
        why = dict(zip(name_images(before.labels), before.reasons, strict=True))
        reasons = []
        for name, reason, looked in zip(names, proposals.reasons, proposals.looked, strict=True):
            told = _cut_nothing(why.get(name) or reason)
            reasons.append(told if looked else f"{told}; {model}{NOTHING}")
        by_person = (before.origins == "person").any((1, 2))
        kept = [r for r, name in enumerate(why) if name not in set(names) or by_person[r]]
        after = join_proposals(before.take(kept), replace(proposals, reasons=tuple(reasons)))
        save_proposals(after, project.path / "labels")


def _cut_nothing(reason: str) -> str:
    return reason.rpartition("; ")[0] if reason.endswith(NOTHING) else reason


def accept_proposals(project: Project, frames: Iterable[str] | None = None) -> Labels:
    """Take proposals over into the labels, as they stand, each point with its origin.

    Parameters
    ----------
    project : Project
    frames : iterable of str, optional
        Such as ``monday:1200``; by default all in which something is marked or said to be absent.

    Returns
    -------
    Labels
        Those that were taken over.

    Raises
    ------
    SettingsError
        If a frame does not wait, or nothing is said in it yet.
    """
    with lock_output(project.path / PROJECT, wait=True):
        waiting = load_proposals(project)
        rows = _find_rows(waiting, frames, only=waiting.looked)
        blank = [waiting.labels.row_names[r] for r in rows if not waiting.looked[r]]
        if blank:
            raise SettingsError(
                f"{blank[0]}: nothing is marked in it yet: label it first, or say in the column "
                f"visible of its {FILE} that all is 0"
            )
        taken = waiting.take(rows)
        if len(taken):
            _add_to_labels(project, taken)
        _keep(project, waiting, np.setdiff1d(np.arange(len(waiting)), rows))
    return taken.labels


def drop_proposals(project: Project, frames: Iterable[str] | None = None) -> int:
    """Let frames no longer wait, and remove their images.

    Parameters
    ----------
    project, frames
        As for `accept_proposals`; by default all that wait.

    Returns
    -------
    int
        How many were dropped.
    """
    with lock_output(project.path / PROJECT, wait=True):
        waiting = load_proposals(project)
        rows = _find_rows(waiting, frames, only=np.ones(len(waiting), bool))
        for image in waiting.take(rows).labels.images:
            if image is not None:
                image.unlink(missing_ok=True)
        _keep(project, waiting, np.setdiff1d(np.arange(len(waiting)), rows))
    return len(rows)


def _add_to_labels(project: Project, taken: Proposals) -> None:
    """Add proposals to the label store: the one door from here to it."""
    codes = {name: code for code, name in enumerate(ORIGINS)}
    origins = np.vectorize(lambda name: codes.get(name, codes["person"]))(taken.origins)
    origins = np.where(np.isfinite(taken.labels.points).all(-1), origins, 0)
    labels = replace(taken.labels, sources={}, origins=origins.astype(np.uint8))
    project.put_labels(labels, f"{len(taken)} proposals accepted")


def _keep(project: Project, waiting: Proposals, rows: Ints) -> None:
    """Write down which of the waiting frames still wait."""
    kept = waiting.take(rows)
    for file in (project.path / "labels").glob(f"*/{FILE}"):
        if file.parent.name not in kept.labels.videos:
            file.unlink(missing_ok=True)
    save_proposals(kept, project.path / "labels")


def _find_rows(waiting: Proposals, frames: Iterable[str] | None, *, only: np.ndarray) -> Ints:
    """Find the rows of frames that are named, by default those of a mask."""
    if frames is None:
        return np.flatnonzero(only)
    names = waiting.labels.row_names
    wanted = list(frames)
    for name in wanted:
        if name not in names:
            raise SettingsError(f"no frame {name!r} waits: {suggest_name(name, names)}")
    return np.array(sorted(names.index(name) for name in wanted), np.int64)
