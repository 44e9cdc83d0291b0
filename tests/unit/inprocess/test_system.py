"""A whole system in this process starts, answers, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError, StartError
from kapelle.inprocess.system import System


@kapelle.service(replicas=2)
class Echo:
    fail = False

    def __init__(self) -> None:
        if self.fail:
            raise SystemExit(5)

    @kapelle.method
    def echo(self, text: str) -> str:
        return text

    @kapelle.method
    def leave(self) -> None:
        raise SystemExit(3)


@kapelle.app
class App:
    echo: Echo

    @kapelle.get("/echo")
    async def answer(self, text: str) -> str:
        return await self.echo.echo(text)


@kapelle.app(artifact="weights")
class Weighted:
    def __init__(self, artifact: Path) -> None:
        self.weights = artifact.name

    @kapelle.get("/")
    async def root(self) -> str:
        return self.weights


def system(app: type = App, artifacts: Path = Path()) -> System:
    spec = app_spec(app)
    assert spec is not None
    return System(spec, Settings(access_log=False, drain_timeout=5.0), artifacts)


async def test_all_replicas_are_ready_when_it_has_started() -> None:
    made = system()
    await made.start()
    assert made.replicas == ["Echo-0", "Echo-1"]
    assert await asyncio.gather(*(made.app.echo.echo(text) for text in "abc")) == ["a", "b", "c"]
    assert not made.gateway.draining
    await made.stop()
    assert made.gateway.draining


async def test_a_replica_whose_code_ends_the_process_is_gone() -> None:
    made = system()
    await made.start()
    with pytest.raises((kapelle.ReplicaLost, kapelle.Unavailable)):
        await made.app.echo.leave()
    assert made.replicas == [], "the call was tried on both"
    await made.stop()


async def test_one_that_fails_to_start_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "fail", True)
    tasks = asyncio.all_tasks()
    made = system()
    with pytest.raises(StartError, match="Echo-0 wanted to exit with 5 while it started"):
        await made.start()
    await made.stop()
    assert asyncio.all_tasks() == tasks


async def test_artifacts(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="weights"):
        system(Weighted, tmp_path)
    (tmp_path / "weights").mkdir()
    made = system(Weighted, tmp_path)
    await made.start()
    assert await made.app.root() == "weights"
    await made.stop()
