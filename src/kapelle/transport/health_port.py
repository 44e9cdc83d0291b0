"""A port at which a process tells its own health and metrics over HTTP, to whoever runs containers and collects metrics.

It is not a gateway: a few addresses, one answer per connection, and limits so small that nobody who can reach it gets
anything out of it but that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import cast

import httptools
import structlog

from kapelle.observe.metrics import Family, render

log = structlog.get_logger()

MAX_HEAD = 8 << 10
"""Bytes that a request may have."""
MAX_CONNECTIONS = 32
TIMEOUT = 5.0
"""Seconds that a connection may take from its beginning to its end."""

_TEXT = b"text/plain; charset=utf-8"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"

_Answer = tuple[HTTPStatus, bytes, bytes]
"""Status, content type, body."""


async def serve_health(
    bound: socket.socket,
    livez: Callable[[], str],
    readyz: Callable[[], str],
    collect: Callable[[], list[Family]],
) -> asyncio.Server:
    """Answer ``GET`` and ``HEAD`` of ``/livez``, ``/readyz`` and ``/metrics`` on a listening socket.

    ``livez`` and ``readyz`` give the reason why the process is not, which is answered with 503; nothing when it is.
    """
    desk = _Desk({b"/livez": partial(_state, livez), b"/readyz": partial(_state, readyz)})
    desk.pages[b"/metrics"] = lambda: (HTTPStatus.OK, _METRICS, render(collect()))
    return await asyncio.get_running_loop().create_server(lambda: _Asker(desk), sock=bound)


def _state(read: Callable[[], str]) -> _Answer:
    reason = read()
    if reason:
        return _text(HTTPStatus.SERVICE_UNAVAILABLE, reason)
    return _text(HTTPStatus.OK, "ok")


def _text(status: HTTPStatus, text: str) -> _Answer:
    return status, _TEXT, f"{text}\n".encode(errors="replace")


@dataclass(slots=True)
class _Desk:
    """What all connections share."""

    pages: dict[bytes, Callable[[], _Answer]]
    askers: set[_Asker] = field(default_factory=set)

    def answer(self, method: bytes, target: bytes) -> _Answer:
        try:
            page = self.pages.get(httptools.parse_url(target).path)
        except httptools.HttpParserInvalidURLError:
            return _text(HTTPStatus.BAD_REQUEST, "the request's target is not a path")
        if page is None:
            return _text(HTTPStatus.NOT_FOUND, f"there is only {b', '.join(self.pages).decode()}")
        if method not in (b"GET", b"HEAD"):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
        try:
            return page()
        except Exception:  # what is read belongs to others, and a probe must not take the process down
            log.exception("health could not be told", target=target.decode(errors="replace"))
            return _text(HTTPStatus.INTERNAL_SERVER_ERROR, "the process could not say; its log says why")


class _Asker(asyncio.Protocol):
    """One connection, which gets one answer."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._target = b""
        self._size = 0
        self._is_whole = self._is_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT, self._transport.abort)
        if len(self._desk.askers) >= MAX_CONNECTIONS:
            self._say(_text(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"))
            self._transport.close()
        self._desk.askers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._desk.askers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._is_answered:
            return
        self._size += len(data)
        if self._size > MAX_HEAD:
            self._answer(_text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a request has at most {MAX_HEAD} bytes"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._is_whole:
                self._answer(_text(HTTPStatus.BAD_REQUEST, "that is not a request in HTTP/1.1"))
                return
        if self._is_whole:
            self._answer(self._desk.answer(self._parser.get_method(), self._target))

    def on_url(self, url: bytes) -> None:
        """The parser has read a part of the target."""
        self._target += url

    def on_headers_complete(self) -> None:
        """The parser has read all that matters: nothing that is asked here has a body."""
        self._is_whole = True

    def _answer(self, answer: _Answer) -> None:
        self._say(answer)
        # A socket that is closed while something unread lies in it takes back what it has sent; so the client closes.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def _say(self, answer: _Answer) -> None:
        self._is_answered = True
        status, content_type, body = answer
        if self._transport is None or self._transport.is_closing():
            return
        allow = b"allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else b""
        head = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (
            status, status.phrase.encode(), content_type, len(body), allow,
        )  # fmt: skip
        is_head = self._is_whole and self._parser.get_method() == b"HEAD"
        self._transport.write(head if is_head else head + body)
