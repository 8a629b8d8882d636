"""Normal equations with very many small blocks, solved by eliminating these first.

Each board pose (6 numbers) or point (3) meets the cameras, but never another pose or point: its
block is inverted on its own, and what is left over for the cameras is small and dense.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from calibration.arrays import Floats, Ints

# Blocks taken at a time: the dense rows of this many stay within some ten megabytes.
_CHUNK = 1024
# Share of its own diagonal that is added to a block. Directions that nothing determines (a board
# of which one line of corners was seen turns about that line) then stay put instead of dividing by
# zero. Directions that are determined at all have more than 1e-9.
_RIDGE = 1e-14
# Directions of the cameras known worse than this, relative to the best, are not known: rounding
# and the ridge leave 1e-15 to 1e-12 of what is nothing, and the weakest of a calibration that is
# hardly possible (a camera that sees two boards) has 1e-6.
_UNDETERMINED = 1e-11


@dataclass(frozen=True, eq=False)
class View:
    """What one camera adds to the normal equations.

    Parameters
    ----------
    normal : float64, (P, P)
        J^T W J of the camera's P free parameters.
    slope : float64, (P,)
        J^T W r with the residuals r, projected minus seen.
    blocks : int, (n,)
        Numbers of the blocks that the camera sees.
    cross : float64, (n, P, B)
        J^T W J between its parameters and those of the blocks.
    """

    normal: Floats
    slope: Floats
    blocks: Ints
    cross: Floats


@dataclass(frozen=True, eq=False)
class Step:
    """A step towards the minimum.

    Parameters
    ----------
    cameras : float64, (sum of P,)
        Of the cameras' parameters.
    blocks : float64, (F, B)
        Of the blocks.
    gain : float
        By how much the cost J^T W J / 2 promises to fall.
    length : float
        Of the cameras' part, measured by what all that is seen says about them: squared, and for
        residuals of unit variance in their standard deviations.
    """

    cameras: Floats
    blocks: Floats
    gain: float
    length: float


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Normal equations of cameras and blocks.

    Parameters
    ----------
    views : tuple of View
        One per camera.
    blocks : float64, (F, B, B)
        J^T W J of each block.
    slopes : float64, (F, B)
        J^T W r of each block.
    """

    views: tuple[View, ...]
    blocks: Floats
    slopes: Floats

    @property
    def bounds(self) -> Ints:
        """Where each camera's parameters begin among all, and where the last ones end."""
        return np.cumsum([0, *(len(view.slope) for view in self.views)])

    def solve(self, damping: float, extra: Floats | float = 0.0) -> Step | None:
        """Find the step that minimises the linearised cost.

        Parameters
        ----------
        damping : float
            Share by which all diagonal blocks, of cameras and of frames, are enlarged. Unlike
            Marquardt's diagonal this does not depend on how poses are parametrised.
        extra : float or float64, (F,)
            Share by which single blocks of frames are enlarged on top.

        Returns
        -------
        Step or None
            None if rounding made the equations indefinite: more damping is needed.
        """
        enlarged = np.broadcast_to(1 + damping + extra, len(self.blocks))
        factors = _factor_blocks(self.blocks * enlarged[:, None, None])
        reduced, slope = self._reduce(factors, damping)
        scale = 1 / np.sqrt(np.maximum(np.diag(reduced), 1e-300))
        try:
            lower = np.linalg.cholesky(reduced * scale * scale[:, None])
        except np.linalg.LinAlgError:
            return None
        cameras = -scale * scipy.linalg.cho_solve((lower, True), scale * slope)
        right = self.slopes.copy()
        for view, (a, b) in zip(self.views, self._spans(), strict=True):
            right[view.blocks] += np.einsum("nij,i->nj", view.cross, cameras[a:b])
        blocks = -np.einsum("fji,fj->fi", factors, np.einsum("fij,fj->fi", factors, right))
        own = np.concatenate([view.slope for view in self.views])
        gain = -0.5 * (own @ cameras + np.einsum("fi,fi->", self.slopes, blocks))
        return Step(cameras, blocks, float(gain), float(-cameras @ slope))

    def find_covariance(self) -> Floats:
        """Invert what is left for the cameras; infinite variances where undetermined.

        Returns
        -------
        float64, (P, P) of all cameras
            Covariance of all cameras' parameters for residuals of unit variance.
        """
        reduced, _ = self._reduce(_factor_blocks(self.blocks), 0.0)
        own = np.concatenate([np.diag(view.normal) for view in self.views])
        # Scaled by what each parameter would be known to if it were the only one.
        scale = 1 / np.sqrt(np.where(own > 0, own, 1.0))
        values, vectors = np.linalg.eigh(reduced * scale * scale[:, None])
        known = values > _UNDETERMINED * max(1.0, values.max(initial=0.0))
        covariance = (vectors[:, known] / values[known]) @ vectors[:, known].T
        covariance *= scale * scale[:, None]
        lost = (vectors[:, ~known] ** 2).sum(1) > 1e-6
        covariance[lost, :] = covariance[:, lost] = 0.0
        covariance[lost, lost] = np.inf
        return np.asarray(covariance)

    def _spans(self) -> list[tuple[int, int]]:
        return list(itertools.pairwise(self.bounds.tolist()))

    def _reduce(self, factors: Floats, damping: float) -> tuple[Floats, Floats]:
        """Eliminate the blocks: the cameras' matrix (Schur complement) and slope."""
        n, spans = int(self.bounds[-1]), self._spans()
        reduced = np.zeros((n + 1, n + 1))
        for first in range(0, len(self.blocks), _CHUNK):
            part = factors[first : first + _CHUNK]
            rows = np.zeros((*part.shape[:2], n + 1))
            rows[..., n] = np.einsum("fij,fj->fi", part, self.slopes[first : first + _CHUNK])
            for view, (a, b) in zip(self.views, spans, strict=True):
                low, high = np.searchsorted(view.blocks, [first, first + _CHUNK])
                here = view.blocks[low:high] - first
                rows[here, :, a:b] = part[here] @ view.cross[low:high].swapaxes(1, 2)
            flat = rows.reshape(-1, n + 1)
            reduced -= flat.T @ flat
        slope = reduced[:n, n].copy()
        reduced = reduced[:n, :n]
        for view, (a, b) in zip(self.views, spans, strict=True):
            reduced[a:b, a:b] += view.normal * (1 + damping)
            slope[a:b] += view.slope
        return reduced, slope


def _factor_blocks(blocks: Floats) -> Floats:
    """Find M with M^T M = the inverse of each block."""
    diagonal = np.einsum("fii->fi", blocks)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = blocks * scale[:, None] * scale[..., None]
    np.einsum("fii->fi", scaled)[:] = 1 + _RIDGE
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(scaled))
    except np.linalg.LinAlgError:
        # Rounding has made a block slightly indefinite.
        values, vectors = np.linalg.eigh(scaled)
        values = np.maximum(values, _RIDGE)
        inverse = (vectors / np.sqrt(values)[:, None]).swapaxes(1, 2)
    return np.asarray(inverse * scale[:, None])
