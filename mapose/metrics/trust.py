"""Measure whether stated uncertainty is true: ellipses that hold, probabilities that come true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats
from mapose.metrics.pose import match_individuals

#: Squared Mahalanobis distance below which 95 % of 2D normal errors lie.
_ELLIPSE = 5.991
#: Groups of equal width in which confidence is held against what came true.
_BINS = 10


@dataclass(frozen=True)
class Trust:
    """How far stated uncertainty is true.

    Attributes
    ----------
    compared, held : int
        Labelled keypoints that were found with a covariance, and those of them whose label lies
        in the 95 % ellipse.
    stated, right : float
        Mean confidence of them, and the share that is within the tolerance; NaN without any.
    off : float
        Mean difference of the two in ten groups by confidence (expected calibration error).
    tolerance : float
        In px; NaN where the model states none, and then these three are NaN, too.
    """

    compared: int
    held: int
    stated: float
    right: float
    off: float
    tolerance: float

    @property
    def share(self) -> float:
        """Share of the labels in the 95 % ellipses, NaN without any."""
        return self.held / self.compared if self.compared else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Make plain values, ready for JSON."""
        numbers = {"in_ellipse": self.share, "stated": self.stated, "right": self.right}
        numbers |= {"off": self.off, "tolerance": self.tolerance}
        plain = {key: None if v != v else float(v) for key, v in numbers.items()}
        return {"compared": self.compared, "held": self.held, **plain}

    def __str__(self) -> str:
        if not self.compared:
            return "95 % ellipses: nothing to compare"
        words = f"95 % ellipses hold {100 * self.share:.1f}% of {self.compared} labels"
        if self.stated == self.stated:
            words += (
                f"; stated {100 * self.stated:.1f}%, right {100 * self.right:.1f}% "
                f"(within {self.tolerance:.1f} px), off by {self.off:.3f}"
            )
        return words


def find_trust(
    truth: AnyFloats,
    found: AnyFloats,
    confidence: AnyFloats,
    covariance: AnyFloats | None,
    *,
    tolerance: float = float("nan"),
) -> Trust:
    """Hold stated uncertainty against labels.

    Parameters
    ----------
    truth : float, (F, I, K, 2)
        Labels, px; NaN = not labelled.
    found : float, (F, J, K, 2)
        Found keypoints; NaN = missing.
    confidence : float, (F, J, K)
        Of the found keypoints.
    covariance : float, (F, J, K, 2, 2), optional
        Of the found keypoints, px².
    tolerance : float
        Distance in px that the confidence is about; NaN = it is no probability.

    Returns
    -------
    Trust

    Examples
    --------
    >>> truth = np.zeros((1, 1, 2, 2))
    >>> found = np.array([[[[1.0, 0], [3, 0]]]])
    >>> half, one = np.full((1, 1, 2), 0.5), np.tile(np.eye(2), (1, 1, 2, 1, 1))
    >>> print(find_trust(truth, found, half, one, tolerance=2))
    95 % ellipses hold 50.0% of 2 labels; stated 50.0%, right 50.0% (within 2.0 px), off by 0.000
    """
    partner = match_individuals(truth, found)
    frame, who = np.nonzero(partner >= 0)
    other = partner[frame, who]
    gap = truth[frame, who].astype(np.float64) - found[frame, other]
    there = np.isfinite(gap).all(-1)
    gap, sure = gap[there], np.asarray(confidence)[frame, other][there]
    held = 0
    if covariance is not None and len(gap):
        spread = np.asarray(covariance)[frame, other][there] + 1e-9 * np.eye(2)
        squared = np.einsum("ni,nij,nj->n", gap, np.linalg.inv(spread), gap)
        held = int((squared <= _ELLIPSE).sum())
    nothing = float("nan")
    if not len(gap) or tolerance != tolerance:
        return Trust(len(gap), held, nothing, nothing, nothing, tolerance)
    right = np.linalg.norm(gap, axis=-1) <= tolerance
    group = np.minimum((_BINS * sure).astype(int), _BINS - 1)
    excess = np.bincount(group, sure - right, minlength=_BINS)
    off = float(np.abs(excess).sum() / len(gap))
    return Trust(len(gap), held, float(sure.mean()), float(right.mean()), off, tolerance)
