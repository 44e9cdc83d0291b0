"""Concurrent requests become batches, and each gets what became of its own rows."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import kapelle
from kapelle.testing import MemorySystem
from tests.integration.memory.band import Book


async def together(system: MemorySystem, book: Book, method: str, numbers: list[int]) -> list[httpx.Response]:
    """Send requests that reach the service while it is busy with something else."""
    held = asyncio.create_task(system.app.choir.hold())
    await book.gate.occupied()
    waiting = [
        asyncio.create_task(
            system.client.post(f"/{method}", json={"number": number}, headers={"x-request-id": f"r{number}"})
        )
        for number in numbers
    ]
    (worker,) = [worker for name, worker in system._workers.items() if name.startswith("Choir")]
    while worker.runner.queued_rows < len(numbers):  # noqa: ASYNC110 - the queue tells nobody how long it is
        await asyncio.sleep(0)
    book.gate.open.set()
    await held
    return await asyncio.gather(*waiting)


async def test_concurrent_requests_are_run_together(system: MemorySystem, book: Book) -> None:
    answers = await together(system, book, "sing", list(range(12)))
    assert [answer.json()["value"] for answer in answers] == [10 * number for number in range(12)]
    assert [len(batch) for batch in book.batches] == [8, 4]
    contexts = [context for context in book.contexts if context is not None]
    assert [sorted(context.id.split(",")) for context in contexts] == [
        sorted(f"r{number}" for number in batch) for batch in book.batches
    ]


async def test_one_bad_row_fails_its_own_request_only(system: MemorySystem, book: Book) -> None:
    answers = await together(system, book, "sing", [11, 12, 13, 14])
    assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
    assert [len(batch) for batch in book.batches] == [4, 1, 1, 1, 1]


async def test_a_bad_row_that_is_named_costs_one_more_run(system: MemorySystem, book: Book) -> None:
    answers = await together(system, book, "sing_and_name", [11, 12, 13, 14])
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert [len(batch) for batch in book.batches] == [4, 3]


async def test_a_bad_row_whose_place_holds_an_exception_costs_no_other_run(system: MemorySystem, book: Book) -> None:
    answers = await together(system, book, "sing_in_place", [11, 12, 13, 14])
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert [answer.json().get("value") for answer in answers] == [110, 120, None, 140]
    assert [len(batch) for batch in book.batches] == [4]
    assert await system.app.choir.sing_in_place.many([1, 2]) == [10, 20]
    with pytest.raises(kapelle.InvalidInput, match="thirteen!"):
        await system.app.choir.sing_in_place.many([12, 13])


async def test_a_lost_row_is_nobodys_answer(system: MemorySystem, book: Book) -> None:
    answers = await together(system, book, "lose_one", [1, 2, 3])
    assert [answer.status_code for answer in answers] == [500, 500, 500]


async def test_many_rows_keep_their_order(system: MemorySystem, book: Book) -> None:
    numbers = list(range(14, 114))
    assert await system.app.choir.sing.many(numbers) == [10 * number for number in numbers]
    assert all(len(batch) <= 8 for batch in book.batches)
    assert sorted(row for batch in book.batches for row in batch) == numbers


async def test_one_bad_row_of_many_fails_the_call(system: MemorySystem, book: Book) -> None:
    with pytest.raises(kapelle.UserCodeError, match="ValueError: thirteen!"):
        await system.app.choir.sing.many(list(range(10, 17)))
    assert await system.app.choir.sing(1) == 10
