import json
import shutil

import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup
from mapose.cameras.calibrating import calibrate_cameras, write_board
from mapose.cli.cameras import read_sources
from mapose.errors import SettingsError
from mapose.files import read_mark


def test_sources_are_read_in_order(tmp_path):
    for name in ("a.mp4", "b 1.jpg", "b 2.jpg"):
        (tmp_path / name).touch()
    given = [f"top={tmp_path}/a.mp4", f"side={tmp_path}/b*.jpg", f"cam=1={tmp_path}"]
    with pytest.raises(SettingsError, match="'cam': there is nothing at 1="):
        read_sources(given)
    found = read_sources(given[1::-1])
    assert list(found) == ["side", "top"] and found["top"] == tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no cameras"),
        (["top.mp4"], "'top.mp4': wanted CAM=PATH"),
        (["=top.mp4"], "wanted CAM=PATH"),
        (["top=nowhere.mp4"], "'top': there is nothing at nowhere.mp4"),
        (["top=nowhere/*.jpg"], "nothing at"),
        (["top=.", "top=."], "'top' comes twice"),
        (["top", "side=nowhere"], "'top': wanted.*'side': there is nothing"),
    ],
)
def test_sources_that_are_none(arguments, message):
    with pytest.raises(SettingsError, match=message):
        read_sources(arguments)


def test_photographs_to_files(recordings, tmp_path):
    """The whole command on the stereo pairs: 100 mm between cameras, known from elsewhere."""
    folder = recordings / "chessboard_stereo"
    sources = read_sources([f"{side}={folder}/{side}*.jpg" for side in ("left", "right")])
    seen = []
    group, report = calibrate_cameras(
        sources,
        "chessboard:9x6:30mm",
        output=tmp_path / "calibration.toml",
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1][0] == seen[-1][1] > 0
    assert np.linalg.norm(group["left"].centre - group["right"].centre) == pytest.approx(100, abs=1)
    assert [c.matrix[0, 0] for c in group] == pytest.approx([533, 536], abs=3)
    assert report.median < 0.25 and report.mean < 0.3
    saved = CameraGroup.load(tmp_path / "calibration.toml")
    assert saved.names == ("left", "right") and saved.unit == "mm"
    plain = json.loads((tmp_path / "calibration.report.json").read_text(encoding="utf-8"))
    assert plain.pop("made_by").startswith("[made by mapose calibrate of ")
    assert plain == report.to_dict()
    text = (tmp_path / "calibration.report.txt").read_text(encoding="utf-8")
    assert text.startswith(f"{report}\n")
    made = {read_mark(place) for place in tmp_path.iterdir()}
    assert len(made) == 1 and made.pop().endswith("; board chessboard:9x6:30mm")
    assert (tmp_path / "calibration.report.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 4


def test_photographs_taken_lens_by_lens(recordings, tmp_path):
    folder = recordings / "people_4cam" / "calibration" / "intrinsics"
    sources = {f"cam0{i}": folder / f"int_cam0{i}_img" for i in (1, 2)}
    group, report = calibrate_cameras(
        sources, "chessboard:4x7:60mm", output=tmp_path / "lenses.toml"
    )
    assert "do not belong together" in str(report)
    assert [c.matrix[0, 0] for c in group] == pytest.approx([1677, 1677], abs=12)
    assert [c.size for c in group] == [(1088, 1920)] * 2


def test_wrong_board_or_folder(recordings, tmp_path):
    folder = recordings / "chessboard_stereo"
    sources = {"left": folder / "left01.jpg", "right": folder / "right01.jpg"}
    with pytest.raises(CalibrationError, match="found in no frame of any camera"):
        calibrate_cameras(sources, "chessboard:11x4:30mm", output=tmp_path / "c.toml")
    with pytest.raises(SettingsError, match="there is no folder"):
        calibrate_cameras(sources, "chessboard:9x6:30mm", output=tmp_path / "x" / "c.toml")
    assert list(tmp_path.iterdir()) == []


def test_one_recording_for_two_cameras(recordings, tmp_path, caplog):
    photographs = recordings / "chessboard_stereo"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in (1, 4, 7):
            shutil.copy(photographs / f"left0{i}.jpg", tmp_path / name)
    board, output = "chessboard:9x6:30mm", tmp_path / "c.toml"
    with pytest.raises(SettingsError, match="left and right have the same recording"):
        calibrate_cameras({"left": tmp_path / "a", "right": tmp_path / "a"}, board, output=output)
    calibrate_cameras({"left": tmp_path / "a", "right": tmp_path / "b"}, board, output=output)
    assert "left and right stand in one point" in caplog.text


def test_board_is_written(tmp_path):
    write_board("charuco:5x4:20mm:15mm:4x4_50", tmp_path / "board.pdf")
    assert (tmp_path / "board.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(SettingsError, match="there is no folder"):
        write_board("chessboard:9x6:30mm", tmp_path / "x" / "board.pdf")
    with pytest.raises(CalibrationError):
        write_board("nonsense", tmp_path / "other.pdf")
    write_board("charuco:5x4:20mm:15mm:4x4_50", tmp_path / "board.pdf")  # the same again
    with pytest.raises(SettingsError, match=r"made by .*5x4.*made by .*7x4"):
        write_board("charuco:7x4:20mm:15mm:4x4_50", tmp_path / "board.pdf")
