"""A process that an engine has started, as the controller reaches it: over the network, as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from kapelle.clock import monotonic, wall
from kapelle.config.orders import Holding
from kapelle.control import status
from kapelle.control.recipes import Role
from kapelle.errors import WireError
from kapelle.transport.complaints import trouble_of
from kapelle.transport.connection import Connection
from kapelle.transport.greeter import LinkRefusedError
from kapelle.wire import messages
from kapelle.wire.frames import Frame

log = structlog.get_logger()

_AGAIN = 1.0
"""Seconds between two tries to reach it."""
_DIAL_TIMEOUT = 5.0
_SILENT_AFTER = 5.0
"""Seconds without a word after which it counts as gone: a machine that is cut off does not close its connections."""
_MOST_EARLY = 10
_LEAVING = ("draining", "failed")

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears that a process is there, what it says of releases, and that it is gone, perhaps with its last words.

    ``leaving`` hears of one that is to end, and waits until others have what it holds.
    """

    there: Callable[[Remote], None]
    leaving: Callable[[Remote], None]
    told: Callable[[Remote, messages.FromProcess], None]
    gone: Callable[[Remote, str], None]


class Remote:
    """A process at an address; one life of it after the other, whoever they are. ``connect`` reaches it."""

    has_place = True
    code = ""
    """Releases do not bring it: it is that of the image, ``image_code``, whatever they hold."""

    def __init__(self, address: str, connect: Callable[[], Awaitable[Connection]], ears: Ears) -> None:
        self.address = address
        self.holding = Holding("", [])
        self.about: messages.About | None = None
        """Who is there; None while nobody is, or one that is about to end."""
        self.leaving = False
        """Whether it waits until it may end."""
        self.trouble = ""
        """Why it cannot be reached; "" while it can."""
        self.is_refused = False
        """Whether that is because one side does not trust the other."""
        self.health: messages.Health | None = None
        self._connect = connect
        self._ears = ears
        self._connection: Connection | None = None
        self._heard = 0.0
        self._lost = asyncio.Event()
        self._early: list[messages.FromProcess] = []
        """What it has said before it said who it is: a large frame and a small one may change places."""
        self._task = asyncio.create_task(self._keep())

    @property
    def reached(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    @property
    def name(self) -> str:
        return self._known.name

    @property
    def slot(self) -> str:
        return self._known.name

    @property
    def role(self) -> Role:
        return "gateway" if self._known.role == "gateway" else "replica"

    @property
    def service(self) -> str:
        return self._known.service

    @property
    def node(self) -> str:
        return self._known.node

    @property
    def started(self) -> float:
        return self._known.started

    @property
    def image_code(self) -> str:
        """The version of the app's code in its image."""
        return self._known.code

    @property
    def _known(self) -> messages.About:
        assert self.about is not None, "asked of one that is there"
        return self.about

    def send(self, message: messages.ToProcess) -> None:
        if self._connection is not None:
            self._connection.send(messages.encode(message), bulk=True)

    def probe(self, number: int) -> None:
        """Ask how it is, and give it up where it has said nothing for long; called about every second."""
        if self._connection is None:
            return
        if monotonic() - self._heard > _SILENT_AFTER:
            log.warning("a process says nothing and counts as gone", process=self.address, seconds=_SILENT_AFTER)
            self._connection.abort()
            return
        self.send(messages.Probe(number))

    def close(self) -> None:
        """Reach it no more."""
        self._task.cancel()
        if self._connection is not None:
            self._connection.close()

    def status(self, releases: dict[str, str]) -> status.ProcessStatus:
        """What people are told of it."""
        known, health = self._known, self.health
        state = health.state if health is not None else "starting"
        return status.ProcessStatus(
            name=known.name, role=known.role, service=known.service, release=self.holding.release, releases=releases,
            shards=self.holding.shards, pid=health.pid if health else 0,
            phase="serving" if state == "ready" else state, restarts=0, last_end="", uptime=wall() - known.started,
            memory=health.memory if health else 0, in_flight=health.in_flight if health else 0,
            queued=health.queued if health else 0, node=known.node, code=known.code,
        )  # fmt: skip

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_DIAL_TIMEOUT):
                    connection = await self._connect()
            except OSError as error:
                self.trouble = trouble_of(error, self.trouble, "a process refuses the link", self.address)
                self.is_refused = isinstance(error, LinkRefusedError)
            else:
                self.trouble, self.is_refused = "", False
                await self._use(connection)
            await asyncio.sleep(_AGAIN)

    async def _use(self, connection: Connection) -> None:
        self._connection, self._heard = connection, monotonic()
        self._lost.clear()
        self._early.clear()
        self.health = None
        connection.start(self._on_frames, partial(self._on_lost, connection))
        self.send(messages.Attend())
        await self._lost.wait()

    def _on_frames(self, frames: list[Frame]) -> None:
        self._heard = monotonic()
        for frame in frames:
            try:
                message = _decode(frame.head)
            except WireError as error:
                log.warning("a process sent garbage", process=self.address, reason=str(error))
                continue
            self._hear(message)

    def _hear(self, message: messages.FromProcess) -> None:
        match message:
            case messages.About():
                self._meet(message)
            case messages.Health():
                self.health = message
                self._look_at(message)
            case _ if self.about is not None:
                self._ears.told(self, message)
            case _ if len(self._early) < _MOST_EARLY:
                self._early.append(message)

    def _meet(self, about: messages.About) -> None:
        if self.health is not None and self.health.state in _LEAVING:
            return  # it was found too late: nothing is to be counted on that ends
        self.about = about
        self._ears.there(self)
        early, self._early = self._early, []
        for one in early:
            self._ears.told(self, one)
        if self.health is not None:
            self._look_at(self.health)

    def _look_at(self, health: messages.Health) -> None:
        if health.state in _LEAVING:
            # What it holds cannot be counted on any more, and it is told nothing more.
            self._leave(health.detail if health.state == "failed" else "")
        elif health.state == "leaving" and self.about is not None and not self.leaving:
            self.leaving = True
            self._ears.leaving(self)

    def _on_lost(self, connection: Connection, _: str) -> None:
        if connection is self._connection:
            self._connection = None
            self._leave("")
            self._lost.set()

    def _leave(self, last_words: str) -> None:
        if self.about is not None:
            self._ears.gone(self, last_words)
            self.about, self.holding, self.leaving = None, Holding("", []), False
