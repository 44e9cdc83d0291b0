"""A child as it is heard: real processes, and where the point is what is said and when, a control socket of our own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from kapelle.control.child import Child, Ears
from kapelle.control.exits import birth, wait_for_exit
from kapelle.control.spawn import spawn
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.sockets import Address
from kapelle.transport.supervision import Supervised
from kapelle.wire import messages
from tests.unit.control.stage import recipe


class Theatre:
    """Children, and all that was heard of them in the order in which it was heard."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[object] = []
        self.control = Address("unix", str(folder / "control"))
        self._data = Address("unix", str(folder / "data"))
        self._changed = asyncio.Event()
        self._started: list[subprocess.Popen[bytes]] = []
        self._children: list[Child] = []
        self._servers: list[asyncio.Server] = []
        self.ears = Ears(
            connected=lambda: self._hear("connected"),
            health=lambda health: self._hear(health.state),
            acquainted=lambda version: self._hear(("acquainted", version)),
            told=self._hear,
            exited=lambda code: self._hear(("exited", code)),
        )

    def puppet(self, play: str) -> Child:
        """A process that was spawned here, and plays."""
        spawned = spawn(recipe(play), "Puppet-0", recipe(play).holding, self.control, self._data, None)
        self._started.append(spawned.popen)
        child = Child.of(spawned.popen, spawned.data, str(self.control), self.ears)
        self._children.append(child)
        return child

    def stranger(self, born: str | None = None) -> Child:
        """A process that is taken over, and does nothing; born at another time than on record, if that is given."""
        popen = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        self._started.append(popen)
        child = Child(popen.pid, birth(popen.pid) if born is None else born, "", str(self.control), self.ears)
        self._children.append(child)
        return child

    async def answer(self, accept: Callable[[Connection], None]) -> None:
        """Listen where the children are dialled."""
        self._servers.append(await sockets.serve(sockets.bind(self.control), accept))

    async def until(self, *expected: object) -> None:
        """Return when all that is ``expected`` was heard."""
        while not set(expected) <= set(self.heard):
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        for popen in self._started:
            popen.kill()
            if popen.stdin is not None:
                popen.stdin.close()
        while sum(isinstance(one, tuple) and one[0] == "exited" for one in self.heard) < len(self._children):
            self._changed.clear()
            await self._changed.wait()
        for popen in self._started:
            popen.wait()
        for server in self._servers:
            server.close()

    def _hear(self, what: object) -> None:
        self.heard.append(what)
        self._changed.set()


@pytest.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Theatre]:
    theatre = Theatre(tmp_path)
    yield theatre
    await theatre.close()


async def test_it_is_reached_heard_and_told_to_end(theatre: Theatre) -> None:
    child = theatre.puppet("ready")
    await theatre.until("ready")
    assert theatre.heard == ["connected", "ready"]
    assert child.health == messages.Health(0, "ready", "as told", 2, 5, child.pid)
    child.send(messages.Drain(5.0))
    await theatre.until(("exited", 0))


async def test_a_probe_is_answered(theatre: Theatre) -> None:
    child = theatre.puppet("ready")
    await theatre.until("ready")
    child.send(messages.Probe(17))
    child.send(messages.Drain(5.0))
    await theatre.until(("exited", 0))
    assert child.health is not None
    assert child.health.number == 17


async def test_last_words_are_heard_before_the_end(theatre: Theatre) -> None:
    theatre.puppet("fail")
    await theatre.until(("exited", 1))
    assert theatre.heard.index("failed") < theatre.heard.index(("exited", 1))


async def test_even_words_that_arrive_later_are_heard_before_the_end(theatre: Theatre) -> None:
    connections: asyncio.Queue[Connection] = asyncio.Queue()

    def accept(connection: Connection) -> None:
        connection.start(lambda _: None, lambda _: None)
        connections.put_nowait(connection)

    await theatre.answer(accept)
    child = theatre.stranger()
    await theatre.until("connected")
    connection = await connections.get()
    child.kill()
    await wait_for_exit(child.pid, child.born, None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert theatre.heard == ["connected"]
    connection.send(messages.encode(messages.Health(0, "failed", "no such model", 0, 0, child.pid)))
    connection.close()
    await theatre.until(("exited", None))
    assert theatre.heard == ["connected", "failed", ("exited", None)]


async def test_one_that_is_killed_has_ended_by_that_signal(theatre: Theatre) -> None:
    child = theatre.puppet("silent")
    child.kill()
    await theatre.until(("exited", -signal.SIGKILL))


async def test_nobody_tells_how_a_process_ended_that_was_taken_over(theatre: Theatre) -> None:
    child = theatre.stranger()
    assert child.health is None
    child.kill()
    await theatre.until(("exited", None))


async def test_a_later_process_of_the_same_number_is_left_alone(theatre: Theatre) -> None:
    child = theatre.stranger(born="1")
    child.kill()
    await theatre.until(("exited", None))
    assert birth(child.pid), "it lives, and was never meant"


async def test_what_is_said_to_one_that_cannot_hear_is_lost(theatre: Theatre) -> None:
    asked: list[float] = []
    child = theatre.stranger()
    child.send(messages.Drain(1.0))
    await theatre.answer(supervised(asked.append).accept)
    child.listen()
    await theatre.until("connected", "ready")
    child.send(messages.Drain(2.0))
    child.send(messages.Probe(1))
    theatre.heard.clear()
    await theatre.until("ready")
    assert asked == [2.0]


async def test_one_that_could_not_be_reached_is_dialled_again(theatre: Theatre) -> None:
    child = theatre.stranger()
    dialling = child._dialling
    assert dialling is not None
    await dialling
    assert theatre.heard == []
    await theatre.answer(supervised().accept)
    child.listen()
    child.listen()
    await theatre.until("ready")
    child.listen()
    assert theatre.heard == ["connected", "ready"]


async def test_one_that_hung_up_is_dialled_again(theatre: Theatre) -> None:
    connections: list[Connection] = []

    def accept(connection: Connection) -> None:
        connections.append(connection)
        supervised().accept(connection)

    await theatre.answer(accept)
    child = theatre.stranger()
    await theatre.until("ready")
    lost = child._lost
    connections[0].abort()
    await lost.wait()
    theatre.heard.clear()
    child.listen()
    await theatre.until("ready")
    assert len(connections) == 2


async def test_a_gateway_says_whom_it_has_reached(theatre: Theatre) -> None:
    gateway = supervised(on_members=lambda members: gateway.tell_controller(messages.Acquainted(members.version)))
    await theatre.answer(gateway.accept)
    child = theatre.stranger()
    await theatre.until("connected")
    child.send(messages.Members(3, []))
    child.send(messages.Members(4, []))
    await theatre.until(("acquainted", 3), ("acquainted", 4))


async def test_nonsense_is_passed_over_and_it_alone(theatre: Theatre) -> None:
    def talk(connection: Connection) -> None:
        connection.start(lambda _: None, lambda _: None)
        connection.send(b"nonsense")
        connection.send(messages.encode(messages.Scraped(1, msgspec.Raw(b"\xc0"))))
        connection.send(messages.encode(messages.Acquainted(1)))

    await theatre.answer(talk)
    theatre.stranger()
    await theatre.until("connected", ("acquainted", 1))
    assert theatre.heard == ["connected", ("acquainted", 1)]


async def test_its_end_is_known_though_somebody_holds_its_connection_open(theatre: Theatre) -> None:
    lost = asyncio.Event()
    await theatre.answer(lambda connection: connection.start(lambda _: None, lambda _: lost.set()))
    child = theatre.stranger()
    await theatre.until("connected")
    os.kill(child.pid, signal.SIGKILL)
    await theatre.until(("exited", None))
    await lost.wait()


def supervised(
    on_drain: Callable[[float], None] = lambda _: None,
    on_members: Callable[[messages.Members], None] | None = None,
) -> Supervised:
    """A process's end of the connection; ready."""
    return Supervised(
        health=lambda: ("ready", "", 0, 0), collect=list, on_drain=on_drain, on_members=on_members
    )  # fmt: skip
