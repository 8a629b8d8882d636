"""COCO keypoints: one json with images, annotations and the category that names the keypoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mapose.errors import FormatError
from mapose.files import make_mark, write_atomically
from mapose.io.instances import assign_columns, fill_array
from mapose.io.sources import find_frame_numbers, find_images, find_sources, name_videos
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.reading import load_json
from mapose.skeleton import Skeleton

_TRACK_KEYS = ("object_id", "track_id", "instance_id")


def is_coco(document: Any) -> bool:
    """Tell whether a json document has the parts of COCO annotations."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def read_coco_labels(path: Path) -> Labels:
    """Read COCO keypoint annotations.

    Parameters
    ----------
    path : Path
        Json file. Images are looked for beside it and in ``images`` beside it.

    Returns
    -------
    Labels
        A keypoint with v = 0 is not marked. The individual is a track where every annotation
        has an ``object_id`` or ``track_id`` (as CVAT writes); else individuals are slots.

    Raises
    ------
    FormatError
        If the file is not COCO, has no keypoints or several categories with different ones, or
        an annotation does not fit.

    References
    ----------
    COCO data format, "keypoint detection": https://cocodataset.org/#format-data
    """
    document = load_json(path)
    if not is_coco(document):
        raise FormatError(f"{path}: wanted COCO with images, annotations and categories")
    categories = {c["id"]: c for c in document["categories"] if c.get("keypoints")}
    skeleton = _read_skeleton(list(categories.values()), path)
    images = document["images"]
    names = [str(image.get("file_name", image["id"])) for image in images]
    place = {image["id"]: row for row, image in enumerate(images)}
    n = len(skeleton.keypoints)
    chosen = [a for a in document["annotations"] if _has_keypoints(a, categories)]
    wrong = [a for a in chosen if len(a["keypoints"]) != 3 * n or a["image_id"] not in place]
    if wrong or not chosen:
        what = f"annotation {wrong[0].get('id')} does not fit" if wrong else "no annotation has any"
        raise FormatError(
            f"{path}: wanted annotations of known images with {n} keypoints (x, y, v); {what}"
        )
    triples = np.array([a["keypoints"] for a in chosen], np.float32).reshape(-1, n, 3)
    xy = np.where(triples[..., 2:] > 0, triples[..., :2], np.nan)
    rows = np.array([place[a["image_id"]] for a in chosen], np.int64)
    videos = name_videos(names, path.resolve().parent.name)
    columns, individuals, identified = assign_columns(
        rows, [_find_track(a) for a in chosen], videos
    )
    return Labels(
        fill_array(xy, rows, columns, (len(names), len(individuals))),
        skeleton,
        tuple(videos),
        find_frame_numbers(names, videos),
        tuple(find_images(names, path.parent)),
        tuple(individuals),
        identified,
        find_sources(videos, path.parent),
    )


def write_coco(
    poses: Poses, path: Path, *, video: str | Path | None = None, made: str = ""
) -> None:
    """Write COCO keypoints: an image per frame with somebody in it, an annotation per animal.

    Images are called ``VIDEO/frame_000012.png`` by video (or file) and frame number; they are not
    written. A keypoint that was not found is (0, 0) with v = 0, the others have v = 2. The box is
    that of the keypoints. Besides what the format asks for, an annotation has a ``track_id``, the
    number of the animal, and a ``score``, the mean confidence of its keypoints; the animals' names
    are listed under ``tracks``, and what made the file under ``info``.

    Raises
    ------
    FormatError
        If the poses are 3D.
    """
    if poses.dimensions != 2:
        raise FormatError("coco: wanted poses in pixels, came 3D; export them as csv or movement")
    index = {name: number for number, name in enumerate(poses.skeleton.keypoints, start=1)}
    head = {
        "info": {"description": make_mark(made) or "mapose"},
        "categories": [
            {
                "id": 1,
                "name": "animal",
                "keypoints": list(poses.skeleton.keypoints),
                "skeleton": [[index[a], index[b]] for a, b in poses.skeleton.edges],
            }
        ],
        "tracks": [{"id": i, "name": name} for i, name in enumerate(poses.names)],
    }
    folder = Path(video).stem if video is not None else path.stem
    seen = np.asarray(np.isfinite(poses.points).all(-1))
    frames = poses.frames[seen.any((1, 2))].tolist()
    images = ({"id": f, "file_name": f"{folder}/frame_{f:06d}.png"} for f in frames)
    with (
        write_atomically(path, error=FormatError) as partial,
        partial.open("w", encoding="utf-8") as file,
    ):
        file.write(json.dumps(head)[:-1])
        for name, entries in (("images", images), ("annotations", _list_annotations(poses, seen))):
            file.write(f', "{name}": [')
            for number, entry in enumerate(entries):
                file.write((",\n" if number else "\n") + json.dumps(entry))
            file.write("]")
        file.write("}\n")


def _list_annotations(poses: Poses, seen: np.ndarray) -> Iterator[dict[str, Any]]:
    for number, (f, i) in enumerate(zip(*np.nonzero(seen.any(-1)), strict=True), start=1):
        there = seen[f, i]
        points = poses.points[f, i].astype(float)
        low, high = points[there].min(0), points[there].max(0)
        triples = np.concatenate([points, there[:, None] * 2.0], axis=-1)
        yield {
            "id": number,
            "image_id": int(poses.frames[f]),
            "category_id": 1,
            "keypoints": np.where(there[:, None], triples, 0.0).round(3).ravel().tolist(),
            "num_keypoints": int(there.sum()),
            "bbox": np.concatenate([low, high - low]).round(3).tolist(),
            "area": round(float((high - low).prod()), 3),
            "iscrowd": 0,
            "score": round(float(poses.confidence[f, i][there].mean()), 4),
            "track_id": int(i),
        }


def _has_keypoints(annotation: dict[str, Any], categories: dict[Any, Any]) -> bool:
    return annotation.get("category_id") in categories and bool(annotation.get("keypoints"))


def _find_track(annotation: dict[str, Any]) -> str | None:
    attributes = annotation.get("attributes")
    for place in (attributes if isinstance(attributes, dict) else {}, annotation):
        for key in _TRACK_KEYS:
            if place.get(key) is not None:
                return str(place[key])
    return None


def _read_skeleton(categories: list[dict[str, Any]], path: Path) -> Skeleton:
    if not categories:
        raise FormatError(f"{path}: no category has keypoints; wanted COCO keypoints, not boxes")
    names = [str(k) for k in categories[0]["keypoints"]]
    if any(c["keypoints"] != categories[0]["keypoints"] for c in categories):
        listed = ", ".join(str(c.get("name", c["id"])) for c in categories)
        raise FormatError(
            f"{path}: the categories {listed} have different keypoints; wanted one body plan, so "
            "export one category"
        )
    pairs = np.array(categories[0].get("skeleton") or [], np.int64).reshape(-1, 2)
    # The format counts from 1, but some exporters count from 0.
    if len(pairs) and pairs.min() > 0:
        pairs -= 1
    edges: dict[frozenset[int], tuple[str, str]] = {}
    for a, b in pairs.tolist():
        if a != b and {a, b} <= set(range(len(names))):
            edges.setdefault(frozenset((a, b)), (names[a], names[b]))
    return Skeleton(names, edges.values())
