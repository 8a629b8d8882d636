"""How well cameras were calibrated from points that nobody has measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from calibration.alignment import Similarity
from calibration.arrays import Bools, Floats, Ints
from calibration.bundle.adjustment import BundleResult
from calibration.group import CameraGroup
from calibration.projection import POSE_NAMES
from calibration.selfcalibration.incremental import Spread


@dataclass(frozen=True, eq=False)
class SelfCalibrationReport:
    """How well cameras were calibrated without a board; prints itself as a table.

    Parameters
    ----------
    names : tuple of str
        The V cameras.
    seen : int64, (V,)
        Points used of each, seen by another camera as well.
    median, p95 : float64, (V,)
        Of the reprojection errors, px.
    inliers : float64, (V,)
        Share of the points with weight.
    focal, focal_deviation : float64, (V,)
        Focal length and its standard deviation, px; 0 where it was held.
    centre_deviation : float64, (V,)
        Standard deviation of where the camera stands, relative to the points, as a share of its
        distance from them. Without groups of points it holds only if errors are independent;
        those of labels hardly are.
    scale_deviation : float
        Relative standard deviation of the scale from the known length; NaN if there was none.
    points : float64, (N, 3)
        World points; NaN where fewer than two cameras saw one.
    errors : float64, (V, N)
        Reprojection errors, px; NaN where not seen.
    unit : str
        Of the world.
    weak : tuple of str
        What is doubtful, in words.
    """

    names: tuple[str, ...]
    seen: Ints
    median: Floats
    p95: Floats
    inliers: Floats
    focal: Floats
    focal_deviation: Floats
    centre_deviation: Floats
    scale_deviation: float
    points: Floats
    errors: Floats
    unit: str
    weak: tuple[str, ...]

    def __str__(self) -> str:
        width = max(map(len, (*self.names, "camera")))
        lines = [
            f"{'camera':<{width}}  points  median   p95 px  inliers   focal ± sd px   centre ± sd"
        ]
        for v, name in enumerate(self.names):
            lines.append(
                f"{name:<{width}}  {self.seen[v]:>6d}  {self.median[v]:>6.2f}  "
                f"{self.p95[v]:>7.2f}  {self.inliers[v]:>7.0%}  {self.focal[v]:>6.0f} ± "
                f"{self.focal_deviation[v]:<6.1f}  {self.centre_deviation[v]:>11.2%}"
            )
        return "\n".join([*lines, *(f"Weak: {text}" for text in self.weak)])


def report_points(
    cameras: CameraGroup,
    result: BundleResult,
    *,
    change: Similarity,
    scale_deviation: float,
    spread: Spread | None,
) -> SelfCalibrationReport:
    """Describe an adjustment of cameras and free points.

    Parameters
    ----------
    cameras : CameraGroup
        In their final frame.
    result : BundleResult
        The adjustment, in the frame before.
    change : Similarity
        From the one to the other.
    scale_deviation : float
        Relative; NaN if no length is known.
    spread : Spread, optional
        How far answers from parts of the points lie apart, by which deviations are told.
    """
    assert result.points is not None
    errors = result.errors
    there = np.isfinite(errors)
    points = change.move(result.points)
    focal = np.array([c.focal for c in cameras])
    focal_deviation = np.array([result.deviations[c.name]["fx"] for c in cameras])
    near = points[np.isfinite(points[:, 0])]
    middle = np.median(near, axis=0)
    distance = np.array([np.linalg.norm(c.centre - middle) for c in cameras])
    centre = change.scale * (spread.centre if spread else _find_centre_deviations(result))
    report = SelfCalibrationReport(
        names=cameras.names,
        seen=there.sum(1),
        median=np.nanmedian(errors, 1),
        p95=np.nanpercentile(errors, 95, axis=1),
        inliers=result.inliers.sum(1) / np.maximum(there.sum(1), 1),
        focal=focal,
        focal_deviation=spread.focal if spread else focal_deviation,
        centre_deviation=centre / distance,
        scale_deviation=scale_deviation,
        points=points,
        errors=errors,
        unit=cameras.unit,
        weak=(),
    )
    return replace(report, weak=tuple(_find_weak(report)))


def _find_centre_deviations(result: BundleResult) -> Floats:
    """Find how well (V,) cameras' places are known if errors are independent."""
    numbers = {key: i for i, key in enumerate(result.parameters)}
    deviations = np.zeros(len(result.cameras))
    for v, camera in enumerate(result.cameras):
        keys = [(camera.name, name) for name in POSE_NAMES]
        if not all(key in numbers for key in keys):
            continue
        rows = [numbers[key] for key in keys]
        own = result.covariance[np.ix_(rows, rows)]
        # A camera stands at -R' t; with R turned by w and t shifted by d that moves by the
        # rotated d + t x w.
        x, y, z = camera.translation
        slope = np.hstack([[[0, -z, y], [z, 0, -x], [-y, x, 0]], np.eye(3)])
        known = np.isfinite(np.diag(own)).all()
        deviations[v] = np.sqrt(np.trace(slope @ own @ slope.T)) if known else np.inf
    return deviations


def _find_weak(report: SelfCalibrationReport) -> list[str]:
    """Say in words what is doubtful."""
    weak = []
    usual = float(np.median(report.median))
    for v, name in enumerate(report.names):
        focal = report.focal_deviation[v] / report.focal[v]
        told = {
            f"shares only {report.seen[v]} points with others: film longer": report.seen[v] < 100,
            f"{1 - report.inliers[v]:.0%} of its points do not fit; names or frames may be mixed "
            "up": report.inliers[v] < 0.7,
            "its error is far above that of the others": report.median[v] > 2.5 * usual,
            f"its focal length is known to {focal:.0%} only; film a board with it, or animals at "
            "other distances": focal > 0.05,
            f"its place is known to {report.centre_deviation[v]:.0%} of its distance only": (
                0.05 < report.centre_deviation[v] < np.inf
            ),
            "these points do not tell its place": report.centre_deviation[v] == np.inf,
        }
        weak += [f"{name}: {text}" for text, holds in told.items() if holds]
    there = report.points[np.isfinite(report.points[:, 0])]
    near = there[_find_near(there)]
    spread = np.linalg.svd(near - near.mean(0), compute_uv=False)
    if spread[2] < 0.03 * spread[0]:
        weak.append("the points lie almost on a plane: let animals rear, climb or be carried")
    if np.isnan(report.scale_deviation):
        weak.append("nothing sets the scale: give a known length")
    elif report.scale_deviation > 0.02:
        weak.append(f"the scale is known to {report.scale_deviation:.0%} only: measure more bones")
    return weak


def _find_near(points: Floats) -> Bools:
    """Mark points that are not far off all others, as false ones can be."""
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    return np.asarray(distance <= 5 * np.median(distance))
