"""Both clients and a server, or none, that does not do what it should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from kapelle.errors import (
    CallError,
    ContractError,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    ReplicaLost,
    TooLarge,
    Unavailable,
)
from tests.integration.client.either import KINDS, Either, collected
from tests.integration.client.scripted import Scripted, answer, problem, scripted

each_client = pytest.mark.parametrize("kind", KINDS)

FULL = problem(429, "overloaded", "Retry-After: 0")
GONE = problem(503, "unavailable", "Retry-After: 0")
LOST = problem(502, "replica-lost")
FINE = answer(200, b"1")


@asynccontextmanager
async def facing(kind: Any, *answers: bytes | None, **given: Any) -> AsyncIterator[tuple[Either, Scripted]]:
    async with scripted(*answers) as server:
        client = kind(server.url, **{"timeout": "20s", **given})
        try:
            yield client, server
        finally:
            await client.close()


@each_client
@pytest.mark.parametrize("refusal", [FULL, GONE, LOST, None])
async def test_what_may_succeed_soon_is_repeated_as_the_same_request(kind: Any, refusal: bytes | None) -> None:
    async with facing(kind, refusal, refusal, FINE) as (client, server):
        assert await client.ask("post", "/x", {"a": 1}) == 1
        assert [one[""] for one in server.asked] == ["POST /x HTTP/1.1"] * 3
        assert len({one["x-request-id"] for one in server.asked}) == 1


@each_client
@pytest.mark.parametrize(("refusal", "asked"), [(FULL, 2), (GONE, 2), (LOST, 1), (None, 1)])
async def test_what_may_have_run_does_not_run_twice(kind: Any, refusal: bytes | None, asked: int) -> None:
    async with facing(kind, refusal, FINE) as (client, server):
        if asked == 2:
            assert await client.ask("post", "/x", idempotent=False) == 1
        else:
            with pytest.raises(ReplicaLost):
                await client.ask("post", "/x", idempotent=False)
        assert len(server.asked) == asked


@each_client
@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (problem(413, "too-large"), TooLarge),
        (problem(504, "deadline-exceeded"), DeadlineExceeded),
        (problem(422, "invalid-input"), InvalidInput),
        (problem(500, "internal"), CallError),
        (answer(307, b"", "Location: /y"), CallError),
    ],
)
async def test_what_will_not_succeed_is_not_repeated(kind: Any, refusal: bytes, error: type[CallError]) -> None:
    async with facing(kind, refusal) as (client, server):
        with pytest.raises(error):
            await client.ask("post", "/x")
        assert len(server.asked) == 1


@each_client
async def test_retries_end(kind: Any) -> None:
    async with facing(kind, FULL, retries=2) as (client, server):
        with pytest.raises(Overloaded, match=r"so it is \(request .*, 3 attempts\)"):
            await client.ask("get", "/x")
        assert len(server.asked) == 3


@each_client
async def test_there_is_no_waiting_beyond_the_deadline(kind: Any) -> None:
    async with facing(kind, problem(429, "overloaded", "Retry-After: 60")) as (client, server):
        with pytest.raises(Overloaded) as refused:
            await client.ask("get", "/x", timeout="10s")
        assert refused.value.retry_after == 60
        assert len(server.asked) == 1


@each_client
async def test_retries_do_not_multiply_load(kind: Any) -> None:
    async with facing(kind, FULL, retries=1) as (client, server):
        for _ in range(30):
            with pytest.raises(Overloaded):
                await client.ask("get", "/x")
        # Ten in reserve, and a fifth of those that follow.
        assert 40 <= len(server.asked) <= 46


@each_client
async def test_headers_go_with_the_call(kind: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with facing(kind, FINE, headers={"Authorization": "Bearer me"}) as (client, server):
        await client.ask("get", "/x", headers={"traceparent": trace, "X-Request-Id": "mine"})
        (asked,) = server.asked
        assert (asked["traceparent"], asked["x-request-id"], asked["authorization"]) == (trace, "mine", "Bearer me")
        assert asked["user-agent"].startswith("kapelle/")


@each_client
@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        answer(200, b"{"),
        answer(200, b"<html>", kind="text/html"),
        answer(200, b"\xff\xfe"),
        answer(200, b"[" * 100_000),
        answer(200, b"not gzip", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
    ],
)
async def test_garbage_is_a_typed_error(kind: Any, garbage: bytes) -> None:
    async with facing(kind, garbage, retries=0) as (client, _):
        with pytest.raises((ContractError, ReplicaLost)):
            await client.ask("post", "/x", returns=int)
        with pytest.raises((ContractError, ReplicaLost)):
            await client.ask("infer", "M", {"x": [1]})
        with pytest.raises((ContractError, ReplicaLost)):
            await client.ask("embed", "M", ["x"])
        _, error = await collected(client.stream("/x"))
        assert isinstance(error, ContractError | ReplicaLost)


@each_client
async def test_refusals_of_somebody_else(kind: Any) -> None:
    async with facing(kind, answer(403, b"<html>", kind="text/html")) as (client, _):
        with pytest.raises(CallError, match="the server answered 403 Forbidden with 6 bytes of text/html"):
            await client.ask("get", "/x")


STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@each_client
@pytest.mark.parametrize(
    "rest",
    [
        b"",  # the connection ends
        chunk(b"data: 2") + chunk(b""),  # the stream ends in the middle of an item
    ],
)
async def test_a_stream_that_breaks_off_is_not_one_that_ends(kind: Any, rest: bytes) -> None:
    async with facing(kind, STREAM + chunk(b"data: 1\n\n") + rest) as (client, server):
        items, error = await collected(client.stream("/x"))
        assert items == [1]
        assert isinstance(error, ReplicaLost)
        assert len(server.asked) == 1


@each_client
async def test_a_stream_is_repeated_until_it_begins(kind: Any) -> None:
    whole = STREAM + chunk(b"data: 1\n\ndata:") + chunk(b" 2\r\n\r\n") + chunk(b"")
    async with facing(kind, None, FULL, whole) as (client, server):
        assert await collected(client.stream("/x")) == ([1, 2], None)
        assert len(server.asked) == 3


@each_client
async def test_nobody_listens(kind: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        client = kind(f"http://127.0.0.1:{taken.getsockname()[1]}", retries=1)
        with pytest.raises(Unavailable, match=r"no connection to http://127.0.0.1:\d+: .*kapelle serve.*2 attempts"):
            await client.ask("get", "/x", idempotent=False)
        assert not await client.ask("ready")
        assert not await client.ask("live")
        await client.close()


@each_client
async def test_a_server_that_says_nothing(kind: Any) -> None:
    async with facing(kind, b"") as (client, server):
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0.2 s"):
            await client.ask("get", "/x", timeout="200ms")
        with pytest.raises(DeadlineExceeded):
            await client.ask("get", "/x", timeout=0)
        assert len(server.asked) <= 2


@each_client
async def test_a_closed_client_says_so(kind: Any) -> None:
    async with facing(kind, FINE) as (client, server):
        assert await client.ask("get", "/x") == 1
        await client.close()
        for options in ({}, {"protocol": "grpc"}):
            with pytest.raises(CallError, match="this client is closed"):
                await client.ask("infer", "Scaler", {"values": [1.0]}, **options)
        with pytest.raises(CallError, match="this client is closed"):
            await anext(client.stream("/x"))
        assert not await client.ask("ready")
        assert len(server.asked) == 1


@each_client
async def test_a_call_of_grpc_ends_with_its_client(kind: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = kind(f"grpc://127.0.0.1:{door.getsockname()[1]}")
        asking = asyncio.ensure_future(client.ask("infer", "Scaler", {"values": [1.0]}))
        silent, _ = await asyncio.to_thread(door.accept)
        await client.close()
        with silent, pytest.raises(CallError, match="this client is closed"):
            await asking
