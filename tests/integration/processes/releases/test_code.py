"""Code changes with a release: its processes run beside the old ones, and every request sees one version of all of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import pytest

from kapelle.client import AsyncClient
from kapelle.config.settings import Settings
from kapelle.core.rollout_messages import Side
from kapelle.errors import Unavailable
from kapelle.testing import ProcessSystem
from tests.docs.documents import forget_modules
from tests.integration.processes.load import Client
from tests.integration.processes.releases.shelf import load_of, publish
from tests.integration.processes.releases.studio import APP, Studio, VersionWitness


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    path = list(sys.path)
    yield Studio(tmp_path / "studio")
    sys.path[:] = path
    forget_modules(tmp_path)


@asynccontextmanager
async def running(studio: Studio, **settings: Any) -> AsyncIterator[ProcessSystem]:
    made = msgspec.convert({"port": 0, "store": studio.store, "bake": 0.3, "gateways": 2, **settings}, Settings)
    system = ProcessSystem(studio.target, studio.load(), made, studio.artifacts)
    await system.start()
    try:
        yield system
    finally:
        await system.stop()


def codes(system: ProcessSystem) -> set[str]:
    return {process.recipe.code for process in system.controller.processes.values()}


def runs_only(system: ProcessSystem, code: str) -> bool:
    return codes(system) == {code}


async def test_versions_follow_each_other_under_load(studio: Studio) -> None:
    witness = VersionWitness()
    async with running(studio) as system, load_of(system, witness) as load:
        for version, edition in ("v1", "one"), ("v2", "two"), ("v2", "three"), ("v1", "four"):
            before = set(system.processes)
            release = await studio.release(version, edition)
            code = studio.releases.get(release).manifest.code
            over = await publish(system, release)
            assert over.outcome == "committed", over
            await load.more(30)
            witness.seen.clear()
            await load.more(30)
            assert witness.seen.keys() == {version + edition}
            await system.until(partial(runs_only, system, code))
            assert (edition == "three") == (set(system.processes) == before), "the same code stays where it is"
        load.check()
        assert {process.life.restarts for process in system.controller.processes.values()} == {0}


async def test_connections_that_rest_move_to_the_new_code(studio: Studio) -> None:
    async with running(studio) as system, AsyncExitStack() as stack:
        place = urlsplit(system.url)
        clients = [Client(*await asyncio.open_connection(place.hostname, place.port)) for _ in range(150)]
        for client in clients:
            stack.callback(client.writer.close)
        for version, edition in ("v1", "one"), ("v2", "two"):
            release = await studio.release(version, edition)
            assert (await publish(system, release)).outcome == "committed"
            await system.until(partial(runs_only, system, studio.releases.get(release).manifest.code))
            seen = version + edition
            for client in clients:
                status, body, stays = await client.ask("/read", b'{"x": 1}')
                assert (status, json.loads(body), stays) == (200, [1, seen, seen, seen], True)


async def test_going_back_goes_back_to_the_old_code(studio: Studio) -> None:
    one, two = await studio.release("v1", "one"), await studio.release("v2", "two")
    witness = VersionWitness()
    async with running(studio, release=one, bake=60) as system, load_of(system, witness) as load:
        publishing = asyncio.create_task(publish(system, two))
        await load.until(lambda: witness.seen["v2two"] > 20)
        assert len(codes(system)) == 2, "the old code is kept for the trial"
        over = await system.conductor.rollback(lambda _: None)
        assert (over.release, over.outcome) == (two, "rolled back")
        assert await publishing == over
        witness.seen.clear()
        await load.until(lambda: witness.seen["v1one"] > 20)
        await system.until(lambda: len(codes(system)) == 1)
        load.check()


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (
            APP.replace("import kapelle", "import kapelle\n\nopen(Path(__file__).with_name('notes.txt'))", 1),
            "notes.txt",
        ),
        (APP.replace("self.edition = (", "self.edition = 1 / 0 or (", 1), "division by zero"),
        (APP.replace("assert (await self.reader.read()) != ", "assert (await self.reader.read()) == "), "golden query"),
    ],
    ids=["import", "constructor", "golden"],
)
async def test_broken_code_never_gets_a_request(studio: Studio, app: str, reason: str) -> None:
    witness = VersionWitness()
    good = await studio.release("v1", "one")
    async with running(studio, release=good) as system, load_of(system, witness) as load:
        over = await publish(system, await studio.release("v2", "two", app))
        assert over.outcome == "refused"
        assert reason in over.reason
        await system.until(lambda: len(codes(system)) == 1)
        await load.more(30)
        load.check()
        assert witness.seen.keys() == {"v1one"}


async def test_processes_come_back_when_somebody_has_emptied_the_cache(studio: Studio) -> None:
    one = await studio.release("v1", "one")
    async with running(studio, release=one, gateways=1) as system:
        shutil.rmtree(system.controller.plan.stock.cache)
        for name in system.processes:
            await system.restarted(name, system.kill(name))
        assert {process.life.crashes for process in system.controller.processes.values()} == {1}
        assert (await system.client.post("/read", json={"x": 1})).json() == [1, "v1one", "v1one", "v1one"]


async def test_a_release_of_other_code_cannot_be_a_canary(studio: Studio) -> None:
    one, two = await studio.release("v1", "one"), await studio.release("v2", "two")
    async with running(studio, release=one) as system:
        over = await system.conductor.publish(two, lambda _: None, Side(two, 0.1))
        assert over.outcome == "denied"
        assert "other code" in over.reason


ASKED_BY_CLIENTS = APP.replace("async def read(self) -> str:", "async def read(self, x: int = 0) -> str:")


async def test_clients_of_grpc_see_one_version_after_the_other(studio: Studio) -> None:
    studio.write("v0", "local", ASKED_BY_CLIENTS)
    seen: set[str] = set()

    async def ask(client: AsyncClient) -> None:
        while not enough.is_set():
            # A connection that is made just when a gateway shuts its port may be reset; nothing was asked over it.
            with suppress(Unavailable):
                answer = await client.infer("Reader", {"x": np.array([3], np.int64)}, protocol="grpc")
                seen.add(answer["output"][0].decode())

    enough = asyncio.Event()
    async with running(studio) as system, AsyncClient(system.url) as client:
        asking = [asyncio.create_task(ask(client)) for _ in range(4)]
        expected = {"v0local"}
        for version, edition in ("v1", "one"), ("v2", "two"):
            release = await studio.release(version, edition, ASKED_BY_CLIENTS)
            expected.add(version + edition)
            assert (await publish(system, release)).outcome == "committed"
            await system.until(partial(runs_only, system, studio.releases.get(release).manifest.code))
        enough.set()
        await asyncio.gather(*asking)
    assert seen <= expected
    assert len(seen) >= 2
