"""Commands about how animals move: filter, kinematics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mapose.cli.application import Force, Json, Output, app, split_names
from mapose.cli.batches import Pattern, Recursive, check_one_output, list_inputs, work_each
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import QUICK, console, show_progress, show_result
from mapose.errors import SettingsError

if TYPE_CHECKING:
    from mapose.results.measuring import Scale
    from mapose.zones import Zone

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="tracked poses of any tool, a folder or a project"),
]
Zones = Annotated[
    Path | None,
    typer.Option(help="zones: .yaml with NAME: [[x, y], ...], or .csv with the columns zone, x, y"),
]


@app.command("filter")
def filter_(
    files: Files,
    method: Annotated[str, typer.Option(help="kalman, median or savgol")] = "kalman",
    window: Annotated[int, whole(least=1, help="frames of median and savgol, odd")] = 5,
    order: Annotated[int, whole(help="of the polynomial of savgol")] = 2,
    max_gap: Annotated[int, whole(help="longest gap that is filled, frames")] = 10,
    cutoff: Annotated[float, real(most=1, help="leave out keypoints below this")] = 0.0,
    output: Output = None,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
) -> None:
    """Smooth poses and fill short gaps: FILE -> FILE.filtered.mapose.h5.

    DeepLabCut calls this filterpredictions. The Kalman smoother learns how noisy each keypoint
    is, leaves out jumps, and says how exact each point is. What is filled in is marked.

    Example: mapose filter monday.mapose.h5 --method median --window 5
    """
    from mapose.files import check_distinct
    from mapose.results.filtering import filter_file, find_filtered

    files = _list_unfiltered(list_inputs(files, recursive=recursive, pattern=pattern), files)
    check_one_output(output, files)
    check_distinct((file, find_filtered(file)) for file in files)

    def work(file: Path) -> None:
        with show_progress(f"filtering {file.name}", after=QUICK) as (progress, task):
            place = filter_file(
                file,
                output,
                force=force,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
                method=method,
                window=window,
                order=order,
                max_gap=max_gap,
                cutoff=cutoff,
            )
        console.print(str(place), soft_wrap=True)

    work_each(files, work)


def _list_unfiltered(found: list[Path], named: list[Path]) -> list[Path]:
    """Leave out what an earlier filter has written into a folder; what is named itself stays."""
    from mapose.files import RESULT

    return [f for f in found if f in named or not f.name.endswith(f".filtered{RESULT}")]


@app.command()
def kinematics(
    files: Files,
    zones: Zones = None,
    zone: Annotated[
        list[str] | None, typer.Option(metavar="NAME=x,y x,y x,y", help="a zone in pixels")
    ] = None,
    scale: Annotated[
        str, typer.Option(help="a known distance: 412px=300mm, or 10,20:422,20=300mm")
    ] = "",
    rate: Annotated[
        float | None, real(above=True, most=1e6, help="frames/s, if the file does not say")
    ] = None,
    moving: Annotated[float | None, real(help="speed from which one moves")] = None,
    near: Annotated[
        float | None, real(help="two are near up to this, between nearest keypoints")
    ] = None,
    joints: Annotated[str, typer.Option(help="a-b-c,..., by default all of the skeleton")] = "",
    body: Annotated[str, typer.Option(help="front,back: heading and body coordinates")] = "",
    centre: Annotated[str, typer.Option(help="keypoints whose mean is the animal, a,b")] = "",
    seconds: Annotated[float, real(above=True, help="time over which speeds are measured")] = 0.2,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="folder for figures")] = None,
    output: Output = None,
    recursive: Recursive = False,
    pattern: Pattern = "*",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Measure speeds, angles, distances, zones and bouts: FILE -> FILE.kinematics.csv.

    DeepLabCut calls part of this analyzeskeleton. Filter first: mapose filter. A name in .nc
    after -o gives a dataset of the movement package.

    Example: mapose kinematics monday.mapose.h5 --scale 412px=300mm --zones arena.yaml --moving 20
    """
    from mapose.kinematics import MeasureOptions, parse_zone
    from mapose.results.measuring import find_table, measure_file

    files = list_inputs(files, recursive=recursive, pattern=pattern)
    check_one_output(output, files)
    places: list[Zone] = [parse_zone(text) for text in zone or []]
    if zones is not None:
        from mapose.io.zones import read_zones

        places += read_zones(zones)
    options = MeasureOptions(
        seconds,
        split_names(centre) or None,
        _read_joints(joints),
        _read_body(body),
        places,
        moving,
        near,
    )
    measured = _read_scale(scale, rate)

    def work(file: Path) -> None:
        folder = plots / file.name if plots and len(files) > 1 else plots
        with show_progress(f"measuring {file.name}", after=QUICK):
            found = measure_file(
                file, output, options=options, scale=measured, figures=folder, force=force
            )
        show_result(found, as_json)
        if not as_json:
            console.print(str(output or find_table(file)), soft_wrap=True)

    work_each(files, work)


def _read_joints(text: str) -> list[tuple[str, str, str]] | None:
    joints = []
    for item in split_names(text):
        names = item.split("-")
        if len(names) != 3:
            raise SettingsError(f"--joints: wanted three keypoints a-b-c, came {item!r}")
        joints.append((names[0], names[1], names[2]))
    return joints or None


def _read_body(text: str) -> tuple[str, str] | None:
    names = split_names(text)
    if names and len(names) != 2:
        raise SettingsError(f"--body: wanted two keypoints front,back, came {text!r}")
    return (names[0], names[1]) if names else None


def _read_scale(text: str, rate: float | None) -> Scale:
    """Read ``412px=300mm``, or two places in the image and how far they are apart."""
    from mapose.results.measuring import Scale

    number = r"(-?[\d.]+)"
    known = r"=([\d.]+)\s*([a-zµ]+)"
    if not text:
        return Scale(rate=rate)
    try:
        if found := re.fullmatch(number + r"\s*(?:px)?" + known, text.strip()):
            return Scale(float(found[2]) / float(found[1]), found[3], rate)
        place = number + r"\s*,\s*" + number
        if found := re.fullmatch(place + r"\s*:\s*" + place + known, text.strip()):
            x0, y0, x1, y1, length = map(float, found.groups()[:5])
            return Scale(length / ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, found[6], rate)
    except (ValueError, ZeroDivisionError):
        pass
    raise SettingsError(
        "--scale: wanted 412px=300mm, so many pixels are so long, or 10,20:422,20=300mm, so far "
        f"apart are two places; came {text!r}"
    )
