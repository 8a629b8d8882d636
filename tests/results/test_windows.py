"""Windows of a result are what the whole result is, edits and all; timelines are its extremes."""

import numpy as np
import pytest

from mapose.doubts import Doubt
from mapose.errors import MaposeError, SettingsError
from mapose.io.store import PosesFile
from mapose.poses import Poses
from mapose.results import correcting
from mapose.results.correcting import add_edit, list_edits, undo_edit
from mapose.results.result import Result, load, save
from mapose.results.timelines import (
    STATISTICS,
    find_cache,
    find_statistic,
    find_statistics,
    load_timelines,
)
from mapose.results.windows import Windows
from mapose.skeleton import Skeleton

DOUBTS = [
    Doubt(45, 55, ("ann", "bob"), 0.3),
    Doubt(245, 255, ("ann", "bob"), 0.2),
    Doubt(150, 158, ("bob", "carl"), 0.1),
]


@pytest.fixture(autouse=True, params=[0, 2000], ids=["in windows", "short"])
def short(request, monkeypatch):
    """Files up to so many rows are read as a whole."""
    monkeypatch.setattr("mapose.results.windows._SHORT", request.param)


@pytest.fixture
def file(tmp_path):
    """Three animals of which two pass each other; one is away for a while."""
    t = np.arange(400)
    array = np.ones((400, 3, 2, 3), np.float32)
    for who, sign in enumerate((1, -1)):
        array[:, who, :, 0] = (200 + sign * 80 * np.cos(np.pi * t / 100))[:, None] + [0, 30]
        array[:, who, :, 1] = 100 + 3 * sign
    array[:, 2, :, 0] = 300 + 20 * np.sin(t / 30)[:, None] + [0, 30]
    array[:, 2, :, 1] = 200
    array[100:140, 2] = np.nan
    array[..., 2] = np.random.default_rng(0).uniform(0.5, 1, (400, 3, 2))
    array[100:140, 2, :, 2] = 0
    identity = np.full((400, 3), 0.9, np.float32)
    identity[100:140, 2] = np.nan
    poses = Poses(array, Skeleton(["nose", "tail"]), ["ann", "bob", "carl"], 25, identity=identity)
    path = tmp_path / "walk.mapose.h5"
    save(poses, path, doubts=DOUBTS)
    return path


def check_same(path):
    whole = load(path)
    with Windows(path) as windows, Result(path) as result:
        assert windows.names == whole.names
        assert windows.find_doubts() == result.find_doubts()
        for first, count in ((0, 60), (40, 30), (230, 40), (390, 100), (0, 400), (500, 10)):
            part = windows.read(first, count)
            rows = slice(first, first + count)
            np.testing.assert_array_equal(part.array, whole.array[rows])
            np.testing.assert_array_equal(part.identity, whole.identity[rows])
            np.testing.assert_array_equal(part.frames, whole.frames[rows])


def check_parts(path):
    """As `check_same`, of a result without certainty."""
    whole = load(path)
    with Windows(path) as windows:
        assert windows.names == whole.names
        for first in range(0, len(whole), 700):
            part = windows.read(first, 700).array
            np.testing.assert_array_equal(part, whole.array[first : first + 700])


def test_windows_are_parts_of_the_whole(file):
    check_same(file)
    for names, frame, kind in (
        (("ann", "bob"), 250, "swap"),
        (("ann", "bob"), 50, "swap"),
        (("ann", "bob"), 350, "keep"),
        (("ann", "dora"), 20, "name"),
        (("bob", "carl"), 155, "swap"),
    ):
        add_edit(file, names, frame=frame, kind=kind)
        check_same(file)
    undo_edit(file)
    check_same(file)


def test_windows_of_points_and_tracks_are_parts_of_the_whole(file):
    """Carl is cut in two, joined again, moved and deleted in between."""
    steps = [
        (("carl", "dora"), {"kind": "split", "frame": 120}),
        (("ann",), {"kind": "move", "frame": 50, "keypoint": "nose", "place": (3, 4)}),
        (("ann", "bob"), {"kind": "swap", "frame": 50}),
        (("bob",), {"kind": "delete", "frame": 240, "last": 260}),
        (("ann",), {"kind": "delete", "frame": 241, "keypoint": "tail"}),
        (("carl", "dora"), {"kind": "join"}),
        (("ann", "dora"), {"kind": "name"}),
    ]
    states = []
    for names, how in steps:
        states.append(load(file))
        add_edit(file, names, **how)
        check_same(file)
    found = load(file)
    assert found.names == ("dora", "bob", "carl") and found["bob", "nose"][50, 0] == 3
    assert not found.find_present()[240:261, 1].any()
    with Windows(file) as windows:
        edited = windows.find_edited(np.arange(230, 250))
        assert windows.find_deleted(np.arange(230, 270))[:, 1].sum() == 21
    np.testing.assert_array_equal(edited, Result(file).edited[230:250])
    assert edited[10:, 1].all() and edited[11, 0].tolist() == [False, True]
    for state in states[::-1]:
        undo_edit(file)
        again = load(file)
        assert again.names == state.names
        np.testing.assert_array_equal(again.array, state.array)


def test_edits_that_do_not_fit_are_refused(file):
    for names, how, words in (
        (("ann", "bob"), {"kind": "join"}, "both there between frames 0 and 399"),
        (("ann",), {"kind": "swap", "frame": 3}, "names of two animals"),
        (("ann", "bob"), {"kind": "delete", "frame": 3}, "name of one animal"),
        (("ann",), {"kind": "delete"}, "wanted the frame"),
        (("ann",), {"kind": "move", "frame": 3, "keypoint": "nose"}, "its place"),
        (("ann",), {"kind": "erase", "frame": 3}, "no kind 'erase'"),
    ):
        with pytest.raises(SettingsError, match=words):
            add_edit(file, names, **how)
    assert list_edits(file) == []


def test_an_edit_of_a_long_result_is_made_from_what_is_around_it(file, monkeypatch):
    whole = add_edit(file, ("ann", "bob"), frame=250)
    undo_edit(file)
    monkeypatch.setattr(correcting, "_MANY", 10)
    monkeypatch.setattr("mapose.results.windows._AROUND", 100)
    read = []
    monkeypatch.setattr(
        Windows,
        "read_rows",
        lambda self, rows, old=Windows.read_rows, **how: (
            read.append(rows) or old(self, rows, **how)
        ),
    )
    assert add_edit(file, ("ann", "bob"), frame=250) == whole
    assert read == [slice(150, 350)]
    check_same(file)


@pytest.fixture
def long(tmp_path, monkeypatch):
    """Ann and bob walk beside each other; bob is away for long before and after frame 3000."""
    monkeypatch.setattr(correcting, "_MANY", 10)
    monkeypatch.setattr("mapose.results.windows._AROUND", 100)
    monkeypatch.setattr("mapose.results.windows._LEAST", 120)
    monkeypatch.setattr("mapose.results.windows.PART", 512)
    monkeypatch.setattr("mapose.parts.PART", 512)
    t = np.arange(6000)
    array = np.ones((6000, 3, 2, 3), np.float32)
    array[..., 0] = 100 + 20 * np.sin(t / 50)[:, None, None] + [0, 10]
    array[..., 1] = np.array([100, 160, 400])[:, None]
    array[500:2950, 1] = array[3050:5500, 1] = np.nan
    array[:, 2] = np.nan
    path = tmp_path / "long.mapose.h5"
    save(Poses(array, Skeleton(["nose", "tail"]), ["ann", "bob", "carl"], 25), path)
    return path


@pytest.fixture
def read(monkeypatch):
    """Of how many rows a file is read, each time that it is."""
    read = []

    def read_poses(self, rows=None, *, old=PosesFile.read_poses):
        poses = old(self, rows)
        read.append(len(poses))
        return poses

    monkeypatch.setattr(PosesFile, "read_poses", read_poses)
    return read


@pytest.mark.parametrize(
    ("names", "how", "words"),
    [
        (("eve", "bob"), {"frame": 50}, "no individual 'eve'"),
        (("eve", "bob"), {"frame": 50, "kind": "keep"}, "no individual 'eve'"),
        (("ann", "bob"), {"frame": 6000}, "no frame 6000 here; there are 0 to 5999"),
        (("ann", "bob"), {"frame": 0}, "cannot be told apart around frame 0"),
        (("eve",), {"frame": 50, "kind": "split"}, "no individual 'eve'"),
        (("ann", "bob"), {"frame": 50, "kind": "split"}, "bob is the name of another one"),
        (("carl",), {"frame": 50, "kind": "split"}, "carl is not seen both before frame 50"),
        (("ann", "carl"), {"frame": 1500}, "cannot be told apart around frame 1500"),
        (("bob", "carl"), {"kind": "join"}, "carl is not seen in any frame"),
        (("ann", "bob"), {"kind": "join"}, "both there between frames 0 and 5999"),
    ],
)
def test_refusals_do_not_hold_a_long_result_in_memory(long, read, names, how, words):
    with pytest.raises(MaposeError, match=words):
        add_edit(long, names, **how)
    assert max(read, default=0) <= 1000
    if not {"carl", "join"} & {*names, *how.values()}:
        assert sum(read) < 3000


@pytest.mark.parametrize(
    ("names", "how", "most"),
    [
        (("ann", "bob"), {"frame": 1500}, 4500),
        (("ann", "bob"), {"frame": 4000, "kind": "keep"}, 5500),
        (("ann", "carl"), {"frame": 1500, "kind": "keep"}, 8500),
        (("bob", "dora"), {"frame": 2000, "kind": "split"}, 5000),
        (("bob",), {"frame": 3000, "kind": "delete", "last": 3020}, 30),
    ],
)
def test_animals_that_are_away_for_long_are_found(long, monkeypatch, read, names, how, most):
    edit = add_edit(long, names, **how)
    assert max(read) <= 1000 and sum(read) <= most
    monkeypatch.setattr(correcting, "_MANY", 6000)
    monkeypatch.setattr(correcting, "_NEAR", 6000)
    undo_edit(long)
    assert add_edit(long, names, **how) == edit
    check_parts(long)


def test_tracks_are_joined_a_part_at_a_time(long, read):
    add_edit(long, ("bob", "dora"), frame=3000, kind="split")
    add_edit(long, ("ann", "fred"), frame=3000, kind="split")
    with Windows(long) as windows:
        assert windows.find_spans() == {
            "ann": (0, 2999), "bob": (0, 2999), "dora": (3000, 5999), "fred": (3000, 5999)
        }  # fmt: skip
    add_edit(long, ("ann", "dora"), kind="join")
    add_edit(long, ("bob", "fred"), kind="join")
    assert max(read) <= 1000
    check_parts(long)
    assert load(long).names == ("ann", "bob", "carl")


def test_timelines_hold_the_extremes_of_every_bin(file):
    with Windows(file) as windows:
        found = load_timelines(windows)
        assert find_cache(file).is_file()
        again = load_timelines(windows)
        np.testing.assert_array_equal(found.levels[0], again.levels[0])
        values = find_statistics(windows.file.read_poses())
        level, part, size = found.choose(0, 400, 100)
        assert (level, part, size) == (0, slice(0, 100), 4)
        binned = values.reshape(len(STATISTICS), 3, 100, 4)
        with np.errstate(all="ignore"):
            least, most = np.fmin.reduce(binned, -1), np.fmax.reduce(binned, -1)
        np.testing.assert_allclose(found.levels[0][..., 0], least, rtol=1e-3)
        np.testing.assert_allclose(found.levels[0][..., 1], most, rtol=1e-3)
        assert found.shares[0][2, 25:35].tolist() == [0] * 10 and found.shares[0][0].min() == 1
        file.touch()
        np.testing.assert_array_equal(load_timelines(windows).levels[0], found.levels[0])
    with pytest.raises(SettingsError, match="did you mean 'speed'"):
        find_statistic("sped")


def test_coarser_levels_come_from_finer_ones(tmp_path):
    array = np.ones((9000, 1, 1, 3), np.float32)
    array[:, 0, 0, 0] = np.arange(9000)
    array[4321, 0, 0, 0] = 0
    save(Poses(array, Skeleton(["nose"]), ["ann"], 25), tmp_path / "long.mapose.h5")
    with Windows(tmp_path / "long.mapose.h5") as windows:
        found = load_timelines(windows)
    assert [level.shape[2] for level in found.levels] == [2250, 563, 141]
    speed = STATISTICS.index("speed")
    level, part, size = found.choose(4000, 1000, 20)
    assert (level, size) == (2, 64) and part.start * 64 <= 4000 and part.stop * 64 >= 5000
    peak = found.levels[2][speed, 0, :, 1]
    assert int(peak.argmax()) == 4321 // 64 and peak.max() > 4000 and np.sort(peak)[-2] == 1
