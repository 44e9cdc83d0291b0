"""Frames within one process, for tests and for systems that need no processes.

The bytes are really encoded and cut again, and bulk frames take a turn of the event loop longer than small ones, so
that what works here works over sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kapelle.transport.connection import Accept, Connection, is_bulk
from kapelle.wire.body import Buffer
from kapelle.wire.frames import PREFIX, Frame, FrameReader, encode


class MemoryConnection:
    """One end of a pair."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._peer: MemoryConnection | None = None
        self._reader = FrameReader()
        self._small: list[Frame] = []
        self._bulk: list[Frame] = []
        self._bulk_due: list[Frame] = []
        self._on_frames: Callable[[list[Frame]], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._lost: str | None = None
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

    def send(
        self, head: bytes, segments: Sequence[Buffer] = (), *, bulk: bool | None = None, at_once: bool = False
    ) -> None:
        raw = b"".join(encode(head, segments))
        if self._peer is not None:
            self._peer._receive(raw, is_bulk(head, segments) if bulk is None else bulk)

    @property
    def backlog(self) -> int:
        peer = self._peer
        waiting = [] if peer is None else [*peer._small, *peer._bulk, *peer._bulk_due]
        return sum(PREFIX + len(head) + len(body) for head, body in waiting)

    def close(self) -> None:
        peer, self._peer = self._peer, None
        self._end("closed here")
        if peer is not None:
            peer._peer = None
            peer._end("closed by the other side", deliver=True)

    def abort(self) -> None:
        peer, self._peer = self._peer, None
        self._end("closed here")
        if peer is not None:
            peer._peer = None
            peer._end("closed by the other side")

    def _receive(self, raw: bytes, bulk: bool) -> None:
        (self._bulk if bulk else self._small).extend(_cut(self._reader, raw))
        self._schedule()

    def _end(self, reason: str, *, deliver: bool = False) -> None:
        if not deliver:
            for waiting in (self._small, self._bulk, self._bulk_due):
                waiting.clear()
        if self._lost is None:
            self._lost = reason
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._on_lost is not None:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        frames = self._small + self._bulk_due
        self._small, self._bulk_due, self._bulk = [], self._bulk, []
        if self._bulk_due:
            self._schedule()
        if frames and self._on_frames is not None:
            self._on_frames(frames)
        if self._lost is not None and not self._bulk_due and self._on_lost is not None:
            on_lost, self._on_lost, self._on_frames = self._on_lost, None, None
            on_lost(self._lost)


def _cut(reader: FrameReader, raw: bytes) -> list[Frame]:
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
