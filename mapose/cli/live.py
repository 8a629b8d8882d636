"""Commands for cameras in real time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import Progress, TaskID

from mapose.cli.application import Animals, Device, Force, Json, Output, app
from mapose.cli.terminal import show_progress, show_result
from mapose.errors import SettingsError
from mapose.files import RESULT, claim_output, name_work

if TYPE_CHECKING:
    from calibration import CameraGroup
    from mapose.live import Answer, Source
    from mapose.live import Output as Listener


@app.command()
def live(
    source: Annotated[
        list[str] | None,
        typer.Option(help="camera number, address, video; several as NAME=SOURCE"),
    ] = None,
    model: Annotated[str, typer.Option(help="model folder, or zoo:NAME")] = "",
    calibration: Annotated[Path | None, typer.Option(help="for several cameras: 3D")] = None,
    individuals: Animals = None,
    output: Output = None,
    record: Annotated[Path | None, typer.Option(help="folder for the cameras' videos")] = None,
    zmq: Annotated[str | None, typer.Option(help="publish answers: tcp://127.0.0.1:5555")] = None,
    serial: Annotated[str | None, typer.Option(help="port to switch while --near holds")] = None,
    near: Annotated[float | None, typer.Option(help="distance of animals' centres")] = None,
    by: Annotated[Literal["time", "number"], typer.Option(help="what frames share")] = "time",
    wait: Annotated[float, typer.Option(help="seconds for a late view")] = 0.05,
    late: Annotated[
        Literal["without", "drop"], typer.Option(help="what then becomes of the others")
    ] = "without",
    oldest: Annotated[float, typer.Option(help="seconds after which nothing is answered")] = 0.5,
    seconds: Annotated[float | None, typer.Option(help="how long; until Ctrl-C by default")] = None,
    rehearsal: Annotated[
        bool, typer.Option("--rehearse", help="answer every frame of videos, in step")
    ] = False,
    join: Annotated[
        Path | None, typer.Option(help="finish this result of a run that crashed, and end")
    ] = None,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Answer what cameras see while they see it: poses, identities, 3D, and the latency of it.

    Example: mapose live --model mice/models/pretrained-1 --source 0 -o today.mapose.h5
    """
    from mapose.live import LiveOptions, join_parts, rehearse, run_live

    if join is not None:
        show_result({"joined": str(join_parts(join, force=force))}, as_json)
        return
    if not model:
        raise SettingsError("--model: wanted a model folder or zoo:NAME, came nothing")
    places = _split_sources(source or [])
    group = _load_cameras(calibration)
    made = name_work("live", model=model, individuals=individuals, sources=",".join(places))
    with ExitStack() as stack:
        if output is not None:
            stack.enter_context(claim_output(output, suffixes=(RESULT,), made=made, force=force))
        options = LiveOptions(
            by=by, wait=wait, late=late, oldest=oldest, seconds=seconds, device=device
        )
        opened = {} if rehearsal else _open_sources(places, stack)
        rates = _find_rates(places) if rehearsal else [s.rate for s in opened.values()]
        outputs = _open_outputs(zmq, serial, near)
        if output is not None:
            outputs.append(_open_result(output, max(rates, default=0), made, group))
        progress, task = stack.enter_context(show_progress("live"))
        outputs.append(_Status(progress, task))
        if rehearsal:
            answered = rehearse(
                places, model, cameras=group, individuals=individuals, outputs=outputs
            )
            found: Any = {"answered": answered}
        else:
            found = run_live(
                opened,
                model,
                cameras=group,
                individuals=individuals,
                outputs=outputs,
                record=record,
                options=options,
            )
    show_result(found, as_json)


class _Status:
    """Shows how it goes, once a second."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._count, self._since = 0, time.monotonic()

    def send(self, answer: Answer) -> None:
        self._count += 1
        now = time.monotonic()
        if now - self._since >= 1:
            rate = self._count / (now - self._since)
            note = f"{rate:.1f} sets per second, {1000 * answer.age:.0f} ms after the exposure"
            self._progress.update(self._task, advance=self._count, note=note)
            self._count, self._since = 0, now

    def close(self) -> None:
        self._progress.update(self._task, advance=self._count, note="")


def _split_sources(sources: list[str]) -> dict[str, str]:
    """Read NAME=SOURCE; a single one may have no name."""
    places: dict[str, str] = {}
    for text in sources:
        name, equals, place = text.partition("=")
        if not equals or "://" in name or Path(text).is_file():
            name, place = "camera", text
        if not name or name in places:
            raise SettingsError(
                f"--source: several cameras want a name each, NAME=SOURCE, came {text!r}"
            )
        places[name] = place
    if not places:
        raise SettingsError("--source: wanted a camera's number, an address or a video, came none")
    return places


def _open_sources(places: dict[str, str], stack: ExitStack) -> dict[str, Source]:
    from mapose.live import open_source

    opened = {}
    for name, place in places.items():
        opened[name] = open_source(place)
        stack.callback(opened[name].close)
    return opened


def _find_rates(places: dict[str, str]) -> list[float]:
    from mapose.io import Video

    rates = []
    for place in places.values():
        with Video(place) as video:
            rates.append(float(video.rate))
    return rates


def _load_cameras(path: Path | None) -> CameraGroup | None:
    from calibration import read_cameras

    return None if path is None else read_cameras(path)


def _open_outputs(zmq: str | None, serial: str | None, near: float | None) -> list[Listener]:
    from mapose.live import SerialOutput, ZeroMQOutput, find_near

    if (serial is None) != (near is None):
        raise SettingsError("--serial wants --near, the distance at which it is switched on")
    outputs: list[Listener] = []
    if zmq is not None:
        outputs.append(ZeroMQOutput(zmq))
    if serial is not None and near is not None:
        outputs.append(SerialOutput(serial, find_near(near)))
    return outputs


def _open_result(path: Path, rate: float, made: str, cameras: CameraGroup | None) -> Listener:
    from mapose import __version__
    from mapose.live import ResultOutput

    text = "" if cameras is None else cameras.to_toml()
    origin = {"made": made, "version": __version__}
    return ResultOutput(path, rate=rate, provenance=origin, cameras=text)
