"""Run all that has to pass: ruff, mypy, tests, doctests, notebooks; print line coverage.

``python -m tests`` is the README's test command and all that continuous integration runs.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("pytest", "-q", "--durations=15", "--cov", "--cov-report=term:skip-covered"),
)


def main() -> int:
    failed = 0
    for step in STEPS:
        start = time.monotonic()
        print("==", " ".join(step), flush=True)
        code = subprocess.run([sys.executable, "-m", *step], cwd=ROOT, check=False).returncode
        print(f"== {step[0]}: exit {code} after {time.monotonic() - start:.0f} s", flush=True)
        failed = failed or code
    return failed


if __name__ == "__main__":
    sys.exit(main())
