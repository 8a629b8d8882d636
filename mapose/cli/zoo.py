"""Commands about ready models: which there are, get one, hand one to others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Force, Json, app
from mapose.cli.terminal import QUICK, console, show_progress, show_result

commands = typer.Typer(help="Ready models, for zoo:NAME in other commands.", no_args_is_help=True)
app.add_typer(commands, name="zoo")

Name = Annotated[str | None, typer.Option(help="in the zoo; that of the source by default")]


@commands.command("list")
def list_(as_json: Json = False) -> None:
    """List the models that zoo:NAME can stand for, with their licences.

    Example: mapose zoo list
    """
    from mapose.zoo import list_models

    show_result(list_models(), as_json)


@commands.command()
def get(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="folder, zip file, https://..., hub:OWNER/NAME")
    ],
    name: Name = None,
    sha256: Annotated[str | None, typer.Option(help="checksum of the zip file")] = None,
    force: Force = False,
) -> None:
    """Get a model: checked, and kept in the folder that MAPOSE_ZOO names, or the system's for data.

    Example: mapose zoo get https://lab.example/black-mice.zip
    """
    from mapose.zoo import get_model

    with show_progress("getting the model", after=QUICK) as (progress, task):

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        folder = get_model(source, name=name, sha256=sha256, force=force, on_progress=show)
    _tell(folder)


@commands.command()
def add(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model folder, or zoo:NAME")],
    name: Name = None,
    licence: Annotated[
        str | None, typer.Option("--licence", "--license", help="for others, as CC-BY-4.0")
    ] = None,
    card: Annotated[Path | None, typer.Option(help="text about the model, Markdown")] = None,
    head: Annotated[
        Path | None, typer.Option(help="for zoo:quadrupeds: vitpose+_base.pth of ViTPose++")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="zip file for another lab instead")
    ] = None,
    force: Force = False,
) -> None:
    """Give a model a card and checksums, and put it into the zoo or into a zip file for others.

    Example: mapose zoo add mice/models/pretrained-1 --name black-mice --licence CC-BY-4.0
    """
    from mapose.zoo import add_model

    with show_progress("adding the model", after=QUICK):
        place = add_model(
            model, name=name, licence=licence, card=card, head=head, output=output, force=force
        )
    if output is None:
        _tell(place)
    else:
        console.print(str(place), soft_wrap=True)


def _tell(folder: Path) -> None:
    from mapose.zoo.cards import read_licence

    console.print(
        f"zoo:{folder.name} (licence: {read_licence(folder)}) in {folder}",
        soft_wrap=True,
        markup=False,
    )
