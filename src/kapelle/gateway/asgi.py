"""Ordinary ASGI applications behind the fast front: everything that is not an endpoint of the app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from kapelle.gateway.http import HttpConnection
from kapelle.gateway.request import Headers, Request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# The front sets these itself.
_OWN_HEADERS = {b"content-length", b"transfer-encoding", b"connection", b"date", b"content-type", b"x-request-id"}


async def run(application: Application, request: Request) -> None:
    """Answer ``request`` with ``application``.

    Raises:
        RuntimeError: the application ended without a whole answer.
    """
    cycle = _Cycle(request)
    await application(_scope(request), cycle.receive, cycle.send)
    if not cycle.complete:
        if cycle.begun:
            request.connection.abort()
        raise RuntimeError(f"the application mounted at {request.path} ended without a whole answer")


def _scope(request: Request) -> MutableMapping[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": quote(request.path).encode("ascii"),
        "query_string": request.query,
        "root_path": "",
        "headers": [*request.headers, (b"x-request-id", request.id.encode())],
        "client": None,
        "server": None,
    }


class _Cycle:
    """The channel of one request and its answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._connection: HttpConnection = request.connection
        self._body_given = False
        self._status = 0
        self._content_type = b"application/octet-stream"
        self._headers: Headers = []
        self.begun = False
        self.complete = False

    async def receive(self) -> Message:
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self._request.body, "more_body": False}
        # A client that goes away cancels this task; until then there is nothing more to receive.
        await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            for name, value in message.get("headers", ()):
                if name.lower() == b"content-type":
                    self._content_type = value
                elif name.lower() not in _OWN_HEADERS:
                    self._headers.append((name.lower(), value))
            return
        if message["type"] != "http.response.body" or not self._status or self.complete:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r}")
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self.begun and not more:
            self.complete = True
            self._connection.respond(self._request, self._status, self._content_type, body, tuple(self._headers))
            return
        if not self.begun:
            self.begun = True
            self._connection.begin_stream(self._request, self._status, self._content_type, tuple(self._headers))
        await self._connection.stream(self._request, body)
        if not more:
            self.complete = True
            self._connection.end_stream(self._request)
