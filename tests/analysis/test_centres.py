"""Networks that say where animals are: links hold where fields say nothing."""

import numpy as np
import pytest
import torch

from mapose.analysis.prediction import Predictor
from mapose.data import draw_centres, draw_scores
from mapose.decode import assemble
from mapose.models import Maps, Model
from tests.untrained import make_untrained

#: Two birds of two keypoints, a small one beside a large one.
BIRDS = torch.tensor([[[[40.0, 40.0], [120.0, 88.0]], [[176.0, 40.0], [192.0, 48.0]]]])


class Told:
    """In the place of a network, one whose fields carry nothing."""

    multiple, stride = 8, 4

    def __init__(self, *, centres: bool) -> None:
        self.centres = centres

    def predict(self, images: torch.Tensor) -> Maps:
        size, pitch = (images.shape[1] // 4, images.shape[2] // 4), 4.0
        scores, offsets = draw_scores(BIRDS, size, pitch=pitch)
        centres = draw_centres(BIRDS, size, pitch=pitch)[0] if self.centres else None
        return Maps(scores, offsets, torch.zeros(1, 2, *size), centres=centres)


def find_animals(*, centres: bool) -> np.ndarray:
    model = make_untrained(None, reach=np.full((2, 2), 200.0))
    predictor = Predictor(model)
    predictor.network = Told(centres=centres)  # type: ignore[assignment]
    peaks = predictor.find_images([np.zeros((256, 256), np.uint8)])
    return assemble(peaks, model.body, min_keypoints=2).points[0]


def test_animals_are_assembled_though_fields_carry_nothing():
    assert not np.isfinite(find_animals(centres=False)).all(-1).any()
    found = find_animals(centres=True)
    np.testing.assert_allclose(found[np.argsort(found[:, 0, 0])], BIRDS[0], atol=0.1)


class Near(Told):
    """One that knows only animals up to 30 px long, and takes the end of a longer one for one."""

    def predict(self, images: torch.Tensor) -> Maps:
        shrunk = 256 // images.shape[1]
        birds = (BIRDS + 0.5) / shrunk - 0.5
        end = birds[:, :1] + torch.tensor([[0.0, 0.0], [-60.0, -33.0]])
        shown = torch.cat([birds[:, 1:], end], 1) if shrunk == 1 else birds
        size = (images.shape[1] // 4, images.shape[2] // 4)
        scores, offsets = draw_scores(shown, size, pitch=4.0)
        scores[:, :, :, :25] *= 0.6 if shrunk == 1 else 0.8  # surer of what is as it should be
        centres = draw_centres(shown, size, pitch=4.0)[0]
        return Maps(scores, offsets, torch.zeros(1, 2, *size), centres=centres)


@pytest.mark.parametrize("looks", [1, 2])
def test_a_second_look_at_half_the_size_finds_large_animals_and_nothing_twice(looks):
    model = make_untrained(None, reach=np.full((2, 2), 200.0), looks=looks)
    predictor = Predictor(model)
    predictor.network = Near(centres=True)  # type: ignore[assignment]
    peaks = predictor.find([None, np.zeros((256, 256, 1), np.uint8)])
    assert set(peaks.frame) == {1}
    found = assemble(peaks, model.body, min_keypoints=2).points[1]
    found = found[np.argsort(found[:, 0, 0])]
    assert len(found) == 2
    np.testing.assert_allclose(found[1], BIRDS[0, 1], atol=0.1)
    assert np.allclose(found[0], BIRDS[0, 0], atol=0.2) == (looks == 2)


def test_a_model_that_looks_twice_is_saved_and_opened_as_such(tmp_path):
    once, twice = make_untrained(), make_untrained(looks=2)
    for name, model in (("once", once), ("twice", twice)):
        model.network.add_centres()
        model.save(tmp_path / name)
        assert Model.load(tmp_path / name).looks == model.looks
        assert Model.load(tmp_path / name).hash == model.hash
    assert "looks" not in (tmp_path / "once" / "model.yaml").read_text()
    written = (tmp_path / "twice" / "model.yaml").read_text()
    assert "schema: 3" in written and once.hash != twice.hash


def test_a_model_with_centres_is_saved_and_opened_with_them(tmp_path):
    model = make_untrained()
    model.save(tmp_path / "before")
    assert Model.load(tmp_path / "before").network.centres is None
    model.network.add_centres()
    model.save(tmp_path / "model")
    opened = Model.load(tmp_path / "model")
    assert opened.hash == model.hash
    with torch.no_grad():
        maps = opened.with_links([]).network.predict(torch.zeros(1, 32, 32, 1, dtype=torch.uint8))
    assert maps.centres is not None and maps.centres.shape == (1, 3, 8, 8)
