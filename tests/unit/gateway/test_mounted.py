"""The app as an ASGI application, spoken to in ASGI's own messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import kapelle
from kapelle.config.settings import Settings
from kapelle.declare.apps import app_spec
from kapelle.gateway.assembly import Assembly
from kapelle.gateway.fleet import Fleet
from kapelle.gateway.front import Gateway
from kapelle.gateway.mounted import Mounted
from kapelle.gateway.protocols.regions import Regions
from kapelle.observe.metrics import Family, Registry
from kapelle.transport.connection import Connection
from tests.unit.artifacts.anywhere import Anywhere

PATIENCE = 10.0


@kapelle.app
class App:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.entered = asyncio.Event()

    @kapelle.on_startup
    async def start(self) -> None:
        self.events.append("start")

    @kapelle.on_shutdown
    async def stop(self) -> None:
        self.events.append("stop")

    @kapelle.post("/echo")
    async def echo(self, data: bytes) -> bytes:
        return data

    @kapelle.get("/count/{number}")
    async def count(self, number: int) -> AsyncIterator[int]:
        for one in range(number):
            yield one

    @kapelle.get("/hold")
    async def hold(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.events.append("left")

    @kapelle.get("/forever", timeout="1h")
    async def forever(self) -> AsyncIterator[int]:
        try:
            while True:
                self.entered.set()
                yield 1
        finally:
            self.events.append("left")


class Site:
    """The server around it: starts the app when asked, and keeps what it made."""

    def __init__(self) -> None:
        self.mounted = Mounted(self.system)
        self.made: Assembly | None = None

    @property
    def app(self) -> App:
        assert self.made is not None
        assert isinstance(self.made.app, App)
        return self.made.app

    @asynccontextmanager
    async def system(self) -> AsyncIterator[Gateway]:
        spec, registry = app_spec(App), Registry()
        assert spec is not None
        settings = Settings(access_log=False, max_body=100)
        self.made = Assembly(
            spec,
            Fleet(spec, "mounted", _no_replicas, registry),
            settings,
            registry,
            _collect,
            Regions(Path("/nowhere")),
        )
        await self.made.start("r1", Anywhere())
        yield self.made.gateway
        await self.made.drain()
        await self.made.close()

    async def ask(self, method: str, path: str, *body: bytes, **scope: Any) -> list[Any]:
        """The messages that answer a request whose body comes in these parts."""
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        coming = iter([*parts, {"type": "http.request"}])
        sent: asyncio.Queue[Any] = asyncio.Queue()

        async def receive() -> Any:
            for message in coming:
                return message
            return await asyncio.get_running_loop().create_future()

        await self.mounted(_scope(method, path) | scope, receive, sent.put)
        return [sent.get_nowait() for _ in range(sent.qsize())]


def _scope(method: str, path: str) -> dict[str, Any]:
    headers = [(b"Host", b"x")]
    return {"type": "http", "http_version": "1.1", "method": method, "path": path, "headers": headers}


async def _no_replicas(_: str) -> Connection:
    raise OSError("this app has no services")


async def _collect() -> list[Family]:
    return []


async def _never(*_: Any) -> Any:
    raise AssertionError("not to be called")


async def test_an_answer() -> None:
    site = Site()
    async with site.mounted.running():
        start, body = await site.ask("POST", "/echo", b"ab", b"cd", headers=[(b"Host", b"x"), (b"X-Request-Id", b"me")])
    assert start["status"] == 200
    assert dict(start["headers"]) == {
        b"content-type": b"application/octet-stream",
        b"content-length": b"4",
        b"x-request-id": b"me",
        b"x-kapelle-release": b"r1",
    }
    assert body == {"type": "http.response.body", "body": b"abcd", "more_body": False}


@pytest.mark.parametrize(
    ("root", "path", "raw"),
    [
        ("", "/count/2", b"/%63ount/2"),
        ("/b c", "/b c/count/2", b"/b%20c/%63ount/2"),
        ("/b c", "/b c/count/2", None),
        ("/b/c", "/b/c/count/2", b""),
        ("/b", "/count/2", b"/count/2"),
        ("/b/", "/b/count/2", b"/b/count/2"),
        ("/co", "/count/2", b"/count/2"),
    ],
)
async def test_paths_below_others(root: str, path: str, raw: bytes | None) -> None:
    site = Site()
    async with site.mounted.running():
        start, *_ = await site.ask("GET", path, root_path=root, raw_path=raw)
        assert start["status"] == 200


async def test_a_stream() -> None:
    site = Site()
    async with site.mounted.running():
        start, *parts = await site.ask("GET", "/count/2")
        assert b"content-length" not in dict(start["headers"])
        assert [part["body"] for part in parts] == [b"data: 0\n\n", b"data: 1\n\n", b""]
        assert [part["more_body"] for part in parts] == [True, True, False]
        start, *parts = await site.ask("HEAD", "/count/2")
        assert [part["body"] for part in parts] == [b""]


async def test_bodies_over_the_limit() -> None:
    site = Site()
    async with site.mounted.running():
        for headers in ([(b"host", b"x"), (b"content-length", b"200")], [(b"host", b"x")]):
            start, body = await site.ask("POST", "/echo", bytes(101), b"more", headers=headers)
            assert start["status"] == 413
            assert b"over the limit of 100 bytes" in body["body"]


async def test_a_client_that_leaves_before_its_request_is_whole() -> None:
    site = Site()
    async with site.mounted.running():

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        await site.mounted(_scope("POST", "/echo"), receive, _never)
        assert site.made is not None
        assert site.made.gateway.in_flight == 0


@pytest.mark.parametrize("path", ["/hold", "/forever"])
@pytest.mark.parametrize("how", ["disconnect", "cancel"])
async def test_a_client_that_leaves_cancels_the_work(path: str, how: str) -> None:
    site = Site()
    async with site.mounted.running():
        assert site.made is not None
        gone = asyncio.Event()
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
        sent: list[Any] = []

        async def receive() -> Any:
            for message in requests:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        serving = asyncio.ensure_future(site.mounted(_scope("GET", path), receive, send))
        await asyncio.wait_for(site.app.entered.wait(), PATIENCE)
        if how == "cancel":
            serving.cancel()
        gone.set()
        await asyncio.wait({serving}, timeout=PATIENCE)
        assert serving.cancelled() is (how == "cancel")
        assert site.app.events == ["start", "left"]
        assert site.made.gateway.in_flight == site.made.gateway.admitted == 0
        assert all(message.get("more_body", True) for message in sent), "nobody was there to hear of an end"


async def test_it_lives_by_lifespan_events() -> None:
    site = Site()
    with pytest.raises(RuntimeError, match=r"not started: give its \.lifespan to the application that mounts it"):
        await site.mounted({"type": "http"}, _never, _never)
    told: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    living = asyncio.ensure_future(site.mounted({"type": "lifespan"}, told.get, answers.put))
    told.put_nowait({"type": "lifespan.startup"})
    assert await asyncio.wait_for(answers.get(), PATIENCE) == {"type": "lifespan.startup.complete"}
    assert site.app.events == ["start"]
    told.put_nowait({"type": "lifespan.shutdown"})
    assert await asyncio.wait_for(answers.get(), PATIENCE) == {"type": "lifespan.shutdown.complete"}
    await living
    assert site.app.events == ["start", "stop"]


async def test_a_host_lends_its_lifespan() -> None:
    site = Site()
    for _ in range(2):
        async with site.mounted.lifespan(object()):
            assert site.app.events == ["start"]
            with pytest.raises(RuntimeError, match="the app runs already"):
                async with site.mounted.running():
                    pytest.fail("twice")
            start, _ = await site.ask("POST", "/echo", b"still there")
            assert start["status"] == 200
        assert site.app.events == ["start", "stop"]
    with pytest.raises(RuntimeError, match="not started"):
        await site.ask("POST", "/echo")


async def test_a_failed_start_is_told() -> None:
    def fail() -> AbstractAsyncContextManager[Gateway]:
        raise ValueError("no model")

    told: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()
    told.put_nowait({"type": "lifespan.startup"})
    await Mounted(fail)({"type": "lifespan"}, told.get, answers.put)
    assert answers.get_nowait() == {"type": "lifespan.startup.failed", "message": "no model"}


async def test_web_sockets_are_declined() -> None:
    sent: asyncio.Queue[Any] = asyncio.Queue()
    await Site().mounted({"type": "websocket"}, _never, sent.put)
    assert sent.get_nowait() == {"type": "websocket.close"}
