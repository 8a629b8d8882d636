"""The animals' anatomy: joints, keypoints, and the tapered limbs that are drawn.

A body hangs on a chain of joints from the nose to the tip of the tail, and on four paws.
Everything else, keypoints and limbs, is a fixed linear function of these and of three local
frames (head, front and rear trunk), so that drawing and truth cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from mapose.skeleton import Skeleton

Floats = npt.NDArray[np.floating]

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
HEIGHTS = np.array([9.0, 14.5, 15.5, 16.0, 16.0, 10.0] + [4.5, 3.0, 2.2, 1.8, 1.5, 1.2])
_RADII = np.array([2.6, 8.2, 9.4, 13.4, 14.6, 5.0] + [2.5, 2.2, 1.9, 1.6, 1.3, 0.9])

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

    mix: Floats
    frame: npt.NDArray[np.int64]
    offset: Floats

    def place(self, joints: Floats, frames: Floats, scale: Floats) -> Floats:
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
        shift = np.einsum("na,...nax->...nx", self.offset, frames[..., self.frame, :, :])
        return np.einsum("nj,...jx->...nx", self.mix, joints) + shift * scale[:, None, None]


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
    radius: Floats
    along: Floats
    material: npt.NDArray[np.int64]

    @property
    def joined(self) -> npt.NDArray[np.bool_]:
        """Whether the next limb goes on where this one ends, bool (C,)."""
        same = (self.end.mix[:-1] == self.start.mix[1:]).all(-1)
        same &= (self.end.offset[:-1] == 0).all(-1) & (self.start.offset[1:] == 0).all(-1)
        return np.append(same, False)


def find_frames(joints: Floats) -> Floats:
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


def find_keypoints(joints: Floats, scale: Floats) -> Floats:
    """Find the keypoints of `SKELETON`, float (..., I, K, 3) in mm; see `Anchors.place`."""
    return KEYPOINTS.place(joints, find_frames(joints), scale)


def _mix(*weights: tuple[int, float]) -> Floats:
    row = np.zeros(N_JOINTS)
    for joint, weight in weights:
        row[joint] = weight
    return row


def _make_anchors(rows: list[tuple[Floats, int, tuple[float, float, float]]]) -> Anchors:
    mix, frame, offset = zip(*rows, strict=True)
    return Anchors(np.array(mix), np.array(frame, np.int64), np.array(offset, np.float64))


_NONE = (0.0, 0.0, 0.0)
_EAR = (-2.0, 8.6, 6.6)


def _make_keypoints() -> Anchors:
    at = {name: _mix((joint, 1.0)) for name, joint in (("head", HEAD), ("hip", HIP))}
    shoulder = _mix((NECK, 0.62), (CENTRE, 0.38))
    return _make_anchors(
        [
            (_mix((NOSE, 1.0)), HEAD_FRAME, _NONE),
            (at["head"], HEAD_FRAME, _EAR),
            (at["head"], HEAD_FRAME, _flip(_EAR)),
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


def _find_spine(at: Floats) -> Floats:
    """Find the mixes of joints that lie on a smooth curve through them, float (N, joints)."""
    # A cubic through the joints is linear in them: interpolate the unit vectors.
    knots = np.arange(N_CHAIN, dtype=float)
    weights = np.zeros((len(at), N_JOINTS))
    weights[:, :N_CHAIN] = CubicHermiteSpline(
        knots, np.eye(N_CHAIN), np.gradient(np.eye(N_CHAIN), axis=0)
    )(at)
    return weights


def _make_limbs() -> Limbs:
    rows: list[tuple[tuple[Floats, int, tuple[float, float, float]], ...]] = []
    radius: list[tuple[float, float]] = []
    along: list[tuple[float, float]] = []
    material: list[int] = []

    def add(start, end, radii, coat, what):  # type: ignore[no-untyped-def]
        rows.append((start, end))
        radius.append(radii)
        along.append(coat)
        material.append(what)

    _add_trunk_and_tail(add)
    _add_legs(add)
    _add_head(add)
    start, end = zip(*rows, strict=True)
    return Limbs(
        _make_anchors(list(start)),
        _make_anchors(list(end)),
        np.array(radius),
        np.array(along),
        np.array(material, np.int64),
    )


def _add_trunk_and_tail(add) -> None:  # type: ignore[no-untyped-def]
    thickness = PchipInterpolator(np.arange(N_CHAIN), _RADII)
    place = np.append(0.0, np.cumsum(LENGTHS)) / LENGTHS[:TAIL_BASE].sum()
    trunk, tail = np.linspace(0, TAIL_BASE, 16), np.linspace(TAIL_BASE, N_CHAIN - 1, 13)
    for at, what in ((trunk, FUR), (tail, SKIN)):
        spine, radii = _find_spine(at), thickness(at)
        coat = np.interp(at, np.arange(N_CHAIN), place)
        for i in range(len(at) - 1):
            ends = [(spine[i], REAR_FRAME, _NONE), (spine[i + 1], REAR_FRAME, _NONE)]
            add(*ends, (radii[i], radii[i + 1]), (coat[i], coat[i + 1]), what)


def _add_legs(add) -> None:  # type: ignore[no-untyped-def]
    shoulder, hip = _mix((NECK, 0.45), (CENTRE, 0.55)), _mix((HIP, 1.0))
    for side in (1.0, -1.0):
        fore, hind = (N_CHAIN, N_CHAIN + 2) if side > 0 else (N_CHAIN + 1, N_CHAIN + 3)
        legs = (
            (shoulder, FRONT_FRAME, (0.0, 7.0 * side, -4.0), fore, (5.5, 2.6), 0.42, 5.0),
            (hip, REAR_FRAME, (2.0, 8.5 * side, -3.0), hind, (8.5, 3.0), 0.78, 10.0),
        )
        for body, frame, offset, paw, radii, coat, foot in legs:
            ankle, toe = _mix((paw, 1.0)), (foot, 0.6 * side, 0.0)
            add((body, frame, offset), (ankle, frame, _NONE), radii, (coat, coat), FUR)
            add((ankle, frame, _NONE), (ankle, frame, toe), (2.3, 1.7), (coat, coat), SKIN)


def _add_head(add) -> None:  # type: ignore[no-untyped-def]
    head, nose = _mix((HEAD, 1.0)), _mix((NOSE, 1.0))
    add(*[(nose, HEAD_FRAME, (0.9, 0.0, 0.2))] * 2, (1.5, 1.5), (0.0, 0.0), SKIN)
    for side in (1.0, -1.0):
        ear = (_EAR[0], _EAR[1] * side, _EAR[2])
        root, eye = (0.5, 5.2 * side, 5.0), (7.0, 5.0 * side, 4.2)
        add((head, HEAD_FRAME, root), (head, HEAD_FRAME, ear), (2.6, 4.3), (0.2, 0.2), EAR)
        add(*[(head, HEAD_FRAME, eye)] * 2, (1.5, 1.5), (0.1, 0.1), EYE)


KEYPOINTS = _make_keypoints()
LIMBS = _make_limbs()
