"""The command line: one short command per verb, a thin layer over the Python API."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler
from rich.progress import Progress, TaskID

from mapose.errors import MaposeError, SettingsError
from mapose.terminal import console, errors, show_progress, show_result

app = typer.Typer(
    help="Videos of several interacting animals to identified tracks and poses.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="project folder")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the fastest by default")]
Animals = Annotated[int | None, typer.Option("--individuals", "--animals", help="animals in view")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="file to write")]


def main() -> None:
    """Run the command line; a deliberate error is one line, and the exit status 1."""
    handler = RichHandler(console=errors, show_time=False, show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    try:
        app()
    except MaposeError as error:
        errors.print(f"mapose: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("mapose: interrupted; the same command goes on from here", style="yellow")
        sys.exit(130)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split_pairs(text: str, mark: str, what: str) -> list[tuple[str, str]]:
    pairs = []
    for item in _split(text):
        first, found, second = item.partition(mark)
        if not (first and found and second):
            raise SettingsError(f"{what}: wanted a{mark}b, came {item!r}")
        pairs.append((first.strip(), second.strip()))
    return pairs


@app.command()
def new(
    folder: Dir,
    keypoints: Annotated[str, typer.Option(help="names, separated by commas")],
    edges: Annotated[str, typer.Option(help="limbs, a-b,b-c")] = "",
    individuals: Annotated[str, typer.Option(help="how many animals, or their names")] = "1",
    videos: Annotated[list[Path] | None, typer.Option(help="video files; they stay")] = None,
) -> None:
    """Make a project.

    Example: mapose new mice --keypoints snout,tail --edges snout-tail --individuals 2
    """
    from mapose.project import Project
    from mapose.skeleton import Skeleton

    names = _split(keypoints)
    mark = "-" if not any("-" in n for n in names) else ">"
    skeleton = Skeleton(names, _split_pairs(edges, mark, "--edges"))
    count = int(individuals) if individuals.isdigit() else _split(individuals)
    project = Project.create(folder, skeleton, individuals=count, videos=videos or [])
    console.print(f"{folder}: {len(names)} keypoints, {project.count} individuals")


@app.command("import")
def import_(
    folder: Dir,
    source: Annotated[Path, typer.Option("--from", help="labels of another tool")],
    count: Annotated[int | None, typer.Option(help="frames to take, spread evenly")] = None,
    rename: Annotated[str, typer.Option(help="keypoints, old=new,...")] = "",
    individuals: Animals = None,
) -> None:
    """Bring labels from a DeepLabCut project, a SLEAP file, COCO json or csv.

    Example: mapose import flies --from labels.slp --count 200
    """
    from mapose.importing import import_project

    names = dict(_split_pairs(rename, "=", "--rename"))
    with show_progress("importing") as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        project, report = import_project(
            folder, source, count=count, rename=names, individuals=individuals, on_progress=show
        )
    console.print(f"{project.path}: {report}")
    console.print(
        f"{len(project.skeleton.keypoints)} keypoints, {project.count} individuals; "
        f"next: mapose train {folder}"
    )


@app.command()
def train(
    folder: Dir,
    preset: Annotated[str, typer.Option(help="small, large, or a settings file")] = "small",
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value")] = None,
    name: Annotated[str | None, typer.Option(help="of the new model")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the last run")] = False,
    device: Device = None,
) -> None:
    """Train a network on the project's labels.

    Example: mapose train mice --set train.minutes=60
    """
    from mapose.project import Project
    from mapose.training import train as train_model

    project = Project.load(folder)
    with show_progress("training") as (progress, task):

        def show(p: Any) -> None:
            note = f"loss {p.loss:.3f}  test error {p.test_error:.2f} px"
            total = round(p.step / p.share) if p.share else None
            progress.update(task, completed=p.step, total=total, note=note)

        model = train_model(
            project,
            name,
            preset=preset,
            overrides=set_ or [],
            resume=resume,
            device=device,
            on_progress=show,
        )
    chosen = project.list_models()[-1]
    _plot_training(project.path / "models" / chosen)
    console.print(f"model {chosen}: {folder / 'models' / chosen}")
    for part, found in model.record["metrics"].items():
        if found["mean"] is None:
            console.print(f"{part} frames: no keypoint found; train longer")
        else:
            score = found["map"] or 0
            console.print(f"{part} frames: mean error {found['mean']:.2f} px, OKS mAP {score:.3f}")


def _plot_training(folder: Path) -> None:
    from mapose.plots import plot_training

    plot_training(folder / "training.csv").savefig(folder / "training.png", dpi=150)


@app.command()
def evaluate(
    folder: Dir,
    model: Annotated[str, typer.Option(help="model name, or all")] = "",
    cutoff: Annotated[float, typer.Option(help="p-cutoff")] = 0.6,
    as_json: Json = False,
) -> None:
    """Compare a model with the labels: errors on train and test frames.

    Example: mapose evaluate mice --model all
    """
    from mapose.evaluation import evaluate as evaluate_model
    from mapose.evaluation import write_evaluation
    from mapose.project import Project

    project = Project.load(folder)
    labels = project.load_labels()
    results = {}
    for name in project.list_models() if model == "all" else [model or None]:
        loaded = project.load_model(name)
        found = evaluate_model(loaded, labels, cutoff=cutoff)
        called = name or project.list_models()[-1]
        results[called] = found.to_dict()
        place = write_evaluation(found, labels, project.path / "models" / called / "evaluation")
        if not as_json:
            console.print(f"model {called}")
            show_result(found, False)
            console.print(f"tables and pictures: {place}")
    if as_json:
        show_result(results, True)


@app.command()
def analyze(
    target: Annotated[Path, typer.Argument(help="project or model folder")],
    videos: Annotated[list[Path] | None, typer.Argument(metavar="VIDEO...")] = None,
    model: Annotated[str | None, typer.Option(help="model name; the newest by default")] = None,
    individuals: Animals = None,
    output: Annotated[Path | None, typer.Option("-o", help="folder for the results")] = None,
    keep_peaks: Annotated[bool, typer.Option("--keep-peaks", help="keep candidates")] = False,
    device: Device = None,
) -> None:
    """Find and track the animals of videos: VIDEO -> VIDEO.mapose.h5; resumes by itself.

    Example: mapose analyze mice monday.mp4 tuesday.mp4
    """
    from mapose.models import Model
    from mapose.pipeline import SUFFIX, analyze_file

    if (target / "model.yaml").is_file():
        loaded, files = Model.load(target), videos or []
    else:
        from mapose.project import Project

        project = Project.load(target)
        loaded = project.load_model(model)
        project.check_model(loaded)
        files = videos or [project.find_video(name) for name in project.videos]
    if not files:
        raise SettingsError("no video: name at least one, mapose analyze TARGET VIDEO...")
    for video in files:
        place = (output / video.name if output else video).with_suffix(SUFFIX)
        with show_progress(video.name) as (progress, task):

            def show(p: Any, progress: Progress = progress, task: TaskID = task) -> None:
                note = f"resumed at {p.resumed}" if p.resumed else ""
                progress.update(task, completed=p.done, total=p.total, note=note)

            result = analyze_file(
                video,
                loaded,
                individuals=individuals,
                output=place,
                keep_peaks=keep_peaks,
                device=device,
                on_progress=show,
            )
        console.print(str(result), soft_wrap=True)


@app.command()
def track(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    individuals: Animals = None,
    output: Output = None,
) -> None:
    """Track poses again, of any file that mapose reads.

    Example: mapose track untracked.slp --individuals 2
    """
    from mapose.io import read, save
    from mapose.pipeline import SUFFIX
    from mapose.tracking import track as track_poses

    for file in files:
        poses = track_poses(read(file), individuals=individuals)
        stem = file.name.removesuffix(SUFFIX).removesuffix(file.suffix)
        place = output or file.with_name(f"{stem}.tracked{SUFFIX}")
        save(poses, place, provenance={"source": file.name})
        console.print(f"{place}: {poses}", soft_wrap=True)


@app.command()
def render(
    video: Path,
    file: Annotated[Path, typer.Argument(help="poses of this video")],
    output: Output = None,
    cutoff: Annotated[float, typer.Option(help="hide keypoints below this")] = 0.3,
    start: Annotated[int, typer.Option(help="first frame")] = 0,
    stop: Annotated[int | None, typer.Option(help="frame after the last")] = None,
    trail: Annotated[int, typer.Option(help="frames of the trail")] = 25,
) -> None:
    """Draw poses into a video.

    Example: mapose render monday.mp4 monday.mapose.h5
    """
    from mapose.rendering import render_video

    place = output or video.with_name(video.stem + ".labelled.mp4")
    with show_progress("rendering") as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        frames = slice(start, stop)
        render_video(
            video, file, place, frames=frames, cutoff=cutoff, trail=trail, on_progress=show
        )
    console.print(str(place), soft_wrap=True)


@app.command()
def plot(file: Path, output: Output = None) -> None:
    """Plot trajectories, positions, confidence and histograms.

    Example: mapose plot monday.mapose.h5
    """
    from mapose.io import read
    from mapose.rendering import save_plots

    folder = output or file.with_name(file.name.split(".")[0] + "-plots")
    for place in save_plots(read(file), folder):
        console.print(str(place), soft_wrap=True)


@app.command()
def metrics(
    truth: Path,
    file: Path,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="also frames that the model was trained on")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare poses with the truth: errors, PCK, OKS mAP, MOTA, IDF1, HOTA, switches.

    Example: mapose metrics proofread.slp monday.mapose.h5
    """
    from mapose.comparison import compare_files

    show_result(compare_files(truth, file, all_frames=all_frames), as_json)


@app.command()
def export(
    file: Path,
    to: Annotated[str, typer.Option(help="dlc-h5, dlc-csv, csv, movement, slp")],
    output: Output = None,
) -> None:
    """Write poses for another tool.

    Example: mapose export monday.mapose.h5 --to dlc-h5
    """
    from mapose.io import read, write
    from mapose.pipeline import SUFFIX

    endings = {"dlc-h5": ".h5", "dlc-csv": ".dlc.csv", "csv": ".csv", "movement": ".nc"}
    stem = file.name.removesuffix(SUFFIX).removesuffix(file.suffix)
    place = output or file.with_name(stem + endings.get(to, f".{to}"))
    write(read(file), place, to)
    console.print(str(place), soft_wrap=True)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("mapose-demo"),
    minutes: Annotated[float, typer.Option(help="time for training")] = 6.0,
) -> None:
    """Run the whole sentence on a synthetic scene: draw, train, analyse, track, render, measure.

    Example: mapose demo
    """
    from mapose.demo import run_demo

    with show_progress("demo") as (progress, task):

        def show(stage: str, done: float, total: float, note: str = "") -> None:
            progress.update(task, description=stage, completed=done, total=total, note=note)

        result = run_demo(folder, minutes=minutes, on_progress=show)
    show_result(result, False)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what is installed, which device is used, and what is wrong.

    Example: mapose doctor
    """
    from mapose.diagnosis import diagnose

    found = diagnose()
    show_result(found, as_json)
    if found.faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
