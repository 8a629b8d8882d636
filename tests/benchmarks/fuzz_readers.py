"""Do damaged and hostile files end in one clear sentence, whichever reader opens them?

Run: python tests/benchmarks/fuzz_readers.py [--inputs 5000] [--seed 0] [--workers 2] [--only coco]

Small valid files of every kind that mapose reads (`fuzz_specimens.py`, `fuzz_workings.py`) are
damaged in one to three ways each: bits flipped, cut, holes, numbers replaced by 2^36, -1, nan or
1e308, texts by lists, deep nesting, keys removed, names such as ``..``, datasets of another shape,
sizes that are not true, code where only data belong. Each is read by one of the readers of
`fuzz_doors.py` in a worker process, which counts

    read        as if nothing was wrong
    refused     one of our own errors, in one line
    traceback   anything else
    crash       the process is gone
    hang        over 20 s of a processor
    memory      over 2 GB, or a library asked for more and was denied it
    strays      a file was made or changed outside the folder that was to be written
    executed    something in the file was run

All but the first two are faults. They are listed with the worker's words; the folder of each is
kept, and `--replay FOLDER` reads it again here, with its traceback.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fuzz_damage import CANARY, STRAY, damage
from fuzz_doors import READERS

SECONDS, BYTES = 20, 2 << 30
FINE = ("read", "refused")


# ------------------------------------------------------------------------------------- worker
def work() -> None:
    """Read what stands on standard input, a line each, and answer with a line each."""
    import mapose
    from calibration import CalibrationError
    from mapose.errors import MaposeError

    _warm_up()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    assert mapose
    answers, sys.stdout = sys.stdout, sys.stderr  # what readers print is no answer
    for line in sys.stdin:
        job = json.loads(line)
        kind, text = "read", ""
        try:
            READERS[job["reader"]](Path(job["path"]), Path(job["out"]))
        except (MaposeError, CalibrationError) as fault:
            kind, text = "refused", str(fault)
            if "\n" in text.strip() or len(text) > 2000:
                kind = "traceback"
                text = (
                    f"a message of {len(text)} characters and {text.count(chr(10))} breaks: "
                    + text[:300]
                )
            if _lacked_memory(fault):
                kind = "memory"
        except BaseException as fault:
            kind = "memory" if _lacked_memory(fault) else "traceback"
            text = f"{type(fault).__name__}: {str(fault)[:300]} at {_tell_place(fault)}"
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"kind": kind, "text": text, "rss": most}), file=answers, flush=True)


def _tell_place(fault: BaseException) -> str:
    """Say where a fault comes from, the last lines of our own code first."""
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [f for f in frames if "/mapose/" in f.filename or "/calibration/" in f.filename]
    return " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(ours[-4:]))


def _warm_up() -> None:
    """Load all libraries, so that what they take is not counted."""
    import cv2  # noqa: F401
    import h5netcdf  # noqa: F401
    import pandas  # noqa: F401
    import scipy.io  # noqa: F401
    import sleap_io  # noqa: F401
    import torch
    import xarray  # noqa: F401

    import calibration.boards.specs
    import calibration.files.readers  # noqa: F401
    import mapose.project
    import mapose.recognition.gallery  # noqa: F401

    torch.set_num_threads(1)


def _lacked_memory(fault: BaseException | None) -> bool:
    while fault is not None:
        text = str(fault).lower()
        if isinstance(fault, MemoryError) or "bad_alloc" in text or "insufficient memory" in text:
            return True
        if "memory allocation failed" in text or "can't allocate" in text:
            return True
        fault = fault.__cause__ or fault.__context__
    return False


# ------------------------------------------------------------------------------------- parent
class Worker:
    """A process that reads; a new one where it crashed, hung or grew."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the worker

    def read(self, reader: str, path: Path, out: Path) -> tuple[str, str]:
        """Have one input read; gives the kind of outcome and the worker's words."""
        if self._process is None:
            command = [sys.executable, __file__, "--work"]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
            self._ask({"reader": "image", "path": "none", "out": "none"}, 300)
        kind, text = self._ask({"reader": reader, "path": str(path), "out": str(out)}, SECONDS)
        if kind in ("crash", "hang", "memory"):
            self.close()
        return kind, text

    def _ask(self, job: dict[str, str], seconds: float) -> tuple[str, str]:
        process = self._process
        assert process and process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return "crash", f"exit status {process.wait()}"
        if not self._wait(seconds):
            return "hang", f"over {seconds} s of a processor"
        line = process.stdout.readline()
        if not line:
            return "crash", f"exit status {process.wait()}; {self._read_errors()}"
        answer = json.loads(line)
        if answer["rss"] > BYTES:
            return "memory", f"{answer['rss'] >> 20} MB; {answer['text']}"
        return answer["kind"], answer["text"]

    def _wait(self, seconds: float) -> bool:
        """Wait for an answer, until so much time of a processor is used: machines are shared."""
        assert self._process and self._process.stdout
        stat = Path(f"/proc/{self._process.pid}/stat")
        start, before = time.monotonic(), _read_seconds(stat)
        while not select.select([self._process.stdout], [], [], 0.5)[0]:
            used, waited = _read_seconds(stat) - before, time.monotonic() - start
            if used > seconds or waited > 10 * seconds:
                return False
        return True

    def _read_errors(self) -> str:
        self._errors.seek(0)
        return " ".join(self._errors.read().decode(errors="replace").split()[-40:])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _read_seconds(stat: Path) -> float:
    """Read how much time of a processor a process has used."""
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha1(f.read_bytes()).hexdigest()
        for f in sorted(folder.rglob("*"))
        if f.is_file()
    }


def _find_strays(place: Path, before: dict[str, str]) -> str:
    after = _digest(place)
    strays = [n for n in before if after.get(n) != before[n]]
    strays += [n for n in after if n not in before and not n.startswith("in/out/project/")]
    inside = place / "in" / "out" / "project" / "labels"
    strays += [str(f) for f in inside.glob("*/*/*")] if inside.is_dir() else []
    strays += [str(STRAY)] if STRAY.exists() else []
    return ", ".join(strays)


def run(number: int, specimens: list[Any], source: Path, base: Path, seed: int, worker: Worker):
    """Damage and read one input; gives its outcome."""
    rng = random.Random(f"{seed} {number}")
    specimen = rng.choice(specimens)
    reader = rng.choice(specimen.readers)
    place = base / f"{number:06d}"
    shutil.copytree(source / specimen.name, place / "in" / "files")
    damage(place / "in" / "files" / rng.choice(specimen.parts), rng)
    out = place / "in" / "out"
    out.mkdir()
    before = _digest(place)
    start = time.monotonic()
    kind, text = worker.read(reader, place / "in" / "files" / specimen.main, out)
    seconds = time.monotonic() - start
    if kind in FINE and (strays := _find_strays(place, before)):
        kind, text = "strays", strays
    if CANARY.exists():
        kind, text = "executed", f"{CANARY} was made"
        CANARY.unlink()
    (place / "job.json").write_text(json.dumps({"reader": reader, "main": specimen.main}))
    if kind in FINE:
        shutil.rmtree(place)
    return number, specimen.name, reader, kind, text, seconds


def replay(place: Path) -> None:
    """Read an input that was kept, here and with its traceback."""
    job = json.loads((place / "job.json").read_text())
    out = place / "again"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    READERS[job["reader"]](place / "in" / "files" / job["main"], out)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="specimens whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder for inputs with faults")
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        return work()
    if given.replay:
        return replay(given.replay)
    import fuzz_workings  # noqa: F401 - its specimens join those of other tools
    from fuzz_specimens import make_specimens

    base = given.keep or Path(tempfile.mkdtemp(prefix="mapose-fuzz-"))
    base.mkdir(parents=True, exist_ok=True)
    source = base / "specimens"
    specimens = [s for s in make_specimens(source) if given.only in s.name]
    numbers = range(given.first, given.first + given.inputs)
    found, outcomes = defaultdict(Counter), []
    longest = 0.0
    workers = [Worker() for _ in range(given.workers)]
    _check_valid(specimens, source, workers[0], base)

    def share(index: int) -> list[tuple]:
        chosen = numbers[index :: given.workers]
        done = []
        for n in chosen:
            done.append(run(n, specimens, source, base, given.seed, workers[index]))
            number, name, reader, kind, text, _ = done[-1]
            if kind not in FINE:
                print(
                    f"{kind:9} {base / f'{number:06d}'} {name} {reader}: {text[:400]}", flush=True
                )
        workers[index].close()
        return done

    start = time.monotonic()
    with ThreadPoolExecutor(given.workers) as pool:
        for part in pool.map(share, range(given.workers)):
            outcomes += part
    for _, name, _, kind, _, seconds in sorted(outcomes):
        found[name][kind] += 1
        longest = max(longest, seconds)
    total = sum(found.values(), Counter())
    print(f"\n{'':28}" + "".join(f"{kind:>10}" for kind in sorted(total)))
    for name in sorted(found):
        print(f"{name:28}" + "".join(f"{found[name][kind]:>10}" for kind in sorted(total)))
    minutes = (time.monotonic() - start) / 60
    print(f"{'all':28}" + "".join(f"{total[kind]:>10}" for kind in sorted(total)))
    print(f"seed {given.seed}, {minutes:.1f} minutes, slowest {longest:.1f} s")
    sys.exit(any(kind not in FINE for kind in total))


def _check_valid(specimens: list[Any], source: Path, worker: Worker, base: Path) -> None:
    """Make sure that undamaged specimens are read, or nothing would be tested."""
    for specimen in specimens:
        for reader in specimen.readers:
            out = base / "valid" / specimen.name
            out.mkdir(parents=True, exist_ok=True)
            kind, text = worker.read(reader, source / specimen.name / specimen.main, out)
            if kind != "read":
                print(
                    f"note: undamaged {specimen.name} is not read by {reader}: {kind} {text[:200]}"
                )
    shutil.rmtree(base / "valid", ignore_errors=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
