"""Edits on poses: names become right, stay right after tracking again, in whatever order."""

from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest

from mapose.edits import Edit, Sighting, apply_edits, make_edit, name_individual, settle_names
from mapose.errors import SettingsError, ShapeError
from mapose.poses import Poses
from tests.edits.walks import MEETINGS, make_walk, track_badly


def correct(poses, *frames, kind="swap"):
    """Make edits as a person does: each after a look at what the ones before have done."""
    edits = []
    for frame in frames:
        seen = apply_edits(poses, edits)
        edits.append(make_edit(seen, seen.names, frame=frame, kind=kind, edits=edits))
    return edits


def assert_named(poses, truth, *, names=None):
    """All rows belong to the animals of the truth throughout, in its order or in that given."""
    rows = [poses.names.index(n) for n in (names or truth.names)]
    np.testing.assert_array_equal(poses.array[:, rows], truth.array)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_swap_is_put_right_and_the_tracking_stays_as_it_was(dimensions):
    truth = make_walk(dimensions=dimensions)
    bad = track_badly(truth, [150])
    before = bad.array.copy()
    edits = correct(bad, 150)
    assert_named(apply_edits(bad, edits), truth)
    np.testing.assert_array_equal(bad.array, before)
    assert apply_edits(bad, []) is bad


def test_everything_of_the_animals_goes_along():
    truth = make_walk()
    covariance = np.zeros((400, 2, 3, 2, 2), np.float32)
    covariance[:, 1] = 7
    bad = replace(track_badly(truth, [150]), covariance=covariance)
    fixed = apply_edits(bad, correct(bad, 150))
    assert (fixed.covariance[:150, 1] == 7).all() and (fixed.covariance[150:, 0] == 7).all()
    assert fixed.rate == bad.rate and fixed.names == bad.names


@pytest.mark.parametrize("order", list(permutations([50, 150, 350])))
def test_moments_may_be_corrected_in_any_order(order):
    truth = make_walk()
    bad = track_badly(truth, [50, 150, 350])
    assert_named(apply_edits(bad, correct(bad, *order)), truth)


def test_a_swap_that_is_noticed_late_is_one_of_the_last_encounter():
    truth = make_walk()
    bad = track_badly(truth, [150])
    late = correct(bad, 210)
    fixed = apply_edits(bad, late)
    np.testing.assert_array_equal(fixed.array[210:], truth.array[210:])
    np.testing.assert_array_equal(fixed.array[150:210], bad.array[150:210])
    # Now the person finds where it began: all is right, and the late edit does no harm.
    assert late[0].before[0][0].frame < 150
    again = [*late, make_edit(fixed, fixed.names, frame=150, edits=late)]
    assert_named(apply_edits(bad, again), truth)
    # A tracker that gets the encounter right is not made worse by it.
    assert_named(apply_edits(truth, late), truth)


def test_the_same_swap_twice_is_none():
    truth = make_walk()
    edits = correct(truth, 150, 150)
    assert_named(apply_edits(truth, edits[:1]).sel(frames=range(150)), truth.sel(frames=range(150)))
    assert not np.array_equal(apply_edits(truth, edits[:1]).array, truth.array)
    assert_named(apply_edits(truth, edits), truth)


def test_two_swaps_within_one_encounter():
    truth = make_walk()
    bad = track_badly(truth, [146, 153])
    assert_named(apply_edits(bad, correct(bad, 146, 153)), truth)


@pytest.mark.parametrize("swaps", [[], [150], [148], [50], [50, 150], [250], [50, 150, 250]])
@pytest.mark.parametrize("names", [["ann", "bob"], ["track1", "track0"]])
def test_edits_survive_tracking_again(swaps, names):
    """Where the tracker errs now decides what an edit does; what it settles stays settled."""
    truth = make_walk()
    edits = correct(track_badly(truth, [150]), 150)
    again = track_badly(truth, swaps, names)
    if names[0] == "track1":  # rows come out the other way round
        again = again.sel(individual=names[::-1])
    fixed = apply_edits(again, edits)
    moment = slice(edits[0].before[0][0].frame, edits[0].after[0][0].frame + 1)
    rows = [fixed.names.index(n) for n in names]
    right = np.array(
        [np.array_equal(fixed.array[f, rows], truth.array[f]) for f in range(len(truth))]
    )
    # Before the encounter and after it they have the same names, whatever was before.
    assert right[moment.start] == right[moment.stop - 1]
    if set(swaps) <= {148, 150}:
        assert right[:140].all() and right[160:].all()


@pytest.mark.parametrize("swaps", [[], [150], [50, 150], [250], [48, 253]])
def test_applying_edits_again_changes_nothing(swaps):
    edits = [
        *correct(track_badly(make_walk(), [150]), 150),
        *correct(make_walk(), 250, kind="keep"),
    ]
    once = apply_edits(track_badly(make_walk(), swaps), edits)
    np.testing.assert_array_equal(apply_edits(once, edits).array, once.array)


def test_keep_changes_nothing_until_a_tracker_errs_there():
    truth = make_walk()
    edits = correct(truth, 150, kind="keep")
    assert_named(apply_edits(truth, edits), truth)
    assert_named(apply_edits(track_badly(truth, [150]), edits), truth)


def test_three_animals_may_change_places_in_a_ring():
    """An encounter of three: two edits say where two are, the third is where nobody else is."""
    rng = np.random.default_rng(0)
    array = np.ones((100, 3, 3, 3), np.float32)
    array[..., :2] = rng.normal(0, 3, (100, 1, 3, 2)) + [[[[0, 0]], [[200, 0]], [[0, 200]]]]
    truth = Poses(array, make_walk().skeleton, ["a", "b", "c"])
    ring = truth.array.copy()
    ring[50:] = ring[50:, [1, 2, 0]]
    bad = replace(truth, array=ring)
    edits = []
    for pair in (("a", "b"), ("a", "c")):
        edits.append(make_edit(apply_edits(bad, edits), pair, frame=50, edits=edits))
    assert_named(apply_edits(bad, edits), truth)
    rows = [2, 0, 1]  # tracked again: the same error, rows otherwise
    again = replace(bad, array=bad.array[:, rows], individuals=["t0", "t1", "t2"])
    assert_named(apply_edits(again, edits), truth, names=["t1", "t2", "t0"])


def test_an_animal_that_vanished_is_linked_to_where_it_came_out():
    truth = make_walk()
    hidden = truth.array.copy()
    hidden[120:180] = np.nan
    truth = replace(truth, array=hidden, identity=None)
    bad = track_badly(truth, [180])
    edits = correct(bad, 180)
    assert {s[0].frame for s in edits[0].before} == {119}  # the last time
    assert {s[0].frame for s in edits[0].after} == {181}  # after one clear step
    assert_named(apply_edits(bad, edits), truth)


def test_an_edit_without_its_animals_is_left_out_with_one_warning(caplog):
    truth = make_walk()
    bad = track_badly(truth, [50, 250])
    edits = correct(bad, 50, 250)
    lost = replace(edits[0], before=((Sighting(40, (900.0, 900.0)),), edits[0].before[1]))
    fixed = apply_edits(bad, [lost, edits[1]])
    assert_named(fixed, track_badly(truth, [50]))
    assert len(caplog.records) == 1
    for word in ("frame 50", "ann", "bob", "left out", "900, 900 px", "frame 40"):
        assert word in caplog.text


def seen(frame, dimensions=2):
    return (Sighting(frame, (1.0, 2.0, 3.0)[:dimensions]),)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit(100, ("ann", "bop")), "did you mean 'bob'?"),
        (Edit(4000, ("ann", "bob")), "ends with frame 399"),
        (Edit(4000, ("a", "b"), "swap", (seen(3990),) * 2, (seen(4001),) * 2), "frame 3990"),
        (Edit(9, ("a", "b"), "swap", (seen(5, 3),) * 2, (seen(9, 3),) * 2), "frame 5"),
    ],
)  # fmt: skip
def test_impossible_edits_are_told_and_the_rest_is_applied(edit, words, caplog):
    truth = make_walk()
    bad = track_badly(truth, [150])
    good = correct(bad, 150)
    assert_named(apply_edits(bad, [edit, *good]), truth)
    assert len(caplog.records) == 1 and words in caplog.text


def test_an_edit_written_by_hand_needs_no_places():
    truth = make_walk()
    assert_named(apply_edits(track_badly(truth, [150]), [Edit(150, ("ann", "bob"))]), truth)


def test_a_frame_in_which_a_tracker_errs_or_sees_nobody_is_outvoted():
    truth = make_walk()
    edits = correct(track_badly(truth, [150]), 150)
    before, after = edits[0].before[0], edits[0].after[0]
    assert len(before) == len(after) == 3
    array = track_badly(truth, [150]).array.copy()
    array[before[0].frame] = array[before[0].frame, ::-1]
    array[after[1].frame] = np.nan
    again = replace(truth, array=array)
    fixed = apply_edits(again, edits)
    kept = np.setdiff1d(np.arange(400), [before[0].frame, after[1].frame])
    np.testing.assert_array_equal(fixed.array[kept], truth.array[kept])


def test_names_follow_the_animal():
    truth = make_walk()
    bad = track_badly(truth, [150], ["track0", "track1"])
    edits = [name_individual(bad, "track0", new="Anna", frame=20)]
    edits += [make_edit(apply_edits(bad, edits), ["Anna", "track1"], frame=150, edits=edits)]
    fixed = apply_edits(bad, edits)
    assert fixed.names == ("Anna", "track1")
    assert_named(fixed, truth, names=["Anna", "track1"])
    again = bad.sel(individual=["track1", "track0"])
    assert_named(apply_edits(again, edits), truth, names=["Anna", "track1"])


def test_a_name_that_another_one_has_is_refused(caplog):
    truth = make_walk()
    with pytest.raises(SettingsError, match="name of another"):
        name_individual(truth, "ann", new="bob")
    seen = Sighting(0, tuple(np.mean(truth.points[0, 0], axis=0).tolist()))
    apply_edits(truth, [Edit(0, ("ann", "bob"), "name", after=((seen,), ()))])
    assert "another bob" in caplog.text


def test_wrong_calls_are_told():
    truth = make_walk()
    with pytest.raises(ShapeError, match="did you mean 'ann'"):
        make_edit(truth, ["anne", "bob"], frame=10)
    with pytest.raises(ShapeError, match="no frame 400 here; there are 0 to 399"):
        make_edit(truth, ["ann", "bob"], frame=400)
    with pytest.raises(SettingsError, match="did you mean 'swap'"):
        make_edit(truth, ["ann", "bob"], frame=10, kind="swop")
    with pytest.raises(SettingsError, match="two different"):
        make_edit(truth, ["ann", "ann"], frame=10)
    with pytest.raises(SettingsError, match="cannot be told apart"):
        make_edit(truth, ["ann", "bob"], frame=0)
    gone = truth.array.copy()
    gone[:, 0] = np.nan
    with pytest.raises(SettingsError, match="not seen in any frame"):
        name_individual(replace(truth, array=gone), "ann", new="eve")


def doubt(first, last, probability, names=("ann", "bob")):
    return SimpleNamespace(first=first, last=last, individuals=names, probability=probability)


def test_probability_is_one_at_an_edit_and_falls_at_the_next_doubt():
    truth = make_walk()
    bad = replace(track_badly(truth, [150]), identity=np.full((400, 2), 0.6, np.float32))
    doubts = [doubt(45, 55, 0.1), doubt(145, 155, 0.4), doubt(245, 255, 0.2), doubt(345, 355, 0.3)]
    sure = apply_edits(bad, correct(bad, 150), doubts=doubts).identity
    assert (sure[150:245] == 1).all()
    np.testing.assert_allclose(sure[256:345], 0.8, rtol=1e-6)
    np.testing.assert_allclose(sure[356:], 0.8 * 0.7 + 0.2 * 0.3, rtol=1e-6)
    np.testing.assert_allclose(sure[250], 0.9, rtol=1e-6)  # on the way
    # Backwards as well: who is who at the edit was so before, up to the doubt before it.
    assert (sure[56:130] == 1).all()
    np.testing.assert_allclose(sure[:45], 0.9, rtol=1e-6)
    both = apply_edits(bad, correct(bad, 150, 250), doubts=doubts).identity
    assert (both[250:345] == 1).all()


def test_probability_stays_nan_where_nobody_is_and_none_where_unknown():
    truth = make_walk()
    array, identity = truth.array.copy(), truth.identity.copy()
    array[200:220, 0], identity[200:220, 0] = np.nan, np.nan
    poses = replace(truth, array=array, identity=identity)
    sure = apply_edits(poses, correct(poses, 150)).identity
    assert np.isnan(sure[200:220, 1]).all() and np.isfinite(sure[200:220, 0]).all()
    assert apply_edits(replace(truth, identity=None), correct(truth, 150)).identity is None


def test_the_tracker_s_own_certainty_stands_for_animals_nobody_spoke_of():
    array = np.concatenate([make_walk().array, make_walk().array + 300], axis=1)
    names = ["a", "b", "c", "d"]
    poses = Poses(array, make_walk().skeleton, names, identity=np.full((400, 4), 0.7))
    sure = apply_edits(poses, [make_edit(poses, ["a", "b"], frame=150)]).identity
    assert (sure[:120, :2] == 1).all() and (sure[150:, :2] == 1).all()
    np.testing.assert_allclose(sure[:, 2:], 0.7)


def test_doubts_that_an_edit_settled_are_done_with():
    truth = make_walk()
    bad = track_badly(truth, [150])
    doubts = [doubt(m - 5, m + 5, 0.3) for m in MEETINGS]
    left = settle_names(bad, correct(bad, 150)).place_doubts(bad, doubts)
    assert [d.first for d, _, _ in left] == [45, 245, 345]
    assert [(a, b) for _, a, b in left] == [(0, 1), (1, 0), (1, 0)]


def test_poses_of_one_keypoint_can_be_edited():
    truth = make_walk().sel(keypoint="back")
    bad = track_badly(truth, [150])
    assert_named(apply_edits(bad, correct(bad, 150)), truth)


def test_no_frames_no_harm():
    none = make_walk().sel(frames=[])
    assert len(apply_edits(none, [Edit(3, ("ann", "bob"))])) == 0
    with pytest.raises(ShapeError, match="there are none"):
        make_edit(none, ["ann", "bob"], frame=3)
