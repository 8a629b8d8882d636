"""What a long command shows while it runs, where its output is a file."""

import io
import re
import time

import pytest
from rich.console import Console

from mapose.cli import terminal


@pytest.fixture
def log(monkeypatch):
    """Standard error as a file; lines of the log follow quickly."""
    file = io.StringIO()
    monkeypatch.setattr(terminal, "errors", Console(file=file, width=60))
    monkeypatch.setattr(terminal, "_EVERY", 0.05)
    return file


def test_a_log_has_lines_at_once_every_so_often_and_at_the_end(log):
    with terminal.show_progress("tracking") as (progress, task):
        assert log.getvalue() == "tracking: 0:00:00\n"
        for done in range(1, 5):
            progress.update(task, completed=done, total=100, note="a note longer than the line")
            time.sleep(0.1)
        progress.update(task, completed=100)
    lines = log.getvalue().splitlines()
    assert 4 <= len(lines) <= 12
    assert re.fullmatch(r"tracking: 4 of 100, 0:00:00, left 0:00:\d\d, a note .* line", lines[-2])
    assert lines[-1] == "tracking: 100 of 100, 0:00:00, a note longer than the line"


def test_the_log_ends_with_a_fault(log):
    with pytest.raises(ValueError, match="x"), terminal.show_progress("tracking"):
        raise ValueError("x")
    assert log.getvalue().splitlines()[-1].startswith("tracking")


def test_a_command_that_loads_long_says_that_it_starts(log, monkeypatch):
    monkeypatch.setattr(terminal, "_START", 0.02)
    with terminal.say_that_it_starts():
        time.sleep(0.2)
        assert log.getvalue() == "mapose: starting\n"
    with terminal.say_that_it_starts(), terminal.show_progress("tracking"):
        time.sleep(0.2)
    assert log.getvalue().count("starting") == 1
