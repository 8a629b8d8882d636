"""Each export is opened by the reader it is made for: sleap-io, movement, OpenSim's own rules."""

import logging
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import sleap_io as sio

import mapose
from mapose.errors import FormatError
from mapose.io import read, write
from mapose.io.video_writer import VideoWriter
from mapose.poses import Poses
from mapose.results.correcting import export_result
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["snout", "ear/L", "tail"], [("snout", "ear/L")])


def make_poses(rng: np.random.Generator, names: list[str] | None, d: int, **more) -> Poses:
    count = len(names or "a")
    array = rng.uniform(0.1, 0.9, (9, count, 3, d + 1)).astype(np.float32)
    array[..., :-1] *= 50
    array[3, -1] = np.nan
    array[5, 0, 2] = np.nan
    more = {"rate": 25, "unit": "px" if d == 2 else "mm", **more}
    return Poses(array, MOUSE, names, **more)


def tokenize(line: str) -> list[str]:
    """Split as OpenSim 4 does: what follows the last tab counts only if there is something."""
    cells = line.split("\t")
    return cells if cells[-1] else cells[:-1]


@pytest.mark.parametrize("unit", ["mm", "cm", "m", "in"])
def test_fields_of_trc(tmp_path: Path, rng: np.random.Generator, unit: str) -> None:
    poses = make_poses(rng, ["ann", "bob"], 3, unit=unit).sel(frames=[4, 5, 6, 7])
    write(poses, tmp_path / "walk.trc")
    lines = (tmp_path / "walk.trc").read_text(encoding="utf-8").split("\n")
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "walk.trc"]
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert header["Units"] == ("mm" if unit == "in" else unit)
    assert header["DataRate"] == header["CameraRate"] == header["OrigDataRate"] == "25"
    assert header["NumFrames"] == header["OrigNumFrames"] == "4"
    assert header["NumMarkers"] == "6" and header["OrigDataStartFrame"] == "5"
    markers = tokenize(lines[3])
    assert markers[:2] == ["Frame#", "Time"]
    assert [name for name in markers[2:] if name] == [
        f"{who}:{part}" for who in ("ann", "bob") for part in MOUSE.keypoints
    ]
    axes = tokenize(lines[4])
    assert axes == ["", "", *(f"{axis}{n}" for n in range(1, 7) for axis in "XYZ")]
    assert lines[5] == "" and lines[-1] == ""
    scale = 25.4 if unit == "in" else 1
    for row, line in enumerate(lines[6:-1]):
        cells = tokenize(line)
        assert len(cells) == 2 + 18  # also where the last marker is missing
        assert (int(cells[0]), float(cells[1])) == (5 + row, (4 + row) / 25)
        numbers = [float(cell) if cell else np.nan for cell in cells[2:]]
        np.testing.assert_allclose(numbers, scale * poses.points[row].ravel(), rtol=1e-5)


def test_trc_of_an_unknown_unit(tmp_path: Path, rng: np.random.Generator) -> None:
    poses = make_poses(rng, None, 3, unit="unknown")
    with pytest.raises(FormatError, match="--unit mm"):
        write(poses, tmp_path / "walk.trc")
    mapose.save(poses, tmp_path / "walk.mapose.h5")
    export_result(tmp_path / "walk.mapose.h5", tmp_path / "walk.trc", unit="cm")
    assert read(tmp_path / "walk.trc").unit == "cm"


@pytest.mark.parametrize("names", [None, ["ann", "bob"]])
def test_movement_opens_the_csv_of_anipose(
    tmp_path: Path, rng: np.random.Generator, movement: ModuleType, names: list[str] | None
) -> None:
    poses = make_poses(rng, names, 3)
    sure = None if names is None else rng.uniform(0.5, 1, (9, 2))
    write(mapose.Poses(poses.array, MOUSE, names, 25, "mm", identity=sure), tmp_path / "a.csv")
    theirs = movement.io.load_poses.from_anipose_file(tmp_path / "a.csv", fps=25)
    _, _, what, _ = theirs.position.dims
    marker = "tail" if names is None else "bob:tail"
    found = theirs.position.sel({what: marker}).values[..., 0]
    np.testing.assert_allclose(found, poses.points[:, -1, 2], rtol=1e-5)


def test_movement_and_sleap_io_open_two_animals_in_nwb(
    tmp_path: Path, rng: np.random.Generator, movement: ModuleType
) -> None:
    pytest.importorskip("ndx_pose")
    poses = make_poses(rng, ["ann", "bob"], 2)
    write(poses, tmp_path / "two.nwb", video="walk.mp4")
    theirs = movement.io.load_poses.from_nwb_file(tmp_path / "two.nwb")
    _, _, what, who = theirs.position.dims
    assert list(theirs[who].values) == ["ann, bob"] and theirs.fps == 25
    for i, name in enumerate(poses.names):
        found = theirs.position.sel({what: f"{name}_ear_L"}).values[..., 0]
        np.testing.assert_array_equal(found, poses.points[:, i, 1])
        one = movement.io.load_poses.from_nwb_file(tmp_path / "two.nwb", pose_estimation_key=name)
        np.testing.assert_array_equal(
            one.position.sel({what: "tail"}).values[..., 0], poses.points[:, i, 2]
        )
    labels = sio.load_nwb(str(tmp_path / "two.nwb"))
    assert len(labels) == 9 and len(labels.tracks) == 2
    assert labels.skeleton.node_names == ["snout", "ear_L", "tail"]
    assert Path(labels.video.filename).name == "walk.mp4"
    np.testing.assert_allclose(labels[0][1].numpy(), poses.points[0, 1], rtol=1e-6)
    np.testing.assert_allclose(labels[0][1].points["score"], poses.confidence[0, 1], rtol=1e-6)
    again = read(tmp_path / "two.nwb")
    np.testing.assert_array_equal(again.array, poses.array)
    assert again.names == poses.names and again.skeleton == MOUSE


def test_sleap_io_opens_coco_with_its_frames(tmp_path: Path, rng: np.random.Generator) -> None:
    with VideoWriter(tmp_path / "walk.mp4", 25, quality=95) as writer:
        for n in range(9):
            writer.write(np.full((64, 96), 20 * n, np.uint8))
    poses = make_poses(rng, ["ann", "bob"], 2)
    mapose.save(poses, tmp_path / "walk.mapose.h5", provenance={"path": "walk.mp4"})
    export_result(tmp_path / "walk.mapose.h5", tmp_path / "walk.json", format="coco")
    labels = sio.load_coco(str(tmp_path / "walk.json"))
    assert len(labels) == 9 and labels.video.shape[1:3] == (64, 96)
    assert [track.name for track in labels.tracks] == ["track_1", "track_2"]
    for frame in labels:
        shade = float(np.mean(frame.image))
        assert abs(shade - 20 * int(Path(labels.video.filename[frame.frame_idx]).stem[-6:])) < 4
    np.testing.assert_allclose(labels[0][1].numpy(), poses.points[0, 1], atol=1e-3)


def test_many_images_are_named_but_not_written(
    tmp_path: Path, rng: np.random.Generator, monkeypatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("mapose.io.coco.MOST_IMAGES", 3)
    with VideoWriter(tmp_path / "walk.mp4", 25) as writer:
        for _ in range(9):
            writer.write(np.zeros((64, 96), np.uint8))
    with caplog.at_level(logging.WARNING):
        write(make_poses(rng, None, 2), tmp_path / "w.json", "coco", video=tmp_path / "walk.mp4")
    assert "8 images are named but not written" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.json", "walk.mp4"]
    with pytest.raises(FormatError, match=r"walk\.mp4 has 9 frames, the poses go to frame 13"):
        late = make_poses(rng, None, 2, frames=np.arange(5, 14))
        write(late, tmp_path / "w.json", "coco", video=tmp_path / "walk.mp4")
