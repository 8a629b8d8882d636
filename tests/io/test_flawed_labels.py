"""Label files as people have them: merged, edited by hand, half empty, of predictions, of animals.

The right value comes, or a sentence says what is left out; one flaw does not end all.
"""

import json
import zipfile

import h5py
import numpy as np
import pytest
import sleap_io as sio

from mapose.errors import FormatError
from mapose.io import VideoWriter, read_labels, write_image
from mapose.io.deeplabcut import read_deeplabcut_labels
from mapose.labels import ORIGINS

BOTH = {"name": "mouse", "keypoints": ["nose", "tail"]}


def picture(path, size=(200, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(np.zeros((size[1], size[0], 3), np.uint8), path)


def film(path, count=5, size=(200, 100)):
    with VideoWriter(path, 25) as writer:
        for i in range(count):
            writer.write(np.full((size[1], size[0]), 40 * i, np.uint8))


def coco(folder, images, annotations, categories=({"id": 1, **BOTH},)):
    file = folder / "c.json"
    parts = {"images": images, "annotations": annotations, "categories": categories}
    file.write_text(json.dumps(parts), encoding="utf-8")
    return file


def mark(image, x=10, category=1, **more):
    return {
        "image_id": image,
        "category_id": category,
        "keypoints": [x, 20, 2, x + 20, 40, 2],
    } | more


def test_coco_that_a_table_program_wrote(tmp_path):
    """Numbers come back as 1.0 or "1", sizes too: they mean the same."""
    picture(tmp_path / "a.png")
    images = [{"id": 1.0, "file_name": "a.png", "width": 200.0, "height": "100"}]
    labels = read_labels(coco(tmp_path, images, [mark("1", category=1.0)]))
    np.testing.assert_array_equal(labels.points[0, 0], [[10, 20], [30, 40]])
    assert labels.images[0] == tmp_path / "a.png" and not labels.left_out
    images[0] |= {"width": 100.0, "height": 200.0}
    labels = read_labels(coco(tmp_path, images, [mark("1", category=1.0)]))
    assert labels.images[0] is None and "200 x 100" in labels.left_out[0]


def test_coco_files_that_were_put_one_after_the_other(tmp_path):
    """Each counted its images from 1: which annotation is whose cannot be told."""
    images = [{"id": 1, "file_name": n} for n in ("a.png", "b.png")]
    images.append({"id": 2, "file_name": "c.png"})
    labels = read_labels(coco(tmp_path, images, [mark(1), mark(1, 60), mark(2)]))
    assert len(labels) == 1 and "1 ids of images stand for several" in labels.left_out[0]
    assert "a.png and b.png" in labels.left_out[0]


def test_categories_that_are_not_listed_are_told(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}]
    labels = read_labels(coco(tmp_path, images, [mark(1), mark(1, 60, category=0)]))
    assert any("categories 0, which are not listed" in said for said in labels.left_out)


@pytest.mark.parametrize("twice", [False, True])
def test_a_category_for_each_animal_is_its_name(tmp_path, twice):
    images = [{"id": n, "file_name": f"{n}.png"} for n in (1, 2)]
    categories = [{"id": n, **BOTH, "name": name} for n, name in enumerate(["ann", "bob"], 1)]
    marks = [mark(1), mark(1, 60, 2), mark(2, 61, 2), mark(2, 11, 1)]
    marks += [mark(2, 110, 1)] if twice else []
    labels = read_labels(coco(tmp_path, images, marks, categories))
    assert labels.identified == (not twice)
    if not twice:
        assert labels.individuals == ("ann", "bob")
        assert labels.points[:, :, 0, 0].tolist() == [[10, 60], [11, 61]]


def test_confidences_in_the_place_of_visibilities(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}]
    predicted = mark(1, keypoints=[10, 20, 0.93, 30, 40, 0.04])
    labels = read_labels(coco(tmp_path, images, [predicted]))
    assert np.isfinite(labels.points[0, 0]).all(1).tolist() == [True, False]
    assert "1 keypoints below 0.5" in labels.left_out[0]


def test_an_animal_upon_itself_is_one(tmp_path):
    images = [{"id": n, "file_name": f"{n}.png"} for n in (1, 2)]
    labels = read_labels(coco(tmp_path, images, [mark(1), mark(1), mark(2)]))
    assert labels.points.shape[1] == 1 and labels.identified
    assert "1 animals lie exactly upon another one" in labels.left_out[0]
    # One point alone may be shared.
    touching = [mark(1, keypoints=[5, 5, 2, 0, 0, 0]), mark(1, keypoints=[5, 5, 2, 9, 9, 2])]
    labels = read_labels(coco(tmp_path, images[:1], touching))
    assert labels.points.shape[1] == 2 and not labels.left_out


def test_shares_of_the_picture_are_no_pixels(tmp_path):
    images = [{"id": 1, "file_name": "a.png"}]
    shares = [mark(1, keypoints=[0.1, 0.2, 2, 0.3, y, 2]) for y in (0.4, 0.5)]
    with pytest.raises(FormatError, match=r"c\.json: all places lie between 0 and 1"):
        read_labels(coco(tmp_path, images, shares))


def yolo(folder, texts, yaml="kpt_shape: [2, 3]\nnames: [mouse]\n"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text(yaml, encoding="utf-8")
    for name, text in texts.items():
        picture(folder / f"train/images/{name}.png")
        file = folder / f"train/labels/{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


LINE = "0 .5 .5 .2 .2 .1 .2 2 .3 .4 2\n"


def test_yolo_with_other_texts_about(tmp_path):
    """Roboflow puts its notes beside, Label Studio the names of classes among the labels."""
    folder = yolo(tmp_path / "labels" / "mice", {"img1": LINE, "img2": "0 .5 .5 .2 .2\n" + LINE})
    (folder / "README.dataset.txt").write_text("# mice\n", encoding="utf-8")
    (folder / "train/labels/classes.txt").write_text("mouse\n", encoding="utf-8")
    labels = read_labels(folder)
    np.testing.assert_allclose(labels.points[0, 0], [[20, 20], [60, 40]])
    assert len(labels) == 2 and "1 lines are left out" in labels.left_out[0]
    (folder / "train/labels/img2.txt").write_text("nan" + LINE[1:] + LINE, encoding="utf-8")
    assert "1 lines are left out" in read_labels(folder).left_out[0]


def test_yolo_of_predictions(tmp_path):
    line = "0 .5 .5 .2 .2 .1 .2 .97 .3 .4 .12 .88\n"  # with the confidence of the box behind
    labels = read_labels(yolo(tmp_path / "p", {"img1": line}))
    assert np.isfinite(labels.points[0, 0]).all(1).tolist() == [True, False]
    two = yolo(tmp_path / "two", {"img1": "0 .5 .5 .2 .2 .1 .2 -1 -1\n"}, "kpt_shape: [2, 2]\n")
    assert np.isfinite(read_labels(two).points[0, 0]).all(1).tolist() == [True, False]


def test_classes_of_yolo_are_names_of_animals(tmp_path):
    other = "1 .5 .5 .2 .2 .5 .2 2 .7 .4 2\n"
    yaml = "kpt_shape: [2, 3]\nnames: {0: ann, 1: bob}\n"
    labels = read_labels(yolo(tmp_path / "p", {"img1": LINE + other, "img2": other + LINE}, yaml))
    assert labels.identified and labels.individuals == ("ann", "bob")
    np.testing.assert_allclose(labels.points[:, :, 0, 0], [[20, 100], [20, 100]])


def labelme(file, shapes, image, size=(200, 100)):
    document = {"shapes": shapes, "imagePath": image, "imageData": None}
    document |= {"imageWidth": size[0], "imageHeight": size[1]}
    file.write_text(json.dumps(document), encoding="utf-8")


def point(label, *place):
    return {"label": label, "points": [list(place)] if place else [], "shape_type": "point"}


def test_labelme_with_flaws(tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    labelme(tmp_path / "a.json", [point("nose ", 1, 2), point("tail", 3, 4)], "old-name.png")
    labelme(tmp_path / "b.json", [point("nose"), point("tail", 5, 6)], "b.png")
    (tmp_path / "_settings.json").write_text("{}", encoding="utf-8")
    (tmp_path / "c.json").write_text("{", encoding="utf-8")
    labels = read_labels(tmp_path)
    assert labels.skeleton.keypoints == ("nose", "tail")
    assert [i.name for i in labels.images] == ["a.png", "b.png"]  # one was renamed with its json
    assert np.isnan(labels.points[1, 0, 0]).all()
    for said in ("a point without a name or a place", "c.json is left out", "_settings.json"):
        assert any(said in sentence for sentence in labels.left_out)


def test_label_studio_with_flaws(tmp_path):
    value = {"x": 50, "y": 25, "width": 1, "keypointlabels": ["nose"]}
    region = {"type": "keypointlabels", "original_width": 200, "original_height": 100}
    results = [
        {**region, "value": value},
        {**region, "value": {**value, "keypointlabels": []}},
        {**region, "value": {**value, "keypointlabels": ["tail"]}, "image_rotation": 90},
    ]
    file = tmp_path / "a.json"

    def write(results):
        tasks = [{"id": 1, "data": {"img": "a.png"}, "annotations": [{"result": results}]}]
        file.write_text(json.dumps(tasks), encoding="utf-8")
        return file

    labels = read_labels(write(results))
    assert labels.points[0, 0].tolist() == [[100, 25]]
    assert "without a label" in labels.left_out[0] and "turned" in labels.left_out[1]
    with pytest.raises(FormatError, match="turned in Label Studio by 90 degrees"):
        read_labels(write(results[2:]))


def skeleton(label, *places):
    drawn = "".join(
        f'<points label="{name}" outside="0" points="{place}"/>'
        for name, place in zip(("nose", "tail"), places, strict=False)
    )
    return f'<skeleton label="{label}">{drawn}</skeleton>'


def cvat(folder, inner, meta=""):
    file = folder / "annotations.xml"
    file.write_text(f"<annotations><meta>{meta}</meta>{inner}</annotations>", encoding="utf-8")
    return file


def test_a_label_of_cvat_for_each_animal_is_its_name(tmp_path):
    meta = "".join(
        f"<label><name>{part}</name><type>points</type><parent>{animal}</parent></label>"
        for animal in ("ann", "bob")
        for part in ("nose", "tail")
    )
    inner = "".join(
        f'<image id="{n}" name="{n}.png" width="200" height="100">'
        + skeleton("bob", f"{60 + n},2")  # its tail is never seen
        + skeleton("ann", f"{10 + n},2", f"{30 + n},4")
        + "</image>"
        for n in range(2)
    )
    labels = read_labels(cvat(tmp_path, inner, f"<task><labels>{meta}</labels></task>"))
    assert labels.identified and set(labels.individuals) == {"ann", "bob"}
    ann = labels.individuals.index("ann")
    assert labels.points[:, ann, 0, 0].tolist() == [10, 11]


def test_one_point_of_cvat_with_two_places_is_left_out(tmp_path):
    inner = '<image id="0" name="a.png" width="9" height="9">'
    inner += skeleton("mouse", "1,2;3,4", "5,6") + "</image>"
    labels = read_labels(cvat(tmp_path, inner))
    assert labels.points[0, 0].tolist() == [[5, 6]]
    assert "wanted one place x,y for each point, came '1,2;3,4'" in labels.left_out[0]


def test_a_video_of_another_size_than_was_labelled_gives_no_frames(tmp_path):
    film(tmp_path / "m.mp4")
    inner = '<track id="0" label="mouse">' + "".join(
        skeleton("mouse", "1,2", "3,4").replace("<skeleton", f'<skeleton frame="{f}" keyframe="1"')
        for f in (0, 3)
    )
    size = "<original_size><width>400</width><height>200</height></original_size>"
    labels = read_labels(
        cvat(tmp_path, inner + "</track>", f"<task>{size}</task><source>m.mp4</source>")
    )
    assert not labels.sources
    assert labels.left_out[-1] == (
        "m.mp4 is 200 x 100, but the labels were made on 400 x 200: not taken"
    )
    size = size.replace("400", "200").replace("<height>200", "<height>100")
    labels = read_labels(
        cvat(tmp_path, inner + "</track>", f"<task>{size}</task><source>m.mp4</source>")
    )
    assert labels.sources == {"m": tmp_path / "m.mp4"} and not labels.left_out


def collected(
    file, rows, head=(("scorer", *["me"] * 4), ("bodyparts", *"nntt"), ("coords", *"xyxy"))
):
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(",".join(map(str, row)) for row in (*head, *rows))
    file.write_text(text + "\n", encoding="utf-8")
    return file


def rows_of(video, *places):
    return [(f"labeled-data/{video}/img{n}.png", *place) for n, place in enumerate(places)]


def test_csv_and_h5_that_differ_are_told(tmp_path):
    tables = pytest.importorskip("tables")
    import pandas as pd

    file = collected(tmp_path / "labeled-data/v/CollectedData_me.csv", rows_of("v", (1, 2, 3, 4)))
    frame = pd.read_csv(file, header=[0, 1, 2], index_col=0)
    assert tables
    frame.to_hdf(file.with_suffix(".h5"), key="df_with_missing")
    assert not read_labels(tmp_path).left_out
    collected(file, rows_of("v", (1, 2, 3, 44), (5, 6, 7, 8)))
    labels = read_labels(tmp_path)
    assert labels.points[0, 0, 1].tolist() == [3, 4] and len(labels) == 1
    assert "differ in 2 images; the h5 counts" in labels.left_out[0]


def test_tables_without_individuals_beside_those_with(tmp_path):
    collected(tmp_path / "labeled-data/a/CollectedData_me.csv", rows_of("a", (1, 2, 3, 4)))
    head = (
        ("scorer", *["me"] * 4), ("individuals", "m1", "m1", "m2", "m2"),
        ("bodyparts", *"nnnn"), ("coords", *"xyxy"),
    )  # fmt: skip
    multi = tmp_path / "labeled-data/b/CollectedData_me.csv"
    collected(multi, rows_of("b", (5, 6, 7, 8)), head)
    labels = read_labels(tmp_path)
    assert labels.individuals == ("m1", "m2")
    assert labels.points[0, 0].tolist() == [[1, 2], [3, 4]]
    assert "their points are those of m1" in labels.left_out[0]
    (tmp_path / "config.yaml").write_text("identity: true\n", encoding="utf-8")
    labels = read_labels(tmp_path)  # who it was is not made up
    assert set(labels.individuals) == {"animal0", "m1", "m2"}
    assert "those of animal0" in labels.left_out[0]


def test_an_animal_called_as_one_without_a_name(tmp_path):
    head = (
        ("scorer", *["me"] * 4), ("individuals", *["animal0"] * 2, *["animal1"] * 2),
        ("bodyparts", *"nnnn"), ("coords", *"xyxy"),
    )  # fmt: skip
    collected(tmp_path / "CollectedData_me.csv", rows_of("v", (5, 6, 7, 8)), head)
    assert read_labels(tmp_path).points[0, :, 0].tolist() == [[5, 6], [7, 8]]
    only = (head[0], ("individuals", *["single"] * 4), ("bodyparts", *"nntt"), head[3])
    collected(tmp_path / "CollectedData_me.csv", rows_of("v", (5, 6, 7, 8)), only)
    assert read_labels(tmp_path).points[0, 0].tolist() == [[5, 6], [7, 8]]


def test_predictions_that_wait_to_be_refined_are_no_persons_labels(tmp_path):
    head = (
        ("scorer", *["net"] * 6), ("bodyparts", *"nnnttt"),
        ("coords", *["x", "y", "likelihood"] * 2),
    )  # fmt: skip
    file = tmp_path / "labeled-data/v/machinelabels-iter0.csv"
    collected(file, rows_of("v", (1, 2, 0.9, 3, 4, 1)), head)
    with pytest.raises(FormatError, match=r"machinelabels-iter0\.csv, to take them anyway"):
        read_labels(tmp_path)
    labels = read_labels(file)
    assert labels.find_origins()[0, 0].tolist() == [ORIGINS.index("model"), 0]
    assert "1 points have a likelihood below 1" in labels.left_out[0]


def test_what_the_config_no_longer_names_is_told(tmp_path):
    collected(tmp_path / "labeled-data/v/CollectedData_me.csv", rows_of("v", (1, 2, 3, 4)))
    (tmp_path / "config.yaml").write_text("bodyparts: [n]\n", encoding="utf-8")
    labels = read_labels(tmp_path)
    assert labels.skeleton.keypoints == ("n", "t")
    assert labels.left_out[0].startswith("t: labelled, but no longer among")


def test_frames_of_a_part_of_the_picture_are_not_taken_from_the_whole(tmp_path):
    collected(tmp_path / "labeled-data/v/CollectedData_me.csv", rows_of("v", (1, 2, 3, 4)))
    film(tmp_path / "v.mp4")
    config = tmp_path / "config.yaml"
    config.write_text('video_sets:\n  v.mp4:\n    crop: "50, 150, 10, 60"\n', encoding="utf-8")
    labels = read_deeplabcut_labels(tmp_path)
    assert not labels.sources and "made on 100 x 50: not taken" in labels.left_out[0]
    config.write_text('video_sets:\n  v.mp4:\n    crop: "0, 200, 0, 100"\n', encoding="utf-8")
    assert read_deeplabcut_labels(tmp_path).sources


def test_zeros_stand_for_none(tmp_path):
    file = tmp_path / "labeled-data/v/CollectedData_me.csv"
    collected(file, rows_of("v", (0, 0, 3, 4), (0, 7, 3, 4)))
    labels = read_labels(file)
    assert np.isnan(labels.points[0, 0, 0]).all() and labels.points[1, 0, 0].tolist() == [0, 7]
    assert labels.left_out == ("1 points at 0, 0 stand for none and are left out",)
    # A landmark may well be the corner of the picture.
    head = (
        ("scorer", *["me"] * 4), ("individuals", "m1", "m1", "single", "single"),
        ("bodyparts", *"nncc"), ("coords", *"xyxy"),
    )  # fmt: skip
    collected(file, rows_of("v", (5, 6, 0, 0)), head)
    assert np.isfinite(read_labels(file).points).all(-1).sum() == 2


def test_the_column_for_the_frame_against_the_names_of_images(tmp_path):
    file = tmp_path / "t.csv"
    text = "image,frame,keypoint,x,y\nimg0.png,{},nose,3,4\nimg1.png,{},nose,5,6\n"
    file.write_text(text.format(1, 2), encoding="utf-8")
    assert "+1 to the numbers in the names" in read_labels(file).left_out[0]
    for numbers in ((0, 1), (150, 900)):  # pictures that are counted are not frames
        file.write_text(text.format(*numbers), encoding="utf-8")
        labels = read_labels(file)
        assert labels.frames.tolist() == list(numbers) and not labels.left_out


XY = np.array([[10.0, 20], [30, 40]])


def slp(path, frames):
    nodes, video = sio.Skeleton(["nose", "tail"]), sio.Video("/gone/v.mp4", open_backend=False)
    labelled = [
        sio.LabeledFrame(video, f, [sio.Instance.from_numpy(xy, nodes) for xy in places])
        for f, places in frames
    ]
    labels = sio.Labels(labelled, videos=[video], skeletons=[nodes])
    sio.save_slp(labels, str(path), embed=False, verbose=False)
    return path


def test_an_animal_of_sleap_without_a_point_is_no_empty_frame(tmp_path):
    labels = read_labels(slp(tmp_path / "l.slp", [(0, [XY]), (4, [np.full((2, 2), np.nan)])]))
    assert labels.frames.tolist() == [0]
    assert "1 frames whose animals have no visible point" in labels.left_out[0]


def test_an_instance_of_sleap_that_was_copied_upon_itself(tmp_path):
    labels = read_labels(slp(tmp_path / "l.slp", [(0, [XY, XY]), (4, [XY])]))
    assert labels.points.shape[1] == 1 and "exactly upon another" in labels.left_out[0]


def test_scores_of_an_analysis_file_in_the_order_of_its_tracks(tmp_path):
    from mapose import read

    with h5py.File(tmp_path / "a.analysis.h5", "w") as file:
        file["tracks"] = np.arange(48.0).reshape(6, 2, 2, 2) + 5
        file["point_scores"] = np.linspace(0.1, 0.9, 24).reshape(6, 2, 2)
        file["node_names"], file["track_names"] = np.array([b"n", b"t"]), np.array([b"a", b"b"])
    poses = read(tmp_path / "a.analysis.h5")
    np.testing.assert_allclose(poses.confidence.ravel(), np.linspace(0.1, 0.9, 24), rtol=1e-6)


def test_a_copied_folder_of_deeplabcut_adds_no_animals(tmp_path):
    """Its rows still name the folder that it is a copy of."""
    for folder, place in (("v", (1, 2, 3, 4)), ("v - Copy", (2, 3, 4, 5))):
        collected(tmp_path / "labeled-data" / folder / "CollectedData_me.csv", rows_of("v", place))
    labels = read_labels(tmp_path)
    assert labels.points.tolist() == [[[[1, 2], [3, 4]]]]
    assert labels.left_out[0].startswith("v - Copy is left out: its table is about v")
    # One that was only called otherwise is there.
    (tmp_path / "labeled-data/v").rename(tmp_path / "labeled-data/w")
    (tmp_path / "labeled-data/v - Copy").rename(tmp_path / "elsewhere")
    assert len(read_labels(tmp_path)) == 1 and not read_labels(tmp_path).left_out


def test_of_two_videos_of_a_name_the_one_that_is_named_counts(tmp_path, caplog):
    collected(tmp_path / "labeled-data/v/CollectedData_me.csv", rows_of("v", (1, 2, 3, 4)))
    (tmp_path / "videos").mkdir()
    for name in ("v.avi", "videos/v.mp4"):
        (tmp_path / name).write_bytes(b"")
    config = tmp_path / "config.yaml"
    config.write_text("video_sets:\n  C:\\mice\\v.mp4:\n    crop: 0, 1, 0, 1\n", encoding="utf-8")
    assert read_labels(tmp_path).sources == {"v": tmp_path / "videos/v.mp4"}
    config.unlink()
    (tmp_path / "v.mp4").write_bytes(b"")
    assert read_labels(tmp_path).sources == {"v": tmp_path / "v.avi"}
    assert "several videos are called v; v.avi is taken" in caplog.text


@pytest.mark.parametrize(
    ("named", "there"), [("m\u00e4use1.png", "ma\u0308use1.png"), ("img_1.jpg", "IMG_1.JPG")]
)
def test_pictures_whose_names_another_system_wrote(tmp_path, named, there):
    (tmp_path / there).write_bytes(b"")
    images = [{"id": 1, "file_name": named}]
    assert read_labels(coco(tmp_path, images, [mark(1)])).images == (tmp_path / there,)
    (tmp_path / there.capitalize()).write_bytes(b"")  # it may be this one as well
    if len(list(tmp_path.iterdir())) == 3:
        assert read_labels(coco(tmp_path, images, [mark(1)])).images == (None,)


def test_an_export_that_is_still_packed(tmp_path):
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as packed:
        packed.writestr("annotations.xml", "<annotations></annotations>")
    with pytest.raises(FormatError, match="is a zip: unpack it"):
        read_labels(tmp_path / "task.zip")
