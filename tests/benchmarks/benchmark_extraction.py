"""How long choosing 20 frames of an hour of video takes, and how much memory.

Run: OMP_NUM_THREADS=2 python tests/benchmarks/benchmark_extraction.py [--copies 47] [--folder DIR]

The open field's video (640x480, 30 frames/s, 2330 frames) is repeated without encoding it again: 47
times are an hour. It has a keyframe every 200 frames; a second hour has one every 2330, so that
keyframes are too few and the rest has to be decoded. Each choice runs in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MAPOSE_DATA", ROOT.parent / "shared" / "data"))
SOURCE = DATA / "openfield_mouse" / "videos" / "m3v1mp4.mp4"
CHOOSE = """
import json, sys, time
from mapose.project.extracting import select_frames
begun = time.monotonic()
found = select_frames(sys.argv[1], 20, method=sys.argv[2])
print(json.dumps([len(found), time.monotonic() - begun, open("/proc/self/status").read()]))
"""


def repeat(source: Path, target: Path, copies: int) -> None:
    """Write the packets of a video so many times after each other."""
    with av.open(str(source)) as given:
        packets = [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in given.demux(video=0) if p.size]
    times = sorted(pts for pts, *_ in packets)
    span = times[-1] - times[0] + times[1] - times[0]
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for copy in range(copies):
            for pts, dts, key, data in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts = pts + copy * span, dts + copy * span
                packet.time_base, packet.stream = given.streams.video[0].time_base, stream
                packet.is_keyframe = key
                out.mux(packet)


def encode_with_one_keyframe(source: Path, target: Path) -> None:
    options = {"g": "5000", "keyint_min": "5000", "sc_threshold": "0", "preset": "fast"}
    with av.open(str(source)) as given, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for frame in given.decode(video=0):
            frame.pts, frame.pict_type = None, 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=47)
    parser.add_argument("--folder", type=Path, help="where the videos are kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        often, seldom = folder / "often.mp4", folder / "seldom.mp4"
        if not seldom.is_file():
            repeat(SOURCE, often, options.copies)
            encode_with_one_keyframe(SOURCE, folder / "one.mp4")
            repeat(folder / "one.mp4", seldom, options.copies)
        for video in (often, seldom):
            for method in ("kmeans", "different", "uniform", "random"):
                begun = time.monotonic()
                done = subprocess.run(
                    [sys.executable, "-c", CHOOSE, str(video), method], stdout=-1, check=True
                )
                count, seconds, status = json.loads(done.stdout)
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                print(
                    f"{video.stem:8} {method:10} {count:3} frames {seconds:6.1f} s, with loading "
                    f"{time.monotonic() - begun:6.1f} s, {int(peak.split()[1]) / 1e3:5.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
