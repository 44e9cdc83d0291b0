"""What goes wrong in a service reaches the client as the right status, and the log with all that is known."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import structlog

from kapelle.testing import MemorySystem
from tests.integration.memory.band import Book, settled


def code(answer: httpx.Response) -> str:
    """The name of the error in a problem body."""
    assert answer.headers["content-type"] == "application/problem+json"
    kind = answer.json()["type"]
    assert isinstance(kind, str)
    return kind.rsplit(":", 1)[-1]


async def test_an_exception_of_user_code(system: MemorySystem) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await system.client.post("/player/fail", json={"text": "secret"}, headers={"x-request-id": "r1"})
    assert (answer.status_code, code(answer)) == (500, "user-code")
    assert "Traceback" not in answer.text
    logged = [line for line in lines if line["event"] == "user code failed"]
    assert [(line["request"], line["error"]) for line in logged] == [("r1", "ValueError: secret")]
    assert "raise ValueError(text)" in logged[0]["traceback"]


async def test_an_error_of_ours_raised_by_user_code(system: MemorySystem) -> None:
    answer = await system.client.post("/player/refuse", json={"text": "not this"})
    assert answer.status_code == 422
    assert "not this" in answer.text
    assert "$.text" in answer.text


async def test_a_result_of_another_type(system: MemorySystem) -> None:
    answer = await system.client.post("/lie", json={"number": 1})
    assert (answer.status_code, code(answer)) == (500, "contract")


async def test_a_method_that_takes_too_long(system: MemorySystem, book: Book) -> None:
    answer = await system.client.post("/player/linger", json={"number": 1})
    assert (answer.status_code, code(answer)) == (504, "deadline-exceeded")
    await book.until(lambda: book.cancelled == 1)


async def test_a_request_that_takes_too_long(system: MemorySystem, book: Book) -> None:
    answer = await system.client.post("/player/stay", json={"number": 1})
    assert (answer.status_code, code(answer)) == (504, "deadline-exceeded")
    await book.until(lambda: book.cancelled == 1)


async def test_nobody_there(system: MemorySystem) -> None:
    for replica in ("Player-0", "Player-1"):
        await system.kill(replica)
    answer = await system.client.post("/play", json={"number": 1})
    assert (answer.status_code, code(answer)) == (503, "unavailable")
    assert "retry-after" in answer.headers


async def test_all_places_taken(system: MemorySystem, book: Book) -> None:
    running = [asyncio.create_task(system.client.post("/wait", json={"number": number})) for number in range(2)]
    for _ in running:
        await book.gate.occupied()
    waiting = [asyncio.create_task(system.client.post("/wait", json={"number": number})) for number in range(2, 18)]
    workers = [worker for name, worker in system._workers.items() if name.startswith("Player")]
    while sum(worker.runner.queued_rows for worker in workers) < 16:  # noqa: ASYNC110 - the queues tell nobody
        await asyncio.sleep(0)
    answer = await system.client.post("/wait", json={"number": 99})
    assert (answer.status_code, code(answer)) == (429, "overloaded")
    assert "retry-after" in answer.headers
    book.gate.open.set()
    assert [answer.json()["value"] for answer in await asyncio.gather(*running, *waiting)] == list(range(18))


@pytest.mark.parametrize(("method", "status"), [("once", 502), ("wait", 200)])
async def test_a_replica_that_dies_with_the_call(system: MemorySystem, book: Book, method: str, status: int) -> None:
    waiting = asyncio.create_task(system.client.post(f"/{method}", json={"number": 5}))
    await book.gate.occupied()
    (busy,) = [name for name, worker in system._workers.items() if worker.in_flight]
    await system.kill(busy)
    if status == 200:
        await book.gate.occupied()
    book.gate.open.set()
    assert (await waiting).status_code == status


async def test_a_client_that_goes_away_frees_its_places(system: MemorySystem, book: Book) -> None:
    waiting = asyncio.create_task(system.client.post("/player/stay-long", json={"number": 1}))
    await book.until(lambda: any(worker.in_flight for worker in system._workers.values()))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await book.until(lambda: book.cancelled == 1)
    await settled(system)


async def test_a_client_that_goes_away_is_not_waited_for_in_the_queue(system: MemorySystem, book: Book) -> None:
    held = [asyncio.create_task(system.app.player.wait(number)) for number in range(2)]
    for _ in held:
        await book.gate.occupied()
    client = httpx.AsyncClient(base_url=system.url, trust_env=False)
    waiting = asyncio.create_task(client.post("/play", json={"number": 1}))
    workers = [worker for name, worker in system._workers.items() if name.startswith("Player")]
    while not any(worker.runner.queued_rows for worker in workers):  # noqa: ASYNC110 - the queues tell nobody
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await client.aclose()
    while any(worker.runner.queued_rows for worker in workers):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0)
    book.gate.open.set()
    await asyncio.gather(*held)
    assert book.contexts == [], "it was never begun"
