"""A gateway is put together in order and taken apart in the reverse, also when only half of it came to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.errors import ArtifactError
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Family, Registry
from kapelle.transport.memory import MemoryNetwork
from tests.unit.artifacts.anywhere import Anywhere

LOG: list[str] = []


@pytest.fixture(autouse=True)
def log() -> list[str]:
    """What happened, in order."""
    LOG.clear()
    return LOG


@kapelle.service(inline=True, artifact="words")
class Words:
    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact
        LOG.append("words made")

    @kapelle.method
    def where(self) -> str:
        return str(self.artifact)

    @kapelle.on_startup
    def load(self) -> None:
        LOG.append("words loaded")

    @kapelle.on_shutdown
    def leave(self) -> None:
        LOG.append("words left")


@kapelle.service
class Remote:
    @kapelle.method
    def plain(self) -> int:
        raise NotImplementedError


async def mounted(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "lifespan"
    while True:
        message = await receive()
        LOG.append(f"mounted {message['type']}")
        await send({"type": f"{message['type']}.complete"})


@kapelle.app(artifact="app", mounts={"/old": mounted})
class App:
    words: Words
    remote: Remote
    fail_in: str = ""

    def __init__(self, artifact: Path) -> None:
        self.artifact = artifact
        LOG.append(f"app made with {type(self.words).__name__} and {type(self.remote).__name__}")
        if self.fail_in == "init":
            raise ValueError("init")

    @kapelle.post("/")
    async def run(self) -> str:
        return await self.words.where()

    @kapelle.on_startup
    async def warm_up(self) -> None:
        if self.fail_in == "startup":
            raise ValueError("startup")
        LOG.append(f"app warms up with {await self.words.where()}")

    @kapelle.on_shutdown
    async def leave(self) -> None:
        LOG.append("app left")


def assembly() -> Assembly:
    spec = app_spec(App)
    assert spec is not None
    registry = Registry()
    fleet = Fleet(spec, "gateway-0", MemoryNetwork().connect, registry)

    async def collect() -> list[Family]:
        return registry.collect()

    return Assembly(spec, fleet, Settings(access_log=False), registry, collect, Regions(Path("/nowhere")))


def find(name: str) -> Path:
    return Path("artifacts") / name


async def test_everything_is_there_before_the_app_needs_it(log: list[str]) -> None:
    built = assembly()
    assert built.in_flight == 0
    await built.start("r1", Anywhere())
    assert built.app.artifact == Path("artifacts/app")
    await built.close()
    assert log == [
        "words made",
        "words loaded",
        "app made with Handle and Handle",
        "app warms up with artifacts/words",
        "mounted lifespan.startup",
        "mounted lifespan.shutdown",
        "app left",
        "words left",
    ]


async def test_draining_is_the_gateways() -> None:
    built = assembly()
    await built.drain()
    await built.start("r1", Anywhere())
    await built.drain()
    assert built.gateway.draining
    await built.close()


async def test_it_knows_its_endpoints() -> None:
    built = assembly()
    await built.start("r1", Anywhere())
    assert built.gateway.allowed("/") == ["POST"]
    await built.close()


@pytest.mark.parametrize(
    ("fail_in", "last"),
    [("init", "app made with Handle and Handle"), ("startup", "app made with Handle and Handle")],
    ids=["constructor", "hook"],
)
async def test_what_came_to_be_is_taken_apart_when_the_rest_fails(
    fail_in: str, last: str, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(App, "fail_in", fail_in)
    built = assembly()
    with pytest.raises(ValueError, match=fail_in):
        await built.start("r1", Anywhere())
    await built.close()
    assert log == ["words made", "words loaded", last, "words left"]


async def test_a_missing_artifact_stops_it_at_once(log: list[str]) -> None:
    class Nowhere(Anywhere):
        def path(self, artifact: str) -> Path:
            raise ArtifactError(f"no artifact {artifact!r}")

    built = assembly()
    with pytest.raises(ArtifactError, match="no artifact 'words'"):
        await built.start("r1", Nowhere())
    await built.close()
    assert log == []
