"""How good a calibration is, what is weak in it, and what to film again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from calibration.arrays import Floats
from calibration.camera import Camera
from calibration.rotations import turn

# Coverage is measured on a small copy of the image of about this many cells along its longer side.
_CELLS = 96
_PARTS = (
    ("upper left", "top", "upper right"),
    ("left", "middle", "right"),
    ("lower left", "bottom", "lower right"),
)
# Advice is given beyond these bounds. A third of the image unseen leaves the distortion there to
# extrapolation; boards tilted by less than about 10 degrees hardly tell focal length from
# distance; 1 % of focal length is 1 % of every length that is measured along the line of sight.
_LEAST_COVERAGE = 0.65
_COVERED_PART = 0.5
_LEAST_TILT = 10.0
# Views whose corners are nearer than this share of the diagonal are the same view again.
_SAME_LOOK = 0.005
_LEAST_VIEWS = 10
_WORST_FOCAL = 0.01
_LEAST_SHARED = 5
_MANY_FALSE = 0.15


@dataclass(frozen=True)
class CameraReport:
    """How well one camera is calibrated.

    Parameters
    ----------
    name : str
        Of the camera.
    model : str
        Lens and free coefficients, such as ``"pinhole k1 k2 p1 p2"``.
    mean, median, p95 : float
        Of the distances between seen and reprojected corners, in pixels; no corner is left out.
    false : float
        Share of the corners that lie too far off to be true and were given no weight, 0 to 1.
    views, corners : int
        Frames with the board, and corners in them.
    coverage : float
        Share of the image over which the board was seen, 0 to 1.
    tilt : float
        Spread of the board's directions, root mean square angle to their mean, in degrees.
    focal : float
        Focal length in pixels, mean of fx and fy.
    sd : dict of str to float
        Standard deviations of the parameters: fx fy cx cy in pixels, coefficients, rx ry rz in
        radians, tx ty tz in the group's unit. Parameters that were held are not listed.
    advice : tuple of str
        What is weak, and what to film again.
    """

    name: str
    model: str
    mean: float
    median: float
    p95: float
    false: float
    views: int
    corners: int
    coverage: float
    tilt: float
    focal: float
    sd: dict[str, float]
    advice: tuple[str, ...]


@dataclass(frozen=True)
class CalibrationReport:
    """How well a group of cameras is calibrated; prints itself as a short table.

    Parameters
    ----------
    cameras : tuple of CameraReport
        In the group's order.
    mean, median, p95 : float
        Over the corners of all cameras, in pixels; NaN if there are none.
    frames : int
        Frames in which at least one camera saw the board.
    lost : int
        Further frames in which cameras saw too little of the board to tell where it was.
    shared : dict of (str, str) to (int, int)
        For pairs of cameras that saw the board at once: frames, and those that agree.
    advice : tuple of str
        About the group as a whole.
    pixels : float64, (V, F, C, 2)
        Corners that were seen, in pixels; NaN = not seen. This and what follows is for plots.
    errors : float64, (V, F, C)
        Their distances from where they should be, in pixels; NaN = not seen, or not used.
    boards : float64, (F, 3)
        Where the middle of the board was in the world; NaN = not known.
    """

    cameras: tuple[CameraReport, ...]
    mean: float
    median: float
    p95: float
    frames: int
    lost: int
    shared: dict[tuple[str, str], tuple[int, int]]
    advice: tuple[str, ...]
    pixels: Floats = field(repr=False, compare=False)
    errors: Floats = field(repr=False, compare=False)
    boards: Floats = field(repr=False, compare=False)

    def __str__(self) -> str:
        width = max(6, *(len(c.name) for c in self.cameras))
        lines = [
            f"{'camera':<{width}}    mean  median     p95   false  views  corners  covered  "
            "focal length  lens"
        ]
        for c in self.cameras:
            lines.append(
                f"{c.name:<{width}} {c.mean:7.3f} {c.median:7.3f} {c.p95:7.3f} {c.false:7.1%} "
                f"{c.views:6d} {c.corners:8d} {c.coverage:8.0%}  "
                f"{c.focal:6.0f} ± {c.sd['fx']:<4.3g} {c.model}"
            )
        lines.append(f"{'all':<{width}} {self.mean:7.3f} {self.median:7.3f} {self.p95:7.3f}")
        lines.append("errors and focal lengths in pixels; no corner is left out of the errors")
        notes = list(self.advice)
        if self.lost:
            notes.append(
                f"in {self.lost} further frame{'s'[: self.lost > 1]} too little of the board was "
                "seen to tell where it was"
            )
        notes += [f"{c.name}: {text}" for c in self.cameras for text in c.advice]
        return "\n".join([*lines, *(f"- {text}" for text in notes)])

    def to_dict(self) -> dict[str, Any]:
        """Make plain lists, numbers and texts, as for JSON, without arrays; NaN becomes None."""
        pairs = [
            {"cameras": list(pair), "frames": shared, "agreeing": agreeing}
            for pair, (shared, agreeing) in self.shared.items()
        ]
        plain = {**vars(self), "cameras": [vars(c) for c in self.cameras], "shared": pairs}
        return {k: _make_plain(v) for k, v in plain.items() if not isinstance(v, np.ndarray)}


def evaluate_camera(
    camera: Camera,
    *,
    pixels: Floats,
    errors: Floats,
    weights: Floats,
    turns: Floats,
    deviations: Mapping[str, float],
    advice: Sequence[str],
) -> CameraReport:
    """Judge one camera by the views it was calibrated from.

    Parameters
    ----------
    camera : Camera
        As calibrated.
    pixels : float64, (F, C, 2)
        Corners that were seen; NaN = not seen.
    errors : float64, (F, C)
        Their distances from where they should be, in pixels.
    weights : float64, (F, C)
        Their weights, 0 for false ones.
    turns : float64, (F, 3)
        Board to world, rotation vectors in radians; NaN where unknown.
    deviations : dict of str to float
        Standard deviations of the free parameters by name.
    advice : sequence of str
        What is known to be weak already.
    """
    seen = np.isfinite(pixels[..., 0])
    viewed, used = seen.any(1), np.isfinite(errors)
    mean, median, p95 = _summarise(errors[used])
    coverage, missing = measure_coverage(camera.size, pixels[viewed])
    looks = count_looks(camera.size, pixels[viewed])
    # The same view again has the same errors: it tells no more about the lens.
    caution = np.sqrt(viewed.sum() / max(looks, 1))
    report = CameraReport(
        name=camera.name,
        model=" ".join([camera.model, *(name for name in deviations if name[0] in "kp")]),
        mean=mean,
        median=median,
        p95=p95,
        false=float((weights[used] == 0).mean()) if used.any() else 0.0,
        views=int(viewed.sum()),
        corners=int(seen.sum()),
        coverage=coverage,
        tilt=_measure_tilt(turns[viewed]),
        focal=float(camera.matrix[[0, 1], [0, 1]].mean()),
        sd={name: float(value * caution) for name, value in deviations.items()},
        advice=tuple(advice),
    )
    return replace(report, advice=(*report.advice, *_advise(report, missing, looks)))


def count_looks(size: tuple[int, int], pixels: Floats) -> int:
    """Count the different views of a board, whose corners are in other places of the image.

    Parameters
    ----------
    size : (int, int)
        Of the image, px.
    pixels : float64, (F, C, 2)
        Corners; NaN = not found.

    Returns
    -------
    int
        Views that differ from all others counted by more than 0.5 % of the diagonal (median over
        the corners that both have).
    """
    least = _SAME_LOOK * float(np.hypot(*size))
    kept = np.empty((0, *pixels.shape[1:]))
    for view in pixels:
        apart = np.linalg.norm(kept - view, axis=-1)
        known = np.isfinite(apart)
        both = known.sum(1) >= 4
        middle = np.median(np.where(known, apart, np.inf), axis=1) if len(kept) else np.empty(0)
        for i in np.flatnonzero(both & ~known.all(1)):
            middle[i] = np.median(apart[i][known[i]])
        if not (both & (middle < least)).any():
            kept = np.concatenate([kept, view[None]])
    return len(kept)


def _advise(report: CameraReport, missing: tuple[str, ...], looks: int) -> list[str]:
    """Say what is weak in a camera, and what to film again."""
    weak = []
    if report.false > _MANY_FALSE:
        weak.append(f"{report.false:.0%} of the corners do not fit and were given no weight")
    if report.views < _LEAST_VIEWS:
        weak.append(
            f"only {report.views} view{'s'[: report.views > 1]} of the board: film {_LEAST_VIEWS} "
            "or more"
        )
    elif looks < _LEAST_VIEWS:
        weak.append(
            f"the {report.views} views show the board in only {looks} different "
            f"place{'s'[: looks > 1]}, so that ± is that of {looks}: move and tilt it"
        )
    doubt = max(report.sd["fx"], report.sd["fy"]) / report.focal
    if doubt > _WORST_FOCAL:
        weak.append(f"the focal length is uncertain by {doubt:.1%}: film the board nearer, tilted")
    if report.tilt < _LEAST_TILT:
        weak.append(
            f"the board was always held alike (its directions spread by {report.tilt:.0f} "
            "degrees): tilt it by 30 degrees and more to all sides"
        )
    if report.coverage < _LEAST_COVERAGE:
        weak.append(
            f"the board covered {report.coverage:.0%} of the image and missed "
            f"{_name_places(missing)}: distortion is a guess there; film the board up to the rim"
        )
    return weak


def _name_places(missing: tuple[str, ...]) -> str:
    """Say in few words where the board was not: whole thirds of the image first."""
    columns = list(zip(*_PARTS, strict=True))
    thirds = {"top": _PARTS[0], "bottom": _PARTS[2], "left": columns[0], "right": columns[2]}
    whole = {name: parts for name, parts in thirds.items() if set(parts) <= set(missing)}
    if len(whole) == len(thirds):
        return "the whole rim" if "middle" not in missing else "most of every part"
    rest = [name for name in missing if not any(name in parts for parts in whole.values())]
    places = [f"the {name} third" for name in whole] + [f"the {name}" for name in rest]
    return ", ".join(places) or "a little everywhere"


def evaluate_group(
    cameras: Sequence[CameraReport],
    errors: Floats,
    *,
    pixels: Floats,
    boards: Floats | None = None,
    shared: Mapping[tuple[str, str], tuple[int, int]],
    advice: Sequence[str] = (),
) -> CalibrationReport:
    """Judge a group of cameras together.

    Parameters
    ----------
    cameras : sequence of CameraReport
        Of `evaluate_camera`.
    errors : float64, (V, F, C)
        Distances of all seen corners in pixels, NaN = not seen.
    pixels : float64, (V, F, C, 2)
        Where they were seen.
    boards : float64, (F, 3), optional
        Where the middle of the board was in the world; NaN = not known. None = there is no world.
    shared : dict of (str, str) to (int, int)
        For pairs of cameras: frames that both saw, and those that agree.
    advice : sequence of str
        What is known to be weak already.
    """
    seen = np.isfinite(errors)
    placed = np.full((errors.shape[1], 3), np.nan) if boards is None else boards
    lost = np.isnan(placed[:, 0]) & np.isfinite(pixels).any((0, 2, 3))
    weak = list(advice)
    for camera in cameras:
        most = max((n for pair, (_, n) in shared.items() if camera.name in pair), default=0)
        if 0 < most < _LEAST_SHARED:
            weak.append(
                f"{camera.name} saw the board together with another camera in {most} usable "
                f"frame{'s'[: most > 1]} only: film it where both see it"
            )
    mean, median, p95 = _summarise(errors[seen])
    return CalibrationReport(
        cameras=tuple(cameras),
        mean=mean,
        median=median,
        p95=p95,
        frames=int(seen.any((0, 2)).sum()),
        lost=0 if boards is None else int(lost.sum()),
        shared=dict(shared),
        advice=tuple(weak),
        pixels=pixels,
        errors=errors,
        boards=placed,
    )


def measure_coverage(size: tuple[int, int], pixels: Floats) -> tuple[float, tuple[str, ...]]:
    """Measure over which share of the image the board was seen.

    Parameters
    ----------
    size : (int, int)
        Width and height of the image.
    pixels : float64, (F, C, 2)
        Corners of the board; NaN = not seen. What lies between them counts as covered.

    Returns
    -------
    share : float
        0 to 1.
    missing : tuple of str
        Parts of the image, of nine, of which less than half was covered.
    """
    scale = _CELLS / max(size)
    width, height = (max(3, round(side * scale)) for side in size)
    covered = np.zeros((height, width), np.uint8)
    for view in pixels:
        corners = view[np.isfinite(view[:, 0])] * scale
        if len(corners) >= 3:
            hull = cv2.convexHull(np.round(corners).astype(np.int32))
            cv2.fillConvexPoly(covered, hull, 1)
    rows = np.array_split(covered, 3, axis=0)
    missing = [
        name
        for names, row in zip(_PARTS, rows, strict=True)
        for name, part in zip(names, np.array_split(row, 3, axis=1), strict=True)
        if part.mean() < _COVERED_PART
    ]
    return float(covered.mean()), tuple(missing)


def _measure_tilt(turns: Floats) -> float:
    """Measure the spread of the board's normals in degrees."""
    normals = turn(turns[np.isfinite(turns).all(1)])[..., 2]
    if not len(normals):
        return 0.0
    mean = normals.mean(0)
    cosine = normals @ (mean / max(np.linalg.norm(mean), 1e-12))
    return float(np.degrees(np.sqrt(np.mean(np.arccos(np.clip(cosine, -1, 1)) ** 2))))


def _summarise(errors: Floats) -> tuple[float, float, float]:
    if not len(errors):
        return np.nan, np.nan, np.nan
    return float(errors.mean()), float(np.median(errors)), float(np.percentile(errors, 95))


def _make_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _make_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_make_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
