from dataclasses import replace

import numpy as np
import pytest
import torch

from mapose.anatomy import Anatomy
from mapose.errors import FormatError
from mapose.models import Model, Refiner, build_network
from mapose.skeleton import Skeleton


@pytest.fixture(params=[4, 2])
def model(request):
    torch.manual_seed(0)
    architecture = {
        "channels": 1, "keypoints": 3, "edges": 2, "widths": [8, 12, 16], "depths": [0, 0, 1],
        "stride": request.param,
    }  # fmt: skip
    reach = np.full((3, 3), 12.5)
    reach[0, 2] = np.nan
    return Model(
        network=build_network(**architecture).eval(),
        architecture=architecture,
        skeleton=Skeleton(["a", "b", "c"], [("a", "b")], [("b", "c")]),
        links=(("a", "b"), ("b", "c")),
        factor=2,
        channels=1,
        individuals=2,
        reach=reach,
        variance=np.array([1.0, 2.0, 3.0]),
        split={"train": ["v:1"], "test": ["v:2"]},
        record={"metrics": {}},
    )


def test_what_is_saved_is_what_is_loaded(model, tmp_path):
    model.save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m")
    assert loaded.hash == model.hash
    assert loaded.skeleton == model.skeleton and loaded.links == model.links
    assert loaded.split == model.split and loaded.individuals == 2
    assert loaded.pitch == 2 * loaded.network.stride
    np.testing.assert_allclose(loaded.reach, model.reach)
    np.testing.assert_allclose(loaded.variance, model.variance)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "model.yaml",
        "weights.safetensors",
    ]


def test_anatomy_is_kept_and_may_be_missing(model, tmp_path):
    model.save(tmp_path / "bare")
    assert Model.load(tmp_path / "bare").anatomy is None
    mean = np.array([[1.0, 0.5], [-1, 0], [np.nan, np.nan]])
    covariance = np.tile(np.diag([0.01, 0.0225]), (3, 1, 1))
    covariance[2] = np.nan
    replace(model, anatomy=Anatomy(mean, covariance)).save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m").anatomy
    np.testing.assert_allclose(loaded.mean, mean, atol=1e-4)
    np.testing.assert_allclose(loaded.covariance, covariance, atol=1e-4)
    assert loaded.joint is None  # of older models
    joint = np.eye(6) / 50 + 0.01
    replace(model, anatomy=Anatomy(mean, covariance, joint)).save(tmp_path / "joint")
    together = Model.load(tmp_path / "joint").anatomy.joint
    np.testing.assert_allclose(together, joint, atol=1e-4)
    # Models of before it was learned do not name it; a damaged one is told.
    text = (tmp_path / "bare" / "model.yaml").read_text(encoding="utf-8")
    assert "anatomy: null\n" in text
    old = text.replace("anatomy: null\n", "")
    (tmp_path / "bare" / "model.yaml").write_text(old, encoding="utf-8")
    assert Model.load(tmp_path / "bare").anatomy is None
    wrong = old + "anatomy: {mean: [[1.0, 2.0]], covariance: [[1.0]]}\n"
    (tmp_path / "bare" / "model.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(FormatError, match="anatomy"):
        Model.load(tmp_path / "bare")


def test_a_second_stage_is_kept_and_its_damage_told(model, tmp_path):
    architecture = {**model.architecture, "channels": 4, "edges": 0, "stride": 2}
    second = Refiner(build_network(**architecture).eval(), architecture, 0.5, 64, np.ones(3))
    both = replace(model, refiner=second)
    assert both.hash != model.hash
    both.save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m")
    assert loaded.hash == both.hash and loaded.refiner.side == 64 and loaded.refiner.pitch == 1
    text = (tmp_path / "m" / "model.yaml").read_text(encoding="utf-8")
    assert text.startswith("schema: 2\n")  # what an older mapose refuses to open by half
    assert not loaded.refiner.weighed
    assert loaded.refiner.threshold == 0 and "threshold" not in text
    sure = replace(second, weighed=True, threshold=0.35)
    replace(model, refiner=sure).save(tmp_path / "weighed")
    weighed = Model.load(tmp_path / "weighed")
    assert weighed.refiner.weighed and weighed.refiner.threshold == 0.35
    without = replace(model, refiner=replace(sure, threshold=0.0))
    assert len({weighed.hash, without.hash, loaded.hash}) == 3
    assert (tmp_path / "weighed" / "model.yaml").read_text(encoding="utf-8").startswith("schema: 4")
    for old, new, message in (
        ("side: 64", "side: 100000", "crops cannot have"),
        ("side: 64", "side: 65", "crops cannot have"),
        ("refiner:", "refiner:\n  threshold: 1.5", "cannot have the threshold"),
        ("refiner:", "refiner:\n  threshold: .nan", "cannot have the threshold"),
        ("refiner:", "refiner: {}\nolder:", "not a complete model"),
    ):
        assert old in text
        (tmp_path / "m" / "model.yaml").write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(FormatError, match=message):
            Model.load(tmp_path / "m")
    (tmp_path / "m" / "model.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "m" / "refiner.safetensors").unlink()
    with pytest.raises(FormatError, match="second stage's weights"):
        Model.load(tmp_path / "m")


ANATOMY = Anatomy(np.arange(6.0).reshape(3, 2), np.tile(np.eye(2), (3, 1, 1)))


@pytest.mark.parametrize(
    "change",
    [
        {"anatomy": ANATOMY},
        {"reach": np.full((3, 3), 12.6)},
        {"variance": np.array([1.0, 2, 4])},
        {"factor": 4},
        {"links": (("a", "c"), ("b", "c"))},
        {"skeleton": Skeleton(["a", "b", "d"])},
        {"individuals": 3},
    ],
)
def test_the_hash_is_of_all_that_decides_what_is_found(model, change, tmp_path):
    other = replace(model, **change)
    assert other.hash != model.hash
    other.save(tmp_path / "m")
    assert Model.load(tmp_path / "m").hash == other.hash
    assert replace(model, record={"metrics": {"rmse": 1}}, split={}).hash == model.hash


def test_the_hash_is_of_the_weights_too(model):
    before = model.hash
    with torch.no_grad():
        model.network.heads.bias[0] += 1e-3
    assert model.hash != before


def test_whose_keypoint_it_is_and_centres_come_back(model, tmp_path):
    model.network.add_marks(2)
    model.network.add_centres()
    model.save(tmp_path / "m")
    images = torch.randint(0, 256, (1, 32, 32, 1), dtype=torch.uint8)
    with torch.no_grad():
        for one in (Model.load(tmp_path / "m"), model.with_links([0])):
            before, after = model.network.predict(images), one.network.eval().predict(images)
            assert after.marks.shape[1] == 2 and after.centres.shape[1] == 3
            torch.testing.assert_close(after.marks, before.marks)
            torch.testing.assert_close(after.centres, before.centres)


def test_dropping_links_keeps_the_other_maps(model):
    images = torch.randint(0, 256, (1, 32, 32, 1), dtype=torch.uint8)
    fewer = model.with_links([1])
    assert fewer.links == (("b", "c"),)
    with torch.no_grad():
        before, after = model.network.predict(images), fewer.network.eval().predict(images)
    torch.testing.assert_close(after.scores, before.scores)
    torch.testing.assert_close(after.fields, before.fields[:, 2:])


def test_damaged_and_incomplete_models_are_told(model, tmp_path):
    with pytest.raises(FormatError, match=r"model\.yaml"):
        Model.load(tmp_path)
    model.save(tmp_path / "m")
    weights = tmp_path / "m" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(FormatError, match="damaged"):
        Model.load(tmp_path / "m")
    (tmp_path / "m" / "model.yaml").write_text("schema: 99\n", encoding="utf-8")
    with pytest.raises(FormatError, match="newer"):
        Model.load(tmp_path / "m")
