from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mapose.errors import FormatError
from mapose.io.columns import SYNONYMS
from mapose.io.deeplabcut import read_deeplabcut_labels
from mapose.io.table import read_table_labels, read_table_poses

LONG = """image,individual,keypoint,x,y
vid/img3.png,a,nose,1,2
vid/img3.png,a,tail,3,4
vid/img3.png,b,nose,5,6
vid/img7.png,b,tail,7.5,8.25
"""


def write(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def test_long_table(tmp_path: Path) -> None:
    image = write(tmp_path, "", "vid/img3.png")
    labels = read_table_labels(write(tmp_path, LONG))
    assert labels.skeleton.keypoints == ("nose", "tail")
    assert labels.individuals == ("a", "b") and not labels.identified
    assert labels.videos == ("vid", "vid") and labels.frames.tolist() == [3, 7]
    assert labels.images == (image, None)
    nan = np.nan
    wanted = [[[[1, 2], [3, 4]], [[5, 6], [nan, nan]]], [[[nan] * 2] * 2, [[nan] * 2, [7.5, 8.25]]]]
    np.testing.assert_array_equal(labels.points, wanted)


@pytest.mark.parametrize("field", ["image", "keypoint", "individual", "x", "y"])
def test_synonyms_in_any_case(tmp_path: Path, field: str) -> None:
    wanted = read_table_labels(write(tmp_path, LONG)).points
    for name in [n for names in SYNONYMS[field] for n in names]:
        head, body = LONG.split("\n", 1)
        head = ",".join(
            name.upper().replace("_", " ") if c == field else c for c in head.split(",")
        )
        labels = read_table_labels(write(tmp_path, f"{head}\n{body}"))
        np.testing.assert_array_equal(labels.points, wanted)


@pytest.mark.parametrize(
    "text",
    [
        LONG.replace(",", ";"),
        LONG.replace(",", "\t"),
        "\ufeff" + LONG.replace("\n", "\r\n"),
        LONG.replace(",", ";").replace("7.5", "7,5").replace("8.25", "8,25"),
        LONG.replace(",", ", "),
        LONG.replace("vid/", "C:\\\\mice\\\\vid\\\\").replace("\\\\", "\\"),
        LONG + "vid/img7.png,a,nose,,\n" + "vid/img7.png,a,tail,NaN,inf\n",
        "\n".join(
            f"{line},{'visible' if i == 0 else 1}" for i, line in enumerate(LONG.split("\n")[:5])
        )
        + "\nvid/img7.png,a,nose,9,9,0\n",
        LONG.split("\n", 1)[1]
        .replace(",a,", ",")
        .replace(",b,", ",")
        .replace("img3.png,nose,5,6\n", ""),
    ][:-1],
)
def test_the_same_table_in_other_clothes(tmp_path: Path, text: str) -> None:
    wanted = read_table_labels(write(tmp_path, LONG))
    labels = read_table_labels(write(tmp_path, text))
    np.testing.assert_array_equal(labels.points, wanted.points)
    assert labels.frames.tolist() == wanted.frames.tolist()
    assert labels.videos == wanted.videos


def test_wide_table(tmp_path: Path) -> None:
    text = "Filename,nose_x,nose_y,tail.X,tail.Y,tail.likelihood,note\n"
    text += "img1.png,1,2,3,4,0.5,hm\nimg2.png,5,6,,,,\n"
    labels = read_table_labels(write(tmp_path, text))
    assert labels.skeleton.keypoints == ("nose", "tail")
    assert labels.individuals == ("animal0",) and labels.identified
    np.testing.assert_array_equal(labels.points[0, 0], [[1, 2], [3, 4]])
    assert np.isnan(labels.points[1, 0, 1]).all()


def test_wide_table_with_several_animals(tmp_path: Path) -> None:
    text = "image,nose_x,nose_y\na1.png,1,2\na1.png,3,4\na2.png,5,6\n"
    labels = read_table_labels(write(tmp_path, text))
    assert labels.individuals == ("animal0", "animal1") and not labels.identified
    assert labels.points[:, :, 0, 0].tolist()[0] == [1, 3]


def test_table_without_header(tmp_path: Path) -> None:
    text = "nose,1,2,img1.png,640,480\ntail,3,4,img1.png,640,480\nnose,5,6,img2.png,640,480\n"
    labels = read_table_labels(write(tmp_path, text))
    assert labels.skeleton.keypoints == ("nose", "tail")
    np.testing.assert_array_equal(labels.points[0, 0], [[1, 2], [3, 4]])
    with pytest.raises(FormatError, match="no header"):
        read_table_labels(write(tmp_path, "a,b,1,2\n"))


@pytest.mark.parametrize("header", ["keypoint,x,y\n", "Label;X;Y\n", ""])
def test_one_csv_per_image(tmp_path: Path, header: str) -> None:
    folder = tmp_path / "mice"
    for i in (1, 2):
        write(folder, f"{header}nose,{i},2\ntail,3,{i}\n".replace(",", ";"), f"day1/img{i}.csv")
        write(folder, "", f"day1/img{i}.JPG".lower())
    write(folder, "t,temperature\n1,20\n", "log.csv")
    labels = read_table_labels(folder)
    assert labels.videos == ("day1", "day1") and labels.frames.tolist() == [1, 2]
    assert labels.images == (folder / "day1/img1.jpg", folder / "day1/img2.jpg")
    np.testing.assert_array_equal(labels.points[:, 0], [[[1, 2], [3, 1]], [[2, 2], [3, 2]]])


def test_a_folder_with_one_table_per_video(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    for video in ("one", "two"):
        write(
            folder,
            "image,frame,individual,keypoint,x,y,visible\nf.png,12,m,nose,1,2,1\n",
            f"{video}/labels.csv",
        )
        write(folder, "", f"{video}/f.png")
    labels = read_table_labels(folder)
    assert labels.videos == ("one", "two") and labels.frames.tolist() == [12, 12]
    assert labels.images == (folder / "one/f.png", folder / "two/f.png")


def test_tracks_are_identities(tmp_path: Path) -> None:
    labels = read_table_labels(write(tmp_path, LONG.replace("individual", "track")))
    assert labels.identified and labels.individuals == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,keypoint,label,name,x\n", "empty"),
        ("image,part,label,x,y\na.png,n,n,1,2\n", "'part' and 'label' could both be the keypoint"),
        ("image,position,x,y\na.png,1,1,2\n", "found image, position, x, y"),
        ("keypoint,x,y\nnose,1,2\n", "image file or the frame number"),
        (
            "image,keypoint,x,y\na.png,nose,1,2\na.png,nose,3,4\n",
            "nose comes more than once in a.png",
        ),
        ("image,keypoint,x,y\na.png,nose,one,2\n", "wanted numbers as x, came 'one'"),
        ("image,keypoint,x,y\na.png,,1,2\n", "1 rows name no keypoint"),
        ("frame,keypoint,x,y\n0.5,nose,1,2\n", "whole frame numbers"),
        ("x", "empty"),
        ("a,b\n1,2\n", "wanted columns"),
    ],
)
def test_ambiguity_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_table_labels(write(tmp_path, text))


def test_binary_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for content in (b"", b"\x89PNG\r\n\x1a\n\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(FormatError):
            read_table_labels(path)
    folder = tmp_path / "nothing"
    folder.mkdir()
    with pytest.raises(FormatError, match="no table of keypoints among 0"):
        read_table_labels(folder)


def test_poses_from_a_table_with_gaps(tmp_path: Path) -> None:
    text = (
        "frame,individual,keypoint,x,y,score\n9,m,nose,1,2,0.5\n4,m,nose,3,4,\n4,m,tail,5,6,0.25\n"
    )
    poses = read_table_poses(write(tmp_path, text))
    assert poses.frames.tolist() == [4, 9] and poses.individuals == ("m",)
    np.testing.assert_array_equal(poses["m", "nose"], [[3, 4, 1], [1, 2, 0.5]])
    assert poses["m", "tail"][1, 2] == 0


def test_a_file_column_may_name_the_video(tmp_path: Path) -> None:
    text = "file,frame,keypoint,x,y\nday1.mp4,3,nose,1,2\nday1.mp4,5,nose,1,2\n"
    write(tmp_path, "", "day1.mp4")
    labels = read_table_labels(write(tmp_path, text))
    assert labels.videos == ("day1", "day1") and labels.frames.tolist() == [3, 5]
    assert labels.sources == {"day1": tmp_path / "day1.mp4"}


def test_lost_images_are_frames_of_the_only_video(tmp_path: Path) -> None:
    write(tmp_path, "", "day1.mp4")
    path = write(tmp_path, "image,keypoint,x,y\nimg0003.png,nose,1,2\n")
    labels = read_table_labels(path)
    assert labels.sources == {"day1": tmp_path / "day1.mp4"} and labels.videos == ("day1",)
    assert labels.frames.tolist() == [3] and labels.images == (None,)
    write(tmp_path, "", "day2.mp4")
    assert read_table_labels(path).sources == {}


def test_poses_of_one_video_of_several(recordings: Path) -> None:
    path = recordings / "mouse_4cam/labels_2d.csv"
    with pytest.raises(FormatError, match="it holds back, mid, side, top"):
        read_table_poses(path)
    poses = read_table_poses(path, video="top")
    assert poses.array.shape == (120, 1, 15, 3)
    with pytest.raises(FormatError, match="it holds"):
        read_table_poses(path, video="below")


@pytest.mark.parametrize("name", ["openfield_mouse", "reaching_mouse", "birds_montblanc"])
def test_plain_labels_equal_the_original(recordings: Path, name: str) -> None:
    plain = read_table_labels(recordings / name / "labels.csv")
    dlc = read_deeplabcut_labels(recordings / name)
    place = {p: row for row, p in enumerate(dlc.images)}
    dlc = dlc.take([place[p] for p in plain.images])
    order = [dlc.individuals.index(i) for i in plain.individuals if i != "animal0"] or [0]
    assert plain.skeleton.keypoints == dlc.skeleton.keypoints
    assert (plain.videos, plain.frames.tolist()) == (dlc.videos, dlc.frames.tolist())
    np.testing.assert_allclose(plain.points, dlc.points[:, order], atol=6e-4)


def test_noisy_predictions(recordings: Path) -> None:
    path = recordings / "flies_pair_noisy/predictions.csv"
    poses = read_table_poses(path)
    rows = pd.read_csv(path)
    assert poses.array.shape == (1100, 27, 24, 3)
    assert (poses.confidence > 0).sum() == (rows.x.notna() & (rows.score > 0)).sum()
    labels = read_table_labels(path)
    assert labels.points.shape == (1100, 5, 24, 2) and not labels.identified
    assert set(labels.videos) == {"centered_pair_small"} == set(labels.sources or {})


def test_detections_of_four_cameras(recordings: Path) -> None:
    labels = read_table_labels(recordings / "people_4cam/one_person/detections_2d.csv")
    assert sorted(labels.sources or {}) == ["cam01", "cam02", "cam03", "cam04"]
    assert not labels.identified and labels.points.shape[1:] == (3, 25, 2)


def test_sleap_csv(recordings: Path) -> None:
    poses = read_table_poses(recordings / "formats/sleap_analysis.csv")
    assert poses.skeleton.keypoints == ("A", "B") and poses.individuals is None
    np.testing.assert_allclose(poses.array[0, 0, 1], [278.63522, 203.36587, 1])
