"""Commands for several cameras: calibrate, triangulate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mapose.cli.application import Animals, Force, app, split_names, split_pairs
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import console, show_progress
from mapose.errors import SettingsError

Sources = Annotated[list[str] | None, typer.Argument(metavar="CAM=PATH...")]
BoardSpec = Annotated[
    str, typer.Option("--board", help="such as charuco:8x11:24mm:18.75mm:4x4_1000, or a .toml")
]
_NUMBER, _UNIT = r"-?(?:\d+\.?\d*|\.\d+)", "mm|cm|m|in"
PLACE = "x,y,z in the old world, a keypoint, or pixels: top=412:300,side=120:410"
Unit = Annotated[str | None, typer.Option(help="of a board .toml: mm, cm, m, in")]
Rate = Annotated[
    float | None, real(above=True, most=1e6, help="frames/s, if what the files say is wrong")
]
Times = Annotated[
    Path | None, typer.Option(help="csv: camera,time of each frame, or camera,dropped")
]
Lens = Annotated[list[str] | None, typer.Option(help="CAM=PATH, of the lens of one camera")]
FromPoses = Annotated[
    bool, typer.Option("--from-poses", help="no board: PATHs are 2D poses of the animals")
]
Lenses = Annotated[
    Path | None, typer.Option(help="with --from-poses: calibration that knows the lenses")
]
Check = Annotated[
    Path | None, typer.Option(help="does this calibration, or that of a 3D result, still fit?")
]
Moved = Annotated[
    str, typer.Option(help="with --check: known to have moved, CAM=FRAME,... (0 = before it began)")
]
Repair = Annotated[
    Path | None, typer.Option(help="with --check: .toml to write, moved cameras put right")
]
Print = Annotated[
    Path | None, typer.Option("--print", help="write the board to print, .pdf or .png")
]


@app.command()
def calibrate(
    sources: Sources = None,
    board: BoardSpec = "",
    unit: Unit = None,
    rate: Rate = None,
    times: Times = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("calibration.toml"),
    fisheye: Annotated[str, typer.Option(help="cameras with a fisheye lens, a,b")] = "",
    lens: Lens = None,
    from_poses: FromPoses = False,
    lenses: Lenses = None,
    size: Annotated[str, typer.Option(help="with --from-poses: images, 1280x1024")] = "",
    length: Annotated[str, typer.Option(help="with --from-poses: a-b=25mm sets the scale")] = "",
    check: Check = None,
    moved: Moved = "",
    repair: Repair = None,
    print_: Print = None,
    force: Force = False,
) -> None:
    """Calibrate cameras from videos or images of a board, or from the animals themselves.

    With --check, PATHs are 2D poses, or with --board videos of a board. --repair finds where a
    camera stands since it was moved, also in the middle of a recording; the others are held.

    Example: mapose calibrate --board chessboard:9x6:30mm top=top.mp4 side=side.mp4
    """
    from mapose.cameras.calibrating import BoardOptions, calibrate_cameras, write_board

    if not from_poses and (alone := _list_given(lenses=lenses, size=size, length=length)):
        raise SettingsError(f"{alone}: only for animals instead of a board, with --from-poses")
    if check is None and (alone := _list_given(moved=moved, repair=repair)):
        raise SettingsError(f"{alone}: only together with --check")
    if print_ is not None:
        write_board(board, print_, unit=unit, force=force)
        console.print(f"{print_}: print it in true size (100 %) and measure a square")
        return
    if check is not None:
        known = _read_moved(moved)
        _check_cameras(sources or [], check, board=board, moved=known, repaired=repair, force=force)
        return
    found = read_sources(sources or [])
    if from_poses:
        _calibrate_from_poses(found, output, lenses=lenses, size=size, length=length, force=force)
        return
    if not board:
        raise SettingsError(
            "wanted --board, such as chessboard:9x6:30mm (inner corners), or --from-poses"
        )
    films = read_sources(lens) if lens else None
    with _count("searching for the board") as show:
        options = BoardOptions(split_names(fisheye), films, unit, rate, times)
        _, report = calibrate_cameras(
            found, board, output=output, options=options, force=force, on_progress=show
        )
    console.print(str(report), markup=False, soft_wrap=True)
    console.print(str(output), soft_wrap=True)


def _calibrate_from_poses(
    sources: dict[str, Path],
    output: Path,
    *,
    lenses: Path | None,
    size: str,
    length: str,
    force: bool,
) -> None:
    from mapose.cameras.selfcalibrating import calibrate_from_files

    if lenses is None and not size:
        raise SettingsError(
            "--from-poses: wanted --lenses calibration.toml, or --size 1280x1024 of the images"
        )
    with _count("calibrating") as show:
        known, scale = lenses or _read_size(size), _read_length(length)
        found = calibrate_from_files(
            sources, output, lenses=known, length=scale, force=force, on_progress=show
        )
    console.print(str(found), markup=False, soft_wrap=True)
    console.print(str(output), soft_wrap=True)


def _check_cameras(
    sources: Sequence[str],
    calibration: Path,
    *,
    board: str,
    moved: dict[str, int],
    repaired: Path | None,
    force: bool,
) -> None:
    from mapose.cameras.selfcalibrating import check_calibration, list_views

    own = list_views(calibration) if not sources else {}
    with _count("checking") as show:
        found = check_calibration(
            own or read_sources(sources),
            calibration,
            board=board or None,
            moved=moved,
            repaired=repaired,
            force=force,
            on_progress=show,
        )
    console.print(str(found), markup=False, soft_wrap=True)
    if repaired is not None:
        console.print(f"{repaired}: {found.repaired}", markup=False, soft_wrap=True)


@app.command()
def world(
    calibration: Annotated[Path, typer.Argument(help="cameras that stand somewhere")],
    sources: Sources = None,
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("world.toml"),
    board: BoardSpec = "",
    frame: Annotated[int | None, whole(help="of the videos, of --points or of the pixels")] = None,
    unit: Unit = None,
    origin: Annotated[str, typer.Option(help=PLACE)] = "",
    x: Annotated[str, typer.Option("--x", help="a point on the x axis, likewise")] = "",
    y: Annotated[str, typer.Option("--y", help="a point where y is positive, likewise")] = "",
    points: Annotated[Path | None, typer.Option(help="3D result that has the keypoints")] = None,
    animal: Annotated[str | None, typer.Option(help="whose keypoints")] = None,
    length: Annotated[str, typer.Option(help="from origin to x, 300mm: sets the scale")] = "",
    force: Force = False,
) -> None:
    """Choose the world's origin, axes and floor: by a board in a frame, keypoints or points.

    Example: mapose world calibration.toml --origin 0,0,0 --x 300,0,0 --y 0,200,0 -o cage.toml
    """
    from mapose.cameras.world import WorldBoard, WorldPoints, place_world

    by: WorldPoints | WorldBoard
    if board:
        if given := _list_given(origin=origin, x=x, y=y, points=points, length=length):
            raise SettingsError(f"{given}: not together with --board, which sets all of it")
        by = WorldBoard(board, read_sources(sources or []), frame or 0, unit)
    else:
        if not (origin and x and y):
            raise SettingsError("wanted --board with --frame, or --origin, --x and --y")
        scale, new = _read_scale(length)
        corners = [_read_place(text) for text in (origin, x, y)]
        by = WorldPoints(corners[0], corners[1], corners[2], points, frame, animal, scale, new)
    cameras = place_world(calibration, output, by=by, force=force)
    console.print(f"{output}: {cameras}", markup=False, soft_wrap=True)


def _read_place(text: str) -> str | tuple[float, float, float] | dict[str, tuple[float, float]]:
    """Read ``10,20,5`` or ``top=412:300,side=120:410``; else it is the name of a keypoint."""
    parts = text.split(",")
    if "=" in text:
        return dict(_read_pixel(part.strip(), text) for part in parts)
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        return text
    if len(numbers) != 3:
        raise SettingsError(
            f"wanted x,y,z, a keypoint or pixels like top=412:300,side=120:410, came {text!r}"
        )
    return numbers[0], numbers[1], numbers[2]


def _read_pixel(part: str, text: str) -> tuple[str, tuple[float, float]]:
    """Read ``top=412:300``."""
    found = re.fullmatch(rf"(.+)=({_NUMBER}):({_NUMBER})", part)
    if not found:
        raise SettingsError(
            f"wanted the pixel in each camera, like top=412:300,side=120:410, came {text!r}"
        )
    return found[1], (float(found[2]), float(found[3]))


def _read_scale(text: str) -> tuple[float | None, str | None]:
    """Read ``300mm``: a length and its unit."""
    if not text:
        return None, None
    found = re.fullmatch(rf"({_NUMBER})\s*({_UNIT})", text.strip())
    if not found:
        raise SettingsError(
            f"--length: wanted a length with its unit (mm, cm, m, in), 300mm, came {text!r}"
        )
    return float(found[1]), found[2]


def _read_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if not found:
        raise SettingsError(f"--size: wanted WIDTHxHEIGHT in pixels, came {text!r}")
    return int(found[1]), int(found[2])


def _read_length(text: str) -> tuple[tuple[str, str], float, str] | None:
    """Read ``a-b=25mm``: a pair of keypoints, the distance and its unit."""
    if not text:
        return None
    found = re.fullmatch(rf"(.+)=({_NUMBER})\s*({_UNIT})", text.strip())
    if not found:
        raise SettingsError(f"--length: wanted a-b=25mm (mm, cm, m, in), came {text!r}")
    return split_pairs(found[1], "-", "--length")[0], float(found[2]), found[3]


def _read_moved(text: str) -> dict[str, int]:
    """Read ``side=1200,...``: cameras, and the frame from which on they stand elsewhere."""
    found = dict(split_pairs(text, "=", "--moved"))
    if wrong := [frame for frame in found.values() if not frame.isdecimal()]:
        raise SettingsError(f"--moved: wanted the number of a frame, came {wrong[0]!r}")
    return {name: int(frame) for name, frame in found.items()}


def _read_later(text: str) -> tuple[int, Path] | None:
    """Read ``1200=after.toml``: a calibration, and the frame from which on it counts."""
    if not text:
        return None
    frame, _, path = text.partition("=")
    if not (frame.strip().isdecimal() and path):
        raise SettingsError(f"--then: wanted FRAME=FILE, 1200=after.toml, came {text!r}")
    return int(frame), Path(path)


def _read_lengths(text: str) -> dict[tuple[str, str], float]:
    """Read ``a-b=12.5,...``: pairs of keypoints and the distance, in the unit of the cameras."""
    known = {}
    for bone, value in split_pairs(text, "=", "--lengths"):
        try:
            known[split_pairs(bone, "-", "--lengths")[0]] = float(value)
        except ValueError as error:
            if isinstance(error, SettingsError):
                raise
            raise SettingsError(f"--lengths: wanted a number for {bone}, came {value!r}") from None
    return known


def _list_given(**options: object) -> str:
    """List the options that were given."""
    return ", ".join(f"--{name}" for name, value in options.items() if value)


@contextmanager
def _count(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar that a function of (done, total) moves."""
    with show_progress(what) as (progress, task):
        yield lambda done, total: progress.update(task, completed=done, total=total)


@app.command()
def triangulate(
    sources: Sources = None,
    calibration: Annotated[Path, typer.Option(help="of mapose, Anipose, ...")] = Path(
        "calibration.toml"
    ),
    then: Annotated[
        str, typer.Option(help="FRAME=FILE: calibration after a camera was moved at this frame")
    ] = "",
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("session.mapose.h5"),
    individuals: Animals = None,
    no_smooth: Annotated[bool, typer.Option("--no-smooth", help="each frame for itself")] = False,
    rigid: Annotated[
        bool, typer.Option("--rigid", help="no bone changes its length, as of a skull or a tool")
    ] = False,
    max_gap: Annotated[int, whole(help="longest gap that is filled, frames")] = 10,
    trust_names: Annotated[
        bool, typer.Option("--trust-names", help="animals are named alike in all views")
    ] = False,
    synchronize: Annotated[
        bool, typer.Option("--synchronize", help="find by how many frames cameras are apart")
    ] = False,
    max_offset: Annotated[
        int, whole(least=1, help="with --synchronize: frames to look within at first")
    ] = 60,
    rate: Rate = None,
    times: Times = None,
    cut: Annotated[bool, typer.Option("--cut", help="cut views to their common frames")] = False,
    lengths: Annotated[str, typer.Option(help="known bones, a-b=12.5,..., to check")] = "",
    force: Force = False,
) -> None:
    """Find where everybody is in 3D, from the 2D poses of several cameras.

    Example: mapose triangulate top=top.mapose.h5 side=side.mapose.h5 -o session.mapose.h5
    """
    from mapose.cameras.triangulating import ViewOptions, triangulate_files

    if no_smooth and rigid:
        raise SettingsError("--rigid: bones are held while smoothing; leave --no-smooth out")
    match, later = False if trust_names else None, _read_later(then)
    views = ViewOptions(
        individuals, match, synchronize, cut, max_offset, rate=rate, times=times, later=later
    )
    with _count("triangulating") as show:
        found = triangulate_files(
            read_sources(sources or []),
            calibration,
            output=output,
            views=views,
            force=force,
            on_progress=show,
            smooth="rigid" if rigid else not no_smooth,
            max_gap=max_gap,
            lengths=_read_lengths(lengths),
        )
    console.print(str(found), markup=False, soft_wrap=True)
    console.print(str(output), soft_wrap=True)


def read_sources(arguments: Sequence[str]) -> dict[str, Path]:
    """Read what belongs to which camera.

    Parameters
    ----------
    arguments : sequence of str
        Each ``CAM=PATH``: a file, a folder, or a pattern such as ``photos/*.jpg``.

    Returns
    -------
    dict of str to Path
        By camera, in the order given.

    Raises
    ------
    SettingsError
        If one has no ``=``, a camera comes twice, or there is nothing at a path; all faults at
        once.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> (folder / "top.mp4").touch()
    >>> list(read_sources([f"top={folder}/top.mp4"]))
    ['top']
    """
    found: dict[str, Path] = {}
    faults = []
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not (name and sign and path):
            faults.append(f"{argument!r}: wanted CAM=PATH, such as top=top.mp4")
        elif name in found:
            faults.append(f"camera {name!r} comes twice; give several files as a folder or pattern")
        else:
            found[name] = Path(path)
            if not _is_there(found[name]):
                faults.append(f"camera {name!r}: there is nothing at {path}")
    if not arguments:
        faults.append("no cameras: wanted CAM=PATH for each, such as top=top.mp4 side=side.mp4")
    if faults:
        raise SettingsError("; ".join(faults))
    return found


def _is_there(path: Path) -> bool:
    return path.exists() or any(path.parent.glob(path.name))
