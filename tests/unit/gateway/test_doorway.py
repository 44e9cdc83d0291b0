"""Clients come in while the gateway takes requests; meanwhile others wait at the same door."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
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
    """What the doorway looks at of a gateway."""

    def __init__(self) -> None:
        self.draining = False
        self.hung_up = 0

    def connection(self) -> Greeter:
        return Greeter()

    def hang_up(self) -> None:
        assert self.draining, "connections are told before that it is the last answer"
        self.hung_up += 1


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with open_door("127.0.0.1", 0) as door:
        yield door


def doorway_of(door: socket.socket, house: House, *, resting: bool = False) -> Doorway:
    return Doorway(door, cast(Gateway, cast(Any, house)), Settings(), None, resting=resting)


async def greeting(door: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(*door.getsockname())
    text = await reader.read()
    writer.close()
    return text


async def test_it_is_shut_and_opened_again(door: socket.socket) -> None:
    house, shut = House(), asyncio.Event()
    doorway = doorway_of(door.dup(), house)
    doorway.on_shut = shut.set
    await doorway.open()
    assert await greeting(door) == b"hello"
    doorway.rest(True)
    await shut.wait()
    assert (house.hung_up, house.draining) == (1, True)
    waiting = asyncio.create_task(greeting(door))
    doorway.rest(False)
    assert await waiting == b"hello", "who came meanwhile has waited at the door"
    assert not house.draining
    await doorway.close()


async def test_whoever_rests_leaves_the_door_to_others(door: socket.socket) -> None:
    resting, other = doorway_of(door.dup(), House(), resting=True), doorway_of(door.dup(), House())
    await resting.open()
    await other.open()
    assert await greeting(door) == b"hello"
    await other.close()
    waiting = asyncio.create_task(greeting(door))
    resting.rest(False)
    assert await waiting == b"hello"
    await resting.close()


async def test_a_rest_that_is_taken_back_disturbs_nobody(door: socket.socket) -> None:
    house = House()
    doorway = doorway_of(door.dup(), house)
    doorway.on_shut = pytest.fail
    await doorway.open()
    doorway.rest(True)
    await asyncio.sleep(0)
    doorway.rest(False)
    assert await greeting(door) == b"hello"
    assert doorway._turning is not None
    await doorway._turning
    assert (house.hung_up, house.draining) == (0, False)
    await doorway.close()
