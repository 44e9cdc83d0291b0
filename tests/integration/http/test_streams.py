"""Async generators as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest

import kapelle
from tests.integration.http.client import Client, get, request
from tests.integration.http.serving import PATIENCE, Served, serving


class Note(msgspec.Struct):
    text: str


@kapelle.app
class Streams:
    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.sent = 0

    @kapelle.get("/count/{number}")
    async def count(self, number: int) -> AsyncIterator[int]:
        for one in range(number):
            yield one

    @kapelle.post("/notes")
    async def notes(self, texts: list[str]) -> AsyncIterator[Note]:
        for text in texts:
            yield Note(text)

    @kapelle.get("/fail/{after}")
    async def fail(self, after: int) -> AsyncIterator[int]:
        for one in range(after):
            yield one
        raise ValueError("secret")

    @kapelle.get("/refuse/{after}")
    async def refuse(self, after: int) -> AsyncIterator[int]:
        for one in range(after):
            yield one
        raise kapelle.Overloaded("full")

    @kapelle.get("/nan")
    async def nan(self) -> AsyncIterator[np.ndarray]:
        yield np.array([1.0])
        yield np.array([np.nan])

    @kapelle.get("/forever", timeout="1h")
    async def forever(self) -> AsyncIterator[str]:
        try:
            while True:
                yield "x" * 10_000
                self.sent += 1
        finally:
            self.closed.set()

    @kapelle.get("/quiet", timeout="1h")
    async def quiet(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    @kapelle.get("/late", timeout="200ms")
    async def late(self) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            self.closed.set()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(Streams) as system:
        yield system


@pytest.fixture
async def client(served: Served) -> Client:
    return await served.connect()


async def test_items_are_events(served: Served, client: Client) -> None:
    answer = await client.ask(get("/count/3"))
    assert (answer.status, answer.body) == (200, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store"
    notes = await client.ask(request("POST", "/notes", b'{"texts": ["a\\nb", "\xc3\xbc"]}'))
    assert notes.body == 'data: {"text":"a\\nb"}\n\ndata: {"text":"ü"}\n\n'.encode()
    assert served.count("kapelle_requests_total", endpoint="count", status="200") == 1


async def test_streams_without_items(client: Client) -> None:
    answer = await client.ask(get("/count/0"))
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "text/event-stream", b"")


async def test_items_are_sent_while_they_are_made(client: Client) -> None:
    await client.send(get("/quiet"))
    while await client.line() != b"\r\n":
        pass
    assert [await client.line() for _ in range(2)] == [b"9\r\n", b"data: 1\n"]


async def test_http_1_0_gets_them_until_the_end(client: Client) -> None:
    answer = await client.ask(b"GET /count/2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (answer.body, answer.closes) == (b"data: 0\n\ndata: 1\n\n", True)


async def test_head_starts_nothing(served: Served, client: Client) -> None:
    answer = await client.ask(request("HEAD", "/forever"), "HEAD")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert served.assembly.app.sent == 0


async def test_bad_input_and_errors_before_the_first_item_have_a_status(client: Client) -> None:
    assert (await client.ask(get("/count/x"))).status == 422
    assert (await client.ask(get("/fail/0"))).status == 500
    answer = await client.ask(get("/refuse/0"))
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "items", "status"), [("/fail/2", 2, 500), ("/refuse/1", 1, 429), ("/nan", 1, 500), ("/late", 1, 504)]
)
async def test_errors_on_the_way_end_with_an_event(
    served: Served, client: Client, path: str, items: int, status: int
) -> None:
    answer = await client.ask(get(path, "X-Request-Id: mine"))
    *events, last, empty = answer.body.split(b"\n\n")
    assert (answer.status, len(events), empty) == (200, items, b"")
    event, _, data = last.partition(b"\ndata: ")
    assert event == b"event: error"
    problem = msgspec.json.decode(data)
    assert (problem["status"], problem["request_id"]) == (status, "mine")
    assert b"secret" not in answer.body
    assert served.count("kapelle_requests_total", status=str(status)) == 1
    assert (await client.ask(get("/count/1"))).body == b"data: 0\n\n"


async def test_the_deadline_closes_the_generator(served: Served, client: Client) -> None:
    await client.ask(get("/late"))
    assert served.assembly.app.closed.is_set()


@pytest.mark.parametrize("path", ["/forever", "/quiet"])
@pytest.mark.parametrize("how", ["close", "vanish"])
async def test_a_client_that_leaves_closes_the_generator(served: Served, client: Client, path: str, how: str) -> None:
    await client.send(get(path))
    await client.line()
    if how == "close":
        await client.close()
    else:
        client.vanish()
    await asyncio.wait_for(served.assembly.app.closed.wait(), PATIENCE)
    await served.at_rest()
    assert served.count("kapelle_requests_total", status="499") == 1


async def test_a_slow_reader_slows_the_generator_down(served: Served, client: Client) -> None:
    await client.send(get("/forever"))
    swept = asyncio.Event()
    served.gateway.every_second(lambda _: swept.set())
    await asyncio.wait_for(swept.wait(), PATIENCE)
    sent = served.assembly.app.sent
    swept.clear()
    await asyncio.wait_for(swept.wait(), PATIENCE)
    assert served.assembly.app.sent == sent < 3000
    for _ in range(2 * sent):
        assert await client.line() != b""
    assert served.assembly.app.sent > sent


async def test_a_reader_that_stopped_is_cut_off() -> None:
    async with serving(Streams, body_timeout=0.1) as served:
        client = await served.connect()
        await client.send(get("/forever"))
        await asyncio.wait_for(served.assembly.app.closed.wait(), PATIENCE)
        await served.at_rest()
