"""Results of several tools against one truth."""

import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import ShapeError
from mapose.io import save
from mapose.metrics import name_scores, oks_map, pose_error, track_scores
from mapose.poses import Poses
from mapose.results.comparison import compare_files, compare_many, compare_poses
from mapose.results.correcting import export_result
from mapose.skeleton import Skeleton


def make_walk(rate=30):
    """Two animals side by side for 60 frames."""
    t = np.arange(60, dtype=np.float32)
    array = np.ones((60, 2, 3, 3), np.float32)
    array[..., 0] = 20 + t[:, None, None] + [0, 10, 20]
    array[..., 1] = np.array([[30], [80]]) + [0, 5, 0]
    return Poses(array, Skeleton(["a", "b", "c"], [("a", "b")]), ["x", "y"], rate=rate)


def swap(poses, frame):
    array = poses.array.copy()
    array[frame:] = array[frame:, ::-1]
    return replace(poses, array=array, identity=np.full(array.shape[:2], 0.8))


@pytest.fixture
def files(tmp_path):
    """The truth, and the same swapped result in the formats of three tools."""
    truth = make_walk()
    save(truth, tmp_path / "truth.mapose.h5")
    ours = tmp_path / "walk.mapose.h5"
    save(swap(truth, 45), ours)
    export_result(ours, tmp_path / "walk.h5", format="dlc-h5")
    export_result(ours, tmp_path / "walk.slp", format="slp")
    return [
        tmp_path / name for name in ("truth.mapose.h5", "walk.mapose.h5", "walk.h5", "walk.slp")
    ]


def test_tools_side_by_side(files):
    truth, *results = files
    found = compare_many(truth, results)
    assert list(found.results) == [str(file) for file in results]
    for result in found.results.values():
        assert result.frames == 60
        assert result.tracks.idf1 == result.names.named == 0.75
        assert result.tracks.switches == 2
        # Two switches in two times 60 frames at 30 frames/s.
        assert result.tracks.switches_per_hour == pytest.approx(2 / (120 / 30 / 3600))
    ours, dlc, _ = found.results.values()
    assert ours.names.calibration_error == pytest.approx(0.05, abs=1e-6)
    assert np.isnan(dlc.names.calibration_error)


def test_command_prints_one_table(files):
    result = CliRunner().invoke(app, ["metrics", *map(str, files)], catch_exceptions=False)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["IDF1", "MOTA", "HOTA", "switches"]
    for file, line in zip(files[1:], lines[1:], strict=False):
        assert line.split()[:2] == [str(file), "0.7500"]
    assert any(line.split()[:3] == ["0.8-0.9", "0.800", "0.750"] for line in lines)


def test_command_gives_json_by_file(files):
    words = ["metrics", *map(str, files), "--json"]
    found = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    assert set(found) == {str(file) for file in files[1:]}
    assert found[str(files[2])]["calibration_error"] is None


def test_rate_from_the_truth_the_result_or_the_caller(tmp_path):
    bare, timed = make_walk(None), make_walk(30)
    result = swap(timed, 30)
    expected = 2 / (120 / 30 / 3600)
    for truth, found, rate in ((timed, replace(result, rate=None), None), (bare, result, None)):
        per_hour = compare_poses(truth, found, rate=rate).tracks.switches_per_hour
        assert per_hour == pytest.approx(expected)
    silent = compare_poses(bare, replace(result, rate=None))
    assert np.isnan(silent.tracks.switches_per_hour)
    save(bare, tmp_path / "truth.mapose.h5")
    save(replace(result, rate=None), tmp_path / "found.mapose.h5")
    words = ["metrics", str(tmp_path / "truth.mapose.h5"), str(tmp_path / "found.mapose.h5")]
    told = CliRunner().invoke(app, [*words, "--rate", "60", "--json"], catch_exceptions=False)
    assert json.loads(told.output)["switches_per_hour"] == pytest.approx(2 * expected)


def test_frames_of_training_count_for_none(files):
    truth, ours, dlc, _ = files
    save(swap(make_walk(), 45), ours, provenance={"trained_frames": list(range(30))})
    held_out = compare_many(truth, [ours, dlc])
    assert [r.frames for r in held_out.results.values()] == [30, 30]
    assert compare_files(truth, ours, all_frames=True).frames == 60
    assert compare_files(truth, dlc).frames == 60


def test_untracked_file_is_named_in_the_message(files, tmp_path):
    poses = make_walk()
    save(replace(poses, individuals=None), tmp_path / "raw.mapose.h5")
    with pytest.raises(ShapeError, match=r"raw\.mapose\.h5: .*track them"):
        compare_many(files[0], [files[1], tmp_path / "raw.mapose.h5"])


def test_a_recording_that_was_cut_is_compared_where_it_begins(files, tmp_path):
    truth, part = make_walk(), tmp_path / "part.mapose.h5"
    cut = truth.sel(frames=range(40, 60))
    save(replace(cut, frames=cut.frames - 40), part)
    there = compare_files(files[0], part, shift=40)
    assert there.frames == 20 and there.error.mean == 0
    done = CliRunner().invoke(app, ["metrics", str(files[0]), str(part), "--shift", "40"])
    assert "20 frames compared" in done.output and "--shift" not in done.output
    done = CliRunner().invoke(app, ["metrics", str(files[0]), str(part)])
    assert "no animal lies where the truth has one" in done.output and "--shift" in done.output


@pytest.fixture(scope="module")
def wild():
    """Truth and result of three animals that meet: gaps, lone keypoints, swaps, a false alarm."""
    rng, count = np.random.default_rng(4), 400
    t, who = np.arange(count)[:, None], np.arange(3)
    way = np.stack([90 * np.cos(t / 40 + 2 * who), 90 * np.sin(t / 31 + who)], -1)
    points = way[:, :, None] + rng.normal(0, 12, (1, 3, 4, 2))
    skeleton = Skeleton(list("abcd"))
    made = []
    for noise, animals in ((0, 3), (2, 4)):
        array = rng.uniform(0.3, 1, (count, animals, 4, 3)).round(1 + (noise > 0))
        array[:, 3:, :, :2] = rng.uniform(0, 200, (count, animals - 3, 1, 2))
        array[:, :3, :, :2] = points + rng.normal(0, noise, points.shape)
        for start in range(0, count if noise else 0, 60):
            rows = slice(start, start + 25)
            array[rows] = array[rows][:, rng.permutation(animals)]
        array[rng.random(array.shape[:3]) < 0.1] = array[rng.random(array.shape[:2]) < 0.1] = np.nan
        array[50:58, 1, 1:] = array[200:230, 2] = np.nan
        identity = rng.uniform(0, 1, array.shape[:2])
        names = list("wxyz"[:animals])
        made.append(Poses(array, skeleton, names, 30.0, identity=identity))
    truth, found = made
    return truth, found.take(np.flatnonzero(rng.random(count) > 0.1))


@pytest.mark.parametrize("left_out", [[], [3, 60, 61, 399]])
def test_of_parts_comes_what_comes_of_the_whole(wild, monkeypatch, left_out):
    truth, found = wild
    whole = compare_poses(truth, found, leave_out=left_out)
    monkeypatch.setattr("mapose.parts.PART", 23)
    monkeypatch.setattr("mapose.shelf._MOST", 0)
    monkeypatch.setattr("mapose.metrics.oks._MOST", 100)
    parts = compare_poses(truth, found, leave_out=left_out)
    numbers, again = (c.to_dict() for c in (whole, parts))
    assert whole.tracks.switches > 10 and whole.tracks.fragmentations > 10
    assert 0.02 < whole.similarity.map < 0.9 and whole.names.tenths
    for name, value in numbers.items():
        if isinstance(value, float):
            assert again.pop(name) == pytest.approx(value, rel=1e-12), name
    # What is counted, or a middle one, is the same to the last bit.
    for name in ("median", "median_sure"):
        assert getattr(parts.error, name) == getattr(whole.error, name)
    np.testing.assert_array_equal(parts.error.median_each, whole.error.median_each)
    np.testing.assert_array_equal(parts.similarity.precision, whole.similarity.precision)
    for name in ("keypoints", "pck", "tenths"):
        numbers.pop(name), again.pop(name)
    assert again == {k: v for k, v in numbers.items() if not isinstance(v, float)}


def test_all_is_the_same_as_each_function_finds(wild):
    truth, found = wild
    together = compare_poses(truth, found)
    assert together.error.to_dict() == pose_error(truth, found).to_dict()
    assert together.similarity.to_dict() == oks_map(truth, found).to_dict()
    assert together.tracks == track_scores(truth, found)
    assert together.names == name_scores(truth, found)


def test_a_long_recording_takes_no_more_memory(tmp_path, monkeypatch):
    """200 parts are measured in the memory of 20: what waits lies in a file."""
    monkeypatch.setattr("mapose.parts.PART", 256)
    monkeypatch.setattr("mapose.shelf._MOST", 0)
    monkeypatch.setattr("mapose.shelf._BLOCK", 20_000)
    monkeypatch.setattr("mapose.metrics.oks._MOST", 2000)
    peaks = []
    for turns in (85, 850):
        array = np.tile(make_walk().array, (turns, 1, 1, 1))
        path = tmp_path / f"{turns}.mapose.h5"
        save(Poses(array, make_walk().skeleton, ["x", "y"], rate=30), path)
        del array
        tracemalloc.start()
        assert compare_files(path, path).frames == 60 * turns
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # But for the numbers of the frames, of which there is a list for each file.
    assert peaks[1] < 1.2 * peaks[0] + 4 * 8 * 60 * 850
