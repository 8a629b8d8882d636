"""Faults put into a walk are found, ranked, and told apart."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.anatomy import learn_anatomy
from mapose.doubts import Doubt
from mapose.errors import SettingsError
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.results.outliers import find_outliers
from mapose.selection import Reason, find_view_errors, rank_outliers
from mapose.selection.criteria import find_places
from mapose.skeleton import Skeleton

SHAPE = np.array([[30.0, 0], [10, 8], [10, -8], [-10, 0], [-35, 0]])
SKELETON = Skeleton(["snout", "earL", "earR", "rump", "tail"], [("snout", "rump")])


@pytest.fixture
def walk(rng) -> Poses:
    """Two animals that walk in circles of their own for 400 frames."""
    t = np.arange(400)[:, None]
    angle = t / 60 + np.array([0, 2.5])
    centre = np.array([[200, 200], [420, 260]]) + 90 * np.stack([np.cos(angle), np.sin(angle)], -1)
    turn = np.exp(1j * (angle + np.pi / 2))
    z = turn[..., None] * (SHAPE[:, 0] + 1j * SHAPE[:, 1])
    xy = centre[:, :, None] + np.stack([z.real, z.imag], -1) + rng.normal(0, 0.7, (400, 2, 5, 2))
    sure = np.full((400, 2, 5, 1), 0.9)
    return Poses(np.concatenate([xy, sure], -1), SKELETON, ["ann", "bob"], rate=30)


def spoil(walk, change) -> Poses:
    array = walk.array.copy()
    change(array)
    return replace(walk, array=array)


def swap(array):
    array[100:] = array[100:, ::-1]


def jump(array):
    array[200, 1, :, :2] += [70, 40]


def leap(array):
    array[200:, 1, :, :2] += [70, 40]


def move_limb(array):
    array[250:253, 0, 1, :2] += [40, 30]


def hide(array):
    array[300:303, 0, 2:4, 2] = 0.1


@pytest.mark.parametrize(
    ("change", "frames", "kind", "words"),
    [
        (swap, [100], "swap", "ann and bob seem to be swapped"),
        (jump, [200], "jump", "bob jumps by 8"),
        (leap, [200], "jump", "bob jumps by 8"),
        (move_limb, [250, 251, 252], "pose", "earL of ann"),
        (hide, [300, 301, 302], "confidence", "low confidence in ann (earR 0.10, rump 0.10)"),
    ],
)
def test_each_fault_comes_first_with_its_reason(walk, change, frames, kind, words):
    first = find_outliers(spoil(walk, change))[0]
    assert first.frame in frames
    assert first.kinds[0] == kind and words in first.reasons[0].text
    assert first.to_dict()["reasons"][0] in str(first)
    kinds = [k for k in ("confidence", "jump", "swap", "pose") if k != kind]
    others = find_outliers(spoil(walk, change), kinds=kinds)
    assert all(kind not in outlier.kinds for outlier in others)


def test_what_is_well_is_left_alone(walk):
    assert find_outliers(walk) == []


def test_running_is_no_jump(walk):
    def run(array):
        way = np.r_[0, 10, 35, 70, 105, 130, 140]  # gathers speed, and slows down
        array[150:157, 0, :, 0] += way[:, None]
        array[157:, 0, :, 0] += 140

    assert not [o for o in find_outliers(spoil(walk, run)) if "jump" in o.kinds]


def test_labels_say_what_poses_there_are(walk):
    """A tail that the model puts wrong throughout is usual in the result, and odd to the labels."""

    def bend(array):
        array[::2, :, 4, :2] = 2 * array[::2, :, 1, :2] - array[::2, :, 4, :2]

    labels = Labels(
        walk.points[::10], SKELETON, ("v",) * 40, np.arange(40), (None,) * 40, ("ann", "bob")
    )
    bent = spoil(walk, bend)
    found = find_outliers(bent, labels=labels, kinds=["pose"])
    assert "tail" in found[0].reasons[0].text and "of the labels" in found[0].reasons[0].text
    deviation, _ = find_places(bent, learn_anatomy(labels.points.reshape(-1, 5, 2)))
    assert (deviation[::2, :, 4] > 4).all() and np.median(deviation[1::2]) < 1


def test_another_model_that_finds_something_else(walk):
    def change(array):
        array[120, 0, 0, :2] += 60
        array[180, 1] = np.nan

    other = spoil(walk, change).arrange(np.tile([1, 0], (400, 1)))  # without names, in any order
    found = find_outliers(walk, against=other)
    assert {o.frame for o in found} == {120, 180}
    assert "puts snout of ann 85 px elsewhere" in str(found)
    assert "1 animals more or fewer" in str(found)


def test_doubts_about_names_are_reasons(walk, tmp_path):
    from mapose.results.result import save

    save(walk, tmp_path / "w.mapose.h5", doubts=[Doubt(90, 110, ("ann", "bob"), 0.4)])
    (found,) = find_outliers(tmp_path / "w.mapose.h5")
    assert found.frame == 100 and found.kinds == ("identity",)
    assert "swapped with probability 0.40" in str(found)


def test_a_camera_that_sees_something_else(walk):
    errors = np.ones(walk.array.shape[:3])
    errors[77, 1, 3] = 40
    ((frame, reason),) = find_view_errors(walk, errors, camera="top")
    assert frame == 77 and "top sees rump of bob 40 px" in reason.text


def test_views_are_held_against_each_other(walk):
    from calibration import make_ring

    cameras = make_ring(3)
    rng = np.random.default_rng(0)
    t = np.arange(60)[:, None, None]
    points = 0.05 * rng.normal(size=(1, 5, 3)) + 0.1 * np.sin(t / 20 + np.arange(3))
    pixels = cameras.project(points.reshape(-1, 3)).reshape(3, 60, 1, 5, 2)
    pixels = pixels + rng.normal(0, 0.3, pixels.shape)
    pixels[1, 33, 0, 2] += 60
    views = {
        name: Poses(np.concatenate([xy, np.ones_like(xy[..., :1])], -1), SKELETON, ["ann"], rate=30)
        for name, xy in zip(cameras.names, pixels, strict=True)
    }
    found = find_outliers(views, calibration=cameras, kinds=["reprojection"])
    assert [o.frame for o in found] == [33]
    assert f"{cameras.names[1]} sees earR of ann" in str(found[0])
    with pytest.raises(SettingsError, match="several cameras"):
        find_outliers(walk, calibration=cameras)


def test_many_faults_of_one_sort_do_not_crowd_out_the_others():
    tails = [(10 * n, Reason("pose", 2.0, "tail", ("ann",), "tail")) for n in range(30)]
    rare = [(1000, Reason("jump", 1.2, "jump", ("ann",)))]
    ranked = rank_outliers(tails + rare, 5)
    assert 1000 in [o.frame for o in ranked]
    assert rank_outliers(tails, apart=25)[1].frame == 30


def test_unknown_reasons_are_refused(walk):
    with pytest.raises(SettingsError, match="did you mean 'jump'"):
        find_outliers(walk, kinds=["jmp"])
