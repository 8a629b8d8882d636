"""A batch in shares, each worked on by a thread of its own that waits for nobody."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from mapose.cores import count_cores
from mapose.memory import reuse_memory

Share = TypeVar("Share")

#: Shares of a batch on a processor. Not the number of cores: what is learned would depend on it.
SHARES = 2


class Workers(ThreadPoolExecutor):
    """Threads that work on shares of a batch: `SHARES` on a processor, else one.

    Threads inside an operation wait for each other hundreds of times a step, and if another
    program takes one of the cores each wait costs a time slice: beside two busy processes a step
    of training took 1.7 s that takes 0.24 s on a quiet machine. Shares of a batch meet once a
    step: 0.25 and 0.5 s. More cores than shares work inside the operations; where there are fewer,
    as for one of several processes, shares wait for their turn and nothing else changes.

    Parameters
    ----------
    device : torch.device
        Where is computed.
    processes : int
        Among which the shares of a batch are spread.
    """

    def __init__(self, device: torch.device, processes: int = 1) -> None:
        self.count = max(1, SHARES // processes) if device.type == "cpu" else 1
        reuse_memory()  # before its threads take heaps of their own
        super().__init__(min(self.count, count_cores()), initializer=_take_share_of_cores)


@contextmanager
def spare_cores() -> Iterator[None]:
    """Let operations of the calling thread use as many cores as a share of a batch has.

    For small networks, where waiting for each other costs threads more than they gain.
    """
    with _use_threads(_count_for_a_share()):
        yield


@contextmanager
def take_all_cores() -> Iterator[None]:
    """Let operations of the calling thread use all cores: the quickest for a single image.

    On two quiet cores an image of 640x480 takes 23 ms instead of 46, and three in one batch 67
    instead of 86 in shares; beside other programs the threads wait for each other.
    """
    with _use_threads(count_cores()):
        yield


@contextmanager
def take_one_core() -> Iterator[None]:
    """Let operations of the calling thread use one core: the quickest for what is small.

    To find the candidates in the maps of an image of 640x480 takes 2.7 ms of one core; with two,
    each of some eighty operations waits for a thread that may have to wait for a core: 22 ms of the
    processor beside other programs.
    """
    with _use_threads(1):
        yield


@contextmanager
def _use_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count_for_a_share() -> int:
    return max(1, count_cores() // SHARES)


def _take_share_of_cores() -> None:
    torch.set_num_threads(_count_for_a_share())


class Shards:
    """Copies of a network that have its weights in common, each with a thread.

    Gradients are added in one order, so that a quiet machine and a busy one end with the same
    weights, bit for bit. (With another number of cores torch adds up in another order elsewhere.)

    Parameters
    ----------
    network : nn.Module
        Trained in place. Statistics of its batch norms are found in each share of a batch and
        then averaged.
    device : torch.device
        Where it lies.
    processes : int
        As for `Workers`.
    """

    def __init__(self, network: nn.Module, device: torch.device, *, processes: int = 1) -> None:
        self.workers = Workers(device, processes)
        self.count = self.workers.count
        self.network = network
        self.copies = [network, *(_share_weights(network) for _ in range(self.count - 1))]
        self.parameters = [p for p in network.parameters() if p.requires_grad]

    def find_gradients(
        self, find_losses: Callable[[nn.Module, Share], Sequence[Tensor]], shares: Sequence[Share]
    ) -> Tensor:
        """Find the mean loss over all shares and leave its gradients in the weights.

        Parameters
        ----------
        find_losses : function of a network and a share
            Gives scalar losses; the first is the one to fall.
        shares : sequence
            One part of the batch per copy.

        Returns
        -------
        float32, (losses,)
            Mean of each loss over the shares.
        """

        def work(network: nn.Module, share: Share) -> tuple[Tensor, tuple[Tensor, ...]]:
            losses = find_losses(network, share)
            trained = [p for p in network.parameters() if p.requires_grad]
            found = torch.autograd.grad(losses[0], trained)
            return torch.stack([loss.detach() for loss in losses]), found

        results = list(self.workers.map(work, self.copies, shares))
        for i, parameter in enumerate(self.parameters):
            parameter.grad = _average([gradients[i] for _, gradients in results])
        with torch.no_grad():
            for buffers in zip(*(c.buffers() for c in self.copies), strict=True):
                if buffers[0].dtype.is_floating_point:
                    buffers[0].copy_(_average(buffers))
                for other in buffers[1:]:
                    other.copy_(buffers[0])
        return _average([losses for losses, _ in results])

    def close(self) -> None:
        """End the threads."""
        self.workers.shutdown()


def _share_weights(network: nn.Module) -> nn.Module:
    """Copy a network so that the copy has buffers of its own and the same parameters."""
    known = {id(p): p for p in network.parameters()}
    return copy.deepcopy(network, memo=known)


def _average(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0].clone() if len(parts) > 1 else parts[0]
    for part in parts[1:]:
        total.add_(part)
    return total.div_(len(parts)) if len(parts) > 1 else total
