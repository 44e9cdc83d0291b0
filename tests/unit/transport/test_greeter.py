"""Greetings over a socket: read one by one and no further, whatever else comes shows its sender out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from kapelle.transport.greeter import Caller, Host, LinkRefusedError
from kapelle.transport.handshake import MAX_GREETING, Dialling, Listening, Refusal, refusal_in
from kapelle.transport.lane import Lane
from kapelle.wire.frames import Frame, FrameReader, encode

SECRET = b"what only the processes of one system know"
LINK = b"0123456789abcdef"


@dataclass
class Bench:
    """A bare socket, whose other end greets."""

    other: socket.socket
    frames: list[Frame] = field(default_factory=list)
    reader: FrameReader = field(default_factory=FrameReader)

    async def say(self, *heads: bytes, plain: bytes = b"") -> None:
        data = b"".join(b"".join(encode(head)) for head in heads) + plain
        await asyncio.get_running_loop().sock_sendall(self.other, data)

    async def hear(self) -> bytes:
        """The next greeting; nothing when the other side has ended."""
        while not self.frames:
            count = await asyncio.get_running_loop().sock_recv_into(self.other, self.reader.get_buffer())
            if not count:
                return b""
            self.frames += self.reader.received(count)
        return self.frames.pop(0).head


@dataclass
class Door:
    """What a host does with those who come."""

    admitted: asyncio.Queue[tuple[Lane, bytes, bytes]] = field(default_factory=asyncio.Queue)
    complaints: list[str] = field(default_factory=list)

    def host(self, *, patience: float = 5.0) -> Host:
        return Host(
            Listening(SECRET),
            lambda *admitted: self.admitted.put_nowait(admitted),
            lambda _, reason, next_step: self.complaints.append(f"{reason}: {next_step}"),
            patience,
        )


@pytest.fixture
async def pair() -> AsyncIterator[tuple[socket.socket, Bench]]:
    one, other = socket.socketpair()
    for each in (one, other):
        each.setblocking(False)
    yield one, Bench(other)
    other.close()


async def enter(one: socket.socket, door: Door, *, patience: float = 5.0) -> None:
    await asyncio.get_running_loop().create_unix_connection(lambda: door.host(patience=patience), sock=one)


async def call(one: socket.socket, *, patience: float = 5.0) -> Caller:
    handshake = Dialling(SECRET, LINK, b"small")
    _, caller = await asyncio.get_running_loop().create_unix_connection(lambda: Caller(handshake, patience), sock=one)
    return caller


async def test_a_host_admits_who_proves_and_reads_what_follows_as_a_lane(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door)
    dialling = Dialling(SECRET, LINK, b"small")
    await bench.say(dialling.hello)
    proof = dialling.received(await bench.hear())
    assert proof is not None
    # What is sent at once, and much more than a greeting may be, is not lost on the way to the lane.
    await bench.say(proof, b"first", bytes(10 * MAX_GREETING))
    assert dialling.received(await bench.hear()) is None
    lane, link, role = await door.admitted.get()
    assert (link, role) == (LINK, b"small")
    frames: list[Frame] = []
    both = asyncio.Event()

    def on_frames(arrived: list[Frame]) -> None:
        frames.extend(arrived)
        if len(frames) == 2:
            both.set()

    lane.start(on_frames, lambda _: None)
    await both.wait()
    assert [frame.head for frame in frames] == [b"first", bytes(10 * MAX_GREETING)]
    lane.abort()


async def test_greetings_may_come_byte_by_byte(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door)
    dialling = Dialling(SECRET, LINK, b"small")
    for byte in b"".join(encode(dialling.hello)):
        await bench.say(plain=bytes([byte]))
    proof = dialling.received(await bench.hear())
    assert proof is not None
    for byte in b"".join(encode(proof)):
        await bench.say(plain=bytes([byte]))
    assert dialling.received(await bench.hear()) is None
    lane, _, _ = await door.admitted.get()
    lane.abort()


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (struct.pack("<II", MAX_GREETING + 1, 0), "does not greet as a process of this system does"),
        (struct.pack("<II", 10, 1), "does not greet as a process of this system does"),
        (struct.pack("<II", 0, 0), "does not greet as a process of this system does"),
        (b"GET / HTTP/1.1\r\n\r\n", "does not greet as a process of this system does"),
        (bytes.fromhex("1603010200010001fc03"), "it speaks TLS, this side does not"),
    ],
)
async def test_what_is_no_greeting_at_all_is_cut_off(
    pair: tuple[socket.socket, Bench], garbage: bytes, reason: str
) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door)
    await bench.say(plain=garbage)
    assert await ends(bench)
    assert len(door.complaints) == 1
    assert reason in door.complaints[0]
    assert door.admitted.empty()


async def test_who_is_refused_hears_why_although_it_keeps_talking(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door)
    await bench.say(b"kapelle/1 0123 small", *[b"and it goes on" * 100] * 20)
    assert refusal_in(await bench.hear()) is Refusal.DEMANDED
    assert await ends(bench)
    assert door.complaints == [f"{Refusal.ABSENT.text}: {Refusal.ABSENT.next_step}"]
    assert door.admitted.empty()


async def test_who_says_nothing_is_cut_off_in_time_and_without_a_complaint(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door, patience=0.02)
    assert await ends(bench)
    assert door.complaints == []


async def test_who_leaves_is_let_go(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    door = Door()
    await enter(one, door)
    bench.other.shutdown(socket.SHUT_WR)
    assert await ends(bench)
    assert door.complaints == []


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (Refusal.MISMATCH.greeting, "the secret does not match that of the other side: secret_file must name"),
        (Refusal.ABSENT.greeting, "the other side has no secret, and this process demands one: secret_file"),
        (b"kapelle/2 welcome", "the other side has no secret, and this process demands one: secret_file"),
        (b"hello yourself", "the other side does not greet as a process of this system does"),
        (b"x" * (MAX_GREETING + 1), "the other side does not greet as a process of this system does"),
    ],
)
async def test_a_caller_is_told_why_it_gets_no_lane(
    pair: tuple[socket.socket, Bench], greeting: bytes, words: str
) -> None:
    one, bench = pair
    caller = await call(one)
    await bench.hear()
    await bench.say(greeting)
    with pytest.raises(LinkRefusedError, match=words) as found:
        await caller.lane
    assert isinstance(found.value, OSError)
    with suppress(ConnectionResetError):
        while await bench.hear():
            pass


async def test_a_caller_does_not_wait_for_ever(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    caller = await call(one, patience=0.02)
    with pytest.raises(LinkRefusedError, match=r"did not answer the greeting within 0\.02 s"):
        await caller.lane
    await bench.hear()
    assert await ends(bench)


async def test_a_caller_that_is_left_alone_says_so(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    caller = await call(one)
    await bench.hear()
    bench.other.shutdown(socket.SHUT_RDWR)
    with pytest.raises(LinkRefusedError, match=r"ended the link before it had greeted .*; its log says why"):
        await caller.lane


async def test_a_lane_that_nobody_waits_for_is_ended(pair: tuple[socket.socket, Bench]) -> None:
    one, bench = pair
    caller = await call(one)
    listening = Listening(SECRET)
    challenge, _ = listening.received(await bench.hear())
    await bench.say(challenge)
    welcome, _ = listening.received(await bench.hear())
    await bench.say(welcome)
    await caller.lane
    caller.give_up()
    assert await ends(bench)


async def ends(bench: Bench) -> bool:
    """Whether the other side ends it without another word."""
    try:
        return await bench.hear() == b""
    except ConnectionResetError:
        return True
