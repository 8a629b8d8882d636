"""Commands from a video to results: analyze, track, render, plot, metrics, export, video."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress, TaskID

from mapose.cli.application import Animals, Device, Force, Json, Output, app
from mapose.cli.batches import (
    Jobs,
    Pattern,
    Recursive,
    Scheduler,
    check_one_output,
    list_inputs,
    list_recordings,
    open_workers,
    read_jobs,
    work_each,
)
from mapose.cli.cameras import read_sources
from mapose.cli.crops import read_crop
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import QUICK, console, repeat, show_progress, show_result
from mapose.errors import SettingsError, VideoError
from mapose.files import cut_suffix

if TYPE_CHECKING:
    from mapose.cluster.analyses import AnalysisTask


@app.command()
def analyze(
    target: Annotated[str, typer.Argument(help="project, model folder or zoo:NAME")],
    videos: Annotated[list[Path] | None, typer.Argument(metavar="VIDEO...")] = None,
    model: Annotated[str | None, typer.Option(help="model name; the newest by default")] = None,
    individuals: Animals = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder for the results")
    ] = None,
    keep_peaks: Annotated[bool, typer.Option("--keep-peaks", help="keep candidates")] = False,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    rate: Annotated[
        float | None, real(above=True, most=1e6, help="frames/s of stills, of time-lapse")
    ] = None,
    crop: Annotated[
        str, typer.Option(help="look only in left,top,width,height; positions stay as they are")
    ] = "",
    device: Device = None,
    jobs: Jobs = "1",
    scheduler: Scheduler = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Find and track the animals of videos: VIDEO -> VIDEO.mapose.h5; resumes by itself.

    A folder stands for the recordings in it, and is one itself if it holds stills. Results of
    the project's own videos, all of them if none is named, go to its folder results, and of each
    what 'mapose crop' says is looked at.

    zoo:NAME is a ready model ('mapose zoo list') and needs no project.

    --jobs 4 works on four videos at once; one that fails, or whose process dies, stops no other,
    and a table says what became of each.

    Example: mapose analyze mice monday.mp4 tuesday.mp4
    """
    from mapose.cluster.analyses import plan_analyses

    if Path(target).is_file():
        raise SettingsError(
            f"{target} is a file: wanted a project, a model folder or zoo:NAME first, then videos"
        )
    tasks = plan_analyses(
        target,
        list_recordings(videos or [], recursive=recursive, pattern=pattern),
        model=model,
        output=output,
        individuals=individuals,
        keep_peaks=keep_peaks,
        device=device,
        rate=rate,
        crop=read_crop(crop, "--crop"),
        force=force,
    )
    count = read_jobs(jobs)
    if count == 1 and not as_json and scheduler is None:
        _analyze_here(tasks)
    else:
        _analyze_many(tasks, count, scheduler, as_json)


def _analyze_here(tasks: list[AnalysisTask]) -> None:
    """Analyse video after video in this process."""
    from mapose.cluster.analyses import run_analysis
    from mapose.results.correcting import list_edits

    named = {Path(task.video): task for task in tasks}

    def work(video: Path) -> None:
        with show_progress(video.name) as (progress, task):

            def show(p: Any, progress: Progress = progress, task: TaskID = task) -> None:
                note = f"resumed at {p.resumed}" if p.resumed else ""
                progress.update(task, completed=p.done, total=p.total, note=note)

            result = run_analysis(named[video], on_progress=show).output
        console.print(f"{result}{_tell_edits(len(list_edits(result)))}", soft_wrap=True)

    work_each(list(named), work)


def _analyze_many(
    tasks: list[AnalysisTask], jobs: int | None, scheduler: str | None, as_json: bool
) -> None:
    """Analyse videos side by side, and show one table of what became of them."""
    from mapose.cluster.analyses import analyze_videos, list_unfinished

    with show_progress("videos") as (progress, task):
        progress.update(task, total=len(tasks))

        def tell() -> None:
            frames = [f"{Path(n).name} {done}" for n, done in list_unfinished(tasks).items()]
            progress.update(task, note=", ".join(frames[:4]))

        with open_workers(scheduler) as executor, repeat(tell, every=2.0):
            report = analyze_videos(
                tasks, jobs=jobs, executor=executor, on_outcome=lambda _: progress.advance(task)
            )
    show_result(report, as_json)
    if report.failed:
        raise typer.Exit(1)


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
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[VIDEO|CAM=VIDEO...] FILE...", help="poses; their video is found if not named"
        ),
    ],
    output: Output = None,
    camera: Annotated[str | None, typer.Option(help="3D poses: as this camera sees them")] = None,
    cutoff: Annotated[float, real(most=1, help="hide keypoints below this")] = 0.3,
    start: Annotated[int, whole(help="first frame")] = 0,
    stop: Annotated[int | None, whole(least=1, help="frame after the last")] = None,
    trail: Annotated[int, whole(most=100_000, help="frames of the trail")] = 25,
    colours: Annotated[
        str, typer.Option(help="individual or keypoint; keypoint if there is one animal only")
    ] = "",
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
) -> None:
    """Draw poses into a video: VIDEO -> VIDEO.labelled.mp4; of many files, or a folder, into each.

    With CAM=VIDEO for several cameras: all of them side by side, and the scene in space.

    Example: mapose render monday.mp4 monday.mapose.h5
    """
    from mapose.files import check_distinct
    from mapose.io.recordings import name_beside
    from mapose.results.rendering import DrawingOptions, render_video

    frames = slice(start, stop)
    drawing = DrawingOptions(cutoff=cutoff, trail=trail, colours=colours or None)
    views = [str(path) for path in paths if "=" in str(path) and not path.exists()]
    if views:
        files = [path for path in paths if str(path) not in views]
        _render_views(views, files, output, frames=frames, camera=camera, force=force, **drawing)
        return
    videos, poses = _part_videos(paths)
    files = list_inputs(poses, recursive=recursive, pattern=pattern)
    check_one_output(output, files)

    def find_place(file: Path) -> Path:
        named = name_beside(videos[0], "") if videos else file.with_name(cut_suffix(file.name))
        return output or named.with_name(f"{named.name}.labelled.mp4")

    check_distinct((file, find_place(file)) for file in files)

    def work(file: Path) -> None:
        video, place = videos[0] if videos else _find_video(file), find_place(file)
        with show_progress(f"rendering {place.name}") as (progress, task):
            render_video(
                video,
                file,
                place,
                camera=camera,
                frames=frames,
                force=force,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                **drawing,
            )
        console.print(str(place), soft_wrap=True)

    work_each(files, work)


def _part_videos(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Tell the video, if one is named, from the files of poses."""
    from mapose.io.formats import check_there
    from mapose.io.sources import VIDEO_SUFFIXES
    from mapose.io.stills import STACK_SUFFIXES

    videos = [p for p in paths if p.suffix.lower() in (*VIDEO_SUFFIXES, *STACK_SUFFIXES)]
    if len(paths) == 2 and paths[0].is_dir() and not paths[1].is_dir():
        videos = paths[:1]  # a folder of stills
    poses = [path for path in paths if path not in videos]
    if len(videos) > 1 or (videos and len(poses) != 1) or not poses:
        raise SettingsError("render: wanted VIDEO FILE, or files of poses whose videos are found")
    if len(poses) == 1:
        check_there(poses[0])
    return videos, poses


def _render_views(
    views: list[str], files: list[Path], output: Path | None, camera: str | None, **options: Any
) -> None:
    """Render several cameras, each CAM=VIDEO, and one file of 3D poses."""
    from mapose.results.panels import render_views

    if len(files) != 1 or camera is not None:
        raise SettingsError("render: wanted CAM=VIDEO for each camera and one FILE of 3D poses")
    videos, file = read_sources(views), files[0]
    place = output or file.with_name(f"{cut_suffix(file.name)}.labelled.mp4")
    with show_progress(f"rendering {place.name}") as (progress, task):
        render_views(
            videos,
            file,
            place,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            **options,
        )
    console.print(str(place), soft_wrap=True)


def _find_video(file: Path) -> Path:
    from mapose.results.result import Result

    try:
        return Result(file).find_video()
    except VideoError as fault:
        raise VideoError(
            f"{file.name}: its recording is not found; name it first, mapose render VIDEO {file}"
        ) from fault


@app.command()
def plot(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="poses, or a folder")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="folder to write")] = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="of MODEL VIDEO: scoremaps, fields, candidates")
    ] = False,
    frame: Annotated[list[int] | None, whole(help="for --maps; may come again")] = None,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
) -> None:
    """Plot trajectories, or the scene in 3D, positions, confidence, names and histograms.

    Of a project: sheets of its labelled frames, to check them at a glance. With --maps, of a model
    (a folder or zoo:NAME) and a video: what the network sees in a frame.

    Example: mapose plot monday.mapose.h5

    mapose plot mice/models/small-1 monday.mp4 --maps --frame 1200
    """
    from mapose.files import check_distinct
    from mapose.results.rendering import save_plots

    if maps:
        _plot_maps(files, frame or [0], output, force)
        return
    if len(files) == 1 and (files[0] / "mapose.yaml").is_file():
        _plot_labels(files[0], output, force)
        return
    files = list_inputs(files, recursive=recursive, pattern=pattern)
    check_one_output(output, files)

    def find_folder(file: Path) -> Path:
        return output or file.with_name(cut_suffix(file.name) + "-plots")

    check_distinct((file, find_folder(file)) for file in files)

    def work(file: Path) -> None:
        with show_progress(f"plotting {file.name}", after=QUICK):
            places = list(save_plots(file, find_folder(file), force=force))
        for place in places:
            console.print(str(place), soft_wrap=True)

    work_each(files, work)


def _plot_maps(files: list[Path], frames: list[int], folder: Path | None, force: bool) -> None:
    from mapose.analysis.mapping import save_maps

    if len(files) != 2:
        raise SettingsError("--maps: wanted MODEL VIDEO, mapose plot MODEL VIDEO --maps")
    model, video = files
    with show_progress("drawing maps", after=QUICK):
        for place in save_maps(video, model, folder=folder, frames=frames, force=force):
            console.print(str(place), soft_wrap=True)


def _plot_labels(project: Path, folder: Path | None, force: bool) -> None:
    from mapose.project.sheets import save_sheets

    with show_progress("drawing labels", after=QUICK) as (progress, task):
        places = list(
            save_sheets(
                project,
                folder,
                force=force,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    for place in places:
        console.print(str(place), soft_wrap=True)


@app.command()
def metrics(
    truth: Path,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="results of any tool")],
    rate: Annotated[
        float | None, real(above=True, most=1e6, help="frames/s, if no file says")
    ] = None,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="also frames that the model was trained on")
    ] = False,
    shift: Annotated[
        int, whole(least=-(2**53), help="frame of the truth that is their frame 0")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Compare poses with the truth: errors, PCK, OKS mAP, MOTA, IDF1, HOTA, switches, names.

    Several files (ours, DeepLabCut's, SLEAP's) come side by side in one table.

    Example: mapose metrics proofread.slp monday.mapose.h5 monday_dlc_el.h5
    """
    from mapose.results.comparison import compare_many

    with show_progress("comparing", after=QUICK):
        found = compare_many(truth, files, all_frames=all_frames, rate=rate, shift=shift)
    alone = found.results[str(files[0])] if len(files) == 1 else found
    show_result(alone, as_json)


@app.command()
def export(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...|DIR", help="poses, a folder, or a project")
    ],
    to: Annotated[
        str,
        typer.Option(
            help="dlc-h5, dlc-csv, slp, coco, movement, nwb, trc, csv; of a project dlc, slp, coco"
        ),
    ],
    output: Output = None,
    scorer: Annotated[str, typer.Option(help="who labelled, for --to dlc")] = "mapose",
    video: Annotated[
        Path | None, typer.Option(help="their recording; by default the one that is found")
    ] = None,
    unit: Annotated[str, typer.Option(help="of 3D poses that do not say it: mm, cm, m")] = "",
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
) -> None:
    """Write poses, beside each file, or the labels of a project, for another tool.

    --to dlc makes a DeepLabCut project of a project, with its images.

    Example: mapose export monday.mapose.h5 --to dlc-h5
    """
    from mapose.files import check_distinct
    from mapose.results.correcting import export_result, find_exported

    if len(files) == 1 and (files[0] / "mapose.yaml").is_file():
        from mapose.project.exporting import export_labels

        with show_progress("exporting", after=QUICK):
            written = export_labels(files[0], to, path=output, scorer=scorer, force=force)
        console.print(str(written), soft_wrap=True)
        return

    files = list_inputs(files, recursive=recursive, pattern=pattern)
    check_one_output(output, files)

    def find_place(file: Path) -> Path:
        return output or find_exported(file, to)

    check_distinct((file, find_place(file)) for file in files)

    def work(file: Path) -> None:
        with show_progress(f"exporting {file.name}", after=QUICK):
            export_result(
                file, find_place(file), format=to, video=video, unit=unit or None, force=force
            )
        console.print(str(find_place(file)), soft_wrap=True)

    work_each(files, work)


@app.command("video")
def video_(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="videos, or a folder")],
    start: Annotated[str, typer.Option(help="first frame, or time: 90s, 1:30")] = "0",
    stop: Annotated[str, typer.Option(help="frame after the last, or time")] = "",
    every: Annotated[int, whole(least=1, help="keep only every so many frames")] = 1,
    crop: Annotated[str, typer.Option(help="left,top,width,height in pixels")] = "",
    scale: Annotated[float, real(above=True, most=100, help="0.5 = half as wide and high")] = 1.0,
    quality: Annotated[int, whole(most=100, help="0 (small) to 100 (near lossless)")] = 85,
    output: Output = None,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
) -> None:
    """Trim, crop or shrink videos: VIDEO -> VIDEO.cut.mp4; the recording stays as it is.

    Example: mapose video monday.mp4 --start 1:30 --stop 2:00 --crop 100,0,640,480 --scale 0.5
    """
    from mapose.files import check_distinct
    from mapose.io import Cut, Video, cut_video
    from mapose.io.cutting import find_cut

    files = list_recordings(videos, recursive=recursive, pattern=pattern)
    check_one_output(output, files)
    check_distinct((file, find_cut(file)) for file in files)
    part = read_crop(crop, "--crop")

    def work(file: Path) -> None:
        rate = Video(file).rate
        last = _read_moment(stop, rate, "--stop") if stop else None
        cut = Cut(_read_moment(start, rate, "--start"), last, every, part, scale)
        with show_progress(f"cutting {file.name}") as (progress, task):
            place = cut_video(
                file,
                output,
                cut=cut,
                quality=quality,
                force=force,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        console.print(str(place), soft_wrap=True)

    work_each(files, work)


def _read_moment(text: str, rate: float, what: str) -> int:
    """Read a frame number, or a time as seconds, 90s, or minutes and seconds, 1:30."""
    if re.fullmatch(r"\d+", text):
        return int(text)
    if found := re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)s?", text):
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        return round((3600 * hours + 60 * minutes + seconds) * rate)
    raise SettingsError(f"{what}: wanted a frame, 90s or 1:30, came {text!r}")
