"""What users do with an installed mapose, on a small drawn scene; run by the Python it is in.

Imports nothing of the tests: it is copied away from them.
"""

import csv
import importlib
import pkgutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

CAMERAS = ("top", "cam1", "cam2")
FRAMES, LABELLED = 40, 12
QUICK = ("train.steps=4", "train.batch=2", "train.view=64")


def run(*words: object) -> str:
    """Run a command as the command line does, in this process: torch is loaded but once."""
    from typer.testing import CliRunner

    from mapose.cli import app

    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exit_code:
        print("mapose", *words, result.output, sep="\n")
        raise result.exception or SystemExit(result.exit_code)
    return result.output


def run_script(*words: str) -> str:
    """Run the script that pip has made."""
    script = Path(sysconfig.get_path("scripts")) / "mapose"
    return subprocess.run([script, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def check_names() -> int:
    """Resolve every public name of both packages and all that is in them."""
    count = 0
    for package in ("mapose", "calibration"):
        root = importlib.import_module(package)
        assert Path(root.__file__).is_relative_to(sys.prefix), f"not the installed: {root.__file__}"
        inner = pkgutil.walk_packages(root.__path__, f"{package}.")
        for name in (package, *(found.name for found in inner)):
            module = importlib.import_module(name)
            for public in getattr(module, "__all__", ()):
                assert getattr(module, public) is not None, f"{name}.{public}"
                count += 1
    return count


def list_commands() -> list[list[str]]:
    """List the words of every command there is, groups and the commands in them."""
    from typer.main import get_command

    from mapose.cli import app

    def walk(command, words):
        yield words
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, [*words, name])

    return list(walk(get_command(app), []))


def draw_recording(folder: Path):
    """Draw two animals before three cameras: videos, exact poses, calibration, labelled images."""
    from mapose.io import VideoWriter, save, write_image
    from mapose.synthetic import make_cameras, make_scene

    cameras = make_cameras(len(CAMERAS), size=(160, 120))
    scene = make_scene(2, FRAMES, seed=3, cameras=cameras)
    scene.cameras.save(folder / "calibration.toml")
    for camera in CAMERAS:
        save(scene.truth(camera, occluded=False), folder / f"{camera}.mapose.h5")
    with VideoWriter(folder / "top.mp4", scene.rate) as writer:
        for image in scene.draw_frames("top"):
            writer.write(image)
    truth = scene.truth("top", occluded=False)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "individual", "keypoint", "x", "y"])
        for frame in range(LABELLED):
            write_image(scene.draw(frame, "top"), folder / f"img{frame:03d}.png")
            for who, points in zip(truth.names, truth.points[frame].tolist(), strict=True):
                for keypoint, (x, y) in zip(truth.skeleton.keypoints, points, strict=True):
                    if x == x:  # NaN is not labelled
                        rows.writerow([f"img{frame:03d}.png", who, keypoint, x, y])


def use(folder: Path) -> None:
    """Go from labels to 3D by commands, and look at what they have written."""
    from mapose import load

    draw_recording(folder)
    project, top = folder / "mice", folder / "top.mapose.h5"
    run("import", project, "--from", folder / "labels.csv")
    quick = [word for setting in QUICK for word in ("--set", setting)]
    run("train", project, "--init", "zoo:drawn-mice", *quick)
    run("evaluate", project)
    run("analyze", project, folder / "top.mp4", "-o", folder / "found")
    assert len(load(folder / "found" / "top.mapose.h5")) == FRAMES
    tracked = folder / "top.tracked.mapose.h5"
    run("track", top, "--animals", "2")
    assert load(tracked).individuals == ("track0", "track1")
    before = load(tracked).array
    run("swap", tracked, "--frame", "20", "track0", "track1")
    run("name", tracked, "track0", "Anna")
    assert "track0" in run("swap", tracked, "--list")
    run("swaps", tracked, "--csv")
    run("export", tracked, "--to", "csv")
    from mapose import read

    after = read(folder / "top.tracked.csv")
    assert "Anna" in after.names and after.array.shape == before.shape
    run("metrics", top, tracked, "--json")
    run("plot", tracked)
    run("render", folder / "top.mp4", tracked, "--stop", "5")
    board = "charuco:8x11:24mm:18.75mm:4x4_1000"
    run("calibrate", "--board", board, "--print", folder / "board.pdf")
    views = [f"{camera}={folder / camera}.mapose.h5" for camera in CAMERAS]
    calibration = folder / "calibration.toml"
    run("calibrate", "--from-poses", "--check", calibration, *views)
    run("triangulate", *views, "--calibration", calibration, "-o", folder / "session.mapose.h5")
    assert load(folder / "session.mapose.h5").array.shape[-1] == 4
    run("export", folder / "session.mapose.h5", "--to", "trc")


def main() -> None:
    start = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - start:3.0f} s: {what}", flush=True)

    tell(run_script("doctor", "--quick").splitlines()[-1])
    commands = list_commands()
    for words in commands:
        assert "Usage: " in run(*words, "--help"), words
    tell(f"{len(commands)} helps shown, {check_names()} public names found")
    folder = Path.cwd() / "recording"
    folder.mkdir()
    use(folder)
    tell("from labels to 3D: done")


if __name__ == "__main__":
    main()
