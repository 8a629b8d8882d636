"""Mistakes that were not told, or too late, until somebody made them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import MaposeError

MISTAKES = {
    "analyze walk.mp4 model": "walk.mp4 is a file: wanted a project, a model folder or zoo:NAME",
    "analyze model short.mp4 --device cud": "--device: wanted cpu, cuda or mps, .* came 'cud'",
    "track walk.mapose.h5 --gallery gone": "no file gone in",
    "render walk.mp4 walk.mapose.h5 --start 20 --stop 10": "within its 60 frames, came 20-10",
    "render walk.mp4 walk.mapose.h5 --start 900": "within its 60 frames, came 900-",
    "plot gone": "there is no gone: known: .* and 2 more",
    "export gone --to csv": "there is no gone",
    "propose mice walk": "wanted VIDEO:NUMBER, such as walk:120, came 'walk'",
    "propose mice wlk:3": "no 'wlk:3' here: of the videos, did you mean 'walk'",
    "relink walk.mp4 trip": "walk.mp4: not a project",
    "app --root gone": "--root: wanted a folder, gone is none",
    "info notes.mapose.h5": "is not a result of mapose .* another file has got its name",
    "train mice --set train.steps=abc": "train.steps: wanted a valid integer.* came 'abc'",
    "train mice --set train.batch=-1": "train.batch: wanted greater .* came -1",
    "run twice": "'model' stands twice, in lines 1 and 3",
    "run half": "'model' is wanted and not there",
    "add mice notes.mp4": r"FFmpeg can read, or a damaged one \(Invalid data .*\): name a video",
    "edit walk.mapose.h5 move x --frame 20": "move wants --keypoint and its place, --to X,Y",
}
SESSIONS = {"twice": "model: a\nindividuals: 2\nmodel: b\n", "half": "individuals: 2\n"}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_told_and_nothing_is_made_or_changed(place, words):
    for name, text in SESSIONS.items():
        (place / name).mkdir()
        (place / name / "session.yaml").write_text(text, encoding="utf-8")
        (place / name / "m.mp4").write_bytes((place / "short.mp4").read_bytes())
    for name in ("notes.mapose.h5", "notes.mp4"):
        (place / name).write_text("call Anna", encoding="utf-8")
    before = read_all(place)
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 1 and isinstance(result.exception, MaposeError), result.output
    assert re.search(MISTAKES[words], str(result.exception)), result.exception
    assert read_all(place) == before


def read_all(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
