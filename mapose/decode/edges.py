"""Which pairs of keypoints get an affinity field: proposed from labels, chosen by result."""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx
import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from mapose.arrays import AnyFloats, Floats, Ints
from mapose.errors import ShapeError
from mapose.poses import Peaks
from mapose.similarity import find_areas
from mapose.skeleton import Skeleton

Edge = tuple[int, int]

#: Links between peaks of one animal, and of two, that an edge needs before it can be judged.
ENOUGH = 20

#: Chance that a true link beats a false one, from which an edge is worth keeping.
USEFUL = 0.7


def propose_edges(
    points: AnyFloats, edges: Iterable[Edge] = (), *, most: int | None = None
) -> list[Edge]:
    """Propose a small, redundant set of edges from labelled poses.

    A spanning tree of short distances that vary little, then the best further edges until no
    single missing keypoint splits an animal, so that every keypoint has two edges at least; then
    the best of the rest.

    Parameters
    ----------
    points : float, (F, I, K, 2)
        Labelled keypoints, px; NaN = missing.
    edges : iterable of (int, int)
        Edges that are wanted in any case, first in the result and as they are.
    most : int, optional
        Largest number of edges, by default twice the keypoints. A spanning tree and ``edges`` are
        made in any case.

    Returns
    -------
    list of (int, int)
        Keypoint channels. A keypoint that is never labelled beside another has none but those
        in ``edges``.

    Raises
    ------
    ShapeError
        If the points have another shape, or an edge names a keypoint that is not there.

    Notes
    -----
    Crowds of ten simulated animals of 12 keypoints, a tenth of the peaks missing: with the tree
    alone (11 edges) 84 to 90 % of the keypoints went to the right animal, with enough edges to bear
    a missing keypoint (19) 94 to 97 %, with twice the keypoints (24) 95.6 to 97.7 %, with 36 edges
    96.5 to 98.4 %.

    Examples
    --------
    >>> propose_edges(np.array([[[[0, 0], [10, 0], [20, 0], [31.0, 0]]]]))
    [(0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 3)]
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 4 or points.shape[-1] != 2:
        raise ShapeError(
            f"points: wanted shape (frames, individuals, keypoints, 2), came {points.shape}"
        )
    count = points.shape[2]
    chosen = [(int(a), int(b)) for a, b in edges]
    if any(not 0 <= k < count for edge in chosen for k in edge):
        raise ShapeError(f"edges: wanted keypoints 0 to {count - 1}, came {chosen}")
    cost = _find_costs(np.asarray(points, np.float64))
    start = np.where(np.isfinite(cost), cost, 0.0)
    for a, b in chosen:
        # A wanted edge is in the tree; a sparse matrix takes 0 for "no edge".
        start[a, b] = start[b, a] = 1e-9
    graph = nx.Graph(chosen)
    for a, b in np.argwhere(minimum_spanning_tree(start).toarray()).tolist():
        if not graph.has_edge(a, b):
            chosen.append((min(a, b), max(a, b)))
    graph.add_edges_from(chosen)
    for _ in range(len(chosen), 2 * count if most is None else most):
        edge = _find_bridge(graph, cost) or _find_shortest(graph, cost)
        if edge is None:
            break
        chosen.append(edge)
        graph.add_edge(*edge)
    return chosen


def select_edges(
    peaks: Peaks,
    truth: AnyFloats,
    skeleton: Skeleton,
    *,
    useful: float = USEFUL,
) -> Ints:
    """Select the edges that tell apart links within an animal from links between animals.

    Kept are a spanning tree of the most discriminating edges and every edge that is useful by
    itself. An edge with too few examples to judge is kept; if no edge has enough (one animal, few
    labels), all are.

    Parameters
    ----------
    peaks : Peaks
        What the network finds in labelled frames.
    truth : float, (F, I, K, 2)
        Labels of those frames, px; NaN = missing.
    skeleton : Skeleton
        With the edges that the peaks were linked by.
    useful : float
        Chance that a link within an animal has a higher affinity than one between animals (the
        area under the ROC curve), from which an edge is kept outside the tree. Added to a tree
        of good edges, 13 edges at 0.94 gave 6.4 % more keypoints to the right animal, at 0.79
        4.8 %, at 0.68 1.9 % (with 0.5 % more wrong ones), and at 0.57 they cost 1.3 %.

    Returns
    -------
    int64, (S,)
        Rows of the edges to keep, ascending.

    Raises
    ------
    ShapeError
        If peaks and truth are not of the same frames.
    """
    truth = np.asarray(truth, np.float64)
    if truth.ndim != 4 or len(truth) != peaks.n_frames:
        raise ShapeError(
            f"truth: wanted (frames, individuals, keypoints, 2) of {peaks.n_frames} frames, "
            f"came {truth.shape}"
        )
    power = find_discrimination(peaks, match_owners(peaks, truth), len(skeleton.edges))
    if np.isnan(power).all():
        return np.arange(len(skeleton.edges))
    graph = nx.Graph()
    for e, (a, b) in enumerate(skeleton.edges):
        graph.add_edge(a, b, power=np.nan_to_num(power[e], nan=2.0), row=e)
    tree = nx.maximum_spanning_edges(graph, weight="power", data=True)
    kept = np.isnan(power) | (power >= useful)
    kept[[ends["row"] for _, _, ends in tree]] = True
    return np.flatnonzero(kept)


def match_owners(peaks: Peaks, truth: AnyFloats) -> Ints:
    """Find whose keypoint each peak is.

    Parameters
    ----------
    peaks : Peaks
        Candidates.
    truth : float, (F, I, K, 2)
        Labels of the same frames, px; NaN = missing.

    Returns
    -------
    int64, (N,)
        Individual of the nearest label of this keypoint; -1 if that is further than 0.15 times
        the animal's size (root of its area), or if another peak is nearer to it.
    """
    animal = np.full(len(peaks), -1)
    if not len(peaks) or not truth.shape[1]:
        return animal
    labels = truth[peaks.frame, :, peaks.keypoint]
    gap = np.linalg.norm(labels - peaks.xy[:, None], axis=2)
    gap = np.where(np.isfinite(gap), gap, np.inf)
    nearest = gap.argmin(axis=1)
    distance = gap[np.arange(len(peaks)), nearest]
    size = np.sqrt(find_areas(truth))
    typical = np.median(size[np.isfinite(size)]) if np.isfinite(size).any() else 0.0
    found = distance <= 0.15 * np.where(np.isfinite(size), size, typical)[peaks.frame, nearest]
    rows = np.flatnonzero(found)
    rows = rows[np.argsort(distance[rows], kind="stable")]
    place = (peaks.frame[rows] * truth.shape[1] + nearest[rows]) * truth.shape[2]
    rows = rows[np.unique(place + peaks.keypoint[rows], return_index=True)[1]]
    animal[rows] = nearest[rows]
    return animal


def find_discrimination(peaks: Peaks, animal: Ints, edges: int) -> Floats:
    """Find how well each edge's affinity tells true links from false ones.

    Parameters
    ----------
    peaks : Peaks
        With links.
    animal : int64, (N,)
        Animal of each peak, -1 = unknown; see `match_owners`.
    edges : int
        Number of edges, E.

    Returns
    -------
    float64, (E,)
        Area under the ROC curve: 1 = always right, 0.5 = useless; NaN with fewer than 20 links
        of either kind.

    References
    ----------
    Mann & Whitney 1947 (Ann. Math. Stat. 18:50).
    """
    # Half a second to import, and needed at the end of a training only.
    from scipy.stats import rankdata

    ends = animal[peaks.pairs]
    known = (ends >= 0).all(axis=1) & np.isfinite(peaks.affinity)
    true = ends[:, 0] == ends[:, 1]
    power = np.full(edges, np.nan)
    for e in range(edges):
        rows = np.flatnonzero(known & (peaks.edge == e))
        right = int(true[rows].sum())
        wrong = len(rows) - right
        if min(right, wrong) >= ENOUGH:
            ranks = rankdata(peaks.affinity[rows])[true[rows]].sum()
            power[e] = (ranks - right * (right + 1) / 2) / (right * wrong)
    return power


def _find_costs(points: Floats) -> Floats:
    """Find how unsuitable each pair of keypoints is for an edge; inf = never seen together."""
    count = points.shape[2]
    poses = points.reshape(-1, count, 2)
    cost = np.full((count, count), np.inf)
    for a in range(count):
        gap = np.linalg.norm(poses - poses[:, a, None], axis=2)
        for b in range(a):
            lengths = gap[np.isfinite(gap[:, b]), b]
            if len(lengths):
                low, middle, high = np.percentile(lengths, [10, 50, 90])
                # A short limb has few strangers in its way, a stiff one is easy to learn, and
                # a pair that is often seen together links more animals.
                share = len(lengths) / max(len(poses), 1)
                cost[a, b] = cost[b, a] = (middle + high - low) / share + 1e-6
    return cost


def _find_shortest(graph: nx.Graph, cost: Floats) -> Edge | None:
    """Find the best edge that is not there yet."""
    table = np.tril(cost, -1) + np.triu(np.full(cost.shape, np.inf))
    for a, b in graph.edges:
        table[max(a, b), min(a, b)] = np.inf
    a, b = np.unravel_index(table.argmin(), table.shape)
    return (int(b), int(a)) if np.isfinite(table[a, b]) else None


def _find_bridge(graph: nx.Graph, cost: Floats) -> Edge | None:
    """Find the best edge around a keypoint that alone holds two parts together."""
    best, found = np.inf, None
    for k in nx.articulation_points(graph):
        parts = np.full(len(cost), -1)
        for p, nodes in enumerate(nx.connected_components(graph.subgraph(set(graph) - {k}))):
            parts[list(nodes)] = p
        apart = (parts[:, None] != parts) & (parts >= 0) & (parts[:, None] >= 0)
        table = np.where(apart, cost, np.inf)
        a, b = np.unravel_index(table.argmin(), table.shape)
        if table[a, b] < best:
            best, found = table[a, b], (int(min(a, b)), int(max(a, b)))
    return found
