"""Commands about models: list those of a project, hand one to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Dir, Force, Json, Output, app
from mapose.cli.terminal import QUICK, console, show_progress, show_result

commands = typer.Typer(help="What a project has learned, and for other programs.",
                       no_args_is_help=True)  # fmt: skip
app.add_typer(commands, name="models")


@commands.command("list")
def list_(folder: Dir, as_json: Json = False) -> None:
    """List a project's models with their errors on frames that they were not trained on.

    Example: mapose models list mice
    """
    from mapose.project.project import Project
    from mapose.training.runs import list_models

    show_result(list_models(Project.load(folder)), as_json)


@commands.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model folder, or zoo:NAME")],
    to: Annotated[str, typer.Option(help="onnx or torchscript")] = "onnx",
    output: Output = None,
    force: Force = False,
) -> None:
    """Write a model's network for programs without mapose: uint8 images in, maps out.

    Example: mapose models export mice/models/small-1 --to onnx -o mice.onnx
    """
    from mapose.errors import SettingsError, suggest_name
    from mapose.models import Model
    from mapose.models.export import ENDINGS, export_model
    from mapose.zoo import find_model

    if to not in ENDINGS:
        raise SettingsError(f"--to: no form {to!r}: {suggest_name(to, ENDINGS)}")
    with show_progress("exporting", after=QUICK):
        place = find_model(model)
        loaded = Model.load(place)
        path = output or Path(f"{loaded.name}{ENDINGS[to]}")
        export_model(loaded, path, to=to, source=place, force=force)  # type: ignore[arg-type]
    console.print(f"{path}", soft_wrap=True)
