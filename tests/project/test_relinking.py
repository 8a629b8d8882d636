"""Videos that have moved are found by what is in them; what is deleted is said before."""

import shutil

import numpy as np
import pytest

from mapose.edits import Edit, save_edits
from mapose.errors import FormatError, SettingsError, VideoError
from mapose.io import VideoWriter, save
from mapose.io.recordings import fingerprint
from mapose.poses import Poses
from mapose.project.overview import describe
from mapose.project.project import Project
from mapose.project.relinking import relink_project
from mapose.project.removing import find_removal, remove_parts
from mapose.results.result import Result
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained


def test_recordings_are_found_wherever_they_went_and_whatever_they_are_called(mice, film, tmp_path):
    archive = tmp_path / "archive" / "deep"
    archive.mkdir(parents=True)
    with VideoWriter(archive / "film.mp4", 25) as writer:  # another one of the old name
        writer.write(np.zeros((48, 64), np.uint8))
    with pytest.raises(SettingsError, match="wanted a folder"):
        relink_project(mice.path, tmp_path / "none")
    assert str(relink_project(mice.path, archive)[1]) == "all videos are where they were"
    shutil.move(film, tmp_path / "lost.bin")
    _, report = relink_project(mice.path, tmp_path / "archive")
    assert "another recording" in report.lost["film"] and not report.found
    shutil.move(tmp_path / "lost.bin", archive / "0001.mp4")
    found, report = relink_project(mice.path, tmp_path / "archive")
    assert report.found == {"film": archive / "0001.mp4"} and not report.lost
    assert Project.load(mice.path).find_video("film").samefile(archive / "0001.mp4")
    assert found.add_frames("film", [12]).read_state().frames["film", "frame000012.png"] == 12


def test_old_projects_are_relinked_by_name_and_told(mice, film, tmp_path):
    file = mice.path / "mapose.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("recordings")], encoding="utf-8")
    (tmp_path / "new").mkdir()
    shutil.move(film, tmp_path / "new" / "film.mp4")
    found, report = relink_project(mice.path, tmp_path / "new")
    assert report.by_name == ["film"] and "by its name only" in str(report)
    assert "film" in found.recordings


def test_videos_are_copied_in_where_that_is_wanted(mice, film, tmp_path):
    shutil.copy(film, tmp_path / "more.mp4")
    project = mice.add_videos([tmp_path / "more.mp4"], copy=True)
    assert project.videos["more"].as_posix() == "videos/more.mp4"
    (tmp_path / "more.mp4").unlink()
    assert Project.load(mice.path).find_video("more").is_file()


def test_cameras_of_one_recording_are_one_session(mice, film, tmp_path):
    (tmp_path / "side").mkdir()
    shutil.copy(film, tmp_path / "side" / "film.mp4")
    project = mice.add_session("monday", {"top": film, "side": tmp_path / "side" / "film.mp4"})
    assert project.sessions == {"monday": {"top": "film", "side": "monday-side"}}
    again = Project.load(mice.path)
    assert again.sessions == project.sessions
    assert again.find_video("monday-side").samefile(tmp_path / "side" / "film.mp4")
    assert again.set_points("film", 1, {"snout": (1, 1)}, individual="ann").sessions
    assert describe(mice.path).facts["sessions"] == ["monday: top = film, side = monday-side"]
    with pytest.raises(SettingsError, match="sessions monday and tuesday"):
        again.add_session("tuesday", {"top": "film", "side": "monday-side"})
    with pytest.raises(SettingsError, match="two cameras or more"):
        again.add_session("tuesday", {"top": "film"})
    assert Project.load(mice.path).sessions == project.sessions


@pytest.fixture
def used(mice):
    """A project with a model, a result that it made, and corrections of that."""
    model = make_untrained(lively=True, skeleton=Skeleton(["snout", "earL", "earR"]))
    model.save(mice.path / "models" / "first")
    poses = Poses(np.ones((3, 2, 3, 3), np.float32), mice.skeleton, ["ann", "bob"], rate=25)
    job = {"model": model.hash}
    save(poses, mice.path / "results" / "film.mapose.h5", provenance={"job": job})
    save_edits([Edit(1, ("ann", "bob"))], mice.path / "results" / "film.edits.csv")
    return mice


def test_what_depends_on_what_is_deleted_is_said(used):
    removal = find_removal(used, "first")
    assert "the result film was made with it" in str(removal)
    assert "only model" in str(removal)
    assert (used.path / "models" / "first").is_dir()  # saying is not doing
    of_result = find_removal(used, "film")
    assert "corrections" in str(of_result) and len(of_result.paths) == 2
    with pytest.raises(SettingsError, match="did you mean 'first'"):
        find_removal(used, "frist")
    (used.path / "models" / "film").mkdir()
    with pytest.raises(SettingsError, match="model:film or result:film"):
        find_removal(used, "film")
    assert find_removal(used, "result:film") == of_result
    remove_parts(removal)
    remove_parts(of_result)
    assert not used.list_models() and not any((used.path / "results").iterdir())


def test_an_overview_tells_what_there_is(used, film):
    used = used.set_points("film", 1, {"snout": (1, 2)}, individual="ann")
    used = used.set_state("film", 1, ["earR"], "absent", individual="ann")
    found = describe(used.path).facts
    assert found["videos"] == ["film: 3 labelled frames, ../film.mp4"]
    assert found["marks"] == "16 unmarked, 1 visible, 1 absent"
    assert found["origins"] == "2 person" and found["results"] == ["film"]
    assert "absent: earR of ann" in found["last change"]
    assert describe(film).facts == {"frames": 30, "size": "64 x 48", "rate": 25.0, "seconds": 1.2}
    of_result = describe(used.path / "results" / "film.mapose.h5")
    assert of_result.kind == "poses (mapose)" and of_result.facts["corrections"] == 1
    of_model = describe(used.path / "models" / "first")
    assert of_model.kind == "model" and of_model.facts["keypoints"] == "snout, earL, earR"
    film.unlink()
    assert "mapose relink" in str(describe(used.path))
    with pytest.raises(FormatError, match="there is no"):
        describe(used.path / "nothing")


@pytest.mark.parametrize("made", ["", ".tracked", ".filtered.tracked"])
def test_results_of_a_moved_project_find_the_video_that_it_names(mice, film, tmp_path, made):
    """The path in the result leads nowhere any more; the project knows where the video is."""
    poses = Poses(np.ones((30, 1, 3, 3)), mice.skeleton, ["ann"], rate=25)
    file = mice.path / "results" / f"film{made}.mapose.h5"
    save(poses, file, provenance={"path": "../../film.mp4", "recording": fingerprint(film)})
    assert Result(file).find_video().samefile(film)
    (tmp_path / "far" / "away").mkdir(parents=True)
    shutil.move(mice.path, tmp_path / "far" / "away" / "mice")
    shutil.move(film, tmp_path / "0001.mp4")
    moved = tmp_path / "far" / "away" / "mice"
    result = moved / "results" / file.name
    with pytest.raises(VideoError, match="name it with --video"):
        Result(result).find_video()
    relink_project(moved, tmp_path)
    assert Result(result).find_video().samefile(tmp_path / "0001.mp4")
