"""A scene in space: its poses upright and in windows, its cameras and its floor."""

import numpy as np
import pytest

from mapose.results.result import save
from mapose.synthetic import make_cameras, make_scene
from tests.app.test_proofread import unpack


@pytest.fixture
def place(workspace, tmp_path):
    scene = make_scene(2, 60, seed=3, cameras=make_cameras(3, size=(160, 120)))
    path = tmp_path / "scene.mapose.h5"
    save(scene.truth_3d(), path, cameras=scene.cameras.to_toml())
    return workspace.open_result(path).name, scene.truth_3d()


def test_a_scene_has_animals_floor_and_cameras(client, place):
    told = client.get(f"/api/scene/{place[0]}")[1]
    assert told["names"] == list(place[1].names) and told["last"] == 59
    assert [len(camera["corners"]) for camera in told["cameras"]] == [5, 5, 5]
    low, high = np.array(told["box"])
    assert (high > low).all() and low[2] - 10 <= told["floor"] <= high[2] and told["step"] > 0
    assert client.get(f"/api/r/{place[0]}")[1]["dimensions"] == 3


def test_points_in_space_come_in_windows(client, place):
    _, _, data = client.ask("GET", f"/scene/{place[0]}?first=50&count=20")
    header, values = unpack(data)
    size = 20 * header["animals"] * header["keypoints"]
    points = values[: 3 * size].reshape(20, header["animals"], header["keypoints"], 3)
    own = place[1].points[50:60]
    np.testing.assert_allclose(  # turned, perhaps, but not bent
        np.linalg.norm(np.diff(points[:10], axis=2), axis=-1),
        np.linalg.norm(np.diff(own, axis=2), axis=-1), rtol=1e-3, atol=1e-3,
    )  # fmt: skip
    assert np.isnan(points[10:]).all() and len(values) == 4 * size


def test_poses_in_a_picture_are_no_scene(client, workspace, walk):
    status, told = client.get(f"/api/scene/{workspace.open_result(walk).name}")
    assert status == 400 and "not in space" in told["error"]
