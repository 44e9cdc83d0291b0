"""Every request is counted for the release that it was pinned to, with how it ended and what its answer was worth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import kapelle
from kapelle.artifacts.folder import ArtifactFolder
from kapelle.artifacts.instances import build
from kapelle.core.vitals import Vitals
from kapelle.testing import MemorySystem, running


@kapelle.service
class Remote:
    @kapelle.method
    async def judge(self, score: float) -> float:
        kapelle.quality(1000.0)
        return score


@kapelle.service(inline=True)
class Beside:
    @kapelle.method
    def judge(self, score: float) -> float:
        kapelle.quality(score)
        return score


@kapelle.app
class App:
    remote: Remote
    beside: Beside

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self.go = asyncio.Event()

    @kapelle.post("/judge")
    async def judge(self, score: float) -> float:
        kapelle.quality(await self.remote.judge(score))
        await self.beside.judge(score)
        await asyncio.gather(self._aside(score), asyncio.to_thread(kapelle.quality, score))
        return score

    async def _aside(self, score: float) -> None:
        kapelle.quality(score)

    @kapelle.get("/break")
    async def break_off(self) -> None:
        raise ValueError("broken")

    @kapelle.get("/worthless")
    async def worthless(self) -> None:
        kapelle.quality(float("nan"))

    @kapelle.get("/brief", timeout="50ms")
    async def brief(self) -> None:
        await self.go.wait()

    @kapelle.get("/hold")
    async def hold(self) -> str:
        self.held.set()
        await self.go.wait()
        return "let go"

    @kapelle.get("/stream")
    async def stream(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")


@pytest.fixture
async def system() -> AsyncIterator[MemorySystem]:
    async with running(App) as system:
        yield system


def vitals(system: MemorySystem) -> Vitals:
    return system.gateway.edition.vitals


async def test_scores_from_wherever_the_gateway_runs_code(system: MemorySystem) -> None:
    assert (await system.client.post("/judge", json={"score": 0.5})).status_code == 200
    counted = vitals(system)
    assert (counted.requests, counted.failures) == (1, 0)
    # The app's own, the inline service's, the task's and the thread's; not the remote service's.
    assert (counted.scores, counted.score_sum, counted.score_squares) == (4, 2.0, 1.0)


@pytest.mark.parametrize(
    ("path", "status", "failures"),
    [("/break", 500, 1), ("/worthless", 500, 1), ("/brief", 504, 1), ("/judge", 405, 0), ("/none", 404, 0)],
)
async def test_failures_are_those_of_the_release(system: MemorySystem, path: str, status: int, failures: int) -> None:
    assert (await system.client.get(path)).status_code == status
    counted = vitals(system)
    # What the app does not serve is no request to it.
    assert (counted.requests, counted.failures, counted.scores) == (failures, failures, 0)


async def test_a_refused_input_is_a_request_that_did_not_fail(system: MemorySystem) -> None:
    assert (await system.client.post("/judge", json={"score": "high"})).status_code == 422
    assert (vitals(system).requests, vitals(system).failures) == (1, 0)


async def test_a_stream_that_breaks_off_has_failed(system: MemorySystem) -> None:
    assert "error" in (await system.client.get("/stream")).text
    assert (vitals(system).requests, vitals(system).failures) == (1, 1)


async def test_a_client_that_goes_away_is_a_request_that_did_not_fail(system: MemorySystem) -> None:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False) as client:
        asking = asyncio.create_task(client.get("/hold"))
        await system.app.held.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await system.gateway.edition.deserted()
    assert (vitals(system).requests, vitals(system).failures) == (1, 0)


async def test_what_is_refused_at_the_door_says_nothing_of_the_release() -> None:
    async with running(App, max_requests=1) as system:
        asking = asyncio.create_task(system.client.get("/hold"))
        await system.app.held.wait()
        assert (await system.client.get("/break")).status_code == 429
        system.app.go.set()
        assert (await asking).status_code == 200
        assert (vitals(system).requests, vitals(system).failures) == (1, 0)


async def test_a_request_counts_for_the_release_it_began_on(system: MemorySystem, tmp_path: Path) -> None:
    assembly = system._started
    old = system.gateway.edition
    asking = asyncio.create_task(system.client.get("/hold"))
    await system.app.held.wait()
    source = ArtifactFolder(tmp_path)
    for worker in system._workers.values():
        worker.serve("r2", await build(worker.spec, [0], source, worker.runner.in_thread))
    await assembly.prepare("r2", source)
    assembly.route("r2")
    assert (await system.client.get("/break")).status_code == 500
    old.app.go.set()
    assert (await asking).status_code == 200
    new = system.gateway.edition
    assert new is not old
    assert [(one.vitals.requests, one.vitals.failures) for one in (old, new)] == [(1, 0), (1, 1)]
