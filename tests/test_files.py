"""Files are written whole, by one program at a time, and nothing is left beside them."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from calibration.synthetic import make_ring
from mapose.errors import MaposeError, SettingsError
from mapose.files import check_output, check_writable, name_file, write_atomically
from mapose.io import save
from mapose.locks import is_locked, lock_output
from mapose.models.checkpoint import save_tensors
from mapose.recognition.appearance import save_parts

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are of POSIX systems")


def write_text(path: Path, text: str = "new") -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_weights(path: Path) -> None:
    import torch

    save_tensors({"w": torch.ones(3)}, path)


def write_gallery(path: Path) -> None:
    import torch

    save_parts(path, {"w": torch.ones(3)}, {"kind": "gallery"})


def write_poses(path: Path) -> None:
    import numpy as np

    from mapose.poses import Poses
    from mapose.skeleton import Skeleton

    save(Poses(np.ones((5, 1, 1, 3), np.float32), Skeleton(["a"])), path)


def write_calibration(path: Path) -> None:
    make_ring(2).save(path)


WRITERS = {
    "a.txt": write_text, "a.safetensors": write_weights, "mice.gallery": write_gallery,
    "a.mapose.h5": write_poses, "calibration.toml": write_calibration,
}  # fmt: skip


@posix
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("name", WRITERS)
def test_files_are_for_whom_the_umask_lets(tmp_path, name, mask):
    before = os.umask(mask)
    try:
        WRITERS[name](tmp_path / name)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask


@posix
def test_a_file_that_is_replaced_stays_for_whom_it_was(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "a.txt").chmod(0o660)
    write_text(tmp_path / "a.txt")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o660


@posix
@pytest.mark.parametrize("name", WRITERS)
def test_a_link_stays_a_link(tmp_path, name):
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / name, tmp_path / "disk" / name
    link.symlink_to(target)  # to nothing yet
    for _ in range(2):
        WRITERS[name](link)
        assert link.is_symlink() and target.stat().st_size > 0
    assert [p.name for p in (tmp_path / "disk").iterdir()] == [name]


def test_what_a_killed_writer_has_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    script = """
import os, sys
from mapose.files import write_atomically
from mapose.locks import lock_output
with lock_output(sys.argv[1]), write_atomically(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("now", flush=True)
    sys.stdin.read()
    os._exit(9)
"""
    path = tmp_path / "a.txt"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout.readline().strip() == b"now"
        assert is_locked(path)
        with pytest.raises(SettingsError, match="another mapose is working on"), lock_output(path):
            pass
        write_text(path)
        assert len(list(tmp_path.iterdir())) == 3
        process.stdin.close()
    assert process.returncode == 9 and len(list(tmp_path.iterdir())) == 3
    assert not is_locked(path)
    write_text(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_who_waits_for_a_lock_gets_it_in_turn(tmp_path):
    path, order = tmp_path / "a.txt", []

    def work(number):
        with lock_output(path, wait=True):
            order.append(number)
            time.sleep(0.02)
            with lock_output(path):  # the same thread may
                order.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order[::2] == order[1::2] and set(order) == set(range(5))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_file_is_told_before_any_work(tmp_path, monkeypatch):
    def fail(self, *_, **__):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr("pathlib.Path.touch", fail)
    with pytest.raises(SettingsError, match="read-only"):
        check_output(tmp_path / "a.txt")
    monkeypatch.undo()
    check_writable(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_told(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    with (
        pytest.raises(MaposeError, match="its folder is gone"),
        write_atomically(folder / "a") as p,
    ):
        p.unlink()
        folder.rmdir()
        p.write_text("x", encoding="utf-8")


def test_a_damaged_result_may_be_made_anew_and_a_strangers_file_may_not(tmp_path):
    path = tmp_path / "walk.mapose.h5"
    write_poses(path)
    whole = path.read_bytes()
    for content in (b"", bytes(300), whole[:-40], whole[:100]):
        path.write_bytes(content)
        check_output(path, made="mapose analyze")
    for content in (whole, b"a text of somebody", b"\x89PNG"):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match="is there already"):
            check_output(path, made="mapose analyze")


def test_names_become_parts_of_names_of_files():
    assert name_file("a/b\\c:d") == "a_b_c_d" and name_file("Änne 2") == "Änne 2"
