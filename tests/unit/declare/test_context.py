"""The request in hand is known to the code that serves it, and to nobody else."""

from __future__ import annotations

import asyncio
import contextvars

from kapelle.declare.context import RequestContext, current_request, enter_request


def test_outside_a_request_there_is_none() -> None:
    assert contextvars.Context().run(current_request) is None


async def test_each_task_sees_its_own_request() -> None:
    both_entered = asyncio.Barrier(2)

    async def serve(name: str) -> None:
        enter_request(RequestContext(name, "", 1.0))
        await both_entered.wait()
        request = await asyncio.to_thread(current_request)
        assert request is not None
        assert request.id == name

    await asyncio.gather(serve("a"), serve("b"))
    assert current_request() is None
