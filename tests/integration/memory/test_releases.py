"""Two releases at once: every request sees one of them in the gateway and in every service, whenever the switch comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.errors import ArtifactError
from kapelle.testing import MemorySystem, running


@kapelle.service(replicas=2, artifact="book")
class Reader:
    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.method
    async def read(self) -> str:
        await asyncio.sleep(0)
        return self.edition


@kapelle.service(sharded_by="pages", copies=2)
class Page:
    def __init__(self, shard: Path) -> None:
        self.edition = (shard / "edition").read_text()

    @kapelle.method
    async def read(self) -> str:
        await asyncio.sleep(0)
        return self.edition


@kapelle.app(artifact="book")
class Library:
    reader: Reader
    page: kapelle.Sharded[Page]

    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.get("/read")
    async def read(self) -> list[str]:
        pages = [await page.read() for page in self.page]
        return [self.edition, await self.reader.read(), *pages, await self.reader.read()]


def publish(folder: Path, edition: str, pages: int) -> Path:
    """The artifacts of one edition."""
    for part in ("book", *(f"pages/shards/{number:03}" for number in range(pages))):
        (folder / part).mkdir(parents=True)
        (folder / part / "edition").write_text(edition)
    return folder


async def switch(system: MemorySystem, release: str, artifacts: Path, pages: int) -> None:
    """Everybody prepares; then the gateway switches; then the old one is given up."""

    source = ArtifactFolder(artifacts)
    assembly = system._started
    old = assembly.gateway.edition.release
    for worker in system._workers.values():
        shards = range(pages) if worker.spec.sharded else [0]
        worker.serve(release, await build(worker.spec, shards, source, worker.runner.in_thread))
    await assembly.prepare(release, source)
    assembly.route(release)
    await assembly.retire(old)
    for worker in system._workers.values():
        await worker.retire(old, worker.holds[old])


async def test_no_request_fails_or_sees_two_releases_while_they_change_under_load(tmp_path: Path) -> None:
    first = publish(tmp_path / "local", "local", pages=3)
    seen: list[tuple[str, list[str]]] = []
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            answer = await system.client.get("/read")
            assert answer.status_code == 200, answer.text
            seen.append((answer.headers["x-kapelle-release"], answer.json()))

    async with running(Library, artifacts=first) as system:
        asking = [asyncio.create_task(ask()) for _ in range(8)]
        for number, pages in enumerate((2, 5, 1), 2):
            await switch(system, f"r{number}", publish(tmp_path / f"r{number}", f"r{number}", pages), pages)
            before = len(seen)
            while len(seen) < before + 20:  # noqa: ASYNC110 - the askers tell nobody
                await asyncio.sleep(0)
        over.set()
        await asyncio.gather(*asking)
        assert {release for release, _ in seen} == {"local", "r2", "r3", "r4"}
        for release, editions in seen:
            pages = {"local": 3, "r2": 2, "r3": 5, "r4": 1}[release]
            assert editions == [release] * (pages + 3)
        assert all(worker.holds.keys() == {"r4"} for worker in system._workers.values())


async def test_a_release_that_cannot_be_loaded_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running(Library, artifacts=publish(tmp_path / "local", "local", pages=1)) as system:
        assembly = system._started
        empty = tmp_path / "r2"
        (empty / "pages" / "shards" / "000").mkdir(parents=True)
        with pytest.raises((ArtifactError, FileNotFoundError)):
            await switch(system, "r2", empty, 1)
        assert (await system.client.get("/read")).json() == ["local"] * 4
        assert list(assembly.editions) == ["local"]
