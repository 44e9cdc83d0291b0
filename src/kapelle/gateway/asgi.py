"""Ordinary ASGI applications behind the fast front: everything that is not an endpoint of the app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from kapelle.gateway import heads
from kapelle.gateway.request import Headers, Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# What the front decides itself.
_OWN_HEADERS = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"date", b"x-request-id", heads.RELEASE})


async def run(application: Application, request: Request) -> int:
    """Answer ``request`` with ``application``; the status.

    Raises:
        RuntimeError: the application did not keep to the protocol, or ended without a whole answer.
    """
    answer = _Answer(request)
    await application(scope_of(request), answer.receive, answer.send)
    if not answer.complete:
        raise RuntimeError(f"the application mounted at {request.path} ended without a whole answer")
    return answer.status


def scope_of(request: Request) -> MutableMapping[str, Any]:
    """The request as an ASGI scope."""
    origin = request.connection.origin()
    headers = [(name, value.strip()) for name, value in request.headers if name != b"x-request-id"]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "method": request.method,
        "path": origin["root_path"] + unquote(request.path),
        "raw_path": request.path.encode("latin-1"),
        "query_string": request.query,
        "headers": [*headers, (b"x-request-id", request.id.encode("ascii"))],
        **origin,
    }


class _Answer:
    """The channel of one request and its answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._body_given = False
        self._content_type = b""
        self._headers: Headers = []
        self._declared: int | None = None
        self._sent = 0
        self.status = 0
        self.complete = False

    async def receive(self) -> Message:
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        # A client that goes away cancels this task; until then there is nothing more to receive.
        await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and not self.status:
            self._start(message)
        elif kind == "http.response.body" and self.status and not self.complete:
            await self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the application sent {kind!r} out of turn")

    def _start(self, message: Message) -> None:
        for name, value in message.get("headers", ()):
            lower = bytes(name).lower()
            if b"\n" in name + value or b"\r" in name + value:
                raise RuntimeError(f"the application's header {name!r} has a line break in it")
            if lower == b"content-type":
                self._content_type = bytes(value)
            elif lower == b"content-length":
                self._declared = int(value)
            elif lower not in _OWN_HEADERS:
                self._headers.append((lower, bytes(value)))
        self.status = message["status"]

    async def _continue(self, body: bytes, *, more: bool) -> None:
        request, connection = self._request, self._request.connection
        self._sent += len(body)
        bodiless = request.method == "HEAD" or self.status in heads.BODILESS
        if not bodiless and self._declared is not None:
            self._check_length(more)
        if bodiless and more:
            return
        self.complete = not more
        if self.complete and not request.begun:
            if bodiless and self._declared is not None and self.status != 204:
                # Of a body that is only described, as the answer to HEAD is.
                self._headers.append((b"content-length", b"%d" % self._declared))
                body = b""
            connection.respond(request, self.status, self._content_type, body, tuple(self._headers))
            return
        if not request.begun:
            connection.begin_stream(request, self.status, self._content_type, tuple(self._headers), self._declared)
        await connection.stream(request, body)
        if self.complete:
            connection.end_stream(request)

    def _check_length(self, more: bool) -> None:
        declared = self._declared or 0
        if self._sent > declared or (not more and self._sent < declared):
            raise RuntimeError(f"the application sent {self._sent} bytes of the {declared} it declared")
