"""One socket: what is malformed, cut short or never closed ends it with a reason."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from kapelle.transport import lane as lanes
from kapelle.transport.lane import Lane
from kapelle.wire.frames import MAX_BODY, MAX_HEAD, Frame, encode
from tests.unit.transport.listening import Listening


@dataclass
class Bench(Listening):
    """A lane with a bare socket at its other end."""

    lane: Lane
    other: socket.socket

    def start(self) -> None:
        self.listen(self.lane)

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.other, data)

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.other, 1 << 20)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    one, other = socket.socketpair()
    other.setblocking(False)
    _, lane = await asyncio.get_running_loop().create_unix_connection(Lane, sock=one)
    bench = Bench(lane, other)
    yield bench
    lane.abort()
    other.close()


def header(head: int, body: int) -> bytes:
    return head.to_bytes(4, "little") + body.to_bytes(4, "little")


@pytest.mark.parametrize(("head", "body"), [(MAX_HEAD + 1, 0), (1, MAX_BODY + 1), (0, 5), (0xFFFFFFFF, 0xFFFFFFFF)])
async def test_a_frame_beyond_the_limits_is_cut_off(bench: Bench, head: int, body: int) -> None:
    bench.start()
    await bench.say(header(head, body))
    assert await bench.ended() == f"a frame of {head} + {body} bytes; expected 1 to {MAX_HEAD} + {MAX_BODY}"
    assert bench.lane.broken
    assert bench.frames == []


@pytest.mark.parametrize("cut", [1, 7, 8, 10])
async def test_an_end_within_a_frame_is_a_break(bench: Bench, cut: int) -> None:
    bench.start()
    await bench.say(b"".join(encode(b"whole")) + b"".join(encode(b"not all of it", [bytes(100)]))[:cut])
    bench.other.shutdown(socket.SHUT_WR)
    assert "the stream ended" in await bench.ended()
    assert bench.lane.broken
    assert [frame.head for frame in bench.frames] == [b"whole"]


async def test_an_end_within_a_large_frame_is_a_break(bench: Bench) -> None:
    bench.start()
    await bench.say(header(10, 1 << 20) + bytes(5000))
    bench.other.shutdown(socket.SHUT_WR)
    assert await bench.ended() == f"the stream ended after 5000 of a frame's {10 + (1 << 20)} bytes"
    assert bench.lane.broken


async def test_an_end_between_frames_is_in_order(bench: Bench) -> None:
    bench.start()
    await bench.say(b"".join(encode(b"last")))
    bench.other.shutdown(socket.SHUT_WR)
    assert await bench.ended() == "closed by the other side"
    assert not bench.lane.broken
    assert [frame.head for frame in bench.frames] == [b"last"]


async def test_frames_of_one_turn_leave_together(bench: Bench) -> None:
    bench.start()
    for number in range(10):
        bench.lane.write(encode(b"%d" % number))
    assert await bench.hear() == b"".join(b"".join(encode(b"%d" % number)) for number in range(10))


async def test_a_frame_may_leave_at_once_behind_those_before_it(bench: Bench) -> None:
    bench.start()
    bench.lane.write(encode(b"first"))
    bench.lane.write(encode(b"second"), at_once=True)
    # No turn of the event loop has passed.
    assert bench.other.recv(100) == b"".join(encode(b"first") + encode(b"second"))
    bench.lane.write(encode(b"third"))
    assert await bench.hear() == b"".join(encode(b"third"))


async def test_close_waits_for_the_other_side_but_not_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_LINGER", 0.02)
    bench.start()
    bench.lane.write(encode(b"last"))
    bench.lane.close()
    assert await bench.ended() == "closed here"
    assert bench.lane.broken, "the other side never closed"
    assert (await bench.hear()).endswith(b"last")


async def test_close_lingers_as_long_as_something_leaves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_LINGER", 0.01)
    bench.start()
    bench.lane.write([bytes(16 << 20)])
    bench.lane.close()
    received = 0
    while chunk := await bench.hear():
        received += len(chunk)
        await asyncio.sleep(0.001)  # a slow reader is the subject
        if received > 4 << 20:
            monkeypatch.setattr(lanes, "_LINGER", 5.0)
    assert received == 16 << 20
    bench.other.close()
    await bench.ended()
    assert not bench.lane.broken


async def test_what_is_written_after_close_is_thrown_away(bench: Bench) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    bench.start()
    bench.lane.write(encode(b"last"))
    bench.lane.close()
    bench.lane.write(encode(b"too late"))
    bench.lane.write(encode(b"much too late"), at_once=True)
    assert (await bench.hear()).endswith(b"last")
    assert await bench.hear() == b""
    bench.other.close()
    assert await bench.ended() == "closed here"
    assert failures == []


async def test_what_arrives_after_close_is_thrown_away(bench: Bench) -> None:
    bench.start()
    bench.lane.close()
    await bench.say(b"".join(encode(b"too late")) * 1000)
    bench.other.shutdown(socket.SHUT_WR)
    assert await bench.ended() == "closed here"
    assert bench.frames == []


async def test_what_is_held_is_for_who_starts_next(bench: Bench) -> None:
    greeted = asyncio.Event()
    gone: list[str] = []

    def greet(frames: list[Frame]) -> None:
        bench.lane.hold(frames[1:], gone.append)
        greeted.set()

    bench.lane.start(greet, bench.lost.append)
    await bench.say(b"".join(b"".join(encode(head)) for head in (b"greeting", b"one", b"two")))
    await greeted.wait()
    bench.start()
    assert [frame.head for frame in bench.frames] == [b"one", b"two"]
    bench.other.close()
    await bench.ended()
    assert gone == []


async def test_who_holds_hears_of_the_end(bench: Bench) -> None:
    gone = asyncio.get_running_loop().create_future()
    bench.lane.hold([], gone.set_result)
    bench.other.close()
    assert await gone == "closed by the other side"
    bench.start()
    assert bench.lost == ["closed by the other side"], "and so does who comes after that"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system cannot give up by itself")
async def test_the_system_gives_up_a_machine_that_acknowledges_nothing() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Lane, "127.0.0.1", 0)
    transport, lane = await loop.create_connection(Lane, *server.sockets[0].getsockname())
    lane.give_up_unheard()
    timeout = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert 1000 <= timeout <= 2000
    lane.abort()
    server.close()
