"""Are all results the same as before? Makes them, or compares two folders of them.

    python tests/benchmarks/compare_results.py make FOLDER RECORDINGS --result R --model M
    python tests/benchmarks/compare_results.py compare BEFORE AFTER

Run `make` with the code before a change and with the code after it; R is a file of untracked
poses of three animals, M a model of the flies. `compare` lists the largest difference of every
array and fails if one is above a rounding error.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

FRAMES = 1000


def make(folder: Path, recordings: Path, result: Path, model: Path) -> None:
    import mapose
    from calibration import CameraGroup, calibrate, read_board, read_cameras
    from mapose.io import save

    folder.mkdir(parents=True, exist_ok=True)
    run("track", result, "-o", folder / "scene.mapose.h5", "--animals", 3, "--force")
    flies = recordings / "flies_courtship"
    loaded = mapose.Model.load(model)
    peaks = mapose.predict(flies / "20190128_113421.120s.mp4", loaded, frames=slice(0, FRAMES))
    poses = mapose.assemble(
        peaks, loaded.body, individuals=2, reach=loaded.reach, anatomy=loaded.anatomy
    )
    save(replace(poses, skeleton=loaded.skeleton), folder / "flies.raw.mapose.h5")
    run("track", folder / "flies.raw.mapose.h5", "-o", folder / "flies.mapose.h5", "--animals", 2,
        "--force")  # fmt: skip
    for session, pattern in (("mouse_4cam", "*/calibration/*.MOV"), ("charuco_4cam", "*.mp4")):
        videos = {p.parents[1].name if "*/" in pattern else p.stem: p
                  for p in sorted((recordings / session).glob(pattern))}  # fmt: skip
        board = "board.toml" if session == "mouse_4cam" else "charuco.toml"
        cameras, _ = calibrate(videos, read_board(recordings / session / board))
        cameras.save(folder / f"{session}.toml")
    mouse = recordings / "mouse_4cam"
    views = [
        f"{n}={next((mouse / n).glob('*.analysis.h5'))}" for n in ("back", "mid", "side", "top")
    ]
    run("triangulate", *views, "--calibration", folder / "mouse_4cam.toml", "-o",
        folder / "mouse.mapose.h5", "--force")  # fmt: skip
    people = recordings / "people_4cam"
    toml = people / "calibration" / "Calib_scene.toml"
    found = sorted((people / "two_people").rglob("*_json"))
    views = [f"{n}={path}" for n, path in zip(read_cameras(toml).names, found, strict=True)]
    run("triangulate", *views, "--calibration", toml, "--animals", 3, "-o",
        folder / "people.mapose.h5", "--force")  # fmt: skip
    assert isinstance(cameras, CameraGroup)


def run(*words) -> None:
    from typer.testing import CliRunner

    from mapose.cli import app

    done = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def read(path: Path) -> dict[str, np.ndarray]:
    """Read all numbers of a result or a calibration; doubts by their probability."""
    if path.suffix == ".toml":
        from calibration import CameraGroup

        return {
            f"{camera.name}/{key}": np.asarray(getattr(camera, key))
            for camera in CameraGroup.load(path)
            for key in ("matrix", "distortion", "rotation", "translation")
        }
    arrays = {}
    with h5py.File(path) as file:
        for name in ("poses/array", "poses/identity", "poses/covariance", "poses/frames",
                     "support/error", "support/n_views", "support/filled"):  # fmt: skip
            if name in file:
                arrays[name] = file[name][:].astype(float)
        for name in ("contacts", "doubts"):
            if name in file:
                rows = json.loads(file[name].asstr()[()])
                arrays["doubts"] = np.array(
                    [
                        (d["first"], d["last"],
                         d["probability"] if "probability" in d
                         else 1 / (1 + np.exp(d["odds"][0] - d["odds"][1])))
                        for d in rows
                    ]
                ).reshape(-1, 3)  # fmt: skip
    return arrays


def compare(before: Path, after: Path) -> bool:
    same = True
    for path in sorted(p for p in before.rglob("*") if p.name.endswith((".mapose.h5", ".toml"))):
        old, new = read(path), read(after / path.relative_to(before))
        for name in sorted({*old, *new}):
            if name not in old or name not in new or old[name].shape != new[name].shape:
                print(f"{path.name} {name}: not in both, or of another shape")
                same = False
                continue
            missing = (np.isnan(old[name]) != np.isnan(new[name])).sum()
            apart = float(np.nanmax(np.abs(old[name] - new[name]), initial=0))
            fine = missing == 0 and apart < 1e-6
            same &= fine
            print(f"{path.name:24} {name:18} {old[name].shape!s:20} {apart:.2g}, {missing} missing"
                  + ("" if fine else "  DIFFERENT"))  # fmt: skip
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("folder", type=Path)
    maker.add_argument("recordings", type=Path)
    maker.add_argument("--result", type=Path, required=True)
    maker.add_argument("--model", type=Path, required=True)
    comparer = commands.add_parser("compare")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "make":
        make(given.folder, given.recordings, given.result, given.model)
    elif not compare(given.before, given.after):
        sys.exit(1)
