"""Weights of one model as the beginning of another."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mapose.models.checkpoint import Model
from mapose.models.network import PoseNetwork
from mapose.skeleton import Pair


def take_weights(
    network: PoseNetwork, keypoints: Sequence[str], links: Sequence[Pair], init: Model
) -> None:
    """Give a network the weights of a model; maps find theirs by the names of keypoints.

    Parameters
    ----------
    network : PoseNetwork
        Changed in place; of the same widths, depths and channels as the model's.
    keypoints : sequence of str, (K,)
        What its scoremaps stand for.
    links : sequence of pairs of str, (E,)
        What its fields stand for. A link the other way round points the other way.
    init : Model
        Where the weights come from. Maps that it has not stay as they were.
    """
    # Whose keypoints they are is learned anew: these are other animals, most often.
    old = init.network.state_dict()
    state = {k: v.clone() for k, v in old.items() if not k.startswith(("marks.", "centres."))}
    if network.centres is not None:
        known = init.network.centres or network.centres  # of a single animal they were not asked
        state |= {f"centres.{k}": v.clone() for k, v in known.state_dict().items()}
    rows, sources, signs = _match_rows(keypoints, links, init)
    for name in ("heads.weight", "heads.bias"):
        merged = network.state_dict()[name].clone()
        new = network.part_by_map(merged)
        given = network.part_by_map(state[name].to(merged.device))
        sign = torch.tensor(signs, device=merged.device).reshape(-1, *[1] * (new.ndim - 1))
        new[rows] = sign * given[sources]
        state[name] = merged
    network.load_state_dict(state)


def _match_rows(
    keypoints: Sequence[str], links: Sequence[Pair], init: Model
) -> tuple[list[int], list[int], list[float]]:
    """Find rows of the heads, the rows of the model's that they take, and with which sign."""
    theirs, count, old = list(init.skeleton.keypoints), len(keypoints), init.network.keypoints
    found: list[tuple[int, int, float]] = []
    for k, name in enumerate(keypoints):
        if name in theirs:
            j = theirs.index(name)
            found.append((k, j, 1.0))
            found += [(count + 2 * k + i, old + 2 * j + i, 1.0) for i in (0, 1)]
    for e, (a, b) in enumerate(links):
        for pair, sign in (((a, b), 1.0), ((b, a), -1.0)):
            if pair in init.links:
                j = init.links.index(pair)
                found += [(3 * count + 2 * e + i, 3 * old + 2 * j + i, sign) for i in (0, 1)]
    rows, sources, signs = zip(*found, strict=True) if found else ((), (), ())
    return list(rows), list(sources), list(signs)
