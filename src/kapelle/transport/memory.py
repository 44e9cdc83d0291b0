"""Frames within one process, for tests and for systems that need no processes.

The bytes are really encoded and cut again, so that what works here works over a socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kapelle.transport.connection import Accept, Connection
from kapelle.wire.frames import Buffer, Frame, FrameReader, encode


class MemoryConnection:
    """One end of a pair."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer: MemoryConnection | None = None
        self._inbox: list[Frame] = []
        self._on_frames: Callable[[list[Frame]], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._lost: str | None = None
        self._reported = False
        self._in_transit = 0
        self._scheduled = False

    @staticmethod
    def pair() -> tuple[MemoryConnection, MemoryConnection]:
        """Two connected ends."""
        one, other = MemoryConnection(), MemoryConnection()
        one._peer, other._peer = other, one
        return one, other

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        self._on_frames = on_frames
        self._on_lost = on_lost
        self._schedule()

    def send(self, head: bytes, segments: Sequence[Buffer] = ()) -> None:
        peer = self._peer
        if peer is None:
            return
        raw = b"".join(encode(head, segments))
        self._in_transit += len(raw)
        peer._inbox += _cut(raw)
        peer._schedule()

    @property
    def backlog(self) -> int:
        return self._in_transit

    def close(self) -> None:
        peer = self._peer
        self._end("closed here")
        if peer is not None:
            peer._end("closed by the other side")

    def abort(self) -> None:
        if self._peer is not None:
            self._peer._inbox.clear()
        self._inbox.clear()
        self.close()

    def _end(self, reason: str) -> None:
        self._peer = None
        if self._lost is None:
            self._lost = reason
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._on_frames is not None:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        assert self._on_frames is not None
        assert self._on_lost is not None
        inbox, self._inbox = self._inbox, []
        if self._peer is not None:
            self._peer._in_transit = 0
        if inbox:
            self._on_frames(inbox)
        if self._lost is not None and not self._reported:
            self._reported = True
            self._on_lost(self._lost)


def _cut(raw: bytes) -> list[Frame]:
    reader = FrameReader()
    frames: list[Frame] = []
    offset = 0
    while offset < len(raw):
        buffer = reader.get_buffer()
        count = min(len(buffer), len(raw) - offset)
        buffer[:count] = raw[offset : offset + count]
        frames += reader.received(count)
        offset += count
    return frames


class MemoryNetwork:
    """Listeners by name."""

    def __init__(self) -> None:
        self._listeners: dict[str, Accept] = {}

    def listen(self, name: str, accept: Accept) -> None:
        """Accept connections to ``name``."""
        self._listeners[name] = accept

    def forget(self, name: str) -> None:
        """Nobody listens at ``name`` any more."""
        self._listeners.pop(name, None)

    async def connect(self, name: str) -> Connection:
        """Dial ``name``.

        Raises:
            ConnectionRefusedError: nobody listens there.
        """
        accept = self._listeners.get(name)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens at {name}")
        here, there = MemoryConnection.pair()
        accept(there)
        return here
