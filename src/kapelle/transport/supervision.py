"""A process's end of its supervision: it says how it is, gives its metrics, and hears what it shall do.

Anybody who may open the socket may ask: the controller, a gateway that collects metrics, ``kapelle status``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec
import structlog

from kapelle.errors import WireError
from kapelle.observe.metrics import Family
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_decode = messages.Decoder[messages.ToProcess](messages.ToProcess)
_encode_families = msgspec.msgpack.Encoder().encode
_decode_families = msgspec.msgpack.Decoder(list[Family]).decode


def pack_families(families: list[Family]) -> msgspec.Raw:
    """Metrics as they travel in ``Scraped``."""
    return msgspec.Raw(_encode_families(families))


def unpack_families(samples: msgspec.Raw) -> list[Family]:
    """The metrics in a ``Scraped``."""
    return _decode_families(samples)


class Supervised:
    """Answers supervisors. ``health`` gives (state, detail, in flight, queued)."""

    def __init__(
        self,
        *,
        health: Callable[[], tuple[str, str, int, int]],
        collect: Callable[[], list[Family]],
        on_drain: Callable[[float], None],
        on_members: Callable[[messages.Members], None] | None = None,
    ) -> None:
        self._health = health
        self._collect = collect
        self._on_drain = on_drain
        self._on_members = on_members
        self._connections: set[Connection] = set()

    def accept(self, connection: Connection) -> None:
        """A supervisor has connected."""
        self._connections.add(connection)
        connection.start(
            lambda frames: self._on_frames(connection, frames), lambda _: self._connections.discard(connection)
        )
        self._tell(connection, 0)

    def announce(self) -> None:
        """The state has changed: tell every supervisor."""
        for connection in self._connections:
            self._tell(connection, 0)

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _tell(self, connection: Connection, number: int) -> None:
        connection.send(messages.encode(messages.Health(number, *self._health(), os.getpid())))

    def _on_frames(self, connection: Connection, frames: list[Frame]) -> None:
        try:
            for frame in frames:
                self._handle(connection, _decode(frame.head))
        except WireError as error:
            log.warning("a supervisor sent garbage and is cut off", reason=str(error))
            connection.abort()

    def _handle(self, connection: Connection, message: messages.ToProcess) -> None:
        match message:
            case messages.Probe(number):
                self._tell(connection, number)
            case messages.Scrape(number):
                connection.send(messages.encode(messages.Scraped(number, pack_families(self._collect()))))
            case messages.Drain(timeout):
                self._on_drain(timeout)
            case messages.Members():
                if self._on_members is not None:
                    self._on_members(message)
