"""What other tools mean: points that stand for none, confidences, names, landmarks, layouts."""

import json
import logging
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import sleap_io as sio

from mapose.errors import FormatError
from mapose.io import read, read_image, read_labels, write
from mapose.io.sources import find_frame_numbers
from mapose.io.stills import Stills
from mapose.io.video_writer import VideoWriter
from mapose.labels import Labels
from mapose.poses import Poses
from mapose.skeleton import LANDMARKS, Skeleton

MOUSE = Skeleton(["snout", "tail"])
HEAD = "scorer,{0},{0},{0},{0}\nbodyparts,snout,snout,tail,tail\ncoords,x,y,x,y\n"


def put(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


# Points that stand for none, confidences.


def test_padding_in_tables_of_sleap_and_movement(tmp_path: Path) -> None:
    table = "track,frame_idx,snout.x,snout.y,snout.score\na,0,5,6,0.9\nb,0,-1,-1,-1\nb,1,7,-1,0.5\n"
    poses = read(put(tmp_path, table))
    assert np.isnan(poses["b", "snout"][0, :2]).all() and poses["b", "snout"][0, 2] == 0
    np.testing.assert_allclose(poses["b", "snout"][1], [7, -1, 0.5])  # beside the picture
    poses = Poses(np.full((3, 1, 1, 3), 0.5), Skeleton(["snout"]), ["a"], rate=25)
    dataset = poses.to_xarray()
    dataset.position[1], dataset.confidence[1] = -1, -1
    dataset.to_netcdf(tmp_path / "r.nc", engine="h5netcdf")
    assert read(tmp_path / "r.nc").confidence.ravel().tolist() == [0.5, 0, 0.5]


def test_padded_labels_are_told(tmp_path: Path) -> None:
    labels = read_labels(put(tmp_path, "image,keypoint,x,y\na.png,snout,-1,-1\na.png,tail,3,4\n"))
    assert np.isnan(labels.points[0, 0, 0]).all() and labels.points[0, 0, 1].tolist() == [3, 4]
    assert labels.left_out == ("1 points at -1, -1 stand for none and are left out",)


@pytest.mark.parametrize(
    ("scores", "wanted", "word"),
    [
        ([90, 45, 100], [0.9, 0.45, 1], "percent"),
        ([0.9, 1.04, 0.2], [0.9, 1, 0.2], ""),  # confidence maps overshoot
        ([0.9, 0.5, 900], [0.9, 0.5, 1], "1 above 1 are taken for 1"),
        ([0.9, -0.2, 0.5], [0.9, 0, 0.5], "1 points have a negative confidence"),
    ],
)
def test_confidences_of_other_scales(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    scores: list[float],
    wanted: list[float],
    word: str,
) -> None:
    rows = [f"{f},snout,{10 + f},5,{score}" for f, score in enumerate(scores)]
    poses = read(put(tmp_path, "frame,keypoint,x,y,likelihood\n" + "\n".join(rows)))
    np.testing.assert_allclose(poses.confidence.ravel(), wanted, rtol=1e-6)
    assert word in caplog.text and bool(word) == bool(caplog.text)
    assert (np.isfinite(poses.points[:, 0, 0, 0]) == (np.array(wanted) > 0)).all()


def test_poses_hold_confidences_to_their_range() -> None:
    poses = Poses([[[[1, 2, 1.7], [3, 4, -0.2], [5, 6, np.inf]]]], Skeleton(["a", "b", "c"]))
    assert poses.confidence.ravel().tolist() == [1, 0, 1]


# Body parts of no animal, tracks of one name.


@pytest.mark.parametrize("owner", ["single", LANDMARKS])
@pytest.mark.parametrize("format", ["csv", "movement", "slp"])
def test_landmarks_are_no_animal_in_any_format(tmp_path: Path, format: str, owner: str) -> None:
    array = np.full((4, 3, 2, 3), 0.5, np.float32)
    array[:, :2, 1] = np.nan  # only the third individual has corners, and nothing else
    array[:, 2, 0] = np.nan
    poses = Poses(array, Skeleton(["snout", "corner"], [("snout", "corner")]), ["a", "b", owner])
    path = tmp_path / f"r{'.nc' if format == 'movement' else f'.{format}'}"
    write(poses, path, format)
    again = read(path)
    assert again.names == ("a", "b", LANDMARKS)
    assert again.skeleton.landmarks == ("corner",) and again.skeleton.edges == ()


def test_an_animal_called_single_stays_one(tmp_path: Path) -> None:
    poses = Poses(np.full((4, 2, 2, 3), 0.5), MOUSE, ["pair", "single"])
    write(poses, tmp_path / "r.csv")
    assert read(tmp_path / "r.csv").names == ("pair", "single")


def test_twins_in_an_analysis_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "r.analysis.h5", "w") as file:
        file["tracks"] = np.arange(24.0).reshape(2, 2, 2, 3)
        file["node_names"] = [b"snout", b"tail"]
        file["track_names"] = [b"mouse", b"mouse"]
    poses = read(tmp_path / "r.analysis.h5")
    assert poses.names == ("mouse", "mouse-2")
    assert not np.array_equal(poses.points[:, 0], poses.points[:, 1])


def test_a_corrected_instance_without_track_stands_for_its_prediction(tmp_path: Path) -> None:
    skeleton, track = sio.Skeleton(["snout"]), sio.Track("a")
    found = sio.PredictedInstance.from_numpy(np.array([[5.0, 6]]), skeleton, 0.9, track=track)
    other = sio.PredictedInstance.from_numpy(
        np.array([[50.0, 6]]), skeleton, 0.9, track=sio.Track("b")
    )
    moved = sio.Instance.from_numpy(np.array([[7.0, 8]]), skeleton, from_predicted=found)
    video = sio.Video("v.mp4", open_backend=False)
    frame = sio.LabeledFrame(video, 0, [found, other, moved])
    sio.save_slp(sio.Labels([frame]), str(tmp_path / "r.slp"), embed=False, verbose=False)
    poses = read(tmp_path / "r.slp")
    assert sorted(poses.points[0, :, 0, 0].tolist()) == [7, 50]


# Text tables.


def read_two(path: Path) -> list[list[float]]:
    poses = read(path, "dlc")
    return poses.points[0, 0].tolist()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (HEAD.format("r") + "0,1.5,2,3,4\n", "utf-16"),
        ("sep=;\n" + HEAD.format("r").replace(",", ";") + "0;1,5;2;3;4\n", "utf-8-sig"),
        (HEAD.format("r").replace(",", "\t") + "0\t1.5\t2\t3\t4\n", "utf-8"),
        (HEAD.format("r") + '0,"1,5",2,3,4\n', "utf-8"),
        (HEAD.format("r").replace("r,r,r,r", "r,r.1,r.2,r.3") + "0,1.5,2,3,4\n", "utf-8"),
        (HEAD.format("Müller") + "0,1.5,2,3,4\n", "cp1252"),
        (HEAD.format("r") + "0,1.5,2,3,4\n\n,,,,\n", "utf-8"),
        ("scorer,set,r,r,r,r\nbodyparts,set,snout,snout,tail,tail\ncoords,set,x,y,x,y\n"
         "0,train,1.5,2,3,4\n", "utf-8"),
    ],
)  # fmt: skip
def test_headers_and_cells_in_all_clothes(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_two(put(tmp_path, text, encoding=encoding)) == [[1.5, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.format("r") + '0,"1,234",2,3,4\n', "'1,234' may be 1.234 or 1234"),
        (HEAD.format("r").replace("x,y,x,y", "x,y,x,x2") + "0,1,2,3,4\n", "x, y.*'tail'"),
        (HEAD.format("r") + "0,1,2,3,4,5\n", "5 columns in the header, 6 below"),
        (HEAD.format("r") + "0,1,2,3,4\n" * 60 + "0,1,2,3,4,5\n", "line 64 has 6 cells"),
        (HEAD.format("r") + "0.5,1,2,3,4\n", "whole frame numbers"),
    ],
)
def test_what_may_mean_two_things_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_two(put(tmp_path, text))


def test_names_that_look_like_numbers_in_long_tables(tmp_path: Path) -> None:
    rows = "frame,track,keypoint,x,y\n0,007,1.10,1,2\n0,008,1.10,3,4\n0,007,nan,5,6\n"
    poses = read(put(tmp_path, rows))
    assert poses.names == ("007", "008") and poses.skeleton.keypoints == ("1.10", "nan")


def test_a_folder_with_drawn_labels_is_told(tmp_path: Path) -> None:
    for name in ("m1", "m1_labeled"):
        text = HEAD.format("r") + f"labeled-data/{name}/img01.png,1,2,3,4\n"
        put(tmp_path, text, f"labeled-data/{name}/CollectedData_r.csv")
    labels = read_labels(tmp_path)
    assert labels.videos == ("m1",) and "m1_labeled is left out" in labels.left_out[0]
    put(tmp_path, "scorer: r\nvideo_sets: {/rec/m1_labeled.mp4: {crop: '0, 9, 0, 9'}}\n",
        "config.yaml")  # fmt: skip
    assert set(read_labels(tmp_path).videos) == {"m1", "m1_labeled"}


def test_two_tables_of_which_none_is_deeplabcuts(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    columns = pd.MultiIndex.from_product([["r"], ["snout"], ["x", "y"]])
    for key in ("one", "two"):
        pd.DataFrame([[1.0, 2]], columns=columns).to_hdf(tmp_path / "r.h5", key=key)
    with pytest.raises(FormatError, match="one table written by pandas, found 2"):
        read(tmp_path / "r.h5")


# Names and places of pictures.


def test_numbers_in_hashes_and_clocks_are_no_frames() -> None:
    names = {
        "img0123.png": 123, "frame_000012.PNG": 12, "7.png": 7, "bad0123.png": 123,
        "mouse2_0044.png": 44, "deadbeef0012.png": 12,
        "frame_0012_jpg.rf.1b2c3d4e5f60718293a4b5c6d7e8f901.jpg": 12,
        "photo_png.rf.3f2a9b1288d0aa11.jpg": -1,
        "3f2a9b12.png": -1, "5e0c8a44-2f1b-4d3c-9a77-0b1c2d3e4f56.png": -1,
        "1700000000123.png": -1,
    }  # fmt: skip
    found = find_frame_numbers(list(names), [str(n) for n in range(len(names))])
    assert dict(zip(names, found.tolist(), strict=True)) == names


def make_coco(path: Path, names: list[str], size: tuple[int, int] | None = None) -> Path:
    stated = {"width": size[0], "height": size[1]} if size else {}
    document = {
        "categories": [
            {"id": 0, "name": "animals"},
            {"id": 1, "name": "m", "keypoints": ["snout"]},
        ],
        "images": [{"id": i, "file_name": name, **stated} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "keypoints": [10 + i, 20, 2]}
            for i in range(len(names))
        ],
    }
    return put(path.parent, json.dumps(document), path.name)


def draw(path: Path, size: tuple[int, int] = (64, 48), turn: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = PIL.Image.Exif()
    exif[0x0112] = turn or 1
    PIL.Image.new("RGB", size, (9, 9, 9)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("json_name", "image"),
    [
        ("annotations/person_keypoints_default.json", "images/default/{}"),  # CVAT
        ("annotations/person_keypoints_Train.json", "images/Train/{}"),
        ("annotations/person_keypoints_train2017.json", "train2017/{}"),  # COCO itself
        ("annotations/keypoints.json", "images/batch1/{}"),
        ("train/_annotations.coco.json", "train/{}"),  # Roboflow
        ("labels.json", "images/train/{}"),
    ],
)
def test_layouts_of_coco_cvat_and_roboflow(tmp_path: Path, json_name: str, image: str) -> None:
    folder = tmp_path / "mice"
    names = ["frame_000003.jpg", "day2/frame_000004.jpg"]
    images = [draw(folder / image.format(name)) for name in names]
    # Pictures of the same names of another part of the data set, which must not be taken.
    if "rain" in json_name:
        other = image.replace("Train", "Validation").replace("train", "val")
        [draw(folder / other.format(name), (32, 32)) for name in names]
    labels = read_labels(make_coco(folder / json_name, names))
    assert labels.images == tuple(images)
    assert labels.frames.tolist() == [3, 4] and labels.videos == ("mice", "day2")


def test_a_picture_that_two_folders_have_is_not_guessed(tmp_path: Path) -> None:
    [draw(tmp_path / "images" / part / "1.jpg") for part in ("a", "b")]
    assert read_labels(make_coco(tmp_path / "labels.json", ["1.jpg"])).images == (None,)


# What is said of pictures is held against them.


@pytest.mark.parametrize(
    ("stated", "size", "turn", "words"),
    [
        ((64, 48), (64, 48), 0, ""),
        ((64, 48), (32, 24), 0, "a.jpg is 32 x 24, but the labels were made on 64 x 48"),
        ((64, 48), (64, 48), 6, "48 x 64 once turned as the file says (EXIF)"),
        ((48, 64), (64, 48), 6, ""),
        ((0, 0), (64, 48), 0, ""),  # not said
    ],
)
def test_stated_sizes(
    tmp_path: Path, stated: tuple[int, int], size: tuple[int, int], turn: int, words: str
) -> None:
    draw(tmp_path / "a.jpg", size, turn)
    labels = read_labels(make_coco(tmp_path / "l.json", ["a.jpg"], stated))
    assert (labels.images == (None,)) == bool(words)
    assert words in " ".join(labels.left_out)


def test_sizes_in_a_table_of_make_sense(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg", (32, 24))
    labels = read_labels(put(tmp_path, "nose,1,2,a.jpg,64,48\ntail,3,4,a.jpg,64,48\n"))
    assert labels.images == (None,) and "32 x 24" in labels.left_out[0]


def make_slp(path: Path, video: Path, shape: tuple[int, int, int, int] | None) -> Path:
    skeleton, track = sio.Skeleton(["snout"]), sio.Track("a")
    meta = {} if shape is None else {"shape": shape}
    source = sio.Video(str(video), open_backend=False, backend_metadata=meta)
    frames = []
    for f in (0, 3):
        found = sio.PredictedInstance.from_numpy(np.array([[5.0, f]]), skeleton, 0.9, track=track)
        frames.append(sio.LabeledFrame(source, f, [found]))
    sio.save_slp(sio.Labels(frames), str(path), embed=False, verbose=False)
    return path


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((9, 48, 64, 3), ""),
        (None, ""),
        ((9, 96, 128, 3), "v.mp4 is 64 x 48, but the labels were made on 128 x 96"),
        ((12, 48, 64, 3), "v.mp4 has 9 frames, but the labels were made on 12"),
    ],
)
def test_what_sleap_says_of_its_video(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    shape: tuple[int, int, int, int] | None,
    words: str,
) -> None:
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for _ in range(9):
            writer.write(np.zeros((48, 64), np.uint8))
    path = make_slp(tmp_path / "poses.slp", tmp_path / "v.mp4", shape)
    with caplog.at_level(logging.WARNING):
        poses = read(path)
    assert words in caplog.text and bool(words) == bool(caplog.text)
    assert len(poses) == (shape[0] if shape else 9) and poses.rate == 25
    labels = read_labels(path)
    assert words in " ".join(labels.left_out)
    assert bool(labels.sources) == ("x" not in words)


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_what_deeplabcut_says_of_its_videos_is_told(tmp_path: Path, size: tuple[int, int]) -> None:
    text = HEAD.format("r") + "labeled-data/m1/img01.jpg,1,2,3,4\n"
    put(tmp_path, text, "labeled-data/m1/CollectedData_r.csv")
    put(tmp_path, "video_sets: {/rec/m1.mp4: {crop: '10, 74, 0, 48'}}\n", "config.yaml")
    image = draw(tmp_path / "labeled-data/m1/img01.jpg", size)
    labels = read_labels(tmp_path)
    assert labels.images == (image,)  # the config may be out of date
    wanted = "img01.jpg is 32 x 24, but the labels were made on 64 x 48"
    assert labels.left_out == (() if size == (64, 48) else (wanted,))


# Deep pictures.


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_all_depths_that_cameras_store_in_16_bits(tmp_path: Path, bits: int) -> None:
    ramp = np.tile(np.linspace(0, 2**bits - 1, 64).astype(np.uint16), (48, 1))
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    assert read_image(tmp_path / "a.png").max() == 255
    # In a recording one dark picture, also the first, does not decide.
    cv2.imwrite(str(tmp_path / "img0.png"), ramp // 8)
    for n in range(1, 4):
        cv2.imwrite(str(tmp_path / f"img{n}.png"), ramp)
    (tmp_path / "a.png").unlink()
    stills = Stills(tmp_path)
    bright = [int(image.max()) for _, image in stills.iterate(0, 4, True) if image is not None]
    assert bright[1:] == [255] * 3 and 25 < bright[0] < 35


def test_labels_are_settled_once(tmp_path: Path) -> None:
    labels = Labels(
        np.array([[[[1.0, 2]]]]), Skeleton([" snout "]), ("v",), [0], (None,), (" a ",), True
    )
    assert labels.skeleton.keypoints == ("snout",) and labels.individuals == ("a",)


def test_a_frame_without_anybody_ends_a_slp(tmp_path: Path) -> None:
    array = np.full((4, 1, 2, 3), 0.5, np.float32)
    array[2:] = np.nan
    write(Poses(array, MOUSE, ["a"]), tmp_path / "r.slp")
    assert len(read(tmp_path / "r.slp")) == 4


def test_an_animal_called_single_keeps_its_place_in_deeplabcut(tmp_path: Path) -> None:
    poses = Poses(np.full((4, 3, 2, 3), 0.5), MOUSE, ["a", "single", "b"])
    write(poses, tmp_path / "r.csv", "dlc-csv")
    assert read(tmp_path / "r.csv").names == ("a", "single", "b")
