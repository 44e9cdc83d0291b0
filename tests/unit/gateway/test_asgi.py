"""ASGI applications: what they get to see of a request, and what becomes of what they say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kapelle.gateway.asgi import Message, Receive, Send, run, scope_of
from kapelle.gateway.request import Request
from kapelle.gateway.routes import split_target
from tests.unit.gateway.recorder import Recorder, make_request, recorded


def located(request: Request) -> Request:
    """As the gateway hands it on."""
    path, request.query = split_target(request.target)
    request.path = path.decode()
    request.id = "our-id"
    return request


def test_the_scope() -> None:
    request = located(make_request("POST", b"/a%20b/%C3%BC?q=%20", b"body", (b"x-request-id", b"?"), (b"a", b"b ")))
    assert scope_of(request) == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a b/ü",
        "raw_path": b"/a%20b/%C3%BC",
        "query_string": b"q=%20",
        "root_path": "",
        "headers": [(b"a", b"b"), (b"x-request-id", b"our-id")],
        "client": ("10.0.0.1", 1234),
        "server": ("10.0.0.2", 80),
    }


def test_the_path_begins_with_where_we_are_mounted() -> None:
    class Below(Recorder):
        def origin(self) -> dict[str, Any]:
            return super().origin() | {"root_path": "/site"}

    scope = scope_of(located(make_request("GET", b"/a", responder=Below())))
    assert (scope["root_path"], scope["path"]) == ("/site", "/site/a")


async def test_the_body_comes_in_one_piece_and_then_nothing() -> None:
    seen = []

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    await run(application, located(make_request("POST", b"/", b"body")))
    assert seen == [{"type": "http.request", "body": b"body", "more_body": False}]


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def say(*messages: Message, method: str = "GET") -> Recorder:
    """What becomes of an application that says this."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    request = located(make_request(method))
    status = await run(application, request)
    assert request.finished
    assert recorded(request).status == status
    return recorded(request)


async def test_a_whole_answer() -> None:
    headers = [
        (b"Content-Type", b"a/b"),
        (b"X-A", b"1"),
        (b"Content-Length", b"4"),
        (b"Date", b"0"),
        (b"Connection", b"x"),
    ]
    answer = await say(start(201, *headers), body(b"text"))
    assert (answer.status, answer.content_type, answer.headers, answer.parts) == (
        201,
        b"a/b",
        ((b"x-a", b"1"),),
        [b"text"],
    )


async def test_an_answer_in_parts() -> None:
    answer = await say(start(), body(b"a", more=True), body(b"b", more=True), body(b"c"))
    assert (answer.parts, answer.length) == ([b"a", b"b", b"c"], None)


async def test_an_answer_in_parts_of_known_length() -> None:
    answer = await say(start(200, (b"content-length", b"3")), body(b"a", more=True), body(b"bc"))
    assert (answer.body, answer.length) == (b"abc", 3)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
async def test_a_body_that_is_only_described(method: str, status: int) -> None:
    answer = await say(start(status, (b"content-length", b"7")), body(b"", more=True), body(), method=method)
    assert (answer.headers, answer.body) == (((b"content-length", b"7"),), b"")


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [start()],
        [body(b"a")],
        [start(), start()],
        [start(), body(b"a", more=True)],
        [start(), body(b"a"), body(b"b")],
        [start(200, (b"content-length", b"2")), body(b"abc")],
        [start(200, (b"content-length", b"2")), body(b"a")],
        [start(200, (b"content-length", b"2")), body(b"a", more=True), body(b"bc")],
        [start(200, (b"x", b"a\r\nset-cookie: b"))],
        [start(200, (b"content-type", b"a\nb"))],
        [{"type": "http.response.trailers"}],
    ],
)
async def test_what_breaks_the_protocol(messages: list[Message]) -> None:
    with pytest.raises(RuntimeError, match="application"):
        await say(*messages)
