"""The HTTP/1.1 front: one client connection. llhttp parses; here are keep-alive, pipelining, limits and time-outs.

Requests of a connection are answered one after the other, in order. While one is worked on, what follows waits in the socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from kapelle.clock import monotonic
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.gateway.request import Headers, Request

MAX_HEAD = 32 << 10
MAX_HEADERS = 100
MAX_TARGET = 8 << 10
_LINGER = 2.0
"""Seconds for which the rest of a refused body is read and thrown away, so that the client gets to see the answer."""

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Front(Protocol):
    """What a connection needs of the gateway."""

    max_body: int
    header_timeout: float
    body_timeout: float
    keep_alive: float
    date: bytes
    draining: bool

    def opened(self, connection: HttpConnection) -> bool: ...
    def closed(self, connection: HttpConnection) -> None: ...
    def handle(self, request: Request) -> None: ...
    def request_id(self, headers: Headers) -> str: ...
    def rejected(self, status: int) -> None: ...


class HttpConnection(asyncio.Protocol):
    """One connection of a client. ``overdue`` is when it will be cut off unless something happens."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._target = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._in_head = True
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._parsing: Request | None = None
        self._waiting: deque[Request] = deque()
        self._refused = False
        self._room: asyncio.Event | None = None
        self._last = False
        self._owes_continue = False
        self.current: Request | None = None
        self.overdue: float = 0.0

    # --- the socket ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.overdue = monotonic() + self._front.header_timeout
        if not self._front.opened(self):
            self._refuse(HttpError(503, "too many connections", code="overloaded", headers=((b"retry-after", b"1"),)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._front.closed(self)
        self._waiting.clear()
        if self._room is not None:
            self._room.set()
        current, self.current = self.current, None
        if current is not None and current.task is not None:
            current.task.cancel()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(HttpError(501, "upgrades and CONNECT are not supported"))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__ if isinstance(error.__context__, HttpError) else None
            self._refuse(cause or HttpError(400, "malformed request"))
        except httptools.HttpParserError as error:
            self._refuse(HttpError(400, f"malformed request: {error}"))
        else:
            if self._in_head and self._head_bytes > MAX_HEAD:
                self._refuse(HttpError(431, f"the request's head is over {MAX_HEAD} bytes"))

    def eof_received(self) -> bool:
        # A client that has sent all it wants may still wait for the answer.
        self._last = True
        return self.current is not None

    def pause_writing(self) -> None:
        self._room = asyncio.Event()
        self.overdue = monotonic() + self._front.body_timeout

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
        self._rest()

    # --- the parser ---------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers = []
        if self.current is None:
            self.overdue = monotonic() + self._front.header_timeout

    def on_url(self, url: bytes) -> None:
        self._target += url
        if len(self._target) > MAX_TARGET:
            raise HttpError(414, f"the request's target is over {MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._headers.append((name.lower(), value))
            if len(self._headers) > MAX_HEADERS:
                raise HttpError(431, f"over {MAX_HEADERS} headers")

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self._parser
        request = Request(parser.get_method().decode("ascii"), self._target, self._headers, self)
        request.keep_alive = parser.should_keep_alive()
        version = parser.get_http_version()
        if version != "1.1":
            _check_old_version(version, request)
            request.version = version
        self._parsing = request
        self._body = []
        self._body_bytes = 0
        self._check_head(request, version)
        if self._owes_continue and self.current is None:
            self._continue()
        if self.current is None:
            self.overdue = monotonic() + self._front.body_timeout

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._front.max_body:
            raise _too_large(self._front.max_body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = self._parsing
        if request is None:
            return
        self._parsing = None
        self._in_head = True
        self._head_bytes = 0
        body = self._body
        if body:
            request.body = body[0] if len(body) == 1 else b"".join(body)
            request.size = self._body_bytes
            self._body = []
        if self.current is None:
            self._begin(request)
        else:
            self._waiting.append(request)
            if self._transport is not None:
                self._transport.pause_reading()

    def _check_head(self, request: Request, version: str) -> None:
        hosts = 0
        for name, value in request.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                if len(value) > 15 or int(value) > self._front.max_body:
                    raise _too_large(self._front.max_body)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked":
                    raise HttpError(501, f"transfer-encoding {value!r} is not supported; expected chunked")
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise HttpError(417, f"expectation {value!r} cannot be met; expected 100-continue")
                self._owes_continue = version == "1.1"
        if version == "1.1" and hosts != 1:
            raise HttpError(400, f"{hosts} Host headers; expected one")

    # --- answers ------------------------------------------------------------------------------------------------------

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send a whole answer and go on to the next request."""
        if self._transport is None or self.current is not request:
            return
        head = self._head(request, status, content_type, headers, b"content-length: %d\r\n" % len(body))
        self._transport.write(head if request.method == "HEAD" else head + body)
        self.finish(request)

    def begin_stream(
        self, request: Request, status: int, content_type: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Send the head of an answer whose length is not known yet."""
        chunked = request.version == "1.1"
        request.keep_alive = request.keep_alive and chunked
        if self._transport is not None:
            framing = b"transfer-encoding: chunked\r\n" if chunked else b""
            self._transport.write(self._head(request, status, content_type, headers, framing))

    async def stream(self, request: Request, data: bytes) -> None:
        """Send a part of the answer; waits while the client is slow."""
        if self._transport is None or not data or request.method == "HEAD":
            return
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if request.version == "1.1" else data)
        if self._room is not None:
            await self._room.wait()

    def end_stream(self, request: Request) -> None:
        """The answer is complete."""
        if self._transport is not None and request.version == "1.1" and request.method != "HEAD":
            self._transport.write(b"0\r\n\r\n")
        self.finish(request)

    def finish(self, request: Request) -> None:
        """The answer to ``request`` was written: go on to the next, or close."""
        request.finished = True
        if self.current is not request:
            return
        self.current = None
        if self._transport is None:
            return
        if not request.keep_alive or (self._front.draining and not self._waiting) or (self._last and not self._waiting):
            self._transport.close()
        elif self._waiting:
            following = self._waiting.popleft()
            if not self._waiting:
                self._transport.resume_reading()
            self._begin(following)
        else:
            if self._owes_continue:
                self._continue()
            self.overdue = monotonic() + self._front.keep_alive

    def abort(self) -> None:
        """Cut the connection off; the client sees that the answer is not whole."""
        if self._transport is not None:
            self._transport.abort()

    def time_out(self) -> None:
        """Its time is over (``overdue``)."""
        waiting_for_client = self.current is None and (self._parsing is not None or self._head_bytes)
        if waiting_for_client and not self._refused:
            self._refuse(HttpError(408, "the request did not arrive in time"))
        else:
            self.abort()

    def hang_up(self) -> None:
        """Close unless a request is being received or answered."""
        if self.current is None and self._parsing is None and not self._head_bytes and self._transport is not None:
            self._transport.close()

    def _continue(self) -> None:
        """The client waits to be asked for the body."""
        self._owes_continue = False
        if self._transport is not None:
            self._transport.write(_CONTINUE)

    def _begin(self, request: Request) -> None:
        self.current = request
        self.overdue = 0.0
        self._front.handle(request)

    def _rest(self) -> None:
        self.overdue = 0.0 if self.current is not None else monotonic() + self._front.keep_alive

    def _head(
        self, request: Request, status: int, content_type: bytes, headers: tuple[tuple[bytes, bytes], ...], framing: bytes
    ) -> bytes:
        if self._front.draining:
            request.keep_alive = False
        if headers:
            framing += b"".join([b"%b: %b\r\n" % header for header in headers])
        if not request.keep_alive:
            framing += b"connection: close\r\n"
        elif request.version == "1.0":
            framing += b"connection: keep-alive\r\n"
        return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\n%bx-request-id: %b\r\ndate: %b\r\n\r\n" % (
            status, _REASONS.get(status, b""), content_type, framing, request.id.encode("ascii"), self._front.date,
        )  # fmt: skip

    def _refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read, then close: what follows in the stream has no meaning any more."""
        self._refused = True
        if self._transport is None:
            return
        self._front.rejected(error.status)
        if self.current is not None:
            # An answer is under way: it goes out first, and nothing more is read.
            self.current.keep_alive = False
            self._waiting.clear()
            return
        request = self._parsing or Request("GET", self._target or b"/", self._headers, self)
        request.id = self._front.request_id(request.headers)
        request.keep_alive = False
        status, headers, body = problem(error, request.id)
        framing = b"content-length: %d\r\n" % len(body)
        head = self._head(request, status, PROBLEM_TYPE, headers, framing)
        self._transport.write(head if request.method == "HEAD" else head + body)
        self.overdue = monotonic() + _LINGER
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"the body is over the limit of {limit} bytes", code="too-large")


def _check_old_version(version: str, request: Request) -> None:
    if version != "1.0":
        raise HttpError(505, f"HTTP/{version} is not supported; expected HTTP/1.1")
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        raise HttpError(400, "HTTP/1.0 has no transfer-encoding")
