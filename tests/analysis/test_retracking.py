"""Tracking a file again: chunks, online, options that contradict each other."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.analysis.retracking import TrackOptions, _rename_doubts, track_file
from mapose.doubts import Doubt
from mapose.errors import SettingsError
from mapose.io import VideoWriter, load, load_doubts, load_provenance, save, write
from mapose.metrics import track_scores
from mapose.poses import Poses
from mapose.recognition.learning import add_to_gallery
from mapose.results.correcting import add_edit, list_edits, undo_edit
from mapose.results.result import Result, find_doubtful
from mapose.synthetic import degrade, make_scene
from mapose.tracking import OnlineTracker, track, track_with_doubts
from tests.recognition.test_learning import film


@pytest.fixture(scope="module")
def scene():
    truth = make_scene(3, 500, seed=3).truth()
    return truth, degrade(truth, np.random.default_rng(3))


def test_file_is_tracked_as_poses_are(scene, tmp_path, monkeypatch):
    monkeypatch.setattr("mapose.analysis.retracking.CHUNK", 64)
    _, found = scene
    save(found, tmp_path / "found.mapose.h5")
    seen = []
    place = track_file(
        tmp_path / "found.mapose.h5",
        options=TrackOptions(individuals=3),
        on_progress=lambda *step: seen.append(step),
    )
    whole = track_with_doubts(found, individuals=3)
    assert place == tmp_path / "found.tracked.mapose.h5"
    np.testing.assert_array_equal(load(place).array, whole.poses.array)
    np.testing.assert_array_equal(load(place).identity, whole.poses.identity)
    assert [d.first for d in load_doubts(place)] == [c.first for c in whole.doubts]
    assert seen[-1] == ("tracking", 500, 500)


def test_corrections_follow_every_tracking(scene, tmp_path):
    truth, _ = scene
    path = tmp_path / "found.mapose.h5"
    save(truth, path)
    first = add_edit(path, truth.names[:2], frame=200)
    options = TrackOptions(individuals=3)
    place = track_file(path, options=options)
    assert list_edits(place) == [first]
    undo_edit(place)
    second = add_edit(path, truth.names[1:], frame=300)
    assert track_file(path, options=options) == place
    assert list_edits(place) == [second]  # the first was taken back there and stays away
    undo_edit(path)
    track_file(path, options=options)
    assert list_edits(place) == []


def test_online_follows_without_looking_ahead(scene, tmp_path):
    truth, found = scene
    save(found, tmp_path / "found.mapose.h5")
    options = TrackOptions(individuals=3, online=True)
    named = load(
        track_file(tmp_path / "found.mapose.h5", tmp_path / "on.mapose.h5", options=options)
    )
    assert named.names == ("track0", "track1", "track2")
    assert track_scores(truth, named).idf1 > 0.9
    # What is said of a frame does not change with what comes later.
    first = Poses(found.array[:100], found.skeleton)
    save(first, tmp_path / "first.mapose.h5")
    early = load(
        track_file(tmp_path / "first.mapose.h5", tmp_path / "e.mapose.h5", options=options)
    )
    np.testing.assert_array_equal(early.array, named.array[:100])


def test_online_rows_are_given_again():
    tracker = OnlineTracker(individuals=1, max_gap=5)
    nothing = np.full((2, 2), np.nan)
    here = np.stack([[[0.0, 0], [10, 10]], nothing])
    there = np.stack([nothing, [[500.0, 500], [510, 510]]])
    rows = [tracker.update(here)[0] for _ in range(6)]
    rows += [tracker.update(there)[1] for _ in range(10)]
    assert rows[:6] == [-1, -1, 0, 0, 0, 0]
    assert rows[-1] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"online": True},
        {"online": True, "individuals": 2, "appearance": True, "video": "v.mp4"},
        {"gallery": "g"},
        {"appearance": True},
    ],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(SettingsError):
        TrackOptions(**wrong)


def test_chunks_of_other_formats_and_their_units_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("mapose.analysis.retracking.CHUNK", 30)
    truth = make_scene(2, 100, seed=1, rate=40).truth(occluded=False)
    write(truth, tmp_path / "two.slp")
    place = track_file(tmp_path / "two.slp", options=TrackOptions(individuals=2))
    assert place == tmp_path / "two.tracked.mapose.h5"
    assert track_scores(truth, load(place)).idf1 > 0.99 and len(load(place)) == 100
    save(replace(truth, unit="mm"), tmp_path / "two.mapose.h5")
    options = TrackOptions(individuals=2)
    with pytest.raises(SettingsError, match=r"made by .*two\.slp.*made by .*two\.mapose\.h5"):
        track_file(tmp_path / "two.mapose.h5", options=options)
    place = track_file(tmp_path / "two.mapose.h5", options=options, force=True)
    assert (load(place).rate, load(place).unit) == (40, "mm")
    assert load_provenance(place)["source"] == "two.mapose.h5"


def test_nobody_at_all_is_one_empty_row(scene, tmp_path):
    _, found = scene
    save(Poses(np.full_like(found.array[:20], np.nan), found.skeleton), tmp_path / "no.mapose.h5")
    named = load(track_file(tmp_path / "no.mapose.h5"))
    assert named.names == ("track0",) and len(named) == 20 and not named.confidence.any()


@pytest.mark.parametrize("corrected", [False, True])
def test_what_a_person_corrected_teaches_the_looks(scene, tmp_path, monkeypatch, corrected):
    _, found = scene
    path = tmp_path / "found.mapose.h5"
    poses = track(found, individuals=3)
    array = poses.array.copy()
    array[240:300, :2] = np.nan  # who comes out again, nobody can tell without looks
    poses = replace(poses, array=array)
    save(poses, path)
    if corrected:
        add_edit(path, ["track0", "Anna"], kind="name")
    taught = []
    looks = np.random.default_rng(0).normal(0, 0.3, (*poses.array.shape[:2], 3)) + np.eye(3)
    looks[300:, :2] = looks[300:, 1::-1].copy()
    monkeypatch.setattr(
        "mapose.recognition.learning.learn_appearance",
        lambda video, poses, steps, on_progress: taught.append((poses.names, poses.identity)),
    )
    monkeypatch.setattr(
        "mapose.recognition.learning.find_embeddings",
        lambda video, poses, appearance, on_progress: looks,
    )
    monkeypatch.setattr("mapose.analysis.retracking.CHUNK", 200)
    options = TrackOptions(3, appearance=True, video="none.mp4")
    again = load(track_file(path, tmp_path / "again.mapose.h5", options=options))
    ((names, sure),) = taught
    assert names == ("Anna" if corrected else "track0", "track1", "track2")
    # The tracker's own names are what looks are to correct: they teach nothing.
    assert (sure is not None) == corrected
    # What was measured decides, each chunk with its own.
    whole, blind = (track(poses, individuals=3, embeddings=e) for e in (looks, None))
    np.testing.assert_array_equal(again.array, whole.array)
    np.testing.assert_array_equal(again.identity, whole.identity)
    assert not np.array_equal(whole.array, blind.array, equal_nan=True)


def test_empty_file_gives_an_empty_result(scene, tmp_path):
    _, found = scene
    save(Poses(found.array[:0], found.skeleton), tmp_path / "none.mapose.h5")
    place = track_file(tmp_path / "none.mapose.h5", options=TrackOptions(individuals=2))
    assert load(place).array.shape[:2] == (0, 2)


@pytest.fixture(scope="module")
def monday(tmp_path_factory):
    """A filmed recording, and a gallery of its animals."""
    folder = tmp_path_factory.mktemp("monday")
    frames, poses = film(["Anna", "Bea", "Cleo"], 160, seed=1)
    with VideoWriter(folder / "monday.mp4", rate=25) as writer:
        for frame in frames:
            writer.write(frame)
    names = {"track0": "Anna", "track1": "Bea", "track2": "Cleo"}
    add_to_gallery(None, frames, poses=poses, names=names, steps=15).save(folder / "b.gallery")
    return folder, poses


def test_looks_and_gallery_come_from_the_video(monday, monkeypatch):
    monkeypatch.setattr("mapose.recognition.learning.STEPS", 15)
    folder, poses = monday
    order = np.random.default_rng(0).permuted(np.tile(np.arange(3), (160, 1)), axis=1)
    mixed = np.take_along_axis(poses.array, order[..., None, None], 1)
    save(Poses(mixed, poses.skeleton, rate=25), folder / "monday.mapose.h5")
    options = TrackOptions(
        individuals=3,
        appearance=True,
        gallery=folder / "b.gallery",
        video=Result(folder / "monday.mapose.h5").find_video(),
    )
    stages = []
    place = track_file(
        folder / "monday.mapose.h5",
        options=options,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    named = load(place)
    assert named.names == ("Anna", "Bea", "Cleo")
    np.testing.assert_allclose(named.points, poses.points, atol=1e-3)
    assert list(dict.fromkeys(stages)) == ["tracking", "learning looks", "looking", "recognising"]
    assert Result(place).find_video() == folder / "monday.mp4"


def test_names_of_a_gallery_keep_the_doubtful_moments(monday, tmp_path):
    folder, poses = monday
    array = poses.array.copy()
    array[60:100, :2] = np.nan
    save(Poses(array, poses.skeleton, rate=25), tmp_path / "gap.mapose.h5")
    options = TrackOptions(3, gallery=folder / "b.gallery", video=folder / "monday.mp4")
    place = track_file(tmp_path / "gap.mapose.h5", options=options)
    (moment,) = find_doubtful(place)
    assert (moment.first, moment.last) == (59, 100) and 0.05 < moment.probability < 0.5
    assert set(moment.individuals) == {"Anna", "Bea"}
    found = load_provenance(place)
    assert (found["source"], found["gallery"]) == ("gap.mapose.h5", "b.gallery")


def test_rows_that_are_one_animal_cannot_be_swapped():
    doubts = [Doubt(3, 4, ("a", "b"), 0.1), Doubt(5, 6, ("b", "c"), 0.1)]
    renamed = _rename_doubts(doubts, {"a": "Anna", "b": "Bea", "c": "Bea"})
    assert renamed == [Doubt(3, 4, ("Anna", "Bea"), 0.1)]
