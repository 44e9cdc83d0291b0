"""Streams of events: their form, and that generators are closed whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import numpy as np
import pytest

import kapelle
from kapelle.gateway.sse import EVENT_STREAM, error_event, send_events
from tests.unit.gateway.recorder import Recorder, make_request, recorded


class Items:
    """An async generator's maker that knows whether its work was cleaned up."""

    def __init__(self, *items: Any, error: Exception | None = None) -> None:
        self._items = items
        self._error = error
        self.closed = False

    async def __call__(self) -> AsyncGenerator[Any, None]:
        try:
            for item in self._items:
                yield item
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def test_each_item_is_an_event() -> None:
    request = make_request()
    await send_events(request, Items(1, "a\nb", {"x": np.arange(2)})())
    answer = recorded(request)
    assert (answer.status, answer.content_type) == (200, EVENT_STREAM)
    assert answer.parts == [b"data: 1\n\n", b'data: "a\\nb"\n\n', b'data: {"x":[0,1]}\n\n']
    assert not request.finished, "the end is the caller's"


async def test_a_stream_without_items_has_a_head() -> None:
    request = make_request()
    await send_events(request, Items()())
    assert (recorded(request).status, recorded(request).parts) == (200, [])


async def test_an_error_before_the_first_item_leaves_the_answer_open() -> None:
    request, items = make_request(), Items(error=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await send_events(request, items())
    assert recorded(request).status == 0
    assert items.closed


async def test_a_later_error_comes_out_too() -> None:
    request, items = make_request(), Items(1, error=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await send_events(request, items())
    assert request.begun
    assert items.closed


async def test_items_that_json_cannot_carry() -> None:
    request, items = make_request(), Items(1, np.array([np.nan]), 2)
    with pytest.raises(kapelle.ContractError):
        await send_events(request, items())
    assert recorded(request).parts == [b"data: 1\n\n"]
    assert items.closed


async def test_a_cancellation_closes_a_generator_that_waits_for_the_client() -> None:
    request = make_request(responder=Recorder(room=asyncio.Event()))
    items = Items(1, 2)
    sending = asyncio.ensure_future(send_events(request, items()))
    for _ in range(3):
        await asyncio.sleep(0)
    assert recorded(request).parts == [b"data: 1\n\n"]
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert items.closed


async def test_head_does_not_start_the_generator() -> None:
    started = False

    async def items() -> AsyncGenerator[int, None]:
        nonlocal started
        started = True
        yield 1

    request = make_request("HEAD")
    await send_events(request, items())
    assert request.finished
    assert not started


def test_an_error_is_an_event_with_a_problem() -> None:
    request = make_request()
    request.id = "mine"
    name, _, data = error_event(request, kapelle.Overloaded("full")).partition(b"\ndata: ")
    assert name == b"event: error"
    assert data.endswith(b"\n\n")
    assert msgspec.json.decode(data)["status"] == 429
    assert msgspec.json.decode(data)["request_id"] == "mine"
