"""Small pictures of frames, by which frames that look alike are told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import Image

#: Longer side of a small picture. A mouse of 60 x 30 px in 640 x 480 covers some 6 x 3 of them.
SIDE = 64
#: Frames in which no pixel of the small picture differs by more grey levels count as one. Noise
#: of a camera changes them by 1 to 3, a step of an animal by tens.
DUPLICATE = 8


def shrink_picture(image: Image) -> Image:
    """Make a small grey picture of a frame.

    Parameters
    ----------
    image : uint8, (H, W) or (H, W, 3)
        Grey or RGB.

    Returns
    -------
    uint8, (h, w)
        The longer side is `SIDE`; each pixel is the mean of its part of the frame.

    Examples
    --------
    >>> shrink_picture(np.zeros((480, 640, 3), np.uint8)).shape
    (48, 64)
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    high, wide = grey.shape
    scale = SIDE / max(high, wide)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def is_duplicate(picture: Image, others: Iterable[Image]) -> bool:
    """Tell whether a small picture shows what another one shows already.

    Parameters
    ----------
    picture : uint8, (...)
        Small picture, or those of several cameras in one row.
    others : iterable of uint8, (...)
        Those to compare with; of another shape, they show something else.

    Examples
    --------
    >>> empty = np.zeros((2, 2), np.uint8)
    >>> is_duplicate(empty + 3, [empty]), is_duplicate(empty + 90, [empty])
    (True, False)
    """
    return any(
        other.shape == picture.shape
        and np.abs(picture.astype(np.int16) - other).max(initial=0) <= DUPLICATE
        for other in others
    )


def take_distinct(
    order: Iterable[int] | npt.NDArray[np.integer],
    look: Callable[[int], Image | None],
    *,
    count: int,
    known: Iterable[Image] = (),
) -> Iterator[int]:
    """Take the first candidates of an order, without those that look like one before.

    Parameters
    ----------
    order : iterable of int
        Candidates, best first.
    look : function of int
        Gives the small picture of a candidate; None where it cannot be read.
    count : int
        How many to take at most.
    known : iterable of uint8, (...)
        Small pictures of what is labelled already.

    Yields
    ------
    int
        Candidates, as soon as they are taken.
    """
    seen, taken = list(known), 0
    for candidate in order:
        if taken >= count:
            return
        picture = look(int(candidate))
        if picture is None or is_duplicate(picture, seen):
            continue
        seen.append(picture)
        taken += 1
        yield int(candidate)
