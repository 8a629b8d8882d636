"""The empty arena as one camera sees it: picture, distances, and the light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration import Camera
from mapose.arrays import AnyFloats, Floats, Image, Singles
from mapose.synthetic.arena import Arena, Box

_PER_MM = 2  # pixels of the floor's texture


@dataclass(frozen=True)
class Light:
    """The lamp above an arena.

    Parameters
    ----------
    towards : (float, float, float)
        Direction to the lamp, in the world.
    spot : (float, float)
        Where on the floor it is brightest, mm.
    colour : (float, float, float)
        Brightness of red, green and blue; 1 is the light that colours are given for.
    """

    towards: tuple[float, float, float] = (-0.30, 0.34, 0.89)
    spot: tuple[float, float] = (-110.0, 90.0)
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def lamp(self) -> Floats:
        """Direction to the lamp as a unit vector, float64 (3,)."""
        return np.array(self.towards) / np.linalg.norm(self.towards)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of another day: another lamp, elsewhere, brighter or darker, tinted.

    Brightness changes by up to 30 % and each colour by up to 8 %, as between two days under
    lamps that were switched and dimmed by hand.
    """
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(1.2, 3.0)
    bright = np.exp(rng.uniform(-1, 1) * np.log(1.3))
    tint = rng.uniform(0.92, 1.08, 3)
    red, green, blue = (bright * tint).tolist()
    return Light(
        (float(np.cos(angle)), float(np.sin(angle)), float(height)),
        (float(rng.uniform(-150, 150)), float(rng.uniform(-110, 110))),
        (red, green, blue),
    )


@dataclass(frozen=True, eq=False)
class Backdrop:
    """What stands still in front of one camera.

    Parameters
    ----------
    picture : float32, (H, W, 3)
        RGB, 0 to 255, lamp and lens included.
    light : float32, (H, W, 3)
        Brightness of the lamp and the lens there, in red, green and blue; about 1.
    lamp : float64, (3,)
        Direction towards the lamp, in the world.
    depth : float32, (H, W)
        Distance in mm from the camera to the box in front; infinite where there is none.
    floor : float32, (H, W)
        1 where the floor is seen, else 0; shadows fall there.
    """

    picture: Singles
    light: Singles
    lamp: Floats
    depth: Singles
    floor: Singles


def blur(picture: AnyFloats | Image, sigma: float) -> Singles:
    """Blur a picture (H, W[, 3]) with a Gaussian of this width in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def make_backdrop(
    arena: Arena, camera: Camera, rng: np.random.Generator, *, light: Light
) -> Backdrop:
    """Look at an empty arena through a camera.

    Parameters
    ----------
    arena : Arena
        Floor, walls and boxes.
    camera : calibration.Camera
        Unit mm.
    rng : numpy.random.Generator
        Lays the bedding; the same for all cameras of a scene.
    light : Light
        Of the lamp.
    """
    rays = _find_rays(camera)
    origin = camera.centre
    picture = np.full((*rays.shape[:2], 3), (70.0, 72.0, 76.0), np.float32)
    nearest = np.full(rays.shape[:2], np.inf)
    floor = _paint_floor(picture, nearest, rays, origin, arena, rng)
    _paint_walls(picture, nearest, rays, origin, arena)
    floor *= np.isfinite(nearest)
    depth = np.full(nearest.shape, np.inf)
    for box in arena.boxes:
        entry = box.find_entry(origin, rays)
        inside = entry < np.minimum(depth, nearest + 1e-6)
        points = origin + np.where(inside, entry, 0)[..., None] * rays
        picture[inside] = _shade_box(points[inside], box, light.lamp)
        floor[inside] = 0
        # Also behind a wall: there the box still hides who is in it.
        depth = np.minimum(depth, entry)
    picture = blur(picture, 0.6)
    shine = _find_light(rays, origin, camera, light.spot)[..., None] * np.array(
        light.colour, np.float32
    )
    depth = depth.astype(np.float32)
    return Backdrop(picture * shine, shine, light.lamp, depth, blur(floor, 0.8))


def _find_rays(camera: Camera) -> AnyFloats:
    """Find the ray of every pixel, float64 (H, W, 3)."""
    width, height = camera.size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    rays = camera.rays(np.stack([x, y], -1))
    # Pixels that the lens cannot reach look at the table.
    return np.where(np.isfinite(rays), rays, np.array([1e-9, 1e-9, 1.0]))


def _paint_floor(
    picture: Singles,
    nearest: AnyFloats,
    rays: AnyFloats,
    origin: AnyFloats,
    arena: Arena,
    rng: np.random.Generator,
) -> Singles:
    """Paint the floor inside the walls and the table outside, in place; gives the floor mask."""
    texture = _make_floor(arena, rng)
    down = rays[..., 2] < -1e-3
    distance = np.where(down, -origin[2] / np.where(down, rays[..., 2], -1), np.inf)
    points = origin[:2] + np.where(down, distance, 0)[..., None] * rays[..., :2]
    inside = down & (np.abs(points) <= arena.half).all(-1)
    where = ((points + arena.half) * _PER_MM - 0.5).astype(np.float32)
    seen = cv2.remap(
        texture, where[..., 0], where[..., 1], cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT
    )
    picture[inside] = seen[inside]
    # Walls shade the floor beside them.
    gap = (arena.half - np.abs(points)).min(-1)
    picture *= np.where(inside, 1 - 0.38 * np.exp(-np.clip(gap, 0, None) / 11), 1)[..., None]
    nearest[inside] = distance[inside]
    return inside.astype(np.float32)


def _make_floor(arena: Arena, rng: np.random.Generator) -> Singles:
    """Draw the floor from above, float32 (rows, columns, 3), `_PER_MM` pixels per mm."""
    shape = (round(arena.depth * _PER_MM), round(arena.width * _PER_MM))
    colour = (168, 146, 114) if arena.bedding else (186, 187, 186)
    floor = np.empty((*shape, 3), np.uint8)
    floor[:] = colour
    if arena.bedding:
        _strew_chips(floor, rng)
    cloud = np.zeros(shape, np.float32)
    for s in (24, 60, 160):
        spots = rng.normal(size=(shape[0] // s + 2, shape[1] // s + 2)).astype(np.float32)
        cloud += cv2.resize(spots, shape[::-1], interpolation=cv2.INTER_CUBIC)
    stains = 1 + (0.035 if arena.bedding else 0.012) * cloud
    picture = floor.astype(np.float32) * stains[..., None]
    return blur(picture, 0.7)


def _strew_chips(floor: Image, rng: np.random.Generator) -> None:
    """Strew wood chips with small shadows over the floor, in place."""
    rows, columns = floor.shape[:2]
    n = rows * columns // 70
    start = rng.uniform((0, 0), (columns, rows), (n, 2))
    angle, length = rng.uniform(0, np.pi, n), rng.gamma(4.0, 2.3, n)
    end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    tone = np.array([188, 164, 128]) * rng.normal(1.0, 0.11, (n, 1)) + rng.normal(0, 4, (n, 3))
    width = rng.integers(1, 5, n)
    fixed = np.round(16 * np.stack([start, end], 1)).astype(int)
    for line, colour, w in zip(
        fixed.tolist(), np.clip(tone, 0, 255).tolist(), width.tolist(), strict=True
    ):
        (x, y), (u, v) = line
        dark = [0.72 * c for c in colour]
        cv2.line(floor, (x + 14, y - 14), (u + 14, v - 14), dark, w, cv2.LINE_AA, 4)
        cv2.line(floor, (x, y), (u, v), colour, w, cv2.LINE_AA, 4)


def _paint_walls(
    picture: Singles, nearest: AnyFloats, rays: AnyFloats, origin: AnyFloats, arena: Arena
) -> None:
    """Paint walls seen from inside; those between camera and arena are clear, in place."""
    half, rim = arena.half, 5.0
    for axis in (0, 1):
        for side in (-1.0, 1.0):
            across = rays[..., axis]
            with np.errstate(divide="ignore", invalid="ignore"):
                distance = (side * half[axis] - origin[axis]) / across
            safe = np.where(np.isfinite(distance) & (distance > 0), distance, 0)
            points = origin + safe[..., None] * rays
            height, along = points[..., 2], np.abs(points[..., 1 - axis])
            hit = (safe > 0) & (height >= 0) & (height <= arena.wall)
            hit &= along <= half[1 - axis]
            if side * origin[axis] > half[axis]:
                # Clear acrylic: a faint reflection and a bright upper edge.
                picture[hit] += 0.06 * (215 - picture[hit])
                edge = hit & (height > arena.wall - rim)
                picture[edge] += 0.35 * (205 - picture[edge])
                continue
            hit &= distance < nearest
            level = height[hit] / arena.wall
            corner = np.exp(-(half[1 - axis] - along[hit]) / 16)
            tone = (118 + 26 * level) * (1 - 0.25 * corner) * (1 - 0.35 * np.exp(-height[hit] / 7))
            tone = tone * (1 + 0.08 * side * (1 if axis else -1))
            tone = np.where(height[hit] > arena.wall - rim, 176, tone)
            picture[hit] = tone[:, None] * np.array([1.0, 1.005, 1.02])
            nearest[hit] = distance[hit]


def _shade_box(points: AnyFloats, box: Box, lamp: AnyFloats) -> AnyFloats:
    """Find the colour of points (N, 3) on a box of dark red plastic, float64 (N, 3)."""
    low, high = np.array(box.low), np.array(box.high)
    normal = np.zeros_like(points)
    faces = np.concatenate([points - low, high - points], -1)
    face = np.abs(faces).argmin(-1)
    normal[np.arange(len(face)), face % 3] = np.where(face < 3, -1.0, 1.0)
    light = 0.62 + 0.38 * np.clip(normal @ lamp, 0, None)
    colour = np.array([112.0, 44.0, 40.0]) * light[:, None]
    # Worn edges catch the light.
    edge = np.sort(np.abs(faces.reshape(-1, 2, 3)).min(1), -1)[:, 1]
    colour += (46 * np.exp(-((edge / 1.6) ** 2)))[:, None]
    middle = (low[1] + high[1]) / 2
    arch = np.hypot(points[:, 1] - middle, np.clip(points[:, 2] - 12, 0, None))
    mouth = (normal[:, 0] * box.mouth > 0) & (arch < 0.36 * (high[1] - low[1]))
    colour[mouth] = (16, 10, 10)
    return np.asarray(colour)


def _find_light(
    rays: AnyFloats, origin: AnyFloats, camera: Camera, spot: tuple[float, float]
) -> Singles:
    """Find the brightness of a lamp beside the arena, and the darker corners of a lens."""
    down = np.minimum(rays[..., 2], -0.15)
    points = origin[:2] - (origin[2] / down)[..., None] * rays[..., :2]
    points = np.clip(points, -400, 400)
    gap = (points[..., 0] - spot[0]) ** 2 + (points[..., 1] - spot[1]) ** 2
    lamp = np.exp(-gap / (2 * 420.0**2))
    width, height = camera.size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    vignette = 1 - 0.13 * (x * x + y * y)
    return np.asarray((0.72 + 0.38 * lamp) * vignette, np.float32)
