"""Animals known by name: from labels of marked animals to names across a crossing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import mapose.analysis.pipeline as pipeline
from mapose.analysis.identity import carry_marks, collect_marks, name_rows
from mapose.analysis.pipeline import analyze
from mapose.data import draw_owners
from mapose.errors import SettingsError
from mapose.io import VideoWriter, write_image
from mapose.labels import Labels
from mapose.models import Identity, Model
from mapose.poses import Peaks, Poses, join_peaks
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton
from mapose.tracking import ChunkTracker
from mapose.training.naming import choose_names, learn_identity
from mapose.training.snapshots import list_snapshots, load_snapshot
from mapose.training.training import train

BODY = Skeleton(["nose", "tail"], [("nose", "tail")])
COLOURS = {"ann": (230, 40, 40), "bob": (40, 60, 230)}


def make_peaks(poses: Poses, odds: np.ndarray) -> Peaks:
    """Make a peak of every keypoint, that is of ann with a probability (F, I)."""
    frame, slot, keypoint = np.nonzero(poses.confidence > 0)
    p = odds[frame, slot]
    none = np.empty(0, np.int64)
    return Peaks(
        frame, keypoint, poses.points[frame, slot, keypoint],
        np.ones(len(frame), np.float32), np.tile(np.eye(2, dtype=np.float32), (len(frame), 1, 1)),
        np.empty((0, 2), np.int64), none, np.empty(0, np.float32), len(poses),
        np.log(np.stack([p, 1 - p], 1)).astype(np.float32),
    )  # fmt: skip


def make_meeting(crosses: bool) -> Poses:
    """Two animals meet, out of sight, and go on or back: what is seen of them is the same."""
    t = np.arange(-60, 61).astype(np.float32)
    way = t if crosses else -np.abs(t)
    array = np.ones((121, 2, 2, 3), np.float32)
    array[:, 0, :, 0] = 200 + 3 * way[:, None] + [0, 12]
    array[:, 1, :, 0] = 200 - 3 * way[:, None] + [0, 12]
    array[:, :, :, 1] = [100, 108]
    array[50:71] = np.nan
    array[50:71, ..., 2] = 0
    return Poses(array, BODY, rate=25)


def follow(poses: Poses, marks: np.ndarray | None) -> Poses:
    tracker = ChunkTracker(individuals=2)
    chunks = [poses.sel(frames=range(70)), poses.sel(frames=range(70, 121))]
    parts = [None, None] if marks is None else [marks[:70], marks[70:]]
    for chunk, part in zip(chunks, parts, strict=True):
        tracker.add(chunk, part)
    rows = tracker.finish(min_rows=1)
    if marks is not None:
        odds = [np.log(part) for part in parts]
        labels, sure = name_rows(
            rows.sum_up([c.frames for c in chunks], odds), ("ann", "bob"), rows.names
        )
        rows = replace(rows, labels=labels, sure=sure)
    named = list(rows.arrange(chunks))
    return replace(
        named[0],
        array=np.concatenate([n.array for n in named]),
        identity=np.concatenate([n.identity for n in named]),
        covariance=None,
        frames=poses.frames,
    )


def test_names_are_right_after_a_meeting_that_motion_cannot_tell():
    wrong = 0
    for crosses in (True, False):
        poses = make_meeting(crosses)
        rng = np.random.default_rng(0)
        odds = np.clip(np.array([0.75, 0.25]) + rng.normal(0, 0.1, (121, 2)), 0.05, 0.95)
        marks = collect_marks(make_peaks(poses, odds), poses, 2)
        there = np.isfinite(marks).all(-1)
        np.testing.assert_allclose(marks[..., 0][there], odds[there], atol=1e-3)
        assert np.isnan(marks[60]).all()
        blind, named = follow(poses, None), follow(poses, marks)
        wrong += blind.points[-1, 0, 0, 0] != poses.points[-1, 0, 0, 0]
        assert set(named.names) == {"ann", "bob"} and np.nanmin(named.identity) > 0.9
        for row, name in enumerate(("ann", "bob")):
            np.testing.assert_array_equal(named[name].points[:, 0], poses.points[:, row])
    assert wrong == 1  # without looks there is but one answer to both


def test_rows_without_a_name_and_names_without_a_row():
    evidence = np.array([[-400.0, -4], [-4, -400], [-300, -300]])
    labels, sure = name_rows(evidence, ("ann", "bob"), ("t0", "t1", "t2"))
    assert labels == ("bob", "ann", "t2") and sure[0] > 0.99 and sure[2] == 1
    labels, sure = name_rows(np.zeros((1, 2)), ("ann", "bob"), ("t0",))
    assert sure == (0.5,)


def test_owners_are_drawn_where_their_keypoints_are():
    points = torch.full((1, 3, 1, 2), torch.nan)
    points[0, 0, 0] = torch.tensor([8.0, 8.0])
    points[0, 2, 0] = torch.tensor([24.0, 8.0])
    points[0, 1, 0] = torch.tensor([16.0, 24.0])  # of no name
    owner, weight = draw_owners(points, torch.tensor([2, 0]), (8, 8), pitch=4.0)
    assert owner[0, 2, 2] == 1 and owner[0, 2, 6] == 0
    assert weight[0, 2, 2] > 0.8 and weight[0, 6, 4] == 0 and weight[0, 2, 4] < 0.3


def test_peaks_keep_their_marks():
    poses = make_meeting(True)
    peaks = make_peaks(poses, np.full((121, 2), 0.7))
    assert join_peaks([peaks, peaks]).marks.shape == (2 * len(peaks), 2)
    assert len(peaks.take(np.arange(5)).marks) == 20
    moved = carry_marks(peaks, replace(peaks, xy=peaks.xy + 1, marks=None))
    np.testing.assert_array_equal(moved.marks, peaks.marks)


def test_a_network_that_knows_nobody_is_not_believed(caplog):
    poses = make_meeting(True)
    labels = Labels(poses.points, BODY, ("v",) * 121, np.arange(121), (None,) * 121,
                    ("ann", "bob"), True)  # fmt: skip
    rng = np.random.default_rng(1)
    rows = np.arange(40)
    blind = make_peaks(poses, rng.uniform(0.4, 0.6, (121, 2)))
    assert learn_identity(blind, labels, rows, names=("ann", "bob")) is None
    assert "too much alike" in caplog.text
    sure = np.where(rng.uniform(size=(121, 1)) < 0.9, [[0.99, 0.01]], [[0.01, 0.99]])
    known = learn_identity(make_peaks(poses, sure), labels, rows, names=("ann", "bob"))
    assert known is not None and 0.8 < known.accuracy < 1
    # Right nine times of ten: 0.99 is too much said.
    assert 0.3 < known.scale < 0.8


def draw_frame(rng: np.random.Generator, places: np.ndarray) -> np.ndarray:
    image = rng.integers(100, 130, (96, 96, 3), dtype=np.uint8)
    for colour, points in zip(COLOURS.values(), places, strict=True):
        for x, y in points.astype(int):
            image[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = colour
    return image


@pytest.fixture(scope="module")
def coloured(tmp_path_factory) -> tuple[Project, Model]:
    """A project of two animals of different colours, and a small model of it."""
    folder = tmp_path_factory.mktemp("marks")
    rng = np.random.default_rng(0)
    places = rng.uniform(10, 76, (24, 2, 1, 2)) + rng.permuted(
        np.array([[0, 0], [10, 4]]) * np.ones((24, 2, 1, 1)), axis=0
    )
    images = []
    for n, at in enumerate(places):
        images.append(folder / f"img{n:04d}.png")
        write_image(draw_frame(rng, at), images[-1])
    project = Project.create(folder / "project", BODY, individuals=["ann", "bob"])
    import_labels(project, Labels(places.astype(np.float32), BODY, ("v",) * 24, np.arange(24),
                                  tuple(images), ("ann", "bob"), True))  # fmt: skip
    settings = ["network.widths=[12,12,16]", "network.depths=[0,0,0]", "network.factor=1",
                "network.stride=4", "train.steps=70", "train.batch=4", "train.view=64",
                "train.test=0.2", "train.snapshots=1", "train.every=70",
                "train.mixed=false"]  # fmt: skip
    return project, train(project, preset="small", overrides=settings, device="cpu")


def test_marked_animals_are_learned_and_named(coloured, tmp_path, monkeypatch):
    project, model = coloured
    assert model.identity is not None and model.identity.names == ("ann", "bob")
    assert model.identity.accuracy > 0.8 and model.network.marks is not None
    again = Model.load(project.path / "models" / model.name)
    assert again.identity.names == model.identity.names and again.hash == model.hash
    assert again.with_links([]).identity == again.identity
    (step,) = list_snapshots(project.path / "models" / model.name)
    assert load_snapshot(project.path / "models" / model.name, step).network.marks is not None
    rng = np.random.default_rng(5)
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for n in range(20):
            at = np.array(
                [[[20, 15 + 3 * n], [30, 19 + 3 * n]], [[60, 75 - 3 * n], [70, 79 - 3 * n]]]
            )
            writer.write(draw_frame(rng, at))
    monkeypatch.setattr(pipeline, "CHUNK", 8)
    poses = analyze(tmp_path / "v.mp4", model)
    assert set(poses.names) == {"ann", "bob"}
    ann, bob = (np.nanmedian(poses[name].points[..., 0]) for name in ("ann", "bob"))
    assert ann < 40 < bob
    assert not list(tmp_path.glob("*.parts"))


def test_names_are_learned_where_there_are_some(coloured, tmp_path):
    project, _ = coloured
    labels = project.load_labels()
    assert choose_names(project, labels, None) == ("ann", "bob")
    assert choose_names(project, labels, False) == ()
    plain = Project.create(tmp_path / "plain", BODY, individuals=2)
    assert choose_names(plain, labels, None) == ()
    with pytest.raises(SettingsError, match=r"train\.identity: wanted labels of two"):
        choose_names(plain, labels, True)


def test_an_older_model_has_no_names(coloured):
    from tests.untrained import make_untrained

    model = make_untrained()
    assert model.identity is None and "identity" not in model.describe()
    assert Identity(("a", "b")).to_dict()["accuracy"] is None
