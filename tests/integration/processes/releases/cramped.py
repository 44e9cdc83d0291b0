"""The library in a small room: a replica fails when it is to hold two releases at once."""

from __future__ import annotations

from pathlib import Path
from weakref import WeakSet

import kapelle
from tests.integration.processes.releases.library import read

_held: WeakSet[CrampedReader | CrampedPage] = WeakSet()


def read_alone(holder: CrampedReader | CrampedPage, folder: Path) -> str:
    """The edition, if nothing of another one is still there."""
    edition = read(folder)
    others = sorted({one.edition for one in _held} - {edition})
    if others:
        raise MemoryError(f"{edition} is to be loaded while {others} is held")
    _held.add(holder)
    return edition


@kapelle.service(replicas=2, artifact="book", in_turn=True)
class CrampedReader:
    """The whole artifact, in two replicas."""

    def __init__(self, artifact: Path) -> None:
        self.edition = read_alone(self, artifact)

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.service(sharded_by="pages", copies=2, in_turn=True)
class CrampedPage:
    """A shard, in two copies."""

    def __init__(self, shard: Path) -> None:
        self.edition = read_alone(self, shard)

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.app(artifact="book")
class CrampedLibrary:
    """Asks every part of the release which one it is of."""

    reader: CrampedReader
    page: kapelle.Sharded[CrampedPage]

    def __init__(self, artifact: Path) -> None:
        self.edition = read(artifact)

    @kapelle.post("/read")
    async def read(self, x: int) -> list[str | int]:
        pages = [await page.read() for page in self.page]
        return [x, self.edition, await self.reader.read(), *pages, await self.reader.read()]
