"""What a gateway does when the controller tells it to."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

import kapelle
from kapelle.artifacts.keeper import Keeper
from kapelle.artifacts.sources import Sources
from kapelle.core.vitals import Vitals
from kapelle.gateway.duties import Duties
from kapelle.gateway.holder import GatewayHolder
from kapelle.observe.metrics import Registry
from kapelle.testing import MemorySystem, running
from kapelle.wire import messages


@kapelle.app
class Numbers:
    def __init__(self) -> None:
        self.asked = 0

    @kapelle.get("/same")
    async def same(self, x: int) -> int:
        return x

    @kapelle.golden
    async def three_is_three(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        assert await self.same(3) == 3


class Chair:
    """The duties of a gateway in memory, and what it told."""

    def __init__(self, system: MemorySystem) -> None:
        self.assembly = system._started
        holder = GatewayHolder(self.assembly, Sources(Path(), "", Path(), Registry()))
        holder._started.set()
        self.keeper = Keeper(holder)
        self.duties = Duties(self.assembly, self.keeper)
        self.told: asyncio.Queue[messages.FromProcess] = asyncio.Queue()
        self.keeper.tell = self.duties.tell = self.told.put_nowait


async def test_golden_queries_are_asked_once_and_answered() -> None:
    async with running(Numbers) as system:
        chair = Chair(system)
        for _ in range(2):
            assert chair.duties.told(messages.AskGolden(3, "local")) is None
        assert await chair.told.get() == messages.GoldenAnswer(3, "local", "")
        assert (system.app.asked, chair.told.empty()) == (1, True)


async def test_what_is_not_prepared_cannot_be_asked() -> None:
    async with running(Numbers) as system:
        chair = Chair(system)
        chair.duties.told(messages.AskGolden(3, "r9"))
        answer = await chair.told.get()
        assert answer == messages.GoldenAnswer(3, "r9", "r9 is not prepared in this gateway")


async def test_the_pulse_is_what_each_release_did() -> None:
    async with running(Numbers) as system:
        chair = Chair(system)
        for number in range(3):
            assert (await system.client.get("/same", params={"x": number})).status_code == 200
        pulse = chair.duties.told(messages.TakePulse())
        assert isinstance(pulse, messages.Pulse)
        vitals = {name: msgspec.msgpack.decode(counts, type=Vitals) for name, counts in pulse.releases.items()}
        assert {name: (one.requests, one.failures) for name, one in vitals.items()} == {"local": (3, 0)}


async def test_orders_are_obeyed_and_who_attends_is_told() -> None:
    async with running(Numbers) as system:
        chair = Chair(system)
        report = chair.duties.told(messages.Attend())
        assert isinstance(report, messages.Report)
        assert (report.holds, report.routed) == ({"local": [0]}, (0, "local"))
        assert chair.duties.told(messages.Route(4, 1, "local")) is None
        told = await chair.told.get()
        assert isinstance(told, messages.Report)
        assert (told.epoch, told.routed) == (4, (4, "local"))
