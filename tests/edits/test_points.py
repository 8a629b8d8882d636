"""Points moved and deleted, tracks joined and split: applied, found again, and left out if lost."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.edits import (
    apply_edits,
    edit_individual,
    join_tracks,
    load_edits,
    make_edit,
    name_individual,
    save_edits,
    settle_names,
    split_track,
)
from mapose.errors import SettingsError, ShapeError
from mapose.poses import Poses
from tests.edits.walks import make_walk, track_badly


def cut(truth: Poses, frame: int, gap: int = 5) -> Poses:
    """A tracking that loses the first animal for some frames and then gives it a new track."""
    array = np.concatenate([truth.array, np.full_like(truth.array[:, :1], np.nan)], axis=1)
    array[frame + gap :, 2] = array[frame + gap :, 0]
    array[frame:, 0] = np.nan
    array[..., -1] = np.where(np.isfinite(array[..., 0]), array[..., -1], 0)
    names = [*truth.names, "track2"]
    return replace(truth, array=array, individuals=names, identity=None)


def join(poses: Poses, first: str, second: str, frame: int, kept: str = "") -> object:
    ends, starts = poses.sel(frames=slice(0, frame)), poses.sel(frames=slice(frame, None))
    return join_tracks(ends, starts, (first, second), kept=kept or first)


def test_a_point_is_moved_and_others_stay():
    walk = make_walk()
    edit = edit_individual(walk, "ann", frame=20, keypoint="nose", place=(11.239, 7))
    fixed = apply_edits(walk, [edit])
    assert fixed["ann", "nose"][20].tolist() == pytest.approx([11.24, 7, 1])
    left = np.ones(walk.array.shape, bool)
    left[20, 0, 0] = False
    np.testing.assert_array_equal(fixed.array[left], walk.array[left])
    assert str(edit) == "frame 20: nose of ann is at 11.2, 7.0"


def test_a_point_that_was_missed_is_there_for_certain():
    walk = make_walk()
    array = walk.array.copy()
    array[20, 0, 0] = [np.nan, np.nan, 0]
    array[20, 0, 1, 2] = 0.4
    walk = replace(walk, array=array, covariance=np.full((400, 2, 3, 2, 2), 3, np.float32))
    walk.covariance[20, 0, 0] = np.nan
    edits = [
        edit_individual(walk, "ann", frame=20, keypoint=name, place=(9, 9))
        for name in ("nose", "back")
    ]
    fixed = apply_edits(walk, edits)
    np.testing.assert_allclose(fixed.confidence[20, 0, :2], [1, 0.4])
    assert fixed.covariance[20, 0, 0].tolist() == [[1, 0], [0, 1]]
    assert (fixed.covariance[20, 0, 1] == 3).all()


def test_a_point_and_a_span_are_deleted():
    walk = replace(make_walk(), covariance=np.ones((400, 2, 3, 2, 2), np.float32))
    edits = [
        edit_individual(walk, "bob", frame=30, keypoint="tail"),
        edit_individual(walk, "ann", frame=10, last=14),
    ]
    fixed = apply_edits(walk, edits)
    assert np.isnan(fixed["bob", "tail"][30, :2]).all() and fixed["bob", "tail"][30, 2] == 0
    assert np.isfinite(fixed.identity[30, 1]) and np.isnan(fixed.covariance[30, 1, 2]).all()
    gone = ~fixed.find_present()[:, 0]
    assert np.flatnonzero(gone).tolist() == [10, 11, 12, 13, 14]
    assert np.isnan(fixed.identity[gone, 0]).all()
    again = edit_individual(walk, "bob", frame=30, keypoint="tail", place=(1, 2))
    assert apply_edits(walk, [*edits, again])["bob", "tail"][30].tolist() == [1, 2, 1]


@pytest.mark.parametrize("swaps", [[], [50], [150], [50, 250]])
def test_points_go_with_their_animal_when_it_is_tracked_again(swaps):
    truth = make_walk()
    edits = [
        edit_individual(truth, "ann", frame=200, keypoint="nose", place=(5, 5)),
        edit_individual(truth, "bob", frame=90, last=95),
    ]
    again = track_badly(truth, swaps, ["track1", "track0"])
    fixed = apply_edits(again, edits)
    row = int(np.flatnonzero((fixed.points[200, :, 0] == 5).all(-1))[0])
    np.testing.assert_array_equal(fixed.points[200, row, 1:], truth.points[200, 0, 1:])
    gone = int(np.flatnonzero(~fixed.find_present()[92])[0])
    np.testing.assert_array_equal(again.points[92, gone], truth.points[92, 1])


def test_points_stay_with_their_animal_when_names_are_corrected_later():
    truth = make_walk()
    bad = track_badly(truth, [150])
    moved = edit_individual(bad, "ann", frame=200, keypoint="nose", place=(5, 5))
    seen = apply_edits(bad, [moved])
    swap = make_edit(bad, bad.names, frame=150, edits=[moved])
    assert seen["ann", "nose"][200, 0] == 5
    assert apply_edits(bad, [moved, swap])["bob", "nose"][200, 0] == 5


def test_what_cannot_be_found_is_left_out_and_told(caplog):
    walk = make_walk()
    edit = edit_individual(walk, "ann", frame=20, keypoint="nose", place=(1, 1))
    far = replace(walk, array=walk.array + np.float32([500, 0, 0]))
    np.testing.assert_array_equal(apply_edits(far, [edit]).array, far.array)
    other = walk.sel(keypoint=["back", "tail"])
    np.testing.assert_array_equal(apply_edits(other, [edit]).array, other.array)
    assert "nobody is where" in caplog.text and "no nose here" in caplog.text
    with pytest.raises(ShapeError, match="no keypoint 'node'"):
        edit_individual(walk, "ann", frame=20, keypoint="node")
    with pytest.raises(SettingsError, match="2 numbers"):
        edit_individual(walk, "ann", frame=20, keypoint="nose", place=(1, 2, 3))
    with pytest.raises(SettingsError, match="last frame from 20 on"):
        edit_individual(walk, "ann", frame=20, last=10)


def test_tracks_are_joined_and_the_empty_one_is_gone():
    truth = make_walk()
    broken = cut(truth, 100)
    edit = join(broken, "ann", "track2", 100)
    fixed = apply_edits(broken, [edit])
    assert fixed.names == ("ann", "bob")
    whole = np.r_[0:100, 105:400]
    np.testing.assert_array_equal(fixed.array[whole], truth.array[whole])
    assert not fixed.find_present()[100:105, 0].any()
    # A tracker that has not lost it is not made worse by it.
    again = apply_edits(truth, [edit])
    assert again.names == truth.names
    np.testing.assert_array_equal(again.array, truth.array)


def test_of_two_joined_tracks_the_wanted_name_stays():
    truth = make_walk()
    broken = cut(truth, 100)
    fixed = apply_edits(broken, [join(broken, "ann", "track2", 100, kept="track2")])
    assert fixed.names == ("track2", "bob")
    np.testing.assert_array_equal(fixed.array[200:], truth.array[200:])


def test_what_is_left_in_a_joined_track_is_not_lost():
    """Another tracking may have put somebody else into the rest of the row."""
    truth = make_walk()
    broken = cut(truth, 100)
    edit = join(broken, "ann", "track2", 100)
    array = broken.array.copy()
    array[:10, 2] = array[:10, 0] + np.float32([0, 50, 0])
    fixed = apply_edits(replace(broken, array=array), [edit])
    assert fixed.names == ("ann", "bob", "track2")
    assert np.flatnonzero(fixed.find_present()[:, 2]).tolist() == list(range(10))
    # Unless a person has deleted it.
    rest = edit_individual(replace(broken, array=array), "track2", frame=0, last=9)
    assert apply_edits(replace(broken, array=array), [edit, rest]).names == ("ann", "bob")


def test_a_track_is_split_and_named():
    truth = make_walk()
    edit = split_track(truth, "ann", new="carl", frame=210)
    fixed = apply_edits(truth, [edit])
    assert fixed.names == ("ann", "bob", "carl")
    there = fixed.find_present()
    assert there[:210, 0].all() and not there[210:, 0].any() and there[210:, 2].all()
    np.testing.assert_array_equal(fixed.array[210:, 2], truth.array[210:, 0])
    # Where the tracker has told them apart by itself nothing is left to do.
    apart = apply_edits(cut(truth, 210, gap=0), [edit])
    assert apart.names == ("ann", "bob", "track2")
    with pytest.raises(SettingsError, match="another one already"):
        split_track(truth, "ann", new="bob", frame=210)
    with pytest.raises(SettingsError, match="nothing to split"):
        split_track(fixed, "carl", new="dan", frame=210)


def test_a_split_track_is_joined_again():
    truth = make_walk()
    split = split_track(truth, "ann", new="carl", frame=210)
    seen = apply_edits(truth, [split])
    fixed = apply_edits(truth, [split, join(seen, "ann", "carl", 210)])
    assert fixed.names == truth.names
    np.testing.assert_array_equal(fixed.array, truth.array)


def test_parts_of_two_animals_are_put_together():
    """Cut where the tracker has gone over to the other animal, and join the right ends."""
    truth = make_walk()
    bad = track_badly(truth, [150])
    edits = []
    for name, new in (("ann", "x"), ("bob", "y")):
        edits.append(split_track(apply_edits(bad, edits), name, new=new, frame=150))
    for first, second in (("ann", "y"), ("bob", "x")):
        edits.append(join(apply_edits(bad, edits), first, second, 150))
    fixed = apply_edits(bad, edits)
    assert fixed.names == truth.names
    np.testing.assert_array_equal(fixed.array, truth.array)


def test_all_kinds_are_kept_as_text(tmp_path):
    walk = make_walk()
    broken = cut(walk, 100)
    edits = [
        edit_individual(walk, "ann", frame=20, keypoint="nose", place=(11.24, 7)),
        edit_individual(walk, "ann", frame=20, last=40),
        edit_individual(walk, "ann", frame=20, keypoint="nose"),
        split_track(walk, "ann", new="carl", frame=210),
        join(broken, "ann", "track2", 100),
    ]
    path = tmp_path / "monday.edits.csv"
    save_edits(edits, path)
    assert load_edits(path) == edits
    assert path.read_text(encoding="utf-8").splitlines()[0].endswith(",recording,last,keypoint")
    assert [settle_names(walk, [e]).names for e in load_edits(path)[:1]] == [("ann", "bob")]


def test_the_name_of_a_joined_track_may_be_given_anew():
    truth = make_walk()
    broken = cut(truth, 100)
    edits = [join(broken, "ann", "track2", 100)]
    edits.append(name_individual(apply_edits(broken, edits), "bob", new="track2"))
    assert apply_edits(broken, edits).names == ("ann", "track2")
