"""A sharded service and a plain one, and an app that asks all of them at each request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import kapelle

CODE = "first"
"""The tests update the code by another word here."""


@kapelle.service(replicas=2, artifact="book")
class Reader:
    """The whole book, in every replica."""

    def __init__(self, artifact: Path) -> None:
        self.edition = (artifact / "edition").read_text()

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.service(sharded_by="pages", copies=2)
class Page:
    """A page in two copies."""

    def __init__(self, shard: Path) -> None:
        self.edition = (shard / "edition").read_text()

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.app
class Bookcase:
    reader: Reader
    page: kapelle.Sharded[Page]

    @kapelle.post("/read")
    async def read(self, x: int) -> list[str]:
        """What was asked, the code that answers, and the edition of every part."""
        editions = await asyncio.gather(self.reader.read(), *(page.read() for page in self.page))
        return [str(x), CODE, *editions]
