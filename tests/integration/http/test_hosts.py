"""The app inside FastAPI and Starlette behind uvicorn: with their lifespan, at their paths, with all its replicas."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import httpx
import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.routing import Mount

import kapelle
from tests.integration.http.serving import PATIENCE

events: list[str] = []


@kapelle.service(replicas=2)
class Scaler:
    @kapelle.on_startup
    def start(self) -> None:
        events.append("service starts")

    @kapelle.on_shutdown
    def stop(self) -> None:
        events.append("service stops")

    @kapelle.batched(max_size=8)
    def double(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return rows * 2

    @kapelle.method
    def place(self) -> int:
        """The process in which user code runs."""
        return os.getpid()

    @kapelle.method
    async def count(self, up_to: int) -> AsyncIterator[int]:
        for number in range(up_to):
            yield number


@kapelle.app
class Models:
    scaler: Scaler

    @kapelle.on_startup
    async def start(self) -> None:
        events.append("app starts")

    @kapelle.on_shutdown
    async def stop(self) -> None:
        events.append("app stops")

    @kapelle.post("/double")
    async def double(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        return await self.scaler.double(row)

    @kapelle.get("/place")
    async def place(self) -> int:
        return await self.scaler.place()

    @kapelle.get("/count/{up_to}")
    async def count(self, up_to: int) -> AsyncIterator[int]:
        async for number in self.scaler.count(up_to):
            yield number


class Uvicorn(uvicorn.Server):
    """A server that says when it is up."""

    def __init__(self, application: Any, **options: Any) -> None:
        super().__init__(uvicorn.Config(application, port=0, lifespan="on", log_config=None, **options))
        self.up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"


@asynccontextmanager
async def served(application: Any, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application behind uvicorn."""
    events.clear()
    server = Uvicorn(application, **options)
    serving = asyncio.create_task(server.serve())
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({serving, up}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert up.done(), "it did not start"
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await serving


def in_fastapi() -> fastapi.FastAPI:
    models = kapelle.asgi(Models)
    site = fastapi.FastAPI(lifespan=models.lifespan)
    site.mount("/models", models)
    return site


def in_fastapi_with_a_lifespan_of_its_own() -> fastapi.FastAPI:
    models = kapelle.asgi(Models)

    @asynccontextmanager
    async def lifespan(site: fastapi.FastAPI) -> AsyncIterator[None]:
        async with models.running():
            events.append("site starts")
            yield
            events.append("site stops")

    site = fastapi.FastAPI(lifespan=lifespan)
    site.mount("/models", models)
    return site


def in_starlette_in_starlette() -> Starlette:
    models = kapelle.asgi(Models)
    inner = Starlette(routes=[Mount("/models", models)])
    return Starlette(routes=[Mount("/v1", inner)], lifespan=models.lifespan)


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (lambda: kapelle.asgi(Models), ""),
        (in_fastapi, "/models"),
        (in_fastapi_with_a_lifespan_of_its_own, "/models"),
        (in_starlette_in_starlette, "/v1/models"),
    ],
)
async def test_it_is_served_with_all_its_replicas(make: Any, path: str) -> None:
    async with served(make()) as http:
        assert events[:3] == ["service starts", "service starts", "app starts"]
        answers = await asyncio.gather(*(http.post(f"{path}/double", json={"row": [n, 1]}) for n in range(20)))
        assert [answer.json() for answer in answers] == [[2.0 * n, 2.0] for n in range(20)]
        assert (await http.get(f"{path}/count/2")).text == "data: 0\n\ndata: 1\n\n"
        assert (await http.get(f"{path}/place")).json() == os.getpid()
        refused = await http.post(f"{path}/double", json={"row": ["a"]})
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "$.row")
        assert (await http.get(f"{path}/readyz")).status_code == 200
        metrics = (await http.get(f"{path}/metrics")).text
        assert 'kapelle_requests_total{endpoint="double",gateway="gateway-0",status="200"} 20' in metrics
        assert 'replica="Scaler-0"' in metrics
        assert 'replica="Scaler-1"' in metrics
    assert sorted(event for event in events if "stops" in event and "site" not in event) == [
        "app stops",
        "service stops",
        "service stops",
    ]


async def test_the_hosts_own_routes_and_documents_stay() -> None:
    site = in_fastapi()

    @site.get("/own/{number}")
    async def own(number: int) -> int:
        return number

    async with served(site) as http:
        assert (await http.get("/own/3")).json() == 3
        assert "/own/{number}" in (await http.get("/openapi.json")).json()["paths"]
        paths = set((await http.get("/models/openapi.json")).json()["paths"])
        assert {path for path in paths if not path.startswith("/services/")} == {"/double", "/place", "/count/{up_to}"}


async def test_a_prefix_before_the_host_is_respected() -> None:
    async with served(in_fastapi(), root_path="/proxy") as http:
        assert (await http.post("/models/double", json={"row": [1]})).json() == [2.0]
        description = (await http.get("/models/openapi.json")).json()
        assert description["servers"] == [{"url": "/proxy/models"}]
        assert (await http.get("/models/docs")).status_code == 200
        lost = await http.get("/models/nowhere")
        assert "/proxy/models/docs lists what is" in lost.json()["detail"]


async def test_a_client_that_leaves_ends_the_stream() -> None:
    async with served(in_fastapi()) as http:
        async with http.stream("GET", "/models/count/1000000000") as answer:
            async for line in answer.aiter_lines():
                assert line == "data: 0"
                break
        assert (await http.post("/models/double", json={"row": [1]})).json() == [2.0]
    assert "app stops" in events, "the stream did not keep the app"


async def test_a_host_that_does_not_lend_its_lifespan_is_told_what_to_do() -> None:
    site = fastapi.FastAPI()
    site.mount("/models", kapelle.asgi(Models))
    async with site.router.lifespan_context(site):
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
            with pytest.raises(RuntimeError, match=r"give its \.lifespan to the application that mounts it"):
                await http.get("/models/place")
