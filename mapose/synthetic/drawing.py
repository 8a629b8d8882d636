"""Draw animals: limbs as shaded, furry capsules with a depth, so that they cover each other.

A limb is drawn where its tapered outline falls in the image, its centre line projected exactly,
its thickness scaled by the distance. Each pixel keeps the nearest limb, from which follow the
surface's direction, the place on the coat and the light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from calibration import Camera
from mapose.arrays import AnyFloats, Bools, Singles
from mapose.synthetic.backdrop import Backdrop, blur
from mapose.synthetic.bodies import EAR, EYE, FUR, LIMBS, SKIN, find_frames
from mapose.synthetic.coats import Coat


@dataclass(frozen=True, eq=False)
class Outlines:
    """Limbs of every animal as one camera sees them.

    Parameters
    ----------
    pixels : float64, (..., I, C, 2 ends, 2)
        Ends of the centre lines.
    depth : float64, (..., I, C, 2 ends)
        Distance from the camera, mm.
    radius : float64, (..., I, C, 2 ends)
        In pixels.
    per_mm : float64, (..., I, C)
        Pixels per mm.
    level : float64, (..., I, C)
        1 for a limb that goes on into others and lies across the line of sight, down to 0 for
        one that is seen end-on or stands alone.
    """

    pixels: AnyFloats
    depth: AnyFloats
    radius: AnyFloats
    per_mm: AnyFloats
    level: AnyFloats


def find_limbs(joints: AnyFloats, scale: AnyFloats) -> AnyFloats:
    """Find both ends of every limb, float (..., I, C, 2 ends, 3), in mm in the world."""
    frames = find_frames(joints)
    ends = [anchors.place(joints, frames, scale) for anchors in (LIMBS.start, LIMBS.end)]
    return np.stack(ends, axis=-2)


def find_scale(points: AnyFloats, camera: Camera) -> AnyFloats:
    """Find how many pixels a millimetre has at world points (..., 3), float64 (...)."""
    focal = camera.focal
    return np.asarray(focal / np.maximum(camera.to_camera(points)[..., 2], 1.0))


def find_outlines(joints: AnyFloats, scale: AnyFloats, camera: Camera) -> Outlines:
    """Find how a camera sees the limbs.

    Parameters
    ----------
    joints : float, (..., I, J, 3)
        Joints in mm.
    scale : float, (I,)
        Sizes of the animals.
    camera : calibration.Camera
        Unit mm.
    """
    ends = find_limbs(np.asarray(joints, np.float64), scale)
    depth = np.linalg.norm(ends - camera.centre, axis=-1)
    per_mm = find_scale(ends, camera)
    radius = LIMBS.radius * scale[:, None, None] * per_mm
    pixels, per_mm = camera.project(ends), per_mm.mean(-1)
    true = np.linalg.norm(np.diff(ends, axis=-2)[..., 0, :], axis=-1) * per_mm
    shown = np.linalg.norm(np.diff(pixels, axis=-2)[..., 0, :], axis=-1)
    level = np.clip(shown / np.maximum(true, 1e-6), 0, 1) * LIMBS.in_chain
    return Outlines(pixels, depth, radius, per_mm, level)


def draw_animals(
    picture: Singles,
    joints: AnyFloats,
    *,
    scale: AnyFloats,
    coats: list[Coat],
    camera: Camera,
    backdrop: Backdrop,
) -> None:
    """Draw animals and their shadows into a picture, in place.

    Parameters
    ----------
    picture : float32, (H, W, 3)
        The empty arena, RGB, 0 to 255.
    joints : float, (I, J, 3)
        Joints in mm.
    scale : float, (I,)
        Sizes.
    coats : list of Coat
        Looks of the I animals.
    camera : calibration.Camera
        Unit mm.
    backdrop : Backdrop
        Of this camera.
    """
    outlines = find_outlines(joints, scale, camera)
    ends = find_limbs(np.asarray(joints, np.float64), scale)
    _draw_shadows(picture, ends, scale, camera, backdrop)
    depth = backdrop.depth.copy()
    reach = outlines.radius.max(-1, keepdims=True)[..., None]
    low = np.floor((outlines.pixels - reach).min((1, 2)) - 2)
    high = np.ceil((outlines.pixels + reach).max((1, 2)) + 3)
    # Far animals first, so that soft edges lie on what is behind them.
    for i in np.argsort(-outlines.depth.mean((1, 2))):
        if not np.isfinite(outlines.pixels[i]).all():
            continue
        x0, y0 = np.maximum(low[i], 0).astype(int)
        x1, y1 = np.minimum(high[i], camera.size).astype(int)
        if x0 >= x1 or y0 >= y1:
            continue
        window = np.s_[y0:y1, x0:x1]
        surface = _find_surface(outlines, i, (x0, y0, x1, y1))
        _paint(
            picture[window],
            depth[window],
            surface,
            _Model(ends[i], coats[i], camera, backdrop.lamp),
            backdrop.light[window],
        )


@dataclass(frozen=True, eq=False)
class _Surface:
    """What one animal shows in a window: per pixel the nearest limb and the place on it."""

    cover: AnyFloats
    depth: AnyFloats
    limb: npt.NDArray[np.int16]
    along: AnyFloats  # 0 at the limb's start, 1 at its end, also beyond them
    slope_x: AnyFloats
    slope_y: AnyFloats


@dataclass(frozen=True, eq=False)
class _Model:
    ends: AnyFloats
    coat: Coat
    camera: Camera
    lamp: AnyFloats


def _find_surface(outlines: Outlines, i: int, window: tuple[int, int, int, int]) -> _Surface:
    x0, y0, x1, y1 = window
    shape = (y1 - y0, x1 - x0)
    cover, along, slope_x, slope_y = np.zeros((4, *shape), np.float32)
    depth = np.full(shape, np.inf, np.float32)
    limb = np.zeros(shape, np.int16)
    rows, columns = np.arange(y0, y1, dtype=np.float32), np.arange(x0, x1, dtype=np.float32)
    pixels = outlines.pixels[i].astype(np.float32)
    radii, depths = outlines.radius[i].tolist(), outlines.depth[i].tolist()
    scale, level = outlines.per_mm[i].tolist(), outlines.level[i].tolist()
    for c, ((ax, ay), (bx, by)) in enumerate(pixels.tolist()):
        reach = max(radii[c]) + 1.0
        left, right = int(max(min(ax, bx) - reach - x0, 0)), int(max(ax, bx) + reach - x0 + 2)
        top, bottom = int(max(min(ay, by) - reach - y0, 0)), int(max(ay, by) + reach - y0 + 2)
        part = np.s_[top:bottom, left:right]
        dx, dy = columns[left:right] - ax, rows[top:bottom, None] - ay
        if not dx.size or not dy.size:
            continue
        ux, uy = bx - ax, by - ay
        beyond = (dx * ux + dy * uy) / max(ux * ux + uy * uy, 1e-6)
        # Not np.clip: in a loop over small windows its overhead counts.
        t = np.minimum(np.maximum(beyond, 0), 1)
        ox, oy = dx - t * ux, dy - t * uy
        r = radii[c][0] + t * (radii[c][1] - radii[c][0])
        q = r * r - ox * ox - oy * oy
        edge = np.minimum(np.maximum(0.5 * q / r + 0.5, 0), 1)
        rise = np.sqrt(np.maximum(q, 0)) / scale[c]
        far = depths[c][0] + t * (depths[c][1] - depths[c][0]) - rise
        nearer = (far < depth[part]) & (edge > 0)
        # An outline's faint rim must not replace a limb that lies fully beneath it.
        nearer &= (edge >= 0.5) | (edge > cover[part])
        np.copyto(depth[part], far, where=nearer)
        np.copyto(limb[part], c, where=nearer)
        np.copyto(along[part], beyond, where=nearer)
        # Rounded ends would show as hoops around a chain of limbs: leave out their slope.
        cap = level[c] * (beyond - t)
        narrow, wide = LIMBS.taper[c] * level[c] / max(math.hypot(ux, uy), 1e-6)
        taper = narrow + t * (wide - narrow)
        np.copyto(slope_x[part], (ox - cap * ux) / r - taper * ux, where=nearer)
        np.copyto(slope_y[part], (oy - cap * uy) / r - taper * uy, where=nearer)
        np.maximum(cover[part], edge, out=cover[part])
    return _Surface(cover, depth, limb, along, slope_x, slope_y)


def _paint(
    picture: AnyFloats, depth: AnyFloats, surface: _Surface, model: _Model, light: AnyFloats
) -> None:
    """Shade the visible pixels of one animal and lay them over the picture, in place."""
    seen = (surface.cover > 0) & (surface.depth < depth)
    if not seen.any():
        return
    cover = surface.cover[seen]
    colour = _shade(surface, seen, model) * light[seen]
    picture[seen] += cover[:, None] * (colour - picture[seen])
    solid = seen & (surface.cover >= 0.5)
    depth[solid] = surface.depth[solid]


def _shade(surface: _Surface, seen: Bools, model: _Model) -> AnyFloats:
    """Find the colour of the visible pixels, float32 (N, 3)."""
    coat, limb, t = model.coat, surface.limb[seen], surface.along[seen]
    nx, ny = surface.slope_x[seen], surface.slope_y[seen]
    towards = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.0))
    rotation = model.camera.rotation_matrix.astype(np.float32)
    normal = np.stack([nx, ny, -towards], -1) @ rotation
    along = LIMBS.along[limb, 0] + t * (LIMBS.along[limb, 1] - LIMBS.along[limb, 0])
    left = _find_sides(model.ends).astype(np.float32)
    left = left[limb, 0] + np.clip(t, 0, 1)[:, None] * (left[limb, 1] - left[limb, 0])
    side = np.einsum("nd,nd->n", normal[:, :2], left)
    rows, columns = coat.fur.shape[:2]
    row = np.clip(along * rows, 0, rows - 1).astype(np.intp)
    column = np.clip((side + 1) * 0.5 * columns, 0, columns - 1).astype(np.intp)
    # Bellies are paler than backs.
    belly = 1 + 0.35 * np.clip(-normal[:, 2], 0, 1)
    colour = coat.fur[row, column] * belly[:, None]
    material = LIMBS.material[limb]
    for what, tone in ((SKIN, coat.skin), (EAR, coat.ear), (EYE, coat.eye)):
        colour[material == what] = tone
    rim = np.hypot(nx, ny)
    # The shell of an ear is darker inside than at its edge.
    colour *= np.where(material == EAR, 0.78 + 0.34 * rim * rim, 1)[:, None]
    lamp = model.lamp.astype(np.float32)
    diffuse = 0.50 + 0.50 * np.clip(normal @ lamp, 0, 1)
    diffuse *= 0.72 + 0.28 * np.sqrt(towards)
    half = lamp - rotation[2]
    shine = np.clip(normal @ (half / np.linalg.norm(half)), 0, 1) ** 18
    gloss = np.where(material == FUR, coat.gloss, np.where(material == EYE, 120.0, 12.0))
    return np.asarray(colour * diffuse[:, None] + (gloss * shine)[:, None], np.float32)


def _find_sides(ends: AnyFloats) -> AnyFloats:
    """Find the level direction to the left at both ends of each limb, float64 (C, 2 ends, 2)."""
    axis = ends[:, 0] - ends[:, 1]
    left = np.stack([-axis[:, 1], axis[:, 0]], -1)
    left /= np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-6)
    # Where one limb goes on from another, both agree on the side.
    before = np.r_[False, LIMBS.joined][:, None]
    shared = 0.5 * (left + np.roll(left, 1, axis=0))
    start = np.where(before[:-1], shared, left)
    end = np.where(before[1:], np.roll(shared, -1, axis=0), left)
    return np.stack([start, end], axis=1)


def _draw_shadows(
    picture: AnyFloats, ends: AnyFloats, scale: AnyFloats, camera: Camera, backdrop: Backdrop
) -> None:
    """Darken the floor beneath and beside the animals, in place; worked out at half size."""
    height, width = picture.shape[:2]
    mask = np.zeros(((height + 1) // 2, (width + 1) // 2), np.uint8)
    floor = ends - backdrop.lamp * (ends[..., 2:] / backdrop.lamp[2])
    floor[..., 2] = 0
    pixels = camera.project(floor)
    thick = (LIMBS.radius * scale[:, None, None] * find_scale(floor, camera)).mean(-1)
    flat = LIMBS.material != EYE
    lines = np.round(pixels[:, flat] * 8).reshape(-1, 2, 2)
    for line, w in zip(lines, thick[:, flat].ravel().tolist(), strict=True):
        if np.isfinite(line).all() and (np.abs(line) < 1e6).all():
            (x, y), (u, v) = line.astype(int).tolist()
            cv2.line(mask, (x, y), (u, v), 255, max(1, round(w)), cv2.LINE_AA, 4)
    soft = max(width / 480, 0.5)
    shadow = 0.55 * blur(mask, 1.6 * soft)
    shadow += 0.45 * blur(mask, 5.0 * soft)
    shadow = np.asarray(cv2.resize(shadow, (width, height)), np.float32)
    picture *= (1 - (0.62 / 255) * shadow * backdrop.floor)[..., None]
