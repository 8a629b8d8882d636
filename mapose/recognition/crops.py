"""Pictures of single animals, all turned the same way: what an appearance is learned from.

Every animal is laid onto the mean pose of its kind by a rotation and a shift, so that a pixel of
the crop is about the same place on every body. What lies off the body is blanked: the floor would
say where an animal is, not who it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree

from mapose.arrays import AnyFloats, Bools, Complexes, Image, Ints, Singles
from mapose.errors import ShapeError
from mapose.skeleton import Skeleton

#: What is blanked is black: it stays black under any light, as blanked parts must.
BLANK = 0
#: Words in keypoint names that tell the front of a body from its rear.
_FRONT = ("nose", "snout", "head", "mouth", "beak", "eye", "ear", "antenna", "neck")
_REAR = ("tail", "abdomen", "hip", "hind", "rump", "haunch", "tti")
#: Share of the body, by weight of its keypoints, that must be there for a crop.
_ENOUGH = 0.4
#: Weight below which a keypoint dangles, such as the tip of a tail or of a leg.
_FIRM = 0.15
#: In body units: half width of what is kept around the limbs, a rim of floor included, by which
#: the light can be told; of the back alone; and room around the body.
_GIRTH, _BACK, _ROOM = 0.55, 0.3, 0.55


@dataclass(frozen=True, eq=False)
class BodyTemplate:
    """Mean pose of a kind of animal, head up; the unit is the spread of its keypoints.

    Parameters
    ----------
    points : float64, (K, 2)
        Keypoints around the origin, x right and y down.
    weight : float64, (K,)
        How firmly each sits on the body, 0 to 1; a tail tip hardly counts.
    edges : int64, (E, 2)
        Limbs, channels of the keypoints.
    """

    points: AnyFloats
    weight: AnyFloats
    edges: Ints

    @property
    def firm(self) -> Bools:
        """Which keypoints sit firmly on the body, bool (K,)."""
        return np.asarray(self.weight >= _FIRM)

    @property
    def reach(self) -> float:
        """Half the side of a crop, body units: the firm keypoints and room around them."""
        return float(np.abs(self.points[self.firm]).max() + _ROOM)


def find_template(points: AnyFloats, skeleton: Skeleton) -> BodyTemplate:
    """Find the mean pose of many, upright.

    Parameters
    ----------
    points : float, (N, K, 2)
        Poses in pixels; NaN = missing.
    skeleton : Skeleton
        Their keypoints. Names such as ``nose`` and ``tail_base`` say which end is the head; without
        any, the first keypoint lies in the upper half.

    Returns
    -------
    BodyTemplate

    Raises
    ------
    ShapeError
        If no two poses share two keypoints, so that there is nothing to align by.

    References
    ----------
    Generalised Procrustes analysis (Gower 1975), keypoints weighted by the inverse of how much
    they move on the body.
    """
    z = points[..., 0].astype(np.float64) + 1j * points[..., 1]
    z = z[np.isfinite(z).sum(1) >= 2]
    if len(z) < 2 or z.shape[1] < 2:
        raise ShapeError(
            "crops: wanted at least two poses with two keypoints or more to find how a body lies, "
            f"came {len(z)} of {len(points)}"
        )
    there = np.isfinite(z)
    mean = z[there.sum(1).argmax()]
    mean = np.where(np.isfinite(mean), mean, np.nanmean(mean))
    weight = np.ones(z.shape[1])
    for _ in range(12):
        mean = _standardise(mean, weight)
        turn, shift = _fit(z, mean, weight)
        laid = (z - shift[:, None]) / np.where(turn == 0, 1, turn)[:, None]
        seen = there.sum(0) > 0
        mean = np.where(seen, np.nansum(laid, 0) / np.maximum(there.sum(0), 1), mean)
        gap = np.abs(np.where(there, laid - mean, 0)) ** 2
        # A far keypoint draws the fit to itself and would look firm for that; and one that is
        # hardly ever found must not look firm either.
        pull = (
            weight / weight.sum() + weight * np.abs(mean) ** 2 / (weight * np.abs(mean) ** 2).sum()
        )
        spread = (gap.sum(0) + 0.5) / (there.sum(0) + 1.0) / np.maximum(1 - pull, 0.05) ** 2
        weight = 1 / (spread + 0.02)
        weight /= weight.max()
    mean = _standardise(mean * _find_uprightness(mean, weight, skeleton), weight)
    return BodyTemplate(np.stack([mean.real, mean.imag], -1), weight, _find_edges(mean, skeleton))


def fit_bodies(
    points: AnyFloats, template: BodyTemplate, *, scale: float | None = None
) -> Complexes:
    """Find how bodies lie in an image.

    Parameters
    ----------
    points : float, (..., K, 2)
        Poses in pixels; NaN = missing.
    template : BodyTemplate
        Their mean pose.
    scale : float, optional
        Pixels per body unit, the same for all; by default each body's own.

    Returns
    -------
    complex128, (..., 2)
        Turn and shift: the image point of a body point p is ``turn * p + shift``, x the real and
        y the imaginary part; the size of the turn is in pixels per body unit. NaN where too few
        keypoints are there.
    """
    points = np.asarray(points, np.float64)
    z = points[..., 0] + 1j * points[..., 1]
    mean = template.points[:, 0] + 1j * template.points[:, 1]
    flat = z.reshape(-1, z.shape[-1])
    turn, shift = _fit(flat, mean, template.weight, scale)
    there = np.isfinite(flat)
    enough = (there * template.weight).sum(1) >= _ENOUGH * template.weight.sum()
    enough &= (there.sum(1) >= 2) & (np.abs(turn) > 1e-6)
    fits = np.where(enough[:, None], np.stack([turn, shift], -1), np.nan)
    return np.asarray(fits.reshape(*z.shape[:-1], 2))


def find_scale(points: AnyFloats, template: BodyTemplate) -> float:
    """Find the usual size of the bodies in a recording, pixels per body unit.

    Parameters
    ----------
    points : float, (..., K, 2)
        Poses in pixels; NaN = missing.
    template : BodyTemplate
        Their mean pose.

    Returns
    -------
    float
        Median over the poses; NaN if there are none.
    """
    sizes = np.abs(fit_bodies(points, template)[..., 0])
    return float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else np.nan


def cut_crops(
    frame: Image,
    points: AnyFloats,
    *,
    template: BodyTemplate,
    size: int = 48,
    scale: float | None = None,
    masked: bool = True,
) -> tuple[Image, Bools]:
    """Cut out every animal of a frame, head up.

    Parameters
    ----------
    frame : uint8, (H, W) or (H, W, C)
        Image.
    points : float, (I, K, 2)
        Poses in its pixels; NaN = missing.
    template : BodyTemplate
        Mean pose of these animals, see `find_template`.
    size : int
        Side of the square crops, pixels.
    scale : float, optional
        Pixels per body unit, as of `find_scale`: then larger animals look larger. By default
        every animal is brought to the same size.
    masked : bool
        Whether to blank what lies off the body.

    Returns
    -------
    crops : uint8, (I, size, size, C)
        Black where there is nothing.
    found : bool, (I,)
        False where too few keypoints are there; that crop is blank.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    points = np.asarray(points, np.float64)
    if frame.ndim not in (2, 3) or points.shape[1:] != template.points.shape:
        raise ShapeError(
            f"crops: wanted a frame (H, W[, C]) and poses (I, {len(template.points)}, 2), came "
            f"{frame.shape} and {points.shape}"
        )
    channels = 1 if frame.ndim == 2 else frame.shape[2]
    crops = np.full((len(points), size, size, channels), BLANK, np.uint8)
    fits = fit_bodies(points, template, scale=scale)
    found = np.asarray(np.isfinite(fits).all(-1))
    per_pixel = 2 * template.reach / size  # body units
    corner = (1 + 1j) * (0.5 * per_pixel - template.reach)
    mean = template.points[:, 0] + 1j * template.points[:, 1]
    for i in np.flatnonzero(found):
        turn, shift = fits[i]
        step, origin = turn * per_pixel, turn * corner + shift
        matrix = np.array(
            [[step.real, -step.imag, origin.real], [step.imag, step.real, origin.imag]]
        )
        crops[i] = _warp(frame, matrix, size, abs(step)).reshape(size, size, channels)
        if masked:
            z = points[i, :, 0] + 1j * points[i, :, 1]
            body = np.where(np.isfinite(z), (z - shift) / turn, mean)
            cover = _draw_body((body - corner) / per_pixel, template, size, _GIRTH / per_pixel)
            crops[i] = np.round(crops[i] * cover[..., None])
    return crops, found


def draw_fur(template: BodyTemplate, size: int) -> Singles:
    """Draw where a crop of the mean pose shows the animal's back and no floor.

    Parameters
    ----------
    template : BodyTemplate
        Mean pose.
    size : int
        Side of the crop, pixels.

    Returns
    -------
    float32, (size, size)
        0 to 1, with a soft edge.
    """
    per_pixel = 2 * template.reach / size
    body = template.points[:, 0] + 1j * template.points[:, 1] + (1 + 1j) * template.reach
    return _draw_body(body / per_pixel - (0.5 + 0.5j), template, size, _BACK / per_pixel)


def _warp(frame: Image, matrix: AnyFloats, size: int, step: float) -> Image:
    """Take a square out of an image; step is image pixels per pixel of the square."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border: dict[str, Any] = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (BLANK,) * 3}
    if step < 1.5:
        return np.asarray(cv2.warpAffine(frame, matrix, (size, size), flags=flags, **border))
    # Shrinking by sampling alone would make patterns flicker: cut finer, then average.
    finer = int(np.ceil(step))
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 / finer - 0.5)
    matrix[:, :2] /= finer
    side = size * finer
    fine = cv2.warpAffine(frame, matrix, (side, side), flags=flags, **border)
    return np.asarray(cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA))


def _draw_body(body: Complexes, template: BodyTemplate, size: int, girth: float) -> Singles:
    """Draw where the body is, float32 (size, size) from 0 to 1; keypoints in pixels of the crop."""
    mask = np.zeros((size, size), np.uint8)
    fixed = np.clip(np.round(16 * np.stack([body.real, body.imag], -1)), -32000, 32000).astype(int)
    firm = template.firm[template.edges].all(1)
    for a, b in template.edges[firm if firm.any() else slice(None)].tolist():
        ends = fixed[a].tolist(), fixed[b].tolist()
        cv2.line(mask, *ends, 255, max(1, round(2 * girth)), cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(size / 48, 0.5))
    return np.asarray(soft / 255, np.float32)


def _standardise(mean: Complexes, weight: AnyFloats) -> Complexes:
    """Move a pose to the origin and to unit spread."""
    centred = mean - (weight * mean).sum() / weight.sum()
    return np.asarray(centred / np.sqrt((weight * np.abs(centred) ** 2).sum() / weight.sum()))


def _fit(
    z: Complexes, mean: Complexes, weight: AnyFloats, scale: float | None = None
) -> tuple[Complexes, Complexes]:
    """Fit ``turn * mean + shift`` to poses (N, K), least squares; NaN keypoints do not count."""
    w = np.where(np.isfinite(z), weight, 0.0)
    z, total = np.where(w > 0, z, 0), np.maximum(w.sum(1), 1e-12)
    middle, origin = (w * z).sum(1) / total, (w * mean).sum(1) / total
    off = mean - origin[:, None]
    turn = (w * (z - middle[:, None]) * off.conj()).sum(1)
    turn = turn / np.maximum((w * np.abs(off) ** 2).sum(1), 1e-12)
    if scale is not None:
        turn = turn * (scale / np.maximum(np.abs(turn), 1e-12))
    return turn, middle - turn * origin


def _find_uprightness(mean: Complexes, weight: AnyFloats, skeleton: Skeleton) -> complex:
    """Find the turn that brings a standardised pose upright, a complex number of size 1."""
    mean = _standardise(mean, weight)
    axis = np.exp(0.5j * np.angle((weight * mean**2).sum()))
    along = (mean / axis).real
    names = [name.lower() for name in skeleton.keypoints]
    front = np.array([any(word in name for word in _FRONT) for name in names])
    rear = np.array([any(word in name for word in _REAR) for name in names])
    if front.any() and rear.any():
        ahead = along[front].mean() - along[rear].mean()
    elif front.any() or rear.any():
        ahead = along[front].sum() - along[rear].sum()
    else:
        ahead = along[0]
    # Up is -i: y runs down.
    return complex(-1j / axis if ahead >= 0 else 1j / axis)


def _find_edges(mean: Complexes, skeleton: Skeleton) -> Ints:
    """Take the skeleton's limbs, or, where it has none, join nearest keypoints to a tree."""
    if len(skeleton.edges):
        return skeleton.edge_index
    tree = minimum_spanning_tree(np.abs(mean[:, None] - mean[None]) + 1e-9)
    return np.stack(tree.nonzero(), -1).astype(np.int64)
