"""Join tracklets into individuals: one flow through a graph of the whole recording."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mapose.arrays import Floats, Ints
from mapose.errors import SettingsError
from mapose.tracking.encounters import Encounter
from mapose.tracking.flow import SINK, SOURCE, Web, solve_flow
from mapose.tracking.motion import DECAY
from mapose.tracking.roaming import START, find_moves
from mapose.tracking.tracklets import MARGIN, Tracklets, TrackletSummaries

log = logging.getLogger(__name__)

#: Frames by which a tracklet may begin before the one it continues has ended: a track that loses
#: its animal often hangs on to something else for a moment.
OVERLAP = 15
#: Continuations looked at for each tracklet, the next ones in time, and kept, the likeliest.
_CANDIDATES, _CHOICES = 64, 12
#: Posture changes the size of an animal's box by about so much.
_SIZE_SPREAD = 0.15
# What is seen beside the animals asked for, in animals throughout, from which on it is told.
_WHOLE = 0.5


def stitch(
    summaries: TrackletSummaries,
    *,
    individuals: int | None = None,
    min_frames: int = 10,
    encounters: Sequence[Encounter] = (),
) -> Ints:
    """Join tracklets into individuals so that most of what was seen is explained.

    Every individual is a path through tracklets that follow each other. A path gains the frames
    of its tracklets, weighted by their scores, and pays ``min_frames`` to begin. A join costs a
    share of that: nothing for going on in place, all of it when the motion over the gap is as
    unlikely as turning up anywhere in the arena (how far animals get in such a gap is learned from
    those that were seen, see `Roaming`; sizes count too). The best set of paths is a min-cost flow,
    and always exists: a flow of nothing is one.

    Parameters
    ----------
    summaries : TrackletSummaries
        All tracklets of the recording.
    individuals : int, optional
        Number of animals: at most so many paths are found, gaps of any length are bridged, and
        what fits nobody is left out. By default only joins likelier than chance are made, and
        every path that pays is an individual.
    min_frames : int
        Frames, joined ones included, from about which a path is an individual; in a very short
        recording half its length.
    encounters : sequence of Encounter
        Where tracklets were cut because they could hardly be told apart
        (`Tracker.encounters`).

    Returns
    -------
    int64, (highest id + 1,)
        Individual of each tracklet, numbered by first appearance; -1 = nobody.

    Raises
    ------
    SettingsError
        If ``individuals`` or ``min_frames`` is below 1.

    References
    ----------
    Zhang, Li, Nevatia 2008, Global data association for multi-object tracking using network flows
    (CVPR).
    """
    for name, value in (("individuals", individuals), ("min_frames", min_frames)):
        if value is not None and value < 1:
            raise SettingsError(f"{name}: wanted 1 or more, came {value}")
    tracklets = summaries.to_arrays()
    mapping = np.full(int(tracklets.ids.max(initial=-1)) + 1, -1, np.int64)
    if not len(tracklets) or summaries.arena is None:
        return mapping
    length = int(tracklets.last.max() - tracklets.first.min()) + 1
    price = min(min_frames, length / 2)
    chance = find_chance(tracklets, summaries.arena)

    def solve(rows: Tracklets) -> list[list[int]]:
        joins = _find_joins(rows, chance, encounters)
        web = _make_web(rows, price / chance, chance, individuals, joins)
        return _read_paths(web, solve_flow(web, individuals or len(rows)), rows)

    horizon = None if individuals else _find_horizon(tracklets, chance)
    paths = sorted(solve_in_windows(tracklets, solve, horizon))
    for number, path in enumerate(paths):
        mapping[tracklets.ids[path]] = number
    if individuals is not None and len(paths) < individuals:
        log.warning("%d individuals were asked for, %d were ever seen", individuals, len(paths))
    spans = tracklets.last - tracklets.first + 1
    beside = float(spans[mapping[tracklets.ids] < 0].sum()) / length
    if individuals is not None and beside > _WHOLE:
        log.warning(
            "%d individuals were asked for, but as much is seen beside them as of %.1f animals "
            "throughout; it is left out: are there more?",
            individuals, beside,
        )  # fmt: skip
    return mapping


def find_chance(tracklets: Tracklets, arena: Floats) -> float:
    """Find the cost, in nats, of an animal turning up anywhere, over going on in place."""
    area = float(np.maximum(arena[1] - arena[0], 1.0).prod())
    return max(float(np.log(area / (START * tracklets.scale) ** 2)), 1.0)


def score_joins(tracklets: Tracklets, i: Ints, j: Ints) -> Floats:
    """Find the cost, in nats, of tracklets ``j`` continuing tracklets ``i``, (N,) each."""
    gap = np.maximum(tracklets.first[j] - tracklets.last[i], 1).astype(np.float64)
    moved, stirred = find_moves(tracklets.head[j] - tracklets.tail[i])
    apart = np.isnan(moved[:, 0])
    if apart.any():
        centres = np.nanmean(tracklets.head[j[apart]], 1) - np.nanmean(tracklets.tail[i[apart]], 1)
        moved[apart] = centres
    # Each side coasts half of the gap.
    coast = DECAY * (1 - DECAY ** (gap / 2)) / (1 - DECAY)
    moved -= (tracklets.velocity[i, 1] + tracklets.velocity[j, 0]) * coast[:, None]
    squared = np.einsum("nd,nd->n", moved, moved) + stirred
    cost = tracklets.roaming.score(gap, squared, tracklets.scale)
    # A short gap leaves little time to turn round.
    turn = tracklets.velocity[j, 0] - tracklets.velocity[i, 1]
    turn_squared = np.einsum("nd,nd->n", turn, turn) / tracklets.speed**2
    cost += DECAY ** (gap / 2) * np.log1p(turn_squared / 2)
    ratio = np.nan_to_num(np.log(tracklets.size[j] / tracklets.size[i]))
    # Few frames say little about the size.
    doubt = 1 + MARGIN / tracklets.n[i] + MARGIN / tracklets.n[j]
    return np.asarray(cost + np.log1p((ratio / _SIZE_SPREAD) ** 2 / doubt))


def _find_joins(
    tracklets: Tracklets, limit: float, encounters: Sequence[Encounter]
) -> tuple[Ints, Ints, Floats]:
    """Find the likely continuations of each tracklet: from, to, cost in nats below ``limit``.

    Those out of an encounter cost what its odds say.
    """
    horizon = _find_horizon(tracklets, limit)
    low = np.searchsorted(tracklets.first, _find_earliest(tracklets), "left")
    high = np.searchsorted(tracklets.first, tracklets.last + horizon, "right")
    found = []
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        j = np.arange(a, min(b, a + _CANDIDATES))
        j = j[tracklets.last[j] > tracklets.last[i]]
        cost = score_joins(tracklets, np.full(len(j), i), j)
        best = np.argsort(cost, kind="stable")[:_CHOICES]
        best = best[cost[best] < limit]
        found.append((np.full(len(best), i), j[best], cost[best]))
    rows, columns, costs = (np.concatenate(x) for x in zip(*found, strict=True))
    ways = list_ways(tracklets, encounters)
    known = [(i, j, cost) for j, before in ways.items() for i, cost in before.items()]
    tails, heads, prices = np.array(known).reshape(-1, 3).T
    # Where a tracklet was cut, it goes on: the gap to any other would only seem short.
    fresh = ~np.isin(rows, tails) & ~np.isin(columns, heads)
    return (
        np.concatenate([rows[fresh], tails.astype(np.int64)]),
        np.concatenate([columns[fresh], heads.astype(np.int64)]),
        np.concatenate([costs[fresh], prices]),
    )


def _find_horizon(tracklets: Tracklets, limit: float) -> float:
    """Find the gap in frames beyond which even the very same place is no likelier than chance."""
    gaps = np.geomspace(1, 1e6, 200)
    cost = tracklets.roaming.score(gaps, np.zeros(len(gaps)), tracklets.scale)
    return float(gaps[min(int((cost < limit).sum()), len(gaps) - 1)])


def list_ways(tracklets: Tracklets, encounters: Sequence[Encounter]) -> dict[int, dict[int, float]]:
    """List what may follow what after encounters: the cost in nats, by what follows.

    Keys are rows of ``tracklets``: those that begin, and of each those that it may follow.
    """
    head = {who: j for j, who in enumerate(tracklets.ids.tolist())}
    tail = {who: j for j, who in enumerate(tracklets.ends.tolist())}
    ways: dict[int, dict[int, float]] = {}
    for met in encounters:
        if not met.cut:
            continue
        out = [side for side in (0, 1) if met.after[side] in head]
        for side in out:
            for other in (0, 1):
                if met.before[other] in tail:
                    former = tail[met.before[other]]
                    before = ways.setdefault(head[met.after[side]], {})
                    odds = met.odds if side == other else -met.odds
                    # Where both come out, each bears half of it.
                    share = float(np.logaddexp(0, -odds)) / len(out)
                    before[former] = before.get(former, 0.0) + share
    return ways


def _find_earliest(tracklets: Tracklets) -> Ints:
    """Find the first frame in which a continuation of each tracklet may begin."""
    return np.maximum(tracklets.last - OVERLAP + 1, tracklets.first + 1)


@dataclass(frozen=True)
class _Nodes:
    """Numbers of the nodes for so many tracklets: each goes in and out, and may leave a pool."""

    total: int

    @property
    def ins(self) -> Ints:
        """Where each tracklet begins."""
        return 2 + 2 * np.arange(self.total)

    @property
    def outs(self) -> Ints:
        """Where each ends."""
        return self.ins + 1

    @property
    def pools(self) -> Ints:
        """Where whoever waits may come out at each."""
        return 2 + 2 * self.total + np.arange(self.total)


def _make_web(
    tracklets: Tracklets,
    unit: float,
    chance: float,
    individuals: int | None,
    joins: tuple[Ints, Ints, Floats],
) -> Web:
    """Draw the flow network; ``unit`` is what a nat costs in frames.

    A tracklet is an edge from where it begins to where it ends. With a known number of animals an
    ended path may also wait in a pool, a path through time, and come out at any later tracklet: so
    gaps of any length can be bridged with few edges.
    """
    nodes, total = _Nodes(len(tracklets)), len(tracklets)
    # In frames of an animal as sure as is usual here.
    gain = tracklets.score / max(float(tracklets.score.sum() / tracklets.n.sum()), 1e-6)
    price = unit * chance
    # No path can have gained more than all tracklets that began before: so much is each node
    # lowered to leave no edge with a negative cost, as `solve_flow` needs it.
    before = np.concatenate([[0.0], np.cumsum(gain)])
    i, j, nats = joins
    overlap = np.maximum(tracklets.last[i] - tracklets.first[j] + 1, 0)
    edges: list[tuple[Ints | int, Ints | int, Floats | float, int]] = [
        (SOURCE, nodes.ins, price, 1),
        (nodes.ins, nodes.outs, -gain, 1),
        (nodes.outs, SINK, 0.0, 1),
        (nodes.outs[i], nodes.ins[j], unit * nats + overlap, 1),
    ]
    potential = np.concatenate([[0.0, -before[-1]], -np.repeat(before, 2)[1:-1]])
    if individuals is not None:
        door = np.searchsorted(tracklets.first, _find_earliest(tracklets), "left")
        leaves = door < total
        edges += [
            (nodes.pools, nodes.ins, 0.0, 1),
            (nodes.pools[:-1], nodes.pools[1:], 0.0, individuals),
            # A little less than a new animal: one that was here is likelier to come back.
            (nodes.outs[leaves], nodes.pools[door[leaves]], 0.9 * price, 1),
        ]
        potential = np.concatenate([potential, -before[:-1]])
    rows = [np.broadcast_arrays(*edge) for edge in edges]
    tail, head, cost, capacity = (np.concatenate(column) for column in zip(*rows, strict=True))
    return Web(tail, head, cost, capacity, potential)


def _read_paths(web: Web, flow: Ints, tracklets: Tracklets) -> list[list[int]]:
    """Follow the flow: tracklets of each individual, in time."""
    nodes = _Nodes(len(tracklets))
    begins = {node: j for j, node in enumerate(nodes.ins.tolist())}
    ends = {node: j for j, node in enumerate(nodes.outs.tolist())}
    pools = {node: j for j, node in enumerate(nodes.pools.tolist())}
    used = np.flatnonzero(flow)
    pairs = list(zip(web.tail[used].tolist(), web.head[used].tolist(), strict=True))
    into = {begins[v]: u for u, v in pairs if v in begins}
    door = {ends[u]: pools[v] for u, v in pairs if u in ends and v in pools}
    paths: dict[int, list[int]] = {}  # by their present end
    waiting: set[int] = set()
    for j in sorted(into):
        waiting |= {i for i in paths if door.get(i, j + 1) <= j}
        before = into[j]
        if before == SOURCE:
            path = []
        elif before in ends:
            path = paths.pop(ends[before])
        else:  # who waits in the pool is anybody: the likeliest comes out
            pool = np.array(sorted(waiting))
            best = int(pool[score_joins(tracklets, pool, np.full(len(pool), j)).argmin()])
            waiting.discard(best)
            path = paths.pop(best)
        paths[j] = [*path, j]
    return sorted(paths.values())


#: New tracklets of a window, and how many of its last are decided again in the next one.
WINDOW, AGAIN = 4000, 1000


def solve_in_windows(
    tracklets: Tracklets,
    solve: Callable[[Tracklets], list[list[int]]],
    horizon: float | None,
) -> list[list[int]]:
    """Find the paths through all tracklets, some thousand at a time.

    What a window joined before its overlap is one row of the next, which may still prolong
    it, or drop it for a better one.

    Parameters
    ----------
    tracklets : Tracklets
        In the order of their first frames.
    solve : function of Tracklets
        Gives paths, as lists of rows.
    horizon : float, optional
        Frames after which a path cannot go on any more; it need not be carried along then.

    Returns
    -------
    list of list of int
        Rows of ``tracklets`` of each individual, in time.
    """
    done: list[list[int]] = []
    taken = min(WINDOW, len(tracklets))
    joined = [[j] for j in range(taken)]
    while True:
        rows = merge_paths(tracklets, joined)
        paths = solve(rows)
        if taken == len(tracklets):
            return done + [[j for k in path for j in joined[k]] for path in paths]
        line = int(tracklets.first[taken - AGAIN])
        used = {k for path in paths for k in path}
        kept = [joined[k] for k in range(len(joined)) if k not in used and rows.last[k] >= line]
        for path in paths:
            for former, k in zip([None, *path], path, strict=False):
                if former is None or rows.first[k] >= line:
                    kept.append(list(joined[k]))
                else:
                    kept[-1] += joined[k]
            if horizon is not None and rows.last[path[-1]] < line - horizon:
                done.append(kept.pop())
        fresh = range(taken, min(taken + WINDOW, len(tracklets)))
        joined = sorted([*kept, *([j] for j in fresh)])
        taken += len(fresh)


def merge_paths(tracklets: Tracklets, joined: list[list[int]]) -> Tracklets:
    """Make one row of each path of tracklets."""
    a = np.array([path[0] for path in joined], np.int64)
    z = np.array([path[-1] for path in joined], np.int64)
    starts = np.cumsum([0, *(len(path) for path in joined[:-1])])
    flat = np.array([j for path in joined for j in path], np.int64)
    weight = np.where(np.isfinite(tracklets.size), tracklets.n, 0)[flat]
    total = np.add.reduceat(weight, starts)
    size = np.add.reduceat(weight * np.nan_to_num(tracklets.size[flat]), starts)
    return replace(
        tracklets,
        ids=tracklets.ids[a],
        ends=tracklets.ends[z],
        first=tracklets.first[a],
        last=np.maximum.reduceat(tracklets.last[flat], starts),
        n=np.add.reduceat(tracklets.n[flat], starts),
        score=np.add.reduceat(tracklets.score[flat], starts),
        size=np.where(total > 0, size / np.maximum(total, 1), np.nan),
        head=tracklets.head[a],
        tail=tracklets.tail[z],
        velocity=np.stack([tracklets.velocity[a, 0], tracklets.velocity[z, 1]], axis=1),
        looks=None,
    )
