"""Do many videos end with the same files, whoever is killed while they are analysed?

    python -m tests.benchmarks.kill_workers [--with jobs|dask] [--videos 40] [--frames 300]

Draws short videos and a broken one, and analyses them one after the other. Then again with two
processes, or two workers of a Dask scheduler on loopback, while workers (and with jobs the command
itself) are killed (SIGKILL) at random; a killed command is repeated until it ends by itself. The
results must be equal, dataset for dataset, and nothing else may be left. For POSIX systems; needs
psutil, and distributed for Dask.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import h5py
import numpy as np
import psutil

from mapose.io import VideoWriter
from tests.untrained import make_untrained

COMMAND = [sys.executable, "-m", "mapose", "analyze", "model", "videos"]
#: Workers and commands that are killed, at most.
KILLS, STOPS = 12, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="engine", choices=["jobs", "dask"], default="jobs")
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw", type=Path, help="only draw the videos into this folder")
    parser.add_argument("--compare", type=Path, nargs=2, help="only compare two folders")
    options = parser.parse_args()
    if options.draw:
        options.draw.mkdir(parents=True)
        draw_videos(options.draw, options.videos, options.frames)
        return
    if options.compare:
        faults = compare(*options.compare)
        print(f"{len(list(options.compare[0].iterdir()))} results, {len(faults)} differ", *faults)
        sys.exit(bool(faults))
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        draw_videos(folder, options.videos, options.frames)
        begun = time.monotonic()
        subprocess.run([*COMMAND, "-o", "one"], cwd=folder, capture_output=True)
        print(f"one after the other: {time.monotonic() - begun:.1f} s", flush=True)
        words = ["--jobs", "2"]
        if options.engine == "dask":
            words = ["--scheduler", start_dask(stack)]
        begun = time.monotonic()
        kill_around([*COMMAND, "-o", "many", *words], folder, rng, options.engine)
        print(f"under kills: {time.monotonic() - begun:.1f} s")
        faults = compare(folder / "one", folder / "many")
    print(f"{options.videos} results, {len(faults)} differ", *faults[:5], sep="\n")
    sys.exit(bool(faults))


def draw_videos(folder: Path, videos: int, frames: int) -> None:
    """Draw three dark blobs that move, on a noisy ground of 160x120."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:120, :160]
    (folder / "videos").mkdir()
    for number in range(videos):
        places, steps = rng.uniform(30, 90, (3, 2)), rng.normal(0, 1.2, (3, 2))
        ground = rng.integers(90, 110, (120, 160)).astype(np.float32)
        with VideoWriter(folder / "videos" / f"{number:02d}.mp4", 30) as writer:
            for _ in range(frames):
                image = ground.copy()
                for x, y in places:
                    image -= 80 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 30)
                places += steps
                steps[(places < 10) | (places > [150, 110])] *= -1
                writer.write(np.clip(image, 0, 255).astype(np.uint8))
    whole = (folder / "videos" / "00.mp4").read_bytes()
    (folder / "videos" / "broken.mp4").write_bytes(whole[:600])
    make_untrained(lively=True).save(folder / "model")


def start_dask(stack: ExitStack) -> str:
    """Start a scheduler and two workers with nannies; they end with the stack."""
    port = "18786"
    address = f"tcp://127.0.0.1:{port}"
    calls = (
        ["dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"],
        ["dask_worker", address, "--nthreads", "1", "--nworkers", "2", "--no-dashboard"],
    )
    for module, *words in calls:
        started = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(started.terminate)
        time.sleep(3)
    return address


def kill_around(words: list[str], folder: Path, rng: random.Random, engine: str) -> None:
    """Run a command, kill what works for it at random, and repeat it until it ends by itself."""
    kills = stops = 0
    most = {"jobs": KILLS, "dask": 2}[engine]
    ended = None
    while ended is None:
        command = subprocess.Popen(
            words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        limit = time.monotonic() + rng.uniform(15, 40)
        while ended is None:
            with suppress(subprocess.TimeoutExpired):
                command.wait(rng.uniform(4, 10))
            ended = command.poll()
            if ended is None and engine == "jobs" and stops < STOPS and time.monotonic() > limit:
                command.kill()
                stops += 1
                break
            workers = find_workers(psutil.Process() if engine == "dask" else command.pid)
            # A nanny of Dask gives up if its worker dies before it has begun.
            if engine == "dask" and len(list(folder.glob("many/*.h5"))) < 4 * (kills + 1):
                continue
            if ended is None and workers and kills < most:
                rng.choice(workers).kill()
                kills += 1
        told = command.communicate()[0].decode()
        if ended is not None and "was killed" in told:  # three times the same: asked to try again
            ended = None
    print(f"{kills} workers and {stops} commands killed\n{told.splitlines()[-1]}", flush=True)


def find_workers(parent: psutil.Process | int) -> list[psutil.Process]:
    """Find the processes below one that do the work."""
    found = []
    with suppress(psutil.NoSuchProcess):
        one = parent if isinstance(parent, psutil.Process) else psutil.Process(parent)
        for child in one.children(recursive=True):
            with suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def compare(one: Path, many: Path) -> list[str]:
    names = {path.name for path in one.iterdir()}
    faults = [f"only once: {name}" for name in names ^ {path.name for path in many.iterdir()}]
    for name in sorted(names):
        if (many / name).is_file() and read_all(one / name) != read_all(many / name):
            faults.append(name)
    return faults


def read_all(path: Path) -> dict[str, object]:
    """Read all datasets; the paths in the provenance differ as the folders do."""
    found: dict[str, object] = {}

    def take(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name != "provenance":
            value = np.asarray(item[()])
            found[name] = value.tolist() if value.dtype == object else value.tobytes()

    with h5py.File(path) as file:
        file.visititems(take)
    return found


if __name__ == "__main__":
    main()
