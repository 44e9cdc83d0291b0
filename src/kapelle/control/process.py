"""One process under supervision: spawned or adopted, listened to, and made to do what its life demands."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kapelle.clock import monotonic
from kapelle.control.exits import birth, describe_exit, kill, wait_for_exit
from kapelle.control.rundir import Record
from kapelle.core.life import Effect, Life, Phase, Terms
from kapelle.errors import WireError
from kapelle.observe.process import resident_bytes
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.wire import messages
from kapelle.wire.frames import Frame
from kapelle.wire.messages import Member

log = structlog.get_logger()

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


@dataclass(frozen=True, slots=True)
class Command:
    """How to start a process: its module, and its orders once the numbers of its sockets (data, control) are known."""

    module: str
    orders: Callable[[int, int], bytes]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is. ``data`` is its address for calls; for a gateway, "" (it inherits the door)."""

    name: str
    role: str
    service: str
    shards: list[int]
    data: str
    control: str


class Process:
    """A supervised process. ``on_change`` is called when gateways must be told, ``on_event`` with what people must know."""

    def __init__(
        self,
        identity: Identity,
        command: Command,
        terms: Terms,
        *,
        door: Callable[[], int] | None,
        on_change: Callable[[], None],
        on_replace: Callable[[Process], None],
        on_end: Callable[[Process], None],
        drain_timeout: float,
    ) -> None:
        self.identity = identity
        self.life = Life(terms)
        self.health: messages.Health | None = None
        self.pid = 0
        self.born = ""
        self.resident = 0
        self.started = 0.0
        self.command = command
        self.successor_of: Process | None = None
        self._door = door
        self._on_change = on_change
        self._on_replace = on_replace
        self._on_end = on_end
        self._drain_timeout = drain_timeout
        self._popen: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._probe = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = asyncio.Event()

    @property
    def member(self) -> Member:
        """What gateways are told of it."""
        one = self.identity
        return Member(one.name, one.role, one.service, one.shards, one.data, one.control, self.life.usable)

    @property
    def record(self) -> Record:
        """What a later controller is told of it."""
        one = self.identity
        return Record(
            name=one.name, role=one.role, service=one.service, shards=one.shards, pid=self.pid, born=self.born,
            data=one.data, control=one.control,
        )  # fmt: skip

    def start(self) -> None:
        """Bring it to life."""
        self._apply(self.life.start(monotonic()))

    def adopt(self, pid: int, born: str) -> None:
        """Take over a process that runs already."""
        self.pid, self.born = pid, born
        self.started = monotonic()
        self._apply(self.life.adopt(monotonic()))
        self._watch()

    def drain(self) -> None:
        """Ask it to finish and end."""
        self._apply(self.life.drain(monotonic()))
        if self.life.phase is Phase.ENDED:
            self.ended.set()

    def send(self, message: messages.ToProcess) -> None:
        """Tell it something; lost when it cannot hear."""
        if self._connection is not None:
            self._connection.send(messages.encode(message))

    def probe(self) -> None:
        """Ask how it is, and look at its memory; called about every second."""
        self._probe += 1
        self.send(messages.Probe(self._probe))
        size = resident_bytes(self.pid) if self.pid else None
        if size is not None:
            self.resident = size
            self._apply(self.life.memory(size, monotonic()))

    def kill(self) -> None:
        """End it at once."""
        kill(self.pid, self.born)

    async def close(self) -> None:
        """Stop supervising; the process itself is left as it is."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            self._connection.close()

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Effect.SPAWN:
                    self._spawn()
                case Effect.KILL:
                    log.warning("killing a process", process=self.identity.name, reason=self.life.reason)
                    self.kill()
                case Effect.DRAIN:
                    self.send(messages.Drain(self._drain_timeout))
                case Effect.ANNOUNCE:
                    self._on_change()
                case Effect.REPLACE:
                    log.warning("replacing a process", process=self.identity.name, reason=self.life.reason)
                    self._on_replace(self)
                case Effect.ALARM:
                    log.error(
                        "a process keeps crashing", process=self.identity.name, crashes=self.life.crashes,
                        last=self.life.reason,
                    )  # fmt: skip
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self.life.wake
        if wake is not None:
            delay = max(0.0, wake - monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._apply(self.life.tick(monotonic()))

    def _spawn(self) -> None:
        # The sockets listen before the process exists: whoever dials them waits in the kernel's queue, and nobody polls.
        control = sockets.bind(sockets.Address.parse(self.identity.control))
        data = sockets.bind(sockets.Address.parse(self.identity.data)) if self.identity.data else None
        door = data.fileno() if data is not None else self._door() if self._door is not None else -1
        orders = self.command.orders(door, control.fileno()).decode()
        self._popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", self.command.module, orders],
            stdin=subprocess.DEVNULL,
            pass_fds=(door, control.fileno()),
            # A session of its own: Ctrl-C reaches the controller alone, which drains the others in the right order.
            start_new_session=True,
            env={**os.environ, **self.command.environment},
        )
        control.close()
        if data is not None:
            data.close()
        self.pid = self._popen.pid
        self.born = birth(self.pid)
        self.started = monotonic()
        self._on_change()
        self._watch()

    def _watch(self) -> None:
        for work in (self._await_exit(self.pid), self._listen()):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        try:
            connection = await sockets.connect(sockets.Address.parse(self.identity.control))
        except OSError as error:
            log.debug("a process does not answer", process=self.identity.name, reason=str(error))
            return
        self._connection = connection
        connection.start(self._on_frames, self._on_lost)
        self._on_change()
        if self.life.phase is Phase.DRAINING:
            self.send(messages.Drain(self._drain_timeout))

    def _on_lost(self, _: str) -> None:
        # Its exit is seen by its number; a process that lives on without this connection is caught as silent.
        self._connection = None

    def _on_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            try:
                message = _decode(frame.head)
            except WireError as error:
                log.warning("a process sent garbage", process=self.identity.name, reason=str(error))
                return
            if isinstance(message, messages.Health):
                self.health = message
                self._apply(self.life.heard(message.state, message.detail, monotonic()))

    async def _await_exit(self, pid: int) -> None:
        await wait_for_exit(pid)
        code = self._popen.wait() if self._popen is not None and self._popen.pid == pid else None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        self.pid, self.born, self.health, self.resident = 0, "", None, 0
        reason = describe_exit(code)
        if self.life.phase is not Phase.DRAINING:
            log.warning("a process ended", process=self.identity.name, reason=reason)
        self._apply(self.life.exited(reason, monotonic()))
        if self.life.phase is Phase.ENDED:
            self.ended.set()
            self._on_end(self)
