"""What a worker holds of releases: beside each other, and gone when they are told to."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.source import Source
from kapelle.artifacts.sources import Sources
from kapelle.artifacts.turns import Turns
from kapelle.declare.services import service_spec
from kapelle.errors import ArtifactError
from kapelle.observe.metrics import Registry
from kapelle.worker.holder import WorkerHolder
from kapelle.worker.server import Worker


@kapelle.service(sharded_by="index")
class Cluster:
    threads: ClassVar[list[str]] = []

    def __init__(self, shard: Path) -> None:
        self.threads.append(threading.current_thread().name)
        self.text = (shard / "text").read_text()

    @kapelle.method
    def read(self) -> str:
        return self.text


class Shelf(Sources):
    """Releases that are folders, of three shards each."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", folder, Registry())
        self._folder = folder

    def of(self, release: str) -> Source:
        for number in range(3):
            shard = self._folder / release / "index" / "shards" / f"{number:03}"
            shard.mkdir(parents=True, exist_ok=True)
            (shard / "text").write_text(f"{release} {number}")
        return ArtifactFolder(self._folder / release)


@pytest.fixture
async def holder(tmp_path: Path) -> AsyncIterator[WorkerHolder]:
    spec = service_spec(Cluster)
    assert spec is not None
    worker = Worker(spec, "Cluster-0", Registry())
    Cluster.threads.clear()
    yield WorkerHolder(worker, Shelf(tmp_path), Turns(tmp_path / "cache", "Reader-0", 30.0))
    await worker.close()


async def test_it_holds_what_it_is_told_to(holder: WorkerHolder) -> None:
    await holder.first("r1", [2, 0])
    assert holder.holds == {"r1": [0, 2]}
    await holder.prepare("r2", [1])
    await holder.prepare("r1", [1])
    assert holder.holds == {"r1": [0, 1, 2], "r2": [1]}
    dropping = holder.retire("r1", [0, 1, 2])
    assert holder.holds == {"r2": [1]}, "at once"
    await dropping


async def test_what_comes_later_is_not_built_where_calls_run(holder: WorkerHolder) -> None:
    await holder.first("r1", [0])
    await holder.prepare("r2", [0])
    first, later = Cluster.threads
    assert later == "kapelle-beside"
    assert first != later


async def test_what_fails_leaves_the_rest_as_it_is(holder: WorkerHolder) -> None:
    await holder.first("r1", [0])
    with pytest.raises(ArtifactError, match="no shard 7"):
        await holder.prepare("r2", [0, 7])
    assert holder.holds == {"r1": [0]}


async def test_no_request_begins_here(holder: WorkerHolder) -> None:
    holder.route("r1", None)
    assert (holder.routed, holder.busy, holder.side) == ("", {}, None)
