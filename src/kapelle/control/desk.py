"""Where the controller answers questions: ``kapelle status``, and gateways that collect metrics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import structlog

from kapelle.control import status
from kapelle.errors import WireError
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.supervision import pack_families
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_decode = messages.Decoder[messages.ToController](messages.ToController)


class Desk:
    """Answers on the controller's socket. ``tell`` gives the state of the system."""

    def __init__(self, tell: Callable[[], status.SystemStatus], registry: Registry) -> None:
        self._tell = tell
        self._registry = registry
        self._server: asyncio.Server | None = None

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
                    connection.send(messages.encode(self._answer(_decode(frame.head))))
            except WireError as error:
                log.warning("somebody asked garbage and is cut off", reason=str(error))
                connection.abort()

        connection.start(on_frames, lambda _: None)

    def _answer(self, question: messages.ToController) -> messages.FromController:
        match question:
            case messages.StatusQuery():
                return messages.StatusAnswer(status.encode(self._tell()))
            case messages.Scrape(number):
                return messages.Scraped(number, pack_families(self._registry.collect()))
            case messages.Probe(number):
                return messages.Health(number, "ready", "", 0, 0, os.getpid())
