"""The engine that the tests of containers share, and a swarm in it.

Where no engine runs and none can be started, these tests are skipped with the reason; with ``REQUIRE_CONTAINERS=1`` they
fail. While such a test runs, published ports are at 127.0.0.1, whichever engine is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from scripts.engine import UNPACKED, may_start, running
from tests.containers import base_image
from tests.containers.base_image import engine_recipe, provide, python_recipe
from tests.containers.docker import Docker
from tests.containers.engine import PrivateEngine, start_engine
from tests.containers.swarm import Swarm


def impossible(reason: str) -> None:
    """Skip the test, or fail it where containers are required."""
    if os.environ.get("REQUIRE_CONTAINERS") == "1":
        pytest.fail(f"containers are impossible here, and REQUIRE_CONTAINERS=1 asks for them: {reason}", pytrace=False)
    pytest.skip(f"containers are impossible here: {reason}")


@pytest.fixture(scope="session")
def private_engine() -> Iterator[PrivateEngine | None]:
    """The tests' own engine; none where the machine's can be used."""
    trouble = running().trouble()
    if not trouble:
        yield None
        return
    if not (may_start() and (UNPACKED / "usr/sbin/dockerd").exists()):
        impossible(f"{trouble}. Start Docker, or run `make test` as root on Debian or Ubuntu, which fetches an engine")
    engine = start_engine()
    yield engine
    engine.stop()


@pytest.fixture(scope="session")
def docker(private_engine: PrivateEngine | None) -> Docker:
    """The engine, with the public Python image. The same for all tests of a run: what one has built, the next finds."""
    clients = running() if private_engine is None else private_engine.clients
    docker = Docker(clients.environment)
    provide(docker, base_image.PYTHON, python_recipe)
    return docker


@pytest.fixture(autouse=True)
def beside_the_engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Be on the engine's machine for the time of a test that uses it."""
    engine = request.getfixturevalue("private_engine") if "docker" in request.fixturenames else None
    if engine is None:
        yield
        return
    with engine.entered():
        yield


@pytest.fixture(scope="session")
def shared_swarm(docker: Docker) -> Iterator[Swarm]:
    """Three nodes, made once."""
    provide(docker, base_image.ENGINE, engine_recipe)
    swarm = Swarm(docker)
    try:
        swarm.up()
        yield swarm
    finally:
        swarm.down()


@pytest.fixture
def swarm(shared_swarm: Swarm) -> Iterator[Swarm]:
    """Three nodes with nothing deployed; whatever a test does to them, they are well again for the next."""
    yield shared_swarm
    shared_swarm.mend()
