"""The command about where in the pictures of a video the animals are: crop."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from mapose.cli.application import Dir, app
from mapose.cli.terminal import console
from mapose.errors import SettingsError


@app.command()
def crop(
    project: Dir,
    video: Annotated[str | None, typer.Argument(help="name of a video; all are shown")] = None,
    part: Annotated[
        str | None, typer.Argument(metavar="LEFT,TOP,WIDTH,HEIGHT", help="pixels")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="the whole picture again")] = False,
) -> None:
    """Say where in the pictures of a video the animals are; training and analysis look only there.

    Coordinates stay those in the whole picture.

    Example: mapose crop flies monday 100,50,640,480
    """
    from mapose.project.crops import load_crops, set_crop
    from mapose.project.project import Project

    opened = Project.load(project)
    if video is not None and (part is not None) != clear:
        set_crop(opened, video, crop=read_crop(part or "", "crop"))
    elif video is not None:
        raise SettingsError("crop: wanted DIR VIDEO LEFT,TOP,WIDTH,HEIGHT, or --clear")
    crops = load_crops(opened)
    for name in opened.videos:
        text = ",".join(map(str, crops[name])) if name in crops else "the whole picture"
        console.print(f"{name}: {text}", markup=False, soft_wrap=True)


def read_crop(text: str, what: str) -> tuple[int, int, int, int] | None:
    """Read ``left,top,width,height``; None of nothing; `what` names the option in the message.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    if not text:
        return None
    found = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", text)
    if not found:
        raise SettingsError(f"{what}: wanted left,top,width,height in pixels, came {text!r}")
    left, top, width, height = map(int, found.groups())
    return left, top, width, height
