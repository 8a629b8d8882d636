"""Commands about models: list those of a project, hand one to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Device, Dir, Force, Json, Output, app
from mapose.cli.numbers import real
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
def compare(
    folder: Dir,
    models: Annotated[list[str] | None, typer.Argument(help="names; all by default")] = None,
    cutoff: Annotated[float, real(most=1, help="p-cutoff")] = 0.6,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Compare models on labelled frames that none of them was trained on, in one table.

    Each error has the interval that holds 95 % of samples of the frames: what chance may do.
    Where no frame is a test frame of all, each model is tested on its own.

    Example: mapose models compare mice small-1 pretrained-1
    """
    from mapose.project.project import Project
    from mapose.training.comparison import compare_models, write_comparison

    project = Project.load(folder)
    with show_progress("comparing", after=QUICK):
        compared = compare_models(project, models, cutoff=cutoff, device=device)
        place = write_comparison(compared, project.path / "evaluation")
    show_result(compared, as_json)
    if not as_json:
        console.print(f"as tables and a figure: {place}")


@commands.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model folder, or zoo:NAME")],
    to: Annotated[str, typer.Option(help="onnx or torchscript")] = "onnx",
    stage: Annotated[str, typer.Option(help="first or second, of a model with two")] = "first",
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
    if stage not in ("first", "second"):
        raise SettingsError(f"--stage: wanted first or second, came {stage!r}")
    with show_progress("exporting", after=QUICK):
        place = find_model(model)
        loaded = Model.load(place)
        path = output or Path(f"{loaded.name}{ENDINGS[to]}")
        export_model(loaded, path, to=to, stage=stage, source=place, force=force)  # type: ignore[arg-type]
    console.print(f"{path}", soft_wrap=True)
