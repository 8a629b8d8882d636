"""Views that do not belong to their cameras are told, with the camera and numbers."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import CameraGroup
from mapose import triangulate
from mapose.cameras.triangulating import question_files, triangulate_files
from mapose.io import load_provenance, save
from mapose.synthetic import make_scene

WIDTH, HEIGHT = 480, 360


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 80, seed=1, cameras=4)


@pytest.fixture(scope="module")
def views(scene):
    rng = np.random.default_rng(0)
    found = {}
    for name in scene.cameras.names:
        assert scene.cameras[name].size == (WIDTH, HEIGHT)
        view = scene.truth(name)
        found[name] = change(view, lambda p: p + rng.normal(0, 0.7, p.shape))
    return found


def change(view, how):
    array = view.array.copy()
    array[..., :2] = how(array[..., :2].astype(float))
    return replace(view, array=array)


def flip(x, y):
    """Mirror or turn: -1 along each axis that changes."""
    corner = np.where([x < 0, y < 0], [WIDTH - 1, HEIGHT - 1], 0)
    return lambda p: p * [x, y] + corner


ONE = [
    (flip(-1, 1), "mirrored left to right"),
    (flip(1, -1), "mirrored upside down"),
    (flip(-1, -1), "turned by 180 degrees"),
    (lambda p: np.stack([HEIGHT - 1 - p[..., 1], p[..., 0]], -1), "turned by 90 degrees clockwise"),
    (lambda p: p - [60, 40], "moved by (-60, -40) px"),
    (lambda p: 2 * p + 0.5, "2 times as large"),
    (lambda p: p / 2 - 0.25, "0.5 times as large"),
    (lambda p: p * [0.5, 1] - [0.25, 0], "0.5 times as wide"),
    (lambda p: p * [1, 0.5] - [0, 0.25], "0.5 times as high"),
]


@pytest.mark.parametrize(("how", "words"), ONE, ids=[words for _, words in ONE])
def test_a_view_whose_picture_was_changed_is_named_with_the_change(scene, views, how, words):
    found = triangulate({**views, "cam1": change(views["cam1"], how)}, scene.cameras)
    (said,) = [w for w in found.warnings if "does not fit" in w]
    assert said.startswith("cam1 ") and words in said and " px" in said and " % of it" in said


def test_views_that_fit_are_not_spoken_of(scene, views):
    assert triangulate(views, scene.cameras).warnings == ()
    # One camera may be five times less exact than the others.
    rng = np.random.default_rng(1)
    poor = change(views["cam2"], lambda p: p + rng.normal(0, 4, p.shape))
    assert triangulate({**views, "cam2": poor}, scene.cameras).warnings == ()


def test_exchanged_views_are_told(scene, views):
    exchanged = {**views, "cam1": views["cam2"], "cam2": views["cam1"]}
    said = " ".join(triangulate(exchanged, scene.cameras).warnings)
    assert "cam1 does not fit" in said and "cam2 does not fit" in said
    assert "view of cam2: files exchanged" in said or "view of cam1: files exchanged" in said


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda p: 2 * p + 0.5, "2 times as large"),
        (lambda p: p / 2 - 0.25, "0.5 times as large"),
        (flip(-1, 1), "mirrored left to right"),
        (lambda p: p - [60, 40], "px"),
    ],
)
def test_all_views_changed_alike_are_told(scene, views, how, words):
    changed = {name: change(view, how) for name, view in views.items()}
    warnings = triangulate(changed, scene.cameras).warnings
    assert any(words in w for w in warnings), warnings


def mean(camera, how):
    """Write its pose as another tool means it."""
    turn, shift = camera.rotation_matrix, camera.translation
    if how == "camera to world":
        return replace(camera, rotation=turn.T, translation=camera.centre)
    if how == "place of the camera":
        return replace(camera, translation=camera.centre)
    flip = np.array([1.0, -1, -1])
    return replace(camera, rotation=flip[:, None] * turn, translation=flip * shift)


@pytest.mark.parametrize("how", ["camera to world", "place of the camera", "looks along -z"])
def test_poses_that_other_tools_mean_otherwise_are_named(scene, views, how):
    cameras = CameraGroup([mean(camera, how) for camera in scene.cameras], "mm")
    said = triangulate(views, cameras, smooth=False).warnings
    assert any("no view fits" in w and how in w for w in said), said
    one = CameraGroup([mean(c, how) if c.name == "cam1" else c for c in scene.cameras], "mm")
    (said,) = triangulate(views, one, smooth=False).warnings
    assert said.startswith("cam1 does not fit") and how in said


def test_rays_that_are_parallel_are_not_explained_by_anything(scene, views):
    camera = scene.cameras["top"]
    beside = replace(camera, name="b", translation=camera.translation + [0.01, 0, 0])
    pair = CameraGroup([camera, beside], "mm")
    said = triangulate({"top": views["top"], "b": views["top"]}, pair).warnings
    assert said and not any("they would" in w for w in said)


def test_keypoints_outside_the_picture_are_told_with_its_size(scene, views):
    doubled = change(views["cam1"], lambda p: 2 * p + 0.5)
    said = triangulate({**views, "cam1": doubled}, scene.cameras).warnings
    assert any("cam1" in w and "outside the 480 x 360" in w for w in said)


def test_what_files_say_is_held_against_the_cameras(scene, views, tmp_path):
    for name, view in views.items():
        size = [240, 180] if name == "cam3" else [480, 360]
        source = {"source": f"night_{name}.mp4", "size": size}
        save(view, tmp_path / f"{name}.mapose.h5", provenance=source)
    files = {name: tmp_path / f"{name}.mapose.h5" for name in views}
    provenance = {name: load_provenance(path) for name, path in files.items()}
    (said,) = question_files(files, scene.cameras, provenance=provenance)
    assert said.startswith("cam3: its video has 240 x 180 pixels, the camera was calibrated at 480")
    files["cam1"], files["cam2"] = files["cam2"], files["cam1"]
    found = triangulate_files(files, scene.cameras, output=tmp_path / "o.mapose.h5")
    text = str(found)
    assert "cam1: cam2.mapose.h5 bears the name of cam2" in text and "240 x 180" in text
    (tmp_path / "other.mapose.h5").write_bytes(files["cam1"].read_bytes())
    files = {**files, "cam2": tmp_path / "other.mapose.h5"}
    alone = {"cam2": files["cam2"]}
    assert not any(
        "other" in w for w in question_files(alone, scene.cameras, provenance=provenance)
    )


def test_distortion_that_was_taken_out_of_all_pictures_is_told(scene, views):
    bent = [replace(camera, distortion=[-2.0, 0.1, 0, 0, 0]) for camera in scene.cameras]
    said = triangulate(views, CameraGroup(bent, "mm")).warnings
    assert any("without their distortion: was it taken out" in w for w in said), said
    rng = np.random.default_rng(0)
    seen = {}
    for camera in bent:
        pixels = camera.project(scene.truth_3d().points)
        there = np.isfinite(scene.truth(camera.name).points)
        seen[camera.name] = change(
            scene.truth(camera.name),
            lambda p, pixels=pixels, there=there: np.where(
                there, pixels + rng.normal(0, 0.7, p.shape), np.nan
            ),
        )
    assert triangulate(seen, CameraGroup(bent, "mm")).warnings == ()
