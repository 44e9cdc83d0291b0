"""Clients come in while the gateway takes requests; meanwhile others wait at the same door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kapelle.config.settings import Settings
from kapelle.gateway.doorway import Doorway
from kapelle.gateway.front import Gateway
from kapelle.transport.door import open_door


class Greeter(asyncio.Protocol):
    """Says hello to whoever comes in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")
        transport.close()


class House:
    """What the doorway looks at of a gateway. ``resting`` are the connections it can leave."""

    def __init__(self) -> None:
        self.draining = False
        self.hung_up = 0
        self.resting: list[socket.socket] = []
        self.inherited = asyncio.Queue[socket.socket]()

    def connection(self) -> Greeter:
        return Greeter()

    def hang_up(self) -> None:
        assert self.draining, "connections are told before that it is the last answer"
        self.hung_up += 1

    def leave(self) -> list[socket.socket]:
        left, self.resting = self.resting, []
        return left

    async def inherit(self, client: socket.socket) -> None:
        self.inherited.put_nowait(client)


class Street:
    """A door, and the gateways that share it."""

    def __init__(self, folder: Path) -> None:
        self.door = open_door("127.0.0.1", 0)
        self._folder = folder
        self._count = 0

    def doorway(self, house: House, *, resting: bool = False) -> Doorway:
        self._count += 1
        address = self._folder / f"gateway-{self._count}.door"
        gateway = cast(Gateway, cast(Any, house))
        return Doorway(self.door.dup(), address, gateway, Settings(), None, None, resting=resting)

    async def greeting(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self.door.getsockname())
        text = await reader.read()
        writer.close()
        return text


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    street = Street(tmp_path)
    yield street
    street.door.close()


async def test_it_is_shut_and_opened_again(street: Street) -> None:
    house, shut = House(), asyncio.Event()
    doorway = street.doorway(house)
    doorway.on_shut = shut.set
    await doorway.open()
    assert await street.greeting() == b"hello"
    doorway.rest(True)
    await shut.wait()
    assert (house.hung_up, house.draining) == (1, True)
    waiting = asyncio.create_task(street.greeting())
    doorway.rest(False)
    assert await waiting == b"hello", "who came meanwhile has waited at the door"
    assert not house.draining
    await doorway.close()


async def test_whoever_rests_leaves_the_door_to_others(street: Street) -> None:
    resting, other = street.doorway(House(), resting=True), street.doorway(House())
    await resting.open()
    await other.open()
    assert await street.greeting() == b"hello"
    await other.close()
    waiting = asyncio.create_task(street.greeting())
    resting.rest(False)
    assert await waiting == b"hello"
    await resting.close()


async def test_a_rest_that_is_taken_back_disturbs_nobody(street: Street) -> None:
    house = House()
    doorway = street.doorway(house)
    doorway.on_shut = pytest.fail
    await doorway.open()
    doorway.rest(True)
    await asyncio.sleep(0)
    doorway.rest(False)
    assert await street.greeting() == b"hello"
    assert doorway._turning is not None
    await doorway._turning
    assert (house.hung_up, house.draining) == (0, False)
    await doorway.close()


async def test_clients_that_rest_are_left_to_whoever_is_open(street: Street) -> None:
    going, resting, staying = House(), House(), House()
    doorways = [street.doorway(going), street.doorway(resting, resting=True), street.doorway(staying)]
    for doorway in doorways:
        await doorway.open()
    client, ours = socket.socketpair()
    client.send(b"on its way")
    going.resting = [ours]
    await doorways[0].close()
    with await staying.inherited.get() as heir, client:
        assert heir.recv(100) == b"on its way"
    assert resting.inherited.empty()
    assert going.hung_up == 1, "those that are left are not hung up; others are"
    for doorway in doorways[1:]:
        await doorway.close()


async def test_the_last_one_keeps_its_clients_and_parts_from_them(street: Street) -> None:
    house = House()
    doorway = street.doorway(house)
    await doorway.open()
    with socket.socket() as ours:
        house.resting = [ours]
        await doorway.close()
        assert house.resting == [ours]
        assert house.hung_up == 1


async def test_nothing_is_opened_after_the_end(street: Street) -> None:
    house = House()
    doorway = street.doorway(house)
    await doorway.open()
    closing = asyncio.create_task(doorway.close())
    await asyncio.sleep(0)
    doorway.rest(False)
    await closing
    assert house.draining
    assert doorway._server is None


async def test_it_moves_to_another_door(street: Street) -> None:
    doorway = street.doorway(House())
    await doorway.open()
    street.door.close()
    street.door = open_door("127.0.0.1", 0)
    await doorway.move(street.door.dup())
    assert await street.greeting() == b"hello"
    await doorway.close()
    assert doorway._door.fileno() < 0


async def test_who_rests_moves_as_well(street: Street) -> None:
    doorway = street.doorway(House(), resting=True)
    street.door.close()
    street.door = open_door("127.0.0.1", 0)
    await doorway.move(street.door.dup())
    waiting = asyncio.create_task(street.greeting())
    doorway.rest(False)
    assert await waiting == b"hello"
    await doorway.close()


async def test_what_is_shut_while_it_moves_stays_shut(street: Street) -> None:
    doorway = street.doorway(House())
    await doorway.open()
    closing = asyncio.create_task(doorway.close())
    others = street.door.dup()
    await asyncio.gather(doorway.move(street.door.dup()), closing)
    assert doorway._server is None
    assert doorway._door.fileno() < 0
    await doorway.move(others)
    assert others.fileno() < 0, "a door that comes after the end is not kept open"
