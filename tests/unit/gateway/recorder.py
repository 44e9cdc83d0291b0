"""A place for answers that keeps them, and clients as it were: the other half of a request in unit tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec

from kapelle.gateway.request import Header, Request


@dataclass
class Recorder:
    """A ``Responder``. ``parts`` are what was streamed, ``room`` lets the next parts through."""

    status: int = 0
    content_type: bytes = b""
    headers: tuple[Header, ...] = ()
    length: int | None = None
    parts: list[bytes] = field(default_factory=list)
    aborted: bool = False
    room: asyncio.Event | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[Header, ...] = ()
    ) -> None:
        assert not self.status, "answered twice"
        self.status, self.content_type, self.headers = status, content_type, headers
        self.parts.append(body)
        request.finished = True

    def begin_stream(
        self,
        request: Request,
        status: int,
        content_type: bytes,
        headers: tuple[Header, ...] = (),
        length: int | None = None,
    ) -> None:
        assert not self.status, "answered twice"
        self.status, self.content_type, self.headers, self.length = status, content_type, headers, length
        request.begun = True

    async def stream(self, request: Request, data: bytes) -> None:
        self.parts.append(data)
        await asyncio.sleep(0)
        if self.room is not None:
            await self.room.wait()

    def end_stream(self, request: Request, last: bytes = b"") -> None:
        assert request.begun
        assert not request.finished, "ended twice"
        if last:
            self.parts.append(last)
        request.finished = True

    def abort(self) -> None:
        self.aborted = True

    def origin(self) -> dict[str, Any]:
        return {"scheme": "http", "client": ("10.0.0.1", 1234), "server": ("10.0.0.2", 80), "root_path": ""}


def make_request(
    method: str = "GET",
    target: bytes = b"/",
    body: bytes = b"",
    *headers: Header,
    responder: Recorder | None = None,
) -> Request:
    """A request as the front hands it on."""
    request = Request(method, target, list(headers), responder or Recorder(), "1.1")
    request.body = body
    request.size = len(body)
    return request


def recorded(request: Request) -> Recorder:
    """Where its answer went."""
    assert isinstance(request.connection, Recorder)
    return request.connection
