"""Frames over stream sockets, Unix or TCP.

A connection is two sockets, its *lanes*: frames of ``BULK`` bytes and more travel on the second, so that a large tensor
never stands in the way of a small call or a cancellation. The side that dials names the pair in the first frame of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kapelle.ids import random_id
from kapelle.transport.connection import Accept, Connection
from kapelle.transport.lane import Lane
from kapelle.wire.frames import PREFIX, Buffer, Frame, encode

BULK = 64 << 10
_PAIRING_TIMEOUT = 5.0
_GREETING = b"kapelle/1 "
_SMALL, _BULK = b"small", b"bulk"


class StreamConnection:
    """Two lanes as one connection."""

    def __init__(self, small: Lane, bulk: Lane) -> None:
        self._small = small
        self._bulk = bulk
        self._lost = False
        self._on_lost: Callable[[str], None] = lambda _: None

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        self._small.start(on_frames, self._lane_lost)
        self._bulk.start(on_frames, self._lane_lost)

    def send(self, head: bytes, segments: Sequence[Buffer] = ()) -> None:
        frame = encode(head, segments)
        small = len(frame) == 1 and len(head) < BULK
        if not small:
            small = sum(map(len, frame)) < BULK + PREFIX
        (self._small if small else self._bulk).write(frame)

    @property
    def backlog(self) -> int:
        return self._small.backlog + self._bulk.backlog

    def close(self) -> None:
        self._small.close()
        self._bulk.close()

    def abort(self) -> None:
        self._small.abort()
        self._bulk.abort()

    def _lane_lost(self, reason: str) -> None:
        # One lane without the other is of no use: both end.
        if not self._lost:
            self._lost = True
            self._small.abort()
            self._bulk.abort()
            self._on_lost(reason)


async def dial(open_lane: Callable[[], Awaitable[Lane]]) -> Connection:
    """Open both lanes and pair them by a fresh name."""
    link = random_id(16).encode()
    small = await open_lane()
    try:
        bulk = await open_lane()
    except BaseException:
        small.abort()
        raise
    small.write(encode(_GREETING + link + b" " + _SMALL))
    bulk.write(encode(_GREETING + link + b" " + _BULK))
    return StreamConnection(small, bulk)


class _Half:
    """A lane that was accepted and waits for its other half."""

    timer: asyncio.TimerHandle

    def __init__(self) -> None:
        self.lane = Lane()
        self.link = b""
        self.role = b""


class LanePairing:
    """The accepting side: waits for both lanes of a link, then hands the connection over.

    A lane that does not say who it is, or whose other half does not come, is cut off after a few seconds.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._waiting: dict[bytes, _Half] = {}

    def new_lane(self) -> Lane:
        """The protocol for a socket that was just accepted."""
        half = _Half()
        half.timer = asyncio.get_running_loop().call_later(_PAIRING_TIMEOUT, half.lane.abort)
        half.lane.start(lambda frames: self._greeted(half, frames), lambda _: self._lost(half))
        return half.lane

    def _greeted(self, half: _Half, frames: list[Frame]) -> None:
        greeting = frames[0].head
        half.lane.hold(frames[1:])
        half.link, _, half.role = greeting.removeprefix(_GREETING).partition(b" ")
        if not greeting.startswith(_GREETING) or half.role not in (_SMALL, _BULK):
            half.lane.abort()
            return
        other = self._waiting.pop(half.link, None)
        if other is None:
            self._waiting[half.link] = half
            return
        half.timer.cancel()
        other.timer.cancel()
        if other.role == half.role:
            half.lane.abort()
            other.lane.abort()
            return
        lanes = {one.role: one.lane for one in (half, other)}
        self._accept(StreamConnection(lanes[_SMALL], lanes[_BULK]))

    def _lost(self, half: _Half) -> None:
        half.timer.cancel()
        if self._waiting.get(half.link) is half:
            del self._waiting[half.link]
