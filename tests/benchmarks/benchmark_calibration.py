"""Calibration of the real board sessions, beside aniposelib on the same detections.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_calibration.py [SESSION...]
         [--peer PYTHON] [--detections FOLDER]

Boards are found once by `find_boards` (kept in FOLDER, if given) and handed to both. PYTHON is the
interpreter of an environment with aniposelib; without it only our rows are shown.

Errors are distances in pixels, of the same corners for both: all that two cameras or more saw, in
views of eight corners or more, which is what aniposelib uses. None is left out as false.
"points": each corner is triangulated on its own, as aniposelib does it, but to the least error.
"board": the board is placed as one piece in each frame, which also shows whether lengths come out
right. Times are processor times; for aniposelib those of a second run, after its compilation.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("MAPOSE_DATA", BESIDE))
SESSIONS = {
    "mouse_4cam": (
        "mouse_4cam/board.toml",
        {
            c: f"mouse_4cam/{c}/calibration/minimal_session-{c}-calibration.MOV"
            for c in ("back", "mid", "side", "top")
        },
    ),
    "charuco_4cam": (
        "charuco_4cam/charuco.toml",
        {f"cam_{i}": f"charuco_4cam/cam_{i}.mp4" for i in range(4)},
    ),
    "chessboard_stereo": (
        "chessboard:9x6:30mm",
        {side: f"chessboard_stereo/{side}*.jpg" for side in ("left", "right")},
    ),
    "people_4cam": (
        "chessboard:4x7:60mm",
        {
            f"cam0{i}": f"people_4cam/calibration/intrinsics/int_cam0{i}_img/*.jpg"
            for i in range(1, 5)
        },
    ),
    "chessboard_frames": (
        "chessboard:9x6:30mm",
        {f"cam_{i}": f"chessboard_frames/cam_{i}_*.jpg" for i in range(4)},
    ),
}
LEAST_CORNERS = 8


def find_detections(name, folder):
    """Find boards, or read what was found before; gives the board and BoardDetections."""
    from calibration import read_board
    from calibration.boards.detection import BoardDetections, find_boards

    spec, sources = SESSIONS[name]
    board = read_board(DATA / spec if spec.endswith(".toml") else spec)
    kept = folder and Path(folder) / f"{name}.npz"
    if kept and kept.exists():
        with np.load(kept) as arrays:
            found = {
                c: BoardDetections(
                    camera=c,
                    size=tuple(arrays[f"{c}.size"].tolist()),
                    frames=arrays[f"{c}.frames"],
                    pixels=arrays[f"{c}.pixels"],
                    n_frames=int(arrays[f"{c}.n_frames"]),
                    rate=float(arrays[f"{c}.rate"]) or None,
                    mirrored=bool(arrays[f"{c}.mirrored"]),
                    blur=arrays[f"{c}.blur"],
                )
                for c in sources
            }
        return board, found
    found = find_boards({c: DATA / p for c, p in sources.items()}, board)
    if kept:
        arrays = {
            f"{c}.{key}": np.asarray(getattr(own, key) or 0)
            if key == "rate"
            else np.asarray(getattr(own, key))
            for c, own in found.items()
            for key in ("size", "frames", "pixels", "n_frames", "rate", "mirrored", "blur")
        }
        np.savez(kept, **arrays)
    return board, found


def lay_out(found):
    """Pixels (V, F, C, 2) of frames that any camera saw."""
    from calibration.session.calibrating import gather_pixels

    return gather_pixels(found, {})[0]


def pick_common(pixels):
    """Keep corners that two cameras or more saw, in views of eight corners or more."""
    kept = pixels.copy()
    count = np.isfinite(kept[..., 0]).sum(-1)
    kept[count < LEAST_CORNERS] = np.nan
    kept[:, np.isfinite(kept[..., 0]).sum(0) < 2] = np.nan
    return kept


def measure(group, board, pixels):
    """Errors (mean, median, p95) of points and of the board."""
    seen = np.isfinite(pixels[..., 0])
    rows = []
    for corners in (place_points(group, pixels), place_corners(group, board, pixels)):
        errors = np.linalg.norm(group.project(corners) - pixels, axis=-1)[seen]
        rows.append([errors.mean(), np.median(errors), np.percentile(errors, 95)])
    return rows


def place_points(group, pixels):
    """Triangulate each corner by least squares in pixels: corners (F, C, 3)."""
    from calibration.projection import differentiate_projection

    rows = []
    for camera, there in zip(group, pixels, strict=True):
        matrix = np.column_stack([camera.rotation_matrix, camera.translation])
        rows.append(camera.undistort(there)[..., None] * matrix[2] - matrix[:2])
    rows = np.nan_to_num(np.concatenate(rows, axis=-2), nan=0.0)
    lost = np.isfinite(pixels[..., 0]).sum(0) < 2
    rows[lost] = 0.0
    # Linear first; not the homogeneous form, which depends on where the world's origin is.
    points = (np.linalg.pinv(rows[..., :3]) @ -rows[..., 3:])[..., 0]
    for _ in range(5):
        changes, away = [], []
        for camera, there in zip(group, pixels, strict=True):
            found = differentiate_projection(camera, points)
            changes.append(found.by_point)
            away.append(there - found.pixels)
        away = np.concatenate(away, -1)[..., None]
        slopes = np.where(np.isnan(away), 0, np.concatenate(changes, -2))
        points = points + (np.linalg.pinv(slopes) @ np.nan_to_num(away))[..., 0]
    return np.where(lost[..., None], np.nan, points)


def place_corners(group, board, pixels):
    """Place the board in each frame by least squares: corners (F, C, 3)."""
    from scipy.optimize import least_squares

    from calibration.boardposes import place_board, place_boards
    from calibration.rotations import turn

    def place(pose):
        return place_board(turn(pose[:3]), pose[3:], board)

    poses = place_boards(group, pixels, board=board)
    corners = np.full((*pixels.shape[1:3], 3), np.nan)
    for f, pose in enumerate(poses):
        seen = np.isfinite(pixels[:, f, :, 0])
        if seen.any() and np.isfinite(pose).all():
            there = pixels[:, f]
            found = least_squares(
                lambda p, there=there, seen=seen: (group.project(place(p)) - there)[seen].ravel(),
                pose,
                x_scale="jac",
            )
            corners[f] = place(found.x)
    return corners


def run_peer(python, board, found, pixels):
    """Calibrate with aniposelib in its own environment."""
    from calibration import Camera, CameraGroup

    with tempfile.TemporaryDirectory() as folder:
        given, back = Path(folder) / "given.npz", Path(folder) / "back.json"
        np.savez(
            given,
            pixels=pixels,
            sizes=[own.size for own in found.values()],
            grid=[board.columns, board.rows],
            square=board.square,
            marker=getattr(board, "marker", 0.0),
        )
        command = [python, __file__, "--work-for", str(given), str(back)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not back.exists():
            return None, (done.stderr.strip().splitlines() or ["no word"])[-1]
        answer = json.loads(back.read_text(encoding="utf-8"))
    cameras = [
        Camera(name, own.size, *(np.array(v) for v in numbers))
        for (name, own), numbers in zip(found.items(), answer["cameras"], strict=True)
    ]
    return CameraGroup(cameras, board.unit), answer["seconds"]


def work_for(given, back):
    """The other side of `run_peer`; imports nothing of ours."""
    from aniposelib.boards import CharucoBoard, Checkerboard
    from aniposelib.cameras import CameraGroup

    arrays = np.load(given)
    columns, rows = (int(n) for n in arrays["grid"])
    square, marker = float(arrays["square"]), float(arrays["marker"])
    if marker:
        board = CharucoBoard(columns, rows, square, marker, marker_bits=4, dict_size=1000)
    else:
        board = Checkerboard(columns, rows, square)

    def make_rows():
        return [
            [
                {
                    "framenum": f,
                    "corners": view[seen][:, None].astype(np.float32),
                    "ids": np.flatnonzero(seen)[:, None].astype(np.int32),
                }
                for f, view in enumerate(own)
                if (seen := np.isfinite(view[:, 0])).sum() >= 4
            ]
            for own in arrays["pixels"]
        ]

    def solve():
        np.random.seed(0)  # noqa: NPY002 - it is what aniposelib draws from
        group = CameraGroup.from_names([str(i) for i in range(len(arrays["pixels"]))])
        for camera, size in zip(group.cameras, arrays["sizes"], strict=True):
            camera.set_size(tuple(int(n) for n in size))
        all_rows = [board.fill_points_rows(own) for own in make_rows()]
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            group.calibrate_rows(all_rows, board, verbose=False)
        return group, time.process_time() - start

    solve()
    group, seconds = solve()
    cameras = [
        [
            a.tolist()
            for a in (
                c.get_camera_matrix(),
                c.get_distortions(),
                c.get_rotation(),
                c.get_translation(),
            )
        ]
        for c in group.cameras
    ]
    Path(back).write_text(json.dumps({"cameras": cameras, "seconds": seconds}), encoding="utf-8")


def compare(name, options, table):
    """Add the rows of one session."""
    from calibration import CalibrationError
    from calibration.session.calibrating import calibrate_detections

    def show(who, group, seconds, note=""):
        figures = []
        if group is not None and np.isfinite(common).any():
            for errors in measure(group, board.points, common):
                figures += [" / ".join(f"{e:.3f}" for e in errors)]
        took = "" if seconds is None else f"{seconds:.2f}"
        table.add_row(name, who, str(len(found)), *(figures or ["", note]), took)

    board, found = find_detections(name, options.detections)
    pixels = lay_out(found)
    common = pick_common(pixels)
    start = time.process_time()
    try:
        group, report = calibrate_detections(found, board)
    except CalibrationError as error:
        table.add_row(name, "calibration", str(len(found)), "", str(error), "")
    else:
        seconds = time.process_time() - start
        together = bool(report.shared)
        note = f"lenses only: {report.mean:.3f} / {report.median:.3f} / {report.p95:.3f}"
        show("calibration", group if together else None, seconds, note)
    if options.peer:
        group, seconds = run_peer(options.peer, board, found, pixels)
        if group is None:
            table.add_row(name, "aniposelib", str(len(found)), "", seconds, "")
        else:
            show("aniposelib", group, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sessions", nargs="*", default=list(SESSIONS))
    parser.add_argument("--peer", help="interpreter of an environment with aniposelib")
    parser.add_argument("--detections", help="folder to keep detections in")
    parser.add_argument("--work-for", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work_for:
        work_for(*options.work_for)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("session", "by", "cameras", "points: mean / median / p95", "board", "CPU s")
    for name in options.sessions:
        compare(name, options, table)
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
