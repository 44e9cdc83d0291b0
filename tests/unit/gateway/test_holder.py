"""What a gateway holds of releases while requests are on them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.artifacts.source import Source
from kapelle.artifacts.sources import Sources
from kapelle.core.rollout_messages import Side
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.holder import GatewayHolder
from kapelle.observe.metrics import Registry
from kapelle.testing import MemorySystem, running


@kapelle.service
class Numbers:
    @kapelle.method
    async def same(self, x: int) -> int:
        return x


@kapelle.app(artifact="book")
class Library:
    numbers: Numbers

    def __init__(self, artifact: Path) -> None:
        self.text = (artifact / "text").read_text()
        self.go = asyncio.Event()

    @kapelle.get("/read")
    async def read(self) -> str:
        await self.go.wait()
        return self.text


class Shelf(Sources):
    """Releases that are folders."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", folder, Registry())
        self._folder = folder

    def of(self, release: str) -> Source:
        book = self._folder / release / "book"
        book.mkdir(parents=True, exist_ok=True)
        (book / "text").write_text(release)
        return ArtifactFolder(book.parent)


async def have(system: MemorySystem, release: str) -> None:
    """Let the replicas hold a release."""
    for worker in system._workers.values():
        worker.serve(release, await build(worker.spec, [0], ArtifactFolder(Path()), worker.runner.in_thread))


async def test_requests_end_on_the_release_they_began_on_and_then_it_may_go(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.of("local")
    async with running(Library, artifacts=tmp_path / "local") as system:
        holder = GatewayHolder(system._started, shelf)
        assert (holder.holds, holder.routed) == ({}, ""), "nothing has begun yet"
        holder._started.set()
        deserted = asyncio.Event()
        holder.on_deserted = deserted.set
        preparing = asyncio.create_task(holder.prepare("r2", [0]))
        await asyncio.sleep(0)
        await have(system, "r2")
        await preparing
        assert holder.holds == {"local": [0], "r2": [0]}
        old = asyncio.create_task(system.client.get("/read"))
        while not holder.busy:  # noqa: ASYNC110 - the request comes through a socket
            await asyncio.sleep(0)
        holder.route("r2", None)
        assert (holder.routed, holder.busy) == ("r2", {"local": 1})
        system._started.editions["r2"].app.go.set()
        assert (await system.client.get("/read")).text == "r2"
        assert not deserted.is_set()
        system._started.editions["local"].app.go.set()
        assert (await old).text == "local"
        await deserted.wait()
        await holder.retire("local", [0])
        assert holder.holds == {"r2": [0]}


async def test_a_side_is_told(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.of("local")
    async with running(Library, artifacts=tmp_path / "local") as system:
        holder = GatewayHolder(system._started, shelf)
        holder._started.set()
        await have(system, "r2")
        await holder.prepare("r2", [0])
        holder.route("local", Side("r2", 0.5))
        assert (holder.routed, holder.side) == ("local", Side("r2", 0.5))
        holder.route("local", None)
        assert holder.side is None


class Beginning:
    """An assembly that starts at once, and reaches its replicas when it is told."""

    def __init__(self) -> None:
        self.fleet = self
        self.editions = {"r2": None}
        self.asked, self.reached = asyncio.Event(), asyncio.Event()

    async def start(self, release: str, source: Source) -> None:
        pass

    async def serving(self, release: str) -> None:
        self.asked.set()
        await self.reached.wait()


async def test_a_resting_one_is_not_there_before_it_reaches_the_replicas(tmp_path: Path) -> None:
    for resting in (False, True):
        assembly = Beginning()
        holder = GatewayHolder(cast(Assembly, assembly), Shelf(tmp_path), resting=resting)
        beginning = asyncio.create_task(holder.first("r2"))
        await (assembly.asked.wait() if resting else asyncio.wait([beginning]))
        assert holder.holds == ({} if resting else {"r2": [0]})
        assembly.reached.set()
        await beginning
        assert holder.holds == {"r2": [0]}
