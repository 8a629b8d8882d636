from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mapose.errors import FormatError, ShapeError
from mapose.io.labels import load_labels, save_labels
from mapose.labels import Labels
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["snout", "ear", "tail"], [("snout", "ear")])


@pytest.fixture
def labels(tmp_path: Path, rng: np.random.Generator) -> Labels:
    """Two videos, two animals; one of them in one frame only, one frame empty."""
    points = np.round(rng.uniform(0, 99, (5, 2, 3, 2)), 3)
    points[1:, 1] = np.nan
    points[2] = np.nan
    points[3, 0, 1] = np.nan
    videos = ("a", "a", "a", "b", "b")
    frames = [3, 10, 200, -1, -1]
    names = ["img003.png", "img010.png", "img200.png", "photo one.jpg", "second.jpg"]
    images = tuple(tmp_path / v / n for v, n in zip(videos, names, strict=True))
    for image in images:
        image.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(image), np.zeros((8, 8), np.uint8))
    return Labels(points, MOUSE, videos, np.array(frames), images, ("Anna", "Béla"))


def assert_same(a: Labels, b: Labels) -> None:
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.frames, b.frames)
    assert (a.videos, a.images, a.individuals) == (b.videos, b.images, b.individuals)
    assert a.skeleton == b.skeleton


def test_labels_survive_the_store_exactly(labels: Labels, tmp_path: Path) -> None:
    paths = save_labels(labels, tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == ["a/labels.csv", "b/labels.csv"]
    again = load_labels(tmp_path, MOUSE)
    assert_same(again, labels)
    assert not again.identified
    assert load_labels(tmp_path, MOUSE, identified=True).identified


def test_the_file_is_plain_sorted_and_stable(labels: Labels, tmp_path: Path) -> None:
    path = save_labels(labels, tmp_path)[0]
    first = path.read_bytes()
    assert b"\r" not in first
    assert first.splitlines()[0] == b"image,frame,individual,keypoint,x,y,visible,origin"
    x, y = labels.points[0, 0, 0]
    assert first.splitlines()[1].decode() == f"img003.png,3,Anna,snout,{x:.3f},{y:.3f},1,"
    assert b"img010.png,10,B\xc3\xa9la,tail,,,0," in first.splitlines()
    save_labels(labels.take([2, 0, 1, 4, 3]), tmp_path)
    assert path.read_bytes() == first
    assert sorted(p.name for p in path.parent.iterdir())[-1] == "labels.csv"


def test_other_videos_stay_as_they_are(labels: Labels, tmp_path: Path) -> None:
    save_labels(labels, tmp_path)
    save_labels(labels.take([0]), tmp_path)
    assert load_labels(tmp_path, MOUSE).videos == ("a", "b", "b")


def test_a_new_keypoint_of_the_skeleton_is_unmarked(labels: Labels, tmp_path: Path) -> None:
    save_labels(labels, tmp_path)
    wider = load_labels(tmp_path, Skeleton(["paw", *MOUSE.keypoints]))
    assert np.isnan(wider.points[:, :, 0]).all()
    np.testing.assert_array_equal(wider.points[:, :, 1:], labels.points)


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "NaN", ""])
def test_what_is_no_coordinate_is_unmarked(labels: Labels, tmp_path: Path, word: str) -> None:
    path = save_labels(labels, tmp_path)[0]
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:4], word, *cells[5:]])
    path.write_text("\n".join(lines), encoding="utf-8")
    again = load_labels(tmp_path, MOUSE)
    assert np.isnan(again.points[0, 0, 0]).all()
    assert np.isfinite(again.points[0, 0, 1]).all()


def test_saving_refuses_frames_that_are_not_files(labels: Labels, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="a frame of a without an image file"):
        save_labels(replace(labels, images=(None, *labels.images[1:])), tmp_path)
    with pytest.raises(FormatError, match=r"gone\.png \(no such file\)"):
        save_labels(replace(labels, images=(tmp_path / "gone.png", *labels.images[1:])), tmp_path)
    with pytest.raises(FormatError, match="not in"):
        save_labels(labels, tmp_path / "elsewhere")
    with pytest.raises(FormatError, match="labelled twice"):
        save_labels(labels.take([0, 0, 1]), tmp_path)
    with pytest.raises(FormatError, match="no frames"):
        save_labels(labels.take([]), tmp_path)
    with pytest.raises(FormatError, match="cannot have a folder"):
        save_labels(replace(labels, videos=("../x",) * 5), tmp_path)
    assert not list(tmp_path.rglob("*.csv"))


def test_loading_says_what_is_wrong(labels: Labels, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no labels in"):
        load_labels(tmp_path, MOUSE)
    path = save_labels(labels, tmp_path)[0]
    with pytest.raises(FormatError, match=r"no keypoint 'snout'.*did you mean 'snuot'"):
        load_labels(tmp_path, Skeleton(["snuot", "ear", "tail"]))
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    with pytest.raises(FormatError, match=r"1 rows come twice, first img003\.png, Anna, snout"):
        load_labels(tmp_path, MOUSE)
    path.write_text(text.replace(",3,Anna,snout,", ",3,Anna,snout,x", 1), encoding="utf-8")
    with pytest.raises(FormatError, match=r"line 2: x is 'x.*not a number"):
        load_labels(tmp_path, MOUSE)
    path.write_text(text.replace("visible", "seen"), encoding="utf-8")
    with pytest.raises(FormatError, match=r"missing \['visible'\]"):
        load_labels(tmp_path, MOUSE)
    path.write_text(text.splitlines()[0] + "\n", encoding="utf-8")
    (tmp_path / "b/labels.csv").unlink()
    with pytest.raises(FormatError, match="at least one row"):
        load_labels(tmp_path, MOUSE)


def test_loading_lists_images_that_do_not_exist(labels: Labels, tmp_path: Path) -> None:
    save_labels(labels, tmp_path)
    for image in labels.images[:2]:
        assert image is not None
        image.unlink()
    with pytest.raises(FormatError, match=r"do not exist: a.img003\.png, a.img010\.png"):
        load_labels(tmp_path, MOUSE)


def test_keypoints_are_renamed(labels: Labels) -> None:
    renamed = labels.renamed({"ear": "earL"})
    assert renamed.skeleton.keypoints == ("snout", "earL", "tail")
    assert renamed.skeleton.edges == (("snout", "earL"),)
    np.testing.assert_array_equal(renamed.points, labels.points)
    assert labels.renamed({"ear": "tail", "tail": "ear"}).skeleton.keypoints[1:] == ("tail", "ear")
    with pytest.raises(ShapeError, match="repeated: tail"):
        labels.renamed({"ear": "tail"})
    with pytest.raises(ShapeError, match="did you mean 'ear'"):
        labels.renamed({"eat": "earL"})
