"""Square markers (ArUco, AprilTag): their dictionaries, and reading them in an image."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from calibration.arrays import Floats, Image
from calibration.corners.saddles import sample_image
from calibration.errors import CalibrationError, suggest_name

# Points per bit and direction that are averaged when a marker is read.
_SAMPLES = 3

#: The eight ways in which a square lies on another: four turns, then four with a mirror. The
#: matrix turns steps along columns and rows of the one into steps of the other.
WAYS = np.array(
    [
        [[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]],
        [[-1, 0], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [0, -1]], [[0, -1], [-1, 0]],
    ]
)  # fmt: skip
#: From here on, `WAYS` mirror.
MIRRORED = 4

#: One dictionary of each kind, the largest; the first markers of the smaller ones are the same.
FAMILIES = ("4x4_1000", "5x5_1000", "6x6_1000", "7x7_1000", "april_36h11", "aruco_original")


def list_dictionaries() -> dict[str, int]:
    """List the names of dictionaries and OpenCV's numbers for them."""
    found = {}
    for name in dir(cv2.aruco):
        if name.startswith("DICT_"):
            short = name.removeprefix("DICT_").lower().replace("apriltag", "april")
            found[{"aruco_original": "aruco_original"}.get(short, short)] = getattr(cv2.aruco, name)
    return found


def find_dictionary(name: str) -> str:
    """Find the plain name of a dictionary.

    Parameters
    ----------
    name : str
        Such as ``"4x4_1000"``, ``"DICT_4X4_1000"``, ``"april_36h11"`` or ``"tag36h11"``.

    Returns
    -------
    str
        As in `list_dictionaries`.

    Raises
    ------
    CalibrationError
        If OpenCV has none of that name; the nearest is suggested.
    """
    known = list_dictionaries()
    plain = str(name).lower().removeprefix("dict_").replace("apriltag", "april").replace("-", "_")
    plain = (
        plain.replace("tag", "").replace("original", "aruco_original")
        if plain not in known
        else plain
    )
    plain = plain.replace("aruco_aruco", "aruco")
    for candidate in (plain, f"april_{plain}", f"april_{plain.removeprefix('april')}"):
        if candidate in known:
            return candidate
    hint = suggest_name(plain, known)
    raise CalibrationError(f"no dictionary of markers {name!r}: {hint}")


@cache
def read_dictionary(name: str) -> Image:
    """Read the patterns of a dictionary with their black border.

    Parameters
    ----------
    name : str
        As `find_dictionary` gives it.

    Returns
    -------
    uint8, (M, B + 2, B + 2)
        1 = bright, by row and column, as printed.
    """
    dictionary = cv2.aruco.getPredefinedDictionary(list_dictionaries()[name])
    bits = dictionary.markerSize
    inner = [
        cv2.aruco.Dictionary.getBitsFromByteList(dictionary.bytesList[i : i + 1], bits)
        for i in range(len(dictionary.bytesList))
    ]
    patterns = np.pad(np.array(inner, np.uint8).reshape(-1, bits, bits), ((0, 0), (1, 1), (1, 1)))
    patterns.flags.writeable = False
    return patterns


@cache
def _turn_patterns(name: str, count: int | None) -> Floats:
    """Patterns in all `WAYS`, normalised to match by product: (8, M, (B + 2) ** 2)."""
    patterns = read_dictionary(name)[:count].astype(np.float64)
    n = patterns.shape[-1]
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    turned = []
    for way in WAYS:
        # What is seen at a step (x, y) is printed at the step way @ (x, y).
        to_x, to_y = np.tensordot(way, np.stack([x, y]), 1) + (n - 1) / 2
        turned.append(patterns[:, to_y.astype(int), to_x.astype(int)].reshape(len(patterns), -1))
    stacked = np.stack(turned)
    stacked = stacked - stacked.mean(-1, keepdims=True)
    stacked /= np.linalg.norm(stacked, axis=-1, keepdims=True)
    return np.asarray(stacked)


def find_homographies(quads: Floats) -> Floats:
    """Find the homographies that carry the unit square to quadrilaterals.

    Parameters
    ----------
    quads : float64, (Q, 4, 2)
        Where (0, 0), (1, 0), (1, 1) and (0, 1) go, in pixels.

    Returns
    -------
    float64, (Q, 3, 3)
        Closed form for four points.

    References
    ----------
    Heckbert 1989, "Fundamentals of texture mapping and image warping", section 2.2.3.
    """
    a, b, c, d = np.moveaxis(quads, 1, 0)
    far, right, down = a - b + c - d, b - c, d - c
    below = right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]
    below = np.where(np.abs(below) < 1e-12, 1e-12, below)
    g = (far[:, 0] * down[:, 1] - far[:, 1] * down[:, 0]) / below
    h = (right[:, 0] * far[:, 1] - right[:, 1] * far[:, 0]) / below
    result = np.empty((len(quads), 3, 3))
    result[:, :2, 0] = b - a + g[:, None] * b
    result[:, :2, 1] = d - a + h[:, None] * d
    result[:, :2, 2] = a
    result[:, 2] = np.stack([g, h, np.ones_like(g)], -1)
    return result


def read_cells(image: Image, quads: Floats, *, side: float, bits: int) -> Floats:
    """Read the grey levels of the bits of markers.

    Parameters
    ----------
    image : uint8, (H, W)
        Grey.
    quads : float64, (Q, 4, 2)
        Corners of squares, clockwise.
    side : float
        Side of the marker, in the middle of the square, over that of the square.
    bits : int
        Bits per side, with the border.

    Returns
    -------
    float64, (Q, bits * bits)
        Mean levels, row by row from the first corner towards the second.
    """
    fine = (np.arange(bits * _SAMPLES) + 0.5) / (bits * _SAMPLES)
    # Samples keep away from the edges of their bit, where it is blurred.
    centre = np.repeat((np.arange(bits) + 0.5) / bits, _SAMPLES)
    ticks = 0.5 + side * (centre + 0.7 * (fine - centre) - 0.5)
    v, u = np.meshgrid(ticks, ticks, indexing="ij")
    place = np.stack([u.ravel(), v.ravel(), np.ones(u.size)], -1)
    there = place @ np.swapaxes(find_homographies(quads), 1, 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        xy = there[..., :2] / there[..., 2:]
    levels = sample_image(image, np.nan_to_num(xy, nan=-9.0))
    levels = levels.reshape(len(quads), bits, _SAMPLES, bits, _SAMPLES)
    return np.asarray(levels.mean((2, 4)).reshape(len(quads), bits * bits))


def match_markers(levels: Floats, dictionary: str, *, count: int | None = None) -> Floats:
    """Compare what was read with the markers of a dictionary.

    Parameters
    ----------
    levels : float64, (Q, bits * bits)
        Of `read_cells`.
    dictionary : str
        As `find_dictionary` gives it.
    count : int, optional
        Only the first so many markers.

    Returns
    -------
    float64, (Q, 8, M)
        Correlation for each of the `WAYS`; -1 = the marker in inverted print. Squares without
        contrast correlate with nothing.
    """
    patterns = _turn_patterns(dictionary, count)
    centred = levels - levels.mean(-1, keepdims=True)
    power = np.linalg.norm(centred, axis=-1, keepdims=True)
    # A fifth of the contrast of the others, and five grey levels, is none.
    floor = max(0.2 * float(np.percentile(power, 90, axis=0)[0]), 5.0) if len(power) else 1.0
    centred = centred / np.maximum(power, floor)
    # Not by BLAS, whose threads would spin for longer than this takes.
    return np.asarray(np.einsum("qb,wmb->qwm", centred, patterns))
