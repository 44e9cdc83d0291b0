"""Connections whose large frames go through memory that both processes map, where both are on one machine.

A bulk frame's segments are written into an arena once, and what travels is where they lie. Segments that lie in an arena
already, as those of an array that came from another process, are not even written: they are passed on. Whoever sends
keeps using what it sent until the other side has said that it does. Where there is no room, or the other side cannot map
an arena, frames travel as they are.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from kapelle.errors import WireError
from kapelle.observe.metrics import Registry
from kapelle.transport.arena import Arena, Lease, OwnArena, Place, aligned
from kapelle.transport.connection import Connection, is_bulk
from kapelle.wire.body import Buffer, Pieces
from kapelle.wire.frames import MAX_BODY, Frame
from kapelle.wire.payload import ALIGNMENT

_MARK = 0xC1  # msgpack begins nothing with it
_HELLO, _OFFER, _MAPPED, _UNABLE, _TAKEN, _SHARED = (bytes([_MARK, kind]) for kind in b"homuts")
_LENGTH = struct.Struct("<H")
_COUNT = struct.Struct("<I")
_TAKEN_WITHIN = 0.01
"""Seconds after which it is said what was taken, if nothing else is said before."""
_TEND_EVERY = 5.0
_MOST_PIECES = 500

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[int, Place]]).decode


class Arenas:
    """All arenas that this process maps. ``size`` is the room in its own, which is made when it is first needed."""

    def __init__(self, size: int, registry: Registry) -> None:
        registry.gauge(
            "kapelle_shared_memory_bytes", "Bytes of this process's arena that are in use.", lambda: self.used
        )
        self.full, self.unreachable = (
            registry.counter(
                "kapelle_shared_memory_fallbacks_total",
                "Large frames that found an arena full, and connections whose other side could not map one.",
                reason=reason,
            )
            for reason in ("full", "unreachable")
        )
        self._size = size if hasattr(os, "memfd_create") else 0
        self._own: OwnArena | None = None
        self._mapped: dict[str, Arena] = {}
        self._tending: asyncio.TimerHandle | None = None

    def dialled(self, connection: Connection) -> Connection:
        """A connection that was made from here, with large frames through memory if the other side likes."""
        return SharedConnection(connection, self, greets=True) if self._size else connection

    def accepted(self, connection: Connection) -> Connection:
        """The same, for one that was made from elsewhere: not all who dial share memory, and those who do say so."""
        return SharedConnection(connection, self)

    @property
    def used(self) -> int:
        """Bytes in use of its own arena."""
        return 0 if self._own is None else self._own.used

    @property
    def own(self) -> OwnArena | None:
        """Its own; None where the system has none to give."""
        if self._own is None and self._size:
            try:
                self._own = OwnArena(self._size)
            except OSError:
                self._size = 0
            else:
                self._tend()
        return self._own

    def reserve(self, length: int) -> tuple[Lease, memoryview] | None:
        """Room for so many bytes that come from elsewhere, and what writes to it; None where there is not plenty.

        Half of the memory is for what processes hand each other.
        """
        own = self.own
        if own is None or 2 * (own.used + length) > self._size:
            return None
        lease = own.reserve(length)
        return None if lease is None else (lease, own.room(lease))

    def attach(self, name: str) -> bool:
        """Map an arena, unless it is mapped; whether it is."""
        if name in self._mapped or (self._own is not None and name == self._own.name):
            return True
        self._mapped = {other: arena for other, arena in self._mapped.items() if arena.leases or arena.lives}
        try:
            self._mapped[name] = Arena.attach(name)
        except (OSError, WireError):
            return False
        return True

    def lease(self, place: Place) -> Lease:
        """Use what lies there.

        Raises:
            WireError: nothing does, or the arena is not mapped.
        """
        arena = self._mapped.get(place.arena) or self._own
        if arena is None or arena.name != place.arena:
            raise WireError(f"the arena {place.arena} is not mapped")
        return arena.lease(place)

    def close(self) -> None:
        """Tend nothing any more."""
        if self._tending is not None:
            self._tending.cancel()

    def _tend(self) -> None:
        assert self._own is not None
        self._own.tend()
        self._tending = asyncio.get_running_loop().call_later(_TEND_EVERY, self._tend)


class SharedConnection:
    """One end of a connection, which tells the other end about arenas by frames of its own."""

    def __init__(self, inner: Connection, arenas: Arenas, *, greets: bool = False) -> None:
        self._inner = inner
        self._arenas = arenas
        self._shares = self._greets = greets
        self._loop = asyncio.get_running_loop()
        self._offered: set[str] = set()
        self._reached: set[str] = set()
        """The arenas that the other side maps."""
        self._in_transit: deque[list[Lease]] = deque()
        self._untold = 0
        """Frames that were taken, of which the other side does not know."""
        self._telling: asyncio.TimerHandle | None = None
        self._on_frames: Callable[[list[Frame]], None] | None = None

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        def lost(reason: str) -> None:
            self._on_frames = None
            self._in_transit.clear()
            if self._telling is not None:
                self._telling.cancel()
            on_lost(reason)

        self._on_frames = on_frames
        self._inner.start(self._receive, lost)

    def send(
        self, head: bytes, segments: Sequence[Buffer] = (), *, bulk: bool | None = None, at_once: bool = False
    ) -> None:
        if self._greets:
            self._greets = False
            self._inner.send(_HELLO)
        if self._untold:
            self._tell()
        bulk = is_bulk(head, segments) if bulk is None else bulk
        if segments and bulk and self._shares and self._on_frames is not None:
            places, leases = self._place(segments)
            if places:
                about = _encode(places)
                self._in_transit.append(leases)
                self._inner.send(
                    b"%b%b%b%b" % (_SHARED, _LENGTH.pack(len(about)), about, head), bulk=True, at_once=at_once
                )
                return
        self._inner.send(head, segments, bulk=bulk, at_once=at_once)

    @property
    def backlog(self) -> int:
        return self._inner.backlog

    def close(self) -> None:
        if self._untold:
            self._tell()
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()

    # --- sending ------------------------------------------------------------------------------------------------------

    def _place(self, segments: Sequence[Buffer]) -> tuple[list[tuple[int, Place]], list[Lease]]:
        """Where the segments lie in arenas that the other side maps, and the use of that; nothing where that cannot be."""
        places: list[tuple[int, Place]] = []
        leases: list[Lease] = []
        fresh: list[tuple[int, Buffer]] = []
        at = 0
        for segment in segments:
            found = _find(segment)
            if found is not None and self._reaches(found[0].place.arena):
                lease, begin = found
                places.append((at, lease.part(begin, len(segment))))
                leases.append(lease)
            elif len(segment) >= ALIGNMENT:  # less is padding
                fresh.append((at, segment))
            at += len(segment)
        if fresh:
            block = self._put([segment for _, segment in fresh])
            if block is None:
                return [], []
            leases.append(block)
            begin = 0
            for start, segment in fresh:
                places.append((start, block.part(begin, len(segment))))
                begin += aligned(len(segment))
            places.sort()
        return (places, leases) if len(places) <= _MOST_PIECES else ([], [])

    def _put(self, parts: list[Buffer]) -> Lease | None:
        own = self._arenas.own
        if own is None or not self._reaches(own.name):
            return None
        lease = own.put(parts)
        if lease is None:
            self._arenas.full.inc()
        return lease

    def _reaches(self, arena: str) -> bool:
        if arena not in self._offered:
            self._offered.add(arena)
            self._inner.send(_OFFER + arena.encode())
        return arena in self._reached

    # --- receiving ----------------------------------------------------------------------------------------------------

    def _receive(self, frames: list[Frame]) -> None:
        if _MARK in [frame.head[0] for frame in frames]:
            try:
                frames = [frame for frame in map(self._understand, frames) if frame is not None]
            except WireError:
                self._inner.abort()
                return
        if frames and self._on_frames is not None:
            self._on_frames(frames)

    def _understand(self, frame: Frame) -> Frame | None:
        """The frame as it was sent; None for one of our own."""
        head = frame.head
        if head[0] != _MARK:
            return frame
        kind, rest = head[:2], head[2:]
        if kind == _SHARED:
            return self._take(rest)
        name = rest.decode("ascii", "replace")
        if kind == _HELLO and not rest:
            self._shares = True
        elif kind == _TAKEN and len(rest) == _COUNT.size and _COUNT.unpack(rest)[0] <= len(self._in_transit):
            for _ in range(_COUNT.unpack(rest)[0]):
                self._in_transit.popleft()
        elif kind == _OFFER:
            self._inner.send((_MAPPED if self._arenas.attach(name) else _UNABLE) + rest)
        elif kind == _MAPPED and name in self._offered:
            self._reached.add(name)
        elif kind == _UNABLE:
            self._arenas.unreachable.inc()
        else:
            raise WireError(f"a frame that begins with {head[:2]!r}")
        return None

    def _take(self, rest: bytes) -> Frame:
        try:
            (length,) = _LENGTH.unpack_from(rest)
            places = _decode(rest[_LENGTH.size : _LENGTH.size + length])
        except (struct.error, msgspec.DecodeError) as error:
            raise WireError(f"not the places of a body: {error}") from None
        pieces: list[tuple[int, Buffer]] = []
        for at, place in places:
            if not 0 <= at <= MAX_BODY:
                raise WireError(f"a piece beyond the {MAX_BODY} bytes that a body may have")
            pieces.append((at, self._arenas.lease(place).bytes))
        self._untold += 1
        if self._telling is None:
            self._telling = self._loop.call_later(_TAKEN_WITHIN, self._tell)
        body = pieces[0][1] if len(pieces) == 1 and pieces[0][0] == 0 else Pieces(pieces)
        return Frame(rest[_LENGTH.size + length :], body)

    def _tell(self) -> None:
        untold, self._untold = self._untold, 0
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        if untold:
            self._inner.send(_TAKEN + _COUNT.pack(untold))


def _find(segment: Buffer) -> tuple[Lease, int] | None:
    """The lease in which a segment lies, and where in it."""
    found: object = segment
    # The very types, as they are here: to look for subclasses takes longer.
    while type(found) is memoryview or type(found) is np.ndarray:
        found = found.obj if type(found) is memoryview else found.base
    if not isinstance(found, Lease):
        return None
    address: int = np.frombuffer(segment, np.uint8).__array_interface__["data"][0]
    return found, address - found.address
