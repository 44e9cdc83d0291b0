"""Two sockets become one connection, and whatever else comes through the door is shown out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kapelle.transport import sockets, stream
from kapelle.transport.connection import Connection
from kapelle.transport.lane import Lane
from kapelle.transport.stream import dial
from kapelle.wire.frames import encode
from tests.unit.transport.ends import End


@dataclass
class Door:
    """A listener, and raw sockets to it."""

    path: str
    accepted: asyncio.Queue[Connection] = field(default_factory=asyncio.Queue)
    sockets: list[asyncio.StreamWriter] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)

    async def accept(self) -> End:
        """The next connection."""
        self.ends.append(End(await self.accepted.get()).start())
        return self.ends[-1]

    async def raw(self, *frames: bytes, plain: bytes = b"") -> asyncio.StreamReader:
        """Connect one socket and send frames (and then ``plain``) through it."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.sockets.append(writer)
        for frame in frames:
            writer.writelines(encode(frame))
        writer.write(plain)
        return reader

    async def works(self) -> bool:
        """Whether a proper caller is served."""
        here = End(await sockets.connect(sockets.Address("unix", self.path))).start()
        here.connection.send(b"hello")
        there = await self.accept()
        await there.received(1)
        here.connection.abort()
        await there.ended()
        return there.heads == [b"hello"]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    door = Door(str(tmp_path / "s"))
    server = await sockets.serve(sockets.bind(sockets.Address("unix", door.path)), door.accepted.put_nowait)
    yield door
    for writer in door.sockets:
        writer.close()
    for end in door.ends:
        end.connection.abort()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "greeting",
    [
        b"hello",
        b"kapelle/1 ",
        b"kapelle/1 abc",
        b"kapelle/1 abc large",
        b"kapelle/2 abc small",
        b"xkapelle/1 abc small",
        b"\xff" * 1000,
    ],
)
async def test_who_does_not_greet_properly_is_cut_off(door: Door, greeting: bytes) -> None:
    reader = await door.raw(greeting)
    assert await ends(reader)
    assert door.accepted.empty()
    assert await door.works()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 8, b"\xff" * 100, b"\x16\x03\x01\x02\x00\x01"]
)
async def test_what_is_no_frame_at_all_is_cut_off(door: Door, garbage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    # The last of these looks like the beginning of a long frame: only time tells.
    monkeypatch.setattr(stream, "PAIRING_TIMEOUT", 0.05)
    assert await ends(await door.raw(plain=garbage))
    assert door.accepted.empty()
    assert await door.works()


@pytest.mark.parametrize("frames", [(), (b"kapelle/1 abc small",), (b"kapelle/1 abc bulk", b"hello")])
async def test_a_socket_without_its_other_half_is_cut_off_in_time(
    door: Door, frames: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PAIRING_TIMEOUT", 0.05)
    assert await ends(await door.raw(*frames))
    # And it is forgotten: its other half waits for a new partner.
    late = await door.raw(b"kapelle/1 abc small" if frames and frames[0].endswith(b"bulk") else b"kapelle/1 abc bulk")
    assert await ends(late)
    assert door.accepted.empty()


async def test_a_half_that_broke_is_no_partner(door: Door) -> None:
    broken = await door.raw(b"kapelle/1 abc small", plain=b"\xff" * 8)
    assert await ends(broken)
    second = await door.raw(b"kapelle/1 abc small")
    await door.raw(b"kapelle/1 abc bulk")
    there = await door.accept()
    there.connection.send(b"to the second")
    assert (await second.read(1000)).endswith(b"to the second")


async def test_who_says_all_and_closes_at_once_is_heard(door: Door) -> None:
    await door.raw(b"kapelle/1 abc small", b"all of it")
    door.sockets[0].write_eof()
    assert await ends(await door.raw(b"kapelle/2 waits until the end was seen"))
    await door.raw(b"kapelle/1 abc bulk")
    there = await door.accept()
    await there.received(1)
    assert there.heads == [b"all of it"]


async def test_two_of_one_kind_are_not_a_pair(door: Door) -> None:
    first = await door.raw(b"kapelle/1 abc small")
    second = await door.raw(b"kapelle/1 abc small")
    assert await ends(second)
    await door.raw(b"kapelle/1 abc bulk")
    there = await door.accept()
    there.connection.send(b"to the first")
    assert (await first.read(1000)).endswith(b"to the first")


async def test_frames_may_follow_the_greeting_at_once(door: Door) -> None:
    await door.raw(b"kapelle/1 abc bulk", b"second")
    await door.raw(b"kapelle/1 abc small", b"first", b"first")
    there = await door.accept()
    assert sorted(frame.head for frame in await there.received(3)) == [b"first", b"first", b"second"]


async def test_pairs_are_told_apart_by_their_names(door: Door) -> None:
    readers = {}
    for name in (b"a", b"b"):
        readers[name] = await door.raw(b"kapelle/1 " + name + b" small")
    await door.raw(b"kapelle/1 b bulk", b"this is b")
    there = await door.accept()
    await there.received(1)
    there.connection.send(b"hello b")
    assert (await readers[b"b"].read(1000)).endswith(b"hello b")


async def test_a_break_of_one_socket_ends_the_other(door: Door) -> None:
    small = await door.raw(b"kapelle/1 abc small")
    await door.raw(b"kapelle/1 abc bulk")
    there = await door.accept()
    door.sockets[1].write(b"\xff" * 8)
    assert "a frame of 4294967295 + 4294967295 bytes" in await there.ended()
    assert await ends(small)


async def test_an_orderly_end_of_one_socket_lets_the_other_finish(door: Door) -> None:
    await door.raw(b"kapelle/1 abc small", b"small")
    await door.raw(b"kapelle/1 abc bulk")
    there = await door.accept()
    await there.received(1)
    door.sockets[0].write_eof()
    door.sockets[1].writelines(encode(b"still on its way"))
    await there.received(2)
    assert there.heads == [b"small", b"still on its way"]
    assert there.lost == []
    door.sockets[1].write_eof()
    assert await there.ended() == "closed by the other side"


async def test_a_dial_of_which_only_half_succeeds_leaves_nothing_open(door: Door) -> None:
    opened: list[Lane] = []

    async def open_lane() -> Lane:
        if opened:
            raise ConnectionRefusedError("no more")
        _, lane = await asyncio.get_running_loop().create_unix_connection(Lane, door.path)
        opened.append(lane)
        return lane

    with pytest.raises(ConnectionRefusedError):
        await dial(open_lane)
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    opened[0].start(lambda frames: None, over.set_result)
    assert await over == "closed here"
    assert door.accepted.empty()


async def test_a_dial_that_is_given_up_leaves_nothing_open(door: Door) -> None:
    opened: list[Lane] = []
    second_begun = asyncio.Event()

    async def open_lane() -> Lane:
        if opened:
            second_begun.set()
            await asyncio.Future()
        _, lane = await asyncio.get_running_loop().create_unix_connection(Lane, door.path)
        opened.append(lane)
        return lane

    task = asyncio.create_task(dial(open_lane))
    await second_begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    opened[0].start(lambda frames: None, over.set_result)
    assert await over == "closed here"


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends it without having said anything."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def test_only_what_somebody_can_write_to_is_copied_before_it_leaves() -> None:
    own = np.arange(6, dtype=np.uint8)
    shown = own.view()
    shown.flags.writeable = False
    came = np.frombuffer(memoryview(bytearray(6)).toreadonly(), np.uint8)
    written: list[Any] = [own.data, shown.data, shown[2:].data, memoryview(bytearray(6))]
    fixed: list[Any] = [came.data, came.reshape(2, 3)[1].data, b"padding", memoryview(b"text")]
    for segment in written:
        assert type(stream._settled(segment)) is bytes
        assert stream._settled(segment) == bytes(segment)
    for segment in fixed:
        assert stream._settled(segment) is segment
