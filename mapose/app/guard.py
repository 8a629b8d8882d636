"""Who may come in: the token, the host, the origin, the size; what leaves: the headers."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from mapose.errors import tell_in_one_line

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Bytes of what a page may send; the largest are the marks of a frame with many animals.
LARGEST = 1 << 20
_LONGEST_ADDRESS = 4096
_READING = ("GET", "HEAD")
HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self'; img-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Let in only who has the token and comes from the page itself.

    Parameters
    ----------
    app : function
        What answers those who are let in (ASGI).
    token : str
        Secret of this server.
    hosts : iterable of str
        What a browser may call this server, such as ``127.0.0.1:8000``.
    """

    def __init__(self, app: App, *, token: str, hosts: Iterable[str]) -> None:
        self.app = app
        self.token = token
        self.hosts = frozenset(hosts)
        self.cookie = "mapose-" + next(iter(sorted(self.hosts))).rpartition(":")[2]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            logger.warning("refused: a connection of kind %s", scope["type"])
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        status, fault = self._find_fault(scope, headers)
        if fault:
            await _refuse(send, scope, status, fault)
        elif self._is_entrance(scope):
            await self._let_in(send)
        elif not self._has_cookie(headers):
            fault = "open the link that mapose app printed: this browser has not been let in"
            await _refuse(send, scope, 403, fault)
        else:
            await self._hand_on(scope, receive, send)

    def _find_fault(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str]:
        """Find why a request is refused whoever makes it; nothing where it is not."""
        host, method = headers.get("host", ""), scope["method"]
        if host not in self.hosts:
            return 421, f"there is no host {host[:80]!r} here"
        if len(scope["raw_path"] or b"") + len(scope["query_string"]) > _LONGEST_ADDRESS:
            return 414, "the address is too long"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "a page of another site asked"
        if method in _READING:
            return 0, ""
        if method != "POST":
            return 405, f"there is nothing to {method[:20]} here"
        if headers.get("origin", "") != f"http://{host}":
            return 403, f"origin {headers.get('origin', '')[:80]!r} may change nothing here"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "wanted JSON"
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST:
            return 413, f"wanted at most {LARGEST} bytes, came {length[:20]}"
        return 0, ""

    def _is_entrance(self, scope: Scope) -> bool:
        """Tell whether this is the link that was printed, with the right token."""
        if scope["path"] != "/" or not scope["query_string"]:
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return self._is_token(given)

    def _has_cookie(self, headers: Mapping[str, str]) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return found is not None and self._is_token(found.value)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    async def _let_in(self, send: Send) -> None:
        """Make the token a cookie, and let it vanish from the address."""
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        headers = {**HEADERS, "location": "/", "set-cookie": cookie, "cache-control": "no-store"}
        await _answer(send, 303, headers, b"")

    async def _hand_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dress(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                own = {name.lower() for name, _ in given}
                extra = {"cache-control": "no-store", **HEADERS}
                lines = [(k.encode(), v.encode()) for k, v in extra.items()]
                message["headers"] = [*given, *(line for line in lines if line[0] not in own)]
            await send(message)

        if scope["method"] not in _READING:
            body = await _read_body(receive)
            if body is None:
                await _refuse(send, scope, 413, f"wanted at most {LARGEST} bytes")
                return
            receive = _replay(body, receive)
        await self.app(scope, receive, dress)


async def _read_body(receive: Receive) -> bytes | None:
    """Read what was sent; None where it is too much, whatever was announced."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > LARGEST:
            return None
        if not message.get("more_body"):
            return body


def _replay(body: bytes, receive: Receive) -> Receive:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> dict[str, Any]:
        return parts.pop() if parts else await receive()

    return give


async def _refuse(send: Send, scope: Scope, status: int, fault: str) -> None:
    where = tell_in_one_line(f"{scope['method']} {scope['path'][:120]}")
    logger.warning("refused: %s: %s", where, tell_in_one_line(fault))
    body = json.dumps({"error": fault}).encode()
    headers = {**HEADERS, "content-type": "application/json", "cache-control": "no-store"}
    await _answer(send, status, headers, body)


async def _answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    given = {**headers, "content-length": str(len(body))}
    lines = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in given.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
