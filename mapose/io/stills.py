"""Recordings that are pictures: folders of stills, TIFF stacks, time-lapse."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image

from mapose.arrays import Image
from mapose.errors import FormatError, VideoError
from mapose.io.images import MOST_PIXELS, check_pixels, find_depth, read_image, reduce_depth
from mapose.io.sources import IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_files

logger = logging.getLogger(__name__)

#: How the names of picture files with several pictures end.
STACK_SUFFIXES = (".tif", ".tiff")
# Pictures that a folder has to hold to be a recording, and a file to be a stack.
_FEWEST = 2
# Pictures that tell how many bits are in use.
_LOOKED_AT = 5


class Stills:
    """The pictures of a recording, by number.

    Parameters
    ----------
    path : Path
        A folder of pictures, in the order of the numbers in their names, or a TIFF stack.

    Raises
    ------
    VideoError
        If it holds no picture that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = list_stills(path) if path.is_dir() else [path]
        self.count = len(self.files) if path.is_dir() else count_pages(path)
        if path.is_dir() and self.count < _FEWEST:
            raise VideoError(f"{path} is a folder without stills: name a video in it")
        with self._open() as load:
            first = next((i for i in map(load, range(self.count)) if i is not None), None)
            if first is None:
                raise VideoError(f"{path} holds no picture that can be read")
            self.size = (int(first.shape[1]), int(first.shape[0]))
            self.depth = 8
            if first.dtype == np.uint16:  # one may be dark: several tell
                some = map(load, np.linspace(0, self.count - 1, _LOOKED_AT).astype(int).tolist())
                deep = [i for i in (first, *some) if i is not None and i.dtype == np.uint16]
                self.depth = max(map(find_depth, deep))

    def iterate(self, start: int, stop: int, gray: bool) -> Generator[tuple[int, Image | None]]:
        """Give pictures (H, W, RGB) or (H, W) and their numbers; None where one is damaged."""
        with self._open() as load:
            for n in range(start, stop):
                image = load(n)
                if image is not None and image.dtype == np.uint16:
                    image = reduce_depth(image, self.depth)
                if image is not None and gray and image.ndim == 3:
                    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
                elif image is not None and not gray and image.ndim == 2:
                    image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
                yield n, image

    @contextmanager
    def _open(self) -> Iterator[Callable[[int], Any]]:
        """Hand out what loads a picture by its number; None where it is damaged.

        Pictures are uint8 or uint16, (H, W) or (H, W, RGB).
        """
        with ExitStack() as stack:
            if self.path.is_dir():
                load = partial(_load_file, self.files)
            else:
                load = partial(_load_page, stack.enter_context(PIL.Image.open(self.path)))
            yield load


def _load_file(files: list[Path], n: int) -> Any:
    try:
        return read_image(files[n], deep=True)
    except FormatError as fault:
        logger.debug("picture %d: %s", n, fault)
        return None


def _load_page(image: PIL.Image.Image, n: int) -> Any:
    try:
        image.seek(n)
        if image.width * image.height > MOST_PIXELS:
            raise FormatError(f"wanted at most {MOST_PIXELS} pixels, came {image.size}")
        return _to_array(image)
    except Exception as fault:  # Pillow raises whatever the damage leads to
        logger.debug("picture %d: %s", n, fault)
        return None


def list_stills(folder: Path) -> list[Path]:
    """List the pictures of a folder by the numbers in their names: ``img2`` before ``img10``."""
    files = find_files(folder, IMAGE_SUFFIXES)
    return sorted(files, key=lambda f: [int(p) if p.isdigit() else p for p in _split(f.name)])


def count_pages(path: Path) -> int:
    """Count the pictures in a file; 0 if it is none.

    Raises
    ------
    VideoError
        If there is no such file, or it is damaged.
    """
    if not path.is_file():
        raise VideoError(f"no recording {path.name} in {path.parent.resolve()}")
    try:
        check_pixels(path, path)
        with PIL.Image.open(path) as image:
            return int(getattr(image, "n_frames", 1))
    except Exception as fault:  # Pillow raises whatever the damage leads to
        raise VideoError(f"{path} is no stack of pictures that can be read: {fault}") from fault


def is_stills(path: Path) -> bool:
    """Tell whether a path is a folder of pictures or a TIFF stack, by its name and kind alone."""
    return path.is_dir() or path.suffix.lower() in STACK_SUFFIXES


def is_recording(path: Path) -> bool:
    """Tell whether there is a recording: a video file, a TIFF stack or a folder of pictures."""
    if path.is_dir():
        return len(find_files(path, IMAGE_SUFFIXES)) >= _FEWEST
    return path.is_file() and path.suffix.lower() in (*VIDEO_SUFFIXES, *STACK_SUFFIXES)


def find_recordings(folder: Path, *, recursive: bool = False, pattern: str = "*") -> list[Path]:
    """Find the recordings in a folder.

    Parameters
    ----------
    folder : Path
        Its video files and TIFF stacks; a folder that holds pictures is one recording itself.
    recursive : bool
        Also in the folders within.
    pattern : str
        Only those whose name is like this, such as ``"*cam1*"``; case does not matter.

    Returns
    -------
    list of Path
        By name.
    """
    endings = (*VIDEO_SUFFIXES, *IMAGE_SUFFIXES)
    found: dict[Path, None] = {}
    pictures: dict[Path, list[Path]] = {}
    for file in find_files(folder, endings, recursive=recursive):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            found[file] = None
        else:
            pictures.setdefault(file.parent, []).append(file)
    for parent, files in pictures.items():
        stacks = [f for f in files if f.suffix.lower() in STACK_SUFFIXES and _is_stack(f)]
        found |= dict.fromkeys(stacks)
        if len(files) - len(stacks) >= _FEWEST:
            found[parent] = None
    return sorted(path for path in found if fnmatch(path.name.lower(), pattern.lower()))


def _is_stack(file: Path) -> bool:
    try:
        return count_pages(file) >= _FEWEST
    except VideoError:
        return False


def _split(name: str) -> list[str]:
    """Split a name into digits and what is between them, beginning with the latter."""
    return re.split(r"(\d+)", name.lower())


def _to_array(image: PIL.Image.Image) -> Any:
    """Make an array, uint8 or uint16 (H, W) or uint8 (H, W, RGB), of a page."""
    if image.mode in ("L", "RGB"):
        return np.array(image)
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        values = np.array(image)
        if values.min() >= 0 and values.max() < 2**16 and image.mode == "I":
            return values.astype(np.uint16)
        raise FormatError(f"wanted pictures of 8 or 16 bits, came {image.mode} of 32")
    return np.array(image.convert("RGB"))
