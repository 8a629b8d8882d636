import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapose.errors import FormatError
from mapose.io.coco import read_coco_labels


def make_document() -> dict[str, Any]:
    def animal(image: int, at: float, v: list[int], track: int | None) -> dict[str, Any]:
        points = [c for k in range(3) for c in (at + k, at, v[k])]
        attributes = {} if track is None else {"attributes": {"object_id": track}}
        return {"id": at, "image_id": image, "category_id": 1, "keypoints": points, **attributes}

    return {
        "images": [
            {"id": 7, "file_name": "day1/frame_000012.png"},
            {"id": 9, "file_name": "day1/frame_000020.png"},
            {"id": 11, "file_name": "day1/frame_000030.png"},
        ],
        "categories": [
            {"id": 0, "name": "box"},
            {
                "id": 1,
                "name": "mouse",
                "keypoints": ["nose", "ear", "tail"],
                "skeleton": [[1, 2], [2, 1], [2, 3]],
            },
        ],
        "annotations": [
            animal(7, 10, [2, 1, 0], 5),
            animal(7, 20, [2, 2, 2], 3),
            animal(9, 30, [2, 2, 2], 3),
            {"id": 99, "image_id": 9, "category_id": 0, "bbox": [0, 0, 1, 1]},
        ],
    }


def write(document: Any, folder: Path) -> Path:
    path = folder / "annotations" / "mice.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_coco_with_tracks(tmp_path: Path) -> None:
    image = tmp_path / "images/day1/frame_000012.png"
    image.parent.mkdir(parents=True)
    image.touch()
    (tmp_path / "day1.mp4").touch()
    labels = read_coco_labels(write(make_document(), tmp_path))
    assert labels.skeleton.keypoints == ("nose", "ear", "tail")
    assert labels.skeleton.edges == (("nose", "ear"), ("ear", "tail"))
    assert labels.individuals == ("5", "3") and labels.identified
    assert labels.frames.tolist() == [12, 20, 30] and labels.videos == ("day1",) * 3
    assert labels.images == (image, None, None)
    assert labels.sources == {"day1": tmp_path / "day1.mp4"}
    assert labels.points[0, 0].tolist()[:2] == [[10, 10], [11, 10]]
    assert np.isnan(labels.points[0, 0, 2]).all()
    assert np.isnan(labels.points[1, 0]).all() and labels.points[1, 1, 2].tolist() == [32, 30]
    assert np.isnan(labels.points[2]).all()


def test_coco_without_tracks_has_slots(tmp_path: Path) -> None:
    document = make_document()
    del document["annotations"][0]["attributes"]
    labels = read_coco_labels(write(document, tmp_path))
    assert labels.individuals == ("animal0", "animal1") and not labels.identified
    assert labels.points[1, 0, 0].tolist() == [30, 30]


def test_edges_counted_from_zero(tmp_path: Path) -> None:
    document = make_document()
    document["categories"][1]["skeleton"] = [[0, 1], [1, 2]]
    labels = read_coco_labels(write(document, tmp_path))
    assert labels.skeleton.edges == (("nose", "ear"), ("ear", "tail"))


def test_what_does_not_fit_is_said_so(tmp_path: Path) -> None:
    document = make_document()
    document["annotations"][1]["keypoints"].pop()
    with pytest.raises(FormatError, match="annotation 20 does not fit"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["annotations"][1]["image_id"] = 8
    with pytest.raises(FormatError, match="annotation 20 does not fit"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["annotations"] = []
    with pytest.raises(FormatError, match="no annotation has any"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["categories"] = document["categories"][:1]
    with pytest.raises(FormatError, match="not boxes"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["categories"].append({"id": 2, "name": "rat", "keypoints": ["nose"]})
    with pytest.raises(FormatError, match="mouse, rat have different keypoints"):
        read_coco_labels(write(document, tmp_path))
    with pytest.raises(FormatError, match="wanted COCO"):
        read_coco_labels(write({"images": []}, tmp_path))
    path = write(document, tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="is not json"):
        read_coco_labels(path)
