import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from mapose.errors import FormatError
from mapose.io.deeplabcut import (
    is_deeplabcut_csv,
    read_config,
    read_deeplabcut_labels,
    read_deeplabcut_poses,
)
from mapose.io.pytables import read_grid, read_plain_pickle
from mapose.labels import Labels

VARIANTS = "formats/dlc_csv_variants"


def assert_equals_plain(labels: Labels, csv: Path) -> None:
    """Compare with the plain copy of the labels that lies beside the original."""
    rows = pd.read_csv(csv)
    names = [p.as_posix() if p else "" for p in labels.images]
    seen = np.zeros(labels.points.shape[:3], bool)
    for row in rows.itertuples():
        f = next(i for i, n in enumerate(names) if n.endswith(str(row.image)))
        i = labels.individuals.index(str(row.individual))
        k = labels.skeleton.index(str(row.keypoint))
        seen[f, i, k] = True
        point = labels.points[f, i, k]
        if row.visible:
            np.testing.assert_allclose(point, [row.x, row.y], atol=6e-4)
        else:
            assert np.isnan(point).all()
    assert np.isnan(labels.points[~seen]).all()


def test_openfield_project(recordings: Path) -> None:
    labels = read_deeplabcut_labels(recordings / "openfield_mouse")
    assert len(labels) == 91
    assert labels.skeleton.keypoints == ("snout", "leftear", "rightear", "tailbase")
    assert set(labels.videos) == {"m4s1"}
    assert labels.identified
    assert labels.sources == {}  # the video beside it shows another mouse
    assert all(p is not None and p.is_file() for p in labels.images)
    numbers = [int(p.stem[3:]) for p in labels.images if p]
    assert labels.frames.tolist() == numbers
    assert_equals_plain(labels, recordings / "openfield_mouse/labels.csv")


def test_unsorted_labels_of_two_sizes(recordings: Path) -> None:
    labels = read_deeplabcut_labels(recordings / "reaching_mouse")
    assert len(labels) == 40
    assert labels.skeleton.edges == (("Hand", "Finger1"), ("Joystick1", "Joystick2"))
    assert labels.frames[:2].tolist() == [5, 20]
    assert_equals_plain(labels, recordings / "reaching_mouse/labels.csv")


def test_one_csv_without_a_project(recordings: Path) -> None:
    labels = read_deeplabcut_labels(recordings / "mirror_mouse/CollectedData.csv")
    assert labels.points.shape == (70, 1, 17, 2)
    assert set(labels.videos) == {"mirror_mouse"}
    assert_equals_plain(labels, recordings / "mirror_mouse/labels.csv")


def test_several_animals_without_identity(recordings: Path) -> None:
    labels = read_deeplabcut_labels(recordings / "birds_montblanc")
    assert labels.points.shape == (16, 8, 4, 2)
    assert not labels.identified
    assert_equals_plain(labels, recordings / "birds_montblanc/labels.csv")


@pytest.mark.parametrize("path", ["openfield_mouse", "reaching_mouse", "birds_montblanc"])
def test_h5_and_csv_agree(recordings: Path, path: str) -> None:
    folder = next((recordings / path / "labeled-data").iterdir())
    h5 = read_deeplabcut_labels(next(folder.glob("*.h5")))
    csv = read_deeplabcut_labels(next(folder.glob("*.csv")))
    np.testing.assert_array_equal(h5.points, csv.points)
    assert (h5.images, h5.individuals, h5.skeleton) == (csv.images, csv.individuals, csv.skeleton)


@pytest.mark.parametrize("kind", ["dlc", "madlc", "maudlc"])
def test_old_and_new_row_index(recordings: Path, kind: str) -> None:
    old = read_deeplabcut_labels(recordings / VARIANTS / f"{kind}_testdata.csv")
    new = read_deeplabcut_labels(recordings / VARIANTS / f"{kind}_testdata_v2.csv")
    np.testing.assert_array_equal(old.points, new.points)
    assert old.images == new.images and None not in old.images
    assert old.videos == new.videos == ("video",) * 4
    assert old.frames.tolist() == [0, 1, 2, 3]


def test_parts_of_no_animal(recordings: Path) -> None:
    labels = read_deeplabcut_labels(recordings / VARIANTS / "maudlc_testdata.csv")
    assert labels.individuals == ("Animal1", "Animal2", "landmarks")
    assert labels.skeleton.keypoints == ("A", "B", "C", "D", "E")
    assert labels.skeleton.landmarks == ("D", "E")
    animals = labels.take_animals()
    assert animals.individuals == ("Animal1", "Animal2") and animals.points.shape[1:3] == (2, 3)
    assert labels.points[1, 2].tolist()[3:] == [[22, 23], [24, 25]]
    assert np.isnan(labels.points[:, 2, :3]).all() and np.isnan(labels.points[:, :2, 3:]).all()


def make_project(folder: Path, config: str) -> Path:
    """Lay out two videos; the second one was labelled after a body part was added."""
    folder.mkdir()
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    for video, parts in (("one", ["nose", "tail"]), ("two", ["nose", "ear", "tail"])):
        inside = folder / "labeled-data" / video
        inside.mkdir(parents=True)
        columns = pd.MultiIndex.from_product(
            [["Me"], parts, ["x", "y"]], names=["scorer", "bodyparts", "coords"]
        )
        index = [f"labeled-data\\{video}\\img0{i}.png" for i in (4, 2)]
        numbers = np.arange(2.0 * len(columns)).reshape(2, -1)
        pd.DataFrame(numbers, index, columns).to_csv(inside / "CollectedData_Me.csv")
        for i in (2, 4):
            (inside / f"img0{i}.png").touch()
    return folder


CONFIG = r"""
Task: reach
scorer: Me
project_path: C:\Users\me\reach-Me
video_sets:
  C:\Users\me\Videos\one.avi:
    crop: 0, 640, 0, 480
  WILL BE AUTOMATICALLY UPDATED BY DEMO CODE:
    crop: 0, 1, 0, 1
bodyparts: [nose, ear, tail]
skeleton: [[nose, tail], [nose, wing], [ear, nose], [nose, ear]]
"""


def test_project_moved_from_windows(tmp_path: Path) -> None:
    project = make_project(tmp_path / "reach", CONFIG)
    (project / "videos").mkdir()
    (project / "videos/one.AVI").touch()
    labels = read_deeplabcut_labels(project)
    assert labels.skeleton.keypoints == ("nose", "ear", "tail")
    assert labels.skeleton.edges == (("nose", "tail"), ("ear", "nose"))
    assert labels.videos == ("one", "one", "two", "two")
    assert labels.frames.tolist() == [4, 2, 4, 2]
    assert labels.sources == {"one": project / "videos/one.AVI"}
    assert labels.images[0] == project / "labeled-data/one/img04.png"
    assert np.isnan(labels.points[:2, 0, 1]).all()
    np.testing.assert_array_equal(labels.points[2:, 0, 1], [[2, 3], [8, 9]])
    by_config = read_deeplabcut_labels(project / "config.yaml")
    np.testing.assert_array_equal(by_config.points, labels.points)
    one = read_deeplabcut_labels(project / "labeled-data/one")
    assert one.videos == ("one", "one") and one.sources == {"one": project / "videos/one.AVI"}


@pytest.mark.parametrize("config", ["", "a: [", 'video_sets: {"C:\\Users\\x.avi": 1}', "- 1", "\t"])
def test_odd_configs_do_not_break_reading(tmp_path: Path, config: str) -> None:
    labels = read_deeplabcut_labels(make_project(tmp_path / "p", config))
    assert labels.points.shape == (4, 1, 3, 2)


def test_windows_paths_in_double_quotes(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('project_path: "C:\\Users\\x"\nscorer: Me\n', encoding="utf-8")
    assert read_config(path) == {"project_path": "C:/Users/x", "scorer": "Me"}


def test_two_scorers_are_not_mixed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", "scorer: You")
    csv = project / "labeled-data/one/CollectedData_Me.csv"
    shutil.copy(csv, csv.with_name("CollectedData_Other.csv"))
    with pytest.raises(
        FormatError, match=r"several scorers.*CollectedData_Me, CollectedData_Other"
    ):
        read_deeplabcut_labels(project)
    (project / "config.yaml").write_text("scorer: Me", encoding="utf-8")
    assert len(read_deeplabcut_labels(project)) == 4


def test_the_last_row_of_an_image_counts(tmp_path: Path) -> None:
    csv = make_project(tmp_path / "p", CONFIG) / "labeled-data/one/CollectedData_Me.csv"
    with csv.open("a", encoding="utf-8") as file:
        file.write("labeled-data/one/img04.png,70,71,72,73\n")
    labels = read_deeplabcut_labels(csv)
    assert labels.frames.tolist() == [2, 4]
    assert labels.points[1, 0].tolist() == [[70, 71], [72, 73]]


def test_what_is_no_project_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="found no CollectedData file"):
        read_deeplabcut_labels(tmp_path)


def test_results_of_lightning_pose(recordings: Path) -> None:
    path = sorted((recordings / "fly_3cam_points").glob("*rng=0.csv"))[0]
    assert is_deeplabcut_csv(path)
    poses = read_deeplabcut_poses(path)
    assert poses.array.shape == (500, 1, 12, 3)
    assert poses.individuals is None
    np.testing.assert_allclose(poses.array[0, 0, 0], [194.698, 161.2993, 0.9946], rtol=1e-6)
    assert poses.frames.tolist() == list(range(500))


def make_results(names: list[str] | None = None) -> pd.DataFrame:
    levels = [["net"], names, ["nose", "tail"], ["x", "y", "likelihood"]]
    labels = ["scorer", "individuals", "bodyparts", "coords"]
    if names is None:
        levels.pop(1)
        labels.pop(1)
    columns = pd.MultiIndex.from_product(levels, names=labels)
    numbers = np.arange(5.0 * len(columns)).reshape(5, -1) / 100
    numbers[2, :6] = np.nan
    return pd.DataFrame(numbers, columns=columns)


@pytest.mark.parametrize("names", [None, ["a", "b", "single"]])
@pytest.mark.parametrize("form", ["table", "fixed"])
def test_h5_is_read_without_unpickling(tmp_path: Path, names: list[str] | None, form: str) -> None:
    pytest.importorskip("tables")
    frame = make_results(names)
    frame.to_hdf(tmp_path / "r.h5", key="df_with_missing", format=form, mode="w")
    frame.to_csv(tmp_path / "r.csv")
    h5, csv = (read_deeplabcut_poses(tmp_path / n) for n in ("r.h5", "r.csv"))
    np.testing.assert_array_equal(h5.array, csv.array)
    assert h5.individuals == csv.individuals == (None if names is None else tuple(names))
    first = frame.to_numpy(np.float32).reshape(5, -1, 2, 3)
    kept = np.isfinite(first).all(-1)
    np.testing.assert_array_equal(h5.array[kept], first[kept])
    assert (h5.confidence[~kept] == 0).all()


def test_h5_with_three_row_levels(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    frame = make_results(["a"]).drop(columns="likelihood", level=3)
    images = [f"img{i}.png" for i in range(5)]
    frame.index = pd.MultiIndex.from_product([["labeled-data"], ["vid"], images])
    path = tmp_path / "labeled-data/vid/CollectedData_net.h5"
    path.parent.mkdir(parents=True)
    frame.to_hdf(path, key="keypoints", mode="w")
    labels = read_deeplabcut_labels(path.parent)
    assert labels.videos == ("vid",) * 5
    assert labels.frames.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(labels.points[0, 0], [[0, 0.01], [0.03, 0.04]], rtol=1e-6)


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_are_read_and_others_refused(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = [("näse", "x", 1), ("näse", "y", 2), (), ("a",), ("a", "b"), [], None]
    assert read_plain_pickle(pickle.dumps(plain, protocol)) == plain
    with pytest.raises(ValueError, match="not plain text"):
        read_plain_pickle(pickle.dumps([("a", Bomb())], protocol))
    assert not Path("exploded").exists()


def test_a_harmful_h5_gives_way_to_its_csv(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    project = make_project(tmp_path / "p", CONFIG)
    csv = project / "labeled-data/one/CollectedData_Me.csv"
    wanted = read_deeplabcut_labels(csv)
    h5 = csv.with_suffix(".h5")
    make_results().to_hdf(h5, key="df_with_missing", format="table", mode="w")
    with h5py.File(h5, "r+") as file:
        bomb = np.bytes_(pickle.dumps([("a", Bomb())], 0))
        file["df_with_missing/table"].attrs["values_block_0_kind"] = bomb
    with pytest.raises(FormatError, match="cannot be read without unpickling"):
        read_grid(h5)
    labels = read_deeplabcut_labels(csv.parent)
    np.testing.assert_array_equal(labels.points, wanted.points[:, :, : labels.points.shape[2]])


def test_damaged_results_are_said_so(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    frame = make_results()
    frame.to_csv(path)
    path.write_text(path.read_text().replace("likelihood", "q"), encoding="utf-8")
    assert read_deeplabcut_poses(path).array.shape == (5, 1, 2, 3)
    path.write_text(path.read_text().replace(",y", ",w"), encoding="utf-8")
    with pytest.raises(FormatError, match="wanted the coords x, y"):
        read_deeplabcut_poses(path)
    frame.index = [f"labeled-data/{v}/img1.png" for v in "abcde"]
    frame.to_csv(path)
    with pytest.raises(FormatError, match="labelled images"):
        read_deeplabcut_poses(path)
