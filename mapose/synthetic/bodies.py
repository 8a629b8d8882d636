"""The animals' anatomy: joints, keypoints, and the tapered limbs that are drawn.

A body hangs on a chain of joints from the nose to the tip of the tail, and on four paws.
Everything else, keypoints and limbs, is a fixed linear function of these and of three local
frames (head, front and rear trunk), so that drawing and truth cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from mapose.arrays import AnyFloats, Bools, Ints
from mapose.skeleton import Skeleton

#: What is labelled: an animal such as a mouse, seen from above.
SKELETON = Skeleton(
    [
        "nose",
        "left_ear",
        "right_ear",
        "neck",
        "left_shoulder",
        "right_shoulder",
        "centre",
        "left_hip",
        "right_hip",
        "tail_base",
        "tail_mid",
        "tail_tip",
    ],
    [
        ("nose", "left_ear"),
        ("nose", "right_ear"),
        ("left_ear", "neck"),
        ("right_ear", "neck"),
        ("neck", "left_shoulder"),
        ("neck", "right_shoulder"),
        ("neck", "centre"),
        ("centre", "left_hip"),
        ("centre", "right_hip"),
        ("centre", "tail_base"),
        ("tail_base", "tail_mid"),
        ("tail_mid", "tail_tip"),
    ],
    [
        ("left_ear", "right_ear"),
        ("left_shoulder", "right_shoulder"),
        ("left_hip", "right_hip"),
    ],
)

# Joints along the body, and the lengths between them in mm for a mouse of 25 g.
NOSE, HEAD, NECK, CENTRE, HIP, TAIL_BASE = range(6)
N_TAIL = 6
N_CHAIN = TAIL_BASE + 1 + N_TAIL
LENGTHS = np.array([15.0, 13.0, 21.0, 21.0, 16.0] + [13.0] * N_TAIL)
# Paws follow the chain in the array of joints: left and right front, left and right hind.
N_JOINTS = N_CHAIN + 4
#: Height of the joints above the floor of a standing animal, mm.
HEIGHTS = np.array([9.0, 14.5, 15.5, 16.0, 16.0, 10.0, 4.5, 3.0, 2.2, 1.8, 1.5, 1.2])
_RADII = np.array([2.6, 8.2, 9.4, 13.4, 14.6, 5.0, 2.5, 2.2, 1.9, 1.6, 1.3, 0.9])

# Local frames: forward, left, up. Where each begins and ends on the chain.
HEAD_FRAME, FRONT_FRAME, REAR_FRAME = range(3)
_FRAMES = np.array([[HEAD, NOSE], [CENTRE, NECK], [HIP, CENTRE]])

FUR, SKIN, EAR, EYE = range(4)


@dataclass(frozen=True)
class Anchors:
    """Points that move with the body: a mix of joints plus an offset in a local frame.

    Parameters
    ----------
    mix : float64, (N, joints)
        Weights of the joints.
    frame : int64, (N,)
        Local frame of the offset.
    offset : float64, (N, 3)
        Forward, left, up, in mm for a body of scale 1.
    """

    mix: AnyFloats
    frame: Ints
    offset: AnyFloats

    def place(self, joints: AnyFloats, frames: AnyFloats, scale: AnyFloats) -> AnyFloats:
        """Find the points in the world.

        Parameters
        ----------
        joints : float, (..., I, J, 3)
            Joints in mm.
        frames : float, (..., I, 3, 3, 3)
            Local frames from `find_frames`.
        scale : float, (I,)
            Size of each animal.

        Returns
        -------
        float, (..., I, N, 3)
            In mm.
        """
        # Offsets of all frames stacked: one product of matrices instead of many small ones.
        spread = np.zeros((len(self.frame), 3, 3))
        spread[np.arange(len(self.frame)), self.frame] = self.offset
        shift = spread.reshape(-1, 9) @ frames.reshape(*frames.shape[:-3], 9, 3)
        return np.asarray(self.mix @ joints + shift * scale[:, None, None])


@dataclass(frozen=True)
class Limbs:
    """Tapered capsules, each between two anchors.

    Parameters
    ----------
    start, end : Anchors
        The C limbs' ends; the same point for a ball.
    radius : float64, (C, 2)
        At both ends, mm for a body of scale 1.
    along : float64, (C, 2)
        Place on the coat, 0 at the nose and 1 at the base of the tail.
    material : int64, (C,)
        `FUR`, `SKIN`, `EAR` or `EYE`.
    """

    start: Anchors
    end: Anchors
    radius: AnyFloats
    along: AnyFloats
    material: Ints

    @cached_property
    def taper(self) -> AnyFloats:
        """How fast the radius grows along the limb at both ends, float64 (C, 2)."""
        length = np.maximum(np.diff(self.along, axis=1)[:, 0] * LENGTHS[:TAIL_BASE].sum(), 1e-6)
        growth = np.where(self.in_chain, np.diff(self.radius, axis=1)[:, 0] / length, 0.0)
        # Where two limbs meet, both take the mean.
        meeting = np.append(0.5 * (growth[:-1] + growth[1:]), 0.0)
        start = np.where(np.roll(self.joined, 1), np.roll(meeting, 1), growth)
        end = np.where(self.joined, meeting, growth)
        return np.asarray(np.clip(np.stack([start, end], axis=1), -0.8, 0.8))

    @cached_property
    def joined(self) -> Bools:
        """Whether the next limb goes on where this one ends, bool (C,)."""
        same = (self.end.mix[:-1] == self.start.mix[1:]).all(-1)
        same &= (self.end.offset[:-1] == 0).all(-1) & (self.start.offset[1:] == 0).all(-1)
        return np.append(same, False)

    @cached_property
    def in_chain(self) -> Bools:
        """Whether the limb is joined to another one, bool (C,)."""
        return self.joined | np.roll(self.joined, 1)


def find_frames(joints: AnyFloats) -> AnyFloats:
    """Find the local frames of head, front and rear trunk.

    Parameters
    ----------
    joints : float, (..., J, 3)
        Joints in mm.

    Returns
    -------
    float, (..., 3 frames, 3 axes, 3)
        Unit vectors forward, left and up of each frame; left is always level.
    """
    forward = joints[..., _FRAMES[:, 1], :] - joints[..., _FRAMES[:, 0], :]
    forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    level = np.stack([-forward[..., 1], forward[..., 0], np.zeros_like(forward[..., 0])], -1)
    left = level / np.maximum(np.linalg.norm(level, axis=-1, keepdims=True), 1e-9)
    return np.stack([forward, left, np.cross(forward, left)], axis=-2)


def find_keypoints(joints: AnyFloats, scale: AnyFloats) -> AnyFloats:
    """Find the keypoints of `SKELETON`, float (..., I, K, 3) in mm; see `Anchors.place`."""
    return KEYPOINTS.place(joints, find_frames(joints), scale)


def _mix(*weights: tuple[int, float]) -> AnyFloats:
    row = np.zeros(N_JOINTS)
    for joint, weight in weights:
        row[joint] = weight
    return row


def _make_anchors(rows: list[tuple[AnyFloats, int, tuple[float, float, float]]]) -> Anchors:
    mix, frame, offset = zip(*rows, strict=True)
    return Anchors(np.array(mix), np.array(frame, np.int64), np.array(offset, np.float64))


_NONE = (0.0, 0.0, 0.0)
# Tip of an ear's axis, and the middle of what is seen of the ear from above.
_EAR, _EAR_MIDDLE = (-2.0, 8.6, 6.6), (-1.8, 8.2, 6.4)


def _make_keypoints() -> Anchors:
    at = {name: _mix((joint, 1.0)) for name, joint in (("head", HEAD), ("hip", HIP))}
    shoulder = _mix((NECK, 0.62), (CENTRE, 0.38))
    return _make_anchors(
        [
            (_mix((NOSE, 1.0)), HEAD_FRAME, _NONE),
            (at["head"], HEAD_FRAME, _EAR_MIDDLE),
            (at["head"], HEAD_FRAME, _flip(_EAR_MIDDLE)),
            (_mix((NECK, 1.0)), HEAD_FRAME, _NONE),
            (shoulder, FRONT_FRAME, (0.0, 9.0, -2.0)),
            (shoulder, FRONT_FRAME, (0.0, -9.0, -2.0)),
            (_mix((CENTRE, 1.0)), FRONT_FRAME, _NONE),
            (at["hip"], REAR_FRAME, (0.0, 11.0, -1.0)),
            (at["hip"], REAR_FRAME, (0.0, -11.0, -1.0)),
            (_mix((TAIL_BASE, 1.0)), REAR_FRAME, _NONE),
            (_mix((TAIL_BASE + N_TAIL // 2, 1.0)), REAR_FRAME, _NONE),
            (_mix((N_CHAIN - 1, 1.0)), REAR_FRAME, _NONE),
        ]
    )


def _flip(offset: tuple[float, float, float]) -> tuple[float, float, float]:
    return offset[0], -offset[1], offset[2]


def _find_spine(at: AnyFloats) -> AnyFloats:
    """Find the mixes of joints that lie on a smooth curve through them, float (N, joints)."""
    # A cubic through the joints is linear in them: interpolate the unit vectors.
    knots = np.arange(N_CHAIN, dtype=float)
    weights = np.zeros((len(at), N_JOINTS))
    weights[:, :N_CHAIN] = CubicHermiteSpline(
        knots, np.eye(N_CHAIN), np.gradient(np.eye(N_CHAIN), axis=0)
    )(at)
    return weights


_End = tuple[AnyFloats, int, tuple[float, float, float]]


@dataclass(frozen=True)
class _Limb:
    start: _End
    end: _End
    radius: tuple[float, float]
    along: tuple[float, float]
    material: int


def _make_limbs() -> Limbs:
    limbs = [*_make_trunk_and_tail(), *_make_legs(), *_make_head()]
    return Limbs(
        _make_anchors([limb.start for limb in limbs]),
        _make_anchors([limb.end for limb in limbs]),
        np.array([limb.radius for limb in limbs]),
        np.array([limb.along for limb in limbs]),
        np.array([limb.material for limb in limbs], np.int64),
    )


def _make_trunk_and_tail() -> list[_Limb]:
    thickness = PchipInterpolator(np.arange(N_CHAIN), _RADII)
    place = np.append(0.0, np.cumsum(LENGTHS)) / LENGTHS[:TAIL_BASE].sum()
    trunk, tail = np.linspace(0, TAIL_BASE, 16), np.linspace(TAIL_BASE, N_CHAIN - 1, 13)
    limbs = []
    for at, material in ((trunk, FUR), (tail, SKIN)):
        ends = [(mix, REAR_FRAME, _NONE) for mix in _find_spine(at)]
        radius = thickness(at).tolist()
        along = np.interp(at, np.arange(N_CHAIN), place).tolist()
        limbs += [
            _Limb(
                ends[i], ends[i + 1], (radius[i], radius[i + 1]), (along[i], along[i + 1]), material
            )
            for i in range(len(at) - 1)
        ]
    return limbs


def _make_legs() -> list[_Limb]:
    shoulder, hip = _mix((NECK, 0.45), (CENTRE, 0.55)), _mix((HIP, 1.0))
    limbs = []
    for number, side in enumerate((1.0, -1.0)):
        legs = (
            (shoulder, FRONT_FRAME, (0.0, 7.0 * side, -4.0), N_CHAIN, (5.5, 2.6), 0.42, 5.0),
            (hip, REAR_FRAME, (2.0, 8.5 * side, -3.0), N_CHAIN + 2, (8.5, 3.0), 0.78, 10.0),
        )
        for body, frame, offset, paw, radius, coat, foot in legs:
            ankle, toe = _mix((paw + number, 1.0)), (foot, 0.6 * side, 0.0)
            joint = (ankle, frame, _NONE)
            limbs.append(_Limb((body, frame, offset), joint, radius, (coat, coat), FUR))
            limbs.append(_Limb(joint, (ankle, frame, toe), (2.3, 1.7), (coat, coat), SKIN))
    return limbs


def _make_head() -> list[_Limb]:
    head = _mix((HEAD, 1.0))
    tip = (_mix((NOSE, 1.0)), HEAD_FRAME, (0.9, 0.0, 0.2))
    limbs = [_Limb(tip, tip, (1.5, 1.5), (0.0, 0.0), SKIN)]
    for side in (1.0, -1.0):
        root = (head, HEAD_FRAME, (0.5, 5.2 * side, 5.0))
        ear = (head, HEAD_FRAME, (_EAR[0], _EAR[1] * side, _EAR[2]))
        eye = (head, HEAD_FRAME, (7.0, 5.0 * side, 4.2))
        limbs.append(_Limb(root, ear, (2.6, 4.3), (0.2, 0.2), EAR))
        limbs.append(_Limb(eye, eye, (1.5, 1.5), (0.1, 0.1), EYE))
    return limbs


KEYPOINTS = _make_keypoints()
LIMBS = _make_limbs()
