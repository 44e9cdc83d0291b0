"""What is said in one turn of the event loop leaves as one, in its order; what is large leaves by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kapelle.errors import WireError
from kapelle.transport.connection import BULK
from kapelle.transport.memory import MemoryConnection
from kapelle.transport.outbox import SMALL, Outbox
from kapelle.wire import messages as m
from kapelle.wire.frames import MAX_HEAD, Frame
from kapelle.wire.turns import said_by_replica
from tests.unit.transport.ends import End

Box = Outbox[m.OneFromReplica]


def pair() -> tuple[Box, End]:
    here, there = MemoryConnection.pair()
    return Outbox(here, m.TurnFromReplica), End(there).start()


def raw(size: int) -> msgspec.Raw:
    """A payload of so many bytes."""
    header = {1: 1, SMALL: 3, SMALL + 1: 3}.get(size, 5)
    return msgspec.Raw(msgspec.msgpack.encode("x" * (size - header)))


def done(ticket: int, size: int = 1) -> m.Done:
    return m.Done(ticket, raw(size))


def heard(frames: Sequence[Frame]) -> list[list[m.OneFromReplica]]:
    """What each frame brought."""
    return [list(said_by_replica(frame.head)) for frame in frames]


async def test_what_is_said_in_a_turn_leaves_as_one_at_its_end() -> None:
    box, end = pair()
    said: list[m.OneFromReplica] = [done(1), m.Readied(), m.Failed(2, "call", "no", ""), m.Pong(3)]
    for message in said:
        assert box.say(message) is False
    assert not end.frames
    assert heard(await end.received(1)) == [said]


async def test_turns_do_not_wait_for_each_other() -> None:
    box, end = pair()
    for number in range(3):
        box.say(m.Pong(number))
        await end.received(number + 1)
    assert heard(end.frames) == [[m.Pong(0)], [m.Pong(1)], [m.Pong(2)]]


async def test_who_has_nothing_else_to_say_need_not_wait() -> None:
    here, there = MemoryConnection.pair()
    box = Box(here, m.TurnFromReplica)
    box.say(m.Pong(1), at_once=True)
    assert there.backlog == 0
    assert here.backlog > 0


@pytest.mark.parametrize(
    ("large", "segments"),
    [
        (done(2, SMALL + 1), ()),
        (m.Item(2, raw(SMALL + 1)), ()),
        (m.Failed(2, "call", "x" * SMALL, "y"), ()),
        (done(2), (bytes(16),)),
    ],
    ids=["a result", "an item", "an error", "with a body"],
)
async def test_what_is_large_leaves_by_itself_behind_what_was_said_before(
    large: m.OneFromReplica, segments: Sequence[bytes]
) -> None:
    box, end = pair()
    box.say(done(1))
    assert box.say(large, segments) is False
    box.say(done(3))
    frames = await end.received(3)
    assert heard(frames) == [[done(1)], [large], [done(3)]]
    assert [bytes(frame.body) for frame in frames] == [b"", b"".join(segments), b""]


async def test_who_speaks_is_told_what_went_among_the_large_ones() -> None:
    box, end = pair()
    assert box.say(done(1), (bytes(BULK),)) is True
    assert box.say(done(2), bulk=True) is True
    await end.received(2)
    assert heard(end.frames) == [[done(1)], [done(2)]]


async def test_what_no_reader_takes_is_refused_and_nothing_else_is_lost() -> None:
    box, end = pair()
    box.say(done(1))
    with pytest.raises(WireError, match="a frame of"):
        box.say(done(2, MAX_HEAD))
    box.say(done(3))
    assert heard(await end.received(2)) == [[done(1)], [done(3)]]


async def test_a_turn_of_very_many_messages_fits_into_frames() -> None:
    box, end = pair()
    count = 1000
    for ticket in range(count):
        box.say(done(ticket, SMALL))
    box.leave()
    await end.until(lambda: sum(map(len, heard(end.frames))) == count)
    assert [one for frame in heard(end.frames) for one in frame] == [done(ticket, SMALL) for ticket in range(count)]
    assert max(len(head) for head in end.heads) < MAX_HEAD // 8


async def test_the_last_words_arrive_before_the_end() -> None:
    box, end = pair()
    box.say(done(1))
    box.close()
    assert await end.ended() == "closed by the other side"
    assert heard(end.frames) == [[done(1)]]


async def test_nobody_hears_what_is_said_after_the_end() -> None:
    box, end = pair()
    box.say(done(1))
    end.connection.abort()
    box.say(done(2))
    await end.ended()
    await asyncio.sleep(0)
    assert not end.frames


@given(said=st.lists(st.tuples(st.sampled_from([1, SMALL, SMALL + 1]), st.booleans(), st.booleans()), max_size=20))
def test_small_messages_keep_their_order_whatever_is_said(said: list[tuple[int, bool, bool]]) -> None:
    async def run() -> None:
        box, end = pair()
        for ticket, (size, at_once, ends_turn) in enumerate(said):
            box.say(done(ticket, size), at_once=at_once)
            if ends_turn:
                await asyncio.sleep(0)
        await end.until(lambda: sum(map(len, heard(end.frames))) == len(said))
        assert [one for frame in heard(end.frames) for one in frame] == [
            done(ticket, size) for ticket, (size, _, _) in enumerate(said)
        ]

    asyncio.run(run())
