"""Crowds of articulated animals as keypoint candidates, with the truth beside them."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.poses import Peaks
from mapose.skeleton import Skeleton

# Name, place along the spine (0 snout, 1 tail base), place across it; both in body lengths.
BODY = {
    "snout": (0.0, 0.0),
    "earL": (0.17, -0.12),
    "earR": (0.17, 0.12),
    "neck": (0.28, 0.0),
    "forepawL": (0.38, -0.16),
    "forepawR": (0.38, 0.16),
    "back": (0.58, 0.0),
    "hindpawL": (0.85, -0.2),
    "hindpawR": (0.85, 0.2),
    "tailbase": (1.0, 0.0),
    "tailmid": (1.35, 0.0),
    "tailtip": (1.7, 0.0),
}
KEYPOINTS = tuple(BODY)
TREE = (
    ("snout", "earL"),
    ("snout", "earR"),
    ("snout", "neck"),
    ("neck", "forepawL"),
    ("neck", "forepawR"),
    ("neck", "back"),
    ("back", "tailbase"),
    ("tailbase", "hindpawL"),
    ("tailbase", "hindpawR"),
    ("tailbase", "tailmid"),
    ("tailmid", "tailtip"),
)


@dataclass
class Crowd:
    """Peaks as a network would find them, and whose they are."""

    peaks: Peaks
    skeleton: Skeleton
    points: np.ndarray  # (F, I, K, 2) where the animals are
    owner: np.ndarray  # (N,) animal of each peak, -1 = none


def move_animals(rng, frames, animals, *, length=60.0, room=1.0):
    """Animals on smooth paths through a square of ``room`` times their own area each."""
    side = length * np.sqrt(animals) * room
    time = np.arange(frames)[:, None, None]
    periods = rng.uniform(150, 500, (1, animals, 3, 2))
    phases = rng.uniform(0, 2 * np.pi, (1, animals, 3, 2))
    angles = 2 * np.pi * time[..., None] / periods + phases
    shares = np.array([0.6, 0.3, 0.1])[None, None, :, None]
    centre = side * (0.5 + 0.5 * (shares * np.sin(angles)).sum(2))
    velocity = (shares / periods * np.cos(angles)).sum(2)
    heading = np.arctan2(velocity[..., 1], velocity[..., 0])
    bend = 0.8 * np.sin(2 * np.pi * time[..., 0] / rng.uniform(20, 90, animals) + phases[..., 0, 0])
    # The spine's direction turns along it; positions are its integral.
    step = 0.01
    along = np.arange(0, 2, step)
    direction = heading[..., None] + np.pi + bend[..., None] * (along - 0.3)
    direction += 1.5 * bend[..., None] * np.clip(along - 1, 0, None)
    spine = np.stack([np.cos(direction), np.sin(direction)], -1).cumsum(2) * step
    places = np.array(list(BODY.values()))
    at = np.round(places[:, 0] / step).astype(int)
    normal = np.stack([-np.sin(direction), np.cos(direction)], -1)[:, :, at]
    body = spine[:, :, at] + places[:, 1, None] * normal
    size = length * rng.uniform(0.85, 1.15, (animals, 1, 1))
    return centre[:, :, None] + size * (body - body[:, :, 6:7])


def draw_labels(rng, count=100, *, length=60.0, noise=1.0):
    """Poses (N, K, 2) as a person would label them, to learn from."""
    points = move_animals(rng, 20 * count, 1, length=length)[::20, 0]
    return points + rng.normal(0, noise, points.shape)


def draw_crowd(rng, frames, animals, *, edges=TREE, room=1.0, **faults):
    """Peaks of animals that walk over each other; ``faults`` as in `find_crowd`."""
    points = move_animals(rng, frames, animals, room=room)
    return find_crowd(rng, points, Skeleton(KEYPOINTS, edges), **faults)


def find_crowd(rng, points, skeleton, *, missing=0.1, false=0.05, weak=0.15, width=4.0):
    """Peaks with gaps, jitter and false alarms, linked as an imperfect network would.

    The affinity field of an edge is the mean of the unit vectors of all limbs that pass a place,
    so overlapping animals spoil each other's links; ``weak`` limbs have lost part of theirs.
    """
    frames, animals = points.shape[:2]
    seen = (rng.random(points.shape[:3]) >= missing) & np.isfinite(points).all(-1)
    frame, owner, keypoint = np.nonzero(seen)
    xy = points[seen] + rng.normal(0, 1, (seen.sum(), 2))
    score = rng.uniform(0.5, 1, len(xy))
    columns = _add_false(rng, (frame, owner, keypoint, xy, score), int(false * len(xy)), points)
    order = np.lexsort((rng.random(len(columns[0])), columns[0]))
    frame, owner, keypoint, xy, score = (x[order] for x in columns)
    edges = skeleton.edge_index
    pairs, edge = _pair_up(frame, keypoint, edges)
    strength = rng.uniform(0.7, 1, (frames, animals, len(edges)))
    lost = rng.random(strength.shape) < weak
    strength[lost] *= rng.random(lost.sum())
    affinity = _integrate(xy[pairs], frame[pairs[:, 0]], edge, points, strength, edges, width)
    affinity += rng.normal(0, 0.08, len(affinity))
    peaks = Peaks(
        frame=frame,
        keypoint=keypoint,
        xy=xy.astype(np.float32),
        score=score.astype(np.float32),
        covariance=np.tile(np.eye(2, dtype=np.float32), (len(frame), 1, 1)),
        pairs=pairs,
        edge=edge,
        affinity=affinity.clip(-1, 1).astype(np.float32),
        n_frames=frames,
    )
    return Crowd(peaks, skeleton, points, owner)


def find_reach(points):
    """Largest distances within an animal, as training would learn them from labels."""
    gap = np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)
    return 1.2 * np.nanmax(gap, axis=(0, 1))


def find_slots(crowd, poses):
    """Slot of each peak in assembled poses, -1 = left out."""
    peaks = crowd.peaks
    same = (poses.points[peaks.frame, :, peaks.keypoint] == peaks.xy[:, None]).all(-1)
    return np.where(same.any(1), same.argmax(1), -1)


def find_shares(crowd, slot):
    """Share of the true peaks that are with their animal, and of the peaks used that are so.

    The animal of a slot is the one it holds most of, each animal once a frame.
    """
    peaks, animals = crowd.peaks, crowd.points.shape[1]
    table = np.zeros((peaks.n_frames, animals + 1, slot.max(initial=0) + 2))
    np.add.at(table, (peaks.frame, crowd.owner, slot), 1)
    table = table[:, :-1, :-1]
    right = sum(t[linear_sum_assignment(-t)].sum() for t in table)
    return right / (crowd.owner >= 0).sum(), right / max((slot >= 0).sum(), 1)


def assemble_greedily(crowd, *, individuals, min_affinity=0.1):
    """The plain way: strongest link first, as long as no keypoint meets its like."""
    peaks = crowd.peaks
    group = np.arange(len(peaks))
    held = [{int(k)} for k in peaks.keypoint]
    for row in np.argsort(-peaks.affinity, kind="stable"):
        if peaks.affinity[row] <= min_affinity:
            break
        a, b = group[peaks.pairs[row]]
        if a != b and not held[a] & held[b]:
            group[group == b] = a
            held[a] |= held[b]
    slot = np.full(len(peaks), -1)
    for frame in range(peaks.n_frames):
        rows = np.flatnonzero(peaks.frame == frame)
        _, place, size = np.unique(group[rows], return_inverse=True, return_counts=True)
        total = np.bincount(place, peaks.score[rows]) * (size > 1)
        for s, best in enumerate(np.argsort(-total)[:individuals]):
            slot[rows[place == best]] = s if total[best] else -1
    return slot


def _add_false(rng, columns, count, points):
    """Half of the false peaks lie on another body part, half anywhere near an animal."""
    frame, owner, keypoint, xy, score = columns
    f, i, k = (rng.integers(0, n, count) for n in points.shape[:3])
    near = points[f, i, k] + rng.normal(0, 1, (count, 2)) * rng.choice([2, 25], (count, 1))
    return (
        np.r_[frame, f],
        np.r_[owner, np.full(count, -1)],
        np.r_[keypoint, (k + rng.integers(1, points.shape[2], count)) % points.shape[2]],
        np.r_[xy, np.where(np.isfinite(near), near, 0)],
        np.r_[score, rng.uniform(0.1, 0.6, count)],
    )


def _pair_up(frame, keypoint, edges):
    pairs, kinds = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    for e, (i, j) in enumerate(edges):
        a, b = np.flatnonzero(keypoint == i), np.flatnonzero(keypoint == j)
        low, high = (
            np.searchsorted(frame[b], frame[a]),
            np.searchsorted(frame[b], frame[a], "right"),
        )
        first = np.repeat(a, high - low)
        many = high - low
        within = np.arange(len(first)) - np.repeat(np.cumsum(many) - many, many)
        pairs.append(np.stack([first, b[np.repeat(low, high - low) + within]], 1))
        kinds.append(np.full(len(first), e))
    return np.concatenate(pairs), np.concatenate(kinds)


def _integrate(pairs, f, edge, points, strength, edges, width, *, samples=8):
    start, gap = pairs[:, 0], pairs[:, 1] - pairs[:, 0]
    unit = gap / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-6)
    where = start[:, None] + gap[:, None] * np.linspace(0, 1, samples)[:, None]
    total, count = np.zeros(where.shape[:2]), np.zeros(where.shape[:2])
    for animal in range(points.shape[1]):
        head, tail = points[f, animal, edges[edge, 0]], points[f, animal, edges[edge, 1]]
        limb = tail - head
        size = np.maximum(np.linalg.norm(limb, axis=1, keepdims=True), 1e-6)
        away, limb = where - head[:, None], limb / size
        along = np.einsum("msd,md->ms", away, limb)
        across = away[..., 0] * limb[:, None, 1] - away[..., 1] * limb[:, None, 0]
        on = (np.abs(across) <= width) & (along >= -2) & (along <= size + 2)
        agree = (unit * limb).sum(1) * strength[f, animal, edge]
        total += np.where(on, agree[:, None], 0)
        count += on
    return (total / np.maximum(count, 1)).mean(1)
