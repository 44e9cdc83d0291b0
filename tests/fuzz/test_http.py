"""Whatever bytes come, in whatever pieces: a connection gets valid answers or is closed, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kapelle
from tests.integration.http.client import Answer, Client, read_answer
from tests.integration.http.serving import Served, serving

MAX_BODY = 4096


@kapelle.app
class Fuzzed:
    """Endpoints of each kind, so that what gets through the front goes on to the readers of bodies."""

    @kapelle.get("/hello")
    async def hello(self) -> str:
        return "hello"

    @kapelle.get("/items/{name}")
    async def item(self, name: str, count: int = 1, flags: list[bool] | None = None) -> dict[str, object]:
        return {"name": name, "count": count, "flags": flags}

    @kapelle.post("/sum")
    async def total(self, numbers: list[float], scale: float = 1.0) -> dict[str, float]:
        return {"total": sum(numbers) * scale}

    @kapelle.post("/raw")
    async def raw(self, data: bytes) -> bytes:
        return data

    @kapelle.post("/form")
    async def form(self, file: kapelle.Upload, note: str = "") -> dict[str, object]:
        return {"size": len(file.data), "note": note}

    @kapelle.get("/events")
    async def events(self, count: int = 3) -> AsyncIterator[int]:
        for number in range(min(count, 5)):
            yield number


# --- requests: valid ones, and what becomes of them -------------------------------------------------------------------

JSON = b'{"numbers": [1, 2.5, -3], "scale": 2}'
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nabc\r\n'
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n--b--\r\n'
)


def with_length(target: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"POST %b HTTP/1.1\r\nHost: h\r\n%bContent-Length: %d\r\n\r\n%b" % (target, lines, len(body), body)


def chunked(target: bytes, body: bytes) -> bytes:
    parts = [body[start : start + 7] for start in range(0, len(body), 7)]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"POST %b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (target, coded)


VALID = [
    b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n",
    b"GET /hello HTTP/1.0\r\n\r\n",
    b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"GET /items/a%20b?count=3&flags=1&flags=no HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    with_length(b"/sum", JSON),
    with_length(b"/sum", JSON, b"Expect: 100-continue"),
    with_length(b"/sum", b'{"numbers": NaN}'),
    with_length(b"/raw", b"\x00\xff" * 40, b"Connection: Upgrade", b"Upgrade: h2c"),
    with_length(b"/form", FORM, b"Content-Type: multipart/form-data; boundary=b"),
    chunked(b"/sum", JSON),
    chunked(b"/raw", b"x" * 200),
]

BREAKERS = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\xff", b"0", b"-1", b"ffffffffffffffffff", b"chunked",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n",
    b"Transfer-Encoding: identity\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"HTTP/1.1", b"HTTP/2.0",
    b"CONNECT ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"0\r\n\r\n", b"5000\r\n", b"%", b"%zz", b"?", b"#", b"{", b'"',
]  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """Replace ``length`` bytes at a fraction of the message by ``by``."""

    at: float
    length: int
    by: bytes

    def __call__(self, data: bytes) -> bytes:
        start = int(self.at * len(data))
        return data[:start] + self.by + data[start + self.length :]


mutations = st.builds(
    Mutation,
    at=st.floats(0, 1, exclude_max=True),
    length=st.integers(0, 8),
    by=st.one_of(st.just(b""), st.sampled_from(BREAKERS), st.binary(max_size=6)),
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """What a client may send on one connection."""
    data = b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=5)))
    for mutate in draw(st.lists(mutations, max_size=3)):
        data = mutate(data)
    return data


splits = st.lists(st.floats(0, 1), max_size=8)


def pieces(data: bytes, at: list[float]) -> list[bytes]:
    """``data`` cut at these fractions of its length."""
    cuts = [0, *sorted(int(fraction * len(data)) for fraction in at), len(data)]
    return [data[start:end] for start, end in pairwise(cuts) if start < end]


# --- what is seen of it -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a client gets to see, without what differs from time to time."""

    status: int
    content_type: str
    closes: bool
    size: int


async def converse(served: Served, data: list[bytes]) -> list[Seen]:
    """Send all, say that this was all, and read the answers until the gateway closes, too."""
    client = await Client.open(served.port)
    try:
        for piece in data:
            await client.send(piece)
            await asyncio.sleep(0)  # a turn of the loop, in which the gateway reads this piece by itself
        client.finish_sending()
        received = await client.rest()
    finally:
        await client.close()
    return [seen(answer) for answer in await parsed(received)]


async def parsed(received: bytes) -> list[Answer]:
    """The answers in a stream of bytes; fails when it is anything else. None of the requests here is a HEAD."""
    reader = asyncio.StreamReader()
    reader.feed_data(received)
    reader.feed_eof()
    answers = []
    while not reader.at_eof():
        answers.append(await read_answer(reader, "GET"))
    return [answer for answer in answers if answer.status >= 200]


def seen(answer: Answer) -> Seen:
    # The text of problems has request ids of varying length in it.
    size = 0 if answer.status >= 400 else len(answer.body)
    return Seen(answer.status, answer.headers.get("content-type", ""), answer.closes, size)


Run = Callable[[Callable[[Served], Coroutine[Any, Any, None]]], None]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a check against one gateway that lives as long as this module: what an example breaks, the next will see."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        system = serving(Fuzzed, max_body=MAX_BODY)
        served = runner.run(system.__aenter__())
        yield lambda check: runner.run(check(served))
        runner.run(system.__aexit__(None, None, None))


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(data=streams(), at=splits)
def test_any_bytes_get_the_same_valid_answers_in_any_pieces(run: Run, data: bytes, at: list[float]) -> None:
    async def check(served: Served) -> None:
        at_once = await converse(served, [data])
        in_pieces = await converse(served, pieces(data, at))
        assert in_pieces == at_once
        assert all(one.closes is (one is at_once[-1]) for one in at_once if one.closes), "spoke on after its last word"
        await served.at_rest()

    run(check)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.lists(st.sampled_from(VALID), min_size=1, max_size=12).map(b"".join), until=st.floats(0, 1))
def test_clients_that_vanish_leave_nothing_behind(run: Run, data: bytes, until: float) -> None:
    async def check(served: Served) -> None:
        client = await Client.open(served.port)
        await client.send(data[: int(until * len(data))])
        await asyncio.sleep(0)
        client.vanish()
        await served.at_rest()
        another = await Client.open(served.port)
        assert (await another.ask(VALID[0])).status == 200
        await another.close()
        await served.at_rest()

    run(check)


@settings(max_examples=100)
@given(data=st.binary(max_size=400))
def test_noise_is_refused(run: Run, data: bytes) -> None:
    async def check(served: Served) -> None:
        answers = await converse(served, [data + b"\r\n\r\n"])
        assert all(answer.status in (400, 505) for answer in answers)
        await served.at_rest()

    run(check)
