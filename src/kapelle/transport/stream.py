"""Frames over stream sockets, Unix or TCP.

A connection is two sockets, its *lanes*: bulk frames travel on the second, so that a large tensor never stands in the
way of a small call or a cancellation. The side that dials names the pair in the first frame of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import numpy as np

from kapelle.ids import random_id
from kapelle.transport.connection import Accept, Connection, is_bulk
from kapelle.transport.handshake import Refusal, demands_secret, refusal_in
from kapelle.transport.lane import Lane
from kapelle.wire.body import Buffer
from kapelle.wire.frames import Frame, encode

PAIRING_TIMEOUT = 5.0
"""Seconds a socket that was accepted may take to say who it is, and then to be joined by its other half."""
_GREETING = b"kapelle/1 "
_SMALL, _BULK = b"small", b"bulk"


class StreamConnection:
    """Two lanes as one connection. ``is_proven``: the other side has shown that it takes us for one of its own."""

    def __init__(self, small: Lane, bulk: Lane, *, is_proven: bool = True) -> None:
        self._small = small
        self._bulk = bulk
        # Not the bulk lane: a busy process may well leave a large array unread for a while.
        small.give_up_unheard()
        self._is_proven = is_proven
        self._open = [small, bulk]
        self._reason = ""
        self._on_lost: Callable[[str], None] | None = None

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        self._on_lost = on_lost
        for lane in (self._small, self._bulk):
            first = on_frames if self._is_proven else partial(self._first, lane, on_frames)
            lane.start(first, partial(self._lane_lost, lane))

    def send(
        self, head: bytes, segments: Sequence[Buffer] = (), *, bulk: bool | None = None, at_once: bool = False
    ) -> None:
        lane = self._bulk if (is_bulk(head, segments) if bulk is None else bulk) else self._small
        lane.write(encode(head, [_settled(one) for one in segments] if segments else ()), at_once=at_once)

    @property
    def backlog(self) -> int:
        return self._small.backlog + self._bulk.backlog

    def close(self) -> None:
        self._small.close()
        self._bulk.close()

    def abort(self) -> None:
        self._small.abort()
        self._bulk.abort()

    def _first(self, lane: Lane, on_frames: Callable[[list[Frame]], None], frames: list[Frame]) -> None:
        """The first frames of a lane whose other side was not asked whether it wants us: it may say that it does not."""
        refusal = refusal_in(frames[0].head)
        if refusal is not None:
            lane.abort(f"{refusal.text}: {refusal.next_step}")
            return
        lane.deliver_to(on_frames)
        on_frames(frames)

    def _lane_lost(self, lane: Lane, reason: str) -> None:
        self._reason = self._reason or reason
        self._open.remove(lane)
        if self._open and lane.broken:
            # One lane is of no use without the other; only after an orderly end the other may still have to deliver.
            self._open[0].abort()
        if not self._open and self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost(self._reason)


def _settled(segment: Buffer) -> Buffer:
    """It as it is now. Who can write to it may do so again before it has left; what nobody can is not copied."""
    owner: object = segment
    while isinstance(owner, memoryview | np.ndarray):
        if not owner.readonly if isinstance(owner, memoryview) else owner.flags.writeable:
            return bytes(segment)
        owner = owner.obj if isinstance(owner, memoryview) else owner.base
    return segment


async def dial(open_lane: Callable[[], Awaitable[Lane]]) -> Connection:
    """Open both lanes and pair them by a fresh name. Nothing is awaited of the other side."""

    async def greet(link: bytes, role: bytes) -> Lane:
        lane = await open_lane()
        lane.write(encode(_GREETING + link + b" " + role))
        return lane

    return StreamConnection(*await _open_both(greet), is_proven=False)


async def dial_proven(open_lane: Callable[[bytes, bytes], Awaitable[Lane]]) -> Connection:
    """Open both lanes by ``open_lane(link, role)``, which has greeted the other side and was welcomed."""
    return StreamConnection(*await _open_both(open_lane))


async def _open_both(open_lane: Callable[[bytes, bytes], Awaitable[Lane]]) -> tuple[Lane, Lane]:
    link = random_id(16).encode()
    small = await open_lane(link, _SMALL)
    try:
        bulk = await open_lane(link, _BULK)
    except BaseException:  # a cancellation too: half a connection is not left open
        small.abort()
        raise
    return small, bulk


class _Half:
    """A lane that was accepted and waits for its other half."""

    timer: asyncio.TimerHandle

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.link = b""
        self.role = b""


class LanePairing:
    """The accepting side: waits for both lanes of a link, then hands the connection over.

    A lane that does not say who it is, or whose other half does not come, is cut off after a few seconds. ``complain``
    hears where a link came from that cannot be, why, and what mends it.
    """

    def __init__(self, accept: Accept, complain: Callable[[str, str, str], None]) -> None:
        self._accept = accept
        self._complain = complain
        self._waiting: dict[bytes, _Half] = {}

    def new_lane(self) -> Lane:
        """The protocol for a socket that was just accepted."""
        half = self._half(Lane())
        half.lane.start(partial(self._greeted, half), lambda _: self._give_up(half))
        return half.lane

    def admit(self, lane: Lane, link: bytes, role: bytes) -> None:
        """A lane whose other side has shown that it may have it."""
        half = self._half(lane)
        half.link, half.role = link, role
        lane.hold([], lambda _: self._lost(half))
        self._pair(half)

    def _half(self, lane: Lane) -> _Half:
        half = _Half(lane)
        half.timer = asyncio.get_running_loop().call_later(PAIRING_TIMEOUT, self._give_up, half)
        return half

    def _greeted(self, half: _Half, frames: list[Frame]) -> None:
        half.lane.hold(frames[1:], lambda _: self._lost(half))
        greeting = frames[0].head
        half.link, _, half.role = greeting.removeprefix(_GREETING).partition(b" ")
        if demands_secret(greeting):
            self._decline(half)
        elif not greeting.startswith(_GREETING) or half.role not in (_SMALL, _BULK):
            self._give_up(half)
        else:
            self._pair(half)

    def _decline(self, half: _Half) -> None:
        self._complain(half.lane.remote, Refusal.DEMANDED.text, Refusal.DEMANDED.next_step)
        half.lane.write(encode(Refusal.ABSENT.greeting))
        half.lane.close()

    def _pair(self, half: _Half) -> None:
        other = self._waiting.get(half.link)
        if other is None:
            self._waiting[half.link] = half
        elif other.role == half.role:
            self._give_up(half)
        else:
            self._join(half, other)

    def _join(self, half: _Half, other: _Half) -> None:
        del self._waiting[half.link]
        half.timer.cancel()
        other.timer.cancel()
        lanes = {one.role: one.lane for one in (half, other)}
        self._accept(StreamConnection(lanes[_SMALL], lanes[_BULK]))

    def _lost(self, half: _Half) -> None:
        # Who closes in good order may have said all there was to say before the other half arrived here.
        if half.lane.broken:
            self._give_up(half)

    def _give_up(self, half: _Half) -> None:
        half.timer.cancel()
        half.lane.abort()
        if self._waiting.get(half.link) is half:
            del self._waiting[half.link]
