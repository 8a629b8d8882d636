"""Board detection on frames of the real sessions, beside aniposelib's detector.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_detection.py [SESSION...]
         [--peer PYTHON] [--frames N]

Both get the same N frames of each camera, spread evenly, as grey images. Counted are frames with
the board (six corners or more) and corners in them; timed is detection alone, in processor seconds
per frame, without reading. PYTHON is the interpreter of an environment with aniposelib. It finds no
inverted prints, so where the print is inverted it gets the inverted frames in a row of its own.
"Apart" are distances, median and 95th percentile, between corners that both found.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from benchmark_calibration import DATA, SESSIONS

LEAST_CORNERS = 6


def read_frames(name, count):
    """Grey frames (uint8) of all cameras of a session."""
    from calibration.boards.recordings import open_recording

    frames = []
    for camera, source in SESSIONS[name][1].items():
        recording = open_recording(camera, DATA / source)
        wanted = np.unique(np.linspace(0, recording.n_frames - 1, count).astype(int))
        frames += [image for i, (_, image) in enumerate(recording.read_frames()) if i in wanted]
    return frames


def find_ours(board, frames):
    """Corners (N, C, 2), seconds per frame, whether print is inverted."""
    board.find(frames[0])  # what is made once does not count
    start = time.process_time()
    sightings = [board.find(frame) for frame in frames]
    seconds = (time.process_time() - start) / len(frames)
    inverted = np.mean([s.inverted for s in sightings if s.found.any()]) > 0.5
    return np.array([s.pixels for s in sightings]), seconds, inverted


def run_peer(python, board, frames):
    """Detect with aniposelib in its own environment; as `find_ours`."""
    with tempfile.TemporaryDirectory() as folder:
        given, back = Path(folder) / "given.npz", Path(folder) / "back.npz"
        arrays = {f"frame{i:05d}": frame for i, frame in enumerate(frames)}
        marker = getattr(board, "marker", 0.0)
        numbers = [board.columns, board.rows, board.square, marker]
        np.savez(given, numbers=numbers, corners=board.n_corners, **arrays)
        command = [python, __file__, "--work-for", str(given), str(back)]
        subprocess.run(command, check=True)
        with np.load(back) as answer:
            return answer["pixels"], float(answer["seconds"])


def work_for(given, back):
    """The other side of `run_peer`; imports nothing of ours."""
    from aniposelib.boards import CharucoBoard, Checkerboard

    cv2.setNumThreads(1)
    arrays = np.load(given)
    columns, rows, square, marker = arrays["numbers"].tolist()
    if marker:
        board = CharucoBoard(int(columns), int(rows), square, marker, marker_bits=4, dict_size=1000)
    else:
        board = Checkerboard(int(columns), int(rows), square)
    names = sorted(name for name in arrays.files if name.startswith("frame"))
    pixels = np.full((len(names), int(arrays["corners"]), 2), np.nan)
    board.detect_image(arrays[names[0]])
    spent = 0.0
    for i, name in enumerate(names):
        frame = arrays[name]
        start = time.process_time()
        corners, ids = board.detect_image(frame)
        spent += time.process_time() - start
        if corners is not None and len(corners):
            pixels[i, np.ravel(ids).astype(int)] = np.reshape(corners, (-1, 2))
    np.savez(back, pixels=pixels, seconds=spent / len(names))


def measure_apart(ours, theirs, symmetries):
    """Distances between corners that both found, in the numbering that fits best."""
    apart = np.linalg.norm(ours[:, symmetries] - theirs[:, None], axis=-1)
    each = np.nanmedian(np.where(np.isnan(apart).all(-1, keepdims=True), np.inf, apart), axis=-1)
    best = apart[np.arange(len(apart)), np.argmin(each, axis=1)]
    return best[np.isfinite(best)]


def compare(name, options, table):
    """Add the rows of one session."""
    from calibration import read_board

    spec = SESSIONS[name][0]
    board = read_board(DATA / spec if spec.endswith(".toml") else spec)
    frames = read_frames(name, options.frames)

    def show(who, pixels, seconds, *rest):
        count = np.isfinite(pixels[..., 0]).sum(1)
        good = count >= LEAST_CORNERS
        rows = [str(good.sum()), str(count[good].sum()), f"{seconds:.3f}"]
        table.add_row(name, who, str(len(frames)), *rows, *rest)

    ours, seconds, inverted = find_ours(board, frames)
    show("calibration", ours, seconds)
    if not options.peer:
        return
    ways = {"aniposelib": frames}
    if inverted:
        ways["aniposelib, inverted for it"] = [255 - frame for frame in frames]
    # Its chessboard numbers corners from any end.
    turned = np.stack([np.arange(board.n_corners), np.arange(board.n_corners)[::-1]])
    for who, given in ways.items():
        theirs, theirs_seconds = run_peer(options.peer, board, given)
        apart = measure_apart(ours, theirs, turned)
        far = f"{np.median(apart):.2f} / {np.percentile(apart, 95):.2f}" if len(apart) else ""
        show(who, theirs, theirs_seconds, far, f"{theirs_seconds / seconds:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sessions", nargs="*", default=list(SESSIONS))
    parser.add_argument("--peer", help="interpreter of an environment with aniposelib")
    parser.add_argument("--frames", type=int, default=12, help="of each camera")
    parser.add_argument("--work-for", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work_for:
        work_for(*options.work_for)
        return
    from rich.console import Console
    from rich.table import Table

    cv2.setNumThreads(1)
    columns = ["frames", "with board", "corners", "CPU s / frame", "apart px", "times ours"]
    table = Table("session", "by", *columns)
    for name in options.sessions:
        compare(name, options, table)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
