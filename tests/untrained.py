"""A model that has learned nothing, for tests of what is done with models."""

from __future__ import annotations

import numpy as np
import torch

from mapose.models import Model, Refiner, build_network
from mapose.skeleton import Skeleton


def make_untrained(individuals: int | None = 2, *, lively: bool = False, **fields) -> Model:
    """Make a grey model of two keypoints, the same each time.

    Parameters
    ----------
    individuals : int, optional
        Animals in view.
    lively : bool
        Heads with enough signal for peaks to rise above the threshold.
    **fields
        Of `Model`, in place of those given here.
    """
    torch.manual_seed(1)
    architecture = {
        "channels": 1, "keypoints": 2, "edges": 1, "widths": [8, 8, 8], "depths": [0, 0, 0],
        "stride": 4,
    }  # fmt: skip
    network = build_network(**architecture)
    if lively:
        with torch.no_grad():
            network.heads.weight.mul_(60)
            network.heads.bias[:2] = -1.5
    given = {
        "network": network.eval(),
        "architecture": architecture,
        "skeleton": Skeleton(["a", "b"], [("a", "b")]),
        "links": (("a", "b"),),
        "factor": 1,
        "channels": 1,
        "individuals": individuals,
        "reach": np.full((2, 2), 60.0),
        "variance": np.ones(2),
    }
    return Model(**given | fields)


def make_two_stages() -> Model:
    """Make such a model with a second network, shown a map of each keypoint beside grey."""
    architecture = {
        "channels": 3, "keypoints": 2, "edges": 0, "widths": [8, 8, 8], "depths": [0, 0, 0],
        "stride": 2,
    }  # fmt: skip
    second = build_network(**architecture).eval()
    return make_untrained(refiner=Refiner(second, architecture, 1, 64, np.ones(2)))
