"""Commands about what to label: extract, propose, refine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapose.cli.application import Device, Dir, Json, app, split_names
from mapose.cli.browser import open_refine
from mapose.cli.cameras import read_sources
from mapose.cli.numbers import whole
from mapose.cli.terminal import console, show_progress, show_result, tell_count
from mapose.errors import SettingsError

if TYPE_CHECKING:
    from mapose.project.project import Project

Seed = Annotated[int, whole(most=2**32 - 1, help="of the chance")]


@app.command()
def extract(
    folder: Dir,
    method: Annotated[
        str,
        typer.Option(
            help="kmeans (one of each kind of picture), uniform, random, or different (most unlike "
            "what is labelled already)"
        ),
    ] = "kmeans",
    count: Annotated[int, whole(least=1, help="frames of each video or session")] = 20,
    videos: Annotated[str, typer.Option(help="names, separated by commas; all by default")] = "",
    session: Annotated[
        list[str] | None,
        typer.Option(
            help="videos of synchronized cameras, a,b,c, beside the project's own sessions"
        ),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Choose frames to label, and put them into the project as images (extract_frames).

    They lie in labels/VIDEO with empty labels in proposals.csv, and are not trained on before they
    are labelled. What looks like a frame that is there already is left out.

    Example: mapose extract mice --method kmeans --count 20
    """
    from mapose.project.extracting import extract_frames
    from mapose.project.project import Project

    with show_progress("choosing frames") as (progress, task):
        found = extract_frames(
            Project.load(folder),
            count,
            method=method,
            seed=seed,
            videos=split_names(videos) or None,
            sessions=[split_names(names) for names in session or []],
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    show_result(found, as_json)
    if not as_json:
        console.print(f"to be labelled: {folder / 'labels'}", markup=False, soft_wrap=True)


@app.command()
def propose(
    folder: Dir,
    frames: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FRAME...]", help="VIDEO:NUMBER; by default all that wait"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="model name; the newest by default")] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Let a model propose labels in the frames that are to be labelled (propose_frames).

    After a first short training, labelling is correcting: what it finds in the frames that wait
    and in which no person has marked anything is shown in the app, where Space accepts it. Nothing
    is trained on it before.

    Example: mapose propose mice
    """
    from mapose.project.project import Project
    from mapose.project.proposing import propose_frames

    with show_progress("proposing") as (progress, task):
        found = propose_frames(
            Project.load(folder),
            frames or None,
            model=model,
            device=device,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    show_result(found, as_json)
    if found.points and not as_json:
        console.print(f"next: mapose refine {folder}", markup=False, soft_wrap=True)


@app.command()
def refine(
    folder: Dir,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="results; CAM=FILE of a session")
    ] = None,
    count: Annotated[int, whole(least=1, help="frames in all")] = 20,
    reasons: Annotated[
        str,
        typer.Option(
            help="which count: confidence, jump, swap, pose, identity, reprojection, disagreement; "
            "all by default"
        ),
    ] = "",
    against: Annotated[Path | None, typer.Option(help="another model's result")] = None,
    mirrored: Annotated[
        str, typer.Option(metavar="MODEL", help="hold against what this model finds in mirrors")
    ] = "",
    calibration: Annotated[Path | None, typer.Option(help="with CAM=FILE: of the cameras")] = None,
    accept: Annotated[
        str, typer.Option(metavar="FRAMES", help="all or VIDEO:FRAME,...: make them labels")
    ] = "",
    drop: Annotated[
        str, typer.Option(metavar="FRAMES", help="all or VIDEO:FRAME,...: no longer propose them")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find the frames of results that are worth correcting, and propose them as labels.

    What the model found in them waits in labels/VIDEO/proposals.csv, to be corrected in the app
    (without FILE, it is opened), there or in another tool; nothing is trained on it before it is
    accepted.

    Example: mapose refine mice mice/results/monday.mapose.h5 --count 20
    """
    from mapose.project.project import Project
    from mapose.project.refining import refine_project
    from mapose.selection import KINDS

    if against and mirrored:
        raise SettingsError("wanted one of --against FILE, --mirrored MODEL")
    if bool(files) + bool(accept) + bool(drop) > 1:
        raise SettingsError("wanted one of FILE..., --accept FRAMES, --drop FRAMES")
    project = Project.load(folder)
    if not files:
        _correct(project, accept, drop)
        return
    given = files or []
    session = all("=" in file for file in given)
    with show_progress("looking for outliers") as (progress, task):
        found = refine_project(
            project,
            read_sources(given) if session else given,
            count=count,
            against=project.load_model(mirrored) if mirrored else against,
            calibration=calibration,
            kinds=split_names(reasons) or KINDS,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    show_result(found, as_json)
    if not as_json:
        console.print(
            f"{found.added} frames wait in {folder / 'labels'} to be corrected, then: "
            f"mapose refine {folder} --accept all",
            markup=False,
            soft_wrap=True,
        )


def _correct(project: Project, accept: str, drop: str) -> None:
    """Settle what waits by frames that are named, else open the app to look at them."""
    if accept or drop:
        console.print(_settle(project, accept, drop), markup=False, soft_wrap=True)
    else:
        open_refine(project.path)


def _settle(project: Project, accept: str, drop: str) -> str:
    """Make proposals labels, or let them go; say what was done."""
    from mapose.project.proposals import accept_proposals, drop_proposals

    if drop:
        return f"{tell_count(drop_proposals(project, _list_frames(drop)), 'frame')} dropped"
    taken = accept_proposals(project, _list_frames(accept))
    if not len(taken):
        return (
            "no frame is labels now: none that waits has a mark; mapose extract and mapose refine "
            "choose frames"
        )
    are = "is labels" if len(taken) == 1 else "are labels"
    return f"{tell_count(len(taken), 'frame')} {are} now; next: mapose train {project.path}"


def _list_frames(text: str) -> list[str] | None:
    """List the frames that are named; None for all."""
    return None if text == "all" else split_names(text)
