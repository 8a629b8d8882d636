"""What a network frees is there for its next step, and goes back when a training has ended."""

import subprocess
import sys

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts pages as Linux does")

# Faults are counted in a process of its own, in a thread as networks run in.
COUNT = """
import resource, threading
from mapose.memory import return_memory, reuse_memory
{first}
faults = []
def work():
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        bytearray(80 << 20)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=work)
thread.start()
thread.join()
{last}
size = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
print(faults[-1], size)
"""


def count(first: str = "", last: str = "") -> tuple[int, int]:
    """Count page faults of a large block that was there before, and what is in memory, MiB."""
    code = COUNT.format(first=first, last=last)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    faults, size = done.stdout.split()
    return int(faults), int(size)


@linux
def test_a_block_that_was_freed_is_used_again():
    faults, size = count("reuse_memory()")
    assert faults < 20 and size > 80


@linux
def test_threads_that_run_networks_do_so():
    first = "import torch; from mapose.models.shards import Workers; Workers(torch.device('cpu'))"
    faults, _ = count(first)
    assert faults < 20


@linux
def test_at_the_end_it_goes_back():
    _, size = count("reuse_memory()", "return_memory()")
    assert size < 60


def test_another_c_library_is_left_alone(monkeypatch):
    from mapose import memory

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    memory._find_glibc.cache_clear()
    memory.reuse_memory()
    memory.return_memory()
    memory._find_glibc.cache_clear()
