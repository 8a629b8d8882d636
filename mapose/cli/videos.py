"""Commands from a video to results: analyze, track, render, plot, metrics, export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from mapose.cli.application import Animals, Device, Force, Json, Output, app
from mapose.cli.batches import check_one_output, work_each
from mapose.cli.terminal import QUICK, console, show_progress, show_result
from mapose.errors import SettingsError
from mapose.files import cut_suffix


@app.command()
def analyze(
    target: Annotated[Path, typer.Argument(help="project or model folder")],
    videos: Annotated[list[Path] | None, typer.Argument(metavar="VIDEO...")] = None,
    model: Annotated[str | None, typer.Option(help="model name; the newest by default")] = None,
    individuals: Animals = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder for the results")
    ] = None,
    keep_peaks: Annotated[bool, typer.Option("--keep-peaks", help="keep candidates")] = False,
    device: Device = None,
    force: Force = False,
) -> None:
    """Find and track the animals of videos: VIDEO -> VIDEO.mapose.h5; resumes by itself.

    Results of the project's own videos, all of them if none is named, go to its folder results.

    Example: mapose analyze mice monday.mp4 tuesday.mp4
    """
    from mapose.analysis.pipeline import analyze_file, find_result
    from mapose.files import check_distinct, make_folder
    from mapose.models import Model
    from mapose.results.correcting import list_edits

    find_place: Callable[[Path], Path] = find_result
    if (target / "model.yaml").is_file():
        loaded, files = Model.load(target), videos or []
    else:
        from mapose.project.project import Project

        project = Project.load(target)
        loaded = project.load_model(model)
        project.check_model(loaded)
        files = videos or [project.path / place for place in project.videos.values()]
        find_place = project.find_result
    if not files:
        raise SettingsError("no video: name at least one, mapose analyze TARGET VIDEO...")
    if output is not None:
        make_folder(output)
    files = list(dict.fromkeys(files))
    check_distinct((v, find_result(v, output) if output else find_place(v)) for v in files)

    def work(video: Path) -> None:
        with show_progress(video.name) as (progress, task):

            def show(p: Any, progress: Progress = progress, task: TaskID = task) -> None:
                note = f"resumed at {p.resumed}" if p.resumed else ""
                progress.update(task, completed=p.done, total=p.total, note=note)

            result = analyze_file(
                video,
                loaded,
                individuals=individuals,
                output=find_result(video, output) if output else find_place(video),
                keep_peaks=keep_peaks,
                device=device,
                force=force,
                on_progress=show,
            )
        console.print(f"{result}{_tell_edits(len(list_edits(result)))}", soft_wrap=True)

    work_each(files, work)


def _tell_edits(count: int) -> str:
    """Say that corrections that were made before apply to a result."""
    what = "1 correction applies" if count == 1 else f"{count} corrections apply"
    return f"; {what} as before" if count else ""


@app.command()
def track(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...")],
    individuals: Animals = None,
    output: Output = None,
    online: Annotated[
        bool, typer.Option("--online", help="name every frame without looking ahead")
    ] = False,
    appearance: Annotated[
        bool, typer.Option("--appearance", help="learn what the animals look like, from the video")
    ] = False,
    gallery: Annotated[
        Path | None, typer.Option(help="name the animals by 'mapose gallery add'")
    ] = None,
    video: Annotated[Path | None, typer.Option(help="by default the one beside FILE")] = None,
    force: Force = False,
) -> None:
    """Track poses again, of any file that mapose reads: FILE -> FILE.tracked.mapose.h5.

    Example: mapose track monday.mapose.h5 --animals 4 --appearance
    """
    from mapose.analysis.retracking import TrackOptions, find_tracked, track_file
    from mapose.files import check_distinct
    from mapose.results.correcting import list_edits
    from mapose.results.result import Result

    check_one_output(output, files)
    check_distinct((file, find_tracked(file)) for file in files)

    def work(file: Path) -> None:
        looks = appearance or gallery is not None
        with Result(file) as result, show_progress("tracking") as (progress, task):
            options = TrackOptions(
                individuals,
                online,
                appearance,
                gallery,
                video=(video or result.find_video()) if looks else None,
            )

            def show(
                stage: str,
                done: int,
                total: int,
                progress: Progress = progress,
                task: TaskID = task,
            ) -> None:
                progress.update(task, description=stage, completed=done, total=total)

            place = track_file(result, output, options=options, force=force, on_progress=show)
        console.print(f"{place}{_tell_edits(len(list_edits(place)))}", soft_wrap=True)

    work_each(files, work)


@app.command()
def render(
    video: Path,
    file: Annotated[Path, typer.Argument(help="poses of this video, or 3D poses")],
    output: Output = None,
    camera: Annotated[str | None, typer.Option(help="3D poses: as this camera sees them")] = None,
    cutoff: Annotated[float, typer.Option(help="hide keypoints below this")] = 0.3,
    start: Annotated[int, typer.Option(help="first frame")] = 0,
    stop: Annotated[int | None, typer.Option(help="frame after the last")] = None,
    trail: Annotated[int, typer.Option(help="frames of the trail")] = 25,
    force: Force = False,
) -> None:
    """Draw poses into a video.

    Example: mapose render monday.mp4 monday.mapose.h5
    """
    from mapose.results.rendering import render_video

    place = output or video.with_name(video.stem + ".labelled.mp4")
    with show_progress("rendering") as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        render_video(
            video,
            file,
            place,
            camera=camera,
            frames=slice(start, stop),
            cutoff=cutoff,
            trail=trail,
            force=force,
            on_progress=show,
        )
    console.print(str(place), soft_wrap=True)


@app.command()
def plot(
    file: Path,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="folder to write")] = None,
    force: Force = False,
) -> None:
    """Plot trajectories, or the scene in 3D, positions, confidence, names and histograms.

    Example: mapose plot monday.mapose.h5
    """
    from mapose.results.rendering import save_plots

    folder = output or file.with_name(cut_suffix(file.name) + "-plots")
    with show_progress("plotting", after=QUICK):
        places = list(save_plots(file, folder, force=force))
    for place in places:
        console.print(str(place), soft_wrap=True)


@app.command()
def metrics(
    truth: Path,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="results of any tool")],
    rate: Annotated[float | None, typer.Option(help="frames/s, if no file says")] = None,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="also frames that the model was trained on")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare poses with the truth: errors, PCK, OKS mAP, MOTA, IDF1, HOTA, switches, names.

    Several files (ours, DeepLabCut's, SLEAP's) come side by side in one table.

    Example: mapose metrics proofread.slp monday.mapose.h5 monday_dlc_el.h5
    """
    from mapose.results.comparison import compare_many

    with show_progress("comparing", after=QUICK):
        found = compare_many(truth, files, all_frames=all_frames, rate=rate)
    alone = found.results[str(files[0])] if len(files) == 1 else found
    show_result(alone, as_json)


@app.command()
def export(
    file: Path,
    to: Annotated[str, typer.Option(help="dlc-h5, dlc-csv, slp, coco, movement, nwb, trc, csv")],
    output: Output = None,
    force: Force = False,
) -> None:
    """Write poses for another tool.

    Example: mapose export monday.mapose.h5 --to dlc-h5
    """
    from mapose.io.formats import ENDINGS
    from mapose.results.correcting import export_result

    ending = ".dlc.csv" if to == "dlc-csv" else ENDINGS.get(to, f".{to}")
    place = output or file.with_name(cut_suffix(file.name) + ending)
    with show_progress("exporting", after=QUICK):
        export_result(file, place, format=to, force=force)
    console.print(str(place), soft_wrap=True)
