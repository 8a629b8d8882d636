"""The server: requests routed, responses made, the files of the pages sent."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mapose.app import home, label, live, look, project_page, proofread, scene, sessions, views
from mapose.app.endpoints import Call, Endpoint
from mapose.app.frames import SupersededError
from mapose.app.guard import App, Guard
from mapose.app.responses import FOREVER, Binary, ForbiddenError, UnknownError
from mapose.app.workspace import Workspace
from mapose.errors import MaposeError, SettingsError, tell_in_one_line
from mapose.project.history import ConflictError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)

PAGES = (home, project_page, label, proofread, sessions, views, scene, look, live)
ENDPOINTS: list[Endpoint] = [endpoint for page in PAGES for endpoint in page.ENDPOINTS]
PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def make_app(workspace: Workspace, *, token: str, hosts: list[str]) -> App:
    """Make the server of a workspace (ASGI), which lets in only who has the token."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    routes = [Route(d.path, _answer_at(workspace, d), methods=[d.method]) for d in ENDPOINTS]
    routes += [
        Route("/events/{project}", _listen(workspace)),
        Route("/", _hand_out("index.html")),
        *(Route(f"/page/{name}", _hand_out(name)) for name in _list_files()),
    ]
    inner: Any = Starlette(routes=routes)
    return Guard(inner, token=token, hosts=hosts)


def _answer_at(
    workspace: Workspace, endpoint: Endpoint
) -> Callable[[Request], Awaitable[Response]]:
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import JSONResponse, Response

    async def answer(request: Request) -> Response:
        workspace.note_activity()
        try:
            body = await request.body() if endpoint.body else b""
            given = endpoint.body.model_validate_json(body) if endpoint.body else None
            call = Call(workspace, request.path_params, dict(request.query_params), given)
            found = await run_in_threadpool(endpoint.work, call)
        except Exception as fault:  # each has its own answer, and the page tells it
            status, told = _explain(fault)
            if status not in (409, 204):
                logger.warning("refused: %s %s: %s", endpoint.method, request.url.path[:120], told)
            return JSONResponse({"error": told}, status)
        if not isinstance(found, Binary):
            return JSONResponse(found)
        headers = {"etag": f'"{found.etag}"', "cache-control": f"private, max-age={FOREVER}"}
        return Response(found.data, media_type=found.kind, headers=headers if found.etag else {})

    return answer


def _explain(fault: Exception) -> tuple[int, str]:
    """Say what went wrong, and which kind of answer that is."""
    if isinstance(fault, ValidationError):
        first = fault.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return 422, tell_in_one_line(f"not understood: {where}: {first['msg']}")
    if isinstance(fault, SupersededError):
        return 410, str(fault)
    if isinstance(fault, ConflictError):
        return 409, str(fault)
    if isinstance(fault, UnknownError):
        return 404, str(fault)
    if isinstance(fault, ForbiddenError):
        return 403, str(fault)
    if isinstance(fault, MaposeError):
        return 400, str(fault)
    if isinstance(fault, OSError):
        return 500, tell_in_one_line(f"the disk says: {fault.strerror or fault}")
    logger.error("a fault of the app", exc_info=fault)
    return 500, "something went wrong in the app; its window says what. Nothing was changed."


def _listen(workspace: Workspace) -> Callable[[Request], Awaitable[Response]]:
    from starlette.responses import JSONResponse, StreamingResponse

    async def answer(request: Request) -> Response:
        name = request.path_params["project"]
        try:
            result = workspace.find_result(name) if request.query_params.get("result") else None
            version = result.version if result else workspace.find_project(name).project.version
        except MaposeError as fault:
            return JSONResponse({"error": str(fault)}, _explain(fault)[0])
        stream = workspace.events.listen(name, {"version": version})
        return StreamingResponse(stream, media_type="text/event-stream")

    return answer


def _hand_out(name: str) -> Callable[[Request], Awaitable[Response]]:
    from starlette.responses import Response

    path = PAGE / name

    async def answer(request: Request) -> Response:
        return Response(path.read_bytes(), media_type=_KINDS[path.suffix])

    return answer


@cache
def _list_files() -> tuple[str, ...]:
    """List the files of the pages; nothing else is handed out, whatever the address says."""
    found = sorted(p for p in PAGE.rglob("*") if p.suffix in _KINDS and p.is_file())
    return tuple(p.relative_to(PAGE).as_posix() for p in found)


def find_page(workspace: Workspace, project: Path | None, page: str) -> str:
    """Find the part of the address that opens a page, after the ``#``.

    Raises
    ------
    SettingsError
        If the page needs a project and there is none.
    """
    if project is None:
        if page != "home":
            raise SettingsError(f"{page}: wanted a project folder")
        return "/"
    if page == "proofread" and not project.is_dir():
        return f"/r/{workspace.open_result(project).name}"
    opened = workspace.open_project(project)
    return f"/p/{opened.name}" + ("" if page in ("home", "project") else f"/{page}")
