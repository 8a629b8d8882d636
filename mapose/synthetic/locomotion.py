"""From paths on the floor to moving bodies: bends, gait, rearing, climbing; all frames at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d, label
from scipy.signal import lfilter

from mapose.arrays import AnyFloats, Bools, Floats, Singles
from mapose.synthetic import bodies
from mapose.synthetic.arena import Arena
from mapose.synthetic.behaviour import STEP_S, simulate_paths
from mapose.synthetic.bodies import CENTRE, HEAD, HIP, NECK, NOSE, TAIL_BASE

# Time constants in s, angles in radians, lengths in mm.
_STRIDE = 62.0
_BEND = 0.85
_TRUNK_LAG_S, _TAIL_LAG_S = 0.16, 0.10
# Bodies closer than this may touch; a climber is lifted by the other's thickness.
_NEAR, _REACH, _THICKNESS = 135.0, 30.0, 23.0


@dataclass(frozen=True)
class Motion:
    """Joints of every animal in every frame.

    Parameters
    ----------
    joints : float32, (F, I, J, 3)
        Chain from nose to tail tip, then the paws, in mm in the world.
    scale : float64, (I,)
        Size of each animal; 1 is a mouse 86 mm long without its tail.
    """

    joints: Singles
    scale: Floats

    def find_keypoints(self, frames: slice = slice(None)) -> AnyFloats:
        """Find the keypoints, float32 (F, I, K, 3), in mm in the world."""
        found = bodies.find_keypoints(self.joints[frames], self.scale.astype(np.float32))
        return np.asarray(found, np.float32)


def make_motion(
    arena: Arena, n_frames: int, *, rate: float, scale: AnyFloats, rng: np.random.Generator
) -> Motion:
    """Let animals move.

    Parameters
    ----------
    arena : Arena
        Where.
    n_frames : int
        How long.
    rate : float
        Frames per second.
    scale : float, (I,)
        Sizes of the animals.
    rng : numpy.random.Generator
        Source of all chance.
    """
    paths = simulate_paths(arena, len(scale), n_frames / rate, rng)
    steps, times = np.arange(len(paths.heading)) * STEP_S, np.arange(n_frames) / rate
    ground = CubicSpline(steps, paths.position)
    speed = np.linalg.norm(ground(times, 1), axis=-1)
    heading = CubicSpline(steps, paths.heading)(times)
    upright = _smooth(_sample(paths.rearing, times), 0.18 * rate)
    yaw, pitch = _find_angles(heading, upright, speed, rate=rate, rng=rng)
    joints = _lay_chain(ground(times), yaw, pitch, scale)
    homing = _sample(paths.homing, times)
    _respect_walls(joints, homing, arena, rate)
    # Under a roof there is no room to climb.
    lift = _find_lifts(joints, rate, rng) * (1 - _smooth(homing, 0.2 * rate))[..., None]
    joints = np.concatenate([joints, np.zeros((*joints.shape[:2], 4, 3))], axis=2)
    _climb(joints, lift, scale)
    phase = np.cumsum(speed, axis=0) / (rate * _STRIDE * scale)
    _set_paws(joints, phase, np.clip(speed / 60, 0, 1), upright, scale)
    return Motion(joints.astype(np.float32), np.asarray(scale, np.float64))


def _sample(values: npt.NDArray[np.generic], times: AnyFloats) -> AnyFloats:
    """Take step values (T, I) at frame times without smoothing."""
    return np.asarray(values[np.round(times / STEP_S).astype(int)], np.float64)


def _smooth(values: AnyFloats, sigma: float) -> AnyFloats:
    return np.asarray(gaussian_filter1d(values, sigma, axis=0, mode="nearest"))


def _make_noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> AnyFloats:
    """Make smooth noise of unit variance over frames."""
    noise = _smooth(rng.normal(size=shape), sigma)
    # White noise of variance 1 comes out of a Gaussian of this width with this variance.
    return np.asarray(noise * np.sqrt(2 * np.sqrt(np.pi) * max(sigma, 0.29)))


def _lag(values: AnyFloats, seconds: float, rate: float) -> AnyFloats:
    """Let values follow with delay, a first-order low-pass over frames."""
    keep = np.exp(-1 / (seconds * rate))
    start = keep * values[:1]
    return np.asarray(lfilter([1 - keep], [1, -keep], values, axis=0, zi=start)[0])


def _find_angles(
    heading: AnyFloats,
    upright: AnyFloats,
    speed: AnyFloats,
    *,
    rate: float,
    rng: np.random.Generator,
) -> tuple[AnyFloats, AnyFloats]:
    """Find yaw and pitch of every segment of the chain, float64 (F, I, segments)."""
    shape, n = heading.shape, len(bodies.LENGTHS)
    moving = _smooth(np.clip(speed / 60, 0, 1), 0.1 * rate)
    swing = 2 * np.pi * np.cumsum(speed, axis=0) / (rate * _STRIDE)
    yaw, pitch = np.zeros((2, *shape, n))
    scan = (0.34 - 0.2 * moving) * _make_noise(shape, 0.3 * rate, rng)
    rear = _lag(heading, _TRUNK_LAG_S, rate) + 0.07 * moving * np.sin(swing)
    rear = heading - np.clip(heading - rear, -_BEND, _BEND)
    rear += (0.22 - 0.12 * moving) * _make_noise(shape, 1.2 * rate, rng)
    yaw[..., NOSE] = heading + scan
    yaw[..., HEAD] = heading + 0.6 * scan
    yaw[..., NECK] = heading - 0.05 * moving * np.sin(swing)
    yaw[..., CENTRE] = rear
    tail = _lag(rear, 0.5 * _TRUNK_LAG_S, rate)
    yaw[..., HIP] = rear - np.clip(rear - tail, -0.4, 0.4)
    # The tail trails behind, sways with the gait and rests in a curl.
    curl = 0.16 * _make_noise(shape, 2.0 * rate, rng)
    for k in range(bodies.N_TAIL):
        tail = _lag(tail, _TAIL_LAG_S, rate)
        bend = curl * (k + 1) + 0.10 * moving * np.sin(swing - 0.8 * (k + 1))
        before = yaw[..., TAIL_BASE + k - 1]
        yaw[..., TAIL_BASE + k] = before + np.clip(tail + bend - before, -0.55, 0.55)
    sniff = 0.12 * _make_noise(shape, 0.07 * rate, rng) + 0.15 * _make_noise(shape, 0.5 * rate, rng)
    sniff = np.clip(sniff, -0.28, 0.7)  # not into the floor
    pitch[..., NOSE] = 0.75 * upright + sniff
    pitch[..., HEAD] = 0.95 * upright + 0.4 * sniff
    pitch[..., NECK] = 1.15 * upright
    pitch[..., CENTRE] = 0.95 * upright
    pitch[..., HIP] = 0.30 * upright
    return yaw, pitch


def _lay_chain(middle: AnyFloats, yaw: AnyFloats, pitch: AnyFloats, scale: AnyFloats) -> AnyFloats:
    """Put joints at the ends of segments of fixed length, float64 (F, I, chain, 3)."""
    heights = bodies.HEIGHTS
    level = np.arcsin((heights[:-1] - heights[1:]) / bodies.LENGTHS)
    pitch = pitch + level
    level_length = np.cos(pitch)
    ahead = np.stack([level_length * np.cos(yaw), level_length * np.sin(yaw), np.sin(pitch)], -1)
    ahead *= (bodies.LENGTHS * scale[:, None])[..., None]
    joints = np.empty((*yaw.shape[:2], bodies.N_CHAIN, 3))
    # The hips stay where they are when the animal rears.
    rear = yaw[..., CENTRE]
    back = np.stack([np.cos(rear), np.sin(rear)], -1) * (bodies.LENGTHS[CENTRE] * scale)[:, None]
    joints[..., HIP, :2] = middle - back
    joints[..., HIP, 2] = heights[HIP] * scale
    _unroll(joints, ahead)
    # The tail of a rearing animal stays on the floor.
    joints[..., 2] = np.maximum(joints[..., 2], (0.6 * heights) * scale[:, None])
    return joints


def _unroll(joints: AnyFloats, ahead: AnyFloats) -> None:
    """Set all joints from the hip by the segments (..., chain - 1, 3), in place."""
    for j in range(HIP - 1, -1, -1):
        joints[..., j, :] = joints[..., j + 1, :] + ahead[..., j, :]
    for j in range(HIP + 1, bodies.N_CHAIN):
        joints[..., j, :] = joints[..., j - 1, :] - ahead[..., j - 1, :]


def _respect_walls(joints: AnyFloats, homing: AnyFloats, arena: Arena, rate: float) -> None:
    """Shift bodies that stick through a wall, and bend tails along it, in place."""
    low, high = _find_bounds(joints[..., CENTRE, :], homing > 0, arena)
    xy = joints[..., : TAIL_BASE + 1, :2]
    over = np.clip(xy.max(2) - high, 0, None) - np.clip(low - xy.min(2), 0, None)
    joints[..., :2] -= _smooth(over, 0.06 * rate)[:, :, None]
    _bend_tails(joints, low - 4, high + 4)


def _find_bounds(middle: AnyFloats, homing: Bools, arena: Arena) -> tuple[AnyFloats, AnyFloats]:
    """Find the walls around each animal, float64 (F, I, 2) lower and upper ends."""
    low = np.broadcast_to(7.0 - arena.half, (*middle.shape[:2], 2)).copy()
    high = -low
    for box in arena.boxes:
        inside = homing & box.holds(middle)
        # The wall is open where a tunnel begins, the box on the side of its mouth.
        passing = homing & ~inside & (np.abs(middle[..., 1] - box.inside[1]) < 30)
        passing &= not arena.contains(box.inside)
        low[inside] = np.add(box.low[:2], 6.0)
        high[inside] = np.subtract(box.high[:2], 6.0)
        if box.mouth > 0:
            high[inside, 0], low[passing, 0] = np.inf, -np.inf
        else:
            low[inside, 0], high[passing, 0] = -np.inf, np.inf
    return low, high


def _bend_tails(joints: AnyFloats, low: AnyFloats, high: AnyFloats) -> None:
    """Lay tails along the walls instead of through them, in place."""
    segments = np.diff(joints[..., TAIL_BASE:, :], axis=2)
    for k in range(bodies.N_TAIL):
        before = joints[..., TAIL_BASE + k, :]
        step = segments[..., k, :].copy()
        for axis in (0, 1):
            end = before[..., axis] + step[..., axis]
            over = end - np.clip(end, low[..., axis], high[..., axis])
            # What the wall takes from one direction goes into the other.
            level = np.hypot(step[..., 0], step[..., 1])
            step[..., axis] -= over
            rest = np.sqrt(np.maximum(level**2 - step[..., axis] ** 2, 0))
            along = rest * np.tanh(6 * step[..., 1 - axis] / np.maximum(level, 1e-6))
            step[..., 1 - axis] = np.where(over != 0, along, step[..., 1 - axis])
        joints[..., TAIL_BASE + k + 1, :] = before + step


def _find_lifts(joints: AnyFloats, rate: float, rng: np.random.Generator) -> AnyFloats:
    """Find how high each joint is lifted by the bodies beneath, float64 (F, I, chain)."""
    lift = np.zeros(joints.shape[:3])
    trunk = joints[:, :, : TAIL_BASE + 1, :2]
    for a, b in combinations(range(joints.shape[1]), 2):
        near = np.abs(trunk[:, a, CENTRE] - trunk[:, b, CENTRE]).max(-1) < _NEAR
        runs, count = label(near)
        a_above = np.append(False, rng.random(count) < 0.5)[runs]
        for upper, lower, rows in ((a, b, near & a_above), (b, a, near & ~a_above)):
            if not rows.any():
                continue
            gap = joints[rows, upper, :, None, :2] - trunk[rows, lower][:, None]
            distance = np.sqrt(np.einsum("fjkd,fjkd->fjk", gap, gap)).min(-1)
            bump = np.clip(1.35 * (1 - distance / _REACH), 0, 1)
            lift[rows, upper] += _THICKNESS * bump * bump * (3 - 2 * bump)
    return _smooth(lift, 0.05 * rate)


def _climb(joints: AnyFloats, lift: AnyFloats, scale: AnyFloats) -> None:
    """Raise joints and restore the lengths of the segments, in place."""
    frames, who = np.nonzero(lift.max(-1) > 0.01)
    chain = joints[frames, who, : bodies.N_CHAIN]
    length = np.linalg.norm(np.diff(chain, axis=1), axis=-1)
    chain[..., 2] += lift[frames, who]
    ahead = chain[..., :-1, :] - chain[..., 1:, :]
    ahead *= (length / np.linalg.norm(ahead, axis=-1))[..., None]
    _unroll(chain, ahead)
    # A short segment between high and low must not press the far end into the floor.
    thin = 0.6 * bodies.HEIGHTS * scale[who, None]
    chain[..., 2] = np.maximum(chain[..., 2], thin)
    joints[frames, who, : bodies.N_CHAIN] = chain


def _set_paws(
    joints: AnyFloats, phase: AnyFloats, moving: AnyFloats, upright: AnyFloats, scale: AnyFloats
) -> None:
    """Set the paws on the floor in a trot, hanging where the animal rears, in place."""
    frames = bodies.find_frames(joints)
    for paw in range(4):
        front, side = paw < 2, 1.0 if paw % 2 == 0 else -1.0
        frame = bodies.FRONT_FRAME if front else bodies.REAR_FRAME
        root = joints[..., CENTRE if front else HIP, :].copy()
        if front:
            root += 0.5 * (joints[..., NECK, :] - root)
        forward, left = frames[..., frame, 0, :], frames[..., frame, 1, :]
        # Diagonal pairs go together: 55 % of the cycle on the floor, the rest in the air.
        cycle = (phase + (0.5 if front == (side > 0) else 0.0)) % 1.0
        stance = cycle / 0.55
        swing = (cycle - 0.55) / 0.45
        reach = np.where(cycle < 0.55, 0.5 - stance, swing - 0.5) * 0.4 * _STRIDE * moving
        air = np.where(cycle < 0.55, 0.0, np.sin(np.pi * swing)) * 5.0 * moving
        outward = side * (8.5 if front else 11.0)
        step = reach + (3.0 if front else 2.0)
        place = root + (scale * step)[..., None] * forward + (scale * outward)[..., None] * left
        ground = root[..., 2] - (13.5 if front else 13.8) * scale
        hang = np.clip(upright * 1.5, 0, 1) if front else np.clip(upright, 0, 0)
        level = np.where(hang > 0, 2.0 * (1 - hang) + hang * ground, ground)
        place[..., 2] = np.maximum(level, 2.0 * scale) + air * scale
        joints[..., bodies.N_CHAIN + paw, :] = place
