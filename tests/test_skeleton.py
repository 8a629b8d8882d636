import numpy as np
import pytest

from mapose.errors import ShapeError, suggest_name
from mapose.skeleton import Skeleton, find_mirror


def test_flipping_twice_is_nothing():
    skeleton = Skeleton(list("abcde"), mirror=[("a", "d"), ("b", "c")])
    order = skeleton.flip_order
    assert order.tolist() == [3, 2, 1, 0, 4]
    assert (order[order] == np.arange(5)).all()


def test_edges_are_channels_in_order():
    skeleton = Skeleton(["x", "y", "z"], [("z", "x"), ("x", "y")])
    assert skeleton.edge_index.tolist() == [[2, 0], [0, 1]]
    assert Skeleton(["x"]).edge_index.shape == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one"),
        (("snout",), "list of names"),
        ((["a", "a"],), "repeated: a"),
        ((["a", " "],), "non-empty"),
        ((["a", "b"], [("a", "c")]), "no keypoint 'c'"),
        ((["a", "b"], [("a", "a")]), "with itself"),
        ((["a", "b"], [("a", "b"), ("b", "a")]), "joined twice"),
        ((["a", "b", "c"], [], [("a", "b"), ("b", "c")]), "one partner"),
        ((["a", "b"], ["ab"]), "two keypoint names"),
    ],
)
def test_bad_skeletons_are_told(arguments, message):
    with pytest.raises(ShapeError, match=message):
        Skeleton(*arguments)


def test_a_misspelt_keypoint_gets_a_suggestion():
    with pytest.raises(ShapeError, match="did you mean 'leftear'"):
        Skeleton(["snout", "leftear"]).index("LeftEar")
    assert suggest_name("zzz", ["a", "b"]) == "known: a, b"
    assert suggest_name("a", []) == "known: none"


def test_renaming_carries_edges_and_mirrors():
    skeleton = Skeleton(["l", "r", "t"], [("l", "t")], [("l", "r")]).renamed({"l": "left"})
    assert skeleton == Skeleton(["left", "r", "t"], [("left", "t")], [("left", "r")])
    with pytest.raises(ShapeError, match="repeated"):
        Skeleton(["a", "b"]).renamed({"a": "b"})


def test_mirror_pairs_of_real_skeletons():
    names = ["thorax", "wingL", "wingR", "forelegL4", "forelegR4", "Tail", "Left"]
    assert find_mirror(names) == [("wingL", "wingR"), ("forelegL4", "forelegR4")]
    assert find_mirror(["Ear_R", "Ear_L", "Haunch_left", "Haunch_right"]) == [
        ("Ear_L", "Ear_R"),
        ("Haunch_left", "Haunch_right"),
    ]
    names = ["oreille_gauche", "oreille_droite", "PfoteLinks", "PfoteRechts"]
    assert find_mirror(names) == [tuple(names[:2]), tuple(names[2:])]
    assert find_mirror(["tail", "lamp", "ramp", "Leg", "Reg"]) == []
