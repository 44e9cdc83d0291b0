"""Server-sent events: the items of an async generator, each as an event with JSON data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from kapelle.gateway.problems import problem
from kapelle.gateway.request import Request
from kapelle.types.hooks import to_plain

EVENT_STREAM = b"text/event-stream"
_HEADERS = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))

_encode = msgspec.json.Encoder(enc_hook=to_plain).encode


async def send_events(request: Request, items: AsyncIterator[Any]) -> None:
    """Stream ``items`` as the answer to ``request``.

    An error before the first item is the caller's to answer; a later one ends the stream with an ``error`` event, whose
    data is the problem body, because the status has long been sent.
    """
    try:
        item = await anext(items)
    except StopAsyncIteration:
        request.connection.begin_stream(request, 200, EVENT_STREAM, _HEADERS)
        request.connection.end_stream(request)
        return
    request.connection.begin_stream(request, 200, EVENT_STREAM, _HEADERS)
    try:
        while True:
            await request.connection.stream(request, b"data: %b\n\n" % _encode(item))
            item = await anext(items)
    except StopAsyncIteration:
        pass
    except Exception as error:  # noqa: BLE001 - user code may raise anything; the client gets it as an event
        _, _, body = problem(error, request.id)
        await request.connection.stream(request, b"event: error\ndata: %b\n\n" % body)
    request.connection.end_stream(request)
