"""Finding the points where four squares of a chessboard meet, and their exact position.

There brightness has a saddle: seen at a small scale it grows along one axis and falls along the
other, whatever the colours of print and paper, the perspective or the lens. So the same search
serves chessboards and ChArUco boards, printed normally or inverted, seen from the front or
through the back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from calibration.arrays import Bools, Floats, Image, Singles

# Scale of the derivatives, radius of the ring of samples in the test (both in pixels).
_SIGMA = 1.0
_RING = 3.0
# Samples on half of the ring.
_HALF = 12
# At most so many points go to the ring test, the strongest ones, and one on so many pixels; more
# slow down and gain nothing. Corners of boards in real recordings are among the first 360.
_MOST, _AREA = 3000, 64
# Sectors of less than twice this half angle (radians) are rather an uneven edge.
_NARROW = 0.2
# Corners have at least this part of the contrast of the clearest ones in the image.
_FAINT = 0.08
# Grey levels by which the sectors around a corner must differ at least.
_CONTRAST = 6.0


@dataclass(frozen=True, eq=False)
class Saddles:
    """Points of an image that look like the meeting of four squares.

    Attributes
    ----------
    xy : float64, (N, 2)
        Pixels.
    axis : float64, (N,)
        Direction of the middle of a bright sector, radians, from x towards y.
    opening : float64, (N,)
        Half the angle of the bright sectors, radians.
    contrast : float64, (N,)
        Difference of bright and dark sectors in grey levels.
    """

    xy: Floats
    axis: Floats
    opening: Floats
    contrast: Floats

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, chosen: npt.NDArray[Any]) -> Saddles:
        """Keep some of the points."""
        return Saddles(
            self.xy[chosen], self.axis[chosen], self.opening[chosen], self.contrast[chosen]
        )


def find_saddles(image: Image, *, most: int = 800) -> Saddles:
    """Find points where four squares may meet.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    most : int
        So many points at most, those of the highest contrast.

    Returns
    -------
    Saddles
        Positions to about a tenth of a pixel.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), _SIGMA).astype(np.float32)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0)
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2)
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1)
    saddle = cv2.subtract(cv2.multiply(xy, xy), cv2.multiply(xx, yy))
    # Sobel's kernels sum up to 4 times the second derivative; a step of c grey levels bends by
    # about c / (2 pi sigma^2) at its corner. Half of that is the floor.
    floor = (4 * _CONTRAST / (4 * np.pi * _SIGMA**2)) ** 2
    peak = (saddle >= cv2.dilate(saddle, np.ones((5, 5), np.uint8))) & (saddle > floor)
    edge = int(_RING) + 2
    peak[:edge] = peak[-edge:] = False
    peak[:, :edge] = peak[:, -edge:] = False
    spots = np.flatnonzero(peak)
    count = min(_MOST, peak.size // _AREA)
    if len(spots) > count:
        spots = spots[np.argpartition(-saddle.ravel()[spots], count)[:count]]
    y, x = np.divmod(spots, image.shape[1])
    # Newton's step to where the gradient vanishes.
    a, b, d = xx[y, x] / 4, xy[y, x] / 4, yy[y, x] / 4
    gx, gy = (smooth[y, x + 1] - smooth[y, x - 1]) / 2, (smooth[y + 1, x] - smooth[y - 1, x]) / 2
    determinant = a * d - b * b
    right, down = (b * gy - d * gx) / determinant, (b * gx - a * gy) / determinant
    near = (np.abs(right) < 1.5) & (np.abs(down) < 1.5)
    found = _read_rings(image, np.stack([x + right, y + down], -1)[near].astype(np.float64))
    # In clean drawings several pixels are equally near to a corner, and all step onto it.
    found = found.take(np.argsort(-found.contrast, kind="stable"))
    twice = cKDTree(found.xy).query_pairs(1.0, output_type="ndarray")[:, 1]
    found = found.take(np.delete(np.arange(len(found)), twice)[:most])
    # What is faint beside the clearest tenth is noise.
    return found.take(found.contrast > _FAINT * found.contrast[len(found) // 10 :][:1])


def _read_rings(image: Image, xy: Floats) -> Saddles:
    """Keep points around which a ring crosses two edges, and take their directions from it."""
    ring = np.arange(2 * _HALF) * (np.pi / _HALF)
    around = _RING * np.stack([np.cos(ring), np.sin(ring)], -1)
    levels = sample_image(image, xy[:, None] + around)
    level = levels - levels.mean(-1, keepdims=True)
    # Both halves of the ring show the same.
    product = (level[:, :_HALF] * level[:, _HALF:]).sum(-1)
    alike = 2 * product > 0.5 * (level * level).sum(-1)
    xy, levels = xy[alike], levels[alike]
    # What is left repeats after half a turn.
    half = (levels[:, :_HALF] + levels[:, _HALF:]) / 2
    half = (np.roll(half, 1, -1) + 2 * half + np.roll(half, -1, -1)) / 4
    high, low = half.max(-1), half.min(-1)
    half -= (high + low)[:, None] / 2
    after = np.roll(half, -1, -1)
    rises, falls = (half <= 0) & (after > 0), (half > 0) & (after <= 0)
    good = (rises.sum(-1) == 1) & (high - low > _CONTRAST)
    half, after, rises, falls = half[good], after[good], rises[good], falls[good]
    every, up, down = np.arange(len(half)), rises.argmax(-1), falls.argmax(-1)
    share = half / np.where(half == after, 1.0, half - after)
    start = (up + share[every, up]) * (np.pi / _HALF)
    width = (down + share[every, down]) * (np.pi / _HALF) - start
    opening = (width % np.pi) / 2
    found = Saddles(xy[good], start + opening, opening, (high - low)[good])
    return found.take(np.minimum(opening, np.pi / 2 - opening) > _NARROW)


def check_saddles(image: Image, saddles: Saddles, radius: float | Floats) -> tuple[Saddles, Bools]:
    """Look on a ring around points whether two bright sectors face two dark ones.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    saddles : Saddles
        N points.
    radius : float, () or (N,)
        Of the ring, in pixels.

    Returns
    -------
    saddles : Saddles
        With contrasts as measured on the ring.
    alike : bool, (N,)
        Whether the ring looks as at a corner.
    """
    around, wanted = expect_rings(saddles, radius)
    values = sample_image(image, saddles.xy[:, None] + around)
    level = values - values.mean(-1, keepdims=True)
    power = np.maximum((level**2).sum(-1), 1e-9)
    opposite = (level * np.roll(level, 8, -1)).sum(-1) / power
    fit = (level * wanted).sum(-1)
    likeness = fit / np.sqrt(power * np.maximum((wanted**2).sum(-1), 1e-9))
    contrast = 2 * fit / np.maximum((wanted**2).sum(-1), 1e-9)
    checked = Saddles(saddles.xy, saddles.axis, saddles.opening, contrast)
    return checked, (opposite > 0.5) & (likeness > 0.75)


def expect_rings(saddles: Saddles, radius: float | Floats) -> tuple[Floats, Floats]:
    """Say what a ring around corners should show.

    Parameters
    ----------
    saddles : Saddles
        N points; their contrasts do not matter.
    radius : float, () or (N,)
        Of the ring, in pixels.

    Returns
    -------
    around : float64, (N, 16, 2)
        Where to look, from each point.
    wanted : float64, (N, 16)
        Bright within the opening around the axis, both ways; of mean 0.
    """
    ring = np.arange(16) * (np.pi / 8)
    turned = saddles.axis[:, None] + ring
    around = np.stack([np.cos(turned), np.sin(turned)], -1)
    inside = np.abs((ring + np.pi / 2) % np.pi - np.pi / 2) - saddles.opening[:, None]
    wanted = -np.clip(inside / 0.2, -1, 1)
    return np.asarray(radius).reshape(-1, 1, 1) * around, wanted - wanted.mean(-1, keepdims=True)


def sample_image(image: Image, xy: Floats | Singles) -> Singles:
    """Read an image between its pixels.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    xy : float, (N, ..., 2)
        Pixels; outside the image the nearest pixel counts.

    Returns
    -------
    float32, (N, ...)
        Grey levels, bilinearly interpolated.
    """
    if xy.size == 0:
        return np.zeros(xy.shape[:-1], np.float32)
    # remap cannot write more than 32767 rows or columns.
    flat = np.ascontiguousarray(xy, np.float32).reshape(-1, 2)
    width = min(len(flat), 4096)
    padded = np.zeros((-(-len(flat) // width) * width, 2), np.float32)
    padded[: len(flat)] = flat
    # An empty array instead of None would be taken for a second map.
    values = cv2.remap(  # type: ignore[call-overload]
        image, padded.reshape(-1, width, 2), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(values, np.float32).ravel()[: len(flat)].reshape(xy.shape[:-1])


def refine_saddles(image: Image, xy: Floats, reach: Floats) -> Floats:
    """Move points to the exact meeting of the edges around them.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    xy : float64, (N, 2)
        Pixels, off by less than `reach`.
    reach : float64, (N,)
        Half the width of the window, which must hold nothing but the four sectors, in pixels.

    Returns
    -------
    float64, (N, 2)
        Pixels.
    """
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 20, 0.005)
    limits = np.array([image.shape[1], image.shape[0]]) - 1
    refined = np.clip(xy, 0, limits).astype(np.float32)
    half = np.clip(np.floor(reach), 2, 9).astype(int)
    for size in np.unique(half):
        chosen = half == size
        points = np.ascontiguousarray(refined[chosen]).reshape(-1, 1, 2)
        refined[chosen] = cv2.cornerSubPix(
            image, points, (int(size), int(size)), (-1, -1), stop
        ).reshape(-1, 2)
    return refined.astype(np.float64)
