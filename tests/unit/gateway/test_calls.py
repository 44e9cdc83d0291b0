"""What a call knows of itself, items in their order, and races with one winner."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kapelle
from kapelle.core.balance import Balancer
from kapelle.core.ticket import Setback
from kapelle.declare.context import RequestContext
from kapelle.declare.methods import CallPolicy
from kapelle.errors import CallError
from kapelle.gateway.calls import DEFAULT_TIMEOUT, OpenCall, Race, SetbackError, Site, StreamCall
from kapelle.observe.metrics import LATENCY_BUCKETS, Histogram
from kapelle.wire.payload import Packer

PAYLOAD = Packer()(())


def site(policy: CallPolicy) -> Site:
    return Site(
        name="Service.method",
        method="method",
        release="r1",
        shard=0,
        balancer=Balancer(),
        policy=policy,
        unpack=lambda data, body: data,
        seconds=Histogram(LATENCY_BUCKETS),
    )


def stream_call() -> StreamCall:
    return StreamCall(site(CallPolicy()), lambda data, body: data, PAYLOAD, None, 100.0)


@pytest.mark.parametrize(
    ("deadline", "timeout", "expected"),
    [
        (None, None, 100.0 + DEFAULT_TIMEOUT),
        (None, 2.0, 102.0),
        (None, 99.0, 100.0 + DEFAULT_TIMEOUT),
        (107.0, None, 107.0),
        (107.0, 2.0, 102.0),
        (107.0, 20.0, 107.0),
    ],
)
def test_the_nearest_deadline_holds(deadline: float | None, timeout: float | None, expected: float) -> None:
    context = None if deadline is None else RequestContext("r", "t", deadline)
    call = OpenCall(site(CallPolicy(timeout=timeout)), 3, PAYLOAD, context, 100.0)
    assert call.deadline == expected
    assert (call.request, call.trace) == (("", "") if deadline is None else ("r", "t"))
    assert call.rows == 3


def test_only_calls_that_need_it_are_watched() -> None:
    assert [site(CallPolicy(timeout=t, hedge=h)).watched for t in (None, 1.0) for h in (None, 1.0)] == [
        False,
        True,
        True,
        True,
    ]


@given(st.permutations(range(8)), st.integers(0, 8))
def test_items_leave_in_order_and_the_end_is_known_when_all_are_there(arrival: list[int], end_after: int) -> None:
    asyncio.run(_items_leave_in_order(arrival, end_after))


async def _items_leave_in_order(arrival: list[int], end_after: int) -> None:
    call = stream_call()
    left: list[Any] = []
    for position, number in enumerate(arrival):
        if position == end_after:
            call.end(len(arrival))
        assert not call.complete
        call.put(number, number)
        left += call.ready
        call.ready.clear()
        assert left == list(range(len(left)))
    call.end(len(arrival))
    assert call.complete
    assert left == list(range(8))


async def test_a_stream_that_has_begun_cannot_be_repeated() -> None:
    call = stream_call()
    assert call.idempotent
    call.put(0, "x")
    assert not call.idempotent


async def test_who_waits_for_items_hears_of_items_and_of_the_end() -> None:
    call = stream_call()
    end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    end.add_done_callback(call.wake)
    waiting = asyncio.create_task(call.following(end))
    await asyncio.sleep(0)
    assert not waiting.done()
    call.put(0, "x")
    assert await waiting is True
    end.set_exception(kapelle.UserCodeError("late"))
    assert await call.following(end) is True, "an item before the error is taken first"
    call.ready.clear()
    with pytest.raises(kapelle.UserCodeError):
        await call.following(end)


async def test_a_stream_may_end() -> None:
    call = stream_call()
    end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    end.add_done_callback(call.wake)
    waiting = asyncio.create_task(call.following(end))
    await asyncio.sleep(0)
    end.set_result(0)
    assert await waiting is False


def race(copies: int) -> tuple[Race, asyncio.Future[Any]]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    found = Race(future)
    found.running = copies
    return found, future


def lost() -> SetbackError:
    return SetbackError(Setback.LOST, "gone")


async def test_the_first_answer_wins_a_race() -> None:
    found, future = race(2)
    found.set_result(1)
    found.set_result(2)
    found.set_exception(CallError("x"))
    assert future.result() == 1
    assert found.done()


async def test_an_error_is_an_answer() -> None:
    found, future = race(2)
    found.set_exception(CallError("x"))
    found.set_result(2)
    with pytest.raises(CallError):
        future.result()


async def test_only_the_last_setback_counts() -> None:
    found, future = race(2)
    found.set_exception(lost())
    assert not found.done()
    found.set_exception(lost())
    with pytest.raises(SetbackError):
        future.result()


async def test_an_answer_after_a_setback_wins() -> None:
    found, future = race(2)
    found.set_exception(lost())
    found.set_result(2)
    assert future.result() == 2
