"""The process around a job: waits for its turn, runs the command, and writes down how it ended.

``python -m mapose.app.job_process FOLDER`` is started by `mapose.app.jobs` and needs no server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mapose.app.jobs import EXIT, JOB, LOG, PROGRESS, STOP
from mapose.errors import SettingsError
from mapose.files import write_atomically
from mapose.locks import lock_output
from mapose.reading import load_json

_EVERY = 0.25
#: Seconds that a command has to tidy up when it is stopped.
_TIDY = 60.0


def run_job(folder: Path) -> int:
    """Run the job of a folder to its end; give the exit code."""
    with lock_output(folder / JOB):
        request = load_json(folder / JOB)
        with ExitStack() as stack:
            if request.get("heavy") and not _wait_for_turn(folder, stack):
                return _write_end(folder, 130, stopped=True)
            write_progress(folder / PROGRESS, {"what": "starting"})
            code, stopped = _run(folder, request["words"])
            return _write_end(folder, code, stopped=stopped)


def write_progress(file: Path, facts: dict[str, Any]) -> None:
    """Write down how far work has come."""
    with write_atomically(file) as temporary:
        temporary.write_text(json.dumps(facts), encoding="utf-8")


def _wait_for_turn(folder: Path, stack: ExitStack) -> bool:
    """Wait until no other heavy job runs; False if it is stopped before."""
    while not (folder / STOP).exists():
        try:
            stack.enter_context(lock_output(folder.parent / "heavy"))
            return True
        except SettingsError:
            time.sleep(_EVERY)
    return False


def _run(folder: Path, words: list[str]) -> tuple[int, bool]:
    environment = {**os.environ, "MAPOSE_PROGRESS": str(folder / PROGRESS), "COLUMNS": "200"}
    environment["PYTHONIOENCODING"] = "utf-8"
    with (folder / LOG).open("ab") as log:
        log.write(f"$ mapose {' '.join(words)}\n".encode())
        log.flush()
        command = [sys.executable, "-m", "mapose", *words]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        asked = 0.0
        while True:
            try:
                return child.wait(_EVERY), asked > 0
            except subprocess.TimeoutExpired:
                if not asked and (folder / STOP).exists():
                    child.terminate()
                    asked = time.monotonic()
                elif asked and time.monotonic() - asked > _TIDY:
                    child.kill()


def _write_end(folder: Path, code: int, *, stopped: bool) -> int:
    facts = {"code": code, "stopped": stopped and code != 0, "ended": time.time()}
    with write_atomically(folder / EXIT) as temporary:
        temporary.write_text(json.dumps(facts), encoding="utf-8")
    return code


if __name__ == "__main__":
    run_job(Path(sys.argv[1]))
