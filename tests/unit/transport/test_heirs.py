"""Connections change hands without a byte being lost, and nobody keeps what is not theirs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kapelle.transport import heirs
from kapelle.transport.heirs import Heir, heirs_in, leave_to
from tests.unit.transport.test_door import open_handles


class Taker:
    """What an heir was left."""

    def __init__(self, door: Path) -> None:
        self.clients: list[socket.socket] = []
        self.heir = Heir(door, self.clients.append)


@pytest.fixture
async def taker(tmp_path: Path) -> AsyncIterator[Taker]:
    taker = Taker(tmp_path / "a.door")
    yield taker
    taker.heir.close()
    for client in taker.clients:
        client.close()


def pairs(count: int) -> tuple[list[socket.socket], list[socket.socket]]:
    """Clients, and our sides of their connections."""
    made = [socket.socketpair() for _ in range(count)]
    return [theirs for theirs, _ in made], [ours for _, ours in made]


async def test_what_is_under_way_arrives_at_the_heir(taker: Taker, tmp_path: Path) -> None:
    clients, ours = pairs(250)
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    assert await leave_to(heirs_in(tmp_path), ours) == []
    assert {one.fileno() for one in ours} == {-1}, "whoever leaves them keeps nothing"
    for number, (client, heir) in enumerate(zip(clients, taker.clients, strict=True)):
        assert heir.recv(10) == b"%d" % number
        assert not heir.getblocking()
        assert not heir.get_inheritable()
        heir.send(b"answer")
        assert client.recv(10) == b"answer"
        client.close()


async def test_the_next_one_takes_what_the_first_does_not(taker: Taker, tmp_path: Path) -> None:
    before = open_handles()
    clients, ours = pairs(3)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "0.heir"))
        assert await leave_to(heirs_in(tmp_path), ours) == []
    assert len(taker.clients) == 3
    for one in (*clients, *taker.clients):
        one.close()
    assert open_handles() == before


async def test_an_heir_that_says_nothing_may_have_taken_them(
    taker: Taker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heirs, "_PATIENCE", 0.05)
    clients, ours = pairs(2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "0.heir"))
        mute.listen()
        assert await leave_to(heirs_in(tmp_path), ours) == []
        assert {one.fileno() for one in ours} == {-1}, "two must not read from one connection"
    assert taker.clients == []
    assert [client.recv(1) for client in clients] == [b"", b""], "with the heir, the connections are gone"
    for client in clients:
        client.close()


async def test_what_nobody_takes_is_still_ours(taker: Taker, tmp_path: Path) -> None:
    heirs = heirs_in(tmp_path)
    taker.heir.close()
    assert heirs_in(tmp_path) == []
    clients, ours = pairs(2)
    assert await leave_to(heirs, ours) == ours
    ours[0].send(b"still")
    assert clients[0].recv(10) == b"still"
    for one in (*clients, *ours):
        one.close()
    taker.heir = Heir(tmp_path / "a.door", taker.clients.append)


async def test_a_giver_that_is_gone_or_gives_nothing_is_no_loss(taker: Taker, tmp_path: Path) -> None:
    (heir,) = heirs_in(tmp_path)
    with socket.socket(socket.AF_UNIX) as empty_handed:
        empty_handed.connect(str(heir))
    clients, ours = pairs(1)
    with socket.socket(socket.AF_UNIX) as hasty:
        hasty.connect(str(heir))
        socket.send_fds(hasty, [b"1"], [ours[0].fileno()])
    with socket.socket(socket.AF_UNIX) as lossy:
        lossy.connect(str(heir))
        socket.send_fds(lossy, [b"2"], [ours[0].fileno()])
        lossy.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(lossy, 10) == b"", "what did not come whole is not taken"
    clients_more, more = pairs(1)
    assert await leave_to([heir], more) == []
    assert len(taker.clients) == 2
    for one in (*clients, *clients_more, *ours):
        one.close()


async def test_whoever_waits_when_it_closes_keeps_what_is_theirs(taker: Taker, tmp_path: Path) -> None:
    (heir,) = heirs_in(tmp_path)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.setblocking(False)
        waiting.connect(str(heir))
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while not taker.heir._givers:  # noqa: ASYNC110 - nobody is told when it has met somebody
                await asyncio.sleep(0)
        taker.heir.close()
        assert await loop.sock_recv(waiting, 1) == b""
    taker.heir = Heir(tmp_path / "a.door", taker.clients.append)
