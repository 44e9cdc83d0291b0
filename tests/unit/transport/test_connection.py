"""The contract of all transports, kept by memory, Unix sockets and TCP alike."""

from __future__ import annotations

import asyncio
import gc
import random
from pathlib import Path

import pytest

from kapelle.errors import WireError
from kapelle.transport.connection import BULK, is_bulk
from kapelle.wire.frames import MAX_HEAD, Frame
from tests.unit.transport.ends import End, Network

SIZES = (1, 2, 100, 4096, BULK - 1, BULK, BULK + 1, 300_000, 5_000_000)


def some_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(f"{size}/{seed}").randbytes(size)


@pytest.mark.parametrize("size", SIZES)
async def test_a_head_of_any_size_arrives_unchanged(network: Network, size: int) -> None:
    here, there = await network.connect()
    for one, other in ((here, there), (there, here)):
        one.connection.send(some_bytes(size))
        assert await other.received(1) == [Frame(some_bytes(size), b"")]


@pytest.mark.parametrize("size", SIZES)
async def test_a_body_arrives_as_one_whatever_it_was_made_of(network: Network, size: int) -> None:
    here, there = await network.connect()
    body = some_bytes(size)
    here.connection.send(b"head", [body[: size // 3], memoryview(body)[size // 3 :], bytearray(b"end")])
    ((head, arrived),) = await there.received(1)
    assert head == b"head"
    assert bytes(arrived) == body + b"end"


@pytest.mark.parametrize("size", [5_000, BULK, 5_000_000])
async def test_what_is_written_to_a_segment_afterwards_does_not_leave(network: Network, size: int) -> None:
    here, there = await network.connect()
    kept = bytearray(size)
    for number in range(4):
        kept[:] = bytes([number]) * size
        here.connection.send(b"%d" % number, [memoryview(kept)], at_once=number == 0)
    arrived = await there.received(4)
    assert [(head, set(bytes(body))) for head, body in arrived] == [(b"%d" % number, {number}) for number in range(4)]


@pytest.mark.parametrize("seed", range(3))
async def test_frames_of_one_class_keep_their_order_in_both_directions(network: Network, seed: int) -> None:
    here, there = await network.connect()
    chance = random.Random(seed)
    sizes = [chance.choice([10, 200, 5_000, BULK, 3 * BULK]) for _ in range(300)]
    for number, size in enumerate(sizes):
        for end in (here, there):
            segments = [bytes(size)] if size > 200 else ()
            end.connection.send(b"%06d" % number, segments, at_once=chance.random() < 0.3)
        if chance.random() < 0.1:
            await asyncio.sleep(0)
    for end in (here, there):
        frames = await end.received(len(sizes))
        for bulk in (False, True):
            arrived = [head for head, body in frames if is_bulk(head, [bytes(body)]) is bulk]
            sent = [b"%06d" % number for number, size in enumerate(sizes) if (size >= BULK) is bulk]
            assert arrived == sent


async def test_a_large_frame_under_way_does_not_hold_up_a_small_one(network: Network) -> None:
    here, there = await network.connect()
    here.connection.send(b"large", [bytes(64 << 20)])
    here.connection.send(b"small")
    await there.received(2)
    assert there.heads == [b"small", b"large"]


async def test_a_small_frame_can_be_kept_behind_the_large_ones(network: Network) -> None:
    here, there = await network.connect()
    here.connection.send(b"large", [bytes(8 << 20)])
    here.connection.send(b"after it", bulk=True)
    here.connection.send(b"small")
    await there.received(3)
    assert there.heads == [b"small", b"large", b"after it"]


async def test_what_is_sent_before_the_other_side_starts_is_kept_for_it(network: Network) -> None:
    here, there = await network.unstarted()
    here.start()
    here.connection.send(b"early")
    here.connection.send(b"large", [bytes(BULK)])
    there.start()
    await there.received(2)
    assert there.heads == [b"early", b"large"]


async def test_the_backlog_is_what_has_not_left(network: Network) -> None:
    here, there = await network.connect()
    assert here.connection.backlog == 0
    here.connection.send(b"large", [bytes(16 << 20)])
    here.connection.send(b"small")
    assert here.connection.backlog > 16 << 20
    await there.received(2)
    there.connection.send(b"all of it is here")
    await here.received(1)
    assert here.connection.backlog == there.connection.backlog == 0


async def test_a_frame_no_reader_would_take_is_refused_where_it_is_made(network: Network) -> None:
    here, there = await network.connect()
    for head in (bytes(MAX_HEAD + 1), b""):
        with pytest.raises(WireError, match="a frame of"):
            here.connection.send(head)
    here.connection.send(b"next")
    await there.received(1)
    assert there.heads == [b"next"]


async def test_close_delivers_what_was_sent_and_ends_both_sides_once(network: Network) -> None:
    here, there = await network.connect()
    for number in range(50):
        here.connection.send(b"%d" % number)
    here.connection.send(b"large", [bytes(20 << 20)])
    here.connection.close()
    assert "other side" in await there.ended()
    assert sorted(there.heads) == sorted([b"%d" % number for number in range(50)] + [b"large"])
    assert await here.ended() == "closed here"
    await settle()
    assert (len(here.lost), len(there.lost)) == (1, 1)


async def test_close_delivers_although_the_other_side_is_sending(network: Network) -> None:
    """What lies unread in a socket that is closed must not take back what was sent through it."""
    here, there = await network.connect()
    for _ in range(100):
        there.connection.send(b"nobody reads this", [bytes(1000)])
    here.connection.send(b"small")
    here.connection.send(b"large", [bytes(4 << 20)])
    here.connection.close()
    await there.ended()
    assert there.heads == [b"small", b"large"]
    await here.ended()
    assert here.frames == [], "nothing is received after close"


@pytest.mark.parametrize("who", ["one", "other"])
async def test_abort_ends_both_sides_once(network: Network, who: str) -> None:
    ends = await network.connect()
    here, there = ends if who == "one" else ends[::-1]
    here.connection.send(b"large", [bytes(64 << 20)])
    here.connection.abort()
    assert await here.ended() == "closed here"
    await there.ended()
    await settle()
    assert (len(here.lost), len(there.lost)) == (1, 1)
    assert there.frames == []


async def test_ending_twice_is_ending_once(network: Network) -> None:
    here, there = await network.connect()
    here.connection.close()
    here.connection.close()
    here.connection.abort()
    there.connection.abort()
    await here.ended()
    await there.ended()
    for end in (here, there):
        end.connection.close()
        end.connection.abort()
        end.connection.send(b"to nobody")
        end.connection.send(b"to nobody", [bytes(BULK)])
    await settle()
    assert (len(here.lost), len(there.lost)) == (1, 1)
    assert here.frames == there.frames == []
    assert here.connection.backlog == 0


async def test_an_end_before_the_start_is_told_after_it(network: Network) -> None:
    here, there = await network.unstarted()
    here.start()
    here.connection.close()
    await here.until(lambda: here.lost or not here.connection.backlog)
    there.start()
    await there.ended()
    await here.ended()


async def test_closing_while_frames_are_delivered_is_fine(network: Network) -> None:
    here, there = await network.unstarted()
    here.start()

    def hang_up(frames: list[Frame]) -> None:
        there.connection.send(b"answer")
        there.connection.close()

    gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    there.connection.start(hang_up, gone.set_result)
    here.connection.send(b"question")
    await here.received(1)
    await here.ended()
    assert await gone == "closed here"


async def test_connections_leave_nothing_behind(network: Network) -> None:
    await open_and_close(network, 20)
    gc.collect()
    tasks, handles = len(asyncio.all_tasks()), open_files()
    for _ in range(20):
        await open_and_close(network, 10 if network.is_costly else 100)
    gc.collect()
    assert len(asyncio.all_tasks()) == tasks
    assert open_files() <= handles


async def open_and_close(network: Network, count: int) -> None:
    ends: list[End] = []
    for number in range(count):
        here, there = await network.connect()
        here.connection.send(b"hello")
        (here.connection.close if number % 2 else here.connection.abort)()
        ends += (here, there)
    for end in ends:
        await end.ended()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(10):
        await asyncio.sleep(0)
