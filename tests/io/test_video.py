"""Video: every frame under its own number, whatever happened to the file."""

import logging
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from mapose.errors import VideoError
from mapose.io.video import Video, VideoWriter, prefetch

# Suffix, codec, options: with and without B-frames, with and without times in the container,
# open groups of pictures, no true keyframes at all, hidden reference pictures.
KINDS = {
    "mp4": (".mp4", "libx264", {"bf": "3", "g": "20"}),
    "open": (".mp4", "libx264", {"x264-params": "open-gop=1:keyint=20:scenecut=0"}),
    "refresh": (".mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=20"}),
    "mkv": (".mkv", "libx264", {"bf": "2", "g": "20"}),
    "avi": (".avi", "mpeg4", {"bf": "0", "g": "20"}),
    "avi_b": (".avi", "mpeg4", {"bf": "2", "g": "20"}),
    "mjpeg": (".avi", "mjpeg", {}),
    "ts": (".ts", "libx264", {"g": "20"}),
    "raw": (".h264", "libx264", {"g": "20"}),
    "vp8": (".webm", "libvpx", {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "vp9": (".webm", "libvpx-vp9", {"g": "20", "lag-in-frames": "16", "cpu-used": "8"}),
    "fragments": (".mp4", "libx264", {"bf": "2", "g": "20"}),
}
COUNT, WIDTH, HEIGHT = 90, 128, 64


def draw_number(n, gray=False):
    """Draw a frame number as eight dark or bright bars."""
    bits = (n >> np.arange(8)) & 1
    image = np.repeat(40 + 170 * bits, WIDTH // 8).astype(np.uint8)[None].repeat(HEIGHT, 0)
    return image if gray else np.stack([image] * 3, -1)


def read_number(image):
    luma = image if image.ndim == 2 else image[..., 1]
    bars = luma.reshape(HEIGHT, 8, WIDTH // 8)[:, :, 4:-4].mean((0, 2))
    return int(((bars > 125) << np.arange(8)).sum())


def make_clip(folder: Path, kind: str, *, front=False) -> Path:
    suffix, codec, options = KINDS[kind]
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    path = folder / f"{kind}{'_front' if front else ''}{suffix}"
    flags = {"movflags": "+frag_keyframe+empty_moov"} if kind == "fragments" else {}
    flags |= {"movflags": "+faststart"} if front else {}
    with av.open(str(path), "w", options=flags) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for n in range(COUNT):
            frame = av.VideoFrame.from_ndarray(draw_number(n), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("clips"), {}

    def make(kind, **options):
        key = (kind, *options.items())
        if key not in made:
            made[key] = make_clip(folder, kind, **options)
        return made[key]

    return make


def cut(path, folder, share):
    data = path.read_bytes()
    short = folder / path.name
    short.write_bytes(data[: int(share * len(data))])
    return short


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_has_its_number(clips, kind, gray, rng):
    with Video(clips(kind), gray=gray) as video:
        images = list(video)
        assert [read_number(i) for i in images] == list(range(COUNT))
        assert len(video) == video.n_frames == COUNT
        assert video.gaps == ()
        assert video.size == (WIDTH, HEIGHT)
        assert images[0].shape == ((HEIGHT, WIDTH) if gray else (HEIGHT, WIDTH, 3))
        assert images[0].dtype == np.uint8
        assert video.rate == pytest.approx(25)
        for n in [*rng.integers(0, COUNT, 12), 19, 20, 21, 0, COUNT - 1, -1, -COUNT]:
            np.testing.assert_array_equal(video[int(n)], images[n], err_msg=f"frame {n}")
        for start, stop in [(0, 3), (19, 23), (33, None), (COUNT, None), (40, 40), (88, 999)]:
            run = list(video.iterate(start, stop))
            assert [n for n, _ in run] == list(range(COUNT))[start:stop]
            for n, image in run:
                np.testing.assert_array_equal(image, images[n], err_msg=f"frame {n}")


def test_gray_is_luminance(clips):
    colour, gray = Video(clips("mp4"))[5], Video(clips("mp4"), gray=True)[5]
    wanted = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(wanted - gray).max() < 3


def test_two_readers_side_by_side(clips):
    video = Video(clips("mp4"))
    for (a, left), (b, right) in zip(video.iterate(0, 60), video.iterate(30, 90), strict=True):
        assert (read_number(left), read_number(right)) == (a, b)
        assert read_number(video[a]) == a


def test_frames_out_of_range(clips):
    video = Video(clips("mp4"))
    for index in (COUNT, -COUNT - 1, 10**9):
        with pytest.raises(VideoError, match=f"no frame {index}, it has 0 to {COUNT - 1}"):
            video.read(index)
    with pytest.raises(VideoError, match="no frame 91"):
        next(video.iterate(COUNT + 1))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "avi_b", "ts", "mjpeg", "fragments"])
def test_cut_off(clips, kind, tmp_path, caplog):
    path = cut(clips(kind, front=True) if kind == "mp4" else clips(kind), tmp_path, 0.75)
    video = Video(path)
    with caplog.at_level(logging.WARNING):
        images = list(video)
    assert len(images) == len(video)
    read = [n for n, image in enumerate(images) if image is not None]
    assert len(read) > 20
    # The very last frame may be cut in the middle, the others are whole and in their place.
    assert all(read_number(images[n]) == n for n in read[:-1])
    assert read == list(range(len(read)))
    assert video.gaps == tuple(range(len(read), len(video)))
    assert len(caplog.records) == bool(video.gaps)
    if kind == "mp4":  # its list of frames is at the front and whole
        assert len(video) == COUNT
        assert "cannot be decoded" in caplog.text
        with pytest.raises(VideoError, match="frame 89 is damaged"):
            video.read(89)
        assert read_number(video.read(10)) == 10
        assert [image for _, image in video.iterate(85)] == [None] * 5


def test_hole_in_the_middle(clips, tmp_path):
    path = tmp_path / "hole.avi"
    data = bytearray(clips("mjpeg").read_bytes())
    marks = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]  # JPEG starts
    for n in (30, 31, 50):
        data[marks[n] : marks[n + 1] - 8] = bytes(marks[n + 1] - 8 - marks[n])
    path.write_bytes(data)
    video = Video(path)
    numbers = [None if i is None else read_number(i) for i in video]
    assert numbers == [None if n in (30, 31, 50) else n for n in range(COUNT)]
    assert video.gaps == (30, 31, 50)
    with pytest.raises(VideoError, match="frame 31 is damaged"):
        video.read(31)
    assert read_number(video.read(32)) == 32


def test_hole_within_a_group_of_pictures(clips, tmp_path):
    source = clips("mp4")
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        keys = [p.pos for p in packets if p.is_keyframe]
        spoilt = [p for p in packets if keys[1] < p.pos < keys[2]]
    data = bytearray(source.read_bytes())
    for packet in spoilt:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path = tmp_path / "hole.mp4"
    path.write_bytes(data)
    video = Video(path)
    images = list(video)
    assert len(images) == COUNT
    whole = [*range(21), *range(40, COUNT)]  # the keyframes are frames 0, 20, 40, ...
    assert [read_number(images[n]) for n in whole if images[n] is not None] == [
        n for n in whole if images[n] is not None
    ]
    assert set(video.gaps) <= set(range(17, 40)) and len(video.gaps) > 10
    for n in (0, 16, 40, 41, 60, 89):
        np.testing.assert_array_equal(video[n], images[n])


def test_not_a_video(tmp_path, clips):
    (tmp_path / "clip.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "notes.txt").write_text("mouse 1 was tired\n" * 50, encoding="utf-8")
    data = clips("mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(data[: len(data) // 2])
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with av.open(str(tmp_path / "photo.png"), "w") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(draw_number(3), format="rgb24")))
    for name, words in {
        "clipp.mp4": "did you mean 'clip.mp4'",
        "none/clip.mp4": "there is no folder",
        ".": "is a folder",
        "clip.mp4": "is empty",
        "noise.mp4": "not a video",
        "notes.txt": "not a video",
        "photo.png": "not a video",
        "sound.wav": "no video stream",
        "headless.mp4": "before its index was written.*copy it again",
    }.items():
        with pytest.raises(VideoError, match=words):
            Video(tmp_path / name)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_phone_held_sideways(tmp_path, clips, degrees):
    path = tmp_path / "phone.mp4"
    with av.open(str(clips("mp4"))) as source, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(degrees)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    plain, turned = Video(clips("mp4")), Video(path)
    upright = np.rot90(plain[7], round(degrees / 90))
    assert turned.size == upright.shape[1::-1]
    np.testing.assert_array_equal(turned[7], upright)
    assert turned[7].flags.c_contiguous


REAL = {
    "openfield_mouse/videos/m3v1mp4.mp4": 2330,  # 4:4:4 of an old x264: see _find_packets
    "mirror_mouse/videos/test_vid.mp4": 994,
    "people_4cam/one_person/videos/cam02.mp4": 100,  # VP9 in MP4
    "people_4cam/one_person/videos/cam04.mp4": 100,
    "flies_pair_noisy/centered_pair_small.mp4": 1100,
    "charuco_4cam/cam_0.mp4": 111,
    "formats/small_robot_3_frame.mp4": 3,
    "mouse_4cam/top/calibration/minimal_session-top-calibration.MOV": 21,
}


@pytest.mark.parametrize("name", REAL)
def test_real_recordings(recordings, name, rng):
    video = Video(recordings / name, gray=True)
    assert len(video) == REAL[name]
    last = min(len(video), 700 if video.size[0] < 1000 else 40)
    asked = {int(n) for n in rng.integers(0, last, 4)} | {0, last - 1}
    wanted = {n: image for n, image in video.iterate(0, last) if n in asked}
    for n in rng.permutation(sorted(asked)):
        np.testing.assert_array_equal(video[int(n)], wanted[n], err_msg=f"frame {n}")
    assert video.gaps == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
@pytest.mark.parametrize("gray", [False, True])
def test_written_is_read(tmp_path, suffix, gray):
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 29.97) as writer:
        for n in range(30):
            writer.write(draw_number(n, gray))
        assert not path.exists()
    video = Video(path)
    assert [read_number(i) for i in video] == list(range(30))
    assert video.rate == pytest.approx(29.97, rel=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_quality_and_colour(tmp_path):
    y, x = np.mgrid[:96, :128]
    image = np.stack([2 * x, 2 * y, 255 - x - y], -1).clip(0, 255).astype(np.uint8)
    sizes, errors = [], []
    for quality in (10, 75, 100):
        path = tmp_path / f"{quality}.mp4"
        with VideoWriter(path, 25, quality=quality) as writer:
            for n in range(10):
                writer.write(np.roll(image, 7 * n, axis=1))
        sizes.append(path.stat().st_size)
        errors.append(np.abs(Video(path)[0][4:-4, 4:-4].astype(float) - image[4:-4, 4:-4]).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    assert errors[1] < 3


def test_odd_size(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (33, 51, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        writer.write(image)
        writer.write(image[..., 0])
    assert Video(tmp_path / "odd.mp4").size == (52, 34)
    assert len(Video(tmp_path / "odd.mp4")) == 2


def test_writer_refuses(tmp_path):
    for options, words in [
        (("a.txt", 25), "wanted one of .mp4"),
        (("a.mp4", 0), "above 0"),
        (("a.mp4", float("nan")), "above 0"),
    ]:
        with pytest.raises(VideoError, match=words):
            VideoWriter(tmp_path / options[0], options[1])
    with pytest.raises(VideoError, match="quality of 0 to 100"):
        VideoWriter(tmp_path / "a.mp4", 25, quality=101)
    with (
        pytest.raises(VideoError, match="no image was written"),
        VideoWriter(tmp_path / "a.mp4", 25),
    ):
        pass
    with pytest.raises(VideoError, match="no folder"), VideoWriter(tmp_path / "no/a.mp4", 25):
        pass
    image = draw_number(1)
    for wrong in (image.astype(float), image[..., :2], image[None], image[:0], image[:-2]):
        with (
            pytest.raises(VideoError, match="a.mp4: wanted"),  # noqa: RUF043
            VideoWriter(tmp_path / "a.mp4", 25) as writer,
        ):
            writer.write(image)
            writer.write(wrong)
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_old_video(tmp_path, clips):
    path = tmp_path / "a.mp4"
    path.write_bytes(clips("mp4").read_bytes())
    with pytest.raises(KeyError), VideoWriter(path, 25) as writer:
        writer.write(draw_number(1))
        raise KeyError
    assert path.read_bytes() == clips("mp4").read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to play a full disk with")
@pytest.mark.parametrize("limit", [0, 20_000, 300_000])
def test_full_disk(tmp_path, limit):
    program = f"""
        import resource
        import numpy as np
        from mapose.errors import VideoError
        from mapose.io.video import VideoWriter
        rng = np.random.default_rng(0)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        try:
            with VideoWriter(r"{tmp_path / "a.mp4"}", 25, quality=100) as writer:
                for _ in range(40):
                    writer.write(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))
        except VideoError as fault:
            assert "full" in str(fault), fault
        else:
            raise SystemExit("was written")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def count_threads():
    return sum(t.name == "prefetch" for t in threading.enumerate())


def test_prefetch_keeps_order_and_bounds():
    made = []

    def make():
        for n in range(50):
            made.append(n)
            yield n

    run = prefetch(make(), depth=3)
    assert count_threads() == 0  # nothing starts before the first item is asked for
    assert next(run) == 0
    time.sleep(0.2)
    assert len(made) <= 5
    assert list(run) == list(range(1, 50))
    assert count_threads() == 0


def test_prefetch_passes_faults_on():
    def make():
        yield 1
        raise VideoError("damaged")

    run = prefetch(make())
    assert next(run) == 1
    with pytest.raises(VideoError, match="damaged"):
        next(run)
    assert count_threads() == 0


def test_prefetch_stops_when_nobody_listens():
    closed = []

    def make():
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    run = prefetch(make(), depth=2)
    next(run)
    run.close()
    assert count_threads() == 0
    assert closed == ["prefetch"]


def test_prefetched_video(clips):
    video = Video(clips("mp4"))
    assert [(n, read_number(i)) for n, i in prefetch(video.iterate())] == [
        (n, n) for n in range(COUNT)
    ]


def test_glimpses_are_the_frames_of_their_numbers(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 25) as writer:
        for n in range(200):
            writer.write(np.full((48, 64), n, np.uint8))
    with Video(path, gray=True) as video:
        few = dict(video.glimpse(1000, 20))
        assert 15 <= len(few) <= 20 and max(np.diff(list(few))) <= 20
        for n, image in few.items():
            np.testing.assert_array_equal(image, video[n])
        keys = dict(video.glimpse(1, 200))
        assert 0 in keys and len(keys) <= len(few)
