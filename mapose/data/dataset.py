"""Labelled images at the network's scale, and random batches of views of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import Bools, Floats, Image, Ints, Singles
from mapose.data.augment import (
    OUTSIDE,
    Augmentation,
    draw_view,
    find_lengths_to_show,
    limit_rotation,
)
from mapose.grid import round_up, to_cells
from mapose.similarity import find_lengths

#: Length of an animal that the network is shown: pixels, and more for each of its keypoints' root.
_LENGTH, _KEYPOINT = 12.0, 12.0
#: Largest reduction; longer side that an image keeps; pixels up to which it is enlarged.
_MOST, _SIDE, _AREA = 8, 240, 2**21
#: Animals that could be shrunk so many times more than their image get finer maps of a smaller one.
_ROOMY = 4
#: Animals are tiny where so many views of their size stand side by side; their smallest views.
_TINY, _TINY_VIEW = 8, 96
#: Input pixels per cell of the maps, and where maps have to be finer.
_STRIDE, _FINE = 4, 2


#: Bytes of prepared images that a training keeps; the others are read anew each time.
KEPT = 2**31
#: Where not all are kept, or are shown seldom: how often an image is shown once it is read, and
#: among how many others. A picture of 1920x1080 takes 40 ms to read, and 8 of them are a batch.
SHOWN, BLOCK = 4, 64


def prepare_image(image: Image, *, factor: float, channels: int) -> Image:
    """Bring an image to the network's scale and number of channels.

    Training and analysis both go through here, so that the network sees the same pixels.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        Grey or RGB.
    factor : float
        Image pixels per side of a prepared pixel: a whole number, or 1/2 or 1/4 to enlarge.
    channels : int
        1 = grey, 3 = RGB.

    Returns
    -------
    uint8, (ceil(H / factor), ceil(W / factor), channels)
        Each pixel is the mean of a square of ``factor`` x ``factor``; squares that reach over
        the right or lower border repeat the last pixel. An enlarged image is drawn bilinearly.
    """
    pixels: npt.NDArray = image
    if channels == 1 and image.ndim == 3:
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    elif channels == 3 and image.ndim == 2:
        pixels = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    high, wide = image.shape[:2]
    if factor < 1:
        times = round(1 / factor)
        pixels = cv2.resize(pixels, (times * wide, times * high), interpolation=cv2.INTER_LINEAR)
    elif factor > 1:
        factor = int(factor)
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


def find_scale(
    points: Singles, size: tuple[int, int], *, stride: int | None = None
) -> tuple[float, int]:
    """Find by how much to shrink or enlarge images before the network, and how fine its maps are.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Labelled poses in image pixels; NaN = missing.
    size : (int, int)
        Width and height of the images.
    stride : int, optional
        Input pixels per map cell, where that is settled.

    Returns
    -------
    factor : float
        Image pixels per input pixel, 1 to 8 or 1/2 or 1/4, so that an animal stays about
        12 + 12 sqrt(K) pixels long (36 for 4 keypoints, 55 for 13) and the image 240 pixels.
        Chosen on the fly and mouse recordings; not swept.
    stride : int
        4, or 2 where the image is shrunk, so that a cell is not wider than 4 px where it need not
        be: in 700 steps the median error on two flies is 2.55 px instead of 2.93 (factor 2). Of
        animals that fill their image (the mouse in mirrors: 17 keypoints, 500 px in 406 px) the
        image is shrunk further: 6.7 px mean instead of 10.8 in equal minutes. Of tiny animals in
        large images the maps become finer where enlarging would cost too much.

    Examples
    --------
    >>> bird = np.array([[[0, 0], [20, 0], [10, 12], [10, 5]]], np.float32)
    >>> find_scale(bird, (640, 480)), find_scale(bird, (1920, 1080))
    ((0.5, 4), (1, 2))
    >>> find_scale(9 * bird, (640, 480))
    (2, 2)
    """
    lengths = find_lengths(points)
    if not np.isfinite(lengths).any():
        return 1, stride or _STRIDE
    wanted = float(np.nanmedian(lengths)) / (_LENGTH + _KEYPOINT * np.sqrt(points.shape[1]))
    if wanted < 0.75:
        return _enlarge(wanted, size, stride)
    most = max(1, max(size) // _SIDE)
    factor = min(round(wanted), _MOST)
    if stride is None and factor >= _ROOMY * most:
        return 2 * most, _FINE
    factor = max(1, min(factor, most))
    return factor, stride or (_FINE if factor > 1 else _STRIDE)


def _enlarge(wanted: float, size: tuple[int, int], stride: int | None) -> tuple[float, int]:
    """Find the scale for animals that are too small."""
    factor = 0.5 if wanted > 0.375 else 0.25
    while factor < 1 and size[0] * size[1] / factor**2 > _AREA:
        factor, stride = 2 * factor, stride or _FINE
    return (1 if factor == 1 else factor), stride or _STRIDE


def find_view_size(points: Singles, largest: int) -> int:
    """Find the side of training views: an animal and its surroundings, 192 to 384 pixels.

    Where animals are tiny in their image views may be as small as 96 pixels: larger ones would
    hold mostly sky, and be dear for the few keypoints in them.

    Parameters
    ----------
    points : float32, (N, K, 2)
        Poses at the network's scale; NaN = missing.
    largest : int
        Longer side of the images at the network's scale.
    """
    wanted = min(_find_wanted_view(points), round_up(largest, 32))
    return int(np.clip(wanted, _TINY_VIEW if are_tiny(points, largest) else 192, 384))


def are_tiny(points: Singles, largest: int) -> bool:
    """Tell whether animals are so small in their images that most of each holds none.

    Parameters
    ----------
    points, largest
        As for `find_view_size`.

    Examples
    --------
    >>> bird = np.array([[[0, 0], [20, 0], [10, 12], [10, 5]]], np.float32)
    >>> are_tiny(bird, 1920), are_tiny(bird, 640), are_tiny(5 * bird, 1920)
    (True, False, False)
    """
    return largest >= _TINY * max(_find_wanted_view(points), _TINY_VIEW)


def _find_wanted_view(points: Singles) -> int:
    """Find the side of views with an animal and its surroundings."""
    lengths = find_lengths(points)
    # Where sizes differ a lot the largest are shown smaller as well; but in views that hold few of
    # the large ones whole, a wing's tip was taken for a small bird and the large bird not found.
    share = 0.75 if find_lengths_to_show(points) else 0.9
    length = float(np.nanquantile(lengths, share)) if np.isfinite(lengths).any() else 64.0
    return round_up(int(2.2 * length), 32)


def is_grey(images: Sequence[Image]) -> bool:
    """Tell whether no image holds colour: channels differ by less than 3 levels on average."""
    return all(
        image.ndim == 2 or float(np.ptp(image[::4, ::4].astype(np.int16), axis=2).mean()) < 3
        for image in images
    )


class PreparedImages(Sequence[Image]):
    """Images at the network's scale, prepared when asked for; as many are kept as memory allows.

    Those that came first are kept: the images of an epoch come in another order each time, so
    that to drop one for another would gain nothing. Of the others the last few are at hand, as
    each is shown several times in short order.

    Parameters
    ----------
    images : sequence of uint8, (H, W) or (H, W, 3)
        Original images, which may be read from files each time.
    factor : float
        Image pixels per side of a prepared pixel.
    channels : int
        1 = grey, 3 = RGB.
    most : int, optional
        Bytes to keep, `KEPT` by default.
    """

    def __init__(
        self, images: Sequence[Image], *, factor: float, channels: int, most: int | None = None
    ) -> None:
        self.images, self.factor, self.channels = images, factor, channels
        self.room = self.most = KEPT if most is None else most
        self.kept: dict[int, Image] = {}
        self.recent: dict[int, Image] = {}
        self.lock = Lock()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: Any) -> Any:
        """Prepare the image of a row, uint8 (H, W, C)."""
        found = self.kept.get(row)
        if found is None:
            found = self.recent.get(row)
        if found is None:
            found = prepare_image(self.images[row], factor=self.factor, channels=self.channels)
            self._keep(row, found)
        return found

    def _keep(self, row: int, image: Image) -> None:
        with self.lock:  # batches are drawn by several threads
            if row in self.kept:
                return
            if image.nbytes <= self.room:
                self.kept[row] = np.ascontiguousarray(image)
                self.room -= image.nbytes
            elif self.room < self.most:
                self.recent[row] = np.ascontiguousarray(image)
                while len(self.recent) > 2 * find_block(image.nbytes):
                    del self.recent[next(iter(self.recent))]


def choose_block(
    sizes: Sequence[tuple[int, int]], *, factor: float, channels: int, views: int
) -> int:
    """Choose how many images are shown in turn, `TrainingSet.block`.

    0 if all can be kept and each is shown `SHOWN` times anyway; else reading would take as long as
    learning.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Width and height of each image, px.
    factor, channels
        As in `prepare_image`.
    views : int
        How many views are shown in the whole training.

    References
    ----------
    Choi et al. 2019 (arXiv:1907.05550): where reading is what takes time, what was read is shown
    several times, each time augmented otherwise.

    Examples
    --------
    >>> choose_block([(640, 480)] * 200, factor=1, channels=1, views=8_000)
    0
    >>> choose_block([(1920, 1080)] * 10_000, factor=2, channels=3, views=80_000)
    64
    >>> choose_block([(640, 480)] * 10_000, factor=2, channels=1, views=20_000)
    64
    """
    each = [int(channels * wide * high / factor**2) for wide, high in sizes]
    seldom = views < SHOWN * len(sizes)
    return find_block(max(each)) if seldom or sum(each) > KEPT else 0


def find_block(size: int) -> int:
    """Find how many images of so many bytes are shown in turn where not all are kept."""
    return max(1, min(BLOCK, KEPT // 8 // max(1, size)))


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
    named : int64, (N,), optional
        Which of the I animals are known by name, the same in all images.
    block : int
        How many images are shown `SHOWN` times in turn before the next ones come; 0 = each once
        an epoch.
    turns : float64, (F,), optional
        How far views of each image are rotated at most, degrees to either side, where that is
        less than the augmentation's.
    """

    images: Sequence[Image]
    points: Singles
    known: Bools
    flip_order: Ints
    named: Ints | None = None
    block: int = 0
    turns: Floats | None = None

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
            i = self._find_image(n, seed)
            view, moved, _ = draw_view(
                self.images[i],
                self.points[i],
                size,
                augmentation=limit_rotation(augmentation, self.turns, i),
                flip_order=self.flip_order,
                rng=np.random.default_rng([seed, n, 1]),
            )
            views.append(view)
            points.append(moved)
            known.append(self.known[i])
        return np.stack(views), np.stack(points), np.stack(known)

    def _find_image(self, n: int, seed: int) -> int:
        """Find which image the n-th view is of."""
        count, shown = len(self.images), SHOWN if self.block else 1
        epoch, place = divmod(n, shown * count)
        order = np.random.default_rng([seed, epoch]).permutation(count)
        if not self.block:
            return int(order[place])
        number, place = divmod(place, shown * self.block)
        mine = order[number * self.block :][: self.block]
        turn, place = divmod(place, len(mine))
        return int(np.random.default_rng([seed, epoch, number, turn]).permutation(mine)[place])


def make_training_set(
    images: Sequence[Image],
    points: Singles,
    known: Bools,
    *,
    flip_order: Ints,
    factor: float,
    channels: int,
    named: Ints | None = None,
) -> TrainingSet:
    """Prepare labelled images for training.

    Parameters
    ----------
    images : sequence of uint8, (H, W) or (H, W, 3)
        Original images; asked for when they are needed.
    points : float32, (F, I, K, 2)
        Keypoints in original pixels; NaN = missing.
    known : bool, (F, K)
        Whether the keypoint was looked for in this image.
    flip_order : int64, (K,)
        Channel that each keypoint takes in a mirrored image.
    factor, channels : int
        As in `prepare_image`.
    named : int64, (N,), optional
        Which of the animals are known by name.
    """
    prepared = PreparedImages(images, factor=factor, channels=channels)
    return TrainingSet(prepared, to_cells(points, factor), known, flip_order, named)
