"""A running system, and a client of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kapelle.testing import MemorySystem, running
from tests.integration.client.either import KINDS, Either
from tests.integration.client.gallery import Gallery


@pytest.fixture
async def system() -> AsyncIterator[MemorySystem]:
    async with running(Gallery) as system:
        yield system


@pytest.fixture(params=KINDS)
async def client(request: pytest.FixtureRequest, system: MemorySystem) -> AsyncIterator[Either]:
    client = request.param(system.url, timeout="20s")
    yield client
    await client.close()
