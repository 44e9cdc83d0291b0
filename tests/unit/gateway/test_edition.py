"""An edition has one release's app, calls that release's services, and knows when nobody sees it any more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kapelle
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError
from kapelle.gateway.edition import Edition
from kapelle.gateway.fleet import Fleet
from kapelle.observe.metrics import Registry
from kapelle.transport.memory import MemoryNetwork
from tests.unit.artifacts.anywhere import Anywhere
from tests.unit.gateway.puppets import Puppet

ENDED: list[str] = []


@kapelle.service(artifact="words", inline=True)
class Words:
    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact

    @kapelle.method
    def where(self) -> str:
        return str(self.artifact)

    @kapelle.on_shutdown
    def leave(self) -> None:
        ENDED.append("words")


@kapelle.service(sharded_by="index")
class Cluster:
    def __init__(self, shard: Path) -> None: ...

    @kapelle.method
    def find(self, text: str) -> str:
        raise NotImplementedError


@kapelle.app(artifact="index")
class App:
    words: Words
    cluster: kapelle.Sharded[Cluster]

    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact

    @kapelle.post("/ask")
    async def ask(self, text: str) -> list[str]:
        return [await self.words.where(), *[await one.find(text) for one in self.cluster]]

    @kapelle.on_shutdown
    def leave(self) -> None:
        ENDED.append("app")


class Narrow(Anywhere):
    """Another release: one shard instead of two."""

    def shard_count(self, artifact: str) -> int:
        return 1


class Stand:
    """A fleet, and a replica of ``Cluster`` that holds two releases and says which one it was asked for."""

    def __init__(self) -> None:
        spec = app_spec(App)
        assert spec is not None
        self.spec = spec
        self.network = MemoryNetwork()
        self.fleet = Fleet(spec, "gateway-0", self.network.connect, Registry())
        self.reached = asyncio.Event()
        self.fleet.on_change = self.reached.set
        self.puppet = Puppet(self.network, "Cluster-0", [])
        self.puppet.holds = {"r1": [0, 1], "r2": [0]}
        self.puppet.answer = lambda call: f"{call.release}/{call.shard}"

    async def edition(self, release: str, source: Anywhere) -> Edition:
        edition = Edition(self.spec, release)
        await edition.build(self.fleet, source)
        await edition.startup()
        self.fleet.pools["Cluster"].add("Cluster-0", lambda: self.network.connect("Cluster-0"))
        while not self.fleet.serves(release):
            self.reached.clear()
            await self.reached.wait()
        return edition


@pytest.fixture(autouse=True)
def _nothing_ended() -> None:
    ENDED.clear()


async def test_each_calls_the_services_of_its_own_release() -> None:
    stand = Stand()
    one, other = await stand.edition("r1", Anywhere()), await stand.edition("r2", Narrow())
    assert await one.functions["ask"]("x") == ["artifacts/words", "r1/0", "r1/1"]
    assert await other.functions["ask"]("x") == ["artifacts/words", "r2/0"], "as many shards as its release has"
    assert one.app.artifact == Path("artifacts/index")
    await stand.fleet.close()


async def test_it_is_deserted_when_the_last_request_has_left() -> None:
    edition = Edition(Stand().spec, "r1")
    await edition.deserted()
    edition.running = 2
    waiting = asyncio.create_task(edition.deserted())
    edition.leave()
    await asyncio.sleep(0)
    assert not waiting.done()
    edition.leave()
    await waiting


async def test_it_ends_with_its_hooks() -> None:
    stand = Stand()
    edition = await stand.edition("r1", Anywhere())
    await edition.close()
    await edition.close()
    assert ENDED == ["app", "words"]
    await stand.fleet.close()


async def test_what_is_missing_in_a_release_is_said() -> None:
    class Poor(Anywhere):
        def shard_count(self, artifact: str) -> int:
            raise ArtifactError(f"no artifact {artifact!r}")

    stand = Stand()
    with pytest.raises(ArtifactError, match="no artifact 'index'"):
        await Edition(stand.spec, "r3").build(stand.fleet, Poor())
    await stand.fleet.close()
