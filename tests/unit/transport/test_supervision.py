"""A process under supervision: what it says by itself, what it answers, and whose word counts."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from kapelle.errors import ArtifactError, WireError
from kapelle.observe.metrics import Family, Registry
from kapelle.transport import sockets, supervision
from kapelle.transport.connection import Connection
from kapelle.transport.memory import MemoryConnection
from kapelle.transport.supervision import Supervised, pack_families, report_failure, unpack_families
from kapelle.wire import messages
from tests.unit.transport.ends import End

_decode = messages.Decoder[messages.FromProcess](messages.FromProcess)


class Post:
    """A process that writes down what it is told; ``state`` is what it says of itself."""

    def __init__(self, *, hears_members: bool = True) -> None:
        self.state = "starting"
        self.drains: list[float] = []
        self.members: list[messages.Members] = []
        self.registry = Registry(replica="Post-0")
        self.supervised = Supervised(
            health=lambda: (self.state, "as told", 2, 5),
            collect=self.registry.collect,
            on_drain=self.drains.append,
            on_members=self.members.append if hears_members else None,
        )

    def visited(self) -> Supervisor:
        here, there = MemoryConnection.pair()
        supervisor = Supervisor(here)
        self.supervised.accept(there)
        return supervisor


class Supervisor(End):
    """One end that asks; it is listened to from the beginning."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._probes = 0
        self.start()

    def say(self, message: messages.Message) -> None:
        self.connection.send(messages.encode(message))

    @property
    def heard(self) -> list[messages.FromProcess]:
        return [_decode(frame.head) for frame in self.frames]

    async def hears(self, count: int) -> messages.FromProcess:
        """The ``count``-th message, counted from 1."""
        await self.received(count)
        return self.heard[count - 1]

    async def settled(self) -> None:
        """Return when everything that was said before has been dealt with."""
        self._probes += 1
        probe = 1000 + self._probes
        self.say(messages.Probe(probe))
        await self.until(lambda: any(isinstance(one, messages.Health) and one.number == probe for one in self.heard))


def health(number: int, state: str, detail: str = "as told", in_flight: int = 2, queued: int = 5) -> messages.Health:
    return messages.Health(number, state, detail, in_flight, queued, os.getpid())


def members(version: int) -> messages.Members:
    return messages.Members(version, [])


async def test_whoever_comes_is_told_how_it_is_and_may_ask_again() -> None:
    post = Post()
    supervisor = post.visited()
    assert await supervisor.hears(1) == health(0, "starting")
    post.state = "ready"
    supervisor.say(messages.Probe(7))
    assert await supervisor.hears(2) == health(7, "ready")


async def test_a_change_is_announced_to_everybody_who_is_still_there() -> None:
    post = Post()
    one, gone, other = post.visited(), post.visited(), post.visited()
    gone.connection.abort()
    await gone.ended()
    post.state = "ready"
    post.supervised.announce()
    assert await one.hears(2) == await other.hears(2) == health(0, "ready")
    assert len(gone.frames) <= 1


async def test_metrics_travel_as_they_are() -> None:
    post = Post()
    post.registry.counter("answers_total", "Answers.", kind="good").inc(3)
    post.registry.histogram("seconds", "Time.", (0.1, 1.0)).observe(0.5)
    supervisor = post.visited()
    supervisor.say(messages.Scrape(9))
    answer = await supervisor.hears(2)
    assert isinstance(answer, messages.Scraped)
    assert answer.number == 9
    assert unpack_families(answer.samples) == post.registry.collect()


@pytest.mark.parametrize("samples", [b"\xc0", b"\x91\x01", b"\xc1", b""])
def test_what_is_no_metrics_is_an_error(samples: bytes) -> None:
    with pytest.raises(WireError, match="not metrics"):
        unpack_families(msgspec.Raw(samples))


def test_no_metrics_are_metrics() -> None:
    families: list[Family] = []
    assert unpack_families(pack_families(families)) == families


async def test_it_is_told_to_drain() -> None:
    post = Post()
    post.visited().say(messages.Drain(2.5))
    await post.visited().settled()
    assert post.drains == [2.5]


async def test_the_newest_word_of_the_newest_controller_counts() -> None:
    post = Post()
    old, new = post.visited(), post.visited()
    for supervisor, version in ((old, 1), (old, 3), (old, 2), (old, 3), (new, 1), (old, 9), (new, 2)):
        supervisor.say(members(version))
        await supervisor.settled()
    assert [one.version for one in post.members] == [1, 3, 1, 2]


async def test_what_is_for_the_controller_is_told_to_it_alone() -> None:
    post = Post()
    first, second, visitor = post.visited(), post.visited(), post.visited()
    post.supervised.tell_controller(messages.Acquainted(0))
    for controller in (first, second):
        controller.say(members(1))
        await controller.settled()
    post.supervised.tell_controller(messages.Acquainted(1))
    assert await second.hears(3) == messages.Acquainted(1)
    second.connection.abort()
    await second.ended()
    post.supervised.tell_controller(messages.Acquainted(2))
    for other in (first, visitor):
        await other.settled()
        assert not any(isinstance(one, messages.Acquainted) for one in other.heard)


async def test_members_are_nothing_to_a_process_that_does_not_ask_for_them() -> None:
    post = Post(hears_members=False)
    supervisor = post.visited()
    supervisor.say(members(1))
    await supervisor.settled()
    assert post.members == []


async def test_who_talks_nonsense_is_cut_off_and_the_others_are_not() -> None:
    post = Post()
    fool, other = post.visited(), post.visited()
    fool.connection.send(b"nonsense")
    await fool.ended()
    await other.settled()
    post.supervised.announce()
    assert await other.hears(3) == health(0, "starting")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ArtifactError("index is not there;\nbuild it"), "index is not there; build it"),
        (ValueError("no such\n  model"), "ValueError: no such model"),
        (KeyError(), "KeyError"),
    ],
)
async def test_the_last_word_of_a_start_that_fails(error: Exception, words: str) -> None:
    post = Post()
    supervisor = post.visited()
    await post.supervised.fail(error)
    assert await supervisor.hears(2) == health(0, "failed", words, 0, 0)
    await supervisor.ended()


async def test_a_supervisor_that_comes_late_hears_it_too() -> None:
    post = Post()
    failing = asyncio.create_task(post.supervised.fail(ValueError("no model")))
    await asyncio.sleep(0)
    late = post.visited()
    await failing
    assert await late.hears(1) == health(0, "failed", "ValueError: no model", 0, 0)


async def test_nobody_is_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_PATIENCE", 0.01)
    await Post().supervised.fail(ValueError("nobody listens"))


async def test_a_supervisor_that_does_not_read_holds_the_end_up_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervision, "_PATIENCE", 0.01)
    post = Post()
    post.registry.counter("long_total", "la" * (4 << 20))
    address = sockets.Address("unix", str(tmp_path / "s"))
    server = await sockets.serve(sockets.bind(address), post.supervised.accept)
    deaf = End(await sockets.connect(address))
    deaf.connection.send(messages.encode(messages.Scrape(1)))
    lively = Supervisor(await sockets.connect(address))
    await lively.settled()
    await post.supervised.close()
    assert await lively.ended() == "closed by the other side"
    deaf.connection.abort()
    server.close()
    await server.wait_closed()


async def test_a_process_that_cannot_even_begin_says_why(tmp_path: Path) -> None:
    address = sockets.Address("unix", str(tmp_path / "s"))
    inherited = sockets.bind(address).detach()
    reporting = asyncio.create_task(report_failure(inherited, ImportError("no module 'm'")))
    supervisor = Supervisor(await sockets.connect(address))
    assert await supervisor.hears(1) == health(0, "failed", "ImportError: no module 'm'", 0, 0)
    await supervisor.ended()
    await reporting
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        await sockets.connect(address)
