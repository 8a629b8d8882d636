"""Are all results the same as before? Makes them, or compares two folders of them.

    python tests/benchmarks/compare_results.py make FOLDER RECORDINGS [--model M]
    python tests/benchmarks/compare_results.py compare BEFORE AFTER
    python tests/benchmarks/compare_results.py check FOLDER [--store]

Run `make` with the code before a change and with the code after it; M, a model of the flies, adds
an analysis. `compare` lists the largest difference of every array and fails if one is above a
rounding error. `check` holds a folder against the answers kept beside this file, a few numbers of
each array, as far as processors differ; `--store` makes them anew, after a change that is meant to
change results.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

FRAMES = 1000
ANSWERS = Path(__file__).with_name("answers.json")
#: Share of an array's spread by which its median and quartiles may differ between processors.
CLOSE = 2e-3


def make(folder: Path, recordings: Path, model: Path | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    track_scene(folder)
    track_flies(folder, recordings / "flies_courtship")
    if model is not None:
        analyze_flies(folder, recordings / "flies_courtship", model)
    calibrate(folder, recordings)
    triangulate(folder, recordings)


def track_scene(folder: Path) -> None:
    from mapose.io import save
    from mapose.synthetic import degrade, make_scene

    scene = make_scene(3, FRAMES, seed=7)
    found = degrade(scene.truth(), np.random.default_rng(7))
    save(replace(found, rate=scene.rate), folder / "scene.raw.mapose.h5")
    track(folder, "scene", animals=3)


def track_flies(folder: Path, flies: Path) -> None:
    from mapose.io import read, save

    found = read(flies / "predictions.analysis.h5").sel(frames=slice(0, FRAMES))
    save(replace(found, individuals=None, identity=None), folder / "flies.raw.mapose.h5")
    track(folder, "flies", animals=2)


def analyze_flies(folder: Path, flies: Path, model: Path) -> None:
    import mapose
    from mapose.io import save

    loaded = mapose.Model.load(model)
    peaks = mapose.predict(flies / "20190128_113421.120s.mp4", loaded, frames=slice(0, FRAMES))
    poses = mapose.assemble(
        peaks, loaded.body, individuals=2, reach=loaded.reach, anatomy=loaded.anatomy
    )
    save(replace(poses, skeleton=loaded.skeleton), folder / "analyzed.raw.mapose.h5")
    track(folder, "analyzed", animals=2)


def track(folder: Path, name: str, *, animals: int) -> None:
    run("track", folder / f"{name}.raw.mapose.h5", "-o", folder / f"{name}.mapose.h5", "--animals",
        animals, "--force")  # fmt: skip


def calibrate(folder: Path, recordings: Path) -> None:
    import calibration

    # Two cameras of the second: the search for its board is most of the work here.
    patterns = (("mouse_4cam", "*/calibration/*.MOV"), ("charuco_4cam", "cam_[01].mp4"))
    for session, pattern in patterns:
        videos = {p.parents[1].name if "*/" in pattern else p.stem: p
                  for p in sorted((recordings / session).glob(pattern))}  # fmt: skip
        board = "board.toml" if session == "mouse_4cam" else "charuco.toml"
        cameras, _ = calibration.calibrate(
            videos, calibration.read_board(recordings / session / board)
        )
        cameras.save(folder / f"{session}.toml")


def triangulate(folder: Path, recordings: Path) -> None:
    from calibration import read_cameras

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


def summarise(folder: Path) -> dict[str, dict]:
    """Tell size, gaps and quartiles of every array; of arrays (..., D), of each column."""
    said = {}
    for path in sorted(p for p in folder.rglob("*") if p.name.endswith((".mapose.h5", ".toml"))):
        for name, array in read(path).items():
            columns = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array[:, None]
            said[f"{path.name}: {name}"] = {
                "shape": list(array.shape),
                "missing": int(np.isnan(array).sum()),
                "quartiles": [_find_quartiles(column) for column in columns.T],
            }
    return said


def _find_quartiles(column: np.ndarray) -> list[float]:
    known = column[np.isfinite(column)]
    if not len(known):
        return [0.0, 0.0, 0.0]
    return [float(f"{q:.8g}") for q in np.quantile(known, [0.25, 0.5, 0.75])]


def check(folder: Path) -> list[str]:
    """List the differences between a folder of results and the answers kept."""
    answers, now = json.loads(ANSWERS.read_text(encoding="utf8")), summarise(folder)
    faults = [f"{name}: not made" for name in answers if name not in now]
    for name, given in now.items():
        if (kept := answers.get(name)) is None or kept["shape"] != given["shape"]:
            faults.append(f"{name}: wanted {kept and kept['shape']}, came {given['shape']}")
            continue
        if abs(kept["missing"] - given["missing"]) > 1e-3 * np.prod(kept["shape"]):
            faults.append(f"{name}: {given['missing']} missing, {kept['missing']} before")
        old, new = np.array(kept["quartiles"]), np.array(given["quartiles"])
        spread = np.maximum(np.ptp(old, axis=1, keepdims=True), 1e-6 * np.abs(old) + 1e-9)
        if (np.abs(new - old) > CLOSE * np.maximum(spread, 1e-3 * np.abs(old))).any():
            faults.append(f"{name}: quartiles {new.tolist()}, {old.tolist()} before")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("make")
    maker.add_argument("folder", type=Path)
    maker.add_argument("recordings", type=Path)
    maker.add_argument("--model", type=Path)
    comparer = commands.add_parser("compare")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    checker = commands.add_parser("check")
    checker.add_argument("folder", type=Path)
    checker.add_argument("--store", action="store_true")
    given = parser.parse_args()
    if given.command == "make":
        make(given.folder, given.recordings, given.model)
    elif given.command == "compare":
        sys.exit(0 if compare(given.before, given.after) else 1)
    elif given.store:
        ANSWERS.write_text(json.dumps(summarise(given.folder), indent=1) + "\n", encoding="utf8")
    else:
        sys.exit("\n".join(check(given.folder)) or 0)
