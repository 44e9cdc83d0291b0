"""The metrics of a whole system: those of every process that answers, and how many did not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.gateway import scrape
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.scrape import Collector
from kapelle.observe.metrics import Registry
from kapelle.transport.connection import Connection
from kapelle.transport.memory import MemoryNetwork
from kapelle.transport.supervision import Supervised, pack_families
from kapelle.wire import messages
from kapelle.wire.frames import Frame
from kapelle.wire.messages import Member, Members


@kapelle.app
class App:
    @kapelle.get("/")
    async def root(self) -> None: ...


class System:
    """A collector, and the processes that it finds in the announcement. All of them count answers."""

    def __init__(self, *others: str, controller: str = "") -> None:
        spec = app_spec(App)
        assert spec is not None
        self.network = MemoryNetwork()
        self.dialled: list[str] = []
        self.lost: asyncio.Queue[str] = asyncio.Queue()
        registry = self.registry("gateway-0")
        fleet = Fleet(spec, "gateway-0", self.network.connect, registry)
        fleet.update(Members(1, [member(name) for name in ("gateway-0", *others)]))
        self.collector = Collector("gateway-0", registry, fleet, self._dial, controller)

    def registry(self, name: str, count: int = 1) -> Registry:
        registry = Registry(replica=name)
        registry.counter("answers_total", "Answers.").inc(count)
        return registry

    def runs(self, name: str, count: int) -> None:
        """A process that really answers."""
        registry = self.registry(name, count)
        supervised = Supervised(health=lambda: ("ready", "", 0, 0), collect=registry.collect, on_drain=lambda _: None)
        self.network.listen(f"{name}.control", supervised.accept)

    def answers(self, name: str, answer: Callable[[Connection], None]) -> None:
        """A process that does ``answer`` when it is asked for anything."""

        def accept(connection: Connection) -> None:
            def on_frames(_: list[Frame]) -> None:
                answer(connection)

            connection.start(on_frames, self.lost.put_nowait)

        self.network.listen(f"{name}.control", accept)

    async def collect(self) -> tuple[dict[str, float], float]:
        """The answers counted by each process, and how many processes were missed so far."""
        families = {one.name: one for one in await self.collector.collect()}
        (missed,) = families["kapelle_scrape_failures_total"].samples
        return {dict(one.labels)["replica"]: one.value for one in families["answers_total"].samples}, missed.value

    async def _dial(self, address: str) -> Connection:
        self.dialled.append(address)
        return await self.network.connect(address)


def member(name: str) -> Member:
    return Member(name, "replica", "Puppet", [0], f"{name}.data", f"{name}.control", ready=True)


async def test_everybodys_metrics_are_one_answer() -> None:
    system = System("Puppet-0", "gateway-1", controller="controller.control")
    for count, name in enumerate(("Puppet-0", "gateway-1", "controller"), 2):
        system.runs(name, count)
    assert await system.collect() == ({"gateway-0": 1, "Puppet-0": 2, "gateway-1": 3, "controller": 4}, 0)
    assert system.dialled == ["Puppet-0.control", "gateway-1.control", "controller.control"], "nobody asks itself"


async def test_it_works_without_a_controller() -> None:
    system = System()
    assert await system.collect() == ({"gateway-0": 1}, 0)
    assert system.dialled == []


def nothing(_: Connection) -> None: ...


def garbage(connection: Connection) -> None:
    connection.send(b"nonsense")


def no_metrics(connection: Connection) -> None:
    connection.send(messages.encode(messages.Scraped(0, msgspec.Raw(b"\xc0"))))


def break_off(connection: Connection) -> None:
    connection.abort()


@pytest.mark.parametrize("answer", [nothing, garbage, no_metrics, break_off])
async def test_one_that_does_not_answer_well_is_missing_and_counted(
    answer: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "TIMEOUT", 0.05)
    system = System("Puppet-0", "Puppet-1")
    system.answers("Puppet-0", answer)
    system.runs("Puppet-1", 2)
    assert await system.collect() == ({"gateway-0": 1, "Puppet-1": 2}, 1)
    assert await system.collect() == ({"gateway-0": 1, "Puppet-1": 2}, 2)


async def test_one_that_cannot_be_reached_is_missing_and_counted() -> None:
    assert await System("Puppet-0").collect() == ({"gateway-0": 1}, 1)


async def test_a_second_answer_changes_nothing() -> None:
    system = System("Puppet-0")
    families = system.registry("Puppet-0", 2).collect()

    def answer_twice(connection: Connection) -> None:
        for _ in range(2):
            connection.send(messages.encode(messages.Scraped(0, pack_families(families))))

    system.answers("Puppet-0", answer_twice)
    assert await system.collect() == ({"gateway-0": 1, "Puppet-0": 2}, 0)


@pytest.mark.parametrize("answer", [nothing, garbage])
async def test_no_connection_is_left_behind(
    answer: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "TIMEOUT", 0.05)
    system = System("Puppet-0")
    system.answers("Puppet-0", answer)
    await system.collect()
    assert await system.lost.get() == "closed by the other side"
