"""Which keypoints a camera sees: in the image, not in a box, not behind another animal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibration import Camera
from mapose.arrays import AnyFloats, Bools
from mapose.synthetic.arena import Arena
from mapose.synthetic.bodies import N_CHAIN
from mapose.synthetic.drawing import find_outlines, find_scale
from mapose.synthetic.locomotion import Motion

# No part of a body is further than this from the nearest joint of its chain, mm.
_GIRTH = 26.0


def find_in_view(points: AnyFloats, camera: Camera, arena: Arena) -> Bools:
    """Tell which points are in the image and not in or behind a box.

    Parameters
    ----------
    points : float, (..., 3)
        World points, mm.
    camera : calibration.Camera
        Unit mm.
    arena : Arena
        With its boxes.

    Returns
    -------
    bool, (...)
    """
    pixels = camera.project(points)
    seen: Bools = np.all((pixels >= -0.5) & (pixels < np.array(camera.size) - 0.5), axis=-1)
    for box in arena.boxes:
        # Rays end at the points, so that the points are at distance 1.
        seen &= box.find_entry(camera.centre, points - camera.centre) >= 1
    return seen


def find_hidden(motion: Motion, frames: slice, camera: Camera) -> Bools:
    """Tell which keypoints are covered by another animal, bool (F, I, K)."""
    points, joints = motion.find_keypoints(frames), motion.joints[frames]
    hidden = np.zeros(points.shape[:-1], bool)
    if points.shape[1] < 2:
        return hidden
    pixels, chain = camera.project(points), camera.project(joints[..., :N_CHAIN, :])
    reach = _GIRTH * motion.scale.max() * find_scale(points, camera).max((1, 2))
    low = chain.min(-2) - reach[:, None, None]
    high = chain.max(-2) + reach[:, None, None]
    for j in range(points.shape[1]):
        asked = (pixels > low[:, None, None, j]) & (pixels < high[:, None, None, j])
        asked[:, j] = False
        # From coarse to fine: near the whole animal, near a joint, under a limb, and above it.
        frame, who, which = np.nonzero(asked.all(-1))
        gap = chain[frame, j] - pixels[frame, who, which][:, None]
        near = (gap * gap).sum(-1).min(-1) < reach[frame] ** 2
        frame, who, which = frame[near], who[near], which[near]
        place = pixels[frame, who, which]
        other = _find_cover(joints[:, j : j + 1], motion.scale[j : j + 1], camera, (frame, place))
        under = np.isfinite(other)
        frame, who, which, place = frame[under], who[under], which[under], place[under]
        for i in np.unique(who):
            mine = who == i
            own = _find_cover(
                joints[:, i : i + 1],
                motion.scale[i : i + 1],
                camera,
                (frame[mine], place[mine]),
            )
            hidden[frame[mine], i, which[mine]] |= other[under][mine] < own
    return hidden


def _find_cover(
    joints: AnyFloats,
    scale: AnyFloats,
    camera: Camera,
    asked: tuple[npt.NDArray[np.intp], AnyFloats],
) -> AnyFloats:
    """Find how near the surface of one animal is where it is asked for.

    Parameters
    ----------
    joints : float, (F, 1, J, 3)
        Joints of the animal, mm.
    scale : float, (1,)
        Its size.
    camera : calibration.Camera
        Unit mm.
    asked : int64 (N,) and float64 (N, 2)
        Frames and pixels.

    Returns
    -------
    float64, (N,)
        Distance from the camera, mm; infinite beside the animal.
    """
    frame, pixels = asked
    rows, row = np.unique(frame, return_inverse=True)
    outlines = find_outlines(joints[rows], scale, camera)
    (ax, ay), (bx, by) = np.moveaxis(outlines.pixels[row, 0], (-2, -1), (0, 1))
    ux, uy = bx - ax, by - ay
    x, y = pixels[:, :1] - ax, pixels[:, 1:] - ay
    t = np.clip((x * ux + y * uy) / np.maximum(ux * ux + uy * uy, 1e-6), 0, 1)
    x, y = x - t * ux, y - t * uy
    radius, depth = outlines.radius[row, 0], outlines.depth[row, 0]
    q = (radius[..., 0] + t * (radius[..., 1] - radius[..., 0])) ** 2 - x * x - y * y
    rise = np.sqrt(np.maximum(q, 0)) / outlines.per_mm[row, 0]
    near = depth[..., 0] + t * (depth[..., 1] - depth[..., 0]) - rise
    return np.asarray(np.where(q > 0, near, np.inf).min(-1))
