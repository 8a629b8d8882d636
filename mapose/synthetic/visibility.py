"""Which keypoints a camera sees: in the image, not in a box, not behind another animal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibration import Camera
from mapose.synthetic.arena import Arena
from mapose.synthetic.drawing import Outlines, find_outlines, find_scale
from mapose.synthetic.motion import Motion

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]

# No part of a body is further than this from the box around its keypoints, mm.
_GIRTH = 20.0


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
    seen: Flags = np.all((pixels >= -0.5) & (pixels < np.array(camera.size) - 0.5), axis=-1)
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
    pixels = camera.project(points)
    margin = _GIRTH * motion.scale.max() * find_scale(points, camera).max(-1)[..., None]
    low, high = pixels.min(-2) - margin, pixels.max(-2) + margin
    for j in range(points.shape[1]):
        asked = (pixels > low[:, None, None, j]) & (pixels < high[:, None, None, j])
        asked[:, j] = False
        frame, who, which = np.nonzero(asked.all(-1))
        rows, row = np.unique(frame, return_inverse=True)
        outlines = find_outlines(motion.joints[frames][rows], motion.scale, camera)
        asked_pixels = pixels[frame, who, which]
        own = _find_cover(outlines, (row, who), asked_pixels)
        other = _find_cover(outlines, (row, np.full_like(who, j)), asked_pixels)
        hidden[frame, who, which] |= other < own
    return hidden


def _find_cover(
    outlines: Outlines, animal: tuple[npt.NDArray[np.intp], ...], pixels: Floats
) -> Floats:
    """Find how near an animal's surface is at pixels (N, 2), float64 (N,); infinite beside it.

    The animals, one for each pixel, are (frames, individuals), each int64 (N,).
    """
    (ax, ay), (bx, by) = np.moveaxis(outlines.pixels[animal], (-2, -1), (0, 1))
    ux, uy = bx - ax, by - ay
    x, y = pixels[:, :1] - ax, pixels[:, 1:] - ay
    t = np.clip((x * ux + y * uy) / np.maximum(ux * ux + uy * uy, 1e-6), 0, 1)
    x, y = x - t * ux, y - t * uy
    radius, depth = outlines.radius[animal], outlines.depth[animal]
    q = (radius[..., 0] + t * (radius[..., 1] - radius[..., 0])) ** 2 - x * x - y * y
    rise = np.sqrt(np.maximum(q, 0)) / outlines.per_mm[animal]
    near = depth[..., 0] + t * (depth[..., 1] - depth[..., 0]) - rise
    return np.asarray(np.where(q > 0, near, np.inf).min(-1))
