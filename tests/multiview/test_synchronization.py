from dataclasses import replace

import numpy as np
import pytest

from calibration import CalibrationError
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.errors import SettingsError, ShapeError
from mapose.io import save
from mapose.multiview.synchronization import find_offsets, shift_views
from mapose.synthetic import degrade, make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene(2, 160, seed=3, cameras=3)


def film(scene, offsets, **changes):
    """Views of a scene as networks find them, in slots, with cameras that count differently."""
    rng = np.random.default_rng(1)
    views = {}
    for name in scene.cameras.names:
        poses = degrade(scene.truth(name), rng)
        views[name] = replace(poses, frames=poses.frames + 25 + offsets[name], **changes)
    return views


@pytest.mark.parametrize("offsets", [(0, 0), (25, -25), (-3, 14), (1, -1)])
def test_offsets_of_slots_without_names(scene, offsets):
    truth = dict(zip(scene.cameras.names, (0, *offsets), strict=True))
    views = film(scene, truth)
    found = find_offsets(views, scene.cameras)
    assert found.offsets == truth
    assert found.sure
    again = find_offsets(shift_views(views, found), scene.cameras, max_offset=10)
    assert set(again.offsets.values()) == {0}


def test_shifted_views_show_the_same_moment(scene):
    truth = dict(zip(scene.cameras.names, (0, 5, -9), strict=True))
    views = film(scene, truth)
    for name, poses in shift_views(views, truth).items():
        assert poses.frames.tolist() == list(range(25, 185))
        assert np.array_equal(poses.array, views[name].array, equal_nan=True)


def test_moments_before_the_reference_are_left_out(scene):
    views = {n: scene.truth(n) for n in scene.cameras.names}
    shifted = shift_views(views, {"cam1": 4})
    assert shifted["cam1"].frames.tolist() == list(range(156))
    assert np.array_equal(shifted["cam1"].array, views["cam1"].array[4:], equal_nan=True)
    assert shifted["cam2"].frames.tolist() == list(range(160))


def test_a_drifting_clock_is_followed(scene):
    views = {n: scene.truth(n) for n in scene.cameras.names}
    found = find_offsets(views, scene.cameras, max_offset=8)
    found = replace(found, drifts={**found.drifts, "cam1": 4.0}, shifts={**found.shifts, "cam1": 0})
    poses = shift_views(views, found)["cam1"]
    # Two frames early at the start, two late at the end, in frame numbers of the reference.
    ahead = np.array([row[0, 0, 0] for row in poses.array])
    truth = views["cam1"].array[:, 0, 0, 0]
    assert ahead[poses.frames == 0].size == 0
    assert ahead[poses.frames == 10] == truth[8]
    assert ahead[poses.frames == 150] == truth[152]


def test_bad_views_are_told(scene):
    views = {n: scene.truth(n) for n in scene.cameras.names}
    with pytest.raises(ShapeError, match="at least two"):
        find_offsets({"top": views["top"]}, scene.cameras)
    with pytest.raises(ShapeError, match=r"same rate.*cam1 60.*resample"):
        find_offsets({**views, "cam1": replace(views["cam1"], rate=60)}, scene.cameras)
    with pytest.raises(ShapeError, match="wanted 2D poses"):
        find_offsets({**views, "cam1": scene.truth_3d()}, scene.cameras)
    with pytest.raises(CalibrationError, match="did you mean 'cam1'"):
        find_offsets({"top": views["top"], "cam_1": views["cam1"]}, scene.cameras)
    with pytest.raises(ShapeError, match="did you mean 'cam1'"):
        shift_views(views, {"cam_1": 3})
    other = replace(views["cam1"].skeleton, keypoints=[f"k{i}" for i in range(12)], edges=[],
                    mirror=[])  # fmt: skip
    with pytest.raises(ShapeError, match="no keypoint in common"):
        find_offsets({**views, "cam1": replace(views["cam1"], skeleton=other)}, scene.cameras)


def test_views_of_different_length_and_gaps(scene):
    views = {n: scene.truth(n) for n in scene.cameras.names}
    views["cam1"] = views["cam1"].sel(frames=slice(0, 110))
    views["cam2"] = views["cam2"].sel(frames=[f for f in range(160) if f % 7])
    views["cam2"] = replace(views["cam2"], frames=views["cam2"].frames + 6)
    assert find_offsets(views, scene.cameras, max_offset=15).offsets["cam2"] == 6


def test_a_view_without_detections_is_doubtful(scene):
    views = {n: scene.truth(n) for n in scene.cameras.names}
    array = np.full_like(views["cam2"].array, np.nan)
    views["cam2"] = replace(views["cam2"], array=array)
    found = find_offsets(views, scene.cameras, max_offset=15)
    assert found.doubtful == ("cam2",)
    assert found.offsets["cam1"] == 0


def test_offsets_beyond_the_search_are_searched_further():
    scene = make_scene(1, 300, seed=3, cameras=3, rate=30.0)
    views = {name: scene.truth(name) for name in scene.cameras.names}
    late = views["cam1"].sel(frames=slice(90, None))
    views["cam1"] = replace(late, frames=np.arange(len(late)))
    found = find_offsets(views, scene.cameras, max_offset=20)
    assert found.offsets == {"top": 0, "cam1": -90, "cam2": 0} and found.sure
    assert found.reach >= 90 and not found.at_rim and "look further" not in str(found)


def test_the_search_ends_where_the_recording_does():
    scene = make_scene(1, 60, seed=3, cameras=2)
    views = {name: scene.truth(name) for name in scene.cameras.names}
    found = find_offsets(views, scene.cameras, max_offset=100_000)  # took more than 10 minutes
    assert found.reach == 59 and found.offsets["cam1"] == 0


def test_an_offset_that_nothing_tells_names_how_far_was_looked():
    scene = make_scene(1, 60, seed=3, cameras=2)
    rng = np.random.default_rng(0)
    views = {}
    for name in scene.cameras.names:
        array = scene.truth(name).array.copy()
        array[..., :2] = rng.uniform(0, 300, array[..., :2].shape)
        views[name] = replace(scene.truth(name), array=array)
    found = find_offsets(views, scene.cameras, max_offset=10)
    assert not found.sure and f"within {found.reach} frames" in str(found)
    assert found.reach > 10


def test_a_wrong_rate_in_a_file_is_overridden(tmp_path):
    scene = make_scene(1, 30, seed=3, cameras=2)
    files = {}
    for i, name in enumerate(scene.cameras.names):
        files[name] = tmp_path / f"{name}.mapose.h5"
        save(replace(scene.truth(name), rate=25.0 + 5 * i), files[name])
    output = tmp_path / "o.mapose.h5"
    with pytest.raises(ShapeError, match="--rate"):
        triangulate_files(files, scene.cameras, output=output)
    found = triangulate_files(files, scene.cameras, output=output, views=ViewOptions(rate=30))
    assert found.poses.rate == 30
    with pytest.raises(SettingsError, match="above 0, came -1"):
        triangulate_files(
            files, scene.cameras, output=output, views=ViewOptions(rate=-1), force=True
        )
