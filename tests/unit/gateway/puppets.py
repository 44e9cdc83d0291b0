"""Replicas that do exactly what a test makes them do, and a pool that calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kapelle.clock import monotonic
from kapelle.declare.context import RequestContext, enter_request
from kapelle.declare.services import service_spec
from kapelle.gateway.handles import Handle, remote_handle
from kapelle.gateway.pool import Pool
from kapelle.observe.metrics import Counter, Registry
from kapelle.transport.connection import Connection
from kapelle.transport.memory import MemoryNetwork
from kapelle.wire import messages
from kapelle.wire.frames import Frame
from kapelle.wire.payload import Packer, Unpacker
from kapelle.wire.turns import said_to_replica

RELEASE = "r1"


class Puppet:
    """One replica. It welcomes whoever greets it, unless ``welcomes`` is off, and does nothing else by itself."""

    def __init__(self, network: MemoryNetwork, name: str, shards: list[int]) -> None:
        self.name = name
        self.holds = {RELEASE: shards}
        self.welcomes = True
        self.drops = True
        """Whether calls that are cancelled are over at once, and it says so."""
        self.protocol = messages.PROTOCOL
        self.code = self.interface = ""
        """The code that it runs, and what its methods look like, where that may be another than the caller's."""
        self.answer: Callable[[messages.Call], Any] | None = None
        """When set, every call is answered with what this makes of it."""
        self.connections: list[Connection] = []
        self.calls: list[messages.Call] = []
        self.heard: list[messages.OneToReplica] = []
        self.losses: list[str] = []
        self._network = network
        self._pack = Packer()
        self._changed = asyncio.Event()
        self.listen()

    def listen(self) -> None:
        self._network.listen(self.name, self._accept)

    def deaf(self) -> None:
        """Nobody can connect any more."""
        self._network.forget(self.name)

    def die(self) -> None:
        """The process is gone."""
        self.deaf()
        self.abort()

    def abort(self) -> None:
        """Its connection breaks."""
        self.connections[-1].abort()

    # --- what it says -------------------------------------------------------------------------------------------------

    def say(self, message: messages.FromReplica) -> None:
        self.connections[-1].send(messages.encode(message))

    def welcome(self) -> None:
        self.say(messages.Welcome(self.protocol, "Puppet", self.name, self.holds, self.code, self.interface))

    def done(self, call: messages.Call, value: Any) -> None:
        data, segments = self._pack(value)
        self.connections[-1].send(messages.encode(messages.Done(call.ticket, data)), segments)

    def item(self, call: messages.Call, number: int, value: Any) -> None:
        data, segments = self._pack(value)
        self.connections[-1].send(messages.encode(messages.Item(call.ticket, data, number)), segments)

    def failed(self, call: messages.Call, code: str, detail: str = "") -> None:
        self.say(messages.Failed(call.ticket, code, detail, ""))

    def refused(self, call: messages.Call, reason: str = messages.FULL) -> None:
        self.say(messages.Refused(call.ticket, reason))

    # --- what it hears ------------------------------------------------------------------------------------------------

    async def called(self, count: int = 1) -> messages.Call:
        """The ``count``-th call, counted from 1."""
        await self.until(lambda: len(self.calls) >= count)
        return self.calls[count - 1]

    @property
    def cancelled(self) -> list[int]:
        return [message.ticket for message in self.heard if isinstance(message, messages.Cancel)]

    @property
    def pings(self) -> int:
        return sum(isinstance(message, messages.Ping) for message in self.heard)

    async def hears_cancel(self) -> None:
        await self.until(lambda: self.cancelled)

    async def pinged(self, times: int) -> None:
        await self.until(lambda: self.pings == times)

    async def lost(self) -> None:
        """Return when the gateway has hung up."""
        await self.until(lambda: self.losses)

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            self._changed.clear()
            await self._changed.wait()

    def _accept(self, connection: Connection) -> None:
        self.connections.append(connection)
        connection.start(self._on_frames, self._on_lost)

    def _on_frames(self, frames: list[Frame]) -> None:
        for message in (message for head, _ in frames for message in said_to_replica(head)):
            self.heard.append(message)
            if isinstance(message, messages.Call):
                self.calls.append(message)
                if self.answer is not None:
                    self.done(message, self.answer(message))
            if isinstance(message, messages.Hello) and self.welcomes:
                self.welcome()
            if isinstance(message, messages.Cancel) and self.drops:
                self.say(messages.Dropped(message.ticket))
        self._changed.set()

    def _on_lost(self, reason: str) -> None:
        self.losses.append(reason)
        self._changed.set()


class Stage:
    """A pool of puppets, and handles to call them."""

    def __init__(self, service: type, shards: int = 1, code: str = "") -> None:
        spec = service_spec(service)
        assert spec is not None
        self.network = MemoryNetwork()
        self.registry = Registry()
        self.changes = asyncio.Event()
        self.pool = Pool(spec, "gateway-0", self.registry, self.changes.set, code)
        self.pool.open(RELEASE, range(shards))
        self.pool.release = RELEASE
        self.puppets: list[Puppet] = []
        self.handles: list[Any] = [remote_handle(spec, self.pool, RELEASE, shard) for shard in range(shards)]

    @property
    def handle(self) -> Any:
        """The handle of the only shard; its attributes are the service's methods."""
        (handle,) = self.handles
        assert isinstance(handle, Handle)
        return handle

    async def add(
        self, count: int = 1, shards: list[int] | None = None, *, code: str = "", interface: str = ""
    ) -> list[Puppet]:
        """More replicas, connected and welcomed; of this code."""
        added = [
            Puppet(self.network, f"Puppet-{number}", shards or [0])
            for number in range(len(self.puppets), len(self.puppets) + count)
        ]
        self.puppets += added
        for puppet in added:
            puppet.code, puppet.interface = code, interface
            self.connect(puppet)
        await self.until(lambda: all(self.pool.reaches(puppet.name) for puppet in added))
        return added

    def serves(self, shard: int, release: str = RELEASE) -> bool:
        """Whether somebody may be called for this shard."""
        return self.pool._balancers[release][shard].usable > 0

    def connect(self, puppet: Puppet) -> None:
        """Tell the pool of a replica."""
        self.pool.add(puppet.name, lambda: self.network.connect(puppet.name))

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait for the standing of replicas to become something."""
        while not happened():
            self.changes.clear()
            await self.changes.wait()

    async def first_call(self) -> tuple[Puppet, messages.Call]:
        """The first call that reaches any replica."""
        waiting = {asyncio.create_task(puppet.called()): puppet for puppet in self.puppets}
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        task = next(iter(done))
        return waiting[task], task.result()

    def other(self, puppet: Puppet) -> Puppet:
        """The other one of two replicas."""
        (other,) = [one for one in self.puppets if one is not puppet]
        return other

    def count(self, name: str) -> float:
        """A counter."""
        cell = self.registry.counter(name, "", service=self.pool.spec.name)
        assert isinstance(cell, Counter)
        return cell.value

    async def at_rest(self) -> None:
        """Return when nothing is left of any call; the test's time-out says when it never comes to that."""
        while self.pool.outstanding:  # noqa: ASYNC110 - nobody is told of a replica's load
            await asyncio.sleep(0)


@asynccontextmanager
async def stage(service: type, replicas: int = 1, shards: int = 1, code: str = "") -> AsyncIterator[Stage]:
    """A pool of ``replicas`` puppets, each of which holds all shards; callers run ``code``."""
    built = Stage(service, shards, code)
    await built.add(replicas, list(range(shards)))
    try:
        yield built
    finally:
        enter_request(None)
        await built.pool.close()


def in_request(request: str, seconds: float = 30.0, trace: str = "") -> None:
    """Let what follows in this test belong to a request."""
    enter_request(RequestContext(request, trace, monotonic() + seconds))


def arguments(call: messages.Call) -> Any:
    """What a call brings."""
    return Unpacker(Any)(call.arguments)
