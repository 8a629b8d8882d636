"""Two people label copies of one project, or projects of their own; both come together."""

import shutil

import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.io import VideoWriter
from mapose.project.crops import load_crops, set_crop
from mapose.project.merging import merge_projects
from mapose.project.project import Project
from mapose.skeleton import Skeleton


@pytest.fixture
def both(mice, tmp_path):
    mice = mice.set_points("film", 1, {"snout": (1, 1), "earL": (2, 2)}, individual="ann")
    shutil.copytree(mice.path, tmp_path / "copy")
    return mice, Project.load(tmp_path / "copy")


def get(project, frame, individual, keypoint):
    marks = project.read_state().marks
    return marks.get(("film", f"frame{frame:06d}.png"), {}).get((individual, keypoint))


def test_what_two_have_labelled_comes_together_as_one_change(both):
    mine, theirs = both
    mine = mine.set_points("film", 2, {"snout": (5, 5)}, individual="ann")
    theirs = theirs.set_points("film", 2, {"earR": (6, 6)}, individual="ann")
    theirs = theirs.add_frames("film", [20]).set_points("film", 20, {"snout": (9, 9)},
                                                        individual="bob")  # fmt: skip
    theirs = theirs.add_keypoint("tail").add_edge("snout", "tail")
    theirs.set_points("film", 20, {"tail": (8, 8)}, individual="bob")
    merged, report = merge_projects(mine.path, theirs.path)
    assert report.merged and (report.frames, report.points, report.same) == (1, 3, 2)
    assert report.conflicts == [] and "new keypoints: tail" in str(report)
    assert get(merged, 2, "ann", "snout")[:2] == (5, 5)
    assert get(merged, 2, "ann", "earR")[:2] == (6, 6)
    assert get(merged, 20, "bob", "tail")[:2] == (8, 8)
    assert merged.skeleton.edges[-1] == ("snout", "tail")
    assert (
        len(Project.load(merged.path).load_labels(unmarked=True)) == 4
    )  # with the picture of frame 20
    assert merged.history()[-1].what == "merge of copy"
    back = merged.undo()
    assert get(back, 2, "ann", "earR") is None and len(back.read_state().frames) == 3


def test_conflicts_are_shown_and_never_resolved_by_themselves(both):
    mine, theirs = both
    mine = mine.set_points("film", 1, {"snout": (3, 3)}, individual="ann")
    theirs = theirs.set_points("film", 1, {"snout": (7, 7)}, individual="ann")
    theirs = theirs.set_state("film", 1, ["earL"], "absent", individual="ann")
    theirs.set_points("film", 3, {"snout": (4, 4)}, individual="bob")
    before = mine.read_state().copy()
    same, report = merge_projects(mine.path, theirs.path)
    assert not report.merged and same.read_state() == before
    assert [str(c) for c in report.conflicts] == [
        "film/frame000001.png: snout of ann: mine 3.0, 3.0 (visible), theirs 7.0, 7.0 (visible)",
        "film/frame000001.png: earL of ann: mine 2.0, 2.0 (visible), theirs absent",
    ]
    kept, report = merge_projects(mine.path, theirs.path, prefer="mine")
    assert report.merged and get(kept, 1, "ann", "snout")[:2] == (3, 3)
    assert get(kept, 3, "bob", "snout")[:2] == (4, 4)
    taken, report = merge_projects(mine.path, theirs.path, prefer="theirs")
    assert get(taken, 1, "ann", "snout")[:2] == (7, 7)
    assert get(taken, 1, "ann", "earL")[2] == "absent"
    with pytest.raises(SettingsError, match="did you mean 'theirs'"):
        merge_projects(mine.path, theirs.path, prefer="their")
    with pytest.raises(SettingsError, match="same project"):
        merge_projects(mine.path, mine.path)


def test_recordings_are_the_same_by_content_and_others_are_told_apart(both, tmp_path, film):
    mine, _ = both
    shutil.copy(film, tmp_path / "renamed.mp4")
    (tmp_path / "sub").mkdir()
    with VideoWriter(tmp_path / "sub" / "film.mp4", 25) as writer:  # another one of that name
        for i in range(30):
            writer.write(np.full((48, 64), 240 - 8 * i, np.uint8))
    skeleton = Skeleton(["nose", "earL"])
    videos = [tmp_path / "renamed.mp4", tmp_path / "sub" / "film.mp4"]
    other = Project.create(tmp_path / "other", skeleton, individuals=["ann", "eve"], videos=videos)
    other = other.add_frames("renamed", [1, 2]).add_frames("film", [1])
    other = other.set_points("renamed", 1, {"nose": (1, 1)}, individual="ann")
    other = other.set_points("renamed", 2, {"earL": (2, 9)}, individual="eve")
    other.set_points("film", 1, {"nose": (7, 7)}, individual="ann")
    merged, report = merge_projects(mine.path, other.path, rename={"nose": "snout"})
    assert report.merged and (report.frames, report.points, report.same) == (1, 2, 1)
    assert get(merged, 2, "eve", "earL")[:2] == (2, 9)
    assert merged.individuals == ("ann", "bob", "eve")
    marks = merged.read_state().marks
    assert marks["other-film", "frame000001.png"]["ann", "snout"][:2] == (7, 7)
    assert set(merged.videos) == {"film", "other-film"}
    assert merged.find_video("other-film").samefile(tmp_path / "sub" / "film.mp4")


def test_sessions_come_along(both, tmp_path, film):
    mine, theirs = both
    with VideoWriter(tmp_path / "side.mp4", 25) as writer:
        for i in range(30):
            writer.write(np.full((48, 64), 3 * i, np.uint8))
    theirs.add_session("monday", {"top": "film", "side": tmp_path / "side.mp4"})
    merged, _ = merge_projects(mine.path, theirs.path)
    assert merged.sessions == {"monday": {"top": "film", "side": "side"}}
    assert "left out" not in str(merge_projects(mine.path, theirs.path)[1])
    theirs.add_session("monday", {"under": "film", "side": "side"})
    assert "session monday was left out" in str(merge_projects(mine.path, theirs.path)[1])


def test_animals_without_names_are_matched_by_their_places(tmp_path, film):
    made = []
    for name, order in (("one", (0, 1)), ("two", (1, 0))):
        project = Project.create(
            tmp_path / name, Skeleton(["a", "b"]), individuals=2, videos=[film]
        )
        project = project.add_frames("film", [4])
        for slot, animal in enumerate(order):
            x = 10 + 30 * animal
            points = {"a": (x, 10.0), "b": (x + 8, 14.0)}
            if name == "two":
                points = {"a": (x, 10.0)} if animal else {"a": (x, 10.0), "b": (x + 9, 14.0)}
            project = project.set_points("film", 4, points, individual=f"animal{slot}")
        made.append(project)
    _, report = merge_projects(made[0].path, made[1].path)
    assert report.same == 2 and len(report.conflicts) == 1
    assert report.conflicts[0].individual == "animal0" and report.conflicts[0].keypoint == "b"


def test_crops_come_along(both):
    mine, theirs = both
    set_crop(theirs, "film", crop=(0, 0, 32, 24))
    merge_projects(mine.path, theirs.path)
    assert load_crops(mine) == {"film": (0, 0, 32, 24)}
    set_crop(theirs, "film", crop=(8, 8, 32, 24))
    _, report = merge_projects(mine.path, theirs.path)
    assert load_crops(mine) == {"film": (0, 0, 32, 24)}
    assert "film has another crop there: the one here stays" in report.told
