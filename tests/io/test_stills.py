"""Folders of stills and TIFF stacks are read as videos are."""

import numpy as np
import PIL.Image
import pytest
from typer.testing import CliRunner

from mapose.analysis import analyze_file
from mapose.cli import app
from mapose.errors import VideoError
from mapose.io import Video, load, write_image
from mapose.io.recordings import fingerprint, name_beside
from mapose.io.stills import find_recordings, is_recording
from mapose.results import Result
from tests.untrained import make_untrained


def draw(n, dtype=np.uint8, top=1):
    image = np.zeros((48, 64), dtype)
    image[10 : 14 + n, 20:30] = (100 + n) * top
    return image


@pytest.fixture
def stills(tmp_path):
    folder = tmp_path / "lapse.day1"
    for n in range(12):
        write_image(draw(n), folder / f"img{n}.png")  # img2 before img10
    return folder


@pytest.fixture
def stack(tmp_path):
    pages = [PIL.Image.fromarray(draw(n)) for n in range(12)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    return tmp_path / "stack.tif"


@pytest.mark.parametrize("kind", ["stills", "stack"])
def test_pictures_are_frames(kind, request):
    path = request.getfixturevalue(kind)
    with Video(path, gray=True) as video:
        assert (len(video), video.size, video.rate) == (12, (64, 48), 0)
        assert video.name == ("lapse.day1" if kind == "stills" else "stack")
        for n, image in video.iterate(3):
            np.testing.assert_array_equal(image, draw(n))
        np.testing.assert_array_equal(video[10], draw(10))
        np.testing.assert_array_equal(video[-1], draw(11))
    with Video(path) as video:
        assert video[2].shape == (48, 64, 3) and len(list(video)) == 12


def test_sixteen_bits_are_reduced_alike_in_all_pictures(tmp_path):
    dark, light = draw(1, np.uint16, 16), draw(2, np.uint16, 16)
    dark //= 8
    pages = [PIL.Image.fromarray(page) for page in (light, dark)]
    pages[0].save(tmp_path / "deep.tiff", save_all=True, append_images=pages[1:])
    for n, page in enumerate(pages):
        (tmp_path / "deep").mkdir(exist_ok=True)
        page.save(tmp_path / "deep" / f"{n}.png")
    for path in (tmp_path / "deep.tiff", tmp_path / "deep"):
        with Video(path, gray=True) as video:
            np.testing.assert_array_equal(video[0], light >> 4)
            np.testing.assert_array_equal(video[1], dark >> 4)


def test_a_damaged_picture_keeps_its_number(stills, tmp_path):
    (stills / "img5.png").write_bytes(b"rubbish")
    with Video(stills, gray=True) as video:
        images = list(video)
        assert images[5] is None and video.gaps == (5,)
        np.testing.assert_array_equal(images[6], draw(6))
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "empty", tmp_path / "none.tif"):
        with pytest.raises(VideoError):
            Video(wrong)


def test_recordings_are_found_and_told_apart(stills, stack, tmp_path):
    assert find_recordings(tmp_path) == [stack]
    assert find_recordings(tmp_path, recursive=True) == [stills, stack]
    assert find_recordings(tmp_path, recursive=True, pattern="LAPSE*") == [stills]
    assert is_recording(stills) and is_recording(stack) and not is_recording(tmp_path)
    assert name_beside(stills, ".x").name == "lapse.day1.x"
    before = fingerprint(stills)
    moved = stills.rename(tmp_path / "moved")
    assert fingerprint(moved) == before != fingerprint(stack)
    (moved / "img11.png").unlink()
    assert fingerprint(moved) != before


def test_stills_are_analysed_and_rendered(stills, tmp_path):
    model = make_untrained(lively=True)
    place = analyze_file(stills, model, rate=0.5)
    assert place.name == "lapse.day1.mapose.h5"
    poses = load(place)
    assert len(poses) == 12 and poses.rate == 0.5
    assert Result(place).find_video().samefile(stills)
    assert load(analyze_file(stills, model, output=tmp_path / "plain.mapose.h5")).rate is None
    model.save(tmp_path / "model")
    run = CliRunner()
    done = run.invoke(app, ["render", str(place)])
    assert done.exit_code == 0, done.output
    with Video(tmp_path / "lapse.day1.labelled.mp4") as video:
        assert len(video) == 12
    done = run.invoke(
        app, ["analyze", str(tmp_path / "model"), str(tmp_path), "--recursive",
              "-o", str(tmp_path / "found")]
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert [p.name for p in (tmp_path / "found").glob("*.h5")] == ["lapse.day1.mapose.h5"]
    done = run.invoke(app, ["video", str(stills), "--every", "2"])
    assert done.exit_code == 0 and len(Video(tmp_path / "lapse.day1.cut.mp4")) == 6
