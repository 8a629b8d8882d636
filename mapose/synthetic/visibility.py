"""Which keypoints a camera sees: in the image, not in a box, not behind another animal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibration import Camera
from mapose.synthetic.arena import Arena
from mapose.synthetic.drawing import Outlines, find_outlines
from mapose.synthetic.motion import Motion

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

# A keypoint lies up to this far inside its own body, mm: what is nearer to the camera than it
# by less than that may touch the body but does not cover it.
_DEPTH = 4.0


def find_in_view(points: Floats, camera: Camera, arena: Arena) -> Flags:
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
    seen: Flags = ((pixels >= -0.5) & (pixels < np.array(camera.size) - 0.5)).all(-1)
    for box in arena.boxes:
        # Rays end at the points, so that the points are at distance 1.
        seen &= box.find_entry(camera.centre, points - camera.centre) >= 1
    return seen


def find_hidden(motion: Motion, frames: slice, camera: Camera) -> Flags:
    """Tell which keypoints are covered by another animal, bool (F, I, K)."""
    points = motion.find_keypoints(frames)
    hidden = np.zeros(points.shape[:-1], bool)
    if points.shape[1] < 2:
        return hidden
    outlines = find_outlines(motion.joints[frames], motion.scale, camera)
    pixels = camera.project(points)
    depth = np.linalg.norm(points - camera.centre, axis=-1)
    reach = outlines.radius.max((-1, -2))
    low = (outlines.pixels.min((-2, -3)) - reach[..., None])
    high = (outlines.pixels.max((-2, -3)) + reach[..., None])
    for j in range(points.shape[1]):
        inside = (pixels > low[:, None, None, j]) & (pixels < high[:, None, None, j])
        asked = inside.all(-1)
        asked[:, j] = False
        frame, who, which = np.nonzero(asked)
        cover = _find_cover(outlines, frame, j, pixels[frame, who, which])
        hidden[frame, who, which] |= cover < depth[frame, who, which] - _DEPTH
    return hidden


def _find_cover(
    outlines: Outlines, frame: npt.NDArray[np.intp], j: int, pixels: Floats
) -> Floats:
    """Find how near animal j's surface is at pixels (N, 2), float64 (N,); infinite beside it."""
    start, end = outlines.pixels[frame, j, :, 0], outlines.pixels[frame, j, :, 1]
    span, gap = end - start, pixels[:, None] - start
    length = np.maximum((span * span).sum(-1), 1e-6)
    t = np.clip((gap * span).sum(-1) / length, 0, 1)
    away = gap - t[..., None] * span
    radius, depth = outlines.radius[frame, j], outlines.depth[frame, j]
    q = (radius[..., 0] + t * (radius[..., 1] - radius[..., 0])) ** 2 - (away * away).sum(-1)
    rise = np.sqrt(np.maximum(q, 0)) / outlines.per_mm[frame, j]
    near = depth[..., 0] + t * (depth[..., 1] - depth[..., 0]) - rise
    return np.where(q > 0, near, np.inf).min(-1)
