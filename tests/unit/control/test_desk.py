"""The desk over its real socket: every question has its answer, and nonsense ends only the connection it came on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kapelle.control import status
from kapelle.control.desk import Desk
from kapelle.observe.metrics import Registry
from kapelle.transport import sockets
from kapelle.transport.connection import Connection
from kapelle.transport.supervision import unpack_families
from kapelle.wire import messages, wishes
from kapelle.wire.frames import Frame

_decode = messages.Decoder[wishes.FromController](wishes.FromController)


class Asker:
    """Asks, and reads one answer after the other; ``lost`` is set when the desk has hung up."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lost = asyncio.Event()
        self._answers: asyncio.Queue[wishes.FromController] = asyncio.Queue()
        connection.start(self._on_frames, lambda _: self.lost.set())

    async def ask(self, *questions: wishes.ToController) -> list[wishes.FromController]:
        for question in questions:
            self.connection.send(messages.encode(question))
        return [await self._answers.get() for _ in questions]

    def _on_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            self._answers.put_nowait(_decode(frame.head))


class Office:
    """A desk that is open, and those who came to it."""

    def __init__(self, folder: Path) -> None:
        self.address = sockets.Address("unix", str(folder / "controller"))
        self.told = 0
        registry = Registry(role="controller")
        registry.gauge("kapelle_told", "Times the state was told.", lambda: self.told)
        self.desk = Desk(self._tell, registry)
        self._askers: list[Asker] = []

    async def come(self) -> Asker:
        self._askers.append(Asker(await sockets.connect(self.address)))
        return self._askers[-1]

    async def close(self) -> None:
        self.desk.close()
        for asker in self._askers:
            asker.connection.close()
            await asker.lost.wait()

    def _tell(self) -> status.SystemStatus:
        self.told += 1
        return status.SystemStatus(target="app.py", url=f"http://here/{self.told}", controller=7, processes=[])


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    await office.desk.open(str(office.address))
    yield office
    await office.close()


async def test_the_status_is_as_of_the_question(office: Office) -> None:
    asker = await office.come()
    answers = await asker.ask(wishes.StatusQuery(), wishes.StatusQuery())
    told = [status.decode(answer.status).url for answer in answers if isinstance(answer, wishes.StatusAnswer)]
    assert told == ["http://here/1", "http://here/2"]


async def test_metrics_are_as_of_the_question_and_carry_its_number(office: Office) -> None:
    asker = await office.come()
    _, answer = await asker.ask(wishes.StatusQuery(), messages.Scrape(5))
    assert isinstance(answer, messages.Scraped)
    assert answer.number == 5
    (family,) = unpack_families(answer.samples)
    (sample,) = family.samples
    assert (family.name, sample.labels, sample.value) == ("kapelle_told", (("role", "controller"),), 1.0)


async def test_it_says_who_it_is(office: Office) -> None:
    asker = await office.come()
    assert await asker.ask(messages.Probe(9)) == [messages.Health(9, "ready", "", 0, 0, os.getpid())]


@pytest.mark.parametrize("nonsense", [b"nonsense", b"\xc1", messages.encode(messages.Drain(1.0))])
async def test_whoever_asks_nonsense_is_cut_off_and_he_alone(office: Office, nonsense: bytes) -> None:
    fool, asker = await office.come(), await office.come()
    fool.connection.send(nonsense)
    await fool.lost.wait()
    assert not asker.lost.is_set()
    assert len(await asker.ask(wishes.StatusQuery())) == 1


async def test_a_closed_desk_takes_no_more_questions(office: Office) -> None:
    office.desk.close()
    with pytest.raises(OSError, match=r"refused|No such file"):
        await office.come()


async def test_a_desk_that_never_opened_can_be_closed(tmp_path: Path) -> None:
    Office(tmp_path).desk.close()


async def test_an_address_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    office = Office(tmp_path / "no such folder")
    with pytest.raises(OSError, match="No such file"):
        await office.desk.open(str(office.address))
