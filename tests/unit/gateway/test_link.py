"""A link keeps one replica within reach, and never leaves a call without an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import structlog
from structlog.testing import capture_logs

import kapelle
from kapelle.clock import monotonic
from kapelle.core.balance import Standing
from kapelle.errors import ContractError, DeadlineExceeded, ReplicaLost, TooLarge, Unavailable, UserCodeError
from kapelle.gateway import link as links
from kapelle.gateway.link import PING_EVERY, SILENT_AFTER, Link
from kapelle.transport.greeter import LinkRefusedError
from kapelle.wire import messages
from kapelle.wire.frames import MAX_HEAD
from tests.unit.gateway.puppets import Puppet, Stage, in_request, stage


@kapelle.service
class Service:
    @kapelle.method
    def plain(self, value: Any) -> int:
        raise NotImplementedError

    @kapelle.method
    def text(self, value: int) -> str:
        raise NotImplementedError

    @kapelle.method(idempotent=False)
    def once(self, value: int) -> int:
        raise NotImplementedError

    @kapelle.method
    async def items(self, up_to: int) -> AsyncIterator[int]:
        yield up_to


def standing(stage: Stage, puppet: Puppet) -> Standing:
    return link_of(stage, puppet).candidate.standing


def link_of(stage: Stage, puppet: Puppet) -> Link:
    return stage.pool._links[puppet.name]


async def test_a_call_brings_everything_the_replica_must_know() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        in_request("r7", 5.0, "00-trace")
        waiting = asyncio.create_task(one.handle.plain(3))
        call = await puppet.called()
        assert (call.method, call.shard, call.rows, call.request, call.trace) == ("plain", 0, 1, "r7", "00-trace")
        assert 4.0 < call.timeout <= 5.0
        puppet.done(call, 9)
        assert await waiting == 9
        await one.at_rest()


async def test_only_calls_that_come_one_by_one_leave_at_once() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.answer = lambda call: 0
        outbox = link_of(one, puppet)._outbox
        assert outbox is not None
        with patch.object(outbox, "say", wraps=outbox.say) as say:
            for together in (1, 1, 3, 1, 1, 2, 1):
                await asyncio.gather(*[one.handle.plain(0) for _ in range(together)])
    told = [said.kwargs["at_once"] for said in say.call_args_list]
    # The first of several cannot be told from one alone before the others come.
    assert told == [False, True, *(True, False, False), False, True, *(True, False), False]


async def test_calls_of_one_turn_leave_as_one() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.answer = lambda call: call.ticket
        connection = link_of(one, puppet)._connection
        assert connection is not None
        with patch.object(connection, "send", wraps=connection.send) as send:
            answers = await asyncio.gather(*[one.handle.plain(0) for _ in range(10)])
        assert answers == [call.ticket for call in puppet.calls]
    assert len(answers) == 10
    assert send.call_count == 1


async def test_what_a_broken_connection_would_have_said_is_not_said_to_the_next() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        link = link_of(one, puppet)
        lost = asyncio.create_task(one.handle.once(1))
        await asyncio.sleep(0)
        assert link._attempts
        link._drop("it broke before the end of the turn")
        with pytest.raises(ReplicaLost):
            await lost
        await one.until(lambda: one.pool.reaches(puppet.name))
        waiting = asyncio.create_task(one.handle.plain(2))
        puppet.done(await puppet.called(), 4)
        assert await waiting == 4
        assert [call.method for call in puppet.calls] == ["plain"]


async def test_answers_find_their_calls_in_any_order() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(10)]
        await puppet.called(10)
        for call in reversed(puppet.calls):
            puppet.done(call, call.ticket * 100)
        assert await asyncio.gather(*waiting) == [call.ticket * 100 for call in puppet.calls]


async def test_answers_to_nobody_are_ignored() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        for ticket in (0, -1, 999, 1 << 63):
            puppet.say(messages.Done(ticket, call.arguments))
            puppet.say(messages.Failed(ticket, "call", "", ""))
            puppet.say(messages.Refused(ticket, ""))
            puppet.say(messages.Item(ticket, call.arguments))
        puppet.done(call, 5)
        puppet.done(call, 6)
        assert await waiting == 5
        await one.at_rest()


# --- what cannot be carried -------------------------------------------------------------------------------------------


async def test_arguments_beyond_every_limit_are_refused_here() -> None:
    async with stage(Service) as one:
        with pytest.raises(TooLarge, match=r"the arguments of Service\.plain are too large: a frame of"):
            await one.handle.plain("x" * (MAX_HEAD + 1))
        await one.at_rest()
        waiting = asyncio.create_task(one.handle.plain(1))
        one.puppets[0].done(await one.puppets[0].called(), 5)
        assert await waiting == 5


async def test_an_answer_of_another_type_is_the_services_fault() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        puppet.done(await puppet.called(), "five")
        with pytest.raises(ContractError, match=r"Service\.plain returned something else .* Expected `int`, got `str`"):
            await waiting
        await one.at_rest()


async def test_an_answer_that_cannot_be_read_ends_that_call_only() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = [asyncio.create_task(one.handle.text(1)), asyncio.create_task(one.handle.plain(2))]
        await puppet.called(2)
        not_text = b"\xa1\xff"
        puppet.connections[-1].send(b"\x93\x02" + messages.encode(puppet.calls[0].ticket) + not_text)
        with pytest.raises(ContractError, match=r"the answer of Service\.text cannot be read"):
            await waiting[0]
        puppet.done(puppet.calls[1], 5)
        assert await waiting[1] == 5


async def test_garbage_ends_the_connection_and_its_calls() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        await puppet.called()
        puppet.connections[-1].send(b"\xc1")
        with pytest.raises(ReplicaLost, match="it sent garbage: not a message of this direction"):
            await waiting
        await one.until(lambda: one.pool.reaches(puppet.name))
        assert len(puppet.connections) == 2, "and it is dialled again"


# --- cancellation and deadlines ---------------------------------------------------------------------------------------


async def test_a_caller_that_goes_away_frees_its_place() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        assert one.pool.outstanding == 1
        waiting.cancel()
        await puppet.until(lambda: puppet.cancelled)
        assert puppet.cancelled == [call.ticket]
        await one.at_rest()
        puppet.done(call, 1)  # too late, and of no interest
        await asyncio.sleep(0)


@pytest.mark.parametrize("end", ["dropped", "done", "failed", "refused"])
async def test_a_replica_is_busy_with_an_abandoned_call_until_it_says_that_it_is_over(end: str) -> None:
    async with stage(Service, replicas=2) as one:
        waiting = asyncio.create_task(one.handle.plain(1))
        busy, call = await one.first_call()
        busy.drops = False
        waiting.cancel()
        await busy.hears_cancel()
        assert one.pool.outstanding == 1
        other = one.other(busy)
        other.answer = lambda _: 2
        for _ in range(20):
            assert await one.handle.plain(1) == 2, "the other one has nothing to do"
        assert busy.calls == [call]
        match end:
            case "dropped":
                busy.say(messages.Dropped(call.ticket))
            case "done":
                busy.done(call, 1)
            case "failed":
                busy.failed(call, "user-code")
            case _:
                busy.refused(call)
        await one.at_rest()


async def test_an_abandoned_call_ends_with_its_replica() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.drops = False
        waiting = asyncio.create_task(one.handle.plain(1))
        await puppet.called()
        waiting.cancel()
        await puppet.hears_cancel()
        puppet.abort()
        await one.at_rest()


async def test_a_cancellation_stays_behind_the_large_call_it_is_for() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(np.zeros(100_000)))
        await asyncio.sleep(0)
        waiting.cancel()
        await puppet.until(lambda: puppet.cancelled)
        kinds = [type(message) for message in puppet.heard]
        assert kinds.index(messages.Call) < kinds.index(messages.Cancel)


async def test_a_deadline_holds_although_nobody_answers_or_cancels() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        in_request("r", 100.0)
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        now = asyncio.get_running_loop().time()
        one.pool.check(now + 99)
        await asyncio.sleep(0)
        assert not waiting.done()
        one.pool.check(now + 101)
        with pytest.raises(DeadlineExceeded):
            await waiting
        await puppet.until(lambda: puppet.cancelled == [call.ticket])
        await one.at_rest()


# --- silence ----------------------------------------------------------------------------------------------------------


class Seconds:
    """Checks of a link, a second apart, on a clock of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._now = asyncio.get_running_loop().time()
        stage.pool.check(self._now)

    def pass_by(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(round(seconds / step)):
            self._now += step
            self._stage.pool.check(self._now)

    def stand_still(self, seconds: float) -> None:
        """Nothing of this process runs for a while; then there is one check."""
        self._now += seconds
        self._stage.pool.check(self._now)


async def test_a_silent_replica_is_asked_and_then_given_up() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        await puppet.called()
        clock = Seconds(one)
        clock.pass_by(PING_EVERY)
        await puppet.until(lambda: puppet.pings == 1)
        clock.pass_by(SILENT_AFTER - 0.5)
        assert one.pool.reaches(puppet.name)
        assert puppet.pings == 1
        clock.pass_by(0.5)
        with pytest.raises(ReplicaLost, match="no answer for 2 s"):
            await waiting
        await puppet.until(lambda: puppet.losses)


async def test_a_replica_that_says_anything_is_not_silent() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        clock = Seconds(one)
        for number in range(1, 6):
            clock.pass_by(PING_EVERY + SILENT_AFTER - 0.5)
            await puppet.pinged(number)
            puppet.say(messages.Pong(0))
            await settle()
        assert one.pool.reaches(puppet.name)
        assert puppet.losses == []


async def test_who_stood_still_himself_gives_nobody_up_for_it() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        clock = Seconds(one)
        clock.pass_by(PING_EVERY)
        await puppet.until(lambda: puppet.pings == 1)
        clock.stand_still(60.0)
        puppet.say(messages.Pong(0))
        await settle()
        clock.pass_by(0.5)
        assert one.pool.reaches(puppet.name)
        clock.stand_still(60.0)
        assert one.pool.reaches(puppet.name)


async def test_one_that_never_welcomes_is_given_up_too() -> None:
    """A stopped process accepts connections all the same."""
    one = Stage(Service)
    puppet = Puppet(one.network, "Puppet-0", [0])
    puppet.welcomes = False
    one.connect(puppet)
    await puppet.until(lambda: puppet.heard)
    clock = Seconds(one)
    clock.pass_by(PING_EVERY + SILENT_AFTER)
    await puppet.until(lambda: puppet.losses)
    await one.pool.close()


# --- coming and going -------------------------------------------------------------------------------------------------


async def test_a_loss_is_noticed_with_the_first_error_and_mended_by_dialling_again() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.abort()
        await one.until(lambda: not one.pool.reaches(puppet.name))
        await one.until(lambda: one.pool.reaches(puppet.name))
        assert standing(one, puppet) is Standing.HALF_OPEN
        assert len(puppet.connections) == 2


@pytest.mark.parametrize("ending", ["done", "failed"])
async def test_an_answer_makes_half_open_whole(ending: str) -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.abort()
        await one.until(lambda: not one.pool.reaches(puppet.name))
        await one.until(lambda: one.pool.reaches(puppet.name))
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        assert standing(one, puppet) is Standing.HALF_OPEN
        if ending == "done":
            puppet.done(call, 1)
            await waiting
        else:
            puppet.failed(call, UserCodeError.code)
            with pytest.raises(UserCodeError):
                await waiting
        assert standing(one, puppet) is Standing.READY


async def test_a_replica_that_is_not_there_is_dialled_again_and_at_once_when_it_is_said_to_be() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        puppet.die()
        await one.until(lambda: not one.pool.reaches(puppet.name))
        puppet.name = "moved"
        puppet.listen()
        one.pool.add("Puppet-0", lambda: one.network.connect("moved"))
        await one.until(lambda: one.pool.reaches("Puppet-0"))


async def test_dialling_waits_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(links, "_LONGEST_BACKOFF", 0.04)
    times: list[float] = []
    enough = asyncio.Event()

    async def refuse() -> Any:
        times.append(monotonic())
        if len(times) == 6:
            enough.set()
        raise ConnectionRefusedError

    link = Link("Puppet-0", "gateway-0", refuse, lambda: None)
    await enough.wait()
    await link.close()
    gaps = [later - earlier for earlier, later in pairwise(times)]
    rounding = 0.002
    assert all(gap >= wait - rounding for gap, wait in zip(gaps, [0.01, 0.02, 0.04, 0.04, 0.04], strict=True))


async def test_a_link_that_is_refused_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_FIRST_BACKOFF", 0.001)
    tried = asyncio.Queue[int]()

    async def refuse() -> Any:
        tried.put_nowait(1)
        raise LinkRefusedError("the secret does not match")

    with capture_logs() as logs:
        link = Link("Puppet-0", "gateway-0", refuse, lambda: None)
        for _ in range(3):
            await tried.get()
        await link.close()
    assert [one["event"] for one in logs] == ["a replica refuses the link"]


async def test_a_dial_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "_DIAL_TIMEOUT", 0.01)
    monkeypatch.setattr(links, "_FIRST_BACKOFF", 0.001)
    again = asyncio.Event()
    dialled = 0

    async def hang() -> Any:
        nonlocal dialled
        dialled += 1
        if dialled == 2:
            again.set()
        await asyncio.Future()

    link = Link("Puppet-0", "gateway-0", hang, lambda: None)
    await again.wait()
    await link.close()


async def test_another_protocol_is_logged_and_not_dialled_without_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Stage(Service)
    puppet = Puppet(one.network, "Puppet-0", [0])
    puppet.protocol = messages.PROTOCOL + 1
    with structlog.testing.capture_logs() as lines:
        one.connect(puppet)
        await puppet.until(lambda: puppet.heard)
        await settle()
        puppet.connections[-1].close()
        await settle()
    assert len(puppet.connections) == 1, "it waits before it tries again"
    assert [line["log_level"] for line in lines if "protocol" in line["event"]] == ["error"]
    assert not one.pool.reaches("Puppet-0")
    await one.pool.close()


async def test_a_replica_that_drains_gets_no_calls_and_a_goodbye_after_the_last_answer() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = [asyncio.create_task(one.handle.plain(number)) for number in range(2)]
        await puppet.called(2)
        puppet.say(messages.Unready("draining"))
        await one.until(lambda: not one.pool.reaches(puppet.name))
        puppet.done(puppet.calls[0], 1)
        await waiting[0]
        await settle()
        assert puppet.losses == [], "there is one more answer to come"
        puppet.welcomes = False
        puppet.done(puppet.calls[1], 2)
        await puppet.until(lambda: puppet.losses)
        assert await waiting[1] == 2
        with pytest.raises(Unavailable, match="no replica of Service is ready"):
            await one.handle.plain(1)


async def test_the_last_call_may_also_be_cancelled() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        await puppet.called()
        puppet.say(messages.Unready("draining"))
        await one.until(lambda: not one.pool.reaches(puppet.name))
        puppet.drops = False
        waiting.cancel()
        await puppet.hears_cancel()
        await settle()
        assert puppet.losses == [], "it still works on it"
        puppet.say(messages.Dropped(1))
        await puppet.until(lambda: puppet.losses)


async def test_a_replica_that_recovers_is_used_again() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        puppet.say(messages.Unready("stuck"))
        await one.until(lambda: not one.pool.reaches(puppet.name))
        puppet.say(messages.Readied())
        await one.until(lambda: one.pool.reaches(puppet.name))
        puppet.done(call, 1)
        assert await waiting == 1
        await settle()
        assert puppet.losses == []


async def test_the_end_of_an_old_connection_does_not_touch_the_new_one() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        link = link_of(one, puppet)
        old = link._connection
        assert old is not None
        puppet.abort()
        await one.until(lambda: not one.pool.reaches(puppet.name))
        await one.until(lambda: one.pool.reaches(puppet.name))
        waiting = asyncio.create_task(one.handle.plain(1))
        call = await puppet.called()
        link._lost(old, "told late")
        link._on_frames(old, [])
        puppet.done(call, 1)
        assert await waiting == 1


async def test_closing_gives_calls_back_as_lost() -> None:
    async with stage(Service) as one:
        waiting = [asyncio.create_task(one.handle.plain(1)), asyncio.create_task(one.handle.once(1))]
        await one.puppets[0].called(2)
        await one.pool.close()
        for task in waiting:
            with pytest.raises((ReplicaLost, Unavailable)):
                await task


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_an_item_for_a_call_that_is_no_stream_is_garbage() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        waiting = asyncio.create_task(one.handle.once(1))
        puppet.item(await puppet.called(), 0, 1)
        with pytest.raises(ReplicaLost, match=r"an item of Service\.once, which is no stream"):
            await waiting


async def test_an_item_of_another_type_ends_the_stream_there() -> None:
    async with stage(Service) as one:
        (puppet,) = one.puppets
        stream = one.handle.items(3)
        first = asyncio.create_task(anext(stream))
        call = await puppet.called()
        puppet.item(call, 0, 10)
        assert await first == 10
        puppet.item(call, 1, "eleven")
        with pytest.raises(ContractError, match="Expected `int`, got `str`"):
            await anext(stream)
        await puppet.until(lambda: puppet.cancelled == [call.ticket])
        await one.at_rest()


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(20):
        await asyncio.sleep(0)
