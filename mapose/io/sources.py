"""Where the frames of labels lie: image files, videos, and the names and numbers in their paths.

Label files of other tools are moved, zipped and copied between systems, so that the paths in them
seldom hold. What a path says is looked for beside the label file instead.
"""

from __future__ import annotations

import itertools
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from mapose.arrays import Ints

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".wmv", ".mpg", ".mpeg", ".mts", ".ts"),
    *(".m2ts", ".flv", ".3gp", ".asf", ".mxf", ".ogv", ".vob"),
)
# So many folders of a stored path are looked for beside the labels.
_MOST_FOLDERS = 12
# Folder names that say nothing about the video their images come from.
_GENERIC = {
    "",
    ".",
    "..",
    "labeled-data",
    "labels",
    "annotations",
    "images",
    "image",
    "imgs",
    "img",
    "frames",
}
_GENERIC |= {"data", "train", "val", "valid", "test"}


def split_path(name: str) -> list[str]:
    r"""Split a path of any system into its parts.

    Examples
    --------
    >>> split_path(r"C:\\mice\\day 1.avi")
    ['C:', 'mice', 'day 1.avi']
    """
    return [part for part in re.split(r"[\\/]+", name) if part]


def find_frame_numbers(names: Sequence[str], videos: Sequence[str]) -> Ints:
    """Find frame numbers in the names of image files.

    Parameters
    ----------
    names : sequence of str, (F,)
        Image paths, such as ``img0123.png``: the digits at the end count, but not those of a
        hash, as some tools give names, nor what Roboflow puts behind the name.
    videos : sequence of str, (F,)
        Video of each image.

    Returns
    -------
    int64, (F,)
        Frame number; -1 where there is none, or where a video would have a number twice.

    Examples
    --------
    >>> find_frame_numbers(["a/img007.png", "a/photo.png"], ["a", "a"]).tolist()
    [7, -1]
    >>> names = ["0012_png.rf.3c1f0a9be77d4451a9d1c8f0e2b35a61.jpg", "9f86d081884c7d65.png"]
    >>> find_frame_numbers(names, ["a", "a"]).tolist()
    [12, -1]
    """
    numbers = [_find_number(Path(_last(name)).stem) for name in names]
    seen: dict[tuple[str, int], int] = {}
    for key in zip(videos, numbers, strict=True):
        seen[key] = seen.get(key, 0) + 1
    unclear = {video for (video, number), n in seen.items() if n > 1 and number >= 0}
    pairs = zip(videos, numbers, strict=True)
    return np.array([-1 if v in unclear else n for v, n in pairs], np.int64)


def _find_number(stem: str) -> int:
    """Find the frame number at the end of a file's stem; -1 where there is none."""
    stem = re.sub(r"(_(png|jpe?g|bmp|tiff?|webp))?\.rf\.[0-9a-zA-Z]+$", "", stem)
    word = re.split(r"[^0-9a-zA-Z]", stem)[-1].lower()
    # Digits and the letters a to f in turns, as no name has them: a hash, or the end of one.
    if len(word) >= 8 and re.fullmatch(r"[0-9a-f]*\d[a-f][0-9a-f]*", word):
        return -1
    found = re.search(r"(?<!\d)(\d{1,12})$", stem)
    return int(found.group(1)) if found else -1


def find_own_name(folder: Path) -> str:
    """Name what lies in a folder after it, or after the first above it that says something.

    Examples
    --------
    >>> find_own_name(Path("/data/mice/annotations"))
    'mice'
    """
    places = [folder, *folder.parents]
    return next((p.name for p in places if p.name.lower() not in _GENERIC), "images")


def name_videos(names: Sequence[str], otherwise: str) -> list[str]:
    """Name the video of each image after the folder that the image lies in.

    Folders called ``images``, ``labeled-data`` and the like are passed over; where nothing is
    left, the name is ``otherwise``. Different folders have different names.

    Examples
    --------
    >>> name_videos(["labeled-data/m4s1/img1.png", "images/img1.png"], "mice")
    ['m4s1', 'mice']
    >>> name_videos(["day1/cam1/1.png", "day2/cam1/1.png"], "mice")
    ['day1-cam1', 'day2-cam1']
    """
    folders = [[f for f in split_path(n)[:-1] if f.lower() not in _GENERIC] for n in names]
    return tell_apart([tuple(f) or (otherwise,) for f in folders])


def tell_apart(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """Name each path by its last part, and by more of its end where another one ends alike.

    Parameters
    ----------
    paths : sequence of tuple of str
        Parts of each path. Same paths get the same name, different ones different names, also on
        disks that take upper and lower case for the same.

    Examples
    --------
    >>> tell_apart([("day1", "0001"), ("day2", "0001"), ("day2", "0002"), ("day1", "0001")])
    ['day1-0001', 'day2-0001', '0002', 'day1-0001']
    """
    distinct = dict.fromkeys(paths)
    named: dict[tuple[str, ...], str] = {}
    used: set[str] = set()
    most = min(max(map(len, distinct), default=0), _MOST_FOLDERS)
    for count in range(1, most + 1):
        tails = {p: "-".join(p[-count:]) for p in distinct if p not in named}
        often = Counter(tail.casefold() for tail in tails.values())
        for path, tail in tails.items():
            if len(path) <= count or count == most or often[tail.casefold()] == 1:
                number = next(n for n in itertools.count(1) if _add(tail, n).casefold() not in used)
                named[path] = _add(tail, number)
                used.add(named[path].casefold())
    return [named[path] for path in paths]


def _add(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def find_images(names: Sequence[str], folder: Path, *, subset: str = "") -> list[Path | None]:
    """Find image files by the paths that a label file gives.

    Parameters
    ----------
    names : sequence of str
        Paths as written in the label file, of any system.
    folder : Path
        Folder of the label file. The path is tried from here, from two folders up and from
        ``images`` or ``frames`` beside; then the bare name, if no two images share it. At last
        folders within ``images`` are tried, if only one of them has it; and names that differ in
        case or in how a system writes accents, where there is no other.
    subset : str
        Name of the label file. Folders that it names, such as ``train2017`` in
        ``keypoints_train2017``, come first.

    Returns
    -------
    list of Path or None
        None where there is no such file.
    """
    bases = [folder, folder.parent, folder.parent.parent]
    bases += [b / n for b in bases[:2] for n in ("images", "frames", "labeled-data")]
    bases = [b for b in bases if b.is_dir()]
    own, others = _list_subsets(bases, subset)
    bases = [*own, *bases]
    bare = [_last(n) for n in names]
    bare_is_enough = len(set(bare)) == len(set(names))

    def candidates(name: str, bases: Sequence[Path]) -> Iterator[Path]:
        parts = split_path(name)
        tails = [parts[-n:] for n in range(min(len(parts), _MOST_FOLDERS), 1, -1)]
        if bare_is_enough or len(parts) == 1:
            tails.append(parts[-1:])
        suffixes = ("",) if Path(parts[-1]).suffix.lower() in IMAGE_SUFFIXES else IMAGE_SUFFIXES
        if Path(name).is_absolute():
            yield Path(name)
        for tail in tails:
            for base in bases:
                for suffix in suffixes:
                    yield base.joinpath(*tail[:-1], tail[-1] + suffix)

    def find(name: str) -> Path | None:
        if found := next((c for c in candidates(name, bases) if is_file(c)), None):
            return found
        within = [c for place in others for c in candidates(name, [place]) if is_file(c)]
        if len(within) == 1:
            return within[0]
        alike = (listings.find(c) for c in candidates(name, bases))
        return next((c for c in alike if c), None)

    listings = _Listings()
    return [find(name) for name in names]


class _Listings:
    """Files by names without case, each folder read once."""

    def __init__(self) -> None:
        self._known: dict[Path, dict[str, list[Path]]] = {}

    def find(self, path: Path) -> Path | None:
        """Find the only file that is called like a path but for case and accents' writing."""
        folder = path.parent
        if folder not in self._known:
            listed: dict[str, list[Path]] = {}
            for file in _list_folder(folder):
                listed.setdefault(_fold(file.name), []).append(file)
            self._known[folder] = listed
        found = self._known[folder].get(_fold(path.name), [])
        return found[0] if len(found) == 1 and is_file(found[0]) else None


def _fold(name: str) -> str:
    """Write a name in one way: systems differ in case, and in whether an accent is a letter."""
    return unicodedata.normalize("NFC", name).casefold()


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError):
        return []


def _list_subsets(bases: Sequence[Path], subset: str) -> tuple[list[Path], list[Path]]:
    """List the folders that a label file's name says its images are in, and others in ``images``.

    COCO has ``train2017`` beside ``annotations/person_keypoints_train2017.json``, CVAT
    ``images/default`` beside ``annotations/person_keypoints_default.json``.
    """
    words = set(re.split(r"[_. -]+", subset.lower()))
    inside = [p for b in bases if b.name == "images" for p in sorted(b.iterdir()) if p.is_dir()]
    beside = [b / w for b in bases for w in sorted(words) if w and (b / w).is_dir()]
    own = [p for p in inside if p.name.lower() in words]
    return [*own, *beside], [p for p in inside if p not in own]


def is_file(path: Path) -> bool:
    """Tell whether there is a file; there is none of a name that no system takes."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a null
        return False


def find_video(name: str, folders: Iterable[Path]) -> Path | None:
    """Find a video file by its name, else by its stem, whatever its suffix.

    Parameters
    ----------
    name : str
        Path, file name or stem.
    folders : iterable of Path
        Where to look, first come first served; each with its subfolder ``videos``.
    """
    last = _last(name)
    stem = Path(last).stem if Path(last).suffix.lower() in VIDEO_SUFFIXES else last
    beside = [list_videos(p) for folder in folders for p in (folder, folder / "videos")]
    for files in beside:
        if exact := [v for v in files if v.name == last]:
            return exact[0]
    for write in (str, _fold):
        for files in beside:
            found = [v for v in files if write(v.stem) == write(stem)]
            if len(found) > 1:
                log.warning(
                    "%s: several videos are called %s; %s is taken",
                    found[0].parent, stem, found[0].name,
                )  # fmt: skip
            if found:
                return found[0]
    return None


def find_sources(videos: Iterable[str], folder: Path, *, up: int = 2) -> dict[str, Path]:
    """Find the video of each name in a folder, those above it, and their folders ``videos``.

    Parameters
    ----------
    videos : iterable of str
        Stems.
    folder : Path
        Where to start.
    up : int
        How many folders to climb.
    """
    places = [folder, *folder.resolve().parents[:up]]
    found = {video: find_video(video, places) for video in dict.fromkeys(videos)}
    return {video: path for video, path in found.items() if path is not None}


def find_files(
    folder: Path, endings: Sequence[str], *, recursive: bool = False, pattern: str = "*"
) -> list[Path]:
    """List the files of a folder whose names end in one of several ways.

    Parameters
    ----------
    folder : Path
        Files and folders in it that are hidden are left out.
    endings : sequence of str
        In lower case; the case of the files does not matter.
    recursive : bool
        Also in the folders within.
    pattern : str
        Only files whose name is like this, such as ``"*cam1*"``; case does not matter.

    Returns
    -------
    list of Path
        By name.
    """
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        path
        for path in found
        if path.name.lower().endswith(tuple(endings))
        and fnmatch(path.name.lower(), pattern.lower())
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def list_videos(folder: Path) -> list[Path]:
    """List the video files of a folder, by name; empty if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.suffix.lower() in VIDEO_SUFFIXES)


def _last(name: str) -> str:
    parts = split_path(name)
    return parts[-1] if parts else ""
