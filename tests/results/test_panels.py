"""Videos of several cameras side by side, with the scene in space."""

import numpy as np
import pytest

from mapose import Poses, Skeleton, add_edit, render_views
from mapose.errors import SettingsError, ShapeError
from mapose.io import Video, VideoWriter, save
from mapose.plots import make_stage
from mapose.synthetic import make_scene


@pytest.fixture
def session(tmp_path):
    scene = make_scene(2, 6, cameras=2, seed=3)
    save(scene.truth_3d(), tmp_path / "s.mapose.h5", cameras=scene.cameras.to_toml())
    videos = {name: tmp_path / f"{name}.mp4" for name in scene.cameras.names}
    for (name, path), frames in zip(videos.items(), (6, 4), strict=True):
        width, height = scene.cameras[name].size
        with VideoWriter(path, 25) as writer:
            for _ in range(frames):
                writer.write(np.zeros((height, width, 3), np.uint8))
    return tmp_path, scene, videos


def test_each_camera_has_its_panel_with_its_poses(session):
    folder, scene, videos = session
    render_views(videos, folder / "s.mapose.h5", folder / "out.mp4", trail=0)
    with Video(folder / "out.mp4") as video:
        assert len(video) == 6
        width, height = video.size
        pages = [image for _, image in video.iterate(0, 6)]
    names = scene.cameras.names
    shape = scene.cameras[names[0]].size
    # Three panels of one shape: in a row, or two above one that is as wide as both.
    grid = 3 if width > 2.5 * height else 2
    wide, high = width // grid, height // (1 if grid == 3 else 2)
    scale = min(wide / shape[0], high / shape[1])
    for i, name in enumerate(names):
        left, top = i % grid * wide, i // grid * high
        at = (scene.truth(name).points[2] + 0.5) * scale - 0.5 + [left, top]
        inside = np.isfinite(at).all(-1)
        x, y = np.round(at[inside]).astype(int).T
        seen = (x >= left + 3) & (x < left + wide - 3) & (y >= top + 3) & (y < top + high - 3)
        lit = [
            pages[2][b - 2 : b + 3, a - 2 : a + 3].max() > 100 for a, b in zip(x, y, strict=True)
        ]
        assert seen.sum() > 10 and np.mean(np.array(lit)[seen]) > 0.9
    second = np.s_[:high, wide + wide // 4 : wide + wide // 2]
    assert pages[5][second].std(axis=(0, 1)).max() < 60  # of a video that has ended: grey
    assert abs(int(np.median(pages[5][second])) - 88) < 6


def test_points_that_a_person_moved_get_a_ring_in_every_panel(session, monkeypatch):
    folder, scene, videos = session
    path, truth = folder / "s.mapose.h5", scene.truth_3d()
    place = truth.points[2, 0, 0] + 5
    add_edit(path, truth.names[:1], kind="move", frame=2, keypoint="nose", place=place.tolist())
    seen = []
    monkeypatch.setattr(
        "mapose.plots.draw_rings",
        lambda images, poses, marked, first: seen.append(np.argwhere(marked)) or images,
    )
    render_views(videos, path, folder / "out.mp4")
    assert [rows.tolist() for rows in seen] == 3 * [[[2, 0, 0]]]


def test_the_scene_keeps_its_shape():
    skeleton = Skeleton(["a", "b"], [("a", "b")])
    points = np.zeros((40, 1, 2, 4), np.float32)
    points[:, 0, 0, :3] = np.random.default_rng(0).uniform(0, 100, (40, 3))
    points[:, 0, 1, :3] = points[:, 0, 0, :3] + [0, 0, 30]  # upright limbs of one length
    points[..., 3] = 1
    points[7, 0, 1] = np.nan, np.nan, np.nan, 0
    stage = make_stage(Poses(points, skeleton, unit="mm"), (400, 300))
    assert stage.background.shape == (300, 400, 3) and stage.poses.dimensions == 2
    flat = stage.poses.points[:, 0]
    assert np.isnan(flat[7, 1]).all()
    rest = np.delete(flat, 7, axis=0)
    limb = rest[:, 1] - rest[:, 0]
    np.testing.assert_allclose(limb[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(limb[:, 1], limb[0, 1], rtol=1e-4)
    assert limb[0, 1] < -10  # up
    assert (rest > 0).all() and (rest < [400, 300]).all()
    # A bar along the near edge of the floor tells the size of its fields.
    bar = np.abs(stage.background.astype(int) - [200, 203, 208]).max(-1) < 8
    assert np.ptp(np.flatnonzero(bar.any(0))) > 10


def test_what_cannot_be_shown_is_told(session):
    folder, scene, videos = session
    with pytest.raises(SettingsError, match=r"no camera 'cam9'.*did you mean 'cam1'"):
        render_views({"cam9": videos["cam1"]}, folder / "s.mapose.h5", folder / "out.mp4")
    save(scene.truth("cam1"), folder / "flat.mapose.h5")
    with pytest.raises(SettingsError, match="several cameras need poses in 3D"):
        render_views(videos, folder / "flat.mapose.h5", folder / "out.mp4")
    with pytest.raises(SettingsError, match="read"):
        render_views(videos, folder / "s.mapose.h5", videos["cam1"], force=True)
    with pytest.raises(ShapeError, match="came 2D"):
        make_stage(scene.truth("cam1"), (400, 300))
    assert not (folder / "out.mp4").exists()
