"""The command line itself: its options in common, its errors, and its two general commands."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.logging import RichHandler
from typer.core import TyperGroup

from mapose import __version__
from mapose.cli.numbers import whole
from mapose.cli.terminal import (
    errors,
    explain_fault,
    say_that_it_starts,
    show_error,
    show_progress,
    show_result,
)
from mapose.errors import MaposeError, SettingsError
from mapose.interruptions import Terminated, raise_on_kill

#: The commands in the order in which a user needs them; new ones come under More.
SECTIONS = {
    "Begin": ("demo", "doctor", "app", "new", "import", "add", "info"),
    "Label": ("extract", "label", "refine", "history", "restore", "skeleton", "merge"),
    "Train": ("train", "evaluate", "models", "zoo"),
    "Analyse": (
        "crop",
        "analyze",
        "track",
        "filter",
        "kinematics",
        "render",
        "plot",
        "metrics",
        "export",
    ),
    "Who is who": ("proofread", "swaps", "swap", "name", "edit", "gallery"),
    "Several cameras": ("calibrate", "world", "triangulate", "run"),
    "Clusters": ("submit", "jobs"),
    "Live": ("live",),
    "Files": ("video", "relink", "zip", "delete"),
}
_MORE = "More"


class _Commands(TyperGroup):
    """The commands; what interrupts one is told here, as typer would end without a word."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what they are for, each with the first clause of its help."""
        sorted_in = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in self.commands if name not in sorted_in)
        width = max(map(len, self.commands))
        for title, names in {**SECTIONS, _MORE: rest}.items():
            rows = [(n, _tell_shortly(self.commands[n])) for n in names if n in self.commands]
            if rows:
                with formatter.section(title):
                    # One width for all sections, so that they stand below each other.
                    formatter.write_dl([(f"{n:<{width}}", told) for n, told in rows])

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            told = getattr(stop, "__notes__", None) or [
                "no file was left half-written, the same command begins again"
            ]
            show_error(f"stopped: {told[0]}", style="yellow")
            raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from stop


def _tell_shortly(command: Any) -> str:
    """Give the first clause of a command's help."""
    return re.split(r"[:;.] |\.\n|\.$", (command.help or "").strip(), maxsplit=1)[0]


app = typer.Typer(
    cls=_Commands,
    help="Videos of several interacting animals to identified tracks and poses.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="project folder")]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, mps; the fastest by default")]
Animals = Annotated[
    int | None, whole("--individuals", "--animals", least=1, most=1000, help="animals in view")
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="file to write")]
Force = Annotated[
    bool, typer.Option("--force", help="replace what other inputs or programs have made")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mapose {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="and exit")
    ] = False,
) -> None:
    """Videos of several interacting animals to identified tracks and poses."""


def main() -> None:
    """Run the command line; a deliberate error is one line, and the exit status 1."""
    handler = RichHandler(console=errors, show_time=False, show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    # Shares that know no locks would refuse all files; ours are kept from others by `mapose.locks`.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    try:
        with raise_on_kill(), say_that_it_starts():
            app()
    except (MaposeError, ValueError, OSError) as error:
        # By name: to import calibration's one error would load OpenCV for every command.
        told = isinstance(error, MaposeError) or type(error).__name__ == "CalibrationError"
        if not told and not isinstance(error, OSError):
            raise
        # Messages name the option and, for those who call from Python, the argument.
        show_error(explain_fault(error).replace(" (force=True)", ""))
        sys.exit(1)


def split_names(text: str) -> list[str]:
    """Split names at commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def split_pairs(text: str, mark: str, what: str) -> list[tuple[str, str]]:
    """Split pairs, a-b,c-d, at commas and a mark; `what` names the option in the message.

    Raises
    ------
    SettingsError
        If one of them is not a pair.
    """
    pairs = []
    for item in split_names(text):
        first, found, second = item.partition(mark)
        if not (first and found and second):
            raise SettingsError(f"{what}: wanted a{mark}b, came {item!r}")
        pairs.append((first.strip(), second.strip()))
    return pairs


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("mapose-demo"),
    seed: Annotated[int, whole(most=2**32 - 1, help="of the scene and of the training")] = 0,
) -> None:
    """Run the whole sentence on a drawn scene of three cameras: train, analyse, name, 3D, report.

    Example: mapose demo
    """
    from mapose.demo import run_demo

    with show_progress("demo") as (progress, task):

        def show(stage: str, done: float, total: float, note: str = "") -> None:
            progress.update(task, description=stage, completed=done, total=total, note=note)

        result = run_demo(folder, seed=seed, on_progress=show)
    show_result(result, False)
    if result.faults:
        raise typer.Exit(1)


@app.command()
def doctor(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="model folder or zoo:NAME to measure with")
    ] = "zoo:drawn-mice",
    video: Annotated[
        Path | None, typer.Argument(metavar="[VIDEO]", help="by default one is drawn, 640x480")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="do not measure the speed")] = False,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Say what is installed, what is wrong, and for half a minute measure how fast this machine is.

    Example: mapose doctor mice/models/small-1 monday.mp4
    """
    from mapose.diagnosis import diagnose

    found = diagnose()
    speed = None
    if not quick and (found.device or not found.faults):
        from mapose.analysis.speed import measure_speed

        with show_progress("measuring") as (progress, task):

            def show(stage: str) -> None:
                progress.update(task, description=stage)

            speed = measure_speed(model, video, device=device, on_progress=show)
    if as_json:
        show_result({**found.to_dict(), "speed": speed and speed.to_dict()}, True)
    else:
        show_result(f"{found}\n\n{speed}" if speed else found, False)
    if found.faults:
        raise typer.Exit(1)
