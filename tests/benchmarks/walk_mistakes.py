"""What is a newcomer told who makes a mistake with each command?

    python tests/benchmarks/walk_mistakes.py [--log FILE] [COMMAND...]

Some 250 mistakes: names with typos, wrong suffixes, files that are missing, empty or something
else, folders for files, numbers out of range, swapped arguments, cameras that do not exist,
projects that moved, folders that may not be written to (only as root, which then gives that up),
odd names, and tables with Windows line ends. No run may end in a traceback, none may change a file
that was there, and a refusal is one line (or the usage of the command). What each has said is
printed: whether it helps is for a person to judge. For POSIX systems.
"""

# ruff: noqa: E501 (a table of what is typed)
import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt  # before somebody runs who may not read where it lies
from commands import COMMANDS, Run, copy_start, make_start, run

NOBODY = 65534
BOM = "\ufeff"
BOARD = "--board charuco:8x6:30mm:22mm:4x4_250"
LINE = "--origin 0,0,0 --x 9,0,0 --y 0,9,0"
ZONES = f"{BOM}zones:\r\n  nest: [[0, 0], [40, 0], [40, 40], [0, 40]]\r\n"
TRIP = "model: ../../model\nindividuals: 2\n"

#: What tells in its table what was not found.
NOT_ALL = ("relink", "project moved: relink", "run", "no permission")

#: Files that a mistake is made with, by name: their text.
ODD_FILES = {
    "notes.txt": "call Anna\n",
    "notes.mp4": "this is no video\n",
    "empty.mp4": "",
    "empty.csv": "",
    "notes.h5": "this is no HDF5\n",
    "notes.mapose.h5": "this is no result\n",
    "notes.slp": "this is no file of SLEAP\n",
    "notes.json": '{"a": 1}\n',
    "broken.json": '{"a": ',
    "broken.toml": "[cam_0\nname=",
    "notes.toml": "a = 1\n",
    "zones.yaml": ZONES,
    "twice.yaml": "nest: [0, 0, 5, 5]\nnest: [0, 0, 9, 9]\n",
    "broken.yaml": "zones: [\n",
    "stamps.csv": "frame,time\nx,y\n",
    "trips/typo/session.yaml": TRIP + "indivduals: 2\n",
    "trips/bom/session.yaml": BOM + TRIP.replace("\n", "\r\n"),
    "trips/twice/session.yaml": TRIP + "model: ../other\n",
    "trips/cameras/session.yaml": TRIP + "cameras: [top, side]\n",
    "trips/gone/session.yaml": "model: ../nothing\n",
    "trips/list/session.yaml": "- model\n",
    "trips/none/notes.txt": "",
    "trips/export/session.yaml": TRIP + "export: [excel]\n",
    "trips/half/session.yaml": "individuals: 2\n",
    "trips/animals/session.yaml": "model: ../../model\nindividuals: two\n",
}

#: By command, what is typed.
MISTAKES = {
    "new": [
        "new rats", "new rats --keypoints a,b --edges a-c", "new rats --keypoints a,a",
        "new rats --keypoints a,b --edges ab", "new mice --keypoints a,b",
        "new walk.mp4 --keypoints a,b", "new rats --keypoints a,b --individuals -2",
        "new rats --keypoints a,b --videos gone.mp4", "new rats --keypoints ''",
        "new rats --keypoints a,b --videos notes.mp4", "new 'ratten: größe 1' --keypoints 'Ohr links,b'",
        "new rats --keypoint a,b", "new no/such/folder/rats --keypoints a,b",
    ],
    "import": [
        "import rats --from gone.slp", "import rats --from walk.mp4", "import rats --from notes.slp",
        "import rats --from notes.txt", "import rats --from mice", "import rats --from walk.slp --count 0",
        "import rats --from walk.slp --count many", "import rats", "import walk.slp --from rats",
        "import rats --from empty.csv", "import rats --from notes.json", "import rats --from broken.json",
        "import rats --from .", "import rats --from elsewhere",
    ],
    "add": [
        "add mice gone.mp4", "add mice notes.txt", "add mice notes.mp4", "add mice empty.mp4",
        "add mice elsewhere", "add nowhere other.mp4", "add other.mp4 mice", "add mice",
        "add mice walk.mp4", "add mice top=other.mp4 top=short.mp4 --session may",
    ],
    "info": ["info gone", "info notes.txt", "info elsewhere", "info notes.mapose.h5", "info empty.mp4"],
    "extract": [
        "extract mice --method kmean", "extract mice --count -1", "extract mice --count 1000000000",
        "extract walk.mp4", "extract gone", "extract mice --count 2.5", "extract mice --video gone",
    ],
    "refine": [
        "refine mice walk.mp4", "refine mice gone.mapose.h5", "refine walk.mapose.h5 mice",
        "refine mice --accept nothing", "refine mice notes.mapose.h5", "refine mice v0.mapose.h5",
        "refine mice walk.mapose.h5 --count -3",
    ],
    "history": ["history walk.mp4", "history gone", "history mice --undo --redo", "history mice --count x"],
    "restore": ["restore mice 999", "restore mice yesterday", "restore mice -1", "restore mice", "restore 3 mice"],
    "skeleton": [
        "skeleton mice --rename z=y", "skeleton mice --rename a=b", "skeleton mice --rename a",
        "skeleton mice --add a", "skeleton mice --join a-z", "skeleton mice --add ''", "skeleton gone",
        "skeleton mice --remove z",
    ],
    "merge": ["merge mice mice", "merge mice gone", "merge mice walk.slp", "merge mice theirs --prefer hers",
              "merge mice theirs --rename z=y"],
    "train": [
        "train mice --preset smal", "train mice --set train.step=3", "train mice --set train.steps=abc",
        "train mice --set train.steps", "train mice --set train.rate=nan", "train gone", "train walk.slp",
        "train mice --name ../x", "train mice --name old", "train mice --resume", "train mice --init walk.mp4",
        "train mice --device cud", "train mice --set train.batch=-1", "train mice --set train.test=7",
        "train blank", "train mice --learning-curve 20,x", "train mice --folds 1", "train mice --seeds 0",
    ],
    "evaluate": ["evaluate mice --model nothing", "evaluate model", "evaluate gone", "evaluate walk.mapose.h5",
                 "evaluate blank"],
    "models": [
        "models list walk.mp4", "models list gone", "models compare mice old", "models compare mice old nothing",
        "models export model --to onx", "models export gone --to torchscript",
        "models export model --to torchscript -o walk.mp4", "models",
    ],
    "zoo": ["zoo get nosuch", "zoo get notes.txt", "zoo add walk.mp4 --licence MIT", "zoo add model --name tiny",
            "zoo add gone --licence MIT", "zoo lst"],
    "crop": ["crop mice walk 4,4,40", "crop mice walk 0,0,9999,9999", "crop mice gone 1,2,30,40",
             "crop mice walk nan,0,9,9", "crop mice walk -5,0,20,20", "crop mice walk 4,4,0,0", "crop walk mice 4,4,40,40"],
    "analyze": [
        "analyze walk.mp4 model", "analyze model gone.mp4", "analyze model notes.mp4", "analyze model empty.mp4",
        "analyze zoo:nothing walk.mp4", "analyze model walk.mp4 -o walk.mp4", "analyze model walk.mp4 --animals 0",
        "analyze model elsewhere --filter '*.avi'", "analyze model", "analyze blank walk.mp4",
        "analyze mice other.mp4 --model nothing", "analyze model other.mp4 --jobs many",
        "analyze model other.mp4 --crop 1,2", "analyze '~/model' walk.mp4", "analyze model notes.txt",
        "analyze model walk.mp4", "analyze gone walk.mp4", "analyze model other.mp4 --device tpu",
        "analyze model other.mp4 -o no/such/folder", "analyze model walk.slp", "analyse model walk.mp4",
        "analyze model other.mp4 --scheduler nowhere", "analyze model 'gone: größe.mp4'",
    ],
    "track": [
        "track walk.mp4", "track walk.mapose.h5 --animals 2.5", "track walk.mapose.h5 --animals 2 -o walk.mapose.h5",
        "track walk.mapose.h5 --animals 2 -o x.txt", "track walk.mapose.h5 --gallery gone", "track model",
        "track notes.mapose.h5", "track gone.mapose.h5", "track walk.mapose.h5 --animals -1",
        "track walk.mapose.h5 --animals 9999999999", "track walk.mapose.h5 --animals 2 --gallery walk.mp4",
    ],
    "filter": ["filter walk.mapose.h5 --method kalmann", "filter walk.mp4", "filter gone.mapose.h5",
               "filter walk.mapose.h5 -o walk.mapose.h5", "filter walk.mapose.h5 --max-gap -1", "filter elsewhere",
               "filter walk.mapose.h5 --method median --window 4"],
    "kinematics": [
        "kinematics walk.mapose.h5 --scale 412px", "kinematics walk.mapose.h5 --scale 412px=300",
        "kinematics walk.mapose.h5 --scale 0px=1mm", "kinematics walk.mapose.h5 --zones gone.yaml",
        "kinematics walk.mapose.h5 --zones zones.yaml", "kinematics walk.mapose.h5 --zones twice.yaml",
        "kinematics walk.mapose.h5 --zones broken.yaml", "kinematics walk.mapose.h5 --moving -1",
        "kinematics walk.mapose.h5 --moving nan", "kinematics walk.mp4", "kinematics walk.mapose.h5 -o walk.xlsx",
        "kinematics walk.mapose.h5 --rate 0",
    ],
    "render": [
        "render walk.mapose.h5 walk.mp4", "render walk.mp4 walk.mapose.h5 --start 9:99",
        "render walk.mp4 walk.mapose.h5 --start 20 --stop 10", "render walk.mp4 walk.mapose.h5 -o walk.mp4",
        "render walk.mp4 walk.mapose.h5 --camera top", "render walk.mp4", "render gone.mp4 walk.mapose.h5",
        "render walk.mp4 gone.mapose.h5", "render notes.mp4 walk.mapose.h5", "render walk.mp4 space.mapose.h5",
        "render walk.mp4 space.mapose.h5 --camera left", "render walk.mp4 walk.mapose.h5 -o x.txt",
        "render top=walk.mp4 cam1=other.mp4 space.mapose.h5",
    ],
    "plot": ["plot gone", "plot walk.mp4", "plot walk.mapose.h5 -o x.mp4", "plot model walk.mp4 --maps --frame 9999",
             "plot model gone.mp4 --maps --frame 3", "plot notes.mapose.h5", "plot model walk.mp4 --maps --frame -3"],
    "metrics": ["metrics walk.mapose.h5 gone.mapose.h5", "metrics walk.mp4 walk.mapose.h5", "metrics walk.mapose.h5",
                "metrics walk.mapose.h5 v0.mapose.h5", "metrics walk.slp walk.mapose.h5 --shift 99999"],
    "export": [
        "export walk.mapose.h5 --to excel", "export walk.mapose.h5 --to slp -o out.csv", "export walk.mp4 --to csv",
        "export walk.mapose.h5 --to slp -o walk.slp", "export walk.mapose.h5 --to trc", "export gone --to csv",
        "export walk.mapose.h5 --to trc --unit furlong", "export mice --to csv -o mice", "export walk.mapose.h5",
    ],
    "swaps": ["swaps walk.mp4", "swaps gone.mapose.h5", "swaps walk.slp"],
    "swap": [
        "swap walk.mapose.h5 --frame 9999 x y", "swap walk.mapose.h5 --frame -5 x y",
        "swap walk.mapose.h5 --frame 20 x z", "swap walk.mapose.h5 --frame 20 x", "swap walk.mapose.h5 x y",
        "swap walk.mapose.h5 --frame 20 x x", "swap walk.mp4 --frame 20 x y", "swap walk.mapose.h5 --undo",
        "swap walk.slp --frame 20 x y",
    ],
    "name": ["name walk.mapose.h5 x y", "name walk.mapose.h5 z Anna", "name walk.mapose.h5 x",
             "name walk.mapose.h5 x ''", "name gone.mapose.h5 x Anna"],
    "edit": [
        "edit walk.mapose.h5 jion x y", "edit walk.mapose.h5 move x --frame 20 --keypoint a",
        "edit walk.mapose.h5 move x --frame 20 --keypoint a --to 5",
        "edit walk.mapose.h5 move x --frame 20 --keypoint a --to nan,5",
        "edit walk.mapose.h5 move x --frame 20 --keypoint tail --to 5,5",
        "edit walk.mapose.h5 delete x --frame 30 --last 20", "edit walk.mapose.h5 delete x --frame 1000000000",
        "edit walk.mapose.h5 split x --frame -1", "edit walk.mapose.h5 join x", "edit walk.mapose.h5 join x z",
        "edit walk.mp4 join x y",
    ],
    "gallery": ["gallery list walk.mp4", "gallery list gone", "gallery add mice.gallery gone.mapose.h5",
                "gallery add mice.gallery walk.mapose.h5 --names z=Anna", "gallery add walk.mp4 walk.mapose.h5",
                "gallery add mice.gallery walk.mapose.h5 --video notes.mp4",
                "gallery add mice.gallery walk.mapose.h5 --names x"],
    "calibrate": [
        "calibrate --board charuco:8x6 a=board_a.mp4 b=board_b.mp4", "calibrate --board chess:9x6:30mm a=board_a.mp4",
        "calibrate --board gone.toml a=board_a.mp4 b=board_b.mp4", f"calibrate {BOARD} a=gone.mp4 b=board_b.mp4",
        f"calibrate {BOARD} board_a.mp4 board_b.mp4", f"calibrate {BOARD} a=board_a.mp4 a=board_b.mp4",
        f"calibrate {BOARD} a=walk.mp4 b=other.mp4", f"calibrate {BOARD}", "calibrate a=board_a.mp4 b=board_b.mp4",
        f"calibrate {BOARD} --print board.txt", f"calibrate {BOARD} a=board_a.mp4 b=board_b.mp4 -o rig.toml",
        "calibrate --check gone.toml cam0=v0.mapose.h5 cam1=v1.mapose.h5",
        "calibrate --check rig.toml left=v0.mapose.h5 right=v1.mapose.h5",
        "calibrate --from-poses --lenses gone.toml cam0=v0.mapose.h5 cam1=v1.mapose.h5",
        "calibrate --from-poses cam0=walk.mp4 cam1=other.mp4",
        "calibrate --board charuco:8x6:30furlong:22mm:4x4_250 a=board_a.mp4 b=board_b.mp4",
        f"calibrate {BOARD} a=notes.mp4 b=board_b.mp4",
    ],
    "world": [
        "world rig.toml --origin nan,0,0 --x 9,0,0 --y 0,9,0", "world rig.toml --origin 0,0,0 --x 9,0,0 --y 18,0,0",
        f"world walk.mp4 {LINE}", f"world rig.toml {LINE} --length 300", f"world rig.toml {LINE} --length 300furlong",
        f"world rig.toml {LINE} -o rig.toml", "world rig.toml", "world rig.toml --origin 0,0 --x 9,0,0 --y 0,9,0",
        f"world gone.toml {LINE}", f"world broken.toml {LINE}", f"world notes.toml {LINE}", f"world rig.toml {LINE} -o x.txt",
        f"world rig.toml {BOARD} --frame 3 left=board_a.mp4",
    ],
    "triangulate": [
        "triangulate left=v0.mapose.h5 right=v1.mapose.h5 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v0.mapose.h5 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=gone.mapose.h5 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 --calibration walk.mp4 -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 --calibration rig.toml -o v0.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 --calibration rig.toml --times gone.csv -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 --calibration rig.toml --times stamps.csv -o out.mapose.h5",
        "triangulate cam0=walk.mp4 cam1=other.mp4 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=walk.mapose.h5 --calibration rig.toml -o out.mapose.h5",
        "triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 --calibration rig.toml -o out.csv",
        "triangulate v0.mapose.h5 v1.mapose.h5 --calibration rig.toml -o out.mapose.h5",
    ],
    "run": ["run gone", "run mice", "run elsewhere", "run walk.mp4", "run trip --jobs 0", "run trip --jobs x",
            *(f"run trips/{name}" for name in ("typo", "bom", "twice", "cameras", "gone", "list", "none", "export",
                                               "half", "animals"))],
    "submit": ["submit gone walk.mp4", "submit mice gone.mp4", "submit train mice", "submit train gone --name x",
               "submit mice other.mp4 --sbatch foo=", "submit mice other.mp4 --sbatch 'a b'", "submit train mice --name old",
               "submit train mice --name ../x", "submit mice notes.mp4", "submit mice other.mp4 --model nothing",
               "submit train mice --name night --preset smal", "submit train mice --name night --set train.step=3"],
    "jobs": ["jobs walk.mp4", "jobs", "jobs gone"],
    "live": [
        "live", "live --model model", "live --source walk.mp4", "live --model model --source 93",
        "live --model model --source gone.mp4", "live --model gone --source walk.mp4",
        "live --model model --source walk.mp4 --serial /dev/null", "live --model model --source walk.mp4 --near 5",
        "live --model model --source a=walk.mp4 --source b=other.mp4",
        "live --model model --source a=walk.mp4 --source b=other.mp4 --calibration rig.toml",
        "live --model model --source walk.mp4 -o x.csv", "live --model model --source walk.mp4 --seconds nan",
        "live --rehearse --model model --source 0", "live --join gone.mapose.h5", "live --model model --source notes.mp4",
        "live --model model --source walk.mp4 -o walk.mapose.h5", "live --model model --source walk.mp4 --zmq nowhere",
        "live --model model --source walk.mp4 --record walk.mp4", "live --model walk.mp4 --source model",
    ],
    "video": ["video walk.mp4 --crop 1,2", "video walk.mp4 --scale 0", "video walk.mp4 --start 3 --stop 2",
              "video walk.mp4 -o walk.mp4", "video walk.mp4 --crop 90,60,500,500", "video gone.mp4 --stop 3",
              "video walk.mp4 --scale nan", "video walk.mp4 --start 1:00:00", "video notes.mp4 --stop 3",
              "video walk.mp4 --stop -3", "video walk.mp4", "video walk.mp4 --stop 3 -o x.txt"],
    "relink": ["relink mice gone", "relink walk.mp4 elsewhere", "relink theirs trips/none", "relink theirs"],
    "zip": ["zip gone", "zip walk.mp4", "zip mice -o mice", "zip mice -o x.rar"],
    "delete": ["delete mice nothing", "delete mice old", "delete mice .. --yes", "delete mice ../walk.mp4 --yes",
               "delete gone old --yes", "delete mice"],
    "propose": ["propose mice --model nothing", "propose mice walk", "propose mice walk:999", "propose mice gone:3",
                "propose mice walk:-1", "propose blank", "propose gone", "propose model"],
    "doctor": ["doctor gone walk.mp4", "doctor model notes.mp4", "doctor model gone.mp4"],
    "others": ["demo mice", "label gone", "label walk.mp4", "proofread walk.mp4", "proofread gone.mapose.h5",
               "app gone", "app --root gone", "tran mice", "--help-me", "refne mice"],
}  # fmt: skip
#: What is run by somebody who may read all and write nothing.
PROTECTED = [
    "new", "import", "import more", "add", "restore", "skeleton", "merge", "relink", "export project", "crop",
    "zip", "train", "evaluate", "analyze", "extract", "propose", "refine", "accept", "track", "filter",
    "kinematics", "render", "video", "plot", "sheets", "export csv", "swaps", "swap", "name", "edit",
    "gallery add", "print", "world", "triangulate", "run", "submit", "rehearse", "record",
    "models list", "gallery list", "jobs",
]  # fmt: skip
#: What is typed where the project's folder has moved away from its videos.
MOVED = [
    "info elsewhere/mice", "extract elsewhere/mice --count 3",
    "train elsewhere/mice --init elsewhere/mice/models/old --set train.steps=1",
    "propose elsewhere/mice --model old", "analyze elsewhere/mice", "crop elsewhere/mice walk 4,4,40,40",
    "zip elsewhere/mice --videos", "export elsewhere/mice --to dlc -o dlc", "plot elsewhere/mice",
    "submit elsewhere/mice", "render elsewhere/mice",
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    faults = count = 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        work.chmod(0o755)
        os.environ["MPLCONFIGDIR"] = str(work / "matplotlib")
        os.environ["MAPOSE_ZOO"] = str(work / "zoo")
        make_start(work / "start")
        make_odd(work / "start")
        plt.close(plt.figure())
        copy_start(work / "start", work / "folder")
        for command, mistake, done in walk(options.names, work):
            wrong = judge(mistake, done, work)
            count, faults = count + 1, faults + bool(wrong)
            said = " | ".join(line for line in done.said.splitlines() if line.strip())
            text = f"{command}\t{mistake}\t{done.status}\t{wrong or 'told'}\t{said}"
            print(text, flush=True)
            if options.log:
                with options.log.open("a", encoding="utf-8") as file:
                    file.write(text + "\n")
    print(f"{count} mistakes, {faults} with a traceback, without a line or with files changed")
    sys.exit(faults > 0)


def make_odd(folder: Path) -> None:
    """Add to the folder what mistakes are made with."""
    for name, text in ODD_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
        if name.endswith("session.yaml"):
            for i in range(2):
                video = folder / "trip/monday" / f"cam{i}.mp4"
                (folder / name).with_name(video.name).write_bytes(video.read_bytes())
    run("new blank --keypoints a,b", folder)


def walk(names: list[str], work: Path) -> Iterator[tuple[str, str, Run]]:
    """Make the mistakes; give of each the command, the words and the run."""
    folder = work / "folder"
    for command, mistakes in MISTAKES.items():
        for words in mistakes if not names or command in names else ():
            yield command, words, run(words, folder, set_limit)
    if os.geteuid() == 0 and (not names or "protected" in names):
        for name in PROTECTED:
            yield name, "no permission", run(COMMANDS[name].words, folder, give_up_root)
    if not names or "moved" in names:
        (work / "start/mice").rename(work / "start/elsewhere/mice")
        copy_start(work / "start", folder)
        for words in MOVED:
            yield words.split()[0], f"project moved: {words}", run(words, folder, set_limit)


def set_limit() -> None:
    """End what hangs."""
    signal.alarm(120)


def give_up_root() -> None:
    set_limit()
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


@cache
def read_start(folder: Path, moved: bool) -> dict[str, bytes]:
    return read_bytes(folder)


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def judge(mistake: str, done: Run, work: Path) -> str:
    """Say what is wrong about a run, and put its folder in order."""
    wrong = []
    before = read_start(work / "start", (work / "start/mice").exists())
    if "Traceback" in done.said or done.status not in (0, 1, 2):
        wrong.append("traceback")
    if done.status == 1 and not done.is_told and not mistake.startswith(NOT_ALL):
        wrong.append("no one line")
    now = read_bytes(work / "folder")
    if now != before:
        changed = [name for name, content in before.items() if now.get(name) != content]
        if changed and done.status:
            wrong.append(f"changed {changed[:3]}")
        if done.status and (left := [name for name in now if name not in before]):
            wrong.append(f"left {left[:3]}")
        copy_start(work / "start", work / "folder")
    return ", ".join(wrong)


if __name__ == "__main__":
    main()
