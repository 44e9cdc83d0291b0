"""A call reaches a replica that can answer it, as often as is safe and no more often than the budgets allow."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

import kapelle
from kapelle.core.balance import Standing
from kapelle.core.budget import Budget
from kapelle.declare.interface import interface_of
from kapelle.declare.services import service_spec
from kapelle.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    ReplicaLost,
    Unavailable,
    UserCodeError,
)
from kapelle.wire import messages
from kapelle.wire.messages import STREAM_WINDOW
from tests.unit.gateway.puppets import RELEASE, Puppet, Stage, in_request, stage


@kapelle.service
class Service:
    @kapelle.method
    def plain(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method(idempotent=False)
    def once(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method(timeout=0.02)
    def brief(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method(hedge=0.005)
    def hedged(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method(hedge=10.0)
    def hedged_late(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method(hedge=0.005, timeout=0.05)
    def hedged_briefly(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method
    async def items(self, up_to: int) -> AsyncIterator[int]:
        yield up_to


# --- balance ----------------------------------------------------------------------------------------------------------


async def test_calls_spread_over_the_replicas() -> None:
    async with stage(Service, replicas=4) as one:
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(200)]
        for puppet in one.puppets:
            await puppet.called(30)
        loads = [len(puppet.calls) for puppet in one.puppets]
        assert sum(loads) == 200
        assert max(loads) - min(loads) <= 10, "of two picked at random, the less busy one"
        assert one.pool.outstanding == 200
        for puppet in one.puppets:
            for call in puppet.calls:
                puppet.done(call, 1)
        await asyncio.gather(*waiting)
        await one.at_rest()


async def test_a_slow_replica_gets_fewer_calls() -> None:
    async with stage(Service, replicas=2) as one:
        slow, fast = one.puppets
        stuck = [asyncio.create_task(one.handle.plain(number)) for number in range(20)]
        await slow.called()
        served: Counter[str] = Counter()
        for _ in range(50):
            waiting = asyncio.create_task(one.handle.plain(1))
            before = len(fast.calls), len(slow.calls)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if len(fast.calls) > before[0]:
                for call in fast.calls:
                    fast.done(call, 1)
                await waiting
                served["fast"] += 1
            else:
                stuck.append(waiting)
                served["slow"] += 1
        assert served["fast"] > 3 * served["slow"]
        for task in stuck:
            task.cancel()


@kapelle.service(sharded_by="index")
class Shards:
    @kapelle.method
    def find(self, value: int) -> int:
        raise NotImplementedError


async def test_shards_are_called_where_they_are() -> None:
    async with stage(Shards, replicas=0, shards=3) as one:
        (first,) = await one.add(1, [0, 2])
        (second,) = await one.add(1, [1, 2])
        assert [one.serves(shard) for shard in range(3)] == [True, True, True]
        waiting = [asyncio.create_task(one.handles[shard].find(shard)) for shard in (0, 1, 2, 2, 2, 2)]
        await first.called()
        await second.called()
        assert {call.shard for call in first.calls} <= {0, 2}
        assert {call.shard for call in second.calls} <= {1, 2}
        first.die()
        await second.called(5)
        assert [one.serves(shard) for shard in range(3)] == [False, True, True]
        with pytest.raises(Unavailable, match="no replica of shard 0 of Shards is ready"):
            await waiting[0]
        assert not one.pool.ready(RELEASE)
        for task in waiting[1:]:
            task.cancel()


async def test_a_replica_may_come_back_with_other_shards() -> None:
    async with stage(Shards, replicas=1, shards=2) as one:
        (puppet,) = one.puppets
        puppet.holds = {RELEASE: [1]}
        puppet.abort()
        await one.until(lambda: not one.pool.reaches(puppet.name))
        await one.until(lambda: one.pool.reaches(puppet.name))
        assert [one.serves(shard) for shard in range(2)] == [False, True]


# --- setbacks ---------------------------------------------------------------------------------------------------------


async def test_a_refused_call_is_tried_elsewhere() -> None:
    async with stage(Service, replicas=3) as one:
        waiting = asyncio.create_task(one.handle.once(1))
        tried = []
        for _ in range(2):
            puppet, call = await one.first_call()
            one.puppets.remove(puppet)
            tried.append(puppet)
            puppet.refused(call)
        (last,) = one.puppets
        last.done(await last.called(), 7)
        assert await waiting == 7
        assert [len(puppet.calls) for puppet in tried] == [1, 1]
        assert one.count("kapelle_retries_total") == 2


@pytest.mark.parametrize("replicas", [1, 3])
async def test_when_all_are_full_the_caller_hears_it_at_once(replicas: int) -> None:
    async with stage(Service, replicas=replicas) as one:
        waiting = asyncio.create_task(one.handle.plain(1))
        for _ in range(replicas):
            puppet, call = await one.first_call()
            one.puppets.remove(puppet)
            puppet.refused(call)
        with pytest.raises(Overloaded, match="every replica of Service is full"):
            await waiting
        await one.at_rest()


async def test_a_replica_on_its_way_out_is_not_an_overload() -> None:
    async with stage(Service) as one:
        waiting = asyncio.create_task(one.handle.plain(1))
        puppet, call = await one.first_call()
        puppet.refused(call, "draining")
        with pytest.raises(Unavailable, match="no replica of Service takes calls: draining"):
            await waiting


async def test_nobody_there() -> None:
    async with stage(Service, replicas=0) as one:
        assert not one.pool.ready(RELEASE)
        with pytest.raises(Unavailable, match="no replica of Service is ready"):
            await one.handle.plain(1)
        with pytest.raises(Unavailable):
            await anext(one.handle.items(1))


async def test_a_lost_call_is_tried_elsewhere() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(10)]
        one_of_them, _ = await one.first_call()
        other = one.other(one_of_them)
        one_of_them.die()
        await other.called(10)
        assert one.pool.usable == 1
        for call in other.calls:
            other.done(call, call.ticket)
        assert len(set(await asyncio.gather(*waiting))) == 10
        assert one.count("kapelle_retries_total") == len(one_of_them.calls)


async def test_a_call_with_side_effects_is_not_tried_again() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.once(1))
        puppet, _ = await one.first_call()
        puppet.die()
        with pytest.raises(ReplicaLost, match=rf"Service\.once was lost .*; tried {puppet.name}$"):
            await waiting
        assert one.other(puppet).calls == []


async def test_a_call_that_kills_whoever_takes_it_stops_after_three() -> None:
    async with stage(Service, replicas=5) as one:
        waiting = asyncio.create_task(one.handle.plain(1))
        tried = []
        for _ in range(3):
            puppet, _ = await one.first_call()
            one.puppets.remove(puppet)
            tried.append(puppet.name)
            puppet.die()
        with pytest.raises(ReplicaLost, match=f"tried {', '.join(tried)}"):
            await waiting
        assert [len(puppet.calls) for puppet in one.puppets] == [0, 0]


async def test_retries_have_a_budget() -> None:
    async with stage(Service, replicas=2) as one:
        one.pool._retries = Budget(ratio=0.0, reserve=3)
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(20)]
        one_of_them, _ = await one.first_call()
        other = one.other(one_of_them)
        await other.called(5)
        lost, kept = len(one_of_them.calls), len(other.calls)
        assert lost > 3
        one_of_them.die()
        await other.called(kept + 3)
        for call in other.calls:
            other.done(call, 1)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(result, ReplicaLost) for result in results) == lost - 3


async def test_an_error_is_an_answer() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.plain(1))
        puppet, call = await one.first_call()
        puppet.failed(call, UserCodeError.code, "ValueError: bad")
        with pytest.raises(UserCodeError, match="ValueError: bad"):
            await waiting
        assert one.other(puppet).calls == []
        assert one.count("kapelle_retries_total") == 0


async def test_a_setback_after_the_deadline_ends_the_call() -> None:
    async with stage(Service, replicas=2) as one:
        in_request("r", seconds=-1.0)
        waiting = asyncio.create_task(one.handle.plain(1))
        puppet, call = await one.first_call()
        assert call.timeout < 0
        puppet.refused(call)
        with pytest.raises(DeadlineExceeded, match=r"no answer of Service\.plain before the deadline"):
            await waiting


async def test_one_that_came_back_is_tried_with_one_call_first() -> None:
    async with stage(Service, replicas=2) as one:
        back, other = one.puppets
        back.abort()
        await one.until(lambda: not one.pool.reaches(back.name))
        await one.until(lambda: one.pool.reaches(back.name))
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(10)]
        await other.called(9)
        assert len(back.calls) == 1
        back.done(await back.called(), 1)
        for call in other.calls:
            other.done(call, 1)
        await asyncio.gather(*waiting)
        assert all(link.candidate.standing is Standing.READY for link in one.pool._links.values())


# --- time-outs and hedges ---------------------------------------------------------------------------------------------


async def test_a_method_may_have_a_time_out_of_its_own() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        in_request("r", seconds=30.0)
        waiting = asyncio.create_task(one.handle.brief(1))
        call = await puppet.called()
        assert call.timeout == pytest.approx(0.02)
        with pytest.raises(DeadlineExceeded, match=r"no answer of Service\.brief within 0\.02 s"):
            await waiting
        await puppet.until(lambda: puppet.cancelled == [call.ticket])
        await one.at_rest()


async def test_the_requests_deadline_is_nearer_than_the_methods() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        in_request("r", seconds=0.001)
        waiting = asyncio.create_task(one.handle.brief(1))
        call = await puppet.called()
        assert call.timeout < 0.002
        with pytest.raises(DeadlineExceeded):
            await waiting


async def test_a_time_out_spans_all_attempts() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.brief(1))
        first, call = await one.first_call()
        first.refused(call)
        second = one.other(first)
        assert (await second.called()).timeout <= call.timeout
        with pytest.raises(DeadlineExceeded):
            await waiting
        assert [len(first.cancelled), len(second.cancelled)] in ([0, 1], [0, 0])
        await second.until(lambda: second.cancelled)
        await one.at_rest()


async def test_a_quick_call_is_not_hedged() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.hedged_late(1))
        puppet, call = await one.first_call()
        puppet.done(call, 5)
        assert await waiting == 5
        assert one.count("kapelle_hedges_total") == 0
        assert one.other(puppet).calls == []


@pytest.mark.parametrize("winner", ["first", "second"])
async def test_of_two_copies_the_first_answer_counts_and_the_other_is_stopped(winner: str) -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.hedged(1))
        first, call = await one.first_call()
        second = one.other(first)
        copy = await second.called()
        assert copy.arguments == call.arguments
        quick, slow = ((first, call), (second, copy)) if winner == "first" else ((second, copy), (first, call))
        quick[0].done(quick[1], 5)
        assert await waiting == 5
        await slow[0].until(lambda: slow[0].cancelled == [slow[1].ticket])
        assert quick[0].cancelled == []
        assert one.count("kapelle_hedges_total") == 1
        await one.at_rest()


async def test_an_error_of_one_copy_is_the_answer() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.hedged(1))
        first, call = await one.first_call()
        await one.other(first).called()
        first.failed(call, InvalidInput.code, "bad")
        with pytest.raises(InvalidInput, match="bad"):
            await waiting
        await one.at_rest()


@pytest.mark.parametrize("lost", ["first", "second"])
async def test_a_setback_of_one_copy_leaves_the_other(lost: str) -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.hedged(1))
        first, call = await one.first_call()
        second = one.other(first)
        copy = await second.called()
        (first if lost == "first" else second).die()
        await one.until(lambda: one.pool.usable == 1)
        assert not waiting.done()
        left, its_call = (second, copy) if lost == "first" else (first, call)
        left.done(its_call, 5)
        assert await waiting == 5


async def test_when_both_copies_are_lost_it_goes_on() -> None:
    async with stage(Service, replicas=3) as one:
        waiting = asyncio.create_task(one.handle.hedged(1))
        tried: list[Puppet] = []
        for _ in range(2):
            puppet, _ = await one.first_call()
            one.puppets.remove(puppet)
            tried.append(puppet)
        for puppet in tried:
            puppet.die()
        (last,) = one.puppets
        last.done(await last.called(), 5)
        assert await waiting == 5


async def test_hedges_have_a_budget() -> None:
    async with stage(Service, replicas=2) as one:
        one.pool._hedges = Budget(ratio=0.0, reserve=2)
        waiting = [asyncio.create_task(one.handle.hedged_briefly(number)) for number in range(10)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, DeadlineExceeded) for result in results)
        assert one.count("kapelle_hedges_total") == 2
        assert sum(len(puppet.calls) for puppet in one.puppets) == 12
        await one.at_rest()


async def test_every_call_earns_for_hedges() -> None:
    async with stage(Service, replicas=2) as one:
        one.pool._hedges = Budget(ratio=0.5, reserve=1)
        assert one.pool._hedges.spend()
        for _ in range(2):
            waiting = asyncio.create_task(one.handle.hedged(1))
            puppet = None
            while puppet is None:
                await asyncio.sleep(0)
                puppet = next((each for each in one.puppets if each.calls), None)
            puppet.done(puppet.calls.pop(), 1)
            await waiting
        assert one.pool._hedges.spend()


async def test_there_is_no_second_copy_where_there_is_no_second_replica() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        with pytest.raises(DeadlineExceeded):
            await one.handle.hedged_briefly(1)
        assert len(puppet.calls) == 1


async def test_a_caller_that_goes_away_stops_both_copies() -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.hedged(1))
        for puppet in one.puppets:
            await puppet.called()
        waiting.cancel()
        for puppet in one.puppets:
            await puppet.hears_cancel()
        await one.at_rest()


# --- coming and going -------------------------------------------------------------------------------------------------


async def test_a_replica_that_is_removed_may_still_answer() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        call = await puppet.called()
        one.pool.remove(puppet.name)
        assert not one.pool.reaches(puppet.name)
        assert one.pool.names == []
        assert one.pool.outstanding == 1
        with pytest.raises(Unavailable):
            await one.handle.plain(2)
        puppet.done(call, 5)
        assert await waiting == 5
        await puppet.until(lambda: puppet.losses)
        await one.at_rest()
        assert len(puppet.connections) == 1, "it is not dialled again"


async def test_a_removed_replica_that_dies_loses_its_calls() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        await puppet.called()
        one.pool.remove(puppet.name)
        puppet.die()
        with pytest.raises(ReplicaLost):
            await waiting


async def test_a_removed_replica_that_is_silent_loses_its_calls() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        await puppet.called()
        one.pool.remove(puppet.name)
        now = asyncio.get_running_loop().time()
        for second in range(5):
            one.pool.check(now + second)
        with pytest.raises(ReplicaLost):
            await waiting


async def test_a_replica_that_was_never_reached_can_be_removed() -> None:
    async with stage(Service) as one:
        ghost = Puppet(one.network, "ghost", [0])
        ghost.deaf()
        one.connect(ghost)
        await asyncio.sleep(0)
        one.pool.remove("ghost")
        assert one.pool.names == ["Puppet-0"]


async def test_a_name_may_be_used_again() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        one.pool.remove(puppet.name)
        old = puppet.connections[-1]
        one.connect(puppet)
        await one.until(lambda: one.pool.reaches(puppet.name))
        again = asyncio.create_task(one.handle.plain(2))
        puppet.done(await puppet.called(2), 2)
        assert await again == 2
        puppet.connections.append(old)
        puppet.done(call, 1)
        assert await waiting == 1


# --- streams ----------------------------------------------------------------------------------------------------------


async def start(stream: AsyncIterator[Any]) -> asyncio.Task[Any]:
    """Begin a stream: nothing is asked of anybody before its first item is wanted."""
    return asyncio.create_task(anext(stream))  # type: ignore[arg-type]  # a coroutine, though typed as awaitable


async def test_items_come_in_their_order_whatever_overtakes_what() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        stream = one.handle.items(4)
        first = await start(stream)
        call = await puppet.called()
        puppet.item(call, 1, 11)
        puppet.say(messages.Done(call.ticket, msgspec.Raw(b"\x04")))
        puppet.item(call, 3, 13)
        puppet.item(call, 0, 10)
        assert await first == 10
        assert await anext(stream) == 11
        assert one.pool.outstanding == 1, "an item is missing"
        puppet.item(call, 2, 12)
        assert [item async for item in stream] == [12, 13]
        await one.at_rest()
        assert puppet.cancelled == []


async def test_a_reader_that_reads_asks_for_more() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        stream = one.handle.items(100)
        first = await start(stream)
        call = await puppet.called()
        for number in range(STREAM_WINDOW):
            puppet.item(call, number, number)
        assert await first == 0
        for number in range(1, STREAM_WINDOW):
            assert await anext(stream) == number
        await settle()
        credit = [message.items for message in puppet.heard if isinstance(message, messages.Credit)]
        assert credit == [STREAM_WINDOW // 2]
        await stream.aclose()
        await puppet.until(lambda: puppet.cancelled == [call.ticket])
        await one.at_rest()


async def test_an_error_comes_after_the_items_before_it() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        stream = one.handle.items(4)
        first = await start(stream)
        call = await puppet.called()
        puppet.item(call, 0, 10)
        puppet.item(call, 1, 11)
        puppet.failed(call, UserCodeError.code, "in the middle")
        assert await first == 10
        assert await anext(stream) == 11
        with pytest.raises(UserCodeError, match="in the middle"):
            await anext(stream)
        await one.at_rest()


async def test_an_error_waits_for_the_items_that_it_has_overtaken() -> None:
    """Large ones travel apart from it."""
    async with stage(Service) as one:
        (puppet,) = one.puppets
        stream = one.handle.items(4)
        first = await start(stream)
        call = await puppet.called()
        puppet.say(messages.Failed(call.ticket, UserCodeError.code, "in the middle", "", 2))
        puppet.item(call, 1, 11)
        puppet.item(call, 0, 10)
        assert await first == 10
        assert await anext(stream) == 11
        with pytest.raises(UserCodeError, match="in the middle"):
            await anext(stream)
        await one.at_rest()


@pytest.mark.parametrize("kind", ["done", "failed"])
async def test_an_end_without_its_items_is_forgotten_when_its_replica_dies(kind: str) -> None:
    async with stage(Service, replicas=2) as one:
        stream = one.handle.items(4)
        first = await start(stream)
        dying, call = await one.first_call()
        dying.done(call, 1) if kind == "done" else dying.say(messages.Failed(call.ticket, "call", "", "", 1))
        one.puppets.remove(dying)
        dying.die()
        (last,) = one.puppets
        again = await last.called()
        last.item(again, 0, 10)
        assert await first == 10
        last.item(again, 1, 11)
        last.done(again, 2)
        assert [item async for item in stream] == [11]
        await one.at_rest()


async def test_a_stream_that_has_not_begun_is_tried_elsewhere() -> None:
    async with stage(Service, replicas=3) as one:
        stream = one.handle.items(4)
        first = await start(stream)
        refusing, call = await one.first_call()
        refusing.refused(call, "draining")
        one.puppets.remove(refusing)
        dying, _ = await one.first_call()
        one.puppets.remove(dying)
        dying.die()
        (last,) = one.puppets
        last.item(await last.called(), 0, 10)
        assert await first == 10
        await stream.aclose()


async def test_a_stream_that_has_begun_is_not() -> None:
    async with stage(Service, replicas=2) as one:
        stream = one.handle.items(4)
        first = await start(stream)
        puppet, call = await one.first_call()
        puppet.item(call, 0, 10)
        assert await first == 10
        puppet.die()
        with pytest.raises(ReplicaLost, match=r"Service\.items was lost"):
            await anext(stream)
        assert one.other(puppet).calls == []


async def test_a_reader_that_goes_away_stops_the_stream() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = await start(one.handle.items(4))
        call = await puppet.called()
        waiting.cancel()
        await puppet.until(lambda: puppet.cancelled == [call.ticket])
        await one.at_rest()


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(20):
        await asyncio.sleep(0)


# --- code -------------------------------------------------------------------------------------------------------------

OLD, NEW = "0123456789ab", "ba9876543210"


def interface() -> str:
    spec = service_spec(Service)
    assert spec is not None
    return interface_of(spec)


async def answered_by(one: Stage, count: int = 20) -> set[str]:
    """Who answers calls."""
    for puppet in one.puppets:
        puppet.answer = lambda _: 1
        puppet.calls.clear()
    await asyncio.gather(*(one.handle.plain(number) for number in range(count)))
    return {puppet.code for puppet in one.puppets if puppet.calls}


async def test_replicas_of_the_same_code_are_preferred_where_they_are_half_and_others_called_too_where_they_are_not() -> (
    None
):
    async with stage(Service, replicas=0, code=NEW) as one:
        await one.add(2, code=OLD, interface=interface())
        assert await answered_by(one) == {OLD}
        await one.add(1, code=NEW, interface=interface())
        assert await answered_by(one) == {OLD, NEW}, "one of three would have the work of all"
        (same,) = await one.add(1, code=NEW, interface=interface())
        assert await answered_by(one) == {NEW}
        same.die()
        await one.until(lambda: not one.pool.reaches(same.name))
        assert one.pool.ready(RELEASE)
        assert await answered_by(one) == {OLD, NEW}
        same.listen()
        await one.until(lambda: one.pool.reaches(same.name))
        assert await answered_by(one) == {NEW}


async def test_a_call_in_the_hands_of_other_code_is_answered_when_its_own_appears() -> None:
    async with stage(Service, replicas=0, code=NEW) as one:
        (other,) = await one.add(1, code=OLD, interface=interface())
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await other.called()
        await one.add(1, code=NEW, interface=interface())
        other.done(call, 5)
        assert await waiting == 5
        await one.at_rest()


async def test_replicas_whose_methods_look_otherwise_get_no_calls_and_people_are_told_once() -> None:
    with capture_logs() as logs:
        async with stage(Service, replicas=0, code=NEW) as one:
            (foreign,) = await one.add(1, code=OLD, interface="another one")
            assert not one.pool.ready(RELEASE)
            with pytest.raises(Unavailable, match="no replica of Service is ready"):
                await one.handle.plain(1)
            await one.add(1, code=NEW, interface=interface())
            assert await answered_by(one) == {NEW}
            foreign.abort()
            await one.until(lambda: not one.pool.reaches(foreign.name))
            await one.until(lambda: one.pool.reaches(foreign.name))
            assert await answered_by(one) == {NEW}
    (said,) = [line for line in logs if "other code" in line["event"]]
    assert (said["replica"], said["theirs"], said["ours"]) == ("Puppet-0", OLD, NEW)
    assert "deploy one version of the code to all services" in said["event"]


async def test_an_address_whose_code_changes_is_judged_again() -> None:
    with capture_logs() as logs:
        async with stage(Service, replicas=0, code=NEW) as one:
            (changing,) = await one.add(1, code=OLD, interface="another one")
            for code, look in (("older", "a third one"), (NEW, "looks otherwise with another package")):
                changing.code, changing.interface = code, look
                changing.abort()
                await one.until(lambda: not one.pool.reaches(changing.name))
                await one.until(lambda: one.pool.reaches(changing.name))
            assert await answered_by(one) == {NEW}, "the same code is the same, however it looks"
    assert [line["theirs"] for line in logs if "other code" in line["event"]] == [OLD, "older"]


async def test_where_all_run_the_same_files_nobody_asks_for_code() -> None:
    async with stage(Service, replicas=0) as one:
        await one.add(1, code=OLD, interface="another one")
        assert await answered_by(one) == {OLD}
