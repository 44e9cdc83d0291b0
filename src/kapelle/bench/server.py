"""A stage behind HTTP/1.1 as people write it by hand, and quicker than most: bytes in, bytes out, connections kept."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools

from kapelle.bench.payload import payload, received
from kapelle.wire.body import Buffer

PASS_ON, FINISH = "/pass_on", "/finish"


class HttpStage(asyncio.Protocol):
    """One connection. The caller sends the next request when it has the answer to the one before."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._parts: list[bytes] = []
        self._target = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            assert self._transport is not None, "data comes after the connection was made"
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        target = self._target.decode()
        self._parts, self._target = [], b""
        total = received(body)
        answer: Buffer = str(total).encode() if target == FINISH else payload(len(body)).data
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n" % len(answer)
        assert self._transport is not None, "a request comes after the connection was made"
        self._transport.writelines([head, answer])
