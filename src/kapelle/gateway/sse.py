"""Server-sent events: the items of an async generator, each as an event with JSON data."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from kapelle.gateway.problems import problem
from kapelle.gateway.request import Request
from kapelle.types.strict_json import encode_json

EVENT_STREAM = b"text/event-stream"
_HEADERS = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


async def send_events(request: Request, items: AsyncGenerator[Any, None]) -> None:
    """Stream ``items`` as the answer to ``request``; whatever happens, the generator is closed before this returns.

    Ending the stream is left to the caller, also after an error, which ``error_event`` tells.
    """
    connection = request.connection
    async with aclosing(items):
        if request.method == "HEAD":
            connection.respond(request, 200, EVENT_STREAM, b"", _HEADERS)
            return
        item = await anext(items, _END)
        connection.begin_stream(request, 200, EVENT_STREAM, _HEADERS)
        while item is not _END:
            await connection.stream(request, b"data: %b\n\n" % encode_json(item))
            item = await anext(items, _END)


def error_event(request: Request, error: BaseException) -> bytes:
    """What a stream that broke off ends with: the status has long been sent, so the problem body is an event."""
    _, _, body = problem(error, request.id)
    return b"event: error\ndata: %b\n\n" % body


_END = object()
