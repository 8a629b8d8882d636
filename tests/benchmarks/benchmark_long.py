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

from mapose.tracking import Tracker, TrackletSummaries, name_tracklets


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--rung", default="4")
    options = parser.parse_args()
    tracker, summaries, spent = None, TrackletSummaries(), 0.0
    report = options.frames // 10
    print("    frames   CPU s  frames/s  memory MiB  tracklets")
    for rung in stream_rung(options.rung, frames=options.frames):
        found = rung.detections
        start = time.process_time()
        tracker = tracker or Tracker(individuals=rung.individuals, cut=True)
        ids = tracker.update_many(found.points, found.confidence, frames=found.frames)
        summaries.add(
            ids,
            found.points,
            confidence=found.confidence,
            frames=found.frames,
            embeddings=rung.embeddings,
        )
        spent += time.process_time() - start
        done = int(found.frames[-1]) + 1
        if done % report < len(found):
            tell(done, spent, int(ids.max(initial=-1)) + 1)
    start = time.process_time()
    naming = name_tracklets(summaries, tracker.encounters, individuals=rung.individuals)
    spent += time.process_time() - start
    print(f"joining: {time.process_time() - start:.1f} s, {naming.mapping.max() + 1} rows")
    tell(options.frames, spent, len(naming.mapping))


def tell(frames, seconds, tracklets):
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory /= 2**20 if sys.platform == "darwin" else 2**10
    print(f"{frames:10} {seconds:7.1f} {frames / seconds:9.0f} {memory:11.0f} {tracklets:10}")


if __name__ == "__main__":
    main()
