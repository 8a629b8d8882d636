"""Single images on disk."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from mapose.arrays import Image
from mapose.errors import FormatError
from mapose.files import write_atomically
from mapose.reading import explain_damage

#: As 16384 x 8192; some 800 MB while it is decoded.
MOST_PIXELS = 1 << 27


def read_image(path: Path, *, deep: bool = False) -> Image:
    """Read an image file as RGB, uint8 (H, W, 3); of deeper ones, the bits that are in use.

    Parameters
    ----------
    path : Path
        PNG, JPEG, BMP, TIFF, WebP or another kind that Pillow and OpenCV know, of at most
        `MOST_PIXELS`: a small file can claim to be a picture that fills the memory.
    deep : bool
        Leave an image of 16 bits as it is, uint16.

    Raises
    ------
    FormatError
        If it is missing, not an image or too large.
    """
    with explain_damage(path):
        if not path.is_file():
            raise FormatError(f"{path}: wanted an image, found no file")
        data = np.fromfile(path, np.uint8)
        check_pixels(path, path)
        try:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
            if image is not None and image.dtype not in (np.uint8, np.uint16):
                image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        except cv2.error as fault:
            raise FormatError(f"{path}: wanted an image, found none: {fault}") from fault
        if image is None:
            raise FormatError(f"{path}: wanted an image, found none")
        if image.dtype == np.uint16 and not deep:
            image = reduce_depth(image, find_depth(image))  # type: ignore[arg-type]
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def check_pixels(file: Path | BytesIO, name: object) -> None:
    """Refuse what is no image, or claims to be a huge one, by its first bytes alone.

    Parameters
    ----------
    file : Path or BytesIO
        The image.
    name : object
        What messages call it.

    Raises
    ------
    FormatError
        If it is no image or has more than `MOST_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large images, which are told below
            with PIL.Image.open(file) as image:
                width, height = image.size
    except PIL.Image.DecompressionBombError as fault:
        raise FormatError(
            f"{name}: wanted an image of at most {MOST_PIXELS} pixels: {fault}"
        ) from None
    except Exception as fault:  # Pillow raises whatever the damage leads to
        raise FormatError(f"{name}: wanted an image, found none ({fault})") from fault
    if width * height > MOST_PIXELS:
        raise FormatError(
            f"{name}: wanted an image of at most {MOST_PIXELS} pixels, came {width} x {height}"
        )


def find_depth(image: npt.NDArray[np.uint16]) -> int:
    """Find how many of 16 bits are in use: scientific cameras store 10 to 14 without saying so."""
    most = int(image.max(initial=0))
    return next(bits for bits in (10, 12, 14, 16) if most < 2**bits)


def reduce_depth(image: npt.NDArray[np.uint16], bits: int) -> Image:
    """Make an image of up to `bits` per value one of 8; what is brighter becomes 255."""
    return np.minimum(image >> (bits - 8), 255).astype(np.uint8)


def write_image(image: Path | Image, file: Path) -> None:
    """Write an image, uint8 (H, W) or RGB (H, W, 3) or a file to copy, as PNG."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, Path) and image.suffix.lower() == ".png":
        data = image.read_bytes()
    else:
        pixels = read_image(image) if isinstance(image, Path) else image
        order = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".png", order)[1].tobytes()
    with write_atomically(file) as temporary:
        temporary.write_bytes(data)
