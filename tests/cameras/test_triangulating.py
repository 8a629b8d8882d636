"""Files of 2D poses to one file of 3D poses, and cameras from poses, as the commands do it."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import CameraGroup
from mapose.cameras.selfcalibrating import calibrate_from_files, check_calibration
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.cli import app
from mapose.errors import SettingsError
from mapose.io import load, load_cameras, load_provenance, save
from mapose.metrics import pose_error
from mapose.results.rendering import project_poses
from mapose.synthetic import Flaws, degrade, make_scene
from mapose.tracking import track


@pytest.fixture(scope="module")
def scene():
    return make_scene(2, 80, seed=3, cameras=3)


@pytest.fixture(scope="module")
def files(scene, tmp_path_factory):
    """Tracked detections of each camera, named differently in each, and the calibration."""
    folder = tmp_path_factory.mktemp("session")
    rng = np.random.default_rng(0)
    for name in scene.cameras.names:
        found = degrade(scene.truth(name), rng, flaws=Flaws(jitter=1.0, merged=0.0))
        save(track(found, individuals=2), folder / f"{name}.mapose.h5")
    scene.cameras.save(folder / "calibration.toml")
    return {name: folder / f"{name}.mapose.h5" for name in scene.cameras.names}


def test_triangulate_command(scene, files, tmp_path):
    output = tmp_path / "session.mapose.h5"
    sources = [f"{name}={path}" for name, path in files.items()]
    calibration = files["top"].with_name("calibration.toml")
    options = ["--calibration", str(calibration), "-o", str(output), "--animals", "2"]
    done = CliRunner().invoke(app, ["triangulate", *sources, *options])
    assert done.exit_code == 0, done.output
    poses = load(output)
    truth = scene.truth_3d()
    assert poses.dimensions == 3 and poses.unit == scene.cameras.unit
    assert poses.array.shape[:3] == truth.array.shape[:3]
    apart = np.linalg.norm(poses.points[:, :, None] - truth.points[:, None], axis=-1)
    for owner in np.nanmedian(apart, axis=(0, 3)).argmin(1):
        assert owner in (0, 1)
    best = np.nanmedian(apart, axis=(0, 3))
    assert sorted(best.argmin(1)) == [0, 1] and best.min(1).max() < 3  # mm
    assert CameraGroup.from_toml(load_cameras(output)).names == scene.cameras.names
    assert load_provenance(output)["sources"]["top"] == "top.mapose.h5"
    corrected = load(tmp_path / "session.views" / "top.mapose.h5")
    assert corrected.individuals == poses.individuals
    seen = project_poses(poses, scene.cameras["top"])
    assert pose_error(corrected, seen).median < 3  # px: the same animal under the same name


def test_rigid_bones_from_the_command_line(files, tmp_path):
    sources = [f"{name}={path}" for name, path in files.items()]
    calibration = ["--calibration", str(files["top"].with_name("calibration.toml"))]
    varying = []
    for option in ([], ["--rigid"]):
        output = tmp_path / f"session{len(option)}.mapose.h5"
        arguments = ["triangulate", *sources, *calibration, "-o", str(output), *option]
        done = CliRunner().invoke(app, [*arguments, "--animals", "2"])
        assert done.exit_code == 0, done.output
        points = load(output).points
        a, b = (load(output).skeleton.keypoints.index(x) for x in load(output).skeleton.edges[0])
        length = np.linalg.norm(points[:, 0, a] - points[:, 0, b], axis=-1)
        varying.append(np.nanstd(length) / np.nanmean(length))
    assert varying[1] < 0.5 * varying[0]
    done = CliRunner().invoke(app, [*arguments, "--no-smooth"])
    assert isinstance(done.exception, SettingsError)


def test_animal_that_one_camera_sees_keeps_its_2d_track(scene, tmp_path):
    """Without --animals, it has a row in all files, a place in none, and is named in a note."""
    sources = []
    for name in scene.cameras.names:
        poses = scene.truth(name)
        array = poses.array.copy()
        if name != "top":
            array[:, 1] = np.nan
        save(replace(poses, array=array), tmp_path / f"{name}.mapose.h5")
        sources.append(f"{name}={tmp_path / name}.mapose.h5")
    scene.cameras.save(tmp_path / "calibration.toml")
    output = tmp_path / "session.mapose.h5"
    options = ["--calibration", str(tmp_path / "calibration.toml"), "-o", str(output)]
    done = CliRunner().invoke(app, ["triangulate", *sources, *options])
    assert done.exit_code == 0, done.output
    lonely = scene.individuals[1]
    assert f"note: {lonely}: top alone sees it: 2D tracks, no place in space" in done.output
    poses, top = load(output), load(tmp_path / "session.views" / "top.mapose.h5")
    assert poses.individuals == top.individuals == tuple(scene.individuals)
    assert np.isfinite(poses.points).any((0, 2, 3)).tolist() == [True, False]
    kept = top.confidence[:, 1] > 0
    np.testing.assert_array_equal(kept, scene.truth("top").confidence[:, 1] > 0)


def test_table_of_several_cameras_gives_each_its_rows(scene, tmp_path):
    lines = ["camera,frame,individual,keypoint,x,y"]
    for name in scene.cameras.names:
        poses = scene.truth(name, occluded=False)
        for f in range(20):
            for i, who in enumerate(poses.names):
                for k, what in enumerate(scene.skeleton.keypoints):
                    x, y = poses.points[f, i, k]
                    lines.append(f"{name},{f},{who},{what},{x},{y}")
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    sources, seen = dict.fromkeys(scene.cameras.names, table), []
    found = triangulate_files(
        sources,
        scene.cameras,
        output=tmp_path / "a.mapose.h5",
        on_progress=lambda done, total: seen.append((done, total)),
        smooth=False,
    )
    apart = np.linalg.norm(found.poses.points - scene.truth_3d().points[:20], axis=-1)
    assert np.nanmax(apart) < 0.1 and np.isfinite(apart).mean() > 0.95
    # Frames are counted twice: animals are followed, then reconstructed.
    assert seen[0][1] == 40 and seen[-1] == (40, 40)


def test_views_need_cameras_and_equal_frames(files, tmp_path, scene):
    calibration = files["top"].with_name("calibration.toml")
    wrong = {"tap": files["top"], "cam1": files["cam1"]}
    with pytest.raises(SettingsError, match=r"no camera .tap.*top"):
        triangulate_files(wrong, calibration, output=tmp_path / "a.mapose.h5")
    strange = {"left": files["top"], "right": files["cam1"]}
    with pytest.raises(SettingsError, match="no camera 'left', 'right' in the calibration: known"):
        triangulate_files(strange, calibration, output=tmp_path / "a.mapose.h5")
    short = tmp_path / "short.mapose.h5"
    save(load(files["cam1"]).sel(frames=slice(0, 60)), short)
    views = {"top": files["top"], "cam1": short}
    whole = triangulate_files(views, calibration, output=tmp_path / "a.mapose.h5")
    assert len(whole.poses) == len(load(files["top"])) > 60
    assert any("cam1 at 59" in note for note in whole.warnings)
    options = ViewOptions(individuals=2, cut=True)
    cut = triangulate_files(views, calibration, output=tmp_path / "c.mapose.h5", views=options)
    assert len(cut.poses) == 60
    with pytest.raises(SettingsError, match="no folder"):
        triangulate_files(views, calibration, output=tmp_path / "none" / "a.mapose.h5")


def test_animals_calibrate_cameras_and_check_them(scene, tmp_path):
    files, rng = {}, np.random.default_rng(1)
    for name in scene.cameras.names:
        files[name] = tmp_path / f"{name}.mapose.h5"
        poses = scene.truth(name)
        noise = np.zeros_like(poses.array)
        noise[..., :2] = rng.normal(0, 0.5, poses.points.shape)
        save(replace(poses, array=poses.array + noise), files[name])
    known = tmp_path / "lenses.toml"
    scene.cameras.save(known)
    a, b = scene.skeleton.edges[0]
    ends = [scene.skeleton.index(n) for n in (a, b)]
    bone = np.linalg.norm(np.diff(scene.truth_3d().points[:, :, ends], axis=2), axis=-1)
    output = tmp_path / "calibration.toml"
    length = ((a, b), float(np.nanmedian(bone)), scene.cameras.unit)
    calibrate_from_files(files, output, lenses=known, length=length)
    found = CameraGroup.load(output)
    assert found.unit == scene.cameras.unit
    centres = np.array([c.centre for c in found]), np.array([c.centre for c in scene.cameras])
    apart = [np.linalg.norm(c[:, None] - c, axis=-1) for c in centres]
    assert apart[0] == pytest.approx(apart[1], rel=0.02)
    assert check_calibration(files, known).fits
    with pytest.raises(ValueError, match=r"noze"):
        calibrate_from_files(files, output, lenses=known, length=(("noze", b), 1.0, "mm"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["calibrate", "top=nowhere.mp4"], "nothing at nowhere.mp4"),
        (["calibrate", "setup.cfg"], "CAM=PATH"),
        (["calibrate", "top=setup.cfg"], "--board"),
        (["triangulate", "--lengths", "a-b=long", "top=setup.cfg"], "a number for a-b"),
        (["calibrate", "--from-poses", "top=setup.cfg"], "--lenses"),
        (["calibrate", "--from-poses", "--size", "big", "top=setup.cfg"], "WIDTHxHEIGHT"),
        (["calibrate", "--from-poses", "--size", "9x9", "--length", "a", "t=setup.cfg"], "a-b=25"),
    ],
)
def test_wrong_commands_say_what_was_wanted(arguments, complaint):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code != 0 and complaint in str(done.exception)
