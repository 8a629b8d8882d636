"""What a person moved is told apart from what a network found, where a format can say it."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import sleap_io as sio

from mapose import io
from mapose.poses import Poses
from mapose.skeleton import Skeleton


@pytest.fixture
def poses():
    array = np.random.default_rng(1).uniform(10, 90, (4, 2, 3, 3)).astype(np.float32)
    array[..., 2] = 0.75
    return Poses(array, Skeleton(["nose", "hip", "tail"]), ["ann", "bob"], rate=25.0)


@pytest.fixture
def edited(poses):
    changed = np.zeros(poses.confidence.shape, bool)
    changed[2, 1, [0, 2]] = True
    return changed


def test_sleap_files_hold_them_as_a_users_instances(poses, edited, tmp_path):
    path = tmp_path / "v.slp"
    io.write(poses, path, support={"edited": edited})
    found = [
        (frame.frame_idx, one.track.name)
        for frame in sio.load_slp(str(path), open_videos=False)
        for one in frame.user_instances
    ]
    assert found == [(2, "bob")]
    back = io.read(path)
    np.testing.assert_allclose(back.points, poses.points, atol=1e-4)
    assert (back.confidence[2, 1] == 1).all() and (back.confidence[2, 0] == 0.75).all()
    # As labels the file gives what a person placed, and nothing else.
    labels = io.read_labels(path)
    assert labels.frames.tolist() == [2] and np.isfinite(labels.points).all(-1).sum() == 3


def test_coco_names_the_keypoints(poses, edited, tmp_path):
    path = tmp_path / "v.json"
    io.write(poses, path, "coco", support={"edited": edited})
    annotations = json.loads(path.read_text())["annotations"]
    told = {(a["image_id"], a["track_id"]): a.get("attributes") for a in annotations}
    assert told.pop((2, 2)) == {"edited": ["nose", "tail"]}
    assert len(told) == 7 and set(told.values()) == {None}


def test_a_table_has_a_column(poses, edited, tmp_path):
    io.write(poses, tmp_path / "v.csv", support={"edited": edited})
    table = pd.read_csv(tmp_path / "v.csv")
    changed = table[table.edited == 1]
    assert changed[["frame", "individual", "keypoint"]].to_numpy().tolist() == [
        [2, "bob", "nose"],
        [2, "bob", "tail"],
    ]


@pytest.mark.parametrize(
    ("name", "format", "told"),
    [("v.h5", "dlc-h5", True), ("v.slp", None, False), ("v.json", "coco", False)],
)
def test_a_format_without_a_place_for_them_says_so(
    poses, edited, tmp_path, caplog, name, format, told
):
    with caplog.at_level(logging.WARNING):
        io.write(poses, tmp_path / name, format, support={"edited": edited})
    assert ("which points a person edited" in caplog.text) == told
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        io.write(poses, tmp_path / name, format, support={"edited": np.zeros_like(edited)})
    assert "edited" not in caplog.text
