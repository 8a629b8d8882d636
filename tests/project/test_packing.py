"""A project in one file: whole, with recordings that lay elsewhere, and nothing left behind."""

import zipfile

import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import Video
from mapose.project import Project, zip_project


@pytest.fixture
def labelled(mice):
    return mice.set_points("film", 1, {"snout": (1, 1), "earL": (2, 2)}, individual="ann")


def unpack(archive, folder):
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        file.extractall(folder)
    return Project.load(folder / "mice")


def test_a_project_with_its_recordings_opens_anywhere(labelled, film, tmp_path):
    (labelled.path / "results" / "half.mapose.h5.1-x.tmp").write_text(
        "of a program that was killed"
    )
    place = zip_project(labelled, videos=True)
    assert place == tmp_path / "mice.zip"
    film.unlink()
    again = unpack(place, tmp_path / "elsewhere")
    assert again.read_state() == labelled.read_state()
    assert len(again.history()) == len(labelled.history())
    assert again.recordings == labelled.recordings
    with Video(again.find_video("film")) as video:
        assert len(video) == 30 and video.path.parent == again.path / "videos"
    assert again.undo().read_state() != labelled.read_state()
    assert not list((tmp_path / "elsewhere").rglob("*.tmp"))
    assert not list((tmp_path / "elsewhere").rglob("*.lock"))


def test_recordings_stay_out_unless_wanted(labelled, tmp_path):
    made = CliRunner().invoke(app, ["zip", str(labelled.path), "-o", str(tmp_path / "a.zip")])
    assert made.exit_code == 0 and made.output.strip().endswith("a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        names = file.namelist()
    assert "mice/mapose.yaml" in names and "mice/labels/journal.jsonl" in names
    assert not [name for name in names if name.endswith(".mp4")]
    assert len(names) == len(set(names))
    zip_project(labelled, tmp_path / "a.zip")  # the same again replaces it
    (tmp_path / "b.zip").write_bytes(b"mine")
    with pytest.raises(SettingsError, match="--force"):
        zip_project(labelled, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == b"mine"


def test_what_cannot_be_packed_is_told(labelled, film):
    with pytest.raises(SettingsError, match="lies in the project"):
        zip_project(labelled, labelled.path / "all.zip")
    film.unlink()
    with pytest.raises(SettingsError, match=r"film is not at .*relink"):
        zip_project(labelled, videos=True)
    assert not labelled.path.with_name("mice.zip").exists()
