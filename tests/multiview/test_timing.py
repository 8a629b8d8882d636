"""Frames that were dropped, and cameras that take their frames between those of others."""

from dataclasses import replace

import numpy as np
import pytest

from mapose import triangulate
from mapose.cameras.triangulating import ViewOptions, triangulate_files
from mapose.errors import FormatError, SettingsError
from mapose.io import save
from mapose.multiview.timing import align_times, compare_pace, read_times
from mapose.synthetic import make_scene


@pytest.fixture(scope="module")
def scene():
    return make_scene(1, 200, seed=7, cameras=3, rate=30.0)


@pytest.fixture(scope="module")
def views(scene):
    rng = np.random.default_rng(0)
    found = {}
    for name in scene.cameras.names:
        view = scene.truth(name, occluded=False)
        array = view.array.copy()
        array[..., :2] += rng.normal(0, 0.7, array[..., :2].shape)
        found[name] = replace(view, array=array)
    return found


def drop(view, lost):
    """What is in the video once some frames were not written."""
    kept = np.setdiff1d(np.arange(len(view)), lost)
    return replace(view.take(kept), frames=np.arange(len(kept)))


def measure(found, scene):
    off = np.linalg.norm(found.points - scene.truth_3d().points, axis=-1)
    return np.nanmedian(off), np.nanquantile(off, 0.95), np.isfinite(off).mean()


@pytest.mark.parametrize("kind", ["time", "dropped"])
def test_five_percent_dropped_frames_reconstruct_as_well_as_the_whole(scene, views, tmp_path, kind):
    lost = np.sort(np.random.default_rng(1).choice(np.arange(5, 195), 10, replace=False))
    files = {}
    for name, view in views.items():
        files[name] = tmp_path / f"{name}.mapose.h5"
        save(drop(view, lost) if name == "cam1" else view, files[name])
    rows = [f"camera,{kind}"]
    if kind == "dropped":
        rows += [f"cam1,{frame}" for frame in lost] + ["top,500", "cam2,500"]
    else:
        jitter = np.random.default_rng(2).uniform(-1e-4, 1e-4, 200)
        for name in views:
            own = np.setdiff1d(np.arange(200), lost) if name == "cam1" else np.arange(200)
            rows += [f"{name},{100 + frame / 30 + jitter[frame]:.6f}" for frame in own]
    (tmp_path / "times.csv").write_text("\n".join(rows), encoding="utf-8")
    options = ViewOptions(times=tmp_path / "times.csv")
    output = tmp_path / "o.mapose.h5"
    found = triangulate_files(files, scene.cameras, output=output, views=options)
    assert len(found.poses) == 200 and found.poses.rate == pytest.approx(30, rel=1e-3)
    whole = measure(triangulate(views, scene.cameras).poses, scene)
    aligned = measure(found.poses, scene)
    assert aligned[0] < 1.05 * whole[0] and aligned[1] < 1.1 * whole[1] and aligned[2] > 0.999
    gone = ~found.views["cam1"].find_present().any(1)
    np.testing.assert_array_equal(np.flatnonzero(gone), lost)
    assert any("aligned by time" in w and "cam1 10" in w for w in found.warnings)


def test_a_camera_that_takes_its_frames_between_the_others_is_interpolated(scene, views):
    # It sees what the others saw half a frame later: the mean of two frames.
    own = views["cam1"].array
    half = own.copy()
    half[:-1, ..., :2] = (own[:-1, ..., :2] + own[1:, ..., :2]) / 2
    late = replace(views["cam1"], array=half)
    times = {name: np.arange(200) / 30 for name in views}
    moved = {**times, "cam1": times["cam1"] + 0.5 / 30}
    plain = {**views, "cam1": late}
    aligned = align_times(plain, moved)
    truth = align_times(views, times)["cam1"]
    off = np.linalg.norm(aligned["cam1"].points[2:198] - truth.points[2:198], axis=-1)
    untouched = np.linalg.norm(half[2:-2, ..., :2] - own[2:-2, ..., :2], axis=-1)
    assert np.nanmean(off) < 0.7 * np.nanmean(untouched)


def test_a_camera_that_starts_late_or_counts_differently(scene, views):
    times = {name: np.arange(200) / 30 for name in views}
    late = replace(views["cam2"].take(slice(40, None)), frames=np.arange(160))
    aligned = align_times({**views, "cam2": late}, {**times, "cam2": 40 / 30 + np.arange(160) / 30})
    assert len(aligned["cam2"]) == 200
    np.testing.assert_allclose(aligned["cam2"].array[40:], views["cam2"].array[40:], atol=1e-4)
    assert not aligned["cam2"].find_present()[:40].any()


def test_cameras_are_found_by_the_number_at_their_end(recordings):
    path = recordings / "charuco_4cam" / "timestamps.csv"
    times = read_times(path, {f"cam_{i}": 111 for i in range(4)})
    assert list(times) == [f"cam_{i}" for i in range(4)]
    assert all(len(t) == 111 for t in times.values())
    assert np.median(np.diff(times["cam_0"])) == pytest.approx(1 / 6, rel=0.05)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a,b\n1,2", FormatError, "wanted columns camera and time"),
        ("camera,time\ntop,x", FormatError, "wanted numbers, came 'x'"),
        ("camera,time\ntop,2\ntop,1", FormatError, "times of top do not ascend"),
        ("camera,time\nside,1\nside,2", SettingsError, "it is about side, wanted top"),
        ("camera,time\ntop,1\ntop,2", SettingsError, "only 2 times are given"),
    ],
)
def test_files_of_times_that_do_not_fit(views, tmp_path, text, error, message):
    path = tmp_path / "times.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        align_times({"top": views["top"]}, read_times(path, {"top": 200}))


def test_times_that_are_no_seconds_are_refused(scene, views, tmp_path):
    rows = [f"{n},{i * 1000 / 30}" for n in views for i in range(len(views[n]))]
    (tmp_path / "ms.csv").write_text("camera,time\n" + "\n".join(rows), encoding="utf-8")
    for name, view in views.items():
        save(view, tmp_path / f"{name}.mapose.h5")
    files = {name: tmp_path / f"{name}.mapose.h5" for name in views}
    with pytest.raises(SettingsError, match=r"seem to be ms: .* 0\.03 frames/s, .* say 30"):
        triangulate_files(
            files,
            scene.cameras,
            output=tmp_path / "o.mapose.h5",
            views=ViewOptions(times=tmp_path / "ms.csv"),
        )
    assert compare_pace(15, 30) and not compare_pace(29.97, 30) and not compare_pace(6, None)


@pytest.mark.parametrize("number", ["-5", "5.5"])
def test_dropped_frames_that_are_none(tmp_path, number):
    (tmp_path / "d.csv").write_text(f"camera,dropped\ntop,{number}\n", encoding="utf-8")
    with pytest.raises(FormatError, match=f"whole numbers from 0, came {number}"):
        read_times(tmp_path / "d.csv", {"top": 60})
