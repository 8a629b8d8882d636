"""Corrections beside a file: it tells the truth after an edit, tracking again, and undo."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mapose
from mapose.cameras.triangulating import load_views
from mapose.cli import app
from mapose.doubts import Doubt
from mapose.edits import Edit, find_edits_path, save_edits, write_line
from mapose.errors import FormatError, SettingsError, ShapeError, VideoError
from mapose.io import VideoWriter
from mapose.metrics import track_scores
from mapose.poses import Poses
from mapose.results.comparison import compare_files
from mapose.results.correcting import (
    add_edit,
    carry_edits,
    export_result,
    find_span,
    list_edits,
    undo_edit,
)
from mapose.results.rendering import read_view, save_plots, save_swap_pictures
from mapose.results.result import Result, find_doubtful, load, read, save, write
from mapose.similarity import find_centres
from mapose.synthetic import Flaws, degrade, make_scene
from mapose.tracking import track

DOUBTS = [
    Doubt(100, 110, ("track0", "track1"), 0.269),
    Doubt(300, 310, ("track0", "track1"), 0.05),
]


def make_crossing(frames: int = 400) -> Poses:
    """Two animals that pass each other at frames 105 and 305, in the tracker's rows."""
    t = np.arange(frames)
    array = np.ones((frames, 2, 3, 3), np.float32)
    for who, sign in enumerate((1, -1)):
        array[:, who, :, 0] = (200 + sign * 80 * np.cos(np.pi * (t - 5) / 200))[:, None] + [
            0,
            9,
            18,
        ]
        array[:, who, :, 1] = 100 + 4 * sign
    identity = np.full((frames, 2), 0.8, np.float32)
    skeleton = make_scene(1, 1).skeleton
    names = skeleton.keypoints[:3]
    return Poses(array, type(skeleton)(names), ["track0", "track1"], 25.0, identity=identity)


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def swap_rows(poses: Poses, frame: int) -> Poses:
    array = poses.array.copy()
    array[frame:] = array[frame:, ::-1]
    return replace(poses, array=array)


@pytest.fixture
def truth():
    return make_crossing()


@pytest.fixture
def path(tmp_path, truth):
    """A result that goes wrong at the first meeting."""
    path = tmp_path / "monday.mapose.h5"
    mapose.io.save(swap_rows(truth, 105), path, doubts=DOUBTS)
    return path


def test_the_truth_at_each_step(path, truth):
    wrong, content = mapose.io.load(path), path.read_bytes()
    np.testing.assert_array_equal(read(path).array, wrong.array)

    edit = add_edit(path, ["track0", "track1"], frame=105)
    assert str(edit) == "frame 105: track0 and track1 are swapped from here on"
    np.testing.assert_array_equal(read(path).array, truth.array)
    assert path.read_bytes() == content  # the tracker's result stays as it was
    np.testing.assert_array_equal(mapose.io.load(path).array, wrong.array)

    # Tracked again with the same error, rows the other way round and other names.
    again = wrong.sel(individual=["track1", "track0"])
    mapose.io.save(replace(again, individuals=["a", "b"]), path)
    fixed = read(path)
    np.testing.assert_array_equal(fixed.sel(individual=["b", "a"]).array, truth.array)
    # Tracked again without the error: the edit does no harm.
    mapose.io.save(truth, path)
    np.testing.assert_array_equal(read(path).array, truth.array)
    mapose.io.save(wrong, path)
    np.testing.assert_array_equal(read(path).array, truth.array)

    assert undo_edit(path) == edit
    np.testing.assert_array_equal(read(path).array, wrong.array)
    with pytest.raises(SettingsError, match="nothing to undo"):
        undo_edit(path)


def test_edits_hold_in_what_the_tracker_makes_of_real_detections(tmp_path):
    """Detections of drawn mice, tracked; an error put in; tracked again by the tracker itself."""
    truth = make_scene(2, 500, seed=4).truth()
    found = degrade(truth, np.random.default_rng(4), flaws=Flaws(jitter=1, missing=0.02))
    right = track(found, individuals=2)
    away = np.linalg.norm(np.diff(find_centres(right.points), axis=1)[:, 0], axis=-1)
    frame = 50 + int(np.nanargmin(away[50:]))
    path = tmp_path / "mice.mapose.h5"
    wrong = swap_rows(right, frame)
    mapose.io.save(wrong, path)
    add_edit(path, wrong.names, frame=frame)
    np.testing.assert_array_equal(read(path).array, right.array)
    mapose.io.save(track(wrong, individuals=2), path)
    np.testing.assert_array_equal(read(path).array, mapose.io.load(path).array)
    undo_edit(path)
    np.testing.assert_array_equal(read(path).array, mapose.io.load(path).array)


def test_real_flies_are_corrected_and_stay_so_when_tracked_again(recordings, tmp_path):
    truth = mapose.io.read(recordings / "flies_courtship" / "predictions.slp")
    truth = truth.sel(frames=slice(0, 1200))
    away = np.linalg.norm(np.diff(find_centres(truth.points), axis=1)[:, 0], axis=-1)
    frame = 300 + int(np.nanargmin(away[300:900]))
    path = tmp_path / "flies.mapose.h5"
    wrong = swap_rows(truth, frame)
    mapose.io.save(wrong, path)
    add_edit(path, wrong.names, frame=frame)
    np.testing.assert_array_equal(read(path).array, truth.array)
    for source in (wrong, truth):
        mapose.io.save(track(source, individuals=2), path)
        assert track_scores(truth, read(path)).idf1 > 0.99


def test_undo_takes_back_one_after_the_other(path, truth):
    first = add_edit(path, ["track0", "track1"], frame=105)
    second = add_edit(path, ["track1", "Zoë"], kind="name")
    third = add_edit(path, ["track0", "Zoë"], frame=305, kind="keep")
    assert list_edits(path) == [first, second, third]
    assert read(path).names == ("track0", "Zoë")
    assert [undo_edit(path) for _ in range(3)] == [third, second, first]
    assert read(path).names == ("track0", "track1")


def test_every_reader_sees_the_corrections(path, truth, tmp_path):
    add_edit(path, ["track0", "track1"], frame=105)
    np.testing.assert_array_equal(read_view(path).array, truth.array)
    np.testing.assert_array_equal(load_views({"top": path})["top"].array, truth.array)
    mapose.io.save(truth, tmp_path / "truth.mapose.h5")
    assert compare_files(tmp_path / "truth.mapose.h5", path).tracks.switches == 0
    assert compare_files(path, tmp_path / "truth.mapose.h5").tracks.idf1 == 1
    export_result(path, tmp_path / "out.csv")
    np.testing.assert_allclose(mapose.io.read(tmp_path / "out.csv").array, truth.array, atol=1e-2)
    drawn = [place.stem for place in save_plots(path, tmp_path / "plots")]
    assert drawn == ["trajectories", "positions", "confidence", "histograms", "identity"]


def test_what_3d_points_rest_on_goes_along(tmp_path):
    scene = make_scene(2, 60, seed=1, cameras=2)
    truth = scene.truth_3d()
    path = tmp_path / "session.mapose.h5"
    error = np.zeros(truth.array.shape[:3], np.float32)
    error[:, 1] = 5
    mapose.io.save(truth, path, cameras=scene.cameras.to_toml(), support={"error": error})
    assert (Result(path).support["error"] == error).all()
    save_edits([Edit(30, truth.names)], find_edits_path(path))
    moved = Result(path).support["error"]
    assert (moved[:30, 1] == 5).all() and (moved[30:, 0] == 5).all() and (moved[30:, 1] == 0).all()
    export_result(path, tmp_path / "out.mapose.h5")
    assert (Result(tmp_path / "out.mapose.h5").support["error"] == moved).all()
    swapped = read_view(path, "top")
    np.testing.assert_array_equal(
        swapped.array[30:, 0], read_view(tmp_path / "out.mapose.h5", "top").array[30:, 0]
    )


def test_edits_are_carried_to_another_tracking_once(path, truth, tmp_path):
    other = tmp_path / "monday.tracked.mapose.h5"
    mapose.io.save(swap_rows(truth, 105), other)
    carry_edits(list_edits(path), other)
    assert not find_edits_path(other).exists()
    first = add_edit(path, ["track0", "track1"], frame=105)
    carry_edits(list_edits(path), other)
    np.testing.assert_array_equal(read(other).array, truth.array)
    undo_edit(other)
    carried = [write_line(first)]
    carry_edits(list_edits(path), other, carried=carried)
    assert list_edits(other) == []  # what was taken back does not come again
    second = add_edit(path, ["track0", "track1"], frame=305)
    own = add_edit(other, ["track0", "track1"], frame=205)
    carry_edits(list_edits(path), other, carried=carried)
    assert list_edits(other) == [own, second]
    undo_edit(path)
    carry_edits(list_edits(path), other, carried=[write_line(first), write_line(second)])
    assert list_edits(other) == [own]


def test_edits_of_another_recording_do_not_count(path, caplog):
    found = mapose.io.load(path)
    job = {"job": {"video": "0123456789abcdef"}}
    mapose.io.save(found, path, doubts=DOUBTS, provenance=job)
    edit = add_edit(path, ["track0", "track1"], frame=105)
    assert edit.recording == "0123456789abcdef"
    swapped = load(path)
    assert (swapped.array != found.array).any()
    mapose.io.save(found, path, provenance={"job": {"video": "fedcba9876543210"}})
    np.testing.assert_array_equal(load(path).array, found.array)
    assert Result(path).edits == () and "1 of 1 corrections are of another recording" in caplog.text
    other = add_edit(path, ["track0", "track1"], frame=305)
    assert list_edits(path) == [edit, other] and Result(path).edits == (other,)
    mapose.io.save(found, path)  # nothing is known of the recording: they hold
    assert len(Result(path).edits) == 2


def test_other_tools_files_have_no_edits(path, tmp_path):
    export_result(path, tmp_path / "monday.csv")
    add_edit(path, ["track0", "track1"], frame=105)
    np.testing.assert_allclose(
        read(tmp_path / "monday.csv").array, mapose.io.load(path).array, atol=1e-2
    )
    with pytest.raises(SettingsError, match="mapose track"):
        add_edit(tmp_path / "monday.csv", ["track0", "track1"], frame=105)


def test_wrong_calls_are_told(path, truth, tmp_path):
    for names, options, error, words in (
        (["track0", "trak1"], {"frame": 105}, ShapeError, "did you mean 'track1'"),
        (["track0"], {"frame": 105}, SettingsError, "two animals"),
        (["track0", "track1"], {}, SettingsError, "wanted the frame"),
        (["track0", "track1"], {"frame": 900}, ShapeError, "0 to 399"),
        (["track0", "track1"], {"kind": "name"}, SettingsError, "another one"),
        (["track0", "track1"], {"frame": 5, "kind": "swop"}, SettingsError, "'swap'"),
    ):
        with pytest.raises(error, match=words):
            add_edit(path, names, **options)
    assert not find_edits_path(path).exists()
    with pytest.raises(FormatError, match="no file tuesday"):
        add_edit(tmp_path / "tuesday.mapose.h5", ["a", "b"], frame=1)
    mapose.io.save(replace(truth, individuals=None), tmp_path / "slots.mapose.h5")
    with pytest.raises(SettingsError, match="without individuals"):
        add_edit(tmp_path / "slots.mapose.h5", ["slot0", "slot1"], frame=105)


def test_a_damaged_list_is_told_and_nothing_is_lost(path):
    find_edits_path(path).write_text("frame,kind\n1,swap\n", encoding="utf-8")
    for call in (read, undo_edit, list_edits):
        with pytest.raises(FormatError, match="no column first"):
            call(path)
    assert len(mapose.io.load(path)) == 400


def test_settled_moments_are_not_asked_again_and_names_are_as_edited(path):
    assert [swap.frame for swap in find_doubtful(path)] == [105, 305]
    assert [swap.frame for swap in find_doubtful(path, min_probability=0.1)] == [105]
    add_edit(path, ["track0", "Anna"], kind="name")
    assert find_doubtful(path)[0].individuals == ("Anna", "track1")
    add_edit(path, ["Anna", "track1"], frame=105)
    left = find_doubtful(path)
    assert [swap.frame for swap in left] == [305]
    # Both edits made them certain; only the second meeting is in doubt.
    identity = read(path).identity
    assert (identity[105:300] == 1).all() and (identity[:85] == 1).all()
    np.testing.assert_allclose(identity[311:], 1 - left[0].probability, rtol=1e-5)
    undo_edit(path)
    assert [swap.frame for swap in find_doubtful(path)] == [105, 305]


def test_a_moment_is_shown_from_where_they_are_apart(path):
    moment = find_doubtful(path)[0]
    before, after = find_span(read(path), moment)
    assert before < moment.first and after > moment.last


def test_a_moment_is_shown_in_a_part_of_the_recording_too(path):
    poses, moment = read(path), find_doubtful(path)[0]
    assert find_span(poses.sel(frames=range(50, 400)), moment) == find_span(poses, moment)
    # Who is hardly there cannot be told apart: then the moment itself is shown.
    array = poses.array.copy()
    array[:, 1] = array[:105, 0] = np.nan
    assert find_span(replace(poses, array=array), moment) == (100, 110)


def test_an_edit_reaches_over_its_whole_moment_but_not_over_another_edit(path):
    assert add_edit(path, ["track0", "track1"], frame=102).span == (99, 111)
    add_edit(path, ["track0", "track1"], frame=120, kind="keep")
    assert add_edit(path, ["track0", "track1"], frame=130, kind="keep").span[0] >= 120


@pytest.mark.parametrize("command", ["swap", "swaps", "name", "edit"])
def test_every_help_shows_an_example(command):
    assert f"Example: mapose {command}" in " ".join(run(command, "--help").split())


def test_points_and_tracks_are_edited_on_the_command_line(path, tmp_path):
    run("edit", path, "split", "track0", "--frame", 200)
    run("edit", path, "move", "track2", "--frame", 210, "--keypoint", "nose", "--to", "12.5,7")
    run("edit", path, "delete", "track1", "--frame", 20, "--last", 29)
    run("edit", path, "delete", "track1", "--frame", 50, "--keypoint", "nose")
    run("edit", path, "join", "track0", "track2")
    assert run("swap", path, "--list").splitlines() == [
        "frame 200: track0 is another animal from here on, track2",
        "frame 210: nose of track2 is at 12.5, 7.0",
        "frame 20: track1 is deleted up to frame 29",
        "frame 50: nose of track1 is deleted",
        "frame 200: track0 and track2 are one animal, track0",
    ]
    fixed, before = load(path), load(path, raw=True)
    assert fixed.names == ("track0", "track1") and len(Result(path).edits) == 5
    assert fixed["track0", "nose"][210, :2].tolist() == [12.5, 7]
    edited = Result(path).edited
    assert edited.sum() == 1 + 10 * 3 + 1 and edited[20:30, 1].all() and edited[210, 0, 0]
    np.testing.assert_array_equal(fixed.array[~edited], before.array[~edited])

    # Tracked again, filtered and exported, it is known which points a person has touched.
    other = tmp_path / "other.mapose.h5"
    run("track", path, "--individuals", 2, "-o", other)
    assert Result(other).edited.sum() == edited.sum()
    export_result(path, tmp_path / "away.mapose.h5")
    np.testing.assert_array_equal(Result(tmp_path / "away.mapose.h5").edited, edited)
    export_result(path, tmp_path / "away.csv")
    text = (tmp_path / "away.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sum(row["edited"] == "1" for row in rows) == edited.sum()
    np.testing.assert_array_equal(read(tmp_path / "away.csv").points, fixed.points)
    run("swap", path, "--undo")
    assert load(path).names == ("track0", "track1", "track2")
    with pytest.raises(SettingsError, match="wanted numbers as"):
        run("edit", path, "move", "track0", "--frame", 3, "--keypoint", "nose", "--to", "a,b")
    with pytest.raises(SettingsError, match="join, split, move or delete"):
        run("edit", path, "erase", "track0")


def test_a_swap_holds_where_points_were_deleted_before(path):
    """Animals are found by where the tracker saw them, whatever became of their points."""
    for name in ("track0", "track1"):
        add_edit(path, [name], kind="delete", keypoint="nose", frame=0, last=399)
    before = load(path)
    for frame in (105, 121):
        add_edit(path, ["track0", "track1"], frame=frame)
    add_edit(path, ["track1", "Anna"], kind="name", frame=120)
    found = load(path)
    assert found.names == ("track0", "Anna")
    np.testing.assert_array_equal(found.array[105:121, ::-1], before.array[105:121])
    np.testing.assert_array_equal(found.array[121:], before.array[121:])


def test_points_in_space_are_moved_and_plotted(tmp_path):
    poses, path = make_scene(1, 20, seed=1).truth_3d(), tmp_path / "space.mapose.h5"
    error = np.ones(poses.confidence.shape, np.float32)
    save(poses, path, support={"error": error})
    keypoint = poses.skeleton.keypoints[0]
    add_edit(path, poses.names, frame=7, kind="move", keypoint=keypoint, place=(1, 2, 3))
    assert load(path).points[7, 0, 0].tolist() == [1, 2, 3]
    support = Result(path).support
    assert set(support) == {"error", "edited"} and support["edited"].sum() == 1
    drawn = [p.stem for p in save_plots(path, tmp_path / "figures")]
    assert "reconstruction" in drawn


def test_edited_points_are_a_variable_for_movement(path, tmp_path):
    xr = pytest.importorskip("xarray")
    add_edit(path, ["track0"], frame=7, kind="move", keypoint="nose", place=(1, 2))
    export_result(path, tmp_path / "away.nc", format="movement")
    with xr.open_dataset(tmp_path / "away.nc", engine="h5netcdf") as found:
        assert found.edited.dims == found.confidence.dims
        assert int(found.edited.sum()) == 1 and bool(found.edited[7, 0, 0])


def test_correcting_on_the_command_line(path, truth):
    assert "no corrections" in run("swap", path, "--list")
    assert "swapped from here on" in run("swap", path, "--frame", 105, "track0", "track1")
    np.testing.assert_array_equal(read(path).array, truth.array)
    run("name", path, "track1", "Anna")
    run("swap", path, "--frame", 305, "--keep", "track0", "Anna")
    assert run("swap", path, "--list").splitlines() == [
        "frame 105: track0 and track1 are swapped from here on",
        "frame 0: track1 is called Anna",
        "frame 305: track0 and Anna are named rightly",
    ]
    assert "taken back: frame 305" in run("swap", path, "--undo")

    # Tracked again by the command itself: into another file, twice.
    other = path.with_name("other.mapose.h5")
    assert "2 corrections" in run("track", path, "--individuals", 2, "-o", other)
    assert "2 corrections" in run("track", path, "--individuals", 2, "-o", other)
    for again in (other, path):
        fixed = read(again)
        rows = [fixed.names.index(n) for n in fixed.names if n != "Anna"]
        np.testing.assert_array_equal(
            fixed.array[:, [*rows, fixed.names.index("Anna")]], truth.array
        )
    run("swap", path, "--undo")
    run("swap", path, "--undo")
    np.testing.assert_array_equal(read(path).array, mapose.io.load(path).array)


@pytest.mark.parametrize(
    "words", [[], ["--undo", "--list"], ["--frame", "5", "--undo"], ["track0", "track1"]]
)
def test_swap_wants_one_thing(path, words):
    with pytest.raises(SettingsError, match="one of --frame N A B, --undo, --list"):
        run("swap", path, *words)


def test_swaps_lists_the_doubtful_moments(path):
    table = run("swaps", path)
    assert "0:04.20" in table and "0.269" in table and table.index("105") < table.index("305")
    assert f"mapose swap {path} --frame 105 track0 track1" in table.replace("\n", "")
    rows = list(csv.DictReader(io.StringIO(run("swaps", path, "--csv"))))
    assert [row["frame"] for row in rows] == ["105", "305"] and rows[0]["time"] == "4.2"
    found = json.loads(run("swaps", path, "--json", "--top", 1))
    assert found["total"] == 2 and found["swaps"][0]["individuals"] == ["track0", "track1"]
    assert "1 more" in run("swaps", path, "--top", 1)
    assert "no doubtful moments" in run("swaps", path, "--min-probability", 0.9)


def test_pictures_of_doubtful_moments(path, tmp_path):
    with pytest.raises(VideoError, match="name it with --video"):
        list(save_swap_pictures(Result(path), find_doubtful(path), tmp_path / "none"))
    with VideoWriter(tmp_path / "film.mp4", 25) as writer:
        for _ in range(330):
            writer.write(np.full((200, 400, 3), 128, np.uint8))
    run("swaps", path, "--pictures", tmp_path / "pictures", "--video", tmp_path / "film.mp4")
    names = sorted(p.name for p in (tmp_path / "pictures").iterdir())
    assert names == [f"00{i}-frame000{f}-track0-track1.png" for i, f in ((1, 105), (2, 305))]
    for name in names:
        picture = np.asarray(Image.open(tmp_path / "pictures" / name).convert("RGB")).astype(int)
        for colour in ((245, 154, 20), (79, 179, 240)):  # both animals in their colours
            assert (np.abs(picture - colour).max(-1) < 12).sum() > 200
    # The result names its video, also once it has been tracked again.
    mapose.io.save(mapose.io.load(path), path, provenance={"source": "film.mp4"}, doubts=DOUBTS)
    run("track", path, "--individuals", 2)
    moments = find_doubtful(path)[:1]
    tracked = tmp_path / "monday.tracked.mapose.h5"
    assert len(list(save_swap_pictures(Result(tracked), moments, tmp_path / "more"))) == 1


def test_what_python_loads_is_what_a_person_corrected(path, truth):
    wrong = load(path)
    add_edit(path, ["track0", "track1"], frame=105)
    for poses in (mapose.load(path), mapose.read(path), Result(path).poses):
        np.testing.assert_array_equal(poses.array, truth.array)
        assert poses.identity[200].min() > wrong.identity[200].max()
    for poses in (mapose.load(path, raw=True), Result(path).found):
        np.testing.assert_array_equal(poses.array, wrong.array)


def test_corrected_poses_are_not_corrected_twice(path, tmp_path):
    add_edit(path, ["track0", "track1"], frame=105)
    before = path.read_bytes()
    poses = load(path)
    for call in (save, write):
        with pytest.raises(SettingsError, match="applied to what is saved as well"):
            call(poses, path)
    assert path.read_bytes() == before
    save(poses, tmp_path / "mine.mapose.h5")
    np.testing.assert_array_equal(load(tmp_path / "mine.mapose.h5").array, poses.array)


def test_a_result_tells_what_it_holds(path):
    add_edit(path, ["track0", "Anna"], kind="name")
    with Result(path) as result:
        assert str(result) == (
            "monday.mapose.h5: 400 frames of 2 individuals (Anna, track1), 25 frames/s, "
            "1 correction"
        )
        assert len(result) == 400 and result.rate == 25 and result.cameras is None
        assert result.read_window(slice(10, 12)).frames.tolist() == [10, 11]
        assert result._repr_html_() == f"<pre>{result}</pre>"
