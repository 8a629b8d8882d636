"""Disks and shares that are gone for a while, or that know no locks, modes or syncing."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

import mapose
import mapose.reading as reading
from calibration.synthetic import make_ring
from mapose.analysis.pipeline import _Parts
from mapose.errors import DiskError, FormatError, SettingsError
from mapose.files import check_output, read_mark, write_atomically
from mapose.io import VideoWriter, hdf5, load, save, write
from mapose.io.container import check_disk, index_frames
from mapose.live import recording
from mapose.models.checkpoint import load_tensors, save_tensors
from mapose.poses import Poses
from mapose.project.journal import Entry, Journal
from mapose.skeleton import Skeleton

posix = pytest.mark.skipif(sys.platform == "win32", reason="for POSIX systems")
GONE = OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def make_poses(frames: int = 5) -> Poses:
    return Poses(np.ones((frames, 1, 2, 3), np.float32), Skeleton(["a", "b"]))


@pytest.fixture
def unplug(monkeypatch):
    """Take away the disk of all HDF5 files that are read."""

    def fail(*_):
        raise GONE

    return lambda: monkeypatch.setattr(reading._Source, "readinto", fail, raising=False)


@posix
def test_shares_that_know_no_modes_and_no_syncing_take_files(tmp_path, monkeypatch):
    import torch

    def refuse(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def lack(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(Path, "chmod", refuse)
    monkeypatch.setattr(os, "fsync", lack)
    with write_atomically(tmp_path / "notes.txt") as temporary:
        temporary.write_text("whole", encoding="utf-8")
        os.chmod(temporary, 0o600)  # noqa: PTH101 - as a library does
    save(make_poses(), tmp_path / "a.mapose.h5")
    save_tensors({"w": torch.ones(3)}, tmp_path / "a.safetensors")
    make_ring(2).save(tmp_path / "calibration.toml")
    entry = Entry(**dict.fromkeys(Entry.__dataclass_fields__))
    assert Journal(tmp_path / "journal.jsonl").append(entry, 0)
    assert len(load(tmp_path / "a.mapose.h5").array) == 5
    assert load_tensors(tmp_path / "a.safetensors")["w"].tolist() == [1, 1, 1]
    assert not list(tmp_path.glob("*.tmp"))


@posix
def test_results_are_read_where_files_cannot_be_locked(tmp_path):
    import fcntl

    path = tmp_path / "a.mapose.h5"
    save(make_poses(), path, provenance={"made": "mapose track of walk.mp4"})
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # HDF5 is refused its own lock, as where there are none
        assert len(load(path).array) == 5
        assert read_mark(path) == "mapose track of walk.mp4"
        with pytest.raises(SettingsError, match="made by mapose track"):
            check_output(path, made="mapose filter")


def test_a_result_is_not_damaged_while_its_disk_is_gone(tmp_path, unplug):
    path = tmp_path / "a.mapose.h5"
    save(make_poses(), path)
    unplug()
    with pytest.raises(DiskError, match=r"a\.mapose\.h5 cannot be read: its disk .* bring it back"):
        load(path)
    with pytest.raises(SettingsError):  # it would be made anew if it were
        check_output(path, made="mapose track")


def test_chunks_are_kept_while_their_disk_is_gone(tmp_path, unplug):
    job = {"video": "walk.mp4"}
    parts = _Parts(tmp_path / "parts", job, made="mapose analyze", force=False)
    parts.add(make_poses(), None, None)
    before = sorted(tmp_path.rglob("*"))
    unplug()
    with pytest.raises(DiskError):
        list(_Parts(tmp_path / "parts", job, made="", force=False).check(5, marked=False))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_cut_recording_is_kept_while_its_disk_is_gone(tmp_path, monkeypatch):
    left = tmp_path / f"cam.mkv.99999999-{reading_host()}.tmp"
    with VideoWriter(tmp_path / "a.mkv", 25) as writer:
        writer.write(np.zeros((32, 32), np.uint8))
    (tmp_path / "a.mkv").rename(left)

    def fail(path):
        raise DiskError(f"{path} cannot be read")

    monkeypatch.setattr(recording, "Video", fail)
    with pytest.raises(DiskError):
        recording.keep_cut_recording(tmp_path / "cam.mkv")
    assert (tmp_path / "cam.cut.mkv").stat().st_size


def reading_host() -> str:
    from mapose.files import _HOST

    return _HOST


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ETIMEDOUT])
def test_a_video_does_not_end_early_where_its_disk_is_gone(tmp_path, number):
    def demux(_):
        yield SimpleNamespace(size=4, is_discard=False, pts=0, dts=0, is_keyframe=True)
        raise av.error.OSError(number, os.strerror(number), "file:walk.mp4")

    codec = SimpleNamespace(canonical_name="h264", intra_only=False)
    stream = SimpleNamespace(codec=codec, frames=0, index_entries=[])
    container = SimpleNamespace(name="file:walk.mp4", demux=demux)
    with pytest.raises(DiskError, match=r"walk\.mp4 cannot be read: its disk"):
        index_frames(container, stream)


def test_what_ffmpeg_calls_a_fault_of_the_disk_may_be_damage(tmp_path):
    (tmp_path / "walk.avi").write_bytes(b"RIFF")
    fault = av.error.OSError(errno.EIO, "Input/output error")
    check_disk(f"file:{tmp_path / 'walk.avi'}", fault)  # the disk gives all of it


WRITE = """
import json, sys
from contextlib import suppress
from pathlib import Path
import resource
import numpy as np
from mapose.errors import MaposeError
from mapose.io import write
from mapose.poses import Poses
from mapose.skeleton import Skeleton
path = Path(sys.argv[1])
array = np.random.default_rng(0).uniform(1, 30, (400, 2, 2, 3)).astype(np.float32)
poses = Poses(array, Skeleton(["a", "b"]), ["x", "y"], rate=25)
def make():
    write(poses, path, made="mapose export")
make()
size = path.stat().st_size
whole = path.read_bytes()
told = []
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
for room in np.linspace(0, size - 1, 12).astype(int).tolist():
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        make()
    except MaposeError as fault:
        told.append(str(fault))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == whole
print(json.dumps(told))
"""


@posix
@pytest.mark.parametrize("name", ["a.nc", "a.nwb"])
def test_hdf5_of_other_tools_does_not_bring_the_process_down(tmp_path, name):
    words = [sys.executable, "-c", WRITE, str(tmp_path / name)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == 12 and all("is full" in text for text in told), told
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_what_is_written_aside_tells_which_disk_is_full(tmp_path, monkeypatch):
    path = tmp_path / "a.slp"
    write(make_poses(), path)
    whole = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(hdf5.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        with pytest.raises(FormatError, match=r"cannot write a\.slp.*temporary files.* is full"):
            write(make_poses(), path)

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hdf5.shutil, "copyfile", fail)
    with pytest.raises(FormatError, match=r"cannot write a\.slp: the disk of .* is full"):
        write(make_poses(), path)
    assert path.read_bytes() == whole and [p.name for p in tmp_path.iterdir()] == ["a.slp"]


def test_hdf5_gets_opened_files_only():
    """HDF5's own hands cannot let go of a disk that is gone."""
    for file in Path(mapose.__file__).parent.rglob("*.py"):
        given = re.findall(r"(?:h5py|h5netcdf)\.File\((\S+?)[,)]", file.read_text(encoding="utf-8"))
        assert all(
            what in ("sink", "source", "self._sink") for what in given if what != "path"
        ) and (
            "path" not in given or file.name == "hdf5.py"  # the text of another process
        ), file


def test_formats_keep_their_own_words_for_damage(tmp_path):
    path = tmp_path / "a.mapose.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    with pytest.raises(FormatError, match="is damaged, perhaps cut off"):
        load(path)
