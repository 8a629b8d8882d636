"""Making a lattice of corners exact and whole: refined, extended, and freed of false corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from calibration.arrays import Floats, Image, Ints
from calibration.corners.cornerfit import fit_corners
from calibration.corners.lattice import STEPS, find_neighbours, find_spacing, predict_nodes
from calibration.corners.saddles import (
    Saddles,
    check_saddles,
    expect_rings,
    refine_saddles,
    sample_image,
)

# The window of the refinement reaches over this part of the square, where nothing else is.
REACH = 0.3
# A corner may lie off its prediction by this part of a square, or by so many pixels.
_TOLERANCE, _NEAR = 0.12, 1.5
# Predictions beyond the known corners are searched this part of a square around.
_AROUND = 0.2
# Grey levels between bright and dark that a predicted corner must show.
_CONTRAST = 8.0
# Beyond the rim of a board of unknown size so many more columns and rows are looked for.
_ROUNDS = 4
# So many neighbours predict where a corner should be.
_NEAREST = 12
# Unknown neighbours of a corner are predicted at this part of a square.
_HALF = 0.5
# Part of the variance around a corner that four blurred squares must explain.
_QUALITY = 0.7


@dataclass(frozen=True, eq=False)
class FittedLattice:
    """A lattice, exact.

    Attributes
    ----------
    nodes : int64, (M, 2)
        Column and row.
    xy : float64, (M, 2)
        Pixels.
    blur : float
        Standard deviation of the blur of edges in pixels; NaN without corners.
    """

    nodes: Ints
    xy: Floats
    blur: float


def extend_lattice(
    image: Image,
    nodes: Ints,
    xy: Floats,
    *,
    bright: int,
    size: tuple[int, int] | None = None,
    reach: float = REACH,
) -> tuple[Ints, Floats]:
    """Find corners that were missed, and drop false ones.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey, in full size.
    nodes : int64, (N, 2)
        Column and row of known corners.
    xy : float64, (N, 2)
        Their pixels, to a few.
    bright : int
        1 if the square right of and below a node of even column plus row is bright, else -1.
    size : (int, int), optional
        Columns and rows of corners, if known; no others are looked for.
    reach : float
        Part of a square around a corner that shows nothing but the four squares.

    Returns
    -------
    nodes : int64, (M, 2)
        Column and row.
    xy : float64, (M, 2)
        Pixels, to a few tenths.
    """
    if size is not None:
        inside = ((nodes >= 0) & (nodes < np.array(size))).all(1)
        nodes, xy = nodes[inside], xy[inside]
    xy = _refine(image, nodes, xy, reach)
    keep = np.isfinite(xy[:, 0])
    nodes, xy = nodes[keep], xy[keep]
    if size is not None and len(nodes) == size[0] * size[1]:
        return nodes, xy
    nodes, xy = drop_strays(nodes, xy)
    known = len(nodes)
    for _ in range(_ROUNDS if size is None else sum(size)):
        wanted = _list_neighbours(nodes, size)
        added, there = _look_for(image, (nodes, xy), wanted, bright, reach)
        if len(added) == 0:
            break
        nodes, xy = np.concatenate([nodes, added]), np.concatenate([xy, there])
    return drop_strays(nodes, xy) if len(nodes) > known else (nodes, xy)


def fit_lattice(image: Image, nodes: Ints, xy: Floats, *, reach: float = REACH) -> FittedLattice:
    """Fit all corners with a model, now that the squares around them are known.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey, in full size.
    nodes : int64, (N, 2)
        Column and row.
    xy : float64, (N, 2)
        Pixels, to a few tenths.
    reach : float
        Part of a square around a corner that shows nothing but the four squares.

    Returns
    -------
    FittedLattice
        Without those that look otherwise or lie off the others.
    """
    arms = find_neighbours(nodes, xy) - xy[:, None]
    # At the rim edges go on as they come.
    arms = np.where(np.isnan(arms), -np.roll(arms, 2, axis=1), arms)
    i, side = np.nonzero(np.isnan(arms[..., 0]))
    arms[i, side] = (predict_nodes(nodes, xy, nodes[i] + _HALF * STEPS[side]) - xy[i]) / _HALF
    known = np.isfinite(arms).all((1, 2))
    nodes, xy, arms = nodes[known], xy[known], arms[known]
    fit = fit_corners(image, xy, arms, reach)
    side = np.hypot(arms[..., 0], arms[..., 1]).min(1)
    near = np.hypot(*(fit.xy - xy).T) < np.maximum(_NEAR, _TOLERANCE * side)
    good = near & (fit.quality > _QUALITY)
    nodes, xy = drop_strays(nodes[good], fit.xy[good])
    blur = float(np.median(fit.blur[good])) if good.any() else float("nan")
    return FittedLattice(nodes, xy, blur)


def _refine(image: Image, nodes: Ints, xy: Floats, reach: float) -> Floats:
    spacing = find_spacing(nodes, xy)
    spacing = np.where(np.isnan(spacing), np.nanmin(spacing, initial=20.0), spacing)
    refined = refine_saddles(image, xy, reach * spacing)
    strayed = np.hypot(*(refined - xy).T) > np.maximum(2.5, 0.2 * spacing)
    refined[strayed] = np.nan
    return refined


def drop_strays(nodes: Ints, xy: Floats) -> tuple[Ints, Floats]:
    """Drop corners that lie off the lattice of their neighbours.

    Predictions are local homographies, so corners bent away by the lens stay: between
    neighbours even a fisheye lens bends squares by a few hundredths only.

    Parameters
    ----------
    nodes : int64, (N, 2)
        Column and row.
    xy : float64, (N, 2)
        Pixels.

    Returns
    -------
    nodes, xy
        Those that remain.
    """
    for _ in range(len(nodes)):
        if len(nodes) < 6:
            break
        predicted = predict_nodes(nodes, xy, nodes, nearest=_NEAREST)
        off = np.hypot(*(predicted - xy).T)
        if not (off > _NEAR).any():
            break
        # Its neighbours tell the size of a square, and whether they are worse themselves: a false
        # corner spoils the predictions of all that it helps to predict.
        near = cKDTree(nodes).query(nodes, k=min(_NEAREST + 1, len(nodes)))[1]
        two = near[:, 1:3]
        apart, steps = xy[two] - xy[:, None], nodes[two] - nodes[:, None]
        side = np.hypot(apart[..., 0], apart[..., 1]) / np.hypot(steps[..., 0], steps[..., 1])
        side = (side[:, 0] + side[:, 1]) / 2
        excess = off / np.maximum(_NEAR, _TOLERANCE * side)
        excess[np.isnan(excess)] = 0
        worst = (excess > 1) & (excess >= excess[near].max(1))
        if not worst.any():
            break
        nodes, xy = nodes[~worst], xy[~worst]
    return nodes, xy


def _list_neighbours(nodes: Ints, size: tuple[int, int] | None) -> Ints:
    """List the nodes next to known ones."""
    known = set(map(tuple, nodes.tolist()))
    around = (nodes[:, None] + STEPS).reshape(-1, 2)
    if size is not None:
        around = around[((around >= 0) & (around < np.array(size))).all(1)]
    fresh = set(map(tuple, around.tolist())) - known
    return np.array(sorted(fresh), np.int64).reshape(-1, 2)


def _look_for(
    image: Image, known: tuple[Ints, Floats], wanted: Ints, bright: int, reach: float
) -> tuple[Ints, Floats]:
    """Look where corners are predicted, and keep those that are there."""
    if len(wanted) == 0:
        return wanted, np.empty((0, 2))
    ahead = 0.4
    spots = [wanted, wanted + [ahead, 0], wanted + [0, ahead]]
    there, right, below = predict_nodes(*known, np.concatenate(spots)).reshape(3, -1, 2)
    u, v = (right - there) / ahead, (below - there) / ahead
    side = np.minimum(np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1))
    area = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    spacing = area / np.maximum(
        np.maximum(np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)), 1e-9
    )
    height, width = image.shape
    inside = ((there > 2) & (there < [width - 3, height - 3])).all(1) & (spacing > 4)
    if not inside.any():
        return wanted[:0], np.empty((0, 2))
    wanted, there, u, v = wanted[inside], there[inside], u[inside], v[inside]
    side, spacing = side[inside], spacing[inside]
    sign = np.where(wanted.sum(1) % 2 == 0, bright, -bright)
    radius = np.clip(reach * spacing, 2.0, 8.0)
    start = _search(image, _expect(there, u, v, sign), radius, _AROUND * spacing)
    refined = refine_saddles(image, start, reach * spacing)
    near = np.linalg.norm(refined - start, axis=1) < np.maximum(_NEAR, _TOLERANCE * side)
    saddles, alike = check_saddles(image, _expect(refined, u, v, sign), radius)
    chosen = near & alike & (saddles.contrast > _CONTRAST)
    return wanted[chosen], refined[chosen]


def _search(image: Image, expected: Saddles, radius: Floats, around: Floats) -> Floats:
    """Find around predictions the places that look most like corners."""
    ticks = np.linspace(-1, 1, 9)
    shifts = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    spots = expected.xy[:, None] + around[:, None, None] * shifts
    ring, wanted = expect_rings(expected, radius)
    levels = sample_image(image, spots[:, :, None] + ring[:, None])
    best = (levels @ wanted[..., None])[..., 0].argmax(1)
    return np.asarray(spots[np.arange(len(spots)), best])


def _expect(xy: Floats, u: Floats, v: Floats, bright: Ints) -> Saddles:
    """Say how corners with edges along u and v look."""
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    v = v / np.linalg.norm(v, axis=1, keepdims=True) * bright[:, None]
    axis = u + v
    opening = np.arccos(np.clip((u * v).sum(1), -1, 1)) / 2
    return Saddles(xy, np.arctan2(axis[:, 1], axis[:, 0]), opening, np.zeros(len(xy)))
