"""Long work: ordinary commands in processes of their own, each with a folder in the project.

``jobs/NAME/`` holds ``job.json`` (what was asked for), ``log.txt``, ``progress.json`` and, in the
end, ``exit.json``. A job outlives the page and the server: `mapose.app.job_process` waits for it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapose.app.responses import UnknownError
from mapose.errors import MaposeError, SettingsError
from mapose.files import make_folder, write_atomically
from mapose.locks import is_locked, lock_output
from mapose.reading import is_plain_name, load_json

FOLDER, JOB, LOG, PROGRESS, EXIT, STOP = (
    "jobs",
    "job.json",
    "log.txt",
    "progress.json",
    "exit.json",
    "stop",
)
#: Bytes of a log that a page shows.
_SHOWN = 1 << 16
_RUNNING = ("queued", "running")


@dataclass(frozen=True)
class Job:
    """A job as it stands.

    Parameters
    ----------
    name : str
        Of its folder.
    request : dict
        What was asked for: ``kind``, ``words`` of the command, ``title``, ``made``, ``heavy``.
    state : {"queued", "running", "done", "failed", "stopped", "lost"}
        Lost is what ended with the machine; it can go on as a stopped one can.
    progress : dict
        As the command tells it: ``what``, ``done``, ``total``, ``left`` in seconds, ``note``.
    said : str
        The last words of one that has ended: what it made, or why it failed.
    """

    name: str
    request: dict[str, Any]
    state: str
    progress: dict[str, Any]
    said: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Make a plain record."""
        words = ["mapose", *self.request.get("words", [])]
        return {
            "name": self.name,
            "kind": self.request.get("kind", ""),
            "title": self.request.get("title", ""),
            "made": self.request.get("made", ""),
            "command": " ".join(words),
            "target": self.request.get("target", ""),
            "state": self.state,
            "progress": self.progress,
            "fault": self.said if self.state not in (*_RUNNING, "done") else "",
            "said": self.said if self.state == "done" else "",
        }


class Jobs:
    """The jobs of a project.

    Parameters
    ----------
    project : Path
        Its folder.
    """

    def __init__(self, project: Path) -> None:
        self.folder = project / FOLDER

    def start(
        self, kind: str, words: Sequence[str], *, title: str, heavy: bool, target: str = ""
    ) -> Job:
        """Begin a job.

        Parameters
        ----------
        kind : str
            The command.
        words : sequence of str
            The command with its options, without ``mapose``.
        title : str
            For people.
        heavy : bool
            Wait until no other heavy job of this project runs.
        target : str
            The model or result that it makes.
        """
        made = datetime.now(UTC)
        request = {
            "kind": kind,
            "words": list(words),
            "title": title,
            "heavy": heavy,
            "target": target,
            "made": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        make_folder(self.folder)
        stem = f"{made:%Y%m%d-%H%M%S}-{kind}"
        with lock_output(self.folder / "names", wait=True):
            names = (stem, *(f"{stem}-{n}" for n in range(2, 1000)))
            name = next(n for n in names if not (self.folder / n).exists())
            (self.folder / name).mkdir()
            with write_atomically(self.folder / name / JOB) as temporary:
                temporary.write_text(json.dumps(request), encoding="utf-8")
        return self._run(name)

    def stop(self, name: str) -> Job:
        """Ask a job to end; what it has done so far stays."""
        folder = self._find(name)
        if self.get(name).state in _RUNNING:
            (folder / STOP).touch()
        return self.get(name)

    def go_on(self, name: str) -> Job:
        """Take up a job that was stopped, failed or lost."""
        folder = self._find(name)
        job = self.get(name)
        if job.state in (*_RUNNING, "done"):
            raise SettingsError(f"{name} is {job.state}: there is nothing to go on with")
        if job.request.get("kind") == "train" and "--resume" not in job.request["words"]:
            request = {
                **job.request,
                "words": [*_keep_for_resume(job.request["words"]), "--resume"],
            }
            with write_atomically(folder / JOB) as temporary:
                temporary.write_text(json.dumps(request), encoding="utf-8")
        for leftover in (EXIT, STOP, PROGRESS):
            (folder / leftover).unlink(missing_ok=True)
        return self._run(name)

    def remove(self, name: str) -> None:
        """Remove the folder of a job that has ended; what it made stays."""
        if self.get(name).state in _RUNNING:
            raise SettingsError(f"{name} runs: stop it first")
        shutil.rmtree(self._find(name))

    def get(self, name: str) -> Job:
        """Look how a job stands."""
        folder = self._find(name)
        request, ended = _load(folder / JOB), _load(folder / EXIT)
        progress = _load(folder / PROGRESS)
        if ended:
            code = ended.get("code")
            state = "done" if code == 0 else "stopped" if ended.get("stopped") else "failed"
            return Job(name, request, state, progress, _read_end(folder / LOG))
        if is_locked(folder / JOB):
            return Job(name, request, "running" if (folder / PROGRESS).exists() else "queued",
                       progress)  # fmt: skip
        made = (folder / JOB).stat().st_mtime if (folder / JOB).exists() else 0.0
        young = datetime.now(UTC).timestamp() - made < _START
        return Job(name, request, "queued" if young else "lost", progress)

    def list(self) -> list[Job]:
        """List the jobs, the newest first."""
        if not self.folder.is_dir():
            return []
        names = sorted((p.name for p in self.folder.iterdir() if (p / JOB).is_file()), reverse=True)
        return [self.get(name) for name in names]

    def is_busy(self) -> bool:
        """Tell whether a job waits or runs."""
        return any(job.state in _RUNNING for job in self.list())

    def read_log(self, name: str) -> str:
        """Read the end of a job's log."""
        return _read_tail(self._find(name) / LOG)

    def find_mark(self) -> tuple[Any, ...]:
        """Tell how all stand by the times of their files."""
        marks: list[Any] = []
        for file in sorted(self.folder.glob("*/*.json")) if self.folder.is_dir() else ():
            with suppress(OSError):
                marks.append((str(file), file.stat().st_mtime_ns))
        return tuple(marks)

    def _find(self, name: str) -> Path:
        folder = self.folder / name
        if not (is_plain_name(name) and (folder / JOB).is_file()):
            raise UnknownError(f"there is no job {name[:80]!r}")
        return folder

    def _run(self, name: str) -> Job:
        folder = self.folder / name
        words = [sys.executable, "-m", "mapose.app.job_process", str(folder)]
        options: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        os.utime(folder / JOB)
        options |= dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        child = subprocess.Popen(words, **options)
        # Whoever started a process has to hear of its end, or it stays as a zombie.
        threading.Thread(target=child.wait, daemon=True).start()
        return self.get(name)


#: Seconds in which a new process takes its place.
_START = 20.0


def _keep_for_resume(words: Sequence[str]) -> list[str]:
    """Keep of a training's words what names the run: everything else is in its folder."""
    kept = list(words[:2])
    if "--name" in words:
        at = words.index("--name")
        kept += words[at : at + 2]
    return kept


def _load(file: Path) -> dict[str, Any]:
    with suppress(MaposeError, OSError):
        found = load_json(file)
        if isinstance(found, dict):
            return found
    return {}


def _read_tail(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _SHOWN))
        return opened.read().decode("utf-8", "replace")


def _read_end(file: Path) -> str:
    """Read the last line of a log that says something."""
    with suppress(OSError):
        told = [line.strip() for line in _read_tail(file).split("\n") if line.strip()]
        return told[-1][:600] if told else ""
    return ""
