"""A model exported to ONNX against our own runner: where a whole video differs, and frames/s.

    python -m tests.benchmarks.benchmark_onnx VIDEO MODEL [FRAMES]

Both find candidates in the same prepared frames, batch by batch in turns, so that whatever else
the machine does slows both; then both are assembled the same way. A coordinate counts as equal if
it is within 0.05 px, or missing in both; the aim is 99.9 % of them.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mapose.analysis.pipeline import BATCH
from mapose.analysis.prediction import Predictor, read_batches
from mapose.decode import assemble
from mapose.io import Video
from mapose.models import Model
from mapose.models.export import OnnxNetwork, export_model
from mapose.poses import Peaks, join_peaks

NEAR, WANTED = 0.05, 0.999


def find_peaks(path: Path, model: Model, file: Path, frames: int) -> tuple[list, list[float], int]:
    """Find the peaks of both runners, and the seconds that each took."""
    ours, theirs = Predictor(model, device="cpu"), Predictor(model, device="cpu")
    theirs.network = OnnxNetwork(file)  # type: ignore[assignment]
    parts: list[list[Peaks]] = [[], []]
    seconds = [0.0, 0.0]
    with Video(path, gray=model.channels == 1) as video:
        total = min(frames, len(video))
        for number, batch in enumerate(read_batches(video, ours, slice(0, total), BATCH)):
            for which, predictor in enumerate((ours, theirs)):
                start = time.perf_counter()
                parts[which].append(predictor.find(batch))
                if number:  # the first call makes ready
                    seconds[which] += time.perf_counter() - start
    return [join_peaks(part) for part in parts], seconds, total


def main() -> None:
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    frames = int(sys.argv[3]) if len(sys.argv) > 3 else 10**9
    model = Model.load(folder)
    with tempfile.TemporaryDirectory() as place:
        file = export_model(model, Path(place) / "model.onnx", to="onnx")
        peaks, seconds, total = find_peaks(path, model, file, frames)
    ours, theirs = (
        assemble(p, model.body, individuals=model.individuals, reach=model.reach,
                 anatomy=model.anatomy)
        for p in peaks
    )  # fmt: skip
    count = max(ours.array.shape[1], theirs.array.shape[1])
    a, b = (np.full((total, count, *p.points.shape[2:]), np.nan) for p in (ours, theirs))
    a[:, : ours.array.shape[1]], b[:, : theirs.array.shape[1]] = ours.points, theirs.points
    both, neither = np.isfinite(a) & np.isfinite(b), np.isnan(a) & np.isnan(b)
    gap = np.abs(a - b)[both]
    counted = ~neither
    share = float((gap <= NEAR).sum() / counted.sum())
    print(f"{path.name}, {folder.name}: {total} frames, {int(counted.sum())} coordinates")
    print(f"within {NEAR} px: {100 * share:.4f} % (wanted {100 * WANTED:g} %)")
    print(f"largest difference {gap.max(initial=0):.4f} px, found by one only "
          f"{int((counted & ~both).sum())}")  # fmt: skip
    for name, time_ in zip(("torch", "onnxruntime"), seconds, strict=True):
        print(f"{name}: {(total - BATCH) / time_:.1f} frames/s (network and peaks)")
    if share < WANTED:
        sys.exit(1)


if __name__ == "__main__":
    main()
