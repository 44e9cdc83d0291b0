"""Other ASGI applications below a path of the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

import kapelle
from kapelle.errors import StartError
from kapelle.gateway.asgi import Receive, Send
from tests.integration.http.client import Client, get, post, request
from tests.integration.http.serving import Served, serving

TEXT = Path(__file__).read_bytes()

events: list[str] = []


async def about(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "query": request.url.query,
            "id": request.headers.getlist("x-request-id"),
            "note": request.headers.get("x-note"),
            "body": (await request.body()).decode(),
            "client": request.client is not None and request.client.host,
            "scheme": request.url.scheme,
            "state": getattr(request.state, "model", None),
        },
        headers={"x-own": "yes", "set-cookie": "a=1", "date": "never", "connection": "close"},
    )


async def empty(request: Request) -> Response:
    return Response(status_code=int(request.path_params["status"]), headers={"x-own": "yes"})


async def fail(request: Request) -> Response:
    raise ValueError("secret")


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        for number in range(3):
            yield f"part {number};"

    return StreamingResponse(parts(), media_type="text/plain")


async def broken_stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield "part"
        raise ValueError("secret")

    return StreamingResponse(parts())


async def file(request: Request) -> Response:
    return FileResponse(__file__)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    events.append("start")
    yield {"model": "loaded"}
    events.append("stop")


site = Starlette(
    routes=[
        Route("/about", about, methods=["GET", "POST"]),
        Route("/empty/{status}", empty),
        Route("/fail", fail),
        Route("/stream", stream),
        Route("/broken", broken_stream),
        Route("/file", file),
    ],
    lifespan=lifespan,
)


async def rude(scope: Any, receive: Receive, send: Send) -> None:  # noqa: C901 - a list of cases, one line each
    """Breaks the protocol in the way its path says. It knows of no lifespan, and fails when asked."""
    assert scope["type"] == "http"
    start = {"type": "http.response.start", "status": 200, "headers": []}
    body = {"type": "http.response.body", "body": b"1234"}
    match scope["path"].rpartition("/")[2]:
        case "nothing":
            pass
        case "body-first":
            await send(body)
        case "two-starts":
            await send(start)
            await send(start)
        case "two-bodies":
            await send(start)
            await send(body)
            await send(body)
        case "too-much":
            await send(start | {"headers": [(b"content-length", b"3")]})
            await send(body)
        case "too-little":
            await send(start | {"headers": [(b"content-length", b"5")]})
            await send(body)
        case "line-break":
            await send(start | {"headers": [(b"x", b"y\r\nset-cookie: z")]})
        case "forever":
            await send(start)
            try:
                while True:
                    await send(body | {"more_body": True})
            finally:
                events.append("forever ended")
        case "half":
            await send(start)
            await send(body | {"more_body": True})
        case "half-of-it":
            await send(start | {"headers": [(b"content-length", b"5")]})
            await send(body | {"more_body": True})
            await send(body | {"body": b""})


@kapelle.app(mounts={"/site": site, "/files": StaticFiles(directory=Path(__file__).parent), "/rude": rude})
class Mounting:
    @kapelle.get("/site/own")
    async def own(self) -> str:
        return "the app's own endpoints come first"


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    events.clear()
    async with serving(Mounting, max_body=50_000) as system:
        yield system


@pytest.fixture
async def client(served: Served) -> Client:
    return await served.connect()


async def test_requests_and_answers_pass_through(served: Served, client: Client) -> None:
    answer = await client.ask(post("/site/about?a=%C3%BC", b"body", "X-Note: n ", "X-Request-Id: mine"))
    assert answer.json == {
        "method": "POST",
        "path": "/site/about",
        "query": "a=%C3%BC",
        "id": ["mine"],
        "note": "n",
        "body": "body",
        "client": "127.0.0.1",
        "scheme": "http",
        "state": "loaded",
    }
    assert (answer.headers["x-own"], answer.headers["set-cookie"]) == ("yes", "a=1")
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["date"] != "never"
    assert not answer.closes
    assert served.count("kapelle_requests_total", endpoint="", status="200") == 1


async def test_unsafe_request_ids_are_not_passed_on(client: Client) -> None:
    answer = await client.ask(get("/site/about", "X-Request-Id: not safe"))
    assert answer.json["id"] == [answer.headers["x-request-id"]]


async def test_own_endpoints_come_first(client: Client) -> None:
    assert (await client.ask(get("/site/own"))).body == b"the app's own endpoints come first"


async def test_the_lifespan_is_told() -> None:
    events.clear()
    async with serving(Mounting):
        assert events == ["start"]
    assert events == ["start", "stop"]


async def test_one_that_cannot_start_keeps_the_app_from_starting() -> None:
    events.append("asked")

    @asynccontextmanager
    async def failing(_: Starlette) -> AsyncIterator[None]:
        if events:
            raise ValueError("no database")
        yield

    @kapelle.app(mounts={"/": Starlette(lifespan=failing)})
    class Broken:
        pass

    with pytest.raises(StartError, match="no database"):
        async with serving(Broken):
            pass


async def test_streams(client: Client) -> None:
    answer = await client.ask(get("/site/stream"))
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"part 0;part 1;part 2;", "chunked")
    answer = await client.ask(b"GET /site/stream HTTP/1.0\r\n\r\n")
    assert (answer.body, answer.closes) == (b"part 0;part 1;part 2;", True)


async def test_files_say_how_long_they_are(client: Client) -> None:
    text = TEXT
    answer = await client.ask(get("/site/file"))
    assert (answer.body, answer.headers["content-length"]) == (text, str(len(text)))
    head = await client.ask(request("HEAD", "/site/file"), "HEAD")
    assert (head.status, head.headers["content-length"]) == (200, str(len(text)))
    cached = await client.ask(get("/files/test_mounts.py", f"If-None-Match: {answer.headers['etag']}"))
    assert (cached.status, cached.body) == (304, b"")
    assert (await client.ask(get("/files/test_mounts.py", "Range: bytes=0-9"))).body == text[:10]
    assert (await client.ask(get("/files/../conftest.py"))).status == 404


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body(client: Client, status: int) -> None:
    answer = await client.ask(get(f"/site/empty/{status}"))
    assert (answer.status, answer.headers["x-own"]) == (status, "yes")
    assert not {"content-length", "transfer-encoding", "content-type"} & set(answer.headers)
    assert (await client.ask(get("/site/empty/200"))).headers["content-length"] == "0"


async def test_failures_are_problems(client: Client) -> None:
    answer = await client.ask(get("/site/fail"))
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert (await client.ask(get("/site/about"))).status == 200


@pytest.mark.parametrize("path", ["/site/broken", "/rude/half", "/rude/half-of-it"])
async def test_a_stream_that_breaks_is_cut_off(served: Served, client: Client, path: str) -> None:
    await client.send(get(path))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()
    await served.at_rest()


@pytest.mark.parametrize("path", ["nothing", "body-first", "two-starts", "too-much", "too-little", "line-break"])
async def test_applications_that_break_the_protocol(client: Client, path: str) -> None:
    assert (await client.ask(get(f"/rude/{path}"))).status == 500
    assert (await client.ask(get("/site/about"))).status == 200


async def test_what_is_said_after_the_answer_is_not_sent(served: Served, client: Client) -> None:
    assert (await client.ask(get("/rude/two-bodies"))).body == b"1234"
    assert (await client.ask(get("/site/about"))).status == 200
    assert served.count("kapelle_requests_total", status="500") == 1


async def test_a_client_that_leaves_ends_the_application(served: Served, client: Client) -> None:
    await client.send(get("/rude/forever"))
    await client.line()
    client.vanish()
    await served.at_rest()
    assert events == ["start", "forever ended"]


async def test_bodies_for_applications_are_admitted_as_well() -> None:
    async with serving(Mounting, max_body=50_000, max_request_bytes=60_000) as served:
        client = await served.connect()
        assert (await client.ask(post("/site/about", b"x" * 20_000))).status == 200
        answer = await client.ask(post("/site/about", b"x" * 50_000))
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert (await client.ask(get("/livez"))).status == 200


@pytest.mark.parametrize("target", ["*", "/site/%2e%2e/x", "/%00", "//", "/site", "/site//about", "/%E4"])
async def test_odd_targets(client: Client, target: str) -> None:
    assert (await client.ask(get(target))).status in (307, 404)
