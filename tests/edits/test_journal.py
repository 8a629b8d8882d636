"""The list of edits as a file: what a person or a spreadsheet may do to it."""

from dataclasses import replace

import pytest

from mapose.edits import Edit, Sighting, find_edits_path, load_edits, save_edits
from mapose.errors import FormatError

HEAD = "frame,kind,first,second,first_before,second_before,first_after,second_after\n"
EDITS = [
    Edit(
        300,
        ("Zoë, the old one", "bob"),
        "swap",
        (
            (Sighting(287, (412.5, 96.25)), Sighting(280, (4.0, -9.0))),
            (Sighting(287, (530.0, 1.0)),),
        ),
        ((Sighting(311, (380.0, 99.0)),), ()),
    ),
    Edit(20, ("track0", 'Anna "B"'), "name", after=((Sighting(20, (1.0, 2.0, 3.0)),), ())),
    Edit(500, ("a", "b"), "keep"),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "monday.edits.csv"


def test_what_is_saved_is_loaded_in_the_same_order(path):
    save_edits(EDITS, path)
    assert load_edits(path) == EDITS
    text = path.read_bytes().decode("utf-8")
    assert text.startswith(HEAD.rstrip("\n") + ",recording\n") and "\r" not in text
    assert "287 412.50 96.25 | 280 4.00 -9.00" in text
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_persons_own_columns_stay(path):
    save_edits(EDITS, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    noted = [lines[0] + ",who,sure", lines[1] + ',"Eva, Jo",yes', *(n + ",," for n in lines[2:])]
    path.write_text("\n".join(noted), encoding="utf-8")
    read = load_edits(path)
    assert read == EDITS and dict(read[0].notes) == {"who": "Eva, Jo", "sure": "yes"}
    save_edits([*read, replace(EDITS[2], frame=600)], path)
    again = load_edits(path)
    assert dict(again[0].notes) == {"who": "Eva, Jo", "sure": "yes"}
    assert [e.frame for e in again] == [300, 20, 500, 600] and not any(again[3].notes.values())


def test_the_list_lies_beside_the_result(tmp_path):
    assert find_edits_path(tmp_path / "a.b.mapose.h5") == tmp_path / "a.b.edits.csv"


@pytest.mark.parametrize("text", [None, "", "\n\n", "\ufeff", HEAD, "\ufeff" + HEAD])
def test_no_file_and_an_empty_one_are_no_edits(path, text):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert load_edits(path) == []


def test_spreadsheets_may_have_been_at_it(path):
    save_edits(EDITS[2:], path)
    text = path.read_text(encoding="utf-8").replace(",", ";").replace("\n", "\r\n")
    path.write_bytes(("\ufeff" + text + ";;;;;;;\r\n").encode())
    assert load_edits(path) == EDITS[2:]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD.replace(",second,", ","), "no column second, only frame, kind, first,"),
        ("a\n1\n", "no column frame, kind"),
        (HEAD + "x,swap,a,b,,,,\n", "line 2: wanted the number of a frame, came 'x'"),
        (HEAD + "1,swop,a,b,,,,\n", "line 2: edit: no kind 'swop': did you mean 'swap'?"),
        (HEAD + "1,swap,a,a,,,,\n", "two different names"),
        (HEAD + "1,swap,a,,,,,\n", "two different names"),
        (HEAD + "1,swap,a,b,,,\n", "line 2: wanted 8 fields, came 7"),
        (HEAD + "1,swap,a,b,7 1,,,\n", "wanted a place as 'frame x y', came '7 1'"),
        (HEAD + "1,swap,a,b,7 1 nan,,,\n", "came '7 1 nan'"),
        (HEAD + "1,swap,a,b,here,,,\n", "came 'here'"),
        (HEAD + "1,swap,a,b,,7 1 2 |,,\n", "came ''"),
        (HEAD + "1,keep,a,b,,,,\nz,keep,a,b,,,,\n1,up,a,b,,,,\n", "line 3: .*; line 4: "),
    ],
)
def test_faults_are_told_all_at_once(path, text, words):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=words) as error:
        load_edits(path)
    assert str(path) in str(error.value)


def test_another_kind_of_file_is_refused(path):
    path.write_bytes(b"\x89HDF\xff\xfe\x00")
    with pytest.raises(FormatError, match="utf-8"):
        load_edits(path)
