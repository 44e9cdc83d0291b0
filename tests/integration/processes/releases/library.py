"""An app whose answers prove which release each of its parts belongs to; some releases of it are bad."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np

import kapelle


def read(folder: Path) -> str:
    """The edition of one part, unless there is something wrong with it."""
    edition = (folder / "edition").read_text()
    vector = np.load(folder / "vector.npy")
    if vector.shape != (4,):
        raise ValueError(f"vector.npy has shape {vector.shape}, expected (4,)")
    if not np.isfinite(vector).all():
        raise ValueError("vector.npy has values that are not finite")
    if (folder / "kills").exists():
        os._exit(9)
    if (folder / "hangs").exists():
        threading.Event().wait()
    return edition


@kapelle.service(replicas=2, artifact="book")
class Reader:
    """The whole artifact, in two replicas."""

    def __init__(self, artifact: Path) -> None:
        self.edition = read(artifact)

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.service(sharded_by="pages", copies=2)
class Page:
    """A shard, in two copies."""

    def __init__(self, shard: Path) -> None:
        self.edition = read(shard)

    @kapelle.method
    async def read(self) -> str:
        return self.edition


@kapelle.app(artifact="book")
class Library:
    """Asks every part of the release which one it is of."""

    reader: Reader
    page: kapelle.Sharded[Page]

    def __init__(self, artifact: Path) -> None:
        self.edition = read(artifact)

    @kapelle.post("/read")
    async def read(self, x: int) -> list[str | int]:
        pages = [await page.read() for page in self.page]
        kapelle.quality((0.4 if self.edition == "worse" else 0.5) + x % 7 / 100)
        return [x, self.edition, await self.reader.read(), *pages, await self.reader.read()]

    @kapelle.golden
    async def is_not_boring(self) -> None:
        edition = await self.reader.read()
        assert "boring" not in edition, f"edition {edition!r} is boring"
