"""Animals that walk, stop, turn and cross, as a network would see them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Walks:
    """Exact truth (F, N, K, 2), and detections (F, I, K, 2) of it in random slots."""

    truth: np.ndarray
    points: np.ndarray
    confidence: np.ndarray
    owner: np.ndarray  # (F, I) animal of each detection, -1 = false or empty


def make_walks(
    n: int = 3,
    frames: int = 600,
    seed: int = 0,
    *,
    keypoints: int = 12,
    arena: float = 640.0,
    missing: float = 0.1,
    lost: float = 0.02,
    hidden: int = 0,
    false: float = 0.0,
) -> Walks:
    """Let n animals of about 25 x 60 px walk about; ``hidden`` hides each that long, four times."""
    rng = np.random.default_rng(seed)
    truth = _pose(*_walk(n, frames, arena, rng), keypoints, rng)
    seen = truth + rng.normal(0, 1.0, truth.shape)
    seen[rng.random(seen.shape[:3]) < missing] = np.nan
    seen[rng.random(seen.shape[:2]) < lost] = np.nan
    for i in range(n if hidden else 0):
        for start in rng.integers(20, max(frames - hidden - 20, 21), 4):
            seen[start : start + hidden, i] = np.nan
    owner = np.broadcast_to(np.arange(n), (frames, n))
    ghosts = rng.uniform(0, arena, (frames, n, 1, 2)) + rng.normal(0, 20, (frames, n, keypoints, 2))
    ghosts[rng.random((frames, n)) >= false] = np.nan
    points = np.concatenate([seen, ghosts], 1)
    owner = np.concatenate([owner, np.full((frames, n), -1)], 1)
    order = rng.permuted(np.tile(np.arange(2 * n), (frames, 1)), axis=1)
    points = np.take_along_axis(points, order[..., None, None], 1)
    owner = np.take_along_axis(owner, order, 1)
    there = np.isfinite(points).all(-1)
    return Walks(truth, points, np.where(there, 0.9, 0.0), np.where(there.any(-1), owner, -1))


def _walk(n, frames, arena, rng):
    """Make centres (F, n, 2) and headings (F, n): bouts of walking, standing and turning."""
    centre, heading = np.empty((frames, n, 2)), np.empty((frames, n))
    place, angle = rng.uniform(0, arena, (n, 2)), rng.uniform(0, 2 * np.pi, n)
    speed = np.zeros(n)
    for f in range(frames):
        bout = rng.random(n) < 0.05
        speed = np.where(bout, rng.choice([0.0, 1.0, 3.0, 7.0], n), speed)
        home = np.arctan2(*(arena / 2 - place).T[::-1]) - angle
        outside = (np.abs(place - arena / 2) > arena / 2).any(-1)
        angle = angle + np.where(outside, 0.3 * np.sin(home), rng.normal(0, 0.08, n))
        angle = angle + np.where(rng.random(n) < 0.02, rng.normal(0, 0.8, n), 0)
        place = place + speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        centre[f], heading[f] = place, angle
    return centre, heading


def _pose(centre, heading, keypoints, rng):
    body = np.stack([np.linspace(-30, 30, keypoints), rng.uniform(-12, 12, keypoints)], -1)
    cos, sin = np.cos(heading)[..., None], np.sin(heading)[..., None]
    x = body[:, 0] * cos - body[:, 1] * sin
    y = body[:, 0] * sin + body[:, 1] * cos
    return centre[:, :, None] + np.stack([x, y], -1)
