"""Networks that say where animals are: links hold where fields say nothing."""

import numpy as np
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
