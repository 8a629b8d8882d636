"""What label files say of the size of their pictures, held against the pictures and videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import PIL.Image

from mapose.errors import VideoError
from mapose.io.images import check_pixels
from mapose.io.video import Video

# Number of the EXIF entry that says how a picture is turned, and its values by a quarter or so.
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)

Size = tuple[int, int]


def hold_sizes(
    images: Sequence[Path | None], stated: Sequence[Size | None], *, only_tell: bool = False
) -> tuple[list[Path | None], list[str]]:
    """Leave out pictures that have another size than the labels were made on.

    Parameters
    ----------
    images : sequence of Path or None, (F,)
        Files that were found.
    stated : sequence of (width, height) or None, (F,)
        What the label file says of them.
    only_tell : bool
        Leave out none: what is said may be out of date.

    Returns
    -------
    images : list of Path or None, (F,)
        None where the size is another one: the labels do not fit such a picture.
    told : list of str
        A sentence for each way in which they differ, with both sizes.
    """
    kept: list[Path | None] = []
    differing: dict[tuple[Size, Size, bool], list[Path]] = {}
    for image, wanted in zip(images, stated, strict=True):
        kept.append(image)
        found = None if image is None or wanted is None else measure_picture(image)
        if image is None or wanted is None or found is None:
            continue
        size, turned = found
        if size != wanted:
            kept[-1] = image if only_tell else None
            differing.setdefault((size, wanted, turned), []).append(image)
    told = [_tell(files, *key) for key, files in differing.items()]
    return kept, [f"{sentence}{'' if only_tell else ': not taken'}" for sentence in told]


def hold_videos(
    sources: Mapping[str, Path],
    videos: Sequence[str],
    images: Sequence[Path | None],
    stated: Sequence[Size | None],
) -> tuple[dict[str, Path], list[str]]:
    """Leave out videos of which frames would be taken that have another size than was labelled.

    Parameters
    ----------
    sources : dict of str to Path
        Video files by name.
    videos : sequence of str, (F,)
        Video of each frame.
    images : sequence of Path or None, (F,)
        Those that are None are taken from the video.
    stated : sequence of (width, height) or None, (F,)
        What the label file says of them.

    Returns
    -------
    sources : dict of str to Path
    told : list of str
        A sentence for each that is left out, with both sizes.
    """
    kept, told = dict(sources), []
    for name, file in sources.items():
        rows = zip(videos, images, stated, strict=True)
        wanted = {size for video, image, size in rows if video == name and image is None}
        wanted.discard(None)
        if not wanted:
            continue
        try:
            with Video(file) as opened:
                size = opened.size
        except VideoError:  # it is told when its frames are read
            continue
        if size not in wanted:
            told.append(f"{_tell([file], size, min(filter(None, wanted)), False)}: not taken")
            del kept[name]
    return kept, told


def _tell(files: Sequence[Path], size: Size, wanted: Size, turned: bool) -> str:
    what = files[0].name if len(files) == 1 else f"{len(files)} pictures, first {files[0].name},"
    verb = "is" if len(files) == 1 else "are"
    how = " once turned as the file says (EXIF)" if turned else ""
    return (
        f"{what} {verb} {size[0]} x {size[1]}{how}, but the labels were made on {wanted[0]} x "
        f"{wanted[1]}"
    )


def measure_picture(image: Path) -> tuple[Size, bool] | None:
    """Find the size that `read_image` gives, and whether that is turned; None if unreadable.

    Looks at the head of the file only.
    """
    try:
        check_pixels(image, image)
        with PIL.Image.open(image) as opened:
            width, height = opened.size
            # A PNG would be decoded as a whole to see whether it says such a thing.
            turned = opened.format != "PNG" and opened.getexif().get(_ORIENTATION) in _TURNED
    except Exception:  # Pillow raises whatever the damage leads to; it is told when it is read
        return None
    return ((height, width), True) if turned else ((width, height), False)
