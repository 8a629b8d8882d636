"""Training over several GPUs or machines: one process leads, the others find gradients for it.

torch's own launcher starts the processes: ``torchrun --nproc-per-node 4 -m mapose train DIR --name
NAME``. In each step the first one hands out its weights, each process draws its part of the batch
and finds the gradients, and their mean goes back. So the others hold nothing that could be lost,
and all that is decided or written is the first one's work.

References
----------
Li et al. 2020, PyTorch Distributed (data parallel training).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from mapose.errors import SettingsError

#: To meet each other; and the others wait while the first one validates.
_MEETING, _PATIENCE = timedelta(minutes=3), timedelta(hours=12)
_END = -1


class Team:
    """The processes of one training.

    Parameters
    ----------
    rank, size : int
        Which this one is, 0 for the one that leads, and how many there are.
    group : torch.distributed.ProcessGroup, optional
        In which they talk.
    device : torch.device, optional
        Where tensors must lie to be sent.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        group: distributed.ProcessGroup | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.rank, self.size, self.group = rank, size, group
        self.device = device or torch.device("cpu")

    def split(self, batch: int) -> int:
        """Split a batch evenly.

        Raises
        ------
        SettingsError
            If that is not possible.
        """
        if batch % self.size:
            raise SettingsError(
                f"train.batch: wanted a multiple of the {self.size} processes, came {batch}"
            )
        return batch // self.size

    def begin_step(self, step: int, network: nn.Module) -> None:
        """Tell the others which step it is, and with which weights."""
        if self.size > 1:
            distributed.broadcast(torch.tensor(step, device=self.device), 0, self.group)
            self._hand_out(network)

    def await_step(self, network: nn.Module) -> int | None:
        """Wait for the next step and take over the weights; None when there is none."""
        step = torch.tensor(_END, device=self.device)
        distributed.broadcast(step, 0, self.group)
        if step.item() == _END:
            return None
        self._hand_out(network)
        return int(step.item())

    def average(self, network: nn.Module, losses: Tensor) -> Tensor:
        """Give the first one the mean of all gradients, statistics and losses."""
        if self.size == 1:
            return losses
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        parts = [losses, *grads, *_list_statistics(network)]
        flat = _join(parts)
        distributed.reduce(flat, 0, group=self.group)
        _part(flat / self.size, parts)
        return losses

    def end(self) -> None:
        """Tell the others that there is no step any more."""
        if self.size > 1 and self.rank == 0:
            with suppress(RuntimeError):  # one of them is gone already
                distributed.broadcast(torch.tensor(_END, device=self.device), 0, self.group)

    def _hand_out(self, network: nn.Module) -> None:
        parts = [p.data for p in network.parameters()] + _list_statistics(network)
        flat = _join(parts)
        distributed.broadcast(flat, 0, self.group)
        _part(flat, parts)


def _list_statistics(network: nn.Module) -> list[Tensor]:
    return [b for b in network.buffers() if b.dtype.is_floating_point]


def _join(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.detach().reshape(-1).float() for part in parts])


@torch.no_grad()
def _part(flat: Tensor, parts: Sequence[Tensor]) -> None:
    """Copy what `_join` has joined back to where it was."""
    start = 0
    for part in parts:
        part.copy_(flat[start : start + part.numel()].view(part.shape))
        start += part.numel()


def count_processes() -> int:
    """Count the processes that torch's launcher has started for one training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_assistant() -> bool:
    """Tell whether torch's launcher has started this process to help another one."""
    return count_processes() > 1 and int(os.environ.get("RANK", "0")) > 0


def was_restarted() -> bool:
    """Tell whether torch's launcher has started this process again, as one was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


@contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """Meet the other processes, if torch's launcher has started any.

    Parameters
    ----------
    device : torch.device
        Where this one computes; of several GPUs each process takes one.

    Yields
    ------
    Team
    """
    size = count_processes()
    if size == 1:
        yield Team()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group(backend, timeout=_MEETING)
    group = distributed.new_group(timeout=_PATIENCE)
    where = device if backend == "nccl" else None
    yield Team(distributed.get_rank(), size, group=group, device=where)
    # Not after a fault: it ends the process, and gloo would confuse those of the next round.
    distributed.destroy_process_group()
