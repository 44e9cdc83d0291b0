"""A process's end of its supervision: it says how it is, gives its metrics, and hears what it shall do.

Anybody who may open the socket may ask: the controller, a gateway that collects metrics, ``kapelle status``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from kapelle.errors import WireError, in_a_line
from kapelle.observe.metrics import Family
from kapelle.observe.process import resident_bytes
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.credentials import Credentials
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_PATIENCE = 1.0
"""Seconds a supervisor gets to come, or to hear the last words."""

_decode = messages.Decoder[messages.ToProcess](messages.ToProcess)
_encode_families = msgspec.msgpack.Encoder().encode
_decode_families = msgspec.msgpack.Decoder(list[Family]).decode


def pack_families(families: list[Family]) -> msgspec.Raw:
    """Metrics as they travel in ``Scraped``."""
    return msgspec.Raw(_encode_families(families))


def unpack_families(samples: msgspec.Raw) -> list[Family]:
    """The metrics in a ``Scraped``.

    Raises:
        WireError: they are none.
    """
    try:
        return _decode_families(samples)
    except msgspec.MsgspecError as error:
        raise WireError(f"not metrics: {error}") from None


class Supervised:
    """Answers supervisors. ``health`` gives (state, detail, in flight, queued).

    ``on_duty`` hears whatever else a process may be told, and gives its answer, if there is one at once. ``about`` says
    who this is, where those who ask cannot know.
    """

    def __init__(
        self,
        *,
        health: Callable[[], tuple[str, str, int, int]],
        collect: Callable[[], list[Family]],
        on_drain: Callable[[float], None],
        on_members: Callable[[messages.Members], None] | None = None,
        on_duty: Callable[[messages.Duty], messages.FromProcess | None] | None = None,
        about: messages.About | None = None,
    ) -> None:
        self._health = health
        self._collect = collect
        self._on_drain = on_drain
        self._on_members = on_members
        self._on_duty = on_duty
        self._about = about
        self._attending: set[Connection] = set()
        self._failure = ""
        self._accepted = 0
        self._members_as_of = (0, 0)
        self._controller: Connection | None = None
        self._connections: dict[Connection, int] = {}
        self._changed = asyncio.Event()

    @property
    def attended(self) -> bool:
        """Whether somebody attends to what this process holds."""
        return bool(self._attending)

    def accept(self, connection: Connection) -> None:
        """A supervisor has connected."""
        self._accepted += 1
        self._connections[connection] = self._accepted
        connection.start(lambda frames: self._on_frames(connection, frames), lambda _: self._lost(connection))
        self._tell(connection, 0)
        self._changed.set()

    def announce(self) -> None:
        """The state has changed: tell every supervisor."""
        for connection in self._connections:
            self._tell(connection, 0)

    def tell_controller(self, message: messages.FromProcess) -> None:
        """Tell the one that announced the members last."""
        if self._controller in self._connections:
            self._controller.send(messages.encode(message))

    def tell_attending(self, message: messages.FromProcess) -> None:
        """Tell all who attend."""
        for connection in self._attending:
            connection.send(messages.encode(message))

    async def fail(self, error: BaseException) -> None:
        """The process did not start: tell the supervisor that is there, or comes at once, and close."""
        self._failure = in_a_line(error)
        self.announce()
        await self._until(lambda: bool(self._connections))
        await self.close()

    async def close(self) -> None:
        """End all connections, once what was said has left."""
        for connection in list(self._connections):
            connection.close()
        await self._until(lambda: not self._connections)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()

    def _lost(self, connection: Connection) -> None:
        del self._connections[connection]
        self._attending.discard(connection)
        self._changed.set()

    def _tell(self, connection: Connection, number: int) -> None:
        health = ("failed", self._failure, 0, 0) if self._failure else self._health()
        memory = 0 if self._about is None else resident_bytes(os.getpid()) or 0
        connection.send(messages.encode(messages.Health(number, *health, os.getpid(), memory)))

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
            case messages.Members(version):
                # Each controller counts from one: the word of the one that came last is the newest.
                as_of = self._connections[connection], version
                if self._on_members is not None and as_of > self._members_as_of:
                    self._members_as_of = as_of
                    self._controller = connection
                    self._on_members(message)
            case _:
                self._do_duty(connection, message)

    def _do_duty(self, connection: Connection, message: messages.Duty) -> None:
        if isinstance(message, messages.Attend):
            self._attending.add(connection)
            if self._about is not None:
                connection.send(messages.encode(self._about))
        answer = self._on_duty(message) if self._on_duty is not None else None
        if answer is not None:
            connection.send(messages.encode(answer))


async def report_failure(control: int, error: Exception, credentials: Credentials | None = None) -> None:
    """Tell why this process could not even begin; ``control`` is the number of its inherited socket."""
    supervised = Supervised(health=lambda: ("starting", "", 0, 0), collect=list, on_drain=lambda _: None)
    listener = await sockets.serve(socket.socket(fileno=control), supervised.accept, credentials)
    await supervised.fail(error)
    listener.close()
