"""Commands for cameras in real time."""

from __future__ import annotations

import time
import webbrowser
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress, TaskID

from mapose.cli.application import Animals, Device, Force, Json, Output, app
from mapose.cli.numbers import real, whole
from mapose.cli.terminal import console, show_progress, show_result
from mapose.errors import SettingsError
from mapose.files import RESULT, claim_output, name_work

if TYPE_CHECKING:
    from mapose.app.live import LiveView
    from mapose.live import Answer, LiveOptions, LiveReport, Source
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
    near: Annotated[float | None, real(help="distance of animals' centres")] = None,
    by: Annotated[Literal["time", "number"], typer.Option(help="what frames share")] = "time",
    wait: Annotated[float, real(help="seconds for a late view")] = 0.05,
    late: Annotated[
        Literal["without", "drop"], typer.Option(help="what then becomes of the others")
    ] = "without",
    oldest: Annotated[
        float, real(above=True, help="seconds after which nothing is answered")
    ] = 0.5,
    seconds: Annotated[
        float | None, real(above=True, help="how long; until Ctrl-C by default")
    ] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="show it in the browser")] = False,
    port: Annotated[int, whole(most=65535, help="of the dashboard; 0 = a free one")] = 0,
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
    from mapose.live import LiveOptions, join_parts

    if join is not None:
        show_result({"joined": str(join_parts(join, force=force))}, as_json)
        return
    options = LiveOptions(
        by=by, wait=wait, late=late, oldest=oldest, seconds=seconds, device=device, force=force
    )
    if rehearsal and record is not None:
        raise SettingsError("--rehearse answers videos, which are there: leave --record out")
    with ExitStack() as stack:
        places = _split_sources(source or [])
        order = _Order(places, model, calibration, individuals, rehearsal=rehearsal)
        if output is not None:
            stack.enter_context(order.claim(output, force))
        order.open(stack)
        outputs = _open_outputs(zmq, serial, near)
        outputs += [] if output is None else [order.open_result(output)]
        if dashboard:
            outputs.append(view := _show(order, port, stack))
            options = replace(options, on_report=view.note)
        outputs.append(_show_status(order, stack))
        found = order.rehearse(outputs) if rehearsal else order.run(outputs, record, options)
    show_result(found, as_json)


def _show_status(order: _Order, stack: ExitStack) -> Listener:
    """Show how it goes in the terminal."""
    progress, task = stack.enter_context(show_progress("live"))
    progress.update(task, total=order.frames)
    return _Status(progress, task)


def _show(order: _Order, port: int, stack: ExitStack) -> LiveView:
    """Show the run in the browser."""
    from mapose.app.live import LiveView
    from mapose.app.serving import show_live

    def tell(address: str) -> None:
        console.print(address, markup=False, soft_wrap=True)
        webbrowser.open(address)

    view = LiveView(order.cameras)
    stack.enter_context(show_live(view, port=port, on_start=tell))
    return view


class _Order:
    """What is to be looked at, and by which model."""

    def __init__(
        self,
        places: dict[str, str],
        model: str,
        calibration: Path | None,
        individuals: int | None,
        *,
        rehearsal: bool,
    ) -> None:
        from calibration import read_cameras

        if not model:
            raise SettingsError("--model: wanted a model folder or zoo:NAME, came nothing")
        self.places, self.model, self.individuals = places, model, individuals
        self.calibration, self.rehearsal = calibration, rehearsal
        self.cameras = None if calibration is None else read_cameras(calibration)
        self.made = name_work(
            "live",
            model=model,
            individuals=individuals,
            sources=",".join(places.values()),
            rehearse=rehearsal,
        )
        self.opened: dict[str, Source] = {}
        self.rate = 0.0
        self.frames: int | None = None  # of a rehearsal

    def claim(self, output: Path, force: bool) -> AbstractContextManager[None]:
        inputs = [Path(place) for place in self.places.values()] + list(Path(self.model).glob("*"))
        inputs += [] if self.calibration is None else [self.calibration]
        from mapose.live.results import remove_joined

        remove_joined(output)
        # Not even by the same command: every run is another recording.
        return claim_output(output, inputs=inputs, suffixes=(RESULT,), force=force)

    def open(self, stack: ExitStack) -> None:
        from mapose.io import Video
        from mapose.live import open_source

        rates, frames = [], []
        for name, place in self.places.items():
            if self.rehearsal:
                with Video(place) as video:
                    rates.append(float(video.rate))
                    frames.append(len(video))
            else:
                self.opened[name] = open_source(place)
                stack.callback(self.opened[name].close)
                rates.append(self.opened[name].rate)
        self.rate, self.frames = max(rates), min(frames, default=None)

    def open_result(self, path: Path) -> Listener:
        from mapose import __version__
        from mapose.live import ResultOutput

        text = "" if self.cameras is None else self.cameras.to_toml()
        origin = {"made": self.made, "version": __version__}
        return ResultOutput(
            path,
            rate=self.rate,
            provenance=origin,
            cameras=text,
            repeatable=self.rehearsal,
        )

    def rehearse(self, outputs: list[Listener]) -> dict[str, int]:
        from mapose.live import rehearse

        answered = rehearse(
            self.places,
            self.model,
            cameras=self.cameras,
            individuals=self.individuals,
            outputs=outputs,
        )
        return {"answered": answered}

    def run(self, outputs: list[Listener], record: Path | None, options: LiveOptions) -> LiveReport:
        from mapose.live import run_live

        return run_live(
            self.opened,
            self.model,
            cameras=self.cameras,
            individuals=self.individuals,
            outputs=outputs,
            record=record,
            options=options,
        )


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
