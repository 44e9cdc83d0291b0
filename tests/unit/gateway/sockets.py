"""A connection of the front without a network: a transport that keeps what is written, and a clock set by hand."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from kapelle.gateway.bodies import Room, plain_room
from kapelle.gateway.familiar import FamiliarHeads
from kapelle.gateway.http import HttpConnection
from kapelle.gateway.problems import PROBLEM_TYPE, HttpError, problem
from kapelle.gateway.request import Request


class Wire(asyncio.Transport):
    """The client's side as the connection sees it. ``stuck`` bytes are what the client has not read."""

    def __init__(self, *, tls: bool = False, client: socket.socket | None = None) -> None:
        super().__init__({"socket": client})
        self.sent = b""
        self.ended = self.closed = self.aborted = False
        self.reads: list[bool] = [True]
        self.stuck = 0
        self._tls = tls

    @property
    def reading(self) -> bool:
        return self.reads[-1]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        said_goodbye = self.ended or self.closed or self.aborted
        assert not said_goodbye, "written after the end"
        self.sent += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return not self._tls

    def get_write_buffer_size(self) -> int:
        return self.stuck

    def pause_reading(self) -> None:
        assert self.reading, "paused twice"
        self.reads.append(False)

    def resume_reading(self) -> None:
        assert not self.reading, "resumed twice"
        self.reads.append(True)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.closed or self.aborted


@dataclass
class Desk:
    """The gateway as a connection knows it. Requests wait in ``handled`` until the test answers them."""

    max_body: int = 1000
    max_held: int = 5000
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    keep_alive: float = 75.0
    now: float = 1000.0
    date: bytes = b"today"
    held: int = 0
    draining: bool = False
    full: bool = False
    scratch: memoryview = field(default_factory=lambda: memoryview(bytearray(1 << 16)))
    preambles: dict[tuple[int, bytes, bytes], bytes] = field(default_factory=dict)
    familiar: FamiliarHeads = field(default_factory=FamiliarHeads)
    handled: list[Request] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)
    connections: set[HttpConnection] = field(default_factory=set)

    def room(self, request: Request, length: int) -> Room:
        self.rooms.append(length)
        return plain_room(length)

    def opened(self, connection: HttpConnection) -> bool:
        self.connections.add(connection)
        return not self.full

    def closed(self, connection: HttpConnection) -> None:
        self.connections.remove(connection)

    def handle(self, request: Request) -> None:
        request.id = request.id or f"r{len(self.handled)}"
        self.handled.append(request)

    def refuse(self, request: Request, error: HttpError) -> None:
        self.refused.append(error.status)
        request.id = "refused"
        status, headers, body = problem(error, request.id)
        request.connection.respond(request, status, PROBLEM_TYPE, body, headers)

    def answer(self, body: bytes = b"ok", status: int = 200) -> None:
        """Answer the oldest request that waits."""
        request = self.handled.pop(0)
        request.connection.respond(request, status, b"text/plain", body)


def connect(
    desk: Desk | None = None, *, tls: bool = False, client: socket.socket | None = None
) -> tuple[Desk, Wire, HttpConnection]:
    """A connection that was just made."""
    desk = desk or Desk()
    wire, connection = Wire(tls=tls, client=client), HttpConnection(desk)
    connection.connection_made(wire)
    return desk, wire, connection


def arrive(connection: HttpConnection, data: bytes, most: int = 1 << 16) -> None:
    """Have ``data`` come from the client, as a transport reads it: into the buffers that the connection gives."""
    while data:
        buffer = connection.get_buffer(-1)
        count = min(len(data), len(buffer), most)
        buffer[:count] = data[:count]
        connection.buffer_updated(count)
        data = data[count:]
