"""Does every command end in one line, and destroy nothing, on disks that take no more?

    python tests/benchmarks/full_disks.py [--rooms 6] [--seed 0] [--places FOLDER...] [NAME...]

Each command that writes is run where no file may grow beyond so many bytes (at random sizes up to
the largest that it writes), on a disk that is full, one that is full after so many kilobytes, one
that is read-only, one that is taken away while it works, and on a share that is gone of a sudden,
with all files that are open on it, and comes back. It has to end well or with one line and no
traceback, all files that were there must still be as they were, and the same command must then end
well where there is room; on the share that has come back, with the files of an uninterrupted run
and no others. Places are folders on other file systems, such as a stick of exFAT or a share of
sshfs, where it has to make the same files. The disks are mounted, which only root of a Linux
machine may do; without, only the first kind is tried. For the share bindfs has to be installed.
Seeded.
"""

import argparse
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from commands import COMMANDS, Run, clock, copy_start, make_start, read_tree, run, start
from kill_commands import make_ends, repeat

Options = argparse.Namespace
KINDS = ("limits", "full", "read_only", "vanishing", "unplugged", "foreign")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rooms", type=int, default=6, help="tries of each kind and command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--places", nargs="*", type=Path, default=[], help="other file systems")
    options = parser.parse_args()
    rng, faults = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make_start(work / "start")
        kinds = [try_limits, try_full, try_read_only, try_vanishing]
        kinds += [try_unplugged] if shutil.which("bindfs") else []
        kinds += [try_foreign] if options.places else []
        kinds = [kind for kind in kinds if kind.__name__.removeprefix("try_") in options.kinds]
        print(f"{'command':<18} {'runs':>5} {'ended well':>11} {'one line':>9} {'wrong':>6}")
        for name in options.names or COMMANDS:
            told: list[str] = []
            for kind in kinds if os.geteuid() == 0 and shutil.which("mount") else kinds[:1]:
                told += kind(name, work, rng, options)
            wrong = [text for text in told if text not in ("well", "line")]
            well, line = told.count("well"), told.count("line")
            print(f"{name:<18} {len(told):5} {well:11} {line:9} {len(wrong):6}", flush=True)
            for text in wrong[:5]:
                print("   ", text)
            faults += len(wrong)
    sys.exit(faults > 0)


def try_limits(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    folder = work / "folder"
    copy_start(work / "start", folder)
    clock(COMMANDS[name].words, folder)
    before = find_sizes(work / "start")
    made = [n for p, n in find_sizes(folder).items() if before.get(p) != n]
    told = []
    for _ in range(options.rooms):
        room = rng.randrange(0, max([*made, 1]))

        def limit(room: int = room) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        copy_start(work / "start", folder)
        done = run(COMMANDS[name].words, folder, limit)
        told.append(judge(f"{room} bytes a file", done, name, folder, work))
    return told


def try_full(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    told = []
    for room in [0, *(2 ** rng.uniform(2, 11) for _ in range(options.rooms - 1))]:
        with mount(work) as folder:
            shutil.copytree(work / "start", folder, dirs_exist_ok=True)
            fill(folder, int(room) * 1024)
            done = run(COMMANDS[name].words, folder)
            (folder / "filling").unlink()
            told.append(judge(f"{room:.0f} kB left", done, name, folder, work))
    return told


def try_read_only(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    with mount(work) as folder:
        shutil.copytree(work / "start", folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        done = run(COMMANDS[name].words, folder)
        done.wait()
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
        return [judge("read-only", done, name, folder, work)]


def try_vanishing(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    """The disk is taken away; nothing can be said then of what was on it."""
    copy_start(work / "start", work / "folder")
    seconds = clock(COMMANDS[name].words, work / "folder")
    told = []
    for _ in range(options.rooms):
        with mount(work) as folder:
            shutil.copytree(work / "start", folder, dirs_exist_ok=True)
            # By its full path: a working directory would hold on to the disk.
            words = put_path_before(COMMANDS[name].words, folder)
            begun = start(words, work)
            time.sleep(rng.uniform(0, seconds))
            subprocess.run(["umount", "-l", folder], check=True)
            begun.wait()
            left = [p.name for p in folder.rglob("*") if p.suffix in (".tmp", ".lock")]
            shutil.rmtree(folder)  # of what was written where the disk had been
        how = "well" if begun.wait() == 0 else "line"
        told.append(
            how if begun.is_told and not left else f"taken away: {left} {begun.said[-300:]}"
        )
    return told


def try_unplugged(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    """A share is gone at a random moment, as if its cable were pulled, and comes back."""
    command, folder, share, told = COMMANDS[name], work / "folder", work / "share", []
    ends, seconds = make_ends(command, work)
    for _ in range(options.rooms):
        moment = rng.uniform(0, seconds)
        copy_start(work / "start", share)
        with mount_share(share, folder) as server:
            begun = start(command.words, folder)
            time.sleep(moment)
            server.kill()
            server.wait()
            begun.wait()
        how = "well" if begun.wait() == 0 else "line"
        if not begun.is_told:
            told.append(f"unplugged at {moment:.2f} s: status {begun.status}, {begun.said[-300:]}")
            continue
        if lost := (read_names(work / "start") & ends[0].keys()) - read_names(share):
            told.append(f"unplugged at {moment:.2f} s: lost {sorted(lost)[:3]}")
            continue
        with mount_share(share, folder):
            faults = repeat(command, folder, ends)
        told.append(f"unplugged at {moment:.2f} s, then {faults}" if faults else how)
    shutil.rmtree(share)
    return told


def try_foreign(name: str, work: Path, rng: random.Random, options: Options) -> list[str]:
    """Another file system stands where the folder did."""
    command, folder, told = COMMANDS[name], work / "folder", []
    ends, _ = make_ends(command, work)
    for place in options.places:
        room = place / "mapose-disks"
        shutil.rmtree(room, ignore_errors=True)
        # Without modes and times, which not all of them take.
        subprocess.run(["cp", "-r", "--no-preserve=all", work / "start", room], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        subprocess.run(["mount", "--bind", room, folder], check=True)
        try:
            faults = repeat(replace(command, again=None), folder, ends)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(room)
        told.append(f"{place}: {faults}" if faults else "well")
    return told


def read_names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@contextlib.contextmanager
def mount_share(share: Path, folder: Path) -> Iterator[subprocess.Popen]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    server = subprocess.Popen(["bindfs", "-f", share, folder])
    while not folder.is_mount():
        time.sleep(0.02)
    try:
        yield server
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        server.wait()


def judge(what: str, done: Run, name: str, folder: Path, work: Path) -> str:
    """Say how a run ended; whether all is there still, and the command ends well with room."""
    if not done.is_told:
        return f"{what}: status {done.status}, {done.said[-300:]}"
    status, said = done.wait(), done.said
    if status:
        lost = find_lost(work / "start", folder, done)
        if lost:
            return f"{what}: changed {lost[:3]}"
        repeated = run(COMMANDS[name].find_again(folder), folder)
        if repeated.wait() != 0:
            return f"{what}: {said[-150:]}; and then {repeated.said[-300:]}"
    return "line" if status else "well"


def find_lost(start_: Path, folder: Path, done: Run) -> list[str]:
    """Find the files that were there before and are no longer as they were, or half files."""
    before, now = read_tree(start_), read_tree(folder)
    lost = [n for n, content in before.items() if now.get(n) != content]
    return lost + [n for n in now if n.endswith((".tmp", ".lock"))]


def put_path_before(words: str, folder: Path) -> str:
    """Name files by their full path."""
    there = {p.name for p in folder.iterdir()} | {"rats", "doubtful", "recorded"}
    named = []
    for word in words.split():
        camera, sign, path = word.rpartition("=")
        ours = path in there or path.startswith("mice/") or named[-1:] in (["-o"], ["--print"])
        named.append(f"{camera}{sign}{folder / path}" if ours else word)
    if words.startswith("calibrate --board") and "--print" not in words:
        named += ["-o", str(folder / "calibration.toml")]
    return " ".join(named)


def find_sizes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}


def fill(folder: Path, room: int) -> None:
    """Leave so many bytes of a disk."""
    free = shutil.disk_usage(folder).free
    (folder / "filling").write_bytes(bytes(max(0, free - room)))


@contextlib.contextmanager
def mount(work: Path) -> Iterator[Path]:
    folder = work / "disk"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        while folder.is_mount():  # umount comes back before all is done
            subprocess.run(["umount", "-l", folder], check=True)
            time.sleep(0.05)


if __name__ == "__main__":
    main()
