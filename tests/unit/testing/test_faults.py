"""Faults do what they say, in both directions, and keep to the contract of a connection."""

from __future__ import annotations

import asyncio

import pytest

from kapelle.testing.faults import Faults
from kapelle.transport.connection import BULK, Connection
from kapelle.transport.memory import MemoryConnection
from tests.unit.transport.ends import End

NAME = "Encoder-0"


class Line:
    """A connection with faults; ``here`` is the side of the gateway."""

    def __init__(self) -> None:
        self.faults = Faults(lambda: [NAME, "Encoder-1"])
        one, other = MemoryConnection.pair()
        self.faulty: Connection = self.faults.wrap(NAME, one)
        self.here = End(self.faulty).start()
        self.there = End(other).start()


async def test_without_faults_nothing_is_changed() -> None:
    line = Line()
    line.here.connection.send(b"question", [b"body"])
    line.here.connection.send(b"bulk", bulk=True)
    await line.there.received(2)
    line.there.connection.send(b"answer")
    await line.here.received(1)
    assert line.here.connection.backlog == 0
    line.here.connection.close()
    assert await line.there.ended() == "closed by the other side"
    assert await line.here.ended() == "closed here"


async def test_a_delay_delays_both_ways() -> None:
    line = Line()
    loop = asyncio.get_running_loop()
    line.faults.delay(NAME, 0.02)
    began = loop.time()
    line.here.connection.send(b"question")
    await line.there.received(1)
    assert loop.time() - began >= 0.018
    began = loop.time()
    line.there.connection.send(b"answer")
    await line.here.received(1)
    assert loop.time() - began >= 0.018


async def test_what_is_sent_later_arrives_later_whatever_the_delay() -> None:
    line = Line()
    line.faults.delay(NAME, 0.02)
    line.here.connection.send(b"first")
    line.faults.delay(NAME, 0.001)
    line.here.connection.send(b"second")
    line.faults.heal(NAME)
    line.here.connection.send(b"third")
    await line.there.received(3)
    assert line.there.heads == [b"first", b"second", b"third"]
    line.here.connection.send(b"fourth")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert line.there.heads[3:] == [b"fourth"], "nothing is in its way any more"


async def test_close_delivers_what_was_delayed() -> None:
    line = Line()
    line.faults.delay(NAME, 0.01)
    line.here.connection.send(b"last words")
    line.here.connection.close()
    await line.there.ended()
    assert line.there.heads == [b"last words"]
    await line.here.ended()


async def test_the_end_comes_after_what_was_said_before_it() -> None:
    line = Line()
    line.faults.delay(NAME, 0.01)
    line.there.connection.send(b"last words")
    line.there.connection.close()
    await line.here.ended()
    assert line.here.heads == [b"last words"]


async def test_dropped_frames_vanish_and_the_connection_stays() -> None:
    line = Line()
    line.faults.drop(NAME)
    for end in (line.here, line.there):
        end.connection.send(b"lost")
        end.connection.send(b"lost", [bytes(BULK)])
    for _ in range(10):
        await asyncio.sleep(0)
    assert line.here.frames == line.there.frames == []
    assert line.here.lost == line.there.lost == []


async def test_healing_breaks_what_has_lost_frames() -> None:
    """Nobody shall wait for a frame that does not come."""
    line = Line()
    line.faults.drop(NAME)
    line.here.connection.send(b"lost")
    line.faults.heal(NAME)
    await line.there.ended()
    await line.here.ended()
    assert (len(line.here.lost), len(line.there.lost)) == (1, 1)


async def test_healing_leaves_what_has_lost_nothing() -> None:
    line = Line()
    line.faults.drop(NAME)
    line.faults.heal(NAME)
    line.here.connection.send(b"found")
    await line.there.received(1)
    assert line.here.lost == []


@pytest.mark.parametrize("fault", ["none", "delay", "drop"])
async def test_a_cut_ends_both_sides_at_once(fault: str) -> None:
    line = Line()
    if fault == "delay":
        line.faults.delay(NAME, 60.0)
    if fault == "drop":
        line.faults.drop(NAME)
    line.here.connection.send(b"on its way")
    line.faults.cut(NAME)
    line.faults.cut("Encoder-1")
    await line.here.ended()
    await line.there.ended()
    assert line.there.frames == []
    line.faults.cut(NAME)
    assert (len(line.here.lost), len(line.there.lost)) == (1, 1)


async def test_a_killed_peer_is_noticed_through_every_fault() -> None:
    line = Line()
    line.faults.drop(NAME)
    line.there.connection.abort()
    assert await line.here.ended() == "closed by the other side"


async def test_later_connections_suffer_too() -> None:
    line = Line()
    line.faults.drop(NAME)
    one, other = MemoryConnection.pair()
    here = End(line.faults.wrap(NAME, one)).start()
    there = End(other).start()
    here.connection.send(b"lost")
    line.faults.heal(NAME)
    await here.ended()
    assert there.frames == []


@pytest.mark.parametrize("fault", ["delay", "drop", "cut", "heal"])
async def test_a_replica_that_does_not_exist_is_an_error(fault: str) -> None:
    faults = Faults(lambda: [NAME, "Encoder-1"])
    with pytest.raises(ValueError, match="no replica 'Encoder-2'; there are Encoder-0, Encoder-1"):
        getattr(faults, fault)("Encoder-2", *([1.0] if fault == "delay" else []))
