"""Levenberg-Marquardt steps with robust weights, for cameras and what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from calibration.arrays import Floats, Ints
from calibration.bundle.scenes import (
    Observations,
    PointScene,
    Scene,
    find_scale,
    linearise_scene,
    measure_errors,
    sum_costs,
    weigh_errors,
)
from calibration.bundle.schur import NormalEquations, Step
from calibration.camera import Camera
from calibration.rotations import turn

# Weak directions (focal length against distance) hold a millionth of the strong ones' curvature:
# only far less damping than that lets them go. After a step too far it comes back at once.
_START_DAMPING = 1e-3
_MIN_DAMPING, _BACK_DAMPING, _MAX_DAMPING = 1e-9, 1e-6, 1e9
# Extra damping of single frames that a step makes worse, and that of frames as good as held.
_SLOWED, _HELD = 0.01, 1e4
# Damping falls by this factor after a step that went well at once.
_EASING = 100.0
# A step under more damping than this says nothing about how near the end is.
_FREE_DAMPING = 0.1
# Errors below this are rounding.
_MIN_SCALE = 1e-7
# Cameras with fewer corners than this are judged by the errors of all cameras.
_MIN_SCALED = 50
# The limit beyond which pixels are false starts at this many times what whole frames are off, and
# falls by this factor a step: the fit settles for the good ones before the false ones are known.
_TOLERANT, _NARROWING = 3.0, 3.0
# Stiffness of the distance that sets the scale, relative to what the camera's own pixels tell.
_STIFFNESS = 1e6


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be fitted.

    Parameters
    ----------
    observations : list of Observations
        Of each of V cameras.
    free : list of int, (P,)
        Free ones among the 6 + 5 + D parameters of each camera.
    held : int, optional
        Camera whose pose sets the world's frame, unless fixed cameras do. It is held in the
        result only: steps leave the frame loose. A frame that hangs on one camera makes all
        others swing about it, and long swings are what straight steps are bad at.
    priors : list of (information, middle) or None
        As of `LensPrior.find_information`.
    n_blocks, width : int
        Number of frames or points, and of parameters of each.
    anchor : int, optional
        Camera from which the distance of the furthest camera is kept, if nothing else sets the
        scale.
    outlying : float
        Standard deviations at which a pixel has lost its weight.
    """

    observations: list[Observations]
    free: list[Ints]
    held: int | None
    priors: list[tuple[Floats, Floats] | None]
    n_blocks: int
    width: int
    anchor: int | None
    outlying: float

    @cached_property
    def loose(self) -> list[Ints]:
        """Parameters that steps change: the free ones, and the pose of the held camera."""
        return [
            np.concatenate([np.arange(6), free]) if v == self.held else free
            for v, free in enumerate(self.free)
        ]

    @cached_property
    def shrunk(self) -> float:
        """By how much the fit makes errors smaller than they are, at least 0.5.

        Each parameter takes one number's worth of error away. For boards this is next to nothing;
        a point seen by three cameras is six numbers for three parameters, and a limit set by the
        remaining errors would cut good ones off.
        """
        blocks = np.unique(np.concatenate([own.blocks for own in self.observations]))
        parameters = sum(len(free) for free in self.free) + self.width * len(blocks)
        data = 2 * sum(int(own.seen.sum()) for own in self.observations)
        return float(np.sqrt(max(1 - parameters / max(data, 1), 0.25)))


@dataclass(frozen=True, eq=False)
class Solution:
    """The fit: cameras, scene, squared errors (n, C) and weights (n, C) of each camera."""

    problem: Problem
    cameras: list[Camera]
    scene: Scene
    squares: list[Floats]
    weights: list[Floats]
    covariance: Floats
    scale: float
    cost: float
    steps: int
    converged: bool


def refine_problem(
    problem: Problem,
    cameras: Sequence[Camera],
    scene: Scene,
    *,
    max_steps: int,
    tolerance: float,
) -> Solution:
    """Step towards the least robust cost, with scales taken anew from the errors at each step."""
    cameras, start = list(cameras), list(cameras)
    squares = _measure(problem, cameras, scene)
    wide = _find_tolerant_limits(squares)
    steps, converged, damping, extra = 0, False, _START_DAMPING, np.zeros(len(scene))
    while steps < max_steps and not converged:
        steps += 1
        scale, least = _find_limits(problem, squares)
        limits, settled = np.maximum(wide, least), bool((wide <= least).all())
        equations = _set_up(problem, cameras, scene, limits, scale, free=problem.loose)
        costs, easing, trial = _sum_up(problem, cameras, squares, limits, scale), _EASING, None
        while trial is None and damping <= _MAX_DAMPING and not converged:
            step = equations.solve(damping, extra)
            trial = _move(problem, cameras, scene, step) if step else None
            worse = np.zeros(len(scene), bool)
            if step and trial:
                converged = settled and damping <= _FREE_DAMPING
                converged = converged and _is_small(step, tolerance * scale)
                there = _measure(problem, *trial)
                gains = costs - _sum_up(problem, trial[0], there, limits, scale)
                worse = gains[:-1] < -(scale**2)
                trial = trial if gains.sum() >= 0 else None
            # A frame of which little is seen may not go along; the others need not wait for it.
            if trial is None and worse.any() and (extra[worse] < _HELD).any():
                extra[worse] = np.maximum(10 * extra[worse], _SLOWED)
            elif trial is None:
                damping, easing = max(10 * damping, _BACK_DAMPING), 1.0
        # Where no step is better, it is the end as far as numbers reach.
        converged = converged or (trial is None and settled)
        if trial is not None:
            (cameras, scene), squares = trial, there
        damping = _START_DAMPING if trial is None else max(damping / easing, _MIN_DAMPING)
        wide = limits / _NARROWING
        extra = np.where(extra > _SLOWED, extra / 10, 0.0)
    if problem.held is not None:
        cameras, scene = _restore_frame(problem, start, cameras, scene, problem.held)
    if problem.anchor is not None and isinstance(scene, PointScene):
        cameras, scene = _restore_distance(start, cameras, scene, problem.anchor)
    return _conclude(problem, cameras, scene, steps, converged)


def _is_small(step: Step, unit: float) -> bool:
    """Tell whether a step is shorter than the unit, for the cameras and for the mean block.

    Single frames of which few corners are good may wander for long; they do not move the cameras.
    """
    return step.length < unit**2 and 2 * step.gain < (1 + len(step.blocks)) * unit**2


def _measure(problem: Problem, cameras: list[Camera], scene: Scene) -> list[Floats]:
    pairs = zip(cameras, problem.observations, strict=True)
    return [measure_errors(camera, scene, own) for camera, own in pairs]


def _find_tolerant_limits(squares: list[Floats]) -> Floats:
    """Find limits (V,) within which whole frames count that are far off at the start.

    A camera that stands wrong at first disagrees only in frames that another camera sees as well.
    These may be few beside those that it sees alone, and would pass for false.
    """
    limits = np.zeros(len(squares))
    for v, square in enumerate(squares):
        error = np.sqrt(np.where(np.isfinite(square), square, np.nan))
        error = error[np.isfinite(error).any(1)]
        if len(error):
            limits[v] = _TOLERANT * np.quantile(np.nanmedian(error, axis=1), 0.95)
    return limits


def _find_limits(problem: Problem, squares: list[Floats]) -> tuple[float, Floats]:
    """Find the scale of all errors, and per camera the error at which the weight vanishes."""
    shrunk = problem.shrunk
    scale = max(find_scale(np.concatenate([s.ravel() for s in squares])) / shrunk, _MIN_SCALE)
    own = [
        max(find_scale(s) / shrunk, _MIN_SCALE) if np.isfinite(s).sum() >= _MIN_SCALED else scale
        for s in squares
    ]
    return scale, problem.outlying * np.array(own)


def read_lens(camera: Camera) -> Floats:
    """Gather the parameters of a lens in the order of `lens_names`: float64 (5 + D,)."""
    (fx, skew, cx), (_, fy, cy) = camera.matrix[:2]
    return np.array([fx, fy, cx, cy, skew, *camera.distortion])


def _sum_up(
    problem: Problem, cameras: list[Camera], squares: list[Floats], limits: Floats, scale: float
) -> Floats:
    """Sum the cost of each of F blocks, and last that of lenses not as expected: (F + 1,)."""
    costs = np.zeros(problem.n_blocks + 1)
    for own, square, limit in zip(problem.observations, squares, limits, strict=True):
        costs[own.blocks] += sum_costs(square, limit)
    for camera, prior in zip(cameras, problem.priors, strict=True):
        if prior is not None:
            away = read_lens(camera) - prior[1]
            costs[-1] += 0.5 * scale**2 * float(away @ prior[0] @ away)
    return costs


def _set_up(
    problem: Problem,
    cameras: list[Camera],
    scene: Scene,
    limits: Floats,
    scale: float,
    *,
    free: list[Ints],
) -> NormalEquations:
    """Set up the normal equations, what is expected of lenses and the unit of length included."""
    equations = linearise_scene(cameras, scene, problem.observations, free=free, limits=limits)
    views = list(equations.views)
    for v, prior in enumerate(problem.priors):
        if prior is not None:
            lens = free[v][free[v] >= 6] - 6
            pull = scale**2 * prior[0] @ (read_lens(cameras[v]) - prior[1])
            normal, slope = views[v].normal.copy(), views[v].slope.copy()
            n = len(slope) - len(lens)
            normal[n:, n:] += scale**2 * prior[0][np.ix_(lens, lens)]
            slope[n:] += pull[lens]
            views[v] = replace(views[v], normal=normal, slope=slope)
    return replace(equations, views=tuple(views))


def _hold_distance(
    equations: NormalEquations, problem: Problem, cameras: list[Camera]
) -> NormalEquations:
    """Make the distance that sets the scale sure."""
    if problem.anchor is None:
        return equations
    far, row = _find_distance(cameras, problem.anchor)
    views, free = list(equations.views), problem.free[far]
    row = np.concatenate([row, np.zeros(max(free, default=0) + 1)])[free]
    own = float(row @ views[far].normal @ row) / max(float(row @ row) ** 2, 1e-300)
    stiff = views[far].normal + _STIFFNESS * own * np.outer(row, row)
    views[far] = replace(views[far], normal=stiff)
    return replace(equations, views=tuple(views))


def _find_distance(cameras: list[Camera], anchor: int) -> tuple[int, Floats]:
    """Find the camera furthest from a first one, and its distance's derivative by its pose (6,)."""
    away = np.array([camera.centre for camera in cameras]) - cameras[anchor].centre
    distances = np.linalg.norm(away, axis=1)
    far = int(np.argmax(distances))
    # The centre is -R^T t; turning R by w and shifting t by d moves it by -R^T (d - w x t).
    sight = cameras[far].rotation_matrix @ (away[far] / distances[far])
    return far, np.concatenate([np.cross(cameras[far].translation, sight), -sight])


def _restore_frame(
    problem: Problem, start: list[Camera], cameras: list[Camera], scene: Scene, held: int
) -> tuple[list[Camera], Scene]:
    """Move the whole world so that the held camera's pose is what it was."""
    old, new = start[held], cameras[held]
    rotation = old.rotation_matrix.T @ new.rotation_matrix
    shift = old.rotation_matrix.T @ (new.translation - old.translation)
    moved = []
    for camera, loose in zip(cameras, problem.loose, strict=True):
        turned = camera.rotation_matrix @ rotation.T
        place = camera.translation - turned @ shift
        # A camera that saw nothing stays where it is.
        moved.append(replace(camera, rotation=turned, translation=place) if len(loose) else camera)
    # To the last digit.
    moved[held] = replace(new, rotation=old.rotation, translation=old.translation)
    return moved, scene.carry(rotation, shift)


def _restore_distance(
    start: list[Camera], cameras: list[Camera], scene: PointScene, anchor: int
) -> tuple[list[Camera], PointScene]:
    """Scale the world so that the distance held is what it was: steps keep it to first order."""
    far, _ = _find_distance(start, anchor)
    origin = cameras[anchor].centre
    wanted = np.linalg.norm(start[far].centre - start[anchor].centre)
    factor = wanted / np.linalg.norm(cameras[far].centre - origin)
    # The anchor's own pose is left untouched, to the last digit.
    scaled = [
        camera
        if camera is cameras[anchor]
        else replace(
            camera,
            translation=-camera.rotation_matrix @ (origin + factor * (camera.centre - origin)),
        )
        for camera in cameras
    ]
    return scaled, replace(scene, points=origin + factor * (scene.points - origin))


def _move(
    problem: Problem, cameras: list[Camera], scene: Scene, step: Step
) -> tuple[list[Camera], Scene] | None:
    """Take a step; None if it turns a lens inside out."""
    moved, first = [], 0
    for camera, free in zip(cameras, problem.loose, strict=True):
        change = np.zeros(11 + len(camera.distortion))
        change[free] = step.cameras[first : first + len(free)]
        first += len(free)
        lens = read_lens(camera) + change[6:]
        if not np.isfinite(lens).all() or lens[0] <= 0 or lens[1] <= 0:
            return None
        matrix = camera.matrix.copy()
        matrix[[0, 1, 0, 1, 0], [0, 1, 2, 2, 1]] = lens[:5]
        # The same to first order as turning about the world's origin and shifting. But what is
        # known worst, turns that a shifted principal point makes up for, are about the camera.
        turned, place = turn(change[:3]), camera.translation
        place = turned @ place + change[3:6] - np.cross(change[:3], place)
        moved.append(
            replace(
                camera,
                matrix=matrix,
                distortion=lens[5:],
                rotation=turned @ camera.rotation_matrix,
                translation=place,
            )
            if len(free)
            else camera
        )
    return moved, scene.move(step.blocks)


def _conclude(
    problem: Problem, cameras: list[Camera], scene: Scene, steps: int, converged: bool
) -> Solution:
    """Find the covariance of what was fitted.

    Standard deviations under robust weights: with p(r) = w r the weighted error, the covariance is
    that of least squares times mean(p^2) mean(w) / mean(p')^2. The variance of the pixels
    themselves is mean(p r) / mean(p'), which holds exactly for normal errors (Stein).
    """
    squares = _measure(problem, cameras, scene)
    scale, limits = _find_limits(problem, squares)
    weights = [weigh_errors(s, limit) for s, limit in zip(squares, limits, strict=True)]
    pushes = pulls = slopes = total = data = 0.0
    for square, weight, limit in zip(squares, weights, limits, strict=True):
        w, r2 = weight[weight > 0], square[weight > 0]
        pushes += float((w * w * r2).sum()) / 2
        pulls += float((w * r2).sum()) / 2
        slopes += float((w - 2 * r2 / limit**2 * np.sqrt(w)).sum())
        total += float(w.sum())
        data += 2 * len(w)
    blocks = np.unique(np.concatenate([own.blocks for own in problem.observations]))
    parameters = sum(len(free) for free in problem.free) + scene.width * len(blocks)
    # Each fitted parameter takes one number's worth of error away.
    spare = data / max(data - parameters, 1.0)
    slopes = max(slopes, 1e-300)
    equations = _set_up(problem, cameras, scene, limits, scale, free=problem.free)
    equations = _hold_distance(equations, problem, cameras)
    variance = spare * pushes * total / slopes**2
    return Solution(
        problem=problem,
        cameras=cameras,
        scene=scene,
        squares=squares,
        weights=weights,
        covariance=variance * equations.find_covariance(),
        scale=float(np.sqrt(spare * pulls / slopes)),
        cost=float(_sum_up(problem, cameras, squares, limits, scale)[:-1].sum()),
        steps=steps,
        converged=converged,
    )
