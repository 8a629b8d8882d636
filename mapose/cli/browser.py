"""Commands that open the browser app: app, label, proofread."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Dir, app
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import console
from mapose.errors import SettingsError

Roots = Annotated[
    list[Path] | None,
    typer.Option("--root", help="folder that may be shown; the current one by default"),
]
Port = Annotated[int, whole(most=65535, help="where to listen; 0 = a free one")]
NoOpen = Annotated[bool, typer.Option("--no-open", help="print the link only")]
Hours = Annotated[float, real(above=True, help="end after so long with nobody there and no job")]


@app.command(name="app")
def app_(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="project folder")] = None,
    root: Roots = None,
    port: Port = 0,
    hours: Hours = 12.0,
    no_open: NoOpen = False,
) -> None:
    """Open the browser app: label, train, analyse and proofread by mouse and keyboard.

    It listens on this computer only. From another one: ssh -L PORT:127.0.0.1:PORT HOST, with
    the --port given here, and open the link that is printed.

    Example: mapose app mice
    """
    _serve(folder, "project" if folder else "home", root, port=port, hours=hours, quiet=no_open)


@app.command()
def label(
    folder: Dir,
    root: Roots = None,
    port: Port = 0,
    hours: Hours = 12.0,
    no_open: NoOpen = False,
) -> None:
    """Open the browser app where frames are labelled.

    Example: mapose label mice
    """
    _serve(folder, "label", root, port=port, hours=hours, quiet=no_open)


@app.command()
def proofread(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="result, NAME.mapose.h5")],
    root: Roots = None,
    port: Port = 0,
    hours: Hours = 12.0,
    no_open: NoOpen = False,
) -> None:
    """Open the browser app where names are proofread: doubtful moments, one key swaps or keeps.

    Example: mapose proofread mice/results/monday.mapose.h5
    """
    _serve(file, "proofread", root, port=port, hours=hours, quiet=no_open)


def open_refine(folder: Path) -> None:
    """Open the app where proposals are corrected."""
    _serve(folder, "refine", None, port=0, hours=12.0, quiet=False)


def _serve(
    folder: Path | None,
    page: str,
    roots: list[Path] | None,
    *,
    port: int,
    hours: float,
    quiet: bool,
) -> None:
    from mapose.app.serving import serve

    def show(address: str) -> None:
        console.print(f"mapose app: {address}", markup=False, soft_wrap=True)
        console.print("Ctrl-C ends it; every change is saved as it is made.")
        if not quiet:
            webbrowser.open(address)

    if strange := [root for root in roots or [] if not root.is_dir()]:
        raise SettingsError(f"--root: wanted a folder, {strange[0]} is none")
    serve(folder, page, roots=roots or [], port=port, hours=hours, on_start=show)
