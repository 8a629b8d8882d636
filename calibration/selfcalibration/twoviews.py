"""How two cameras stand to each other, from points that both saw and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import least_squares

from calibration.arrays import Bools, Floats
from calibration.rotations import turn
from calibration.triangulation.epipolar import estimate_noise

#: Fewest common points; five fix the geometry, the others say which of ten answers holds.
MIN_COMMON = 12
# Gates, px, at which points are drawn: from good labels to a detector's. The scale that is
# left decides which of the answers is taken.
_GATES = (1.5, 4.0, 10.0)
# Answers count as different if a camera differs by more than this, radians.
_DISTINCT = 0.1
# Drawing and refining see at most this many points; more do not change what is found.
_DRAWN = 3000
# Errors of this many standard deviations count for a third of what a square would.
_WIDE = 3.0


@dataclass(frozen=True, eq=False)
class TwoViews:
    """One way in which camera b may stand to camera a; the distance between them is 1.

    Parameters
    ----------
    rotation : float64, (3, 3)
        From a's frame to b's.
    translation : float64, (3,)
        Of length 1: a point X of a's frame is at rotation X + translation in b's.
    inliers : bool, (N,)
        Points that fit, and lie in front of both.
    scale : float
        Robust standard deviation of the epipolar distances, px.
    angle : float
        Median angle, degrees, under which inliers see the two cameras.
    """

    rotation: Floats
    translation: Floats
    inliers: Bools
    scale: float
    angle: float


def find_two_views(a: Floats, b: Floats, *, focal: tuple[float, float]) -> list[TwoViews]:
    """Find how two cameras stand to each other.

    Parameters
    ----------
    a, b : float64, (N, 2)
        The same points on both ideal image planes; NaN = not seen.
    focal : (float, float)
        Focal lengths of both in px, by which distances are judged.

    Returns
    -------
    list of TwoViews
        Different answers that fit about as well, best first; several where the points lie on a
        plane or the cameras see no perspective. Empty if fewer than `MIN_COMMON` points are
        common.

    References
    ----------
    Five points: Nistér 2004 (IEEE TPAMI 26:756), in OpenCV's USAC (Barath et al. 2020,
    MAGSAC++). Scale: the S-estimator of Rousseeuw and Yohai 1984, which holds with up to half
    of the points false.
    """
    common = np.flatnonzero(np.isfinite(a).all(1) & np.isfinite(b).all(1))
    if len(common) < MIN_COMMON:
        return []
    drawn = common[np.linspace(0, len(common) - 1, min(len(common), _DRAWN)).astype(np.int64)]
    seen = (a[drawn], b[drawn])
    found = []
    for number, gate in enumerate(_GATES):
        for essential in _draw_essentials(seen, gate / np.sqrt(focal[0] * focal[1]), number):
            for rotation, translation in _split_essential(essential, seen):
                found.append(_refine(rotation, translation, seen, focal))
    judged = [_judge(r, t, (a, b), focal) for r, t in found]
    judged.sort(key=lambda view: view.scale)
    return _keep_distinct(judged)


def find_distances(essential: Floats, a: Floats, b: Floats, focal: tuple[float, float]) -> Floats:
    """Find signed epipolar distances (N,) in px, to first order (Sampson)."""
    rays_a, rays_b = _add_one(a), _add_one(b)
    lines, back = rays_a @ essential.T, rays_b @ essential
    slope = (lines[:, :2] ** 2).sum(1) / focal[1] ** 2 + (back[:, :2] ** 2).sum(1) / focal[0] ** 2
    return np.asarray((rays_b * lines).sum(1) / np.sqrt(np.maximum(slope, 1e-30)))


def find_scale(distances: Floats) -> float:
    """Find the standard deviation of distances of which up to half may be false, by an S-estimate.

    Distances are signed, about 0; the bounded weight is Tukey's with a breakdown point of 1/2.
    """
    sizes = np.abs(distances[np.isfinite(distances)])
    if not len(sizes):
        return np.inf
    scale = max(1.4826 * float(np.median(sizes)), 1e-9)
    for _ in range(30):
        u = np.minimum((sizes / (1.5476 * scale)) ** 2, 1)
        mean = float((1 - (1 - u) ** 3).mean())
        scale *= np.sqrt(max(mean, 1e-6) / 0.5)
        if abs(mean - 0.5) < 1e-4:
            break
    return float(scale)


def make_essential(rotation: Floats, translation: Floats) -> Floats:
    """Find the essential matrix (3, 3) of a relative pose."""
    x, y, z = translation
    return np.asarray(np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation)


def intersect_rays(rotation: Floats, translation: Floats, a: Floats, b: Floats) -> Floats:
    """Find the points (N, 3) in a's frame at which rays come closest to each other."""
    first = _add_one(a)
    second = _add_one(b) @ rotation
    start = -rotation.T @ translation
    aa, bb = (first**2).sum(1), (second**2).sum(1)
    ab = (first * second).sum(1)
    a0, b0 = first @ start, second @ start
    gap = np.maximum(aa * bb - ab**2, 1e-18)
    s, t = (bb * a0 - ab * b0) / gap, (ab * a0 - aa * b0) / gap
    points = 0.5 * (s[:, None] * first + start + t[:, None] * second)
    points[(s <= 0) | (t <= 0)] = np.nan
    return np.asarray(points)


def _draw_essentials(seen: tuple[Floats, Floats], gate: float, seed: int) -> list[Floats]:
    parameters = cv2.UsacParams()
    parameters.threshold = gate
    parameters.confidence = 0.9999
    parameters.maxIterations = 2000
    parameters.randomGeneratorState = seed
    parameters.sampler = cv2.SAMPLING_UNIFORM
    parameters.score = cv2.SCORE_METHOD_MAGSAC
    parameters.loMethod = cv2.LOCAL_OPTIM_SIGMA
    parameters.loIterations = 10
    parameters.loSampleSize = 20
    eye, none = np.eye(3), np.zeros(4)
    a, b = (np.ascontiguousarray(s) for s in seen)
    essential, _ = cv2.findEssentialMat(a, b, eye, eye, none, none, parameters)
    if essential is None:
        return []
    stacked = np.asarray(essential, np.float64).reshape(-1, 3, 3)
    return [e for e in stacked if np.isfinite(e).all()]


def _split_essential(essential: Floats, seen: tuple[Floats, Floats]) -> list[tuple[Floats, Floats]]:
    """Split into the poses (of four) for which points lie in front of both cameras."""
    first, second, along = cv2.decomposeEssentialMat(essential)
    poses = [
        (np.asarray(r, np.float64), sign * np.asarray(along, np.float64).ravel())
        for r in (first, second)
        for sign in (1, -1)
    ]
    fronts = [np.isfinite(intersect_rays(r, t, *seen)[:, 0]).mean() for r, t in poses]
    return [p for p, f in zip(poses, fronts, strict=True) if f > 0.5 * max(fronts) and f > 0.25]


def _refine(
    rotation: Floats, translation: Floats, seen: tuple[Floats, Floats], focal: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Refine a relative pose on the robust sum of epipolar distances."""
    _, _, vt = np.linalg.svd(translation[None])
    across = vt[1:]

    def move(step: Floats) -> tuple[Floats, Floats]:
        moved = translation + step[3:] @ across
        return turn(step[:3]) @ rotation, moved / np.linalg.norm(moved)

    def measure(step: Floats) -> Floats:
        return find_distances(make_essential(*move(step)), *seen, focal)

    step = np.zeros(5)
    for _ in range(2):
        # The width of the right ones among them: false points widen any scale of all.
        distances = np.abs(measure(step))
        width = max(estimate_noise(distances, guess=float(np.median(distances))), 0.1)
        step = least_squares(
            measure, step, loss=_forget, f_scale=_WIDE * width, x_scale=0.01, max_nfev=30
        ).x
    return move(step)


def _forget(squares: Floats) -> Floats:
    """Find Welsch's cost, which lets go of what is far off, with two derivatives (3, N)."""
    fading = np.exp(-squares)
    return np.stack([1 - fading, fading, -fading])


def _judge(
    rotation: Floats, translation: Floats, seen: tuple[Floats, Floats], focal: tuple[float, float]
) -> TwoViews:
    distances = find_distances(make_essential(rotation, translation), *seen, focal)
    scale = find_scale(distances)
    points = intersect_rays(rotation, translation, *seen)
    front = np.isfinite(points[:, 0])
    inliers = (np.abs(distances) < 4 * max(scale, 0.1)) & front
    first = points[inliers]
    second = first + rotation.T @ translation
    cosine = (first * second).sum(1) / np.maximum(
        np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1), 1e-12
    )
    angle = float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1))))) if len(first) else 0.0
    # Points behind a camera speak against a pose as false points do.
    behind = 1 - float(front[np.isfinite(distances)].mean()) if np.isfinite(distances).any() else 1
    return TwoViews(rotation, translation, inliers, scale * (1 + behind), angle)


def _keep_distinct(views: list[TwoViews]) -> list[TwoViews]:
    """Keep the best of each kind, and only those about as good as the very best."""
    kept: list[TwoViews] = []
    for view in views:
        if view.scale > 1.5 * views[0].scale or not view.inliers.any():
            continue
        if all(_find_difference(view, other) > _DISTINCT for other in kept):
            kept.append(view)
    return kept


def _find_difference(one: TwoViews, other: TwoViews) -> float:
    cosine = (np.trace(one.rotation.T @ other.rotation) - 1) / 2
    turned = np.arccos(np.clip(cosine, -1, 1))
    moved = np.arccos(np.clip(one.translation @ other.translation, -1, 1))
    return float(max(turned, moved))


def _add_one(plane: Floats) -> Floats:
    return np.concatenate([plane, np.ones((len(plane), 1))], axis=1)
