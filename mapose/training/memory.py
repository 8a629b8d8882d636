"""What a step of training does where memory does not suffice: the same batch in smaller parts."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from mapose.errors import MaposeError
from mapose.models import Shards

logger = logging.getLogger(__name__)

Batch = tuple[np.ndarray, ...]


def is_out_of_memory(fault: BaseException) -> bool:
    """Tell whether torch says that memory, of whatever device, does not suffice."""
    if isinstance(fault, torch.OutOfMemoryError):
        return True
    words = ("out of memory", "not enough memory")
    return isinstance(fault, RuntimeError) and any(text in str(fault).lower() for text in words)


class Gradients:
    """Finds the gradients of a batch, in as many parts as memory needs.

    Parameters
    ----------
    shards : Shards
        Copies of the network.
    parts : int
        In how many parts a batch is worked on.
    """

    def __init__(self, shards: Shards, parts: int = 1) -> None:
        self.shards, self.parts = shards, parts

    def find(self, find_losses: Callable[..., list[Tensor]], batch: Batch) -> Tensor:
        """Leave the gradients of the mean loss in the weights; halve the parts if memory is out.

        Gradients of the parts are added up, so that the batch that is learned from stays as large
        as it was asked for; statistics of batch norms are those of the parts.

        Parameters
        ----------
        find_losses : function
            As in `Shards.find_gradients`.
        batch : tuple of array, (B, ...)
            Views and what goes with them.

        Returns
        -------
        float32, (losses,)
            Mean of each loss over the batch.

        Raises
        ------
        MaposeError
            If not even the smallest part fits.
        """
        while True:
            try:
                return self._add_up(find_losses, batch)
            except RuntimeError as fault:
                if not is_out_of_memory(fault):
                    raise
                self._halve(len(batch[0]), fault)
            _free()  # when the fault is forgotten, and with it what it holds

    def _halve(self, size: int, fault: RuntimeError) -> None:
        count = -(-size // self.parts)
        if count // 2 < self.shards.count:
            raise MaposeError(
                f"memory does not suffice for {count} views at once: set a smaller train.view or a "
                "larger network.factor, or train on another --device"
            ) from fault
        if self.parts == 1:
            logger.warning(
                "memory does not suffice for a batch of %d: it is worked on in parts from here on, "
                "which is slower and learns the same",
                size,
            )
        self.parts *= 2

    def _add_up(self, find_losses: Callable[..., list[Tensor]], batch: Batch) -> Tensor:
        size, count = len(batch[0]), self.shards.count
        pieces = list(zip(*(np.array_split(part, self.parts) for part in batch), strict=True))
        total = torch.zeros((), device=self.shards.parameters[0].device)
        sums = [torch.zeros_like(p) for p in self.shards.parameters] if len(pieces) > 1 else []
        for piece in pieces:
            shares = list(zip(*(np.array_split(part, count) for part in piece), strict=True))
            share = len(piece[0]) / size
            total = total + share * self.shards.find_gradients(find_losses, shares)
            for parameter, gradient in zip(self.shards.parameters, sums, strict=False):
                assert parameter.grad is not None
                gradient.add_(parameter.grad, alpha=share)
        for parameter, gradient in zip(self.shards.parameters, sums, strict=False):
            parameter.grad = gradient
        return total


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
