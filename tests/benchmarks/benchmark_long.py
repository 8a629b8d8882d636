"""Time and memory of tracking a very long recording in chunks.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_long.py [--frames N] [--rung NAME]

A rung of the ladder is made and tracked 2000 frames at a time, as the pipeline does with a video;
the tracklets are joined at the end. The time of the making is not counted. Memory is the highest
of the process so far (Linux and macOS).
"""

import argparse
import resource
import sys
import time

from ladder import stream_rung

from mapose.tracking import ChunkTracker


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--rung", default="4")
    options = parser.parse_args()
    tracker, spent = None, 0.0
    report = options.frames // 10
    print("    frames   CPU s  frames/s  memory MiB")
    for rung in stream_rung(options.rung, frames=options.frames):
        found = rung.detections
        start = time.process_time()
        tracker = tracker or ChunkTracker(individuals=rung.individuals)
        tracker.add(found, rung.embeddings)
        spent += time.process_time() - start
        done = int(found.frames[-1]) + 1
        if done % report < len(found):
            tell(done, spent)
    start = time.process_time()
    rows = tracker.finish()
    spent += time.process_time() - start
    took, tracklets = time.process_time() - start, len(rows.naming.mapping)
    print(f"joining: {took:.1f} s, {tracklets} tracklets, {len(rows.doubts)} contacts")
    tell(options.frames, spent)


def tell(frames, seconds):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory /= 2**20 if sys.platform == "darwin" else 2**10
    print(f"{frames:10} {seconds:7.1f} {frames / seconds:9.0f} {memory:11.0f}")


if __name__ == "__main__":
    main()
