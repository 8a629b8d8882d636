"""Labels changed, taken back and restored; what is acknowledged stays, whatever happens."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from mapose.errors import FormatError, MaposeError, SettingsError, ShapeError
from mapose.io import load_labels
from mapose.labels import ABSENT, OCCLUDED, ORIGINS, VISIBLE
from mapose.project.changes import LabelState, apply_steps
from mapose.project.history import ConflictError
from mapose.project.journal import Journal
from mapose.project.project import Project


def read_table(project):
    return (project.path / "labels/film/labels.csv").read_text(encoding="utf-8")


def find_point(project, row, individual, keypoint):
    labels = project.load_labels(unmarked=True)
    place = row, labels.individuals.index(individual), labels.skeleton.index(keypoint)
    point = labels.points[place].tolist()
    return point, int(labels.states[place]), ORIGINS[labels.origins[place]]


def replay(project, number):
    """Replay the journal plainly, line by line."""
    state = LabelState()
    lines = (project.path / "labels/journal.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines[:number]:
        apply_steps(state, json.loads(line)["steps"])
    return state


def test_points_keep_their_place_state_and_origin(mice):
    mice = mice.set_points("film", 2, {"snout": (10.12345, 20), "earL": (1, 2)}, individual="ann",
                           occluded=["earL"])  # fmt: skip
    mice = mice.set_state("film", 2, ["earR"], "absent", individual="ann")
    mice = mice.set_points("film", 2, {"snout": (5, 5)}, individual="bob", origin="model")
    again = Project.load(mice.path)
    for project in (mice, again):
        assert find_point(project, 1, "ann", "snout") == (
            [pytest.approx(10.123), 20], VISIBLE, "person")  # fmt: skip
        assert find_point(project, 1, "ann", "earL") == ([1, 2], OCCLUDED, "person")
        assert find_point(project, 1, "ann", "earR")[1:] == (ABSENT, "person")
        assert find_point(project, 1, "bob", "snout") == ([5, 5], VISIBLE, "model")
    assert "frame000002.png,2,ann,earL,1.000,2.000,occluded,person" in read_table(mice)
    assert "frame000002.png,2,ann,earR,,,absent,person" in read_table(mice)
    mice = mice.set_state("film", 2, ["earL"], "visible", individual="ann")
    mice = mice.clear_points("film", 2, keypoints=["snout"], individual="ann")
    assert find_point(mice, 1, "ann", "earL") == ([1, 2], VISIBLE, "person")
    assert find_point(mice, 1, "ann", "snout")[1] == 0
    from_table = load_labels(mice.path / "labels", mice.skeleton)
    labels = mice.load_labels(unmarked=True)
    np.testing.assert_array_equal(from_table.points, labels.points)
    np.testing.assert_array_equal(from_table.states, labels.states)
    np.testing.assert_array_equal(from_table.origins, labels.origins)


def change_much(project):
    """Make one change of every kind; hand out the project after each."""
    steps = [
        lambda p: p.set_points("film", 1, {"snout": (1, 2), "earL": (3, 4)}, individual="ann"),
        lambda p: p.set_points("film", 1, {"snout": (7, 8)}, individual="ann"),
        lambda p: p.set_state("film", 1, ["earR"], "absent", individual="bob"),
        lambda p: p.set_state("film", 1, ["snout"], "occluded", individual="ann"),
        lambda p: p.add_keypoint("tail", after="snout"),
        lambda p: p.set_points("film", 2, {"tail": (9, 9)}, individual="bob"),
        lambda p: p.add_edge("snout", "tail"),
        lambda p: p.rename_keypoint("snout", "nose"),
        lambda p: p.remove_mirror("earL", "earR"),
        lambda p: p.rename_individual("bob", "carl"),
        lambda p: p.add_frames("film", [9, 10]),
        lambda p: p.set_points("film", 9, {"nose": (3, 3)}, individual="carl"),
        lambda p: p.rename_frame("film", 9, "nine.png"),
        lambda p: p.remove_frames("film", [1]),
        lambda p: p.remove_keypoint("tail"),
        lambda p: p.add_mirror("earR", "earL"),
        lambda p: p.remove_edge("nose", "earL"),
        lambda p: p.add_individual("dora"),
        lambda p: p.set_points("film", 2, {"nose": (4, 4)}, individual="dora"),
        lambda p: p.remove_individual("carl"),
        lambda p: p.clear_points("film", 2, individual="dora"),
    ]  # fmt: skip
    for step in steps:
        project = step(project)
        yield project


def show(project):
    """All that a change can alter, as files have it."""
    state = project._past.read()
    again = Project.load(project.path)
    assert again._past.read() == state
    assert (again.skeleton, again.individuals) == (project.skeleton, project.individuals)
    assert again.skeleton.to_dict() == state.skeleton
    return state.copy(), again.skeleton, again.individuals


def test_every_change_is_taken_back_made_again_and_restored(mice):
    start = mice._past.number
    seen = {start: show(mice)} | {p._past.number: show(p) for p in change_much(mice)}
    numbers = sorted(seen)
    assert numbers == list(range(start, start + 22))
    last = numbers[-1]
    for number in numbers:
        assert replay(mice, number) == seen[number][0]
    project = Project.load(mice.path)
    for number in reversed(numbers[:-1]):
        project = project.undo()
        assert show(project) == seen[number]
    for number in numbers[1:]:
        project = project.redo()
        assert show(project) == seen[number]
    with pytest.raises(SettingsError, match="nothing to redo"):
        project.redo()
    for number in (numbers[3], numbers[-1], numbers[8], numbers[0]):
        project = project.restore(number)
        assert show(project) == seen[number]
    project = project.undo().undo().undo()
    assert show(project) == seen[numbers[3]]
    for _ in range(last - start + 2):  # the changes, the frames taken in, and the restoring
        project = project.undo()
    with pytest.raises(SettingsError, match="nothing to undo"):
        project.undo()
    assert [e.number for e in project.history()] == list(range(1, project._past.number + 1))


def test_what_was_taken_back_is_no_longer_there_to_redo_after_a_change(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann").undo()
    mice = mice.set_points("film", 1, {"snout": (2, 2)}, individual="ann")
    with pytest.raises(SettingsError, match="nothing to redo"):
        mice.redo()
    mice = mice.undo()
    assert find_point(mice, 0, "ann", "snout")[1] == 0


def test_history_says_who_did_what_and_when(mice, monkeypatch):
    monkeypatch.setattr("mapose.project.history._find_user", lambda: "zoe")
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann").undo()
    *_, one, two = mice.history(2)
    assert (one.who, one.what) == ("zoe", "set snout of ann in film:1")
    assert two.what == "undo: set snout of ann in film:1" and two.number == one.number + 1
    assert one.when.endswith("Z") and len(mice.history(1)) == 1
    assert mice.restore(one.number)._past.number == two.number + 1
    assert mice._past.find_number("2200-01-01") == two.number + 1
    assert mice._past.find_number(one.when) >= one.number
    with pytest.raises(SettingsError, match="from 1 to"):
        mice.restore(99)
    with pytest.raises(SettingsError, match="begins after"):
        mice.restore("1999-01-01")


def test_unusable_changes_are_refused_and_leave_nothing(mice):
    before = (mice.path / "labels/journal.jsonl").read_bytes()
    for error, change, told in [
        (ShapeError, lambda: mice.set_points("film", 1, {"snoot": (1, 1)}, individual="ann"),
         "did you mean 'snout'"),
        (SettingsError, lambda: mice.set_points("film", 1, {"snout": (1, 1)}), "wanted one of ann"),
        (SettingsError, lambda: mice.set_points("film", 7, {"snout": (1, 1)}, individual="ann"),
         "add_frames"),
        (SettingsError, lambda: mice.set_points("flim", 1, {"snout": (1, 1)}, individual="ann"),
         "did you mean 'film'"),
        (SettingsError,
         lambda: mice.set_points("film", 1, {"snout": (np.nan, 1)}, individual="ann"), "finite"),
        (SettingsError, lambda: mice.set_state("film", 1, ["snout"], "occluded", individual="ann"),
         "has no place"),
        (ShapeError, lambda: mice.rename_keypoint("snout", "earL"), "repeated"),
        (SettingsError, lambda: mice.rename_individual("ann", "bob"), "new name"),
        (SettingsError, lambda: mice.remove_edge("earL", "earR"), "there is no"),
        (SettingsError, lambda: mice.add_individual(), "give one"),
    ]:  # fmt: skip
        with pytest.raises(error, match=told):
            change()
    assert (mice.path / "labels/journal.jsonl").read_bytes() == before


def test_a_half_written_last_line_counts_for_nothing(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    journal = mice.path / "labels/journal.jsonl"
    whole = journal.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in (1, len(last) // 2, len(last) - 1):
        journal.write_bytes(whole + last.replace(b'"number":3', b'"number":4')[:cut])
        again = Project.load(mice.path)
        assert find_point(again, 0, "ann", "snout")[0] == [1, 1] and again._past.number == 3
        again = again.set_points("film", 1, {"snout": (2, 2)}, individual="ann").undo()
        lines = journal.read_bytes().splitlines()
        assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5]


def test_a_damaged_line_in_the_middle_is_told(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    journal = mice.path / "labels/journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"number":2', b'"nu'))
    with pytest.raises(FormatError, match=r"at byte .* put back a copy"):
        Project.load(mice.path).load_labels()


@pytest.mark.parametrize("moment", ["Tables.write", "save_labels", "save_description",
                                    "write_atomically"])  # fmt: skip
def test_tables_follow_the_journal_after_a_kill(mice, monkeypatch, moment):
    """Whatever is written after the journal was, or was not: the change is there."""
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")

    class Kill(BaseException):
        pass

    def kill(*_):
        raise Kill

    with monkeypatch.context() as patch, pytest.raises(Kill):
        patch.setattr(f"mapose.project.tables.{moment}", kill)
        mice.rename_keypoint("snout", "nose")
    again = Project.load(mice.path)
    assert again.skeleton.keypoints[0] == "nose" and "nose" in read_table(again)
    assert "snout" not in read_table(again)
    assert find_point(again, 0, "ann", "nose")[0] == [1, 1]
    assert again.history()[-1].what == "rename keypoint snout to nose"  # nothing by hand
    assert again.undo().skeleton.keypoints[0] == "snout"


def test_what_waits_follows_a_new_name_after_a_kill(mice, monkeypatch):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    waiting = mice.path / "labels/film/proposals.csv"
    waiting.write_text("image,frame,individual,keypoint,x,y\na.png,3,ann,snout,1,2\n")

    class Kill(BaseException):
        pass

    def kill(*_):
        raise Kill

    for moment in ("history.rename_waiting", "tables.write_atomically"):
        with monkeypatch.context() as patch, pytest.raises(Kill):
            patch.setattr(f"mapose.project.{moment}", kill)
            mice.rename_keypoint("snout", "nose")
        again = Project.load(mice.path)
        assert "nose,1,2" in waiting.read_text()
        mice = again.undo()
        assert "snout,1,2" in waiting.read_text()
    waiting.write_bytes(b"\xff\xfe,")  # damaged: told, and in nobody's way
    assert mice.rename_keypoint("snout", "nose").skeleton.keypoints[0] == "nose"


def test_what_a_person_edits_is_taken_up_as_a_change(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    table = mice.path / "labels/film/labels.csv"
    table.write_text(read_table(mice).replace("1.000,1.000", "30,31.5"), encoding="utf-8")
    again = Project.load(mice.path)
    assert find_point(again, 0, "ann", "snout")[0] == [30, 31.5]
    assert again.history()[-1].what == "edited by hand"
    assert find_point(again.undo(), 0, "ann", "snout")[0] == [1, 1]
    assert "1.000,1.000" in read_table(again)
    shutil.rmtree(table.parent)
    with pytest.raises(FormatError, match="no labels"):
        Project.load(mice.path).load_labels()


def test_a_keypoint_added_by_hand_is_taken_up_and_a_lost_one_is_told(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    file = mice.path / "mapose.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("earR]", "earR, tail]", 1), encoding="utf-8")
    again = Project.load(mice.path)
    assert again.skeleton.keypoints[-1] == "tail"
    assert len(again.load_labels().skeleton.keypoints) == 4
    file.write_text(text.replace("snout", "nose"), encoding="utf-8")
    with pytest.raises(FormatError, match=r"no keypoint 'snout'.*mapose skeleton"):
        Project.load(mice.path).load_labels()


def test_what_a_person_edits_after_a_kill_is_added_to_what_was_acknowledged(mice, monkeypatch):
    mice = mice.set_points("film", 1, {"snout": (1, 1), "earL": (2, 2)}, individual="ann")
    with monkeypatch.context() as patch:
        patch.setattr("mapose.project.tables.Tables.write", lambda *_: None)
        mice.set_points("film", 1, {"earL": (5, 5)}, individual="ann")
    table = mice.path / "labels/film/labels.csv"
    table.write_text(read_table(mice).replace("1.000,1.000", "30,31"), encoding="utf-8")
    again = Project.load(mice.path)
    assert find_point(again, 0, "ann", "snout")[0] == [30, 31]
    assert find_point(again, 0, "ann", "earL")[0] == [5, 5]


def test_two_who_change_one_frame_keep_both_or_are_told(mice):
    one, two = Project.load(mice.path), Project.load(mice.path)
    one.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    two.set_points("film", 1, {"earL": (2, 2)}, individual="ann")
    assert find_point(one, 0, "ann", "snout")[0] == [1, 1]
    assert find_point(one, 0, "ann", "earL")[0] == [2, 2]
    one.set_points("film", 1, {"earL": (3, 3)}, individual="ann")
    with pytest.raises(ConflictError, match=r"earL of ann .* was put at 3.0, 3.0.*change 5"):
        two.set_points("film", 1, {"earL": (4, 4)}, individual="ann")
    two.set_points("film", 1, {"earL": (4, 4)}, individual="ann")  # now it was looked at
    assert find_point(one, 0, "ann", "earL")[0] == [4, 4]
    with pytest.raises(ConflictError, match=r"made by others .* then undo again"):
        one.set_points("film", 1, {"snout": (5, 5)}, individual="bob")
        two.undo()
    two = two.undo()  # what the other one has done, and both have seen
    assert find_point(two, 0, "bob", "snout")[1] == 0
    one.remove_keypoint("earR")
    with pytest.raises(ShapeError, match="earR"):
        two.set_points("film", 1, {"earR": (4, 4)}, individual="ann")


def test_two_who_label_one_animal_are_told_as_well(mice, tmp_path, film):
    made = Project.create(tmp_path / "alone", mice.skeleton, individuals=["eve"], videos=[film])
    made.add_frames("film", [1])
    one, two = Project.load(made.path), Project.load(made.path)
    one = one.set_points("film", 1, {"snout": (1, 1)})
    assert one.history()[-1].what == "set snout of eve in film:1"
    with pytest.raises(ConflictError, match="snout of eve"):
        two.set_points("film", 1, {"snout": (2, 2)})


def test_snapshots_give_what_the_whole_journal_gives(mice, monkeypatch):
    monkeypatch.setattr("mapose.project.history._MOST_ENTRIES", 4)
    monkeypatch.setattr("mapose.project.history._BLOCK", 3)
    seen = {p._past.number: show(p) for p in change_much(mice)}
    snapshot = mice.path / "labels/journal.snapshot.json"
    assert json.loads(snapshot.read_text(encoding="utf-8"))["number"] >= 18
    again = Project.load(mice.path)
    for number in seen:
        assert again._past.get_state(number) == seen[number][0]
    snapshot.write_text("damaged", encoding="utf-8")
    assert show(Project.load(mice.path)) == seen[max(seen)]
    snapshot.unlink()
    assert show(Project.load(mice.path)) == seen[max(seen)]


def test_old_projects_begin_their_history_with_what_is_there(mice):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    for file in (mice.path / "labels").glob("journal.*"):
        file.unlink()
    table = read_table(mice).replace(",origin", "").replace(",person", "")
    (mice.path / "labels/film/labels.csv").write_text(
        "\n".join(line.removesuffix(",") if i else line for i, line in
                  enumerate(table.splitlines())) + "\n", encoding="utf-8")  # fmt: skip
    old = Project.load(mice.path)
    assert find_point(old, 0, "ann", "snout") == ([1, 1], VISIBLE, "")
    assert not list((mice.path / "labels").glob("journal.*"))  # reading writes nothing
    old = old.set_points("film", 1, {"earL": (2, 2)}, individual="ann")
    assert [e.what for e in old.history()] == ["the history begins", "set earL of ann in film:1"]
    assert find_point(old.undo(), 0, "ann", "snout")[0] == [1, 1]
    with pytest.raises(SettingsError, match="nothing to undo"):
        old.undo()


def test_a_full_disk_leaves_all_as_it_was(mice, monkeypatch):
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    before = (mice.path / "labels/journal.jsonl").read_bytes()

    def fail(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(MaposeError, match="full"):
        patch.setattr("mapose.project.journal.os.fsync", fail)
        mice.set_points("film", 1, {"snout": (2, 2)}, individual="ann")
    assert (mice.path / "labels/journal.jsonl").read_bytes() == before
    assert find_point(mice, 0, "ann", "snout")[0] == [1, 1]
    mice.set_points("film", 1, {"snout": (2, 2)}, individual="ann")
    assert find_point(mice, 0, "ann", "snout")[0] == [2, 2]


def test_entries_are_found_by_number_and_time(tmp_path, mice):
    for i in range(30):
        mice = mice.set_points("film", 1, {"snout": (i, i)}, individual="ann")
    journal = Journal(mice.path / "labels/journal.jsonl")
    entries = [entry for entry, _ in journal.read()]
    for entry in entries:
        found = journal.find(entry.number)
        assert found is not None and found[0] == entry
    assert journal.find(0) is None and journal.find(len(entries) + 1) is None
    assert journal.find_last() == entries[-1]


def test_an_older_journal_takes_no_labels_away(mice):
    """Such as one that git has brought back, or whose end a bad disk has lost."""
    journal = mice.path / "labels/journal.jsonl"
    mice = mice.set_points("film", 1, {"snout": (1, 1)}, individual="ann")
    older = journal.read_bytes()
    mice = mice.set_points("film", 1, {"snout": (2, 2), "earR": (5, 5)}, individual="ann")
    mice = mice.add_keypoint("tail").set_points("film", 2, {"tail": (3, 3)}, individual="bob")
    state = mice.read_state().copy()
    journal.write_bytes(older)
    again = Project.load(mice.path)
    assert again.read_state() == state
    assert [entry.what for entry in again.history()][-1] == "edited by hand"
    assert again.skeleton == mice.skeleton


def test_frames_that_nobody_has_labelled_are_no_labels(mice):
    with pytest.raises(FormatError, match="3 frames are to be labelled, none is yet"):
        mice.load_labels()
    mice = mice.set_points("film", 2, {"snout": (1, 1)}, individual="ann")
    for name in ("ann", "bob"):  # no animal there, says a person
        mice = mice.set_state("film", 3, ["snout", "earL", "earR"], "absent", individual=name)
    assert mice.load_labels().frames.tolist() == [2, 3]
    assert mice.load_labels(unmarked=True).frames.tolist() == [1, 2, 3]


# Changes labels for ever, and says the number of each change once it is acknowledged.
WORKER = """
import random, sys
from mapose.project.project import Project
project, rng = Project.load(sys.argv[1]), random.Random(sys.argv[2])
for number in range(10**6):
    part = rng.choice(project.skeleton.keypoints)
    if number % 5 == 4:
        project = project.rename_keypoint(part, f"part{number}-{sys.argv[2]}")
    elif number % 7 == 6:
        project = project.undo()
    else:
        project = project.set_points("film", rng.choice([1, 2, 3]), {part: (rng.random(), 1)},
                                     individual=rng.choice(["ann", "bob"]))
    print(project._past.number, flush=True)
"""


def test_what_a_killed_process_has_acknowledged_is_there(mice):
    for run, count in enumerate((1, 4, 9)):
        words = [sys.executable, "-c", WORKER, str(mice.path), str(run)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            said = [int(process.stdout.readline()) for _ in range(count)]
            process.kill()
            said += [int(line) for line in process.stdout if line.endswith("\n")]
        again = Project.load(mice.path)
        assert again._past.number >= said[-1]
        state = again.read_state()
        assert replay(again, again._past.number) == state
        assert "edited by hand" not in {entry.what for entry in again.history()}
        table = load_labels(mice.path / "labels", again.skeleton)
        labels = again.load_labels(unmarked=True)
        np.testing.assert_array_equal(table.points, labels.points)
        assert again.skeleton.to_dict() == state.skeleton


def test_what_a_person_edits_at_that_very_moment_is_not_overwritten(mice, monkeypatch):
    """A table is saved in an editor after it was looked at, and before it is written."""
    mice = mice.set_points("film", 1, {"snout": (1, 1), "earL": (2, 2)}, individual="ann")
    table, real = mice.path / "labels/film/labels.csv", Journal.append

    def append_late(journal, entry, end):
        table.write_text(read_table(mice).replace("1.000,1.000", "30,31"), encoding="utf-8")
        return real(journal, entry, end)

    with monkeypatch.context() as patch:
        patch.setattr("mapose.project.journal.Journal.append", append_late)
        mice.set_points("film", 1, {"earL": (5, 5)}, individual="ann")
    again = Project.load(mice.path)
    assert find_point(again, 0, "ann", "snout")[0] == [30, 31]
    assert find_point(again, 0, "ann", "earL")[0] == [5, 5]


def test_marks_of_a_frame_are_put_as_one_change(mice):
    """Also of a frame that was not among the labelled ones; without a mark it stays there."""
    seen = mice.version
    mice = mice.put_marks("film", 7, {
        ("ann", "snout"): (3, 4, "visible", "person"),
        ("bob", "earL"): (5, 6, "occluded", "model"),
        ("bob", "earR"): (None, None, "absent", "person"),
    })  # fmt: skip
    assert mice.version == seen + 1
    assert find_point(mice, 3, "ann", "snout") == ([3, 4], VISIBLE, "person")
    assert find_point(mice, 3, "bob", "earL") == ([5, 6], OCCLUDED, "model")
    assert find_point(mice, 3, "bob", "earR")[1] == ABSENT
    assert (mice.path / "labels/film/frame000007.png").is_file()
    mice = mice.put_marks("film", 7, {("ann", "snout"): None})
    assert find_point(mice, 3, "ann", "snout")[1] == 0
    mice = mice.undo().undo()
    assert ("film", "frame000007.png") not in mice.read_state().frames
    for mark in [(1, None, "visible", ""), (1, 2, "gone", ""), (float("nan"), 2, "visible", "")]:
        with pytest.raises(SettingsError, match="ann snout: wanted"):
            mice.put_marks("film", 1, {("ann", "snout"): mark})


def test_who_has_not_seen_a_change_does_not_overwrite_it(mice):
    """One project serves several tabs of a browser: each says what it has seen."""
    seen = mice.version
    mice = mice.put_marks("film", 1, {("ann", "snout"): (3, 4, "visible", "person")}, since=seen)
    with pytest.raises(ConflictError, match="snout of ann"):
        mice.put_marks("film", 1, {("ann", "snout"): (9, 9, "visible", "person")}, since=seen)
    mice = mice.put_marks("film", 1, {("ann", "earL"): (9, 9, "visible", "person")}, since=seen)
    with pytest.raises(ConflictError, match="then undo again"):
        mice.undo(since=seen)
    mice = mice.put_marks(
        "film", 1, {("ann", "snout"): (9, 9, "visible", "person")}, since=mice.version
    )
    assert find_point(mice, 0, "ann", "snout")[0] == [9, 9]


def test_landmarks_and_keypoints_of_bodies_are_not_mixed_up(mice):
    mice = mice.add_keypoint("corner").add_landmark("corner")
    mice = mice.put_marks("film", 1, {("landmarks", "corner"): (3, 4, "visible", "person")})
    for spot in (("ann", "corner"), ("landmarks", "snout")):
        with pytest.raises(SettingsError, match="keypoint of"):
            mice.put_marks("film", 1, {spot: (3, 4, "visible", "person")})
    assert mice.read_state().find_owned("landmarks") == ["corner"]


def make_mark(project, frame, keypoint, x, **seen):
    mark = (float(x), 5.0, "visible", "person")
    return project.put_marks("film", frame, {("ann", keypoint): mark}, **seen)


def test_deferred_tables_are_written_when_they_are_asked_for_or_somebody_looks(mice):
    """The journal has a change at once; the table follows, whoever writes it."""
    mice = make_mark(mice, 1, "snout", 1)
    before = read_table(mice)
    mice.defer_tables()
    mice = make_mark(mice, 1, "earL", 2, since=mice.version)
    mice = make_mark(mice, 2, "snout", 3, since=mice.version)
    assert read_table(mice) == before
    assert len(mice.read_state().marks["film", "frame000001.png"]) == 2
    assert read_table(mice) == before  # looking oneself is no reason
    mice.write_tables()
    both = read_table(mice)
    assert both != before and load_labels(mice.path / "labels", mice.skeleton).points.shape[0] == 3
    mice = make_mark(mice, 3, "snout", 4, since=mice.version)
    assert read_table(mice) == both
    other = Project.load(mice.path)  # as after a kill
    assert read_table(mice) != both and other.read_state().marks == mice.read_state().marks
    mice.write_tables()  # what is owed is there by now
    other = make_mark(other, 3, "earL", 6)
    mice = make_mark(mice, 3, "earR", 7, since=mice.version)
    mice.write_tables()
    state = Project.load(mice.path).read_state()
    assert len(state.marks["film", "frame000003.png"]) == 3
    images = [image for _, image in mice.undo().undo().undo().read_state().marks]
    assert images == ["frame000001.png", "frame000002.png"]


def test_what_a_person_edits_while_tables_are_deferred_is_kept_as_well(mice):
    mice = make_mark(mice, 1, "snout", 1)
    mice.defer_tables()
    mice = make_mark(mice, 2, "snout", 30, since=mice.version)
    file = mice.path / "labels/film/labels.csv"
    text = file.read_text(encoding="utf-8")
    assert text.count("1.000,5.000") == 1
    file.write_text(text.replace("1.000,5.000", "9.000,5.000"), encoding="utf-8")
    mice.write_tables()
    marks = Project.load(mice.path).read_state().marks
    assert marks["film", "frame000001.png"]["ann", "snout"][0] == 9
    assert marks["film", "frame000002.png"]["ann", "snout"][0] == 30
    assert "9.000,5.000" in read_table(mice) and "30.000,5.000" in read_table(mice)
