"""Are frames the same from wherever reading starts? Checked on every video of a folder.

    python -m tests.benchmarks.check_videos FOLDER [STRIDE=8] [NAME]

The truth is a plain decode in order, with nothing but PyAV. Against it are held all frames that
iteration gives, runs from every STRIDE-th frame to the end, and single frames in random order.
Whole and damaged videos are meant alike: what the decoder makes of damage has to be the same,
too. Prints a line per video; exit status 1 if any differs.
"""

import hashlib
import logging
import random
import sys
import time
from pathlib import Path

import av

from mapose.errors import VideoError
from mapose.io import Video


def name_image(image) -> str:
    """Name an image by its bytes; '-' for a frame that cannot be decoded."""
    return "-" if image is None else hashlib.md5(image.tobytes()).hexdigest()[:12]


def decode_plainly(path: Path) -> list[str]:
    """Name the images of a video, decoded packet by packet, passing over faults.

    Of MPEG-2 and HEVC by one thread: what several make of damage differs from run to run.
    In order of their times, which is the order in which they come, except after some damages;
    AVI stores none.
    """
    found = []
    with av.open(str(path), metadata_errors="ignore") as container:
        timed = container.format.name != "avi"
        stream = container.streams.best("video")
        if stream.codec.canonical_name in ("mpeg2video", "hevc"):
            stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        packets = container.demux(stream)
        while True:
            try:
                frames = next(packets).decode()
            except StopIteration:
                break
            except av.FFmpegError:
                continue
            found += [(f.pts, name_image(f.to_ndarray(format="rgb24"))) for f in frames]
    times = [time for time, _ in found]
    if timed and None not in times and len(set(times)) == len(times):
        found.sort()
    return [image for _, image in found]


def check_video(path: Path, stride: int) -> dict[str, int]:
    """Count the frames of a video and those that differ from the plain decode, per way to read."""
    video = Video(path)
    truth = decode_plainly(path)
    images = [name_image(image) for image in video]
    shown = [image for image in images if image != "-"]
    found = {"frames": len(images), "gaps": images.count("-")}
    found["plain"] = abs(len(truth) - len(shown)) + sum(
        a != b for a, b in zip(truth, shown, strict=False)
    )
    found["runs"] = 0
    for start in range(0, len(images), stride):
        run = [name_image(image) for _, image in Video(path).iterate(start)]
        found["runs"] += run != images[start:]
    order = random.Random(0).sample(range(len(images)), len(images))
    found["reads"] = sum(name_image(read_or_none(video, n)) != images[n] for n in order)
    return found


def read_or_none(video: Video, n: int):
    try:
        return video.read(n)
    except VideoError:
        return None


def main(folder: str, stride: str = "8", name: str = "*") -> int:
    logging.getLogger("mapose").setLevel(logging.ERROR)
    faults = total = 0
    print(f"{'':36} frames  gaps  other than plain  other runs  other reads  seconds")
    for path in sorted(Path(folder).glob(name)):
        begin = time.perf_counter()
        try:
            found = check_video(path, int(stride))
        except VideoError as fault:
            print(f"{path.name:36} {str(fault).replace(str(path), '')[:90]}")
            continue
        seconds = time.perf_counter() - begin
        print(
            f"{path.name:36} {found['frames']:6} {found['gaps']:5} {found['plain']:17} "
            f"{found['runs']:11} {found['reads']:12} {seconds:8.1f}",
            flush=True,
        )
        total += 1
        faults += any(found[key] for key in ("plain", "runs", "reads"))
    print(f"{total} videos read, {faults} with frames that differ")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
