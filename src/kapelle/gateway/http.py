"""The HTTP/1.1 front: one client connection, with its keep-alive, pipelining, back-pressure and time-outs.

The requests of a connection are answered one after the other, in order. What arrives meanwhile waits here up to a
limit, and beyond that in the socket.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from typing import Any, Protocol, cast

from kapelle.gateway import heads
from kapelle.gateway.bodies import LARGE, Body, Room
from kapelle.gateway.familiar import FamiliarHeads
from kapelle.gateway.peers import is_under_way, origin_of
from kapelle.gateway.problems import HttpError, overloaded
from kapelle.gateway.receiver import Phase, Receiver
from kapelle.gateway.request import Header, Request

_LINGER = 2.0
"""Seconds of silence after which a connection that was ended on our side is cut off."""
_HALF_CLOSED = 0.5
"""Seconds an answer may still take when the client has closed its side: it may be gone, or only done with sending."""
_MAX_WAITING = 32
_COPY_LIMIT = 64 << 10

_IDLE, _HEAD, _BODY, _DEAF = Phase


class Front(Protocol):
    """What a connection needs of the gateway.

    ``now`` is a coarse clock, ``held`` counts the bytes of all requests that are not admitted yet, and ``preambles``
    are beginnings of answers, which hold for as long as ``date`` does. What is read waits in ``scratch`` to be parsed.
    """

    scratch: memoryview
    max_body: int
    max_held: int
    header_timeout: float
    body_timeout: float
    keep_alive: float
    now: float
    date: bytes
    held: int
    draining: bool
    preambles: dict[tuple[int, bytes, bytes], bytes]
    familiar: FamiliarHeads

    def room(self, request: Request, length: int) -> Room: ...
    def opened(self, connection: HttpConnection) -> bool: ...
    def closed(self, connection: HttpConnection) -> None: ...
    def handle(self, request: Request) -> None: ...
    def refuse(self, request: Request, error: HttpError) -> None: ...


class HttpConnection(asyncio.BufferedProtocol):
    """One connection of a client. ``overdue`` is when it will be cut off unless something happens; 0 is never."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._transport: asyncio.Transport | None = None
        self._receiver = Receiver(self, self._received, front.max_body, front.familiar)
        self._waiting: deque[Request] = deque()
        self._refusal: HttpError | None = None
        self._held = 0
        self._reading_paused = False
        self._body: Body | None = None
        self._proceeding = False
        self._chunked = False
        self._room: asyncio.Event | None = None
        self._half_closed = False
        self._parted_until = 0.0
        self._timed: Phase = _IDLE
        self.overdue = 0.0
        self.current: Request | None = None

    # --- the socket ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.overdue = self._front.now + self._front.header_timeout
        if not self._front.opened(self):
            self._refuse(overloaded(503, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._receiver.stop()
        self._body = None
        self._waiting.clear()
        self.count()
        self._front.closed(self)
        if self._room is not None:
            self._room.set()
        current, self.current = self.current, None
        if current is not None:
            current.abandoned = True
            current.cancel()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._front.scratch if self._body is None else self._body.rest

    def buffer_updated(self, nbytes: int) -> None:
        if self._body is None:
            self._read(self._front.scratch[:nbytes])
            return
        whole = self._body.grew(nbytes)
        self._receiver.held = self._body.held
        if whole is None:
            self.count()
        else:
            self._body = None
            self._receiver.complete(whole)
            if self.current is None:
                self._rest()

    def _read(self, data: memoryview) -> None:
        receiver = self._receiver
        if receiver.phase == _DEAF:
            if self._parted_until:
                self.overdue = min(max(self.overdue, self._front.now + _LINGER), self._parted_until)
            return
        refusal = receiver.feed(data)
        if refusal is not None:
            self._refuse(refusal)
        phase = receiver.phase
        if phase == _BODY or self._waiting:
            self.count()
        if phase != self._timed and self.current is None:
            self._rest()
        if phase == _BODY and receiver.awaited >= LARGE and receiver.parsing is not None:
            room = self._front.room(receiver.parsing, receiver.held + receiver.awaited)
            self._body = Body(room, receiver.take())

    def eof_received(self) -> bool:
        answering = self.current is not None or bool(self._waiting)
        if not answering or self._transport is None or not self._transport.can_write_eof():
            return False
        self._half_closed = True
        self.overdue = self._front.now + _HALF_CLOSED
        return True

    def pause_writing(self) -> None:
        self._room = asyncio.Event()
        self.overdue = self._front.now + self._front.body_timeout

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None
        if self._parted_until:
            self.overdue = self._front.now + _LINGER
        elif self.current is None:
            self._proceed()
        else:
            self.overdue = self._front.now + _HALF_CLOSED if self._half_closed else 0.0

    # --- one request after the other ----------------------------------------------------------------------------------

    def _received(self, request: Request) -> None:
        if self.current is None and not self._waiting and self._room is None:
            self._begin(request)
            return
        self._waiting.append(request)
        if len(self._waiting) >= _MAX_WAITING and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def count(self) -> None:
        """Count what this connection holds of requests that are not admitted yet."""
        held = self._receiver.held + sum([request.size for request in self._waiting])
        grew = held > self._held
        self._front.held += held - self._held
        self._held = held
        if grew and self._front.held > self._front.max_held:
            self._refuse(overloaded(429, "the gateway is full of requests that are still arriving"))

    def _begin(self, request: Request) -> None:
        self.current = request
        self.overdue = 0.0
        if self._held:
            self.count()
        self._front.handle(request)

    def _finish(self, request: Request) -> None:
        request.finished = True
        self.current = None
        if not request.keep_alive:
            self._part()
        else:
            self._proceed()

    def _proceed(self) -> None:
        """Go on with what was received meanwhile, in order; a loop, because requests may be answered at once."""
        if self._proceeding:
            return
        self._proceeding = True
        while self._waiting and self.current is None and self._room is None:
            self._begin(self._waiting.popleft())
        self._proceeding = False
        transport = self._transport
        if self.current is not None or self._room is not None or self._parted_until or transport is None:
            return
        if self._refusal is not None:
            request = self._receiver.refused()
            request.keep_alive = False
            self.current = request
            self._front.refuse(request, self._refusal)
        elif self._half_closed or self._front.draining:
            self._part()
        else:
            if self._reading_paused:
                self._reading_paused = False
                transport.resume_reading()
            self._rest()

    def _rest(self) -> None:
        """Nothing is being answered: the client has some time to send more."""
        front = self._front
        phase = self._timed = self._receiver.phase
        if phase == _IDLE:
            self.overdue = front.now + front.keep_alive
        elif phase == _HEAD:
            self.overdue = front.now + front.header_timeout
        elif phase == _BODY:
            self.overdue = front.now + front.body_timeout
            if self._receiver.owes_continue and self._transport is not None:
                self._receiver.owes_continue = False
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- answers ------------------------------------------------------------------------------------------------------

    def respond(
        self, request: Request, status: int, content_type: bytes, body: bytes, headers: tuple[Header, ...] = ()
    ) -> None:
        transport = self._transport
        if transport is None or self.current is not request:
            return
        no_body = request.method == "HEAD" or status in heads.BODILESS
        framing = b"" if no_body and not body else b"content-length: %d\r\n" % len(body)
        head = self._head(request, status, content_type, headers, framing)
        body = b"" if no_body else body
        if len(body) < _COPY_LIMIT:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._finish(request)

    def begin_stream(
        self,
        request: Request,
        status: int,
        content_type: bytes,
        headers: tuple[Header, ...] = (),
        length: int | None = None,
    ) -> None:
        if self._transport is None or self.current is not request:
            return
        request.begun = True
        self._chunked = length is None and request.version == "1.1"
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif self._chunked:
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b""
            request.keep_alive = False
        self._transport.write(self._head(request, status, content_type, headers, framing))

    async def stream(self, request: Request, data: bytes) -> None:
        transport = self._transport
        if transport is not None and self.current is request:
            self._write_part(transport, data)
        if self._room is not None:
            await self._room.wait()
        else:
            # Parts that are at hand without waiting must not keep the loop, and a cancellation, from having its turn.
            await asyncio.sleep(0)
        if self.current is not request:
            raise ConnectionResetError("the client is gone")

    def end_stream(self, request: Request, last: bytes = b"") -> None:
        if self._transport is None or self.current is not request:
            return
        self._write_part(self._transport, last)
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self._finish(request)

    def _write_part(self, transport: asyncio.Transport, data: bytes) -> None:
        if data:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def origin(self) -> dict[str, Any]:
        return origin_of(self._transport)

    def _head(
        self, request: Request, status: int, content_type: bytes, headers: tuple[Header, ...], framing: bytes
    ) -> bytes:
        front = self._front
        release = b"" if request.edition is None else request.edition.header
        beginning = front.preambles.get((status, content_type, release))
        if beginning is None:
            beginning = heads.preamble(status, content_type, front.date, release)
            front.preambles[status, content_type, release] = beginning
        if front.draining and not self._waiting:
            request.keep_alive = False
        if headers:
            framing += b"".join([b"%b: %b\r\n" % header for header in headers])
        if not request.keep_alive:
            framing += b"connection: close\r\n"
        elif request.version == "1.0":
            framing += b"connection: keep-alive\r\n"
        return b"%b%bx-request-id: %b\r\n\r\n" % (beginning, framing, request.id.encode("ascii"))

    # --- the end ------------------------------------------------------------------------------------------------------

    @property
    def _rests(self) -> bool:
        """Whether no request is being received or answered."""
        is_free = self.current is None and not self._waiting and self._room is None
        return is_free and self._receiver.phase == _IDLE

    def hang_up(self) -> None:
        """Close if it rests."""
        if self._rests:
            self._part()

    def leave(self) -> socket.socket | None:
        """Give up the connection, which goes on for whoever has the socket; None where that cannot be, or it is at work.

        What has not been read is still in it. A connection over TLS cannot be left: its keys are in this process.
        """
        transport = self._transport
        if transport is None or not self._rests or self._half_closed or not transport.can_write_eof():
            return None
        if transport.get_write_buffer_size():
            return None
        try:
            left = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError:
            return None  # no room for another open file: it is hung up instead
        transport.abort()
        self._receiver.stop()
        return left

    def inherit(self) -> None:
        """Another gateway has answered requests of this connection already; the next one may take its time."""
        if self._rests:
            self._rest()

    def time_out(self) -> None:
        """Its time is over (``overdue``)."""
        if self._front.now < self._parted_until and is_under_way(self._transport):
            self.overdue = min(self._front.now + _LINGER, self._parted_until)
        elif self.current is not None or self._room is not None or self._parted_until:
            self.abort()
        elif self._receiver.phase == _IDLE:
            self._part()
        else:
            self._refuse(HttpError(408, "the request did not arrive in time"))

    def _refuse(self, error: HttpError) -> None:
        """Answer a request that cannot be read, after those before it; what follows in the stream has no meaning."""
        if self._receiver.phase != _DEAF:
            self._receiver.stop()
            self._body = None
            self._refusal = error
            if self.current is None:
                self._proceed()

    def _part(self) -> None:
        """End our side, and wait for the client to end its own: a reset could take our last words from it."""
        transport = self._transport
        if transport is None or self._parted_until:
            return
        self._receiver.stop()
        self._body = None
        self._waiting.clear()
        self.count()
        if self._reading_paused:
            self._reading_paused = False
            transport.resume_reading()
        now = self._front.now
        self._parted_until = now + self._front.body_timeout
        self.overdue = self._parted_until if transport.get_write_buffer_size() else now + _LINGER
        if self._half_closed:
            transport.close()
        elif transport.can_write_eof():
            transport.write_eof()
        elif self._refusal is None:
            # TLS cannot end one side alone; what a refused client still sends is read and thrown away.
            transport.close()
