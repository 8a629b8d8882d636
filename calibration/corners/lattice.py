"""Joining corners to lattices along the edges of squares, and predicting where more must be."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from calibration.arrays import Bools, Floats, Image, Ints
from calibration.corners.saddles import Saddles, sample_image

# Steps of a lattice in the order in which half-edges follow each other around a corner.
STEPS: Ints = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
# Half-edges point at the neighbour within this angle (radians).
_ANGLE = 0.3
# So many of the nearest corners may be at the other end of an edge: within one square there are
# those of one or two markers, some ten each.
_NEIGHBOURS = 64
# Edges shorter than this, in pixels, lie within the ring on which corners were seen.
_SHORT = 6.0
# Where edges are looked at, from one corner (0) to the other (1) and beyond.
_HALFWAY = np.array([0.5])
_ALL_ALONG = np.array([-0.25, 0.2, 0.35, 0.65, 0.8, 1.25])
# Predictions in which errors grow more than this are none. At the corner of a board they grow
# two- to fourfold, one square beyond fivefold.
_GROWTH = 20.0


@dataclass(frozen=True, eq=False)
class Lattice:
    """Corners that edges join.

    Attributes
    ----------
    nodes : int64, (N, 2)
        Column and row, starting at 0; from columns to rows turns as from x to y in the image.
    xy : float64, (N, 2)
        Pixels.
    bright : int
        1 if the square right of and below a node whose column and row are even is bright, else -1.
    """

    nodes: Ints
    xy: Floats
    bright: int

    def __len__(self) -> int:
        return len(self.nodes)


def connect_saddles(image: Image, saddles: Saddles, *, least: int = 4) -> list[Lattice]:
    """Join corners along edges that run from one to the next.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey, in which the corners were found.
    saddles : Saddles
        Candidates.
    least : int
        Lattices of fewer corners are left out.

    Returns
    -------
    list of Lattice
        Largest first.
    """
    if len(saddles) < least:
        return []
    links = _link_edges(image, saddles)
    lattices, free = [], np.ones(len(saddles), bool)
    table = links.tolist()
    for start in np.flatnonzero((links >= 0).sum(1) >= 2).tolist():
        if not free[start]:
            continue
        members, nodes, turns = _grow(table, start, free)
        free[members] = False
        if len(members) >= least:
            # Half-edge 0 of a corner has its bright sector on the side of half-edge 1; where that
            # points along the columns the square between columns and rows is bright.
            even = (nodes.sum(1) + turns) % 2 == 0
            low = nodes.min(0)
            bright = 1 if even.mean() > 0.5 else -1
            bright *= 1 if low.sum() % 2 == 0 else -1
            lattices.append(Lattice(nodes - low, saddles.xy[members], bright))
    return sorted(lattices, key=len, reverse=True)


def _link_edges(image: Image, saddles: Saddles) -> Ints:
    """Find for each of the four half-edges of a corner the corner at the other end, (N, 4)."""
    n, xy = len(saddles), saddles.xy
    # Edges 0 and 1 bound the bright sector around the axis; half-edges 2 and 3 lead the other
    # way. Bright is ahead of half-edges 0 and 2 and behind 1 and 3 (as angles grow).
    angle = saddles.axis[:, None] + saddles.opening[:, None] * np.array([-1, 1])
    cosine, sine = np.cos(angle), np.sin(angle)
    length, near = cKDTree(xy).query(xy, k=min(_NEIGHBOURS + 1, n))
    # A corner has another one ahead along its own edges, and itself lies along those of the other.
    x, y = xy.T[0][near] - xy[:, :1], xy.T[1][near] - xy[:, 1:]
    first, second = (x * cosine[:, e, None] + y * sine[:, e, None] for e in (0, 1))
    ahead = np.maximum(np.abs(first), np.abs(second)) > np.cos(_ANGLE) * length
    pairs = np.flatnonzero(ahead & (length > _SHORT))
    p, q = pairs // near.shape[1], near.ravel()[pairs]
    x, y, length = x.ravel()[pairs], y.ravel()[pairs], length.ravel()[pairs]
    k, along = _choose_larger(first.ravel()[pairs], second.ravel()[pairs])
    m, across = _choose_larger(*(x * cosine[q, e] + y * sine[q, e] for e in (0, 1)))
    # The bright side changes at each corner, so edges 0 lead to edges 1.
    fits = (k != m) & (np.abs(across) > np.cos(_ANGLE) * length)
    k, m = k + 2 * (along < 0), m + 2 * (across > 0)
    ratio = saddles.contrast[p] / saddles.contrast[q]
    fits &= (ratio < 2.5) & (ratio > 0.4)
    p, q, k, m, length = p[fits], q[fits], k[fits], m[fits], length[fits]
    # Half-way alone settles most; only what remains is looked at all along.
    for ticks in (_HALFWAY, _ALL_ALONG):
        runs = _check_edges(image, saddles, (p, q, k), ticks)
        p, q, k, m, length = p[runs], q[runs], k[runs], m[runs], length[runs]
    links = np.full((n, 4), -1)
    # Of several, the longest edge counts (it is written last): sides change at every corner on
    # the way, so it passes none, and short ones are accidents in the blur.
    order = np.argsort(length, kind="stable")
    links[p[order], k[order]] = q[order]
    back = np.full((n, 4), -1)
    back[p[order], k[order]] = m[order]
    # Only what both ends agree on.
    found = links >= 0
    agree = links[links, back] == np.arange(n)[:, None]
    return np.where(found & agree, links * 4 + back, -1)


def _choose_larger(first: Floats, second: Floats) -> tuple[Ints, Floats]:
    """Say which of two values is larger but for the sign, 0 or 1, and give it."""
    which = np.abs(second) > np.abs(first)
    return which.astype(np.int64), np.where(which, second, first)


def _check_edges(
    image: Image, saddles: Saddles, pairs: tuple[Ints, Ints, Ints], ticks: Floats
) -> Bools:
    """Check that one side is brighter from one corner to the other, and the other side beyond.

    `ticks` are places along the edge, 0 and 1 the corners. The change of sides beyond both ends
    tells corners from rough spots of an edge.
    """
    p, q, k = pairs
    start, way = saddles.xy[p], saddles.xy[q] - saddles.xy[p]
    length = np.sqrt((way * way).sum(1, keepdims=True))
    side = way[:, ::-1] * [-1, 1] * np.where(k % 2 == 0, 1, -1)[:, None] / length
    # Near the edge: beside it lie markers, and foreshortened squares are thin.
    offset = np.maximum(1.2, 0.03 * length) * side
    along = start[:, None] + ticks[:, None] * way[:, None]
    brighter = sample_image(image, along + offset[:, None])
    darker = sample_image(image, along - offset[:, None])
    step = brighter - darker
    contrast = np.minimum(saddles.contrast[p], saddles.contrast[q])
    within = (ticks > 0) & (ticks < 1)
    inner, beyond = step[:, within] > 0.25 * contrast[:, None], step[:, ~within]
    return np.asarray(inner.all(1) & (beyond < -0.1 * contrast[:, None]).all(1))


def _grow(links: list[list[int]], start: int, free: Bools) -> tuple[Ints, Ints, Ints]:
    """Walk from a corner along the links and number what is met."""
    place = {start: (0, 0, 0)}
    taken = {(0, 0)}
    queue = deque([start])
    steps = STEPS.tolist()
    while queue:
        here = queue.popleft()
        x, y, turn = place[here]
        for k, link in enumerate(links[here]):
            if link < 0:
                continue
            there, m = divmod(link, 4)
            step = (turn + k) % 4
            spot = (x + steps[step][0], y + steps[step][1])
            if there in place or spot in taken or not free[there]:
                continue
            # Its half-edge m leads back here.
            place[there] = (*spot, (step + 2 - m) % 4)
            taken.add(spot)
            queue.append(there)
    members = np.fromiter(place, np.int64)
    values = np.array(list(place.values()))
    return members, values[:, :2], values[:, 2]


def predict_nodes(
    nodes: npt.ArrayLike, xy: Floats, wanted: npt.ArrayLike, *, nearest: int = 12
) -> Floats:
    """Predict where nodes of a lattice lie from those around them.

    A homography is fitted to the nearest known nodes of each wanted one; so strong distortion
    of the lens does no harm. A wanted node that is itself known is left out of its own fit.

    Parameters
    ----------
    nodes : int or float, (N, 2)
        Known nodes.
    xy : float64, (N, 2)
        Their pixels.
    wanted : int or float, (M, 2)
        Nodes to predict.
    nearest : int
        So many known nodes are used for each.

    Returns
    -------
    float64, (M, 2)
        Pixels; NaN where the known nodes do not decide (fewer than four, or on one line).
    """
    nodes, wanted = np.asarray(nodes, np.float64), np.asarray(wanted, np.float64)
    result = np.full((len(wanted), 2), np.nan)
    if len(nodes) < 4 or len(wanted) == 0:
        return result
    count = min(nearest + 1, len(nodes))
    distance, chosen = cKDTree(nodes).query(wanted, k=count)
    weight = np.ones((len(wanted), count))
    itself = distance[:, 0] < 1e-6
    weight[itself, 0] = 0
    if count > nearest:
        weight[~itself, -1] = 0
    source, target = nodes[chosen] - wanted[:, None], xy[chosen]
    total = weight.sum(1)[:, None, None]
    middle = (target * weight[..., None]).sum(1, keepdims=True) / total
    target = target - middle
    away = np.hypot(target[..., 0], target[..., 1])
    spread = np.maximum((away * weight).sum(1)[:, None, None] / total, 1e-9)
    there, growth = _map_origins(source, target / spread, weight)
    result = there * spread[:, 0] + middle[:, 0]
    result[(growth > _GROWTH) | (total[:, 0, 0] < 4)] = np.nan
    return np.asarray(result)


def _map_origins(source: Floats, target: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Fit homographies to B sets of points and map the origins of the sources.

    Also gives by how much errors of the targets grow in what is mapped; infinite where points
    do not decide, as those on a line.
    """
    ones, zero = np.ones((*source.shape[:2], 1)), np.zeros((*source.shape[:2], 3))
    point = np.concatenate([source, ones], -1)
    # With the last of the nine numbers 1, the origin goes to the third and the sixth.
    above = np.concatenate([point, zero, -target[..., :1] * source], -1)
    below = np.concatenate([zero, point, -target[..., 1:] * source], -1)
    system = np.concatenate([above, below], 1)
    weighted = np.swapaxes(system * np.concatenate([weight, weight], 1)[..., None], 1, 2)
    normal = weighted @ system + 1e-9 * np.eye(8)
    inverse = np.linalg.inv(normal)
    right = np.concatenate([target[..., 0], target[..., 1]], 1)
    values = (inverse @ (weighted @ right[..., None]))[..., 0]
    growth = np.sqrt(np.abs(inverse[:, [2, 5], [2, 5]]).max(1))
    return values[:, [2, 5]], growth


def find_neighbours(nodes: Ints, xy: Floats) -> Floats:
    """Find the known nodes next to each node.

    Parameters
    ----------
    nodes : int64, (N, 2)
        Column and row.
    xy : float64, (N, 2)
        Pixels.

    Returns
    -------
    float64, (N, 4, 2)
        Pixels of those one step right, below, left and above; NaN where none is known.
    """
    if len(nodes) == 0:
        return np.empty((0, 4, 2))
    places = nodes - nodes.min(0) + 1
    table = np.full((*(places.max(0) + 2), 2), np.nan)
    table[tuple(places.T)] = xy
    return np.asarray(table[tuple(np.moveaxis(places[:, None] + STEPS, -1, 0))])


def find_spacing(nodes: Ints, xy: Floats) -> Floats:
    """Find how near the lines of the lattice next to each node come, in pixels.

    Parameters
    ----------
    nodes : int64, (N, 2)
        Column and row.
    xy : float64, (N, 2)
        Pixels.

    Returns
    -------
    float64, (N,)
        Height of the smallest square at the node over its longer side; NaN for a node without
        neighbours in both directions.
    """
    u = find_neighbours(nodes, xy) - xy[:, None]
    v = np.roll(u, -1, axis=1)
    area = np.abs(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])
    length = np.hypot(u[..., 0], u[..., 1])
    height = area / np.maximum(length, np.roll(length, -1, axis=1))
    return np.asarray(np.fmin.reduce(height, axis=1, initial=np.nan))
