"""Streams flow as fast as their readers read, and end with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import kapelle
from kapelle.declare.context import current_request
from kapelle.errors import ContractError, InvalidInput, UserCodeError
from kapelle.wire import messages
from kapelle.wire.frames import MAX_HEAD
from kapelle.wire.messages import STREAM_WINDOW
from tests.unit.worker.bench import at_rest, instance_of, serving


@kapelle.service
class Source:
    """Streams that note how far they have come and how they ended."""

    def __init__(self) -> None:
        self.made = 0
        self.ends: list[str] = []
        self.closed = asyncio.Event()

    @kapelle.method
    async def numbers(self, up_to: int) -> AsyncIterator[int]:
        try:
            for number in range(up_to):
                self.made += 1
                yield number
            self.ends.append("done")
        except GeneratorExit:
            self.ends.append("closed")
            raise
        finally:
            await asyncio.sleep(0)  # a clean-up may wait for something
            self.closed.set()

    @kapelle.method
    async def waits(self) -> AsyncIterator[str]:
        context = current_request()
        yield context.id if context is not None else "nobody"
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        finally:
            self.closed.set()

    @kapelle.method
    async def fails(self, after: int, kind: str) -> AsyncIterator[Any]:
        for number in range(after):
            yield number
        if kind == "own":
            raise ValueError("in the middle")
        if kind == "ours":
            raise InvalidInput("not that one")
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "no exception":
            raise BaseExceptionGroup("panics", [KeyboardInterrupt()])
        yield object() if kind == "unpackable" else "x" * (MAX_HEAD + 1)


async def test_all_items_arrive_and_then_their_number() -> None:
    async with serving(Source) as (worker, caller):
        ticket = caller.call("numbers", 10)
        assert await caller.value(ticket) == 10
        assert caller.items(ticket) == list(range(10))
        assert instance_of(worker).ends == ["done"]
        assert worker.in_flight == 0


async def test_an_empty_stream_has_an_end() -> None:
    async with serving(Source) as (_, caller):
        assert await caller.asks("numbers", 0) == 0


async def test_a_reader_that_does_not_read_stops_the_producer() -> None:
    async with serving(Source) as (worker, caller):
        source = instance_of(worker)
        ticket = caller.call("numbers", 1000)
        await caller.until(lambda: len(caller.items(ticket)) == STREAM_WINDOW)
        await caller.pong()
        assert source.made == STREAM_WINDOW
        caller.send(messages.Credit(ticket, 5))
        await caller.until(lambda: len(caller.items(ticket)) == STREAM_WINDOW + 5)
        await caller.pong()
        assert source.made == STREAM_WINDOW + 5
        caller.send(messages.Credit(ticket, 1000))
        assert await caller.value(ticket) == 1000
        assert caller.items(ticket) == list(range(1000))


async def test_cancelling_closes_a_generator_that_waits_for_its_reader() -> None:
    async with serving(Source) as (worker, caller):
        source = instance_of(worker)
        ticket = caller.call("numbers", 1000)
        await caller.until(lambda: len(caller.items(ticket)) == STREAM_WINDOW)
        caller.send(messages.Cancel(ticket))
        await source.closed.wait()
        await caller.pong()
        assert source.ends == ["closed"]
        assert worker.in_flight == 0
        assert caller.answers(ticket) == [messages.Dropped(ticket)]


async def test_cancelling_stops_a_generator_that_waits_itself() -> None:
    async with serving(Source) as (worker, caller):
        source = instance_of(worker)
        ticket = caller.call("waits", request="r7")
        await caller.until(lambda: caller.items(ticket) == ["r7"])
        caller.send(messages.Cancel(ticket))
        await source.closed.wait()
        assert source.ends == ["cancelled"]
        await at_rest(worker)


async def test_a_lost_connection_closes_its_streams() -> None:
    async with serving(Source) as (worker, caller):
        source = instance_of(worker)
        ticket = caller.call("numbers", 1000)
        await caller.until(lambda: len(caller.items(ticket)) == STREAM_WINDOW)
        caller.connection.abort()
        await source.closed.wait()
        assert source.ends == ["closed"]
        await at_rest(worker)


async def test_a_call_and_its_cancellation_in_one_turn_begin_nothing() -> None:
    async with serving(Source) as (worker, caller):
        ticket = caller.call("numbers", 1000)
        caller.send(messages.Cancel(ticket))
        await caller.pong()
        assert worker.in_flight == 0
        assert instance_of(worker).made == 0


async def test_an_error_in_the_middle_comes_after_the_items_before_it() -> None:
    async with serving(Source) as (_, caller):
        for kind, code in (
            ("own", UserCodeError.code),
            ("ours", InvalidInput.code),
            ("cancelled", UserCodeError.code),
            ("no exception", UserCodeError.code),
            ("unpackable", ContractError.code),
            ("huge", ContractError.code),
        ):
            ticket = caller.call("fails", 3, kind)
            failed = await caller.error(ticket)
            assert (failed.error, failed.items) == (code, 3)
            assert caller.items(ticket) == [0, 1, 2]
            assert isinstance(caller.heard[-1], messages.Failed)


async def test_an_error_may_be_all_there_is() -> None:
    async with serving(Source) as (worker, caller):
        assert (await caller.error(caller.call("fails", 0, "own"))).detail == "ValueError: in the middle"
        assert worker.in_flight == 0


async def test_streams_flow_while_other_user_code_runs() -> None:
    @kapelle.service
    class Both:
        def __init__(self) -> None:
            self.entered = threading.Event()
            self.go_on = threading.Event()

        @kapelle.method
        def block(self) -> None:
            self.entered.set()
            assert self.go_on.wait(30)

        @kapelle.method
        async def numbers(self) -> AsyncIterator[int]:
            for number in range(3):
                yield number

    async with serving(Both) as (worker, caller):
        both = instance_of(worker)
        blocked = caller.call("block")
        await asyncio.to_thread(both.entered.wait, 30)
        assert await caller.asks("numbers") == 3
        both.go_on.set()
        await caller.value(blocked)
