"""Every command that writes, on a small drawn project, each run in a process that may be killed.

Libraries are loaded once and every run is forked from there: a run takes a fraction of a second.
Used by `kill_commands.py`, `full_disks.py` and `race_commands.py`; for POSIX systems.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import cv2
import h5py
import numpy as np
import torch
import yaml

import mapose.analysis.pipeline as pipeline
import mapose.cluster.submitting as submitting
import mapose.recognition.learning as learning
from calibration import CameraGroup
from mapose.cli import main
from mapose.doubts import Doubt
from mapose.io import Video, VideoWriter, save, write
from mapose.poses import Poses
from mapose.project.importing import import_project
from mapose.project.project import Project
from mapose.project.refining import refine_project
from mapose.skeleton import Skeleton
from mapose.synthetic import make_cameras, make_scene
from tests.untrained import make_untrained

pipeline.CHUNK = 24  # several chunks of a short video


class _NoTime:
    """Submissions are named by the time: here always the same."""

    @staticmethod
    def now(zone: object) -> datetime:
        return datetime(2026, 1, 1)


submitting.datetime = _NoTime
FRAMES = 90
SKELETON = Skeleton(["a", "b"], [("a", "b")])
TINY = [
    *("network.widths=[8,8,8]", "network.depths=[0,0,0]", "train.steps=12", "train.every=4"),
    *("train.batch=2", "train.view=64", "train.test=0.25"),
]
BOARD = "charuco:8x6:30mm:22mm:4x4_250"


@dataclass(frozen=True)
class Command:
    """A command as it is typed in the folder; ``again`` says what is typed after it was cut off.

    ``by_name`` is true of what runs against the clock, so that of its files only the names are
    the same each time; ``kept`` is how names of files end that may be there or not: what was
    recorded before a run was cut off, what a slow computer has answered in time.
    """

    words: str
    again: Callable[[Path], str] | None = None
    by_name: bool = False
    kept: str = ""

    def find_again(self, folder: Path) -> str:
        return self.again(folder) if self.again else self.words


def resume_training(folder: Path) -> str:
    begun = (folder / "mice/models/mine/state.yaml").exists()
    return "train mice --name mine --resume" if begun else COMMANDS["train"].words


def undo_again(folder: Path) -> str:
    """What was undone is not undone again: that would take back another change."""
    lines = (folder / "mice/labels/journal.jsonl").read_bytes().splitlines()
    return "info mice" if b'"what":"undo:' in lines[-1] else COMMANDS["undo"].words


def rename_again(folder: Path) -> str:
    names = Project.load(folder / "mice").skeleton.keypoints
    parts = (("--rename a=snout", "snout"), ("--add tail", "tail"))
    todo = [words for words, name in parts if name not in names]
    return f"skeleton mice {' '.join(todo)}".strip()


def go_on_live(folder: Path) -> str:
    """What was answered before the end is joined; a live run itself cannot be had again."""
    join = "live --join live.mapose.h5"
    return join if list(folder.glob("live.parts/*.h5")) else COMMANDS["live"].words


def delete_again(folder: Path) -> str:
    return COMMANDS["delete"].words if (folder / "mice/models/old").exists() else "info mice"


COMMANDS = {
    "new": Command("new rats --keypoints a,b --edges a-b --individuals 2 --videos walk.mp4"),
    "import": Command("import rats --from walk.slp --count 6"),
    "import more": Command("import mice --from other.slp --count 6"),
    "add": Command("add mice other.mp4 --copy"),
    "undo": Command("history mice --undo", again=undo_again),
    "restore": Command("restore mice 3"),
    "skeleton": Command("skeleton mice --rename a=snout --add tail", again=rename_again),
    "merge": Command("merge mice theirs --prefer theirs"),
    "relink": Command("relink theirs elsewhere"),
    "export labels": Command("export mice --to slp -o labels.slp"),
    "export project": Command("export mice --to dlc -o dlc"),
    "delete": Command("delete mice old --yes", again=delete_again),
    "crop": Command("crop mice walk 4,4,40,40"),
    "zip": Command("zip mice --videos"),
    "sheets": Command("plot mice"),
    "zoo add": Command("zoo add model --name tiny --licence MIT -o tiny.zip"),
    "export model": Command("models export model --to torchscript -o model.pt"),
    "train": Command(
        # An older model to begin with: else it finds nothing after 12 steps, and says so.
        " ".join(["train mice --preset small --name mine --init mice/models/old",
                  *(f"--set {s}" for s in TINY)]),
        again=resume_training,
    ),
    "evaluate": Command("evaluate mice --model old"),
    "compare": Command("models compare mice old"),
    "analyze": Command("analyze model other.mp4"),
    "extract": Command("extract mice --method random --count 3"),
    "propose": Command("propose mice --model old"),
    "refine": Command("refine mice walk.mapose.h5 --count 3"),
    "accept": Command("refine mice --accept all"),
    "drop": Command("refine mice --drop all"),
    "track": Command("track walk.mapose.h5 --animals 2"),
    "filter": Command("filter walk.mapose.h5"),
    "kinematics": Command("kinematics walk.mapose.h5 -o walk.nc --moving 5 --plots figures"),
    "render": Command("render walk.mp4 walk.mapose.h5 --stop 30"),
    "render views": Command("render cam0=walk.mp4 cam1=other.mp4 space.mapose.h5 --stop 20"),
    "video": Command("video walk.mp4 --stop 30 --scale 0.5"),
    "plot": Command("plot walk.mapose.h5"),
    "export csv": Command("export walk.mapose.h5 --to csv"),
    "export dlc-h5": Command("export walk.mapose.h5 --to dlc-h5"),
    "export slp": Command("export walk.mapose.h5 --to slp -o out.slp"),
    "export coco": Command("export walk.mapose.h5 --to coco"),
    "export movement": Command("export walk.mapose.h5 --to movement"),
    "swaps": Command("swaps walk.mapose.h5 --pictures doubtful"),
    "swap": Command("swap walk.mapose.h5 --frame 20 x y"),
    "edit": Command("edit walk.mapose.h5 move x --frame 20 --keypoint a --to 5,6"),
    "name": Command("name walk.mapose.h5 x Anna"),
    "gallery add": Command("gallery add mice.gallery walk.mapose.h5"),
    "calibrate": Command(f"calibrate --board {BOARD} a=board_a.mp4 b=board_b.mp4"),
    "print": Command(f"calibrate --board {BOARD} --print board.pdf"),
    "from poses": Command("calibrate --from-poses --lenses rig.toml cam0=v0.mapose.h5 "
                          "cam1=v1.mapose.h5 -o found.toml"),
    "repair": Command("calibrate --check rig.toml cam0=v0.mapose.h5 cam1=v1.mapose.h5 "
                      "--repair repaired.toml"),
    "world": Command("world rig.toml --origin 0,0,0 --x 9,0,0 --y 0,9,0 -o cage.toml"),
    "triangulate": Command("triangulate cam0=v0.mapose.h5 cam1=v1.mapose.h5 "
                           "--calibration rig.toml -o out.mapose.h5"),
    "run": Command("run trip"),
    "submit": Command("submit mice other.mp4"),
    "submit train": Command("submit train mice --name night"),
    "jobs": Command("jobs theirs"),
    "resubmit": Command("jobs theirs --resubmit"),
    "rehearse": Command("live --rehearse --model model --source short.mp4 -o live.mapose.h5"),
    "live": Command("live --model model --source short.mp4 -o live.mapose.h5",
                    again=go_on_live, by_name=True, kept="live.mapose.h5"),
    "record": Command("live --model model --source short.mp4 --record recorded",
                      by_name=True, kept=".cut.mkv .cut.times.csv"),
    "models list": Command("models list mice"),
    "gallery list": Command("gallery list mice.gallery"),
}  # fmt: skip


def make_start(folder: Path) -> None:
    """Make the folder in which each command begins."""
    folder.mkdir(parents=True)
    os.chdir(folder)
    poses = make_walk()
    for name in ("walk", "other"):
        draw_dots(poses, folder / f"{name}.mp4", seed=len(name))
        write(poses, folder / f"{name}.slp", video=folder / f"{name}.mp4")
    save(poses, folder / "walk.mapose.h5", doubts=[Doubt(25, 35, ("x", "y"), 0.27)],
         provenance={"source": "walk.mp4"})  # fmt: skip
    made = learning.add_to_gallery(
        None, folder / "walk.mp4", poses=poses, names={"x": "x", "y": "y"}, steps=3, day="sunday"
    )
    made.save(folder / "mice.gallery")
    project, _ = import_project(folder / "mice", folder / "walk.slp", count=8)
    shutil.copytree(folder / "mice", folder / "theirs")
    frame = int(project.load_labels().frames[0])
    for part in ("a", "b"):
        project = project.set_points("walk", frame, {part: (3, 4)}, individual="x")
    theirs = Project.load(folder / "theirs").add_frames("walk", [40])
    theirs.set_points("walk", 40, {"a": (9, 9)}, individual="y")
    (folder / "elsewhere").mkdir()
    shutil.copy(folder / "walk.mp4", folder / "elsewhere" / "0001.mp4")
    file = folder / "theirs" / "mapose.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("../walk.mp4", "../gone.mp4"),
                    encoding="utf-8")  # fmt: skip
    refine_project(project, [folder / "walk.mapose.h5"], count=2)
    make_untrained(lively=True, skeleton=SKELETON).save(folder / "model")
    for project in ("mice", "theirs"):
        make_untrained(lively=True, skeleton=SKELETON).save(folder / project / "models/old")
    film_board(folder)
    scene = make_scene(1, 40, cameras=2)
    cameras = [replace(camera, name=f"cam{i}") for i, camera in enumerate(scene.cameras)]
    rig = CameraGroup(cameras, scene.cameras.unit)
    rig.save(folder / "rig.toml")
    make_trip(folder)
    make_submission(folder)
    save(scene.truth_3d(), folder / "space.mapose.h5", cameras=rig.to_toml())
    for i, name in enumerate(scene.cameras.names):
        save(scene.truth(name), folder / f"v{i}.mapose.h5")


def make_trip(folder: Path) -> None:
    """Make a session of two cameras, and a video that is over soon."""
    poses = make_walk(30)
    (folder / "trip/monday").mkdir(parents=True)
    for i in range(2):
        draw_dots(poses, folder / f"trip/monday/cam{i}.mp4", seed=i)
    cameras = make_cameras(2, size=(96, 64))
    named = [replace(camera, name=f"cam{i}") for i, camera in enumerate(cameras)]
    CameraGroup(named, cameras.unit).save(folder / "trip/monday/calibration.toml")
    text = "model: ../model\nindividuals: 2\nexport: [csv]\n"
    (folder / "trip/session.yaml").write_text(text, encoding="utf-8")
    draw_dots(poses, folder / "short.mp4", seed=7)


def make_submission(folder: Path) -> None:
    """Hand something in to a queue that takes all and forgets it at once."""
    place = folder / "bin"
    place.mkdir()
    for name, text in {"sbatch": "echo 1", "squeue": "true"}.items():
        (place / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (place / name).chmod(0o755)
    os.environ["PATH"] = f"{place}{os.pathsep}{os.environ['PATH']}"
    done = run("submit theirs other.mp4 --model old", folder)
    assert done.wait() == 0, done.said


def make_walk(frames: int = FRAMES) -> Poses:
    t = np.arange(frames)[:, None]
    array = np.ones((frames, 2, 2, 3), np.float32)
    for i in range(2):
        array[:, i, :, 0] = 48 + 25 * np.cos(t / 15 + 2 * i) + [0, 8]
        array[:, i, :, 1] = 32 + 18 * np.sin(t / 15 + 2 * i)
    return Poses(array, SKELETON, ["x", "y"], rate=25)


def draw_dots(poses: Poses, path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :96]
    with VideoWriter(path, 25) as writer:
        for frame in poses.points:
            image = rng.integers(0, 40, (64, 96)).astype(np.float32)
            for (ax, ay), (bx, by) in frame:
                image += 200 * np.exp(-((x - ax) ** 2 + (y - ay) ** 2) / 18)
                image += 100 * np.exp(-((x - bx) ** 2 + (y - by) ** 2) / 18)
            writer.write(np.clip(image, 0, 255).astype(np.uint8))


def film_board(folder: Path) -> None:
    """Draw a board that turns, as two cameras see it."""
    marks = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_250)
    squares = cv2.aruco.CharucoBoard((8, 6), 30, 22, marks).generateImage((320, 240))
    picture = cv2.copyMakeBorder(squares, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=255)
    h, w = picture.shape
    corners = np.array([[0, 0, 0], [w, 0, 0], [w, h, 0], [0, h, 0.0]]) - [w / 2, h / 2, 0]
    rng = np.random.default_rng(0)
    turns = [cv2.Rodrigues(rng.uniform(-0.5, 0.5, 3))[0] for _ in range(24)]
    for i, name in enumerate("ab"):
        with VideoWriter(folder / f"board_{name}.mp4", 30, quality=100) as writer:
            for turn in turns:
                side = cv2.Rodrigues(np.array([0, 0.5 * i, 0]))[0]
                p = corners @ turn.T @ side.T + [0, 0, 1000]
                seen = p[:, :2] / p[:, 2:] * 640 + [320, 240]
                place = cv2.getPerspectiveTransform(corners_of(w, h), np.float32(seen))
                writer.write(cv2.warpPerspective(
                    picture, place, (640, 480), flags=cv2.INTER_AREA, borderValue=110
                ))  # fmt: skip


def corners_of(w: int, h: int) -> np.ndarray:
    return np.float32([[0, 0], [w, 0], [w, h], [0, h]])


@dataclass
class Run:
    """A command that runs in a process of its own."""

    process: int
    pipe: int
    said: str = ""
    status: int | None = None

    def wait(self) -> int:
        """Wait for its end; what it says has room in the pipe meanwhile."""
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
            with os.fdopen(self.pipe, encoding="utf-8", errors="replace") as file:
                self.said = file.read()
        return self.status

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        self.wait()

    @property
    def ended_well(self) -> bool:
        """Whether it did its work; a network of a few steps finds nothing, which is said by 1."""
        return self.wait() == 0 or "findsnothing,noteven" in "".join(self.said.split())

    @property
    def is_told(self) -> bool:
        """Whether it ended well, or with a line and no traceback."""
        lines = [line for line in self.said.splitlines() if line.startswith("mapose: ")]
        lines = [line for line in lines if line != "mapose: starting"]
        # A run of many tells of each in a table what has failed.
        lines += [line for line in self.said.splitlines() if "  failed  " in line]
        return self.ended_well or (
            self.status in (1, 130, 143) and len(lines) == 1 and "Traceback" not in self.said
        )


def start(words: str, folder: Path, before: Callable[[], None] = lambda: None) -> Run:
    """Start a command in a folder; ``before`` is called in the new process."""
    # A pipe, not a file: some runs may not write a file.
    pipe, out = os.pipe()
    process = os.fork()
    if process:
        os.close(out)
        return Run(process, pipe)
    status = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.argv = ["mapose", *shlex.split(words)]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        torch.set_num_threads(1)
        before()
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run(words: str, folder: Path, before: Callable[[], None] = lambda: None) -> Run:
    done = start(words, folder, before)
    done.wait()
    return done


CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link"}


def count_changes(act: Callable[[int], None]) -> Callable[[], None]:
    """Call ``act`` with its number before every change to the file system that Python makes."""

    def install() -> None:
        count = 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal count
            opened = (
                event == "open"
                and isinstance(arguments[2], int)
                and arguments[2] & (os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_RDWR)
            )
            if event in CHANGES or opened:
                count += 1
                act(count)

        sys.addaudithook(hook)

    return install


def copy_start(source: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, symlinks=True)


def read_tree(folder: Path) -> dict[str, object]:
    """Read all files, without what tells the time."""
    return {
        p.relative_to(folder).as_posix(): read_plainly(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() or not any(p.iterdir())
    }


def read_plainly(path: Path) -> object:
    if path.is_dir():
        return "empty folder"
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            found: dict[str, bytes] = {"": repr(sorted(file.attrs.items())).encode()}
            file.visititems(
                lambda name, item: (
                    found.update({name: repr(np.asarray(item[()]).tolist()).encode()})
                    if isinstance(item, h5py.Dataset) and item.shape is not None
                    else None
                )
            )
        return found
    if path.name == "training.csv":
        rows = path.read_text(encoding="utf-8").splitlines()
        return [row.split(",")[:1] + row.split(",")[2:] for row in rows]
    if path.name == "model.yaml":
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        found["record"].pop("seconds", None)
        return found
    if path.name == "space.labelled.mp4":
        # The encoder's choices differ now and then: one block of one picture, by 6 of 255 at most.
        with Video(path) as video:
            return video.size, sum(image is not None for image in video)
    if path.name == "training.png":  # it has an axis in minutes
        return "a picture"
    if path.suffix in (".zip", ".pt"):
        # A zip keeps the times of its files, TorchScript who called it: this script, line by line.
        told = (".debug_pkl", "serialization_id")
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith(told)]
            return {name: archive.read(name) for name in names}
    if path.suffix == ".jsonl":  # the journal of labels
        return [json.loads(line) | {"when": ""} for line in path.read_bytes().splitlines()]
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return path.read_bytes()


def name_differences(wanted: dict[str, object], came: dict[str, object]) -> list[str]:
    lost = [f"lost {name}" for name in wanted.keys() - came.keys()]
    left = [f"left {name}" for name in came.keys() - wanted.keys()]
    same = wanted.keys() & came.keys()
    return sorted(lost + left + [f"other {name}" for name in same if wanted[name] != came[name]])


def clock(words: str, folder: Path) -> float:
    """Run a command that has to end well; how long it takes, seconds."""
    begun = time.monotonic()
    done = run(words, folder)
    if done.wait() != 0:
        raise SystemExit(f"mapose {words}: status {done.status}\n{done.said}")
    return time.monotonic() - begun
