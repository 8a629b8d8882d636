"""Videos cut: which frames, which pixels, and that the recording stays."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mapose.cli import app
from mapose.errors import SettingsError, VideoError
from mapose.io import Cut, Video, VideoWriter, cut_video


@pytest.fixture
def video(tmp_path):
    """100 frames of a dot of 9 x 9 px that wanders to the right, at 20 frames/s."""
    with VideoWriter(tmp_path / "walk.mp4", 20, quality=100) as writer:
        for n in range(100):
            image = np.zeros((120, 200), np.uint8)
            image[56:65, 36 + n : 45 + n] = 255
            writer.write(image)
    return tmp_path / "walk.mp4"


def find_dot(image):
    """x and y of the dot's middle."""
    light = np.where(image > 60, image, 0).astype(float)
    return [np.average(np.arange(light.shape[1 - a]), weights=light.sum(a)) for a in (0, 1)]


def test_frames_and_pixels_are_those_asked_for(video, tmp_path):
    before = video.read_bytes()
    cut = Cut(start=10, stop=60, every=5, crop=(20, 10, 120, 100), scale=0.5)
    place = cut_video(video, tmp_path / "part.mp4", cut=cut, quality=100)
    with Video(place, gray=True) as part:
        assert (len(part), part.size, part.rate) == (10, (60, 50), pytest.approx(4))
        for n in range(10):
            x, y = find_dot(part[n])
            assert x == pytest.approx(0.5 * (40 + 10 + 5 * n - 20 + 0.5) - 0.5, abs=0.15)
            assert y == pytest.approx(0.5 * (60 - 10 + 0.5) - 0.5, abs=0.15)
    assert video.read_bytes() == before


def test_what_makes_no_sense_is_refused(video):
    with pytest.raises(SettingsError, match=r"stop after the start.*every: .*scale: "):
        Cut(start=9, stop=9, every=0, scale=2)
    with pytest.raises(SettingsError, match="200 x 120 px"):
        cut_video(video, cut=Cut(crop=(150, 0, 100, 100)))
    with pytest.raises(VideoError, match="100 frames, none from 500"):
        cut_video(video, cut=Cut(start=500))
    with pytest.raises(SettingsError, match="is read"):
        cut_video(video, video, cut=Cut(), force=True)
    assert len(Video(video)) == 100


def test_the_command_takes_times_and_folders(video, tmp_path):
    (tmp_path / "cam1" / "day2").mkdir(parents=True)
    for place in ("cam1/a.mp4", "cam1/day2/b.mp4", "cam1/day2/.hidden.mp4"):
        (tmp_path / place).write_bytes(video.read_bytes())
    run = CliRunner()
    done = run.invoke(app, ["video", str(video), "--start", "1s", "--stop", "0:03"])
    assert done.exit_code == 0 and len(Video(tmp_path / "walk.cut.mp4")) == 40
    words = ["video", str(tmp_path / "cam1"), "--stop", "5"]
    assert run.invoke(app, words).exit_code == 0
    assert not (tmp_path / "cam1" / "day2" / "b.cut.mp4").exists()
    done = run.invoke(app, [*words, "--recursive", "--filter", "B*.mp4"])
    assert done.exit_code == 0 and (tmp_path / "cam1" / "day2" / "b.cut.mp4").exists()
    fault = run.invoke(app, [*words, "--filter", "*cam9*"]).exception
    assert "like *cam9*" in str(fault) and "--recursive" in str(fault)
    for option, text in {"--start": "soon", "--crop": "1,2,3"}.items():
        assert option in str(run.invoke(app, ["video", str(video), option, text]).exception)
