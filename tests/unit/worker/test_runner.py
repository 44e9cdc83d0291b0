"""What runs when, beside what, and on which thread; and that nothing user code does stops the worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

import kapelle
from kapelle.declare.context import RequestContext, current_request
from kapelle.errors import DeadlineExceeded
from kapelle.wire import messages
from kapelle.worker import runner as runners
from kapelle.worker.runner import FAST
from tests.unit.worker.bench import Caller, instance_of, new_worker, serving


class Clock:
    """A clock that user code moves, by what it pretends to cost."""

    def __init__(self) -> None:
        self.now = time.monotonic()


DIGITS: ContextVar[int] = ContextVar("digits", default=28)
"""As the precision of `decimal`, which is one of a context."""


@kapelle.service
class Workshop:
    """Methods of every kind, which a test can hold up and look into."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.batches: list[list[int]] = []
        self.contexts: list[RequestContext | None] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.began = asyncio.Event()
        self.cancelled = 0
        self.running = 0
        self.most_running = 0
        self.clock: Clock | None = None
        DIGITS.set(50)
        self.cost = 0.0

    @kapelle.method
    def block(self) -> None:
        self.entered.release()
        assert self.go_on.acquire(timeout=30)

    @kapelle.method
    def where(self) -> str:
        if self.clock is not None:
            self.clock.now += self.cost
        self.contexts.append(current_request())
        return threading.current_thread().name

    @kapelle.method
    def digits(self, wanted: int) -> int:
        before = DIGITS.get()
        DIGITS.set(wanted)
        return before

    @kapelle.method
    def run_a_loop(self, number: int) -> int:
        return asyncio.run(self.soon(number))

    @kapelle.batched(max_size=8, max_bytes=1000)
    def collect(self, rows: list[int]) -> list[int]:
        self.contexts.append(current_request())
        self.batches.append(rows)
        return rows

    @kapelle.batched(max_size=8, max_bytes=1000)
    def weigh(self, rows: list[bytes]) -> list[int]:
        self.batches.append([len(row) for row in rows])
        return [len(row) for row in rows]

    @kapelle.batched(max_size=8)
    async def collect_async(self, rows: list[int]) -> list[int]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.batches.append(rows)
        try:
            await asyncio.to_thread(self.go_on.acquire, True, 30)
            return rows
        finally:
            self.running -= 1

    @kapelle.batched(max_size=8)
    async def forever(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        self.began.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise AssertionError

    @kapelle.method
    async def linger(self) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.contexts.append(current_request())
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    @kapelle.method
    async def soon(self, number: int) -> int:
        await asyncio.sleep(0)
        return number

    @kapelle.method
    async def cancel_itself(self) -> None:
        other = asyncio.create_task(asyncio.sleep(60))  # cancelled at once: that is the subject
        other.cancel()
        await other

    @kapelle.method
    async def stop_itself(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    @kapelle.batched()
    async def stop_all(self, rows: list[int]) -> list[int]:
        await self.stop_itself()
        return rows

    @kapelle.method
    async def stop_a_stream(self) -> AsyncIterator[int]:
        await self.stop_itself()
        yield 1

    @kapelle.method
    def close(self) -> None:
        raise GeneratorExit("odd")

    @kapelle.method
    async def close_async(self) -> None:
        raise GeneratorExit("odd")

    @kapelle.batched()
    async def close_all(self, rows: list[int]) -> list[int]:
        raise GeneratorExit("odd")

    @kapelle.method
    async def close_a_stream(self) -> AsyncIterator[int]:
        yield 1
        raise GeneratorExit("odd")

    @kapelle.method
    def leave(self, code: int) -> None:
        raise SystemExit(code)

    @kapelle.method
    async def leave_async(self, code: int) -> None:
        raise SystemExit(code)


async def entered(workshop: Workshop) -> None:
    assert await asyncio.to_thread(workshop.entered.acquire, True, 30)


@asynccontextmanager
async def timed(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Workshop, Caller]]:
    """A workshop whose methods take the time that a test says, by the clock that the runner reads."""
    clock = Clock()
    monkeypatch.setattr(runners, "monotonic", lambda: clock.now)
    async with serving(Workshop) as (worker, caller):
        workshop: Workshop = instance_of(worker)
        workshop.clock = clock
        yield workshop, caller


async def make_fast(caller: Caller, method: str, *arguments: Any) -> None:
    """Call until the worker knows that the method is fast."""
    for _ in range(100):
        await caller.asks(method, *arguments)


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_calls_that_come_while_the_service_works_run_together() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("collect", number) for number in range(20)]
        await caller.pong()
        workshop.go_on.release()
        assert [await caller.value(ticket) for ticket in tickets] == [[number] for number in range(20)]
        assert workshop.batches == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


async def test_calls_of_several_rows_are_merged_but_never_divided() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [
            caller.call("collect", *rows, rows=len(rows)) for rows in ([1, 2, 3], [4, 5, 6], [7, 8, 9], list(range(12)))
        ]
        await caller.pong()
        workshop.go_on.release()
        for ticket in tickets:
            await caller.value(ticket)
        assert workshop.batches == [[1, 2, 3, 4, 5, 6], [7, 8, 9], list(range(12))]


async def test_batches_are_bounded_by_bytes_too() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("weigh", bytes(size)) for size in (400, 400, 400, 400, 2000, 10)]
        await caller.pong()
        workshop.go_on.release()
        for ticket in tickets:
            await caller.value(ticket)
        assert workshop.batches == [[400, 400], [400, 400], [2000], [10]]


async def test_calls_that_were_given_up_are_not_run() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("collect", number) for number in range(4)]
        for ticket in tickets[1:3]:
            caller.send(messages.Cancel(ticket))
        await caller.pong()
        assert worker.runner.queued_rows == 2
        workshop.go_on.release()
        assert await caller.value(tickets[3]) == [3]
        assert workshop.batches == [[0, 3]]


async def test_a_call_whose_time_ran_out_in_the_queue_is_not_run() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        late = caller.call("collect", 1, timeout=1e-6)
        kept = caller.call("collect", 2)
        await caller.pong()
        workshop.go_on.release()
        assert (await caller.error(late)).error == DeadlineExceeded.code
        assert await caller.value(kept) == [2]
        assert workshop.batches == [[2]]


async def test_all_queues_have_their_turn() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("collect", number) for number in range(16)]
        tickets += [caller.call("weigh", b"x") for _ in range(16)]
        await caller.pong()
        workshop.go_on.release()
        for ticket in tickets:
            await caller.value(ticket)
        assert workshop.batches == [list(range(8)), [1] * 8, list(range(8, 16)), [1] * 8]


async def test_a_batch_waits_for_company_only_as_long_as_it_may() -> None:
    @kapelle.service
    class Patient:
        @kapelle.batched(max_size=8, max_wait="20ms")
        def collect(self, rows: list[int]) -> list[int]:
            return [len(rows)] * len(rows)

    async with serving(Patient) as (worker, caller):
        queue = worker.queues["r1", 0, "collect"]
        # Full batches have just ended: it is worth a little wait. (The calls before made no full ones.)
        for _ in range(50):
            queue.batcher.finished(8, time.monotonic(), time.monotonic())
        first = caller.call("collect", 1)
        await caller.pong()
        assert not caller.answers(first), "it waits"
        second = caller.call("collect", 2)
        assert await caller.value(first) == [2]
        assert await caller.value(second) == [2]


# --- threads ----------------------------------------------------------------------------------------------------------


async def test_a_fast_method_moves_to_the_event_loop_and_a_slow_one_off_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with timed(monkeypatch) as (workshop, caller):
        workshop.cost = FAST / 2
        assert await caller.asks("where") == "kapelle-user-code", "what is unknown may be slow"
        await make_fast(caller, "where")
        assert await caller.asks("where") == "MainThread"
        workshop.cost = 4 * FAST
        assert await caller.asks("where") == "MainThread", "nobody could know"
        assert await caller.asks("where") == "kapelle-user-code"
        workshop.cost = FAST / 2
        await make_fast(caller, "where")
        assert await caller.asks("where") == "MainThread"


async def test_user_code_may_run_an_event_loop_of_its_own_wherever_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with timed(monkeypatch) as (_, caller):
        assert await caller.asks("run_a_loop", 1) == 1, "on the thread"
        await make_fast(caller, "run_a_loop", 2)
        assert await caller.asks("run_a_loop", 3) == 3, "on the event loop's own"
        assert await caller.asks("soon", 4) == 4, "which goes on"


async def test_what_a_constructor_sets_in_its_context_holds_in_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async with timed(monkeypatch) as (_, caller):
        assert await caller.asks("digits", 7) == 50, "on the thread"
        assert await caller.asks("digits", 8) == 50, "what another call has set is its own affair"
        await make_fast(caller, "digits", 9)
        assert await caller.asks("digits", 10) == 50, "on the event loop"


async def test_fast_calls_leave_the_event_loop_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with timed(monkeypatch) as (workshop, caller):
        workshop.cost = FAST / 20
        await make_fast(caller, "where")
        tickets = [caller.call("where") for _ in range(200)]
        await caller.pong()
        answered = sum(bool(caller.answers(ticket)) for ticket in tickets)
        assert 1 < answered < 70, "a ping is heard between them"
        for ticket in tickets:
            assert await caller.value(ticket) == "MainThread"


async def test_calls_that_keep_coming_do_not_make_its_turns_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with timed(monkeypatch) as (workshop, caller):
        clock = workshop.clock
        assert clock is not None
        workshop.cost = 0.9 * FAST
        await make_fast(caller, "where")
        tickets, turns = [], []
        for _ in range(100):
            tickets += [caller.call("where") for _ in range(4)]
            before = clock.now
            await asyncio.sleep(0)
            turns.append(clock.now - before)
        assert max(turns) < 5 * FAST, "what came to one turn of the event loop, and the turn of what had waited"
        for ticket in tickets:
            assert await caller.value(ticket) == "MainThread"


async def test_pings_and_cancellations_are_heard_while_user_code_runs() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        running = caller.call("block")
        await entered(workshop)
        waiting = caller.call("collect", 1)
        caller.send(messages.Cancel(waiting))
        caller.send(messages.Cancel(running))
        await caller.pong()
        assert caller.answers(waiting) == [messages.Dropped(waiting)]
        assert caller.answers(running) == [], "it still keeps the thread busy"
        workshop.go_on.release()
        assert await caller.asks("collect", 2) == [2]
        assert caller.answers(running) == [messages.Dropped(running)]
        assert workshop.batches == [[2]]


async def test_sync_code_never_runs_twice_at_once() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        await make_fast(caller, "where")
        caller.call("block")
        await entered(workshop)
        fast = caller.call("where")
        # The end of a coroutine is not the end of the batch in the thread.
        assert await caller.asks("soon", 1) == 1
        await caller.pong()
        assert not caller.answers(fast)
        workshop.go_on.release()
        await caller.value(fast)


async def test_the_context_is_that_of_the_call_and_of_nobody_afterwards() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        for number in range(2):
            await caller.value(caller.call("where", request=f"thread-{number}"))
        await make_fast(caller, "where")
        await caller.value(caller.call("where", request="loop"))
        seen = [context.id for context in workshop.contexts if context is not None]
        assert (seen[:2], seen[-1]) == (["thread-0", "thread-1"], "loop")
        assert await worker.runner.in_thread(current_request) is None
        assert current_request() is None


async def test_a_batch_serves_several_requests() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("collect", number, request=f"r{number}") for number in range(3)]
        await caller.pong()
        workshop.go_on.release()
        for ticket in tickets:
            await caller.value(ticket)
        (context,) = workshop.contexts
        assert context.id == "r0,r1,r2"


# --- coroutines -------------------------------------------------------------------------------------------------------


async def test_coroutines_run_beside_each_other_and_are_stopped_when_cancelled() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        tickets = [caller.call("linger", request=f"r{number}") for number in range(5)]
        await caller.pong()
        assert workshop.most_running == 5
        assert sorted(context.id for context in workshop.contexts) == [f"r{number}" for number in range(5)]
        for ticket in tickets:
            caller.send(messages.Cancel(ticket))
        await caller.pong()
        assert await caller.asks("soon", 1) == 1
        assert workshop.cancelled == 5
        assert worker.in_flight == 0
        assert [caller.answers(ticket) for ticket in tickets] == [[messages.Dropped(ticket)] for ticket in tickets]


async def test_a_coroutine_cancelled_before_it_began_leaves_nothing_behind() -> None:
    async with serving(Workshop) as (worker, caller):
        # In one turn of the event loop: the call and its cancellation.
        for method in ("linger", "forever"):
            ticket = caller.call(method, *([1] if method == "forever" else []))
            caller.send(messages.Cancel(ticket))
            await caller.pong()
        assert await caller.asks("collect", 2) == [2]
        assert worker.in_flight == 0


async def test_a_cancellation_of_its_own_doing_is_an_answer() -> None:
    async with serving(Workshop) as (_, caller):
        failed = await caller.error(caller.call("cancel_itself"))
        assert "was cancelled" in failed.detail


@pytest.mark.parametrize("how", ["stop_itself", "stop_all", "stop_a_stream"])
async def test_a_method_that_stops_its_own_task_leaves_nobody_waiting(how: str) -> None:
    async with serving(Workshop) as (worker, caller):
        failed = await caller.error(caller.call(how, *([1] if how == "stop_all" else [])))
        assert "was cancelled" in failed.detail
        assert worker.in_flight == 0
        assert await caller.asks("soon", 1) == 1
        assert await caller.asks("collect", 2) == [2]


@pytest.mark.parametrize("how", ["close", "close_async", "close_all", "close_a_stream"])
async def test_what_closes_coroutines_is_a_failure_when_user_code_raises_it(how: str) -> None:
    async with serving(Workshop) as (worker, caller):
        failed = await caller.error(caller.call(how, *([1] if how == "close_all" else [])))
        assert failed.detail == "GeneratorExit: odd"
        assert worker.in_flight == 0
        assert await caller.asks("collect", 2) == [2]


async def test_async_batches_follow_each_other() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        first = caller.call("collect_async", 0)
        await caller.pong()
        others = [caller.call("collect_async", number) for number in range(1, 4)]
        blocked = caller.call("collect", 7)
        await caller.pong()
        assert workshop.batches == [[0]]
        workshop.go_on.release()
        workshop.go_on.release()
        assert await caller.value(first) == [0]
        assert [await caller.value(ticket) for ticket in others] == [[1], [2], [3]]
        assert await caller.value(blocked) == [7]
        assert sorted(workshop.batches) == [[0], [1, 2, 3], [7]]
        assert workshop.most_running == 1


async def test_an_async_batch_nobody_waits_for_is_stopped() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        tickets = [caller.call("forever", number) for number in range(2)]
        await caller.pong()
        workshop.go_on.release()
        await workshop.began.wait()
        caller.send(messages.Cancel(tickets[0]))
        await caller.pong()
        assert workshop.cancelled == 0, "somebody still waits"
        caller.send(messages.Cancel(tickets[1]))
        assert await caller.asks("collect", 5) == [5]
        assert workshop.cancelled == 1


async def test_an_async_batch_ends_with_its_deadline() -> None:
    async with serving(Workshop) as (worker, caller):
        tickets = [caller.call("forever", number, timeout=0.05) for number in range(2)]
        for ticket in tickets:
            assert (await caller.error(ticket)).error == DeadlineExceeded.code
        assert await caller.asks("collect", 5) == [5]
        assert worker.state == "ready"


# --- what goes wrong --------------------------------------------------------------------------------------------------


async def test_a_thread_that_outlives_its_deadline_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "STUCK_GRACE", 0.02)
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        states: list[str] = []
        worker.on_state = lambda: states.append(worker.state)
        stuck = caller.call("block", timeout=0.01)
        await entered(workshop)
        waiting = caller.call("collect", 1)
        unready = await caller.hears(messages.Unready)
        assert unready == messages.Unready("a call still runs after its deadline, and cannot be stopped")
        assert states == ["stuck"]
        assert await caller.answer(waiting) == messages.Refused(waiting, "stuck")
        late = caller.call("collect", 2)
        assert await caller.answer(late) == messages.Refused(late, "stuck")
        # It came back after all.
        workshop.go_on.release()
        await caller.hears(messages.Readied)
        assert states == ["stuck", "ready"]
        assert caller.answers(stuck)
        assert await caller.asks("collect", 3) == [3]


async def test_a_caller_that_came_while_it_was_stuck_is_welcomed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "STUCK_GRACE", 0.01)
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block", timeout=0.01)
        await caller.hears(messages.Unready)
        other = Caller(worker)
        other.send(messages.Hello(messages.PROTOCOL, "other"))
        await other.pong()
        assert not any(isinstance(one, messages.Welcome) for one in other.heard)
        workshop.go_on.release()
        await other.hears(messages.Welcome)
        assert await other.asks("collect", 3) == [3]


@pytest.mark.parametrize("method", ["leave", "leave_async"])
async def test_user_code_may_end_the_process(method: str) -> None:
    async with serving(Workshop) as (worker, caller):
        exits: asyncio.Queue[BaseException] = asyncio.Queue()
        worker.on_exit = exits.put_nowait
        caller.call(method, 3)
        error = await exits.get()
        assert isinstance(error, SystemExit)
        assert error.code == 3


async def test_a_fast_method_may_end_the_process_too() -> None:
    """A SystemExit within a callback of a connection would end the connection only."""

    @kapelle.service
    class Leaver:
        @kapelle.method
        def call(self, code: int) -> int:
            if code:
                raise SystemExit(code)
            return code

    async with serving(Leaver) as (worker, caller):
        exits: asyncio.Queue[BaseException] = asyncio.Queue()
        worker.on_exit = exits.put_nowait
        await make_fast(caller, "call", 0)
        caller.call("call", 4)
        error = await exits.get()
        assert isinstance(error, SystemExit)
        assert caller.lost is None


def test_without_other_orders_the_event_loop_ends() -> None:
    async def main() -> None:
        async with serving(Workshop) as (_, caller):
            caller.call("leave", 5)
            await asyncio.Future()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())
    assert caught.value.code == 5


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), StopIteration(5)], ids=["error", "exit", "stop"])
async def test_what_is_raised_in_the_thread_reaches_who_waits(error: BaseException) -> None:
    worker = new_worker(Workshop)

    def fail() -> None:
        raise error

    with pytest.raises(RuntimeError if isinstance(error, StopIteration) else type(error)):
        await worker.runner.in_thread(fail)
    assert await worker.runner.in_thread(lambda: 5) == 5
    worker.abort()


async def test_who_waits_for_the_thread_may_give_up() -> None:
    worker = new_worker(Workshop)
    go_on = threading.Event()
    waiting = asyncio.create_task(worker.runner.in_thread(go_on.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    assert await worker.runner.in_thread(lambda: 5) == 5
    worker.abort()


def test_a_thread_that_returns_after_the_end_is_no_error() -> None:
    go_on = threading.Event()
    returned = threading.Event()

    async def main() -> None:
        worker = new_worker(Workshop)

        def wait() -> None:
            go_on.wait(30)
            returned.set()

        waiting = asyncio.create_task(worker.runner.in_thread(wait))
        await asyncio.sleep(0)
        waiting.cancel()
        worker.abort()

    asyncio.run(main())
    go_on.set()
    assert returned.wait(30)


async def test_after_closing_nothing_is_begun() -> None:
    async with serving(Workshop) as (worker, caller):
        workshop = instance_of(worker)
        caller.call("block")
        await entered(workshop)
        caller.call("collect", 1)
        await caller.pong()
        worker.runner.close()
        workshop.go_on.release()
        await caller.pong()
        assert workshop.batches == []
