"""Random views of a labelled image: pixels, keypoints and left/right names move together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import Floats, Image, Ints, Singles
from mapose.similarity import find_lengths

#: Grey that the network sees as 0; what lies outside an image has it.
OUTSIDE = 128
#: Animals of which a tenth is so many times longer than another tenth are shown in all their sizes.
VARIED = 3.0
#: A view is slanted if animals look shorter in one direction, by this factor, and by so many
#: standard errors; told from so many poses or more.
_SHORT, _SURE, _POSES = 0.85, 3.0, 8
#: How many times smaller or larger an animal is shown than it is.
_RESIZED, _ENLARGED = 8.0, 2.0
#: Up to how many times the median length animals are found well where sizes are mixed; for larger
#: ones a network looks again at a smaller picture. To train it on no larger ones gained nothing.
_NEAR = 2.0


@dataclass(frozen=True)
class Augmentation:
    """How far a random view may go from the image.

    Parameters
    ----------
    rotation : float
        Largest angle, degrees, to either side.
    scale : float
        Largest factor by which the animal grows; it shrinks by as much.
    translation : float
        Largest shift of the animal from the middle, as a share of the view.
    flip : bool
        Whether half of the views are mirrored.
    contrast, brightness : float
        Largest relative change of contrast; largest change of brightness as a share of 255.
    noise : float
        Largest standard deviation of pixel noise, grey levels.
    blur : float
        Largest standard deviation of a blur, pixels.
    dropout : int
        Most rectangles that hide parts of the view.
    background : float
        Share of views at a random place instead of at an animal.
    lengths : tuple of float
        Lengths of labelled animals, pixels: each is shown at the size of one of them as well. None
        where animals are of one size, see `find_lengths_to_show`.
    """

    rotation: float = 180.0
    scale: float = 1.25
    translation: float = 0.25
    flip: bool = True
    contrast: float = 0.3
    brightness: float = 0.15
    noise: float = 8.0
    blur: float = 1.0
    dropout: int = 3
    background: float = 0.1
    lengths: tuple[float, ...] = ()


def limit_rotation(augmentation: Augmentation, turns: Floats | None, row: int) -> Augmentation:
    """Rotate no further than the row of `turns` says: degrees, float64 (N,); None = as far."""
    if turns is None:
        return augmentation
    return replace(augmentation, rotation=min(augmentation.rotation, float(turns[row])))


def draw_view(
    image: Image,
    points: Singles,
    size: int,
    *,
    augmentation: Augmentation,
    flip_order: Ints,
    rng: np.random.Generator,
) -> tuple[Image, Singles, bool]:
    """Cut a random view out of a labelled image.

    Parameters
    ----------
    image : uint8, (H, W, C)
        Image at the network's scale.
    points : float32, (I, K, 2)
        Keypoints in its pixels; NaN = missing.
    size : int
        Side of the square view, pixels.
    augmentation : Augmentation
        Limits of the random change.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    rng : numpy.random.Generator
        Source of all randomness.

    Returns
    -------
    view : uint8, (size, size, C)
    points : float32, (I, K, 2)
        Keypoints in pixels of the view; NaN where missing or out of view.
    mirrored : bool
        Whether left and right have changed places.
    """
    matrix, mirrored = _draw_matrix(image.shape, points, size, augmentation, rng)
    view: npt.NDArray = cv2.warpAffine(
        image,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(OUTSIDE,) * 3,
    ).reshape(size, size, -1)
    moved = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    if mirrored:
        moved = moved[:, flip_order]
    outside = ~((moved > -0.5) & (moved < size - 0.5)).all(-1)
    moved[outside] = np.nan
    return _change_light(view, augmentation, rng), moved, mirrored


def _draw_matrix(
    shape: tuple[int, ...], points: Singles, size: int, a: Augmentation, rng: np.random.Generator
) -> tuple[Floats, bool]:
    """Draw the 2x3 matrix from image to view pixels, and whether it mirrors."""
    there = np.isfinite(points).all(-1)
    animals = np.flatnonzero(there.any(-1))
    place, resized = rng.uniform(0, 1, 2) * (shape[1] - 1, shape[0] - 1), 1.0
    if len(animals) and rng.random() >= a.background:
        one = points[rng.choice(animals)]
        place = np.nanmean(one, axis=0)
        resized = _draw_size(one, a, rng) if a.lengths else 1.0
    turn = np.deg2rad(rng.uniform(-a.rotation, a.rotation))
    zoom = resized * np.exp(rng.uniform(-1, 1) * np.log(a.scale))
    mirrored = bool(a.flip and rng.random() < 0.5)
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        matrix = matrix @ np.diag([-1.0, 1.0])
    middle = (size - 1) / 2 + rng.uniform(-1, 1, 2) * a.translation * size
    return np.column_stack([matrix, middle - matrix @ place]), mirrored


def _draw_size(one: Singles, a: Augmentation, rng: np.random.Generator) -> float:
    """Draw how many times larger an animal is shown, so that it is as long as another one."""
    length = float(find_lengths(one))
    other = rng.choice(a.lengths)
    return float(np.clip(other / length, 1 / _RESIZED, _ENLARGED)) if length > 0 else 1.0


def find_lengths_to_show(points: Singles) -> tuple[float, ...]:
    """Find the lengths that animals have in views, where they are of very different sizes.

    Animals that come near the camera and go far away are labelled in few sizes each, but may have
    any posture at any size; and large ones give clear pictures of small ones.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Poses in pixels; NaN = missing.

    Returns
    -------
    tuple of float
        Of poses with most of their keypoints, pixels; none where nine of ten are less than
        `VARIED` times as long as the tenth.

    Examples
    --------
    >>> near = np.array([[[0, 0], [100, 0]]], np.float32)
    >>> find_lengths_to_show(np.concatenate([near, near / 8])), find_lengths_to_show(near)
    ((100.0, 12.5), ())
    """
    count = np.isfinite(points).all(-1).sum(-1)
    whole = points[(count >= 2) & (count >= 0.75 * count.max(initial=0))]
    lengths = find_lengths(whole)
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return ()
    low, high = np.quantile(lengths, [0.1, 0.9])
    return tuple(float(length) for length in lengths) if high > VARIED * low else ()


def choose_looks(lengths: Sequence[float]) -> int:
    """Choose how often to look at images, at half the size each time, for animals of any size.

    Parameters
    ----------
    lengths : sequence of float
        From `find_lengths_to_show`; none where animals are of one size.

    Returns
    -------
    int
        So many that nine of ten are at some time at most twice as long as the median.

    Examples
    --------
    >>> choose_looks([12, 20, 24, 30, 80]), choose_looks([20, 24, 30]), choose_looks([])
    (2, 1, 1)
    """
    if not len(lengths):
        return 1
    middle, high = np.quantile(lengths, [0.5, 0.9])
    return 1 + max(0, math.ceil(math.log2(high / (_NEAR * middle))))


def _change_light(view: Image, a: Augmentation, rng: np.random.Generator) -> Image:
    pixels: npt.NDArray = view.astype(np.float32)
    if a.blur and rng.random() < 0.3:
        sigma = rng.uniform(0.3, max(a.blur, 0.31))
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma).reshape(view.shape)
    gain = 1 + rng.uniform(-a.contrast, a.contrast)
    shift = 255 * rng.uniform(-a.brightness, a.brightness)
    mean = pixels.mean()
    pixels = (pixels - mean) * gain + mean + shift
    if a.noise and rng.random() < 0.5:
        sigma = rng.uniform(0, a.noise)
        pixels += sigma * rng.standard_normal(pixels.shape, dtype=np.float32)
    size = view.shape[0]
    for _ in range(rng.integers(0, a.dropout + 1)):
        high, wide = rng.integers(size // 32, size // 8 + 1, 2)
        y, x = rng.integers(0, size, 2)
        pixels[y : y + high, x : x + wide] = rng.uniform(0, 255)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def find_rotation(points: Singles) -> float:
    """Find how far to rotate views, from how the labelled animals are turned.

    Animals seen from above are turned every way and gain from any rotation; animals seen from
    the side or held in place are not, and would only be made harder to tell.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Poses in pixels; NaN = missing.

    Returns
    -------
    float
        Degrees to either side, 15 to 180.
    """
    there = np.isfinite(points).all(-1)
    poses = points[there.sum(-1) >= 2]
    if len(poses) < 2:
        return 180.0 if points.shape[1] == 1 else 30.0
    shape = poses[..., 0] + 1j * poses[..., 1]
    shape = np.nan_to_num(shape - np.nanmean(shape, axis=1, keepdims=True))
    reference = shape[np.argmax((shape != 0).sum(1))]
    for _ in range(3):
        turn = np.exp(1j * np.angle((shape * reference.conj()).sum(1)))
        reference = (shape / turn[:, None]).mean(0)
    focus = abs(turn.mean())
    spread = np.rad2deg(np.sqrt(-2 * np.log(np.clip(focus, 1e-9, 1 - 1e-9))))
    limit = 15 + 2 * spread
    return 180.0 if limit > 75 else float(limit)


def is_slanted(points: Singles) -> bool:
    """Tell whether a camera looks at animals aslant: whoever goes away from it looks shorter.

    Such animals are turned every way on the floor, but not in the picture, where up stays up.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Poses of one view in pixels; NaN = missing.

    Returns
    -------
    bool
        Whether distances between keypoints depend on their direction in the picture. False where
        too few poses are there to tell.

    Examples
    --------
    >>> turns = np.exp(1j * np.linspace(0, 2 * np.pi, 24, endpoint=False))
    >>> mice = turns[:, None] * np.array([0, 10, 14 + 3j, 14 - 3j, 25])
    >>> above = np.stack([mice.real, mice.imag], -1)
    >>> is_slanted(above), is_slanted(above * [1, 0.6])
    (False, True)
    """
    first, second = np.triu_indices(points.shape[1], 1)
    gaps = (points[:, second] - points[:, first]).astype(np.float64)
    length = np.linalg.norm(gaps, axis=-1)
    there = np.isfinite(length) & (length > 0)
    if there.any(1).sum() < _POSES:
        return False
    # The logarithm of each distance is one of its own plus what its direction does to it: the
    # double angle, as both ways along a line look alike.
    angle = 2 * np.arctan2(gaps[..., 1], gaps[..., 0])
    columns = np.stack([np.log(np.where(there, length, 1)), np.cos(angle), np.sin(angle)], -1)
    columns[~there] = 0
    columns -= columns.sum(0) / np.maximum(there.sum(0), 1)[:, None]
    columns[~there] = 0
    wanted, given = columns[..., 0], columns[..., 1:]
    squares = np.linalg.pinv(np.einsum("npi,npj->ij", given, given))
    slope = squares @ np.einsum("npi,np->i", given, wanted)
    # What one pose says hangs together: standard errors from the spread between poses.
    each = np.einsum("npi,np->ni", given, wanted - given @ slope)
    spread = squares @ each.T @ each @ squares
    size = float(np.linalg.norm(slope))
    error = float(np.sqrt(slope @ spread @ slope)) / max(size, 1e-12)
    return bool(np.exp(-2 * size) < _SHORT and size > _SURE * error)
