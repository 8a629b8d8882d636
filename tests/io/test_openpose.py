"""Folders of OpenPose json: frames, people, and which model it was."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mapose.errors import FormatError
from mapose.io import openpose, read, read_labels
from mapose.io.openpose import read_openpose_poses

BODY_25 = openpose._MODELS["BODY_25"][0].split()
BODY_25B = openpose._MODELS["BODY_25B"][0].split()
# A standing person, 180 cm, front view, in pixels: the left side is at the right.
STANDING = {
    "Nose": (0, 15), "LEye": (3, 12), "REye": (-3, 12), "LEar": (7, 14), "REar": (-7, 14),
    "Neck": (0, 32), "Head": (0, 0), "LShoulder": (18, 34), "RShoulder": (-18, 34),
    "LElbow": (24, 62), "RElbow": (-24, 62), "LWrist": (26, 88), "RWrist": (-26, 88),
    "MidHip": (0, 92), "Hip": (0, 92), "LHip": (9, 93), "RHip": (-9, 93), "LKnee": (11, 133),
    "RKnee": (-11, 133), "LAnkle": (12, 172), "RAnkle": (-12, 172), "LBigToe": (16, 179),
    "RBigToe": (-16, 179), "LSmallToe": (20, 178), "RSmallToe": (-20, 178), "LHeel": (11, 178),
    "RHeel": (-11, 178), "Chest": (0, 60),
}  # fmt: skip


def write_frame(folder: Path, frame: int, people: list, name: str = "v_{:012d}_keypoints") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.format(frame)}.json"
    document = {
        "version": 1.3,
        "people": [{"person_id": [-1], "pose_keypoints_2d": p} for p in people],
    }
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def make_person(names: list[str], shift: float = 100, score: float = 0.8) -> list[float]:
    return [n for k in names for n in (STANDING[k][0] + shift, STANDING[k][1] + shift, score)]


@pytest.mark.parametrize("clip", ["one_person", "two_people"])
@pytest.mark.parametrize("camera", ["cam01", "cam04"])
def test_real_folders_are_their_table(recordings: Path, clip: str, camera: str) -> None:
    folder = recordings / "people_4cam" / clip
    poses = read(folder / "pose" / f"{camera}_json")
    assert poses.individuals is None and poses.unit == "px" and poses.rate is None
    assert len(poses) == 100 and (poses.frames == np.arange(100)).all()
    assert set(poses.skeleton.keypoints) == set(BODY_25B)
    assert len(poses.skeleton.mirror) == 11
    wanted = np.full(poses.array.shape, np.nan)
    with (folder / "detections_2d.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["camera"] == camera:
                k = poses.skeleton.index(row["keypoint"])
                values = [float(row[name]) for name in ("x", "y", "score")]
                wanted[int(row["frame"]), int(row["detection"]), k] = values
    there = np.isfinite(wanted[..., 0])
    np.testing.assert_array_equal(there, poses.confidence > 0)
    np.testing.assert_allclose(poses.points[there], wanted[there, :2], atol=0.0051)
    np.testing.assert_allclose(poses.confidence[there], wanted[there, 2], atol=0.00051)


@pytest.mark.parametrize("model", list(openpose._MODELS))
def test_models_are_told_apart(tmp_path: Path, model: str) -> None:
    names = openpose._MODELS[model][0].split()
    write_frame(tmp_path, 0, [make_person(names), make_person(names, 300, 0.5)])
    poses = read(tmp_path)
    assert list(poses.skeleton.keypoints) == names
    np.testing.assert_allclose(poses.array[0, 1, 0], [*np.add(STANDING[names[0]], 300), 0.5])
    assert all(
        a[0] + b[0] == "LR" and a[1:] == b[1:] for a, b in map(sorted, poses.skeleton.mirror)
    )


def test_missing_people_keypoints_and_frames(tmp_path: Path) -> None:
    person = make_person(BODY_25)
    person[3:6] = [0, 0, 0]
    nobody = [0.0] * 75
    write_frame(tmp_path, 12, [person])
    write_frame(tmp_path, 2, [make_person(BODY_25, 50), nobody, make_person(BODY_25, 70)])
    write_frame(tmp_path, 5, [])
    poses = read_openpose_poses(tmp_path)
    assert poses.frames.tolist() == [2, 5, 12] and poses.array.shape == (3, 3, 25, 3)
    # One who was not found keeps the place in the list, which other files refer to.
    np.testing.assert_array_equal(poses.array[0, :, 0, 0], [50, np.nan, 70])
    assert np.isnan(poses.points[1]).all() and (poses.confidence[1] == 0).all()
    assert np.isnan(poses["slot0", "Neck"][2, 0]) and np.isfinite(poses["slot0", "Nose"][2, 0])
    # A file of the folder stands for the folder.
    assert len(read(next(tmp_path.glob("*.json")))) == 3


@pytest.mark.parametrize(
    ("name", "frames"), [("cam01.{:04d}", [3, 10]), ("{:d}", [3, 10]), ("a{:d}_b7", [0, 1])]
)
def test_frames_are_numbers_in_names(tmp_path: Path, name: str, frames: list[int]) -> None:
    for frame in (10, 3):
        write_frame(tmp_path, frame, [make_person(BODY_25)], name)
    assert read(tmp_path).frames.tolist() == frames


def test_damage_is_told(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    write_frame(good, 0, [make_person(BODY_25)])
    path = write_frame(good, 1, [make_person(BODY_25)])
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    with pytest.raises(FormatError, match=r"0001_keypoints\.json is not a json of OpenPose"):
        read(good)
    write_frame(bad, 0, [[0.0] * 75])
    with pytest.raises(FormatError, match="nobody was found in any of 1 frames"):
        read(bad)
    write_frame(bad, 1, [make_person(BODY_25)])
    write_frame(bad, 2, [make_person(BODY_25)[:54]])
    with pytest.raises(FormatError, match="lists of 54 and 75 numbers"):
        read(bad)
    write_frame(tmp_path / "odd", 0, [make_person(BODY_25)[:60]])
    with pytest.raises(FormatError, match="20 keypoints are of no known model"):
        read(tmp_path / "odd")
    hands_only = make_person(BODY_25)
    hands_only[3:] = [0.0] * 72
    write_frame(tmp_path / "few", 0, [hands_only])
    with pytest.raises(FormatError, match="to tell BODY_25 from BODY_25B"):
        read(tmp_path / "few")
    with pytest.raises(FormatError, match="cannot be used here"):
        read_labels(bad)
