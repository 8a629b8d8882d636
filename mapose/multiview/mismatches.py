"""Views whose keypoints, moments or frames are not those of the others, though the picture is.

Left and right exchanged in one view, a view that began later, frames doubled by a converter, a
camera that hung: each is held against where the other views put the animal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from calibration import CameraGroup, triangulate_points
from mapose.arrays import Floats, Ints

#: Frames, the first ones, in which time is compared.
PIECE = 2000
# Frames of it that are looked at.
_FRAMES = 200
# Another keypoint, or another moment, is meant if it is this many times as far as what is told to
# be, and that is far: distances over the diagonal of the picture.
_KEYPOINT, _MOMENT, _LEAST = 0.35, 0.6, 0.004
# What is told to be meant fits to this share of the diagonal; else something else is wrong.
_FITS = 0.009
# Lags that are tried, and the least that is told, frames.
_LAGS, _LAG = 120, 2
# Share of frames that repeat the one before; of other views a quarter of it may.
_REPEATED, _MORE, _ENOUGH = 0.25, 4.0, 20


def compare_frames(
    cameras: CameraGroup, some: Floats, piece: Floats, *, keypoints: Sequence[str]
) -> list[str]:
    """Say in which views keypoints are exchanged or moments are others.

    Two views alone cannot tell who is wrong: of them only repeated frames are told, by `Repeats`.

    Parameters
    ----------
    cameras : calibration.CameraGroup
        V of them.
    some : float64, (V, F, I, K, 2)
        What they saw in the frames that `contradictions.pick_frames` picks, px; NaN = not seen.
        Individuals are the same in all views.
    piece : float64, (V, F, I, K, 2)
        What they saw in the first frames, `PIECE` at most.
    keypoints : sequence of str
        Names of the K keypoints.

    Returns
    -------
    list of str
        One sentence for each; empty for views that fit.
    """
    if len(cameras) < 3 or not piece.shape[1]:
        return []
    said = []
    for v in range(len(cameras)):
        expected = _expect(cameras, some, v, robust=True)
        size = float(np.hypot(*cameras.cameras[v].size))
        if words := _compare_keypoints(some[v], expected, keypoints, size=size):
            said.append(f"{cameras.names[v]}: {words}")
    return said + _list_moments(cameras, piece)


def _expect(cameras: CameraGroup, pixels: Floats, v: int, *, robust: bool) -> Floats:
    """Find where a camera should see what the others see: pixels (F, I, K, 2)."""
    others = [u for u in range(len(cameras)) if u != v]
    group = CameraGroup([cameras.cameras[u] for u in others])
    points = triangulate_points(group, pixels[others], robust=robust).points
    return cameras.cameras[v].project(points)


def _find_median(apart: Floats) -> float:
    """Find the median of the finite ones; infinite if there are too few to go by."""
    apart = apart[np.isfinite(apart)]
    return float(np.median(apart)) if len(apart) >= 10 else np.inf


def _compare_keypoints(
    seen: Floats, expected: Floats, keypoints: Sequence[str], *, size: float
) -> str:
    """Say which keypoints (F, I, K, 2) lie where others are expected; else ""."""
    count = len(keypoints)
    apart = np.array(
        [
            [
                _find_median(np.linalg.norm(seen[:, :, j] - expected[:, :, k], axis=-1))
                for k in range(count)
            ]
            for j in range(count)
        ]
    )
    known = np.minimum(apart, 1e6)
    chosen: Ints = linear_sum_assignment(known)[1]
    own, best = np.diag(known), known[np.arange(count), chosen]
    odd = (chosen != np.arange(count)) & (own > _LEAST * size) & (best < _KEYPOINT * own)
    odd &= best < _FITS * size
    odd &= np.isin(chosen, np.flatnonzero(odd))
    odd &= np.isfinite(np.diag(apart))
    if odd.sum() < 2:
        return ""
    swaps = [(int(j), int(chosen[j])) for j in np.flatnonzero(odd) if chosen[chosen[j]] == j]
    numbers = f"{np.median(own[odd]):.1f} px off as named, {np.median(best[odd]):.1f} px so"
    if len(swaps) == odd.sum():
        told = ", ".join(f"{keypoints[j]} and {keypoints[k]}" for j, k in swaps if j < k)
        return f"the others see {told} exchanged ({numbers}): is left right there?"
    told = ", ".join(
        f"{keypoints[int(j)]} at {keypoints[int(chosen[j])]}" for j in np.flatnonzero(odd)
    )
    return f"the others see {told} ({numbers}): are its keypoints in another order?"


def _list_moments(cameras: CameraGroup, pixels: Floats) -> list[str]:
    """Say of the view that gains most by it that it shows other moments than the others."""
    best, told = _MOMENT, ""
    length = pixels.shape[1]
    some = np.arange(0, length, max(1, length // _FRAMES))
    others = {
        "if each of its frames is there twice": some // 2,
        "if it has every second frame only": some * 2,
        "if it runs backwards": length - 1 - some,
    }
    for lag in range(_LAG, min(_LAGS, length // 2) + 1):
        others[f"{lag} frames earlier"] = some - lag
        others[f"{lag} frames later"] = some + lag
    for v, camera in enumerate(cameras):
        seen, expected = pixels[v][some], _expect(cameras, pixels, v, robust=False)
        before = _find_median(np.linalg.norm(seen - expected[some], axis=-1))
        size = float(np.hypot(*camera.size))
        if not _LEAST * size < before < np.inf:
            continue
        for when, places in others.items():
            there = (places >= 0) & (places < length)
            after = _find_median(np.linalg.norm(seen[there] - expected[places[there]], axis=-1))
            if after < min(best * before, _FITS * size):
                best = after / before
                told = (
                    f"{camera.name}: what it saw fits the others to {after:.1f} px {when}, as it "
                    f"is to {before:.1f} px: was it trimmed, or taken at another rate? "
                    "(--synchronize, --times)"
                )
    return [told] if told else []


class Repeats:
    """Counts the frames that repeat the one before to the last digit, some after others."""

    def __init__(self, cameras: CameraGroup) -> None:
        self._names = cameras.names
        self._seen, self._repeated = np.zeros((2, len(cameras)), np.int64)
        self._last: Floats | None = None

    def add(self, pixels: Floats) -> None:
        """Count those of the frames that follow, float64 (V, F, I, K, 2)."""
        if self._last is not None:
            pixels = np.concatenate([self._last, pixels], axis=1)
        self._last = pixels[:, -1:].copy()
        there = np.asarray(np.isfinite(pixels).all(-1))
        both = there[:, 1:] & there[:, :-1]
        same = (pixels[:, 1:] == pixels[:, :-1]).all(-1) | ~both
        seen = both.any((2, 3))
        self._seen += seen.sum(1)
        self._repeated += (same.all((2, 3)) & seen).sum(1)

    def list_repeats(self) -> list[str]:
        """Say which views repeat frames though others do not."""
        count, repeated = self._seen, self._repeated
        share = repeated / np.maximum(count, 1)
        said = []
        for v, name in enumerate(self._names):
            others = np.delete(share, v)[np.delete(count, v) >= _ENOUGH]
            usual = float(np.median(others)) if len(others) else 1.0
            if count[v] >= _ENOUGH and share[v] > max(_REPEATED, _MORE * usual):
                said.append(
                    f"{name}: in {100 * share[v]:.0f} % of its frames ({repeated[v]} of "
                    f"{count[v]}) it saw to the last digit what it saw in the frame before, the "
                    f"others in {100 * usual:.0f} %: are frames doubled there, did the camera hang?"
                )
        return said
