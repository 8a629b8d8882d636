"""Photographs of boards with known corners: any camera, blur, noise, print and side."""

from dataclasses import replace
from itertools import product

import cv2
import numpy as np

from calibration.boards.printing import find_dark_areas
from calibration.synthetic import aim_camera

FINE = 4  # rays per pixel and direction


def draw_texture(board, *, margin, per_unit):
    """The print, 0 to 1, and where its top-left corner lies in the board's frame."""
    dark = find_dark_areas(board)
    margin = np.round(margin * per_unit) / per_unit  # edges lie between pixels of the texture
    low = dark[:, :2].min(0) - margin
    high = (dark[:, :2] + dark[:, 2:]).max(0) + margin
    width, height = np.round((high - low) * per_unit).astype(int)
    texture = np.ones((height, width), np.float32)
    for left, top, right, bottom in np.c_[dark[:, :2], dark[:, :2] + dark[:, 2:]]:
        (x0, y0), (x1, y1) = (
            np.round((np.array(p) - low) * per_unit).astype(int)
            for p in ((left, top), (right, bottom))
        )
        texture[y0:y1, x0:x1] = 0
    return texture, low


def photograph(
    board,
    camera,
    rng,
    *,
    blur=0.7,
    noise=2.0,
    levels=(40, 200),
    inverted=False,
    background=90,
    margin=None,
):
    """A camera (its world is the board's frame) sees a board: image, and corners (C, 2)."""
    step = np.linalg.norm(board.points[1] - board.points[0])
    margin = 0.6 * step if margin is None else margin
    # Fine enough, and such that edges lie between pixels of the texture.
    edges = np.unique(find_dark_areas(board))
    fit = [np.abs(edges * n / step - np.round(edges * n / step)).max() for n in range(24, 72)]
    per_unit = (24 + int(np.argmin(np.round(fit, 9)))) / step
    texture, low = draw_texture(board, margin=margin, per_unit=per_unit)
    texture = 1 - texture if inverted else texture
    width, height = camera.size
    rays = camera.rays(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = -camera.centre[2] / rays[..., 2]
    plane = camera.centre[:2] + reach[..., None] * rays[..., :2]
    spots = np.where(reach[..., None] > 0, (plane - low) * per_unit, np.nan)
    # Within a pixel the view is linear to a ten thousandth of it.
    down, right = np.gradient(spots, axis=(0, 1))
    seen = np.zeros((height, width), np.float32)
    paper = np.append(levels[0] + (levels[1] - levels[0]) * texture.ravel(), background)
    ticks = (np.arange(FINE) + 0.5) / FINE - 0.5
    for y, x in product(ticks, ticks):
        column, row = np.floor(np.nan_to_num(spots + y * down + x * right, nan=-1)).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < texture.shape[1]) & (row < len(texture))
        seen += paper[np.where(inside, row * texture.shape[1] + column, -1)].T / FINE**2
    if blur:
        seen = cv2.GaussianBlur(seen, (0, 0), blur)
    image = np.clip(seen + rng.normal(0, noise, seen.shape), 0, 255).round().astype(np.uint8)
    corners = camera.project(board.points)
    inside = ((corners >= 0) & (corners <= np.array(camera.size) - 1)).all(1)
    return image, np.where(inside[:, None], corners, np.nan)


def place_camera(board, rng, *, size=(640, 480), fill=0.6, tilt=30.0, behind=False, **lens):
    """A camera in front of a board (z < 0), which fills a part of the image, turned anyhow."""
    extent = np.linalg.norm(np.ptp(board.points, axis=0))
    middle = board.points.mean(0)
    focal = lens.pop("focal", float(size[0]))
    distance = extent * focal / (fill * min(size))
    around, off = rng.uniform(0, 2 * np.pi), np.deg2rad(tilt)
    way = np.array([np.sin(off) * np.cos(around), np.sin(off) * np.sin(around), -np.cos(off)])
    way[2] *= -1 if behind else 1
    camera = aim_camera(
        "cam", middle + distance * way, target=middle, size=size, focal=focal, **lens
    )
    # Turned about its own axis.
    angle = rng.uniform(-np.pi, np.pi)
    spin = cv2.Rodrigues(np.array([0, 0, angle]))[0]
    return replace(
        camera,
        rotation=spin @ camera.rotation_matrix,
        translation=spin @ camera.translation,
    )
