"""A lane over TLS, which cannot end one direction alone, and whose transport does not know how much has left."""

from __future__ import annotations

import asyncio
from collections import deque

from kapelle.transport.lane import Lane
from kapelle.wire.body import Buffer
from kapelle.wire.frames import Frame, encode

_PIECE = 256 << 10
"""Bytes that are encrypted at once. What the socket has no room for waits here, in clear, where it is counted."""
_GOODBYE = b"\xc1e"
"""The last frame of a side. msgpack begins nothing with its first byte, and no other frame of ours is the same."""


class TlsLane(Lane):
    """A lane that ends with a frame of its own: who says goodbye has said all, and waits for the other side to close.

    An end without a goodbye is a break: anybody on the way can cut a connection, and what is missing then must not look
    like what was never said.
    """

    def __init__(self) -> None:
        super().__init__()
        self._queue: deque[Buffer] = deque()
        self._is_full = False
        self._said_goodbye = self._heard_goodbye = self._is_over = False

    @property
    def backlog(self) -> int:
        return super().backlog + sum(map(len, self._queue))

    def _deliver(self, frames: list[Frame]) -> None:
        if frames[-1].head == _GOODBYE:
            frames.pop()
            self._heard_goodbye = True
        if frames:
            self._on_frames(frames)
        if self._heard_goodbye:
            self._part()

    def eof_received(self) -> None:
        self._is_over = self._said_goodbye or self._heard_goodbye

    def connection_lost(self, exc: Exception | None) -> None:
        self._queue.clear()
        if not (self._said_goodbye or self._heard_goodbye):
            self.broken = True
            if exc is None:
                self._reason = self._reason or "the stream ended without a goodbye"
        # How the two closed the socket after all was said is of no interest.
        super().connection_lost(None if self._is_over else exc)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._push()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if not self._said_goodbye and self._transport is not None:
            self._queue.extend(pending)
            self._push()

    def _end_writing(self, transport: asyncio.Transport) -> None:
        self._said_goodbye = True
        self._queue.extend(encode(_GOODBYE))
        self._push()

    def _part(self) -> None:
        self._is_over = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def _break(self, reason: str) -> None:
        self._queue.clear()
        super()._break(reason)

    def _push(self) -> None:
        while self._queue and not self._is_full:
            if self._transport is None or self._transport.is_closing():
                self._queue.clear()
            else:
                self._transport.write(self._next_piece())

    def _next_piece(self) -> Buffer:
        """What is encrypted next: many small frames together, or a part of a large one."""
        parts: list[Buffer] = []
        room = _PIECE
        while self._queue and room:
            part = self._queue.popleft()
            if len(part) > room:
                whole = memoryview(part)
                self._queue.appendleft(whole[room:])
                part = whole[:room]
            parts.append(part)
            room -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
