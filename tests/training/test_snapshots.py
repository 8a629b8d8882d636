"""Snapshots: kept as asked, each a whole model, consistent after a kill; the best is chosen."""

import json

import numpy as np
import pytest
import torch

from mapose.errors import FormatError, SettingsError
from mapose.models import load_tensors
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.training.learning_curve import find_learning_curve, write_learning_curve
from mapose.training.snapshots import (
    choose_snapshots,
    evaluate_snapshots,
    list_snapshots,
    load_snapshot,
    name_snapshot,
    read_errors,
    write_snapshots,
)
from tests.training.test_training import QUICK, SKELETON, make_labels, make_trainer, stop_at, train


def test_the_newest_and_the_best_are_kept_and_the_best_is_taken(tmp_path):
    errors = iter([5.0, 3.0, 4.0, 4.0])  # validations at 3, 6, 9, 12
    trainer = make_trainer(tmp_path, snapshots=2)
    found = trainer.run(lambda _: (1.0, next(errors)))
    assert list_snapshots(trainer.folder) == [6, 9, 12] and trainer.chosen == 6
    best = load_tensors(name_snapshot(trainer.folder, 6))
    assert all(torch.equal(found.state_dict()[key], value) for key, value in best.items())
    errors = iter([5.0, 3.9, 4.5, 4.0])  # better by chance, not clearly
    trainer = make_trainer(tmp_path / "b")
    trainer.run(lambda _: (1.0, next(errors)))
    assert list_snapshots(trainer.folder) == [6] and trainer.chosen == 12


def test_a_killed_run_leaves_the_snapshots_of_where_it_goes_on(tmp_path):
    errors = iter([5.0, 3.0, 2.0, 1.0, 1.0])
    trainer = make_trainer(tmp_path, snapshots=9)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(lambda _: (1.0, next(errors)), stop_at(7))
    trainer.step = 99
    trainer._note_best(0.5)  # written, but killed before the state was saved
    assert list_snapshots(trainer.folder) == [3, 6, 99]
    again = make_trainer(tmp_path, snapshots=9)
    again.load()
    assert list_snapshots(again.folder) == [3, 6] and again.best_step == 6
    again.run(lambda _: (1.0, next(errors)))
    assert list_snapshots(again.folder) == [3, 6, 9, 12]


@pytest.fixture
def project(tmp_path):
    project = Project.create(tmp_path / "worms", SKELETON, individuals=2)
    import_labels(project, make_labels(tmp_path / "source"))
    return Project.load(project.path)


def test_snapshots_are_whole_models_and_evaluated_side_by_side(project):
    model = train(project, "first", overrides=[*QUICK, "train.snapshots=5"])
    folder = project.path / "models" / "first"
    assert list_snapshots(folder) == [20, 40]
    last = load_snapshot(folder, 40)
    assert last.links == model.links and last.confidence is None
    chosen = load_snapshot(folder, model.record["chosen_step"])
    for key, value in chosen.network.state_dict().items():
        torch.testing.assert_close(value, model.network.state_dict()[key])
    found = evaluate_snapshots(project, "first")
    assert [row["step"] for row in found.rows] == [20, 40] and found.best in (20, 40)
    of_model = model.record["metrics"]
    row = next(r for r in found.rows if r["step"] == model.record["chosen_step"])
    for part in ("train", "test"):
        assert row[part] == pytest.approx(of_model[part]["mean"], rel=1e-5)
    place = write_snapshots(found, folder / "evaluation")
    assert json.loads((place / "snapshots.json").read_text("utf-8"))["best"] == found.best
    assert "best on validation frames" in str(found)
    log = folder / "training.csv"
    log.write_text("step,validation_error\n20,[]\n\u00b2,3\n40,2.5\n", encoding="utf-8")
    assert read_errors(folder) == {40: 2.5}
    place = folder / "snapshots" / "step-20.safetensors"
    place.write_bytes(place.read_bytes().replace(b"neck.1.bias", b"neck.2.bias"))
    with pytest.raises(FormatError, match=r"step-20\.safetensors cannot be read"):
        load_snapshot(folder, 20)
    assert len(choose_snapshots(folder, "best")) == len(choose_snapshots(folder, "last")) == 1
    with pytest.raises(SettingsError, match="has 20, 40"):
        evaluate_snapshots(project, "first", which="15")
    shown = sorted(p.name for p in (folder / "progress").iterdir())
    assert shown == ["step-000020.png", "step-000040.png"]


def test_each_point_of_a_learning_curve_holds_the_labels_of_the_one_before(project):
    few = [text for text in QUICK if not text.startswith("train.steps")] + ["train.steps=3"]
    found = find_learning_curve(project, [10, 4], preset="small", overrides=few)
    assert [row["labels"] for row in found.rows] == [4, 10]
    splits = [project.load_model(f"curve-{n}").split for n in (4, 10)]
    assert splits[0]["test"] == splits[1]["test"]
    given = [set(split["train"]) | set(split["validation"]) for split in splits]
    assert given[0] < given[1] and [len(rows) for rows in given] == [4, 10]
    again = find_learning_curve(project, [4, 10], preset="small", overrides=few)  # nothing to do
    np.testing.assert_equal(again.to_dict(), found.to_dict())
    place = write_learning_curve(found, project.path / "evaluation")
    table = (place / "learning-curve.csv").read_text("utf-8").splitlines()
    assert len(table) == 3 and (place / "learning-curve.png").stat().st_size > 1000
    with pytest.raises(SettingsError, match="from 1 to 12"):
        find_learning_curve(project, [4, 13], preset="small", overrides=few)
