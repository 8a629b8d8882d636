"""Commands over many recordings and machines: run, submit, jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mapose.cli.application import Animals, Device, Json, app
from mapose.cli.batches import (
    Jobs,
    Pattern,
    Recursive,
    Scheduler,
    list_recordings,
    open_workers,
    read_jobs,
)
from mapose.cli.numbers import whole
from mapose.cli.terminal import console, show_progress, show_result, tell_count
from mapose.errors import SettingsError

if TYPE_CHECKING:
    from mapose.cluster.submitting import QueueOptions


@app.command("run")
def run_(
    tree: Annotated[Path, typer.Argument(metavar="DIR", help="folder of sessions, at any depth")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, and why")
    ] = False,
    jobs: Jobs = "1",
    scheduler: Scheduler = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    r"""Do of each session whatever is missing: calibrate, analyze, triangulate, kinematics, export.

    A session is a folder with one video per camera. A file session.yaml in it or above says with
    which model, and more where that is wanted:

    \b
        model: ../mice                        # project, model folder or zoo:NAME
        cameras: [top, side]                  # words in the names of the videos
        board: charuco:8x11:24mm:18.75mm:4x4_1000    # its videos lie in the folder calibration
        individuals: 2
        export: [csv, trc]

    What is done and depends on nothing that has changed is left as it is.

    Example: mapose run recordings --dry-run
    """
    from mapose.cluster.experiments import plan_sessions, run_sessions
    from mapose.cluster.sessions import find_sessions

    sessions = find_sessions(tree)
    if dry_run:
        show_result(plan_sessions(sessions), as_json)
        return
    with show_progress("sessions") as (progress, task):

        def show(name: str, done: int, total: int) -> None:
            progress.update(task, description=name, completed=done, total=total or None)

        with open_workers(scheduler) as executor:
            report = run_sessions(
                sessions, jobs=read_jobs(jobs), executor=executor, device=device, on_step=show
            )
    show_result(report, as_json)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def submit(
    target: Annotated[str, typer.Argument(help="project, model folder or zoo:NAME; or train")],
    videos: Annotated[
        list[Path] | None, typer.Argument(metavar="VIDEO...", help="or the project to train")
    ] = None,
    model: Annotated[str | None, typer.Option(help="model name; the newest by default")] = None,
    individuals: Animals = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder for the results")
    ] = None,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    slurm: Annotated[
        bool, typer.Option("--slurm", help="hand it to SLURM; else only write the script")
    ] = False,
    array_size: Annotated[
        int,
        whole(
            least=1, most=100_000, help="tasks at most; where videos are more, each takes several"
        ),
    ] = 1000,
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="of sbatch, such as time=4:00:00")
    ] = None,
    setup: Annotated[
        str, typer.Option(help="line of shell before each task, such as 'module load cuda'")
    ] = "",
    name: Annotated[str, typer.Option(help="train: of the new model")] = "",
    preset: Annotated[str, typer.Option(help="train: as of mapose train")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="train: section.key=value")
    ] = None,
) -> None:
    """Hand the analysis of many videos, or a training, to a cluster's queue.

    Writes a list of the videos and a script that anybody can read and change into jobs/NAME of the
    project (of a model: of the folder where you are). Each task is an ordinary command that takes
    up where a stopped one ended. 'mapose jobs' shows what has become of them.

    Example: mapose submit mice recordings --slurm --sbatch time=4:00:00 --sbatch gres=gpu:1

    mapose submit train mice --name night --preset large --slurm --sbatch time=12:00:00
    """
    from mapose.cluster.slurm import read_sbatch
    from mapose.cluster.submitting import QueueOptions

    queue = QueueOptions(slurm, array_size, read_sbatch(sbatch or []), setup)
    if target == "train":
        folder = _submit_training(videos or [], name, preset, set_ or [], queue=queue)
    else:
        found = list_recordings(videos or [], recursive=recursive, pattern=pattern)
        options = {"model": model, "individuals": individuals, "output": output}
        folder = _submit_videos(target, found, options, queue)
    console.print(str(folder), soft_wrap=True)
    if not slurm:
        console.print(f"next: sbatch {folder / 'job-1.sh'}", soft_wrap=True)


def _submit_videos(
    target: str, videos: list[Path], options: dict[str, Any], queue: QueueOptions
) -> Path:
    from mapose.cluster.analyses import plan_analyses
    from mapose.cluster.submitting import list_words, submit_analyses

    tasks = plan_analyses(target, videos, **options)
    place = Path(target) if (Path(target) / "mapose.yaml").is_file() else Path()
    used = dict(options)
    if place != Path():  # a newer model would be the default of the tasks that come later
        used["model"] = Path(tasks[0].model).name
    if used["output"] is not None:
        used["output"] = used["output"].absolute()
    return submit_analyses(tasks, list_words(target, used), place, queue=queue)


def _submit_training(
    named: list[Path], name: str, preset: str, settings: list[str], *, queue: QueueOptions
) -> Path:
    from mapose.cluster.submitting import submit_training
    from mapose.config import load_settings

    if len(named) != 1 or not name:
        raise SettingsError("submit train: wanted a project and --name of the new model")
    load_settings(preset or "small", settings)  # or say now what the task would say at night
    options = [f"--preset={preset}"] if preset else []
    options += [f"--set={text}" for text in settings]
    return submit_training(named[0], name, options=options, queue=queue)


@app.command()
def jobs(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="project, or folder with jobs")
    ] = Path(),
    again: Annotated[
        bool, typer.Option("--resubmit", help="hand in again what is missing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what 'mapose submit' has handed in: what is done, on its way and missing, and why.

    Example: mapose jobs mice --resubmit
    """
    from mapose.cluster.submitting import list_submissions, resubmit

    found = list_submissions(folder)
    if not found:
        raise SettingsError(f"{folder}: nothing was handed in here; see mapose submit")
    if again:
        for submission in found:
            names = resubmit(submission.folder)
            console.print(
                f"{submission.folder}: {tell_count(len(names), 'task')} handed in again",
                soft_wrap=True,
            )
        return
    if as_json:
        show_result({"submissions": [submission.to_dict() for submission in found]}, True)
        return
    for submission in found:
        console.print(str(submission), soft_wrap=True, markup=False)
