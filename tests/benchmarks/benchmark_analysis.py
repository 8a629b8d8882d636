"""Frames per second of `mapose analyze`, against decoding alone, and where the time goes.

    python -m tests.benchmarks.benchmark_analysis VIDEO MODEL [FRAMES]

Whole runs are whole processes, start-up included. Stages are run one after the other on the
same frames, so that their shares do not depend on how they overlap.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mapose.analysis.pipeline import BATCH, CHUNK
from mapose.analysis.prediction import THRESHOLD, Predictor, read_batches
from mapose.data import pad_images
from mapose.decode import assemble, find_peaks, score_links
from mapose.io import Video
from mapose.models import Model
from mapose.poses import join_peaks
from mapose.tracking import Tracker, TrackletSummaries, stitch


def time_process(*words: object) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)
    return time.perf_counter() - start


def time_call(call: Callable[[], object]) -> tuple[float, object]:
    """Call, and give the time of the processor that it took: others use it as well."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def measure_stages(path: Path, folder: Path, frames: int) -> dict[str, float]:
    """Seconds of each stage for the first frames of a video, one stage after the other."""
    model = Model.load(folder)
    predictor = Predictor(model, frames=10**6)
    count = model.individuals
    found: dict[str, float] = dict.fromkeys(
        ["decode", "prepare", "network", "peaks", "assembly", "tracking"], 0.0
    )
    with Video(path, gray=model.channels == 1) as video:
        total = min(frames, len(video))
        found["decode"], _ = time_call(lambda: sum(1 for _ in video.iterate(0, total)))
        both, batches = time_call(
            lambda: list(read_batches(video, predictor, slice(0, total), BATCH))
        )
    found["prepare"] = both - found["decode"]
    parts = []
    with torch.inference_mode():
        predictor.find(batches[0])  # warm
        for batch in batches:
            stack = torch.from_numpy(pad_images(batch, model.network.multiple))
            seconds, maps = time_call(lambda: predictor.network.predict(stack))  # noqa: B023
            found["network"] += seconds
            seconds, peaks = time_call(
                lambda: find_peaks(
                    maps.scores,  # noqa: B023
                    maps.offsets,  # noqa: B023
                    threshold=THRESHOLD,
                    most=predictor.most,
                    best=predictor.single,
                    radius=model.network.split,
                )
            )
            links, _ = time_call(
                lambda: score_links(
                    maps.fields,  # noqa: B023
                    peaks.frame,  # noqa: B023
                    peaks.keypoint,  # noqa: B023
                    peaks.cells,  # noqa: B023
                    predictor.edges,
                )
            )
            found["peaks"] += seconds + links
            parts.append(predictor.find(batch))
    tracker, summaries = Tracker(individuals=count), TrackletSummaries()
    per_chunk = CHUNK // BATCH
    for i in range(0, len(parts), per_chunk):
        joined = join_peaks(parts[i : i + per_chunk])
        seconds, poses = time_call(
            lambda: assemble(
                joined,  # noqa: B023
                model.body,
                individuals=count,
                reach=model.reach,
                anatomy=model.anatomy,
            )
        )
        found["assembly"] += seconds
        seconds, ids = time_call(lambda: tracker.update_many(poses.points, poses.confidence))  # noqa: B023
        found["tracking"] += seconds
        summaries.add(ids, poses.points, confidence=poses.confidence)
    found["tracking"] += time_call(lambda: stitch(summaries, individuals=count))[0]
    return {name: 1e3 * seconds / total for name, seconds in found.items()}


def main() -> None:
    video, model = Path(sys.argv[1]), Path(sys.argv[2])
    frames = int(sys.argv[3]) if len(sys.argv) > 3 else 500
    with Video(video) as opened:
        total = len(opened)
    decode = "import sys; from mapose.io import Video; "
    decode += "print(sum(1 for _ in Video(sys.argv[1], gray=True)))"
    print(f"{video.name}: {total} frames; {torch.get_num_threads()} threads")
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            whole = time_process("-m", "mapose.cli", "analyze", model, video, "-o", folder)
        alone = time_process("-c", decode, video)
        print(
            f"analyze {total / whole:7.1f} frames/s ({whole:.1f} s)   decoding alone "
            f"{total / alone:7.1f} frames/s   ratio {alone / whole:.2f}"
        )
    stages = measure_stages(video, model, frames)
    everything = sum(stages.values())
    print(f"{'stage':10}{'ms/frame':>10}{'share':>8}")
    for name, each in stages.items():
        print(f"{name:10}{each:10.3f}{100 * each / everything:7.1f}%")


if __name__ == "__main__":
    main()
