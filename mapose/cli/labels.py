"""Commands about what to label: extract."""

from __future__ import annotations

from typing import Annotated

import typer

from mapose.cli.application import Dir, Json, app, split_names
from mapose.cli.terminal import console, show_progress, show_result

Seed = Annotated[int, typer.Option(help="of the chance")]


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
    count: Annotated[int, typer.Option(help="frames of each video or session")] = 20,
    videos: Annotated[str, typer.Option(help="names, separated by commas; all by default")] = "",
    session: Annotated[
        list[str] | None,
        typer.Option(help="names of videos of synchronized cameras, a,b,c: the same moments"),
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
