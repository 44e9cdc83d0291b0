"""A system of containers that the tests of a module share, and mounts that it needs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.network.landscape import Landscape, unshare


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Sequence[str]:
    """How a process gets an /etc/hosts of its own."""
    words, reason = unshare(tmp_path_factory.mktemp("alone"))
    if not words:
        if os.environ.get("REQUIRE_CONTAINERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return words


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def landscape(alone: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Landscape]:
    """A whole system; each test leaves it whole."""
    landscape = Landscape(tmp_path_factory.mktemp("n"), alone)
    try:
        await landscape.whole()
        yield landscape
    finally:
        await landscape.sweep()


@pytest_asyncio.fixture(loop_scope="module")
async def empty(alone: Sequence[str], tmp_path: Path) -> AsyncIterator[Landscape]:
    """A store and names, and no containers yet."""
    landscape = Landscape(tmp_path, alone)
    try:
        yield landscape
    finally:
        await landscape.sweep()
