"""Recordings of a camera: a video, or a folder, glob or list of images; frames by their number."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from calibration.arrays import Image
from calibration.errors import CalibrationError

_logger = logging.getLogger(__name__)

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

_IMAGES = frozenset(".bmp .jpg .jpeg .png .tif .tiff .webp .pgm .ppm".split())
_VIDEOS = frozenset(
    ".mp4 .avi .mov .mkv .m4v .webm .wmv .mpg .mpeg .mts .ts "
    ".m2ts .flv .3gp .asf .mxf .ogv .vob".split()
)


@dataclass(frozen=True)
class Recording:
    """Frames of one camera.

    Attributes
    ----------
    camera : str
        Whose.
    paths : tuple of Path
        One video, or images in order.
    numbers : tuple of int
        Of the images; empty for a video.
    n_frames : int
        How many there are; a video may turn out to hold fewer.
    rate : float, optional
        Frames per second; None for images.
    size : (int, int)
        Width and height in pixels.
    """

    camera: str
    paths: tuple[Path, ...]
    numbers: tuple[int, ...]
    n_frames: int
    rate: float | None
    size: tuple[int, int]

    def read_frames(
        self, step: int = 1, *, wanted: Collection[int] | None = None
    ) -> Iterator[tuple[int, Image]]:
        """Read every `step`-th frame, or the wanted ones, as grey levels, each with its number.

        Yields
        ------
        (int, uint8 (H, W))
            Numbers count from 0 in videos; of images see `open_recording`.

        Raises
        ------
        CalibrationError
            If nothing can be read, or images differ in size.
        """
        if self.rate is None:
            return self._read_images(step, wanted)
        return self._read_video(step, wanted)

    def _read_images(
        self, step: int, wanted: Collection[int] | None
    ) -> Iterator[tuple[int, Image]]:
        listed = list(zip(self.numbers, self.paths, strict=True))
        chosen = listed[::step] if wanted is None else [it for it in listed if it[0] in wanted]
        for number, path in chosen:
            image = _read_image(path, self.camera)
            if (image.shape[1], image.shape[0]) != self.size:
                raise CalibrationError(
                    f"camera {self.camera}: {path.name} has {image.shape[1]} x {image.shape[0]} "
                    f"pixels, images before it {self.size[0]} x {self.size[1]}; images of one "
                    "camera must have one size"
                )
            yield number, image

    def _read_video(self, step: int, wanted: Collection[int] | None) -> Iterator[tuple[int, Image]]:
        capture = _open_video(self.paths[0], self.camera)
        number = 0
        try:
            # A frame that is not wanted is decoded all the same, so that numbers stay true
            # where seeking would miss.
            while capture.grab():
                if number % step == 0 if wanted is None else number in wanted:
                    there, image = capture.retrieve()
                    if there:
                        yield number, _make_gray(np.asarray(image, np.uint8))
                number += 1
        finally:
            capture.release()
        if number == 0:
            raise CalibrationError(
                f"camera {self.camera}: {self.paths[0]} holds no frame that can be read: it is cut "
                "off or damaged; copy it again"
            )
        if number < 0.98 * self.n_frames:
            _logger.warning(
                "camera %s: %s ends after %d of %d frames: it is cut off or damaged; what is there "
                "is used",
                self.camera,
                self.paths[0].name,
                number,
                self.n_frames,
            )


def open_recording(camera: str, source: Source) -> Recording:
    """Find out what a source holds.

    Parameters
    ----------
    camera : str
        Whose, for messages.
    source : path, or sequence of paths
        A video; an image; a folder or a glob pattern of images or of one video; or a list of
        images.

    Returns
    -------
    Recording
        Images are numbered by the one number in their names that changes (``left07.jpg`` is 7),
        in lists and where no such number is, by their place.

    Raises
    ------
    CalibrationError
        If there is nothing, it cannot be opened, or a folder holds several recordings.
    """
    if not isinstance(source, str | os.PathLike):
        paths = tuple(Path(path) for path in source)
        return _open_images(camera, paths, tuple(range(len(paths))), "the list")
    path = Path(source)
    files: list[Path] | None = None
    if path.is_dir():
        files = list(path.iterdir())
    elif not path.exists() and any(mark in path.name for mark in "*?["):
        files = list(path.parent.glob(path.name))
    if files is not None:
        images, video = _sort_images(files), _find_video(camera, path, files)
        if video is None:
            return _open_images(camera, images, _number_images(images), str(path))
        path = video
    if not path.exists():
        raise CalibrationError(f"camera {camera}: there is no file {path}")
    if path.suffix.lower() in _IMAGES:
        return _open_images(camera, (path,), (0,), str(path))
    capture = _open_video(path, camera)
    try:
        size = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        n_frames = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    return Recording(camera, (path,), (), n_frames, rate, size)


def _find_video(camera: str, where: Path, files: Sequence[Path]) -> Path | None:
    """Find the one video among files; None if none is a video."""
    videos = [path for path in files if path.suffix.lower() in _VIDEOS]
    if videos and len(videos) + len(_sort_images(files)) > 1:
        names = ", ".join(sorted(path.name for path in videos)[:3])
        raise CalibrationError(
            f"camera {camera}: {where} holds several recordings, among them {names}; wanted one "
            "video, or images: name the file that is meant"
        )
    return videos[0] if videos else None


def _open_video(path: Path, camera: str) -> cv2.VideoCapture:
    # FFmpeg takes "a:b.mp4" for an address, "/data/a:b.mp4" for a file.
    capture = cv2.VideoCapture(str(path.absolute()))
    if not capture.isOpened():
        raise CalibrationError(
            f"camera {camera}: {path} cannot be opened as a video: it is not one, or it is cut off "
            "before its index; copy it again or convert it"
        )
    return capture


def _sort_images(paths: Sequence[Path]) -> tuple[Path, ...]:
    images = [path for path in paths if path.suffix.lower() in _IMAGES]
    return tuple(sorted(images, key=lambda path: _split_name(path.stem)))


def _split_name(stem: str) -> list[tuple[int, str]]:
    """Split a name so that 10 sorts behind 9."""
    parts = re.split(r"(\d+)", stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _number_images(paths: Sequence[Path]) -> tuple[int, ...]:
    """Give images numbers by the one in their names that changes, else by their place."""
    groups = [[int(group) for group in re.findall(r"\d+", path.stem)] for path in paths]
    if paths and len({len(group) for group in groups}) == 1 and groups[0]:
        table = np.array(groups)
        changing = [column for column in table.T if len(np.unique(column)) == len(paths)]
        if len(paths) > 1 and len(changing) == 1:
            return tuple(int(number) for number in changing[0])
    return tuple(range(len(paths)))


def _open_images(
    camera: str, paths: tuple[Path, ...], numbers: tuple[int, ...], where: str
) -> Recording:
    if not paths:
        raise CalibrationError(
            f"camera {camera}: there is no video and no image in {where}; known endings: "
            f"{', '.join(sorted(_VIDEOS | _IMAGES))}"
        )
    first = _read_image(paths[0], camera)
    size = (first.shape[1], first.shape[0])
    return Recording(camera, paths, numbers, len(paths), None, size)


def _read_image(path: Path, camera: str) -> Image:
    if not path.is_file():
        raise CalibrationError(f"camera {camera}: there is no image {path}")
    # imread cannot open paths with letters beyond ASCII on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise CalibrationError(f"camera {camera}: {path} is not an image that OpenCV reads")
    return np.asarray(image, np.uint8)


def _make_gray(image: Image) -> Image:
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
