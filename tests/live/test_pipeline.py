"""The loop itself, on drawn mice whose places are known."""

import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from typer.testing import CliRunner

from calibration import add_station
from mapose.cli import app
from mapose.errors import FormatError, SettingsError, VideoError
from mapose.files import RESULT
from mapose.io import Video, VideoWriter, load
from mapose.io.cutting import Cut, cut_video
from mapose.live import (
    CallbackOutput,
    Frame,
    LiveOptions,
    Replay,
    ResultOutput,
    join_parts,
    open_source,
    rehearse,
    run_live,
)
from mapose.live import results as parts
from mapose.live.gathering import Gatherer
from mapose.live.grabbing import Grabber
from mapose.live.hardware import OpenCVCamera
from mapose.live.recording import Recorder, find_times, keep_cut_recording
from mapose.live.watching import make_watcher
from mapose.models import Model
from mapose.synthetic import make_cameras, make_scene
from mapose.zoo import find_model

FRAMES = 30


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two mice, three cameras: the scene, a video by camera, and the model that knows them."""
    folder = tmp_path_factory.mktemp("live")
    scene = make_scene(2, FRAMES, seed=5, rate=30, cameras=make_cameras(3, size=(320, 240)))
    videos = {}
    for name in scene.cameras.names:
        videos[name] = folder / f"{name}.mp4"
        with VideoWriter(videos[name], scene.rate) as writer:
            for image in scene.draw_frames(name):
                writer.write(image)
    return scene, videos, Model.load(find_model("zoo:drawn-mice"))


def find_errors(answers, truth):
    """Distances from the truth (F, I, K, d), names given once and for all."""
    points = np.stack([a.points for a in answers])
    wanted = truth[[a.frames.number for a in answers]]
    orders = [list(order) for order in permutations(range(points.shape[1]))]
    each = [np.linalg.norm(points[:, order] - wanted, axis=-1) for order in orders]
    return min(each, key=lambda e: np.nanmean(np.nanmedian(e, -1)))


@pytest.fixture(scope="module")
def in_space(recording):
    """Answers to all frames of three cameras, a frame later."""
    scene, videos, model = recording
    answers = []
    listener = CallbackOutput(answers.append)
    cameras = scene.cameras
    count = rehearse(
        videos, model, cameras=cameras, individuals=2, outputs=[listener], latency=1 / 30
    )
    assert count == len(answers) == FRAMES
    return answers


def rehearse_top(recording, *outputs):
    answers = []
    _, videos, model = recording
    outputs = [*outputs, CallbackOutput(answers.append)]
    rehearse({"top": videos["top"]}, model, individuals=2, outputs=outputs)
    return answers


@pytest.fixture(scope="module")
def in_picture(recording):
    return rehearse_top(recording)


def test_a_rehearsal_in_space_finds_who_is_where(recording, in_space):
    scene, videos, _ = recording
    settled = in_space[8:]  # a row is given to whoever was seen twice
    errors = find_errors(settled, scene.truth_3d().points)
    assert np.nanmedian(errors) < 8 and (np.isfinite(errors).mean((0, 2)) > 0.9).all()
    assert all(a.unit == scene.cameras.unit and a.age == pytest.approx(1 / 30) for a in in_space)
    certainty = np.array([a.certainty for a in settled])
    assert np.nanmin(certainty) > 0.5 and np.nanmax(certainty) < 1
    assert set(in_space[0].views) == set(videos)


def test_a_rehearsal_is_the_same_again(recording, in_picture):
    for a, b in zip(in_picture, rehearse_top(recording), strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.predicted, b.predicted)


def test_one_camera_answers_in_pixels(recording, in_picture):
    scene, _, _ = recording
    errors = find_errors(in_picture[4:], scene.truth("top", occluded=False).points)
    assert in_picture[0].unit == "px" and np.nanmedian(errors) < 3


def test_a_live_run_counts_every_frame(recording, tmp_path):
    """However slow this machine is: frames are answered, let go and counted, or too old."""
    scene, videos, model = recording
    sources = {name: Replay(path, rate=15) for name, path in videos.items()}
    answers = []
    result = ResultOutput(tmp_path / "a.mapose.h5", rate=15, cameras=scene.cameras.to_toml())
    report = run_live(
        sources,
        model,
        cameras=scene.cameras,
        individuals=2,
        outputs=[CallbackOutput(answers.append), result],
        record=tmp_path / "videos",
        options=LiveOptions(oldest=30, wait=10),
    )
    assert report.answered == len(answers) >= 1
    assert all(0 < a.age <= 30 for a in answers)
    numbers = [a.frames.number for a in answers]
    assert numbers == sorted(set(numbers))
    # One set more is what the network warmed up with.
    used = sum(len(a.frames.frames) for a in answers)
    let_go = report.lost.get("overtaken", 0) + report.lost.get("late", 0)
    assert 3 * FRAMES - 3 <= used + let_go + 3 * report.lost.get("sets too old", 0) <= 3 * FRAMES
    saved = load(tmp_path / "a.mapose.h5")
    np.testing.assert_allclose(saved.points, np.stack([a.points for a in answers]), rtol=1e-6)
    assert saved.unit == scene.cameras.unit and saved.rate == 15
    for name in videos:  # recordings have every frame, whatever was answered
        with Video(tmp_path / "videos" / f"{name}.mkv") as video:
            assert len(video) == FRAMES
        times = (tmp_path / "videos" / f"{name}.times.csv").read_text().splitlines()
        assert len(times) == FRAMES + 1 and times[-1].endswith(str(FRAMES - 1))
    assert "exposure to output" in str(report) and report.to_dict()["answered"] == len(answers)


def test_nothing_old_is_answered(recording):
    _, videos, model = recording
    answers = []
    report = run_live(
        {"top": Replay(videos["top"])},
        model,
        individuals=2,
        outputs=[CallbackOutput(answers.append)],
        options=LiveOptions(oldest=1e-4),
    )
    assert not answers and report.answered == 0 and report.lost["sets too old"] >= 1


class Broken:
    """A camera that fails at first, and then shows what another one does."""

    def __init__(self, path):
        self.rate, self.start, self.tries = 15.0, None, 0
        self._inner = Replay(path, rate=15)

    def __iter__(self):
        self.tries += 1
        if self.tries == 1:
            raise VideoError("unplugged")
        self._inner.start = self.start
        return iter(self._inner)

    def close(self):
        self._inner.close()


def test_a_camera_that_fails_is_tried_again_while_the_others_go_on(recording, caplog):
    scene, videos, model = recording
    first, second = list(videos)[:2]
    broken = Broken(videos[second])
    answers = []
    report = run_live(
        {first: Replay(videos[first], rate=10), second: broken},
        model,
        cameras=scene.cameras,
        individuals=2,
        outputs=[CallbackOutput(answers.append)],
        options=LiveOptions(oldest=30),
    )
    assert broken.tries == 2 and report.lost[f"failures of {second}"] == 1
    assert caplog.text.count("unplugged") == 1
    assert any(set(a.frames.frames) == {first} for a in answers)


def test_a_video_that_is_gone_is_not_waited_for(recording, tmp_path, caplog):
    _, videos, _ = recording
    place = shutil.copy(next(iter(videos.values())), tmp_path / "gone.mp4")
    source = Replay(place)
    place.unlink()
    grabber = Grabber({"a": source}, Gatherer(["a"], rate=15, wait=0.05))
    grabber.start()
    assert grabber.take(20) is None and grabber.is_over
    assert grabber.failures == {"a": 1} and "gone.mp4" in caplog.text


def test_what_does_not_fit_is_told_before_any_camera_starts(recording):
    scene, videos, model = recording
    names = list(videos)
    two = {name: Replay(videos[name]) for name in names[:2]}
    with pytest.raises(SettingsError, match="2 cameras together want a calibration"):
        run_live(two, model, individuals=2)
    with pytest.raises(
        SettingsError, match="no camera 'tpo' in the calibration: did you mean 'top'"
    ):
        run_live({"tpo": two[names[0]], names[1]: two[names[1]]}, model, cameras=scene.cameras)
    with pytest.raises(SettingsError, match="wanted one camera or more"):
        run_live({}, model)
    with pytest.raises(SettingsError, match=r"oldest: .*seconds: "):
        LiveOptions(oldest=0, seconds=-1)


def test_a_camera_that_was_moved_counts_where_it_stands_now(recording):
    scene, videos, model = recording
    first, second = list(videos)[:2]
    pushed = replace(scene.cameras[second], translation=scene.cameras[second].translation + 5)
    moved = add_station(scene.cameras, pushed, 1200)
    watcher = make_watcher(model, {first: 25.0, second: 25.0}, cameras=moved, individuals=2)
    here = watcher.follower.cameras
    assert here.names == (first, second)
    np.testing.assert_array_equal(here[second].translation, pushed.translation)
    np.testing.assert_array_equal(here[first].translation, scene.cameras[first].translation)


def test_a_replay_keeps_times_and_numbers_whatever_is_dropped(recording):
    _, videos, _ = recording
    source = Replay(videos["top"], rate=1000, drops=0.3, jitter=0.001, seed=1, repeat=2)
    frames = list(source)
    numbers = np.array([f.number for f in frames])
    assert 0.5 * 2 * FRAMES < len(frames) < 2 * FRAMES and (np.diff(numbers) > 0).all()
    np.testing.assert_allclose([f.time for f in frames], numbers / 1000)
    with Video(videos["top"]) as video:
        np.testing.assert_array_equal(frames[3].image, video.read(int(numbers[3]) % FRAMES))
    for bad, wanted in (
        ({"drops": 1}, "drops"),
        ({"jitter": -1}, "jitter"),
        ({"repeat": 0}, "repeat"),
    ):
        with pytest.raises(SettingsError, match=wanted):
            Replay(videos["top"], **bad)


def test_a_replay_that_is_closed_ends(recording):
    source = Replay(recording[1]["top"], rate=0.01)
    threading.Timer(0.2, source.close).start()
    assert len(list(source)) == 1  # the next one would be there after 100 s


def test_a_camera_of_opencv_is_opened_again_after_it_has_failed(recording):
    camera = OpenCVCamera(str(recording[1]["top"]))  # a file, which ends as a cable that is pulled
    for _ in range(2):
        frames = []
        with pytest.raises(VideoError, match="gives no picture any more"):
            for frame in camera:
                frames.append(frame)
        assert len(frames) == FRAMES and frames[0].image.shape == (240, 320, 3)
    with Video(recording[1]["top"]) as video:  # RGB, not OpenCV's BGR
        assert np.abs(frames[7].image.astype(int) - video.read(7)).mean() < 3
    camera.close()
    assert list(camera) == []


def test_no_recording_is_written_over(recording, tmp_path):
    _, videos, model = recording
    (tmp_path / "top.times.csv").write_text("of yesterday", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"top\.times\.csv is there already"):
        run_live({"top": Replay(videos["top"])}, model, individuals=2, record=tmp_path)
    words = ["live", "--model", "zoo:drawn-mice", "--animals", "2", "--rehearse"]
    cut_video(videos["top"], tmp_path / "top.mp4", cut=Cut(stop=4))
    words += ["--source", str(tmp_path / "top.mp4"), "-o", str(tmp_path / "a.mapose.h5")]
    assert CliRunner().invoke(app, words).exit_code == 0
    before = (tmp_path / "a.mapose.h5").read_bytes()
    again = CliRunner().invoke(app, words).exception  # the same command, another day
    assert isinstance(again, SettingsError) and "is there already" in str(again)
    assert (tmp_path / "a.mapose.h5").read_bytes() == before
    assert "leave --record out" in str(CliRunner().invoke(app, [*words, "--record", "x"]).exception)


RECORD = """
import os, sys
import numpy as np
from mapose.io import VideoWriter
writer = VideoWriter(sys.argv[1], 30).__enter__()
for image in np.random.default_rng(0).integers(0, 255, (120, 64, 96), np.uint8):
    writer.write(image)
os._exit(9)
"""


def leave_recording(path):
    """Leave what a run leaves that is killed while it records: four seconds."""
    subprocess.run([sys.executable, "-c", RECORD, str(path)], check=False)
    rows = "".join(f"{n},{n / 30},{n}\n" for n in range(120))
    find_times(path).write_text(f"frame,time,number\n{rows}", encoding="utf-8")


def test_what_a_killed_run_has_recorded_is_kept_beside_the_next_one(tmp_path, caplog):
    path = tmp_path / "top.mkv"
    for _ in range(2):
        leave_recording(path)
        keep_cut_recording(path)
    names = ["top.cut.mkv", "top.cut.times.csv", "top.cut2.mkv", "top.cut2.times.csv"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert caplog.text.count("cut off has recorded is kept") == 2
    with Video(tmp_path / "top.cut.mkv") as video:
        assert len(video) >= 30
    # One that ended before its first picture leaves nothing, and nothing of a person goes.
    path.with_name("side.times.csv").write_text("mine", encoding="utf-8")
    lock = path.with_name("side.times.csv.lock")
    lock.touch()
    keep_cut_recording(path.with_name("side.mkv"))
    assert not lock.exists()
    assert path.with_name("side.times.csv").read_text(encoding="utf-8") == "mine"


def test_a_disk_that_is_full_when_a_recording_is_finished_does_not_hang(tmp_path, monkeypatch):
    def finish(self, packet):
        raise VideoError("the disk is full")

    monkeypatch.setattr(VideoWriter, "_encode", finish)
    monkeypatch.setattr(VideoWriter, "write", lambda self, image: setattr(self, "_stream", 1))
    recorder = Recorder(tmp_path / "top.mkv", 30)
    for number in range(3):
        recorder.put(Frame(np.zeros((48, 64), np.uint8), number / 30, number, number / 30))
    ending = threading.Thread(target=recorder.close, daemon=True)
    ending.start()
    ending.join(5)
    assert not ending.is_alive() and recorder.lost == 3 and recorder.written == 0


def test_videos_of_different_lengths_are_told(recording, tmp_path, caplog):
    scene, videos, model = recording
    first, second = list(videos)[:2]
    cut_video(videos[second], tmp_path / "short.mp4", cut=Cut(stop=5))
    sources = {first: videos[first], second: tmp_path / "short.mp4"}
    assert rehearse(sources, model, cameras=scene.cameras, individuals=2) == 5
    assert f"{first} {FRAMES}, {second} 5" in caplog.text


def test_sources_are_told_by_their_names(tmp_path):
    with pytest.raises(SettingsError, match="there is no such file"):
        open_source(str(tmp_path / "nothing.mp4"))
    with pytest.raises(VideoError, match="camera 93: cannot be opened"):
        open_source("93")


def test_parts_of_a_run_that_crashed_are_joined(in_picture, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_PART", 0.2)
    kept = tmp_path / "a.mapose.h5"
    crashed = ResultOutput(kept, rate=30)
    for answer in in_picture:
        crashed.send(answer)
        assert not any(one.frames.frames or one.views for one in crashed._answers)
    assert not kept.exists()
    with pytest.raises(FormatError, match="mapose live --join"):
        ResultOutput(kept, rate=30)
    shutil.copytree(crashed.folder, tmp_path / "copy")
    join_parts(kept)
    shutil.copytree(tmp_path / "copy", crashed.folder)  # killed before they were removed
    assert join_parts(kept) == kept
    crashed.folder.mkdir()  # killed when all of them were removed but their folder
    assert join_parts(kept) == kept and not crashed.folder.exists()
    other = tmp_path / "other.mapose.h5"  # a disk has lost one part of it
    shutil.copytree(tmp_path / "copy", parts.find_parts(other))
    lost = parts.find_parts(other) / f"000001{RESULT}"
    lost.write_bytes(lost.read_bytes()[:2000])
    assert len(load(join_parts(other))) == len(load(kept)) - 6
    assert lost.exists()  # for whoever can mend it
    assert len(load(kept)) == FRAMES // 6 * 6 and not parts.find_parts(kept).exists()
    points = np.stack([answer.points for answer in in_picture[: len(load(kept))]])
    np.testing.assert_array_equal(load(kept).points, points.astype(np.float32))
    with pytest.raises(FormatError, match="found none"):
        join_parts(tmp_path / "b.mapose.h5")


def test_a_rehearsal_that_was_cut_off_begins_again(in_picture, tmp_path, monkeypatch):
    """A live run cannot be had again, so its parts stay; of a rehearsal they are replaced."""
    monkeypatch.setattr(parts, "_PART", 0.2)
    kept, made = tmp_path / "a.mapose.h5", {"made": "mapose live; rehearse"}
    parts.find_parts(kept).mkdir()  # of a run that was killed before its first part
    for _ in range(2):
        output = ResultOutput(kept, rate=30, provenance=made, repeatable=True)
        for answer in in_picture[:14]:
            output.send(answer)
    for other, repeatable in (({"made": "mapose live of another"}, True), (made, False)):
        with pytest.raises(FormatError, match="mapose live --join"):
            ResultOutput(kept, rate=30, provenance=other, repeatable=repeatable)
    output.close()
    assert len(load(kept)) == 14 and not parts.find_parts(kept).exists()


def test_parts_that_cannot_be_written_wait_for_a_disk_with_room(in_picture, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_PART", 0.2)
    plain, full = parts.save, [True]

    def save(*args, **kwargs):
        if full[0]:
            raise OSError(28, "No space left on device")
        plain(*args, **kwargs)

    monkeypatch.setattr(parts, "save", save)
    result = ResultOutput(tmp_path / "a.mapose.h5", rate=30)
    refused = 0
    for count, answer in enumerate(in_picture):
        full[0] = count < 20
        try:
            result.send(answer)
        except OSError:
            refused += 1
    result.close()
    assert refused == 15 and len(load(tmp_path / "a.mapose.h5")) == FRAMES
