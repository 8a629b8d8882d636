"""Models side by side: what is compared, on which frames, with what chance may do."""

import json

import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.poses import Poses
from mapose.training.comparison import compare_evaluations, write_comparison
from mapose.training.evaluation import Evaluation
from mapose.training.reports import write_evaluation
from mapose.training.scores import score_frames
from tests.training.test_training import make_labels


def make_evaluation(labels, off: float, test) -> Evaluation:
    """Make the evaluation of a model that is off by so many px in x, half of it in odd frames."""
    gap = np.where(np.arange(len(labels)) % 2, off / 2, off)[:, None, None, None]
    points = labels.points + gap * (1, 0)
    array = np.concatenate([points, np.full((*points.shape[:-1], 1), 0.9)], -1)
    found = Poses(array.astype(np.float32), labels.skeleton)
    part_of = np.where(np.isin(np.arange(len(labels)), test), "test", "train")
    known = np.ones((len(labels), 2), bool)
    parts = {
        name: score_frames(labels.take(mine), found.take(mine), known=known[mine])
        for name in set(part_of.tolist())
        for mine in [part_of == name]
    }
    return Evaluation(parts, found, part_of, known)


def test_models_are_compared_on_frames_that_none_was_trained_on(tmp_path):
    labels = make_labels(tmp_path)
    found = {
        "near": make_evaluation(labels, 2.0, range(8)),
        "far": make_evaluation(labels, 4.0, range(4, 12)),
    }
    compared = compare_evaluations(found, labels)
    near, far = compared.rows
    assert compared.frames == near["frames"] == 4 and near["labels"] == 8
    value, low, high = near["mean"]
    assert value == 1.5 and 1 <= low < 1.5 < high <= 2
    assert near["behind"] == [0, 0, 0] and far["behind"][0] == 1.5
    assert far["behind"][1] >= 1  # samples are the same for both: it is never the better one
    assert near["within_5"] == 1 and near["shown"] == 1 and near["said_absent"] is None
    words = str(compared)
    assert "the same 4 frames" in words and "1.50 [" in words
    place = write_comparison(compared, tmp_path / "evaluation")
    assert json.loads((place / "models.json").read_text(encoding="utf-8"))["frames"] == 4
    table = (place / "models.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 3 and "mean_low" in table[0]
    assert (place / "models.png").stat().st_size > 1000


def test_models_without_common_test_frames_are_tested_on_their_own(tmp_path, caplog):
    labels = make_labels(tmp_path)
    found = {
        "a": make_evaluation(labels, 2.0, range(8)),
        "b": make_evaluation(labels, 4.0, range(8, 16)),
    }
    compared = compare_evaluations(found, labels)
    assert compared.frames == 0 and compared.rows[0]["behind"] is None
    assert "on its own" in caplog.text and "each on its own frames" in str(compared)
    with pytest.raises(SettingsError, match="no test frames"):
        compare_evaluations({"c": make_evaluation(labels, 1.0, [])}, labels)
    with pytest.raises(SettingsError, match="there are none"):
        compare_evaluations({}, labels)


def test_the_worst_frames_come_first(tmp_path):
    labels = make_labels(tmp_path)
    found = make_evaluation(labels, 4.0, range(6))
    found.found.array[3, 0, 1, :2] = np.nan  # missed: the worst of all
    place = write_evaluation(found, labels, tmp_path / "evaluation")
    table = (place / "frames.csv").read_text(encoding="utf-8").splitlines()
    assert table[1].split(",")[:2] == ["clip:3", "test"] and len(table) == 7
    assert [row.split(",")[0] for row in table[2:5]] == ["clip:0", "clip:2", "clip:4"]
    drawn = sorted(p.name for p in (place / "frames").iterdir())
    assert drawn[0] == "test-001-clip-img003.png" and len(drawn) == 6
    plain = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))
    assert [plain["test"]["pck_curve"][d] for d in "124"] == [0, 0.5, 1]
    assert (place / "scores.png").stat().st_size > 1000
    write_evaluation(found, labels, tmp_path / "evaluation", most=2)
    assert len(list((place / "frames").iterdir())) == 2
