"""Steps are done once, and again only if what they depend on has changed."""

import shutil

import pytest

from mapose.cluster.steps import LEDGER, Step, fingerprint_file, list_reasons, run_steps
from mapose.edits import Edit, find_edits_path, save_edits
from mapose.errors import FormatError, MaposeError


class Killed(BaseException):
    """Stands for a kill: nothing is tidied up after it."""


def make_steps(folder, *, factor=2, die=False):
    """Two numbers -> doubled -> their sum."""

    def double(force, tell):
        for name in "ab":
            if die and name == "b":
                raise Killed
            place = folder / f"{name}2"
            if place.exists() and not force:
                raise MaposeError(f"{place.name} is somebody else's")
            place.write_text(str(factor * int((folder / name).read_text())))
        tell(2, 2)

    def add(force, tell):
        numbers = [int((folder / f"{name}2").read_text()) for name in "ab"]
        (folder / "sum").write_text(str(sum(numbers)))

    a, b, a2, b2, total = (folder / name for name in ("a", "b", "a2", "b2", "sum"))
    return [
        Step("double", (a, b), (a2, b2), {"factor": factor}, double),
        Step("add", (a2, b2), (total,), {}, add),
    ]


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "session"
    place.mkdir()
    (place / "a").write_text("1")
    (place / "b").write_text("2")
    return place


def tell_reasons(folder, **options):
    return {step.name: why for step, why in list_reasons(folder, make_steps(folder, **options))}


def test_only_what_depends_on_a_change_is_done_again(folder):
    told = []
    done = run_steps(folder, make_steps(folder), on_progress=lambda *t: told.append(t))
    assert done == ["double", "add"] and ("double", 2, 2) in told
    assert (folder / "sum").read_text() == "6"
    assert run_steps(folder, make_steps(folder)) == []
    assert tell_reasons(folder, factor=3) == {
        "double": "its settings have changed", "add": "a2 is made anew"
    }  # fmt: skip
    assert run_steps(folder, make_steps(folder, factor=3)) == ["double", "add"]
    (folder / "b").write_text("7")
    assert tell_reasons(folder, factor=3)["double"] == "b has changed"
    assert run_steps(folder, make_steps(folder, factor=3)) == ["double", "add"]
    (folder / "sum").unlink()
    assert tell_reasons(folder, factor=3) == {"double": "", "add": "sum is not there"}
    assert run_steps(folder, make_steps(folder, factor=3)) == ["add"]
    assert (folder / "sum").read_text() == "24"


def test_what_comes_out_the_same_makes_nothing_else_anew(folder):
    run_steps(folder, make_steps(folder))
    (folder / "a").write_text("01")  # other bytes, the same number
    assert run_steps(folder, make_steps(folder)) == ["double"]


def test_a_step_that_was_killed_is_done_again(folder):
    run_steps(folder, make_steps(folder))
    (folder / "a").write_text("5")
    with pytest.raises(Killed):
        run_steps(folder, make_steps(folder, die=True))
    assert (folder / "a2").read_text() == "10" and (folder / "b2").read_text() == "4"
    assert tell_reasons(folder)["double"] == "was not finished"
    assert run_steps(folder, make_steps(folder)) == ["double", "add"]
    assert (folder / "sum").read_text() == "14"


def test_what_somebody_else_has_made_is_not_replaced(folder):
    (folder / "a2").write_text("mine")
    with pytest.raises(MaposeError, match=r"double: a2 is somebody else's"):
        run_steps(folder, make_steps(folder))
    (folder / "a2").unlink()
    run_steps(folder, make_steps(folder))
    (folder / "a2").write_text("9")  # by hand: it counts, and is not lost
    assert run_steps(folder, make_steps(folder)) == ["add"]
    assert (folder / "sum").read_text() == "13"
    with pytest.raises(MaposeError, match="somebody else's"):
        run_steps(folder, make_steps(folder, factor=5))
    assert (folder / "a2").read_text() == "9"


def test_a_folder_that_is_moved_is_still_done(folder, tmp_path):
    run_steps(folder, make_steps(folder))
    moved = tmp_path / "archive" / "monday"
    shutil.copytree(folder, moved)
    assert run_steps(moved, make_steps(moved)) == []


def test_a_ledger_that_is_none_is_told(folder):
    for text in ("[1]", '{"a": 1}', '{"analyze": {"inputs": [1]}}', '{"a": {"outputs": null}}'):
        (folder / LEDGER).write_text(text)
        with pytest.raises(FormatError, match="delete it"):
            run_steps(folder, make_steps(folder))


def test_edits_belong_to_a_result(tmp_path):
    result = tmp_path / "walk.mapose.h5"
    result.write_bytes(b"poses")
    before = fingerprint_file(result)
    save_edits([Edit(10, ("x", "y"), "swap")], find_edits_path(result))
    assert fingerprint_file(result) != before
    assert fingerprint_file(tmp_path / "gone") == ""
