"""CVAT's own XML, 1.1 for images and for video: skeletons and points, frame by frame or tracked.

Places are taken as CVAT writes them, as in its COCO export.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from mapose.arrays import Ints
from mapose.errors import FormatError
from mapose.io.instances import name_by_kind
from mapose.io.sheets import Animal, Sheet, lay_out
from mapose.io.sources import find_frame_numbers, find_images, find_own_name, name_videos
from mapose.labels import Labels
from mapose.skeleton import Skeleton

# Of the drawing of a skeleton: circles with the name of their keypoint, lines between circles.
_TAG = re.compile(r"<(circle|line)\b([^>]*)>")
_VALUE = re.compile(r"""([\w-]+)\s*=\s*["']([^"']*)["']""")


@dataclass
class _Drawn(Animal):
    """An animal, and whether a person placed something of it in this frame."""

    by_hand: bool = True


@dataclass
class _Frame(Sheet):
    """What is drawn in a frame of a video."""

    number: int = -1


def is_cvat(path: Path) -> bool:
    """Tell whether a file is an XML of CVAT's annotations."""
    with path.open("rb") as file:
        return b"<annotations" in file.read(400)


def read_cvat_labels(path: Path) -> Labels:
    """Read skeletons and points from "CVAT for images 1.1" and "CVAT for video 1.1".

    Parameters
    ----------
    path : Path
        ``annotations.xml``. Images are looked for beside it and in ``images`` beside it, the
        video that it names there and above.

    Returns
    -------
    Labels
        Keypoints are the points of a skeleton; else points with labels of their own, of one
        animal, or of several that have groups. Of tracks, the frames in which a person placed
        something count; what is interpolated between them does not. Keypoints that are outside
        are not marked.

    Raises
    ------
    FormatError
        If the file is not CVAT's, or holds no skeletons and points.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise FormatError(f"{path}: not an XML of CVAT: {error}") from error
    if root.tag != "annotations":
        raise FormatError(f"{path}: wanted CVAT's annotations, came <{root.tag}>")
    left_out: list[str] = []
    images = [_read_image(node, left_out) for node in root.findall("image")]
    tracked = _read_tracks(root, left_out)
    size = _read_size(root)
    for frame in tracked:
        frame.size = size
    sheets = [*images, *tracked]
    skeleton = _choose_skeleton(root, sheets, path, left_out)
    names, numbers, videos = _name_frames(root, images, tracked, path)
    found = find_images(names, path.parent, subset=path.stem)
    return lay_out(
        sheets,
        found,
        path,
        skeleton=skeleton,
        videos=videos,
        numbers=numbers,
        left_out=left_out,
    )


def _read_image(node: Element, left_out: list[str]) -> Sheet:
    size = int(node.get("width", "0")), int(node.get("height", "0"))
    sheet = Sheet(node.get("name", ""), size if min(size) else None)
    for point in node.findall("points"):
        loose = _Drawn()
        _put(loose, point.get("label", ""), point, left_out)
        for name, xy in loose.points.items():
            told = sheet.put(point.get("group_id") or "", name, xy, hidden=bool(loose.hidden))
            left_out.append(told)
    for animal in sheet.animals:
        animal.label = ""  # it was the group
    for drawn in node.findall("skeleton"):
        animal = _Drawn(drawn.get("label", ""))
        for point in drawn.findall("points"):
            _put(animal, point.get("label", ""), point, left_out)
        sheet.animals.append(animal)
    sheet.animals = [animal for animal in sheet.animals if animal.points]
    return sheet


def _put(animal: Animal, name: str, point: Element, left_out: list[str]) -> None:
    """Take in one keypoint, unless it is outside of the picture or has not just one place."""
    if point.get("outside") == "1":
        return
    try:
        ((x, y),) = (pair.split(",") for pair in point.get("points", "").split(";") if pair)
        animal.points[name] = float(x), float(y)
    except ValueError:
        left_out.append(
            f"{name} is left out: wanted one place x,y for each point, came "
            f"{point.get('points', '')!r}; draw keypoints as a skeleton, or as points with a label "
            "each"
        )
        return
    if point.get("occluded") == "1":
        animal.hidden.add(name)


def _read_tracks(root: Element, left_out: list[str]) -> list[_Frame]:
    """Read what is tracked through a video, the frames in which a person placed something."""
    frames: dict[int, dict[tuple[str, str], _Drawn]] = {}
    for track in root.findall("track"):
        label = track.get("label", "")
        for drawn in track.findall("skeleton"):
            points = drawn.findall("points")
            marks = {node.get("keyframe", "1") for node in (drawn, *points)}
            animal = _Drawn(label, f"track{track.get('id', '')}", by_hand="1" in marks)
            for point in points if drawn.get("outside") != "1" else ():
                _put(animal, point.get("label", ""), point, left_out)
            own = frames.setdefault(int(drawn.get("frame", "-1")), {})
            own[label, str(animal.track)] = animal
        for point in track.findall("points"):  # a keypoint with a track of its own
            group = f"track{track.get('group_id') or ''}"
            own = frames.setdefault(int(point.get("frame", "-1")), {})
            animal = own.setdefault(("", group), _Drawn("", group, by_hand=False))
            animal.by_hand |= point.get("keyframe", "1") == "1"
            if label in animal.points:
                raise FormatError(
                    f"frame {point.get('frame')}: {label} is there twice and nothing says of "
                    "which animal: group the points of each animal in CVAT, or use skeletons"
                )
            _put(animal, label, point, left_out)
    placed = [n for n in sorted(frames) if any(a.by_hand for a in frames[n].values())]
    if len(placed) < len(frames):
        left_out.append(
            f"{len(frames) - len(placed)} frames are left out in which CVAT interpolated everything"
        )
    sheets = [
        _Frame(f"frame_{n:06d}", animals=[a for a in frames[n].values() if a.points], number=n)
        for n in placed
    ]
    return [sheet for sheet in sheets if sheet.animals]


def _read_size(root: Element) -> tuple[int, int] | None:
    """Read width and height of the video that was labelled, where they are said."""
    said = root.find("meta//original_size")
    texts = [] if said is None else [said.findtext("width") or "", said.findtext("height") or ""]
    return (int(texts[0]), int(texts[1])) if all(t.isdigit() for t in texts) and texts else None


def _choose_skeleton(
    root: Element, sheets: Sequence[Sheet], path: Path, left_out: list[str]
) -> Skeleton:
    """Choose the label whose animals are read, that of most, and those with the same keypoints."""
    counts = Counter(animal.label for sheet in sheets for animal in sheet.animals)
    if not counts:
        why = left_out[0] if left_out else "boxes and outlines are not read"
        raise FormatError(f"{path}: no skeletons and no points; {why}")
    chosen = counts.most_common(1)[0][0]
    labels = list(root.iterfind("meta//labels/label"))
    parts_of: dict[str, set[str]] = {}
    for animal in (animal for sheet in sheets for animal in sheet.animals):
        parts_of.setdefault(animal.label, set()).update(animal.points)
    for node in labels:  # what is declared counts: a keypoint may be seen of one of them only
        if parent := node.findtext("parent"):
            parts_of.setdefault(parent, set()).add(node.findtext("name") or "")
    alike = {label for label in counts if parts_of[label] == parts_of[chosen]}
    for label, number in counts.items():
        if label not in alike:
            left_out.append(f"{number} of {label or 'points without a skeleton'} are left out")
    for sheet in sheets:
        sheet.animals = [animal for animal in sheet.animals if animal.label in alike]
    _name_by_label(sheets)
    used = [k for sheet in sheets for animal in sheet.animals for k in animal.points]
    parts = [node for node in labels if (node.findtext("parent") or "") == chosen]
    listed = [node.findtext("name") or "" for node in parts if node.findtext("type") != "skeleton"]
    keypoints = list(dict.fromkeys([*(k for k in listed if chosen or k in used), *used]))
    drawing = next((n.findtext("svg") or "" for n in labels if n.findtext("name") == chosen), "")
    edges = [pair for pair in _read_edges(drawing) if set(pair) <= set(keypoints)]
    return Skeleton(keypoints, edges)


def _name_by_label(sheets: Sequence[Sheet]) -> None:
    """Call animals after their labels where no picture has two of a label."""
    listed = [(row, animal) for row, sheet in enumerate(sheets) for animal in sheet.animals]
    if all(animal.track is None for _, animal in listed):
        rows = np.array([row for row, _ in listed], np.int64)
        names = name_by_kind(rows, [animal.label for _, animal in listed])
        for (_, animal), name in zip(listed, names, strict=True):
            animal.track = name


def _read_edges(drawing: str) -> Iterator[tuple[str, str]]:
    """Read the lines of a skeleton's drawing as pairs of keypoints."""
    tags = [(kind, dict(_VALUE.findall(text))) for kind, text in _TAG.findall(drawing)]
    names = {
        values.get("data-node-id", ""): values["data-label-name"]
        for kind, values in tags
        if kind == "circle" and "data-label-name" in values
    }
    for kind, values in tags:
        ends = values.get("data-node-from", ""), values.get("data-node-to", "")
        if kind == "line" and set(ends) <= set(names) and ends[0] != ends[1]:
            yield names[ends[0]], names[ends[1]]


def _name_frames(
    root: Element, images: Sequence[Sheet], tracked: Sequence[_Frame], path: Path
) -> tuple[list[str], Ints, list[str]]:
    """Name the image, frame number and video of each sheet."""
    own = find_own_name(path.resolve().parent)
    film = root.findtext("meta/source") or root.findtext("meta/task/source") or own
    names = [sheet.name for sheet in images]
    videos = name_videos(names, Path(film).stem if film != own and tracked else own)
    numbers = find_frame_numbers(names, videos)
    late = [sheet.number for sheet in tracked]
    return (
        [*names, *(sheet.name for sheet in tracked)],
        np.concatenate([numbers, np.array(late, np.int64)]),
        [*videos, *[Path(film).stem] * len(late)],
    )
