"""Identities of two courting flies, recorded, by our tracker and by other tools.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_flies.py DATA [--result FILE]
[--model FOLDER] [--sleap-nn PYTHON] [--deeplabcut PYTHON] [--cache FOLDER]

DATA is the folder flies_courtship (see the README of the recordings), whose identities were
checked over all 3000 frames. The detections are those of our own network: of FILE, made by
``mapose analyze --keep-peaks`` with the model FOLDER; frames that it was trained on do not count.
Without them they are a stand-in: the recording's own poses, a tenth dropped. All slots are
shuffled in every frame. Columns as in `benchmark_ladder.py`, scores by object keypoint
similarity as in ``mapose metrics``.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from benchmark_ladder import HEADS, add_options, list_trackers, measure, summarize
from ladder import Rung
from rich.console import Console
from rich.table import Table

from mapose.decode import assemble
from mapose.io import load, load_peaks, load_provenance, read
from mapose.metrics import align_poses
from mapose.models import Model


def find_detections(truth, options):
    """Give the detections, and the frames that do not count."""
    if options.result is None:
        array = truth.array.copy()
        array[np.random.default_rng(0).random(array.shape[:2]) < 0.1] = np.nan
        return replace(truth, array=array), []
    model = Model.load(options.model)
    found = assemble(load_peaks(options.result), model.body, individuals=2, reach=model.reach)
    frames = load(options.result).frames
    found = replace(found, skeleton=model.skeleton, frames=frames, rate=truth.rate)
    return found, load_provenance(options.result)["trained_frames"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder flies_courtship")
    parser.add_argument("--result", type=Path, help="of mapose analyze --keep-peaks")
    parser.add_argument("--model", type=Path, help="that made it")
    add_options(parser)
    options = parser.parse_args()
    truth = replace(read(options.data / "predictions.slp"), rate=25.0)
    found, trained = find_detections(truth, options)
    order = np.random.default_rng(1).random(found.array.shape[:2]).argsort(1)
    array = np.take_along_axis(found.array, order[:, :, None, None], axis=1)
    found = replace(found, array=array, individuals=None, covariance=None, identity=None)
    rung = Rung("flies", truth, found, None, 2, np.full(found.array.shape[:2], -1), reach=None)
    what = "the recording's own poses" if options.result is None else "our network's detections"
    counted = truth.sel(frames=np.setdiff1d(truth.frames, trained))
    table = Table(*HEADS, title=f"{what}, {len(counted)} of {len(truth)} frames count")
    for name, run in list_trackers(rung, options).items():
        if name == "best":
            continue
        answer = run(rung)
        exact, answer.poses = align_poses(counted, answer.poses)
        table.add_row(name, *summarize([measure(replace(rung, truth=exact), answer)]))
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
