"""Labels of annotation tools, written here exactly as those write them."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose import Project
from mapose.cli import app
from mapose.errors import FormatError
from mapose.io import read_labels, write_image
from mapose.labels import OCCLUDED, VISIBLE

# Skeleton as CVAT draws it, with names instead of the numbers of labels as in its exports.
SVG = (
    '<line x1="1" y1="1" x2="2" y2="2" stroke="black" data-type="edge" data-node-from="1" '
    'stroke-width="0.5" data-node-to="2"></line><circle r="1.5" cx="1" cy="1" data-type="element '
    'node" data-element-id="1" data-node-id="1" data-label-name="nose"></circle><circle r="1.5" '
    'cx="2" cy="2" data-type="element node" data-element-id="2" data-node-id="2" '
    'data-label-name="tail"></circle>'
)
LABELS = "".join(
    f"<label><name>{name}</name><color>#1</color><type>{kind}</type><attributes></attributes>"
    f"{more}</label>"
    for name, kind, more in (
        ("mouse", "skeleton", f"<svg>{SVG.replace('<', '&lt;').replace('>', '&gt;')}</svg>"),
        ("nose", "points", "<parent>mouse</parent>"),
        ("tail", "points", "<parent>mouse</parent>"),
    )
)


def picture(path, size=(200, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(np.zeros((size[1], size[0], 3), np.uint8), path)


def points(label, place, **more):
    said = "".join(f' {key}="{value}"' for key, value in more.items())
    return f'<points label="{label}"{said} points="{place}"></points>'


def test_cvat_for_images(tmp_path):
    sheets = ""
    for n in range(2):
        picture(tmp_path / f"images/img{n:03d}.png")
        animals = "".join(
            '<skeleton label="mouse" source="manual" z_order="0">'
            + points("nose", f"{10 + 50 * a}.50,{20 + n}.00", occluded=0, outside=0)
            + points("tail", f"{30 + 50 * a}.50,{20 + n}.00", occluded=a, outside=n)
            + "</skeleton>"
            for a in range(2)
        )
        sheets += (
            f'<image id="{n}" name="img{n:03d}.png" width="200" height="100">{animals}</image>'
        )
    sheets += '<image id="2" name="img002.png" width="200" height="100"></image>'
    meta = f"<meta><task><id>1</id><name>cage</name><labels>{LABELS}</labels></task></meta>"
    file = tmp_path / "annotations.xml"
    file.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{sheets}'
        "</annotations>",
        encoding="utf-8",
    )
    labels = read_labels(file)
    assert labels.skeleton.keypoints == ("nose", "tail")
    assert labels.skeleton.edges == (("nose", "tail"),)
    assert len(labels) == 2 and "1 frames without any mark" in labels.left_out[-1]
    assert [i.name for i in labels.images] == ["img000.png", "img001.png"]
    np.testing.assert_allclose(labels.points[0, :, :, 0], [[10.5, 30.5], [60.5, 80.5]])
    assert np.isnan(labels.points[1, :, 1]).all()  # outside
    assert labels.find_states()[0].tolist() == [[VISIBLE, VISIBLE], [VISIBLE, OCCLUDED]]
    done = CliRunner().invoke(app, ["import", str(tmp_path / "p"), "--from", str(file)])
    assert done.exit_code == 0, done.output
    assert len(Project.load(tmp_path / "p").load_labels()) == 2


def test_cvat_points_without_skeletons(tmp_path):
    loose = points("nose", "1,2", group_id=1) + points("tail", "3,4", group_id=1)
    loose += points("nose", "5,6", group_id=2) + points("nose", "7,8", group_id=2)
    file = tmp_path / "annotations.xml"
    text = f'<annotations><image id="0" name="a.png" width="9" height="9">{loose}</image>'
    file.write_text(text + "</annotations>", encoding="utf-8")
    labels = read_labels(file)
    np.testing.assert_array_equal(labels.points[0, :, 0], [[1, 2], [5, 6]])
    assert any("nose is there twice" in sentence for sentence in labels.left_out)
    file.write_text(text.replace("5,6", "5,6;8,9") + "</annotations>", encoding="utf-8")
    labels = read_labels(file)  # the others are taken
    np.testing.assert_array_equal(labels.points[0, :, 0], [[1, 2], [7, 8]])
    assert any("one place x,y" in sentence for sentence in labels.left_out)


def test_cvat_for_video_takes_what_a_person_placed(tmp_path):
    tracks = ""
    for a in range(2):
        frames = "".join(
            f'<skeleton frame="{f}" keyframe="{int(f in (0, 4 + a))}" z_order="0">'
            + points("nose", f"{f}.00,{a}.00", keyframe=int(f in (0, 4 + a)), outside=0, occluded=0)
            + points("tail", f"{f + 9}.00,{a}.00", keyframe=0, outside=0, occluded=0)
            + "</skeleton>"
            for f in range(7)
        )
        tracks += f'<track id="{a}" label="mouse" source="manual">{frames}</track>'
    meta = f"<meta><task><labels>{LABELS}</labels></task><source>day 1.mp4</source></meta>"
    file = tmp_path / "annotations.xml"
    file.write_text(f"<annotations>{meta}{tracks}</annotations>", encoding="utf-8")
    labels = read_labels(file)
    # Where one animal was placed the other one counts as well, else it would be background.
    assert labels.frames.tolist() == [0, 4, 5] and set(labels.videos) == {"day 1"}
    assert labels.identified and labels.individuals == ("track0", "track1")
    np.testing.assert_array_equal(labels.points[1, :, 0], [[4, 0], [4, 1]])
    assert any("4 frames are left out" in sentence for sentence in labels.left_out)


def test_roboflow_parts_are_one_import(tmp_path):
    """Each folder counts images and annotations from 0; category 0 is the class of all."""
    categories = [
        {"id": 0, "name": "mice", "supercategory": "none"},
        {"id": 1, "name": "mouse", "supercategory": "mice", "keypoints": ["nose", "tail"],
         "skeleton": [[1, 2]]},
    ]  # fmt: skip
    for part, count in (("train", 3), ("valid", 1), ("test", 1)):
        images, annotations = [], []
        for n in range(count):
            name = f"{part}{n}_{n:04d}_png.rf.{'0a1b2c3d' * 4}.jpg"
            picture(tmp_path / part / name)
            images.append({"id": n, "license": 1, "file_name": name, "height": 100, "width": 200})
            annotations.append(
                {"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81,
                 "segmentation": [], "iscrowd": 0,
                 "keypoints": [10 * len(part), n, 2, 0, 0, 0]}
            )  # fmt: skip
        document = {"info": {}, "images": images, "annotations": annotations}
        text = json.dumps({**document, "categories": categories})
        (tmp_path / part / "_annotations.coco.json").write_text(text, encoding="utf-8")
    labels = read_labels(tmp_path)
    assert len(labels) == 5 and None not in labels.images
    for image, (x, y) in zip(labels.images, labels.points[:, 0, 0], strict=True):
        assert x == 10 * len(image.parent.name) and image.name.startswith(
            f"{image.parent.name}{int(y)}_"
        )
    assert np.isnan(labels.points[:, :, 1]).all()
    other = json.loads((tmp_path / "test/_annotations.coco.json").read_text(encoding="utf-8"))
    other["categories"][1]["keypoints"] = ["tail", "nose"]
    (tmp_path / "test/_annotations.coco.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(FormatError, match="other categories"):
        read_labels(tmp_path)


def make_region(kind, region, value, **more):
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    return {"id": region, "type": kind, "from_name": "kp", **size, "value": value, **more}


def test_label_studio(tmp_path):
    """Percent of the image, animals by the region that holds their points, names after a hash."""
    regions = []
    for a in range(2):
        box = {"x": 1, "y": 1, "width": 40, "height": 40, "rotation": 0, "rectanglelabels": ["m"]}
        regions.append(make_region("rectanglelabels", f"box{a}", box))
        for k, name in enumerate(("nose", "tail")):
            place = {"x": 10 + 20 * k + 30 * a, "y": 25, "width": 0.5, "keypointlabels": [name]}
            regions.append(make_region("keypointlabels", f"{a}{k}", place, parentID=f"box{a}"))
    tasks = []
    for n in range(2):
        picture(tmp_path / "images" / ("img0.png" if n == 0 else "0a1b2c3d-img1.png"))
        upload = f"/data/upload/7/0a1b2c3d-img{n}.png"
        cancelled = {"result": [], "was_cancelled": True}
        annotations = [{"result": regions, "was_cancelled": False}, cancelled]
        tasks.append({"id": n, "annotations": annotations, "data": {"img": upload}})
    file = tmp_path / "project-1-at-2026-01-01.json"
    file.write_text(json.dumps(tasks), encoding="utf-8")
    labels = read_labels(file)
    assert len(labels) == 2 and None not in labels.images
    assert labels.frames.tolist() == [0, 1]
    np.testing.assert_allclose(labels.points[0, :, :, 0], [[20, 60], [80, 120]])
    np.testing.assert_allclose(labels.points[..., 1], 25)


@pytest.mark.parametrize("single", [False, True])
def test_labelme(tmp_path, single):
    for n in range(2):
        picture(tmp_path / f"img{n}.png")
        shapes = [
            {"label": name, "points": [[10.0 + 40 * k + 80 * a, 20.0 + n]], "group_id": a + 1,
             "description": "", "shape_type": "point", "flags": {}, "mask": None}
            for a in range(2)
            for k, name in enumerate(("nose", "tail"))
        ]  # fmt: skip
        shapes.append({**shapes[0], "points": [[1, 1], [9, 9]], "shape_type": "rectangle"})
        document = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imageData": None}
        document |= {"imagePath": f"img{n}.png", "imageHeight": 100, "imageWidth": 200}
        (tmp_path / f"img{n}.json").write_text(json.dumps(document), encoding="utf-8")
    labels = read_labels(tmp_path / "img0.json" if single else tmp_path)
    assert len(labels) == (1 if single else 2) and None not in labels.images
    assert labels.skeleton.keypoints == ("nose", "tail")
    np.testing.assert_allclose(labels.points[0, :, :, 0], [[10, 50], [90, 130]])


@pytest.mark.parametrize("file", ["", "data.yaml"])
def test_yolo_pose(tmp_path, file):
    (tmp_path / "data.yaml").write_text(
        "train: images/train\nval: images/val\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n"
        "names:\n  0: mouse\nkpt_names:\n  0: [nose, earL, earR]\n",
        encoding="utf-8",
    )
    for part, n in (("train", 0), ("val", 1)):
        picture(tmp_path / f"images/{part}/img{n}.png")
        lines = "".join(
            f"0 0.5 0.5 0.4 0.4 {0.1 + 0.5 * a:.6f} 0.250000 2 {0.2 + 0.5 * a:.6f} 0.25 1 0 0 0\n"
            for a in range(2)
        )
        text = tmp_path / f"labels/{part}/img{n}.txt"
        text.parent.mkdir(parents=True)
        text.write_text(lines, encoding="utf-8")
    labels = read_labels(tmp_path / file)
    assert len(labels) == 2 and labels.skeleton.keypoints == ("nose", "earL", "earR")
    assert labels.skeleton.mirror == (("earL", "earR"),)
    np.testing.assert_allclose(labels.points[0, :, 0], [[20, 25], [120, 25]], rtol=1e-6)
    assert labels.find_states()[0, 0].tolist()[:2] == [VISIBLE, OCCLUDED]
    assert np.isnan(labels.points[:, :, 2]).all()
    # A yaml that is damaged, or says a thing twice, is no reason not to read the labels.
    (tmp_path / "another.yaml").write_text("[: {", encoding="utf-8")
    with (tmp_path / "data.yaml").open("a", encoding="utf-8") as described:
        described.write("val: images/val\n")
    assert len(read_labels(tmp_path / file)) == 2
    # One flaw does not end all, but it is told.
    text.write_text("0 0.5 0.5 0.4 0.4 0.1 0.2 2\n", encoding="utf-8")
    labels = read_labels(tmp_path)
    assert len(labels) == 1 and "3 x 3 numbers in each line" in labels.left_out[0]
    text.write_text(lines, encoding="utf-8")
    (tmp_path / "images/val/img1.png").write_bytes(b"no picture")
    labels = read_labels(tmp_path)
    assert len(labels) == 1 and "img1.png cannot be read" in labels.left_out[0]
    (tmp_path / "images/train/img0.png").unlink()
    with pytest.raises(FormatError, match=r"2 pictures are left out, first.*no image of it"):
        read_labels(tmp_path)
