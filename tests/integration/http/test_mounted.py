"""The app as an ordinary ASGI application inside others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import kapelle
from tests.integration.http.serving import PATIENCE

made: list[Inner] = []


@kapelle.app
class Inner:
    def __init__(self) -> None:
        made.append(self)
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    @kapelle.post("/sum")
    async def total(self, numbers: list[int], scale: kapelle.Query[int] = 1) -> dict[str, int]:
        return {"total": sum(numbers) * scale}

    @kapelle.post("/raw")
    async def raw(self, data: bytes) -> bytes:
        return data

    @kapelle.get("/items/{name}")
    async def item(self, name: str) -> str:
        return name

    @kapelle.get("/slow", timeout="100ms")
    async def slow(self) -> None:
        await asyncio.Event().wait()

    @kapelle.get("/hold")
    async def hold(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()

    @kapelle.get("/events/{count}")
    async def stream(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number
        if count > 2:
            raise ValueError("secret")

    @kapelle.get("/forever", timeout="1h")
    async def forever(self) -> AsyncIterator[int]:
        try:
            while True:
                self.entered.set()
                yield 1
        finally:
            self.left.set()


@asynccontextmanager
async def site(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A Starlette site with the app mounted below /models."""
    mounted = kapelle.asgi(Inner, max_body=10_000, **settings)
    outer = Starlette(
        routes=[Route("/", lambda _: PlainTextResponse("outer")), Mount("/models", mounted)],
        lifespan=mounted.lifespan,
    )
    async with outer.router.lifespan_context(outer):
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://site", timeout=PATIENCE) as client:
            yield client
        gateway = mounted._gateway
        assert gateway is not None
        assert gateway.in_flight == 0
        assert gateway.admitted == 0


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with site() as client:
        yield client


async def test_requests_are_answered_as_behind_the_own_front(http: httpx.AsyncClient) -> None:
    answer = await http.post("/models/sum?scale=2", json={"numbers": [1, 2]}, headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.json(), answer.headers["x-request-id"]) == (200, {"total": 6}, "mine")
    assert (await http.post("/models/raw", content=b"\x00\xff")).content == b"\x00\xff"
    assert (await http.get("/models/items/a%20b%2Fc")).text == "a b/c"
    assert (await http.get("/")).text == "outer"


async def test_bodies_that_come_in_parts(http: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 100

    assert (await http.post("/models/raw", content=parts())).content == b"x" * 1000


async def test_problems(http: httpx.AsyncClient) -> None:
    wrong = await http.post("/models/sum", json={"numbers": [1, "2"]})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (422, "$.numbers[1]")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert (await http.post("/models/sum", content=b"{")).status_code == 400
    assert (await http.get("/models/nowhere")).status_code == 404
    refused = await http.get("/models/sum")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert (await http.get("/models/slow")).status_code == 504


@pytest.mark.parametrize("declared", [True, False])
async def test_large_bodies(http: httpx.AsyncClient, declared: bool) -> None:
    sent = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(20):
            sent += 1
            yield bytes(1000)

    headers = {"content-length": "20000"} if declared else {}
    answer = await http.post("/models/raw", content=parts(), headers=headers)
    assert answer.status_code == 413
    assert sent == (0 if declared else 11)


async def test_admission() -> None:
    async with site(max_requests=1) as http:
        holding = [asyncio.ensure_future(http.get("/models/hold")) for _ in range(8)]
        await asyncio.wait_for(made[-1].entered.wait(), PATIENCE)
        refused = {one.result().status_code for one in holding if one.done()}
        done, waiting = await asyncio.wait(holding, timeout=0.2)
        refused = {one.result().status_code for one in done}
        assert refused == {429}
        assert (await http.get("/models/livez")).status_code == 200
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.wait_for(made[-1].left.wait(), PATIENCE)


async def test_streams(http: httpx.AsyncClient) -> None:
    answer = await http.get("/models/events/2")
    assert (answer.headers["content-type"], answer.text) == ("text/event-stream", "data: 0\n\ndata: 1\n\n")
    answer = await http.get("/models/events/3")
    assert "event: error" in answer.text
    assert "secret" not in answer.text


async def test_head(http: httpx.AsyncClient) -> None:
    answer = await http.head("/models/items/abc")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "3")


async def test_the_pages_know_where_they_are(http: httpx.AsyncClient) -> None:
    assert (await http.get("/models/livez")).status_code == 200
    description = (await http.get("/models/openapi.json")).json()
    assert (description["openapi"], description["servers"]) == ("3.1.0", [{"url": "/models"}])
    page = await http.get("/models/docs")
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert (await http.get(str(page.url.join(link)))).status_code == 200
    lost = await http.get("/models/nowhere")
    assert lost.json()["detail"] == "nothing is served at /models/nowhere; /models/docs lists what is"
