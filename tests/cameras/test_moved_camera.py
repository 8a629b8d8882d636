"""A camera that is moved in mid-recording: found, put right, and used for its frames."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import CameraGroup
from mapose.cameras.selfcalibrating import check_calibration
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import load, save
from mapose.results.rendering import project_poses, read_view
from mapose.synthetic import make_scene
from tests.calibration.walkers import bump

ONSET = 45


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 80, seed=5, cameras=3)


@pytest.fixture(scope="module")
def moved(scene):
    """The cameras after one of them was pushed: 0.7 degrees, and two millimetres."""
    return bump(scene.cameras, "cam2", turned=(0.4, 0.5, 0.2), moved=(2, 0, 1))


@pytest.fixture(scope="module")
def files(scene, moved, tmp_path_factory):
    """What the cameras saw, to half a pixel, before and after."""
    folder = tmp_path_factory.mktemp("moved")
    rng, truth = np.random.default_rng(0), scene.truth_3d()
    for name in scene.cameras.names:
        view = scene.truth(name, occluded=False)
        array = view.array.copy()
        if name == "cam2":
            array[ONSET:] = project_poses(truth, moved[name]).array[ONSET:]
        array[..., :2] += rng.normal(0, 0.5, array[..., :2].shape)
        save(replace(view, array=array), folder / f"{name}.mapose.h5")
    scene.cameras.save(folder / "before.toml")
    moved.save(folder / "after.toml")
    return {name: folder / f"{name}.mapose.h5" for name in scene.cameras.names}


def measure(found, scene):
    """Median and greatest error in 3D before and after the movement, mm."""
    off = np.linalg.norm(found.points - scene.truth_3d().points, axis=-1)
    parts = off[:ONSET], off[ONSET:]
    return np.array([[np.nanmedian(part), np.nanquantile(part, 0.95)] for part in parts])


def test_a_camera_moved_in_mid_recording_is_put_right_from_the_poses(scene, files, tmp_path):
    folder = files["cam2"].parent
    sources = [f"{name}={path}" for name, path in files.items()]
    repaired = tmp_path / "repaired.toml"
    check = ["calibrate", *sources, "--check", str(folder / "before.toml")]
    done = CliRunner().invoke(app, [*check, "--repair", str(repaired)])
    assert done.exit_code == 0, done.output
    cameras = CameraGroup.load(repaired)
    assert cameras.names[:-1] == scene.cameras.names
    name, since = cameras.names[-1].split("@")
    assert name == "cam2" and abs(int(since) - ONSET) <= 2
    assert f"cam2@{since}" in done.output and f"from frame {since} on" in done.output
    np.testing.assert_array_equal(cameras["cam1"].rotation, scene.cameras["cam1"].rotation)

    output = tmp_path / "s.mapose.h5"
    run = ["triangulate", *sources, "--calibration", str(repaired), "-o", str(output)]
    done = CliRunner().invoke(app, run)
    assert done.exit_code == 0, done.output
    right = measure(load(output), scene)
    assert (right[1] < 1.2 * right[0]).all(), right  # as good after the movement as before
    # Of three cameras two can outvote one: what a place is worth is seen with one other camera.
    pixels = np.stack([load(files[n]).points[ONSET + 3 :] for n in ("top", "cam2")])
    truth, off = scene.truth_3d().points[ONSET + 3 :], []
    for place in (scene.cameras["cam2"], cameras[cameras.names[-1]]):
        points = CameraGroup([scene.cameras["top"], place]).triangulate(pixels, robust=False).points
        off.append(np.nanmedian(np.linalg.norm(points - truth, axis=-1)))
    assert off[0] > 4 * off[1] and off[1] < 1, off  # mm
    # One view of each camera comes out, and drawings follow the camera.
    views = sorted(path.name for path in (tmp_path / "s.views").iterdir())
    assert views == [f"{name}.mapose.h5" for name in sorted(scene.cameras.names)]
    corrected = load(tmp_path / "s.views" / "cam2.mapose.h5")
    seen = read_view(output, "cam2")
    off = np.linalg.norm(seen.points - corrected.points, axis=-1)
    assert np.nanmedian(off[:ONSET]) < 1.2 and np.nanmedian(off[ONSET + 3 :]) < 1.2  # px


def test_a_second_calibration_counts_from_its_frame_on(scene, moved, files, tmp_path):
    folder = files["cam2"].parent
    options = ViewOptions(later=(ONSET, folder / "after.toml"))
    found = triangulate_files(
        files, folder / "before.toml", output=tmp_path / "s.mapose.h5", views=options
    )
    right = measure(found.poses, scene)
    assert (right[1] < 1.2 * right[0]).all(), right
    assert any(note.startswith(f"cam2 moved at frame {ONSET}: ") for note in found.warnings)
    assert found.camera_shares[f"cam2@{ONSET}"] > 0.95


def test_options_of_a_moved_camera_are_refused_where_they_mean_nothing(files, tmp_path):
    sources = [f"{name}={path}" for name, path in files.items()]
    for option, word in (
        (["calibrate", *sources, "--repair", "x.toml"], "--check"),
        (["calibrate", *sources, "--check", "c.toml", "--moved", "cam2=soon"], "number of a frame"),
        (["triangulate", *sources, "--then", "after.toml"], "FRAME=FILE"),
    ):
        done = CliRunner().invoke(app, option)
        assert isinstance(done.exception, SettingsError) and word in str(done.exception)


def test_a_calibration_from_the_first_frame_on_is_that_of_the_recording(scene, files, tmp_path):
    later = (0, files["cam2"].with_name("after.toml"))
    with pytest.raises(SettingsError, match="from frame 0 on is that of the whole recording"):
        triangulate_files(
            files,
            scene.cameras,
            output=tmp_path / "o.mapose.h5",
            views=ViewOptions(later=later),
        )


def test_a_check_of_exchanged_views_names_them(scene, files, caplog):
    exchanged = {**files, "cam1": files["cam2"], "cam2": files["cam1"]}
    drift = check_calibration(exchanged, files["cam1"].with_name("before.toml"))
    assert not any(np.isfinite(own.visible) for own in drift.drifts)
    (said,) = [record.message for record in caplog.records if "do not fit" in record.message]
    assert said.startswith("cam1 (") and " px) and cam2 (" in said and "exchanged" in said
