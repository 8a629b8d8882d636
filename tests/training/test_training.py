"""Training on a small drawn scene: it learns, it goes on exactly, it tells what is wrong."""

import csv
import signal
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import typer
import yaml

from mapose.analysis.prediction import Predictor
from mapose.config import TrainSettings, load_settings
from mapose.data import Augmentation, make_training_set
from mapose.errors import SettingsError
from mapose.io import VideoWriter, save_labels, write_image
from mapose.io.recordings import fingerprint
from mapose.labels import Labels
from mapose.locks import lock_output
from mapose.models import EfficientNetLite0, Model, build_network, has_weights
from mapose.poses import Peaks
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton
from mapose.training import training
from mapose.training.evaluation import evaluate, find_candidate_errors
from mapose.training.loop import COLUMNS, Trainer, has_bfloat16
from mapose.training.reports import write_evaluation
from mapose.training.runs import remove_state
from mapose.training.training import _prepare, find_known, find_reach, finds_nothing
from tests.untrained import make_untrained

train = partial(training.train, preset="small")
SKELETON = Skeleton(["head", "tail"], [("head", "tail")])
QUICK = [
    "network.widths=[8,12,16]", "network.depths=[0,0,0]", "train.steps=40", "train.every=20",
    "train.batch=4", "train.view=64", "train.test=0.25", "train.average=0.9",
]  # fmt: skip


def draw_worms(points: np.ndarray) -> np.ndarray:
    """Draw bright heads and dim tails on black."""
    y, x = np.mgrid[:80, :100]
    image = np.zeros((80, 100), np.float32)
    for head, tail in points:
        for (px, py), level in ((head, 220), (tail, 110)):
            image += level * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 14)
    return np.clip(image, 0, 255).astype(np.uint8)


def make_labels(folder, frames: int = 16, animals: int = 2) -> Labels:
    rng = np.random.default_rng(0)
    head = rng.uniform([15, 15], [85, 65], (frames, animals, 2))
    angle = rng.uniform(0, 2 * np.pi, (frames, animals))
    tail = head + 12 * np.stack([np.cos(angle), np.sin(angle)], -1)
    points = np.stack([head, tail], axis=2).astype(np.float32)
    files = [folder / f"img{i:03d}.png" for i in range(frames)]
    for file, poses in zip(files, points, strict=True):
        write_image(draw_worms(poses), file)
    names = tuple(f"worm{i}" for i in range(animals))
    return Labels(points, SKELETON, ("clip",) * frames, np.arange(frames), tuple(files), names)


def test_indecision_is_no_merit(tmp_path):
    """A network that finds a tail at both ends is worse than one that finds the right one."""
    labels = make_labels(tmp_path, frames=1, animals=1)
    head, tail = labels.points[0, 0]

    class Found:
        def __init__(self, xy, keypoint, score):
            none = np.empty(0, np.int64)
            n = len(xy)
            self.peaks = Peaks(
                np.zeros(n, np.int64), np.array(keypoint), np.array(xy, np.float32),
                np.array(score, np.float32), np.zeros((n, 2, 2), np.float32),
                none.reshape(0, 2), none, none.astype(np.float32), 1,
            )  # fmt: skip

        def find_images(self, images):
            assert len(list(images)) == 1
            return self.peaks

    def error(*found):
        rows = np.array([0])
        return find_candidate_errors(Found(*found), [np.zeros(1)], labels, rows)

    length = np.linalg.norm(head - tail)
    assert error([head, tail], [0, 1], [0.9, 0.4]) == 0
    torn = error([head, head, tail], [0, 1, 1], [0.9, 0.5, 0.4])
    assert torn == pytest.approx(length / 2, rel=1e-5)
    assert error([head], [0], [0.9]) == pytest.approx(length / 2, rel=1e-5)  # no tail at all
    far = error([head, [1e4, 0]], [0, 1], [0.9, 0.5])  # on another animal, say
    assert far == pytest.approx(length / 2, rel=1e-5)


@pytest.fixture
def project(tmp_path):
    project = Project.create(tmp_path / "project", SKELETON, individuals=2)
    import_labels(project, make_labels(tmp_path / "source"))
    return project


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_model_knows_the_recordings_it_was_trained_on(project, tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", 25) as writer:
        writer.write(np.zeros((80, 100), np.uint8))
    project = project.add_videos([tmp_path / "clip.mp4"])
    quick = [*QUICK, "train.steps=2"]
    mark = fingerprint(tmp_path / "clip.mp4")
    assert train(project, "first", overrides=quick).record["recordings"] == {"clip": mark}
    assert Model.load(project.path / "models" / "first").record["recordings"] == {"clip": mark}
    (tmp_path / "clip.mp4").unlink()  # of what is not at hand, the name is all there is
    assert train(project, "second", overrides=quick).record["recordings"] == {}


def test_a_project_is_trained_evaluated_and_opened_again(project, tmp_path):
    seen = []
    model = train(project, "first", overrides=QUICK, on_progress=seen.append)
    assert project.list_models() == ["first"]
    loaded = project.load_model()
    assert loaded.hash == model.hash and loaded.individuals == 2 and loaded.links
    assert loaded.anatomy is None  # two keypoints have none
    assert loaded.factor == 0.5  # worms of 12 px
    chosen = loaded.record["settings"]["network"]
    assert chosen["factor"] == 0.5 and chosen["stride"] == loaded.network.stride == 4
    assert [len(loaded.split[p]) for p in ("train", "validation", "test")] == [10, 2, 4]
    assert seen[-1].share == 1 and seen[-1].step == 40 and np.isfinite(seen[-1].validation_error)
    folder = project.path / "models" / "first"
    assert {p.name for p in folder.iterdir()} >= {"model.yaml", "weights.safetensors"}
    assert not list(folder.glob("step-*"))
    with (folder / "training.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and [r["step"] for r in rows] == ["20", "40"]
    found = evaluate(loaded, project.load_labels())
    assert found.test_frames.sum() == 4
    assert found.test.labelled == 16 and found.train.labelled == 40
    assert loaded.confidence.tolerance == 2 * loaded.pitch == model.confidence.tolerance
    assert found.parts["test"].trust.tolerance == loaded.confidence.tolerance
    place = write_evaluation(found, project.load_labels(), tmp_path / "evaluation")
    table = (place / "errors.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + 64 and (place / "errors.png").stat().st_size > 1000
    with pytest.raises(SettingsError, match="exists already"):
        train(project, "first", overrides=QUICK)


def test_the_end_of_a_training_looks_at_every_image_once(project, monkeypatch):
    looked = []
    real = Predictor.find_images

    def look(self, images):
        images = list(images)
        looked.append(len(images))
        return real(self, images)

    def choose(peaks, points, body):
        """Drop the only link: what is evaluated must be what is saved."""
        return np.zeros(0, np.int64)

    monkeypatch.setattr(Predictor, "find_images", look)
    monkeypatch.setattr("mapose.training.training.select_edges", choose)
    validated = []
    model = train(
        project,
        "once",
        overrides=QUICK,
        on_progress=lambda p: validated.append(len(looked)) if p.step == 40 else None,
    )
    assert looked[validated[-1] :] == [16] and model.links == ()
    monkeypatch.undo()
    found = evaluate(model, project.load_labels())
    assert model.record["metrics"]["test"]["mean"] == pytest.approx(found.test.mean, rel=1e-6)
    assert model.record["metrics"]["train"]["found"] == found.train.found


def make_trainer(folder, steps: int = 12, network=None, **settings) -> Trainer:
    torch.manual_seed(3)
    labels = make_labels(folder / "source")
    images = [draw_worms(poses) for poses in labels.points]
    data = make_training_set(
        images, labels.points, np.ones((16, 2), bool), flip_order=np.arange(2), factor=1, channels=1
    )
    (folder / "run").mkdir(parents=True, exist_ok=True)
    return Trainer(
        network or build_network(1, 2, 1, widths=(8, 8, 8), depths=(0, 1, 0)),
        data,
        folder=folder / "run",
        edges=np.array([[0, 1]]),
        settings=TrainSettings(steps=steps, batch=4, every=3, patience=100, **settings),
        augmentation=Augmentation(),
        view=64,
    )


def stop_at(step: int | None):
    """Stop at a step, or when called at all."""

    def look(progress, *_):
        if step is None or progress.step == step:
            raise KeyboardInterrupt

    return look


def expect_equal(network, other):
    for name, value in other.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=0, atol=0)


def test_an_interrupted_run_ends_with_the_weights_of_a_whole_one(tmp_path):
    whole = make_trainer(tmp_path / "a").run(lambda _: (1.0, 1.0))
    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "b").run(lambda _: (1.0, 1.0), stop_at(8))
    second = make_trainer(tmp_path / "b")
    second.load()
    assert second.step == 6
    resumed = second.run(lambda _: (1.0, 1.0))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)
    logs = [(tmp_path / x / "run" / "training.csv").read_text(encoding="utf-8") for x in "ab"]
    drop_seconds = [[r.split(",")[0] for r in log.splitlines()] for log in logs]
    assert drop_seconds[0] == drop_seconds[1]


@pytest.fixture
def keyboard():
    """Ctrl-C as in a program of its own; processes that run tests beside others ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("keyboard")
def test_ctrl_c_saves_the_step_that_is_done(tmp_path):
    """Wherever it comes, while a step is made too; going on gives the same, the log as well."""
    whole = make_trainer(tmp_path / "a").run(lambda _: (1.0, 1.0))

    def press(progress):
        if progress.step == 8:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make_trainer(tmp_path / "b").run(lambda _: (1.0, 1.0), press)
    second = make_trainer(tmp_path / "b")
    second.load()
    assert second.step == 8 and len(second.losses) == 3
    resumed = second.run(lambda _: (1.0, 1.0))
    expect_equal(resumed, whole)
    texts = [(tmp_path / x / "run" / "training.csv").read_text(encoding="utf-8") for x in "ab"]
    logs = [[{**row, "seconds": 0} for row in csv.DictReader(t.splitlines())] for t in texts]
    assert logs[0] == logs[1] and len(logs[0]) == 4


def test_a_run_that_is_killed_while_it_is_evaluated_trains_no_further(project, monkeypatch):
    whole = train(project, "whole", overrides=QUICK)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as stop:
        patch.setattr("mapose.training.training.evaluate_peaks", stop_at(None))
        train(project, "cut", overrides=QUICK)
    assert "--name cut --resume" in stop.value.__notes__[0]
    resumed = train(project, "cut", resume=True)
    assert resumed.record["steps"] == 40
    expect_equal(resumed.network, whole.network)
    names = {p.name for p in (project.path / "models" / "cut").iterdir()}
    assert names == {p.name for p in (project.path / "models" / "whole").iterdir()}


def test_a_run_that_stopped_early_is_not_trained_on(tmp_path):
    def stop_early(folder):
        trainer = make_trainer(folder, steps=300)
        trainer.settings = trainer.settings.model_copy(update={"patience": 2})
        return trainer

    errors = iter([5.0, 4.0, 4.5, 4.5])
    whole = stop_early(tmp_path).run(lambda _: (1.0, next(errors)))
    again = stop_early(tmp_path)
    again.load()
    expect_equal(again.run(lambda _: (1.0, next(errors))), whole)


@pytest.mark.parametrize("damage", [b"", b"cut off", None])
def test_a_damaged_state_is_made_anew_from_the_one_before(tmp_path, damage, caplog):
    whole = make_trainer(tmp_path / "a").run(lambda _: (1.0, 1.0))
    trainer = make_trainer(tmp_path / "b")
    trainer.save()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda _: (1.0, 1.0), stop_at(10))
    there = tmp_path / "b" / "run"
    assert {p.name for p in there.glob("step-*")} == {f"step-{n}.safetensors" for n in (0, 6, 9)}
    for name in ("step-9", "step-6"):
        path = there / f"{name}.safetensors"
        path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    again = make_trainer(tmp_path / "b")
    again.load()
    assert again.step == 0 and "earlier state" in caplog.text
    expect_equal(again.run(lambda _: (1.0, 1.0)), whole)


@pytest.mark.parametrize("key", ["seconds", "best", "waited", "errors", "losses", "step"])
def test_a_state_that_lacks_something_is_made_anew_as_well(tmp_path, key):
    trainer = make_trainer(tmp_path)
    trainer.save()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda _: (1.0, 1.0), stop_at(10))
    file = tmp_path / "run" / "state.yaml"
    states = yaml.safe_load(file.read_text(encoding="utf-8"))
    for state in states[:2]:
        state[key] = "[]"
    file.write_text(yaml.safe_dump(states), encoding="utf-8")
    again = make_trainer(tmp_path)
    again.load()
    assert again.step == 0


def test_effort_is_a_part_of_the_steps_that_are_chosen(project):
    labels, device = project.load_labels(), torch.device("cpu")

    def count(*overrides):
        run = _prepare(project, labels, load_settings("small", overrides), device)
        return run.settings.train.steps

    assert count("train.effort=0.5") == pytest.approx(count() / 2, abs=1)
    assert count("train.effort=0.5", "train.steps=30") == 30


def test_views_of_a_slanted_camera_are_hardly_rotated_unless_told(tmp_path, caplog):
    labels, device = make_labels(tmp_path / "source"), torch.device("cpu")
    labels.points[:, :, 1, 1] += 0.5 * (labels.points[:, :, 0, 1] - labels.points[:, :, 1, 1])
    project = Project.create(tmp_path / "project", SKELETON, individuals=2)
    import_labels(project, labels)

    def find_turns(*overrides):
        settings = load_settings("small", ["train.steps=2", *overrides])
        run = training._prepare(project, project.load_labels(), settings, device)
        trainer = training._make_trainer(run, tmp_path)
        return run.split.train, trainer.data.turns

    with caplog.at_level("INFO"):
        rows, turns = find_turns()
    assert turns.tolist() == [30.0] * len(rows)
    assert "clip: seen aslant, views are rotated by 30 degrees" in caplog.text
    assert find_turns("augment.rotation=90")[1] is None


def test_a_run_is_resumed_as_it_was_begun_or_not_at_all(project):
    with pytest.raises(KeyboardInterrupt):
        train(project, "cut", overrides=QUICK, on_progress=stop_at(1))
    with pytest.raises(SettingsError, match=r"begun with train.batch=4, now wanted is 8"):
        train(project, "cut", overrides=["train.batch=8"], resume=True)
    with pytest.raises(SettingsError, match="leave --init out"):
        train(project, "cut", init=make_untrained(), resume=True)
    labels = project.load_labels()
    save_labels(replace(labels, points=labels.points + 1), project.path / "labels")
    with pytest.raises(SettingsError, match="labels or crops have changed"):
        train(project, "cut", resume=True)
    save_labels(labels, project.path / "labels")
    crops = project.path / "crops.csv"
    crops.write_text(f"video,left,top,width,height\n{labels.videos[0]},0,0,20,20\n")
    with pytest.raises(SettingsError, match="labels or crops have changed"):
        train(project, "cut", resume=True)
    crops.unlink()
    assert train(project, "cut", overrides=QUICK, resume=True).record["steps"] == 40


def test_what_a_run_has_left_that_never_began_blocks_no_other(project):
    for name in ("small-1", "mine"):
        folder = project.path / "models" / name
        folder.mkdir()
        (folder / "run.yaml").write_text("train: {", encoding="utf-8")
    assert train(project, overrides=QUICK).name == "small-1"
    assert train(project, "mine", overrides=QUICK).name == "mine"
    with pytest.raises(SettingsError, match="name of a folder"):
        train(project, "../mine", overrides=QUICK)


def test_two_runs_at_once_have_folders_of_their_own(project):
    with lock_output(project.path / "models" / "small-1"):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(train(project, overrides=QUICK).name))
        thread.start()
        thread.join()
    assert seen == ["small-2"]


def test_the_same_seed_makes_the_same_weights(tmp_path):
    before = torch.are_deterministic_algorithms_enabled()
    runs = [make_trainer(tmp_path / name, steps=6, deterministic=True) for name in "ab"]
    first, second = (trainer.run(lambda _: (1.0, 1.0)) for trainer in runs)
    expect_equal(first, second)
    assert torch.are_deterministic_algorithms_enabled() == before
    other = make_trainer(tmp_path / "c", steps=6, seed=1).run(lambda _: (1.0, 1.0))
    with pytest.raises(AssertionError):
        expect_equal(first, other)


def test_the_clock_decides_nothing(tmp_path, monkeypatch):
    """A machine a hundred times slower makes the same steps and the same weights."""
    quick = make_trainer(tmp_path / "a").run(lambda _: (1.0, 1.0))
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr("mapose.training.loop.time.monotonic", lambda: float(next(clock)))
    seen = []
    trainer = make_trainer(tmp_path / "b")
    slow = trainer.run(lambda _: (1.0, 1.0), seen.append)
    assert trainer.step == 12 and trainer.seconds >= 12 * 60 and not trainer.was_cut
    for name, value in quick.state_dict().items():
        torch.testing.assert_close(slow.state_dict()[name], value, rtol=0, atol=0)
    # What is left is known after the first steps, and falls to nothing.
    left = [p.left for p in seen]
    assert np.isnan(left[0]) and left[5] > left[8] > left[-1] == 0
    assert [p.steps for p in seen] == [12] * 12 and seen[-1].share == 1


def test_a_limit_of_minutes_says_what_it_cut(tmp_path, monkeypatch, caplog):
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr("mapose.training.loop.time.monotonic", lambda: float(next(clock)))
    trainer = make_trainer(tmp_path, steps=1000, minutes=5)
    trainer.run(lambda _: (1.0, 1.0))
    assert trainer.step < 10 and trainer.was_cut
    assert f"after {trainer.step} of 1000 steps" in caplog.text
    assert trainer.optimizer.param_groups[0]["lr"] < 0.5 * trainer.settings.rate


def test_a_run_that_was_killed_while_it_tidied_up_does_not_seem_damaged(tmp_path, monkeypatch):
    for name in ("step-3.safetensors", "state.yaml", "step-9.safetensors"):
        (tmp_path / name).touch()
    removed = []

    def kill(self, missing_ok=False):
        if removed:
            raise KeyboardInterrupt
        removed.append(self.name)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pathlib.Path.unlink", kill)
        remove_state(tmp_path)
    assert removed == ["state.yaml"]  # what is left of others goes with the next training


def test_a_run_that_was_killed_at_once_goes_on(project, monkeypatch):
    whole = train(project, "whole", overrides=QUICK)
    with pytest.raises(KeyboardInterrupt):
        train(project, "cut", overrides=QUICK, on_progress=stop_at(1))
    resumed = train(project, "cut", resume=True)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(resumed.network.state_dict()[name], value, rtol=0, atol=0)


def test_a_model_is_the_beginning_of_another(project, tmp_path):
    old = train(project, "old", overrides=QUICK)
    turned = Skeleton(["tail", "head"], [("head", "tail")])
    other = Project.create(tmp_path / "other", turned, individuals=2)
    import_labels(other, make_labels(tmp_path / "others"))
    new = train(other, init=old, overrides=["train.steps=1", "train.view=64", "train.batch=2"])
    assert new.architecture["widths"] == [8, 12, 16] and new.links == old.links
    assert new.record["settings"]["train"]["rate"] == 5e-4
    # One gentle step leaves it near where it came from, keypoints matched by name.
    before, after = (m.network.state_dict()["heads.bias"] for m in (old, new))
    torch.testing.assert_close(after[[1, 0]], before[[0, 1]], rtol=0, atol=0.01)
    torch.testing.assert_close(
        after[[4, 5, 2, 3, 6, 7]], before[[2, 3, 4, 5, 6, 7]], rtol=0, atol=0.01
    )
    chosen = train(other, init=project.path / "models" / "old", overrides=["train.steps=1",
                   "train.rate=0.001", "train.view=64", "train.batch=2"])  # fmt: skip
    assert chosen.record["settings"]["train"]["rate"] == 1e-3


def test_a_model_of_other_keypoints_is_a_beginning_too(project, tmp_path, caplog):
    old = train(project, "old", overrides=QUICK)
    names = Skeleton(["nose", "tail"], [("nose", "tail")])
    strange = Project.create(tmp_path / "strange", names, individuals=2)
    import_labels(strange, replace(make_labels(tmp_path / "x"), skeleton=names))
    few = ["train.steps=1", "train.rate=1e-6", "train.view=64", "train.batch=2"]
    new = train(strange, init=old, overrides=few)
    assert "old does not know nose" in caplog.text
    mine, theirs = (m.network.state_dict() for m in (new, old))
    torch.testing.assert_close(
        mine["encoder.stages.0.0.0.weight"],
        theirs["encoder.stages.0.0.0.weight"],
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(mine["heads.bias"][1], theirs["heads.bias"][1], atol=1e-5, rtol=0)
    assert mine["heads.bias"][0].item() == pytest.approx(-4.6, abs=1e-4)  # as it begins


PRETRAINED = ["train.steps=2", "train.view=64", "train.batch=2", "train.rate=0.01"]


def test_pretrained_is_the_default_and_leaves_what_is_frozen(project):
    if not has_weights():
        pytest.skip("the extra pretrained is not installed")
    model = training.train(project, overrides=PRETRAINED)
    assert model.name == "pretrained-1"
    before, after = EfficientNetLite0(1), model.network.encoder
    before.load_pretrained()
    for old, new in ((before.stem, after.stem), (before.blocks[2], after.blocks[2])):
        expect_equal(new, old)
    for name, value in before.blocks[8].state_dict().items():
        moved = not torch.equal(after.blocks[8].state_dict()[name], value)
        assert moved != (name == "layers.1.weight"), name  # the kernel within each channel


def test_without_the_weights_it_trains_from_nothing_and_says_so(project, monkeypatch, caplog):
    monkeypatch.setattr(training, "has_weights", lambda: False)
    assert training.train(project, overrides=PRETRAINED).name == "small-1"
    assert "pip install 'mapose[pretrained]'" in caplog.text


def test_depths_mean_the_encoder_that_has_some(project):
    """QUICK names widths and depths of three strides, which the pretrained encoder has not."""
    assert training.train(project, overrides=QUICK).architecture.get("encoder") is None


def test_the_encoder_learns_more_slowly_if_it_has_learned_before(tmp_path):
    for encoder, rates in (("efficientnet-lite0", {0.2, 1.0}), ("residual", {1.0})):
        depths = (0,) * 5 if encoder == "residual" else ()
        network = build_network(1, 2, 1, widths=(8,) * 5, depths=depths, encoder=encoder)
        trainer = make_trainer(tmp_path / encoder, network=network, encoder_rate=0.2)
        trainer._set_rate()
        groups = trainer.optimizer.param_groups
        highest = max(group["lr"] for group in groups)
        assert {round(group["lr"] / highest, 6) for group in groups} == rates
        inside = {id(p) for p in network.encoder.parameters()}
        slow = {id(p) for g in groups if g["lr"] < highest for p in g["params"]}
        assert slow == (inside if 0.2 in rates else set())


def test_a_run_goes_on_with_its_preset(project):
    with pytest.raises(KeyboardInterrupt):
        train(project, "cut", overrides=QUICK, on_progress=stop_at(1))
    with pytest.raises(SettingsError, match="begun with --preset=small, now wanted is large"):
        training.train(project, "cut", preset="large", resume=True)


def test_training_stops_when_the_test_error_no_longer_falls(tmp_path):
    trainer = make_trainer(tmp_path, steps=300)
    trainer.settings = trainer.settings.model_copy(update={"patience": 3})
    errors = iter([5.0, 4.0, 4.5, 4.5, 4.5, 1.0])
    trainer.run(lambda _: (1.0, next(errors)))
    assert trainer.step == 15 and trainer.best == 4.0


def test_bfloat16_is_not_used_where_its_instructions_are_switched_off(monkeypatch):
    """A step takes five times as long then."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    for capability, faster in (("AVX2", False), ("DEFAULT", False), ("AVX512", True)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda c=capability: c)
        assert has_bfloat16(torch.device("cpu")) is faster


def test_resuming_nothing_is_told(project):
    with pytest.raises(SettingsError, match="no interrupted training"):
        train(project, resume=True)


def test_a_keypoint_no_video_ever_marks_was_not_looked_for(tmp_path):
    labels = make_labels(tmp_path)
    points = labels.points.copy()
    points[:, :, 1] = np.nan
    points[0, 0, 0] = np.nan
    blank = replace(labels, points=points)
    known = find_known(blank, "absent")
    assert known[:, 0].all() and not known[:, 1].any()
    assert not find_known(blank, "unknown")[:, 1].any()


def test_reach_is_a_little_more_than_the_longest_animal(tmp_path):
    labels = make_labels(tmp_path)
    assert find_reach(labels.points)[0, 1] == pytest.approx(1.3 * 12, rel=1e-4)


def test_a_model_for_other_keypoints_is_told(project, tmp_path):
    model = train(project, overrides=QUICK)
    other = Project.create(tmp_path / "other", Skeleton(["nose"]))
    with pytest.raises(Exception, match="head, tail"):
        other.check_model(model)
    project.check_model(Model.load(project.path / "models" / "small-1"))


def test_a_training_that_finds_nothing_is_no_success(tmp_path):
    from mapose.cli.training import _show_model

    model = make_untrained()
    nothing = {"mean": None, "map": None}
    made = replace(model, name="small-1", record={"metrics": {"train": nothing, "test": nothing}})
    assert finds_nothing(made)
    with pytest.raises(typer.Exit) as end:
        _show_model(made, tmp_path)
    assert end.value.exit_code == 1
    some = {"train": {"mean": 3.2, "map": 0.1}, "test": nothing}
    made = replace(made, record={"metrics": some})
    assert not finds_nothing(made)
    _show_model(made, tmp_path)


@pytest.mark.parametrize(("far", "looks"), [(0.2, 3), (0.3, 2), (0.9, 1)])
def test_tiny_animals_near_and_far_are_looked_for_more_than_once(tmp_path, far, looks):
    points = np.tile(np.array([[100, 100], [140, 100]], np.float32), (12, 1, 1, 1))
    points[:9] *= far  # few come near
    images = tuple(tmp_path / f"{n}.png" for n in range(12))
    for image in images:
        write_image(np.zeros((900, 1600), np.uint8), image)
    skeleton = Skeleton(["head", "tail"], [("head", "tail")])
    labels = Labels(points, skeleton, ("clip",) * 12, np.arange(12), images, ("bird",))
    project = Project.create(tmp_path / "project", skeleton, individuals=2)
    import_labels(project, labels)
    settings = load_settings("small", ["train.steps=2"])
    run = _prepare(project, project.load_labels(), settings, torch.device("cpu"))
    assert run.model.network.centres is not None and run.model.looks == looks
