"""Cross-validation: every frame is found by a model that has not seen it."""

from dataclasses import replace

import numpy as np
import pytest

from mapose.errors import SettingsError
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.training.folds import _join, cross_validate, train_seeds
from tests.training.test_training import QUICK, SKELETON, make_labels

FEW = [text for text in QUICK if not text.startswith(("train.steps", "train.test"))]
FEW += ["train.steps=3"]


@pytest.fixture
def project(tmp_path):
    project = Project.create(tmp_path / "worms", SKELETON, individuals=2)
    labels = make_labels(tmp_path / "source", frames=9)
    labels.points[4, 0, 1] = np.nan  # looked for, and not there
    import_labels(project, labels)
    return Project.load(project.path)


def test_every_frame_is_tested_once_and_what_was_stopped_goes_on(project):
    shares = []

    def stop(progress):
        if progress.share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(project, 3, preset="small", overrides=FEW, on_progress=stop)
    found = cross_validate(
        project, 3, preset="small", overrides=FEW, on_progress=lambda p: shares.append(p.share)
    )
    assert found.models == ["fold-1", "fold-2", "fold-3"] and len(found.parts) == 3
    scores = found.scores
    assert scores.frames == 9 and scores.error.labelled == 9 * 2 * 2 - 1
    assert scores.presence.visible.sum() == 9 * 2 * 2 - 1
    assert scores.presence.absent.tolist() == [0, 1] and "95 % ellipses" in str(found)
    tested = [project.load_model(name).split["test"] for name in found.models]
    assert sorted(row for rows in tested for row in rows) == sorted(project.load_labels().row_names)
    assert len(shares) == 6 and shares[0] > 0.3 and shares[-1] == 1  # the first is not done again
    again = cross_validate(project, 3, preset="small", overrides=FEW)
    np.testing.assert_equal(again.to_dict(), found.to_dict())
    with pytest.raises(SettingsError, match="not of part 1 of 4"):
        cross_validate(project, 4, preset="small", overrides=FEW)


def test_seeds_differ_in_chance_alone(project):
    overrides = [*FEW, "train.test=0.3"]
    found = train_seeds(project, 2, preset="small", overrides=overrides)
    models = [project.load_model(name) for name in found.models]
    assert found.models == ["seed-0", "seed-1"]
    assert models[0].split == models[1].split and models[0].hash != models[1].hash
    maps = [one.record["metrics"]["test"]["map"] for one in models]
    assert found.to_dict()["map"]["each"] == pytest.approx(maps, nan_ok=True)
    assert "2 models" in str(found)
    with pytest.raises(SettingsError, match="not of part 1 of 2"):
        cross_validate(project, 2, name="seed", preset="small", overrides=FEW)


def test_frames_of_models_that_find_more_and_fewer_animals_are_put_together(rng):
    one = rng.random((2, 1, 2, 3)).astype(np.float32)
    two = rng.random((1, 2, 2, 3)).astype(np.float32)
    spread = rng.random((1, 2, 2, 2, 2)).astype(np.float32)
    parts = [
        Poses(one, SKELETON, covariance=spread[:, :1].repeat(2, axis=0)),
        Poses(two, SKELETON, covariance=spread),
    ]
    whole = _join(parts)
    assert whole.array.shape == (3, 2, 2, 3)
    np.testing.assert_array_equal(whole.array[:2, :1], one)
    np.testing.assert_array_equal(whole.array[2:], two)
    assert np.isnan(whole.points[:2, 1]).all() and (whole.confidence[:2, 1] == 0).all()
    np.testing.assert_array_equal(whole.covariance[2:], spread)
    assert np.isnan(whole.covariance[:2, 1]).all()
    assert _join([replace(parts[0], covariance=None), parts[1]]).covariance is None
