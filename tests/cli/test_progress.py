"""What a long command shows while it runs, where its output is a file."""

import io
import re
import time

import pytest
from rich.console import Console
from typer.testing import CliRunner

from calibration import CameraGroup
from mapose.cli import app, terminal


@pytest.fixture
def log(monkeypatch):
    """Standard error as a file; lines of the log follow quickly."""
    file = io.StringIO()
    monkeypatch.setattr(terminal, "errors", Console(file=file, width=60))
    monkeypatch.setattr(terminal, "_EVERY", 0.05)
    return file


def test_a_log_has_lines_at_once_every_so_often_and_at_the_end(log):
    with terminal.show_progress("tracking") as (progress, task):
        wait_for(log, "tracking: 0:00:00\n")
        for done in range(1, 5):
            progress.update(task, completed=done, total=100, note="a note longer than the line")
            time.sleep(0.1)
        progress.update(task, completed=100)
    lines = log.getvalue().splitlines()
    assert len(lines) >= 4
    assert re.fullmatch(
        r"tracking: \d of 100, 0:00:\d\d, left 0:00:\d\d, a note .* line", lines[-2]
    )
    assert re.fullmatch(r"tracking: 100 of 100, 0:00:\d\d, a note longer than the line", lines[-1])


def wait_for(log, text):
    begun = time.monotonic()
    while log.getvalue() != text:
        assert time.monotonic() - begun < 2, log.getvalue()
        time.sleep(0.001)


def test_quick_work_says_nothing_and_slow_work_does(log):
    with terminal.show_progress("plotting", after=5):
        pass
    assert log.getvalue() == ""
    with terminal.show_progress("plotting", after=0.02):
        time.sleep(0.1)
    assert log.getvalue().splitlines()[0] == "plotting: 0:00:00"


def test_the_log_ends_with_a_fault(log):
    with pytest.raises(ValueError, match="x"), terminal.show_progress("tracking"):
        raise ValueError("x")
    assert log.getvalue().splitlines()[-1].startswith("tracking")


def test_a_command_that_loads_long_says_that_it_starts(log, monkeypatch):
    monkeypatch.setattr(terminal, "_START", 0.02)
    with terminal.say_that_it_starts():
        wait_for(log, "mapose: starting\n")
    with terminal.say_that_it_starts(), terminal.show_progress("tracking"):
        time.sleep(0.2)
    assert log.getvalue().count("starting") == 1


LONG = {
    "import": "import rats --from walk.slp --count 4",
    "train": "train mice --preset small --set network.widths=[8,8,8] --set network.depths=[0,0,0] "
    "--set train.steps=2 --set train.batch=2 --set train.view=64",
    "analyze": "analyze model walk.mp4 -o results",
    "track": "track walk.mapose.h5 --animals 2",
    "render": "render walk.mp4 walk.mapose.h5",
    "triangulate": "triangulate cam1=v0.mapose.h5 cam2=v1.mapose.h5 --calibration rig.toml",
    "run": "run trip",
    "propose": "propose mice walk:7 walk:9 --model old",
    "extract": "extract mice --method random --count 2",
    "refine": "refine mice walk.mapose.h5 --count 2",
    "rehearse": "live --rehearse --model model --source short.mp4",
    "video": "video walk.mp4 --stop 10",
    "swaps": "swaps walk.mapose.h5 --pictures doubtful",
}


@pytest.mark.parametrize("command", LONG)
def test_every_long_command_shows_progress_in_a_file(place, log, command):
    """The work of each is told at once, long before its first result, and at its end."""
    one, two = CameraGroup.load(place / "rig.toml").names
    words = LONG[command].replace("cam1", one).replace("cam2", two)
    result = CliRunner().invoke(app, words.split())
    # Two steps of training find nothing, which is no success.
    codes = (0, 1) if command == "train" else (0,)
    assert result.exit_code in codes, result.output or result.exception
    lines = log.getvalue().splitlines()
    assert re.search(r"\d:\d\d:\d\d", lines[0]) and len(lines) >= 2
    assert re.search(r"\d+ of \d+, ", lines[-1]), lines
