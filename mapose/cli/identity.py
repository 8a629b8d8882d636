"""Commands that correct results: swaps, swap, name, edit."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mapose.cli.application import Force, Json, app
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import console, show_progress, show_result
from mapose.errors import SettingsError

if TYPE_CHECKING:
    from mapose.doubts import Doubt
    from mapose.results.result import Result

_COLUMNS = ("rank", "frame", "time", "first", "last", "individuals", "probability")

File = Annotated[Path, typer.Argument(help="a result, NAME.mapose.h5")]


@app.command()
def swaps(
    file: File,
    top: Annotated[int, whole(help="show so many; 0 = all")] = 20,
    min_probability: Annotated[float, real(most=1, help="leave out what is less likely")] = 0.0,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="a strip of pictures of each, as PNG")
    ] = None,
    video: Annotated[Path | None, typer.Option(help="for --pictures, if it has moved")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="print csv instead of a table")] = False,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """List the moments at which animals may have been swapped, most doubtful first.

    Moments that 'mapose swap' has settled are left out.

    Example: mapose swaps monday.mapose.h5 --top 10 --pictures doubtful
    """
    from mapose.doubts import find_touches
    from mapose.results.result import Result
    from mapose.results.windows import make_parts, open_parts

    with Result(file) as result, open_parts(result) as source:
        found = source.find_doubts(min_probability=min_probability)
        shown, rate = (found[:top] if top > 0 else found), result.rate
        touches = find_touches(make_parts(source))
        if pictures is not None and shown:
            _save_pictures(result, shown, pictures, video, force)
    rows = list_rows(shown, rate)
    if as_json:
        meetings = [{"first": a, "last": b, "individuals": who} for a, b, *who in touches]
        show_result({"swaps": rows, "total": len(found), "touches": meetings}, True)
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "individuals": " ".join(row["individuals"])} for row in rows)
    elif rows:
        _show_table(rows, file, len(found))
    else:
        console.print(f"{file.name}: no doubtful moments", soft_wrap=True)
    if touches and not (as_json or as_csv):
        console.print(_tell_touches(touches, found), markup=False, soft_wrap=True)


def _tell_touches(touches: Sequence[tuple[int, int, str, str]], doubts: Sequence[Doubt]) -> str:
    """Say how often animals touched, and in how many of these moments names are in doubt."""
    doubtful = [
        any(d.first <= last and first <= d.last and {*d.individuals} == {*who} for d in doubts)
        for first, last, *who in touches
    ]
    frames = sum(last - first + 1 for first, last, *_ in touches)
    clear = len(touches) - sum(doubtful)
    return (
        f"keypoints of two animals lie on each other in {len(touches)} moments ({frames} frames); "
        f"in {clear} of them it was clear in every frame who is who, to less than 1 in 1000"
    )


@app.command()
def swap(
    file: File,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[A B]", help="names of the two animals")
    ] = None,
    frame: Annotated[int | None, whole(help="from this frame on they are swapped")] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="they are named rightly; ask no more about it")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="take back the last correction")] = False,
    show: Annotated[bool, typer.Option("--list", help="show all corrections")] = False,
) -> None:
    """Correct a swap: from a frame on, two animals get each other's name.

    The result itself stays as it is: corrections lie beside it, in NAME.edits.csv, and every
    command applies them.

    Example: mapose swap monday.mapose.h5 --frame 1200 track0 track1
    """
    from mapose.results.correcting import add_edit, list_edits, undo_edit

    if undo + show + (frame is not None) != 1:
        raise SettingsError("wanted one of --frame N A B, --undo, --list")
    if show:
        edits = list_edits(file)
        for edit in edits:
            console.print(str(edit), markup=False, soft_wrap=True)
        if not edits:
            console.print(f"{file.name}: no corrections")
    elif undo:
        console.print(f"taken back: {undo_edit(file)}", markup=False, soft_wrap=True)
    else:
        edit = add_edit(file, names or [], frame=frame, kind="keep" if keep else "swap")
        console.print(str(edit), markup=False, soft_wrap=True)


@app.command()
def name(
    file: File,
    old: Annotated[str, typer.Argument(help="what the animal is called now")],
    new: Annotated[str, typer.Argument(help="what it shall be called")],
    frame: Annotated[
        int | None, whole(help="where it certainly is this animal; found by itself")
    ] = None,
) -> None:
    """Call an animal by another name throughout; 'mapose swap FILE --undo' takes it back.

    Example: mapose name monday.mapose.h5 track0 Anna
    """
    from mapose.results.correcting import add_edit

    edit = add_edit(file, [old, new], frame=frame, kind="name")
    console.print(str(edit), markup=False, soft_wrap=True)


@app.command()
def edit(
    file: File,
    what: Annotated[str, typer.Argument(help="join, split, move or delete", metavar="WHAT")],
    names: Annotated[
        list[str], typer.Argument(help="join: the one that stays and the other; split: old, new")
    ],
    frame: Annotated[int | None, whole(help="the frame, or the first of several")] = None,
    last: Annotated[int | None, whole(help="delete up to this frame")] = None,
    keypoint: Annotated[str, typer.Option(help="what to move or delete; else all of them")] = "",
    to: Annotated[str, typer.Option(metavar="X,Y", help="where the keypoint is")] = "",
) -> None:
    """Join or split tracks, move a point, delete points or animals; the result itself stays.

    join A B: two tracks are one animal. split A [B] --frame N: from there on another animal.
    move A --frame N --keypoint K --to X,Y. delete A --frame N [--last M] [--keypoint K].
    'mapose swap FILE --list' shows all corrections, 'mapose swap FILE --undo' takes the last back.

    Example: mapose edit monday.mapose.h5 join track0 track4
    """
    from mapose.results.correcting import add_edit

    if what not in ("join", "split", "move", "delete"):
        raise SettingsError(f"edit: wanted join, split, move or delete, came {what!r}")
    place = _read_place(to) if to else None
    made = add_edit(file, names, frame=frame, kind=what, last=last, keypoint=keypoint, place=place)
    console.print(str(made), markup=False, soft_wrap=True)


def _read_place(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--to: wanted numbers as 312.5,96, came {text!r}") from None


def list_rows(found: list[Doubt], rate: float | None) -> list[dict[str, Any]]:
    """Make plain rows of doubtful moments, time in seconds (None if the rate is not known)."""
    return [
        {
            "rank": rank,
            "frame": moment.frame,
            "time": round(moment.frame / rate, 3) if rate else None,
            "first": moment.first,
            "last": moment.last,
            "individuals": list(moment.individuals),
            "probability": round(moment.probability, 6),
        }
        for rank, moment in enumerate(found, 1)
    ]


def _save_pictures(
    result: Result, shown: list[Doubt], folder: Path, video: Path | None, force: bool
) -> None:
    from mapose.results.rendering import save_swap_pictures

    with show_progress("drawing") as (progress, task):
        drawn = save_swap_pictures(result, shown, folder, video=video, force=force)
        for done, _ in enumerate(drawn, 1):
            progress.update(task, completed=done, total=len(shown))


def _show_table(rows: list[dict[str, Any]], file: Path, total: int) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "frame", "time", "from", "to"):
        table.add_column(heading, justify="right")
    table.add_column("individuals")
    table.add_column("probability of a swap", justify="right")
    for row in rows:
        seconds = row["time"]
        time = "" if seconds is None else f"{int(seconds // 60)}:{seconds % 60:05.2f}"
        numbers = [str(row["rank"]), str(row["frame"]), time, str(row["first"]), str(row["last"])]
        chance = f"{row['probability']:.3f}" if row["probability"] >= 0.0005 else "< 0.001"
        table.add_row(*numbers, ", ".join(row["individuals"]), chance)
    console.print(table)
    if total > len(rows):
        console.print(f"{total - len(rows)} more: --top 0 shows all")
    first = rows[0]
    console.print(
        f"swapped?     mapose swap {file} --frame {first['frame']} "
        f"{' '.join(first['individuals'])}\nnot swapped? the same with --keep",
        markup=False, soft_wrap=True, style="dim",
    )  # fmt: skip
