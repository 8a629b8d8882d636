"""What goes wrong at the command line is told in one line, whatever it is."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from calibration.synthetic import make_ring
from mapose.io import save
from mapose.poses import Poses
from mapose.skeleton import Skeleton


def run(*words: object, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, after some lines of Python."""
    code = f"{textwrap.dedent(before)}\nfrom mapose.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def expect_line(done: subprocess.CompletedProcess[str], words: str, status: int = 1) -> None:
    lines = done.stderr.strip().splitlines()
    assert done.returncode == status, done.stderr
    assert lines[-1].startswith("mapose: ") and words in lines[-1], done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def result(tmp_path) -> Path:
    save(
        Poses(np.ones((5, 1, 1, 4), np.float32), Skeleton(["a"]), ["x"], unit="mm", rate=25),
        tmp_path / "walk.mapose.h5",
    )
    return tmp_path / "walk.mapose.h5"


def test_a_library_that_is_not_installed(result):
    done = run("export", result, "--to", "nwb", before="import sys; sys.modules['pynwb'] = None")
    expect_line(done, "needs pynwb")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_takes_no_file(result, number):
    """Refused at the door, before any work."""
    broken = f"""
        import pathlib
        def fail(self, *_, **__):
            raise OSError({number}, {os.strerror(number)!r}, str(self))
        pathlib.Path.touch = fail
    """
    done = run("export", result, "--to", "csv", before=broken)
    expect_line(done, "cannot write")
    assert [p.name for p in result.parent.iterdir()] == ["walk.mapose.h5"]


def test_any_other_fault_of_the_system(result):
    broken = """
        import pathlib
        def fail(self, *_, **__):
            raise PermissionError(13, "Permission denied", str(self))
        pathlib.Path.mkdir = fail
    """
    expect_line(run("plot", result, "-o", result.parent / "plots", before=broken), "plots")


def test_a_camera_whose_name_would_be_a_folder(tmp_path, result):
    make_ring(2).save(tmp_path / "rig.toml")
    words = [f"left/top={result}", f"right={result}", "--calibration", tmp_path / "rig.toml"]
    expect_line(run("triangulate", *words, "-o", tmp_path / "out.mapose.h5"), "'left/top'")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rig.toml", "walk.mapose.h5"]


def test_options_are_named_not_arguments_of_python(tmp_path, result):
    (tmp_path / "mine.csv").write_text("of somebody else", encoding="utf-8")
    done = run("export", result, "--to", "csv", "-o", tmp_path / "mine.csv")
    expect_line(done, "--force")
    assert "force=True" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to processes on POSIX only")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_told(result, number, status):
    stop = f"""
        import os, signal
        import mapose.results.rendering
        signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest's children may ignore it
        mapose.results.rendering.save_plots = lambda *_, **__: os.kill(os.getpid(), {int(number)})
    """
    expect_line(run("plot", result, before=stop), "stopped: ", status)
