"""A Kapelle app as an ordinary ASGI application, to be served or mounted by others.

The same decoding, admission, deadlines, problems and streams as behind the front of its own, at the speed of the server
around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote, unquote

import structlog

from kapelle.gateway import heads
from kapelle.gateway.asgi import Message, Receive, Send
from kapelle.gateway.front import Gateway
from kapelle.gateway.problems import HttpError
from kapelle.gateway.request import Header, Request

log = structlog.get_logger()


class Mounted:
    """An ASGI application that answers as the gateway of an app does, while ``system`` runs and gives it one.

    Behind a server of its own it starts and stops with the server's lifespan events. Starlette, FastAPI and others do
    not pass those on to what they mount: then their own lifespan is ``lifespan``, or enters ``running()``.
    """

    def __init__(self, system: Callable[[], AbstractAsyncContextManager[Gateway]]) -> None:
        self._system = system
        self._gateway: Gateway | None = None

    def lifespan(self, host: object) -> AbstractAsyncContextManager[None]:
        """``running()``, as the ``lifespan=`` of the application that mounts this one."""
        return self.running()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Started at the beginning, drained and closed at the end of an ``async with``."""
        if self._gateway is not None:
            raise RuntimeError("the app runs already: it needs one lifespan, its own or that of its host")
        try:
            async with self._system() as self._gateway:
                yield
        finally:
            self._gateway = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            if self._gateway is None:
                raise RuntimeError(
                    "the app was not started: give its .lifespan to the application that mounts it (lifespan=...), or "
                    "enter .running() in that one's own lifespan"
                )
            await _answer(self._gateway, scope, receive, send)
        else:
            # There are no WebSockets here; closing before accepting is how ASGI says no.
            await send({"type": f"{scope['type']}.close"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        stage = "startup"
        try:
            async with self.running():
                await send({"type": "lifespan.startup.complete"})
                stage = "shutdown"
                await receive()
        except Exception as error:  # the app's own code may raise anything; the server is told, and stops
            log.exception("the mounted app failed", stage=stage)
            await send({"type": f"lifespan.{stage}.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})


async def _answer(gateway: Gateway, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    channel = _Channel(scope, send)
    request = _request(scope, channel)
    try:
        heads.read_head(request, gateway.max_body)
        if not await _read_body(request, receive, gateway.max_body):
            return
    except HttpError as error:
        gateway.refuse(request, error)
    else:
        gateway.handle(request)
        if request.task is not None:
            await _until_done(request, request.task, receive)
    if request.abandoned:
        return
    await channel.flush()
    if channel.broken:
        raise RuntimeError("the answer broke off; the log has the reason")


def _request(scope: MutableMapping[str, Any], channel: _Channel) -> Request:
    path = _path_below(scope.get("root_path", ""), scope.get("raw_path") or quote(scope["path"]).encode("ascii"))
    query = scope.get("query_string", b"")
    target = path + b"?" + query if query else path
    headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    return Request(scope["method"], target, headers, channel, scope.get("http_version", "1.1"))


def _path_below(root: str, raw: bytes) -> bytes:
    """The part of a percent-encoded path that is ours; servers differ in whether it begins with the root."""
    root = root.rstrip("/")
    if not root or not f"{unquote(raw.decode('latin-1'))}/".startswith(f"{root}/"):
        return raw
    return b"/" + b"/".join(raw.split(b"/")[root.count("/") + 1 :])


async def _read_body(request: Request, receive: Receive, limit: int) -> bool:
    """Whether the whole body came."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        part = message.get("body", b"")
        parts.append(part)
        request.size += len(part)
        if request.size > limit:
            raise heads.too_large(limit)
        if not message.get("more_body", False):
            request.body = b"".join(parts)
            return True


async def _until_done(request: Request, task: asyncio.Task[None], receive: Receive) -> None:
    """Wait for the request's task; a client that goes away, or a server that gives up, cancels it."""
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            request.abandoned = True
            request.cancel()
        leaving.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Channel:
    """The server's side of one request. What is sent without waiting is kept until somebody can wait."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send) -> None:
        self.broken = False
        self._scope = scope
        self._send = send
        self._pending: list[Message] = []

    async def flush(self) -> None:
        """Send what was kept."""
        pending, self._pending = self._pending, []
        for message in pending:
            await self._send(message)

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[Header, ...] = ()
    ) -> None:
        no_body = request.method == "HEAD" or status in heads.BODILESS
        length = None if no_body and not body else len(body)
        self._start(request, status, content_type, headers, length)
        self.end_stream(request, b"" if no_body else body)

    def begin_stream(
        self,
        request: Request,
        status: int,
        content_type: bytes,
        headers: tuple[Header, ...] = (),
        length: int | None = None,
    ) -> None:
        request.begun = True
        self._start(request, status, content_type, headers, length)

    async def stream(self, request: Request, data: bytes) -> None:
        self._pending.append({"type": "http.response.body", "body": data, "more_body": True})
        await self.flush()
        await asyncio.sleep(0)

    def end_stream(self, request: Request, last: bytes = b"") -> None:
        self._pending.append({"type": "http.response.body", "body": last, "more_body": False})
        request.finished = True

    def abort(self) -> None:
        self.broken = True

    def origin(self) -> dict[str, Any]:
        scope = self._scope
        return {name: scope.get(name) for name in ("client", "server")} | {
            "scheme": scope.get("scheme", "http"),
            "root_path": scope.get("root_path", ""),
        }

    def _start(
        self, request: Request, status: int, content_type: bytes, headers: tuple[Header, ...], length: int | None
    ) -> None:
        own: list[Header] = [(b"content-type", content_type)] if content_type else []
        if length is not None:
            own.append((b"content-length", b"%d" % length))
        own.append((b"x-request-id", request.id.encode("ascii")))
        if request.edition is not None:
            own.append((heads.RELEASE, request.edition.header))
        self._pending.append({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
