"""What a default training costs and how good it gets: steps, minutes, error on test frames.

    python tests/benchmarks/benchmark_training.py PROJECT... [--seeds 2] [--set section.key=value]

Each training is a process of its own, so that its processor time can be told. For a processor
without AVX-512: ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 and --set train.mixed=false.
Models are kept in the project as seed-N, and not trained again.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

from mapose.models import Model


def train(project: Path, seed: int, overrides: list[str]) -> tuple[float, float]:
    """Train in a process; wall and processor minutes."""
    words = [sys.executable, "-m", "mapose.cli", "train", str(project), "--name", f"seed-{seed}"]
    for override in (f"train.seed={seed}", *overrides):
        words += ["--set", override]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (time.perf_counter() - start) / 60, spent / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("projects", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="section.key=value")
    options = parser.parse_args()
    print("project          seed  steps  minutes  cpu min  test mean  median  train mean  mAP")
    for project in options.projects:
        for seed in range(options.seeds):
            folder = project / "models" / f"seed-{seed}"
            wall = spent = float("nan")
            if not (folder / "model.yaml").is_file():
                wall, spent = train(project, seed, options.set)
            record = Model.load(folder).record
            test, learned = record["metrics"]["test"], record["metrics"]["train"]
            print(
                f"{project.name:16} {seed:4d} {record['steps']:6d} {wall:8.1f} {spent:8.1f} "
                f"{test['mean']:10.2f} {test['median']:7.2f} {learned['mean']:11.2f} "
                f"{test['map']:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
