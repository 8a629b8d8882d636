"""Frames per second, latency, training steps and correctness on a GPU, beside published figures.

    python -m tests.benchmarks.benchmark_gpu [--device cuda] [--tiny]

Needs a clean checkout with what mapose requires, and the torch that is there; no network and no
recordings: it draws its own mice and takes the model that comes with mapose. Under ten minutes on
a CUDA machine. Fails if coordinates differ from those of the processor by 0.1 px or more. --tiny
takes seconds on a processor, to see that it runs; its figures say nothing.
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from mapose.analysis.prediction import Predictor, predict
from mapose.analysis.speed import measure_speed
from mapose.io import Video, VideoWriter
from mapose.labels import Labels
from mapose.live import Frame
from mapose.live.gathering import FrameSet
from mapose.live.watching import make_watcher
from mapose.models import Model, find_device
from mapose.poses import Peaks
from mapose.project.importing import import_labels
from mapose.project.project import Project
from mapose.synthetic import Scene, make_cameras, make_scene
from mapose.training.training import train
from mapose.zoo import find_model

#: What the others' papers and pages say of their own GPUs and networks.
PUBLISHED = """\
published: DeepLabCut 1200 frames/s offline; SLEAP 600 to 800 frames/s batched, latency 2.3 to
3.5 ms at 1024x1024"""
#: Furthest that a keypoint may be from where the processor finds it, px.
BOUND = 0.1


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    sizes : tuple of (int, int)
        Of the videos; latency and correctness are those of the last.
    frames : int
        Drawn of each; they are played forth and back.
    seconds, calls, steps : float, int, int
        Of each measurement of speed, of latency, and of training.
    preset : str, optional
        What is trained; the default of `mapose train`.
    """

    sizes: tuple[tuple[int, int], ...] = ((640, 480), (1024, 1024))
    frames: int = 24
    seconds: float = 25.0
    calls: int = 300
    steps: int = 120
    preset: str | None = None


TINY = Effort(((96, 64),), frames=3, seconds=0.2, calls=3, steps=2, preset="small")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", help="the fastest by default")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args(words)
    effort, begun = TINY if options.tiny else Effort(), time.monotonic()
    device = str(find_device(options.device))
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or device
    print(f"{name}, torch {torch.__version__}, {platform.platform()}")
    with tempfile.TemporaryDirectory() as place:
        model = Model.load(find_model("zoo:drawn-mice"))
        for size in effort.sizes:
            scene = make_scene(3, effort.frames, cameras=make_cameras(1, size=size))
            video = draw_video(scene, Path(place) / f"{size[0]}x{size[1]}.mp4")
            print(measure_speed("zoo:drawn-mice", video, device=device, seconds=effort.seconds))
        p50, p99 = measure_latency(model, video, device, effort.calls)
        print(f"{'latency':22} p50 {p50:.2f} ms, p99 {p99:.2f} ms, {size[0]}x{size[1]}, one frame")
        p50, p99 = measure_live(effort, device)
        print(f"{'live, three cameras':22} p50 {p50:.2f} ms, p99 {p99:.2f} ms, frames to answer")
        steps = measure_training(scene, video, Path(place) / "mice", device, effort)
        print(f"{'training':22} {steps:.2f} steps/s of 8 images")
        furthest, count = compare_devices(model, video, device)
        print(
            f"{'correctness':22} {count} keypoints, at most {furthest:.4f} px from the processor's"
        )
    print(f"{PUBLISHED}\n{time.monotonic() - begun:.0f} s")
    return int(furthest >= BOUND)


def draw_video(scene: Scene, path: Path) -> Path:
    frames = list(scene.draw_frames(scene.cameras.names[0]))
    with VideoWriter(path, scene.rate) as writer:
        for image in (frames + frames[::-1]) * 10:
            writer.write(image)
    return path


def measure_latency(model: Model, video: Path, device: str, calls: int) -> tuple[float, float]:
    """From a frame in memory to its candidates: median and 99th percentile in milliseconds."""
    predictor = Predictor(model, device=device)
    with Video(video, gray=model.channels == 1) as opened:
        frames = [image for _, image in opened.iterate(0, min(16, len(opened)))]
    times = []
    for frame in islice(cycle(frames), calls + 10):
        begun = time.perf_counter()
        predictor.find([predictor.prepare(frame)])
        times.append(1000 * (time.perf_counter() - begun))
    p50, p99 = np.percentile(times[10:], [50, 99])
    return float(p50), float(p99)


def measure_live(effort: Effort, device: str) -> tuple[float, float]:
    """From frames of three cameras in memory to poses in space: median and 99th percentile, ms."""
    cameras = make_cameras(3, size=effort.sizes[0])
    scene = make_scene(2, effort.frames, cameras=cameras)
    drawn = {name: list(scene.draw_frames(name)) for name in cameras.names}
    watcher = make_watcher(
        "zoo:drawn-mice",
        dict.fromkeys(cameras.names, scene.rate),
        cameras=cameras,
        individuals=2,
        device=device,
    )
    times = []
    for number in range(effort.calls + 10):
        frames = {
            name: Frame(images[number % len(images)], number / scene.rate, number, 0.0)
            for name, images in drawn.items()
        }
        begun = time.perf_counter()
        watcher.answer(FrameSet(frames, number / scene.rate, number), moment=number / scene.rate)
        times.append(1000 * (time.perf_counter() - begun))
    p50, p99 = np.percentile(times[10:], [50, 99])
    return float(p50), float(p99)


def measure_training(scene: Scene, video: Path, folder: Path, device: str, effort: Effort) -> float:
    """Steps per second, start-up and evaluation not counted."""
    truth = scene.truth(scene.cameras.names[0], occluded=False)
    labels = Labels(
        truth.points,
        scene.skeleton,
        videos=(video.stem,) * len(scene),
        frames=np.arange(len(scene)),
        images=(None,) * len(scene),
        individuals=scene.individuals,
        sources={video.stem: video},
    )
    project = Project.create(folder, scene.skeleton, individuals=3)
    import_labels(project, labels)
    moments = []
    train(
        Project.load(folder),
        preset=effort.preset,
        overrides=[f"train.steps={effort.steps}"],
        device=device,
        on_progress=lambda p: moments.append((time.perf_counter(), p.step)),
    )
    (first, a), (last, b) = moments[len(moments) // 5], moments[-1]  # the first ones are slow
    return (b - a) / (last - first)


def compare_devices(model: Model, video: Path, device: str) -> tuple[float, int]:
    """Find how far keypoints lie from those that the processor finds in the same frames."""
    first, second = (
        predict(video, model, frames=slice(0, 16), device=name) for name in ("cpu", device)
    )
    furthest, count = 0.0, 0
    for mine, others in zip(split(first), split(second), strict=True):
        if len(mine) and len(others):
            far = np.linalg.norm(mine[:, None] - others[None], axis=2).min(1)
            furthest, count = max(furthest, float(far.max())), count + len(mine)
        elif len(mine):
            furthest = np.inf
    return furthest, count


def split(peaks: Peaks) -> list[np.ndarray]:
    """Places of the sure candidates, of each frame and keypoint."""
    sure = peaks.score > 0.3
    kinds = range(int(peaks.keypoint.max(initial=0)) + 1)
    return [
        peaks.xy[sure & (peaks.frame == frame) & (peaks.keypoint == kind)]
        for frame in range(peaks.n_frames)
        for kind in kinds
    ]


if __name__ == "__main__":
    sys.exit(main())
