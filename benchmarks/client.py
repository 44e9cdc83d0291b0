"""A keep-alive HTTP/1.1 connection for load: one request in flight, as little work per answer as Python allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"


class Connection(asyncio.Protocol):
    """One connection to the server under test.

    Args:
        on_answer: called with the connection, the status as three bytes, and the body.
        on_lost: called once with the connection and the reason, whether or not a request was in flight.
    """

    __slots__ = ("_buffer", "_on_answer", "_on_lost", "_transport", "busy", "context", "lost", "sent_at")

    def __init__(
        self,
        on_answer: Callable[[Connection, bytes, bytes], None],
        on_lost: Callable[[Connection, str], None],
    ) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.busy = False
        self.lost = False
        self.sent_at = 0.0
        self.context: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, now: float, context: object) -> None:
        """Send a request whose latency counts from `now`; `context` is the sender's to find again at the answer."""
        assert self._transport is not None, "a connection sends after it is made"
        assert not self.busy, "a connection carries one request at a time"
        self.busy = True
        self.sent_at = now
        self.context = context
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        end = data.find(HEAD_END)
        if end < 0:
            self._buffer = data
            return
        head = data[:end].lower()
        at = head.find(LENGTH)
        if at < 0:
            self._fail("an answer without Content-Length, which is all that this client reads")
            return
        stop = head.find(b"\r", at + len(LENGTH))
        body_start = end + len(HEAD_END)
        body_end = body_start + int(head[at + len(LENGTH) : stop if stop > 0 else end])
        if len(data) < body_end:
            self._buffer = data
            return
        if len(data) > body_end or not self.busy:
            self._fail("more bytes than one answer to one request")
            return
        self._buffer = b""
        self.busy = False
        self._on_answer(self, data[9:12], data[body_start:body_end])

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(f"connection lost: {exc}" if exc else "connection closed by the server")

    def _fail(self, reason: str) -> None:
        self.close()
        self._lose(reason)

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = True
            self._on_lost(self, reason)
