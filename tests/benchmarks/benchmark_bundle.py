"""Bundle adjustment on synthetic boards: speed, errors, and whether deviations are what they say.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/benchmark_bundle.py [--peer PYTHON] [--seeds N]

First table: cameras of which everything is known (0.3 px noise, 5 % of corners false, every
second lens a fisheye) from a start that is off by 3 % in focal length, 10 mm and 1 degree, with no
distortion. "in 3 sd": share of all free parameters within three of their reported standard
deviations of the truth. "s" is processor time of `bundle_adjust`, the placing of the boards from
the cameras ("place") apart.

Second table, with --peer: the Python of an environment with aniposelib gets the same pixels and
the same start and runs `bundle_adjust_iter` with the board, twice; the second run counts, so that
compilation does not. Pinhole lenses with fx != fy, principal points off the middle and k1 k2 p1 p2.
Errors are those of corners triangulated anew with each result, the false ones left out; "off" is
the distance of the camera centres from the truth after the best similarity. "detections": the
.npz files given with --detections are done as well (arrays `board` and, for each camera, NAME and
NAME_size), started from calibration's own lenses and links.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

SIZES = [(4, 200), (4, 1000), (8, 200), (8, 1000), (16, 200), (16, 1000)]


def disturb(group, rng, *, flat=True):
    """The start: lenses without distortion, cameras (but for the first) moved and turned."""
    from calibration import CameraGroup
    from calibration.rotations import turn

    start = []
    for i, camera in enumerate(group):
        matrix = camera.matrix.copy()
        matrix[0, 0] = matrix[1, 1] = matrix[0, 0] * (1 + 0.03 * rng.normal())
        matrix[:2, 2] = (np.array(camera.size) - 1) / 2
        pose = camera.rotation_matrix, camera.translation
        if i:
            turned = turn(rng.normal(0, np.deg2rad(1), 3))
            pose = turned @ pose[0], turned @ pose[1] + rng.normal(0, 10, 3)
        start.append(
            replace(
                camera,
                matrix=matrix,
                distortion=np.zeros_like(camera.distortion),
                rotation=pose[0],
                translation=pose[1],
            )
        )
    return CameraGroup(start, group.unit)


def find_deviations(result, truth):
    """Errors of all free parameters in standard deviations."""
    from calibration.bundle.solver import read_lens
    from calibration.projection import POSE_NAMES, lens_names
    from calibration.rotations import unturn

    found = []
    for camera, true in zip(result.cameras, truth, strict=True):
        turned = unturn((camera.rotation_matrix @ true.rotation_matrix.T)[None])[0]
        errors = [*turned, *(camera.translation - true.translation)]
        errors += [*(read_lens(camera) - read_lens(true))]
        stated = result.deviations[camera.name]
        names = POSE_NAMES + lens_names(camera)
        found += [e / stated[n] for n, e in zip(names, errors, strict=True) if stated[n] > 0]
    return np.array(found)


def measure_truth(n, frames, seeds):
    """One row of the first table."""
    from calibration.boardposes import place_boards
    from calibration.bundle.adjustment import bundle_adjust
    from calibration.synthetic import film_board, make_ring

    rows = []
    for seed in range(seeds):
        truth = make_ring(n, fisheye=range(1, n, 2), seed=seed)
        film = film_board(truth, n=frames, seed=seed)
        start = disturb(truth, np.random.default_rng(seed))
        times = [time.process_time()]
        poses = place_boards(start, film.pixels, board=film.board)
        times.append(time.process_time())
        result = bundle_adjust(start, film.pixels, board=film.board, poses=poses)
        times.append(time.process_time())
        z = find_deviations(result, truth)
        kept = result.weights[film.false] > 0
        within = [(np.abs(z) < k).mean() for k in (1, 3)]
        rows.append([*np.diff(times), result.steps, *within, result.scale, kept.mean()])
    place, spent, steps, one, three, scale, kept = np.mean(rows, axis=0)
    return [
        f"{n} x {frames}",
        f"{place:.2f}",
        f"{spent:.2f}",
        f"{1e6 * spent / (n * frames):.0f}",
        f"{steps:.1f}",
        f"{one:.1%}",
        f"{three:.1%}",
        f"{scale:.4f}",
        f"{kept:.2%}",
    ]


def make_plain(n, seed):
    """A ring of pinholes as they come: fx != fy, axes off the middle, k1 k2 p1 p2."""
    from calibration import CameraGroup
    from calibration.synthetic import make_ring

    rng = np.random.default_rng(seed)
    cameras = []
    for camera in make_ring(n, size=(1280, 1024), seed=seed):
        matrix = camera.matrix.copy()
        matrix[1, 1] *= 1 + 0.005 * rng.normal()
        matrix[:2, 2] += rng.normal(0, 15, 2)
        distortion = [-0.2, 0.05, 0.001, -0.0008] * (1 + 0.2 * rng.normal(size=4))
        cameras.append(replace(camera, matrix=matrix, distortion=distortion))
    return CameraGroup(cameras, "mm")


def measure_errors(group, pixels, good):
    """Mean and median distance of corners from where they are seen once triangulated."""
    from calibration.bundle.adjustment import BundleOptions, bundle_adjust_points

    pixels = np.where(good[..., None], pixels, np.nan).reshape(len(group), -1, 2)
    pixels = pixels[:, np.isfinite(pixels[..., 0]).sum(0) >= 2]
    # Least squares from the linear solution: nothing has less than a millionth of its weight.
    start = triangulate_linearly(group, pixels)
    options = BundleOptions(outlying=1e4)
    found = bundle_adjust_points(group, pixels, points=start, fixed=group.names, options=options)
    errors = found.errors[np.isfinite(found.errors)]
    return errors.mean(), np.median(errors)


def triangulate_linearly(group, pixels):
    """Points (N, 3) nearest to all rays."""
    rays = np.stack([camera.rays(own) for camera, own in zip(group, pixels, strict=True)])
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    across = np.nan_to_num(across)
    centres = np.stack([camera.centre for camera in group])
    right = np.einsum("vnij,vj->ni", across, centres)
    return np.linalg.solve(across.sum(0), right[..., None])[..., 0]


def find_shift(group, truth):
    """Mean distance of centres after the best similarity."""
    a, b = (np.stack([c.centre for c in g]) for g in (group, truth))
    a, b = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    u[:, 2] *= np.linalg.det(u @ vt)
    s[2] *= np.sign(np.linalg.det(a.T @ b)) if np.linalg.matrix_rank(a) == 3 else 1
    moved = a @ u @ vt * (s.sum() / (a**2).sum())
    return np.linalg.norm(moved - b, axis=1).mean()


def compare(name, group, film_pixels, board, python, good, truth=None):
    """Rows of both on the same detections."""
    from calibration.boardposes import place_boards
    from calibration.bundle.adjustment import bundle_adjust

    # Neither is timed while boards are placed.
    poses = place_boards(group, film_pixels, board=board)
    begin = time.process_time()
    result = bundle_adjust(group, film_pixels, board=board, poses=poses)
    ours = time.process_time() - begin
    theirs, peer = run_peer(python, group, film_pixels, board)
    rows = []
    for label, cameras, spent in [
        ("calibration", result.cameras, ours),
        ("aniposelib", peer, theirs),
    ]:
        mean, median = measure_errors(cameras, film_pixels, good)
        shift = f"{find_shift(cameras, truth):.2f}" if truth else ""
        rows.append([name, label, f"{spent:.2f}", f"{mean:.4f}", f"{median:.4f}", shift])
    rows[0].append(f"{theirs / ours:.0f}")
    rows[1].append("")
    return rows


def run_peer(python, group, pixels, board):
    """Let aniposelib adjust: its processor time, its cameras."""
    from calibration import CameraGroup

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            source,
            pixels=pixels,
            board=board,
            sizes=[camera.size for camera in group],
            matrices=[camera.matrix for camera in group],
            distortions=[np.resize(camera.distortion, 5) * 0 for camera in group],
            rotations=[camera.rotation for camera in group],
            translations=[camera.translation for camera in group],
            fisheye=[camera.model == "fisheye" for camera in group],
        )
        subprocess.run([python, __file__, "--child", source, target], check=True)
        with np.load(target) as found:
            cameras = [
                replace(
                    camera,
                    matrix=found["matrices"][i],
                    distortion=found[f"distortion{i}"],
                    rotation=found["rotations"][i].ravel(),
                    translation=found["translations"][i].ravel(),
                )
                for i, camera in enumerate(group)
            ]
            return float(found["seconds"]), CameraGroup(cameras, group.unit)


def adjust_as_peer(source, target):
    """Runs in the other environment, which has no calibration."""
    import cv2
    from aniposelib.cameras import Camera, CameraGroup, FisheyeCamera

    with np.load(source) as found:
        data = {key: found[key] for key in found.files}
    pixels, board = data["pixels"], data["board"]
    n, frames, corners = pixels.shape[:3]

    def make_group():
        return CameraGroup(
            [
                (FisheyeCamera if data["fisheye"][i] else Camera)(
                    matrix=data["matrices"][i].copy(),
                    dist=np.zeros(4 if data["fisheye"][i] else 5),
                    size=tuple(int(s) for s in data["sizes"][i]),
                    rvec=data["rotations"][i].copy(),
                    tvec=data["translations"][i].copy(),
                    name=f"cam{i}",
                )
                for i in range(n)
            ]
        )

    group = make_group()
    # Poses of the board in each camera, as its own pipeline would have found them.
    poses = np.full((2, n, frames, 3), np.nan)
    for v, camera in enumerate(group.cameras):
        for f in range(frames):
            seen = np.isfinite(pixels[v, f, :, 0])
            if seen.sum() >= 8:
                plane = camera.undistort_points(pixels[v, f, seen])
                ok, turn, shift, _ = cv2.solvePnPRansac(
                    board[seen], plane, np.eye(3), np.zeros(5), confidence=0.9,
                    reprojectionError=30 / camera.get_focal_length(),
                )  # fmt: skip
                if ok:
                    poses[:, v, f] = turn.ravel(), shift.ravel()
    used = np.isfinite(pixels[..., 0]) & np.isfinite(poses[0, :, :, None, 0])
    keep = used.sum(0) >= 2
    points = np.where(used[..., None], pixels, np.nan)[:, keep]
    spread = np.broadcast_to(poses[:, :, :, None], (2, n, frames, corners, 3))
    spread = np.where(used[..., None], spread, np.nan)[:, :, keep]
    f, c = np.nonzero(keep)

    def make_extra():
        return {"objp": board[c], "ids": f, "rvecs": spread[0].copy(), "tvecs": spread[1].copy()}

    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002 (aniposelib draws from it)
        group = make_group()
        begin = time.process_time()
        group.bundle_adjust_iter(points.copy(), make_extra(), verbose=False)
        spent = time.process_time() - begin
    np.savez(
        target,
        seconds=spent,
        matrices=[camera.get_camera_matrix() for camera in group.cameras],
        rotations=[camera.get_rotation() for camera in group.cameras],
        translations=[camera.get_translation() for camera in group.cameras],
        **{f"distortion{i}": camera.get_distortions() for i, camera in enumerate(group.cameras)},
    )


def load_session(path):
    """Detections of a real session, and cameras to start from."""
    from types import SimpleNamespace

    from calibration import CameraGroup
    from calibration.session.extrinsics import link_cameras
    from calibration.session.intrinsics import calibrate_camera

    with np.load(path) as found:
        names = [k.removesuffix("_size") for k in found.files if k.endswith("_size")]
        board, pixels = found["board"], np.stack([found[name] for name in names])
        sizes = [tuple(int(s) for s in found[f"{name}_size"]) for name in names]
    fits = [
        calibrate_camera(SimpleNamespace(camera=c, size=s, pixels=p), board)
        for c, s, p in zip(names, sizes, pixels, strict=True)
    ]
    lenses = CameraGroup([fit.camera for fit in fits])
    return link_cameras(lenses, board, pixels=pixels).cameras, pixels, board


def show(title, columns, rows):
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python with aniposelib")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions of the first table")
    parser.add_argument("--sizes", help="such as 4x200,8x1000")
    parser.add_argument("--detections", nargs="*", type=Path, default=[])
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        adjust_as_peer(*options.child)
        return
    sizes = SIZES
    if options.sizes:
        sizes = [tuple(map(int, size.split("x"))) for size in options.sizes.split(",")]
    if options.seeds:
        rows = [measure_truth(*size, options.seeds) for size in sizes]
        columns = "cameras x frames", "place s", "s", "us/view", "steps"
        show(
            "Known truth, pinhole and fisheye",
            (*columns, "in 1 sd", "in 3 sd", "noise px", "false kept"),
            rows,
        )
    if not options.peer:
        return
    from calibration.synthetic import film_board

    rows = []
    for path in options.detections:
        group, pixels, board = load_session(path)
        good = np.isfinite(pixels[..., 0])
        rows += compare(path.stem, group, pixels, board, options.peer, good)
    for n, frames in sizes if options.sizes or not options.detections else []:
        truth = make_plain(n, seed=n)
        for false in (0.0, 0.05):
            film = film_board(truth, n=frames, false=false, seed=n)
            good = np.isfinite(film.pixels[..., 0]) & ~film.false
            start = disturb(truth, np.random.default_rng(n))
            name = f"{n} x {frames}" + (", 5 % false" if false else "")
            rows += compare(name, start, film.pixels, film.board, options.peer, good, truth)
    columns = "session", "by", "CPU s", "mean px", "median px", "off mm", "times faster"
    show("Beside aniposelib", columns, rows)


if __name__ == "__main__":
    sys.exit(main())
