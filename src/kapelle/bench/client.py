"""A small HTTP/1.1 client with kept connections: as quick as one can be made here, so that HTTP is not made to look slow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

from kapelle.wire.body import Buffer


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``body`` is flat: its length is its size in bytes."""

    method: str
    target: str
    body: Buffer = b""
    content_type: str = "application/octet-stream"

    @property
    def head(self) -> bytes:
        """All that comes before the body."""
        content = f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n" if len(self.body) else ""
        return f"{self.method} {self.target} HTTP/1.1\r\nhost: localhost\r\n{content}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


class HttpClient:
    """Sends requests to one server; each takes a connection that is free, or opens another one."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._free: list[_Connection] = []

    async def send(self, request: Request) -> Answer:
        """Send and wait for the answer.

        Raises:
            OSError: the server is gone, or does not speak HTTP.
        """
        connection = self._free.pop() if self._free else await self._connect()
        try:
            answer = await connection.send(request)
        except BaseException:  # a cancellation too: an answer that is still to come is not that to the next request
            connection.close()
            raise
        self._free.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections that are free."""
        while self._free:
            self._free.pop().close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port)
        return connection


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._answer: asyncio.Future[Answer] | None = None

    async def send(self, request: Request) -> Answer:
        if self._transport is None:
            raise ConnectionResetError("the server has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines([request.head, request.body])
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- what the event loop says -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionResetError("the server ended the connection before it had answered"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionAbortedError(f"the server does not speak HTTP: {error}"))
            self.close()

    # --- what the parser says -----------------------------------------------------------------------------------------

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(self._parser.get_status_code(), body))

    def _fail(self, error: OSError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
