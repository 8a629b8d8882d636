"""Memory of every command that reads results or decodes, on short recordings and on long ones.

    python -m tests.benchmarks.benchmark_memory FOLDER [--results 10000 1000000]
        [--videos 2000 100000] [--only filter,track]

Draws what it needs into FOLDER (what is there stays): results of four animals with six keypoints
and their covariances, two such views with a calibration, and videos of 160x120. Each command runs
in a process of its own, whose highest resident memory (Linux and macOS) is told in MiB beside the
seconds that it took. What was measured is kept in FOLDER/memory.json, and is not run again.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from calibration import CameraGroup
from mapose.io import VideoWriter, save
from mapose.poses import Poses
from mapose.skeleton import Skeleton
from mapose.synthetic import make_cameras
from tests.untrained import make_untrained

ANIMALS, SIZE = 4, (160, 120)
POINTS = ["nose", "left", "right", "neck", "centre", "tail"]
EDGES = [("nose", "neck"), ("left", "neck"), ("right", "neck"), ("neck", "centre"),
         ("centre", "tail")]  # fmt: skip
SKELETON = Skeleton(POINTS, EDGES, mirror=[("left", "right")])
#: Begins a command from a small process: a child is held to be as large as its parent was.
LAUNCH = """
import os, subprocess, sys
process = subprocess.Popen([sys.executable, "-m", "mapose", *sys.argv[1:]], stdout=2)
_, status, usage = os.wait4(process.pid, 0)
print(status, usage.ru_maxrss)
"""
#: Frames of the walk that is repeated, forth and back: no step is a jump.
TURN = 500
FORMATS = (("csv", "csv"), ("dlc-h5", "h5"), ("dlc-csv", "csv"), ("slp", "slp"), ("coco", "json"),
           ("movement", "nc"), ("nwb", "nwb"))  # fmt: skip
RESULTS = {
    "info": "info {n}.mapose.h5",
    "track": "track {n}.mapose.h5 --animals 4 -o out.mapose.h5",
    "filter kalman": "filter {n}.mapose.h5 -o out.mapose.h5",
    "filter median": "filter {n}.mapose.h5 --method median -o out.mapose.h5",
    "kinematics": "kinematics {n}.mapose.h5 -o out.csv",
    "kinematics figures": "kinematics {n}.mapose.h5 --moving 20 --plots plots -o out.csv",
    "kinematics nc": "kinematics {n}.mapose.h5 -o out.nc",
    "swaps": "swaps {n}.mapose.h5",
    "swap": "swap {n}.mapose.h5 animal1 animal2 --frame 50",
    "swap refused": "swap {n}.mapose.h5 nobody animal2 --frame 50",
    "split": "edit {n}.mapose.h5 split animal1 zoe --frame 6000",
    "join refused": "edit {n}.mapose.h5 join animal3 animal4",
    "name": "name {n}.mapose.h5 animal1 ann",
    "metrics": "metrics {n}.mapose.h5 {n}.mapose.h5",
    "edit": "edit {n}.mapose.h5 move animal3 --frame 12 --keypoint nose --to 30,40",
    "plot": "plot {n}.mapose.h5 -o plots",
    "plot in space": "plot {n}.space.mapose.h5 -o plots",
    "triangulate with matching": "triangulate a={n}.a.mapose.h5 b={n}.b.mapose.h5"
    " --calibration two.toml -o out.mapose.h5",
    "triangulate": "triangulate a={n}.a.mapose.h5 b={n}.b.mapose.h5 --calibration two.toml"
    " --trust-names -o out.mapose.h5",
    "triangulate plainly": "triangulate a={n}.a.mapose.h5 b={n}.b.mapose.h5"
    " --calibration two.toml --trust-names --no-smooth -o out.mapose.h5",
    **{
        f"export {to}": f"export {{n}}.mapose.h5 --to {to} -o out.{ending}"
        for to, ending in FORMATS
    },
}
VIDEOS = {
    "analyze": "analyze model {n}.mp4 -o out.mapose.h5",
    "render": "render {n}.mp4 {n}.video.mapose.h5 -o out.mp4",
    "extract": "extract project --videos {n} --method kmeans --count 5",
    "video": "video {n}.mp4 --scale 0.5 -o out.mp4",
}


def walk(cameras: CameraGroup) -> np.ndarray:
    """Walk four animals slowly through a room, (TURN, I, K, 3), mm."""
    rng = np.random.default_rng(0)
    body = rng.normal(0, 12, (1, 1, len(POINTS), 3))
    steps = rng.normal(0, 1, (TURN, ANIMALS, 1, 3)) * [3, 3, 0.3]
    centres = np.cumsum(steps, 0)
    centres += rng.uniform(-60, 60, (1, ANIMALS, 1, 3)) * [1, 1, 0.2]
    return np.asarray(np.concatenate([centres + body, (centres + body)[::-1]]))


def draw_results(folder: Path, frames: int, cameras: CameraGroup) -> None:
    """Write results of so many frames, with noise of their own, if they are not there."""
    turn = walk(cameras)
    rows = np.arange(frames) % len(turn)
    rng = np.random.default_rng(1)
    names = tuple(f"animal{i + 1}" for i in range(ANIMALS))
    for ending, camera in (("", "a"), (".a", "a"), (".b", "b"), (".space", None)):
        path = folder / f"{frames}{ending}.mapose.h5"
        if path.exists():
            continue
        where = turn if camera is None else cameras[camera].project(turn)
        array = np.empty((frames, ANIMALS, len(POINTS), where.shape[-1] + 1), np.float32)
        array[..., :-1] = where[rows]
        array[..., :-1] += rng.standard_normal(array[..., :-1].shape, dtype=np.float32)
        array[..., -1] = 0.95
        axes = where.shape[-1]
        covariance = np.broadcast_to(
            np.eye(axes, dtype=np.float32), (*array.shape[:-1], axes, axes)
        )
        poses = Poses(
            array, SKELETON, names, rate=30.0, covariance=covariance,
            unit="px" if camera else "mm",
        )  # fmt: skip
        save(poses, path, provenance={"size": list(SIZE)})


def draw_videos(folder: Path, frames: int) -> None:
    """Write a video of so many frames with a result, if they are not there."""
    path = folder / f"{frames}.mp4"
    if path.exists():
        return
    rng = np.random.default_rng(2)
    images = [rng.integers(90, 110, SIZE[::-1], np.uint8) for _ in range(8)]
    array = np.full((frames, ANIMALS, len(POINTS), 3), 0.9, np.float32)
    with VideoWriter(path, 30) as writer:
        for i in range(frames):
            image = images[i % len(images)].copy()
            for animal in range(ANIMALS):
                x, y = 20 + 30 * animal + i // 7 % 20, 20 + 20 * animal
                image[y : y + 8, x : x + 14] = 220
                array[i, animal, :, :2] = np.stack([x + 2 * np.arange(6), np.full(6, y + 4)], -1)
            writer.write(image)
    names = tuple(f"animal{i + 1}" for i in range(ANIMALS))
    save(Poses(array, SKELETON, names, rate=30.0), folder / f"{frames}.video.mapose.h5")


def measure(words: str, folder: Path) -> tuple[float, float, str]:
    """Run a command; gives its highest resident memory, MiB, its seconds, and what went wrong."""
    for path in [*folder.glob("out*"), *folder.glob("*.edits.csv"), folder / "plots"]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    began = time.monotonic()
    with (folder / "log.txt").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-S", "-c", LAUNCH, *shlex.split(words)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, check=True,
        )  # fmt: skip
    status, peak = map(int, done.stdout.split())
    lines = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    fault = "" if status == 0 else (lines or ["no word"])[-1]
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return peak / scale, time.monotonic() - began, fault


def prepare(folder: Path, results: list[int], videos: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cameras = make_cameras(2, size=SIZE)
    cameras = CameraGroup(
        [type(c)(**{**vars(c), "name": n}) for c, n in zip(cameras.cameras, "ab", strict=True)]
    )
    cameras.save(folder / "two.toml")
    for frames in results:
        draw_results(folder, frames, cameras)
    for frames in videos:
        draw_videos(folder, frames)
    if not (folder / "model").exists():
        make_untrained(lively=True).save(folder / "model")
    if not (folder / "project").exists():
        names = " ".join(f"--videos {frames}.mp4" for frames in videos)
        words = f"new project --keypoints a,b --individuals 2 {names}"
        subprocess.run([sys.executable, "-m", "mapose", *words.split()], cwd=folder, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--videos", type=int, nargs=2, default=[2_000, 100_000])
    parser.add_argument("--only", help="names of commands, with commas between")
    given = parser.parse_args()
    prepare(given.folder, given.results, given.videos)
    kept = given.folder / "memory.json"
    done = json.loads(kept.read_text()) if kept.exists() else {}
    print(f"{'':22} {'frames':>9} {'MiB':>6} {'s':>6}    {'frames':>9} {'MiB':>6} {'s':>6}  ratio")
    for table, sizes in ((RESULTS, given.results), (VIDEOS, given.videos)):
        for name, words in table.items():
            if given.only and name not in given.only.split(","):
                continue
            found = []
            for frames in sizes:
                key = f"{name} {frames}"
                if key not in done or done[key][2]:
                    done[key] = measure(words.format(n=frames), given.folder)
                    kept.write_text(json.dumps(done, indent=1))
                found.append(done[key])
            columns = "    ".join(
                f"{n:9d} {mib:6.0f} {seconds:6.1f}"
                for n, (mib, seconds, _) in zip(sizes, found, strict=True)
            )
            faults = "; ".join(fault for *_, fault in found if fault)
            print(f"{name:22} {columns}  {found[1][0] / found[0][0]:5.2f}  {faults}", flush=True)


if __name__ == "__main__":
    main()
