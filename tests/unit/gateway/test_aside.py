"""A release at the side of another one in a gateway: who sees it, and how its answers are compared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.core.rollout_messages import Side
from kapelle.gateway.request import Request
from kapelle.testing import MemorySystem, running


@kapelle.service(artifact="book")
class Reader:
    def __init__(self, artifact: Path) -> None:
        self.text = (artifact / "text").read_text()

    @kapelle.method
    async def read(self) -> str:
        if self.text == "broken":
            raise ValueError("no such page")
        return self.text


@kapelle.app
class Library:
    reader: Reader

    @kapelle.get("/read")
    async def read(self, page: int) -> list[str | int]:
        text = await self.reader.read()
        if text == "cut":
            raise asyncio.CancelledError
        return [page, text if page % 2 else text[:1]]


def book(folder: Path, text: str) -> Path:
    (folder / "book").mkdir(parents=True)
    (folder / "book" / "text").write_text(text)
    return folder


async def add(system: MemorySystem, folder: Path) -> None:
    """Hold a second release, r2."""
    source = ArtifactFolder(folder)
    for worker in system._workers.values():
        worker.serve("r2", await build(worker.spec, [0], source, worker.runner.in_thread))
    await system._started.prepare("r2", source)


def mirrored(system: MemorySystem) -> dict[str, int]:
    families = {family.name: family for family in system._started.registry.collect()}
    return {dict(sample.labels)["outcome"]: int(sample.value) for sample in families["kapelle_mirrored_total"].samples}


async def ask(system: MemorySystem, count: int, **headers: str) -> list[str]:
    """The releases that answered."""
    answers = [await system.client.get("/read", params={"page": page}, headers=headers) for page in range(count)]
    return [answer.headers["x-kapelle-release"] for answer in answers]


async def test_it_answers_its_share(tmp_path: Path) -> None:
    async with running(Library, artifacts=book(tmp_path / "1", "old"), canary_key="X-User") as system:
        await add(system, book(tmp_path / "2", "new"))
        system._started.route("local", Side("r2", 0.25))
        assert (await ask(system, 40)).count("r2") in (9, 10, 11)
        users = [set(await ask(system, 2, **{"x-user": f"user {number}"})) for number in range(30)]
        assert all(len(seen) == 1 for seen in users)
        assert {"r2"} in users
        assert {"local"} in users
        system._started.route("local")
        assert set(await ask(system, 10)) == {"local"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("old", {"alike"}), ("other", {"alike", "different"}), ("broken", {"failed"}), ("cut", {"failed"})],
)
async def test_it_is_asked_and_compared_and_never_answers(tmp_path: Path, text: str, expected: set[str]) -> None:
    async with running(Library, artifacts=book(tmp_path / "1", "old")) as system:
        await add(system, book(tmp_path / "2", text))
        assembly = system._started
        assembly.route("local", Side("r2", 0.5, mirrored=True))
        assert set(await ask(system, 40)) == {"local"}
        assert assembly.gateway.aside is not None
        await asyncio.gather(*assembly.gateway.aside._running)
        found = mirrored(system)
        assert {name for name, count in found.items() if count} == expected
        vitals = assembly.editions["r2"].vitals
        assert sum(found.values()) == vitals.requests
        assert vitals.requests in (19, 20, 21)
        assert vitals.failures == found["failed"]
        assert assembly.editions["r2"].running == 0


async def test_what_lies_in_memory_of_a_client_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(Library, artifacts=book(tmp_path / "1", "old")) as system:
        await add(system, book(tmp_path / "2", "new"))
        system._started.route("local", Side("r2", 1.0, mirrored=True))
        handle = system.gateway.handle

        def borrowed(request: Request) -> None:
            request.borrows = True
            handle(request)

        monkeypatch.setattr(system.gateway, "handle", borrowed)
        await ask(system, 5)
        assert system.gateway.aside is not None
        assert not list(system.gateway.aside._running)
        assert set(mirrored(system).values()) == {0}
