"""Over TLS an end has to be said, and what has not left is counted where it waits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from kapelle.transport import tls_lane
from kapelle.transport.credentials import PeerTls
from kapelle.transport.tls_lane import TlsLane
from kapelle.wire.frames import encode
from tests.certificates import make_authority
from tests.unit.transport.ends import tls_of
from tests.unit.transport.listening import Listening

GOODBYE = b"".join(encode(tls_lane._GOODBYE))


@dataclass
class Bench(Listening):
    """A lane, and a stream over TLS to its other end."""

    lane: TlsLane
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def start(self) -> None:
        self.listen(self.lane)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> PeerTls:
    return tls_of(make_authority(tmp_path_factory.mktemp("authority")).sign("both"))


@pytest.fixture
async def bench(tls: PeerTls) -> AsyncIterator[Bench]:
    arrived: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: arrived.put_nowait((reader, writer)), "127.0.0.1", 0, ssl=tls.listens
    )
    _, lane = await asyncio.get_running_loop().create_connection(
        TlsLane, *server.sockets[0].getsockname(), ssl=tls.dials
    )
    bench = Bench(lane, *await arrived.get())
    bench.start()
    yield bench
    lane.abort()
    await bench.ended()
    bench.writer.transport.abort()
    server.close()
    await server.wait_closed()


async def test_who_closes_says_goodbye_after_all_else(bench: Bench) -> None:
    bench.lane.write(encode(b"last"))
    bench.lane.close()
    assert await bench.reader.readexactly(12 + len(GOODBYE)) == b"".join(encode(b"last")) + GOODBYE
    bench.writer.close()
    assert await bench.ended() == "closed here"
    assert not bench.lane.broken


async def test_goodbye_is_an_orderly_end_and_no_frame(bench: Bench) -> None:
    bench.writer.write(b"".join(encode(b"last")) + GOODBYE)
    assert await bench.reader.read() == b"", "it is answered by closing"
    bench.writer.close()
    assert await bench.ended() == "closed by the other side"
    assert [frame.head for frame in bench.frames] == [b"last"]
    assert not bench.lane.broken


async def test_an_end_without_goodbye_is_a_break(bench: Bench) -> None:
    """It is what somebody on the way could bring about who cannot read or write a byte of it."""
    bench.writer.write(b"".join(encode(b"not all")))
    transport = bench.writer.get_extra_info("socket")
    await bench.writer.drain()
    while not bench.frames:
        await bench.changed.wait()
        bench.changed.clear()
    with socket.socket(fileno=transport.fileno()) as raw:
        raw.shutdown(socket.SHUT_WR)
        raw.detach()
    assert await bench.ended() == "the stream ended without a goodbye"
    assert bench.lane.broken


async def test_a_frame_beyond_the_limits_is_cut_off(bench: Bench) -> None:
    bench.writer.write(b"\xff" * 8)
    assert "a frame of 4294967295 + 4294967295 bytes" in await bench.ended()
    assert bench.lane.broken


async def test_what_has_not_left_is_counted_and_not_encrypted_yet(bench: Bench) -> None:
    size = 64 << 20
    bench.lane.write(encode(b"large", [bytes(size)]))
    assert bench.lane.backlog > size
    left = 0
    while left < size // 2:
        left += len(await bench.reader.read(1 << 20))
    # What is on its way through the sockets and the other side's buffer is little beside what still waits.
    assert size // 4 < bench.lane.backlog < size
    assert sum(map(len, bench.lane._queue)) > bench.lane.backlog - 16 * tls_lane._PIECE
    while left < size + 13:
        left += len(await bench.reader.read(1 << 20))
    assert bench.lane.backlog == 0


async def test_frames_of_one_turn_leave_together_in_order(bench: Bench) -> None:
    frames = [encode(b"%d" % number, [bytes(number * 7)] if number % 3 == 0 else []) for number in range(2000)]
    for frame in frames:
        bench.lane.write(frame)
    expected = b"".join(map(bytes, (part for frame in frames for part in frame)))
    assert await bench.reader.readexactly(len(expected)) == expected


async def test_after_goodbye_nothing_is_sent(bench: Bench) -> None:
    bench.lane.close()
    bench.lane.write(encode(b"too late"))
    assert await bench.reader.readexactly(len(GOODBYE)) == GOODBYE
    bench.writer.write(GOODBYE)
    assert await bench.reader.read() == b""


async def test_two_that_close_at_once_both_end_in_order(bench: Bench) -> None:
    bench.lane.close()
    bench.writer.write(GOODBYE)
    bench.writer.close()
    assert await bench.ended() == "closed here"
    assert not bench.lane.broken
