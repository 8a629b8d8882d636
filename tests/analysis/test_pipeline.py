"""Analysis end to end with a small untrained network: streaming, resuming, bad input."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from mapose.analysis import pipeline
from mapose.analysis.pipeline import analyze, analyze_file, find_trained_frames
from mapose.analysis.retracking import TrackOptions, track_file
from mapose.anatomy import Anatomy
from mapose.errors import FormatError, SettingsError, VideoError
from mapose.io import Video, VideoWriter, load, load_peaks, load_provenance
from mapose.io.recordings import fingerprint
from mapose.models import Model
from mapose.poses import Poses
from mapose.results.result import Result
from mapose.skeleton import Skeleton
from tests.untrained import make_untrained

CHUNK = 64
FRAMES = 2 * CHUNK + 37


@pytest.fixture(scope="module", autouse=True)
def short_chunks():
    """Several chunks of a short video."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "CHUNK", CHUNK)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A noisy video with two bright dots that move, and an untrained model of two keypoints."""
    folder = tmp_path_factory.mktemp("analysis")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :96]
    with VideoWriter(folder / "dots.mp4", 25) as writer:
        for t in range(FRAMES):
            image = rng.integers(0, 40, (64, 96)).astype(np.float32)
            for phase in (0.0, 2.0):
                cx, cy = 48 + 30 * np.cos(t / 16 + phase), 32 + 20 * np.sin(t / 16 + phase)
                image += 200 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
            writer.write(np.clip(image, 0, 255).astype(np.uint8))
    make_model(individuals=2).save(folder / "model")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory) -> Path:
    """What an analysis makes that nothing interrupts; as far from the video as those of tests."""
    place = tmp_path_factory.mktemp("whole")
    return analyze_file(folder / "dots.mp4", folder / "model", output=place / "w.mapose.h5")


def make_model(individuals: int | None) -> Model:
    split = {"train": ["dots:3", "other:5"], "test": ["dots:4"]}
    return make_untrained(individuals, lively=True, split=split)


def read_all(path: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def assert_same_file(a: Path, b: Path) -> None:
    first, second = read_all(a), read_all(b)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_every_frame_has_a_row_and_the_file_says_where_it_comes_from(folder, tmp_path):
    target = tmp_path / "dots.mapose.h5"
    seen = []
    poses = analyze(folder / "dots.mp4", folder / "model", output=target, on_progress=seen.append)
    assert poses.array.shape == (FRAMES, 2, 2, 3)
    assert poses.individuals == ("track0", "track1") and poses.rate == 25
    assert (poses.confidence > 0).any()
    done = [p.done for p in seen]  # also within a chunk, which lasts long on a slow computer
    assert done == sorted(set(done)) and {0, 8, CHUNK, 2 * CHUNK, FRAMES} <= set(done)
    provenance = load_provenance(target)
    assert provenance["trained_frames"] == [3] and provenance["source"] == "dots.mp4"
    assert not target.with_name(target.name + ".parts").exists()


def test_frames_trained_on_are_those_of_the_recording(folder, tmp_path):
    model = Model.load(folder / "model")
    video = folder / "dots.mp4"
    mark = fingerprint(video)
    assert find_trained_frames(model, "dots", mark) == [3]  # the name is all that is known
    other = replace(model, record={"recordings": {"dots": "0" * 16, "other": mark}})
    assert find_trained_frames(other, "dots", mark) == [5]  # it was called otherwise then
    assert find_trained_frames(other, "dots", "1" * 16) == []  # another one of that name


def test_the_video_of_a_result_is_found_again(folder, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "found").mkdir()
    video = shutil.copy(folder / "dots.mp4", tmp_path / "raw" / "dots.mp4")
    result = analyze_file(video, folder / "model", output=tmp_path / "found" / "a.mapose.h5")
    assert Result(result).find_video().samefile(video)
    tracked = track_file(result, tmp_path / "b.mapose.h5", options=TrackOptions(2))
    assert Result(tracked).find_video().samefile(video)
    assert load_provenance(tracked)["trained_frames"] == [3]
    (tmp_path / "raw" / "dots.mp4").rename(tmp_path / "found" / "dots.mp4")
    with pytest.raises(VideoError, match=r"b\.mapose\.h5 is not in"):
        Result(tracked).find_video()
    assert Result(result).find_video() == tmp_path / "found" / "dots.mp4"
    with (tmp_path / "found" / "dots.mp4").open("ab") as file:
        file.write(b"x")  # another recording of the same name
    with pytest.raises(VideoError, match="another recording than that of"):
        Result(result).find_video()


def test_a_second_call_does_no_work_and_other_options_do(folder, tmp_path):
    target = tmp_path / "out.mapose.h5"
    analyze_file(folder / "dots.mp4", folder / "model", output=target)
    stamp = target.stat().st_mtime_ns
    seen = []
    analyze_file(folder / "dots.mp4", folder / "model", output=target, on_progress=seen.append)
    assert target.stat().st_mtime_ns == stamp and [p.resumed for p in seen] == [FRAMES]
    with pytest.raises(SettingsError, match=r"individuals 2.*individuals 1"):
        analyze_file(folder / "dots.mp4", folder / "model", output=target, individuals=1)
    assert target.stat().st_mtime_ns == stamp
    analyze_file(folder / "dots.mp4", folder / "model", output=target, individuals=1, force=True)
    assert load(target).individuals == ("track0",)


def test_a_model_that_has_changed_since_is_used(folder, tmp_path):
    target = tmp_path / "out.mapose.h5"
    analyze_file(folder / "dots.mp4", folder / "model", output=target)
    anatomy = Anatomy(np.array([[0.0, 1.0], [0.0, -1.0]]), np.tile(0.01 * np.eye(2), (2, 1, 1)))
    taught = replace(Model.load(folder / "model"), anatomy=anatomy)
    seen = []
    with pytest.raises(SettingsError, match=r"model .*now it would be made by .*model "):
        analyze_file(folder / "dots.mp4", taught, output=target)
    analyze_file(folder / "dots.mp4", taught, output=target, force=True, on_progress=seen.append)
    assert seen[0].resumed == 0 and len(seen) > 1


def test_one_individual_gets_a_place_for_every_keypoint(folder, tmp_path):
    poses = analyze(folder / "dots.mp4", make_model(1), output=tmp_path / "one.mapose.h5")
    assert poses.array.shape[1] == 1 and np.isfinite(poses.points).mean() > 0.9


def test_unknown_numbers_and_kept_peaks(folder, tmp_path):
    target, video = tmp_path / "many.mapose.h5", tmp_path / "short.mp4"
    with VideoWriter(video, 25) as writer:  # a network that has learned nothing finds crowds
        for _, image in Video(folder / "dots.mp4").iterate(0, 40):
            writer.write(image)
    poses = analyze(video, make_model(None), output=target, keep_peaks=True)
    peaks = load_peaks(target)
    assert len(poses) == peaks.n_frames == 40
    assert poses.array.shape[1] >= 1 and len(peaks) > 40


SCRIPT = f"""
import sys
from mapose.analysis import pipeline
pipeline.CHUNK = {CHUNK}
video, model, output = sys.argv[1:]
def say(progress):
    print(progress.done, flush=True)
if __name__ == "__main__":
    pipeline.analyze_file(video, model, output=output, on_progress=say)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is for POSIX systems")
@pytest.mark.parametrize("after", [0, CHUNK, 2 * CHUNK])
def test_killed_and_resumed_gives_the_same_file(folder, whole, tmp_path, after):
    cut = tmp_path / "cut.mapose.h5"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    names = [folder / "dots.mp4", folder / "model", cut]
    with subprocess.Popen(
        [sys.executable, script, *names], stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if int(line) >= after:
                time.sleep(0.02)
                break
        os.kill(process.pid, signal.SIGKILL)
    assert not cut.exists() or after == 2 * CHUNK
    resumed = []
    analyze_file(*names[:2], output=cut, on_progress=resumed.append)
    assert resumed[0].resumed >= after
    assert_same_file(whole, cut)
    found = (load(cut).confidence > 0).any((1, 2))
    assert all(found[first : first + CHUNK].any() for first in range(0, FRAMES, CHUNK))


def test_parts_of_another_job_are_not_taken_up(folder, tmp_path):
    target = tmp_path / "out.mapose.h5"
    parts = tmp_path / "out.mapose.h5.parts"
    parts.mkdir()
    (parts / "job.json").write_text('{"made": "mapose analyze of x"}', encoding="utf-8")
    (parts / "000000.mapose.h5").write_bytes(b"rubbish")
    names, seen = (folder / "dots.mp4", folder / "model"), []
    with pytest.raises(SettingsError, match=r"analyze of x; now wanted: .*dots\.mp4"):
        analyze_file(*names, output=target)
    assert (parts / "000000.mapose.h5").read_bytes() == b"rubbish"
    analyze_file(*names, output=target, force=True, on_progress=seen.append)
    assert seen[0].resumed == 0 and len(load(target)) == FRAMES


@pytest.mark.parametrize("damage", ["empty", "cut", "rubbish", "of another length"])
def test_damaged_chunks_are_made_anew(folder, whole, tmp_path, damage):
    target = tmp_path / "out.mapose.h5"
    names, seen = (folder / "dots.mp4", folder / "model"), []

    def stop(progress):
        if progress.done == 2 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        analyze_file(*names, output=target, on_progress=stop)
    assert "the same command goes on" in stopped.value.__notes__[0]
    parts = tmp_path / "out.mapose.h5.parts"
    chunk = parts / "000001.mapose.h5"
    content = {"empty": b"", "cut": chunk.read_bytes()[:-50], "rubbish": b"rubbish"}
    content["of another length"] = (parts / "000000.mapose.h5").read_bytes()
    chunk.write_bytes(content[damage])
    (parts / "000002.mapose.h5.77777-other.tmp").write_bytes(b"half")
    analyze_file(*names, output=target, on_progress=seen.append)
    assert seen[0].resumed == CHUNK
    assert_same_file(whole, target)
    assert not parts.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\3\4", b"\x93NUMPY\1\0\x10\0{'descr': (((   \n", None])
def test_a_chunk_whose_names_are_damaged_is_made_anew(tmp_path, damage):
    poses = Poses(np.ones((CHUNK, 2, 1, 3)), Skeleton(["a"]))
    marks = np.ones((CHUNK, 2, 2), np.float32)

    def open_parts():
        return pipeline._Parts(tmp_path / "parts", {"a": 1}, made="this", force=False)

    parts = open_parts()
    parts.add(poses, None, marks)
    parts.add(replace(poses, frames=poses.frames + CHUNK), None, marks)
    assert len(list(open_parts().check(2 * CHUNK, marked=True))) == 2
    path = tmp_path / "parts" / "000001.marks.npy"
    if damage is None:
        np.save(path, np.ones((CHUNK, 2)))
    else:
        path.write_bytes(damage)
    assert len(list(open_parts().check(2 * CHUNK, marked=True))) == 1


def test_a_damaged_result_and_a_damaged_description_are_made_anew(folder, whole, tmp_path):
    target = tmp_path / "out.mapose.h5"
    names, parts = (folder / "dots.mp4", folder / "model"), tmp_path / "out.mapose.h5.parts"
    content = whole.read_bytes()
    holes = bytearray(content)
    holes[len(holes) // 3 : len(holes) // 2] = bytes(len(holes) // 2 - len(holes) // 3)
    for damaged in (b"", bytes(1000), content[:-100], bytes(holes)):
        target.write_bytes(damaged)
        parts.mkdir()
        (parts / "job.json").write_text("{", encoding="utf-8")
        (parts / "000000.mapose.h5").write_bytes(b"rubbish")
        analyze_file(*names, output=target)
        assert_same_file(whole, target)
        assert not parts.exists()
    parts.mkdir()  # of a run that was killed when all was done
    analyze_file(*names, output=target)
    assert not parts.exists()


def test_two_analyses_into_one_file_do_not_mix(folder, tmp_path):
    target, faults = tmp_path / "out.mapose.h5", []

    def begin_another(progress):
        if progress.done % CHUNK:
            return

        def work():
            with pytest.raises(SettingsError, match="another mapose is working on") as fault:
                analyze_file(folder / "dots.mp4", folder / "model", output=target)
            faults.append(fault)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    names = (folder / "dots.mp4", folder / "model")
    analyze_file(*names, output=target, on_progress=begin_another)
    assert len(faults) == 1 + FRAMES // CHUNK
    assert {p.name for p in tmp_path.iterdir()} == {target.name}


def test_bad_input_is_told(folder, tmp_path):
    (tmp_path / "not.mp4").write_bytes(b"this is no video" * 100)
    with pytest.raises(VideoError):
        analyze_file(tmp_path / "not.mp4", folder / "model")
    with pytest.raises(VideoError):
        analyze_file(tmp_path / "none.mp4", folder / "model")
    with pytest.raises(FormatError, match=r"model\.yaml"):
        analyze_file(folder / "dots.mp4", tmp_path)
    with pytest.raises(SettingsError, match="at least one animal"):
        analyze_file(folder / "dots.mp4", folder / "model", individuals=-1)


def test_a_full_disk_is_told_and_what_is_done_stays(folder, whole, tmp_path, monkeypatch):
    """The second chunk meets a full disk; with space again, the run goes on after the first."""
    import errno

    from mapose.analysis import pipeline

    target = tmp_path / "out.mapose.h5"
    real, calls = pipeline.save, []

    def save_until_full(poses, path, **options):
        calls.append(path)
        if len(calls) == 2:
            monkeypatch.setattr("os.fsync", raise_full)
        return real(poses, path, **options)

    def raise_full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline, "save", save_until_full)
    with pytest.raises(Exception, match="full"):
        analyze_file(folder / "dots.mp4", folder / "model", output=target)
    assert not target.exists()
    monkeypatch.undo()
    seen = []
    analyze_file(folder / "dots.mp4", folder / "model", output=target, on_progress=seen.append)
    assert seen[0].resumed == CHUNK
    assert_same_file(whole, target)


def test_frames_that_cannot_be_read_are_empty_rows(folder):
    from mapose.analysis.prediction import Predictor

    predictor = Predictor(make_model(2))
    image = predictor.prepare(np.full((64, 96), 90, np.uint8))
    with_gap, alone = predictor.find([None, image, None]), predictor.find([image])
    assert with_gap.n_frames == 3 and set(with_gap.frame) <= {1}
    np.testing.assert_array_equal(with_gap.xy, alone.xy)
    assert predictor.find([None, None]).n_frames == 2


def test_a_video_cut_in_the_middle_keeps_its_rows(folder, tmp_path):
    whole = (folder / "dots.mp4").read_bytes()
    broken = bytearray(whole)
    middle = whole.index(b"mdat") + len(whole) // 2
    broken[middle : middle + len(whole) // 5] = bytes(len(whole) // 5)
    (tmp_path / "cut.mp4").write_bytes(broken)
    poses = analyze(tmp_path / "cut.mp4", folder / "model")
    assert len(poses) == FRAMES and (poses.confidence[:CHUNK] > 0).any()


def test_prediction_assembly_and_tracking_are_functions_too(folder):
    import mapose

    peaks = mapose.predict(folder / "dots.mp4", folder / "model", frames=slice(0, 40))
    assert peaks.n_frames == 40
    body = Model.load(folder / "model").body
    poses = mapose.assemble(peaks, body, individuals=2)
    assert mapose.track(poses, individuals=2).individuals == ("track0", "track1")


@pytest.mark.parametrize("lively", [True, False])
def test_an_analysis_that_finds_nobody_says_so(folder, tmp_path, caplog, lively):
    """A network that has learned nothing finds nothing; one with lively heads finds something."""
    place = analyze_file(
        folder / "dots.mp4", make_untrained(lively=lively), output=tmp_path / "s.mapose.h5"
    )
    assert (load(place).confidence.max() > 0) == lively
    assert (f"no animal was found in any of its {FRAMES} frames" in caplog.text) != lively
