"""Is anything lost when two or three programs work on the same files at once?

    python tests/benchmarks/race_commands.py [--tries 10] [--seed 0] [NAME...]

Pairs of commands that share a file are begun at the same moment, or a little apart. Each has to
end well or with one line that says who waits or is refused; what all that ended well were asked
for must be there, and nothing half-written. Fails if not. Seeded; for POSIX systems.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commands import COMMANDS, TINY, Run, copy_start, make_start, read_tree, start

from mapose.edits import load_edits
from mapose.io import Video, load, load_labels
from mapose.recognition.gallery import load_gallery

TRAIN = "train mice " + " ".join(f"--set {setting}" for setting in TINY)


@dataclass(frozen=True)
class Race:
    """Commands that run at once, and what must be there of those that ended well."""

    words: tuple[str, ...]
    find_lost: Callable[[Path, list[bool]], bool]


def lose_all(folder: Path, well: list[bool]) -> bool:
    return not any(well)


def lose_edits(folder: Path, well: list[bool]) -> bool:
    return len(load_edits(folder / "walk.edits.csv")) != sum(well)


def lose_labels(folder: Path, well: list[bool]) -> bool:
    from mapose.project.project import Project

    project = Project.load(folder / "rats")
    there = set(load_labels(project.path / "labels", project.skeleton).videos)
    return {"walk", "other"} & there != {
        n for n, w in zip(("walk", "other"), well, strict=True) if w
    }


def lose_videos(folder: Path, well: list[bool]) -> bool:
    from mapose.project.project import Project

    return not {"other", "walk"} <= set(Project.load(folder / "mice").videos)


def lose_keypoints(folder: Path, well: list[bool]) -> bool:
    from mapose.project.project import Project

    names = Project.load(folder / "mice").skeleton.keypoints
    return [name in names for name in ("one", "two")] != well


def lose_models(folder: Path, well: list[bool]) -> bool:
    models = [p.parent.name for p in folder.glob("mice/models/*/model.yaml")]
    return len(models) != 1 + sum(well)


def lose_days(folder: Path, well: list[bool]) -> bool:
    days = load_gallery(folder / "mice.gallery").days["x"]
    return len(set(days)) != 1 + sum(well)


def lose_rows(folder: Path, well: list[bool]) -> bool:
    return not any(well) or len(load(folder / "other.mapose.h5")) != 90


def lose_submissions(folder: Path, well: list[bool]) -> bool:
    there = list(folder.glob("mice/jobs/*"))
    return len(there) != sum(well) or any(not (p / "manifest.json").is_file() for p in there)


def lose_attempts(folder: Path, well: list[bool]) -> bool:
    found = [json.loads(p.read_text()) for p in folder.glob("theirs/jobs/*/manifest.json")]
    return [len(one["attempts"]) for one in found] != [1 + sum(well)]


def lose_proposals(folder: Path, well: list[bool]) -> bool:
    from mapose.project.project import Project
    from mapose.project.proposals import load_proposals

    origins = load_proposals(Project.load(folder / "mice")).origins
    return not all(well) or not (origins == "model").any()


def lose_session(folder: Path, well: list[bool]) -> bool:
    steps = json.loads((folder / "trip/monday/steps.json").read_text())
    done = all("outputs" in step for step in steps.values())
    return not any(well) or len(steps) != 5 or not done


def lose_rehearsal(folder: Path, well: list[bool]) -> bool:
    return sum(well) != 1 or len(load(folder / "live.mapose.h5")) != 30


def lose_live(folder: Path, well: list[bool]) -> bool:
    """A slow computer may have answered nothing in time; then there is no result."""
    result = folder / "live.mapose.h5"
    return sum(well) != 1 or (result.exists() and not len(load(result)))


def lose_recording(folder: Path, well: list[bool]) -> bool:
    rows = (folder / "recorded/camera.times.csv").read_text().splitlines()
    with Video(folder / "recorded/camera.mkv") as video:
        return sum(well) != 1 or len(video) != len(rows) - 1


def twice(name: str) -> tuple[str, str]:
    return (COMMANDS[name].words,) * 2


RACES = {
    "swap x3": Race(
        tuple(f"swap walk.mapose.h5 --frame {n} x y" for n in (20, 40, 60)), lose_edits
    ),
    "swap, track": Race(
        ("swap walk.mapose.h5 --frame 20 x y", COMMANDS["track"].words),
        lambda folder, well: len(load_edits(folder / "walk.edits.csv")) != well[0],
    ),
    "new x2": Race(twice("new"), lose_all),
    "import x2": Race(
        ("import rats --from walk.slp --count 6", "import rats --from other.slp --count 6"),
        lose_labels,
    ),
    "import more": Race(twice("import more"), lose_videos),
    "undo x2": Race(twice("undo"), lose_all),
    "skeleton x2": Race(
        ("skeleton mice --add one", "skeleton mice --add two"), lose_keypoints
    ),
    "merge, skeleton": Race(
        (COMMANDS["merge"].words, "skeleton mice --add one --add-animal 1"), lose_all
    ),
    "train x2": Race((TRAIN, TRAIN), lose_models),
    "train one name": Race(twice("train"), lose_all),
    "analyze x2": Race(twice("analyze"), lose_rows),
    "analyze others": Race(
        ("analyze model other.mp4", "analyze model other.mp4 --animals 1"), lose_rows
    ),
    "track x2": Race((COMMANDS["track"].words, "track walk.mapose.h5 --animals 1"), lose_all),
    "gallery x2": Race(
        ("gallery add mice.gallery walk.mapose.h5",
         "gallery add mice.gallery walk.mapose.h5 --video other.mp4"),
        lose_days,
    ),
    "render x2": Race(
        (COMMANDS["render"].words, "render walk.mp4 walk.mapose.h5 --stop 20"), lose_all
    ),
    "plot x2": Race(twice("plot"), lose_all),
    "export x2": Race(twice("export slp"), lose_all),
    "evaluate x2": Race(twice("evaluate"), lose_all),
    "triangulate x2": Race(twice("triangulate"), lose_all),
    "from poses x2": Race(twice("from poses"), lose_all),
    "world x2": Race(twice("world"), lose_all),
    "propose x2": Race(twice("propose"), lose_proposals),
    "run x2": Race(twice("run"), lose_session),
    "submit x2": Race(twice("submit"), lose_submissions),
    "submit, train": Race(
        (COMMANDS["submit"].words, COMMANDS["submit train"].words), lose_submissions
    ),
    "resubmit x2": Race(twice("resubmit"), lose_attempts),
    "rehearse x2": Race(twice("rehearse"), lose_rehearsal),
    "live x2": Race(twice("live"), lose_live),
    "record x2": Race(twice("record"), lose_recording),
    "edit, swap": Race(
        (COMMANDS["edit"].words, "swap walk.mapose.h5 --frame 40 x y"), lose_edits
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, faults = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        make_start(work / "start")
        print(f"{'race':<18} {'tries':>6} {'all well':>9} {'refused':>8} {'wrong':>6}")
        for name in options.names or RACES:
            told = [run_race(RACES[name], work, rng) for _ in range(options.tries)]
            wrong = [text for text in told if text not in ("well", "refused")]
            well, refused = told.count("well"), told.count("refused")
            print(f"{name:<18} {len(told):6} {well:9} {refused:8} {len(wrong):6}", flush=True)
            for text in wrong[:3]:
                print("   ", text)
            faults += len(wrong)
    sys.exit(faults > 0)


def run_race(race: Race, work: Path, rng: random.Random) -> str:
    folder = work / "folder"
    copy_start(work / "start", folder)
    runs: list[Run] = []
    for words in race.words:
        runs.append(start(words, folder))
        time.sleep(rng.choice([0, 0, 0.02, 0.2]))
    well = [done.ended_well for done in runs]
    if not all(done.is_told for done in runs):
        return " || ".join(done.said[-300:] for done in runs)
    left = [n for n in read_tree(folder) if n.endswith((".tmp", ".lock", ".parts"))]
    if left:
        return f"left {left}"
    if race.find_lost(folder, well):
        return f"lost something, ended well: {well}; " + " || ".join(d.said[-200:] for d in runs)
    return "well" if all(well) else "refused"


if __name__ == "__main__":
    main()
