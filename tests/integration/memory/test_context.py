"""User code knows which request it serves, wherever it runs."""

from __future__ import annotations

from kapelle.declare.context import RequestContext
from kapelle.testing import MemorySystem
from tests.integration.memory.band import Book

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_request_is_known_by_its_id_and_trace(system: MemorySystem, book: Book) -> None:
    headers = {"x-request-id": "from-the-client", "traceparent": TRACE}
    answer = await system.client.post("/play", json={"number": 1}, headers=headers)
    assert answer.headers["x-request-id"] == "from-the-client"
    (context,) = book.contexts
    assert isinstance(context, RequestContext)
    assert (context.id, context.trace) == ("from-the-client", TRACE)


async def test_a_request_without_an_id_gets_one(system: MemorySystem, book: Book) -> None:
    answers = [await system.client.post("/play", json={"number": 1}) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2
    assert [context.id for context in book.contexts if context is not None] == ids


async def test_a_call_outside_any_request_has_a_deadline_all_the_same(system: MemorySystem, book: Book) -> None:
    assert await system.app.player.play(2) == 20
    (context,) = book.contexts
    assert isinstance(context, RequestContext)
    assert context.id == ""
    assert context.deadline > 0
