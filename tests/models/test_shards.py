"""A batch in shares: the gradients of the whole, found by threads that share the weights."""

import copy

import pytest
import torch
from torch import nn

from mapose.models import Shards


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def find_losses(network, share):
    out = network(share)
    return [out.square().mean(), out.abs().max()]


@pytest.fixture
def shards():
    made = Shards(make_network().train(), torch.device("cpu"))
    yield made
    made.close()


def test_gradients_and_losses_are_the_mean_of_the_shares(shards, rng):
    batch = torch.as_tensor(rng.normal(size=(6, 1, 8, 8)), dtype=torch.float32)
    shares = batch.chunk(shards.count)
    losses = shards.find_gradients(find_losses, shares)
    alone = []
    for share in shares:
        network = make_network().train()
        loss = find_losses(network, share)
        loss[0].backward()
        alone.append((network, [float(v.detach()) for v in loss]))
    for i, parameter in enumerate(shards.network.parameters()):
        wanted = sum(list(n.parameters())[i].grad for n, _ in alone) / shards.count
        torch.testing.assert_close(parameter.grad, wanted)
    wanted = torch.tensor([values for _, values in alone]).mean(0)
    torch.testing.assert_close(losses, wanted)
    mean = sum(n[1].running_mean for n, _ in alone) / shards.count
    for network in shards.copies:
        torch.testing.assert_close(network[1].running_mean, mean)
        assert int(network[1].num_batches_tracked) == 1


def test_copies_share_weights_but_not_statistics(shards):
    first, second = shards.copies
    assert first is not second and first[0].weight is second[0].weight
    assert first[1].running_mean is not second[1].running_mean
    with torch.no_grad():
        first[0].weight.fill_(3)
    assert (second[0].weight == 3).all()


def test_two_runs_agree_to_the_last_bit(rng):
    batches = [torch.as_tensor(rng.normal(size=(4, 1, 16, 16)), dtype=torch.float32)] * 5
    ends = []
    for _ in range(2):
        network = make_network().train()
        shards = Shards(network, torch.device("cpu"))
        optimizer = torch.optim.SGD(network.parameters(), 0.1)
        for batch in batches:
            shards.find_gradients(find_losses, batch.chunk(shards.count))
            optimizer.step()
        shards.close()
        ends.append(copy.deepcopy(network.state_dict()))
    for name, value in ends[0].items():
        assert torch.equal(ends[1][name], value), name


def test_a_fault_in_a_share_is_raised(shards):
    with pytest.raises(RuntimeError, match="channels"):
        shards.find_gradients(find_losses, [torch.zeros(1, 1, 8, 8), torch.zeros(1, 3, 8, 8)])
