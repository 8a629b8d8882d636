"""SLURM: scripts that anybody can read, handed in and asked about with SLURM's own commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shutil import which

from mapose.errors import SettingsError

_ARRAY = """\
#!/bin/bash
# One task per line of {list_name}, or several; each is an ordinary command that takes up where an
# earlier one was stopped. May be changed, and handed in again: sbatch {script_name}
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --output={logs}/%A_%a.txt
#SBATCH --open-mode=append
#SBATCH --requeue
{options}set -euo pipefail
{setup}export MAPOSE_CORES="${{SLURM_CPUS_PER_TASK:-}}"
size={size}
first=$((SLURM_ARRAY_TASK_ID * size + 1))
mapfile -t videos < <(sed -n "${{first}},$((first + size - 1))p" {list})
exec {command} "${{videos[@]}}"
"""
_SINGLE = """\
#!/bin/bash
# A training that goes on where an earlier one was stopped. May be changed, and handed in again:
# sbatch {script_name}
#SBATCH --job-name={name}
#SBATCH --output={logs}/%A.txt
#SBATCH --open-mode=append
#SBATCH --requeue
{options}set -euo pipefail
{setup}export MAPOSE_CORES="${{SLURM_CPUS_PER_TASK:-}}"
if [ -f {state} ]; then
    exec {again}
fi
exec {command}
"""


def read_sbatch(given: Iterable[str]) -> dict[str, str]:
    """Read options of sbatch, each ``key=value``, or ``key`` alone.

    Raises
    ------
    SettingsError
        If one is none, or is the script's own.

    Examples
    --------
    >>> read_sbatch(["time=4:00:00", "exclusive"])
    {'time': '4:00:00', 'exclusive': ''}
    """
    found = {}
    for text in given:
        key, _, value = text.lstrip("-").partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", key) or "\n" in value:
            raise SettingsError(f"--sbatch: wanted key=value such as time=4:00:00, came {text!r}")
        if key in ("array", "output", "job-name", "open-mode"):
            raise SettingsError(f"--sbatch: {key} is set already; change it in the script")
        found[key] = value
    return found


def make_array(
    script: Path,
    list_file: Path,
    words: Sequence[str],
    *,
    tasks: int,
    size: int,
    sbatch: Mapping[str, str],
    setup: str,
) -> str:
    """Make the script of an array of tasks.

    Parameters
    ----------
    script, list_file : Path
        Where it lies, and the list with one video a line.
    words : sequence of str
        The command of a task, to which its videos are added.
    tasks, size : int
        Tasks, and videos of each.
    sbatch : dict of str to str
        Options of sbatch.
    setup : str
        Lines of shell that come before, such as ``module load cuda``.
    """
    return _ARRAY.format(
        list_name=list_file.name,
        script_name=script.name,
        name=_name_job(script),
        last=tasks - 1,
        logs=script.parent / "logs",
        options=_list_options(sbatch),
        setup=_end_line(setup),
        size=size,
        list=shlex.quote(str(list_file)),
        command=make_command(words),
    )


def make_single(
    script: Path,
    words: Sequence[str],
    *,
    again: Sequence[str],
    state: Path,
    sbatch: Mapping[str, str],
    setup: str,
) -> str:
    """Make the script of a training.

    Parameters
    ----------
    script : Path
        Where it lies.
    words, again : sequence of str
        The command that begins it, and the one that goes on if there is a file ``state``.
    state : Path
        The file.
    sbatch, setup
        As for `make_array`.
    """
    return _SINGLE.format(
        script_name=script.name,
        name=_name_job(script),
        logs=script.parent / "logs",
        options=_list_options(sbatch),
        setup=_end_line(setup),
        state=shlex.quote(str(state)),
        again=make_command(again),
        command=make_command(words),
    )


def make_command(words: Sequence[str]) -> str:
    """Make a line of shell that runs mapose with this Python."""
    return shlex.join([sys.executable, "-m", "mapose", *words])


def _name_job(script: Path) -> str:
    return f"mapose-{re.sub(r'[^A-Za-z0-9_.-]', '-', script.parent.name)}"


def _list_options(sbatch: Mapping[str, str]) -> str:
    return "".join(f"#SBATCH --{k}={v}\n" if v else f"#SBATCH --{k}\n" for k, v in sbatch.items())


def _end_line(text: str) -> str:
    return f"{text.strip()}\n" if text.strip() else ""


def submit_script(script: Path) -> str:
    """Hand a script to SLURM; the number of the job.

    Raises
    ------
    SettingsError
        If SLURM is not here, or does not take it.
    """
    if which("sbatch") is None:
        raise SettingsError(
            f"--slurm: there is no sbatch here; log in where there is, and say: sbatch {script}"
        )
    done = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True)
    number = done.stdout.strip().partition(";")[0]
    if done.returncode or not number.isdecimal():
        told = (done.stderr or done.stdout).strip()
        raise SettingsError(f"sbatch did not take {script}: {told}")
    return number


def find_states(jobs: Sequence[str]) -> dict[tuple[str, int], str]:
    """Ask SLURM which tasks it still has.

    Parameters
    ----------
    jobs : sequence of str
        Numbers of jobs.

    Returns
    -------
    dict of (str, int) to str
        ``"running"`` or ``"waiting"`` by job and number in its array; what has ended is not there.
        Empty where there is no SLURM.
    """
    if not jobs or which("squeue") is None:
        return {}
    found: dict[tuple[str, int], str] = {}
    for job in jobs:  # one by one: it refuses all if it has forgotten one
        words = ["squeue", "--array", "--noheader", "--format=%i %T", f"--jobs={job}"]
        done = subprocess.run(words, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            task = re.fullmatch(r"\s*(\d+)(?:_(\d+))?\s+(\w+)\s*", line)
            if task:
                running = task[3] in ("RUNNING", "COMPLETING")
                found[task[1], int(task[2] or 0)] = "running" if running else "waiting"
    return found
