"""One process under supervision, through all its incarnations: made to do what its life demands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from kapelle.clock import monotonic, steady
from kapelle.config.orders import Holding
from kapelle.control import status
from kapelle.control.child import Child, Ears
from kapelle.control.exits import describe_exit
from kapelle.control.plan import node
from kapelle.control.recipes import Recipe, Role
from kapelle.control.rundir import Record
from kapelle.control.spawn import spawn
from kapelle.core.life import Effect, Life, Phase, Terms
from kapelle.observe.process import resident_bytes
from kapelle.transport.sockets import Address
from kapelle.wire import messages
from kapelle.wire.messages import Member

log = structlog.get_logger()

_LATE = 0.25
"""Seconds by which a timer is late when it is this process that stood still, and not the others that were silent."""
_GRACE = 1.0
"""Seconds in which they may answer then."""


class Holdings(Protocol):
    """Knows which process holds what of which release, and hears all that changes it."""

    def holding(self, process: Process) -> Holding:
        """What the process begins with when it is started now."""

    def releases(self, process: Process) -> dict[str, str]:
        """Which releases it has, and in which state each is, for people."""

    def started(self, process: Process) -> None:
        """It was started, or taken over from a controller that is gone."""

    def told(self, process: Process, message: messages.FromProcess) -> None:
        """It has something to say about releases."""

    def gone(self, process: Process, last_words: str) -> None:
        """It has ended; ``last_words`` is why it could not start, where it said so."""


class AsPlanned:
    """Where nothing ever changes what a process holds."""

    def holding(self, process: Process) -> Holding:
        return process.recipe.holding

    def releases(self, process: Process) -> dict[str, str]:
        return {}

    def started(self, process: Process) -> None: ...

    def told(self, process: Process, message: messages.FromProcess) -> None: ...

    def gone(self, process: Process, last_words: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a process is started in, and who hears of it.

    ``data`` is the address to bind for a name (port 0: any), ``control`` the one for supervision, ``door`` the number of
    the gateways' socket. ``on_change`` is called when others must be told, ``on_acquainted`` when it has reached those
    it was told of, ``on_replace`` when it needs a successor, ``on_end`` when it is gone for good.
    """

    data: Callable[[str], Address]
    control: Callable[[str], Address]
    door: Callable[[], int]
    on_change: Callable[[], None]
    on_acquainted: Callable[[], None]
    holdings: Holdings
    on_replace: Callable[[Process], None]
    on_end: Callable[[Process], None]
    drain_timeout: float


class Process:
    """A supervised process. ``outcome`` says what was wrong with its end, "" when nothing was."""

    def __init__(self, name: str, recipe: Recipe, terms: Terms, around: Surroundings) -> None:
        self.name = name
        self.recipe = recipe
        self.holding = recipe.holding
        """What it holds of the current release, as far as that is known, or else what it began with."""
        self.life = Life(terms)
        self.ended = asyncio.Event()
        self.outcome = ""
        self.acquainted_as_of = 0
        """Of a gateway: the version of the members as of which it reaches every replica that serves."""
        self.started = 0.0
        self._around = around
        self._child: Child | None = None
        self._resident = 0
        self._last_words = ""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def role(self) -> Role:
        return self.recipe.role

    @property
    def service(self) -> str:
        return self.recipe.service

    @property
    def slot(self) -> str:
        return self.recipe.slot

    @property
    def node(self) -> str:
        return node()

    @property
    def code(self) -> str:
        return self.recipe.code

    @property
    def has_place(self) -> bool:
        return self.role == "gateway" or self.recipe.module != ""

    @property
    def pid(self) -> int:
        """Its number; 0 while it does not run."""
        return self._child.pid if self._child is not None else 0

    @property
    def control(self) -> str:
        """Where it hears its supervisors."""
        return self._child.control if self._child is not None else str(self._around.control(self.name))

    @property
    def data(self) -> str:
        """Where it takes calls; "" for a gateway, and for one that does not run."""
        return self._child.data if self._child is not None else ""

    @property
    def member(self) -> Member:
        """What gateways are told of it."""
        one = self.recipe
        return Member(self.name, one.role, one.service, self.holding.shards, self.data, self.control, self.life.usable)

    @property
    def record(self) -> Record:
        """What a later controller is told of it."""
        one, life = self.recipe, self.life
        born = self._child.born if self._child is not None else ""
        return Record(
            name=self.name, slot=one.slot, role=one.role, service=one.service, release=self.holding.release,
            shards=self.holding.shards, pid=self.pid,
            born=born, data=self.data, control=self.control, digest=one.digest, content=one.content, code=one.code,
            ready=life.usable, started=self.started, restarts=life.restarts, last_end=life.reason,
        )  # fmt: skip

    @property
    def status(self) -> status.ProcessStatus:
        """What people are told of it."""
        one, life = self.recipe, self.life
        health = self._child.health if self._child is not None else None
        return status.ProcessStatus(
            name=self.name, role=one.role, service=one.service, release=self.holding.release,
            releases=self._around.holdings.releases(self), shards=self.holding.shards, pid=self.pid, phase=life.phase.value,
            restarts=life.restarts, last_end=life.reason, uptime=max(0.0, steady() - self.started) if self._child else 0.0,
            memory=self._resident, in_flight=health.in_flight if health else 0, queued=health.queued if health else 0,
        )  # fmt: skip

    def start(self) -> None:
        """Bring it to life."""
        self._apply(self.life.start(monotonic()))

    def adopt(self, record: Record) -> None:
        """Take over a process that runs already."""
        self.started = record.started
        self.life.restarts, self.life.reason = record.restarts, record.last_end
        self.holding = Holding(record.release, record.shards)
        self._child = Child(record.pid, record.born, record.data, record.control, self._ears)
        self._around.holdings.started(self)
        self._apply(self.life.adopt(monotonic(), ready=record.ready))

    def drain(self) -> None:
        """Ask it to finish and end."""
        self._apply(self.life.drain(monotonic()))
        self._check_end()

    def send(self, message: messages.ToProcess) -> None:
        """Tell it something; lost when it cannot hear."""
        if self._child is not None:
            self._child.send(message)

    def probe(self, number: int) -> None:
        """Ask how it is, and look at its memory; called about every second."""
        if self._child is None:
            return
        self._child.listen()
        self._child.send(messages.Probe(number))
        self._measure()
        self._apply(self.life.memory(self._resident, monotonic()))

    def kill(self) -> None:
        """End it at once."""
        if self._child is not None:
            self._child.kill()

    @property
    def _ears(self) -> Ears:
        return Ears(
            self._connected, self._heard, self._got_acquainted, partial(self._around.holdings.told, self), self._exited
        )

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._carry_out(effect)
        self._set_timer()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Effect.SPAWN:
                self._spawn()
            case Effect.KILL:
                log.warning("killing a process", process=self.name, reason=self.life.reason)
                self.kill()
            case Effect.DRAIN:
                self.send(messages.Drain(self._around.drain_timeout))
            case Effect.ANNOUNCE:
                self._around.on_change()
            case Effect.REPLACE:
                self._around.on_replace(self)
            case Effect.ALARM:
                what = "a process keeps crashing" if self.life.crash_looping else "a memory limit is too low"
                log.error(what, process=self.name, crashes=self.life.crashes, reason=self.life.reason)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake = self.life.wake
        if wake is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wake - monotonic()), self._tick, wake)

    def _tick(self, due: float) -> None:
        now = monotonic()
        if now - due > _LATE:
            # What the others have said meanwhile waits to be read; that first.
            self._timer = asyncio.get_running_loop().call_later(_GRACE, self._tick, now + _GRACE)
            return
        self._apply(self.life.tick(now))

    def _spawn(self) -> None:
        around, recipe = self._around, self.recipe
        is_gateway = recipe.role == "gateway"
        self._last_words = ""
        self.started = steady()
        self.holding = around.holdings.holding(self)
        try:
            spawned = spawn(
                recipe, self.name, self.holding, around.control(self.name),
                data=None if is_gateway else around.data(self.name), door=around.door() if is_gateway else None,
            )  # fmt: skip
        except OSError as error:
            # Tried again later, like a crash: the machine may have room then.
            log.warning("a process could not be started", process=self.name, reason=str(error))
            self._apply(self.life.exited(f"could not be started: {error}", monotonic()))
            return
        self._child = Child.of(spawned.popen, spawned.data, str(around.control(self.name)), self._ears)
        around.holdings.started(self)
        around.on_change()

    def _connected(self) -> None:
        # A gateway must hear who the others are, and a drain that could not be said before is said now.
        self._around.on_change()
        self.send(messages.Attend())
        if self.life.phase is Phase.DRAINING:
            self.send(messages.Drain(self._around.drain_timeout))

    def _heard(self, health: messages.Health) -> None:
        if health.state == "failed":
            self._last_words = health.detail
        was_usable = self.life.usable
        self._apply(self.life.heard(health.state, health.detail, monotonic()))
        if self.life.usable and not was_usable:
            if self.life.restarts:
                log.info("a process is back", process=self.name, restarts=self.life.restarts)
            self._measure()
            self._apply(self.life.begins_with(self._resident))

    def _got_acquainted(self, version: int) -> None:
        self.acquainted_as_of = version
        self._around.on_acquainted()

    def _measure(self) -> None:
        self._resident = resident_bytes(self.pid) or self._resident

    def _exited(self, code: int | None) -> None:
        self._child, self._resident, self.acquainted_as_of = None, 0, 0
        self._around.holdings.gone(self, self._last_words)
        reason = self._last_words or describe_exit(code)
        ending = self.life.phase is Phase.DRAINING
        if ending and not self.life.untouched and (code or self.life.killed):
            self.outcome = self.life.reason if self.life.killed else reason
        if not ending:
            log.warning("a process ended", process=self.name, reason=reason)
        self._apply(self.life.exited(reason, monotonic()))
        self._check_end()

    def _check_end(self) -> None:
        if self.life.phase is Phase.ENDED and not self.ended.is_set():
            self.ended.set()
            self._around.on_end(self)
