"""Learning an appearance: which pairs are alike, and what may change without changing who it is."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mapose.arrays import Bools, Image, Ints, Singles
from mapose.recognition.network import AppearanceNetwork, to_images

logger = logging.getLogger(__name__)


_BATCH, _ANIMALS = 96, 12
_RATE, _DECAY = 3e-3, 1e-2
#: Animals in a batch that do not exist, and crops of each; how far one is dyed, in nats of
#: brightness, and each colour beyond that.
_STRANGERS, _LIKE = 8, 4
_DYE, _TINT = (0.25, 0.8), 0.25


@dataclass(frozen=True, eq=False)
class Examples:
    """Crops to learn from: whose they are, as far as known, and who is not the same.

    Parameters
    ----------
    crops : uint8, (N, H, W, C)
        Aligned, black off the body.
    group : int64, (N,)
        Crops of one group, 0 to G - 1, show the same animal.
    different : bool, (G, G)
        Groups known not to be the same animal; the others may be or not.
    fur : float32, (H, W)
        Where a crop shows the back of the animal, 0 to 1.
    """

    crops: Image
    group: Ints
    different: Bools
    fur: Singles


def train_appearance(
    network: AppearanceNetwork,
    examples: Examples,
    *,
    steps: int,
    seed: int,
    report: Callable[[int], None] = lambda step: None,
) -> None:
    """Train a network in place.

    Parameters
    ----------
    network : AppearanceNetwork
        Trained in place, left in evaluation mode.
    examples : Examples
        What to learn from; some groups must be known to be different.
    steps : int
        Length of the training.
    seed : int
        Of all chance.
    report : function of int
        Called after each step with their number.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    different, fur = torch.as_tensor(examples.different), torch.as_tensor(examples.fur)
    members = _split_groups(examples.group, len(examples.different))
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    network.train()
    for step in range(steps):
        share = step / steps
        # Warm-up, then down to nothing.
        rate = _RATE * min(1.0, 20 * share + 0.05) * 0.5 * (1 + math.cos(math.pi * share))
        for options in optimizer.param_groups:
            options["lr"] = rate
        picked = _draw_batch(members, examples.different, rng)
        group = torch.as_tensor(examples.group[picked])
        images = to_images(examples.crops[picked])
        same, apart = group[:, None] == group, different[group[:, None], group]
        images, same, apart = add_strangers(images, same, apart, fur=fur, rng=rng)
        loss = find_contrastive_loss(network(vary_crops(images, generator)), same, apart)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        report(step + 1)
    network.eval()
    logger.info("appearance: loss %.3f after %d steps", loss.item(), steps)


def _split_groups(group: Ints, count: int) -> list[Ints]:
    """List the crops of each group."""
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, count)))


def _draw_batch(members: list[Ints], different: Bools, rng: np.random.Generator) -> Ints:
    """Draw crops of animals of which many are known to be different."""
    size = np.array([len(m) for m in members], np.float64)
    size[~different.any(1)] = 0
    chosen: list[int] = []
    # Each draw brings along those that it can be compared with.
    for first in rng.choice(len(size), _ANIMALS, p=np.sqrt(size) / np.sqrt(size).sum()).tolist():
        others = rng.permutation(np.flatnonzero(different[first] & (size > 0)))
        chosen += [g for g in (first, *others[: _ANIMALS - 1].tolist()) if g not in chosen]
        if len(chosen) >= _ANIMALS:
            break
    each = max(2, _BATCH // len(chosen))
    return np.concatenate([rng.choice(members[g], each) for g in chosen])


def find_contrastive_loss(
    vectors: Tensor, same: Tensor, different: Tensor, *, temperature: float = 0.1
) -> Tensor:
    """Score how far vectors of the same animal lie together and of different ones apart.

    Parameters
    ----------
    vectors : float (B, D)
        Unit vectors.
    same, different : bool (B, B)
        Pairs known to be the same animal, and pairs known not to be; pairs that are neither do
        not count. The diagonal of `same` is ignored.
    temperature : float
        Scale of the similarity.

    Returns
    -------
    scalar tensor
        Mean over pairs of the same animal of the cross-entropy of this pair against all pairs of
        the first of them with a different animal. 0 where no pair is known.

    References
    ----------
    Supervised contrastive learning (Khosla et al. 2020), with masks for what is not known.
    """
    alike = vectors @ vectors.T / temperature
    pairs = same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    others = alike.masked_fill(~different, -1e4).logsumexp(1, keepdim=True)
    # An animal with nobody to compare with would be pulled together to no end.
    pairs = pairs & different.any(1, keepdim=True)
    if not pairs.any():
        return vectors.sum() * 0.0
    loss = functional.softplus(others - alike)
    share = pairs / pairs.sum(1, keepdim=True).clamp(min=1)
    return (loss * share).sum() / pairs.any(1).sum()


def vary_light(images: Tensor, generator: torch.Generator, *, shared: bool = False) -> Tensor:
    """Put images under another light: brighter or darker, tinted, from another side.

    Black stays black, so that blanked parts of a crop say nothing about the light.

    Parameters
    ----------
    images : float (B, C, H, W)
        From 0 to 1.
    generator : torch.Generator
        Source of all chance, on the CPU.
    shared : bool
        Whether brightness and tint are the same for all images; the side from which the light
        comes never is, as animals turn.
    """
    b, c, h, w = images.shape

    def draw(*shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=generator) - 1).to(images.device)

    n = 1 if shared else b
    gain = torch.exp(0.45 * draw(n, 1, 1, 1)) * (1 + 0.12 * draw(n, c, 1, 1))
    bend = torch.exp(0.05 * draw(n, 1, 1, 1))
    down = torch.linspace(-1, 1, h, device=images.device).view(1, 1, h, 1)
    across = torch.linspace(-1, 1, w, device=images.device).view(1, 1, 1, w)
    slope = 1 + 0.2 * (draw(b, 1, 1, 1) * down + draw(b, 1, 1, 1) * across)
    return (images.clamp(min=1e-6) ** bend * gain * slope).clamp(0, 1)


def vary_crops(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary crops in all ways that do not change who it is.

    Light as in `vary_light`; rotation by up to 12 degrees, shift by up to 6 % and scale by up to
    5 %, as poses are never exact; noise of up to 5 grey levels.

    Parameters
    ----------
    images : float (B, C, H, W)
        From 0 to 1.
    generator : torch.Generator
        Source of all chance, on the CPU.
    """
    b = len(images)
    angle, zoom, dx, dy = (2 * torch.rand(4, b, generator=generator) - 1).unbind()
    angle, zoom = 0.21 * angle, torch.exp(0.05 * zoom)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    rows = [torch.stack([cos, -sin, 0.12 * dx], 1), torch.stack([sin, cos, 0.12 * dy], 1)]
    grid = functional.affine_grid(
        torch.stack(rows, 1).to(images), list(images.shape), align_corners=False
    )
    moved = functional.grid_sample(images, grid, align_corners=False)
    lit = vary_light(moved, generator)
    level = (5 / 255) * torch.rand(b, 1, 1, 1, generator=generator)
    noise = level * torch.randn(images.shape, generator=generator)
    return (lit + noise.to(images) * (moved > 0)).clamp(0, 1)


def add_strangers(
    images: Tensor, same: Tensor, different: Tensor, *, fur: Tensor, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Add animals that do not exist: of two kinds mixed, or dyed.

    A network that has only learned to tell a few animals apart may place a stranger anywhere,
    also on top of one of them. Animals with the head of one and the rump of another make it look
    at the whole body; animals whose back is darker, paler or of another tint on the same floor,
    at the colour.

    Parameters
    ----------
    images : float (B, C, H, W)
        Crops that are all aligned, head up, from 0 to 1.
    same, different : bool (B, B)
        As for `find_contrastive_loss`; also given back for the longer batch.
    fur : float (H, W)
        Where the back is, 0 to 1.
    rng : numpy.random.Generator
        Chooses who is mixed or dyed, and how.

    Returns
    -------
    images : float (B + M, C, H, W)
    same, different : bool (B + M, B + M)
        An animal that does not exist differs from everybody else.
    """
    pairs = np.argwhere(different.numpy())
    alike = same.numpy()
    made = []
    for kind in range(_STRANGERS if len(pairs) else 0):
        front, rear = pairs[rng.integers(len(pairs))]
        one = images[rng.choice(np.flatnonzero(alike[front]), _LIKE)]
        if kind % 2:
            other = images[rng.choice(np.flatnonzero(alike[rear]), _LIKE)]
            row = int(images.shape[2] * rng.uniform(0.35, 0.65))
            made.append(torch.cat([one[:, :, :row], other[:, :, row:]], 2))
        else:
            tone = rng.choice([-1, 1]) * rng.uniform(*_DYE)
            dye = np.exp(tone + rng.uniform(-_TINT, _TINT, images.shape[1]))
            factor = torch.as_tensor(dye, dtype=images.dtype).view(1, -1, 1, 1)
            made.append((one * (1 + fur * (factor - 1))).clamp(0, 1))
    if not made:
        return images, same, different
    label = torch.arange(len(made)).repeat_interleave(_LIKE)
    own = label[:, None] == label
    return (
        torch.cat([images, *made]),
        torch.block_diag(same, own),
        ~torch.block_diag(~different, own),
    )
