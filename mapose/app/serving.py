"""Start the app, say where it is, and end it when nobody needs it any more."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapose.errors import MissingExtraError, SettingsError
from mapose.project.description import FILE as PROJECT

if TYPE_CHECKING:
    from mapose.app.live import LiveView
    from mapose.app.workspace import Workspace

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
_EXTRA = 'the app needs starlette and uvicorn: pip install "mapose[app]"'


def serve(
    project: str | os.PathLike[str] | None = None,
    page: str = "home",
    *,
    roots: Iterable[str | os.PathLike[str]] = (),
    port: int = 0,
    hours: float = 12.0,
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the browser app on this computer until it is stopped or nobody needs it.

    Parameters
    ----------
    project : path, optional
        A project folder, or a result, to open; without, the first page lists projects.
    page : str
        Where to begin: ``home``, ``label``, ``refine``; or ``proofread`` and so on.
    roots : iterable of path
        Folders that the pages may show, beside the project; by default the current one.
    port : int
        Where to listen; 0 = a free one.
    hours : float
        End after so long without anybody there and without a job that runs.
    on_start : function of str
        Called with the address once the app is there. It holds a secret that lets in.

    Raises
    ------
    MissingExtraError
        If starlette or uvicorn is not installed.
    SettingsError
        If the project is none, or the port is taken.
    """
    _check_extra()
    from mapose.app.server import find_page
    from mapose.app.workspace import Workspace

    folders = [*roots] or [Path.cwd()]
    workspace = Workspace([*folders, *_find_own(project)])
    begin = find_page(workspace, None if project is None else Path(project), page)
    with _listen(port) as opened:
        server, address = _make_server(workspace, opened.getsockname()[1])
        stop = threading.Event()
        threads = [
            threading.Thread(target=workspace.watch, args=(stop,), daemon=True),
            threading.Thread(
                target=_attend, args=(server, workspace, stop, hours * 3600), daemon=True
            ),
        ]
        for thread in threads:
            thread.start()
        on_start(f"{address}#{begin}")
        try:
            with suppress(KeyboardInterrupt):
                server.run(sockets=[opened])
        finally:
            stop.set()
            workspace.close()


@contextmanager
def show_live(
    view: LiveView, *, port: int = 0, on_start: Callable[[str], None] = lambda address: None
) -> Iterator[None]:
    """Show a live run in the browser while the block runs.

    Parameters
    ----------
    view : LiveView
        What is shown: one of the run's outputs.
    port : int
        Where to listen; 0 = a free one.
    on_start : function of str
        Called with the address, which holds a secret that lets in.

    Raises
    ------
    MissingExtraError
        If starlette or uvicorn is not installed.
    SettingsError
        If the port is taken.
    """
    _check_extra()
    from mapose.app.workspace import Workspace

    workspace = Workspace([])
    workspace.live = view
    with _listen(port) as opened:
        server, address = _make_server(workspace, opened.getsockname()[1])
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [opened]}, name="dashboard", daemon=True
        )
        thread.start()
        on_start(f"{address}#/live")
        try:
            yield
        finally:
            server.should_exit = True
            workspace.events.end()
            thread.join(5.0)
            workspace.close()


def _check_extra() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(_EXTRA) from error


def _make_server(workspace: Workspace, port: int) -> tuple[Any, str]:
    """Make a server for a port of this computer, and the address that lets in."""
    import uvicorn

    from mapose.app.server import make_app

    token, hosts = secrets.token_urlsafe(32), [f"{HOST}:{port}", f"localhost:{port}"]
    config = uvicorn.Config(
        make_app(workspace, token=token, hosts=hosts),
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config), f"http://{HOST}:{port}/?token={token}"


def _find_own(project: str | os.PathLike[str] | None) -> list[Path]:
    """Give the folder that is shown because of what is opened: the project, or that of a result."""
    if project is None:
        return []
    path = Path(project)
    if path.is_dir():
        return [path]
    inside = path.resolve().parent
    return [inside.parent if (inside.parent / PROJECT).is_file() else inside]


def _listen(port: int) -> socket.socket:
    # Only of a socket that is TCP by name does asyncio send each part of an answer at once; else
    # what follows the headers waits 40 ms for the browser's acknowledgement.
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # so that a port can be used again at once
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
        opened.listen(128)  # whoever comes before the server runs waits a moment
    except OSError as fault:
        opened.close()
        raise SettingsError(
            f"port {port} cannot be used ({fault.strerror}): choose another --port"
        ) from fault
    return opened


def _attend(server: Any, workspace: Workspace, stop: threading.Event, seconds: float) -> None:
    """End the server when nobody has been there for long; end the streams with it."""
    while not stop.wait(0.5):
        if workspace.is_idle(seconds):
            logger.warning("nobody was there for %.1f hours: the app ends", seconds / 3600)
            server.should_exit = True
        if server.should_exit:
            workspace.events.end()
            return
