"""The second stage is told which animal is meant, and trained, stopped and kept as the first is."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mapose.analysis.prediction import THRESHOLD, Predictor
from mapose.config import TrainSettings
from mapose.data import Augmentation, CropShape, draw_pose, make_crop_set
from mapose.decode import find_peaks
from mapose.grid import to_pixels
from mapose.models import Model, build_network
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton
from mapose.training import training
from mapose.training.evaluation import evaluate
from mapose.training.loop import Trainer
from mapose.training.second import _learn_threshold
from tests.training.test_training import QUICK, SKELETON, expect_equal, make_labels

train = partial(training.train, preset="small")
BOTH = [
    *QUICK, "network.factor=1", "refine.when=always", "refine.widths=[8,12,16]",
    "refine.depths=[0,0,0]", "refine.steps=30", "refine.batch=4",
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def project(tmp_path):
    project = Project.create(tmp_path / "project", SKELETON, individuals=2)
    import_labels(project, make_labels(tmp_path / "source"))
    return project


def draw_crossing(rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw two worms that lie across each other; only their heads are bright."""
    turn = rng.uniform(0, 2 * np.pi)
    turns = np.array([turn, turn + rng.uniform(0.3, 0.7) * np.pi])
    along = 16 * np.stack([np.cos(turns), np.sin(turns)], -1)
    middle = rng.uniform(28, 36, (2, 2)) * [1, 1] + [[0, 0], [2, 2]]
    points = np.stack([middle + along, middle - along], axis=1).astype(np.float32)
    image = np.zeros((64, 64), np.uint8)
    for head, tail in points:
        cv2.line(image, *(np.rint(p).astype(int).tolist() for p in (head, tail)), 110, 2)
    for head, _ in points:
        cv2.circle(image, np.rint(head).astype(int).tolist(), 3, 230, -1)
    return image, points


def test_of_two_that_cross_the_one_that_is_told_is_found(tmp_path):
    rng = np.random.default_rng(0)
    images, points = zip(*(draw_crossing(rng) for _ in range(40)), strict=True)
    torch.manual_seed(0)
    network = build_network(3, 2, 0, widths=(8, 16, 24), depths=(0, 0, 1), stride=2)
    truth = np.stack(points)
    shape = CropShape(64, 1, 1)
    data = make_crop_set(
        images, truth, np.ones((40, 2), bool), found=np.full_like(truth, np.nan),
        score=np.zeros((40, 2, 2), np.float32), flip_order=np.arange(2), shape=shape,
    )  # fmt: skip
    settings = TrainSettings(steps=300, batch=8, average=0.9, mixed=False, every=300, rate=4e-3)
    quiet = Augmentation(180, 1.1, 0.1, True, 0.1, 0.05, 0, 0, 0, 0)
    trainer = Trainer(
        network, data, folder=tmp_path, edges=np.empty((0, 2), np.int64), settings=settings,
        augmentation=quiet, view=64,
    )  # fmt: skip
    trained = trainer.run(lambda _: (1.0, 1.0)).eval()
    mine, gaps = 0, []
    for _ in range(20):
        image, pair = draw_crossing(rng)
        for animal in (0, 1):
            crop, corner = shape.cut(image, pair[animal].mean(0))
            told = pair[animal] + rng.normal(0, 3, (2, 2))
            shown = np.concatenate([crop, draw_pose(shape.to_crop(told, corner), 64)], -1)
            with torch.inference_mode():
                maps = trained.predict(torch.from_numpy(shown[None]))
            found = find_peaks(maps.scores, maps.offsets, threshold=0.0, most=1, radius=2)
            for k, cell in enumerate(found.cells.numpy()):
                place = shape.to_image(to_pixels(cell, 2), corner)
                gap = np.linalg.norm(pair[:, k] - place, axis=1)
                gaps.append(gap[animal])
                mine += gap[animal] < min(5, gap[1 - animal])
    assert mine >= 56  # of 80; without being told, half of what is found
    assert np.median(gaps) < 2  # what is told is 3.5 px off


def test_both_stages_are_trained_by_one_command_and_are_one_model(project):
    seen = []
    model = train(project, "both", overrides=BOTH, on_progress=seen.append)
    shares = [progress.share for progress in seen]
    assert len(seen) == 70 and shares == sorted(shares) and shares[-1] == pytest.approx(1)
    assert seen[39].stage == "" and seen[-1].note.startswith("second stage: loss")
    folder = project.path / "models" / "both"
    assert {"refiner.safetensors", "training-second.csv"} <= {p.name for p in folder.iterdir()}
    assert not (folder / "second").exists() and not list(folder.glob("step-*"))
    loaded = Model.load(folder)
    assert loaded.refiner is not None and loaded.hash == model.hash and "two stages" in str(loaded)
    expect_equal(loaded.refiner.network, model.refiner.network)
    assert model.refiner.variance.shape == (2,) and (loaded.refiner.variance > 0).all()
    assert model.refiner.side == 64 and model.refiner.factor == 0.25  # worms of 12 px
    assert loaded.refiner.weighed
    labels = project.load_labels()
    again = evaluate(loaded, labels)
    assert again.train.mean == pytest.approx(model.record["metrics"]["train"]["mean"], abs=0.02)
    plain = Predictor(Model.load(folder).__class__(**{**vars(loaded), "refiner": None}))
    images = [np.zeros((80, 100), np.uint8)]
    assert plain.refiner is None and len(Predictor(loaded).find_images(images)) == 0


def test_crops_of_a_slanted_camera_are_hardly_rotated_either(project, monkeypatch):
    def choose(points, videos):
        return np.arange(len(points)) + 0.25

    trained = []
    make = Trainer.__init__
    monkeypatch.setattr("mapose.training.training.choose_turns", choose)
    monkeypatch.setattr(
        Trainer,
        "__init__",
        lambda self, *args, **more: make(self, *args, **more) or trained.append(self),
    )
    train(project, "slanted", overrides=BOTH)
    first, second = (trainer.data.turns for trainer in trained)
    assert len(first) > 1 and set(second) == set(first)

    crops = replace(trained[1].data, turns=np.zeros(len(second)))
    freely = Augmentation(180, 1.0, 0.0, False, 0, 0, 0, 0, 0, 0)
    _, shown, _ = crops.draw_batch(0, batch=8, size=64, augmentation=freely, seed=0)
    view, own = (np.diff(points[:, 0], axis=1) for points in (shown, crops.poses))
    view = view[np.isfinite(view).all((1, 2))]  # both ends in view
    assert (
        np.abs(view - own[:, 0]).max(-1).min(1).max() < 1e-3
    )  # each view shows one animal as it lies


def test_it_is_trained_on_what_the_first_found_and_how_sure_that_was(project, monkeypatch):
    made = []

    def find(model, peaks):
        points = project.load_labels().take(np.arange(peaks.n_frames)).points + 1
        score = np.linspace(0.2, 0.9, points[..., 0].size, dtype=np.float32)
        score = score.reshape(*points.shape[:3], 1)
        return Poses(np.concatenate([points, score], -1), model.skeleton)

    def make(*given, **named):
        made.append(named)
        raise InterruptedError

    monkeypatch.setattr("mapose.training.second._assemble", find)
    monkeypatch.setattr("mapose.training.second.make_crop_set", make)
    with pytest.raises(InterruptedError):
        train(project, "told", overrides=BOTH)
    found, score = made[0]["found"], made[0]["score"]
    there = np.isfinite(found).all(-1)
    assert there.any() and (score[there] >= 0.2).all() and len(np.unique(score[there])) > 4


def test_scores_of_keypoints_that_are_mostly_wrong_are_too_low(monkeypatch, rng):
    body = np.array([[0, 0], [10, 0], [20, 0], [30, 0]], np.float32)
    points = np.tile(np.stack([body, body + [0, 40]]), (100, 1, 1, 1))
    score = rng.uniform(0.1, 0.9, points.shape[:3])
    wrong = score < 0.4 + rng.normal(0, 0.05, score.shape)
    found = points + np.where(wrong, 9, 2)[..., None] * [0, 1]  # a fifth of 30 px is 6
    own = np.concatenate([found, score[..., None]], axis=-1)
    labels = SimpleNamespace(points=points)
    model = SimpleNamespace(skeleton=Skeleton(["a", "b", "c", "d"]))

    def learn(points, rows):
        labels.points = points
        split = SimpleNamespace(validation=np.arange(rows))
        monkeypatch.setattr("mapose.training.second._find_own", lambda *_: own[:rows])
        return _learn_threshold(model, None, SimpleNamespace(labels=labels, split=split))

    assert learn(points, 100) == pytest.approx(0.4, abs=0.03)
    assert learn(points, 2) == THRESHOLD  # 16 keypoints say nothing
    own[..., 2] = 1 - score
    assert learn(points, 100) == THRESHOLD  # scores that are the wrong way round
    own[..., 2] = score
    # Of hidden keypoints only those that lie on another animal are known to be wrong.
    hidden = points.copy()
    hidden[:, 0, :2] = np.nan
    own[..., :2], own[..., 2] = points + 1, score / 2 + 0.5
    own[:, 0, :2, :2], own[:, 0, :2, 2] = points[:, 1, :2] + 1, score[:, 0, :2] / 2
    assert 0.45 < learn(hidden, 100) <= 0.5
    own[:, 0, :2, :2] += 100
    assert learn(hidden, 100) == THRESHOLD


def test_what_validation_frames_say_of_scores_is_part_of_the_model(project, monkeypatch):
    monkeypatch.setattr("mapose.training.second._learn_threshold", lambda *_: 0.42)
    model = train(project, "sure", overrides=[*BOTH, "refine.steps=2", "train.validation=0.25"])
    loaded = Model.load(project.path / "models" / "sure")
    assert model.refiner.threshold == loaded.refiner.threshold == 0.42


def test_a_second_stage_that_was_killed_goes_on_as_if_it_had_not_been(project):
    whole = train(project, "whole", overrides=BOTH)

    def stop(progress):
        if progress.stage and progress.step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as told:
        train(project, "cut", overrides=[*BOTH, "train.every=10"], on_progress=stop)
    assert "--name cut --resume" in told.value.__notes__[0]
    assert (project.path / "models" / "cut" / "second" / "state.yaml").exists()
    resumed = train(project, "cut", resume=True)
    expect_equal(resumed.refiner.network, whole.refiner.network)
    expect_equal(resumed.network, whole.network)
    assert not (project.path / "models" / "cut" / "second").exists()


def test_a_second_stage_that_is_no_better_is_left_out(project, monkeypatch, caplog):
    def spoil(self, images, peaks):
        return peaks.pick(np.zeros(len(peaks), bool))

    monkeypatch.setattr("mapose.analysis.refinement.PoseRefiner.refine", spoil)
    better = [*(o for o in BOTH if "when" not in o), "refine.when=better", "refine.steps=2"]
    better.append("train.validation=0.25")
    model = train(project, "better", overrides=better)
    assert model.refiner is None and "second stage is left out" in caplog.text
    assert not (project.path / "models" / "better" / "refiner.safetensors").exists()


def test_models_of_before_the_second_stage_have_none(project):
    model = train(project, "plain", overrides=[*QUICK, "train.steps=2"])
    text = (project.path / "models" / "plain" / "model.yaml").read_text(encoding="utf-8")
    assert model.refiner is None and "refiner" not in text and text.startswith("schema: 1\n")
