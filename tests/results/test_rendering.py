"""Files made visible: reprojections into a camera's video, and the usual figures."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from mapose import plots
from mapose.errors import FormatError, SettingsError, ShapeError
from mapose.io import Video, VideoWriter, save
from mapose.poses import Poses
from mapose.results.correcting import add_edit
from mapose.results.rendering import project_poses, read_view, render_video, save_plots
from mapose.skeleton import Skeleton
from mapose.synthetic import make_scene


@pytest.fixture
def scene():
    return make_scene(2, 12, cameras=2, seed=3)


def test_3d_poses_are_drawn_where_the_camera_sees_them(tmp_path, scene):
    truth = scene.truth_3d()
    filled = np.zeros(truth.array.shape[:3], bool)
    filled[:, 1, 2] = True
    path = tmp_path / "s.mapose.h5"
    save(truth, path, cameras=scene.cameras.to_toml(), support={"filled": filled})
    view = read_view(path, "cam1")
    seen = scene.truth("cam1")
    there = np.isfinite(seen.points)
    np.testing.assert_allclose(view.points[there], seen.points[there], atol=1e-3)
    assert view.unit == "px" and view.individuals == truth.individuals and view.rate == truth.rate
    assert (view.confidence[:, 1, 2] < 0.5).all() and (view.confidence[:, 0] == 1).all()
    with VideoWriter(tmp_path / "cam1.mp4", 25) as writer:
        for _ in range(4):
            writer.write(np.zeros((360, 480, 3), np.uint8))
    render_video(tmp_path / "cam1.mp4", view, tmp_path / "out.mp4", trail=0)
    with Video(tmp_path / "out.mp4") as video:
        image = next(iter(video.iterate(2, 3)))[1]
    assert len(scene.skeleton.keypoints) > 3
    spots = np.round(view.points[2, :, :4].reshape(-1, 2)).astype(int)
    assert np.mean([image[y - 2 : y + 3, x - 2 : x + 3].max() > 100 for x, y in spots]) > 0.9


def test_points_that_a_person_moved_get_a_ring(tmp_path, scene):
    path, truth = tmp_path / "a.mapose.h5", scene.truth("cam1")
    save(truth, path)
    with VideoWriter(tmp_path / "cam1.mp4", 25) as writer:
        for _ in range(6):
            writer.write(np.full((360, 480, 3), 90, np.uint8))
    images = []
    for name in ("before", "after"):
        output = tmp_path / f"{name}.mp4"
        render_video(tmp_path / "cam1.mp4", path, output, trail=0, frames=slice(1, 5))
        with Video(output) as video:
            images.append([image.astype(int) for _, image in video.iterate(0, 4)])
        keypoint, place = truth.skeleton.keypoints[0], truth.points[3, 0, 0].tolist()
        add_edit(path, truth.names[:1], frame=3, kind="move", keypoint=keypoint, place=place)
    changed = [np.abs(a - b).max(-1) > 60 for a, b in zip(*images, strict=True)]
    y, x = np.nonzero(changed[2])  # frame 3
    away = np.hypot(x - place[0], y - place[1])
    assert len(away) > 10 and away.max() < 15 and not changed[0].any()


def test_2d_poses_are_as_they_are(tmp_path, scene):
    save(scene.truth("cam1"), tmp_path / "a.mapose.h5")
    np.testing.assert_array_equal(
        read_view(tmp_path / "a.mapose.h5").array, scene.truth("cam1").array
    )
    with pytest.raises(SettingsError, match="leave out the camera"):
        read_view(tmp_path / "a.mapose.h5", "cam1")


def test_what_cannot_be_projected_is_told(tmp_path, scene):
    path, truth = tmp_path / "s.mapose.h5", scene.truth_3d()
    save(truth, path)
    with pytest.raises(FormatError, match="no cameras to project"):
        read_view(path, "cam1")
    save(truth, path, cameras=scene.cameras.to_toml())
    with pytest.raises(SettingsError, match="name one of its cameras, top, cam1"):
        read_view(path)
    with pytest.raises(SettingsError, match="did you mean 'cam1'"):
        read_view(path, "cam_1")
    save(replace(truth, unit="m"), path, cameras=scene.cameras.to_toml())
    with pytest.raises(FormatError, match="poses are in m, its cameras in mm"):
        read_view(path, "cam1")
    with pytest.raises(ShapeError, match="came 2D"):
        project_poses(scene.truth(), scene.cameras["cam1"])
    with pytest.raises(ShapeError, match="filled: wanted"):
        project_poses(truth, scene.cameras["cam1"], filled=np.zeros(3, bool))


def test_figures_of_both_kinds(tmp_path, scene, monkeypatch):
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: path.touch())
    truth = scene.truth_3d()
    shape = truth.array.shape[:3]
    support = {"filled": np.zeros(shape, bool), "n_views": np.full(shape, 2)}
    save(truth, tmp_path / "s.mapose.h5", cameras=scene.cameras.to_toml(), support=support)
    rest = ["positions", "confidence", "histograms"]
    names = [p.stem for p in save_plots(tmp_path / "s.mapose.h5", tmp_path / "a")]
    assert names == ["scene", "reconstruction", *rest]
    assert [p.stem for p in save_plots(truth, tmp_path / "b")] == names
    assert [p.stem for p in save_plots(scene.truth(), tmp_path / "c")] == ["trajectories", *rest]


def test_keypoints_of_an_only_animal_have_colours_of_their_own(tmp_path, monkeypatch):
    with VideoWriter(tmp_path / "film.mp4", 25) as writer:
        for _ in range(2):
            writer.write(np.zeros((120, 160, 3), np.uint8))
    array = np.full((2, 2, 2, 3), 60, np.float32)
    pair = Poses(array, Skeleton(["snout", "tail"]), ["x", "y"], rate=25)
    one = replace(pair, array=array[:, :1], individuals=["x"])
    told, draw = [], plots.draw_video
    monkeypatch.setattr(
        plots, "draw_video", lambda *a, **k: (told.append(k["colours"]), draw(*a, **k))[1]
    )
    for name, poses, drawing in (
        ("a", one, {}),
        ("b", pair, {}),
        ("c", one, {"colours": "individual"}),
        ("d", pair, {"colours": "keypoint"}),
    ):
        render_video(tmp_path / "film.mp4", poses, tmp_path / f"{name}.mp4", **drawing)
    assert told == ["keypoint", "individual", "individual", "keypoint"]
    with pytest.raises(SettingsError, match="colour"):
        render_video(tmp_path / "film.mp4", one, tmp_path / "e.mp4", colours="limb")
