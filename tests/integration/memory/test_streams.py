"""Streams pass from a service through the app to the client, no faster than it reads, and end with it."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from kapelle.errors import ReplicaLost
from kapelle.testing import MemorySystem
from kapelle.wire.messages import STREAM_WINDOW
from tests.integration.memory.band import Book, settled


def values(text: str) -> list[int]:
    """The numbers of a stream of server-sent events."""
    return [int(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]


async def test_all_items_arrive(system: MemorySystem, book: Book) -> None:
    answer = await system.client.post("/player/count", json={"up_to": 200})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert values(answer.text) == list(range(200))
    assert book.streams_closed == 1
    await settled(system)


async def test_an_error_in_the_middle_comes_after_the_items_before_it(system: MemorySystem, book: Book) -> None:
    answer = await system.client.post("/player/count", json={"up_to": 200, "fail_at": 70})
    items, _, error = answer.text.partition("event: error")
    assert values(items) == list(range(70))
    assert "user-code" in error


async def test_a_reader_in_the_app_sets_the_pace(system: MemorySystem, book: Book) -> None:
    stream = system.app.player.count(1000)
    assert [await anext(stream) for _ in range(10)] == list(range(10))
    for _ in range(100):
        await asyncio.sleep(0)
    assert book.streams_made == STREAM_WINDOW
    assert [await anext(stream) for _ in range(30)] == list(range(10, 40))
    await book.until(lambda: book.streams_made == 2 * STREAM_WINDOW)
    await stream.aclose()
    await book.until(lambda: book.streams_closed == 1)
    await settled(system)


async def test_a_client_that_goes_away_stops_the_generator(system: MemorySystem, book: Book) -> None:
    client = httpx.AsyncClient(base_url=system.url, trust_env=False)
    async with client.stream("POST", "/player/count", json={"up_to": 10_000_000}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                break
    await client.aclose()
    await book.until(lambda: book.streams_closed == 1)
    assert book.streams_made < 10_000_000
    await settled(system)


async def test_a_replica_that_dies_ends_its_streams(system: MemorySystem, book: Book) -> None:
    stream = system.app.player.count(1000)
    assert await anext(stream) == 0
    (busy,) = [name for name, worker in system._workers.items() if worker.in_flight]
    await system.kill(busy)
    with pytest.raises(ReplicaLost):
        _ = [item async for item in stream]
    await book.until(lambda: book.streams_closed == 1)
