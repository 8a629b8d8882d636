"""What cameras saw of moving boards or of free points, and how that weighs in an adjustment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from calibration.arrays import Bools, Floats, Ints
from calibration.bundle.schur import NormalEquations, View
from calibration.camera import Camera
from calibration.lens import bend_rays, is_visible
from calibration.projection import cross_rows, differentiate_local
from calibration.rotations import turn

# Corners taken at a time: their derivatives then stay in the processor's cache.
_CHUNK = 4096
# The median length of normally distributed errors in the plane, in standard deviations.
_MEDIAN = np.sqrt(2 * np.log(2))


class Scene(Protocol):
    """What all cameras look at: F blocks of C points that move together."""

    @property
    def width(self) -> int:
        """Number of parameters of a block: 6 for a pose, 3 for a point."""

    def __len__(self) -> int:
        """Count the blocks."""

    def turn_points(self, rotation: Floats, blocks: Ints) -> Floats:
        """Place the points of n blocks and turn them by a rotation: (3, n, C)."""

    def move(self, step: Floats) -> Scene:
        """Take a step (F, width)."""

    def carry(self, rotation: Floats, shift: Floats) -> Scene:
        """Turn the whole world, then shift it."""


@dataclass(frozen=True, eq=False)
class BoardScene:
    """A board in many poses: corners (C, 3), rotations (F, 3, 3), translations (F, 3)."""

    board: Floats
    rotations: Floats
    translations: Floats
    width = 6

    def __len__(self) -> int:
        return len(self.translations)

    def turn_points(self, rotation: Floats, blocks: Ints) -> Floats:
        """Place the corners."""
        rotations = (rotation @ self.rotations[blocks]).transpose(1, 0, 2)
        translations = rotation @ self.translations[blocks].T
        return np.asarray(rotations @ self.board.T + translations[..., None])

    def move(self, step: Floats) -> BoardScene:
        """Turn each board by a small vector in the world, then shift it."""
        # Derivatives are for turns about the world's origin. The boards turn about their middles
        # instead, which go where that takes them: the same to first order, and straight on.
        away = self.rotations @ self.board.mean(0)
        middles = self.translations + away
        middles = middles + np.cross(step[:, :3], middles) + step[:, 3:]
        turned = turn(step[:, :3])
        moved = middles - np.einsum("fij,fj->fi", turned, away)
        return replace(self, rotations=turned @ self.rotations, translations=moved)

    def carry(self, rotation: Floats, shift: Floats) -> BoardScene:
        """Turn the whole world, then shift it."""
        moved = self.translations @ rotation.T + shift
        return replace(self, rotations=rotation @ self.rotations, translations=moved)


@dataclass(frozen=True, eq=False)
class PointScene:
    """Points (F, 3) that move on their own; C is 1."""

    points: Floats
    width = 3

    def __len__(self) -> int:
        return len(self.points)

    def turn_points(self, rotation: Floats, blocks: Ints) -> Floats:
        """Place the points."""
        return np.asarray((rotation @ self.points[blocks].T)[..., None])

    def move(self, step: Floats) -> PointScene:
        """Shift each point."""
        return replace(self, points=self.points + step)

    def carry(self, rotation: Floats, shift: Floats) -> PointScene:
        """Turn the whole world, then shift it."""
        return replace(self, points=self.points @ rotation.T + shift)


@dataclass(frozen=True, eq=False)
class Observations:
    """What one camera saw.

    Parameters
    ----------
    blocks : int, (n,)
        Numbers of the frames or points that it saw, rising.
    pixels : float64, (2, n, C)
        Where; 0 where not seen.
    seen : bool, (n, C)
        What of it.
    """

    blocks: Ints
    pixels: Floats
    seen: Bools


def gather_observations(pixels: Floats) -> list[Observations]:
    """Pick for each camera the blocks that it sees in pixels (V, F, C, 2)."""
    found = []
    for own in pixels:
        seen = np.isfinite(own).all(-1)
        blocks = np.flatnonzero(seen.any(1))
        there = np.nan_to_num(np.moveaxis(own[blocks], -1, 0), nan=0.0)
        found.append(Observations(blocks, np.ascontiguousarray(there), seen[blocks]))
    return found


def measure_errors(camera: Camera, scene: Scene, observations: Observations) -> Floats:
    """Find squared distances (n, C) of seen and projected pixels.

    NaN where not seen, infinite where seen but out of the lens's reach, as behind a pinhole.
    """
    local = scene.turn_points(camera.rotation_matrix, observations.blocks)
    local += camera.translation[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bent = bend_rays(camera.model, local, camera.distortion)
        (fx, skew, cx), (shear, fy, cy) = camera.matrix[:2]
        across = fx * bent[0] + skew * bent[1] + cx - observations.pixels[0]
        down = shear * bent[0] + fy * bent[1] + cy - observations.pixels[1]
        squares = across * across + down * down
    squares[~np.isfinite(squares)] = np.inf
    squares[~observations.seen] = np.nan
    return np.asarray(squares)


def find_scale(squares: Floats) -> float:
    """Find the standard deviation of a coordinate from squared distances, robustly."""
    seen = squares[~np.isnan(squares)]
    return float(np.sqrt(np.median(seen)) / _MEDIAN) if seen.size else np.nan


def weigh_errors(squares: Floats, limit: float) -> Floats:
    """Find Tukey's weights: 1 at no error, falling to 0 at the limit; 0 for missing."""
    share = np.nan_to_num(squares / limit**2, nan=1.0, posinf=1.0)
    return np.asarray(np.maximum(1 - share, 0.0) ** 2)


def sum_costs(squares: Floats, limit: float) -> Floats:
    """Sum Tukey's cost of each row (n, C) of squared distances, (n,).

    Half the square for small errors, and limit^2 / 6 from the limit on; nothing where missing.
    """
    share = np.minimum(squares / limit**2, 1.0)
    return np.asarray(limit**2 / 6 * np.nansum(1 - (1 - share) ** 3, axis=1))


def linearise_scene(
    cameras: list[Camera],
    scene: Scene,
    observations: list[Observations],
    *,
    free: list[Ints],
    limits: Floats,
) -> NormalEquations:
    """Set up the normal equations of robustly weighted errors.

    Parameters
    ----------
    cameras : list of Camera
        V cameras.
    scene : Scene
        Poses or points.
    observations : list of Observations
        Of each camera.
    free : list of int, (P,)
        Which of each camera's 6 + 5 + D parameters of pose and lens are free.
    limits : float64, (V,)
        Errors in pixels at which Tukey's weight vanishes.

    Returns
    -------
    NormalEquations
        Of all free parameters.

    References
    ----------
    Triggs et al. 2000, "Bundle adjustment: a modern synthesis", section 6; Beaton and Tukey 1974
    (Technometrics 16:147) for the weights.
    """
    n, width = len(scene), scene.width
    blocks, slopes = np.zeros((n, width, width)), np.zeros((n, width))
    views = []
    for camera, own, columns, limit in zip(cameras, observations, free, limits, strict=True):
        normal, cross = _sum_products(camera, scene, own, limit)
        # A board's or a point's motion in the world is one in the camera's frame, turned.
        carry = np.kron(np.eye(width // 3), camera.rotation_matrix)
        cross = cross @ carry
        rows = slice(6 - width, 6)
        blocks[own.blocks] += carry.T @ cross[:, rows]
        slopes[own.blocks] += cross[:, -1]
        views.append(
            View(
                normal[np.ix_(columns, columns)], normal[columns, -1], own.blocks, cross[:, columns]
            )
        )
    return NormalEquations(tuple(views), blocks, slopes)


def _sum_products(
    camera: Camera, scene: Scene, observations: Observations, limit: float
) -> tuple[Floats, Floats]:
    """Sum products of the rows (pose, lens, residual), over all and within blocks.

    The second is only for the columns in which blocks move: pose, or its translation.
    """
    n, corners = observations.seen.shape
    n_rows = 6 + 5 + len(camera.distortion) + 1
    normal = np.zeros((n_rows, n_rows))
    cross = np.zeros((n, n_rows, scene.width))
    rotation = camera.rotation_matrix
    step = max(1, _CHUNK // corners)
    for first in range(0, n, step):
        part = slice(first, first + step)
        turned = scene.turn_points(rotation, observations.blocks[part])
        rows = _weigh_rows(
            camera, turned, observations.pixels[:, part], observations.seen[part], limit
        )
        flat = rows.reshape(n_rows, -1)
        normal += flat @ flat.T
        moving = rows[6 - scene.width : 6]
        if corners == 1:
            cross[part] = np.einsum("pdnc,bdnc->npb", rows, moving)
        else:
            products = rows.transpose(1, 2, 0, 3) @ moving.transpose(1, 2, 3, 0)
            cross[part] = products[0] + products[1]
    return normal, cross


def _weigh_rows(
    camera: Camera,
    turned: Floats,
    pixels: Floats,
    seen: Bools,
    limit: float,
) -> Floats:
    """Find the derivatives and residuals (6 + 5 + D + 1, 2, n, C) times the root of the weight."""
    local = turned + camera.translation[:, None, None]
    lost = ~(seen & is_visible(camera.model, local, camera.distortion))
    # Any point in front of the camera keeps the numbers finite; it has no weight.
    local[0, lost], local[1, lost], local[2, lost] = 0.0, 0.0, 1.0
    projected, by_local, by_lens = differentiate_local(camera, local)
    error = projected - pixels
    squares = (error * error).sum(0)
    squares[lost] = np.nan
    root = np.sqrt(weigh_errors(squares, limit))
    rows = np.empty((7 + len(by_lens), *error.shape))
    rows[:3] = cross_rows(turned, by_local)
    rows[3:6], rows[6:-1], rows[-1] = by_local, by_lens, error
    # Far outliers overflow nothing, but must not leave 0 times a huge number behind.
    rows *= root
    return rows
