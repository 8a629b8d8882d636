"""Live, on replayed videos: rate held, latency of each stage, sets, prediction, failures.

    python -m tests.benchmarks.benchmark_live FOLDER [--only one,three,flaws,identity,listeners,
        rough] [--minutes 10] [--model zoo:drawn-mice] [--frames 900]

Draws two mice as three cameras of 640x480 see them (kept in FOLDER), and plays them in real time.
Two cores, nothing beside.

- one, three: one camera at 30 frames/s, three at 10 sets/s: latency per stage.
- flaws: three cameras with 5 % drops and 20 ms jitter: do the frames of each set belong together,
  and is what is predicted to the present nearer to the truth than what was measured last?
- identity: IDF1 in the picture of the first camera, online and offline, of the same frames.
- listeners: delay of ZeroMQ and of a serial line (a pseudo-terminal) after an answer.
- rough: at full rate for so many minutes, two views failing in turn, a listener that stops
  reading, a disk that is full in the middle: what goes on, memory, what was counted.
"""

import argparse
import json
import os
import resource
import sys
import threading
import time
from itertools import permutations
from pathlib import Path

import numpy as np
import zmq

from calibration import CameraGroup
from mapose.io import VideoWriter, load, save
from mapose.live import (
    Answer,
    CallbackOutput,
    LiveOptions,
    LiveReport,
    Replay,
    ResultOutput,
    SerialOutput,
    ZeroMQOutput,
    rehearse,
    run_live,
)
from mapose.live import results as parts
from mapose.metrics import track_scores
from mapose.poses import Poses
from mapose.synthetic import Scene, make_cameras, make_scene

RATE = 30.0


def draw(folder: Path, frames: int) -> tuple[Scene, dict[str, Path]]:
    """Draw the scene once; later runs find its videos."""
    cameras = make_cameras(3, size=(640, 480))
    scene = make_scene(2, frames, seed=5, rate=RATE, cameras=cameras)
    videos = {name: folder / f"{name}-{frames}.mp4" for name in cameras.names}
    for name, path in videos.items():
        if not path.exists():
            with VideoWriter(path, RATE) as writer:
                for image in scene.draw_frames(name):
                    writer.write(image)
    return scene, videos


def play(
    videos: dict[str, Path], model: str, cameras: CameraGroup | None, rate: float, **flaws: float
) -> tuple[LiveReport, list[Answer]]:
    """Play videos at a rate; gives the report and all answers."""
    answers: list[Answer] = []
    sources = {
        name: Replay(path, rate=rate, seed=n, **flaws)
        for n, (name, path) in enumerate(videos.items())
    }
    report = run_live(
        sources,
        model,
        cameras=cameras,
        individuals=2,
        outputs=[CallbackOutput(answers.append)],
        options=LiveOptions(wait=0.1),
    )
    return report, answers


def at(points: np.ndarray, frame: float) -> np.ndarray:
    """The truth (F, I, K, 3) between two frames."""
    frame = min(max(frame, 0), len(points) - 1.001)
    first = int(frame)
    return points[first] + (frame - first) * (points[first + 1] - points[first])


def find_errors(answers: list[Answer], truth: np.ndarray, rate: float) -> None:
    """How far what was measured, and what is predicted, are from where the animals are then."""
    found: dict[str, list[float]] = {
        "measured, then": [],
        "measured, now": [],
        "predicted, now": [],
    }
    for answer in answers:
        then = at(truth, answer.frames.number)
        now = at(truth, answer.frames.number + answer.age * rate)
        order = min(
            map(list, permutations(range(2))),
            key=lambda o: np.nansum(np.linalg.norm(answer.points[o] - then, axis=-1)),
        )
        points, predicted = answer.points[order], answer.predicted[order]
        both = np.isfinite(points).all(-1) & np.isfinite(predicted).all(-1)
        for name, where, wanted in zip(
            found, (points, points, predicted), (then, now, now), strict=True
        ):
            found[name] += np.linalg.norm(where - wanted, axis=-1)[both].tolist()
    for name, errors in found.items():
        print(f"  {name:16} median {np.median(errors):.2f} mm, mean {np.mean(errors):.2f} mm")


def check_one(scene: Scene, videos: dict[str, Path], model: str) -> None:
    first = dict(list(videos.items())[:1])
    report, answers = play(first, model, None, RATE)
    print("one camera, 30 frames/s:", report)
    print(f"  oldest answer {1000 * max((a.age for a in answers), default=0):.0f} ms")


def check_three(scene: Scene, videos: dict[str, Path], model: str) -> None:
    report, answers = play(videos, model, scene.cameras, 10.0)
    print("three cameras, 10 sets/s:", report)
    print(f"  oldest answer {1000 * max((a.age for a in answers), default=0):.0f} ms")
    find_errors(answers, scene.truth_3d().points.astype(np.float64), 10.0)


def check_flaws(scene: Scene, videos: dict[str, Path], model: str) -> None:
    report, answers = play(videos, model, scene.cameras, 10.0, drops=0.05, jitter=0.02)
    print("three cameras, 10 sets/s, 5 % drops, 20 ms jitter:", report)
    wrong = sum(len({f.number for f in a.frames.frames.values()}) > 1 for a in answers)
    whole = sum(len(a.frames.frames) == 3 for a in answers)
    print(f"  {wrong} of {len(answers)} sets of frames that do not belong together; {whole} whole")
    find_errors(answers, scene.truth_3d().points.astype(np.float64), 10.0)


def check_identity(scene: Scene, videos: dict[str, Path], model: str) -> None:
    """Online and offline tracks of every frame of one camera."""
    from mapose.analysis.pipeline import analyze

    name, video = next(iter(videos.items()))
    answers: list[Answer] = []
    rehearse({name: video}, model, individuals=2, outputs=[CallbackOutput(answers.append)])
    array = np.stack([answer.views[name] for answer in answers])
    online = Poses(np.nan_to_num(array, nan=np.nan), answers[0].skeleton, ["a", "b"], rate=RATE)
    offline = analyze(video, model, 2, output=video.with_suffix(".mapose.h5"), force=True)
    truth = scene.truth(name, occluded=False)
    for what, poses in (("online", online), ("offline", offline)):
        print(f"identity {what}: IDF1 {track_scores(truth, poses).idf1:.4f}")


def check_listeners(scene: Scene, videos: dict[str, Path], model: str) -> None:
    """Delay from an answer to whoever listens."""
    publisher = ZeroMQOutput("tcp://127.0.0.1:*")
    listener = zmq.Context.instance().socket(zmq.SUB)
    listener.setsockopt_string(zmq.SUBSCRIBE, "")
    listener.setsockopt(zmq.RCVTIMEO, 500)
    listener.connect(publisher.address)
    ours, theirs = os.openpty()
    turns = iter(range(10**9))
    serial = SerialOutput(os.ttyname(theirs), lambda answer: next(turns) % 2 == 0)
    sent: list[float] = []
    heard: dict[str, list[float]] = {"ZeroMQ": [], "serial": []}
    over = threading.Event()

    def hear_messages() -> None:
        while not over.is_set():
            try:
                message = json.loads(listener.recv_string())
            except zmq.Again:
                continue
            heard["ZeroMQ"].append(time.monotonic() - message["moment"])

    def hear_bytes() -> None:
        while not over.is_set():
            os.read(ours, 1)
            heard["serial"].append(time.monotonic())

    threads = [threading.Thread(target=f, daemon=True) for f in (hear_messages, hear_bytes)]
    for thread in threads:
        thread.start()
    name, video = next(iter(videos.items()))
    run_live(
        {name: Replay(video, rate=10.0)},
        model,
        individuals=2,
        outputs=[CallbackOutput(lambda a: sent.append(a.moment)), publisher, serial],
        options=LiveOptions(seconds=20),
    )
    time.sleep(0.5)
    over.set()
    delays = [t - s for s, t in zip(sent, heard["serial"], strict=False)]
    for what, values in (("ZeroMQ", heard["ZeroMQ"]), ("serial", delays)):
        p50, p95 = 1000 * np.percentile(values, [50, 95])
        print(
            f"{what}: {len(values)} of {len(sent)} came, {p50:.1f} ms after the answer's moment "
            f"(median), p95 {p95:.1f} ms"
        )


class Failing(Replay):
    """A camera that fails for two seconds every ten, at another time than the others."""

    def __init__(self, path: Path, *, phase: float, **options: float) -> None:
        super().__init__(path, **options)
        self.phase, self.begun = phase, time.monotonic()

    def __iter__(self):
        for frame in super().__iter__():
            if (time.monotonic() - self.begun + self.phase) % 10 > 2:
                yield frame


def check_rough(videos: dict[str, Path], model: str, cameras: CameraGroup, minutes: float) -> None:
    """All that can go wrong at once, for minutes."""
    folder = next(iter(videos.values())).parent
    names = list(videos)
    turns = int(minutes * 60 * RATE / Replay(videos[names[0]]).length) + 1
    sources = {
        name: Replay(videos[name], repeat=turns)
        if n == 0
        else Failing(videos[name], phase=5.0 * n, repeat=turns)
        for n, name in enumerate(names)
    }
    publisher = ZeroMQOutput("tcp://127.0.0.1:*")
    listener = zmq.Context.instance().socket(zmq.SUB)
    listener.setsockopt_string(zmq.SUBSCRIBE, "")
    listener.connect(publisher.address)  # and never reads
    path = folder / "rough.mapose.h5"
    for old in (path, parts.find_parts(path)):
        os.system(f"rm -rf {old}")
    result = ResultOutput(path, rate=RATE)
    begun, full = time.monotonic(), [0]

    def save_on_a_disk_that_fills(*args, **kwargs):
        if minutes * 20 < time.monotonic() - begun < minutes * 40:  # the middle third
            full[0] += 1
            raise OSError(28, "No space left on device")
        save(*args, **kwargs)

    parts.save = save_on_a_disk_that_fills
    memory: list[int] = []
    counted = [0]

    def note(answer: Answer) -> None:
        counted[0] += 1
        if counted[0] % 50 == 0:
            status = Path("/proc/self/statm").read_text().split()
            memory.append(int(status[1]) * resource.getpagesize() // 2**20)

    try:
        report = run_live(
            sources,
            model,
            cameras=cameras,
            individuals=2,
            outputs=[CallbackOutput(note), publisher, result],
            options=LiveOptions(seconds=60 * minutes),
        )
    finally:
        parts.save = save
        listener.close(linger=0)
    print(f"{minutes:g} minutes at full rate:", report)
    third = len(memory) // 3
    print(
        f"  memory: {np.median(memory[:third]):.0f} MB in the first third, "
        f"{np.median(memory[-third:]):.0f} MB in the last"
    )
    print(
        f"  disk full {full[0]} times; the result has {len(load(path))} of {report.answered} sets"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="one,three,flaws,identity,listeners,rough")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--model", default="zoo:drawn-mice")
    parser.add_argument("--frames", type=int, default=900)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scene, videos = draw(options.folder, options.frames)
    checks = {
        "one": check_one,
        "three": check_three,
        "flaws": check_flaws,
        "identity": check_identity,
        "listeners": check_listeners,
    }
    for name in options.only.split(","):
        if name == "rough":
            check_rough(videos, options.model, scene.cameras, options.minutes)
        else:
            checks[name](scene, videos, options.model)
        print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
