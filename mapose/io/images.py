"""Single images on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mapose.arrays import Image
from mapose.errors import FormatError
from mapose.files import write_atomically


def read_image(path: Path) -> Image:
    """Read an image file as RGB, uint8 (H, W, 3); of deeper ones, the bits that are in use.

    Raises
    ------
    FormatError
        If it is missing or not an image.
    """
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) if len(data) else None
    if image is not None and image.dtype not in (np.uint8, np.uint16):
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise FormatError(f"{path}: wanted an image, found {'none' if len(data) else 'no file'}")
    if image.dtype == np.uint16:
        image = reduce_depth(image, find_depth(image))  # type: ignore[arg-type]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def find_depth(image: npt.NDArray[np.uint16]) -> int:
    """Find how many of 16 bits are in use: scientific cameras store 12 without saying so."""
    return 12 if image.max() < 2**12 else 16


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
