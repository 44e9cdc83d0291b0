"""Faults on the way between a gateway and its replicas, in a system in memory: delay, drop, cut."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence

from kapelle.transport.connection import Connection
from kapelle.wire.body import Buffer
from kapelle.wire.frames import Frame


class Faults:
    """What goes wrong on the way to and from each replica; nothing at first. ``names`` gives the replicas there are."""

    def __init__(self, names: Callable[[], Collection[str]]) -> None:
        self._names = names
        self._delays: dict[str, float] = {}
        self._dropping: set[str] = set()
        self._connections: dict[str, set[FaultyConnection]] = {}

    def delay(self, replica: str, seconds: float) -> None:
        """Every frame to and from ``replica`` takes ``seconds`` longer from now on."""
        self._delays[self._known(replica)] = seconds

    def drop(self, replica: str) -> None:
        """Frames to and from ``replica`` vanish from now on; its connections stay open, as over a dead link."""
        self._dropping.add(self._known(replica))

    def cut(self, replica: str) -> None:
        """Break the connections to ``replica`` that are open now."""
        for connection in list(self._connections.get(self._known(replica), ())):
            connection.abort()

    def heal(self, replica: str) -> None:
        """Nothing goes wrong on the way to ``replica`` any more. Connections that have lost frames break."""
        self._delays.pop(self._known(replica), None)
        self._dropping.discard(replica)
        for connection in list(self._connections.get(replica, ())):
            if connection.incomplete:
                connection.abort()

    def wrap(self, replica: str, connection: Connection) -> Connection:
        """``connection`` to ``replica``, with its faults."""
        faulty = FaultyConnection(self, replica, connection)
        self._connections.setdefault(replica, set()).add(faulty)
        return faulty

    def delay_of(self, replica: str) -> float | None:
        """Seconds that a frame takes longer; None when it does not arrive at all."""
        return None if replica in self._dropping else self._delays.get(replica, 0.0)

    def forget(self, replica: str, connection: FaultyConnection) -> None:
        """A connection has ended."""
        self._connections[replica].discard(connection)

    def _known(self, replica: str) -> str:
        names = self._names()
        if replica not in names:
            raise ValueError(f"no replica {replica!r}; there are {', '.join(names)}")
        return replica


class FaultyConnection:
    """A connection that suffers the faults of one replica in both directions."""

    def __init__(self, faults: Faults, replica: str, inner: Connection) -> None:
        self._faults = faults
        self._replica = replica
        self._inner = inner
        self._out = _Way(lambda: faults.delay_of(replica))
        self._in = _Way(lambda: faults.delay_of(replica))

    @property
    def incomplete(self) -> bool:
        """Whether frames were lost."""
        return self._out.lost or self._in.lost

    def start(self, on_frames: Callable[[list[Frame]], None], on_lost: Callable[[str], None]) -> None:
        def lost(reason: str) -> None:
            self._faults.forget(self._replica, self)
            self._out.close()
            on_lost(reason)

        self._inner.start(
            lambda frames: self._in.carry(lambda: on_frames(frames)),
            lambda reason: self._in.carry(lambda: lost(reason), last=True),
        )

    def send(
        self, head: bytes, segments: Sequence[Buffer] = (), *, bulk: bool | None = None, at_once: bool = False
    ) -> None:
        as_they_are = [bytes(segment) for segment in segments]
        self._out.carry(lambda: self._inner.send(head, as_they_are, bulk=bulk, at_once=at_once))

    @property
    def backlog(self) -> int:
        return self._inner.backlog

    def close(self) -> None:
        self._in.close()
        self._out.carry(self._inner.close, last=True)

    def abort(self) -> None:
        self._in.close()
        self._out.close()
        self._inner.abort()


class _Way:
    """One direction: carries things over in their order, each now, later or never."""

    def __init__(self, delay: Callable[[], float | None]) -> None:
        self.lost = False
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._closed = False

    def carry(self, deliver: Callable[[], None], *, last: bool = False) -> None:
        """Bring one thing over. ``last`` is the end of the connection: never lost, and nothing follows it."""
        delay = self._delay()
        if self._closed or delay is None:
            if last:
                self.close()
                deliver()
            else:
                self.lost = True
            return
        if not delay and not self._waiting:
            deliver()
            return
        due = self._loop.time() + delay
        if self._waiting:
            # A delay that became shorter lets nothing overtake what is on its way.
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, deliver))
        self._loop.call_at(due, self._arrive)

    def close(self) -> None:
        """Whatever is on its way is lost."""
        self._closed = True
        self._waiting.clear()

    def _arrive(self) -> None:
        if self._waiting:
            _, deliver = self._waiting.popleft()
            deliver()
