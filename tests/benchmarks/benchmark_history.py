"""Is every acknowledged change of labels there after a kill, and is a long history quick to open?

    python tests/benchmarks/benchmark_history.py [--changes 500] [--kills 50] [--million 1000000]

1. A process makes scripted changes (set, move, absent, rename and remove a keypoint, undo, redo,
   merge) and acknowledges each on a pipe. It is killed (SIGKILL) at so many random moments, and
   started again where the journal stands. Every acknowledged change has to be in the journal; the
   tables have to say what the journal says; a plain replay of the journal's lines has to give, for
   every entry, what `History.get_state` and `restore` give; undo has to reach the first change.
2. Two processes change the same frame at once: every acknowledged change is there, and where both
   set one point after the same look, the later one was told.
3. A journal of so many changes is written line by line, and opened.

Fails if one does not hold. Seeded; for POSIX systems.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mapose.io import VideoWriter, load_labels
from mapose.labels import Labels
from mapose.project.changes import LabelState, apply_steps
from mapose.project.history import ConflictError, History
from mapose.project.merging import merge_projects
from mapose.project.project import Project
from mapose.skeleton import Skeleton

FRAMES, PARTS = 40, ["snout", "earL", "earR", "tail"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--million", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        faults = try_kills(work / "kills", options.changes, options.kills, options.seed)
        faults += try_two(work / "two", 100)
        if options.million:
            faults += try_million(work / "million", options.million)
    for fault in faults[:20]:
        print("   ", fault)
    sys.exit(bool(faults))


def make_project(folder: Path) -> Project:
    folder.mkdir()
    for name in ("film", "other"):
        with VideoWriter(folder / f"{name}.mp4", 25) as writer:
            for i in range(FRAMES):
                writer.write(np.full((48, 64), 5 * i, np.uint8))
    for name in ("mice", "giving"):
        project = Project.create(
            folder / name, Skeleton(PARTS, [("snout", "tail")]), individuals=["ann", "bob"],
            videos=[folder / "film.mp4"],
        )  # fmt: skip
        project.add_frames("film", range(0, FRAMES, 2))
    return Project.load(folder / "mice")


def change_once(project: Project, rng: random.Random, giving: Path) -> Project:
    """Make a change that fits the labels as they are."""
    frame, who = 2 * rng.randrange(FRAMES // 2), rng.choice(project.individuals)
    parts = list(project.skeleton.keypoints)
    part, kind = rng.choice(parts), rng.random()
    if kind < 0.45:
        points = {k: (rng.uniform(0, 64), rng.uniform(0, 48)) for k in rng.sample(parts, 2)}
        return project.set_points("film", frame, points, individual=who)
    if kind < 0.6:  # move one that is there
        marked = [(f, s) for f, spots in project.read_state().marks.items() for s in spots]
        if marked:
            (_, image), (who, part) = rng.choice(marked)
            return project.set_points(
                "film", image, {part: (rng.uniform(0, 64), 9)}, individual=who
            )
    if kind < 0.75:
        return project.set_state("film", frame, [part], "absent", individual=who)
    if kind < 0.81:
        return project.rename_keypoint(part, f"{part.rstrip('0123456789')}{rng.randrange(10**6)}")
    if kind < 0.85:
        return project.remove_keypoint(part) if len(parts) > 3 else project.add_keypoint(
            f"new{rng.randrange(10**6)}"
        )  # fmt: skip
    if kind < 0.92:
        other = Project.load(giving)
        other.set_points(
            "film", frame, {other.skeleton.keypoints[0]: (rng.uniform(0, 64), 1)}, individual=who
        )
        return merge_projects(project.path, giving, prefer=rng.choice(["mine", "theirs"]))[0]
    last = project.history(1)[-1]
    return project.redo() if last.redo and kind < 0.96 else project.undo()


def work_on(folder: Path, pipe: int, seed: int) -> None:
    """Make changes for ever; say the number of the journal after each."""
    rng = random.Random(seed)
    project = Project.load(folder / "mice")
    while True:
        project = change_once(project, rng, folder / "giving")
        os.write(pipe, b"%d\n" % project._past.number)


def fork(work: Callable[[int], None]) -> tuple[int, int]:
    pipe, out = os.pipe()
    process = os.fork()
    if process:
        os.close(out)
        return process, pipe
    try:
        work(out)
    except BaseException as fault:
        os.write(2, f"the worker failed: {fault!r}\n".encode())
        os._exit(1)
    os._exit(0)


def read_all(pipe: int) -> list[str]:
    with os.fdopen(pipe, encoding="utf-8") as file:
        return [line.strip() for line in file if line.endswith("\n")]


def try_kills(folder: Path, changes: int, kills: int, seed: int) -> list[str]:
    """Kill at random moments; between two kills so many changes that they add up to `changes`."""
    make_project(folder)
    rng, faults = random.Random(seed), []
    journal = folder / "mice/labels/journal.jsonl"
    number, by_moment, run = History(folder / "mice").number, 0, 0
    begun, acknowledged = time.monotonic(), 0
    while run < kills or number < changes:
        run += 1
        process, pipe = fork(lambda out, run=run: work_on(folder, out, 1000 * seed + run))
        time.sleep(rng.uniform(0.05, 0.7))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        said = [int(line) for line in read_all(pipe)]
        acknowledged += len(said)
        half = not journal.read_bytes().endswith(b"\n")
        lines = [json.loads(t) for t in journal.read_bytes().split(b"\n")[: None if half else -1]
                 if not half or t.endswith(b"}")]  # fmt: skip
        by_moment += half
        if said and lines[-1]["number"] < max(said):
            faults.append(f"kill {run}: change {max(said)} was acknowledged and is not there")
        faults += [f"kill {run}: {fault}" for fault in compare_tables(folder / "mice")]
        number = Project.load(folder / "mice")._past.number
    print(f"{acknowledged} changes acknowledged, {number} entries, {run} kills "
          f"({by_moment} in mid-line), {time.monotonic() - begun:.0f} s")  # fmt: skip
    faults += compare_states(folder / "mice")
    return faults


def compare_tables(folder: Path) -> list[str]:
    """After opening, the tables, the skeleton and the journal say the same."""
    project = Project.load(folder)
    state = project.read_state()
    if [entry for entry in project.history() if entry.what == "edited by hand"]:
        return ["a table was taken for a person's"]
    if project.skeleton.to_dict() != state.skeleton:
        return ["mapose.yaml has another skeleton than the journal"]
    labels, shown = state.to_labels(folder / "labels"), load_labels(
        folder / "labels", project.skeleton
    )  # fmt: skip
    same = np.array_equal(labels.points, shown.points, equal_nan=True)
    same &= np.array_equal(labels.states, shown.states)
    same &= np.array_equal(labels.origins, shown.origins)
    return [] if same else ["labels.csv and the journal disagree"]


def compare_states(folder: Path) -> list[str]:
    """Every state is what a plain replay gives; undo reaches the first."""
    project, faults = Project.load(folder), []
    replayed, plain = LabelState(), {}
    lines = (folder / "labels/journal.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        entry = json.loads(line)
        apply_steps(replayed, entry["steps"])
        plain[entry["number"]] = replayed.copy()
    numbers = sorted(plain)
    if numbers != list(range(1, len(lines) + 1)):
        faults.append("numbers of the journal are not 1, 2, 3, ...")
    for number in numbers:
        if project._past.get_state(number) != plain[number]:
            faults.append(f"state {number} is not what a plain replay gives")
    rng = random.Random(0)
    for number in rng.sample(numbers, 25):
        project = project.restore(number)
        if Project.load(folder).read_state() != plain[number]:
            faults.append(f"state {number} was not restored")
    count = 0
    while project.history(1)[-1].undo:
        project, count = project.undo(), count + 1
    if Project.load(folder).read_state() != plain[1]:
        faults.append("undo does not reach the first change")
    print(f"{len(numbers)} states equal a plain replay, 25 restored, {count} undone to the first")
    return faults


def try_two(folder: Path, rounds: int) -> list[str]:
    """Two processes change one frame at once: each its own point, and both the same point."""
    make_project(folder)
    place = folder / "mice"

    def work(out: int, who: str, part: str) -> None:
        project, rng = Project.load(place), random.Random(who)
        for number in range(rounds):
            for name in (part, "tail"):
                time.sleep(rng.uniform(0, 0.1))  # as long as people do nothing, at least
                try:
                    x = float(number) if name == part else {"ann": 1000.0, "bob": 2000.0}[who]
                    project = project.set_points(
                        "film", 4, {name: (x + number / 8, 1.0)}, individual="ann"
                    )
                    os.write(out, f"{name} {number} {project._past.number}\n".encode())
                except ConflictError:
                    os.write(out, f"{name} {number} told\n".encode())

    begun = time.monotonic()
    runs = [fork(lambda o, w=w, p=p: work(o, w, p)) for w, p in (("ann", "snout"), ("bob", "earL"))]
    said = []
    for process, pipe in runs:
        said.append(read_all(pipe))
        os.waitpid(process, 0)
    told = sum(line.endswith("told") for lines in said for line in lines)
    kept = [int(line.split()[2]) for lines in said for line in lines if not line.endswith("told")]
    project, faults = Project.load(place), []
    if len(set(kept)) != len(kept) or not set(kept) <= {e.number for e in project.history()}:
        faults.append("two processes: an acknowledged change is not in the journal")
    own = [line for lines in said for line in lines if not line.startswith("tail")]
    if any(line.endswith("told") for line in own):
        faults.append("two processes: a conflict where each has its own point")
    faults += compare_tables(place) + find_silent(project)
    print(f"two processes on one frame: {len(kept)} changes kept, {told} conflicts told, "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    return faults


def find_silent(project: Project) -> list[str]:
    """A point that was set by the one after the other must have been looked at in between.

    Each process sets the two points in turns, so that one that has not failed has looked at the
    journal at its own change before: between that one and this the other has not set the point.
    """
    last = {1: 0, 2: 0}
    setter: list[tuple[int, int]] = []
    for entry in project.history():
        for step in entry.steps:
            for _, _, spots in step.get("marks", ()):
                for _, part, _, after in spots:
                    who = {"snout": 1, "earL": 2}.get(part)
                    if who is None and part == "tail":
                        who = 1 if after[0] < 2000 else 2
                        looked = last[who]
                        if any(w != who and n > looked for w, n in setter):
                            return [f"entry {entry.number} has silently overwritten another"]
                        setter.append((who, entry.number))
                    if who is not None:
                        last[who] = entry.number
    return []


def add_many(project: Project) -> Project:
    """Add 500 frames, so that there are 4,160 keypoints to change."""
    place = project.path / "labels" / "film"
    images = tuple(place / f"frame{1000 + i:06d}.png" for i in range(500))
    for image in images:
        shutil.copy(place / "frame000000.png", image)
    points = np.full((500, 2, len(PARTS), 2), np.nan)
    numbers = np.arange(1000, 1500)
    return project.put_labels(
        Labels(points, project.skeleton, ("film",) * 500, numbers, images, ("ann", "bob"))
    )


def try_million(folder: Path, count: int) -> list[str]:
    """Write a journal of so many changes as the product does, but for waiting for the disk."""
    project = add_many(make_project(folder))
    past, rng = project._past, np.random.default_rng(0)
    past.read()
    real, os.fsync = os.fsync, lambda _: None
    begun = time.monotonic()
    frames = list(past.state.frames)
    for i, (x, y) in enumerate(rng.uniform(0, 60, (count, 2)).tolist()):
        if not i % 100_000:
            past._save_snapshot()
        spot = ("ann" if i % 2 else "bob", PARTS[i // 2 % 4])
        frame = frames[i // 8 % len(frames)]
        before = past.state.marks.get(frame, {}).get(spot)
        after = (round(x, 3), round(y, 3), "visible", "person")
        past._append(f"set {spot[1]}", [{"marks": [[*frame, [[*spot, before, after]]]]}], "change")
    past.tables.write(past.state, past.number, None)
    os.fsync = real
    size = past.journal.size / 1e6
    print(f"{count} changes written in {time.monotonic() - begun:.0f} s, {size:.0f} MB")
    project.set_points("film", 4, {"tail": (1, 1)}, individual="ann")  # one that makes a snapshot
    faults = []
    for what in ("with its snapshot", "as it is after 2000 more at most", "without a snapshot"):
        if what.startswith("as"):
            project = Project.load(folder / "mice")
            for i in range(200):
                project = project.set_points("film", 4, {"tail": (i, 1)}, individual="ann")
        if what.startswith("without"):
            (folder / "mice/labels/journal.snapshot.json").unlink()
        begun = time.monotonic()
        opened = Project.load(folder / "mice")
        opened.load_labels()
        seconds = time.monotonic() - begun
        begun = time.monotonic()
        opened = opened.undo()
        opened.history(20)
        print(f"opened {what}: {seconds:.2f} s; undo and the last 20: "
              f"{time.monotonic() - begun:.2f} s")  # fmt: skip
        if seconds > 2 and not what.startswith("without"):
            faults.append(f"opening a million changes took {seconds:.1f} s")
    begun = time.monotonic()
    opened.restore(count // 2)
    print(f"change {count // 2} restored in {time.monotonic() - begun:.1f} s")
    return faults


if __name__ == "__main__":
    main()
