"""Fixtures of the tests that speak HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.http.client import Client
from tests.integration.http.echo import Echo
from tests.integration.http.serving import Served, serving


@pytest.fixture
async def echo() -> AsyncIterator[Served]:
    """The echo app with default settings but a small limit on bodies."""
    async with serving(Echo, max_body=100_000) as system:
        yield system


@pytest.fixture
async def client(echo: Served) -> Client:
    """A connection to it."""
    return await echo.connect()
