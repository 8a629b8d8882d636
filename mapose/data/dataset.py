"""Labelled images at the network's scale, and random batches of views of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Image, Ints, Singles
from mapose.data.augment import OUTSIDE, Augmentation, draw_view
from mapose.grid import round_up, to_cells
from mapose.similarity import find_lengths


def prepare_image(image: Image, *, factor: int, channels: int) -> Image:
    """Bring an image to the network's scale and number of channels.

    Training and analysis both go through here, so that the network sees the same pixels.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        Grey or RGB.
    factor : int
        Image pixels per side of a prepared pixel.
    channels : int
        1 = grey, 3 = RGB.

    Returns
    -------
    uint8, (ceil(H / factor), ceil(W / factor), channels)
        Each pixel is the mean of a square of ``factor`` x ``factor``; squares that reach over
        the right or lower border repeat the last pixel.
    """
    pixels: npt.NDArray = image
    if channels == 1 and image.ndim == 3:
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    elif channels == 3 and image.ndim == 2:
        pixels = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if factor > 1:
        high, wide = image.shape[:2]
        below, right = -high % factor, -wide % factor
        if below or right:
            pixels = cv2.copyMakeBorder(pixels, 0, below, 0, right, cv2.BORDER_REPLICATE)
        size = (pixels.shape[1] // factor, pixels.shape[0] // factor)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return pixels.reshape(*pixels.shape[:2], channels)


def hide_outside(image: Image, crop: tuple[int, int, int, int] | None) -> Image:
    """Hide what lies outside of a part of an image; its size stays.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        Not changed.
    crop : (int, int, int, int), optional
        Left, top, width and height, px; None hides nothing.
    """
    if crop is None:
        return image
    left, top, width, height = crop
    hidden = np.full_like(image, OUTSIDE)
    part = np.s_[top : top + height, left : left + width]
    hidden[part] = image[part]
    return hidden


def pad_images(images: Sequence[Image], multiple: int) -> Image:
    """Stack images, padded to the right and below to a multiple that the network can take.

    Parameters
    ----------
    images : sequence of uint8, (H, W, C)
        Prepared images, all of one size.
    multiple : int
        Rows and columns come out as multiples of this.

    Returns
    -------
    uint8, (B, H', W', C)
    """
    high, wide, channels = images[0].shape
    padded = (len(images), round_up(high, multiple), round_up(wide, multiple), channels)
    batch = np.full(padded, OUTSIDE, np.uint8)
    for row, image in zip(batch, images, strict=True):
        row[:high, :wide] = image
    return batch


def find_factor(points: Singles, size: tuple[int, int]) -> int:
    """Find by how much to shrink images before the network.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Labelled poses in image pixels; NaN = missing.
    size : (int, int)
        Width and height of the images.

    Returns
    -------
    int
        1 to 8, so that an animal stays about 12 + 12 sqrt(K) pixels long (36 for 4 keypoints,
        55 for 13) and the image 240 pixels. Chosen on the fly and mouse recordings; not swept.
    """
    lengths = find_lengths(points)
    if not np.isfinite(lengths).any():
        return 1
    wanted = 12 + 12 * np.sqrt(points.shape[1])
    factor = min(round(float(np.nanmedian(lengths)) / wanted), max(size) // 240)
    return int(np.clip(factor, 1, 8))


def find_view_size(points: Singles, largest: int) -> int:
    """Find the side of training views: an animal and its surroundings, 192 to 384 pixels.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Poses at the network's scale; NaN = missing.
    largest : int
        Longer side of the images at the network's scale.
    """
    lengths = find_lengths(points)
    length = float(np.nanquantile(lengths, 0.9)) if np.isfinite(lengths).any() else 64.0
    wanted = min(round_up(int(2.2 * length), 32), round_up(largest, 32))
    return int(np.clip(wanted, 192, 384))


def is_grey(images: Sequence[Image]) -> bool:
    """Tell whether no image holds colour: channels differ by less than 3 levels on average."""
    return all(
        image.ndim == 2 or float(np.ptp(image[::4, ::4].astype(np.int16), axis=2).mean()) < 3
        for image in images
    )


@dataclass(frozen=True)
class TrainingSet:
    """Labelled images at the network's scale.

    Parameters
    ----------
    images : sequence of uint8, (H, W, C)
        Prepared images; sizes may differ.
    points : float32, (F, I, K, 2)
        Keypoints in pixels of the prepared images; NaN = missing.
    known : bool, (F, K)
        Whether the keypoint was looked for in this image.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    """

    images: Sequence[Image]
    points: Singles
    known: Bools
    flip_order: Ints

    def draw_batch(
        self, step: int, *, batch: int, size: int, augmentation: Augmentation, seed: int
    ) -> tuple[Image, Singles, Bools]:
        """Draw the batch of a training step; a pure function of step and seed.

        Parameters
        ----------
        step : int
            Number of the step. Within an epoch every image comes once.
        batch, size : int
            Views per batch and side of a view, pixels.
        augmentation : Augmentation
            Limits of the random change.
        seed : int
            Seed of the run.

        Returns
        -------
        views : uint8, (batch, size, size, C)
        points : float32, (batch, I, K, 2)
        known : bool, (batch, K)
        """
        views, points, known = [], [], []
        for n in range(step * batch, (step + 1) * batch):
            epoch, place = divmod(n, len(self.images))
            i = np.random.default_rng([seed, epoch]).permutation(len(self.images))[place]
            view, moved = draw_view(
                self.images[i],
                self.points[i],
                size,
                augmentation=augmentation,
                flip_order=self.flip_order,
                rng=np.random.default_rng([seed, n, 1]),
            )
            views.append(view)
            points.append(moved)
            known.append(self.known[i])
        return np.stack(views), np.stack(points), np.stack(known)


def make_training_set(
    images: Sequence[Image],
    points: Singles,
    known: Bools,
    *,
    flip_order: Ints,
    factor: int,
    channels: int,
) -> TrainingSet:
    """Prepare labelled images for training.

    Parameters
    ----------
    images : sequence of uint8, (H, W) or (H, W, 3)
        Original images.
    points : float32, (F, I, K, 2)
        Keypoints in original pixels; NaN = missing.
    known : bool, (F, K)
        Whether the keypoint was looked for in this image.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    factor, channels : int
        As in `prepare_image`.
    """
    prepared = [prepare_image(image, factor=factor, channels=channels) for image in images]
    return TrainingSet(prepared, to_cells(points, factor), known, flip_order)
