"""An app in memory whose services a test can hold up and look into."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import msgspec

import kapelle
from kapelle.errors import RowErrors
from kapelle.testing import MemorySystem


class Gate:
    """Where calls of ``Player`` wait; one for the whole test."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def wait(self) -> None:
        self.entered.release()
        assert self.open.wait(30)

    async def occupied(self) -> None:
        """Return when one more call waits here."""
        assert await asyncio.to_thread(self.entered.acquire, True, 30)


class Book:
    """What happened in the services of one test."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.batches: list[list[int]] = []
        self.contexts: list[kapelle.RequestContext | None] = []
        self.runs: dict[int, int] = {}
        self.streams_closed = 0
        self.streams_made = 0
        self.cancelled = 0
        self.changed = asyncio.Event()

    async def until(self, condition: Any) -> None:
        """Return when ``condition`` holds; it is looked at whenever an async method notes something."""
        while not condition():
            self.changed.clear()
            await self.changed.wait()


book = Book()


@kapelle.service(replicas=2, max_queue=8)
class Player:
    """One method of every kind."""

    @kapelle.method
    def wait(self, number: int) -> int:
        book.gate.wait()
        return number

    @kapelle.method
    def play(self, number: int) -> int:
        book.contexts.append(kapelle.current_request())
        return 10 * number

    @kapelle.method(idempotent=False)
    def once(self, number: int) -> int:
        book.gate.wait()
        return number

    @kapelle.method
    def fail(self, text: str) -> int:
        raise ValueError(text)

    @kapelle.method
    def refuse(self, text: str) -> int:
        raise kapelle.InvalidInput(text, path="$.text")

    @kapelle.method
    def lie(self, number: int) -> int:
        return f"not {number}"  # type: ignore[return-value]  # that is the lie

    @kapelle.method
    def transpose(self, number: int, *, by: int, octaves: int = 0) -> int:
        return number + by + 12 * octaves

    @kapelle.method
    async def transpose_later(self, number: int = 0, *, by: int) -> int:
        return number + by

    @kapelle.method
    async def scale(self, number: int, *, up_to: int, step: int = 1) -> AsyncIterator[int]:
        for note in range(number, up_to, step):
            yield note

    @kapelle.method(timeout=0.03)
    async def linger(self, number: int) -> int:
        await rest()
        return number

    @kapelle.method
    async def stay(self, number: int) -> int:
        await rest()
        return number

    @kapelle.method
    async def count(self, up_to: int, fail_at: int = -1) -> AsyncIterator[int]:
        try:
            for number in range(up_to):
                if number == fail_at:
                    raise ValueError(f"cannot say {number}")
                book.streams_made += 1
                book.changed.set()
                yield number
        finally:
            book.streams_closed += 1
            book.changed.set()


async def rest() -> None:
    """Until cancelled."""
    book.changed.set()
    try:
        await asyncio.Future()
    finally:
        book.cancelled += 1
        book.changed.set()


@kapelle.service
class Choir:
    """Batched methods; 13 is a bad row."""

    @kapelle.method
    def hold(self) -> None:
        book.gate.wait()

    @kapelle.batched(max_size=8)
    def sing(self, rows: list[int]) -> list[int]:
        book.batches.append(rows)
        book.contexts.append(kapelle.current_request())
        if 13 in rows:
            raise ValueError("thirteen!")
        return [10 * row for row in rows]

    @kapelle.batched(max_size=8)
    def sing_and_name(self, rows: list[int]) -> list[int]:
        book.batches.append(rows)
        if 13 in rows:
            raise RowErrors({index: kapelle.InvalidInput("thirteen!") for index, row in enumerate(rows) if row == 13})
        return [10 * row for row in rows]

    @kapelle.batched(max_size=8)
    def sing_in_place(self, rows: list[int]) -> list[int | Exception]:
        book.batches.append(rows)
        return [kapelle.InvalidInput("thirteen!") if row == 13 else 10 * row for row in rows]

    @kapelle.batched(max_size=8)
    def lose_one(self, rows: list[int]) -> list[int]:
        return rows[1:]


class Answer(msgspec.Struct):
    """What endpoints answer."""

    value: int


@kapelle.app
class Band:
    """An endpoint for every method."""

    player: Player
    choir: Choir

    @kapelle.post("/{method}")
    async def call(self, method: str, number: int = 0, text: str = "") -> Answer:
        services: Any = {"play": self.player, "wait": self.player, "once": self.player, "lie": self.player}
        handle = getattr(services.get(method, self.choir), method)
        return Answer(await handle(number))

    @kapelle.post("/player/transpose")
    async def transpose(self, number: int, *, by: int, octaves: int = 0) -> Answer:
        return Answer(await self.player.transpose(number, by=by, octaves=octaves))

    @kapelle.get("/player/transpose/{number}")
    async def transpose_in_url(self, number: int, *, by: int, octaves: int = 0) -> Answer:
        return Answer(await self.player.transpose(number, octaves=octaves, by=by))

    @kapelle.post("/player/fail")
    async def fail(self, text: str) -> Answer:
        return Answer(await self.player.fail(text))

    @kapelle.post("/player/refuse")
    async def refuse(self, text: str) -> Answer:
        return Answer(await self.player.refuse(text))

    @kapelle.post("/player/linger")
    async def linger(self, number: int) -> Answer:
        return Answer(await self.player.linger(number))

    @kapelle.post("/player/stay", timeout=0.2)
    async def stay(self, number: int) -> Answer:
        return Answer(await self.player.stay(number))

    @kapelle.post("/player/stay-long")
    async def stay_long(self, number: int) -> Answer:
        return Answer(await self.player.stay(number))

    @kapelle.post("/player/count")
    async def count(self, up_to: int, fail_at: int = -1) -> AsyncIterator[int]:
        async for number in self.player.count(up_to, fail_at):
            yield number


def in_flight(system: MemorySystem) -> int:
    """Calls in all replicas, and rows that the gateway waits for."""
    pools = system._started.fleet.pools.values()
    return sum(worker.in_flight for worker in system._workers.values()) + sum(pool.outstanding for pool in pools)


async def settled(system: MemorySystem) -> None:
    """Return when nothing is under way any more; the test's time-out says when it never comes to rest."""
    # It is the system's own state that is waited for, which tells nobody.
    while in_flight(system):  # noqa: ASYNC110 - as said above
        await asyncio.sleep(0)
