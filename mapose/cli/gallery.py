"""Commands for galleries: put animals in, list who is there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Json, app, split_pairs
from mapose.cli.terminal import console, show_progress, show_result

commands = typer.Typer(
    help="How named animals look, to recognise them in other videos.", no_args_is_help=True
)
app.add_typer(commands, name="gallery")


@commands.command()
def add(
    gallery: Annotated[Path, typer.Argument(metavar="GALLERY", help="made if it does not exist")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="tracked poses of a video")],
    video: Annotated[Path | None, typer.Option(help="by default the one beside FILE")] = None,
    names: Annotated[
        str | None, typer.Option(help="track0=Anna,track1=Bea; by default as in FILE")
    ] = None,
) -> None:
    """Put the animals of a tracked video into a gallery.

    Example: mapose gallery add mice.gallery monday.mapose.h5 --names track0=Anna,track1=Bea
    """
    from mapose.edits import find_edits_path
    from mapose.files import check_output, find_tail
    from mapose.io import Video
    from mapose.locks import lock_output
    from mapose.recognition.gallery import load_gallery
    from mapose.recognition.learning import add_to_gallery
    from mapose.results.recordings import check_recording
    from mapose.results.result import Result

    with Result(file) as result:
        poses, source = result.poses, video or result.find_video()
        with Video(source) as opened:
            check_recording(result, opened)
    day = Path(find_tail(source)).with_suffix("").as_posix()  # 0001.mp4 of two days is two
    # What is in the gallery stays in it, so nothing is replaced; another file is not opened.
    check_output(gallery, inputs=[file, find_edits_path(file), source], force=True)
    pairs = split_pairs(names, "=", "--names") if names else [(n, n) for n in poses.names]
    with lock_output(gallery, wait=True):
        known = load_gallery(gallery) if gallery.is_file() else None
        with show_progress("looking") as (progress, task):

            def show(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            made = add_to_gallery(
                known, source, poses=poses, names=dict(pairs), day=day, on_progress=show
            )
        made.save(gallery)
    console.print(str(made), markup=False, soft_wrap=True)


@commands.command(name="list")
def list_animals(gallery: Path, as_json: Json = False) -> None:
    """List the animals of a gallery, and how well they can be told apart.

    Example: mapose gallery list mice.gallery
    """
    from mapose.recognition.gallery import load_gallery

    show_result(load_gallery(gallery), as_json)
