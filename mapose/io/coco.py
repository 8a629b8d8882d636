"""COCO keypoints: one json with images, annotations and the category that names the keypoints."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mapose.arrays import AnyFloats, Ints
from mapose.errors import FormatError
from mapose.files import make_mark, write_atomically
from mapose.io.conventions import settle_visibility
from mapose.io.images import read_image, write_image
from mapose.io.instances import assign_columns, fill_array, name_by_kind
from mapose.io.picture_sizes import hold_sizes, hold_videos
from mapose.io.recordings import find_path
from mapose.io.sources import (
    find_frame_numbers,
    find_images,
    find_own_name,
    find_sources,
    name_videos,
)
from mapose.io.stills import is_recording
from mapose.io.video import Video
from mapose.labels import OCCLUDED, VISIBLE, Labels
from mapose.parts import Parts
from mapose.poses import Poses
from mapose.reading import load_json
from mapose.skeleton import Skeleton

log = logging.getLogger(__name__)

#: Frames of a video that are written beside a file of poses.
MOST_IMAGES = 1000
_TRACK_KEYS = ("object_id", "track_id", "instance_id")
# By what the entries of each part name each other.
_KEYS = {"images": ["id"], "annotations": ["image_id", "category_id"], "categories": ["id"]}


def is_coco(document: Any) -> bool:
    """Tell whether a json document has the parts of COCO annotations."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def list_coco_files(folder: Path) -> list[Path]:
    """List the files of an export in several parts, such as Roboflow's train, valid and test."""
    return sorted(folder.glob("*/_annotations.coco.json"))


def read_coco_labels(path: Path) -> Labels:
    """Read COCO keypoint annotations.

    Parameters
    ----------
    path : Path
        Json file, or a folder with the parts of one export (`list_coco_files`). Images are looked
        for beside each file and in ``images`` beside it.

    Returns
    -------
    Labels
        A keypoint with v = 0 is not marked. The individual is a track where every annotation
        has an ``object_id`` or ``track_id`` (as CVAT writes); else individuals are slots. Of
        several body plans the one with most annotations is read; annotations of others, and
        damaged ones, are told in `left_out`.

    Raises
    ------
    FormatError
        If the file is not COCO, has no keypoints, or no annotation fits.

    References
    ----------
    COCO data format, "keypoint detection": https://cocodataset.org/#format-data
    """
    parts = list_coco_files(path) if path.is_dir() else [path]
    document = _join_parts([_load_part(part) for part in parts], parts)
    images, annotations, categories = (
        document[part] for part in ("images", "annotations", "categories")
    )
    left_out: list[str] = []
    plan = _choose_plan(categories, annotations, path, left_out)
    skeleton = _read_skeleton(plan, path)
    # An image that is listed twice, as merged files do, is one.
    names = _name_images(images, left_out)
    listed = list(dict.fromkeys(names.values()))
    stated = {names[i["id"]]: _read_size(i) for i in images if i.get("id") in names}
    row_of = {name: row for row, name in enumerate(listed)}
    kinds = _list_kinds(plan, categories)
    fitting, rows = [], []
    for annotation in annotations:
        if not annotation.get("keypoints") or annotation.get("category_id") not in kinds:
            continue
        triples = _read_triples(annotation, len(skeleton.keypoints))
        if triples is None or annotation.get("image_id") not in names:
            left_out.append(f"annotation {annotation.get('id')} does not fit and is left out")
            continue
        fitting.append((annotation, triples))
        rows.append(row_of[names[annotation["image_id"]]])
    if not fitting:
        raise FormatError(
            f"{path}: wanted annotations of known images with {len(skeleton.keypoints)} keypoints "
            f"(x, y, v); {left_out[0] if left_out else 'no annotation has any'}"
        )
    triples = np.array([triples for _, triples in fitting])
    triples[..., 2], said = settle_visibility(triples[..., 2])
    left_out += [said] if said else []
    xy = np.where(triples[..., 2:] > 0, triples[..., :2], np.nan)
    videos = name_videos(listed, find_own_name(parts[0].resolve().parent))
    place = np.array(rows, np.int64)
    tracks = _name_tracks([a for a, _ in fitting], document.get("tracks"))
    if set(tracks) == {None}:
        tracks = name_by_kind(place, [kinds[a.get("category_id")] for a, _ in fitting])
    columns, individuals, identified = assign_columns(place, tracks, videos)
    sizes = [stated.get(n) for n in listed]
    found, told = hold_sizes(_find_pictures(listed, path), sizes)
    sources, others = hold_videos(find_sources(videos, path.parent), videos, found, sizes)
    left_out += told + others
    shape = (len(listed), len(individuals))
    hidden = fill_array(triples[..., 2:] == 1, place, columns, shape)[..., 0] == 1
    return Labels(
        fill_array(xy, place, columns, shape),
        skeleton,
        tuple(videos),
        find_frame_numbers(listed, videos),
        tuple(found),
        tuple(individuals),
        identified,
        sources,
        tuple(left_out),
        # Many tools write 1 throughout: then it says nothing.
        np.where(hidden, OCCLUDED, VISIBLE) if (triples[..., 2] > 1).any() else None,
    )


def _load_part(path: Path) -> dict[str, Any]:
    document = load_json(path)
    if not is_coco(document):
        raise FormatError(f"{path}: wanted COCO with images, annotations and categories")
    for part in ("images", "annotations", "categories"):
        document[part] = _list_entries(document[part], part, path)
        for entry in document[part]:
            keys = _KEYS[part]
            entry.update({key: _make_key(entry[key]) for key in keys if key in entry})
    return dict(document)


def _join_parts(documents: list[dict[str, Any]], paths: list[Path]) -> dict[str, Any]:
    """Make one document of the parts of an export; each counts its images from 0."""
    if len(documents) < 2:
        return documents[0]
    joined: dict[str, Any] = {**documents[0], "images": [], "annotations": []}
    for document, path in zip(documents, paths, strict=True):
        if document["categories"] != joined["categories"]:
            raise FormatError(
                f"{path} has other categories than {paths[0]}: they are not parts of one export; "
                "import one after the other"
            )
        part = path.parent.name
        for image in document["images"]:
            name = f"{part}/{image.get('file_name', image.get('id'))}"
            joined["images"].append({**image, "id": f"{part}/{image.get('id')}", "file_name": name})
        for own in document["annotations"]:
            joined["annotations"].append({**own, "image_id": f"{part}/{own.get('image_id')}"})
    return joined


def _find_pictures(listed: list[str], path: Path) -> list[Path | None]:
    if path.is_dir():
        return find_images(listed, path)
    return find_images(listed, path.parent, subset=path.stem)


def _read_size(image: dict[str, Any]) -> tuple[int, int] | None:
    """Read what is said of an image's width and height; None where it is not said."""
    try:
        width, height = (int(float(image.get(side) or 0)) for side in ("width", "height"))
    except (ValueError, TypeError, OverflowError):
        return None
    return (width, height) if min(width, height) > 0 else None


def _list_entries(value: Any, part: str, path: Path) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise FormatError(f"{path}: wanted a list of {part}")
    return [entry for entry in value if isinstance(entry, dict)]


def _make_key(value: Any) -> str | None:
    """Write a number by which entries name each other in one way: 7, 7.0 and "7" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (int, str)) else None


def _name_images(images: list[dict[str, Any]], left_out: list[str]) -> dict[str, str]:
    """Give the file name of each image by its id; two images of one id are left out."""
    names: dict[str, str] = {}
    double: dict[str, str] = {}
    for image in images:
        key = image.get("id")
        if key is None:
            continue
        name = str(image.get("file_name", key))
        if names.setdefault(key, name) != name:
            double.setdefault(key, f"{names[key]} and {name}")
    if double:
        key, both = next(iter(double.items()))
        left_out.append(
            f"{len(double)} ids of images stand for several, first {key} for {both}: nothing says "
            "which annotation is whose, and they are left out; import the files one by one"
        )
    return {key: name for key, name in names.items() if key not in double}


def _read_triples(annotation: dict[str, Any], count: int) -> Any:
    """Read x, y, v of all keypoints, float32 (K, 3); None where they cannot be read."""
    try:
        return np.array(annotation["keypoints"], np.float32).reshape(count, 3)
    except (ValueError, TypeError, OverflowError):
        return None


def _list_kinds(plan: dict[str, Any], categories: list[dict[str, Any]]) -> dict[Any, str]:
    """Name the categories with the keypoints that are read, by their ids."""
    same = [c for c in categories if c.get("keypoints") == plan["keypoints"]]
    return {c.get("id"): str(c.get("name", c.get("id"))) for c in same}


def _choose_plan(
    categories: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    path: Path,
    left_out: list[str],
) -> dict[str, Any]:
    """Choose the category whose keypoints are read: that of most annotations."""
    known = [c for c in categories if isinstance(c.get("keypoints"), list) and c["keypoints"]]
    if not known:
        raise FormatError(f"{path}: no category has keypoints; wanted COCO keypoints, not boxes")
    used = Counter(str(a.get("category_id")) for a in annotations if a.get("keypoints"))
    counts = [
        sum(used[str(c.get("id"))] for c in known if c["keypoints"] == plan["keypoints"])
        for plan in known
    ]
    chosen = known[int(np.argmax(counts))]
    for other in known:
        number = used[str(other.get("id"))]
        if other["keypoints"] != chosen["keypoints"] and number:
            left_out.append(
                f"{number} annotations of {other.get('name', other.get('id'))} are left out: they "
                f"have other keypoints than those of {chosen.get('name', chosen.get('id'))}"
            )
    unknown = sorted(set(used) - {str(c.get("id")) for c in categories})
    if unknown:
        left_out.append(
            f"{sum(used[u] for u in unknown)} annotations are left out: they name categories "
            f"{', '.join(unknown)}, which are not listed"
        )
    return chosen


def write_coco(
    poses: Poses | Parts,
    path: Path,
    *,
    video: str | Path | None = None,
    support: Mapping[str, Any] | None = None,
    made: str = "",
) -> None:
    """Write COCO keypoints: an image per frame with somebody in it, an annotation per animal.

    Images are called ``VIDEO/frame_000012.png`` by video (or file) and frame number. Where the
    video is at hand and no more than `MOST_IMAGES` are needed, they are written as well, as
    readers such as sleap-io open what they find only; those that are there stay as they are. A
    keypoint that was not found is (0, 0) with v = 0, the others have v = 2. The box is that of the
    keypoints. Besides what the format asks for, an annotation has a ``score``, the mean confidence
    of its keypoints, a ``track_id`` from 1 where individuals have names, which are listed under
    ``tracks``, and where a person edited it (``edited`` of the support) the names of the keypoints
    under ``attributes``; what made the file stands under ``info``.

    Raises
    ------
    FormatError
        If the poses are 3D.
    """
    parts = Parts.of(poses, support=support)
    if parts.dimensions != 2:
        raise FormatError("coco: wanted poses in pixels, came 3D; export them as csv or movement")
    head = _make_head(parts.skeleton, parts.individuals or (), made)
    folder = Path(video).stem if video is not None else path.stem
    frames = parts.frames[np.concatenate([part.find_present().any(1) for part in parts])]

    def name(frame: int) -> str:
        return f"{folder}/frame_{frame:06d}.png"

    size = {}
    if video is not None and is_recording(Path(video)):
        size = _write_images(Path(video), frames, lambda frame: path.parent / name(frame))
    images = ({"id": f, "file_name": name(f), **size} for f in map(int, frames))
    _write_parts(path, head, images, _list_annotations(parts))


def _write_images(video: Path, frames: Ints, find_place: Callable[[int], Path]) -> dict[str, int]:
    """Write frames of a video as images, and give their size."""
    with Video(video) as source:
        if len(beyond := frames[frames >= len(source)]):
            raise FormatError(
                f"{video.name} has {len(source)} frames, the poses go to frame {beyond[-1]}: name "
                "the video that they were found in"
            )
        if len(frames) > MOST_IMAGES:
            log.warning(
                "%d images are named but not written, as they are more than %d: cut the video "
                "first, or write them where these names say",
                len(frames), MOST_IMAGES,
            )  # fmt: skip
        else:
            for frame in frames.tolist():
                if not (place := find_place(frame)).exists():
                    write_image(source.read(frame), place)
        return {"width": source.size[0], "height": source.size[1]}


def write_coco_labels(labels: Labels, path: Path, *, made: str = "") -> None:
    """Write labelled images as COCO keypoints.

    Images are named by their paths from the file, or as they are where there is none. A keypoint
    has v = 2 if it is visible, 1 if it is occluded, else (0, 0) with v = 0. The box is that of
    the keypoints. ``track_id`` is the number of the animal where animals are identified.

    Parameters
    ----------
    labels : Labels
        Every frame needs an image file.
    path : Path
        Ends in ``.json``.
    made : str
        What makes it, for the mark in ``info``.

    Raises
    ------
    FormatError
        If a frame has no image.
    """
    images = []
    for row, image in enumerate(labels.images):
        if image is None:
            raise FormatError(f"cannot write {path}: a frame of {labels.videos[row]} has no image")
        high, wide = read_image(image).shape[:2]
        name = find_path(image, path.resolve().parent).as_posix()
        images.append({"id": row + 1, "file_name": name, "width": wide, "height": high})
    head = _make_head(labels.skeleton, labels.individuals if labels.identified else (), made)
    seen = np.asarray(np.isfinite(labels.points).all(-1))
    annotations: list[dict[str, Any]] = []
    for f, i in zip(*np.nonzero(seen.any(-1)), strict=True):
        flags = np.where(seen[f, i], np.where(labels.find_states()[f, i] == OCCLUDED, 1.0, 2.0), 0)
        entry = _make_annotation(labels.points[f, i], flags)
        track = {"track_id": int(i) + 1} if labels.identified else {}
        annotations.append({"id": len(annotations) + 1, "image_id": int(f) + 1, **entry, **track})
    _write_parts(path, head, images, annotations)


def _make_head(skeleton: Skeleton, names: Sequence[str], made: str) -> dict[str, Any]:
    index = {name: number for number, name in enumerate(skeleton.keypoints, start=1)}
    return {
        "info": {"description": make_mark(made) or "mapose"},
        "categories": [
            {
                "id": 1,
                "name": "animal",
                "keypoints": list(skeleton.keypoints),
                "skeleton": [[index[a], index[b]] for a, b in skeleton.edges],
            }
        ],
        # From 1: 0 counts for none in some readers.
        "tracks": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
    }


def _write_parts(
    path: Path,
    head: dict[str, Any],
    images: Iterable[dict[str, Any]],
    annotations: Iterable[dict[str, Any]],
) -> None:
    with (
        write_atomically(path, error=FormatError) as partial,
        partial.open("w", encoding="utf-8") as file,
    ):
        file.write(json.dumps(head)[:-1])
        for name, entries in (("images", images), ("annotations", annotations)):
            file.write(f', "{name}": [')
            for number, entry in enumerate(entries):
                file.write((",\n" if number else "\n") + json.dumps(entry))
            file.write("]")
        file.write("}\n")


def _list_annotations(parts: Parts) -> Iterator[dict[str, Any]]:
    names, number = np.array(parts.skeleton.keypoints), 0
    for poses, support in parts.iterate_supported():
        seen = np.asarray(np.isfinite(poses.points).all(-1))
        by_hand = np.asarray(support.get("edited", np.zeros_like(seen)))
        for f, i in zip(*np.nonzero(seen.any(-1)), strict=True):
            number += 1
            there, moved = seen[f, i], by_hand[f, i]
            yield {
                "id": number,
                "image_id": int(poses.frames[f]),
                **_make_annotation(poses.points[f, i], there * 2.0),
                "score": round(float(poses.confidence[f, i][there].mean()), 4),
                **({} if poses.individuals is None else {"track_id": int(i) + 1}),
                **({"attributes": {"edited": names[moved].tolist()}} if moved.any() else {}),
            }


def _make_annotation(points: AnyFloats, flags: AnyFloats) -> dict[str, Any]:
    """Lay out an animal: points (K, 2) in pixels, flags (K,) 0, 1 or 2."""
    points, there = points.astype(float), flags > 0
    low, high = points[there].min(0), points[there].max(0)
    triples = np.concatenate([points, flags[:, None]], axis=-1)
    return {
        "category_id": 1,
        "keypoints": np.where(there[:, None], triples, 0.0).round(3).ravel().tolist(),
        "num_keypoints": int(there.sum()),
        "bbox": np.concatenate([low, high - low]).round(3).tolist(),
        "area": round(float((high - low).prod()), 3),
        "iscrowd": 0,
    }


def _name_tracks(annotations: list[dict[str, Any]], listed: Any) -> list[str | None]:
    """Name the individual of each annotation, by the list of names where the file has one."""
    entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    names = {str(e["id"]): str(e["name"]) for e in entries if {"id", "name"} <= set(e)}
    found = [_find_track(annotation) for annotation in annotations]
    known = len(set(names.values())) == len(names)
    return [names.get(t, t) if t is not None and known else t for t in found]


def _find_track(annotation: dict[str, Any]) -> str | None:
    attributes = annotation.get("attributes")
    for place in (attributes if isinstance(attributes, dict) else {}, annotation):
        for key in _TRACK_KEYS:
            if place.get(key) is not None:
                return str(place[key])
    return None


def _read_skeleton(plan: dict[str, Any], path: Path) -> Skeleton:
    names = [str(k) for k in plan["keypoints"]]
    try:
        pairs = np.array(plan.get("skeleton") or [], np.int64).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}: wanted the skeleton as pairs of numbers: {error}") from error
    # The format counts from 1, but some exporters count from 0.
    if len(pairs) and pairs.min() > 0:
        pairs -= 1
    edges: dict[frozenset[int], tuple[str, str]] = {}
    for a, b in pairs.tolist():
        if a != b and min(a, b) >= 0 and max(a, b) < len(names):
            edges.setdefault(frozenset((a, b)), (names[a], names[b]))
    return Skeleton(names, edges.values())
