"""A disk that fills up at any byte while a file is rewritten: the old file stays whole."""

import builtins
import errno
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration import CalibrationError, CameraGroup, read_board
from calibration.boards.printing import write_board
from calibration.synthetic import make_ring
from mapose.edits import Edit, save_edits
from mapose.errors import MaposeError
from mapose.files import write_atomically
from mapose.io import VideoWriter, load_labels, save, save_labels, write
from mapose.labels import Labels
from mapose.models.checkpoint import save_tensors
from mapose.plots import plot_positions, save_figure
from mapose.poses import Poses
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.skeleton import Skeleton

POSITIONS = 40
SKELETON = Skeleton(["a", "b"], [("a", "b")])


class _Full(io.FileIO):
    """A file on a disk that takes so many bytes more."""

    def __init__(self, path: Any, mode: str, room: int) -> None:
        super().__init__(path, mode)
        self.room = room

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = super().write(view[: self.room])  # a full disk takes a part
        self.room -= done
        return done


@contextmanager
def fill_files(room: int) -> Iterator[None]:
    """Make every file that Python opens for writing full after so many bytes, on any system."""
    real = builtins.open

    def open_full(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, **more):
        if not set("wx") & set(mode):
            return real(file, mode, buffering, encoding, errors, newline, **more)
        binary = io.BufferedWriter(_Full(file, mode.replace("b", "").replace("t", ""), room))
        if "b" in mode:
            return binary
        return io.TextIOWrapper(binary, encoding or "utf-8", errors, newline)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", open_full)
        patch.setattr(io, "open", open_full)
        yield


@contextmanager
def fill_disk(room: int) -> Iterator[None]:
    """Let the kernel refuse what goes beyond so many bytes of a file, whoever writes it."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of files are for POSIX systems")


def look(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def make_project(folder: Path) -> Project:
    project = Project.create(folder / "mice", SKELETON, individuals=2)
    image = np.zeros((32, 32), np.uint8)
    for name in ("one", "two"):
        with VideoWriter(folder / f"{name}.mp4", 25) as writer:
            for _ in range(20):
                writer.write(image)
    import_labels(project, make_labels(folder / "one.mp4"))
    return Project.load(folder / "mice")


def make_labels(video: Path) -> Labels:
    points = np.random.default_rng(0).uniform(0, 32, (20, 2, 2, 2)).astype(np.float32)
    return Labels(
        points, SKELETON, videos=(video.stem,) * 20, frames=np.arange(20), images=(None,) * 20,
        individuals=("x", "y"), identified=True, sources={video.stem: video},
    )  # fmt: skip


def rewrite_calibration(folder: Path) -> Callable[[], object]:
    make_ring(3).save(folder / "calibration.toml")
    return lambda: make_ring(4, seed=1).save(folder / "calibration.toml")


def rewrite_project(folder: Path) -> Callable[[], object]:
    project = make_project(folder)
    return lambda: project.add_videos([folder / "two.mp4"])


def rewrite_labels(folder: Path) -> Callable[[], object]:
    project = make_project(folder)
    labels = load_labels(project.path / "labels", SKELETON)
    moved = replace(labels, points=labels.points + 1)
    return lambda: save_labels(moved, project.path / "labels")


def rewrite_edits(folder: Path) -> Callable[[], object]:
    edits = [Edit(n, ("x", "y")) for n in range(30)]
    save_edits(edits[:-1], folder / "monday.edits.csv")
    return lambda: save_edits(edits, folder / "monday.edits.csv")


REWRITTEN = {
    "calibration.toml": rewrite_calibration,
    "mice/mapose.yaml": rewrite_project,
    "mice/labels/one/labels.csv": rewrite_labels,
    "monday.edits.csv": rewrite_edits,
}


@pytest.mark.parametrize("fill", [fill_files, pytest.param(fill_disk, marks=posix)])
@pytest.mark.parametrize("name", REWRITTEN)
def test_the_old_file_is_whole_wherever_the_disk_is_full(tmp_path, name, fill):
    rewrite = REWRITTEN[name](tmp_path)
    before = look(tmp_path)
    rewrite()
    size = (tmp_path / name).stat().st_size
    (tmp_path / name).write_bytes(before[name])
    for room in np.linspace(0, size - 1, POSITIONS).astype(int).tolist():
        with fill(room), pytest.raises((MaposeError, CalibrationError), match="cannot write") as e:
            rewrite()
        assert "\n" not in str(e.value)
        assert look(tmp_path) == before  # and no temporary file beside it
    rewrite()
    assert (tmp_path / name).stat().st_size == size and look(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("name", REWRITTEN)
def test_the_old_file_is_whole_if_the_last_step_fails(tmp_path, monkeypatch, name, call):
    rewrite = REWRITTEN[name](tmp_path)
    before = look(tmp_path)

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        with pytest.raises((MaposeError, CalibrationError), match="cannot write"):
            rewrite()
    assert look(tmp_path) == before


def make_poses(dimensions: int = 2) -> Poses:
    array = np.random.default_rng(0).uniform(1, 30, (400, 2, 2, dimensions + 1)).astype(np.float32)
    array[..., -1] = 1
    return Poses(array, SKELETON, ["x", "y"], rate=25)


def write_video(path: Path) -> None:
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25) as writer:
        for _ in range(8):
            writer.write(rng.integers(0, 255, (64, 64), np.uint8))


def save_weights(path: Path) -> None:
    import torch

    save_tensors({"w": torch.ones(5000)}, path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.mapose.h5": lambda path: save(make_poses(), path),
    "a.csv": lambda path: write(make_poses(), path),
    "b.csv": lambda path: write(make_poses(3), path),
    "c.csv": lambda path: write(make_poses(), path, "dlc-csv"),
    "a.json": lambda path: write(make_poses(), path, "coco"),
    "a.trc": lambda path: write(replace(make_poses(3), unit="mm"), path),
    "a.mp4": write_video,
    "a.png": lambda path: save_figure(plot_positions(make_poses()), path),
    "a.pdf": lambda path: write_board(read_board("charuco:8x6:24mm:18mm:4x4_50"), path),
    "a.safetensors": save_weights,
}


@posix
@pytest.mark.filterwarnings("ignore")  # of libraries that lose a file in mid-writing
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_the_old_file_and_one_line(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    size = path.stat().st_size
    path.write_bytes(b"old")
    for share in (0.0, 0.3, 0.9):
        room = int(size * share)
        with fill_disk(room), pytest.raises((MaposeError, CalibrationError)) as e:
            WRITERS[name](path)
        assert "cannot write" in str(e.value) and len(str(e.value)) < 400
        assert look(tmp_path) == {name: b"old"}


def test_trouble_with_another_file_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "a.txt"):
        (tmp_path / "none").read_text(encoding="utf-8")
    with (
        pytest.raises(MaposeError, match="no permission"),
        write_atomically(tmp_path / "a.txt") as p,
    ):
        raise PermissionError(errno.EACCES, "Permission denied", str(p))
    assert list(tmp_path.iterdir()) == []


def test_a_calibration_is_read_back_after_it_was_rewritten(tmp_path):
    rewrite_calibration(tmp_path)()
    assert len(CameraGroup.load(tmp_path / "calibration.toml")) == 4
