"""Commands about a project: its videos, skeleton and past, and what it shares with others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mapose.cli.application import Dir, Force, Json, app, split_names, split_pairs
from mapose.cli.numbers import whole
from mapose.cli.terminal import QUICK, console, show_progress, show_result, tell_count
from mapose.errors import SettingsError


@app.command()
def add(
    folder: Dir,
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO...", help="files; CAM=FILE")],
    session: Annotated[
        str, typer.Option(help="they are one recording of several cameras: CAM=FILE CAM=FILE")
    ] = "",
    copy: Annotated[bool, typer.Option("--copy", help="copy them into the project")] = False,
) -> None:
    """Take videos into a project; they stay where they are, unless --copy.

    Example: mapose add mice monday.mp4 tuesday.mp4
    """
    from mapose.project.project import Project

    project = Project.load(folder)
    known = set(project.videos)
    with show_progress("adding", after=QUICK) as (progress, task):
        if session:
            cameras = {}
            for text in videos:
                camera, mark, file = text.partition("=")
                if not (camera and mark and file):
                    raise SettingsError(f"--session: wanted CAM=FILE, came {text!r}")
                if camera in cameras:
                    raise SettingsError(
                        f"--session: wanted one file of {camera}, came {text!r} too"
                    )
                cameras[camera] = file
            project = project.add_session(session, cameras, copy=copy)
        else:
            _check_videos(videos)
            for done, video in enumerate(videos):
                progress.update(task, completed=done, total=len(videos))
                project = project.add_videos([video], copy=copy)
    new = [name for name in project.videos if name not in known]
    there = len(videos) - len(new)
    console.print(
        f"{folder}: {tell_count(len(new), 'new video')}, {len(project.videos)} in all"
        + (f"; {there} {'was' if there == 1 else 'were'} here already" if there else ""),
        soft_wrap=True,
    )


def _check_videos(videos: list[str]) -> None:
    """Open all videos before any is taken in, so that a typing error leaves all as it was."""
    from mapose.io import Video

    for text in videos:
        if "=" in text and not Path(text).exists():
            raise SettingsError(
                f"{text}: cameras of one recording need its name, --session NAME {text} ..."
            )
        Video(text).close()


@app.command()
def info(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="[DIR|FILE]", help="project, model, result, labels, video; else this folder"
        ),
    ] = Path(),
    as_json: Json = False,
) -> None:
    """Say what a project, a model, a result, a file of labels or a video holds.

    Example: mapose info mice
    """
    from mapose.project.overview import describe

    with show_progress("looking", after=QUICK):
        found = describe(path)
    show_result(found, as_json)


@app.command()
def history(
    folder: Dir,
    last: Annotated[int, whole(help="show so many changes; 0 = all")] = 20,
    undo: Annotated[bool, typer.Option("--undo", help="take back the last change")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="make it again")] = False,
    as_json: Json = False,
) -> None:
    """List the changes of a project's labels, newest last: number, time, who, what.

    Example: mapose history mice --last 50
    """
    from mapose.project.project import Project

    if undo and redo:
        raise SettingsError("wanted one of --undo, --redo")
    project = Project.load(folder)
    if undo or redo:
        project = project.undo() if undo else project.redo()
        console.print(str(project.history(1)[-1]), markup=False, soft_wrap=True)
        return
    found = project.history(last or None)
    if as_json:
        show_result({"changes": [entry.to_dict() for entry in found]}, True)
    elif not found:
        console.print(f"{folder}: no changes yet")
    else:
        _show_rows(("", "when (UTC)", "who", "what"), [list(e.to_dict().values()) for e in found])


@app.command()
def restore(
    folder: Dir,
    at: Annotated[str, typer.Argument(metavar="AT", help="number of a change, or a time in UTC")],
) -> None:
    """Bring back the labels as they were after a change; 'mapose history DIR --undo' takes it back.

    Example: mapose restore mice 17
    """
    from mapose.project.project import Project

    project = Project.load(folder)
    with show_progress("restoring", after=QUICK):
        project = project.restore(at)
    console.print(str(project.history(1)[-1]), markup=False, soft_wrap=True)


@app.command("zip")
def zip_(
    folder: Dir,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="by default DIR.zip")
    ] = None,
    videos: Annotated[bool, typer.Option("--videos", help="with its recordings")] = False,
    force: Force = False,
) -> None:
    """Write a project, with labels, models and results, into one file; unpacked, it is one again.

    Without --videos, 'mapose relink' finds the recordings where it is unpacked.

    Example: mapose zip mice --videos -o /backup/mice.zip
    """
    from mapose.project.packing import zip_project

    with show_progress("packing, MB") as (progress, task):
        place = zip_project(
            folder,
            output,
            videos=videos,
            force=force,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    console.print(str(place), soft_wrap=True)


@app.command()
def merge(
    folder: Dir,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="project whose labels come in")],
    prefer: Annotated[str | None, typer.Option(help="who is right: mine or theirs")] = None,
    rename: Annotated[str, typer.Option(help="keypoints of OTHER, old=new,...")] = "",
    as_json: Json = False,
) -> None:
    """Take the labels of another project in; where both say something else, nothing is done.

    Then the conflicts are listed, and --prefer decides them.

    Example: mapose merge mice annes-mice --prefer theirs
    """
    from mapose.project.merging import merge_projects

    names = dict(split_pairs(rename, "=", "--rename"))
    with show_progress("merging", after=QUICK):
        _, report = merge_projects(folder, other, prefer=prefer, rename=names)
    if as_json:
        show_result(report, True)
    else:
        for conflict in report.conflicts:
            console.print(str(conflict), markup=False, soft_wrap=True)
        console.print(str(report), markup=False, soft_wrap=True)
        if report.merged and (report.frames or report.points):
            console.print(f"mapose history {folder} --undo takes it back", soft_wrap=True)
        if not report.merged:
            console.print(
                "nothing was changed: correct the labels in one of the projects, or run again with "
                "--prefer mine or --prefer theirs"
            )
    if not report.merged:
        raise typer.Exit(1)


@app.command()
def relink(
    folder: Dir,
    place: Annotated[Path, typer.Argument(metavar="FOLDER", help="where to look, and below")],
    as_json: Json = False,
) -> None:
    """Find a project's videos again that have moved: by what is in them, whatever their name.

    Example: mapose relink mice /mnt/archive
    """
    from mapose.project.relinking import relink_project

    with show_progress("looking", after=QUICK) as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        _, report = relink_project(folder, place, on_progress=show)
    show_result(report, as_json)
    if report.lost:
        raise typer.Exit(1)


@app.command()
def skeleton(
    folder: Dir,
    rename: Annotated[str, typer.Option(help="keypoints, old=new,...")] = "",
    add: Annotated[str, typer.Option(help="keypoints, separated by commas")] = "",
    remove: Annotated[str, typer.Option(help="keypoints, with all their labels")] = "",
    join: Annotated[str, typer.Option(help="edges to add, a-b,b-c")] = "",
    part: Annotated[str, typer.Option(help="edges to remove, a-b,b-c")] = "",
    mirror: Annotated[str, typer.Option(help="left/right pairs to add, l-r")] = "",
    unmirror: Annotated[str, typer.Option(help="left/right pairs to remove")] = "",
    landmark: Annotated[str, typer.Option(help="keypoints that belong to no animal")] = "",
    no_landmark: Annotated[str, typer.Option(help="keypoints that belong to one after all")] = "",
    rename_animal: Annotated[str, typer.Option(help="animals, old=new,...")] = "",
    add_animal: Annotated[str, typer.Option(help="names; 1 where animals have none")] = "",
    remove_animal: Annotated[str, typer.Option(help="names, with all their labels")] = "",
    as_json: Json = False,
) -> None:
    """Show or change keypoints, edges and animals; labels stay, history --undo takes it back.

    Example: mapose skeleton mice --rename snout=nose --add tailtip --join nose-tailtip
    """
    from mapose.project.project import Project

    project = Project.load(folder)
    for old, new in split_pairs(rename, "=", "--rename"):
        project = project.rename_keypoint(old, new)
    for name in split_names(add):
        project = project.add_keypoint(name)
    for option, text, change in (
        ("--part", part, "remove_edge"),
        ("--join", join, "add_edge"),
        ("--unmirror", unmirror, "remove_mirror"),
        ("--mirror", mirror, "add_mirror"),
    ):
        mark = "-" if not any("-" in n for n in project.skeleton.keypoints) else ">"
        for first, second in split_pairs(text, mark, option):
            project = getattr(project, change)(first, second)
    for name in split_names(landmark):
        project = project.add_landmark(name)
    for name in split_names(no_landmark):
        project = project.remove_landmark(name)
    for name in split_names(remove):
        project = project.remove_keypoint(name)
    for old, new in split_pairs(rename_animal, "=", "--rename-animal"):
        project = project.rename_individual(old, new)
    for name in split_names(add_animal):
        named = not isinstance(project.individuals, int)
        project = project.add_individual(name if named else None)
    for name in split_names(remove_animal):
        project = project.remove_individual(name)
    count = project.individuals
    plan: dict[str, Any] = {
        **project.skeleton.to_dict(),
        "individuals": count if isinstance(count, int) else list(count),
    }
    if as_json:
        show_result(plan, True)
        return
    for name, value in plan.items():
        parts = value if isinstance(value, list) else [value]
        told = ", ".join("-".join(p) if isinstance(p, list) else str(p) for p in parts)
        console.print(f"{name}: {told or 'none'}", markup=False, soft_wrap=True)


@app.command()
def delete(
    folder: Dir,
    name: Annotated[str, typer.Argument(metavar="NAME", help="a model or a result")],
    yes: Annotated[
        bool, typer.Option("--yes", help="delete it; without, only say what goes")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete a model or a result; says first what goes and what depends on it.

    Example: mapose delete mice small-1 --yes
    """
    from mapose.project.project import Project
    from mapose.project.removing import find_removal, remove_parts

    removal = find_removal(Project.load(folder), name)
    show_result(removal, as_json)
    if yes:
        remove_parts(removal)
    if not as_json:
        console.print(
            "deleted" if yes else f"nothing was deleted: mapose delete {folder} {name} --yes"
        )


def _show_rows(headings: tuple[str, ...], rows: list[list[Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number == 0 else "left", no_wrap=number < 2)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table, markup=False)
