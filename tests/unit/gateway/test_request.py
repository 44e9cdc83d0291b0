"""Requests: what they take over from a client, and how their tasks are stopped."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.gateway.recorder import make_request


def test_header() -> None:
    request = make_request("GET", b"/", b"", (b"a", b" b \t"), (b"a", b"c"))
    assert request.header(b"a") == b"b"
    assert request.header(b"x") == b""


@pytest.mark.parametrize(("given", "taken"), [(b"abc-1 ", "abc-1"), (b"a b", ""), (b"", ""), (b"\xe4", "")])
def test_request_ids(given: bytes, taken: str) -> None:
    request = make_request()
    request.take_id(given)
    assert request.id == taken


def test_trace_contexts() -> None:
    request = make_request()
    request.take_trace(b"00-00000000000000000000000000000000-b7ad6b7169203331-01")
    assert request.trace == ""
    request.take_trace(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert request.trace == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_queries() -> None:
    request = make_request()
    request.query = b"a=1&a=%C3%BC+x&b=&c"
    assert request.query_items() == [("a", "1"), ("a", "ü x"), ("b", ""), ("c", "")]


@pytest.mark.parametrize("query", [b"a=%ff", b"%ff=a", b"a=\xc3\xbc", b"&".join([b"a"] * 1001)])
def test_queries_that_cannot_be_read(query: bytes) -> None:
    request = make_request()
    request.query = query
    with pytest.raises(ValueError):  # noqa: PT011 - its subclasses have the details, in texts that are not ours
        request.query_items()


async def test_a_task_that_has_not_begun_is_left_to_find_out_itself() -> None:
    request = make_request()
    found: list[bool] = []

    async def work() -> None:
        request.started = True
        found.append(request.abandoned)

    request.task = asyncio.ensure_future(work())
    request.abandoned = True
    request.cancel()
    await request.task
    assert found == [True]


async def test_a_task_that_has_begun_is_cancelled() -> None:
    request = make_request()

    async def work() -> None:
        request.started = True
        await asyncio.Event().wait()

    request.cancel()
    request.task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request.task
