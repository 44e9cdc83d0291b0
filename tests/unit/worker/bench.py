"""A worker on the bench: a real one, with a gateway beside it that says exactly what a test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from kapelle.artifacts.instances import build
from kapelle.declare.services import service_spec
from kapelle.observe.metrics import Registry
from kapelle.transport.memory import MemoryConnection
from kapelle.wire import messages
from kapelle.wire.body import Body, Buffer
from kapelle.wire.frames import Frame
from kapelle.wire.payload import Packer, Unpacker
from kapelle.wire.turns import said_by_replica
from kapelle.worker.server import Worker
from tests.unit.artifacts.anywhere import Anywhere

Answer = messages.Done | messages.Failed | messages.Refused | messages.Dropped


class Caller:
    """One gateway, as a worker sees it. It never takes the initiative."""

    def __init__(self, worker: Worker) -> None:
        self.heard: list[messages.OneFromReplica] = []
        self.frames = 0
        """How many have come, whatever was in them."""
        self.lost: str | None = None
        self._bodies: dict[int, Body] = {}
        self._pack = Packer()
        self._tickets = 0
        self._changed = asyncio.Event()
        self.connection, there = MemoryConnection.pair()
        self.connection.start(self._on_frames, self._on_lost)
        worker.accept(there)

    async def greet(self) -> messages.Welcome:
        self.send(messages.Hello(messages.PROTOCOL, "bench"))
        await self.until(lambda: any(isinstance(one, messages.Welcome) for one in self.heard))
        return next(one for one in self.heard if isinstance(one, messages.Welcome))

    def send(self, message: messages.ToReplica, segments: Sequence[Buffer] = ()) -> None:
        self.connection.send(messages.encode(message), segments)

    def call(
        self,
        method: str,
        *arguments: Any,
        rows: int = 1,
        timeout: float = 20.0,
        shard: int = 0,
        request: str = "",
        release: str = "r1",
    ) -> int:
        """Send a call; for a batched method ``arguments`` are its rows. Returns the ticket."""
        self._tickets += 1
        data, segments = self._pack(arguments)
        self.send(messages.Call(self._tickets, method, shard, rows, timeout, request, "", data, release), segments)
        return self._tickets

    async def answer(self, ticket: int) -> Answer:
        """The one answer to a call."""
        await self.until(lambda: self.answers(ticket))
        (answer,) = self.answers(ticket)
        return answer

    async def value(self, ticket: int) -> Any:
        """The result of a call that must succeed."""
        answer = await self.answer(ticket)
        assert isinstance(answer, messages.Done), answer
        return Unpacker(Any)(answer.result, self._bodies.get(ticket, b""))

    async def error(self, ticket: int) -> messages.Failed:
        """The error of a call that must fail."""
        answer = await self.answer(ticket)
        assert isinstance(answer, messages.Failed), answer
        return answer

    async def asks(self, method: str, *arguments: Any, rows: int = 1) -> Any:
        """Call, and wait for the result."""
        return await self.value(self.call(method, *arguments, rows=rows))

    def answers(self, ticket: int) -> list[Answer]:
        return [one for one in self.heard if isinstance(one, Answer) and one.ticket == ticket]

    def items(self, ticket: int) -> list[Any]:
        """The items of a stream that have arrived, in their order."""
        found = [one for one in self.heard if isinstance(one, messages.Item) and one.ticket == ticket]
        return [Unpacker(Any)(one.value) for one in sorted(found, key=lambda one: one.number)]

    async def pong(self) -> None:
        """Return when the worker has dealt with everything that was sent before."""
        before = sum(isinstance(one, messages.Pong) for one in self.heard)
        self.send(messages.Ping(0))
        await self.until(lambda: sum(isinstance(one, messages.Pong) for one in self.heard) > before)

    async def hears(self, kind: type[messages.Message]) -> messages.OneFromReplica:
        """The first message of a kind."""
        await self.until(lambda: any(isinstance(one, kind) for one in self.heard))
        return next(one for one in self.heard if isinstance(one, kind))

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            assert self.lost is None, f"the worker hung up: {self.lost}"
            self._changed.clear()
            await self._changed.wait()

    async def hung_up(self) -> str:
        while self.lost is None:
            self._changed.clear()
            await self._changed.wait()
        return self.lost

    def _on_frames(self, frames: list[Frame]) -> None:
        self.frames += len(frames)
        for head, body in frames:
            for message in said_by_replica(head):
                self.heard.append(message)
                if isinstance(message, messages.Done) and body:
                    self._bodies[message.ticket] = body
        self._changed.set()

    def _on_lost(self, reason: str) -> None:
        self.lost = reason
        self._changed.set()


def new_worker(service: type, replica: str = "bench-0") -> Worker:
    """A worker of ``service`` that does not serve yet."""
    spec = service_spec(service)
    assert spec is not None
    return Worker(spec, replica, Registry(service=spec.name, replica=replica))


@asynccontextmanager
async def serving(service: type) -> AsyncIterator[tuple[Worker, Caller]]:
    """A worker that serves ``service``, and a gateway that was welcomed."""
    worker = new_worker(service)
    worker.serve("r1", await build(worker.spec, [0], Anywhere(), worker.runner.in_thread))
    caller = Caller(worker)
    await caller.greet()
    try:
        yield worker, caller
    finally:
        worker.abort()


async def at_rest(worker: Worker) -> None:
    """Return when the worker has no call any more; the test's time-out says when it never comes to that."""
    while worker.in_flight:  # noqa: ASYNC110 - nobody is told of it
        await asyncio.sleep(0)


def instance_of(worker: Worker) -> Any:
    """The user's object that the worker serves."""
    return next(iter(worker.queues.values())).instance


def raw(value: Any) -> msgspec.Raw:
    """A payload without arrays."""
    return Packer()(value).data
