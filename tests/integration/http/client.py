"""A client that sends exactly the bytes it is given, and reads answers without forgiving anything."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

PATIENCE = 10.0

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ([\x20-\x7e]*)\r\n")
_HEADER = re.compile(rb"([a-z0-9!#$%&'*+.^_`|~-]+): ([\x20-\x7e\x80-\xff]*)\r\n")


def request(method: str, target: str, body: bytes = b"", *headers: str, host: str = "test") -> bytes:
    """A plain request; a body gets its content-length."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(target: str, *headers: str) -> bytes:
    """A GET without a body."""
    return request("GET", target, b"", *headers)


def post(target: str, body: bytes, *headers: str) -> bytes:
    """A POST with a body."""
    return request("POST", target, body, *headers)


class BadAnswer(AssertionError):
    """What came is not HTTP."""


@dataclass(frozen=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    async def send(self, *data: bytes) -> None:
        """Send each piece in a segment of its own."""
        for piece in data:
            self._writer.write(piece)
            await asyncio.wait_for(self._writer.drain(), PATIENCE)

    def finish_sending(self) -> None:
        """Close this side only."""
        self._writer.write_eof()

    async def answer(self, method: str = "GET") -> Answer:
        """The next answer that is not an interim one."""
        answer = await self.interim_or_answer(method)
        while answer.status < 200:
            answer = await self.interim_or_answer(method)
        return answer

    async def interim_or_answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(PATIENCE):
            return await read_answer(self._reader, method)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        await self.send(data)
        return await self.answer(method)

    async def line(self) -> bytes:
        """The next line, for answers that are read while they come."""
        return await asyncio.wait_for(self._reader.readline(), PATIENCE)

    async def rest(self) -> bytes:
        """All that still comes until the other side closes."""
        return await asyncio.wait_for(self._reader.read(), PATIENCE)

    async def close(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await asyncio.wait_for(self._writer.wait_closed(), PATIENCE)

    def vanish(self) -> None:
        """Break off with a reset, as a process that is killed with unread data does."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


async def read_answer(reader: asyncio.StreamReader, method: str) -> Answer:
    """Read one answer to a request of this method."""
    found = _STATUS_LINE.fullmatch(await reader.readuntil(b"\r\n"))
    if found is None:
        raise BadAnswer("not a status line")
    status = int(found[1])
    headers: dict[str, str] = {}
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadAnswer(f"not a header: {line!r}")
        name = header[1].decode()
        if name in headers:
            raise BadAnswer(f"{name} is given twice")
        headers[name] = header[2].decode("latin-1")
    return Answer(status, headers, await _read_body(reader, method, status, headers))


async def _read_body(reader: asyncio.StreamReader, method: str, status: int, headers: dict[str, str]) -> bytes:
    if status < 200:
        return b""
    if "x-request-id" not in headers or "date" not in headers:
        raise BadAnswer(f"no request id or date in {headers}")
    length, chunked = headers.get("content-length"), headers.get("transfer-encoding") == "chunked"
    if method == "HEAD" or status in (204, 304):
        return b""
    if (length is not None) == chunked:
        if chunked or not headers.get("connection") == "close":
            raise BadAnswer(f"no one way to tell where the body ends: {headers}")
        return await reader.read()
    return await reader.readexactly(int(length)) if length is not None else await _read_chunks(reader)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadAnswer("a chunk does not end where it said")
    if await reader.readexactly(2) != b"\r\n":
        raise BadAnswer("trailers nobody announced")
    return body
