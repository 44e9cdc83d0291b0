"""Nothing of a call outlives it: the garbage collector comes seldom, and bodies and arrays are large."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest

import kapelle
from kapelle.gateway.request import Request
from kapelle.testing import MemorySystem, running
from kapelle.worker.job import Job

DATA = b"\0" * 10_000


class Steps:
    """How far the method that waits has come."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()


steps: Steps


async def _lingering() -> None:
    steps.begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        steps.ended.set()


@kapelle.service
class Worker:
    @kapelle.method
    def fails(self, data: bytes) -> int:
        raise ValueError(len(data))

    @kapelle.method
    async def waits(self, data: bytes) -> None:
        await _lingering()

    @kapelle.method(timeout=0.01)
    async def late(self, data: bytes) -> None:
        await _lingering()

    @kapelle.batched(max_size=2)
    def rows(self, data: list[bytes]) -> list[int]:
        raise ValueError(len(data))

    @kapelle.method
    async def items(self, data: bytes, good: bool) -> AsyncIterator[int]:
        yield len(data)
        if not good:
            raise ValueError(len(data))


@kapelle.app
class Work:
    worker: Worker

    @kapelle.post("/fails")
    async def fails(self, body: bytes) -> int:
        return await self.worker.fails(body)

    @kapelle.post("/raises")
    async def raises(self, body: bytes) -> int:
        raise ValueError(len(body))

    @kapelle.post("/numbers")
    async def numbers(self, numbers: list[int]) -> None: ...

    @kapelle.post("/items")
    async def items(self, body: bytes) -> AsyncIterator[int]:
        async for item in self.worker.items(body, good=False):
            yield item


@pytest.fixture
async def system() -> AsyncIterator[MemorySystem]:
    global steps  # noqa: PLW0603 - the service is made by the system, and has nothing else that a test can reach
    steps = Steps()
    async with running(Work) as system:
        yield system


@pytest.fixture
def leftovers() -> Iterator[Callable[[], list[object]]]:
    """What of calls was not freed when it was of no more use."""
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)

    def found() -> list[object]:
        gc.collect()
        return [one for one in gc.garbage if isinstance(one, BaseException | Request | Job)]

    yield found
    gc.set_debug(0)
    gc.garbage.clear()


@pytest.mark.parametrize("path", ["/fails", "/raises", "/raises?x=1", "/numbers", "/items", "/services/worker/fails"])
async def test_of_a_request_that_fails(system: MemorySystem, leftovers: Callable[[], list[object]], path: str) -> None:
    answer = await system.client.post(path, content=DATA)
    assert answer.status_code >= 400 or path == "/items"
    del answer
    assert leftovers() == []


async def _items(worker: Any, good: bool) -> None:
    async for item in worker.items(DATA, good=good):
        assert item == len(DATA)


async def _cancelled(worker: Any) -> None:
    call = asyncio.ensure_future(worker.waits(DATA))
    await steps.begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await steps.ended.wait()


async def _late(worker: Any) -> None:
    with pytest.raises(kapelle.DeadlineExceeded):
        await worker.late(DATA)
    await steps.ended.wait()


CALLS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "fails": lambda worker: worker.fails(DATA),
    "rows": lambda worker: worker.rows(DATA),
    "many rows": lambda worker: worker.rows.many([DATA] * 9),
    "good items": partial(_items, good=True),
    "items": partial(_items, good=False),
    "cancelled": _cancelled,
    "late": _late,
}
FAILING = {"fails", "rows", "many rows", "items"}
"""Those that user code ends."""


@pytest.mark.parametrize("name", CALLS)
async def test_of_a_call(system: MemorySystem, leftovers: Callable[[], list[object]], name: str) -> None:
    with pytest.raises(kapelle.UserCodeError) if name in FAILING else nullcontext():
        await CALLS[name](system.app.worker)
    assert leftovers() == []
