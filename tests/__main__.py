"""Run ruff, tests, doctests and notebooks.

``python -m tests`` is the README's test command; continuous integration runs it, and then mypy and
``python -m tests.installed``. ``--coverage`` counts lines as well, and takes a quarter longer.
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# movement requires an OpenCV that overwrites ours, so that it comes without its requirements.
MOVEMENT = ("pip", "install", "-q", "--no-deps", "-c", "constraints.txt", "movement")
# They wait for the disk and for each other as tests do: beside them, both cores are always busy.
CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
)
# One worker more than cores, as tests wait for browsers, disks and processes of their own. Who is
# done takes from the others' share.
WORKERS = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
PYTEST = ("pytest", "-q", *WORKERS, "--durations=15")
COVERAGE = ("--cov", "--cov-report=term:skip-covered")
# Each worker has one core: with threads of their own they would wait for each other.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
# Tests start a hundred commands: where no bytecode is kept each of them would compile torch anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def run_quietly(step: tuple[str, ...]) -> int:
    """Run a step; show what it has printed when it has ended, so that others do not mix in."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", *step],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    seconds = time.monotonic() - start
    # On a line of its own, not behind the dots of the tests.
    title = f"\n== {' '.join(step)}: exit {done.returncode} after {seconds:.0f} s\n"
    sys.stdout.buffer.write(title.encode() + done.stdout)
    sys.stdout.buffer.flush()
    return done.returncode


def main() -> int:
    codes = [run_quietly(MOVEMENT)]
    words = [*PYTEST, *(COVERAGE if "--coverage" in sys.argv[1:] else ())]
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        checks = [pool.submit(run_quietly, step) for step in CHECKS]
        print("==", " ".join(words), flush=True)
        command = [sys.executable, "-m", *words]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | ONE_THREAD).returncode
        codes += [check.result() for check in checks] + [code]
    return next((code for code in codes if code), 0)


if __name__ == "__main__":
    sys.exit(main())
