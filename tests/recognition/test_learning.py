import logging
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import ShapeError, VideoError
from mapose.io import Video, VideoWriter, read, save
from mapose.poses import Poses
from mapose.recognition.gallery import UNKNOWN, load_gallery
from mapose.recognition.learning import (
    add_to_gallery,
    find_embeddings,
    learn_appearance,
    load_appearance,
    name_by_gallery,
)
from mapose.skeleton import Skeleton

SKELETON = Skeleton(["head", "middle", "tail"], [("head", "middle"), ("middle", "tail")])
#: Front and rear of the beetles' backs.
COATS = {
    "Anna": ((220, 60, 40), (220, 60, 40)),
    "Bea": ((40, 70, 220), (40, 70, 220)),
    "Cleo": ((240, 240, 230), (20, 20, 20)),
    "Dora": ((20, 20, 20), (60, 200, 60)),
}


def film(names, n_frames, *, seed, light=1.0):
    """Let beetles turn on the spot, and each swing around its place; frames and true poses."""
    rng = np.random.default_rng(seed)
    count = len(names)
    t = np.arange(n_frames)[:, None]
    phase, pace = rng.uniform(0, 6, (2, count)), rng.uniform(0.05, 0.2, count)
    centre = np.stack([35 + 60 * np.arange(count) + 6 * np.sin(0.1 * t + phase[0]),
                       45 + 12 * np.cos(0.07 * t + phase[1])], -1)  # fmt: skip
    angle = phase[0] + pace * t
    ahead = np.stack([np.cos(angle), np.sin(angle)], -1)
    points = centre[:, :, None] + np.array([18.0, 0, -18])[:, None] * ahead[:, :, None]
    rows, columns = np.mgrid[:90, : 60 * count + 10]
    frames = []
    for f in range(n_frames):
        image = np.full((*rows.shape, 3), 130.0) + rng.normal(0, 6, (*rows.shape, 3))
        for i, name in enumerate(names):
            dx, dy = columns - centre[f, i, 0], rows - centre[f, i, 1]
            along = dx * ahead[f, i, 0] + dy * ahead[f, i, 1]
            across = dy * ahead[f, i, 0] - dx * ahead[f, i, 1]
            back = (along / 22) ** 2 + (across / 9) ** 2 < 1
            for part, colour in zip((along >= 0, along < 0), COATS[name], strict=True):
                image[back & part] = colour
        frames.append(np.clip(image * light, 0, 255).astype(np.uint8))
    array = np.ones((n_frames, count, 3, 3), np.float32)
    array[..., :2] = points + rng.normal(0, 0.5, points.shape)
    return frames, Poses(array, SKELETON, [f"track{i}" for i in range(count)], 25)


@pytest.fixture(scope="module")
def monday():
    return film(["Anna", "Bea", "Cleo"], 160, seed=1)


@pytest.fixture(scope="module")
def learned(monday):
    """What is learned without any names."""
    seen = []
    found = learn_appearance(*monday, steps=15, seed=3, on_progress=lambda *n: seen.append(n))
    return found, seen


@pytest.fixture(scope="module")
def gallery(monday):
    frames, poses = monday
    names = {"track0": "Anna", "track1": "Bea", "track2": "Cleo"}
    return add_to_gallery(None, frames, poses=poses, names=names, day="monday", steps=15)


def find_alike(embeddings):
    """Find the similarity of the mean looks of every two animals."""
    mean = np.nanmean(embeddings, 0)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    return mean @ mean.T


def test_animals_are_told_apart_without_names(monday, learned):
    appearance, seen = learned
    found = find_embeddings(*monday, appearance, every=4)
    assert found.shape == (160, 3, 32) and found.dtype == np.float32
    measured = np.isfinite(found).all(-1)
    assert measured[::4].all() and not measured[1::4].any()
    np.testing.assert_allclose(np.linalg.norm(found[::4], axis=-1), 1, atol=1e-5)
    assert find_alike(found)[np.triu_indices(3, 1)].max() < 0.7
    # Another day, another order, another light, and rows that hold another animal every frame.
    frames, poses = film(["Cleo", "Anna", "Bea"], 40, seed=5, light=0.75)
    again = find_embeddings(frames, replace(poses, individuals=None), appearance)
    nearest = np.einsum("fid,jd->fij", again[::5], np.nanmean(found, 0)).argmax(-1)
    assert (nearest == [2, 0, 1]).mean() > 0.95
    assert seen[-1][0] == seen[-1][1] and [done for done, _ in seen] == sorted(
        done for done, _ in seen
    )


def test_learning_is_reproducible_and_survives_a_file(monday, learned, tmp_path):
    appearance, _ = learned
    assert learn_appearance(*monday, steps=15, seed=3).hash == appearance.hash
    appearance.save(tmp_path / "looks.safetensors")
    again = load_appearance(tmp_path / "looks.safetensors")
    one, two = (find_embeddings(*monday, a, every=40) for a in (appearance, again))
    np.testing.assert_array_equal(one, two)
    assert again.keypoints == ("head", "middle", "tail") and again.record["steps"] == 15


def test_names_bind_tracklets_of_one_animal(monday):
    """Tracklets that never coexist are one animal if they share a name, two if they do not."""
    frames, poses = monday
    array = np.full((160, 4, 3, 3), np.nan, np.float32)
    array[:40, 0], array[80:120, 1] = poses.array[:40, 0], poses.array[80:120, 0]
    array[40:80, 2], array[120:, 3] = poses.array[40:80, 1], poses.array[120:, 2]
    broken = replace(poses, array=array, individuals=["a", "b", "c", "d"])
    names = {"a": "Anna", "b": "Anna", "c": "Bea", "d": "Cleo"}
    found = find_embeddings(
        frames, broken, learn_appearance(frames, broken, names=names, steps=15), every=4
    )
    alike = find_alike(found)
    assert alike[0, 1] > 0.9 > 0.7 > alike[0, 2:].max()


def test_animals_that_touch_or_lack_keypoints_are_not_measured(monday, learned):
    frames, poses = monday
    array = poses.array.copy()
    array[0, 1] = array[0, 0] + 3  # on top of each other
    array[5, 2, 1:] = np.nan
    found = find_embeddings(frames, replace(poses, array=array), learned[0], every=5)
    measured = np.isfinite(found).all(-1)
    assert measured[0].tolist() == [False, False, True] and measured[5].tolist() == [
        True,
        True,
        False,
    ]
    assert measured[10].all()


def test_gallery_names_another_day(gallery, monday):
    frames, poses = film(["Dora", "Cleo", "Anna"], 60, seed=9, light=1.2)
    named = name_by_gallery(poses, frames, gallery=gallery)
    assert named.individuals == ("Anna", "Cleo", f"{UNKNOWN}-track0")
    np.testing.assert_array_equal(named.points[:, 0], poses.points[:, 2])
    assert (named.identity > 0.6).all() and (named.identity <= 1).all()


def test_tracklets_of_one_animal_become_one_row(gallery, monday):
    frames, poses = film(["Bea", "Anna"], 60, seed=10)
    array = np.full((60, 3, 3, 3), np.nan, np.float32)
    array[:25, 0], array[30:, 2], array[:, 1] = (
        poses.array[:25, 0],
        poses.array[30:, 0],
        poses.array[:, 1],
    )
    identity = np.where(np.isfinite(array[..., 0, 0]), 0.9, np.nan)
    parts = replace(poses, array=array, individuals=["p", "q", "r"], identity=identity)
    named = name_by_gallery(parts, frames, gallery=gallery)
    assert named.individuals == ("Anna", "Bea")
    bea = named["Bea"]
    np.testing.assert_array_equal(bea.points[:25, 0], poses.points[:25, 0])
    np.testing.assert_array_equal(bea.points[30:, 0], poses.points[30:, 0])
    there = np.isfinite(bea.points[:, 0, 0, 0])
    assert not there[25:30].any() and np.array_equal(np.isfinite(bea.identity[:, 0]), there)
    assert np.nanmax(named.identity) <= 0.9


def test_a_second_day_is_added_with_the_same_network(gallery):
    frames, poses = film(["Anna", "Dora"], 60, seed=12, light=0.9)
    more = add_to_gallery(
        gallery, frames, poses=poses, names={"track0": "Anna", "track1": "Dora"}, day="tuesday"
    )
    assert more.names == ("Anna", "Bea", "Cleo", "Dora") and gallery.names[-1] == "Cleo"
    assert more.appearance is gallery.appearance
    assert set(more.days["Anna"]) == {"monday", "tuesday"} and set(more.days["Dora"]) == {"tuesday"}
    frames, poses = film(["Dora", "Bea"], 60, seed=13)
    assert name_by_gallery(poses, frames, gallery=more).individuals == ("Bea", "Dora")


def test_uncertain_names_teach_nothing(gallery, monday, caplog):
    """Rows that changed places where the names are in doubt do not spoil the gallery."""
    frames, poses = monday
    array, identity = poses.array.copy(), np.ones((160, 3), np.float32)
    array[80:, :2], identity[80:, :2] = array[80:, 1::-1].copy(), 0.6
    names = {"track0": "Anna", "track1": "Bea"}
    doubtful = replace(poses, array=array, identity=identity)
    more = add_to_gallery(gallery, frames, poses=doubtful, names=names)
    added = more.pieces["Anna"][len(gallery.pieces["Anna"]) :]
    mean = np.array([gallery.pieces[n].mean(0) for n in ("Anna", "Bea")])
    assert len(added) >= 6 and ((added @ mean.T).argmax(1) == 0).all()
    nobody = replace(poses, identity=np.full((160, 3), 0.5))
    with caplog.at_level(logging.WARNING):
        assert "Ina" in add_to_gallery(gallery, frames, poses=nobody, names={"track0": "Ina"}).names
    assert "Ina never seen alone under a certain name" in caplog.text


def test_hopeless_calls_say_why(monday, learned):
    frames, poses = monday
    with pytest.raises(ShapeError, match="two animals that are there at the same time"):
        learn_appearance(frames, poses.sel(individual="track0"), steps=2)
    with pytest.raises(ShapeError, match="no individual 'trak0': did you mean 'track0'"):
        learn_appearance(frames, poses, names={"trak0": "Anna"})
    with pytest.raises(ShapeError, match="no animal is named"):
        add_to_gallery(None, frames, poses=poses, names={})
    other = replace(poses, skeleton=Skeleton(["a", "b", "c"]))
    with pytest.raises(ShapeError, match="learned with the keypoints head, middle, tail"):
        find_embeddings(frames, other, learned[0])
    flat = Poses(np.ones((3, 1, 3, 4)), SKELETON, unit="mm")
    with pytest.raises(ShapeError, match="wanted 2D poses"):
        find_embeddings(frames, flat, learned[0])
    nobody = replace(poses, array=np.full_like(poses.array, np.nan))
    with pytest.raises(ShapeError, match="two poses with two keypoints"):
        learn_appearance(frames, nobody)
    assert np.isnan(find_embeddings(frames, nobody, learned[0])).all()


def test_damaged_frames_are_left_out(monday, learned, caplog):
    frames, poses = monday

    class Damaged:
        def __getitem__(self, index):
            if index == 10:
                raise VideoError("frame 10 is damaged")
            return frames[index]

    with caplog.at_level(logging.WARNING):
        found = find_embeddings(Damaged(), poses, learned[0], every=10)
    assert np.isnan(found[10]).all() and np.isfinite(found[20]).all()
    assert "frame 10 is damaged" in caplog.text


def test_commands_make_a_gallery(monday, tmp_path, monkeypatch):
    """The command, with a short training."""
    frames, poses = monday
    with VideoWriter(tmp_path / "monday.mp4", 25) as writer:
        for image in frames:
            writer.write(image)
    save(poses, tmp_path / "monday.mapose.h5")
    monkeypatch.setattr("mapose.recognition.learning.STEPS", 10)
    words = ["gallery", "add", str(tmp_path / "mice.gallery"), str(tmp_path / "monday.mapose.h5")]
    run = CliRunner().invoke(app, [*words, "--names", "track0=Anna,track2=Cleo"])
    assert run.exit_code == 0, run.output
    made = load_gallery(tmp_path / "mice.gallery")
    assert made.names == ("Anna", "Cleo") and made.days["Anna"][0].endswith("/monday")
    run = CliRunner().invoke(app, words)  # under the names in the file
    assert load_gallery(tmp_path / "mice.gallery").names == (
        "Anna", "Cleo", "track0", "track1", "track2",
    )  # fmt: skip
    (tmp_path / "monday.mp4").rename(tmp_path / "other.mp4")
    run = CliRunner().invoke(app, words)
    assert "--video" in str(run.exception)


def test_flies_of_a_real_recording_are_told_apart(recordings):
    """Twenty seconds are enough to see which fly is which in the next ones."""
    folder = recordings / "flies_courtship"
    poses = read(folder / "predictions.slp")
    names = {n: n for n in poses.names}
    with Video(folder / "20190128_113421.120s.mp4", gray=True) as video:
        some = poses.sel(frames=np.arange(0, 500, 15))
        appearance = learn_appearance(video, some, names=names, steps=30)
        known = np.nanmean(find_embeddings(video, some, appearance, every=2), 0)
        later = poses.sel(frames=np.arange(520, 640))
        found = find_embeddings(video, later, appearance, every=6)
    assert appearance.channels == 1
    measured = np.isfinite(found).all(-1)
    right = np.einsum("fid,jd->fij", found, known).argmax(-1) == [0, 1]
    assert measured.sum() >= 10 and right[measured].mean() >= 0.9
