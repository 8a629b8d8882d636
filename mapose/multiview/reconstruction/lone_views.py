"""Whether one view means another spot than all the others, or each means its own."""

from __future__ import annotations

import numpy as np
from scipy.special import fdtrc

from calibration import invert_normal
from mapose.arrays import Bools, Floats
from mapose.multiview.reconstruction.evidence import Evidence

#: Places of the entries of symmetric matrices (3, 3) that are kept.
PLACES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
# Chance at which the others would agree so well by themselves, over all views.
_CHANCE = 0.05
# Errors last if they are the same this part of the recording later.
_LATER = 4


def find_lone_views(evidence: Evidence, points: Floats, used: Bools) -> Bools:
    """Tell for which points one view alone disagrees, all the time, with the others.

    What lasts is seen once, however many frames there are. If all views err by as much, leaving
    one out does not make the others agree much better; if one alone does, they agree.

    Parameters
    ----------
    evidence : Evidence
        Of F frames and T points.
    points : float64, (F, T, 3)
        Near where they are.
    used : bool, (V, F, T)
        Views that count.

    Returns
    -------
    bool, (T,)

    References
    ----------
    Fisher's F test of a shift in the mean: Cook and Weisberg 1982, "Residuals and influence in
    regression", section 2.2.
    """
    count = len(points)
    lag = max(count // _LATER, 1)
    residual, slopes = evidence.look(points)
    lasting = np.zeros((len(used) + 1, used.shape[2]))
    floor = np.zeros_like(lasting)
    views = np.median(used.sum(0), axis=0) if count else np.zeros(used.shape[2])
    for v in range(-1, len(used)):
        kept = used.copy()
        if v >= 0:
            kept[v] = False
        off = _fit(residual, slopes, kept)
        off = np.where(kept, off, 0)
        enough = kept.sum(0) >= 2
        pairs = np.maximum((enough[:-lag] & enough[lag:]).sum(0), 1) if count > lag else 1
        total = (off**2).sum((0, 1)).sum(0) / np.maximum(enough.sum(0), 1)
        same = np.einsum("avft,avft->t", off[:, :, :-lag], off[:, :, lag:]) / pairs
        free = np.maximum(2 * (views - (v >= 0)) - 3, 1)
        floor[v + 1] = total / np.maximum(count, 1) + 2 * total / np.sqrt(pairs * free)
        lasting[v + 1] = np.maximum(same, 0)
    free = 2 * (views - 1) - 3
    some = np.maximum(free, 1)
    # No worse than noise alone would look, and no better.
    rest = (lasting[1:] + floor[1:]) / np.maximum(lasting[0] + floor[0], 1e-300)
    rest = np.clip(rest, 1e-9, 1).min(0)
    chance = fdtrc(2, some, (1 - rest) / 2 / (rest / some))
    return np.asarray((free >= 1) & (chance * views < _CHANCE))


def _fit(residual: Floats, slopes: Floats, kept: Bools) -> Floats:
    """Find what is left of residuals (2, V, F, T) once points are moved to fit the kept views."""
    weighted = slopes * kept
    normals = np.stack(
        [np.einsum("avft,avft->ft", weighted[:, i], slopes[:, j]) for i, j in PLACES]
    )
    pull = np.einsum("aivft,avft->ift", weighted, residual)
    normals[[0, 3, 5]] += 1e-9 * (normals[0] + normals[3] + normals[5]) + 1e-300
    a, b, c, d, e, f = invert_normal(normals)[0]
    x, y, z = pull
    step = -np.stack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z])
    return np.nan_to_num(residual + np.einsum("aivft,ift->avft", slopes, step))
