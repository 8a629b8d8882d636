"""What a result says of its recording is held against the video that it is shown on."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sleap_io as sio

import mapose
from calibration.synthetic import make_ring
from mapose.analysis.retracking import TrackOptions, track_file
from mapose.errors import VideoError
from mapose.io import Video, load_provenance
from mapose.io.recordings import fingerprint
from mapose.io.video_writer import VideoWriter
from mapose.poses import Poses
from mapose.results.filtering import filter_file
from mapose.results.recordings import check_recording, check_view
from mapose.results.rendering import render_video
from mapose.results.result import Result
from mapose.skeleton import Skeleton

MOUSE = Skeleton(["snout", "tail"])


def film(path: Path, frames: int = 12, size: tuple[int, int] = (64, 48), shade: int = 0) -> Path:
    with VideoWriter(path, 25) as writer:
        for n in range(frames):
            writer.write(np.full(size[::-1], 10 * n + shade, np.uint8))
    return path


def make_poses(frames: int = 12) -> Poses:
    array = np.full((frames, 1, 2, 3), 0.9, np.float32)
    array[..., :2] = np.linspace(5, 40, frames)[:, None, None, None]
    return Poses(array, MOUSE, ["ann"], rate=25)


def check(file: Path, video: Path, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.WARNING), Video(video) as opened, Result(file) as result:
        check_recording(result, opened)
    return caplog.text


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Make a result of ``top.mp4`` that knows its recording."""
    video = film(tmp_path / "top.mp4")
    said = {"path": "top.mp4", "size": [64, 48], "recording": fingerprint(video)}
    mapose.save(make_poses(), tmp_path / "top.mapose.h5", provenance=said)
    return tmp_path


def test_nothing_is_said_of_its_own_video(session: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(session / "top.mp4", session / "copy.mp4")
    assert check(session / "top.mapose.h5", session / "top.mp4", caplog) == ""
    assert check(session / "top.mapose.h5", session / "copy.mp4", caplog) == ""


def test_a_halved_video_is_refused(session: Path) -> None:
    half = film(session / "half.mp4", size=(32, 24))
    words = "half.mp4 is 32 x 24, but the poses of top.mapose.h5 were found in a video of 64 x 48"
    with pytest.raises(VideoError, match=words):
        render_video(half, session / "top.mapose.h5", session / "out.mp4")
    assert not (session / "out.mp4").exists()


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (12, "was found in another recording (top.mp4) than back.mp4"),
        (7, "back.mp4 has 7 frames, but top.mapose.h5 goes to frame 11"),
    ],
)
def test_another_or_shorter_video_is_told(
    session: Path, caplog: pytest.LogCaptureFixture, frames: int, words: str
) -> None:
    back = film(session / "back.mp4", frames, shade=90)
    with caplog.at_level(logging.WARNING):
        render_video(back, session / "top.mapose.h5", session / "out.mp4")
    assert words in caplog.text and (session / "out.mp4").is_file()


def test_poses_called_like_another_video(session: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Files of other tools name no recording, but are called after it."""
    film(session / "back.mp4", shade=90)
    file = session / "topDLC_resnet50.csv"
    mapose.write(make_poses(), file, "dlc-csv")
    caplog.clear()
    assert check(file, session / "top.mp4", caplog) == ""
    words = "topDLC_resnet50.csv is called like top.mp4, not like back.mp4"
    assert words in check(file, session / "back.mp4", caplog)


def test_points_outside_and_cameras_of_another_size(
    session: Path, caplog: pytest.LogCaptureFixture
) -> None:
    poses = make_poses()
    array = poses.array.copy()
    array[..., 0] += 50
    mapose.write(Poses(array, MOUSE, ["ann"]), session / "top.csv")
    assert "12 of 24" not in caplog.text
    assert "points lie outside of its 64 x 48 pixels" in check(
        session / "top.csv", session / "top.mp4", caplog
    )
    camera = make_ring(2, seed=1)["cam0"]
    with Video(session / "top.mp4") as video:
        check_view(poses, camera.size, video, camera="cam0", cameras=["cam0", "side"])
    assert "camera cam0 was calibrated with" in caplog.text
    assert "bears the name" not in caplog.text and "frames/s" not in caplog.text


def test_a_video_called_like_another_camera_or_of_another_rate(
    session: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fast = replace(make_poses(), rate=60.0)
    with Video(session / "top.mp4") as video:
        check_view(fast, (64, 48), video, camera="side", cameras=["top", "side"])
    assert "top.mp4 bears the name of camera top, but is given for side" in caplog.text
    assert f"top.mp4 has {video.rate:g} frames/s, the poses have 60" in caplog.text


def test_what_is_made_of_a_slp_keeps_its_video_and_rate(tmp_path: Path) -> None:
    """The video has another name than the file, so only the file itself knows it."""
    video = film(tmp_path / "monday.mp4")
    skeleton, track = sio.Skeleton(["snout", "tail"]), sio.Track("ann")
    source = sio.Video(str(video), open_backend=False)
    frames = []
    for f in range(12):
        xy = np.array([[5.0 + f, 6], [9.0 + f, 7]])
        found = sio.PredictedInstance.from_numpy(xy, skeleton, 0.9, track=track)
        frames.append(sio.LabeledFrame(source, f, [found]))
    sio.save_slp(sio.Labels(frames), str(tmp_path / "x.slp"), embed=False, verbose=False)
    tracked = track_file(tmp_path / "x.slp", options=TrackOptions(individuals=1))
    filtered = filter_file(tmp_path / "x.slp", method="median")
    for made in (tracked, filtered):
        said = load_provenance(made)
        assert said["recording"] == fingerprint(video) and said["size"] == [64, 48]
        with Result(made) as result:
            assert result.rate == 25 and result.find_video() == video


def test_the_rate_is_that_of_the_video_beside_a_csv(tmp_path: Path) -> None:
    film(tmp_path / "walk.mp4")
    mapose.write(make_poses(), tmp_path / "walk.csv", "dlc-csv")
    with Result(track_file(tmp_path / "walk.csv", options=TrackOptions(individuals=1))) as made:
        assert made.rate == 25
