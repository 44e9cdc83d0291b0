"""A lane: one socket that carries frames. Frames of one turn of the event loop leave in one system call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from kapelle.errors import WireError
from kapelle.wire.frames import Buffer, Frame, FrameReader


class Lane(asyncio.BufferedProtocol):
    """One socket: reads frames, writes buffers."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._pending: list[Buffer] = []
        self._early: list[Frame] = []
        self._on_frames: Callable[[list[Frame]], None] = self._early.extend
        self._on_lost: Callable[[str], None] | None = None
        self._lost: str | None = None
        self._call_soon = asyncio.get_running_loop().call_soon

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        self._on_frames = on_frames
        self._on_lost = on_lost
        early, self._early = self._early, []
        if early:
            on_frames(early)
        if self._lost is not None:
            on_lost(self._lost)

    def hold(self, frames: list[Frame]) -> None:
        """Keep ``frames`` and all that follow for whoever calls ``start`` next."""
        self._early = frames
        self._on_frames = self._early.extend
        self._on_lost = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            frames = self._reader.received(nbytes)
        except WireError as error:
            self._fail(str(error))
            return
        if frames:
            self._on_frames(frames)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        reason = str(exc) if exc is not None else "closed by the other side"
        try:
            self._reader.eof()
        except WireError as error:
            reason = str(error)
        if self._lost is None:
            self._lost = reason
            if self._on_lost is not None:
                self._on_lost(reason)

    def write(self, buffers: list[Buffer]) -> None:
        if not self._pending:
            self._call_soon(self._flush)
        self._pending += buffers

    @property
    def backlog(self) -> int:
        waiting = sum(map(len, self._pending))
        return waiting + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def close(self) -> None:
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._pending = []
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if self._transport is not None and pending:
            if len(pending) == 1:
                self._transport.write(pending[0])
            else:
                self._transport.writelines(pending)

    def _fail(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
            if self._on_lost is not None:
                self._on_lost(reason)
        self.abort()
