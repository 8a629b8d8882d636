"""Where memory does not suffice a batch is worked on in parts, and learned from as a whole."""

import numpy as np
import pytest
import torch

from mapose.errors import MaposeError
from mapose.models.shards import Shards
from mapose.training.memory import Gradients, is_out_of_memory
from tests.training.test_training import make_trainer


@pytest.fixture
def small_memory(monkeypatch):
    """Make a device on which a share of more than so many views does not fit."""
    real = Shards.find_gradients

    def limit(most: int):
        def find(self, find_losses, shares):
            if max(len(share[0]) for share in shares) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return real(self, find_losses, shares)

        monkeypatch.setattr(Shards, "find_gradients", find)

    return limit


def test_training_goes_on_in_parts_and_says_so_once(tmp_path, small_memory, caplog):
    small_memory(1)
    trainer = make_trainer(tmp_path / "b", steps=6)
    trainer.run(lambda _: (1.0, 1.0))
    assert trainer.step == 6 and trainer.parts == 2 and np.isfinite(trainer.losses[-1]).all()
    assert caplog.text.count("worked on in parts") == 1
    again = make_trainer(tmp_path / "b", steps=6)
    again.load()
    assert again.parts == 2


def test_gradients_of_parts_add_up_to_those_of_the_whole(tmp_path, small_memory):
    def find_losses(network, share):
        views = torch.from_numpy(share[0])
        return [(network.weight * views).sum(1).square().mean()]

    batch = (np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32),)
    found = []
    for most in (8, 2):
        small_memory(most)
        torch.manual_seed(0)
        network = torch.nn.Linear(3, 1, bias=False)
        shards = Shards(network, torch.device("cpu"))
        gradients = Gradients(shards)
        loss = gradients.find(find_losses, batch)
        found.append((loss.item(), network.weight.grad.clone()))
        shards.close()
    assert gradients.parts == 2
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1])


def test_a_view_that_does_not_fit_at_all_is_told(tmp_path, small_memory):
    small_memory(0)
    with pytest.raises(MaposeError, match="does not suffice for 2 views"):
        make_trainer(tmp_path, steps=6).run(lambda _: (1.0, 1.0))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory"))
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
