"""Faults on the way between a gateway and its replicas, in a system in memory: delay, drop, cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from kapelle.transport.connection import Connection
from kapelle.wire.frames import Buffer, Frame


class Faults:
    """What goes wrong on the way to and from each replica; nothing at first."""

    def __init__(self) -> None:
        self._delays: dict[str, float] = {}
        self._dropping: set[str] = set()
        self._connections: dict[str, set[FaultyConnection]] = {}

    def delay(self, replica: str, seconds: float) -> None:
        """Every frame to and from ``replica`` takes ``seconds`` longer from now on."""
        self._delays[replica] = seconds

    def drop(self, replica: str) -> None:
        """Frames to and from ``replica`` vanish from now on; its connections stay open (a stopped process, a dead link)."""
        self._dropping.add(replica)

    def cut(self, replica: str) -> None:
        """Break the connections to ``replica`` that are open now."""
        for connection in list(self._connections.get(replica, ())):
            connection.abort()

    def heal(self, replica: str) -> None:
        """Nothing goes wrong on the way to ``replica`` any more."""
        self._delays.pop(replica, None)
        self._dropping.discard(replica)

    def wrap(self, replica: str, connection: Connection) -> Connection:
        """``connection`` to ``replica``, with its faults."""
        faulty = FaultyConnection(self, replica, connection)
        self._connections.setdefault(replica, set()).add(faulty)
        return faulty

    def carry(self, replica: str, deliver: Callable[[], None]) -> None:
        """Bring one thing over: now, later or never."""
        if replica in self._dropping:
            return
        delay = self._delays.get(replica)
        if delay is None:
            deliver()
        else:
            asyncio.get_running_loop().call_later(delay, deliver)

    def forget(self, replica: str, connection: FaultyConnection) -> None:
        self._connections.get(replica, set()).discard(connection)


class FaultyConnection:
    """A connection that suffers the faults of one replica in both directions."""

    def __init__(self, faults: Faults, replica: str, inner: Connection) -> None:
        self._faults = faults
        self._replica = replica
        self._inner = inner

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        def lost(reason: str) -> None:
            self._faults.forget(self._replica, self)
            on_lost(reason)

        self._inner.start(lambda frames: self._faults.carry(self._replica, lambda: on_frames(frames)), lost)

    def send(self, head: bytes, segments: Sequence[Buffer] = ()) -> None:
        self._faults.carry(self._replica, lambda: self._inner.send(head, segments))

    @property
    def backlog(self) -> int:
        return self._inner.backlog

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()
