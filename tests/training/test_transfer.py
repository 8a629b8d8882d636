"""Weights handed on: maps are found by the names of keypoints and links."""

import numpy as np
import pytest
import torch

from mapose.models import Model, build_network
from mapose.skeleton import Skeleton
from mapose.training.transfer import take_weights

SHAPE = {"widths": [4, 4, 4], "depths": [0, 0, 0]}


@pytest.fixture(params=[4, 2])
def old(request) -> Model:
    torch.manual_seed(0)
    shape = SHAPE | {"stride": request.param}
    network = build_network(1, 3, 2, **shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.uniform_(-1, 1)
    return Model(
        network=network,
        architecture={"channels": 1, "keypoints": 3, "edges": 2, **shape},
        skeleton=Skeleton(["nose", "body", "tail"]),
        links=(("nose", "body"), ("body", "tail")),
        factor=1,
        channels=1,
        individuals=2,
        reach=np.full((3, 3), np.nan),
        variance=np.ones(3),
    )


def test_maps_follow_their_names(old):
    network = build_network(1, 3, 3, **SHAPE, stride=old.network.stride)
    first = 13 * (4 // old.network.stride) ** 2  # of the link that the model has not
    fresh = network.state_dict()["heads.bias"][first:].clone()
    links = [("tail", "body"), ("nose", "body"), ("nose", "tail")]
    take_weights(network, ["tail", "nose", "body"], links, old)
    image = torch.randn(1, 1, 32, 32)
    new, was = (n.eval()(image) for n in (network, old.network))
    order = [2, 0, 1]
    torch.testing.assert_close(new.scores, was.scores[:, order])
    torch.testing.assert_close(new.offsets, was.offsets[:, [4, 5, 0, 1, 2, 3]])
    # The field of a link the other way round points the other way.
    torch.testing.assert_close(new.fields[:, :2], -was.fields[:, 2:])
    torch.testing.assert_close(new.fields[:, 2:4], was.fields[:, :2])
    torch.testing.assert_close(network.state_dict()["heads.bias"][first:], fresh)


def test_the_model_stays_as_it_was(old):
    before = old.hash
    network = build_network(1, 3, 0, **SHAPE, stride=old.network.stride)
    take_weights(network, old.skeleton.keypoints, [], old)
    with torch.no_grad():
        network.heads.weight.zero_()
        network.encoder.stages[0][0][0].weight.zero_()
    assert old.hash == before


def test_centres_are_handed_on_where_both_networks_have_them(old):
    stride = old.network.stride
    network = build_network(1, 3, 2, **SHAPE, stride=stride)
    network.add_centres()
    fresh = network.centres.weight.clone()
    take_weights(network, old.skeleton.keypoints, old.links, old)
    torch.testing.assert_close(network.centres.weight, fresh)
    old.network.add_centres()
    take_weights(network, old.skeleton.keypoints, old.links, old)
    torch.testing.assert_close(network.centres.weight, old.network.centres.weight)
    single = build_network(1, 3, 0, **SHAPE, stride=stride)
    take_weights(single, old.skeleton.keypoints, (), old)
    assert single.centres is None
