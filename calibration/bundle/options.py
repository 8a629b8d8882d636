"""What bundle adjustments of boards and of points share: options, result, what is free."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from calibration.arrays import Bools, Floats
from calibration.bundle.priors import LensPrior
from calibration.bundle.scenes import BoardScene, PointScene, gather_observations
from calibration.bundle.solver import Problem, Solution, refine_problem
from calibration.errors import CalibrationError
from calibration.group import CameraGroup
from calibration.projection import POSE_NAMES, lens_names

_logger = logging.getLogger(__name__)

Intrinsics = Literal["none", "focal", "all"]
_FREE: dict[str, tuple[str, ...]] = {"none": (), "focal": ("fx", "fy")}


@dataclass(frozen=True)
class BundleOptions:
    """How an adjustment proceeds; the defaults are for boards and for tracked animals.

    Parameters
    ----------
    prior : LensPrior or None
        What is expected of lenses; None for nothing.
    outlying : float
        Errors of this many standard deviations of their camera have no weight. Default 8: Tukey's
        weights then widen deviations by 0.4 % if no pixel is false. With 6, real errors, which
        are less normal than they should be, let the fit follow some frames and drop others: up to
        4 % more mean error and six times the steps in three real sessions. The same goes for
        points, with few pixels each.
    max_steps : int
        Default 100; boards take 5 to 10.
    tolerance : float
        Ends when a step is shorter than this in standard deviations, over all parameters of all
        cameras at once. Default 0.2: near the end, steps shrink fivefold or more each time.
    """

    prior: LensPrior | None = field(default_factory=LensPrior)
    outlying: float = 8.0
    max_steps: int = 100
    tolerance: float = 0.2


@dataclass(frozen=True, eq=False)
class BundleResult:
    """Adjusted cameras, and how well they are known.

    Parameters
    ----------
    cameras : CameraGroup
        The cameras.
    poses : float64, (F, 6), or None
        Rotation vectors and translations, board to world; NaN for frames left out and those that
        fewer than four good corners hold.
    points : float64, (N, 3), or None
        World points; NaN for points left out and those that fewer than two good pixels hold.
    errors : float64, (V, F, C) or (V, N)
        Distances of seen and projected pixels; NaN where not seen or not used.
    weights : float64, (V, F, C) or (V, N)
        From 1 for a good pixel to 0 for a false one; 0 where `errors` is NaN.
    deviations : dict
        By camera and parameter: standard deviations. Those of ``rx ry rz`` are of a small rotation
        vector, in radians, that turns the rotation, those of ``tx ty tz`` of the translation.
        0 = held, infinite = not determined.
    covariance : float64, (P, P)
        Of the parameters `parameters`, as of `deviations`.
    parameters : tuple of (str, str)
        Camera and name of each free parameter.
    scale : float
        Standard deviation of a pixel coordinate, without false ones.
    cost : float
        Half the sum of squared errors, each cut off as a false one, in square pixels.
    steps : int
        Taken.
    converged : bool
        Whether the last step was short enough.
    """

    cameras: CameraGroup
    poses: Floats | None
    points: Floats | None
    errors: Floats
    weights: Floats
    deviations: dict[str, dict[str, float]]
    covariance: Floats
    parameters: tuple[tuple[str, str], ...]
    scale: float
    cost: float
    steps: int
    converged: bool

    @property
    def inliers(self) -> Bools:
        """Pixels that have weight, bool, shape of `weights`."""
        return np.asarray(self.weights > 0)


class Settings:
    """What is free and what is expected; `group` is the start of all."""

    def __init__(
        self,
        group: CameraGroup,
        intrinsics: Intrinsics,
        fixed: Sequence[str],
        options: BundleOptions | None,
    ) -> None:
        if intrinsics not in ("none", "focal", "all"):
            raise CalibrationError(
                f"intrinsics: wanted 'none', 'focal' or 'all', came {intrinsics!r}"
            )
        self.intrinsics = intrinsics
        self.fixed = [group[name].name for name in fixed]
        self.options = options or BundleOptions()
        prior = self.options.prior
        self.priors = [prior.find_information(camera) if prior else None for camera in group]


def solve_scene(
    group: CameraGroup, pixels: Floats, scene: BoardScene | PointScene, settings: Settings
) -> Solution:
    """Fit cameras and a scene to pixels (V, F, C, 2), with what the settings leave free."""
    observations = gather_observations(pixels)
    seeing = [c.name for c, own in zip(group, observations, strict=True) if len(own.blocks)]
    held = None if settings.fixed else seeing[0]
    free = []
    for camera in group:
        names = POSE_NAMES + lens_names(camera)
        wanted = {n for n in lens_names(camera) if n != "skew"}
        if settings.intrinsics != "all":
            wanted &= set(_FREE[settings.intrinsics])
        if camera.name != held:
            wanted |= set(POSE_NAMES)
        if camera.name in settings.fixed or camera.name not in seeing:
            wanted = set()
        free.append(np.array([i for i, n in enumerate(names) if n in wanted], np.int64))
    anchors = [name for name in settings.fixed if name in seeing] or seeing[:1]
    scaled = isinstance(scene, PointScene) and len(anchors) == 1
    problem = Problem(
        observations=observations,
        free=free,
        held=None if held is None else group.names.index(held),
        priors=settings.priors,
        n_blocks=len(scene),
        width=scene.width,
        anchor=group.names.index(anchors[0]) if scaled else None,
        outlying=settings.options.outlying,
    )
    solution = refine_problem(
        problem,
        group.cameras,
        scene,
        max_steps=settings.options.max_steps,
        tolerance=settings.options.tolerance,
    )
    if not solution.converged:
        _logger.warning(
            "bundle adjustment stopped after %d steps before it settled", solution.steps
        )
    return solution


def report_solution(
    group: CameraGroup,
    solution: Solution,
    used: Bools,
    *,
    shape: tuple[int, ...],
    poses: Floats | None = None,
    points: Floats | None = None,
) -> BundleResult:
    """Put a solution into arrays of the given shape, (V, F, C) or (V, N), used ones (F,) filled."""
    errors, weights = np.full(shape, np.nan), np.zeros(shape)
    numbers = np.flatnonzero(used)
    for v, own in enumerate(solution.problem.observations):
        there = numbers[own.blocks]
        single = len(shape) == 2
        distance = np.sqrt(solution.squares[v])
        errors[v, there] = distance[:, 0] if single else distance
        weights[v, there] = solution.weights[v][:, 0] if single else solution.weights[v]
    deviations, parameters, first = {}, [], 0
    variances = np.diag(solution.covariance)
    for camera, own, free in zip(
        group, solution.problem.observations, solution.problem.free, strict=True
    ):
        names = POSE_NAMES + lens_names(camera)
        values = dict.fromkeys(names, 0.0 if len(own.blocks) else np.inf)
        for i, column in enumerate(free):
            values[names[column]] = float(np.sqrt(variances[first + i]))
        parameters += [(camera.name, names[column]) for column in free]
        deviations[camera.name], first = values, first + len(free)
    return BundleResult(
        cameras=CameraGroup(solution.cameras, group.unit),
        poses=poses,
        points=points,
        errors=errors,
        weights=weights,
        deviations=deviations,
        covariance=solution.covariance,
        parameters=tuple(parameters),
        scale=solution.scale,
        cost=solution.cost,
        steps=solution.steps,
        converged=solution.converged,
    )


def drop_lost(result: BundleResult, least: int) -> BundleResult:
    """Take out frames or points that fewer good pixels than this hold."""
    inliers = result.inliers.sum((0, 2)) if result.inliers.ndim == 3 else result.inliers.sum(0)
    lost = inliers < least
    errors, weights = result.errors.copy(), result.weights.copy()
    errors[:, lost], weights[:, lost] = np.nan, 0.0
    poses, points = (
        None if array is None else np.where(lost[:, None], np.nan, array)
        for array in (result.poses, result.points)
    )
    return replace(result, errors=errors, weights=weights, poses=poses, points=points)
