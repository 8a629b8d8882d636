"""Damaged, trimmed, joined and oddly named videos: the same frames from wherever reading starts."""

import random
import time
from contextlib import suppress
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from calibration import open_recording
from mapose.errors import VideoError
from mapose.io import container
from mapose.io.container import open_container
from mapose.io.images import read_image
from mapose.io.sources import list_videos
from mapose.io.video import _LATE, HELD, Video, VideoWriter, _Converter, prefetch
from mapose.project.overview import describe

COUNT, WIDTH, HEIGHT = 80, 160, 96


def draw(n):
    """Draw a wall with a moving square, and five bars that tell the number."""
    wall = np.random.default_rng(0).integers(60, 190, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 2)
    x = (2 * n) % (WIDTH - 24)
    wall[50:74, x : x + 24] = (230, 40, 90)
    return wall


def encode(path, codec, options, numbers=range(COUNT), times=None, tick=None):
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate = 2_000_000
        if tick:
            stream.codec_context.time_base = tick
        for at, n in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(draw(n), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[at], tick
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def find_packets(path):
    with av.open(str(path)) as file:
        return [(p.pos, p.size, p.is_keyframe) for p in file.demux(video=0) if p.size]


def spoil(path, at, *, key=False):
    """Overwrite the middle of the packet of a frame, or of the first keyframe from it on."""
    packets = find_packets(path)
    at = next(i for i, p in enumerate(packets) if i >= at and p[2]) if key else at
    pos, size, _ = packets[at]
    data = bytearray(path.read_bytes())
    middle = slice(pos + size // 3, pos + 2 * size // 3)
    length = middle.stop - middle.start
    data[middle] = np.random.default_rng(at).bytes(length).replace(b"\0", b"\1")
    path.write_bytes(data)
    return at


def decode_plainly(path):
    found = []
    with av.open(str(path)) as file:
        # Several threads make other pictures of damage in these from run to run.
        if file.streams.video[0].codec.canonical_name in ("hevc", "mpeg2video"):
            file.streams.video[0].codec_context.thread_type = "NONE"
        for packet in file.demux(video=0):
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    found.append(frame.to_ndarray(format="rgb24"))
    return found


def same(a, b):
    return (a is None) == (b is None) and (a is None or np.array_equal(a, b))


DAMAGED = {
    "key": ("a.mp4", "libx264", {"g": "20", "bf": "2"}, True),
    "between": ("a.mkv", "libx264", {"g": "20", "bf": "2"}, False),
    "open": ("a.mp4", "libx264", {"x264-params": "open-gop=1:keyint=20:scenecut=0"}, True),
    "refresh": ("a.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20"}, False),
    "mpeg4": ("a.mp4", "mpeg4", {"g": "20"}, True),
    "mpeg2": ("a.ts", "mpeg2video", {"g": "20", "bf": "2"}, True),
    "jpeg": ("a.avi", "mjpeg", {}, False),
    "vp8": ("a.webm", "libvpx", {"g": "20"}, True),
    "ffv1": ("a.mkv", "ffv1", {"g": "20"}, True),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_frames_are_those_of_a_plain_decode_from_every_start(tmp_path, kind):
    name, codec, options, key = DAMAGED[kind]
    path = encode(tmp_path / name, codec, options)
    whole = decode_plainly(path)
    at = spoil(path, 35, key=key)
    truth, images = decode_plainly(path), list(Video(path))
    assert any(not same(a, b) for a, b in zip(whole, truth, strict=False))
    shown = [image for image in images if image is not None]
    assert len(shown) == len(truth) and all(map(same, shown, truth))
    with Video(path) as video:
        for start in [0, 19, 20, *range(at - 3, at + 5), 59, 60, 61, COUNT - 1]:
            run = dict(video.iterate(start))
            assert list(run) == list(range(start, len(images)))
            assert all(same(image, images[n]) for n, image in run.items()), start
            if images[start] is not None:
                np.testing.assert_array_equal(video[start], images[start])


def test_bits_that_flip_in_a_keyframe_of_hevc_show_alike_from_every_start(tmp_path):
    params = "keyint=20:min-keyint=20:ctu=16:log-level=none"  # the decoder tells nothing of it
    path = encode(tmp_path / "a.mkv", "libx265", {"x265-params": params}, numbers=range(50))
    pos, size = [packet[:2] for packet in find_packets(path) if packet[2]][1]
    data, whole = path.read_bytes(), decode_plainly(path)
    for seed in (13, 14, 28, 39, 41):  # of 60 places, those where what was before shows
        rng, spoilt = random.Random(seed), bytearray(data)
        first, last = (10, size // 8) if seed % 2 else (size // 4, size)
        spoilt[pos + rng.randrange(first, last)] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        truth, images = decode_plainly(path), list(Video(path))
        assert len(images) == len(truth) == 50 and all(map(same, images, truth))
        assert not all(map(same, images, whole))
        for start in (20, 25, 39):
            assert same(Video(path)[start], images[start])
            assert all(same(image, images[n]) for n, image in Video(path).iterate(start))


def test_no_frame_is_held_back_while_the_decoder_goes_on(tmp_path, monkeypatch):
    # A decoder that lacks a frame's memory takes other, and shows what was in there.
    video = Video(encode(tmp_path / "a.webm", "libvpx", {"g": "40"}))
    given, converted = [], []

    def decode(key):
        for n, frame in Video._decode_from(video, key):
            if n != 20:
                yield n, frame
                given.append(n)
                assert len(converted) == len(given)

    def convert(converter, frame):
        converted.append(frame.pts)
        return as_before(converter, frame)

    as_before = _Converter.__call__
    monkeypatch.setattr(_Converter, "__call__", convert)
    monkeypatch.setattr(video, "_decode_from", decode)
    images = list(video)
    assert images[20] is None and len(converted) == COUNT - 1


def test_ffv1_is_entered_at_keyframes_if_their_sums_are_right_or_left_out(tmp_path):
    for sums in "01":
        options = {"g": "20", "level": "3", "slicecrc": sums}
        path = encode(tmp_path / f"{sums}.mkv", "ffv1", options)
        assert [Video(path)._find_entry(n) for n in (19, 20, 45)] == [0, 20, 40]
    spoil(path, 35, key=True)
    assert [Video(path)._find_entry(n) for n in (20, 45, 60)] == [20, 20, 60]


def test_a_codec_that_nobody_knows_is_told(tmp_path):
    path = encode(tmp_path / "a.mkv", "libx264", {})
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG4/ISO/XYZ"))
    with pytest.raises(VideoError, match="coded in a way"):
        Video(path)


@pytest.mark.parametrize("ending", [".ts", ".m2ts", ".flv", ".3gp", ".asf", ".mxf", ".vob"])
def test_videos_of_rare_endings_are_found_in_folders(tmp_path, ending):
    codec = {".flv": "flv1", ".3gp": "mpeg4", ".asf": "wmv2"}.get(ending, "mpeg2video")
    path = encode(tmp_path / f"a{ending}", codec, {}, numbers=range(5))
    assert len(list(Video(path))) == 5
    assert list_videos(tmp_path) == [path] and describe(path).kind == "video"
    assert len(list(open_recording("a", path).read_frames())) == 5


def test_a_sound_video_is_entered_at_keyframes(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", "libx264", {"g": "20", "bf": "2"})
    video = Video(path)
    asked = []
    monkeypatch.setattr(
        video, "_decode_from", lambda key: asked.append(key) or Video._decode_from(video, key)
    )
    monkeypatch.setattr(
        video, "_jump", lambda key, n: asked.append(n) or Video._jump(video, key, n)
    )
    for n in (70, 30, 19, 20):
        video.read(n)
    assert asked == [70, 30, 0]  # 20 is read on from 19


@pytest.mark.parametrize("options", [{"bf": "3"}, {"x264-params": "b-pyramid=none:bframes=2"}, {}])
def test_a_jump_decodes_few_frames_and_opens_the_file_once(tmp_path, monkeypatch, options):
    path = encode(tmp_path / "a.mp4", "libx264", {"g": "40", **options})
    truth = list(Video(path))
    opened = []
    monkeypatch.setattr(
        "mapose.io.video.open_container", lambda p: opened.append(p) or open_container(p)
    )
    with Video(path) as video:
        order = np.random.default_rng(0).permutation(COUNT)
        for n in order.tolist():
            np.testing.assert_array_equal(video.read(n), truth[n])
            for on in range(n + 1, min(n + 4, COUNT)):  # and reading on from there
                np.testing.assert_array_equal(video.read(on), truth[on])
        early = sum(int(n) < 40 for n in order)
        assert len(opened) <= early + 6
    assert video._kept == {}


class Late(Video):
    """A video whose decoder gives frame 30 too late, by so many frames."""

    by = 0

    def _decode_from(self, key):
        kept = None
        for n, frame in super()._decode_from(key):
            if n == 30:
                kept = n, frame
                continue
            yield n, frame
            if kept and n == 30 + self.by:
                yield kept


@pytest.mark.parametrize(("by", "gaps"), [(3, ()), (_LATE - 1, ()), (_LATE + 1, (30,))])
def test_a_frame_that_comes_out_of_turn_is_given_in_its_place(tmp_path, by, gaps):
    video = Late(encode(tmp_path / "a.mp4", "libx264", {"g": "20"}))
    video.by = by
    truth = list(Video(video.path))
    for start in (0, 25, 30, 33):
        run = dict(video.iterate(start))
        assert list(run) == list(range(start, COUNT))
        for n, image in run.items():
            assert same(image, None if n in gaps else truth[n]), (start, n)
    assert video.gaps == gaps


def test_hidden_lead_in_of_a_trimmed_mp4(tmp_path):
    """Copied from frame 7 on without encoding anew: an edit list hides what leads up to it."""
    source, path = encode(tmp_path / "a.mp4", "libx264", {"g": "20", "bf": "0"}), tmp_path / "b.mp4"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.dts = packet.pts = packet.pts - 7 * 512
                packet.stream = stream
                new.mux(packet)
    truth = decode_plainly(path)
    images = list(Video(path))
    assert len(images) == len(truth) == COUNT - 7
    assert all(map(same, images, truth)) and Video(path).gaps == ()
    np.testing.assert_array_equal(Video(path)[3], truth[3])


def test_joined_transport_streams_lose_no_frame_at_the_seam(tmp_path):
    parts = [
        encode(tmp_path / f"{i}.ts", "libx264", {"g": "20"}, range(20 * i, 20 * i + 20))
        for i in range(2)
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    truth = [image for part in parts for image in decode_plainly(part)]
    images = list(Video(path))
    assert len(images) == 40 and all(map(same, images, truth))


def test_rate_of_a_recording_that_states_its_tick(tmp_path):
    gaps = np.random.default_rng(0).choice([33, 34, 33, 66], COUNT)
    times = [int(t) for t in np.cumsum(gaps)]
    path = encode(tmp_path / "a.webm", "libvpx", {}, times=times, tick=Fraction(1, 1000))
    data = path.read_bytes()
    at = data.find(b"\x23\xe3\x83")  # DefaultDuration, which browsers do not write
    size = 4 + (data[at + 3] & 0x7F)
    void = b"\xec" + bytes([0x80 | (size - 2)]) + bytes(size - 2)
    path.write_bytes(data[:at] + void + data[at + size :])
    assert Video(path).rate == pytest.approx(79 / (times[-1] - times[0]) * 1000, rel=1e-3)


@pytest.mark.parametrize(
    ("suffix", "rate"), [(".avi", 25), (".mp4", 29.97), (".mkv", 120), (".avi", 1000)]
)
def test_stated_rates_stay(tmp_path, suffix, rate):
    with VideoWriter(tmp_path / f"a{suffix}", rate) as writer:
        for n in range(10):
            writer.write(draw(n))
    assert Video(tmp_path / f"a{suffix}").rate == pytest.approx(rate, rel=1e-4)


def test_names_that_look_like_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("10:30.mp4", "http:a.mp4", "-y.mp4", "%03d.avi", "Mäuse 鼠#?.mkv"):
        with VideoWriter(name, 25) as writer:
            writer.write(draw(0))
        assert len(list(Video(name))) == 1, name


def test_a_video_without_a_frame_is_refused_in_one_sentence(tmp_path):
    source = encode(tmp_path / "a.mkv", "libx264", {})
    path = tmp_path / "b.mkv"
    path.write_bytes(source.read_bytes()[: find_packets(source)[0][0]])
    with pytest.raises(VideoError, match=r"b\.mkv (holds no frame|is not a video)"):
        Video(path)


def test_sizes_that_a_file_cannot_hold_are_refused(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", "libx264", {})
    monkeypatch.setattr(container, "PIXELS", WIDTH * HEIGHT - 1)
    with pytest.raises(VideoError, match=f"{WIDTH} x {HEIGHT}; up to"):
        Video(path)


def test_prefetch_holds_few_huge_images():
    made = []

    def make():
        for _ in range(6):
            made.append(1)
            yield [np.empty(HELD // 2 + 1, np.uint8)]

    run = prefetch(make(), depth=4)
    next(run)
    time.sleep(0.2)
    assert len(made) <= 3  # one given, one held, one made
    assert len(list(run)) == 5


@pytest.mark.parametrize("bits", [12, 16])
def test_deep_pictures_show_the_bits_in_use_alike_in_images_and_videos(tmp_path, bits):
    deep = cv2.cvtColor(draw(3), cv2.COLOR_RGB2GRAY).astype(np.uint16) << (bits - 8)
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "gray16le"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(deep, format="gray16le")))
        file.mux(stream.encode(None))
    wanted = deep >> (bits - 8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 1], wanted)
    np.testing.assert_array_equal(Video(tmp_path / "a.mkv", gray=True)[0], wanted)
    np.testing.assert_allclose(Video(tmp_path / "a.mkv")[0][..., 1], wanted, atol=1)


def test_reading_on_where_there_is_no_entry_does_not_begin_anew(tmp_path, monkeypatch):
    video = Video(
        encode(tmp_path / "a.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20"})
    )
    asked = []
    monkeypatch.setattr(
        video, "_decode_from", lambda key: asked.append(key) or Video._decode_from(video, key)
    )
    for n in (30, 45, 70):
        video.read(n)
    assert asked == [0]
