"""The transports, one after the other: what uses ``network`` is the contract that all of them keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.transport.ends import KINDS, Network, open_network


@pytest.fixture(params=KINDS)
async def network(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Network]:
    async with open_network(request.param, tmp_path) as network:
        yield network
