"""Whatever goes wrong in whatever order: every call ends once, with the right answer or an error that says why."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar

import uvloop
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import kapelle
from kapelle.errors import CallError
from kapelle.testing import MemorySystem, running
from tests.integration.memory.band import settled

REPLICAS = ("Solo-0", "Solo-1", "Solo-2")


@kapelle.service(replicas=3, max_queue=16)
class Solo:
    """Each method makes something of a number that nobody else would make of it."""

    runs: ClassVar[dict[int, int]] = {}
    lock: ClassVar[threading.Lock] = threading.Lock()

    @kapelle.method
    def plain(self, number: int) -> int:
        return 3 * number

    @kapelle.method(idempotent=False)
    def once(self, number: int) -> int:
        with self.lock:
            self.runs[number] = self.runs.get(number, 0) + 1
        return 5 * number

    @kapelle.method(hedge=0.002, timeout=0.5)
    async def hedged(self, number: int) -> int:
        await asyncio.sleep(0.001 * (number % 5))
        return 7 * number

    @kapelle.batched(max_size=4)
    def batched(self, rows: list[int]) -> list[int]:
        if any(row % 17 == 0 for row in rows):
            raise ValueError("seventeen")
        return [11 * row for row in rows]

    @kapelle.method
    def large(self, number: int, filling: bytes) -> bytes:
        return filling + str(number).encode()

    @kapelle.method
    async def items(self, number: int) -> AsyncIterator[int | bytes]:
        for index in range(number % 70):
            # Some items are large, and overtaken by those that follow.
            yield bytes(70_000) if index % 9 == 4 else number + index


@kapelle.app
class Recital:
    """The service, called by its handle and by HTTP."""

    solo: Solo

    @kapelle.get("/plain/{number}")
    async def plain(self, number: int) -> int:
        return await self.solo.plain(number)


async def read_all(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


class FaultyDays(RuleBasedStateMachine):
    """A system, calls of every kind, and faults."""

    @initialize()
    def begin(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.numbers = itertools.count(1)
        self.checks = itertools.count(1)
        self.calls: dict[asyncio.Task[Any], Callable[[Any], bool]] = {}
        Solo.runs.clear()
        self.running: AbstractAsyncContextManager[MemorySystem] = running(Recital)
        self.system = self.do(self.running.__aenter__())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    # --- calls --------------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["plain", "once", "hedged", "batched", "many", "large", "items", "http"]))
    def call(self, kind: str) -> None:
        self.do(self.begin_call(kind))

    @rule(count=st.integers(5, 40))
    def flood(self, count: int) -> None:
        for _ in range(count):
            self.do(self.begin_call("batched"))

    async def begin_call(self, kind: str) -> None:
        number = next(self.numbers)
        solo = self.system.app.solo
        good: Callable[[Any], bool]
        work: Coroutine[Any, Any, Any]
        match kind:
            case "plain":
                work, good = solo.plain(number), lambda value: value == 3 * number
            case "once":
                work, good = solo.once(number), lambda value: value == 5 * number
            case "hedged":
                work, good = solo.hedged(number), lambda value: value == 7 * number
            case "batched":
                work, good = solo.batched(number), lambda value: value == 11 * number and number % 17 != 0
            case "many":
                rows = [17 * number + 1 + row for row in range(number % 14)]
                work, good = solo.batched.many(rows), lambda value: value == [11 * row for row in rows]
            case "large":
                filling = bytes(100_000)
                work, good = solo.large(number, filling), lambda value: value == filling + str(number).encode()
            case "items":
                expected = [bytes(70_000) if index % 9 == 4 else number + index for index in range(number % 70)]
                work, good = read_all(solo.items(number)), lambda value: value == expected
            case _:
                work = self.system.client.get(f"/plain/{number}")
                good = lambda answer: answer.status_code in (429, 502, 503, 504) or answer.json() == 3 * number  # noqa: E731 - as its siblings
        self.calls[asyncio.create_task(work)] = good

    @rule(which=st.integers(0, 30))
    def give_up(self, which: int) -> None:
        """Not drawn from the calls themselves: which of them are over by now is not for Hypothesis to foresee."""
        for task in list(self.calls)[which : which + 1]:
            task.cancel()

    # --- faults -------------------------------------------------------------------------------------------------------

    @rule(replica=st.sampled_from(REPLICAS))
    def kill(self, replica: str) -> None:
        if replica in self.system.replicas:
            self.do(self.system.kill(replica))

    @rule(replica=st.sampled_from(REPLICAS))
    def drain(self, replica: str) -> None:
        if replica in self.system.replicas:
            self.do(self.until_drained(replica))

    async def until_drained(self, replica: str) -> None:
        # Its gateway may not hear of it, or nobody of the other: then time ends it, which here is heal's business.
        self.system.faults.heal(replica)
        await self.system.drain(replica)

    @rule(replica=st.sampled_from(REPLICAS))
    def restart(self, replica: str) -> None:
        if replica not in self.system.replicas:
            self.do(self.system.restart(replica))

    @rule(replica=st.sampled_from(REPLICAS))
    def cut(self, replica: str) -> None:
        self.do(self.fault(self.system.faults.cut, replica))

    @rule(replica=st.sampled_from(REPLICAS))
    def drop(self, replica: str) -> None:
        self.do(self.fault(self.system.faults.drop, replica))

    @rule(replica=st.sampled_from(REPLICAS), milliseconds=st.integers(0, 4))
    def delay(self, replica: str, milliseconds: int) -> None:
        self.do(self.fault(self.system.faults.delay, replica, milliseconds / 1000))

    @rule(replica=st.sampled_from(REPLICAS))
    def heal(self, replica: str) -> None:
        self.do(self.fault(self.system.faults.heal, replica))

    async def fault(self, happen: Callable[..., None], *arguments: Any) -> None:
        happen(*arguments)

    # --- time ---------------------------------------------------------------------------------------------------------

    @rule(turns=st.integers(1, 30))
    def pass_turns(self, turns: int) -> None:
        self.do(self.turn(turns))

    async def turn(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    @rule(seconds=st.integers(1, 4))
    def look_for_silence(self, seconds: int) -> None:
        """The gateway's clock goes on without anything else happening; no call is overdue by that."""
        for _ in range(seconds):
            self.system._started.fleet.check(float(next(self.checks)))

    @rule()
    def collect_answers(self) -> None:
        for task in [task for task in self.calls if task.done()]:
            self.judge(task)

    # --- the end ------------------------------------------------------------------------------------------------------

    def judge(self, task: asyncio.Task[Any]) -> None:
        good = self.calls.pop(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            assert good(task.result())
        else:
            assert isinstance(error, CallError), repr(error)

    def teardown(self) -> None:
        if not hasattr(self, "system"):
            return
        try:
            self.do(self.recover())
            for task in list(self.calls):
                self.judge(task)
            assert all(runs == 1 for runs in Solo.runs.values()), "what must not be repeated was not"
        finally:
            self.do(self.running.__aexit__(None, None, None))
            self.do(self.loop.shutdown_default_executor())
            self.loop.close()

    async def recover(self) -> None:
        system = self.system
        for replica in REPLICAS:
            system.faults.heal(replica)
            if replica not in system.replicas:
                await system.restart(replica)
        # A link whose ping was lost would take the next call, and be given up before its answer.
        for _ in range(5):
            system._started.fleet.check(float(next(self.checks)))
        await self.turn(3)
        await asyncio.wait([*self.calls, asyncio.create_task(system.ready())])
        await system.ready()
        solo = system.app.solo
        for number in range(1, 10):
            assert await solo.plain(number) == 3 * number
            assert await solo.once(-number) == -5 * number
            assert await solo.batched.many([1, 2, 3]) == [11, 22, 33]
            assert len(await read_all(solo.items(40))) == 40
        await settled(system)
        assert system._started.gateway.in_flight == 0
        assert all(worker.runner.queued_rows == 0 for worker in system._workers.values())


TestFaultyDays = FaultyDays.TestCase
TestFaultyDays.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
