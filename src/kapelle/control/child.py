"""One running process as the controller sees it: its number, its control connection, its end."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from kapelle.control.exits import birth, kill, wait_for_exit
from kapelle.errors import WireError
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_LAST_WORDS = 0.5
"""Seconds for the end of a dead process's connection to arrive; a child of its own may hold that open."""

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears when a child can be talked to, how it is, whom it has reached, what it says of releases, how it ended."""

    connected: Callable[[], None]
    health: Callable[[messages.Health], None]
    acquainted: Callable[[int], None]
    told: Callable[[messages.FromProcess], None]
    exited: Callable[[int | None], None]


class Child:
    """A running process, spawned by us (``popen``) or adopted. ``data`` and ``control`` are its addresses."""

    def __init__(
        self, pid: int, born: str, data: str, control: str, ears: Ears, popen: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.pid = pid
        self.born = born
        self.data = data
        self.control = control
        self.health: messages.Health | None = None
        self._ears = ears
        self._popen = popen
        self._connection: Connection | None = None
        self._lost = asyncio.Event()
        self._dialling: asyncio.Task[None] | None = None
        self._waiting = asyncio.create_task(self._await_exit())
        self.listen()

    @staticmethod
    def of(popen: subprocess.Popen[bytes], data: str, control: str, ears: Ears) -> Child:
        """A process that was just spawned."""
        return Child(popen.pid, birth(popen.pid), data, control, ears, popen)

    def listen(self) -> None:
        """Connect to it, unless that is done or under way."""
        if self._connection is None and self._dialling is None:
            self._dialling = asyncio.create_task(self._dial())

    def send(self, message: messages.ToProcess) -> None:
        """Tell it something, in the order of the calls; lost when it cannot hear."""
        if self._connection is not None:
            self._connection.send(messages.encode(message), bulk=True)

    def kill(self) -> None:
        """End it at once."""
        kill(self.pid, self.born)

    async def _dial(self) -> None:
        try:
            connection = await sockets.connect(sockets.Address.parse(self.control))
        except OSError as error:
            # Tried again with the next probe; one that cannot be reached for long is taken for hung.
            log.debug("a process does not answer", pid=self.pid, reason=str(error))
            return
        finally:
            self._dialling = None
        self._connection = connection
        self._lost.clear()
        connection.start(self._on_frames, self._on_lost)
        self._ears.connected()

    def _on_lost(self, _: str) -> None:
        self._connection = None
        self._lost.set()

    def _on_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            try:
                message = _decode(frame.head)
            except WireError as error:
                log.warning("a process sent garbage", pid=self.pid, reason=str(error))
                continue
            match message:
                case messages.Health():
                    self.health = message
                    self._ears.health(message)
                case messages.Acquainted(version):
                    self._ears.acquainted(version)
                case messages.Scraped():
                    pass  # never asked for here
                case _:
                    self._ears.told(message)

    async def _await_exit(self) -> None:
        code = await wait_for_exit(self.pid, self.born, self._popen)
        if self._dialling is not None:
            self._dialling.cancel()
        if self._connection is not None:
            # Its last words may still wait to be read.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS):
                    await self._lost.wait()
        if self._connection is not None:
            self._connection.abort()
        self._ears.exited(code)
