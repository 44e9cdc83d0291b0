"""Where the controller answers questions and grants wishes: ``kapelle status``, ``kapelle release publish``, metrics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import structlog

from kapelle.control import status
from kapelle.control.conductor import Conductor
from kapelle.errors import WireError
from kapelle.observe.metrics import Registry
from kapelle.tasks import Tasks
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.supervision import pack_families
from kapelle.wire import messages, wishes
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_decode = messages.Decoder[wishes.ToController](wishes.ToController)


class Desk:
    """Answers on the controller's socket. ``tell`` gives the state of the system; ``conductor`` grants wishes."""

    def __init__(
        self, tell: Callable[[], status.SystemStatus], registry: Registry, conductor: Conductor | None = None
    ) -> None:
        self._tell = tell
        self._registry = registry
        self._conductor = conductor
        self._server: asyncio.Server | None = None
        self._granting = Tasks()

    async def open(self, address: str) -> None:
        """Begin to answer."""
        self._server = await sockets.serve(sockets.bind(sockets.Address.parse(address)), self._accept)

    def close(self) -> None:
        """Take no more questions."""
        if self._server is not None:
            self._server.close()

    def _accept(self, connection: Connection) -> None:
        def on_frames(frames: list[Frame]) -> None:
            try:
                for frame in frames:
                    self._hear(connection, _decode(frame.head))
            except WireError as error:
                log.warning("somebody asked garbage and is cut off", reason=str(error))
                connection.abort()

        connection.start(on_frames, lambda _: None)

    def _hear(self, connection: Connection, question: wishes.ToController) -> None:
        answer: wishes.FromController
        match question:
            case wishes.StatusQuery():
                answer = wishes.StatusAnswer(status.encode(self._tell()))
            case messages.Scrape(number):
                answer = messages.Scraped(number, pack_families(self._registry.collect()))
            case messages.Probe(number):
                answer = messages.Health(number, "ready", "", 0, 0, os.getpid())
            case _:
                self._granting.spawn(self._grant(connection, question))
                return
        connection.send(messages.encode(answer))

    async def _grant(self, connection: Connection, wish: wishes.Wish) -> None:
        """Do it to the end, whether whoever wished it stays to hear of it or not."""

        def say(text: str) -> None:
            connection.send(messages.encode(wishes.Told(text)))

        if self._conductor is None:
            over = wishes.Over(
                "", wishes.DENIED, "this system serves local artifacts only; start it without --release local"
            )
        else:
            over = await self._conductor.grant(wish, say)
        connection.send(messages.encode(over))
