import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mapose.errors import FormatError
from mapose.io.coco import read_coco_labels, write_coco
from mapose.poses import Poses
from mapose.skeleton import Skeleton


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
    for annotation in document["annotations"]:
        annotation["image_id"] = 8
    with pytest.raises(FormatError, match=r"annotation .* does not fit"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["annotations"] = []
    with pytest.raises(FormatError, match="no annotation has any"):
        read_coco_labels(write(document, tmp_path))
    document = make_document()
    document["categories"] = document["categories"][:1]
    with pytest.raises(FormatError, match="not boxes"):
        read_coco_labels(write(document, tmp_path))
    with pytest.raises(FormatError, match="wanted COCO"):
        read_coco_labels(write({"images": []}, tmp_path))
    path = write(document, tmp_path)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match="is not json"):
        read_coco_labels(path)


def test_one_flaw_does_not_end_all(tmp_path: Path) -> None:
    whole = read_coco_labels(write(make_document(), tmp_path))
    for key, value in (("keypoints", [1, 2]), ("keypoints", ["a", {}]), ("image_id", 8)):
        document = make_document()
        document["annotations"][1][key] = value
        labels = read_coco_labels(write(document, tmp_path))
        assert labels.left_out == ("annotation 20 does not fit and is left out",)
        assert 0 < np.isfinite(labels.points).sum() < np.isfinite(whole.points).sum()
    document = make_document()
    document["categories"].append({"id": 2, "name": "rat", "keypoints": ["nose"]})
    assert read_coco_labels(write(document, tmp_path)).left_out == ()  # nobody uses it
    rat = {
        "id": 30,
        "image_id": document["images"][0]["id"],
        "category_id": 2,
        "keypoints": [1, 2, 2],
    }
    document["annotations"].append(rat)
    labels = read_coco_labels(write(document, tmp_path))
    assert "1 annotations of rat are left out" in labels.left_out[0]
    np.testing.assert_array_equal(labels.points, whole.points)


def test_written_poses_come_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = rng.uniform(5, 300, (6, 2, 3, 3)).astype(np.float32)
    array[..., 2] = rng.uniform(0.3, 1, array.shape[:-1])
    array[1], array[2, 0], array[3, 1, 2] = np.nan, np.nan, np.nan
    skeleton = Skeleton(["nose", "ear", "tail"], [("nose", "ear"), ("ear", "tail")])
    frames = np.array([3, 4, 5, 70, 71, 72])
    poses = Poses(array, skeleton, ("anna", "bea"), frames=frames)
    path = tmp_path / "mice.json"
    write_coco(poses, path, video="day1.mp4")
    labels = read_coco_labels(path)
    assert labels.skeleton == skeleton and labels.identified
    assert labels.individuals == ("anna", "bea")
    assert labels.videos == ("day1",) * 5 and labels.frames.tolist() == [3, 5, 70, 71, 72]
    np.testing.assert_allclose(labels.points, poses.points[[0, 2, 3, 4, 5]], atol=1e-3)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert [track["name"] for track in document["tracks"]] == ["anna", "bea"]
    one = next(a for a in document["annotations"] if a["image_id"] == 70 and a["track_id"] == 2)
    assert one["num_keypoints"] == 2 and one["keypoints"][6:] == [0.0, 0.0, 0.0]
    low, high = poses.points[3, 1, :2].min(0), poses.points[3, 1, :2].max(0)
    np.testing.assert_allclose(one["bbox"], [*low, *(high - low)], atol=1e-3)
    assert one["score"] == pytest.approx(float(poses.confidence[3, 1, :2].mean()), abs=1e-4)


def test_poses_in_space_are_refused(tmp_path: Path) -> None:
    poses = Poses(np.ones((2, 1, 1, 4), np.float32), Skeleton(["body"]), unit="mm")
    with pytest.raises(FormatError, match="3D"):
        write_coco(poses, tmp_path / "mice.json")
    assert not list(tmp_path.iterdir())
