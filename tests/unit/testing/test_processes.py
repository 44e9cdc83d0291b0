"""The handle on a system of real processes: what a test sees of it, does to it, and finds left of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.control.exits import birth
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError, StartError
from kapelle.testing.processes import ProcessSystem


@kapelle.service
class Player:
    @kapelle.method(idempotent=False)
    def pid(self) -> int:
        return os.getpid()


@kapelle.app
class Band:
    player: Player

    @kapelle.get("/pid")
    async def pid(self) -> int:
        return await self.player.pid()

    @kapelle.get("/rest")
    async def rest(self) -> AsyncIterator[str]:
        yield "resting"
        await asyncio.Event().wait()


@kapelle.service
class Broken:
    def __init__(self) -> None:
        raise ValueError("no strings")

    @kapelle.method
    def play(self) -> None: ...


@kapelle.app
class BrokenBand:
    broken: Broken

    @kapelle.get("/")
    async def root(self) -> None: ...


@kapelle.app(artifact="scores")
class Reading:
    def __init__(self, artifact: Path) -> None: ...

    @kapelle.get("/")
    async def root(self) -> None: ...


def system_of(app: type, **settings: Any) -> ProcessSystem:
    spec = app_spec(app)
    assert spec is not None
    return ProcessSystem(f"{__file__}:{spec.name}", spec, Settings(port=0, **settings), Path("artifacts"))


@asynccontextmanager
async def playing(**settings: Any) -> AsyncIterator[ProcessSystem]:
    """A system that has started; it is stopped at the end."""
    system = system_of(Band, **settings)
    await system.start()
    try:
        yield system
    finally:
        await system.stop()


async def test_it_is_seen_asked_and_hurt_and_leaves_nothing() -> None:
    async with playing() as band:
        assert band.processes == ["Player-0", "gateway-0"]
        assert band.url == f"http://127.0.0.1:{band.client.base_url.port}"
        assert band.progress, "the start is told as it goes on"
        pid = band.process("Player-0").pid
        assert (await band.client.get("/pid")).json() == pid
        assert band.kill("Player-0") == pid
        await band.restarted("Player-0", pid)
        successor = (await band.client.get("/pid")).json()
        assert successor not in (0, pid)
        gateway = band.signal("gateway-0", signal.SIGSTOP)
        asking = asyncio.create_task(band.client.get("/pid"))
        assert band.signal("gateway-0", signal.SIGCONT) == gateway == band.process("gateway-0").pid
        assert (await asking).json() == successor
        assert band.run.path.exists()
    assert [birth(one) for one in (pid, successor, gateway)] == ["", "", ""]
    assert not band.run.path.parent.exists()
    assert band.outcomes == []


async def test_what_did_not_end_well_is_told() -> None:
    async with AsyncExitStack() as watching, playing(drain_timeout=0.1) as band:
        client = await watching.enter_async_context(httpx.AsyncClient(base_url=band.url, trust_env=False))
        answer = await watching.enter_async_context(client.stream("GET", "/rest"))
        assert await anext(answer.aiter_lines()) == 'data: "resting"'
    assert [one.partition(" ")[0] for one in band.outcomes] == ["gateway-0:"]


async def test_a_start_that_fails_says_why_and_leaves_nothing() -> None:
    system = system_of(BrokenBand)
    with pytest.raises(StartError, match=r"the system did not start: Broken-0: ValueError: no strings"):
        await system.start()
    assert not any(one.life.usable for one in system.controller.processes.values())
    assert not system.run.path.parent.exists()


def test_what_cannot_be_planned_leaves_nothing() -> None:
    with pytest.raises(ArtifactError):
        system_of(Reading)
