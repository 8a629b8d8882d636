"""Group peaks into animals: by the links between them, then fragments by where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mapose.arrays import AnyFloats, Bools, Floats, Ints, Singles
from mapose.decode.links import CLEAR_MARGIN, find_lead

#: Two fragments may be joined if the links between them speak against it no more than this.
LEAST_EVIDENCE = -0.3
#: Pairs of fragments measured at once: some 10 MB with 50 keypoints.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of peaks into groups that hold each keypoint at most once.

    Parameters
    ----------
    member : int64, (N,)
        Group of each peak, below G.
    mask : uint64, (G, words)
        Keypoints that each group holds, one bit each.
    pairs : int64, (P, 2)
        Groups without a common keypoint that candidate links join, each pair once.
    evidence : float64, (P,)
        Sum of the weights of those links.
    """

    member: Ints
    mask: npt.NDArray[np.uint64]
    pairs: Ints
    evidence: Floats

    def merged(self, winners: Ints, losers: Ints) -> Groups:
        """Make each loser, none of them twice or a winner too, part of its winner."""
        into = np.arange(len(self.mask))
        into[losers] = winners
        mask = self.mask.copy()
        mask[winners] |= mask[losers]
        pairs, evidence = _sum_pairs(into[self.pairs], self.evidence, mask)
        return Groups(into[self.member], mask, pairs, evidence)


def group_peaks(keypoint: Ints, pairs: Ints, weight: Floats, chosen: Bools) -> Groups:
    """Group peaks that chosen links hold together.

    Whatever the chosen links connect is a group if it holds no keypoint twice, for all frames at
    once. A component that does is taken apart into its peaks, which are then merged again by
    the evidence of all links between them, strongest first, as long as no keypoint meets its
    like.

    Parameters
    ----------
    keypoint : int64, (N,)
        Channel of each peak.
    pairs : int64, (M, 2)
        Peaks joined by each candidate link.
    weight : float64, (M,)
        What each link says for (above 0) or against its two peaks being of one animal.
    chosen : bool, (M,)
        Links that hold; see `mapose.decode.links.choose_links`.

    Returns
    -------
    Groups
        With what remains of the evidence between groups.
    """
    count = len(keypoint)
    a, b = pairs[chosen].T
    graph = coo_array((np.ones(len(a), bool), (a, b)), (count, count))
    part = connected_components(graph, directed=False)[1].astype(np.int64)
    order = np.lexsort((keypoint, part))
    twice = (np.diff(part[order]) == 0) & (np.diff(keypoint[order]) == 0)
    is_torn = np.zeros(count, bool)
    is_torn[part[order[1:][twice]]] = True
    torn = is_torn[part]
    part[torn] = count + np.flatnonzero(torn)
    member = np.unique(part, return_inverse=True)[1]
    mask = _pack(member, keypoint)
    # Links that were not chosen have lost to better ones: they wait until those have spoken.
    for spoken in (np.where(chosen | (weight < 0), weight, 0.0), weight):
        start = Groups(member, mask, *_sum_pairs(member[pairs], spoken, mask))
        groups = _merge_linked(start)
        member, mask = groups.member, groups.mask
    return groups


def join_fragments(
    groups: Groups,
    frame: Ints,
    keypoint: Ints,
    xy: AnyFloats,
    reach: Floats,
    *,
    loose: Bools,
    most: int | None = None,
) -> Groups:
    """Join groups that can only be parts of one animal.

    Two fragments go together if they share no keypoint, lie within reach of each other in every
    known distance, and the links between them do not speak against it. Where one choice is clearly
    better than the others it is made, for all frames at once; where it is not, nothing is done,
    unless the number of animals is known and there are too many fragments in the frame: then
    `networkx` finds the best matching of its fragments.

    Parameters
    ----------
    groups : Groups
        From `group_peaks`.
    frame, keypoint : int64, (N,)
        Of each peak.
    xy : float, (N, 2)
        Image pixels.
    reach : float64, (K, K)
        Largest distance within an animal, px; infinite = unknown.
    loose : bool, (K,)
        Keypoints without an edge. Other peaks that stand alone are never joined: a false peak
        stands alone much more often than a true one, and joining them all gained 0.1 % of the
        keypoints and cost 0.5 % in wrong ones.
    most : int, optional
        Number of animals, if known.

    Returns
    -------
    Groups
        Fewer groups.
    """
    count = len(groups.mask)
    able = np.bincount(groups.member, minlength=count) > 1
    able[groups.member[loose[keypoint]]] = True
    at = np.zeros(count, np.int64)
    at[groups.member] = frame
    place = np.full((count, len(reach), 2), np.nan, np.float32)
    place[groups.member, keypoint] = xy
    pairs = _pair_fragments(np.flatnonzero(able), at, groups.mask)
    while len(pairs):
        value = _rate_pairs(pairs, groups, place, reach)
        pairs, value = pairs[value > 0], value[value > 0]
        clear = _find_leads(pairs, value, np.isfinite(place[..., 0])) >= CLEAR_MARGIN
        joined = pairs[clear][_find_mutual(pairs[clear], value[clear], count)]
        if not len(joined) and most is not None:
            surplus = np.bincount(at[able], minlength=at.max() + 1) - most
            joined = _match_fragments(pairs, value, at, surplus)
        if not len(joined):
            break
        winners, losers = joined.T
        able[losers] = False
        place[winners] = np.fmax(place[winners], place[losers])
        groups = groups.merged(winners, losers)
        into = np.arange(count)
        into[losers] = winners
        pairs = np.unique(np.sort(into[pairs], axis=1), axis=0)
        pairs = pairs[_are_disjoint(pairs, groups.mask)]
    return groups


def _pack(member: Ints, keypoint: Ints) -> npt.NDArray[np.uint64]:
    """Write the keypoints of each group as bits."""
    words = int(keypoint.max(initial=0)) // 64 + 1
    mask = np.zeros((int(member.max(initial=-1)) + 1, words), np.uint64)
    bit = np.left_shift(np.uint64(1), (keypoint % 64).astype(np.uint64))
    np.bitwise_or.at(mask, (member, keypoint // 64), bit)
    return mask


def _are_disjoint(pairs: Ints, mask: npt.NDArray[np.uint64]) -> Bools:
    """Tell which pairs of groups share no keypoint; a group shares all with itself."""
    shared = mask[pairs[:, 0]] & mask[pairs[:, 1]]
    return np.asarray(~shared.any(1))


def _sum_pairs(pairs: Ints, weight: Floats, mask: npt.NDArray[np.uint64]) -> tuple[Ints, Floats]:
    """Sum what links say about each pair of groups that could be one."""
    kept = _are_disjoint(pairs, mask)
    one, other = pairs[kept].T
    code = np.minimum(one, other) * len(mask) + np.maximum(one, other)
    code, place = np.unique(code, return_inverse=True)
    total = np.bincount(place, weight[kept], minlength=len(code)).astype(np.float64)
    return np.stack(np.divmod(code, max(len(mask), 1)), axis=1), total


def _merge_linked(groups: Groups) -> Groups:
    """Merge pairs of groups that are each other's best, until no evidence is left for any.

    This is greedy contraction, strongest pair first, with all independent steps done at once.

    References
    ----------
    Keuper et al. 2015 (ICCV, greedy additive edge contraction for multicuts).
    """
    while True:
        linked = np.flatnonzero(groups.evidence > 0)
        best = _find_mutual(groups.pairs[linked], groups.evidence[linked], len(groups.mask))
        if not len(best):
            return groups
        groups = groups.merged(*groups.pairs[linked[best]].T)


def _find_mutual(pairs: Ints, value: Floats, count: int) -> Ints:
    """Find the rows of pairs that are the best of both their groups."""
    order = np.argsort(value, kind="stable")
    best = np.full(count, -1)
    # Of repeated indices the last one written stays, which is the strongest.
    best[pairs[order].ravel()] = np.repeat(order, 2)
    mutual = (best[pairs[order, 0]] == order) & (best[pairs[order, 1]] == order)
    return np.asarray(order[mutual])


def _find_leads(pairs: Ints, value: Floats, has: Bools) -> Floats:
    """Find how far each pair is ahead of its rivals.

    The rivals of a fragment are those that would bring a keypoint which it brings too; two
    fragments of the same animal are none.
    """
    lead = np.full(len(pairs), np.inf)
    for host, guest in ((0, 1), (1, 0)):
        rows, keypoint = np.nonzero(has[pairs[:, guest]])
        place = pairs[rows, host] * has.shape[1] + keypoint
        np.minimum.at(lead, rows, find_lead(place, value[rows]))
    return lead


def _pair_fragments(able: Ints, at: Ints, mask: npt.NDArray[np.uint64]) -> Ints:
    """List all pairs of groups of the same frame that share no keypoint."""
    able = able[np.argsort(at[able], kind="stable")]
    rows = np.arange(len(able))
    # Each group with those after it in its frame.
    after = np.searchsorted(at[able], at[able], "right") - rows - 1
    first = np.repeat(rows, after)
    step = np.arange(len(first)) - np.repeat(np.cumsum(after) - after, after) + 1
    pairs = np.sort(np.stack([able[first], able[first + step]], axis=1), axis=1)
    return pairs[_are_disjoint(pairs, mask)]


def _rate_pairs(pairs: Ints, groups: Groups, place: Singles, reach: Floats) -> Floats:
    """Rate how well two fragments go together; 0 = not at all."""
    count = len(groups.mask)
    known = groups.pairs[:, 0] * count + groups.pairs[:, 1]
    wanted = pairs[:, 0] * count + pairs[:, 1]
    row = np.searchsorted(known, wanted)
    row[row == len(known)] = 0
    evidence = np.zeros(len(pairs))
    if len(known):
        evidence = np.where(known[row] == wanted, groups.evidence[row], 0.0)
    ratio = _stretch(pairs, place, reach)
    plausible = (ratio <= 1) & (evidence >= LEAST_EVIDENCE)
    # Nearness only breaks ties; without any evidence the rating has to stay above 0.
    return np.where(plausible, evidence - LEAST_EVIDENCE + 0.3 * (1 - ratio) + 1e-3, 0.0)


def _stretch(pairs: Ints, place: Singles, reach: Floats) -> Floats:
    """Find the largest distance between two groups relative to reach; NaN if none is known."""
    worst = np.full(len(pairs), np.nan)
    for start in range(0, len(pairs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        one, other = place[pairs[rows]].swapaxes(0, 1)
        gap = np.linalg.norm(other[:, None] - one[:, :, None], axis=-1) / reach
        gap[:, ~np.isfinite(reach)] = np.nan
        worst[rows] = np.fmax.reduce(gap, axis=(1, 2))
    return worst


def _match_fragments(pairs: Ints, value: Floats, at: Ints, surplus: Ints) -> Ints:
    """Find the best matching of fragments in frames that have more of them than animals."""
    frame = at[pairs[:, 0]]
    joined = []
    for f in np.unique(frame[surplus[frame] > 0]):
        rows = np.flatnonzero(frame == f)
        graph = nx.Graph()
        graph.add_weighted_edges_from(
            (a, b, v) for (a, b), v in zip(pairs[rows].tolist(), value[rows], strict=True)
        )
        found = [sorted(pair) for pair in nx.max_weight_matching(graph)]
        found.sort(key=lambda pair: -graph.edges[pair]["weight"])
        joined += found[: surplus[f]]
    return np.array(joined, np.int64).reshape(-1, 2)
