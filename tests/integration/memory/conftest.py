"""The system that the tests here look at."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kapelle.testing import MemorySystem, running
from tests.integration.memory import band
from tests.integration.memory.band import Band, Book


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """What happens in the services."""
    fresh = Book()
    monkeypatch.setattr(band, "book", fresh)
    return fresh


@pytest.fixture
async def system(book: Book) -> AsyncIterator[MemorySystem]:
    """A running system, at rest at the end."""
    async with running(Band) as system:
        yield system
        book.gate.open.set()
        await band.settled(system)
