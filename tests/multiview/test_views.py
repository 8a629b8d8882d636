"""Views that list other frames, keypoints and animals than the others."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import CameraGroup
from mapose import Skeleton, triangulate
from mapose.errors import ShapeError
from mapose.multiview.matching.identities import choose_names
from mapose.multiview.views import align_views, check_views, join_skeletons, list_differences
from mapose.synthetic import make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 40, seed=4, cameras=4)


@pytest.fixture(scope="module")
def views(scene):
    return {name: scene.truth(name) for name in scene.cameras.names}


def test_frames_that_a_view_does_not_list_are_seen_by_the_others(scene, views):
    # It begins late, ends early, and has a gap.
    listed = np.r_[5:20, 24:33]
    views = {**views, "cam1": views["cam1"].sel(frames=listed)}
    found = triangulate(views, scene.cameras)
    whole = triangulate({**views, "cam1": views["top"]}, scene.cameras).poses
    assert len(found.poses) == 40 and np.isfinite(found.poses.points).any((1, 2, 3)).all()
    gone = np.setdiff1d(np.arange(40), listed)
    assert not (found.views["cam1"].confidence[gone] > 0).any() and len(whole) == 40
    notes = [w for w in found.warnings if "cam1 at" in w]
    assert len(notes) == 2 and "cam1 at 5, the others at 0" in notes[0]


def test_keypoints_that_a_view_does_not_have_are_not_seen_there(scene, views):
    rest = [k for k in scene.skeleton.keypoints if not k.startswith("tail")]
    views = {"cam1": views["cam1"].sel(keypoint=rest[::-1]), **views}
    views["cam1"] = views["cam1"].sel(keypoint=rest[::-1])
    found = triangulate(views, scene.cameras)
    assert set(found.poses.skeleton.keypoints) == set(scene.skeleton.keypoints)
    assert set(found.poses.skeleton.edges) == set(scene.skeleton.edges)
    truth = scene.truth_3d()
    tip = [poses.sel(keypoint=["tail_tip"]).points for poses in (found.poses, truth)]
    assert np.nanmax(np.abs(tip[0] - tip[1])) < 0.5
    assert any(w.startswith("cam1 has no tail") for w in found.warnings)


def test_alignment_keeps_companions(views):
    top = views["top"]
    own = replace(
        top,
        identity=np.full(top.array.shape[:2], 0.9, np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (*top.array.shape[:3], 1, 1)),
    ).sel(frames=slice(10, 20))
    wide = align_views({"a": own, "b": top})["a"]
    assert wide.frames.tolist() == top.frames.tolist()
    np.testing.assert_array_equal(wide.array[10:20], own.array)
    np.testing.assert_array_equal(wide.covariance[10:20], own.covariance)
    assert np.isnan(wide.identity[:10]).all() and (wide.array[20:, ..., 2] == 0).all()
    assert align_views({"a": top, "b": top})["a"] is top and not list_differences({"a": top})


def test_skeletons_are_joined_by_name():
    a = Skeleton(["nose", "earL", "earR"], [("nose", "earL")], [("earL", "earR")])
    b = Skeleton(["earR", "nose", "tail", "hip"], [("nose", "tail"), ("nose", "earR")])
    joined = join_skeletons([a, b])
    assert joined.keypoints == ("earR", "nose", "tail", "hip", "earL")
    assert joined.edges == (("nose", "tail"), ("nose", "earR"), ("nose", "earL"))
    assert joined.mirror == (("earL", "earR"),)


def test_cameras_that_stand_in_one_point_are_refused(scene, views):
    lenses = [replace(c, rotation=np.zeros(3), translation=np.zeros(3)) for c in scene.cameras]
    with pytest.raises(ShapeError, match="all stand in one point"):
        triangulate(views, CameraGroup(lenses))
    check_views(views, scene.cameras)


@pytest.mark.parametrize(
    ("rows", "individuals", "names"),
    [
        ([["a", "b", "c"], ["c", "a"], None], None, ["a", "b", "c"]),  # one never saw b
        ([["a", "b"], ["b", "c"]], None, ["a", "b", "c"]),
        ([["a", "b", "c", "d"], ["d", "c", "b", "a"]], None, ["a", "b", "c"]),  # d is nowhere
        ([["a", "b"], ["a", "b"]], None, ["a", "b", "track2"]),  # nobody has a name for it
        ([["a", "b", "c"], ["x", "y", "z"]], None, ["track0", "track1", "track2"]),
        ([["a", "b", "c"], ["a"]], 5, ["a", "b", "c", "track3", "track4"]),
        ([None, None], 3, ["track0", "track1", "track2"]),
    ],
)
def test_names_of_views_that_know_fewer_animals(rows, individuals, names):
    # Three individuals, of whom each view has seen those that it has names for, in order.
    who = {"a": 0, "b": 1, "c": 2, "x": 0, "y": 1, "z": 2}
    assigned = np.full((1, len(rows), 4), -1)
    for v, own in enumerate(rows):
        for slot, name in enumerate(own or ("a", "b", "c")):
            assigned[0, v, slot] = who.get(name, -1)
    assigned[0, 0, :3] = [0, 1, 2]
    found, place = choose_names(rows, assigned, individuals)
    assert found == names
    assert [found[n] for n in place] == names[:3]
