"""A file is there whole or not at all, and what killed programs left of it goes."""

import os
import subprocess
import sys

from calibration.saving import _HOST, write_whole


def test_what_a_killed_program_has_left_goes_at_once(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    path = tmp_path / "cage.toml"
    left = tmp_path / f"cage.toml.{int(ended.stdout)}-{_HOST}.tmp"
    other = tmp_path / "cage.toml.mine.tmp"
    afar = tmp_path / f"cage.toml.{int(ended.stdout)}-another.tmp"  # that writes to the same share
    running = tmp_path / f"cage.toml.{os.getppid()}-{_HOST}.tmp"
    for file in (left, other, afar, running):
        file.write_bytes(b"half")
    write_whole(path, b"whole")
    assert path.read_bytes() == b"whole"
    kept = {path, other, afar} | ({running} if sys.platform != "win32" else set())
    assert set(tmp_path.iterdir()) == kept
