"""Models and results removed, with what depends on them said before."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapose.edits import find_edits_path
from mapose.errors import MaposeError, SettingsError, suggest_name
from mapose.files import RESULT, cut_suffix
from mapose.io import load_provenance
from mapose.locks import is_locked
from mapose.project.project import Project


@dataclass(frozen=True)
class Removal:
    """What a removal takes away, and what depends on it.

    Parameters
    ----------
    what : str
        Such as ``model small-1``.
    paths : tuple of Path
        Files and folders that go.
    dependents : tuple of str
        What was made with it or of it and stays, a sentence each.
    """

    what: str
    paths: tuple[Path, ...]
    dependents: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        return {**vars(self), "paths": [str(path) for path in self.paths]}

    def __str__(self) -> str:
        return "\n".join([f"{self.what}: {', '.join(map(str, self.paths))}", *self.dependents])


def find_removal(project: Project, name: str) -> Removal:
    """Find what the removal of a model or a result would take away; nothing is removed.

    Parameters
    ----------
    project : Project
    name : str
        A model or a result of the project by name; ``model:NAME`` or ``result:NAME`` where both
        have it.

    Raises
    ------
    SettingsError
        If there is none of this name, or a model and a result have it.
    """
    kind, mark, rest = name.partition(":")
    wanted = rest if mark and kind in ("model", "result") else name
    models = project.path / "models"
    names = {
        "model": [p.name for p in models.iterdir() if p.is_dir()] if models.is_dir() else [],
        "result": [cut_suffix(p.name) for p in (project.path / "results").glob(f"*{RESULT}")],
    }
    found = [k for k in names if wanted in names[k] and (wanted == name or k == kind)]
    if len(found) != 1:
        known = [n for listed in names.values() for n in listed]
        hint = (
            f"a model and a result are called so; name model:{name} or result:{name}"
            if found
            else suggest_name(name, known)
        )
        raise SettingsError(f"{project.path}: no single model or result {name!r}: {hint}")
    if found == ["model"]:
        folder = models / wanted
        return Removal(f"model {wanted}", (folder,), tuple(_list_results(project, folder)))
    file = project.path / "results" / f"{wanted}{RESULT}"
    return _find_result_removal(project, file)


def remove_parts(removal: Removal) -> None:
    """Remove what `find_removal` has found.

    Raises
    ------
    SettingsError
        If another program is working on it.
    """
    busy = [path for path in removal.paths if is_locked(path)]
    if busy:
        raise SettingsError(f"another mapose is working on {busy[0]}: wait until it has ended")
    for path in removal.paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _list_results(project: Project, folder: Path) -> list[str]:
    """List the results that a model made, and whether it is the only model."""
    from mapose.models import Model

    told: list[str] = []
    try:
        mark = Model.load(folder).hash
    except MaposeError:  # a run that has not ended, or a damaged model
        return told
    for file in sorted((project.path / "results").glob(f"*{RESULT}")):
        try:
            job = load_provenance(file).get("job") or {}
        except MaposeError:
            continue
        if isinstance(job, dict) and job.get("model") == mark:
            told.append(
                f"the result {cut_suffix(file.name)} was made with it: it stays, but cannot be "
                "made again"
            )
    if project.list_models() == [folder.name]:
        told.append("it is the only model of the project")
    return told


def _find_result_removal(project: Project, file: Path) -> Removal:
    paths, told = [file], []
    edits = find_edits_path(file)
    if edits.is_file():
        paths.append(edits)
        told.append(f"corrections that a person made go with it: {edits.name}")
    stem = cut_suffix(file.name)
    for other in sorted(file.parent.glob(f"*{RESULT}")):
        if other != file:
            try:
                found = load_provenance(other)
            except MaposeError:
                continue
            if file.name in (found.get("source"), Path(str(found.get("path", ""))).name):
                told.append(f"{other.name} was made of it: it stays")
    for folder in sorted(file.parent.glob(f"{stem}-*")):
        if folder.is_dir():
            told.append(f"{folder.name} shows it: it stays")
    return Removal(f"result {stem}", tuple(paths), tuple(told))
