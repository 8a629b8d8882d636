"""Commands about how animals move: filter, kinematics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Force, Output, app
from mapose.cli.batches import check_one_output, work_each
from mapose.cli.terminal import QUICK, console, show_progress

Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="tracked poses of any tool")]


@app.command("filter")
def filter_(
    files: Files,
    method: Annotated[str, typer.Option(help="kalman, median or savgol")] = "kalman",
    window: Annotated[int, typer.Option(help="frames of median and savgol, odd")] = 5,
    order: Annotated[int, typer.Option(help="of the polynomial of savgol")] = 2,
    max_gap: Annotated[int, typer.Option(help="longest gap that is filled, frames")] = 10,
    cutoff: Annotated[float, typer.Option(help="leave out keypoints below this")] = 0.0,
    output: Output = None,
    force: Force = False,
) -> None:
    """Smooth poses and fill short gaps: FILE -> FILE.filtered.mapose.h5.

    DeepLabCut calls this filterpredictions. The Kalman smoother learns how noisy each keypoint
    is, leaves out jumps, and says how exact each point is. What is filled in is marked.

    Example: mapose filter monday.mapose.h5 --method median --window 5
    """
    from mapose.files import check_distinct
    from mapose.results.filtering import filter_file, find_filtered

    check_one_output(output, files)
    check_distinct((file, find_filtered(file)) for file in files)

    def work(file: Path) -> None:
        with show_progress(f"filtering {file.name}", after=QUICK) as (progress, task):
            place = filter_file(
                file,
                output,
                force=force,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                method=method,
                window=window,
                order=order,
                max_gap=max_gap,
                cutoff=cutoff,
            )
        console.print(str(place), soft_wrap=True)

    work_each(files, work)
