"""A worker welcomes, refuses, answers and drains; nothing that comes over a connection can kill it."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

import kapelle
from kapelle.artifacts.instances import build
from kapelle.wire import messages
from kapelle.worker import server
from tests.unit.artifacts.anywhere import Anywhere
from tests.unit.worker.bench import Caller, at_rest, instance_of, new_worker, raw, serving


@kapelle.service(max_queue=4)
class Gate:
    """Calls of ``wait`` end when the gate is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.seen: list[int] = []

    @kapelle.method
    def wait(self, number: int) -> int:
        self.entered.release()
        assert self.open.wait(30)
        self.seen.append(number)
        return number

    @kapelle.batched(max_size=3)
    def double(self, numbers: list[int]) -> list[int]:
        return [2 * number for number in numbers]

    @kapelle.method
    def total(self, numbers: NDArray[np.float32]) -> float:
        return float(numbers.sum())

    @kapelle.method
    async def linger(self) -> None:
        await asyncio.Future()

    @kapelle.method
    async def count(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number


async def entered(gate: Gate) -> None:
    """Return when one more call runs."""
    assert await asyncio.to_thread(gate.entered.acquire, True, 30)


# --- the beginning ----------------------------------------------------------------------------------------------------


async def test_a_caller_is_welcomed_once_the_instances_are_there() -> None:
    worker = new_worker(Gate, "Gate-0")
    early = Caller(worker)
    early.send(messages.Hello(messages.PROTOCOL, "early"))
    await early.pong()
    assert [type(one) for one in early.heard] == [messages.Pong], "it is there, but does not serve yet"
    states = []
    worker.on_state = lambda: states.append(worker.state)
    worker.serve("r1", await build(worker.spec, [3, 1], Anywhere(), worker.runner.in_thread))
    assert states == ["ready"]
    for caller in (early, Caller(worker)):
        assert await caller.greet() == messages.Welcome(messages.PROTOCOL, "Gate", "Gate-0", {"r1": [1, 3]})
    worker.abort()


async def test_a_second_hello_changes_nothing() -> None:
    async with serving(Gate) as (_, caller):
        caller.send(messages.Hello(messages.PROTOCOL, "again"))
        await caller.pong()
        assert sum(isinstance(one, messages.Welcome) for one in caller.heard) == 1


async def test_another_protocol_is_told_ours_and_sent_away() -> None:
    async with serving(Gate) as (worker, caller):
        stranger = Caller(worker)
        stranger.send(messages.Hello(messages.PROTOCOL + 1, "from the future"))
        assert await stranger.hung_up()
        assert stranger.heard == [messages.Welcome(messages.PROTOCOL, "Gate", "bench-0", {})]
        assert await caller.asks("double", 4) == [8]


# --- hostile messages -------------------------------------------------------------------------------------------------


def a_call(**changes: Any) -> messages.Call:
    plain = messages.Call(77, "double", 0, 1, 5.0, "r", "", raw([1]), "r1")
    return msgspec.structs.replace(plain, **changes)


def extension(code: int, data: bytes) -> msgspec.Raw:
    """Arguments that are one msgpack extension."""
    return msgspec.Raw(b"\x91" + msgspec.msgpack.encode(msgspec.msgpack.Ext(code, data)))


ANSWERED = {
    "unknown method": (a_call(method="triple"), "contract", "bench-0 serves no 'triple'"),
    "private method": (a_call(method="__init__"), "contract", "serves no '__init__'"),
    "more rows than said": (a_call(arguments=raw([1, 2])), "invalid-input", "a call of 1 rows brought 2"),
    "fewer rows than said": (a_call(rows=3), "invalid-input", "a call of 3 rows brought 1"),
    "no rows": (a_call(rows=0, arguments=raw([])), "invalid-input", "a call of 0 rows brought 0"),
    "negative rows": (a_call(rows=-(1 << 63)), "invalid-input", "brought 1"),
    "huge rows": (a_call(rows=1 << 62), "invalid-input", "brought 1"),
    "rows of a plain method": (a_call(method="wait", rows=2), "invalid-input", "a call of 2 rows brought 1"),
    "wrong type": (a_call(arguments=raw(["x"])), "invalid-input", "Expected `int`, got `str`"),
    "no list": (a_call(arguments=raw({"numbers": 1})), "invalid-input", "Expected `array`, got `object`"),
    "too many arguments": (a_call(method="linger", arguments=raw([1, 2]), timeout=0.0), None, ""),
    "too few arguments": (a_call(method="wait", arguments=raw([])), "invalid-input", "array` of at least length 1"),
    "array beyond the body": (
        a_call(method="total", arguments=extension(2, b"\x93\x92\xa3<f4\x91\x08\x00\x20")),
        "invalid-input",
        "bytes 0..32 of a body of 0 bytes",
    ),
    "unknown extension": (
        a_call(method="total", arguments=extension(99, b"x")),
        "invalid-input",
        "unknown msgpack extension 99",
    ),
    "not UTF-8": (a_call(arguments=msgspec.Raw(b"\x91\xa1\xff")), "invalid-input", ""),
    "a deadline long ago": (a_call(timeout=-1e300), "deadline-exceeded", "waited in the replica's queue"),
}


@pytest.mark.parametrize("case", ANSWERED)
async def test_a_call_that_makes_no_sense_is_answered_and_hurts_nobody(case: str) -> None:
    message, code, detail = ANSWERED[case]
    async with serving(Gate) as (worker, caller):
        caller.send(message)
        if code is not None:
            failed = await caller.error(77)
            assert failed.error == code
            assert detail in failed.detail
        assert await caller.asks("double", 4) == [8]
        caller.send(messages.Cancel(77))
        await caller.pong()
        assert worker.in_flight == 0


@pytest.mark.parametrize("seconds", [math.inf, math.nan, 1e308, -math.inf])
async def test_no_timeout_breaks_the_clock(seconds: float) -> None:
    async with serving(Gate) as (worker, caller):
        instance_of(worker).open.set()
        for method in ("wait", "double"):
            answer = await caller.answer(caller.call(method, 1, timeout=seconds))
            assert isinstance(answer, messages.Done) is (seconds != -math.inf)
        assert worker.in_flight == 0


@pytest.mark.parametrize(
    "message",
    [
        messages.Cancel(5),
        messages.Cancel((1 << 64) - 1),
        messages.Cancel(-5),
        messages.Credit(5, 1 << 62),
        messages.Credit(5, -(1 << 62)),
        messages.Ping(-(1 << 63)),
    ],
)
async def test_messages_about_nothing_are_ignored(message: messages.ToReplica) -> None:
    async with serving(Gate) as (_, caller):
        caller.send(message)
        assert await caller.asks("double", 4) == [8]


async def test_a_turn_of_messages_is_heard_as_if_each_had_come_by_itself() -> None:
    async with serving(Gate) as (worker, caller):
        calls = [a_call(ticket=ticket, arguments=raw([ticket])) for ticket in (1, 2, 3)]
        waiting = a_call(ticket=4, method="linger", arguments=raw([]))
        refused = a_call(ticket=5, arguments=raw(["x"]))
        turn: list[messages.OneToReplica] = [waiting, *calls, refused, messages.Cancel(4), messages.Ping(9)]
        caller.connection.send(messages.encode(messages.TurnToReplica(turn)))
        assert [await caller.value(ticket) for ticket in (1, 2, 3)] == [[2], [4], [6]]
        assert (await caller.error(5)).error == "invalid-input"
        assert await caller.answer(4) == messages.Dropped(4)
        assert messages.Pong(9) in caller.heard
        assert worker.in_flight == 0


async def test_answers_of_one_turn_leave_as_one() -> None:
    async with serving(Gate) as (_, caller):
        await caller.asks("double", 0)  # the first run goes to the thread
        frames = caller.frames
        caller.connection.send(
            messages.encode(messages.TurnToReplica([a_call(ticket=ticket) for ticket in (10, 11, 12)]))
        )
        for ticket in (10, 11, 12):
            assert await caller.value(ticket) == [2]
        assert caller.frames - frames == 1


GARBAGE = {
    "no msgpack": b"\xc1",
    "nothing of ours": msgspec.msgpack.encode({"a": 1}),
    "unknown tag": msgspec.msgpack.encode([99, 1]),
    "missing fields": msgspec.msgpack.encode([2, 1, "double"]),
    "wrong field": msgspec.msgpack.encode([2, "one", "double", 0, 1, 5.0, "", "", []]),
    "an integer beyond 64 bits": b"\x92\x04\xcf" + b"\xff" * 4,
    "deep": b"\x91" * 100_000 + b"\x01",
    "text that is not UTF-8": b"\x93\x01\x01\xa1\xff",
    "an answer": messages.encode(messages.Done(1, raw(1))) + b"x",
    "an empty turn": messages.encode(messages.TurnToReplica([])),
    "a turn with a ticket twice": messages.encode(
        messages.TurnToReplica([messages.Ping(1), messages.Call(1, "wait", 0, 1, 5.0, "", "", raw([1]), "r1")])
    ),
    "a ticket twice": messages.encode(messages.Call(1, "wait", 0, 1, 5.0, "", "", raw([1]), "r1")),
}


@pytest.mark.parametrize("case", GARBAGE)
async def test_who_speaks_garbage_is_cut_off_and_nobody_else(case: str) -> None:
    async with serving(Gate) as (worker, caller):
        stranger = Caller(worker)
        await stranger.greet()
        # A call of the stranger is under way, and ends with its connection.
        stranger.send(messages.Call(1, "linger", 0, 1, 5.0, "", "", raw([]), "r1"))
        await stranger.pong()
        assert worker.in_flight == 1
        stranger.connection.send(GARBAGE[case])
        await stranger.hung_up()
        await at_rest(worker)
        assert await caller.asks("double", 4) == [8]


async def test_calls_before_the_welcome_are_garbage() -> None:
    async with serving(Gate) as (worker, _):
        stranger = Caller(worker)
        stranger.call("double", 4)
        await stranger.hung_up()
        assert worker.in_flight == 0


@pytest.mark.parametrize(("shard", "release"), [(1, "r1"), ((1 << 64) - 1, "r1"), (-1, "r1"), (0, "r2"), (0, "")])
async def test_what_is_not_here_may_be_elsewhere(shard: int, release: str) -> None:
    async with serving(Gate) as (_worker, caller):
        caller.send(a_call(shard=shard, release=release))
        assert await caller.answer(77) == messages.Refused(77, f"shard {shard} of release {release} is not here")
        assert await caller.asks("double", 4) == [8]


# --- releases ---------------------------------------------------------------------------------------------------------


@kapelle.service
class Dated:
    """Each instance is of a later year."""

    years: ClassVar[Iterator[int]] = itertools.count(2001)
    ended: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.year = next(self.years)
        self.begun = threading.Event()
        self.end = threading.Event()

    @kapelle.method
    def when(self) -> int:
        return self.year

    @kapelle.method
    def finish(self) -> int:
        self.begun.set()
        assert self.end.wait(30)
        return self.year

    @kapelle.on_shutdown
    def leave(self) -> None:
        self.ended.append(self.year)


async def test_two_releases_are_served_side_by_side_and_each_call_sees_one() -> None:
    async with serving(Dated) as (worker, caller):
        first = await caller.asks("when")
        worker.serve("r2", await build(worker.spec, [0], Anywhere(), worker.runner.in_thread))
        assert await caller.hears(messages.Holds) == messages.Holds({"r1": [0], "r2": [0]})
        tickets = [caller.call("when", release=release) for release in ("r1", "r2", "r1", "r2")]
        assert [await caller.value(ticket) for ticket in tickets] == [first, first + 1] * 2


async def test_a_release_is_retired_when_its_last_call_has_ended() -> None:
    async with serving(Dated) as (worker, caller):
        old = instance_of(worker)
        worker.serve("r2", await build(worker.spec, [0], Anywhere(), worker.runner.in_thread))
        running = caller.call("finish")
        assert await asyncio.to_thread(old.begun.wait, 30)
        retired = asyncio.ensure_future(worker.retire("r1", [0]))
        late = caller.call("when")
        assert isinstance(await caller.answer(late), messages.Refused)
        assert worker.holds == {"r2": [0]}
        assert not retired.done()
        old.end.set()
        await retired
        assert await caller.value(running) == old.year
        assert Dated.ended[-1] == old.year
        assert await caller.value(caller.call("when", release="r2")) == old.year + 1


async def test_more_shards_of_a_release_may_come_and_some_may_go() -> None:
    async with serving(Dated) as (worker, caller):
        worker.serve("r1", await build(worker.spec, [1, 2], Anywhere(), worker.runner.in_thread))
        assert worker.holds == {"r1": [0, 1, 2]}
        await worker.retire("r1", [0, 2, 9])
        assert worker.holds == {"r1": [1]}
        assert isinstance(await caller.answer(caller.call("when", shard=0)), messages.Refused)
        assert await caller.value(caller.call("when", shard=1))


# --- places -----------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_at_once() -> None:
    async with serving(Gate) as (worker, caller):
        gate = instance_of(worker)
        running = caller.call("wait", 0)
        await entered(gate)
        waiting = [caller.call("wait", number) for number in range(1, 5)]
        refused = caller.call("wait", 5)
        assert await caller.answer(refused) == messages.Refused(refused, messages.FULL)
        assert worker.in_flight == 5
        assert worker.runner.queued_rows == 4
        caller.send(messages.Cancel(waiting[0]))
        taken = caller.call("wait", 6)
        await caller.pong()
        assert not caller.answers(taken), "whoever gives up frees its place"
        gate.open.set()
        for ticket in (running, *waiting[1:], taken):
            await caller.value(ticket)
        assert gate.seen == [0, 2, 3, 4, 6]
        assert worker.in_flight == 0


async def test_coroutines_side_by_side_are_bounded_too() -> None:
    async with serving(Gate) as (worker, caller):
        tickets = [caller.call("linger") for _ in range(4)]
        refused = caller.call("linger")
        assert await caller.answer(refused) == messages.Refused(refused, messages.FULL)
        for ticket in tickets:
            caller.send(messages.Cancel(ticket))
        for ticket in tickets:
            assert await caller.answer(ticket) == messages.Dropped(ticket)
        assert worker.in_flight == 0


async def test_two_gateways_are_served_alike_and_their_tickets_are_their_own() -> None:
    async with serving(Gate) as (worker, one):
        other = Caller(worker)
        await other.greet()
        gate = instance_of(worker)
        tickets = [one.call("wait", 1), other.call("wait", 2)]
        assert tickets == [1, 1]
        await entered(gate)
        one.send(messages.Cancel(1))
        await one.pong()
        gate.open.set()
        assert await other.value(1) == 2
        assert one.answers(1) == [messages.Dropped(1)]


async def test_a_lost_connection_ends_its_calls_only() -> None:
    async with serving(Gate) as (worker, caller):
        gate = instance_of(worker)
        gone = Caller(worker)
        await gone.greet()
        gone.call("wait", 1)
        await entered(gate)
        gone.call("wait", 2)
        gone.call("linger")
        gone.call("count", 100)
        kept = caller.call("wait", 3)
        await caller.pong()
        assert worker.in_flight == 5
        gone.connection.abort()
        await gone.hung_up()
        await caller.pong()
        assert worker.in_flight == 2, "the one that the thread has begun, and the other gateway's"
        gate.open.set()
        assert await caller.value(kept) == 3
        assert gate.seen == [1, 3], "what ran goes to its end, what waited is not begun"


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_draining_finishes_what_was_taken_and_refuses_the_rest() -> None:
    async with serving(Gate) as (worker, caller):
        gate = instance_of(worker)
        taken = [caller.call("wait", number) for number in range(3)]
        await entered(gate)
        drained = asyncio.create_task(worker.drain(30.0))
        assert await caller.hears(messages.Unready) == messages.Unready("draining")
        late = caller.call("wait", 9)
        assert await caller.answer(late) == messages.Refused(late, "draining")
        assert not drained.done()
        gate.open.set()
        assert [await caller.value(ticket) for ticket in taken] == [0, 1, 2]
        assert not drained.done(), "a call may still be on its way"
        late = caller.call("wait", 9)
        assert await caller.answer(late) == messages.Refused(late, "draining")
        caller.connection.close()
        assert await drained


@pytest.mark.usefixtures("impatient")
async def test_draining_does_not_wait_for_ever() -> None:
    async with serving(Gate) as (worker, caller):
        running = caller.call("linger")
        await caller.pong()
        assert await worker.drain(0.01) is False
        assert worker.in_flight == 1
        caller.send(messages.Cancel(running))
        await caller.pong()
        assert await worker.drain(0.01) is True, "although the gateway does not hang up"


async def test_work_that_nobody_waits_for_is_none_that_was_given_up() -> None:
    async with serving(Gate) as (worker, caller):
        gate = instance_of(worker)
        running = caller.call("wait", 0)
        await entered(gate)
        caller.send(messages.Cancel(running))
        await caller.pong()
        assert await worker.drain(0.01)
        gate.open.set()


async def test_draining_an_idle_worker_nobody_calls_takes_no_time() -> None:
    worker = new_worker(Gate)
    worker.serve("r1", await build(worker.spec, [0], Anywhere(), worker.runner.in_thread))
    assert await worker.drain(30.0)
    await worker.close()


@kapelle.service
class Leaving:
    """Counts its ends."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.ended = 0

    @kapelle.method
    def stay(self) -> None:
        assert self.free.wait(30)

    @kapelle.on_shutdown
    def leave(self) -> None:
        self.ended += 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time for gateways to hang up: the ones here never do."""
    monkeypatch.setattr(server, "_HANG_UP", 0.01)


@pytest.mark.usefixtures("impatient")
async def test_closing_runs_the_hooks_says_good_bye_and_delivers_the_last_answers() -> None:
    async with serving(Leaving) as (worker, caller):
        instance_of(worker).free.set()
        ticket = caller.call("stay")
        await caller.pong()
        await worker.drain(30.0)
        await worker.close()
        assert instance_of(worker).ended == 1
        assert await caller.hung_up() == "closed by the other side"
        assert caller.answers(ticket)


@pytest.mark.usefixtures("impatient")
async def test_a_thread_that_does_not_come_back_does_not_keep_the_process() -> None:
    async with serving(Leaving) as (worker, caller):
        caller.call("stay")
        await caller.pong()
        assert worker.runner.busy
        assert await worker.drain(0.0) is False
        await worker.close()
        assert instance_of(worker).ended == 0
        instance_of(worker).free.set()


async def test_an_abort_is_like_a_death() -> None:
    async with serving(Gate) as (worker, caller):
        ticket = caller.call("linger")
        await caller.pong()
        worker.abort()
        await caller.hung_up()
        assert not caller.answers(ticket)


# --- metrics ----------------------------------------------------------------------------------------------------------


async def test_what_happened_is_counted() -> None:
    async with serving(Gate) as (worker, caller):
        await caller.asks("double", 1, 2, 3, rows=3)
        await caller.answer(caller.call("double", 1, timeout=-1.0))
        for _ in range(5):
            caller.call("linger")
        await caller.pong()
        found = {family.name: family for family in worker._registry.collect()}
        values = {name: family.samples[0].value for name, family in found.items() if family.kind != "histogram"}
        assert values["kapelle_calls_total"] == 6
        assert values["kapelle_calls_refused_total"] == 1
        assert values["kapelle_calls_expired_total"] == 1
        assert values["kapelle_replica_in_flight"] == 4
        (rows,) = found["kapelle_batch_rows"].samples
        assert (rows.count, rows.value) == (1, 3)
