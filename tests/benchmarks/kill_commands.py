"""Does a command that is killed at any moment end, when repeated, as if nothing had happened?

    python tests/benchmarks/kill_commands.py [--moments 200] [--changes 200] [--seed 0] [NAME...]

Each command that writes is killed (SIGKILL) before every change that it makes to the file system,
and at so many random moments, shared out among the commands. Then the same command is run again.
Its folder must then hold the files of an uninterrupted run (once, or twice, where it had ended
already), and nothing else. Fails if one does not. Seeded; for POSIX systems.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from commands import (
    COMMANDS,
    Command,
    clock,
    copy_start,
    count_changes,
    make_start,
    name_differences,
    read_tree,
    run,
    start,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--moments", type=int, default=200, help="random ones, of all commands")
    parser.add_argument("--changes", type=int, default=200, help="at most, of each command")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.names or list(COMMANDS)
    rng = random.Random(options.seed)
    faults = 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make_start(work / "start")
        print(f"{'command':<18} {'s':>6} {'changes':>8} {'moments':>8} {'wrong':>6}")
        for name in names:
            share = -(-options.moments // len(names))
            faults += try_command(name, work, rng, share, options.changes)
    sys.exit(faults > 0)


def try_command(name: str, work: Path, rng: random.Random, moments: int, most: int) -> int:
    command, folder = COMMANDS[name], work / "folder"
    ends, seconds = make_ends(command, work)
    changes = count_all(command, work)
    faults = []
    chosen = sorted(rng.sample(range(1, changes + 1), min(most, changes)))
    for number in chosen:

        def kill(count: int, number: int = number) -> None:
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)

        copy_start(work / "start", folder)
        run(command.words, folder, count_changes(kill))
        faults += [f"change {number}: {fault}" for fault in repeat(command, folder, ends)]
    for _ in range(moments):
        moment = rng.uniform(0, seconds)
        copy_start(work / "start", folder)
        killed = start(command.words, folder)
        time.sleep(moment)
        killed.kill()
        faults += [f"{moment:.3f} s: {fault}" for fault in repeat(command, folder, ends)]
    print(f"{name:<18} {seconds:6.2f} {len(chosen):8} {moments:8} {len(faults):6}", flush=True)
    for fault in faults[:5]:
        print("   ", fault)
    return len(faults)


def make_ends(command: Command, work: Path) -> tuple[list[dict], float]:
    """Make the folders that an uninterrupted run, and a second one, end with."""
    folder, ends = work / "folder", []
    copy_start(work / "start", folder)
    seconds = clock(command.words, folder)
    ends.append(read_tree(folder))
    run(command.find_again(folder), folder)
    ends.append(read_tree(folder))
    return ends, seconds


def count_all(command: Command, work: Path) -> int:
    folder, tally = work / "folder", work / "tally"
    copy_start(work / "start", folder)
    file = os.open(tally, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    run(command.words, folder, count_changes(lambda _: os.write(file, b".") and None))
    os.close(file)
    return tally.stat().st_size


def repeat(command: Command, folder: Path, ends: list[dict]) -> list[str]:
    """Run the command again; what is wrong then."""
    again = run(command.find_again(folder), folder)
    if not again.is_told:
        return [f"a traceback: {again.said[-300:]}"]
    found = read_tree(folder)
    if command.kept:
        endings = tuple(command.kept.split())
        *ends, found = [
            {name: content for name, content in tree.items() if not name.endswith(endings)}
            for tree in (*ends, found)
        ]
    if command.by_name:
        ends, found = [dict.fromkeys(end) for end in ends], dict.fromkeys(found)
    best = min((name_differences(end, found) for end in ends), key=len)
    return [f"{', '.join(best[:4])} | {again.said[-200:]}"] if best else []


if __name__ == "__main__":
    main()
