"""Marker files: the header that OpenSim wants, and the way back."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapose.errors import FormatError
from mapose.io import read, write
from mapose.poses import Poses
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["nose tip", "earL"])


def make_poses(rng: np.random.Generator, names: list[str] | None) -> Poses:
    array = rng.uniform(-300, 300, (20, len(names or "a"), 2, 4)).astype(np.float32)
    array[..., 3] = 1
    array[3, 0, 1] = np.nan
    return Poses(array, MOUSE, names, rate=29.97, unit="mm").sel(frames=[*range(5, 12), 15])


@pytest.mark.parametrize("names", [None, ["ann", "Bo b"]])
def test_it_is_read_back(tmp_path: Path, rng: np.random.Generator, names: list[str] | None) -> None:
    poses = make_poses(rng, names)
    write(poses, tmp_path / "walk.trc")
    again = read(tmp_path / "walk.trc")
    np.testing.assert_allclose(again.array, poses.array, atol=1e-6, rtol=1e-7)
    assert again.frames.tolist() == poses.frames.tolist() and again.rate == 29.97
    assert again.unit == "mm" and again.individuals == poses.individuals
    assert again.skeleton.keypoints == MOUSE.keypoints


def test_header(tmp_path: Path, rng: np.random.Generator) -> None:
    write(make_poses(rng, ["ann", "bob"]), tmp_path / "walk.trc")
    lines = (tmp_path / "walk.trc").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\twalk.trc"
    assert lines[1].split("\t")[:5] == "DataRate CameraRate NumFrames NumMarkers Units".split()
    assert lines[2].split("\t") == ["29.97", "29.97", "8", "4", "mm", "29.97", "6", "8"]
    assert lines[3].split("\t")[:6] == ["Frame#", "Time", "ann:nose tip", "", "", "ann:earL"]
    assert lines[4].split("\t")[2:6] == ["X1", "Y1", "Z1", "X2"]
    assert lines[5] == "" and lines[6].split("\t")[0] == "6"
    # Each cell ends in a tab, also the last.
    assert {line.count("\t") for line in lines[6:]} == {2 + 3 * 4}


def test_file_of_pose2sim(tmp_path: Path) -> None:
    """Frames from 0, metres, and no empty line after the header."""
    text = (
        "PathFileType\t4\t(X/Y/Z)\ta.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
        "60\t60\t2\t2\tm\nFrame#\tTime\tRHip\t\t\tLHip\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
        "0\t0.0\t1\t2\t3\t4\t5\t6\n1\t0.0166666\t1.1\t2\t3\t\t\t\n"
    )
    (tmp_path / "a.trc").write_text(text, encoding="utf-8")
    poses = read(tmp_path / "a.trc")
    assert poses.frames.tolist() == [0, 1] and poses.unit == "m" and poses.rate == 60
    np.testing.assert_allclose(poses["slot0", "RHip"][1], [1.1, 2, 3, 1], rtol=1e-6)
    assert poses["slot0", "LHip"][1, 3] == 0


def test_what_does_not_fit_is_told(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    poses = make_poses(rng, None)
    with pytest.raises(FormatError, match="wanted 3D poses"):
        write(Poses(poses.array[..., 1:], MOUSE), tmp_path / "a.trc")
    with caplog.at_level(logging.WARNING):
        write(replace(poses, rate=None), tmp_path / "a.trc")
    assert "rate is not known" in caplog.text
    assert read(tmp_path / "a.trc").frames.tolist() == poses.frames.tolist()
    text = (tmp_path / "a.trc").read_text(encoding="utf-8")
    (tmp_path / "a.trc").write_text(text.replace("\t6.000000", "\tsix", 1), encoding="utf-8")
    with pytest.raises(FormatError, match=r"row \d+: .*six"):
        read(tmp_path / "a.trc")
    (tmp_path / "a.trc").write_text("x\ty\n" * 9, encoding="utf-8")
    with pytest.raises(FormatError, match="wanted PathFileType"):
        read(tmp_path / "a.trc")
