"""Score reconstructions: how far off 3D points are, whether their covariances are true, bones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mapose.arrays import Floats, Singles
from mapose.errors import SettingsError, ShapeError
from mapose.metrics.overlap import align_poses, find_marked
from mapose.poses import Poses
from mapose.similarity import find_edge_lengths

#: The squared distance, in standard deviations, that 95 % of normal errors in 3D stay below.
REGION_95 = 7.814728


@dataclass(frozen=True, eq=False)
class ReconstructionError:
    """Distances between true and found 3D points, in the unit of the poses.

    Attributes
    ----------
    mean, median, rmse, p95 : float
        Over all points that both have; NaN if there are none.
    gross : float
        Share of these points that are further off than ``limit``.
    limit : float
        In the unit of the poses.
    found : float
        Share of the true points that were found.
    coverage : float
        Share of points whose stated 95 % region holds the truth; NaN without covariances.
    unit : str
        Of the distances.
    keypoints : tuple of str
        Names.
    median_each : float64, (K,)
        Median of each keypoint.
    """

    mean: float
    median: float
    rmse: float
    p95: float
    gross: float
    limit: float
    found: float
    coverage: float
    unit: str
    keypoints: tuple[str, ...]
    median_each: Floats

    def __str__(self) -> str:
        width = max(22, *(len(name) for name in self.keypoints))
        rows = [
            ("median", f"{self.median:.3f} {self.unit}"),
            ("mean", f"{self.mean:.3f} {self.unit}"),
            ("RMSE", f"{self.rmse:.3f} {self.unit}"),
            ("95th percentile", f"{self.p95:.3f} {self.unit}"),
            (f"above {self.limit:g} {self.unit}", f"{100 * self.gross:.3f} %"),
            ("found", f"{100 * self.found:.2f} %"),
            ("truth in 95 % region", f"{100 * self.coverage:.1f} %"),
        ]
        rows += [
            (name, f"{value:.3f} {self.unit}")
            for name, value in zip(self.keypoints, self.median_each, strict=True)
        ]
        return "\n".join(f"{name:{width}}{value:>14}" for name, value in rows)


def reconstruction_error(truth: Poses, found: Poses, *, limit: float = 10.0) -> ReconstructionError:
    """Measure how far 3D points are from the true ones.

    Individuals are compared by name; if the names differ, each is compared with the one that is
    nearest to it over the whole recording. So this does not punish exchanged animals within a
    recording other than by their distance; `track_scores` does.

    Parameters
    ----------
    truth, found : Poses
        3D in the same unit; compared on the frames and keypoints that both have.
    limit : float
        Distance from which an error is gross, in the unit of the poses.

    Returns
    -------
    ReconstructionError

    Raises
    ------
    ShapeError
        If the poses are not 3D in the same unit, or share no frame or keypoint.
    SettingsError
        If the limit is not above 0.

    Examples
    --------
    >>> from mapose.skeleton import Skeleton
    >>> truth = Poses(np.ones((5, 1, 1, 4)), Skeleton(["snout"]), unit="mm")
    >>> found = Poses(truth.array + [0, 3, 4, 0], truth.skeleton, unit="mm")
    >>> reconstruction_error(truth, found).median
    5.0
    """
    if not limit > 0:
        raise SettingsError(f"limit: wanted a distance above 0, came {limit}")
    if truth.dimensions != 3 or found.dimensions != 3:
        raise ShapeError(
            f"wanted poses in 3D, came {truth.dimensions}D and {found.dimensions}D: for images "
            "there is pose_error"
        )
    covariance = _align_covariance(truth, found)
    truth, found = align_poses(truth, found)
    pairs = _pair_individuals(truth, found)
    gap = found.points[:, pairs[1]].astype(np.float64) - truth.points[:, pairs[0]]
    present = find_marked(truth.points[:, pairs[0]])
    both = find_marked(gap)
    distance = np.sqrt(np.einsum("...d,...d->...", gap, gap))
    errors = distance[both]
    whole = find_marked(truth.points).sum()
    k = len(truth.skeleton.keypoints)
    return ReconstructionError(
        mean=_apply(np.mean, errors),
        median=_apply(np.median, errors),
        rmse=_apply(np.mean, errors**2) ** 0.5,
        p95=float(np.quantile(errors, 0.95)) if len(errors) else float("nan"),
        gross=_apply(np.mean, (errors > limit).astype(np.float64)),
        limit=limit,
        found=float((both & present).sum() / whole) if whole else float("nan"),
        coverage=_find_coverage(gap, None if covariance is None else covariance[:, pairs[1]]),
        unit=truth.unit,
        keypoints=tuple(truth.skeleton.keypoints),
        median_each=np.array(
            [_apply(np.median, distance[:, :, n][both[:, :, n]]) for n in range(k)]
        ),
    )


@dataclass(frozen=True, eq=False)
class BoneVariation:
    """How much bone lengths change over time.

    Attributes
    ----------
    bones : tuple of str
        Names of the two ends, joined by a hyphen.
    length : float64, (I, E)
        Median lengths.
    variation : float64, (I, E)
        Root mean square deviation from the median, as a share of it.
    median : float
        Over all bones; NaN if there are none.
    """

    bones: tuple[str, ...]
    length: Floats
    variation: Floats
    median: float


def bone_variation(poses: Poses) -> BoneVariation:
    """Measure how much the lengths of the skeleton's edges change over time.

    Parameters
    ----------
    poses : Poses
        3D; in 2D lengths change with the view.

    Raises
    ------
    ShapeError
        If the poses are not 3D.
    """
    if poses.dimensions != 3:
        raise ShapeError(f"wanted poses in 3D, came {poses.dimensions}D in {poses.unit}")
    lengths = find_edge_lengths(poses.points, poses.skeleton.edge_index)
    shape = lengths.shape[1:]
    middle, variation = np.full(shape, np.nan), np.full(shape, np.nan)
    for who, edge in np.ndindex(shape):
        column = lengths[:, who, edge]
        column = column[np.isfinite(column)]
        if len(column):
            middle[who, edge] = np.median(column)
            off = column - middle[who, edge]
            variation[who, edge] = np.sqrt((off**2).mean()) / max(middle[who, edge], 1e-300)
    return BoneVariation(
        bones=tuple(f"{a}-{b}" for a, b in poses.skeleton.edges),
        length=middle,
        variation=variation,
        median=_apply(np.median, variation[np.isfinite(variation)]),
    )


def _align_covariance(truth: Poses, found: Poses) -> Singles | None:
    """Pick the covariances that belong to what `align_poses` keeps."""
    if found.covariance is None:
        return None
    names = [k for k in truth.skeleton.keypoints if k in found.skeleton.keypoints]
    what = [found.skeleton.keypoints.index(name) for name in names]
    rows = np.flatnonzero(np.isin(found.frames, truth.frames))
    return found.covariance[rows][:, :, what]


def _pair_individuals(truth: Poses, found: Poses) -> tuple[list[int], list[int]]:
    """Find which individuals to compare: by name, else those that are nearest on average."""
    if truth.individuals is not None and set(truth.names) <= set(found.names):
        return list(range(len(truth.names))), [found.names.index(n) for n in truth.names]
    cost = np.zeros((truth.array.shape[1], found.array.shape[1]))
    for i, j in np.ndindex(cost.shape):
        gap = np.linalg.norm(truth.points[:, i].astype(np.float64) - found.points[:, j], axis=-1)
        gap = gap[np.isfinite(gap)]
        cost[i, j] = gap.mean() if len(gap) else np.inf
    # One that never meets another is its partner only if nothing else is left.
    far = 1e6 * (1 + cost[np.isfinite(cost)].max(initial=0))
    rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, far))
    return rows.tolist(), columns.tolist()


def _find_coverage(gap: Floats, covariance: Singles | None) -> float:
    """Find the share of errors (..., 3) within the 95 % region of their covariances."""
    if covariance is None:
        return float("nan")
    known = find_marked(gap) & np.isfinite(covariance).all((-1, -2))
    errors, spread = gap[known], covariance[known].astype(np.float64)
    if not len(errors):
        return float("nan")
    squares = np.einsum("ni,ni->n", errors, np.linalg.solve(spread, errors[..., None])[..., 0])
    return float((squares < REGION_95).mean())


def _apply(function: Callable[[Floats], np.floating], values: Floats) -> float:
    return float(function(values)) if len(values) else float("nan")
