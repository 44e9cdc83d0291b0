"""A system in memory comes up, loses and regains replicas, and goes down leaving nothing behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import kapelle
from kapelle.config.orders import LOCAL
from kapelle.declare.apps import Sharded
from kapelle.errors import StartError, Unavailable
from kapelle.testing import MemorySystem, running


@kapelle.service(replicas=2)
class Worker:
    """Waits, leaves, or fails to start, as a test wants it."""

    fail = ""
    waiting = threading.Semaphore(0)

    def __init__(self) -> None:
        if self.fail == "exit":
            raise SystemExit(7)
        if self.fail == "error":
            raise ValueError("cannot load")
        self.go_on = threading.Event()

    @kapelle.method
    def double(self, value: int) -> int:
        return 2 * value

    @kapelle.method(idempotent=False)
    def wait(self) -> str:
        self.waiting.release()
        assert self.go_on.wait(30)
        return "done"

    @kapelle.method
    def leave(self) -> None:
        raise SystemExit(3)


@kapelle.app
class App:
    """The service, called by every way there is."""

    worker: Worker

    @kapelle.get("/double/{value}")
    async def double(self, value: int) -> int:
        return await self.worker.double(value)


async def ejected(system: MemorySystem) -> None:
    """Return when the gateway has heard of the ends of all that runs no more."""
    pool = system._started.fleet.pools["Worker"]
    while pool.usable > len(system.replicas):
        system._changed.clear()
        await system._changed.wait()


async def test_replicas_die_and_come_back() -> None:
    async with running(App) as system:
        for replica in ("Worker-0", "Worker-1"):
            await system.kill(replica)
        assert system.replicas == []
        await ejected(system)
        with pytest.raises(Unavailable):
            await system.app.worker.double(2)
        await system.restart("Worker-1")
        await system.ready()
        assert system.replicas == ["Worker-1"]
        assert await system.app.worker.double(2) == 4
        await system.restart("Worker-0")
        await system.ready()
        assert system._started.fleet.pools["Worker"].usable == 2


async def test_a_drained_replica_finishes_what_it_has() -> None:
    async with running(App) as system:
        waiting = asyncio.create_task(system.app.worker.wait())
        instances = {name: worker.queues[LOCAL, 0, "wait"].instance for name, worker in system._workers.items()}
        await asyncio.to_thread(Worker.waiting.acquire, True, 30)
        (busy,) = [name for name, worker in system._workers.items() if worker.in_flight]
        drained = asyncio.create_task(system.drain(busy))
        for number in range(20):
            assert await system.app.worker.double(number) == 2 * number
        assert not drained.done()
        instances[busy].go_on.set()
        assert await waiting == "done"
        await drained
        assert busy not in system.replicas
        await system.restart(busy)
        await system.ready()


async def test_user_code_that_ends_the_process_ends_the_replica() -> None:
    async with running(App) as system:
        with pytest.raises((kapelle.ReplicaLost, Unavailable)):
            await system.app.worker.leave()
        assert system.replicas == [], "the call was tried on both"
        for replica in ("Worker-0", "Worker-1"):
            await system.restart(replica)
        await system.ready()
        assert await system.app.worker.double(2) == 4


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [("exit", StartError, "wanted to exit with 7 while it started"), ("error", ValueError, "cannot load")],
)
async def test_a_system_that_does_not_start_leaves_nothing_behind(
    fail: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = asyncio.all_tasks()
    monkeypatch.setattr(Worker, "fail", fail)
    with pytest.raises(error, match=message):
        async with running(App):
            pytest.fail("it has started")
    await settle()
    assert asyncio.all_tasks() == tasks


async def test_a_system_leaves_nothing_behind() -> None:
    async with running(App) as system:
        await system.client.get("/double/2")
    await settle()
    tasks, handles = asyncio.all_tasks(), open_files()
    threads = user_threads()
    for _ in range(3):
        async with running(App) as system:
            assert (await system.client.get("/double/2")).json() == 4
            abandoned = asyncio.create_task(system.app.worker.wait())
            await asyncio.sleep(0)
            await system.kill("Worker-0")
            for worker in system._workers.values():
                worker.queues[LOCAL, 0, "wait"].instance.go_on.set()
        await asyncio.gather(abandoned, return_exceptions=True)
    await settle()
    assert asyncio.all_tasks() == tasks
    assert open_files() <= handles
    for thread in user_threads() - threads:
        await asyncio.to_thread(thread.join, 30)
        assert not thread.is_alive()


@pytest.mark.parametrize("verb", ["kill", "drain"])
async def test_who_does_not_run_cannot_be_ended(verb: str) -> None:
    async with running(App) as system:
        with pytest.raises(ValueError, match="no replica 'Worker-7' runs; there are Worker-0, Worker-1"):
            await getattr(system, verb)("Worker-7")
        await system.kill("Worker-0")
        with pytest.raises(ValueError, match="no replica 'Worker-0' runs; there are Worker-1"):
            await getattr(system, verb)("Worker-0")


async def test_who_runs_cannot_be_restarted() -> None:
    async with running(App) as system:
        with pytest.raises(ValueError, match="replica 'Worker-0' runs; kill or drain it first"):
            await system.restart("Worker-0")
        with pytest.raises(ValueError, match="no replica 'Worker-7'; there are Worker-0, Worker-1"):
            await system.restart("Worker-7")


@kapelle.service(sharded_by="index", copies=2)
class Cluster:
    """One shard."""

    def __init__(self, shard: Path) -> None:
        self._shard = shard

    @kapelle.method
    def name(self) -> str:
        return self._shard.name


@kapelle.app
class Search:
    """All shards."""

    cluster: Sharded[Cluster]

    @kapelle.get("/names")
    async def names(self) -> list[str]:
        return list(await asyncio.gather(*(cluster.name() for cluster in self.cluster)))


async def test_shards_come_from_the_artifact_and_each_has_its_copies(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "index" / "shards" / f"{number:03}").mkdir(parents=True)
    async with running(Search, artifacts=tmp_path, shard_processes=3) as system:
        assert len(system.replicas) == 6
        await system.kill("Cluster-1")
        assert (await system.client.get("/names")).json() == ["000", "001", "002"]


async def test_metrics_cover_gateway_and_replicas() -> None:
    async with running(App) as system:
        await system.client.get("/double/2")
        text = (await system.client.get("/metrics")).text
        assert 'kapelle_calls_total{replica="Worker-0",service="Worker"}' in text
        assert 'kapelle_requests_total{endpoint="double"' in text


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def user_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "kapelle-user-code"}


async def settle() -> None:
    """Let everything run that is due."""
    for _ in range(20):
        await asyncio.sleep(0)
