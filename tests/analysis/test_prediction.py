"""Candidates as the predictor gives them, whatever the stride of the maps."""

from dataclasses import replace

import numpy as np

from mapose.analysis.prediction import Predictor
from mapose.models import build_network
from tests.untrained import make_untrained


def test_no_keypoint_of_finer_maps_has_two_peaks_beside_each_other(rng):
    """Cells of one of the features differ a little, so that next but one to a peak lies another."""
    model = make_untrained()
    architecture = {**model.architecture, "stride": 2}
    network = build_network(**architecture).eval()
    network.heads.weight.data.mul_(60)
    network.heads.bias.data[: 4 * 2] = -1.5
    fine = replace(model, network=network, architecture=architecture)
    image = rng.integers(0, 256, (64, 96, 1), dtype=np.uint8)
    peaks = Predictor(fine, device="cpu").find([image])
    cells = peaks.xy / fine.pitch
    for k in range(2):
        own = cells[peaks.keypoint == k]
        assert len(own) > 10
        apart = np.abs(own[:, None] - own[None]).max(-1)
        assert apart[~np.eye(len(own), dtype=bool)].min() > 2
