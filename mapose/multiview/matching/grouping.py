"""Who is who in one frame: detections of several cameras that are one animal in space."""

from __future__ import annotations

import numpy as np

from mapose.arrays import Bools, Floats, Ints
from mapose.assignment import assign_worth
from mapose.multiview.matching.likelihood import compare_all, find_gains, find_temper
from mapose.multiview.matching.observations import Frame


def find_groups(
    frame: Frame, free: Bools, noise: Floats, *, area: Floats
) -> tuple[Ints, Floats, Floats]:
    """Group detections of different cameras that are images of one 3D animal.

    Every pair of detections of two cameras is an animal that may be: its keypoints are where
    their lines of sight meet. It is scored by how well they meet and by the detections of the
    other cameras on which it falls. The best one is taken with all its detections, then the
    best of what is left: the groups agree on every way around the cameras by construction.

    Parameters
    ----------
    frame : Frame
        Detections (V, S, K).
    free : bool, (V, S)
        Which may be grouped.
    noise : float64, (V,)
        Standard deviation of a seen keypoint, px.
    area : float64, (V,)
        Area of a body, px².

    Returns
    -------
    members : int64, (N, V)
        Slot of each group in each view; -1 = none. At least two views each.
    points : float64, (N, K, 3)
        Where the lines of sight meet; NaN where fewer than two cameras saw a keypoint.
    scores : float64, (N,)
        Logarithm of how much likelier one animal is than chance, best first.
    """
    view, slot = np.nonzero(free & frame.seen.any(-1))
    a, b = np.nonzero(view[:, None] < view[None, :])
    keypoints = frame.seen.shape[2]
    nothing = (
        np.empty((0, len(free)), np.int64),
        np.empty((0, keypoints, 3)),
        np.empty(0),
    )
    if not len(a):
        return nothing
    points = _meet(frame, view[[a, b]], slot[[a, b]])
    gains = _score(frame, points, noise, area, free)  # (V, H, S)
    own = np.arange(len(a))
    base = np.stack([gains[view[i], own, slot[i]] for i in (a, b)])
    if len(np.unique(view)) == 2:
        groups, scores = _pair_off(view[[a, b]], slot[[a, b]], base.sum(0), free.shape)
    else:
        groups, scores = _pick_best(view[[a, b]], slot[[a, b]], base, gains, free)
    if not len(groups):
        return nothing
    return groups, locate_groups(frame, groups), scores


def _pair_off(view: Ints, slot: Ints, worth: Floats, shape: tuple[int, ...]) -> tuple[Ints, Floats]:
    """Pair the detections of two views at greatest total worth."""
    table = np.zeros((shape[1], shape[1]))
    table[slot[0], slot[1]] = worth
    rows, columns = assign_worth(table)
    groups = np.full((len(rows), shape[0]), -1)
    groups[:, view[0, 0]], groups[:, view[1, 0]] = rows, columns
    return groups, table[rows, columns]


def _pick_best(
    view: Ints, slot: Ints, base: Floats, gains: Floats, free: Bools
) -> tuple[Ints, Floats]:
    """Take the best pair with all that it explains, then the best of what is left."""
    members, scores, taken = [], [], ~free
    own = np.arange(len(gains[0]))
    while True:
        best = np.where(taken[:, None], -np.inf, gains)
        choice, value = best.argmax(-1), np.maximum(best.max(-1), 0)  # (V, H)
        # The pair itself stays in, whatever else would fit in its views.
        for end in (0, 1):
            value[view[end], own], choice[view[end], own] = base[end], slot[end]
        valid = ~taken[view, slot].any(0) & (base > 0).all(0)
        total = np.where(valid, value.sum(0), 0)
        winner = int(total.argmax())
        if total[winner] <= 0:
            break
        group = np.where(value[:, winner] > 0, choice[:, winner], -1)
        members.append(group)
        scores.append(total[winner])
        taken = taken.copy()
        taken[np.flatnonzero(group >= 0), group[group >= 0]] = True
    return np.array(members, np.int64).reshape(-1, len(free)), np.array(scores)


def score_groups(frame: Frame, groups: Ints, noise: Floats, *, area: Floats) -> Floats:
    """Score groups (N, V) as `find_groups` does, float64 (N,)."""
    points = locate_groups(frame, groups)
    gains = _score(frame, points, noise, area, np.asarray(frame.seen.any(-1)))  # (V, N, S)
    views = np.arange(groups.shape[1])[:, None]
    each = gains[views, np.arange(len(groups)), groups.T]
    return np.where(groups.T >= 0, each, 0).sum(0)


def locate_groups(frame: Frame, groups: Ints) -> Floats:
    """Find where the lines of sight of each group (N, V) meet, float64 (N, K, 3)."""
    views = np.broadcast_to(np.arange(groups.shape[1]), groups.shape).T
    return _meet(frame, views, groups.T)


def _meet(frame: Frame, view: Ints, slot: Ints) -> Floats:
    """Find the points nearest to the lines of sight of (M, N) detections, (N, K, 3).

    Least squares of distances, with robust weights in three rounds; NaN for fewer than two.
    """
    across = frame.axes[view, slot][..., :2, :]  # (M, N, K, 2, 3)
    origin = frame.origin[view, slot][..., :2]
    seen = frame.seen[view, slot] & (slot >= 0)[..., None]
    weight = seen / frame.variance[view, slot]
    for _ in range(3 if len(view) > 2 else 1):
        left = np.einsum("mnk,mnkab,mnkac->nkbc", weight, across, across)
        right = np.einsum("mnk,mnkab,mnka->nkb", weight, across, origin)
        left += 1e-9 * np.eye(3)
        points = np.linalg.solve(left, right[..., None])[..., 0]
        gap = np.einsum("mnkab,nkb->mnka", across, points) - origin
        distance = np.sqrt(np.einsum("mnka,mnka->mnk", gap, gap))
        usual = np.median(distance[seen]) if seen.any() else 1.0
        weight = seen / frame.variance[view, slot] / (1 + (distance / (3 * usual + 1e-9)) ** 2) ** 2
    return np.where((seen.sum(0) >= 2)[..., None], points, np.nan)


def _score(frame: Frame, points: Floats, noise: Floats, area: Floats, free: Bools) -> Floats:
    """Score points (H, K, 3) against all detections, (V, H, S)."""
    known = np.asarray(np.isfinite(points).all(-1))
    safe = np.where(known[..., None], points, 0)
    temper = find_temper(points.shape[1])
    gains = np.full((len(free), len(points), free.shape[1]), -np.inf)
    step = max(1_000_000 // max(frame.seen.size * 9, 1), 1)
    for start in range(0, len(points), step):
        rows = slice(start, start + step)
        part = safe[rows]
        # Two lines of sight leave the point about as uncertain as one pixel is.
        compared = compare_all(frame, part, np.zeros((*part.shape, 3)), 1.5 * noise)
        common = compared.common & known[None, rows, None]
        each, _ = find_gains(compared.error, compared.spread, common, area)
        gains[:, rows] = np.where(common.any(-1), temper * each.sum(-1), -np.inf)
    return gains
