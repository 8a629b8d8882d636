"""Is mapose whole where it is installed from its wheel, and not run from the checkout?

Builds the sdist, and the wheel from it, holds the wheel against the tree, installs it without
extras in a new environment in a temporary folder, and runs `walk.py` there with that Python.

``python -m tests.installed``, as continuous integration does after the tests.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# All that the build may need. What it needs besides these is missing from the sdist.
SOURCES = (
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "mapose",
    "calibration",
    "configs",
)
# Folder of the tree -> folder of the wheel.
INSTALLED = {"mapose": "mapose", "calibration": "calibration", "configs": "mapose/configs"}
UNWANTED = ("__pycache__", "*.egg-info", "*.pyc", ".*")


def run(what: str, *words: str | Path, cwd: Path) -> None:
    """Run a step that can fail, and say how long it took; show its output only if it fails."""
    start = time.monotonic()
    # Nothing of the checkout may be found by way of the environment.
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(w) for w in words], cwd=cwd, env=kept, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    )  # fmt: skip
    print(f"{what}: exit {done.returncode} after {time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(1)


def build(folder: Path) -> Path:
    """Build sdist and wheel from a copy of the tree, which no earlier build has left things in."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns(*UNWANTED))
        else:
            shutil.copy2(ROOT / name, copy / name)
    # As in a clone: some checkouts stand a link in for what the packaging maps.
    shutil.rmtree(copy / "mapose" / "configs", ignore_errors=True)
    # Without --sdist or --wheel the wheel is built from the sdist alone.
    words = (sys.executable, "-m", "build", "--outdir", folder / "dist", copy)
    run("building sdist and wheel", *words, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


def find_lost(wheel: Path, root: Path = ROOT) -> list[str]:
    """List the files of the packages in the tree that the wheel lacks."""
    held = set(zipfile.ZipFile(wheel).namelist())
    lost = []
    for source, target in INSTALLED.items():
        for path in sorted((root / source).rglob("*")):
            inner = path.relative_to(root / source)
            skipped = any(part.startswith((".", "__pycache__")) for part in inner.parts)
            linked = source == "mapose" and inner.parts[0] == "configs"
            if path.is_file() and not skipped and not linked:
                name = f"{target}/{inner.as_posix()}"
                lost += [] if name in held else [name]
    return lost


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel without its extras in a new environment; its Python."""
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    # Compiling all of torch would take longer than the walk.
    options = ("--no-compile", "-c", ROOT / "constraints.txt")
    run("installing the wheel", *pip, *options, wheel, cwd=folder)
    return python


def main() -> int:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()  # a link on macOS, and the walk compares paths
        wheel = build(folder)
        if lost := find_lost(wheel):
            print(f"not in {wheel.name}, see packages and package_data in setup.cfg:", *lost)
            return 1
        python = install(wheel, folder / "env")
        shutil.copy2(Path(__file__).with_name("walk.py"), folder / "walk.py")
        run("walking through", python, "-I", folder / "walk.py", cwd=folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
