"""Scenes in space: what is drawn where, and what stands upright."""

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.figure import Figure

from calibration import Camera, CameraGroup
from calibration.synthetic import make_ring
from mapose import Poses, Skeleton
from mapose.errors import ShapeError
from mapose.parts import Parts
from mapose.plots import plot_scene_3d
from mapose.plots.rigs import find_frustum, find_upright, level_floor

RAT = Skeleton(["head", "neck", "tail"], [("head", "neck"), ("neck", "tail")])


def make_poses(rng: np.random.Generator, animals: int = 2, frames: int = 80) -> Poses:
    """Animals that wander over the floor, 20 mm above it, the neck highest."""
    walk = np.cumsum(rng.normal(size=(frames, animals, 1, 3)) * [9, 9, 0], 0)
    body = np.array([[30.0, 0, 20], [0, 0, 30], [-40, 0, 10]])
    points = walk + body + rng.normal(size=(frames, animals, 3, 3))
    array = np.concatenate([points, np.ones((frames, animals, 3, 1))], -1)
    names = [f"rat{i}" for i in range(animals)]
    return Poses(array, RAT, names, rate=25, unit="mm")


def move(cameras: CameraGroup, poses: Poses, name: str) -> tuple[CameraGroup, Poses]:
    """Make one camera's frame the world, as calibrations without a world frame are."""
    turn, shift = cameras[name].rotation_matrix, cameras[name].translation
    moved = [
        Camera(c.name, c.size, c.matrix, c.distortion, c.rotation_matrix @ turn.T,
               c.translation - c.rotation_matrix @ turn.T @ shift, c.model)
        for c in cameras
    ]  # fmt: skip
    array = poses.array.astype(np.float64)
    array[..., :3] = array[..., :3] @ turn.T + shift
    return CameraGroup(moved, cameras.unit), replace(poses, array=array)


def draw(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


def list_texts(figure: Figure) -> set[str]:
    return {t.get_text() for axes in figure.axes for t in axes.texts}


@pytest.mark.parametrize("cameras", [(), make_ring(3, fisheye=(1,))])
@pytest.mark.parametrize("kind", ["plain", "slots", "nan", "one frame", "some", "no edges"])
def test_every_kind_of_poses_can_be_drawn(rng, cameras, kind) -> None:
    poses = make_poses(rng)
    poses = {
        "plain": poses,
        "slots": replace(poses, individuals=None),
        "nan": replace(poses, array=np.full_like(poses.array, np.nan)),
        "one frame": poses.sel(frames=[7]),
        "some": replace(
            poses, array=np.where(rng.random((80, 2, 3, 1)) < 0.6, np.nan, poses.array)
        ),
        "no edges": replace(poses, skeleton=Skeleton(RAT.keypoints)),
    }[kind]
    assert draw(plot_scene_3d(poses, cameras=cameras)).startswith(b"\x89PNG")


def test_names_cameras_scale_and_filled_points(rng) -> None:
    poses = make_poses(rng)
    filled = np.zeros(poses.array.shape[:3], bool)
    filled[40, 1, 2] = True
    cameras = make_ring(3)
    figure = plot_scene_3d(poses, cameras=cameras, frame=40, filled=filled)
    texts = list_texts(figure)
    assert {"rat0", "rat1", "cam0", "cam1", "cam2"} <= texts
    assert any(t.endswith(" mm") for t in texts)
    rig, scene = figure.axes
    assert scene.get_title(loc="left") == "Frame 40, 1.60 s"
    assert rig.get_aspect() == scene.get_aspect() == 1
    frusta = [
        c for c in rig.collections if isinstance(c, PolyCollection) and len(c.get_paths()) == 5
    ]
    assert len(frusta) == 3
    dots = [c for c in scene.collections if isinstance(c, PathCollection)]
    hollow = [c for c in dots if len(c.get_offsets()) == 1 and (c.get_facecolor() == 1).all()]
    assert len(hollow) == 1
    # Without perspective: the hollow point is at its place seen from the side and above.
    e, a = np.radians([28.0, -62.0])
    right = np.array([-np.sin(a), np.cos(a), 0])
    up = np.cross([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], right)
    point = poses.points[40, 1, 2].astype(np.float64)
    np.testing.assert_allclose(hollow[0].get_offsets()[0], [point @ right, point @ up], rtol=1e-5)


def test_seen_from_above_it_is_a_map(rng) -> None:
    poses = make_poses(rng, animals=1)
    axes = plot_scene_3d(poses, frame=79, view=(90, -90)).axes[0]
    dots = [c for c in axes.collections if len(c.get_offsets()) == 3]
    np.testing.assert_allclose(dots[0].get_offsets(), poses.points[79, 0, :, :2], atol=1e-3)


def test_trails_are_as_long_as_told(rng) -> None:
    def count(poses: Poses, trail: int) -> int:
        axes = plot_scene_3d(poses, frame=70, trail=trail).axes[0]
        lines = [c for c in axes.collections if isinstance(c, LineCollection)]
        return max(len(c.get_segments()) for c in lines if len(c.get_colors()) > 1) if trail else 0

    poses = make_poses(rng)
    assert count(poses, 30) == 30
    assert count(poses.sel(frames=range(0, 80, 5)), 30) == 6
    assert count(poses, 0) == 0


@pytest.mark.parametrize("name", ["cam0", "cam3"])
def test_scene_in_the_frame_of_a_camera_stands_upright(rng, name) -> None:
    upright, poses = make_ring(5, seed=1), make_poses(rng, 3, 200)
    cameras, moved = move(upright, poses, name)
    np.testing.assert_array_equal(find_upright(list(upright)), np.eye(3))
    rough = find_upright(list(cameras))
    up = upright[name].rotation_matrix @ [0, 0, 1]  # where z went
    assert rough[2] @ up > 0.9
    turn = level_floor(moved.points, rough)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.degrees(np.arccos(min(1, turn[2] @ up))) < 2
    assert draw(plot_scene_3d(moved, cameras=cameras))


def test_animals_in_a_heap_do_not_tilt_the_floor(rng) -> None:
    heap = rng.normal(size=(100, 2, 3, 3))
    np.testing.assert_array_equal(level_floor(heap, np.eye(3)), np.eye(3))
    np.testing.assert_array_equal(level_floor(heap[:5], np.eye(3)), np.eye(3))


def test_cameras_from_above_or_lying_do_not_turn_the_world() -> None:
    lens, down = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]), np.diag([1.0, -1, -1])
    cameras = [
        Camera(f"c{i}", (640, 480), lens, rotation=down, translation=[i, 0, 900]) for i in range(3)
    ]
    np.testing.assert_array_equal(find_upright(cameras), np.eye(3))
    np.testing.assert_array_equal(find_upright([]), np.eye(3))


@pytest.mark.parametrize("fisheye", [False, True])
def test_frusta_open_towards_what_is_seen(fisheye) -> None:
    camera = make_ring(2, fisheye=(0, 1) if fisheye else ()).cameras[1]
    frustum = find_frustum(camera, (0, 0, 0))
    np.testing.assert_allclose(frustum[0], camera.centre)
    reach = np.linalg.norm(frustum[1:] - frustum[0], axis=-1)
    assert 0.15 < reach.mean() / np.linalg.norm(camera.centre) < 0.3
    pixels = camera.project(frustum[1:])
    if not fisheye:  # there the corners of the image are, but for the distortion
        corners = [[0, 0], [639, 0], [639, 479], [0, 479]]
        np.testing.assert_allclose(pixels, corners, atol=30)
    middle = camera.project(frustum[1:].mean(0))
    np.testing.assert_allclose(middle, [319.5, 239.5], atol=5)


def test_parts_are_drawn_as_the_whole(rng, monkeypatch) -> None:
    monkeypatch.setattr("mapose.plots.scene3d.SAMPLE", 9)
    poses, filled = make_poses(rng), np.zeros((80, 2, 3), bool)
    poses = replace(poses, array=poses.array + np.array([0, 0, 500, 0]))  # on a table
    filled[41, 1] = True
    parts = Parts(
        poses.take, poses.frames, read_support=lambda rows: {"filled": filled[rows]}, size=17
    )
    for frame in (None, 41):
        whole = plot_scene_3d(poses, frame=frame, filled=filled)
        assert draw(plot_scene_3d(parts, frame=frame)) == draw(whole)


def test_what_cannot_be_drawn_is_told(rng) -> None:
    poses = make_poses(rng)
    with pytest.raises(ShapeError, match="wanted poses in 3D"):
        plot_scene_3d(Poses(poses.array[..., 1:], RAT))
    with pytest.raises(ShapeError, match="frame 99 is not among the frames 0 to 79"):
        plot_scene_3d(poses, frame=99)
    with pytest.raises(ShapeError, match="filled: wanted"):
        plot_scene_3d(poses, filled=np.zeros((80, 2), bool))
    with pytest.raises(ShapeError, match="at least one frame"):
        plot_scene_3d(poses.sel(frames=[]))
