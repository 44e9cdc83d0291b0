"""Rows of a sharded array, and the version it is of: what the publish benchmark updates, on Kapelle."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

import kapelle


class Found(msgspec.Struct):
    version: int
    value: float


@kapelle.service(sharded_by="vectors", copies=2)
class Shard:
    def __init__(self, shard: Path) -> None:
        self.version = int((shard / "version").read_text())
        self.rows = np.load(shard / "rows.npy")

    @kapelle.method
    def find(self, row: int) -> Found:
        return Found(self.version, float(self.rows[row % len(self.rows)].sum()))


@kapelle.app
class Vectors:
    shard: kapelle.Sharded[Shard]

    @kapelle.post("/find")
    async def find(self, row: int) -> Found:
        return await self.shard.shard(row % len(self.shard)).find(row)
