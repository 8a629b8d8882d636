"""Commands over many recordings: run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Device, Json, app
from mapose.cli.batches import Jobs, Scheduler, open_workers, read_jobs
from mapose.cli.terminal import show_progress, show_result


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
