"""Steps of which each is done once: again only if what it depends on has changed.

What was done lies in ``steps.json`` of the folder: of each step the fingerprints of its inputs and
outputs and its settings. A step that is killed is known as begun, and is done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mapose.edits import find_edits_path
from mapose.errors import FormatError, MaposeError
from mapose.files import is_result, write_atomically
from mapose.io.recordings import find_path, fingerprint
from mapose.io.sources import VIDEO_SUFFIXES
from mapose.locks import lock_output
from mapose.reading import load_json

#: Name of the file that says what was done in a folder.
LEDGER = "steps.json"
#: Told how far a step has come: done and total.
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Step:
    """One piece of work from files to files.

    Parameters
    ----------
    name : str
        Such as ``"analyze top"``.
    inputs, outputs : tuple of Path
        What decides the result, and the files that are always made.
    settings : dict
        Plain values that decide the result as well.
    work : function of (bool, Tell)
        Does it; told whether it may replace outputs that are there, and whom to tell of progress.
    """

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: Mapping[str, Any]
    work: Callable[[bool, Tell], object] = field(compare=False, repr=False)


class Ledger:
    """What was done in a folder.

    Parameters
    ----------
    folder : Path
        In which ``steps.json`` lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LEDGER
        self.entries: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            found = load_json(self.path)
            if not isinstance(found, dict) or not all(map(_is_entry, found.values())):
                raise FormatError(f"{self.path}: it does not say which steps were done; delete it")
            self.entries = found

    def find_reason(self, step: Step, dirty: frozenset[Path] = frozenset()) -> str:
        """Say why a step has to be done; nothing if it is done.

        Parameters
        ----------
        step : Step
            Which.
        dirty : frozenset of Path
            Inputs that are about to be made anew.
        """
        entry = self.entries.get(step.name, {})
        missing = [path.name for path in step.outputs if not path.exists()]
        if missing:
            return f"{missing[0]} is not there"
        if "inputs" not in entry:
            return "was not finished" if entry else "is not known to be done"
        if again := [path.name for path in step.inputs if path in dirty]:
            return f"{again[0]} is made anew"
        if entry.get("settings") != _make_plain(step.settings):
            return "its settings have changed"
        now = {self._name(path): fingerprint_file(path) for path in step.inputs}
        changed = [name for name in now if entry["inputs"].get(name) != now[name]]
        if changed or entry["inputs"].keys() != now.keys():
            return f"{Path(changed[0]).name} has changed" if changed else "it has other inputs"
        return ""

    def do(self, step: Step, tell: Tell) -> None:
        """Do a step and write it down; what somebody else has made is not replaced."""
        entry = self.entries.get(step.name, {})
        there = [path for path in step.outputs if path.exists()]
        known = entry.get("outputs", {})
        ours = all(known.get(self._name(p)) == fingerprint_file(p) for p in there)
        if may_replace := ours or bool(entry.get("begun")):
            self._write(step.name, {"begun": True})
        inputs = {self._name(path): fingerprint_file(path) for path in step.inputs}
        step.work(may_replace, tell)
        outputs = {self._name(path): fingerprint_file(path) for path in step.outputs}
        settings = _make_plain(step.settings)
        self._write(step.name, {"inputs": inputs, "settings": settings, "outputs": outputs})

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        self.entries[name] = entry
        with write_atomically(self.path) as temporary:
            temporary.write_text(json.dumps(self.entries, indent=1) + "\n", encoding="utf-8")

    def _name(self, path: Path) -> str:
        return find_path(path, self.folder).as_posix()


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key, {}), dict) for key in ("inputs", "outputs", "settings")
    )


def fingerprint_file(path: Path) -> str:
    """Tell one state of a file from another: of all its bytes, and of a result's edits.

    Of videos, which nobody changes in the middle, the first and last megabyte are looked at.
    """
    if not path.exists():
        return ""
    if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES:
        return fingerprint(path)
    digest = hashlib.sha256()
    for file in (path, find_edits_path(path)) if is_result(path) else (path,):
        if file.is_file():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


def run_steps(
    folder: Path,
    steps: Sequence[Step],
    *,
    on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> list[str]:
    """Do what is not done yet, in order.

    Parameters
    ----------
    folder : Path
        In which is written down what was done.
    steps : sequence of Step
        Each after those that it needs.
    on_progress : function of (str, int, int), optional
        Told the step, what is done and the total.

    Returns
    -------
    list of str
        Names of the steps that were done now.

    Raises
    ------
    MaposeError, OSError
        Of the first step that fails; its name comes first.
    """
    done = []
    with lock_output(folder / LEDGER):
        ledger = Ledger(folder)
        for step in steps:
            if not ledger.find_reason(step):
                continue
            on_progress(step.name, 0, 0)
            try:
                ledger.do(step, partial(on_progress, step.name))
            except (MaposeError, ValueError, OSError) as fault:
                raise MaposeError(f"{step.name}: {fault}") from fault
            done.append(step.name)
    return done


def list_reasons(
    folder: Path, steps: Sequence[Step], *, dirty: frozenset[Path] = frozenset()
) -> Iterator[tuple[Step, str]]:
    """Say of each step why it would be done, without doing anything; nothing if it is done.

    Parameters
    ----------
    folder, steps
        As for `run_steps`.
    dirty : frozenset of Path
        Files that others are about to make anew.
    """
    ledger = Ledger(folder)
    for step in steps:
        reason = ledger.find_reason(step, dirty)
        if reason:
            dirty |= set(step.outputs)
        yield step, reason


def _make_plain(settings: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(settings, sort_keys=True, default=str))
