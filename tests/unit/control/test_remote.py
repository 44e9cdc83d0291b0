"""A process on a network as the controller knows it: who it is, how it is, and that it is gone, in every order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from kapelle.config.orders import Holding
from kapelle.control import remote as module
from kapelle.control.remote import Ears, Remote
from kapelle.transport.connection import Connection
from kapelle.transport.greeter import LinkRefusedError
from kapelle.transport.memory import MemoryNetwork
from kapelle.wire import messages
from tests.unit.transport.lines import Line

ABOUT = messages.About("encoder-1", "replica", "Encoder", "node-a", "c0de", 100.0)
REPORT = messages.Report(1, 0, {}, {"r1": [0]}, [], {})


def health(state: str, detail: str = "") -> messages.Health:
    return messages.Health(0, state, detail, 3, 4, 17, 5 << 20)


class Process:
    """The other end, which says what a test makes it say; ``told`` is what the controller hears of it."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.lines: list[Line] = []
        self.told: list[Any] = []
        self._changed = asyncio.Event()
        self.network.listen("there", self._accept)
        ears = Ears(
            there=lambda one: self._note("there", one.name),
            leaving=lambda one: self._note("leaving", one.name),
            told=lambda one, message: self._note(one.name, message),
            gone=lambda one, words: self._note("gone", one.name, words),
        )
        self.remote = Remote("10.0.0.1", lambda: self.network.connect("there"), ears)

    def _accept(self, connection: Connection) -> None:
        self.lines.append(Line(connection, messages.ToProcess))
        self._changed.set()

    def _note(self, *what: Any) -> None:
        self.told.append(what)
        self._changed.set()

    async def line(self, number: int = 1) -> Line:
        """Its connection of this number, counted from 1, once the controller attends."""
        await self.until(lambda: len(self.lines) >= number)
        line = self.lines[number - 1]
        await line.hears(lambda one: isinstance(one, messages.Attend))
        return line

    async def hears(self, *what: Any) -> None:
        await self.until(lambda: what in self.told)

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            self._changed.clear()
            await self._changed.wait()

    async def settled(self, line: Line) -> None:
        """Return when all that was said before has been heard."""
        self.remote.health = None
        line.say(health("ready"))
        while self.remote.health is None:  # noqa: ASYNC110 - nobody is told of health
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0)


@asynccontextmanager
async def process() -> AsyncIterator[Process]:
    built = Process()
    yield built
    built.remote.close()
    for line in built.lines:
        line.connection.abort()


async def test_it_says_who_it_is_and_how() -> None:
    async with process() as one:
        line = await one.line()
        line.say(health("ready"))
        line.say(ABOUT)
        await one.hears("there", "encoder-1")
        remote = one.remote
        assert (remote.name, remote.slot, remote.role, remote.service) == (
            "encoder-1",
            "encoder-1",
            "replica",
            "Encoder",
        )
        assert (remote.node, remote.started, remote.image_code, remote.code) == ("node-a", 100.0, "c0de", "")
        remote.holding = Holding("r1", [0])
        shown = remote.status({"r1": "ready"})
        assert (shown.phase, shown.release, shown.releases, shown.pid) == ("serving", "r1", {"r1": "ready"}, 17)
        assert (shown.in_flight, shown.queued, shown.memory, shown.node, shown.code) == (
            3,
            4,
            5 << 20,
            "node-a",
            "c0de",
        )


async def test_a_gateway_is_one() -> None:
    async with process() as one:
        line = await one.line()
        line.say(messages.About("gateway-1", "gateway", "", "", "", 1.0))
        await one.hears("there", "gateway-1")
        assert one.remote.role == "gateway"
        assert one.remote.status({}).phase == "starting", "nothing is known of its health yet"


async def test_what_it_said_before_who_it_is_is_heard_after() -> None:
    async with process() as one:
        line = await one.line()
        line.say(REPORT)
        line.say(ABOUT)
        line.say(REPORT)
        await one.until(lambda: len(one.told) == 3)
        assert one.told == [("there", "encoder-1"), ("encoder-1", REPORT), ("encoder-1", REPORT)]


async def test_of_one_that_never_says_who_it_is_little_is_kept() -> None:
    async with process() as one:
        line = await one.line()
        for _ in range(100):
            line.say(REPORT)
        await one.settled(line)
        assert len(one.remote._early) == 10
        assert one.told == []


async def test_orders_reach_it() -> None:
    async with process() as one:
        line = await one.line()
        one.remote.send(messages.Retire(1, 1, "r1", [0]))
        await line.hears(lambda message: message == messages.Retire(1, 1, "r1", [0]))


async def test_one_that_drains_is_gone_and_told_of_no_more() -> None:
    async with process() as one:
        line = await one.line()
        line.say(ABOUT)
        await one.hears("there", "encoder-1")
        one.remote.holding = Holding("r1", [0])
        line.say(health("draining"))
        line.say(REPORT)
        await one.hears("gone", "encoder-1", "")
        await one.until(lambda: one.remote.about is None)
        assert one.remote.holding == Holding("", [])
        await one.settled(line)
        assert one.told == [("there", "encoder-1"), ("gone", "encoder-1", "")]


async def test_one_that_is_found_while_it_drains_is_never_there() -> None:
    async with process() as one:
        line = await one.line()
        line.say(health("draining"))
        line.say(ABOUT)
        line.say(REPORT)
        await one.settled(line)
        assert one.told == []
        assert one.remote.about is None


async def test_one_that_is_found_while_it_leaves_is_there_and_leaves() -> None:
    async with process() as one:
        line = await one.line()
        line.say(health("leaving"))
        line.say(ABOUT)
        line.say(health("leaving"))
        await one.settled(line)
        assert one.told == [("there", "encoder-1"), ("leaving", "encoder-1")]


async def test_why_one_failed_is_told() -> None:
    async with process() as one:
        line = await one.line()
        line.say(ABOUT)
        line.say(health("failed", "ValueError: no strings"))
        await one.hears("gone", "encoder-1", "ValueError: no strings")


async def test_one_that_comes_back_may_be_another() -> None:
    async with process() as one:
        line = await one.line()
        line.say(ABOUT)
        line.say(health("draining"))
        await one.hears("gone", "encoder-1", "")
        line.connection.abort()
        line = await one.line(2)
        line.say(messages.About("encoder-2", "replica", "Encoder", "node-a", "c0de", 200.0))
        await one.hears("there", "encoder-2")
        assert one.told == [("there", "encoder-1"), ("gone", "encoder-1", ""), ("there", "encoder-2")]


async def test_a_connection_that_breaks_is_an_end() -> None:
    async with process() as one:
        line = await one.line()
        line.say(ABOUT)
        await one.hears("there", "encoder-1")
        line.connection.abort()
        await one.hears("gone", "encoder-1", "")
        await one.line(2)


async def test_one_that_says_nothing_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with process() as one:
        line = await one.line()
        line.say(ABOUT)
        await one.hears("there", "encoder-1")
        heard = one.remote._heard
        monkeypatch.setattr(module, "monotonic", lambda: heard + 4.9)
        one.remote.probe(1)
        await line.hears(lambda message: message == messages.Probe(1))
        monkeypatch.setattr(module, "monotonic", lambda: heard + 5.1)
        with capture_logs() as logs:
            one.remote.probe(2)
        await one.hears("gone", "encoder-1", "")
        assert logs[0]["process"] == "10.0.0.1"


async def test_garbage_is_told_of_and_the_rest_heard() -> None:
    async with process() as one:
        line = await one.line()
        with capture_logs() as logs:
            line.connection.send(b"nonsense")
            line.say(ABOUT)
            await one.hears("there", "encoder-1")
        assert [said["event"] for said in logs] == ["a process sent garbage"]


async def test_why_it_cannot_be_reached_is_known_until_it_can() -> None:
    async with process() as one:
        await one.line()
        one.network.forget("there")
        one.lines[0].connection.abort()
        while not one.remote.trouble:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0)
        assert not one.remote.reached
        one.remote.probe(1)
        one.remote.send(messages.Probe(1))
        one.network.listen("there", one._accept)
        await one.line(2)
        assert one.remote.trouble == ""
        assert one.remote.reached


async def test_a_link_that_is_refused_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    tried = asyncio.Queue[int]()

    async def connect() -> Connection:
        tried.put_nowait(1)
        raise LinkRefusedError("the secret does not match")

    def nobody(*_: object) -> None: ...

    with capture_logs() as logs:
        remote = Remote("10.0.0.1", connect, Ears(nobody, nobody, nobody, nobody))
        for _ in range(3):
            await tried.get()
        remote.close()
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("a process refuses the link", "the secret does not match")
    ]
