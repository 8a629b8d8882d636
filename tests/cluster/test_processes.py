"""Processes that live apart, and end with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mapose.cluster import Outcome, Processes, choose_processes, work_through
from mapose.cluster.outcomes import note_outcome
from mapose.cluster.processes import ATTEMPTS, NEEDED
from mapose.cores import count_cores
from mapose.errors import MaposeError, SettingsError


def die(tries: Path, times: int) -> int:
    """Die without a word so many times; then say how often this was tried."""
    with tries.open("a", encoding="utf-8") as file:
        file.write("x")
    count = len(tries.read_text(encoding="utf-8"))
    if count <= times:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return count


def look_around(seconds: float) -> tuple[int, str | None, str | None]:
    time.sleep(seconds)
    return count_cores(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_a_process_that_dies_is_replaced_and_takes_nobody_along(tmp_path):
    with Processes(2) as executor:
        one = executor.submit(die, tmp_path / "one", 1)
        other = executor.submit(die, tmp_path / "other", 0)
        hopeless = executor.submit(die, tmp_path / "hopeless", 99)
        assert one.result() == 2 and other.result() == 1
        with pytest.raises(MaposeError, match="killed 3 times"):
            hopeless.result()
        assert len((tmp_path / "hopeless").read_text()) == ATTEMPTS
        assert executor.submit(die, tmp_path / "later", 0).result() == 1


def test_cores_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setenv("MAPOSE_CORES", "8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    with Processes(2, gpus=2) as executor:
        found = list(executor.map(look_around, [0.3, 0.3]))
    assert sorted(found) == [(4, "4", "5"), (4, "4", "7")]


def test_the_number_of_processes_fits_cores_memory_and_gpus(monkeypatch):
    monkeypatch.setenv("MAPOSE_CORES", "8")
    monkeypatch.setattr("mapose.cluster.processes.find_free_memory", lambda: 5 * NEEDED)
    assert choose_processes(40) == 5
    assert choose_processes(3) == 3
    assert choose_processes(40, gpus=2) == 2
    monkeypatch.setattr("mapose.cluster.processes.find_free_memory", lambda: 10)
    assert choose_processes(40) == 1
    monkeypatch.setenv("MAPOSE_CORES", "")
    assert count_cores() >= 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
def test_processes_end_with_the_one_that_started_them(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & turns it off
        "from mapose.cluster import Processes\n"
        "if __name__ == '__main__':\n"
        "    with Processes(1) as executor:\n"
        "        print(executor.submit(os.getpid).result(), flush=True)\n"
        "        executor.submit(time.sleep, 60)\n"
        "        waits = executor.submit(time.sleep, 60)\n"
        "        while not waits.done():\n"  # as work_through waits: see there why
        "            time.sleep(0.1)\n",
        encoding="utf-8",
    )
    words = [sys.executable, str(script)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as started:
        worker = int(started.stdout.readline())
        started.send_signal(getattr(signal, number))
        assert started.wait(20) != 0
    for _ in range(200):
        if not is_alive(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the worker has outlived the process that started it")


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8").split()[2]
    except OSError:
        return False


class Job:
    def __init__(self, name: str) -> None:
        self.name = name


def fail_at_b(job: Job) -> Outcome:
    def work() -> Outcome:
        if job.name == "b":
            raise SettingsError("b is broken")
        if job.name == "c":
            raise RuntimeError("a fault of ours")
        return Outcome(job.name, "done", output=f"{job.name}.h5", frames=5)

    return note_outcome(job.name, work)


def test_the_report_says_what_became_of_each(caplog):
    ended = []
    with ThreadPoolExecutor(2) as executor:
        report = work_through(
            [Job(n) for n in "abcd"], fail_at_b, executor, on_outcome=ended.append
        )
    assert [o.state for o in report.outcomes] == ["done", "failed", "failed", "done"]
    assert len(ended) == 4 and [o.name for o in report.failed] == ["b", "c"]
    table = str(report)
    assert "b is broken" in table and "RuntimeError: a fault of ours" in table
    assert "2 done, 2 failed; 10 frames" in table
    assert report.to_dict()["failed"] == 2
    assert "Traceback" in caplog.text and "b is broken" not in caplog.text
