"""Analysis of videos that are not as they should be: damaged, of changing size, huge."""

from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from mapose.analysis import pipeline, prediction
from mapose.analysis.pipeline import analyze, analyze_file
from mapose.analysis.prediction import Predictor, predict, read_batches
from mapose.errors import SettingsError
from mapose.io import Video, load
from tests.analysis.test_pipeline import make_model

COUNT = 80


def draw(n, size):
    image = np.random.default_rng(n).integers(0, 60, size[::-1], dtype=np.uint8)
    return cv2.circle(image, (20 + n % 50, 30), 6, 255, -1)


def write_jpegs(path, sizes):
    """Write images of any size into one AVI, as a camera that is set up anew does."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=25)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p"
        file.start_encoding()
        for n, size in enumerate(sizes):
            packet = av.Packet(cv2.imencode(".jpg", draw(n, size))[1].tobytes())
            packet.stream, packet.time_base, packet.is_keyframe = stream, stream.time_base, True
            packet.pts = packet.dts = n
            file.mux(packet)
    return path


def write_damaged(path):
    """Write a video whose keyframes 32 and 64 are damaged, so that older pictures fill them."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25, options={"g": "16", "sc_threshold": "1000000"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 96, 64, "yuv420p", 10**6
        for n in range(COUNT):
            frame = av.VideoFrame.from_ndarray(draw(n, (96, 64)), format="gray")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for n in (32, 64):
        assert packets[n].is_keyframe
        for at in range(packets[n].size // 3, packets[n].size // 2):
            data[packets[n].pos + at] ^= 0x55
    path.write_bytes(data)
    return path


class Interrupted(Exception):
    pass


def interrupt(progress):
    if progress.done > progress.resumed:
        raise Interrupted


def test_an_analysis_resumed_at_damage_is_that_of_one_run(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "CHUNK", 16)
    video, model = write_damaged(tmp_path / "a.avi"), make_model(1)
    whole = analyze(video, model, output=tmp_path / "whole.mapose.h5")
    parts = tmp_path / "parts.mapose.h5"
    for _ in range(COUNT // 16):
        with pytest.raises(Interrupted):
            analyze_file(video, model, output=parts, on_progress=interrupt)
    analyze_file(video, model, output=parts)
    assert (whole.confidence > 0).any(axis=(1, 2)).mean() > 0.9
    np.testing.assert_array_equal(load(parts).array, whole.array)


def test_poses_are_in_the_pixels_of_their_frame_when_the_size_changes(tmp_path, caplog):
    sizes = [(96, 64)] * 21 + [(192, 128)] * 15
    video = write_jpegs(tmp_path / "a.avi", sizes)
    whole = predict(video, make_model(2))
    assert "from frame 21 on, the images have another size" in caplog.text
    assert whole.n_frames == 36
    for n in (20, 21, 30):
        alone = predict(video, make_model(2), frames=slice(n, n + 1))
        of_frame = whole.frame == n
        np.testing.assert_allclose(whole.xy[of_frame], alone.xy, atol=1e-3)
    assert whole.xy[whole.frame > 20].max() > 96
    with pytest.raises(SettingsError, match="came steps of 3"):
        predict(video, make_model(2), frames=slice(0, 30, 3))
    poses = analyze(video, make_model(2), output=tmp_path / "a.mapose.h5")
    assert len(poses) == 36


@pytest.mark.parametrize("pixels", [1, 3 * 96 * 64, 2**26])
def test_batches_are_bounded_by_pixels_and_aligned(tmp_path, monkeypatch, pixels):
    video = write_jpegs(tmp_path / "a.avi", [(96, 64)] * 20)
    unbounded = predict(video, make_model(2))
    monkeypatch.setattr(prediction, "PIXELS", pixels)
    with Video(video, gray=True) as source:
        sizes = [len(b) for b in read_batches(source, Predictor(make_model(2)), slice(0, 20), 8)]
    most = max(1, min(8, pixels // (96 * 64)))
    assert sum(sizes) == 20 and max(sizes) == most
    starts = {0, *(int(b) for _, b in pairwise(np.cumsum([0, *sizes])))}
    assert starts >= {0, 8, 16}
    np.testing.assert_allclose(predict(video, make_model(2)).xy, unbounded.xy, atol=1e-3)
